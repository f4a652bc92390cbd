/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass.c - the feeder walks the source's extents and cuts them into runs; workers read, hash and store them.
 *
 * A run lies within one leaf of the map and is at most PASS_RUN_BYTES (or one block) long, so what is in flight is
 * workers * PASS_RUN_BYTES whatever the disk's size.
 */
#include "pass.h"
#include "bdr/bytes.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/point.h"
#include "bdr/pool.h"
#include "bdr/queue.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#define PASS_RUN_BYTES (1u << 20)
#define PASS_AUDIT_MIN 16

struct pass_item {
    struct bdr_sink *sink;
    struct bdr_sink_run *run;
    uint64_t first;
    uint32_t count;
    bool audit;
};

struct pass {
    const struct pass_spec *spec;
    struct bdr_sink *sink;
    struct bdr_sink_map *map;
    struct bdr_queue *queue;
    struct bdr_cancel stop;
    uint32_t block_bytes;
    uint64_t blocks, size;
    /* The feeder's. */
    uint64_t next;       /* first block not yet fed or passed over */
    uint64_t audit_skip; /* unchanged blocks to pass over before the next sample */
    double audit_rate;   /* samples a block */
    uint64_t seed;
    uint64_t worker_seed; /* fixed before they start */
    struct pass_bad old; /* ranges of the pass before that this one has not come by yet */
    size_t old_at;
    struct pass_bad was; /* the same, as they were; only for a last pass */
    pthread_mutex_t lock; /* guards out, and walks of the workers over extents */
    struct pass_result *out;
};

static void item_free(struct pass_item *it)
{
    if (it && it->run)
        bdr_err_drop(bdr_sink_run_end(it->sink, it->run, false), "the pass failed already");
    free(it);
}
BDR_AUTO_DEFINE(item, struct pass_item *, item_free)

static uint64_t pass_random(uint64_t *seed)
{
    /* xorshift64* (Vigna 2016): which blocks are sampled need not be secret, only spread. */
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 0x2545F4914F6CDD1Du;
}

/* ---- workers ---- */

static void pass_bad(struct pass *p, uint64_t off, uint64_t len)
{
    atomic_fetch_add(&p->spec->meter->unreadable_bytes, len);
    pthread_mutex_lock(&p->lock);
    pass_bad_add(&p->out->bad, off, len);
    pthread_mutex_unlock(&p->lock);
}

/* [lo, hi) is read again or zero: what the pass before said of it counts no more, what it said of before lo goes on to count. */
static void pass_forget(struct pass *p, uint64_t lo, uint64_t hi)
{
    while (p->old_at < p->old.n && p->old.at[p->old_at].off < hi) {
        struct pass_range *r = &p->old.at[p->old_at];
        uint64_t end = r->off + r->len;

        if (r->off < lo) {
            pthread_mutex_lock(&p->lock);
            pass_bad_add(&p->out->bad, r->off, BDR_MIN(end, lo) - r->off);
            pthread_mutex_unlock(&p->lock);
        }
        if (end > hi) {
            *r = (struct pass_range){hi, end - hi};
            return;
        }
        p->old_at++;
    }
}

/* Reads what can be read in ever smaller pieces; the rest becomes zeros and is recorded. */
static struct bdr_err *pass_salvage(struct pass *p, uint64_t off, uint8_t *buf, size_t len, size_t piece)
{
    size_t unit = BDR_MAX(p->spec->info.align_bytes, p->spec->info.sector_bytes);

    for (size_t at = 0, n; at < len; at += n) {
        struct bdr_err *err;

        n = BDR_MIN(piece, len - at);
        BDR_TRY(bdr_cancel_check(&p->stop));
        err = bdr_source_read(p->spec->src, off + at, buf + at, n);
        if (!err)
            continue;
        if (err->code != BDR_IO)
            return err;
        if (n > unit) {
            bdr_err_drop(err, "smaller pieces are tried");
            BDR_TRY(pass_salvage(p, off + at, buf + at, n, piece > 65536 ? 65536 : unit));
            continue;
        }
        BDR_LOG(WARN, "backup.unreadable", F_STR("disk", p->spec->info.identity), F_U64("offset", off + at),
                F_U64("bytes", n), F_ERR(err));
        bdr_err_drop(err, "recorded in the manifest");
        memset(buf + at, 0, n);
        pass_bad(p, off + at, n);
    }
    return NULL;
}

