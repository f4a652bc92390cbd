/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.c - the walker goes through the map and stores its nodes; blocks that the target lacks go to workers.
 *
 * That the target has a node does not say that it has all below it (prune judges each block by itself), so every node
 * is walked, but for subtrees of the base.
 */
#include "bdr/transfer.h"
#include "bdr/bytes.h"
#include "bdr/point.h"
#include "bdr/pool.h"
#include "bdr/queue.h"
#include "node.h"
#include "reader.h"
#include <string.h>

#define TRANSFER_BATCH_BYTES (1u << 20)

/* Blocks of one leaf that the target lacks. */
struct transfer_item {
    uint64_t first; /* block number of want[0], for messages */
    uint32_t n;
    struct bdr_id id[BDR_FANOUT];
    uint32_t raw[BDR_FANOUT];
};

struct transfer {
    const struct bdr_transfer *spec;
    struct bdr_queue *queue; /* owned by the run */
    struct bdr_cancel stop;
    uint32_t block_bytes;
    uint64_t blocks;
    struct transfer_item *item; /* owned; being filled */
};

bool bdr_transfer_can(const struct bdr_repo *from, const struct bdr_repo *to)
{
    return !from->sealed && !to->sealed && from->block_bytes == to->block_bytes;
}

static void transfer_count(atomic_uint_fast64_t *counter, uint64_t n)
{
    if (counter)
        atomic_fetch_add(counter, n);
}

/* ---- workers ---- */

static struct bdr_err *transfer_some(struct transfer *t, const struct transfer_item *it, uint32_t from, uint32_t to,
                                     uint8_t *buf)
{
    struct bdr_want want[BDR_FANOUT];
    struct bdr_err *err;
    size_t at = 0;

    for (uint32_t i = from; i < to; i++) {
        want[i - from] = (struct bdr_want){.id = it->id[i], .dst = buf + at, .raw = it->raw[i]};
        at += it->raw[i];
    }
    BDR_TRY(bdr_blocks_read(t->spec->from, want, to - from));
    err = NULL;
    for (uint32_t i = 0; i < to - from; i++)
        err = bdr_err_first(err, want[i].err);
    if (err) /* what the store can't read must not become a gap, nor be tried for ever */
        return bdr_err_recode(err, err->code == BDR_IO ? BDR_CORRUPT : err->code, BDR_AT,
                              "disk offset %llu or after it", (unsigned long long)(it->first * t->block_bytes));
    for (uint32_t i = 0; i < to - from; i++)
        BDR_TRY(bdr_session_put(t->spec->to, BDR_BLOCK_DATA, &want[i].id, want[i].dst, want[i].raw, NULL));
    transfer_count(t->spec->read_bytes, at);
    return NULL;
}

static struct bdr_err *transfer_worker(void *ctx, unsigned index)
{
    struct transfer *t = ctx;
    BDR_AUTO(mem) uint8_t *buf = malloc(TRANSFER_BATCH_BYTES + t->block_bytes);

    (void)index;
    BDR_NOMEM_IF_NULL(buf);
    for (;;) {
        BDR_AUTO(mem) struct transfer_item *it = NULL;
        void *got = NULL;

        BDR_TRY(bdr_queue_get(t->queue, &t->stop, &got));
        it = got;
        if (!it)
            return NULL;
        for (uint32_t i = 0, j; i < it->n; i = j) {
            uint64_t bytes = it->raw[i];

            for (j = i + 1; j < it->n && bytes + it->raw[j] <= TRANSFER_BATCH_BYTES; j++)
                bytes += it->raw[j];
            BDR_TRY(transfer_some(t, it, i, j, buf));
        }
    }
}

/* ---- the walker ---- */

static struct bdr_err *transfer_flush(struct transfer *t)
{
    if (!t->item)
        return NULL;
    BDR_TRY(bdr_queue_put(t->queue, &t->stop, t->item, 1));
    (void)BDR_STEAL(t->item);
    return NULL;
}

static struct bdr_err *transfer_block(struct transfer *t, const struct bdr_id *id, uint64_t block)
{
    bool known = false;

