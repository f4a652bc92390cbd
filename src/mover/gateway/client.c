/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - a session with a gateway: begin, calls that are repeated while that may help, publish. */
#include "client.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/pool.h"
#include "bdr/sync.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CLIENT_PATIENCE_MS (10u * 60000u)
#define CLIENT_MEMORY      ((uint64_t)12 << 20)
#define CLIENT_BACKOFF_MS  200u
#define CLIENT_BACKOFF_MAX 5000u
#define CLIENT_STALL_MS    60000u /* a request of at most some MiB that does not move is begun again */
#define CLIENT_REPLY_MAX   ((uint64_t)BDR_WIRE_MANIFEST_BYTES + 65536u)
#define CLIENT_LANES_MAX   16u

/* ---- errors ---- */

struct bdr_err *gwc_failed(struct gwc *g)
{
    struct bdr_err *err = NULL;

    pthread_mutex_lock(&g->lock);
    err = bdr_err_copy(g->failed);
    pthread_mutex_unlock(&g->lock);
    return err;
}

void gwc_fail(struct gwc *g, struct bdr_err *err)
{
    if (!err)
        return;
    pthread_mutex_lock(&g->lock);
    if (!g->failed)
        g->failed = BDR_STEAL(err);
    bdr_cancel_set(&g->stop);
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    bdr_err_drop(err, "the first error is kept");
}

struct bdr_err *gwc_check(struct gwc *g)
{
    BDR_TRY(gwc_failed(g));
    return bdr_cancel_check(g->opt.cancel);
}

/* ---- calls ---- */

/* Would the same request, a little later, have another answer? */
static bool call_transient(const struct bdr_err *err)
{
    if (!err->sys)
        return err->code == BDR_NET || err->code == BDR_TIMEOUT;
    return err->sys == 429 || err->sys == 502 || err->sys == 503 || err->sys == 504;
}

struct bdr_err *gwc_call(struct gwc *g, const char *method, const char *path, const struct bdr_http_call *more,
                         struct bdr_http_reply *out)
{
    const struct bdr_pair header = {"Bdr-Fence", g->fence};
    uint64_t patience = g->config.patience_ms ? g->config.patience_ms : CLIENT_PATIENCE_MS;
    uint64_t wait = CLIENT_BACKOFF_MS, begun = bdr_clock_mono_ms();
    struct bdr_http_call call = more ? *more : (struct bdr_http_call){0};
    char full[256];

    snprintf(full, sizeof(full), "%s%s", *path == '/' ? path : g->path, *path == '/' ? "" : path + 1);
    call.method = method;
    call.path = full;
    call.headers = &header;
    call.n_headers = 1;
    call.reply_max = CLIENT_REPLY_MAX;
    for (;;) {
        struct bdr_err *err = bdr_http_call(g->http, &call, out);
        uint64_t now = bdr_clock_mono_ms();

        if (!err) {
            atomic_store(&g->last_ms, now);
            return NULL;
        }
        if (err->sys == 404)
            return bdr_err_recode(err, BDR_NET, BDR_AT,
                                  "the gateway has given this session up; what was sent counts, run it again");
        if (!call_transient(err) || now - begun + wait > patience)
            return err;
        if (call.rewind)
            bdr_err_drop(call.rewind(call.source_ctx), "a buffer can always begin again");
        BDR_LOG(INFO, "gateway.again", F_STR("request", full), F_U64("wait_ms", wait), F_ERR(err));
        bdr_err_drop(err, "tried again");
        BDR_TRY(bdr_cancel_sleep(call.cancel, wait));
        wait = BDR_MIN(2 * wait, (uint64_t)CLIENT_BACKOFF_MAX);
    }
}

/* ---- begin ---- */

static const char *session_text(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text ? text : "";
}

static uint64_t session_number(const json_t *o, const char *name, uint64_t least, uint64_t most)
{
    json_int_t v = json_integer_value(json_object_get(o, name));

    return v < 0 || (uint64_t)v < least ? least : BDR_MIN((uint64_t)v, most);
}

static struct bdr_err *session_read(struct gwc *g, const json_t *o)
{
    const json_t *limits = json_object_get(o, "limits"), *key = json_object_get(o, "id_key");
    const char *session = session_text(o, "session");
    uint64_t block = session_number(o, "block_bytes", 0, UINT32_MAX);
    uint8_t raw[16];

