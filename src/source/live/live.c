/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - a disk of this machine while it is in use.
 *
 * Speaks: the blockdev driver for reading, the tracker (track.h) for what changes, a moment (bdr/live.h) for holding
 * still. Location "live:/dev/vda": whole disks only, file systems and all that is stacked on them are found by the
 * moment. Can't: be consistent without a moment; then it is a disk that changes, and says so. Source:
 * docs/drivers/live.md
 */
#include "bdr/bytes.h"
#include "bdr/log.h"
#include "disk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define LIVE_MAX_INFLIGHT 64u
#define LIVE_SAMPLES      8 /* discarded places that are read, a pass */
#define LIVE_SAMPLE_BYTES 4096u

static void live_close(struct bdr_source *src)
{
    struct live_disk *d = (struct live_disk *)src;

    if (d->m && d->index < d->m->n && d->m->disk[d->index] == d)
        d->m->disk[d->index] = NULL;
    bdr_track_close(d->track);
    bdr_source_close(d->dev);
    if (d->fd >= 0)
        close(d->fd);
    free(d->token);
    free(d->path);
    free(d);
}

static struct bdr_err *live_find(struct live_disk *d, const char *location)
{
    BDR_AUTO(mem) char *whole = NULL;
    struct stat st;

    d->path = realpath(location, NULL);
    if (!d->path)
        BDR_FAIL_ERRNO("finding %s", location);
    if (stat(d->path, &st))
        BDR_FAIL_ERRNO("looking at %s", d->path);
    if (!S_ISBLK(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is not a block device; live: is for the disks of this machine", d->path);
    BDR_TRY(bdr_volumes_whole_disk(d->path, &whole));
    if (strcmp(whole, d->path) != 0)
        BDR_FAIL(BDR_INVAL, 0, "%s is a part of %s; live disks are backed up as a whole: live:%s", d->path, whole,
                 whole);
    d->major = major(st.st_rdev);
    d->minor = minor(st.st_rdev);
    return NULL;
}

/* From here on the kernel remembers what is written. Without that the disk can still be read. */
static struct bdr_err *live_track(struct live_disk *d)
{
    struct bdr_err *err = d->m->opt.no_track ? bdr_err_new(BDR_UNSUPPORTED, 0, BDR_AT, "tracking was not wanted")
                                             : bdr_track_start(d->path);

    if (!err)
        err = bdr_track_open(d->path, &d->track);
    if (!err)
        return NULL;
    if (err->code != BDR_UNSUPPORTED && err->code != BDR_DENIED && err->code != BDR_NOTFOUND && err->code != BDR_NOMEM)
        return err;
    bdr_err_text(err, d->untracked, sizeof(d->untracked));
    if (!d->m->opt.no_track)
        BDR_LOG(WARN, "source.live.untracked", F_STR("disk", d->path), F_ERR(err));
    bdr_err_drop(err, "told when it matters");
    return NULL;
}

static struct bdr_err *live_setup(struct live_disk *d, const struct bdr_source_spec *spec)
{
    struct bdr_source_spec inner = {.depth = spec->depth, .cancel = spec->cancel};
    struct live_moment *m = (struct live_moment *)spec->moment;
    struct bdr_source_info info;
    char location[PATH_MAX];

    if (m && m->base.drv != &live_moment_driver)
        BDR_FAIL(BDR_INVAL, 0, "the moment that %s was given is not one of live disks", spec->location);
    BDR_TRY(live_find(d, source_strip(spec->location, "live:")));
    snprintf(location, sizeof(location), "blockdev:%s", d->path);
    inner.location = location;
    BDR_TRY(bdr_source_open(&inner, &d->dev));
    BDR_TRY(bdr_source_info(d->dev, &info));
    d->size_bytes = info.size_bytes;
    d->fd = open(d->path, O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC);
    if (d->fd < 0)
        BDR_FAIL_ERRNO("opening %s", d->path);
    if (!m)
        return NULL;
    if (m->begun || m->n == BDR_COUNT(m->disk))
        BDR_FAIL(BDR_INVAL, 0, "%s comes too late: the disks of a moment are opened before the first is read", d->path);
    d->m = m;
    d->index = (uint32_t)m->n;
    BDR_TRY(live_track(d));
    m->disk[m->n++] = d;
    return NULL;
}

static struct bdr_err *live_open(const struct bdr_source_spec *spec, struct bdr_source **out)
{
    struct live_disk *d = calloc(1, sizeof(*d));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(d);
    d->fd = -1;
    d->index = UINT32_MAX;
    err = live_setup(d, spec);
    if (err)
        live_close(&d->base);
    else
        *out = &d->base;
    return err;
}

static struct bdr_err *live_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct live_disk *d = (struct live_disk *)src;

    BDR_TRY(bdr_source_info(d->dev, out));
    snprintf(out->driver, sizeof(out->driver), "live");
    snprintf(out->consistency, sizeof(out->consistency), "inconsistent"); /* the moment knows better */
    out->live = true;
    out->has_changes = out->knows_allocation = d->m != NULL;
    return NULL;
}

/* ---- extents ---- */

struct bdr_err *live_split_swap(const struct live_disk *d, uint64_t off, uint64_t len, bdr_extent_fn fn, void *ctx)
{
    const struct bdr_volumes *v = d->m && !d->m->opt.keep_swap ? d->m->vol : NULL;

