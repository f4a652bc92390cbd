/* SPDX-License-Identifier: Apache-2.0 */
/* Start, reload, stop. */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/osserver.h"
#include "bdr/pool.h"
#include "bdr/sync.h"
#include "http_i.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"
#define LISTEN_BACKLOG 1024u

static const struct bdr_http_limits defaults = {
    .connections = 20000,
    .connections_per_ip = 1000,
    .header_bytes = 32768,
    .buffered_bytes = 1 << 20,
    .bodies_bytes = 64 << 20,
    .header_ms = 10000,
    .stall_ms = 30000,
    .idle_ms = 75000,
    .loops = 2,
    .workers = 8,
    .stream_workers = 32,
    .stream_queue = 64,
};

static void limits_fill(struct bdr_http_limits *l)
{
#define FILL(member) l->member = l->member ? l->member : defaults.member
    FILL(connections);
    FILL(connections_per_ip);
    FILL(header_bytes);
    FILL(buffered_bytes);
    FILL(bodies_bytes);
    FILL(header_ms);
    FILL(stall_ms);
    FILL(idle_ms);
    FILL(loops);
    FILL(workers);
    FILL(stream_workers);
    FILL(stream_queue);
#undef FILL
}

/* What libmicrohttpd may take before it accepts nobody: the room in which crowd.c makes room. */
static unsigned limit_hard(unsigned limit)
{
    return limit + limit / 3 + 1;
}

/* A quarter of the files stays for the database, packages and calls of our own: without them nobody is served. */
static struct bdr_err *limits_fit(struct bdr_http_limits *l)
{
    uint64_t files = 0, most;

    BDR_TRY(bdr_os_files_allow((uint64_t)l->connections * 2, &files));
    most = BDR_MAX(files / 16 * 9, (uint64_t)64); /* 3/4, less a third */
    if (l->connections <= most)
        return NULL;
    BDR_LOG(INFO, "http.few-files", F_U64("connections", most), F_U64("wanted", l->connections), F_U64("files", files));
    l->connections = (unsigned)most;
    return NULL;
}

static void mhd_log(void *cls, const char *fmt, va_list ap) BDR_PRINTF(2, 0);
static void mhd_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];

    (void)cls;
    vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\n")] = 0;
    BDR_LOG(DEBUG, "http.library", F_STR("says", text));
}

static struct bdr_err *address_read(const struct bdr_http_listener *l, struct sockaddr_storage *out, bool *out_ip6)
{
    const char *text = l->address ? l->address : "127.0.0.1";
    struct sockaddr_in *a4 = (void *)out;
    struct sockaddr_in6 *a6 = (void *)out;

    memset(out, 0, sizeof(*out));
    *out_ip6 = strchr(text, ':') != NULL;
    if (*out_ip6) {
        a6->sin6_family = AF_INET6;
        a6->sin6_port = htons(l->port);
        if (inet_pton(AF_INET6, text, &a6->sin6_addr) == 1)
            return NULL;
    } else {
        a4->sin_family = AF_INET;
        a4->sin_port = htons(l->port);
        if (inet_pton(AF_INET, text, &a4->sin_addr) == 1)
            return NULL;
    }
    BDR_FAIL(BDR_INVAL, 0, "'%s' is no IP address to listen at; 0.0.0.0 or :: is all of this machine's", text);
}

static struct bdr_err *listener_open(struct http_listener *l)
{
    const struct bdr_http_limits *lim = &l->server->limits;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    const union MHD_DaemonInfo *info;
    struct sockaddr_storage address;
    bool ip6 = false;

    BDR_TRY(address_read(&l->config, &address, &ip6));
    if (ip6)
        flags |= !strcmp(l->config.address, "::") ? MHD_USE_DUAL_STACK : MHD_USE_IPv6;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, l->key_pem},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, l->cert_pem},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    if (l->config.tls)
        flags |= MHD_USE_TLS;
    errno = 0;
    l->daemon = MHD_start_daemon(
        flags, l->config.port, NULL, NULL, http_access, l, MHD_OPTION_EXTERNAL_LOGGER, mhd_log, NULL,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_LISTEN_BACKLOG_SIZE, LISTEN_BACKLOG,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_CONNECTION_LIMIT, limit_hard(lim->connections),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)lim->header_bytes, MHD_OPTION_CONNECTION_TIMEOUT,
        lim->idle_ms / 1000 + 5, /* the last resort; conn.c is finer */
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, http_conn_notify, l, MHD_OPTION_NOTIFY_COMPLETED,
        http_completed, l, MHD_OPTION_URI_LOG_CALLBACK, http_conn_line, l, MHD_OPTION_THREAD_POOL_SIZE,
        lim->loops > 1 ? lim->loops : 0, l->config.tls ? MHD_OPTION_ARRAY : MHD_OPTION_END, tls, MHD_OPTION_END);
    if (!l->daemon)
        BDR_FAIL(errno == EADDRINUSE ? BDR_BUSY : bdr_code_of_errno(errno), errno, "listening at %s port %u",
                 l->config.address ? l->config.address : "127.0.0.1", l->config.port);
    info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_BIND_PORT);
    l->port = info ? info->port : l->config.port;
    return NULL;
}