/* ---- the scan cache: what need not be hashed ---- */

/* A worker's own. */
struct pass_scan {
    struct scan_hand *hand; /* NULL: none */
    uint64_t seed;
};

static bool scan_sampled(struct pass *p, struct pass_scan *w)
{
    return (double)(pass_random(&w->seed) >> 11) / 9007199254740992.0 < p->audit_rate;
}

/* *out_done: the cache knows that this is the base's block, and the repository has it. *out_sample: it knows, but is asked for proof. */
static struct bdr_err *scan_block(struct pass *p, struct pass_scan *w, struct pass_item *it, uint64_t block,
                                  const uint8_t *data, size_t len, bool *out_done, bool *out_sample)
{
    const struct bdr_id *base = bdr_sink_run_base(p->sink, it->run, block);

    if (!w->hand || !base || !scan_same(w->hand, block, data, len, base))
        return NULL;
    *out_sample = scan_sampled(p, w);
    if (*out_sample)
        return NULL;
    BDR_TRY_FOR(bdr_sink_keep(p->sink, it->run, block, base, len, out_done), "looking for the block at %llu",
                (unsigned long long)(block * p->block_bytes));
    if (*out_done) {
        bdr_sink_run_set(p->sink, it->run, block, base);
        atomic_fetch_add(&p->spec->meter->scan_blocks, 1);
    }
    return NULL;
}

static void scan_proof(struct pass *p, uint64_t block, bool miss)
{
    struct bdr_backup_meter *m = p->spec->meter;

    atomic_fetch_add(&m->audited_blocks, 1);
    pthread_mutex_lock(&p->lock);
    p->out->audited++;
    p->out->misses += miss;
    pthread_mutex_unlock(&p->lock);
    if (!miss)
        return;
    scan_distrust(p->spec->scan);
    if (atomic_fetch_add(&m->audit_misses, 1) == 0)
        BDR_LOG(ERROR, "backup.scan-cache-miss", F_STR("disk", p->spec->info.identity),
                F_U64("offset", block * p->block_bytes));
}

static struct bdr_err *pass_block(struct pass *p, struct pass_scan *w, struct pass_item *it, uint64_t block,
                                  const uint8_t *data, size_t len)
{
    struct bdr_backup_meter *m = p->spec->meter;
    const struct bdr_id *base = bdr_sink_run_base(p->sink, it->run, block);
    struct bdr_id id;
    bool fresh = false, same, known = false, sample = false;

    if (bdr_all_zero(data, len)) {
        atomic_fetch_add(&m->zero_bytes, len);
        bdr_sink_run_set(p->sink, it->run, block, NULL);
        same = !base;
    } else {
        BDR_TRY(scan_block(p, w, it, block, data, len, &known, &sample));
        if (known)
            return NULL;
        BDR_TRY(bdr_sink_id(p->sink, data, len, &id));
        same = base && !memcmp(base, &id, sizeof(id));
        /* A full pass asks the index even for what the base has: a block that was lost since is stored again. */
        if (!same || p->spec->mode == BDR_MAP_FULL)
            BDR_TRY_FOR(bdr_sink_put(p->sink, it->run, block, &id, data, len, &fresh),
                        "storing the block at %llu", (unsigned long long)(block * p->block_bytes));
        bdr_sink_run_set(p->sink, it->run, block, &id);
        if (w->hand)
            scan_note(w->hand, block, data, len, &id);
        if (sample)
            scan_proof(p, block, !same);
    }
    if (!same)
        atomic_fetch_add(&m->changed_bytes, len);
    if (fresh)
        atomic_fetch_add(&m->new_bytes, len);
    if (fresh && same)
        atomic_fetch_add(&m->healed_bytes, len);
    if (it->audit) {
        bool miss = !same && !bdr_source_touched(p->spec->src, block * p->block_bytes, len);

        atomic_fetch_add(&m->audited_blocks, 1);
        pthread_mutex_lock(&p->lock);
        p->out->audited++;
        p->out->misses += miss;
        pthread_mutex_unlock(&p->lock);
        /* One line tells it; a broken tracker may miss thousands. */
        if (miss && atomic_fetch_add(&m->audit_misses, 1) == 0)
            BDR_LOG(ERROR, "backup.tracker-miss", F_STR("disk", p->spec->info.identity),
                    F_U64("offset", block * p->block_bytes));
    }
    return NULL;
}

