/* SPDX-License-Identifier: Apache-2.0 */
/* gateway.c - the gateway as a whole: start, upkeep, stop. */
#include "gateway.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "gw_i.h"
#include <string.h>

#define KEEPER_MS     5000u
#define KEEPER_SYNC   12u    /* rounds between writing tables to disk */
#define STOP_GRACE_MS 10000u

static const struct gw_limits gw_defaults = {
    .sessions = 64,
    .connections = 4,
    .streams = 48,
    .buffer_bytes = (uint64_t)48 << 20,
    .idle_ms = 120000,
    .keep_ms = 86400000,
    .stall_ms = 60000,
};

static void limits_fill(struct gw_limits *l)
{
    l->sessions = l->sessions ? BDR_MIN(l->sessions, 256u) : gw_defaults.sessions;
    l->connections = l->connections ? l->connections : gw_defaults.connections;
    l->streams = l->streams ? l->streams : gw_defaults.streams;
    l->buffer_bytes = l->buffer_bytes ? l->buffer_bytes : gw_defaults.buffer_bytes;
    l->idle_ms = l->idle_ms ? l->idle_ms : gw_defaults.idle_ms;
    l->keep_ms = l->keep_ms ? l->keep_ms : gw_defaults.keep_ms;
    l->stall_ms = l->stall_ms ? l->stall_ms : gw_defaults.stall_ms;
}

/* ---- upkeep ---- */

static void keeper_sync(struct gw *gw)
{
    struct gw_repo *r;

    pthread_mutex_lock(&gw->repo_lock);
    r = gw->repos;
    pthread_mutex_unlock(&gw->repo_lock);
    for (; r; r = r->next) { /* repositories are added in front and stay */
        struct bdr_err *err = gw_possess_sync(r->owners);

        if (err)
            BDR_LOG(WARN, "gateway.possession-not-kept", F_U64("repository", r->id), F_ERR(err));
        bdr_err_drop(err, "a cache");
    }
}

static struct bdr_err *keeper_main(void *ctx, unsigned index)
{
    struct gw *gw = ctx;

    (void)index;
    for (unsigned round = 1;; round++) {
        struct bdr_err *err = bdr_cancel_sleep(&gw->stop, BDR_MIN((uint64_t)KEEPER_MS, gw->limits.idle_ms / 4 + 1));

        if (err) {
            bdr_err_drop(err, "the gateway stops");
            return NULL;
        }
        gw_sessions_tend(gw);
        gw_sessions_end(gw, NULL);
        if (round % KEEPER_SYNC == 0)
            keeper_sync(gw);
    }
}

static bool gw_is_revoked(void *ctx, const struct bdr_cert_info *peer)
{
    const struct gw_authority *a = ((struct gw *)ctx)->config.authority;

    return a->revoked && a->revoked(a->ctx, peer->machine, peer->serial);
}

/* ---- life ---- */

static struct bdr_err *gw_serve(struct gw *gw)
{
    const struct gw_config *c = &gw->config;
    const struct bdr_http_listener listener = {
        .address = c->address,
        .port = c->port,
        .tls = BDR_TLS_REQUIRED,
        .cert_file = c->cert_file,
        .key_file = c->key_file,
        .ca_file = c->ca_file,
    };
    const struct bdr_http_config http = {
        .listeners = &listener,
        .n_listeners = 1,
        .limits = {.connections = 2048,
                   .stall_ms = gw->limits.stall_ms,
                   .workers = 8,
                   .stream_workers = gw->limits.streams,
                   .stream_queue = 4096},
        .app = &bdr_router_app,
        .app_ctx = gw->router,
        .revoked = gw_is_revoked,
        .revoked_ctx = gw,
    };

    return bdr_http_start(&http, &gw->server);
}

