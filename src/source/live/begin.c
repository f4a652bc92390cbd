/* SPDX-License-Identifier: Apache-2.0 */
/* begin.c - what a moment needs before the first pass: what lies on the disks, a freezer, the first cut. */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "disk.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BEGIN_SETTLE_MS   300 /* writes in flight reach the disk; trap 4 of the measurements in docs/drivers/live.md */
#define BEGIN_QUIET_TRIES 20
#define BEGIN_QUIET_MS    5

void live_note(struct live_moment *m, const char *fmt, ...)
{
    va_list ap;

    if (m->report.note[0])
        return;
    va_start(ap, fmt);
    vsnprintf(m->report.note, sizeof(m->report.note), fmt, ap);
    va_end(ap);
}

struct bdr_err *live_doubt(struct live_disk *d, struct bdr_err *err)
{
    if (!err || err->code != BDR_STALE)
        return err;
    if (!d->stale[0])
        bdr_err_text(err, d->stale, sizeof(d->stale));
    d->counted = false;
    d->doubted = true;
    bdr_err_drop(err, "a full pass follows, with this as its reason");
    return NULL;
}

bool live_doubted(const struct live_moment *m)
{
    LIVE_EACH(m, i, d)
    {
        if (d->stale[0])
            return true;
    }
    return false;
}

/* Counts to audit against, if an instant is found at which nothing is under way. */
static struct bdr_err *begin_counts(struct live_moment *m, struct live_disk *d)
{
    struct live_counts before, after;

    BDR_TRY(live_counts_read(m->sys_root, d->major, d->minor, &d->kernel));
    for (unsigned i = 0; d->track && !d->counted && i < BEGIN_QUIET_TRIES; i++) {
        BDR_TRY(live_counts_read(m->sys_root, d->major, d->minor, &before));
        BDR_TRY(live_doubt(d, bdr_track_counts(d->track, &d->counts)));
        BDR_TRY(live_counts_read(m->sys_root, d->major, d->minor, &after));
        d->counted = !d->stale[0] && !before.flying && !after.flying && before.written == after.written;
        if (!d->counted)
            BDR_TRY(bdr_cancel_sleep(m->opt.cancel, BEGIN_QUIET_MS));
    }
    return NULL;
}

struct bdr_err *live_sync(struct live_moment *m)
{
    struct bdr_err *err = m->freezer ? bdr_freezer_sync(m->freezer, m->opt.cancel) : NULL;
    char text[160];

    if (err && err->code == BDR_CANCELLED)
        return err;
    if (err) {
        live_note(m, "writing out the file systems failed: %s", bdr_err_text(err, text, sizeof(text)));
        bdr_err_drop(err, "what is not written out now is written out by the freeze");
    }
    return NULL;
}

struct bdr_err *live_cut(struct live_moment *m)
{
    uint64_t end;

    LIVE_EACH(m, i, d)
    {
        if (!d->track)
            continue;
        d->since = d->began;
        BDR_TRY(live_doubt(d, bdr_track_cut(d->track, &d->began)));
    }
    /* What was under way at the cut may carry an older number, and its end may go unseen: it must be on the disk before
     * the pass reads. */
    end = bdr_clock_mono_ms() + BEGIN_SETTLE_MS;
    LIVE_EACH(m, i, d)
    {
        uint64_t now = bdr_clock_mono_ms();

        if (d->track && now < end)
            BDR_TRY(bdr_track_settle(d->track, (uint32_t)(end - now), m->opt.cancel));
    }
    LIVE_EACH(m, i, d)
    {
        BDR_TRY(begin_counts(m, d));
    }
    atomic_store(&m->read_bytes, 0);
    m->pass_ms = bdr_clock_mono_ms();
    return NULL;
}

struct bdr_err *live_begin(struct live_moment *m)
{
    if (m->begun)
        return NULL;
    BDR_TRY(bdr_cancel_check(m->opt.cancel));
    BDR_TRY(live_mounts_find(m));
    BDR_TRY(live_sync(m)); /* so that pass 0 reads what would else come with the passes after it */
    BDR_TRY(live_cut(m));
    m->begun = true;
    return NULL;
}
