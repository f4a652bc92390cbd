/* SPDX-License-Identifier: Apache-2.0 */
/* sink_local.c - a sink that is a repository opened here: session.h and map.h under other names. */
#include "bdr/pace.h"
#include "bdr/point.h"
#include "bdr/sink.h"
#include <stdio.h>
#include <string.h>

struct local {
    struct bdr_sink sink;
    struct bdr_repo *repo;       /* borrowed */
    struct bdr_session *session; /* owned; NULL: nothing is begun */
    char *host, *base_point;     /* owned */
    const atomic_uint_fast64_t *bandwidth_bps; /* borrowed; NULL: unlimited */
    const struct bdr_cancel *cancel;           /* of what is begun; borrowed */
    struct bdr_pace pace;
    atomic_uint_fast64_t paced; /* of the session's stored bytes: those that waited for their turn */
};

static struct local *local_of(const struct bdr_sink *s)
{
    return (struct local *)(uintptr_t)s;
}
/* Maps and runs are the repository's own. */
static struct bdr_map *map_of(struct bdr_sink_map *m)
{
    return (struct bdr_map *)m;
}
static struct bdr_map_run *run_of(const struct bdr_sink_run *r)
{
    return (struct bdr_map_run *)(uintptr_t)r;
}

static void local_abandon(struct bdr_sink *s)
{
    bdr_session_abandon(BDR_STEAL(local_of(s)->session));
}

static void local_free(struct bdr_sink *s)
{
    struct local *l = local_of(s);

    local_abandon(s);
    bdr_pace_done(&l->pace);
    free(l->host);
    free(l->base_point);
    free(l);
}

static struct bdr_err *local_text(char **to, const char *from)
{
    free(BDR_STEAL(*to));
    if (from) {
        *to = strdup(from);
        BDR_NOMEM_IF_NULL(*to);
    }
    return NULL;
}

static struct bdr_err *local_begin(struct bdr_sink *s, const struct bdr_sink_begin *opt)
{
    struct local *l = local_of(s);

    local_abandon(s);
    l->cancel = opt->cancel;
    atomic_store(&l->paced, 0);
    BDR_TRY(local_text(&l->host, opt->host));
    BDR_TRY(local_text(&l->base_point, opt->base_point));
    return bdr_session_begin(l->repo,
                             &(struct bdr_session_options){.host = opt->host, .take_over = opt->take_over,
                                                           .compress = opt->compress},
                             &l->session);
}

static struct bdr_err *local_publish(struct bdr_sink *s, json_t *point, char out_id[33])
{
    return bdr_session_publish(BDR_STEAL(local_of(s)->session), point, out_id);
}

static uint32_t local_block_bytes(const struct bdr_sink *s)
{
    return bdr_repo_block_bytes(local_of(s)->repo);
}

static struct bdr_err *local_base(struct bdr_sink *s, json_t **out)
{
    struct local *l = local_of(s);
    struct bdr_point_info info;
    struct bdr_err *err = bdr_repo_find(l->repo, l->base_point ? l->base_point : "latest", l->host, &info);

    *out = NULL;
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "the host's first point");
        return NULL;
    }
    BDR_TRY(err);
    return bdr_point_read(l->repo, &info, out);
}

static struct bdr_err *local_id(struct bdr_sink *s, const void *data, size_t len, struct bdr_id *out)
{
    return bdr_session_id(local_of(s)->session, data, len, out);
}

/* Bytes go out a tenth of a second's worth at a time: another limit, or none, is felt at once. */
static struct bdr_err *local_wait(struct local *l, uint64_t bytes)
{
    while (bytes) {
        uint64_t bps = atomic_load(l->bandwidth_bps), n = BDR_MIN(bytes, BDR_MAX(bps / 10, (uint64_t)1));

        if (!bps)
            return NULL;
        BDR_TRY(bdr_pace_take(&l->pace, bps, n, l->cancel));
        bytes -= n;
    }
    return NULL;
}

/* What was stored since the last one waited: compressed, as it goes over the network. Each byte is one thread's. */
static struct bdr_err *local_pace(struct local *l)
{
    uint64_t now, was;

    if (!l->bandwidth_bps)
        return NULL;
    now = atomic_load(&bdr_session_stats(l->session)->bytes_stored);
    was = atomic_load(&l->paced);
    while (was < now)
        if (atomic_compare_exchange_weak(&l->paced, &was, now))
            return local_wait(l, now - was);
    return NULL;
}

static struct bdr_err *local_put(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                                 const void *data, size_t len, bool *out_new)
{
    (void)run;
    (void)block;
    BDR_TRY(bdr_session_put(local_of(s)->session, BDR_BLOCK_DATA, id, data, len, out_new));
    return local_pace(local_of(s));
}