struct bdr_err *gw_start(const struct gw_config *config, struct gw **out)
{
    struct gw *gw = calloc(1, sizeof(*gw));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(gw);
    gw->config = *config;
    gw->limits = config->limits;
    limits_fill(&gw->limits);
    bdr_pace_init(&gw->pace);
    pthread_mutex_init(&gw->lock, NULL);
    pthread_mutex_init(&gw->repo_lock, NULL);
    pthread_mutex_init(&gw->room.lock, NULL);
    pthread_cond_init(&gw->room.changed, NULL);
    gw->room.max = gw->limits.buffer_bytes;
    for (size_t i = 0; i < GW_HOST_LOCKS; i++)
        pthread_mutex_init(&gw->host_lock[i], NULL);
    gw->state_dir = strdup(config->state_dir);
    err = gw->state_dir ? bdr_os_mkdirs(gw->state_dir) : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
    if (!err)
        err = gw_router(gw, &gw->router);
    if (!err)
        err = bdr_pool_start("bdr-keeper", 1, keeper_main, gw, NULL, &gw->keeper);
    if (!err)
        err = gw_serve(gw);
    if (err) {
        gw_stop(gw);
        return err;
    }
    *out = gw;
    return NULL;
}

uint16_t gw_port(const struct gw *gw)
{
    return bdr_http_port(gw->server, 0);
}

struct bdr_err *gw_reload(struct gw *gw)
{
    return bdr_http_reload(gw->server);
}

struct cut {
    struct gw *gw;
    const char *machine;
};

static bool cut_match(void *ctx, const struct bdr_cert_info *peer)
{
    const struct cut *c = ctx;

    return c->machine ? !strcmp(peer->machine, c->machine) : gw_is_revoked(c->gw, peer);
}

void gw_cut(struct gw *gw, const char *machine)
{
    struct cut c = {gw, machine};

    bdr_http_cut(gw->server, cut_match, &c);
    gw_sessions_end(gw, machine);
}

static void sessions_close(struct gw *gw)
{
    for (;;) {
        struct gw_session *s;

        pthread_mutex_lock(&gw->lock);
        s = gw->sessions;
        if (s) {
            pthread_mutex_lock(&s->lock);
            s->refs++;
            pthread_mutex_unlock(&s->lock);
        }
        pthread_mutex_unlock(&gw->lock);
        if (!s)
            return;
        gw_session_end(s);
        gw_session_unref(s);
    }
}

void gw_stop(struct gw *gw)
{
    if (!gw)
        return;
    bdr_cancel_set(&gw->stop);
    bdr_http_stop(gw->server, STOP_GRACE_MS);
    bdr_err_drop(bdr_pool_join(gw->keeper), "it returns no error");
    sessions_close(gw);
    gw_repos_close(gw);
    bdr_router_free(gw->router);
    bdr_pace_done(&gw->pace);
    for (size_t i = 0; i < GW_HOST_LOCKS; i++)
        pthread_mutex_destroy(&gw->host_lock[i]);
    pthread_cond_destroy(&gw->room.changed);
    pthread_mutex_destroy(&gw->room.lock);
    pthread_mutex_destroy(&gw->repo_lock);
    pthread_mutex_destroy(&gw->lock);
    free(gw->state_dir);
    free(gw);
}

void gw_stats(struct gw *gw, struct gw_stats *out)
{
    struct bdr_http_stats http;

    *out = (struct gw_stats){.frames = atomic_load(&gw->frames),
                             .frame_bytes = atomic_load(&gw->frame_bytes),
                             .blocks_new = atomic_load(&gw->blocks_new),
                             .points = atomic_load(&gw->points),
                             .refused = atomic_load(&gw->refused)};
    bdr_http_stats(gw->server, &http);
    out->requests = http.requests_running;
    pthread_mutex_lock(&gw->lock);
    out->sessions = gw->n_sessions;
    pthread_mutex_unlock(&gw->lock);
    pthread_mutex_lock(&gw->room.lock);
    out->buffer_bytes = gw->room.used;
    pthread_mutex_unlock(&gw->room.lock);
}
