/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wan - a bad line between two network interfaces: delay, loss, a rate, and a cable that can be pulled.
 *
 *   wan A B [--delay MS] [--loss PCT] [--rate BITS]     carries frames between A and B until its input ends
 *   wan --plain IF                                      turns off what makes frames of IF incomplete or too large
 *
 * Commands on its input, one a line: "delay MS", "loss PCT", "rate BITS" (0: unlimited), "cut", "join", "seed N". Each
 * is answered with "ok". The kernel of a test machine may have no netem; this needs packet sockets alone. Both ends
 * must be --plain: a frame whose checksum the hardware was to fill in would arrive wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAN_FRAME 65600
#define WAN_QUEUE 4096 /* frames on their way in one direction: more are lost, as at a router */

struct wan_frame {
    uint64_t due_ns;
    size_t len;
    uint8_t *data; /* owned */
};
struct wan_way { /* one direction */
    int from, to;
    struct wan_frame ring[WAN_QUEUE];
    size_t head, n;
    uint64_t line_free_ns; /* when the line has sent all before */
};
struct wan {
    struct wan_way way[2];
    double delay_ms, loss_pct, rate_bits;
    bool cut;
    uint64_t seed;
    uint64_t carried, lost;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "wan: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* xorshift64*: the same seed loses the same frames. */
static double chance(struct wan *w)
{
    w->seed ^= w->seed >> 12;
    w->seed ^= w->seed << 25;
    w->seed ^= w->seed >> 27;
    return (double)((w->seed * 0x2545F4914F6CDD1Du) >> 11) / 9007199254740992.0;
}

static int open_interface(const char *name)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct packet_mreq all = {.mr_type = PACKET_MR_PROMISC};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL)), on = 1, room = 8 << 20;

    if (fd < 0)
        die("packet socket");
    all.mr_ifindex = at.sll_ifindex = (int)if_nametoindex(name);
    if (!at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof(at)))
        die(name);
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)))
        die("promiscuous");
    (void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    return fd;
}

static void plain(const char *name)
{
    static const uint32_t what[] = {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
        struct ethtool_value off = {.cmd = what[i]};
        struct ifreq r = {.ifr_data = (void *)&off};

        snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
        if (ioctl(fd, SIOCETHTOOL, &r) && errno != EOPNOTSUPP)
            die(name);
    }
    close(fd);
}

static void take(struct wan *w, struct wan_way *way)
{
    static uint8_t buf[WAN_FRAME];
    ssize_t n;

    while ((n = recv(way->from, buf, sizeof(buf), 0)) > 0) {
        uint64_t now = now_ns(), sent = now;
        struct wan_frame *f;

        if (w->cut || chance(w) * 100 < w->loss_pct || way->n == WAN_QUEUE) {
            w->lost++;
            continue;
        }
        if (w->rate_bits > 0) {
            sent = way->line_free_ns > now ? way->line_free_ns : now;
            way->line_free_ns = sent += (uint64_t)((double)n * 8e9 / w->rate_bits);
        }
        f = &way->ring[(way->head + way->n++) % WAN_QUEUE];
        f->due_ns = sent + (uint64_t)(w->delay_ms * 1e6);
        f->len = (size_t)n;
        f->data = malloc((size_t)n);
        if (!f->data)
            die("memory");
        memcpy(f->data, buf, (size_t)n);
    }
}

/* Sends what is due; returns when the next one is. */
static uint64_t give(struct wan *w, struct wan_way *way)
{
    while (way->n) {
        struct wan_frame *f = &way->ring[way->head];

        if (f->due_ns > now_ns())
            return f->due_ns;
        if (!w->cut && send(way->to, f->data, f->len, 0) < 0)
            w->lost++;
        else
            w->carried++;
        free(f->data);
        way->head = (way->head + 1) % WAN_QUEUE;
        way->n--;
    }
    return UINT64_MAX;
}

static void obey(struct wan *w, const char *line)
{
    double v = 0;

    if (sscanf(line, "delay %lf", &v) == 1)
        w->delay_ms = v;
    else if (sscanf(line, "loss %lf", &v) == 1)
        w->loss_pct = v;
    else if (sscanf(line, "rate %lf", &v) == 1)
        w->rate_bits = v;
    else if (sscanf(line, "seed %lf", &v) == 1)
        w->seed = (uint64_t)v | 1;
    else if (!strncmp(line, "cut", 3) || !strncmp(line, "join", 4))
        w->cut = line[0] == 'c';
    else if (strncmp(line, "count", 5) != 0) {
        printf("what?\n");
        return;
    }
    printf("ok %llu carried, %llu lost\n", (unsigned long long)w->carried, (unsigned long long)w->lost);
}

/* False at the end of the input. */
static bool listen_to(struct wan *w)
{
    static char text[512];
    static size_t have;
    ssize_t n = read(0, text + have, sizeof(text) - 1 - have);
    char *end;

    if (n <= 0)
        return false;
    have += (size_t)n;
    text[have] = 0;
    while ((end = strchr(text, '\n'))) {
        *end = 0;
        obey(w, text);
        have -= (size_t)(end + 1 - text);
        memmove(text, end + 1, have + 1);
    }
    fflush(stdout);
    return have < sizeof(text) - 1;
}

int main(int argc, char **argv)
{
    static struct wan w = {.seed = 88172645463325252u};

    if (argc == 3 && !strcmp(argv[1], "--plain")) {
        plain(argv[2]);
        return 0;
    }
    if (argc < 3) {
        fprintf(stderr, "usage: wan A B [--delay MS] [--loss PCT] [--rate BITS] | wan --plain IF\n");
        return 2;
    }
    for (int i = 3; i + 1 < argc; i += 2) {
        char line[64];

        snprintf(line, sizeof(line), "%s %s", argv[i] + 2, argv[i + 1]);
        obey(&w, line);
    }
    w.way[0].from = w.way[1].to = open_interface(argv[1]);
    w.way[1].from = w.way[0].to = open_interface(argv[2]);
    for (;;) {
        struct pollfd p[] = {{.fd = 0, .events = POLLIN},
                             {.fd = w.way[0].from, .events = POLLIN},
                             {.fd = w.way[1].from, .events = POLLIN}};
        uint64_t a = give(&w, &w.way[0]), b = give(&w, &w.way[1]), next = a < b ? a : b, now = now_ns();
        struct timespec wait = {.tv_sec = 1};

        if (next != UINT64_MAX) {
            uint64_t ns = next > now ? next - now : 0;

            wait = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
        }
        if (ppoll(p, 3, &wait, NULL) < 0 && errno != EINTR)
            die("poll");
        if (p[0].revents && !listen_to(&w))
            return 0;
        take(&w, &w.way[0]);
        take(&w, &w.way[1]);
    }
}
