/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.c - tidies the extents that a driver tells, so that every caller sees the same shape.
 *
 * Runs of one kind are fed in order. Inside a unit of `align` that has more than one kind the unit becomes DATA:
 * zeros next to data must be read with it, and zeros next to "unchanged" leave the unit's content unknown.
 */
#include "source_priv.h"

enum walk_kind {
    WALK_DATA = BDR_EXTENT_DATA,
    WALK_ZERO = BDR_EXTENT_ZERO,
    WALK_GAP,  /* unchanged: not told */
    WALK_NONE, /* nothing fed yet */
};

void source_walk_init(struct source_walk *w, uint64_t off, uint64_t len, uint32_t align, bool fill, bdr_extent_fn fn,
                      void *ctx)
{
    *w = (struct source_walk){
        .at = off,
        .end = off + len,
        .align = align,
        .fill = fill,
        .partial = off % align != 0,
        .cell_lo = off,
        .cell_kind = WALK_NONE,
        .kind = WALK_GAP,
        .fn = fn,
        .ctx = ctx,
    };
}

static struct bdr_err *walk_flush(struct source_walk *w)
{
    struct bdr_extent ext = {.off = w->lo, .len = w->hi - w->lo, .kind = (enum bdr_extent_kind)w->kind};
    struct bdr_err *err;

    if (w->kind == WALK_GAP)
        return NULL;
    w->kind = WALK_GAP;
    err = w->fn(w->ctx, &ext);
    if (err)
        w->fn_failed = true;
    return err;
}

static struct bdr_err *walk_emit(struct source_walk *w, uint64_t lo, uint64_t hi, int kind)
{
    if (w->kind == kind && w->hi == lo) {
        w->hi = hi;
        return NULL;
    }
    BDR_TRY(walk_flush(w));
    w->kind = kind;
    w->lo = lo;
    w->hi = hi;
    return NULL;
}

/* The run [at, end) is of one kind. */
static struct bdr_err *walk_run(struct source_walk *w, uint64_t end, int kind)
{
    uint64_t whole;

    if (end <= w->at)
        return NULL;
    if (w->partial) {
        uint64_t left = w->align - w->at % w->align;
        uint64_t hi = w->end - w->at < left ? w->end : w->at + left;

        if (w->cell_kind == WALK_NONE)
            w->cell_kind = kind;
        else if (w->cell_kind != kind)
            w->cell_kind = WALK_DATA;
        if (end < hi) {
            w->at = end;
            return NULL;
        }
        BDR_TRY(walk_emit(w, w->cell_lo, hi, w->cell_kind));
        w->at = hi;
        w->partial = false;
    }
    whole = end == w->end ? end : end - end % w->align;
    if (whole > w->at) {
        BDR_TRY(walk_emit(w, w->at, whole, kind));
        w->at = whole;
    }
    if (end > w->at) {
        w->partial = true;
        w->cell_lo = w->at;
        w->cell_kind = kind;
        w->at = end;
    }
    return NULL;
}

struct bdr_err *source_walk_put(void *walk, const struct bdr_extent *ext)
{
    struct source_walk *w = walk;
    uint64_t lo = ext->off, hi = ext->off + ext->len;

    if (hi < lo)
        BDR_FAIL(BDR_INTERNAL, 0, "an extent of %llu bytes at %llu wraps around", (unsigned long long)ext->len,
                 (unsigned long long)lo);
    if (lo < w->told)
        BDR_FAIL(BDR_INTERNAL, 0, "extents are out of order at %llu", (unsigned long long)lo);
    w->told = hi;
    if (lo >= w->end || hi <= w->at)
        return NULL;
    lo = BDR_MAX(lo, w->at);
    BDR_TRY(walk_run(w, lo, w->fill ? WALK_DATA : WALK_GAP));
    return walk_run(w, BDR_MIN(hi, w->end), (int)ext->kind);
}

struct bdr_err *source_walk_end(struct source_walk *w)
{
    BDR_TRY(walk_run(w, w->end, w->fill ? WALK_DATA : WALK_GAP));
    return walk_flush(w);
}