/* ---- blocks of which only a part was set aside at the moment ---- */

struct pass_patch {
    struct pass *p;
    uint64_t off, at; /* of buf; up to where all is known */
    uint8_t *buf;
};

/* What is between the extents is as the pass before found it, unreadable places too. Under the lock. */
static void patch_keep(struct pass_patch *w, uint64_t end)
{
    const struct pass_bad *was = &w->p->was;

    for (size_t i = 0; i < was->n; i++) {
        uint64_t lo = BDR_MAX(was->at[i].off, w->at), hi = BDR_MIN(was->at[i].off + was->at[i].len, end);

        if (lo < hi)
            pass_bad_add(&w->p->out->bad, lo, hi - lo);
    }
    w->at = end;
}

static struct bdr_err *patch_keep_extent(void *ctx, const struct bdr_extent *ext)
{
    struct pass_patch *w = ctx;

    patch_keep(w, ext->off);
    w->at = ext->off + ext->len;
    return NULL;
}

static struct bdr_err *patch_extent(void *ctx, const struct bdr_extent *ext)
{
    struct pass_patch *w = ctx;
    uint8_t *to = w->buf + (ext->off - w->off);
    struct bdr_err *err;

    if (ext->kind == BDR_EXTENT_ZERO) {
        memset(to, 0, ext->len);
        return NULL;
    }
    err = bdr_source_read(w->p->spec->src, ext->off, to, ext->len);
    if (!err || err->code != BDR_IO)
        return err;
    bdr_err_drop(err, "some of it may be readable");
    return pass_salvage(w->p, ext->off, to, ext->len, PASS_RUN_BYTES);
}

struct patch_list {
    struct bdr_extent at[64]; /* a block of 4 MiB in granules of 64 KiB */
    size_t n;
};

static struct bdr_err *patch_note(void *ctx, const struct bdr_extent *ext)
{
    struct patch_list *l = ctx;

    if (l->n == BDR_COUNT(l->at))
        BDR_FAIL(BDR_INTERNAL, 0, "more than %zu extents in one block", l->n);
    l->at[l->n++] = *ext;
    return NULL;
}

/* The base's block, and over it what was set aside. */
static struct bdr_err *patch_block(struct pass *p, struct pass_item *it, uint64_t block, uint8_t *buf, size_t len)
{
    struct pass_patch w = {.p = p, .off = block * p->block_bytes, .at = block * p->block_bytes, .buf = buf};
    const struct bdr_id *base = bdr_sink_run_base(p->sink, it->run, block);
    struct patch_list list = {.n = 0};
    struct bdr_err *err;
    size_t got = len;

    if (base)
        BDR_TRY_FOR(bdr_sink_get(p->sink, base, buf, len, &got), "reading back the block at %llu",
                    (unsigned long long)w.off);
    else
        memset(buf, 0, len);
    if (got != len)
        BDR_FAIL(BDR_CORRUPT, 0, "the block at %llu has %zu bytes, not %zu", (unsigned long long)w.off, got, len);
    pthread_mutex_lock(&p->lock);
    err = bdr_source_extents(p->spec->src, BDR_EXTENTS_CHANGED, w.off, len, patch_note, &list);
    for (size_t i = 0; !err && i < list.n; i++)
        err = patch_keep_extent(&w, &list.at[i]);
    if (!err)
        patch_keep(&w, w.off + len);
    pthread_mutex_unlock(&p->lock);
    BDR_TRY(err);
    for (size_t i = 0; i < list.n; i++)
        BDR_TRY(patch_extent(&w, &list.at[i]));
    return NULL;
}