    while (len) { /* swap areas are few */
        struct bdr_extent ext = {off, len, BDR_EXTENT_DATA};

        for (size_t i = 0; v && i < v->swap_n; i++) {
            const struct bdr_volume_range *s = &v->swap[i];

            if (s->disk != d->index || s->off >= off + ext.len || s->off + s->len <= off)
                continue;
            if (s->off > off) {
                ext.len = s->off - off;
            } else {
                ext.kind = BDR_EXTENT_ZERO;
                ext.len = BDR_MIN(ext.len, s->off + s->len - off);
                break;
            }
        }
        BDR_TRY(fn(ctx, &ext));
        off += ext.len;
        len -= ext.len;
    }
    return NULL;
}

struct live_walk {
    struct live_disk *d;
    uint64_t seq;
    bdr_extent_fn fn;
    void *ctx;
    /* sampling */
    uint64_t seen;
    uint64_t at[LIVE_SAMPLES];
    unsigned n;
};

static struct bdr_err *walk_change(void *ctx, const struct bdr_extent *ext)
{
    struct live_walk *w = ctx;
    struct bdr_extent as = *ext;

    if (as.kind == BDR_EXTENT_DATA)
        return live_split_swap(w->d, as.off, as.len, w->fn, w->ctx);
    if (w->d->discards_lie)
        as.kind = BDR_EXTENT_DATA;
    return w->fn(w->ctx, &as);
}

/* Some of the discarded places, each with about the same chance. */
static struct bdr_err *walk_sample(void *ctx, const struct bdr_extent *ext)
{
    struct live_walk *w = ctx;
    uint64_t r;

    if (ext->kind != BDR_EXTENT_ZERO || ext->len < BDR_TRACK_GRANULE_BYTES)
        return NULL;
    w->seen++;
    r = (w->seen * 0x9e3779b97f4a7c15u ^ ext->off * 0xbf58476d1ce4e5b9u) >> 16;
    if (w->n < LIVE_SAMPLES)
        w->at[w->n++] = ext->off + r % (ext->len / LIVE_SAMPLE_BYTES) * LIVE_SAMPLE_BYTES;
    else if (r % w->seen < LIVE_SAMPLES)
        w->at[r % w->seen] = ext->off + r / 7 % (ext->len / LIVE_SAMPLE_BYTES) * LIVE_SAMPLE_BYTES;
    return NULL;
}

static struct bdr_err *walk_still_zero(void *ctx, const struct bdr_extent *ext)
{
    *(bool *)ctx |= ext->kind == BDR_EXTENT_ZERO;
    return NULL;
}

/* A device need not give zeros for what was discarded, and may ignore a discard: then such places are data. */
static struct bdr_err *live_try_discards(struct live_disk *d, uint64_t seq)
{
    struct live_walk w = {.d = d, .seq = seq};
    BDR_AUTO(mem) uint8_t *buf = aligned_alloc(LIVE_SAMPLE_BYTES, LIVE_SAMPLE_BYTES);

