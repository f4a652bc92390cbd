/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moment.h - the contract by which disks that change while they are read are brought to one consistent moment.
 *
 * All live disks of a point share one moment. The copy engine runs passes over all of them:
 *
 *   open the moment -> open the sources with spec.moment
 *   pass 0: every disk, CHANGED against the last point's token, or ALL
 *   do { bdr_moment_next(&step); every disk: CHANGED, which now means since the pass before began } while (step is PASS)
 *
 * With step FINAL the disks stood still together (file systems frozen), what had changed was taken into memory, and
 * the last pass reads it from there: nothing is frozen any more when next() returns. A read of anything else is STALE then if that
 * may have been written since the moment: what the pass before read of it is what it was. Between the passes a driver may say
 * STALE to extents(CHANGED) - the tracker was found wanting - and gets a full pass and more rounds; after FINAL never.
 * Depends on: base.      Threads: one at a time; no read of a source may be under way during next().
 */
#pragma once
#include "bdr/err.h"
#include <stdint.h>

enum bdr_moment_step { BDR_MOMENT_PASS, BDR_MOMENT_FINAL };

struct bdr_moment_report {
    char consistency[16];    /* "application", "filesystem", "crash", or "inconsistent": not of one moment */
    char note[240];          /* why it is not better, in words; empty when it could not be */
    int64_t time_ms;         /* wall clock of the moment */
    uint32_t passes;         /* next() calls */
    uint32_t freezes;        /* attempts */
    uint32_t window_ms;      /* how long the file systems stood still, the successful time */
    uint32_t filesystems;    /* that were frozen */
    uint64_t captured_bytes; /* read in the window */
    bool throttled;          /* writers were slowed down to get there */
};

struct bdr_moment;
struct bdr_moment_driver {
    const char *name;
    struct bdr_err *(*next)(struct bdr_moment *m, enum bdr_moment_step *out);
    /* Valid after FINAL. */
    void (*report)(struct bdr_moment *m, struct bdr_moment_report *out);
    /* The point is durable, or was given up. Everything is thawed; the sources are read no more. */
    void (*close)(struct bdr_moment *m);
};
struct bdr_moment {
    const struct bdr_moment_driver *drv;
};

/*
 * Errors: CANCELLED; what reading the disks says. Not converging is no error: the report's consistency and note tell what
 * was reached. On error everything is thawed.
 */
static inline bdr_ret bdr_moment_next(struct bdr_moment *m, enum bdr_moment_step *out)
{
    return m->drv->next(m, out);
}
static inline void bdr_moment_report(struct bdr_moment *m, struct bdr_moment_report *out)
{
    m->drv->report(m, out);
}
static inline void bdr_moment_close(struct bdr_moment *m)
{
    if (m)
        m->drv->close(m);
}
BDR_AUTO_DEFINE(moment, struct bdr_moment *, bdr_moment_close)
