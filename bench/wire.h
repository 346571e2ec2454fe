/* What the load client and the floor share: time, sockets, WebSocket frames, percentiles. */
#ifndef WIRE_H
#define WIRE_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void raise_file_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* The head of a frame of `length` bytes (RFC 6455, section 5.2), at most 14; returns its size.
   With `mask` the payload that follows must be masked with those four bytes. */
static size_t frame_head(uint8_t *head, int opcode, size_t length, const uint8_t *mask) {
    size_t n = 2;
    head[0] = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        head[1] = (uint8_t)length;
    } else if (length < 65536) {
        head[1] = 126;
        head[2] = (uint8_t)(length >> 8);
        head[3] = (uint8_t)length;
        n = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
        n = 10;
    }
    if (mask) {
        head[1] |= 0x80;
        memcpy(head + n, mask, 4);
        n += 4;
    }
    return n;
}

/* A whole unmasked frame at `data`: its size with the head, or 0 when more bytes are needed. */
static size_t frame_at(const uint8_t *data, size_t have, int *opcode, const uint8_t **payload,
                       size_t *length) {
    if (have < 2) return 0;
    size_t head = 2, size = data[1] & 0x7f;
    if (data[1] & 0x80) die("a masked frame from a server");
    if (!(data[0] & 0x80) || data[0] & 0x70) die("a fragment or a compressed frame");
    if (size == 126) {
        if (have < 4) return 0;
        size = (size_t)data[2] << 8 | data[3];
        head = 4;
    } else if (size == 127) {
        if (have < 10) return 0;
        size = 0;
        for (int i = 0; i < 8; i++) size = size << 8 | data[2 + i];
        head = 10;
    }
    if (have < head + size) return 0;
    *opcode = data[0] & 0x0f;
    *payload = data + head;
    *length = size;
    return head + size;
}

/* Durations in ns, sorted when asked for. */
typedef struct {
    uint64_t *at;
    size_t count, room;
} Samples;

static void sample(Samples *s, uint64_t value) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 1 << 16;
        s->at = realloc(s->at, s->room * sizeof *s->at);
        if (!s->at) die("out of memory");
    }
    s->at[s->count++] = value;
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Prints `"name_p50_ms": …, "name_p99_ms": …, "name_max_ms": …` (nothing measured: null). */
static void print_percentiles(const char *name, Samples *s) {
    const char *labels[] = {"p50", "p99", "max"};
    const double parts[] = {0.5, 0.99, 1};
    if (s->count) qsort(s->at, s->count, sizeof *s->at, by_size);
    for (int i = 0; i < 3; i++) {
        printf("%s\"%s_%s_ms\": ", i ? ", " : "", name, labels[i]);
        if (!s->count) {
            printf("null");
            continue;
        }
        size_t rank = (size_t)(parts[i] * (double)s->count);
        printf("%.4f", (double)s->at[rank < s->count ? rank : s->count - 1] / 1e6);
    }
}
#endif
