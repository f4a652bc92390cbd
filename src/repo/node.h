/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - one node of a disk's map. Format: docs/formats/repository.md section 5. Threads: any. */
#pragma once
#include "bdr/repo.h"

#define BDR_FANOUT 64
#define BDR_NODE_MAX_BYTES (16 + BDR_FANOUT * BDR_ID_BYTES)

struct bdr_node {
    uint64_t bits;
    struct bdr_id child[BDR_FANOUT]; /* valid where the bit is set */
};
/* Returns bytes written to out[BDR_NODE_MAX_BYTES]. */
size_t bdr_node_encode(const struct bdr_node *n, uint32_t level, uint8_t *out);
/* CORRUPT unless raw[len] is a node of that level. */
bdr_ret bdr_node_decode(const void *raw, size_t len, uint32_t level, struct bdr_node *out);
/* Reads a node from the repository. */
bdr_ret bdr_node_read(struct bdr_repo *repo, const struct bdr_id *id, uint32_t level, struct bdr_node *out);
/* Blocks that one child of a node of `level` covers: 64^level. */
BDR_UNUSED static inline uint64_t bdr_node_span(uint32_t level)
{
    return (uint64_t)1 << (6 * level);
}