static bool text_copy(const char **text)
{
    const char *given = *text;

    *text = given ? strdup(given) : NULL;
    return !given || *text;
}

/* False when memory is short; what was copied is ours either way. */
static bool config_copy(struct bdr_http_listener *c)
{
    bool a = text_copy(&c->address), b = text_copy(&c->cert_file);
    bool d = text_copy(&c->key_file), e = text_copy(&c->ca_file);

    return a && b && d && e;
}

static struct bdr_err *listener_prepare(struct http_listener *l)
{
    const struct bdr_http_listener *c = &l->config;
    size_t len;

    if (c->tls == BDR_TLS_NONE)
        return NULL;
    BDR_TRY(http_tls_load(c, &l->tls));
    BDR_TRY(bdr_os_read_file(c->key_file, BDR_CERT_BYTES_MAX, &l->key_pem, &len));
    return bdr_os_read_file(c->cert_file, BDR_CERT_BYTES_MAX, &l->cert_pem, &len);
}

static void listener_free(struct http_listener *l)
{
    http_tls_unref(l->tls);
    if (l->key_pem)
        bdr_wipe(l->key_pem, strlen(l->key_pem));
    free(l->key_pem);
    free(l->cert_pem);
    free((void *)(uintptr_t)l->config.address);
    free((void *)(uintptr_t)l->config.cert_file);
    free((void *)(uintptr_t)l->config.key_file);
    free((void *)(uintptr_t)l->config.ca_file);
    pthread_mutex_destroy(&l->lock);
}

static struct bdr_err *server_open(struct bdr_http_server *s)
{
    const struct bdr_http_limits *lim = &s->limits;

    BDR_TRY(limits_fit(&s->limits));
    for (size_t i = 0; i < s->n_listeners; i++)
        BDR_TRY(listener_prepare(&s->listeners[i]));
    BDR_TRY(http_work_start("bdr-http", lim->workers, UINT32_MAX, false, http_req_work, &s->work));
    BDR_TRY(
        http_work_start("bdr-stream", lim->stream_workers, lim->stream_queue, true, http_req_work, &s->stream_work));
    BDR_TRY(bdr_pool_start("bdr-watch", 1, http_watch, s, NULL, &s->watch_pool));
    for (size_t i = 0; i < s->n_listeners; i++)
        BDR_TRY(listener_open(&s->listeners[i]));
    return NULL;
}

struct bdr_err *bdr_http_start(const struct bdr_http_config *config, struct bdr_http_server **out)
{
    struct bdr_http_server *s = calloc(1, sizeof(*s) + config->n_listeners * sizeof(s->listeners[0]));
    struct bdr_err *err = NULL;
    bool copied = true;

    BDR_NOMEM_IF_NULL(s);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->quiet, NULL);
    s->limits = config->limits;
    limits_fill(&s->limits);
    s->app = config->app;
    s->app_ctx = config->app_ctx;
    s->revoked = config->revoked;
    s->revoked_ctx = config->revoked_ctx;
    for (size_t i = 0; i < config->n_listeners; i++) {
        s->listeners[i] = (struct http_listener){.server = s, .index = i};
        pthread_mutex_init(&s->listeners[i].lock, NULL);
        s->listeners[i].config = config->listeners[i];
        copied = config_copy(&s->listeners[i].config) && copied;
    }
    s->n_listeners = config->n_listeners;
    if (!copied)
        err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "starting a server");
    if (!err)
        err = server_open(s);
    if (err) {
        bdr_http_stop(s, 0);
        return err;
    }
    for (size_t i = 0; i < s->n_listeners; i++)
        BDR_LOG(INFO, "http.listening",
                F_STR("address", s->listeners[i].config.address ? s->listeners[i].config.address : "127.0.0.1"),
                F_U64("port", s->listeners[i].port), F_U64("tls", s->listeners[i].config.tls));
    *out = s;
    return NULL;
}