    BDR_NOMEM_IF_NULL(buf);
    BDR_TRY(bdr_track_changes(d->track, seq, 0, d->size_bytes, walk_sample, &w)); /* STALE: extents says so */
    for (unsigned i = 0; i < w.n && !d->discards_lie; i++) {
        struct bdr_err *err = bdr_source_read(d->dev, w.at[i], buf, LIVE_SAMPLE_BYTES);
        bool still = false;

        if (err) {
            bdr_err_drop(err, "what can't be read is met again if it matters");
            continue;
        }
        if (bdr_all_zero(buf, LIVE_SAMPLE_BYTES))
            continue;
        /* Written since? Then it is no discard any more. */
        BDR_TRY(bdr_track_changes(d->track, seq, w.at[i], LIVE_SAMPLE_BYTES, walk_still_zero, &still));
        d->discards_lie = still;
        if (still)
            BDR_LOG(INFO, "source.live.discards-are-data", F_STR("disk", d->path), F_U64("offset", w.at[i]));
    }
    return NULL;
}

struct bdr_err *live_changes(struct live_disk *d, uint64_t seq, uint64_t off, uint64_t len, bdr_extent_fn fn, void *ctx)
{
    struct live_walk w = {.d = d, .seq = seq, .fn = fn, .ctx = ctx};

    return bdr_track_changes(d->track, seq, off, len, walk_change, &w);
}

/* Swap areas count as changed to zeros in pass 0: they may not have been areas at the last point. */
struct live_merge {
    struct live_disk *d;
    uint64_t at;
    bdr_extent_fn fn;
    void *ctx;
};

static struct bdr_err *merge_gap(void *ctx, const struct bdr_extent *ext)
{
    struct live_merge *g = ctx;

    return ext->kind == BDR_EXTENT_ZERO ? g->fn(g->ctx, ext) : NULL;
}

static struct bdr_err *merge_change(void *ctx, const struct bdr_extent *ext)
{
    struct live_merge *g = ctx;

    if (ext->off > g->at)
        BDR_TRY(live_split_swap(g->d, g->at, ext->off - g->at, merge_gap, g));
    g->at = ext->off + ext->len;
    return g->fn(g->ctx, ext);
}

static struct bdr_err *live_changed(struct live_disk *d, uint64_t off, uint64_t len, bdr_extent_fn fn, void *ctx)
{
    struct live_merge g = {.d = d, .at = off, .fn = fn, .ctx = ctx};
    uint64_t seq = d->m->rounds ? d->since : d->base_seq;

    if (d->m->last)
        return live_capture_walk(&d->m->capture, d->index, off, len, fn, ctx);
    if (d->stale[0])
        BDR_FAIL(BDR_STALE, 0, "%s", d->stale);
    if (!d->track)
        BDR_FAIL(BDR_STALE, 0, "changes of %s can't be tracked: %s", d->path, d->untracked);
    if (!d->m->rounds && !d->has_base)
        BDR_FAIL(BDR_STALE, 0, "no earlier point of %s is known", d->path);
    if (off == 0) /* the walk over all of it is the beginning of a pass */
        BDR_TRY(live_try_discards(d, seq));
    if (d->m->rounds)
        return live_changes(d, seq, off, len, fn, ctx);
    BDR_TRY(live_changes(d, seq, off, len, merge_change, &g));
    return g.at < off + len ? live_split_swap(d, g.at, off + len - g.at, merge_gap, &g) : NULL;
}

static struct bdr_err *live_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                    bdr_extent_fn fn, void *ctx)
{
    struct live_disk *d = (struct live_disk *)src;

    if (!d->m)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "nothing is known of %s without a moment", d->path);
    BDR_TRY(live_begin(d->m));
    if (of == BDR_EXTENTS_CHANGED)
        return live_changed(d, off, len, fn, ctx);
    d->stale[0] = 0;
    return live_split_swap(d, off, len, fn, ctx);
}

/* ---- reading ---- */

struct live_blank {
    uint8_t *buf;
    uint64_t off;
};

static struct bdr_err *blank_swap(void *ctx, const struct bdr_extent *ext)
{
    struct live_blank *b = ctx;

