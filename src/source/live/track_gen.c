/* SPDX-License-Identifier: Apache-2.0 */
/* track_gen.c - generations: ending one, asking what changed after one. Source: docs/drivers/live-track.md#generations */
#include "bdr/clock.h"
#include "track_priv.h"
#include <string.h>

#define GEN_CHUNK   4096u /* marks that are looked at together; a multiple of 8 */
#define GEN_POLL_MS 2

/* ---- cut, keep ---- */

/* Under the lock. A death before the store of gen leaves a name that repair takes back; after it, a cut nobody heard
 * of. */
static struct bdr_err *gen_next(struct track_map *m, uint64_t *out)
{
    struct track_head *h = m->head;
    uint64_t seq;
    uint32_t name;

    track_names_repair(h);
    seq = track_names_seq(h);
    name = track_names_free(h);
    if (!name) {
        BDR_TRY(track_pins_barrier()); /* a cut that died may have left programs running with an older name */
        track_names_merge(h, m->marks, m->granules);
        name = track_names_free(h);
        BDR_ASSERT(name); /* what is kept apart has fewer names than there are */
    }
    TRACK_STORE(&h->names[name], seq + 1);
    __atomic_fetch_add(&h->epoch, 1, __ATOMIC_SEQ_CST);
    TRACK_STORE(&h->cbt.gen, name);
    *out = seq;
    return NULL;
}

struct bdr_err *bdr_track_cut(struct bdr_track *t, uint64_t *out)
{
    uint64_t seq = 0;

    {
        BDR_AUTO(fd) int lock = -1;
        struct bdr_err *err = track_pins_lock(false, &lock);

        if (err && err->code == BDR_NOTFOUND)
            return bdr_err_recode(err, BDR_STALE, BDR_AT, "tracking was stopped");
        BDR_TRY(err);
        BDR_TRY(track_fresh(t, true));
        BDR_TRY(gen_next(t->map, &seq));
    }
    BDR_TRY(track_pins_barrier());
    *out = seq;
    return NULL;
}

struct bdr_err *bdr_track_keep(struct bdr_track *t, uint64_t seq)
{
    BDR_AUTO(fd) int lock = -1;

    BDR_TRY(track_pins_lock(false, &lock));
    BDR_TRY(track_fresh(t, true));
    if (!seq || seq > track_names_seq(t->map->head))
        BDR_FAIL(BDR_INVAL, 0, "generation %llu is none of %s", (unsigned long long)seq, t->disk.name);
    track_names_keep(t->map->head, seq);
    memset(t->map->head->trouble, 0, sizeof(t->map->head->trouble)); /* it was about what came before this point */
    return NULL;
}

struct bdr_err *bdr_track_settle(struct bdr_track *t, uint32_t ms, const struct bdr_cancel *cancel)
{
    uint64_t end = bdr_clock_mono_ms() + ms, writes = 0;

    /* Twice: what sits in a scheduler or a task's plug is not in flight, and is handed on as soon as nothing is. */
    for (unsigned quiet = 0; quiet < 2;) {
        BDR_TRY(bdr_cancel_check(cancel));
        BDR_TRY(track_disk_inflight(&t->disk, &writes));
        quiet = writes ? 0 : quiet + 1;
        if (quiet == 2 || bdr_clock_mono_ms() >= end)
            return NULL;
        BDR_TRY(bdr_cancel_sleep(cancel, GEN_POLL_MS));
    }
    return NULL;
}

/* ---- what changed ---- */

/*
 * Marks [at, at+n) as what they mean to somebody who knows everything up to seq. A name may get another meaning while
 * we look: the epoch tells, and we look again.
 */
struct gen_look {
    const struct track_map *map;
    uint64_t seq, epoch;
    uint8_t lut[256];
    uint8_t marks[GEN_CHUNK];
};

static void gen_look(struct gen_look *k, uint64_t at, uint64_t n)
{
    const struct track_head *h = k->map->head;

    for (;;) {
        uint64_t epoch = TRACK_LOAD(&h->epoch);

        if (epoch != k->epoch) {
            track_names_lut(h, k->seq, k->lut);
            k->epoch = epoch;
        }
        for (uint64_t i = 0; i < n; i += 8) { /* maps end on a whole element */
            /* acquire: the epoch is read again after the marks */
            uint64_t eight = __atomic_load_n((uint64_t *)(void *)(k->map->marks + at + i), __ATOMIC_ACQUIRE);

            memcpy(k->marks + i, &eight, sizeof(eight));
        }
        if (TRACK_LOAD(&h->epoch) == epoch)
            return;
    }
}

/* What is told next; grows while its neighbours are of the same kind. */
struct gen_tell {
    bdr_extent_fn fn;
    void *ctx;
    uint64_t off, end; /* what was asked for */
    struct bdr_extent ext;
};

static struct bdr_err *gen_flush(struct gen_tell *w)
{
    struct bdr_extent ext = w->ext;

    w->ext.len = 0;
    return ext.len ? w->fn(w->ctx, &ext) : NULL;
}