uint16_t bdr_http_port(const struct bdr_http_server *s, size_t i)
{
    return s->listeners[i].port;
}

struct bdr_err *bdr_http_reload(struct bdr_http_server *s)
{
    for (size_t i = 0; i < s->n_listeners; i++) {
        struct http_listener *l = &s->listeners[i];
        struct http_tls *fresh = NULL, *old;

        if (l->config.tls == BDR_TLS_NONE)
            continue;
        BDR_TRY_FOR(http_tls_load(&l->config, &fresh), "reloading the certificate of port %u", l->port);
        pthread_mutex_lock(&l->lock);
        old = l->tls;
        l->tls = fresh;
        pthread_mutex_unlock(&l->lock);
        http_tls_unref(old);
    }
    BDR_LOG(INFO, "http.reloaded", F_U64("listeners", s->n_listeners));
    return NULL;
}

/* Cuts the connections that `match` likes (NULL: all). Requests on them are aborted. */
static size_t cut(struct bdr_http_server *s, bool (*match)(void *ctx, const struct bdr_cert_info *peer), void *ctx,
                  bool idle_only)
{
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    for (struct http_conn *c = s->conns; c; c = c->next) {
        if (idle_only ? c->req != NULL : match && !(atomic_load(&c->has_peer) && match(ctx, &c->peer)))
            continue;
        if (c->req)
            http_req_abort(c->req);
        http_conn_cut(c);
        n++;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

size_t bdr_http_cut(struct bdr_http_server *s, bool (*match)(void *ctx, const struct bdr_cert_info *peer), void *ctx)
{
    return cut(s, match, ctx, false);
}

void bdr_http_stats(struct bdr_http_server *s, struct bdr_http_stats *out)
{
    struct bdr_http_stats st = {
        .requests_running = atomic_load(&s->running),
        .event_streams = atomic_load(&s->events),
        .connections_total = atomic_load(&s->conns_total),
        .requests_total = atomic_load(&s->requests_total),
        .cut_slow = atomic_load(&s->cut_slow),
        .cut_silent = atomic_load(&s->cut_silent),
        .cut_crowded = atomic_load(&s->cut_crowded),
        .cut_greedy = atomic_load(&s->cut_greedy),
        .refused_peers = atomic_load(&s->refused_peers),
    };

    pthread_mutex_lock(&s->lock);
    st.connections = s->n_conns;
    pthread_mutex_unlock(&s->lock);
    *out = st;
}

static void events_end(struct bdr_http_server *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct http_conn *c = s->conns; c; c = c->next) {
        if (!c->req)
            continue;
        pthread_mutex_lock(&c->req->lock);
        if (c->req->answer.kind == ANSWER_EVENTS) {
            c->req->events_open = false;
            http_req_wake(c->req);
        }
        pthread_mutex_unlock(&c->req->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Until no request runs, or `until_ms`. */
static void wait_quiet(struct bdr_http_server *s, uint64_t until_ms)
{
    pthread_mutex_lock(&s->lock);
    while (atomic_load(&s->running) && bdr_clock_mono_ms() < until_ms)
        bdr_cond_wait_slice(&s->quiet, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/*
 * Who comes while it stops is cut by conn.c. Not by MHD_quiesce_daemon: libmicrohttpd 0.9.75 tells its threads to leave
 * the listening socket and then leaves it for them, and ends the program when one of them was quicker.
 */
void bdr_http_stop(struct bdr_http_server *s, uint64_t grace_ms)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    events_end(s);
    cut(s, NULL, NULL, true);
    wait_quiet(s, bdr_clock_mono_ms() + grace_ms);
    atomic_store(&s->ending, true);
    cut(s, NULL, NULL, false);
    bdr_cancel_set(&s->watch_stop);
    bdr_err_drop(bdr_pool_join(s->watch_pool), "the watch returns no errors");
    /* Handlers see their cancel token; a connection that is suspended for one may not be left behind. */
    http_work_stop(s->work);
    http_work_stop(s->stream_work);
    cut(s, NULL, NULL, false);
    for (size_t i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].daemon)
            MHD_stop_daemon(s->listeners[i].daemon);
    for (size_t i = 0; i < s->n_listeners; i++)
        listener_free(&s->listeners[i]);
    pthread_cond_destroy(&s->quiet);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
