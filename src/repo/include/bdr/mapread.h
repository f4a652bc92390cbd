/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapread.h - what a stored map says: the ids of its blocks.
 *
 * Threads: any.
 */
#pragma once
#include "bdr/repo.h"

/* out[count] gets the ids of blocks [first, first+count) of the map of `levels` levels below `root`; zeros where the
 * disk is zero. CORRUPT, IO, NET; RANGE past what the map covers. */
bdr_ret bdr_map_ids(struct bdr_repo *repo, const struct bdr_id *root, uint32_t levels, uint64_t first, uint32_t count,
                    struct bdr_id *out);
/* One block that is not zero. An error ends the walk and is returned. */
typedef struct bdr_err *bdr_map_walk_fn(void *ctx, uint64_t block, const struct bdr_id *id);
/* Calls `fn` for the blocks below `root` in increasing order; with `base`, the root of a map of as many levels, without
 * those that are the same there: what both share is not even read. */
bdr_ret bdr_map_walk(struct bdr_repo *repo, const struct bdr_id *root, uint32_t levels, const struct bdr_id *base,
                     const struct bdr_cancel *cancel, bdr_map_walk_fn *fn, void *ctx);