static struct bdr_err *local_keep(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                                  size_t len, bool *out_kept)
{
    struct bdr_session *session = local_of(s)->session;
    struct bdr_session_stats *st = bdr_session_stats(session);
    bool has = false;

    (void)run;
    (void)block;
    BDR_TRY(bdr_session_has(session, id, &has));
    if (has) {
        atomic_fetch_add(&st->blocks_known, 1);
        atomic_fetch_add(&st->bytes_known, len);
    }
    *out_kept = has;
    return NULL;
}

static void local_place(const struct bdr_sink *s, char *out, size_t out_n)
{
    char id[33];

    bdr_repo_id(local_of(s)->repo, id);
    snprintf(out, out_n, "%s", id);
}

static struct bdr_err *local_get(struct bdr_sink *s, const struct bdr_id *id, void *dst, size_t max, size_t *out_len)
{
    return bdr_session_get(local_of(s)->session, id, dst, max, out_len);
}

static struct bdr_err *local_renew(struct bdr_sink *s)
{
    return bdr_session_renew(local_of(s)->session);
}

static struct bdr_err *local_flush(struct bdr_sink *s)
{
    return bdr_session_flush(local_of(s)->session);
}

static void local_stats(struct bdr_sink *s, struct bdr_sink_stats *out)
{
    struct bdr_session_stats *st = bdr_session_stats(local_of(s)->session);

    out->bytes_new = atomic_load(&st->bytes_new);
    out->bytes_stored = atomic_load(&st->bytes_stored);
    out->bytes_known = atomic_load(&st->bytes_known);
    out->node_bytes = atomic_load(&st->node_bytes);
}

static struct bdr_err *local_map_new(struct bdr_sink *s, const struct bdr_sink_disk *disk, struct bdr_sink_map **out)
{
    struct bdr_map *m = NULL;

    BDR_TRY(bdr_map_new(local_of(s)->session, bdr_blocks_of(disk->size_bytes, local_block_bytes(s)), disk->base,
                        disk->mode, &m));
    *out = (struct bdr_sink_map *)m;
    return NULL;
}

static void local_map_free(struct bdr_sink *s, struct bdr_sink_map *m)
{
    (void)s;
    bdr_map_free(map_of(m));
}

static struct bdr_err *local_map_run(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint32_t count,
                                     struct bdr_sink_run **out)
{
    struct bdr_map_run *run = NULL;

    (void)s;
    BDR_TRY(bdr_map_run(map_of(m), first, count, &run));
    *out = (struct bdr_sink_run *)run;
    return NULL;
}

static struct bdr_err *local_map_zero(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint64_t count)
{
    (void)s;
    return bdr_map_zero(map_of(m), first, count);
}

static struct bdr_err *local_map_finish(struct bdr_sink *s, struct bdr_sink_map *m, struct bdr_id *out_root,
                                        bool *out_zero)
{
    (void)s;
    return bdr_map_finish(map_of(m), out_root, out_zero);
}

static const struct bdr_id *local_run_base(const struct bdr_sink_run *run, uint64_t block)
{
    return bdr_map_base(run_of(run), block);
}

static void local_run_set(struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id)
{
    bdr_map_set(run_of(run), block, id);
}

static struct bdr_err *local_run_end(struct bdr_sink *s, struct bdr_sink_run *run, bool ok)
{
    (void)s;
    return bdr_map_run_end(run_of(run), ok);
}

static const struct bdr_sink_ops local_ops = {
    .free = local_free,
    .begin = local_begin,
    .abandon = local_abandon,
    .publish = local_publish,
    .block_bytes = local_block_bytes,
    .base = local_base,
    .id = local_id,
    .put = local_put,
    .keep = local_keep,
    .place = local_place,
    .get = local_get,
    .renew = local_renew,
    .flush = local_flush,
    .stats = local_stats,
    .map_new = local_map_new,
    .map_free = local_map_free,
    .map_run = local_map_run,
    .map_zero = local_map_zero,
    .map_finish = local_map_finish,
    .run_base = local_run_base,
    .run_set = local_run_set,
    .run_end = local_run_end,
};

struct bdr_err *bdr_sink_local(struct bdr_repo *repo, struct bdr_sink **out)
{
    struct local *l = calloc(1, sizeof(*l));

    BDR_NOMEM_IF_NULL(l);
    l->sink.ops = &local_ops;
    l->repo = repo;
    bdr_pace_init(&l->pace);
    *out = &l->sink;
    return NULL;
}

void bdr_sink_local_limit(struct bdr_sink *s, const atomic_uint_fast64_t *bandwidth_bps)
{
    BDR_ASSERT(s->ops == &local_ops);
    local_of(s)->bandwidth_bps = bandwidth_bps;
}
