/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - a machine of make-believe below the moment: a tracker, a freezer, volumes and a disk that is a file.
 *
 * The functions of track.h, freeze.h, volumes.h, throttle.h and script.h are defined here and take the place of the
 * real ones when the test is linked. What they do is set in `world`. Threads: one.
 */
#pragma once
#include "../source/util.h"
#include "live/disk.h"

#define GRANULES 64u
#define GRANULE  ((uint64_t)BDR_TRACK_GRANULE_BYTES)

struct world {
    char dir[64];
    int fd; /* the disk's file */
    /* the tracker */
    uint64_t seq, mark[GRANULES];
    bool zero[GRANULES];
    uint64_t seen, kernel, passthrough; /* sectors */
    const char *broken;                 /* calls of the tracker are STALE with this */
    unsigned starts;
    uint64_t token_seq, kept_seq;
    bool token_exact;
    /* the file systems */
    size_t fs_n;
    bool raw, unfreezable;
    uint64_t swap_off, swap_len;
    unsigned held; /* mounts of the freezer that runs */
    /* the freezer */
    bool frozen, started;
    unsigned freezes, timeouts; /* the first `timeouts` freezes take too long */
    unsigned lost;              /* the first `lost` windows are thawed by the watchdog */
    bool busy;
    unsigned syncs;
    /* who writes when: called at these points with their names */
    void (*writer)(const char *when);
    unsigned scripts, throttles;
    bool script_fails, throttle_works;
};
extern struct world world;

void world_begin(void);
void world_end(void);
/* Somebody writes a granule: the file changes, the tracker marks it, the kernel counts it. */
void world_write(unsigned granule);
void world_discard(unsigned granule);
/* The same, unseen by the tracker. */
void world_write_unseen(unsigned granule);
/* A disk of the moment, as the driver would have opened it; untracked: without a tracker. Closed by bdr_source_close.
 */
struct bdr_source *world_disk(struct bdr_moment *m, bool untracked);
