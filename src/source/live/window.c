/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.c - the moment itself: the disks are held still, counted, and what has changed is read.
 *
 * Between freeze and thaw nothing is logged, printed or executed: it might have to wait for a file system that we hold.
 */
#include "bdr/clock.h"
#include "disk.h"
#include "predict.h"
#include <stdio.h>
#include <string.h>

#define WINDOW_SLACK_BYTES ((uint64_t)16 << 20) /* for what changes between the count and the freeze */

struct window {
    struct live_moment *m;
    struct live_disk *d; /* whose changes are being walked */
    uint64_t cut[BDR_VOLUMES_DISKS_MAX];
    struct live_counts before[BDR_VOLUMES_DISKS_MAX];
    bool written[BDR_VOLUMES_DISKS_MAX]; /* somebody wrote during the capture */
    bool clashed;                        /* what was captured may be of two times */
    int64_t time_ms;
};

/* ---- what has to be read ---- */

static struct bdr_err *dirty_add(void *ctx, const struct bdr_extent *ext)
{
    if (ext->kind == BDR_EXTENT_DATA)
        *(uint64_t *)ctx += ext->len;
    return NULL;
}

struct bdr_err *live_dirty(struct live_moment *m, uint64_t *out)
{
    uint64_t sum = 0;

    LIVE_EACH(m, i, d)
    {
        if (d->track)
            BDR_TRY(live_doubt(d, live_changes(d, d->began, 0, d->size_bytes, dirty_add, &sum)));
    }
    *out = sum;
    return NULL;
}

static struct bdr_err *window_room(struct live_moment *m)
{
    uint64_t dirty = 0;

    BDR_TRY(live_dirty(m, &dirty));
    return live_capture_room(&m->capture, BDR_MIN(dirty + dirty / 2 + WINDOW_SLACK_BYTES, m->opt.capture_bytes));
}

static struct bdr_err *window_add(void *ctx, const struct bdr_extent *ext)
{
    struct window *w = ctx;

    return live_capture_add(&w->m->capture, w->d->index, ext);
}

static uint32_t window_left(void *ctx)
{
    return bdr_freezer_left_ms(((struct live_moment *)ctx)->freezer);
}

/* ---- doubt ---- */

/* Did the tracker see every write? To be asked while nothing is under way. */
static struct bdr_err *window_audit(struct live_disk *d, bool quiet, bool *out_doubt)
{
    struct bdr_track_counts now;
    int64_t missed = 0;

    BDR_TRY(live_doubt(d, bdr_track_counts(d->track, &now)));
    if (d->stale[0]) {
        *out_doubt = true;
        return NULL;
    }
    if (d->counted && quiet)
        BDR_TRY(bdr_track_missed(&d->counts, &now, &missed));
    if (missed > 0)
        snprintf(d->stale, sizeof(d->stale), "%lld sectors were written to %s that its tracker did not see",
                 (long long)missed, d->path);
    else if (now.passthrough != d->counts.passthrough && d->counted)
        snprintf(d->stale, sizeof(d->stale), "%llu commands went to %s past the kernel's block layer",
                 (unsigned long long)(now.passthrough - d->counts.passthrough), d->path);
    else
        return NULL;
    d->counts = now; /* whatever was wrong, they begin anew here */
    d->counted = quiet;
    d->doubted = true;
    *out_doubt = true;
    return NULL;
}

static struct bdr_err *window_quiet(struct window *w, const struct live_disk *d, bool *out)
{
    struct live_counts now;

    BDR_TRY(live_counts_read(w->m->sys_root, d->major, d->minor, &now));
    *out = !now.flying && now.written == w->before[d->index].written;
    return NULL;
}

static struct bdr_err *clash_look(void *ctx, const struct bdr_extent *ext)
{
    struct window *w = ctx;

    /* In a swap area nothing was captured, and there writing never ends. */
    if (ext->kind == BDR_EXTENT_DATA && bdr_track_touched(w->d->track, w->cut[w->d->index], ext->off, ext->len))
        w->clashed = true;
    return NULL;
}

