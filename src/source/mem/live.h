/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - mem disks that change while they are read, for tests of whoever makes several passes.
 *
 * The test owns a mem_moment and gives it drv->next. All disks opened with it share its clock: at tick t a disk
 * "mem:SIZE,seed=S,gen=G,live=N" has the content of "mem:SIZE,seed=S,gen=G+t". Each N-th read of a disk is a tick;
 * live=0 leaves ticking to the test. Once FINAL was told, what changed is read as of `final`, anything else as of now,
 * or STALE if it was written since. Threads: tick: any; the rest between the passes.
 */
#pragma once
#include "bdr/moment.h"
#include <stdatomic.h>

struct mem_moment {
    struct bdr_moment base;
    atomic_uint_fast64_t tick;
    uint64_t began, since; /* ticks: when the running pass began, and the one before */
    bool rounds;           /* next() was called: CHANGED is against `since`, not against a token */
    bool last;             /* FINAL was told */
    uint64_t final;        /* tick of the moment */
    const char *stale;     /* extents(CHANGED) fails with this text until extents(ALL) is asked for; NULL: it works */
};

/* What next() does first, and before it says FINAL. */
static inline void mem_moment_pass(struct mem_moment *m)
{
    m->rounds = true;
    m->since = m->began;
    m->began = atomic_load(&m->tick);
}
static inline void mem_moment_last(struct mem_moment *m)
{
    mem_moment_pass(m);
    m->last = true;
    m->final = m->began;
}
