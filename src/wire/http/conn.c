/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: who is there, and for how long we wait for them.
 *
 * libmicrohttpd's own timeout begins anew with each byte, so one byte a minute would hold a connection for ever.
 * Ours are deadlines; one thread looks at them and shuts a late connection's socket down, which its loop then sees.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osserver.h"
#include "http_i.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

void http_deadline(struct http_conn *c, uint64_t ms_from_now)
{
    atomic_store(&c->deadline_ms, ms_from_now ? bdr_clock_mono_ms() + ms_from_now : 0);
}

/* Without a count from the kernel an answer has one stall_ms, whatever its size. */
static uint64_t conn_acked(const struct http_conn *c)
{
    uint64_t n = 0;

    bdr_err_drop(bdr_os_socket_acked(c->fd, &n), "then nothing moves");
    return n;
}

void http_deadline_answer(struct http_conn *c)
{
    c->acked = conn_acked(c);
    atomic_store(&c->sending, true);
    http_deadline(c, c->listener->server->limits.stall_ms);
}

/* Past its deadline, but an answer gets on: another stall_ms, unless the loop has just set another deadline. */
static bool conn_moves(struct http_conn *c, uint64_t deadline, uint64_t now)
{
    uint64_t acked = atomic_load(&c->sending) ? conn_acked(c) : 0;

    if (acked < c->acked + STALL_BYTES)
        return false;
    c->acked = acked;
    atomic_compare_exchange_strong(&c->deadline_ms, &deadline, now + c->listener->server->limits.stall_ms);
    return true;
}

void http_conn_cut(struct http_conn *c)
{
    atomic_store(&c->deadline_ms, 0);
    shutdown(c->fd, SHUT_RDWR); /* the descriptor is ours: closing waits for server.lock in conn_end */
}

static void conn_remote(struct http_conn *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;

    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, c->remote, sizeof(c->remote));
    else if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, c->remote, sizeof(c->remote));
}

static void conn_begin(struct http_listener *l, struct MHD_Connection *mhd, void **ctx)
{
    struct bdr_http_server *s = l->server;
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *tls = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    struct http_conn *c = calloc(1, sizeof(*c));

    *ctx = c;
    if (!c) {
        shutdown(fd->connect_fd, SHUT_RDWR);
        return;
    }
    c->listener = l;
    c->mhd = mhd;
    c->fd = fd->connect_fd;
    conn_remote(c);
    if (l->config.tls) {
        pthread_mutex_lock(&l->lock);
        c->tls = l->tls;
        atomic_fetch_add(&c->tls->refs, 1);
        pthread_mutex_unlock(&l->lock);
        if (!tls || !http_tls_session(c, tls->tls_session))
            shutdown(c->fd, SHUT_RDWR);
    }
    http_deadline(c, s->limits.header_ms);
    atomic_fetch_add(&s->conns_total, 1);
    pthread_mutex_lock(&s->lock);
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    else
        s->oldest = c;
    s->conns = c;
    s->n_conns++;
    http_crowd_add(c);
    http_crowd_thin(c);
    c->late = atomic_load(&s->stopping);
    if (c->late)
        http_conn_cut(c);
    pthread_mutex_unlock(&s->lock);
}

static void conn_end(struct http_conn *c)
{
    struct bdr_http_server *s = c->listener->server;

    pthread_mutex_lock(&s->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        s->oldest = c->prev;
    s->n_conns--;
    http_crowd_remove(c);
    pthread_mutex_unlock(&s->lock);
    http_tls_unref(c->tls);
    free(c);
}

void http_conn_notify(void *cls, struct MHD_Connection *mhd, void **ctx, enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        conn_begin(cls, mhd, ctx);
    else if (*ctx)
        conn_end(*ctx);
}

void *http_conn_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_conn *c = info ? info->socket_context : NULL;
    struct bdr_http_server *s = ((struct http_listener *)cls)->server;

    if (!c)
        return NULL;
    atomic_store(&c->state, CONN_HEADERS);
    c->bad_line = strstr(uri, "%00") != NULL; /* decoded, it would end the path early */
    http_deadline(c, s->limits.header_ms);
    return NULL;
}

