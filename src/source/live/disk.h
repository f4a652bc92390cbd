/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - a live disk and the moment it shares with others: what the files of the driver know of each other.
 *
 * live.c is the disk as a source; moment.c goes from pass to pass; window.c stops the disks for a moment; begin.c
 * starts it all. Threads: as source.h says; what the moment writes is written while no read is under way.
 */
#pragma once
#include "../source_priv.h"
#include "bdr/freeze.h"
#include "bdr/live.h"
#include "bdr/throttle.h"
#include "bdr/track.h"
#include "bdr/volumes.h"
#include "capture.h"
#include "counts.h"
#include <stdatomic.h>

struct live_moment;

struct live_disk {
    struct bdr_source base;
    struct bdr_source *dev; /* owned: the disk as a block device */
    char *path;             /* owned; "/dev/vda" */
    unsigned major, minor;
    int fd; /* O_DIRECT, for the window */
    uint64_t size_bytes;
    struct live_moment *m; /* borrowed; NULL: just a disk that changes */
    uint32_t index;        /* among the moment's disks */

    struct bdr_track *track; /* owned; NULL: not tracked, because: */
    char untracked[200];
    char stale[240]; /* extents(CHANGED) fails with this until extents(ALL) is asked for; "": it works */
    bool has_base;   /* CHANGED of pass 0 is against base_seq */
    uint64_t base_seq;
    uint64_t moment;       /* number of the moment: what has a greater one came after */
    uint64_t began, since; /* numbers: when the running pass began, and the one before */
    bool counted;          /* `counts` were taken while nothing was in flight */
    struct bdr_track_counts counts;
    struct live_counts kernel; /* when the running pass began: for disks without a tracker */
    bool doubted;          /* it is the tracker that `stale` is about */
    unsigned missed;           /* times the counts did not fit */
    bool discards_lie;         /* what was discarded does not read as zeros: it is read */
    char *token;               /* owned; of the moment */
    uint64_t token_seq;
};

struct live_moment {
    struct bdr_moment base;
    struct bdr_live_options opt;                   /* strings owned; figures without zeros */
    const char *sys_root;                          /* "/sys"; a test has its own */
    uint32_t window_ms;                            /* that was predicted last */
    struct live_disk *disk[BDR_VOLUMES_DISKS_MAX]; /* borrowed; NULL: closed */
    size_t n;
    bool begun;                   /* volumes were looked for, the first cut was made */
    bool rounds, last;            /* next() was called; it said FINAL */
    struct bdr_volumes *vol;      /* owned */
    struct bdr_freezer *freezer;  /* owned; NULL: nothing to freeze */
    size_t *frozen_fs;            /* owned; the freezer's mounts as indices of vol->fs */
    enum bdr_freeze_state *state; /* owned; of those mounts at the last attempt */
    size_t mounts;
    struct live_capture capture;
    struct bdr_moment_report report;
    /* Measured as we go. */
    atomic_uint_fast64_t read_bytes; /* of the running pass */
    uint64_t pass_ms;                /* when it began */
    double read_rate, capture_rate;
    uint32_t freeze_ms;
    bool prepared;                 /* the pre-freeze program of the last attempt said yes */
    struct bdr_throttle *throttle; /* owned; NULL: writers are not slowed down now */
    unsigned throttle_steps;       /* times they were slowed down more */
    uint32_t freezes_left;
    char why[200]; /* the last attempt failed */
};

#define LIVE_EACH(m, i, d)                                                                                             \
    for (size_t i = 0; i < (m)->n; i++)                                                                                \
        for (struct live_disk *d = (m)->disk[i]; d; d = NULL)

/* Makes the moment's drv known to the driver: spec.moment must be one of these. */
extern const struct bdr_moment_driver live_moment_driver;
/* Once, before the first pass reads anything. */
bdr_ret live_begin(struct live_moment *m);
/* The tracker's numbers of the next pass begin here; returns when what was under way has reached the disks. */
bdr_ret live_cut(struct live_moment *m);
/* Looks for volumes and starts a freezer; again when there are others by now. STALE is for disks whose swap areas went. */
bdr_ret live_mounts_find(struct live_moment *m);
bdr_ret live_mounts_again(struct live_moment *m);
void live_mounts_end(struct live_moment *m);
/* Syncs the file systems. What goes wrong with that is noted. */
bdr_ret live_sync(struct live_moment *m);
/*
 * What a call of the tracker gave. STALE is kept as the disk's doubt and the call counts as done with nothing found:
 * the disk is read as a whole in the next pass. Anything else is passed on.
 */
bdr_ret live_doubt(struct live_disk *d, struct bdr_err *err);
bool live_doubted(const struct live_moment *m);
/* Keeps the first reason why the label is not better. */
void live_note(struct live_moment *m, const char *fmt, ...) BDR_PRINTF(2, 3);

enum live_outcome {
    LIVE_DONE,  /* captured: one moment */
    LIVE_AGAIN, /* it did not come off; another pass may help */
    LIVE_DOUBT, /* a tracker was found wanting: its disk says STALE now */
};
/* With file systems frozen. */
bdr_ret live_window_frozen(struct live_moment *m, enum live_outcome *out);
/* Without. `anyhow`: what was captured is kept though it is of no one moment. */
bdr_ret live_window_open(struct live_moment *m, bool anyhow, enum live_outcome *out);
/* The programs before and after a freeze. A failing one costs the label "application" and is noted. */
bdr_ret live_script_pre(struct live_moment *m);
bdr_ret live_script_post(struct live_moment *m, bool ok);
/*
 * Tests: with BDR_LIVE_VERIFY=DIR in the environment all disks are copied to DIR/disk<N>.raw while they stand still.
 * DIR is on none of them. DIR/disturbed is there when a disk was written all the same since the kernel counted
 * `before`: btrfs goes on trimming when frozen.
 */
bdr_ret live_verify_hook(struct live_moment *m, const struct live_counts *before);
/* Without reading anything: the point is what the passes have read, of no one moment. */
bdr_ret live_window_skip(struct live_moment *m, enum live_outcome *out);
/* Slows the writers of the disks down, or down more; *out false: it can't be done, or not again. Ends by itself with
 * the moment. */
bdr_ret live_throttle(struct live_moment *m, bool *out);
void live_throttle_end(struct live_moment *m);
/* Bytes that a window would have to read. */
bdr_ret live_dirty(struct live_moment *m, uint64_t *out);
/* What has changed with a number > seq, swap areas as zeros, discards that lie as data. */
bdr_ret live_changes(struct live_disk *d, uint64_t seq, uint64_t off, uint64_t len, bdr_extent_fn fn, void *ctx);
/* Calls `fn` for each part of [off, off+len) that lies in a swap area (ZERO) or does not (DATA). */
bdr_ret live_split_swap(const struct live_disk *d, uint64_t off, uint64_t len, bdr_extent_fn fn, void *ctx);