static struct bdr_err *clash_piece(void *ctx, const struct bdr_extent *ext)
{
    struct window *w = ctx;

    return ext->kind == BDR_EXTENT_DATA ? live_split_swap(w->d, ext->off, ext->len, clash_look, w) : NULL;
}

/*
 * Is what was captured of one moment: that at which the last disk was cut? What was not captured has not changed up to
 * then. What was captured and is not written after its disk's cut is as it was then; a write that was under way may or
 * may not be in it, as after a power cut. So the one thing to rule out is a write to what was captured, after the cut.
 */
static struct bdr_err *window_clashes(struct window *w)
{
    LIVE_EACH(w->m, i, d)
    {
        bool quiet = false;

        w->d = d;
        if (d->track)
            BDR_TRY(live_capture_walk(&w->m->capture, d->index, 0, d->size_bytes, clash_piece, w));
        BDR_TRY(window_quiet(w, d, &quiet));
        w->written[i] = !quiet;
        if (!d->track && d->kernel.written != w->before[i].written) { /* since its only pass began */
            live_note(w->m, "%s was written while it was read, and %s", d->path, d->untracked);
            w->clashed = true;
        } else if (!d->track && !quiet) {
            w->clashed = true;
        }
    }
    return NULL;
}

/* ---- capturing ---- */

static struct bdr_err *window_cut(struct window *w)
{
    LIVE_EACH(w->m, i, d)
    {
        if (d->track)
            BDR_TRY(live_doubt(d, bdr_track_cut(d->track, &w->cut[i])));
        BDR_TRY(live_counts_read(w->m->sys_root, d->major, d->minor, &w->before[i]));
    }
    w->time_ms = bdr_clock_wall_ms();
    return NULL;
}

static struct bdr_err *window_capture(struct window *w, uint32_t (*left)(void *ctx))
{
    struct live_moment *m = w->m;
    uint64_t start = bdr_clock_mono_ns();
    int fds[BDR_VOLUMES_DISKS_MAX];

    for (size_t i = 0; i < m->n; i++)
        fds[i] = m->disk[i] ? m->disk[i]->fd : -1;
    LIVE_EACH(m, i, d)
    {
        w->d = d;
        if (d->track)
            BDR_TRY(live_doubt(d, live_changes(d, d->began, 0, d->size_bytes, window_add, w)));
    }
    BDR_TRY(live_capture_read(&m->capture, fds, left, m));
    if (m->capture.used >= 4u << 20)
        m->capture_rate = (double)m->capture.used * 1e9 / (double)BDR_MAX(bdr_clock_mono_ns() - start, 1u);
    return NULL;
}

/* Tokens of the moment. `exact`: nothing was under way on the disk, so that the counts mean something. */
static struct bdr_err *window_tokens(struct window *w, bool one_moment)
{
    LIVE_EACH(w->m, i, d)
    {
        struct bdr_track_counts counts;
        bool quiet = false;

        free(d->token);
        d->token = NULL;
        if (!d->track || d->stale[0])
            continue;
        BDR_TRY(bdr_track_counts(d->track, &counts));
        BDR_TRY(window_quiet(w, d, &quiet));
        /* Of no moment: whatever was written since the last pass began may be missing. */
        d->token_seq = one_moment ? w->cut[i] : d->began;
        d->moment = w->cut[i];
        BDR_TRY(live_doubt(d, bdr_track_token(d->track, d->token_seq, &counts, one_moment && quiet, &d->token)));
    }
    return NULL;
}

static void window_blank(struct live_moment *m)
{
    for (size_t i = 0; !m->opt.keep_swap && i < m->vol->swap_n; i++)
        live_capture_zero(&m->capture, m->vol->swap[i].disk, m->vol->swap[i].off, m->vol->swap[i].len);
}

/* What the kernel itself could not freeze (vfat) must not have been written, nor may anything else be. */
static bool window_all_still(const struct window *w)
{
    const struct live_moment *m = w->m;

    for (size_t k = 0; k < m->mounts; k++) {
        const struct bdr_volume_fs *fs = &m->vol->fs[m->frozen_fs[k]];

        for (size_t i = 0; m->state[k] != BDR_FREEZE_YES && i < m->n; i++)
            if (bdr_volume_on(fs, i) && w->written[i])
                return false;
    }
    return true;
}

