/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/machine_api.h"
#include "bdr/osfile.h"
#include "bdr/sync.h"
#include "console_i.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONSOLE_RETRY_MS 10000u

/* ---- members of JSON that came ---- */

const char *console_text(const json_t *m, const char *name)
{
    return json_string_value(json_object_get(m, name));
}

uint64_t console_u64(const json_t *m, const char *name)
{
    json_int_t v = json_integer_value(json_object_get(m, name));

    return v > 0 ? (uint64_t)v : 0;
}

/* ---- leaves ---- */

static bool leave_kept(struct gw_console *c, const struct gw_question *q, struct gw_leave *out)
{
    uint64_t now = bdr_clock_mono_ms();
    bool found = false;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CONSOLE_LEAVES && !found; i++) {
        const struct leave_row *r = &c->leaves[i];

        found = r->until_ms > now && r->host == q->host && r->fence == q->fence && !strcmp(r->machine, q->machine) &&
                !strcmp(r->serial, q->serial);
        if (found) {
            *out = r->leave;
            out->valid_s = (uint32_t)((r->until_ms - now) / 1000 + 1);
        }
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void leave_keep(struct gw_console *c, const struct gw_question *q, const struct gw_leave *leave)
{
    struct leave_row r = {.host = q->host, .fence = q->fence, .leave = *leave};

    snprintf(r.machine, sizeof(r.machine), "%s", q->machine);
    snprintf(r.serial, sizeof(r.serial), "%s", q->serial);
    r.until_ms = bdr_clock_mono_ms() + leave->valid_s * 1000ull;
    pthread_mutex_lock(&c->lock);
    c->leaves[c->leave_at++ % CONSOLE_LEAVES] = r;
    pthread_mutex_unlock(&c->lock);
}

static void leave_forget(struct gw_console *c, const char *machine)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CONSOLE_LEAVES; i++)
        if (!strcmp(c->leaves[i].machine, machine))
            c->leaves[i] = (struct leave_row){0};
    pthread_mutex_unlock(&c->lock);
}

static void leave_over(struct gw_console *c, uint64_t host, uint64_t fence)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CONSOLE_LEAVES; i++)
        if (c->leaves[i].host == host && c->leaves[i].fence <= fence)
            c->leaves[i] = (struct leave_row){0};
    pthread_mutex_unlock(&c->lock);
}

static struct bdr_err *console_authorise(void *ctx, const struct gw_question *q, const struct bdr_cancel *cancel,
                                         struct gw_leave *out)
{
    const struct bdr_authorise_in in = {.machine = q->machine, .serial = q->serial, .host = q->host, .fence = q->fence};
    struct bdr_authorise_out answer = {0};
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct gw_console *c = ctx;

    if (leave_kept(c, q, out))
        return NULL;
    BDR_TRY(bdr_arena_new(&arena));
    BDR_TRY_FOR(bdr_http_json(c->http,
                              &(struct bdr_http_json){.method = "POST",
                                                      .path = "/v1/gateway/authorise",
                                                      .in_shape = &bdr_authorise_in_shape,
                                                      .out_shape = &bdr_authorise_out_shape,
                                                      .in = &in,
                                                      .cancel = cancel},
                              arena, &answer),
                "asking the console about host %" PRIu64, q->host);
    if (!answer.label || !*answer.label || strlen(answer.label) > 127 ||
        strlen(answer.identity ? answer.identity : "") > 64)
        BDR_FAIL(BDR_INVAL, 0, "the console gave host %" PRIu64 " no name that fits a repository", q->host);
    *out = (struct gw_leave){
        .repository = answer.repository, .bandwidth_bps = answer.bandwidth_bps, .valid_s = answer.valid_s};
    snprintf(out->label, sizeof(out->label), "%s", answer.label);
    snprintf(out->identity, sizeof(out->identity), "%s", answer.identity ? answer.identity : "");
    leave_keep(c, q, out);
    return NULL;
}

/* ---- repositories ---- */

static struct bdr_err *repos_ask(struct gw_console *c, const struct bdr_cancel *cancel, struct bdr_arena *arena,
                                 struct bdr_gateway_repos *out)
{
    return bdr_http_json(c->http,
                         &(struct bdr_http_json){.method = "GET",
                                                 .path = "/v1/gateway/repositories",
                                                 .out_shape = &bdr_gateway_repos_shape,
                                                 .cancel = cancel},
                         arena, out);
}

