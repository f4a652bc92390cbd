/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"
#include "bdr/bytes.h"
#include "reader.h"
#include <string.h>

static const char node_magic[4] = {'B', 'D', 'R', 'N'};

size_t bdr_node_encode(const struct bdr_node *n, uint32_t level, uint8_t *out)
{
    size_t at = 16;

    memcpy(out, node_magic, 4);
    out[4] = 1;
    out[5] = (uint8_t)level;
    out[6] = out[7] = 0;
    for (size_t i = 0; i < 8; i++)
        out[8 + i] = (uint8_t)(n->bits >> (8 * i));
    for (size_t i = 0; i < BDR_FANOUT; i++)
        if (n->bits >> i & 1) {
            memcpy(out + at, n->child[i].b, BDR_ID_BYTES);
            at += BDR_ID_BYTES;
        }
    return at;
}

struct bdr_err *bdr_node_decode(const void *raw, size_t len, uint32_t level, struct bdr_node *out)
{
    struct bdr_cur c = bdr_cur_of(raw, len);
    const uint8_t *magic = bdr_cur_take(&c, 4);
    uint8_t version = bdr_cur_u8(&c), got_level = bdr_cur_u8(&c);
    uint16_t zero = bdr_cur_u16(&c);
    uint64_t bits = bdr_cur_u64(&c);

    if (c.failed || memcmp(magic, node_magic, 4) != 0 || version != 1 || zero || got_level != level || !bits ||
        bdr_cur_left(&c) != (size_t)__builtin_popcountll(bits) * BDR_ID_BYTES)
        BDR_FAIL(BDR_CORRUPT, 0, "a block is not a map node of level %u", level);
    out->bits = bits;
    for (size_t i = 0; i < BDR_FANOUT; i++)
        if (bits >> i & 1)
            memcpy(out->child[i].b, bdr_cur_take(&c, BDR_ID_BYTES), BDR_ID_BYTES);
    return NULL;
}

struct bdr_err *bdr_node_read(struct bdr_repo *repo, const struct bdr_id *id, uint32_t level, struct bdr_node *out)
{
    uint8_t raw[BDR_NODE_MAX_BYTES];
    size_t len = 0;

    BDR_TRY_FOR(bdr_block_read(repo, id, raw, sizeof(raw), &len), "reading a map node of level %u", level);
    return bdr_node_decode(raw, len, level, out);
}
