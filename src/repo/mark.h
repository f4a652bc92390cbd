/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark.h - which stored blocks visible points refer to: one bit a stored block, walked map by map.
 *
 * Private to the repository. Threads: one at a time.
 */
#pragma once
#include "bdr/gc.h"
#include "repo_i.h"

struct bdr_mark;
/* Snapshot of the index's packs; bits all clear. */
bdr_ret bdr_mark_new(struct bdr_repo *r, struct bdr_mark **out);
void bdr_mark_free(struct bdr_mark *m);
/* Marks all that the visible points refer to that are not marked yet. *out_new: points seen for the first time. */
bdr_ret bdr_mark_points(struct bdr_mark *m, const struct bdr_cancel *cancel, uint64_t *out_new);
size_t bdr_mark_packs(const struct bdr_mark *m);
const struct bdr_index_pack *bdr_mark_pack(const struct bdr_mark *m, size_t i);
uint32_t bdr_mark_live_rows(const struct bdr_mark *m, size_t i);
uint64_t bdr_mark_live_bytes(const struct bdr_mark *m, size_t i); /* as stored, without headers and tables */
bool bdr_mark_is_live(const struct bdr_mark *m, size_t i, uint32_t row);
BDR_AUTO_DEFINE(mark, struct bdr_mark *, bdr_mark_free)