static struct bdr_err *text_copy(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    if (from)
        BDR_NOMEM_IF_NULL(*to);
    return NULL;
}

static struct bdr_err *repo_spec(const struct bdr_gateway_repo *r, struct gw_repo_spec *out)
{
    out->id = r->id;
    out->create = r->create;
    out->block_bytes = (uint32_t)r->block_bytes;
    BDR_TRY(text_copy(&out->url, r->url));
    BDR_TRY(text_copy(&out->passphrase, r->passphrase));
    if (r->s3_key && r->s3_secret) { /* else the gateway's environment has them */
        BDR_TRY(text_copy(&out->s3_key, r->s3_key));
        BDR_TRY(text_copy(&out->s3_secret, r->s3_secret));
        BDR_TRY(text_copy(&out->s3_endpoint, r->s3_endpoint));
        BDR_TRY(text_copy(&out->s3_region, r->s3_region));
        BDR_TRY(text_copy(&out->s3_addressing, r->s3_addressing));
        BDR_TRY(text_copy(&out->s3_ca, r->s3_ca));
    }
    return text_copy(&out->compress, r->compress && *r->compress ? r->compress : NULL);
}

static struct bdr_err *console_repository(void *ctx, uint64_t id, const struct bdr_cancel *cancel,
                                          struct gw_repo_spec *out)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_gateway_repos all = {0};
    struct gw_repo_spec spec = {0};
    struct bdr_err *err;

    BDR_TRY(bdr_arena_new(&arena));
    BDR_TRY_FOR(repos_ask(ctx, cancel, arena, &all), "asking the console about repository %" PRIu64, id);
    for (size_t i = 0; i < all.repositories.n; i++)
        if (all.repositories.items[i].id == id) {
            err = repo_spec(&all.repositories.items[i], &spec);
            if (err)
                gw_repo_spec_free(&spec);
            else
                *out = spec;
            return err;
        }
    BDR_FAIL(BDR_NOTFOUND, 0, "the console says that repository %" PRIu64 " is not this gateway's", id);
}

struct bdr_err *console_repositories(void *ctx, const struct bdr_cancel *cancel, uint64_t **out, size_t *out_n)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_gateway_repos all = {0};
    uint64_t *ids;

    BDR_TRY(bdr_arena_new(&arena));
    BDR_TRY(repos_ask(ctx, cancel, arena, &all));
    ids = calloc(all.repositories.n + 1, sizeof(*ids));
    BDR_NOMEM_IF_NULL(ids);
    for (size_t i = 0; i < all.repositories.n; i++)
        ids[i] = all.repositories.items[i].id;
    *out = ids;
    *out_n = all.repositories.n;
    return NULL;
}

static struct bdr_err *console_removing(void *ctx, uint64_t repository, const char *ref, const char *retention,
                                        const struct bdr_cancel *cancel, bool *out_may)
{
    const struct bdr_removing_in in = {.ref = ref, .retention = *retention ? retention : NULL};
    struct bdr_removing_out answer = {0};
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct gw_console *c = ctx;
    char path[80];

    snprintf(path, sizeof(path), "/v1/gateway/repositories/%" PRIu64 "/removing", repository);
    BDR_TRY(bdr_arena_new(&arena));
    BDR_TRY(bdr_http_json(c->http,
                          &(struct bdr_http_json){.method = "POST",
                                                  .path = path,
                                                  .in_shape = &bdr_removing_in_shape,
                                                  .out_shape = &bdr_removing_out_shape,
                                                  .in = &in,
                                                  .cancel = cancel},
                          arena, &answer));
    *out_may = answer.may;
    return NULL;
}

/* ---- revocation ---- */

static bool console_is_revoked(void *ctx, const char *machine, const char *serial)
{
    struct gw_console *c = ctx;
    bool found = false;

    (void)serial;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < BDR_MIN(c->revoked_n, (size_t)CONSOLE_REVOKED) && !found; i++)
        found = !strcmp(c->revoked[i], machine);
    pthread_mutex_unlock(&c->lock);
    return found;
}

