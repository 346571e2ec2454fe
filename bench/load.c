/* The load client: one thread, epoll, nothing copied that need not be.

   load sockets PORT KIND CLIENTS TOKENS WINDOW READY
       Connects CLIENTS sockets, at most WINDOW of them under way at a time, each with its own
       line of the file TOKENS ("-": without a token).  KIND: sio (Socket.IO over WebSocket), ws
       (raw, the token in a first message `auth`), bare (nothing after the handshake).  A client
       is connected when a message containing READY has come ("-": at once when the handshake or
       the Socket.IO connect was answered).  Prints one JSON object, then takes a command a line
       from standard input, and prints one for each:
         paced EVENTS INTERVAL_MS PATH BODY   a POST every so often, over one kept connection
         burst EVENTS POSTERS PATH BODY       all at once, over so many kept connections
         ack SECONDS CARRY BODY               each client emits create_task, waits for its ack, and
                                              so on; with CARRY=1 its token goes in the payload
         count                                events received since the last `count`
         post PORT                            from now on requests go to this port
   load http PORT METHOD PATH CONNECTIONS SECONDS IDS TOKENS BODY
       Kept connections, each with one request under way.  A `%d` in PATH counts round 1..IDS.

   BODY is a template: its `%d` becomes a number by which the event is known again; it must stand
   after `bench-`.  A latency is the time from before the request's write() to after the read()
   of the event, on one clock; `after_answer` is the time from the answer's read() to the last
   client's of the event, 0 when that was first.  On anything unexpected it says so and ends with 1. */
#include "connections.h"

#define EVENTS_MOST 100000

static Samples latencies, spreads, lasts, after_answers, requests;

/* The events of the measurement under way. */
static struct {
    uint64_t sent, answered, first, last;
    int seen;
} *events;
static int events_from, events_upto;
static long received, stray, counted;
static uint64_t last_received;

static void event_received(const char *text, size_t length, uint64_t when) {
    static size_t usual; /* where the mark stood last time */
    const char *mark = NULL;
    if (usual + 6 < length && !memcmp(text + usual, "bench-", 6)) mark = text + usual;
    if (!mark) mark = memmem(text, length, "bench-", 6);
    if (!mark) return;
    usual = (size_t)(mark - text);
    counted++;
    int number = atoi(mark + 6);
    if (number < events_from || number >= events_upto) {
        stray++;
        return;
    }
    typeof(events) event = &events[number];
    if (!event->first) event->first = when;
    event->last = last_received = when;
    event->seen++;
    received++;
    sample(&latencies, when - event->sent);
    sample(&spreads, when - event->first);
}

/* --- requests */

static void number_into(char *into, size_t room, const char *template, int number) {
    const char *place = strstr(template, "%d");
    int length = place ? snprintf(into, room, "%.*s%d%s", (int)(place - template), template, number,
                                  place + 2)
                       : snprintf(into, room, "%s", template);
    if (length >= (int)room) die("a request too long");
}