static struct bdr_err *pass_patch(struct pass *p, struct pass_item *it, uint8_t *buf, size_t len)
{
    for (uint32_t i = 0; i < it->count; i++) {
        size_t at = (size_t)i * p->block_bytes;

        BDR_TRY(patch_block(p, it, it->first + i, buf + at, BDR_MIN((size_t)p->block_bytes, len - at)));
    }
    return NULL;
}

static struct bdr_err *pass_item(struct pass *p, struct pass_scan *w, struct pass_item *it, uint8_t *buf)
{
    uint64_t off = it->first * p->block_bytes;
    size_t len = (size_t)BDR_MIN((uint64_t)it->count * p->block_bytes, p->size - off);
    struct bdr_err *err = bdr_source_read(p->spec->src, off, buf, len);

    if (err && err->code == BDR_IO) {
        bdr_err_drop(err, "some of it may be readable");
        err = pass_salvage(p, off, buf, len, PASS_RUN_BYTES);
    }
    if (err && err->code == BDR_STALE && p->spec->last) {
        bdr_err_drop(err, "the base and what was set aside make the block");
        err = pass_patch(p, it, buf, len);
    }
    BDR_TRY(err);
    atomic_fetch_add(&p->spec->meter->read_bytes, len);
    if (w->hand)
        scan_run(w->hand, it->first, it->count);
    for (uint32_t i = 0; i < it->count; i++) {
        size_t at = (size_t)i * p->block_bytes;

        BDR_TRY(pass_block(p, w, it, it->first + i, buf + at, BDR_MIN((size_t)p->block_bytes, len - at)));
    }
    if (w->hand)
        scan_run_end(w->hand);
    atomic_fetch_add(&p->spec->meter->done_bytes, len);
    return NULL;
}

static struct bdr_err *pass_worker(void *ctx, unsigned index)
{
    struct pass *p = ctx;
    BDR_AUTO(mem) uint8_t *buf = NULL;
    BDR_AUTO(scan_hand) struct scan_hand *hand = NULL;
    struct pass_scan scan = {.seed = p->worker_seed + 2 * (uint64_t)index}; /* odd, so never 0 */

    if (p->spec->scan)
        BDR_TRY(scan_hand_new(p->spec->scan, &hand));
    scan.hand = hand;
    if (posix_memalign((void **)&buf, 4096, BDR_MAX(PASS_RUN_BYTES, p->block_bytes)))
        BDR_FAIL(BDR_NOMEM, 0, "allocating a read buffer");
    for (;;) {
        BDR_AUTO(item) struct pass_item *it = NULL;
        void *got = NULL;

        BDR_TRY(bdr_queue_get(p->queue, &p->stop, &got));
        it = got;
        if (!it)
            return NULL;
        BDR_TRY(pass_item(p, &scan, it, buf));
        BDR_TRY(bdr_sink_run_end(p->sink, BDR_STEAL(it->run), true));
    }
}

/* ---- the feeder ---- */

static struct bdr_err *feed_run(struct pass *p, uint64_t first, uint32_t count, bool audit)
{
    BDR_AUTO(item) struct pass_item *it = calloc(1, sizeof(*it));

    BDR_NOMEM_IF_NULL(it);
    pass_forget(p, first * p->block_bytes, (first + count) * p->block_bytes);
    it->sink = p->sink;
    it->first = first;
    it->count = count;
    it->audit = audit;
    BDR_TRY(bdr_cancel_check(p->spec->cancel));
    BDR_TRY(bdr_sink_renew(p->sink));
    BDR_TRY(bdr_sink_map_run(p->sink, p->map, first, count, &it->run));
    BDR_TRY(bdr_queue_put(p->queue, &p->stop, it, 1));
    (void)BDR_STEAL(it);
    return NULL;
}

