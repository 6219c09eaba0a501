/* Readers of a stream of server-sent events, all in one process: readers PORT COUNT REQUEST-FILE
 *
 * Says "ready" once every connection has the head of its answer. On "until N" it says "waiting", and "N TIME" (ns of
 * CLOCK_MONOTONIC) when the last connection has read the event whose data holds "seq":N. An event lost, doubled or out
 * of order on any connection ends it with status 1 and says which. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char HEAD[] = "\r\n\r\n", MARK[] = "\"seq\":";

struct reader {
    int fd, matched, in_body, in_number;
    long number, last;
};

static long target = -1, waiting;
static int count, heads;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void arrived(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%ld %lld\n", target, now.tv_sec * 1000000000LL + now.tv_nsec);
    target = -1;
}

static void event(struct reader *one) {
    if (one->last && one->number != one->last + 1) {
        printf("wrong: %ld came behind %ld\n", one->number, one->last);
        exit(1);
    }
    one->last = one->number;
    if (one->last == target && --waiting == 0)
        arrived();
}

/* A mark may be cut anywhere between two reads; neither mark begins twice within itself. */
static void take(struct reader *one, const char *data, ssize_t size) {
    for (ssize_t at = 0; at < size; at++) {
        char byte = data[at];
        if (one->in_number) {
            if (byte >= '0' && byte <= '9') {
                one->number = one->number * 10 + (byte - '0');
                continue;
            }
            one->in_number = 0;
            event(one);
        }
        const char *mark = one->in_body ? MARK : HEAD;
        one->matched = byte == mark[one->matched] ? one->matched + 1 : byte == mark[0];
        if (mark[one->matched])
            continue;
        one->matched = 0;
        if (one->in_body) {
            one->in_number = 1;
            one->number = 0;
        } else {
            one->in_body = 1;
            if (++heads == count)
                printf("ready\n");
        }
    }
}

static int dial(int port, const char *request, size_t size) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&there, sizeof there) < 0)
        die("connect");
    if (write(fd, request, size) != (ssize_t)size)
        die("request");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void command(struct reader *all) {
    char line[64];
    ssize_t got = read(0, line, sizeof line - 1);
    if (got <= 0)
        exit(0);
    line[got] = 0;
    if (sscanf(line, "until %ld", &target) != 1)
        exit(2);
    waiting = 0;
    for (int at = 0; at < count; at++)
        waiting += all[at].last < target;
    printf("waiting\n");
    if (!waiting)
        arrived();
}

int main(int argc, char **argv) {
    static char request[4096], data[65536];
    if (argc != 4)
        return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setvbuf(stdout, NULL, _IOLBF, 0);
    FILE *file = fopen(argv[3], "rb");
    if (!file)
        die(argv[3]);
    size_t size = fread(request, 1, sizeof request, file);
    count = atoi(argv[2]);
    struct reader *all = calloc(count, sizeof *all);
    int poll = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL}, found[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &wanted);
    for (int at = 0; at < count; at++) {
        all[at].fd = dial(atoi(argv[1]), request, size);
        wanted.data.ptr = &all[at];
        epoll_ctl(poll, EPOLL_CTL_ADD, all[at].fd, &wanted);
    }
    for (;;) {
        int ready = epoll_wait(poll, found, 256, -1);
        for (int at = 0; at < ready; at++) {
            struct reader *one = found[at].data.ptr;
            if (!one) {
                command(all);
                continue;
            }
            ssize_t got = read(one->fd, data, sizeof data);
            if (got > 0)
                take(one, data, got);
            else if (got == 0 || errno != EAGAIN) {
                printf("wrong: a stream ended\n");
                return 1;
            }
        }
    }
}
