/* SPDX-License-Identifier: Apache-2.0 */
#include "rounds.h"
#include "bdr/bytes.h"
#include "bdr/log.h"
#include "bdr/pool.h"
#include <stdio.h>
#include <string.h>

#define ROUNDS_AUDIT_PCT 0.1

static void rounds_reason(char *reason, size_t n, const char *fmt, const char *arg)
{
    if (!reason[0])
        snprintf(reason, n, fmt, arg);
}

/* The base disk with the same identity. */
static bool rounds_base(const json_t *base, const char *identity, struct bdr_point_disk *out)
{
    for (uint32_t i = 0; base && i < bdr_point_disks(base); i++) {
        struct bdr_err *err = bdr_point_disk(base, i, out);

        if (!err && !strcmp(out->identity, identity))
            return true;
        bdr_err_drop(err, "a base that makes no sense is no base");
    }
    return false;
}

struct bdr_err *rounds_open(const struct bdr_backup_options *opt, struct bdr_sink *sink,
                            struct bdr_backup_meter *meter, struct bdr_source *src, const json_t *base,
                            struct rounds_disk *out)
{
    unsigned workers = opt->workers ? opt->workers : BDR_MAX(2 * bdr_cpu_count(), 4u);

    *out = (struct rounds_disk){.spec = {.sink = sink, .src = src, .meter = meter, .cancel = opt->cancel},
                                .r = {.zero = true}};
    BDR_TRY(bdr_source_info(src, &out->spec.info));
    if (!out->spec.info.size_bytes)
        BDR_FAIL(BDR_INVAL, 0, "%s is empty; there is nothing to protect", out->spec.info.identity);
    out->spec.workers = BDR_MAX(BDR_MIN(workers, out->spec.info.max_inflight), 1u);
    out->has_base = rounds_base(base, out->spec.info.identity, &out->base);
    return NULL;
}

void rounds_close(struct rounds_disk *d)
{
    pass_bad_free(&d->r.bad);
    scan_free(d->scan);
    d->scan = NULL;
}

/* Brings the tracker to the last point; *out_known false (and a reason told): it can't tell what changed since. */
static struct bdr_err *rounds_since(struct rounds_disk *d, bool *out_known, char *reason, size_t n)
{
    const struct bdr_source_info *info = &d->spec.info;
    const char *token = d->base.token;
    struct bdr_err *err;
    char text[400];

    *out_known = true;
    if (token && (!d->base.token_kind || strcmp(d->base.token_kind, info->driver)))
        token = NULL;
    err = bdr_source_since(d->spec.src, token ? token : "");
    if (err && err->code == BDR_UNSUPPORTED) { /* the changes come from elsewhere: a bitmap, a list */
        bdr_err_drop(err, "extents(CHANGED) will tell");
        return NULL;
    }
    if (err && err->code != BDR_STALE)
        return err;
    *out_known = !err;
    if (err && token)
        rounds_reason(reason, n, "%s", bdr_err_text(err, text, sizeof(text)));
    else if (err)
        rounds_reason(reason, n, "the last point of %s was made without a record of changes", info->identity);
    bdr_err_drop(err, "a full compare follows");
    return NULL;
}

/* Whether a delta pass may be tried, and if not, why. */
static struct bdr_err *rounds_may_delta(struct rounds_disk *d, const struct bdr_backup_options *opt, bool *out,
                                        char *reason, size_t n)
{
    const struct bdr_source_info *info = &d->spec.info;

    *out = false;
    if (!info->has_changes || opt->pass != BDR_PASS_AUTO)
        return NULL;
    if (!d->has_base || d->base.size_bytes != info->size_bytes) {
        rounds_reason(reason, n,
                      d->has_base ? "disk %s has another size than in the last point"
                                  : "disk %s is not in the host's last point",
                      info->identity);
        return NULL;
    }
    if (d->base.unreadable_bytes && !opt->inherit) { /* what a copy can't read is an error, never a gap */
        rounds_reason(reason, n, "parts of %s could not be read the last time, so all of it is compared",
                      info->identity);
        return NULL;
    }
    return rounds_since(d, out, reason, n);
}

/* Runs a delta pass; *out_ok false: it is worth nothing and a full one has to follow. */
static struct bdr_err *rounds_delta(struct rounds_disk *d, bool *out_ok, char *reason, size_t n)
{
    struct bdr_backup_meter *m = d->spec.meter;
    uint64_t done = atomic_load(&m->done_bytes), changed = atomic_load(&m->changed_bytes);
    const char *identity = d->spec.info.identity;
    struct bdr_source_stats before, after;
    struct bdr_err *err;
    char text[400];

