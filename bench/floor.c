/* The floor of a fan-out: accepts WebSockets, and on `POST /` writes the request's body, framed
   once, to every one of them.  No parsing, no authentication, no storage, no buffers: what a
   server that did nothing else would cost.

   Usage: floor PORT.  Prints "ready" when it listens. */
#include "wire.h"

#define MOST 65536
static int sockets[MOST];
static int socket_count;

/* The value of the header `name` (lower case, with its colon), or -1. */
static long number_header(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    return found ? atol(found + strlen(name)) : -1;
}

static void fan_out(const char *body, size_t length) {
    static uint8_t frame[1 << 20];
    size_t head = frame_head(frame, TEXT, length, NULL);
    memcpy(frame + head, body, length);
    for (int i = 0; i < socket_count; i++)
        if (write(sockets[i], frame, head + length) != (ssize_t)(head + length))
            die("a socket is full or gone: %s", strerror(errno));
}

static void answer(int fd, const char *text) {
    if (write(fd, text, strlen(text)) < 0) perror("write");
}

/* One request, which must come whole, as small ones on loopback do.  WebSocket frames that
   clients send afterwards come here too and are dropped. */
static void request(int fd, char *data, size_t length) {
    data[length] = 0;
    char *end = strstr(data, "\r\n\r\n");
    if (!strncmp(data, "GET ", 4) && strcasestr(data, "\r\nupgrade: websocket")) {
        /* The load client does not check the key's digest. */
        answer(fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: floor\r\n\r\n");
        if (socket_count == MOST) die("too many sockets");
        sockets[socket_count++] = fd;
    } else if (!strncmp(data, "GET ", 4)) {
        answer(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    } else if (!strncmp(data, "POST ", 5) && end) {
        long body = number_header(data, "content-length:");
        if (body < 0 || end + 4 + body != data + length) die("a request in pieces");
        fan_out(end + 4, (size_t)body);
        answer(fd, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
    }
}

static void forget(int fd) {
    for (int i = 0; i < socket_count; i++)
        if (sockets[i] == fd) {
            sockets[i] = sockets[--socket_count];
            break;
        }
    close(fd);
}

int main(int count, char **arguments) {
    static char data[1 << 20];
    struct epoll_event events[512];
    if (count != 2) die("usage: floor PORT");
    raise_file_limit();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = loopback(atoi(arguments[1]));
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096))
        die("cannot listen: %s", strerror(errno));
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int fresh;
                while ((fresh = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    no_delay(fresh);
                    event.events = EPOLLIN;
                    event.data.fd = fresh;
                    epoll_ctl(poll, EPOLL_CTL_ADD, fresh, &event);
                }
                continue;
            }
            ssize_t got = read(fd, data, sizeof data - 1);
            if (got > 0)
                request(fd, data, (size_t)got);
            else if (got == 0 || errno != EAGAIN)
                forget(fd);
        }
    }
}