static void send_request(Client *c, const char *method, const char *path, const char *body) {
    static char text[1 << 15];
    int length = snprintf(text, sizeof text,
                          "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n",
                          method, path, post_port, token_count ? token_of(c) : "-");
    if (*body)
        length += snprintf(text + length, sizeof text - (size_t)length,
                           "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                           strlen(body), body);
    else
        length += snprintf(text + length, sizeof text - (size_t)length, "\r\n");
    c->waiting = 1;
    c->began = now_ns();
    put(c, text, (size_t)length);
}

static void check(int status, const char *text, size_t length) {
    if (status < 200 || status > 299) die("an answer of %d: %.*s", status, (int)length, text);
}

static int post_number; /* of the next event, over all measurements */
static int answers;

static void post_answered(Client *c, int status, const char *text, size_t length, uint64_t when) {
    check(status, text, length);
    c->waiting = 0;
    answers++;
    events[c->number].answered = when;
    sample(&requests, when - c->began);
}

static void post(Client *c, const char *path, const char *template) {
    static char body[1 << 14];
    number_into(body, sizeof body, template, post_number);
    send_request(c, "POST", path, body);
    c->number = post_number++;
    events[c->number].sent = c->began;
}

static Client *open_posters(int count) {
    Client *posters = calloc((size_t)count, sizeof *posters);
    int before = connected;
    for (int i = 0; i < count; i++) open_client(&posters[i], HTTP, i);
    wait_until(&connected, before + count, 10, "posters");
    return posters;
}

static void close_posters(Client *posters, int count) {
    for (int i = 0; i < count; i++) close_client(&posters[i]);
    connected -= count;
    free(posters);
}

static void start_events(int count) {
    latencies.count = spreads.count = lasts.count = after_answers.count = requests.count = 0;
    received = stray = answers = 0;
    last_received = 0;
    events_from = post_number;
    events_upto = post_number + count;
    if (events_upto > EVENTS_MOST) die("too many events");
    answered = post_answered;
}

/* Waits until every client has every event and every request its answer, or nothing has come
   for five seconds. */
static void drain(long wanted, int count) {
    uint64_t quiet = now_ns();
    while (received < wanted || answers < count) {
        uint64_t now = now_ns();
        if (last_received > quiet) quiet = last_received;
        if (now > quiet && now - quiet > 5 * SECOND) break;
        turn(now + SECOND / 20);
    }
}

static void print_events(const char *what, int count, int client_count, uint64_t began,
                         double cpu, double wall) {
    for (int i = events_from; i < events_upto; i++)
        if (events[i].seen) {
            uint64_t last = events[i].last, answer = events[i].answered;
            sample(&lasts, last - events[i].sent);
            sample(&after_answers, last > answer ? last - answer : 0);
        }
    printf("{\"%s\": %d, \"clients\": %d, \"received\": %ld, \"missing\": %ld, \"stray\": %ld, ",
           what, count, client_count, received, (long)count * client_count - received, stray);
    print_percentiles("event", &latencies);
    printf(", ");
    print_percentiles("spread", &spreads);
    printf(", ");
    print_percentiles("last", &lasts);
    printf(", ");
    print_percentiles("after_answer", &after_answers);
    printf(", ");
    print_percentiles("request", &requests);
    double seconds = (double)(last_received - began) / 1e9;
    printf(", \"seconds\": %.4f, \"messages_per_s\": %.0f, \"client_cpu\": %.3f}\n", seconds,
           (double)received / seconds, cpu / wall);
    fflush(stdout);
}

static void paced(int count, double interval_ms, const char *path, const char *body,
                  int client_count) {
    Client *poster = open_posters(1);
    start_events(count);
    uint64_t began = now_ns(), interval = (uint64_t)(interval_ms * 1e6);
    double cpu = cpu_seconds();
    for (int i = 0; i < count; i++) {
        uint64_t due = began + (uint64_t)i * interval;
        /* A request that is still under way is waited for: one connection, one at a time. */
        while (now_ns() < due || poster->waiting) turn(due);
        post(poster, path, body);
    }
    drain((long)count * client_count, count);
    print_events("paced", count, client_count, began, cpu_seconds() - cpu,
                 (double)(now_ns() - began) / 1e9);
    close_posters(poster, 1);
}

static void burst(int count, int poster_count, const char *path, const char *body,
                  int client_count) {
    Client *posters = open_posters(poster_count);
    start_events(count);
    uint64_t began = now_ns();
    double cpu = cpu_seconds();
    for (int left = count; left;) {
        for (int i = 0; i < poster_count && left; i++)
            if (!posters[i].waiting) {
                post(&posters[i], path, body);
                left--;
            }
        if (left) turn(began + 3600 * SECOND);
    }
    drain((long)count * client_count, count);
    double wall = (double)(last_received - began) / 1e9;
    print_events("burst", count, client_count, began, cpu_seconds() - cpu, wall);
    close_posters(posters, poster_count);
}

/* --- socket commands with acknowledgements */

static const char *emit_body;
static int emit_carry, emitting;
static uint64_t emit_until;

static void emit(Client *c) {
    static char body[1 << 14];
    number_into(body, sizeof body, emit_body, post_number++ % EVENTS_MOST);
    size_t length = strlen(body);
    c->waiting = 1;
    c->began = now_ns();
    if (emit_carry)
        put_text(c, "427[\"create_task\",%.*s,\"token\":\"%s\"}]", (int)length - 1, body,
                 tokens[c->index % token_count]);
    else
        put_text(c, "427[\"create_task\",%s]", body);
}

static void emit_acknowledged(Client *c, const char *text, size_t length, uint64_t when) {
    if (!memmem(text, length, "\"title\"", 7)) die("an error for an ack: %.*s", (int)length, text);
    c->waiting = 0;
    sample(&latencies, when - c->began);
    if (when < emit_until)
        emit(c);
    else
        emitting--;
}

static void ack(double seconds, int carry, const char *body, int client_count) {
    if (carry && !token_count) die("no tokens to carry");
    latencies.count = 0;
    events_from = events_upto = 0;
    emit_body = body;
    emit_carry = carry;
    emitting = client_count;
    acknowledged = emit_acknowledged;
    double cpu = cpu_seconds();
    uint64_t began = now_ns();
    emit_until = began + (uint64_t)(seconds * SECOND);
    for (int i = 0; i < client_count; i++) emit(&clients[i]);
    while (emitting > 0) {
        if (now_ns() > emit_until + 10 * SECOND) die("%d acks never came", emitting);
        turn(emit_until + SECOND / 10);
    }
    double wall = (double)(now_ns() - began) / 1e9;
    acknowledged = NULL;
    post_number = 0;
    memset(events, 0, EVENTS_MOST * sizeof *events);
    printf("{\"ack\": %zu, \"clients\": %d, ", latencies.count, client_count);
    double rate = (double)latencies.count / wall;
    print_percentiles("ack", &latencies);
    printf(", \"acks_per_s\": %.0f, \"client_cpu\": %.3f}\n", rate, (cpu_seconds() - cpu) / wall);
    fflush(stdout);
}

/* --- the two modes */

static int command(int client_count) {
    static char line[1 << 15], path[256];
    if (!fgets(line, sizeof line, stdin)) return 0;
    line[strcspn(line, "\n")] = 0;
    int number, other, body = 0;
    double amount;
    if (sscanf(line, "paced %d %lf %255s %n", &number, &amount, path, &body) == 3 && body)
        paced(number, amount, path, line + body, client_count);
    else if (sscanf(line, "burst %d %d %255s %n", &number, &other, path, &body) == 3 && body)
        burst(number, other, path, line + body, client_count);
    else if (sscanf(line, "ack %lf %d %n", &amount, &other, &body) == 2 && body)
        ack(amount, other, line + body, client_count);
    else if (!strcmp(line, "count")) {
        printf("{\"count\": %ld}\n", counted);
        counted = 0;
        fflush(stdout);
    } else if (sscanf(line, "post %d", &post_port) == 1) {
        printf("{\"post\": %d}\n", post_port);
        fflush(stdout);
    } else
        die("no such command: %s", line);
    return 1;
}

static int sockets_mode(char **a) {
    Kind kind = !strcmp(a[3], "sio") ? SIO : !strcmp(a[3], "ws") ? WS : BARE;
    int count = atoi(a[4]), window = atoi(a[6]), begun = 0;
    int carried = !strncmp(a[5], "carry:", 6); /* connect without, but keep them for payloads */
    read_tokens(a[5] + (carried ? 6 : 0));
    int had = token_count;
    if (carried) token_count = 0;
    ready_word = a[7];
    clients = calloc((size_t)count, sizeof *clients);
    double cpu = cpu_seconds();
    uint64_t began = now_ns(), moved = began;
    for (int before = 0; connected < count;) {
        while (begun < count && begun - connected < window) {
            open_client(&clients[begun], kind, begun);
            begun++;
        }
        turn(now_ns() + SECOND / 10);
        if (connected != before) moved = now_ns();
        before = connected;
        if (now_ns() - moved > 20 * SECOND)
            die("only %d of %d connected; none since 20 s", connected, count);
    }
    double wall = (double)(now_ns() - began) / 1e9;
    token_count = had;
    printf("{\"connected\": %d, \"seconds\": %.4f, ", connected, wall);
    print_percentiles("connect", &connects);
    printf(", \"client_cpu\": %.3f}\n", (cpu_seconds() - cpu) / wall);
    fflush(stdout);
    setvbuf(stdin, NULL, _IONBF, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    for (;;)
        if (turn(now_ns() + SECOND) && !command(count)) break;
    for (int i = 0; i < count; i++) close_client(&clients[i]);
    return 0;
}

static const char *http_method, *http_path, *http_body;
static int http_ids, http_next;
static uint64_t http_until;

static void http_send(Client *c) {
    static char path[512], body[1 << 14];
    number_into(path, sizeof path, http_path, http_next++ % http_ids + 1);
    number_into(body, sizeof body, http_body, http_next % EVENTS_MOST);
    send_request(c, http_method, path, body);
}

static void http_answered(Client *c, int status, const char *text, size_t length, uint64_t when) {
    check(status, text, length);
    sample(&requests, when - c->began);
    counted += (long)length;
    c->waiting = 0;
    if (when < http_until)
        http_send(c);
    else
        answers++;
}

static int http_mode(char **a) {
    http_method = a[3], http_path = a[4], http_ids = atoi(a[7]), http_body = a[9];
    int count = atoi(a[5]);
    double seconds = atof(a[6]);
    if (!strcmp(http_body, "-")) http_body = "";
    read_tokens(a[8]);
    Client *all = open_posters(count);
    answered = http_answered;
    double cpu = cpu_seconds();
    uint64_t began = now_ns();
    http_until = began + (uint64_t)(seconds * SECOND);
    for (int i = 0; i < count; i++) http_send(&all[i]);
    wait_until(&answers, count, seconds + 10, "answers");
    double wall = (double)(now_ns() - began) / 1e9;
    printf("{\"http\": %zu, \"requests_per_s\": %.0f, \"bytes\": %ld, ", requests.count,
           (double)requests.count / wall, counted / (long)requests.count);
    print_percentiles("request", &requests);
    printf(", \"client_cpu\": %.3f}\n", (cpu_seconds() - cpu) / wall);
    close_posters(all, count);
    return 0;
}

int main(int count, char **a) {
    raise_file_limit();
    poll_fd = epoll_create1(0);
    events = calloc(EVENTS_MOST, sizeof *events);
    if (count > 2) port = post_port = atoi(a[2]);
    if (count == 8 && !strcmp(a[1], "sockets")) return sockets_mode(a);
    if (count == 10 && !strcmp(a[1], "http")) return http_mode(a);
    die("usage: load sockets PORT KIND CLIENTS TOKENS WINDOW READY\n"
        "       load http PORT METHOD PATH CONNECTIONS SECONDS IDS TOKENS BODY");
}