    d->spec.mode = BDR_MAP_DELTA;
    bdr_source_stats(d->spec.src, &before);
    err = pass_run(&d->spec, &d->r);
    d->audited += d->r.audited;
    d->misses += d->r.misses;
    *out_ok = !err && !d->r.misses;
    if (*out_ok || (err && err->code != BDR_STALE && err->code != BDR_CORRUPT))
        return err;
    bdr_source_stats(d->spec.src, &after);
    if (err && err->code == BDR_CORRUPT && after.errors > before.errors) /* it is the source that is damaged; a full
                                                                            pass would find the same */
        return err;
    if (err)
        BDR_LOG(WARN, "backup.full-compare", F_STR("disk", identity), F_ERR(err));
    if (!err)
        rounds_reason(reason, n, "the tracker of %s missed a change: everything was compared", identity);
    else if (err->code == BDR_STALE)
        rounds_reason(reason, n, "%s", bdr_err_text(err, text, sizeof(text)));
    else
        rounds_reason(reason, n, "the last point's map of %s is damaged", identity);
    bdr_err_drop(err, "a full compare follows");
    /* The full pass meets the same changes again; they count once. */
    atomic_store(&m->done_bytes, done);
    atomic_store(&m->changed_bytes, changed);
    return NULL;
}

static struct bdr_err *rounds_full(struct rounds_disk *d)
{
    struct bdr_err *err;

    d->full = true;
    d->spec.mode = BDR_MAP_FULL;
    err = pass_run(&d->spec, &d->r);
    if (d->spec.scan) {
        d->audited += d->r.audited;
        d->misses += d->r.misses;
    }
    return err;
}

/* A scan cache that can't be had is done without. */
static void rounds_scan_open(struct rounds_disk *d, const struct bdr_backup_options *opt, bool believe)
{
    uint32_t block = bdr_sink_block_bytes(d->spec.sink);
    struct bdr_err *err;
    char place[600];

    scan_free(d->scan);
    d->spec.scan = d->scan = NULL;
    if (!opt->scan_dir)
        return;
    bdr_sink_place(d->spec.sink, place, sizeof(place));
    err = scan_open(&(struct scan_what){.dir = opt->scan_dir, .place = place, .host = opt->host,
                                        .identity = d->spec.info.identity, .block_bytes = block,
                                        .blocks = bdr_blocks_of(d->spec.info.size_bytes, block), .believe = believe},
                    &d->scan);
    if (err)
        BDR_LOG(WARN, "backup.scan-cache", F_STR("disk", d->spec.info.identity), F_ERR(err));
    bdr_err_drop(err, "everything is hashed");
    d->spec.scan = d->scan;
}

/* A full pass by the cache; when that is caught lying, another one without. */
static struct bdr_err *rounds_scan(struct rounds_disk *d, const struct bdr_backup_options *opt, char *reason, size_t n)
{
    struct bdr_backup_meter *m = d->spec.meter;
    uint64_t done = atomic_load(&m->done_bytes), changed = atomic_load(&m->changed_bytes), known = atomic_load(&m->scan_blocks);

    rounds_scan_open(d, opt, opt->pass == BDR_PASS_AUTO && d->spec.base);
    d->spec.audit_pct = opt->audit_pct < 0 ? ROUNDS_AUDIT_PCT : opt->audit_pct;
    BDR_TRY(rounds_full(d));
    if (d->scan && d->r.misses) {
        rounds_reason(reason, n, "the scan cache of %s was wrong: everything was hashed", d->spec.info.identity);
        atomic_store(&m->done_bytes, done);
        atomic_store(&m->changed_bytes, changed);
        atomic_store(&m->scan_blocks, known);
        rounds_scan_open(d, opt, false);
        BDR_TRY(rounds_full(d));
    }
    d->spec.scan = NULL; /* later passes are over little; what they change no longer matches by itself */
    return NULL;
}

struct bdr_err *rounds_first(struct rounds_disk *d, const struct bdr_backup_options *opt, char *reason, size_t n)
{
    uint32_t block = bdr_sink_block_bytes(d->spec.sink);
    bool delta = false, ok = false;

    BDR_TRY(rounds_may_delta(d, opt, &delta, reason, n));
    if (delta) {
        d->spec.audit_pct = opt->audit_pct < 0 ? ROUNDS_AUDIT_PCT : opt->audit_pct;
        /* A base that was all zero has no root; a delta over an empty map is the same thing. */
        d->spec.base = d->base.has_root ? &d->base.root : NULL;
        BDR_TRY(rounds_delta(d, &ok, reason, n));
    }
    if (ok)
        return NULL;
    d->spec.base = d->has_base && d->base.has_root &&
                           bdr_map_levels(bdr_blocks_of(d->base.size_bytes, block)) ==
                               bdr_map_levels(bdr_blocks_of(d->spec.info.size_bytes, block))
                       ? &d->base.root
                       : NULL;
    return rounds_scan(d, opt, reason, n);
}

struct bdr_err *rounds_again(struct rounds_disk *d, bool last, char *reason, size_t n)
{
    struct bdr_id root = d->r.root;
    bool ok = false;

    /* The passes before have been audited by hashes; these are by the counts of the moment. */
    d->spec.audit_pct = 0;
    d->spec.base = d->r.zero ? NULL : &root;
    d->spec.last = last;
    BDR_TRY(rounds_delta(d, &ok, reason, n));
    if (!ok && last)
        BDR_FAIL(BDR_INTERNAL, 0, "the tracker of %s was doubted after the moment", d->spec.info.identity);
    return ok ? NULL : rounds_full(d);
}
