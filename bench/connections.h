/* The load client's connections: Socket.IO, raw WebSocket and HTTP, from connect to what arrives. */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H
#include "wire.h"

#define SECOND 1000000000ull

typedef enum { HTTP, SIO, WS, BARE } Kind;
typedef enum { CONNECTING, UPGRADING, OPENING, JOINING, READY } State;

typedef struct {
    int fd, index;
    Kind kind;
    State state;
    uint64_t began; /* of the connection, then of the request or the emit under way */
    int waiting;    /* a request is under way */
    int number;     /* of the event that request makes */
    uint8_t *kept;  /* the beginning of a message whose end has not come */
    size_t kept_size, kept_room;
} Client;

static int port, poll_fd, connected;
static int post_port; /* where requests go: another process of the same server, perhaps */
static const char *ready_word = "-";
static char **tokens;
static int token_count;
static Client *clients;
static Samples connects;

static void watch(Client *c, uint32_t what, int operation) {
    struct epoll_event event = {.events = what, .data.ptr = c};
    if (epoll_ctl(poll_fd, operation, c->fd, &event)) die("epoll: %s", strerror(errno));
}

static void put(Client *c, const void *data, size_t length) {
    ssize_t done = write(c->fd, data, length);
    if (done != (ssize_t)length) die("client %d: cannot write: %s", c->index, strerror(errno));
}

static void put_frame(Client *c, int opcode, const char *text, size_t length) {
    static uint8_t frame[1 << 16];
    static const uint8_t mask[4] = {0x5a, 0xc3, 0x17, 0x88};
    size_t head = frame_head(frame, opcode, length, mask);
    for (size_t i = 0; i < length; i++) frame[head + i] = (uint8_t)text[i] ^ mask[i & 3];
    put(c, frame, head + length);
}

static void put_text(Client *c, const char *format, ...) {
    static char text[1 << 15];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof text) die("a message too long");
    put_frame(c, TEXT, text, (size_t)length);
}

static const char *token_of(const Client *c) {
    return token_count ? tokens[c->index % token_count] : NULL;
}

static void open_client(Client *c, Kind kind, int index) {
    memset(c, 0, sizeof *c);
    c->kind = kind;
    c->index = index;
    c->began = now_ns();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket %d: %s", index, strerror(errno));
    no_delay(c->fd);
    struct sockaddr_in address = loopback(kind == HTTP ? post_port : port);
    if (connect(c->fd, (void *)&address, sizeof address) && errno != EINPROGRESS)
        die("connect %d: %s", index, strerror(errno));
    watch(c, EPOLLOUT, EPOLL_CTL_ADD);
}

/* Closed with a reset: thousands of sockets in TIME_WAIT would disturb what comes after. */
static void close_client(Client *c) {
    struct linger now = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c->fd);
    free(c->kept);
    c->fd = -1;
}

/* --- what arrives */

static void handshake(Client *c) {
    const char *path = c->kind == WS ? "/ws" : "/socket.io/?EIO=4&transport=websocket";
    char text[512];
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                          path, port);
    put(c, text, (size_t)length);
    c->state = UPGRADING;
}

static void is_ready(Client *c) {
    c->state = READY;
    connected++;
    sample(&connects, now_ns() - c->began);
}

/* After the handshake's answer, and after Socket.IO's. */
static void opened(Client *c) {
    if (strcmp(ready_word, "-"))
        c->state = JOINING;
    else
        is_ready(c);
}

/* What load.c makes of what comes: an event, a Socket.IO ack, the whole answer to a request. */
static void event_received(const char *text, size_t length, uint64_t when);
static void (*acknowledged)(Client *, const char *, size_t, uint64_t);
static void (*answered)(Client *, int status, const char *text, size_t length, uint64_t when);

static void message(Client *c, const char *text, size_t length, uint64_t when) {
    if (c->kind == SIO) {
        if (length == 1 && text[0] == '2') { /* Engine.IO's ping */
            put_frame(c, TEXT, "3", 1);
            return;
        }
        if (c->state == OPENING && text[0] == '0') {
            const char *token = token_of(c);
            if (token)
                put_text(c, "40{\"token\":\"%s\"}", token);
            else
                put_text(c, "40");
            return;
        }
        if (length > 1 && text[0] == '4' && text[1] == '4')
            die("client %d was refused: %.*s", c->index, (int)length, text);
        if (c->state == OPENING && length > 1 && text[0] == '4' && text[1] == '0') {
            opened(c);
            return;
        }
        if (length > 1 && text[0] == '4' && text[1] == '3') {
            if (acknowledged) acknowledged(c, text, length, when);
            return;
        }
    }
    if (c->state == JOINING) {
        if (memmem(text, length, ready_word, strlen(ready_word))) is_ready(c);
        return;
    }
    event_received(text, length, when);
}