    if (ext->kind == BDR_EXTENT_ZERO)
        memset(b->buf + (ext->off - b->off), 0, ext->len);
    return NULL;
}

static struct bdr_err *live_read_disk(struct live_disk *d, uint64_t off, uint8_t *buf, size_t len)
{
    struct live_blank b = {buf, off};

    BDR_TRY(bdr_source_read(d->dev, off, buf, len));
    if (!d->m)
        return NULL;
    atomic_fetch_add(&d->m->read_bytes, len);
    return d->m->vol && d->m->vol->swap_n ? live_split_swap(d, off, len, blank_swap, &b) : NULL;
}

/* What was not captured had not changed up to the moment; has it since? A disk without a tracker was proved not to be
 * written. */
static struct bdr_err *live_read_after(struct live_disk *d, uint64_t off, uint8_t *buf, size_t len)
{
    BDR_TRY(live_read_disk(d, off, buf, len));
    if (d->track && bdr_track_touched(d->track, d->moment, off, len))
        BDR_FAIL(BDR_STALE, 0, "%zu bytes at %llu of %s were written after the moment", len, (unsigned long long)off,
                 d->path);
    return NULL;
}

static struct bdr_err *live_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct live_disk *d = (struct live_disk *)src;
    uint8_t *to = buf;

    if (!d->m || !d->m->last)
        return live_read_disk(d, off, to, len);
    while (len) {
        bool there = false;
        size_t n = 0;

        BDR_TRY(live_capture_get(&d->m->capture, d->index, off, len, to, &there, &n));
        if (!there)
            BDR_TRY(live_read_after(d, off, to, n));
        off += n;
        to += n;
        len -= n;
    }
    return NULL;
}

/* ---- tokens ---- */

static struct bdr_err *live_token(struct bdr_source *src, char **out)
{
    struct live_disk *d = (struct live_disk *)src;
    struct bdr_track_counts none = {0};

    *out = NULL;
    if (!d->m || !d->track)
        return NULL;
    BDR_TRY(live_begin(d->m));
    if (!d->token) { /* no moment yet: what came before the first cut is in what was read since */
        d->token_seq = d->began;
        return bdr_track_token(d->track, d->began, &none, false, out);
    }
    *out = strdup(d->token);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static struct bdr_err *live_since(struct bdr_source *src, const char *token)
{
    struct live_disk *d = (struct live_disk *)src;
    struct bdr_track_base base;

    if (!d->m)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "nothing is known of %s without a moment", d->path);
    BDR_TRY(live_begin(d->m));
    if (!d->track)
        BDR_FAIL(BDR_STALE, 0, "changes of %s can't be tracked: %s", d->path, d->untracked);
    if (!*token)
        BDR_FAIL(BDR_STALE, 0, "the last point of %s was made without a record of changes", d->path);
    BDR_TRY(bdr_track_resume(d->track, token, &base));
    d->has_base = true;
    d->base_seq = base.seq;
    d->counted = base.exact;
    d->counts = base.counts;
    return NULL;
}

static bool live_touched(struct bdr_source *src, uint64_t off, uint64_t len)
{
    struct live_disk *d = (struct live_disk *)src;

    return !d->m || !d->track || bdr_track_touched(d->track, d->began, off, len);
}

static struct bdr_err *live_check(struct bdr_source *src)
{
    return bdr_source_check(((struct live_disk *)src)->dev);
}

static struct bdr_err *live_committed(struct bdr_source *src)
{
    struct live_disk *d = (struct live_disk *)src;

    return d->track && d->token_seq ? bdr_track_keep(d->track, d->token_seq) : NULL;
}

const struct bdr_source_driver bdr_source_live = {
    .name = "live",
    .title = "Disk of this machine, in use",
    .help = "live:/dev/NAME, live:all",
    .schemes = "live:",
    .max_inflight = LIVE_MAX_INFLIGHT,
    .open = live_open,
    .info = live_info,
    .extents = live_extents,
    .read = live_read,
    .token = live_token,
    .since = live_since,
    .touched = live_touched,
    .check = live_check,
    .committed = live_committed,
    .close = live_close,
};