    BDR_TRY(bdr_session_has(t->spec->to, id, &known));
    if (known)
        return NULL;
    if (!t->item) {
        t->item = calloc(1, sizeof(*t->item));
        BDR_NOMEM_IF_NULL(t->item);
        t->item->first = block;
    }
    t->item->id[t->item->n] = *id;
    t->item->raw[t->item->n++] =
        (uint32_t)BDR_MIN((uint64_t)t->block_bytes, t->spec->size_bytes - block * t->block_bytes);
    return NULL;
}

static struct bdr_err *transfer_node(struct transfer *t, const struct bdr_id *id, const struct bdr_id *base,
                                     uint32_t level, uint64_t first)
{
    uint64_t span = bdr_node_span(level);
    BDR_AUTO(mem) struct bdr_node *node = NULL; /* two of 2 KiB a level: not on the stack */
    struct bdr_node *old;
    uint8_t raw[BDR_NODE_MAX_BYTES];
    struct bdr_err *err;

    if (base && !memcmp(id, base, sizeof(*id)))
        return NULL;
    BDR_TRY(bdr_cancel_check(t->spec->cancel));
    BDR_TRY(bdr_session_renew(t->spec->to));
    node = calloc(2, sizeof(*node));
    BDR_NOMEM_IF_NULL(node);
    old = node + 1;
    err = bdr_node_read(t->spec->from, id, level, node);
    if (err)
        return bdr_err_recode(err, err->code == BDR_IO ? BDR_CORRUPT : err->code, BDR_AT, "map of disk offset %llu",
                              (unsigned long long)(first * t->block_bytes));
    if (base)
        BDR_TRY_FOR(bdr_node_read(t->spec->from, base, level, old), "map that the copy builds on");
    for (uint32_t i = 0; i < BDR_FANOUT; i++) {
        uint64_t at = first + i * span;
        const struct bdr_id *was = old->bits >> i & 1 ? &old->child[i] : NULL;

        if (!(node->bits >> i & 1))
            continue;
        if (at >= t->blocks)
            BDR_FAIL(BDR_CORRUPT, 0, "the map reaches past the disk's end");
        if (level)
            BDR_TRY(transfer_node(t, &node->child[i], was, level - 1, at));
        else if (!was || memcmp(was, &node->child[i], sizeof(*was)) != 0)
            BDR_TRY(transfer_block(t, &node->child[i], at));
    }
    BDR_TRY(transfer_flush(t));
    if (!level)
        transfer_count(t->spec->done_bytes,
                       BDR_MIN((first + BDR_FANOUT) * t->block_bytes, t->spec->size_bytes) - first * t->block_bytes);
    return bdr_session_put(t->spec->to, BDR_BLOCK_NODE, id, raw, bdr_node_encode(node, level, raw), NULL);
}

struct bdr_err *bdr_transfer_disk(const struct bdr_transfer *spec)
{
    struct transfer t = {.spec = spec, .block_bytes = spec->from->block_bytes};
    BDR_AUTO(queue) struct bdr_queue *queue = NULL;
    struct bdr_pool *pool = NULL;
    struct bdr_err *err, *walked;
    void *left;

    t.blocks = bdr_blocks_of(spec->size_bytes, t.block_bytes);
    BDR_TRY(bdr_queue_new(2 * (size_t)spec->workers, UINT64_MAX, &queue));
    t.queue = queue;
    BDR_TRY(bdr_pool_start("bdr-move", spec->workers, transfer_worker, &t, &t.stop, &pool));
    walked = transfer_node(&t, &spec->root, spec->base, bdr_map_levels(t.blocks) - 1, 0);
    if (walked)
        bdr_cancel_set(&t.stop);
    bdr_queue_close(queue);
    err = bdr_pool_join(pool);
    while ((left = bdr_queue_poll(queue)))
        free(left);
    free(t.item);
    /* A queue that was cancelled is only the workers' error seen from the walker, and the other way round. */
    if (walked && (walked->code != BDR_CANCELLED || bdr_cancelled(spec->cancel)))
        return bdr_err_first(walked, err);
    return bdr_err_first(err, walked);
}