void gw_console_revoked(struct gw_console *c, const char *machine)
{
    if (strlen(machine) > 64)
        return;
    leave_forget(c, machine);
    pthread_mutex_lock(&c->lock);
    snprintf(c->revoked[c->revoked_n++ % CONSOLE_REVOKED], 65, "%s", machine);
    pthread_mutex_unlock(&c->lock);
    BDR_LOG(WARN, "gateway.revoked", F_STR("machine", machine));
    if (c->gw)
        gw_cut(c->gw, machine);
}

void gw_console_heard(struct gw_console *c, const char *event, const char *data)
{
    BDR_AUTO(json) json_t *o = NULL;
    struct bdr_err *err;

    if (event && !strcmp(event, "settings")) { /* perhaps there is another repository */
        pthread_mutex_lock(&c->lock);
        c->lists_known = false;
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
    }
    if (!event || !data || (strcmp(event, "revoked") != 0 && strcmp(event, "ended") != 0))
        return;
    err = bdr_json_read(data, strlen(data), &o);
    if (!err && !strcmp(event, "ended")) {
        leave_over(c, console_u64(o, "host"), console_u64(o, "fence"));
        if (c->gw)
            gw_sessions_over(c->gw, console_u64(o, "host"), console_u64(o, "fence"));
    } else if (!err && json_is_string(json_object_get(o, "machine")))
        gw_console_revoked(c, json_string_value(json_object_get(o, "machine")));
    bdr_err_drop(err, "leaves run out by themselves");
}

static bool console_event(void *ctx, const char *event, const char *id, const char *data)
{
    struct gw_console *c = ctx;

    (void)id;
    gw_console_heard(c, event, data);
    return !bdr_cancelled(&c->stop);
}

static void console_listen(struct gw_console *c)
{
    while (!bdr_cancelled(&c->stop)) {
        struct bdr_err *err = bdr_http_listen(c->http, "/v1/machine/events", NULL, console_event, c, &c->stop);

        bdr_err_drop(err, "leaves run out by themselves; listened to again");
        bdr_err_drop(bdr_cancel_sleep(&c->stop, c->config.retry_ms), "the loop looks");
    }
}

/* ---- life ---- */

static struct bdr_err *console_thread(void *ctx, unsigned index)
{
    if (index)
        console_listen(ctx);
    else
        console_tell(ctx);
    return NULL;
}

struct bdr_err *gw_console_attach(struct gw_console *c, struct gw *gw)
{
    c->gw = gw;
    return bdr_pool_start("bdr-tell", c->config.no_events ? 1 : 2, console_thread, c, &c->stop, &c->pool);
}

void gw_console_renewed(struct gw_console *c)
{
    bdr_http_client_fresh(c->http);
}

void gw_console_quiet(struct gw_console *c)
{
    if (!c)
        return;
    bdr_cancel_set(&c->stop);
    bdr_err_drop(bdr_pool_join(BDR_STEAL(c->pool)), "they return no errors");
    c->gw = NULL;
}

void gw_console_close(struct gw_console *c)
{
    if (!c)
        return;
    gw_console_quiet(c);
    console_untold(c); /* the next start tells all */
    bdr_http_client_free(c->http);
    free(c->leaves);
    free(c->revoked);
    free(c->lists);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct bdr_err *gw_console_open(const struct gw_console_config *config, struct gw_console **out)
{
    struct gw_console *c = calloc(1, sizeof(*c));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(c);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->config.retry_ms = config->retry_ms ? config->retry_ms : CONSOLE_RETRY_MS;
    c->config.no_events = config->no_events;
    c->leaves = calloc(CONSOLE_LEAVES, sizeof(*c->leaves));
    c->revoked = calloc(CONSOLE_REVOKED, sizeof(*c->revoked));
    err = c->leaves && c->revoked ? NULL : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
    if (!err)
        err = bdr_http_client_new(&(struct bdr_http_client_config){.base = config->url,
                                                                   .ca_file = config->ca_file,
                                                                   .cert_file = config->cert_file,
                                                                   .key_file = config->key_file,
                                                                   .answer_ms = 20000},
                                  &c->http);
    if (err) {
        gw_console_close(c);
        return err;
    }
    *out = c;
    return NULL;
}

struct gw_authority gw_console_authority(struct gw_console *c)
{
    return (struct gw_authority){.authorise = console_authorise,
                                 .repository = console_repository,
                                 .repositories = console_repositories,
                                 .removing = console_removing,
                                 .revoked = console_is_revoked,
                                 .ctx = c};
}