    if (!bdr_unhex(session, raw, sizeof(raw)) || block < 65536 || block > 4u << 20 || (block & (block - 1)) ||
        (!json_is_null(key) && !bdr_unhex(session_text(o, "id_key"), g->id_key, sizeof(g->id_key))))
        BDR_FAIL(BDR_INVAL, 0, "%s does not speak the gateway's protocol", g->config.url);
    g->keyed = !json_is_null(key);
    g->block_bytes = (uint32_t)block;
    g->connections = (uint32_t)session_number(limits, "connections", 1, CLIENT_LANES_MAX);
    g->ask_ids = (uint32_t)session_number(limits, "ask_ids", GWC_BATCH_BLOCKS, BDR_WIRE_ASK_IDS);
    snprintf(g->session, sizeof(g->session), "%s", session);
    snprintf(g->label, sizeof(g->label), "%s", session_text(o, "label"));
    snprintf(g->compress, sizeof(g->compress), "%s", g->opt.compress ? g->opt.compress : session_text(o, "codec"));
    snprintf(g->path, sizeof(g->path), "/v1/hosts/%" PRIu64 "/sessions/%s", g->config.host, g->session);
    json_decref(g->base);
    g->base = json_is_object(json_object_get(o, "base")) ? json_incref(json_object_get(o, "base")) : NULL;
    return NULL;
}

static struct bdr_err *session_open(struct gwc *g)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    BDR_AUTO(json) json_t *o = NULL;
    char path[64], body[64];

    snprintf(path, sizeof(path), "/v1/hosts/%" PRIu64 "/sessions", g->config.host);
    snprintf(body, sizeof(body), "{\"fence\":%" PRIu64 "}", g->config.fence);
    snprintf(g->fence, sizeof(g->fence), "%" PRIu64, g->config.fence);
    BDR_TRY(gwc_call(g, "POST", path,
                     &(struct bdr_http_call){.type = "application/json", .body = body, .body_len = strlen(body),
                                             .cancel = g->opt.cancel},
                     &reply));
    BDR_TRY(bdr_json_read((const char *)reply.body.data, reply.body.len, &o));
    return session_read(g, o);
}

static struct bdr_err *client_thread(void *ctx, unsigned index)
{
    if (index)
        gwc_lane(ctx);
    else
        gwc_mapper(ctx);
    return NULL;
}

/* Ends the threads and forgets what they had not got to. */
static void client_halt(struct gwc *g)
{
    bdr_cancel_set(&g->stop);
    bdr_err_drop(bdr_pool_join(BDR_STEAL(g->pool)), "kept in the session");
    gwc_batches_free(g);
    gwc_sets_free(g);
    while (g->coders) { /* their key is this session's */
        struct gwc_coder *c = g->coders;

        g->coders = c->next;
        bdr_encoder_free(c->e);
        free(c);
    }
    json_decref(BDR_STEAL(g->base));
    bdr_wipe(g->id_key, sizeof(g->id_key));
    g->begun = false;
}

static void client_abandon(struct bdr_sink *s)
{
    struct gwc *g = gwc_of(s);
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_pair header = {"Bdr-Fence", g->fence};

    if (!g->begun)
        return;
    client_halt(g);
    bdr_err_drop(bdr_http_call(g->http,
                               &(struct bdr_http_call){.method = "DELETE", .path = g->path, .headers = &header,
                                                       .n_headers = 1, .deadline_ms = 500},
                               &reply),
                 "the gateway ends silent sessions by itself");
}

static struct bdr_err *client_begin(struct bdr_sink *s, const struct bdr_sink_begin *opt)
{
    struct gwc *g = gwc_of(s);
    struct bdr_err *err;

    client_abandon(s);
    if (opt->base_point)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "a point can't be copied to a gateway; copy to the repository behind it");
    g->opt = *opt;
    g->stop = (struct bdr_cancel){0};
    bdr_err_drop(BDR_STEAL(g->failed), "of the session before");
    g->seq = g->batch_bytes = g->set_bytes = 0;
    atomic_store(&g->bytes_new, 0);
    atomic_store(&g->bytes_stored, 0);
    atomic_store(&g->bytes_known, 0);
    atomic_store(&g->node_bytes, 0);
    atomic_store(&g->sent_bytes, 0);
    BDR_TRY_FOR(session_open(g), "beginning a session with %s", g->config.url);
    g->opt.compress = NULL; /* was copied */
    g->opt.host = NULL;
    g->batch_max = BDR_MAX(g->config.memory_bytes ? g->config.memory_bytes : CLIENT_MEMORY,
                           3 * (uint64_t)BDR_MAX(GWC_BATCH_BYTES, g->block_bytes));
    if (g->config.connections)
        g->connections = BDR_MIN(g->connections, g->config.connections);
    g->begun = true;
    err = bdr_pool_start("bdr-send", g->connections + 1, client_thread, g, &g->stop, &g->pool);
    if (err)
        client_abandon(s);
    return err;
}