static struct bdr_err *gen_add(struct gen_tell *w, uint64_t granule, uint64_t n, uint8_t what)
{
    uint64_t off = granule * BDR_TRACK_GRANULE_BYTES, end = off + n * BDR_TRACK_GRANULE_BYTES;
    enum bdr_extent_kind kind = what == TRACK_ZERO ? BDR_EXTENT_ZERO : BDR_EXTENT_DATA;

    off = BDR_MAX(off, w->off);
    end = BDR_MIN(end, w->end);
    if (off >= end)
        return NULL;
    if (w->ext.len && (w->ext.kind != kind || w->ext.off + w->ext.len != off))
        BDR_TRY(gen_flush(w));
    if (!w->ext.len)
        w->ext = (struct bdr_extent){.off = off, .kind = kind};
    w->ext.len = end - w->ext.off;
    return NULL;
}

static struct bdr_err *gen_walk(struct gen_look *k, struct gen_tell *w, uint64_t first, uint64_t end)
{
    for (uint64_t at = first; at < end;) {
        uint64_t n = BDR_MIN(end - at, GEN_CHUNK - at % GEN_CHUNK), skew = at % 8;

        gen_look(k, at - skew, n + skew);
        for (uint64_t i = 0; i < n;) {
            uint8_t what = k->lut[k->marks[skew + i]];
            uint64_t same = 1;

            while (i + same < n && k->lut[k->marks[skew + i + same]] == what)
                same++;
            if (what)
                BDR_TRY(gen_add(w, at + i, same, what));
            i += same;
        }
        at += n;
    }
    return gen_flush(w);
}

static struct bdr_err *gen_known(const struct bdr_track *t, uint64_t seq)
{
    if (seq > track_names_seq(t->map->head))
        BDR_FAIL(BDR_STALE, 0, "generation %llu of %s is not one of this tracking", (unsigned long long)seq,
                 t->disk.name);
    return NULL;
}

struct bdr_err *bdr_track_changes(struct bdr_track *t, uint64_t seq, uint64_t off, uint64_t len, bdr_extent_fn fn,
                                  void *ctx)
{
    BDR_AUTO(mem) struct gen_look *k = calloc(1, sizeof(*k));
    struct gen_tell w = {.fn = fn, .ctx = ctx};
    uint64_t size;

    BDR_NOMEM_IF_NULL(k);
    BDR_TRY(track_fresh(t, false));
    BDR_TRY(gen_known(t, seq));
    size = t->map->head->size_bytes;
    if (off > size || len > size - off)
        BDR_FAIL(BDR_RANGE, 0, "%llu bytes at %llu are not within %s", (unsigned long long)len, (unsigned long long)off,
                 t->disk.name);
    if (!len)
        return NULL;
    k->map = t->map;
    k->seq = seq;
    k->epoch = UINT64_MAX;
    w.off = off;
    w.end = off + len;
    return gen_walk(k, &w, off / BDR_TRACK_GRANULE_BYTES, (off + len - 1) / BDR_TRACK_GRANULE_BYTES + 1);
}

uint64_t track_changed(const struct track_map *m, uint64_t seq, bool *out_damaged)
{
    struct gen_look k = {.map = m, .seq = seq, .epoch = UINT64_MAX};
    uint64_t bytes = 0, tail = m->granules * BDR_TRACK_GRANULE_BYTES - m->head->size_bytes;

    for (uint64_t at = 0; at < m->granules; at += GEN_CHUNK) {
        uint64_t n = BDR_MIN(m->granules - at, (uint64_t)GEN_CHUNK), data = 0;

        gen_look(&k, at, n);
        for (uint64_t i = 0; i < n; i++) {
            data += k.lut[k.marks[i]] == TRACK_DATA;
            if (out_damaged && k.marks[i] && !TRACK_LOAD(&m->head->names[k.marks[i] & CBT_NAME]))
                *out_damaged = true;
        }
        bytes += data * BDR_TRACK_GRANULE_BYTES;
        if (at + n == m->granules && k.lut[k.marks[n - 1]] == TRACK_DATA)
            bytes -= tail; /* the last granule may be short */
    }
    return bytes;
}

struct bdr_err *bdr_track_changed_bytes(struct bdr_track *t, uint64_t seq, uint64_t *out)
{
    BDR_TRY(track_fresh(t, false));
    BDR_TRY(gen_known(t, seq));
    *out = track_changed(t->map, seq, NULL);
    return NULL;
}

bool bdr_track_touched(struct bdr_track *t, uint64_t seq, uint64_t off, uint64_t len)
{
    const struct track_map *m = TRACK_LOAD(&t->map);
    const struct track_head *h = m->head;
    uint64_t end;

    if (!len || (TRACK_LOAD(&h->cbt.state) & (TRACK_MOVED | TRACK_ENDED)))
        return len; /* nobody marks in this map any more */
    end = (off + len - 1) / BDR_TRACK_GRANULE_BYTES + 1;
    if (end > m->granules)
        return true;
    for (uint64_t i = off / BDR_TRACK_GRANULE_BYTES; i < end; i++) {
        /* First the mark, then what its name means: a name that was given anew meanwhile is a greater number. */
        uint8_t mark = TRACK_LOAD(&m->marks[i]);
        uint64_t of = mark ? TRACK_LOAD(&h->names[mark & CBT_NAME]) : 1;

        if (mark && (!of || of > seq))
            return true;
    }
    return false;
}