static void window_tell(struct window *w, bool frozen)
{
    struct live_moment *m = w->m;
    const struct live_facts facts = {.one_moment = !w->clashed,
                                     .frozen = frozen || (!m->mounts && !m->vol->raw_n),
                                     .raw = m->vol->raw_n > 0,
                                     .prepared = m->prepared};

    if (facts.raw)
        live_note(m, "%s is written by a program without a file system", m->vol->raw[0].what);
    snprintf(m->report.consistency, sizeof(m->report.consistency), "%s", live_label(&facts));
    m->report.time_ms = w->time_ms;
    m->report.captured_bytes = m->capture.used;
    window_blank(m);
}

/* While frozen. */
static struct bdr_err *frozen_work(struct window *w, bool *out_doubt)
{
    struct live_moment *m = w->m;

    BDR_TRY(window_cut(w));
    BDR_TRY(window_capture(w, window_left));
    BDR_TRY(window_clashes(w));
    LIVE_EACH(m, i, d)
    {
        if (d->track)
            BDR_TRY(window_audit(d, !w->written[i], out_doubt));
    }
    BDR_TRY(live_verify_hook(m, w->before));
    return window_tokens(w, true);
}

struct bdr_err *live_window_frozen(struct live_moment *m, enum live_outcome *out)
{
    struct window w = {.m = m};
    uint64_t start = bdr_clock_mono_ms();
    struct bdr_err *err, *work;
    bool doubt = false, held = false;
    uint32_t window_ms = 0;

    *out = LIVE_AGAIN;
    BDR_TRY(window_room(m));
    m->report.freezes++;
    err = bdr_freezer_freeze(m->freezer, m->opt.freeze_ms, m->state);
    m->freeze_ms = (uint32_t)BDR_MIN(bdr_clock_mono_ms() - start, (uint64_t)UINT32_MAX);
    if (err)
        return err;
    work = frozen_work(&w, &doubt);
    err = bdr_freezer_thaw(m->freezer, &held, &window_ms);
    BDR_TRY(bdr_err_first(work, err));
    if (doubt) {
        *out = LIVE_DOUBT;
        return NULL;
    }
    if (!held || w.clashed)
        return NULL;
    m->report.window_ms = window_ms;
    m->report.filesystems = 0;
    for (size_t k = 0; k < m->mounts; k++)
        m->report.filesystems += m->state[k] == BDR_FREEZE_YES;
    if (!window_all_still(&w))
        live_note(m, "a file system that can't be frozen was written meanwhile");
    window_tell(&w, window_all_still(&w));
    *out = LIVE_DONE;
    return NULL;
}

struct bdr_err *live_window_open(struct live_moment *m, bool anyhow, enum live_outcome *out)
{
    struct window w = {.m = m};
    bool doubt = false;

    *out = LIVE_AGAIN;
    BDR_TRY(window_room(m));
    BDR_TRY(window_cut(&w));
    BDR_TRY(window_capture(&w, NULL));
    BDR_TRY(window_clashes(&w));
    LIVE_EACH(m, i, d)
    {
        if (d->track)
            BDR_TRY(window_audit(d, !w.written[i], &doubt));
    }
    if (doubt && !anyhow) {
        *out = LIVE_DOUBT;
        return NULL;
    }
    w.clashed |= doubt;
    if (w.clashed && !anyhow)
        return NULL;
    BDR_TRY(window_tokens(&w, !w.clashed));
    window_tell(&w, false);
    *out = LIVE_DONE;
    return NULL;
}

struct bdr_err *live_window_skip(struct live_moment *m, enum live_outcome *out)
{
    struct window w = {.m = m, .clashed = true, .time_ms = bdr_clock_wall_ms()};

    BDR_TRY(window_tokens(&w, false));
    window_tell(&w, false);
    *out = LIVE_DONE;
    return NULL;
}