/* ---- the rest of the contract ---- */

static struct bdr_err *client_wait(struct gwc *g)
{
    bool idle = false;

    while (!idle) {
        BDR_TRY(gwc_check(g));
        pthread_mutex_lock(&g->lock);
        gwc_seal(g);
        idle = !g->head && !g->sets && !g->set_busy;
        if (!idle && !g->failed)
            bdr_cond_wait_slice(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
    }
    return gwc_check(g);
}

static struct bdr_err *client_flush(struct bdr_sink *s)
{
    return client_wait(gwc_of(s));
}

static struct bdr_err *client_publish_go(struct gwc *g, const json_t *point, char out_id[33])
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    BDR_AUTO(mem) char *body = json_dumps(point, JSON_COMPACT);
    BDR_AUTO(json) json_t *o = NULL;
    uint8_t raw[16];

    BDR_NOMEM_IF_NULL(body);
    BDR_TRY(client_wait(g));
    BDR_TRY(gwc_call(g, "POST", "./publish",
                     &(struct bdr_http_call){.type = "application/json", .body = body, .body_len = strlen(body),
                                             .deadline_ms = CLIENT_PATIENCE_MS, .cancel = g->opt.cancel},
                     &reply));
    BDR_TRY(bdr_json_read((const char *)reply.body.data, reply.body.len, &o));
    if (!bdr_unhex(session_text(o, "id"), raw, sizeof(raw)))
        BDR_FAIL(BDR_INVAL, 0, "%s did not say which point it published", g->config.url);
    if (out_id)
        bdr_hex(raw, sizeof(raw), out_id);
    return NULL;
}

static struct bdr_err *client_publish(struct bdr_sink *s, json_t *point, char out_id[33])
{
    struct gwc *g = gwc_of(s);
    struct bdr_err *err = client_publish_go(g, point, out_id);

    if (err)
        client_abandon(s);
    else
        client_halt(g);
    return err ? bdr_err_wrap(err, BDR_AT, "publishing the point") : NULL;
}

static void client_free(struct bdr_sink *s)
{
    struct gwc *g = gwc_of(s);
    const char *texts[] = {g->config.url, g->config.ca_file, g->config.cert_file, g->config.key_file, g->config.proxy};

    client_abandon(s);
    bdr_http_client_free(g->http);
    bdr_err_free(g->failed);
    bdr_pace_done(&g->pace);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    for (size_t i = 0; i < BDR_COUNT(texts); i++)
        free((void *)(uintptr_t)texts[i]);
    free(g);
}

static uint32_t client_block_bytes(const struct bdr_sink *s)
{
    return gwc_of(s)->block_bytes;
}

static struct bdr_err *client_base(struct bdr_sink *s, json_t **out)
{
    *out = json_incref(gwc_of(s)->base);
    return NULL;
}

struct bdr_err *gwc_coder_take(struct gwc *g, struct gwc_coder **out)
{
    struct gwc_coder *c;
    struct bdr_err *err;

    pthread_mutex_lock(&g->lock);
    c = g->coders;
    if (c)
        g->coders = c->next;
    pthread_mutex_unlock(&g->lock);
    if (!c) {
        c = calloc(1, sizeof(*c));
        BDR_NOMEM_IF_NULL(c);
        err = bdr_encoder_new("none", g->keyed ? g->id_key : NULL, &c->e);
        if (err) {
            free(c);
            return err;
        }
    }
    *out = c;
    return NULL;
}

void gwc_coder_give(struct gwc *g, struct gwc_coder *c)
{
    pthread_mutex_lock(&g->lock);
    c->next = g->coders;
    g->coders = c;
    pthread_mutex_unlock(&g->lock);
}

static struct bdr_err *client_id(struct bdr_sink *s, const void *data, size_t len, struct bdr_id *out)
{
    struct gwc *g = gwc_of(s);
    struct gwc_coder *c = NULL;
    struct bdr_err *err;

    BDR_TRY(gwc_coder_take(g, &c));
    err = bdr_encoder_id(c->e, data, len, out);
    gwc_coder_give(g, c);
    return err;
}

static struct bdr_err *client_get(struct bdr_sink *s, const struct bdr_id *id, void *dst, size_t max, size_t *out_len)
{
    struct gwc *g = gwc_of(s);
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct bdr_id is;
    char path[96], hex[65];

