/* The floor: broadcaster PORT writes what comes on its standard input to every connection, and does nothing else.
 *
 * A connection's request is read once and not looked at. Says "ready" when it listens. Input: native-endian 32-bit
 * lengths, each with so many bytes behind it. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 4096
static const char HEAD[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

static int clients[MOST], count;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int begin(int port) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || listen(fd, 2048) < 0)
        die("listen");
    return fd;
}

static void welcome(int listener) {
    static char request[4096];
    int fd = accept(listener, NULL, NULL), on = 1;
    if (fd < 0 || count == MOST)
        die("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (read(fd, request, sizeof request) <= 0 || write(fd, HEAD, sizeof HEAD - 1) < 0)
        die("request");
    clients[count++] = fd;
}

static void whole(char *data, size_t size) {
    while (size) {
        ssize_t got = read(0, data, size);
        if (got <= 0)
            exit(0);
        data += got;
        size -= got;
    }
}

static void broadcast(void) {
    static char frame[65536];
    uint32_t size;
    whole((char *)&size, sizeof size);
    if (size > sizeof frame)
        exit(2);
    whole(frame, size);
    for (int at = 0; at < count; at++)
        if (write(clients[at], frame, size) != (ssize_t)size)
            die("write");
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = begin(atoi(argv[1])), poll = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = listener}, found[2];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted);
    wanted.data.fd = 0;
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &wanted);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll, found, 2, -1);
        for (int at = 0; at < ready; at++)
            found[at].data.fd ? welcome(listener) : broadcast();
    }
}
