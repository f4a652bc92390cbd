/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move.h - good blocks of a pack that will go, into new packs.
 *
 * Whoever moves has a session open, so that no prune takes the new packs for dead. Threads: one.
 */
#pragma once
#include "repo_i.h"

struct bdr_move {
    struct bdr_repo *r;
    struct bdr_pack_writer *pack[BDR_PACK_CLASSES]; /* owned; being filled */
    struct bdr_unpacker *unpack;                    /* owned */
    uint64_t written_bytes;                         /* of the new packs so far */
};
/* `out` is zeroed and has r. */
bdr_ret bdr_move_begin(struct bdr_repo *r, struct bdr_move *out);
/* Decodes and checks body[row->stored] of the pack `from`, then stores it: a move must not give damage a fresh checksum.
 * CORRUPT: nothing was stored. */
bdr_ret bdr_move_row(struct bdr_move *m, const struct bdr_pack_info *from, const struct bdr_pack_row *row,
                     const uint8_t *body);
/* What was moved so far is durable and in the index. */
bdr_ret bdr_move_commit(struct bdr_move *m);
void bdr_move_end(struct bdr_move *m);