    snprintf(path, sizeof(path), "./blocks/%s", bdr_hex(id->b, sizeof(id->b), hex));
    BDR_TRY(gwc_call(g, "GET", path, &(struct bdr_http_call){.cancel = &g->stop}, &reply));
    if (reply.body.len > max || !reply.body.len)
        BDR_FAIL(BDR_CORRUPT, 0, "the gateway gave %zu bytes for block %.16s", reply.body.len, hex);
    BDR_TRY(client_id(s, reply.body.data, reply.body.len, &is));
    if (memcmp(&is, id, sizeof(is)) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "the gateway gave other bytes than those of block %.16s", hex);
    memcpy(dst, reply.body.data, reply.body.len);
    *out_len = reply.body.len;
    return NULL;
}

static struct bdr_err *client_renew(struct bdr_sink *s)
{
    return gwc_failed(gwc_of(s)); /* the mapper keeps the session alive */
}

static void client_stats(struct bdr_sink *s, struct bdr_sink_stats *out)
{
    struct gwc *g = gwc_of(s);

    out->bytes_new = atomic_load(&g->bytes_new);
    out->bytes_stored = atomic_load(&g->bytes_stored);
    out->bytes_known = atomic_load(&g->bytes_known);
    out->node_bytes = atomic_load(&g->node_bytes);
    out->sent_bytes = atomic_load(&g->sent_bytes);
}

static void client_place(const struct bdr_sink *s, char *out, size_t out_n)
{
    const struct gwc *g = gwc_of(s);

    snprintf(out, out_n, "%s#%llu", g->config.url, (unsigned long long)g->config.host);
}

static const struct bdr_sink_ops client_ops = {
    .knows_host = true,
    .free = client_free,
    .begin = client_begin,
    .abandon = client_abandon,
    .publish = client_publish,
    .block_bytes = client_block_bytes,
    .base = client_base,
    .id = client_id,
    .put = gwc_put,
    .keep = gwc_keep,
    .place = client_place,
    .get = client_get,
    .renew = client_renew,
    .flush = client_flush,
    .stats = client_stats,
    .map_new = gwc_map_new,
    .map_free = gwc_map_free,
    .map_run = gwc_map_run,
    .map_zero = gwc_map_zero,
    .map_finish = gwc_map_finish,
    .run_base = gwc_run_base,
    .run_set = gwc_run_set,
    .run_end = gwc_run_end,
};

static struct bdr_err *config_take(struct gwc *g, const struct bdr_gateway_config *config)
{
    const char **texts[] = {&g->config.url, &g->config.ca_file, &g->config.cert_file, &g->config.key_file,
                            &g->config.proxy};
    const char *from[] = {config->url, config->ca_file, config->cert_file, config->key_file, config->proxy};
    bool whole = true;

    g->config = *config;
    for (size_t i = 0; i < BDR_COUNT(texts); i++) {
        *texts[i] = from[i] ? strdup(from[i]) : NULL;
        whole = whole && (*texts[i] || !from[i]);
    }
    if (!whole)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    if (!config->url || strncmp(config->url, "https://", 8) || !config->ca_file || !config->cert_file ||
        !config->key_file)
        BDR_FAIL(BDR_INVAL, 0, "a gateway needs https://HOST[:PORT], its CA, our certificate and its key");
    if (!config->host || !config->fence)
        BDR_FAIL(BDR_INVAL, 0, "a gateway wants to know the host's number and the job's fence");
    return NULL;
}

struct bdr_err *bdr_sink_gateway(const struct bdr_gateway_config *config, struct bdr_sink **out)
{
    struct gwc *g = calloc(1, sizeof(*g));
    BDR_AUTO(sink) struct bdr_sink *mine = NULL;

    BDR_NOMEM_IF_NULL(g);
    g->sink.ops = &client_ops;
    mine = &g->sink;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    bdr_pace_init(&g->pace);
    BDR_TRY(config_take(g, config));
    BDR_TRY(bdr_http_client_new(&(struct bdr_http_client_config){.base = g->config.url,
                                                                 .ca_file = g->config.ca_file,
                                                                 .cert_file = g->config.cert_file,
                                                                 .key_file = g->config.key_file,
                                                                 .proxy = g->config.proxy,
                                                                 .stall_ms = CLIENT_STALL_MS,
                                                                 .answer_ms = 2 * CLIENT_STALL_MS,
                                                                 .tries = 1},
                                &g->http));
    (void)BDR_STEAL(mine);
    *out = &g->sink;
    return NULL;
}

const char *bdr_sink_gateway_label(const struct bdr_sink *s)
{
    return gwc_of(s)->label;
}