/* Feeds blocks [first, end), cut at leaves and at the run's size. */
static struct bdr_err *feed_blocks(struct pass *p, uint64_t first, uint64_t end)
{
    uint64_t most = BDR_MAX(PASS_RUN_BYTES / p->block_bytes, 1u);

    while (first < end) {
        uint64_t leaf_end = (first / 64 + 1) * 64, n = BDR_MIN(BDR_MIN(end, leaf_end) - first, most);

        BDR_TRY(feed_run(p, first, (uint32_t)n, false));
        first += n;
    }
    return NULL;
}

/* Distance to the next sample: geometric, so every unchanged block has the same chance. */
static uint64_t audit_distance(struct pass *p)
{
    double u = ((double)(pass_random(&p->seed) >> 11) + 1) / 9007199254740993.0;

    if (p->audit_rate >= 1)
        return 0;
    return (uint64_t)BDR_MIN(log(u) / log1p(-p->audit_rate), 1e18);
}

/* Blocks [p->next, end) are not among the extents: zero in a full pass, unchanged in a delta one. */
static struct bdr_err *feed_gap(struct pass *p, uint64_t end)
{
    uint64_t bytes = BDR_MIN(end * p->block_bytes, p->size) - BDR_MIN(p->next * p->block_bytes, p->size);

    if (end <= p->next)
        return NULL;
    while (p->spec->mode == BDR_MAP_DELTA && p->audit_rate > 0 && end - p->next > p->audit_skip) {
        uint64_t block = p->next + p->audit_skip;

        BDR_TRY(feed_run(p, block, 1, true));
        bytes -= BDR_MIN((uint64_t)p->block_bytes, p->size - block * p->block_bytes);
        p->next = block + 1;
        p->audit_skip = audit_distance(p);
    }
    p->audit_skip -= BDR_MIN(p->audit_skip, end - p->next);
    p->next = end;
    atomic_fetch_add(&p->spec->meter->done_bytes, bytes);
    return NULL;
}

static struct bdr_err *feed_data(struct pass *p, uint64_t off, uint64_t len)
{
    uint64_t first = off / p->block_bytes, end = bdr_blocks_of(off + len, p->block_bytes);

    first = BDR_MAX(first, p->next);
    if (first >= end)
        return NULL;
    BDR_TRY(feed_gap(p, first));
    BDR_TRY(feed_blocks(p, first, end));
    p->next = end;
    return NULL;
}

/* Blocks that lie wholly in a zero extent; its edges share a block with data and are read. */
static struct bdr_err *feed_zero(struct pass *p, uint64_t off, uint64_t len)
{
    uint64_t first = bdr_blocks_of(off, p->block_bytes), end = (off + len) / p->block_bytes;

    if (p->spec->mode == BDR_MAP_FULL)
        return NULL; /* what is not fed is zero */
    if (off + len == p->size)
        end = p->blocks;
    if (end <= first) /* within one or two blocks */
        return feed_data(p, off, len);
    if (off % p->block_bytes)
        BDR_TRY(feed_data(p, off, 1));
    first = BDR_MAX(first, p->next);
    if (first < end) {
        BDR_TRY(feed_gap(p, first));
        BDR_TRY(bdr_sink_map_zero(p->sink, p->map, first, end - first));
        pass_forget(p, first * p->block_bytes, end * p->block_bytes);
        p->next = end;
        atomic_fetch_add(&p->spec->meter->done_bytes, BDR_MIN(end * p->block_bytes, p->size) - first * p->block_bytes);
    }
    if (end < bdr_blocks_of(off + len, p->block_bytes))
        BDR_TRY(feed_data(p, off + len - 1, 1));
    return NULL;
}

static struct bdr_err *feed_extent(void *ctx, const struct bdr_extent *ext)
{
    struct pass *p = ctx;

    return ext->kind == BDR_EXTENT_ZERO ? feed_zero(p, ext->off, ext->len) : feed_data(p, ext->off, ext->len);
}

