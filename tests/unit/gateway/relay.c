/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"
#include "bdr/pool.h"
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RELAY_PAIRS 64

struct relay {
    int listener;
    uint16_t port, to_port;
    struct bdr_cancel stop;
    struct bdr_pool *pool;
    int pair[RELAY_PAIRS][2]; /* client, gateway; -1: free */
    atomic_uint_fast64_t bytes, cut_at;
    atomic_uint cuts;
};

static int relay_socket(uint16_t port, bool listens)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    BDR_ASSERT(fd >= 0);
    if (listens)
        BDR_ASSERT(!bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, 64));
    else if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
        close(fd);
        return -1;
    }
    return fd;
}

static void pair_close(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
        pair[i] = -1;
    }
}

static void relay_accept(struct relay *r)
{
    int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);

    for (int i = 0; fd >= 0 && i < RELAY_PAIRS; i++)
        if (r->pair[i][0] < 0) {
            r->pair[i][0] = fd;
            r->pair[i][1] = relay_socket(r->to_port, false);
            if (r->pair[i][1] < 0)
                pair_close(r->pair[i]);
            return;
        }
    if (fd >= 0)
        close(fd);
}

/* False: the connection is over. */
static bool relay_copy(struct relay *r, int from, int to, bool up)
{
    static char buf[65536];
    ssize_t n = recv(from, buf, sizeof(buf), 0), at = 0;

    while (n > 0 && at < n) {
        ssize_t m = send(to, buf + at, (size_t)(n - at), MSG_NOSIGNAL);

        if (m <= 0)
            return false;
        at += m;
    }
    if (n > 0 && up)
        atomic_fetch_add(&r->bytes, (uint64_t)n);
    return n > 0;
}

static struct bdr_err *relay_main(void *ctx, unsigned index)
{
    struct relay *r = ctx;

    (void)index;
    while (!bdr_cancelled(&r->stop)) {
        struct pollfd p[1 + 2 * RELAY_PAIRS] = {{.fd = r->listener, .events = POLLIN}};
        uint64_t cut = atomic_load(&r->cut_at);

        for (int i = 0; i < RELAY_PAIRS; i++)
            for (int k = 0; k < 2; k++)
                p[1 + 2 * i + k] = (struct pollfd){.fd = r->pair[i][k], .events = POLLIN};
        if (poll(p, 1 + 2 * RELAY_PAIRS, 20) < 0)
            continue;
        if (p[0].revents)
            relay_accept(r);
        for (int i = 0; i < RELAY_PAIRS; i++)
            for (int k = 0; k < 2; k++)
                if (r->pair[i][0] >= 0 && p[1 + 2 * i + k].fd >= 0 && p[1 + 2 * i + k].revents &&
                    !relay_copy(r, r->pair[i][k], r->pair[i][1 - k], k == 0))
                    pair_close(r->pair[i]);
        if (cut && atomic_load(&r->bytes) >= cut) {
            for (int i = 0; i < RELAY_PAIRS; i++)
                pair_close(r->pair[i]);
            atomic_store(&r->cut_at, 0);
            atomic_fetch_add(&r->cuts, 1);
        }
    }
    return NULL;
}

struct relay *relay_start(uint16_t to_port)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    struct relay *r = calloc(1, sizeof(*r));
    struct bdr_err *err;

    BDR_ASSERT(r);
    for (int i = 0; i < RELAY_PAIRS; i++)
        r->pair[i][0] = r->pair[i][1] = -1;
    r->to_port = to_port;
    r->listener = relay_socket(0, true);
    BDR_ASSERT(!getsockname(r->listener, (struct sockaddr *)&a, &len));
    r->port = ntohs(a.sin_port);
    err = bdr_pool_start("relay", 1, relay_main, r, NULL, &r->pool);
    BDR_ASSERT(!err);
    return r;
}

uint16_t relay_port(const struct relay *r)
{
    return r->port;
}
void relay_cut_after(struct relay *r, uint64_t bytes)
{
    atomic_store(&r->cut_at, bytes ? atomic_load(&r->bytes) + bytes : 0);
}
unsigned relay_cuts(const struct relay *r)
{
    return atomic_load(&r->cuts);
}
uint64_t relay_bytes(const struct relay *r)
{
    return atomic_load(&r->bytes);
}

void relay_stop(struct relay *r)
{
    bdr_cancel_set(&r->stop);
    bdr_err_drop(bdr_pool_join(r->pool), "it returns none");
    for (int i = 0; i < RELAY_PAIRS; i++)
        pair_close(r->pair[i]);
    close(r->listener);
    free(r);
}