/* Those that were cut, said once a tick. A browser opens connections ahead of need: silent ones are not news. */
static void watch_tell(struct bdr_http_server *s, unsigned slow, unsigned silent, uint64_t now)
{
    uint64_t crowded = atomic_load(&s->cut_crowded) - s->crowd_told;

    atomic_fetch_add(&s->cut_slow, slow);
    atomic_fetch_add(&s->cut_silent, silent);
    if (slow)
        BDR_LOG(INFO, "http.cut.slow", F_U64("connections", slow));
    if (crowded && now >= s->crowd_told_ms) {
        s->crowd_told += crowded;
        s->crowd_told_ms = now + CROWD_TELL_MS;
        BDR_LOG(WARN, "http.cut.crowded", F_U64("connections", crowded));
    }
}

static void watch_all(struct bdr_http_server *s, uint64_t now)
{
    unsigned slow = 0, silent = 0;

    pthread_mutex_lock(&s->lock);
    for (struct http_conn *c = s->conns; c; c = c->next) {
        uint64_t deadline = atomic_load(&c->deadline_ms);

        if (deadline && now > deadline && !conn_moves(c, deadline, now)) {
            http_conn_cut(c);
            slow += atomic_load(&c->state) != CONN_IDLE;
            silent += atomic_load(&c->state) == CONN_IDLE && !c->asked;
        }
        if (c->req)
            http_events_tick(c->req, now);
    }
    pthread_mutex_unlock(&s->lock);
    watch_tell(s, slow, silent, now);
}

/* Bytes a second that it made so far. */
static uint64_t greedy_rate(struct bdr_req *req, uint64_t now_ns)
{
    uint64_t bytes, ms = (now_ns - req->begun_ns) / 1000000 + 1;

    pthread_mutex_lock(&req->lock);
    bytes = req->body_seen + req->answered_bytes;
    pthread_mutex_unlock(&req->lock);
    return bytes * 1000 / ms;
}

static bool greedy_among(const struct bdr_req *req, struct bdr_req *const *some, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (some[i] == req)
            return true;
    return false;
}

/* A thread for whoever waits in vain: the slowest transfer that waits for its client now has to go. */
static void watch_greedy(struct bdr_http_server *s, uint64_t now)
{
    struct bdr_req *some[GREEDY_LOOK];
    size_t n = http_work_greedy(s->stream_work, now, some, GREEDY_LOOK);
    uint64_t least = UINT64_MAX, now_ns = bdr_clock_mono_ns();
    char who[BDR_MACHINE_ID_CHARS + sizeof(some[0]->remote)] = "";
    struct http_conn *slowest = NULL;

    if (!n)
        return;
    pthread_mutex_lock(&s->lock);
    for (struct http_conn *c = s->conns; c; c = c->next) {
        /* without a deadline it waits for us: for bandwidth, for a disk */
        if (c->req && atomic_load(&c->deadline_ms) && greedy_among(c->req, some, n)) {
            uint64_t rate = greedy_rate(c->req, now_ns);

            slowest = rate < least ? c : slowest;
            least = BDR_MIN(least, rate);
        }
    }
    if (slowest) {
        snprintf(who, sizeof(who), "%s", slowest->has_peer ? slowest->peer.machine : slowest->remote);
        http_conn_cut(slowest);
    }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++)
        http_req_unref(some[i]);
    if (slowest) {
        atomic_fetch_add(&s->cut_greedy, 1);
        BDR_LOG(WARN, "http.cut.greedy", F_STR("client", who), F_U64("bytes-per-second", least));
    }
}

struct bdr_err *http_watch(void *ctx, unsigned index)
{
    struct bdr_http_server *s = ctx;

    (void)index;
    for (;;) {
        struct bdr_err *err = bdr_cancel_sleep(&s->watch_stop, WATCH_TICK_MS);

        if (err) {
            bdr_err_drop(err, "told to end");
            return NULL;
        }
        watch_all(s, bdr_clock_mono_ms());
        watch_greedy(s, bdr_clock_mono_ms());
    }
}