static struct bdr_err *pass_feed(struct pass *p)
{
    BDR_TRY(bdr_source_extents(p->spec->src,
                               p->spec->mode == BDR_MAP_DELTA ? BDR_EXTENTS_CHANGED : BDR_EXTENTS_ALL, 0, p->size,
                               feed_extent, p));
    return feed_gap(p, p->blocks);
}

static struct bdr_err *pass_go(struct pass *p)
{
    struct bdr_pool *pool = NULL;
    struct bdr_err *err, *fed;
    void *left;

    BDR_TRY(bdr_pool_start("bdr-move", p->spec->workers, pass_worker, p, &p->stop, &pool));
    fed = pass_feed(p);
    if (fed)
        bdr_cancel_set(&p->stop);
    bdr_queue_close(p->queue);
    err = bdr_pool_join(pool);
    while ((left = bdr_queue_poll(p->queue)))
        item_free(left);
    /* "The queue is cancelled" is only the workers' error seen from the feeder, and the other way round. */
    if (fed && (fed->code != BDR_CANCELLED || bdr_cancelled(p->spec->cancel)))
        err = bdr_err_first(fed, err);
    else
        err = bdr_err_first(err, fed);
    return err;
}

static struct bdr_err *pass_all(struct pass *p, struct pass_result *r)
{
    const struct pass_spec *spec = p->spec;
    BDR_AUTO(queue) struct bdr_queue *queue = NULL;
    struct bdr_err *err;

    p->block_bytes = bdr_sink_block_bytes(p->sink);
    p->blocks = bdr_blocks_of(p->size, p->block_bytes);
    BDR_TRY(bdr_os_random(&p->seed, sizeof(p->seed)));
    p->seed |= 1;
    p->worker_seed = pass_random(&p->seed) | 1;
    p->audit_rate = spec->audit_pct / 100;
    if (p->audit_rate > 0)
        p->audit_rate = BDR_MIN(BDR_MAX(p->audit_rate, (double)PASS_AUDIT_MIN / (double)p->blocks), 1.0);
    p->audit_skip = p->audit_rate > 0 ? audit_distance(p) : 0;
    BDR_TRY(bdr_sink_map_new(p->sink,
                             &(struct bdr_sink_disk){.identity = spec->info.identity, .size_bytes = p->size,
                                                     .base = spec->base, .mode = spec->mode},
                             &p->map));
    BDR_TRY(bdr_queue_new(2 * (size_t)spec->workers, UINT64_MAX, &queue));
    p->queue = queue;
    if (spec->mode == BDR_MAP_DELTA)
        p->old = r->bad;
    else
        pass_bad_free(&r->bad);
    if (spec->last && p->old.n) {
        p->was.at = calloc(p->old.n, sizeof(*p->was.at));
        if (p->was.at)
            memcpy(p->was.at, p->old.at, p->old.n * sizeof(*p->was.at));
        p->was.n = p->was.at ? p->old.n : 0;
        if (!p->was.at)
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory"); /* old stays with r */
    }
    r->bad = (struct pass_bad){.unlisted = p->old.unlisted, .unlisted_bytes = p->old.unlisted_bytes, .bytes = p->old.unlisted_bytes};
    r->audited = r->misses = 0;
    pthread_mutex_init(&p->lock, NULL);
    err = pass_go(p);
    pass_forget(p, UINT64_MAX, UINT64_MAX);
    pass_bad_free(&p->old);
    pass_bad_free(&p->was);
    pthread_mutex_destroy(&p->lock);
    BDR_TRY(err);
    BDR_TRY(bdr_sink_map_finish(p->sink, p->map, &r->root, &r->zero));
    pass_bad_tidy(&r->bad);
    return NULL;
}

struct bdr_err *pass_run(const struct pass_spec *spec, struct pass_result *r)
{
    struct pass p = {.spec = spec, .sink = spec->sink, .out = r, .size = spec->info.size_bytes};
    struct bdr_err *err = pass_all(&p, r);

    bdr_sink_map_free(p.sink, p.map);
    return err;
}
