/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.h - where two disks of one repository differ.
 *
 * Only maps are read, and of those only the parts that differ. Threads: any.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct bdr_repo;

struct bdr_diff_side {
    const char *point; /* id, as bdr_point_info.id, or an unambiguous beginning */
    uint32_t disk;     /* number, from 0 */
};
/* Bytes [off, off+len) may differ; `data`: B holds data there, else zeros. An error stops the walk and is returned. */
typedef struct bdr_err *(*bdr_diff_fn)(void *ctx, uint64_t off, uint64_t len, bool data);

/*
 * Calls `fn` for the extents in which B differs from A: in increasing order, merged with neighbours of the same kind,
 * whole blocks except that the last ends with the larger disk. A disk counts as zeros behind its end; a short last
 * block counts as different from a longer one.
 * Errors: NOTFOUND point or disk; CORRUPT names the disk's offset.
 */
bdr_ret bdr_diff(struct bdr_repo *repo, const struct bdr_diff_side *a, const struct bdr_diff_side *b,
                 const struct bdr_cancel *cancel, bdr_diff_fn fn, void *ctx);