/* What one read() gave: handles what is whole and returns how many bytes that was. */
static size_t consume(Client *c, const uint8_t *data, size_t have, uint64_t when) {
    size_t done = 0;
    while (done < have) {
        const char *text = (const char *)data + done;
        size_t left = have - done;
        if (c->state == UPGRADING || c->kind == HTTP) {
            const char *end = memmem(text, left, "\r\n\r\n", 4);
            if (!end) break;
            size_t head = (size_t)(end - text) + 4;
            int status = atoi(text + 9);
            if (c->kind == HTTP) {
                const char *field = memmem(text, head, "ontent-", 7);
                while (field && strncasecmp(field, "ontent-length:", 14))
                    field = memmem(field + 1, head - (size_t)(field + 1 - text), "ontent-", 7);
                if (!field) die("an answer without Content-Length: %.*s", (int)head, text);
                size_t body = (size_t)atol(field + 14);
                if (left < head + body) break;
                answered(c, status, text, head + body, when);
                done += head + body;
                continue;
            }
            if (status != 101) die("client %d: no upgrade: %.*s", c->index, (int)left, text);
            done += head;
            c->state = OPENING;
            if (c->kind == BARE) is_ready(c);
            if (c->kind == WS) {
                put_text(c, "{\"type\":\"auth\",\"token\":\"%s\"}", token_of(c));
                opened(c);
            }
            continue;
        }
        int opcode;
        const uint8_t *payload;
        size_t length, frame = frame_at((const uint8_t *)text, left, &opcode, &payload, &length);
        if (!frame) break;
        done += frame;
        if (opcode == TEXT)
            message(c, (const char *)payload, length, when);
        else if (opcode == PING)
            put_frame(c, PONG, (const char *)payload, length);
        else if (opcode == CLOSE)
            die("client %d was closed: %.*s", c->index, (int)length, payload);
    }
    return done;
}

static void keep(Client *c, const uint8_t *data, size_t length) {
    if (c->kept_size + length > c->kept_room) {
        c->kept_room = (c->kept_size + length) * 2;
        c->kept = realloc(c->kept, c->kept_room);
        if (!c->kept) die("out of memory");
    }
    memmove(c->kept + c->kept_size, data, length);
    c->kept_size += length;
}

static void readable(Client *c) {
    static uint8_t data[1 << 18];
    ssize_t got = read(c->fd, data, sizeof data);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) die("client %d: the server closed it (%d connected)", c->index, connected);
    uint64_t when = now_ns();
    if (!c->kept_size) {
        size_t done = consume(c, data, (size_t)got, when);
        if (done < (size_t)got) keep(c, data + done, (size_t)got - done);
        return;
    }
    keep(c, data, (size_t)got);
    size_t done = consume(c, c->kept, c->kept_size, when);
    c->kept_size -= done;
    memmove(c->kept, c->kept + done, c->kept_size);
}

static void writable(Client *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) die("client %d cannot connect: %s", c->index, strerror(error));
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    if (c->kind == HTTP)
        is_ready(c);
    else
        handshake(c);
}

/* Waits for what comes until `until`, and handles it.  Returns 1 when a command is there. */
static int turn(uint64_t until) {
    struct epoll_event ready[512];
    uint64_t now = now_ns();
    int patience = now >= until ? 0 : (int)((until - now) / 1000000);
    int count = epoll_wait(poll_fd, ready, 512, patience), command = 0;
    for (int i = 0; i < count; i++) {
        Client *c = ready[i].data.ptr;
        if (!c)
            command = 1;
        else if (c->state == CONNECTING)
            writable(c);
        else
            readable(c);
    }
    return command;
}

static void wait_until(int *flag, int wanted, double seconds, const char *what) {
    uint64_t until = now_ns() + (uint64_t)(seconds * SECOND);
    while (*flag < wanted) {
        if (now_ns() > until) die("%s: %d of %d after %.0f s", what, *flag, wanted, seconds);
        turn(until);
    }
}

static void read_tokens(const char *path) {
    if (!strcmp(path, "-")) return;
    FILE *file = fopen(path, "r");
    if (!file) die("%s: %s", path, strerror(errno));
    char line[8192];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = 0;
        tokens = realloc(tokens, (size_t)(token_count + 1) * sizeof *tokens);
        tokens[token_count++] = strdup(line);
    }
    fclose(file);
}
#endif
