/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - where each block lies: a local LMDB cache of the packs' tables.
 *
 * It can be lost: the packs say the same. A block may lie in several packs; all places are kept, and a place in a
 * pack that is gone is skipped. Several processes may use one index; one process opens it once and shares it.
 * Threads: any.
 */
#pragma once
#include "pack.h"

struct bdr_index;

struct bdr_loc {
    uint32_t pack; /* number of the pack in this index; never reused */
    uint32_t row;  /* row in its table */
    struct bdr_pack_row at;
};
struct bdr_index_pack {
    struct bdr_pack_info info;
    uint32_t no;
    bool condemned;
};

/* A damaged index is thrown away unless another process uses it; so is any index with `fresh`.
 * Errors: CORRUPT (in use, rebuild it later), VERSION, READONLY/DENIED (use another folder), NOSPACE; BUSY (fresh). */
bdr_ret bdr_index_open(const char *dir, const uint8_t repo_id[16], bool fresh, struct bdr_index **out);
void bdr_index_close(struct bdr_index *ix);
/* Up to `max` places of a block, best first: packs that are not condemned before those that are. */
bdr_ret bdr_index_find(struct bdr_index *ix, const struct bdr_id *id, struct bdr_loc *out, size_t max, size_t *out_n,
                       bool *out_condemned);
/* *out: the block lies in a pack that a new reference may be made to: not condemned and not one of avoid[avoid_n]
 * (names, sorted). */
bdr_ret bdr_index_known(struct bdr_index *ix, const struct bdr_id *id, const uint8_t (*avoid)[16], size_t avoid_n,
                        bool *out);
/* Names a complete, durable pack. There already: fine. */
bdr_ret bdr_index_add(struct bdr_index *ix, const struct bdr_pack_info *info, const struct bdr_pack_row *rows);
/* Forgets a pack; with `rows` also its places (else they are skipped as stale). */
bdr_ret bdr_index_drop(struct bdr_index *ix, const uint8_t name[16], const struct bdr_pack_row *rows);
bdr_ret bdr_index_condemn(struct bdr_index *ix, const uint8_t name[16], bool condemned);
bdr_ret bdr_index_pack(struct bdr_index *ix, const uint8_t name[16], bool *out_found, struct bdr_index_pack *out);
/* The same by number. */
bdr_ret bdr_index_pack_no(struct bdr_index *ix, uint32_t no, bool *out_found, struct bdr_index_pack *out);
/* All packs, by number; *out is owned by the caller. */
bdr_ret bdr_index_packs(struct bdr_index *ix, struct bdr_index_pack **out, size_t *out_n);
/* What the index says of a pack's rows, by offset; reads the whole index: for when the pack can't say it itself. */
bdr_ret bdr_index_rows(struct bdr_index *ix, uint32_t no, struct bdr_pack_row **out, uint32_t *out_n);
/* Forgets everything. */
bdr_ret bdr_index_clear(struct bdr_index *ix);
/* Small immutable objects kept beside (manifests), by key. *out NULL when absent; owned by caller. */
bdr_ret bdr_index_blob_get(struct bdr_index *ix, const char *key, uint8_t **out, size_t *out_len);
bdr_ret bdr_index_blob_put(struct bdr_index *ix, const char *key, const void *data, size_t len);

BDR_AUTO_DEFINE(index, struct bdr_index *, bdr_index_close)
