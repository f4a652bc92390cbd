/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - building the map of one disk while its blocks are being stored.
 *
 * One thread (the feeder) opens runs of blocks in increasing order; other threads set the blocks' ids and end the
 * runs in any order. A node is stored when its last run has ended; memory is a few nodes a level and run in flight.
 * With a base map, nodes that come out the same are shared instead of stored.
 */
#pragma once
#include "bdr/session.h"

struct bdr_map;
struct bdr_map_run;

enum bdr_map_mode {
    BDR_MAP_FULL,  /* blocks that no run covers are zero */
    BDR_MAP_DELTA, /* blocks that no run covers are as in the base */
};
/* `base`: root of the base map of a disk with as many levels, or NULL (then only FULL). */
bdr_ret bdr_map_new(struct bdr_session *s, uint64_t blocks, const struct bdr_id *base, enum bdr_map_mode mode,
                    struct bdr_map **out);
void bdr_map_free(struct bdr_map *m); /* only when no run is open any more */

/* Feeder: blocks [first, first+count) within one leaf (64 aligned blocks), behind all earlier ones. */
bdr_ret bdr_map_run(struct bdr_map *m, uint64_t first, uint32_t count, struct bdr_map_run **out);
/* Feeder, DELTA only: these blocks are zero now. */
bdr_ret bdr_map_zero(struct bdr_map *m, uint64_t first, uint64_t count);
/* The block's id in the base, or NULL when it was zero (or there is no base). Any thread. */
const struct bdr_id *bdr_map_base(const struct bdr_map_run *run, uint64_t block);
/* Sets a block of the run; NULL: zero. The thread that has the run. */
void bdr_map_set(struct bdr_map_run *run, uint64_t block, const struct bdr_id *id);
/* Ends the run; consumes it. With `ok` false the map can't be finished. Any thread. */
bdr_ret bdr_map_run_end(struct bdr_map_run *run, bool ok);
/* Feeder, after all runs ended: the root, or *out_zero when the whole disk is zero. */
bdr_ret bdr_map_finish(struct bdr_map *m, struct bdr_id *out_root, bool *out_zero);

BDR_AUTO_DEFINE(map, struct bdr_map *, bdr_map_free)
