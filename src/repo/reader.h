/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.h - fetching blocks by id: find, read in few large pieces, decode, check.
 *
 * Threads: bdr_blocks_read from any thread at once (each call borrows a reader of its own).
 */
#pragma once
#include "repo_i.h"

/* One wanted block. `dst` gets exactly `raw` bytes when err is NULL afterwards. */
struct bdr_want {
    struct bdr_id id;
    void *dst;
    uint32_t raw;          /* bytes the block must have */
    struct bdr_err *err;   /* owned by the caller afterwards: CORRUPT names pack and offset; NOTFOUND; IO; NET */
};

/* Returns an error only when nothing at all can be said (NOMEM, CANCELLED); otherwise each want has its own. */
bdr_ret bdr_blocks_read(struct bdr_repo *repo, struct bdr_want *want, size_t n);
/* One block of unknown size, at most `max` bytes. */
bdr_ret bdr_block_read(struct bdr_repo *repo, const struct bdr_id *id, void *dst, size_t max, size_t *out_len);
void bdr_readers_free(struct bdr_repo *repo);
