/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/mapread.h"
#include "bdr/bytes.h"
#include "node.h"
#include <string.h>

#define MAPREAD_LEVELS_MAX 10

/* Blocks [first, first+count) below a node that begins at block `start`; out is of those. */
static struct bdr_err *ids_below(struct bdr_repo *repo, const struct bdr_id *id, uint32_t level, uint64_t start,
                                 uint64_t first, uint64_t count, struct bdr_id *out)
{
    BDR_AUTO(mem) struct bdr_node *node = malloc(sizeof(*node));
    uint64_t span = bdr_node_span(level);

    BDR_NOMEM_IF_NULL(node);
    BDR_TRY(bdr_node_read(repo, id, level, node));
    for (uint64_t at = first; at < first + count;) {
        uint64_t slot = (at - start) / span, end = BDR_MIN(start + (slot + 1) * span, first + count);

        if (node->bits >> slot & 1) {
            if (level)
                BDR_TRY(ids_below(repo, &node->child[slot], level - 1, start + slot * span, at, end - at,
                                  out + (at - first)));
            else
                out[at - first] = node->child[slot];
        }
        at = end;
    }
    return NULL;
}

struct bdr_err *bdr_map_ids(struct bdr_repo *repo, const struct bdr_id *root, uint32_t levels, uint64_t first,
                            uint32_t count, struct bdr_id *out)
{
    if (!levels || levels > MAPREAD_LEVELS_MAX || first >= bdr_node_span(levels) ||
        count > bdr_node_span(levels) - first)
        BDR_FAIL(BDR_RANGE, 0, "blocks %llu and %u more are past a map of %u levels", (unsigned long long)first, count,
                 levels);
    memset(out, 0, count * sizeof(*out));
    return count ? ids_below(repo, root, levels - 1, 0, first, count, out) : NULL;
}

struct walk {
    struct bdr_repo *repo;
    const struct bdr_cancel *cancel;
    bdr_map_walk_fn *fn;
    void *ctx;
};

static struct bdr_err *walk_below(const struct walk *w, const struct bdr_id *id, const struct bdr_id *base,
                                  uint32_t level, uint64_t start)
{
    BDR_AUTO(mem) struct bdr_node *node = calloc(2, sizeof(*node));
    struct bdr_node *old = node ? node + 1 : NULL;
    uint64_t span = bdr_node_span(level);

    BDR_NOMEM_IF_NULL(node);
    BDR_TRY(bdr_cancel_check(w->cancel));
    BDR_TRY(bdr_node_read(w->repo, id, level, node));
    old->bits = 0;
    if (base) {
        struct bdr_err *err = bdr_node_read(w->repo, base, level, old);

        if (err) { /* then all of it is told */
            bdr_err_drop(err, "the base only saves work");
            old->bits = 0;
        }
    }
    for (uint64_t slot = 0; slot < BDR_FANOUT; slot++) {
        const struct bdr_id *was = old->bits >> slot & 1 ? &old->child[slot] : NULL, *is = &node->child[slot];

        if (!(node->bits >> slot & 1) || (was && !memcmp(was, is, sizeof(*is))))
            continue;
        if (level)
            BDR_TRY(walk_below(w, is, was, level - 1, start + slot * span));
        else
            BDR_TRY(w->fn(w->ctx, start + slot, is));
    }
    return NULL;
}

struct bdr_err *bdr_map_walk(struct bdr_repo *repo, const struct bdr_id *root, uint32_t levels,
                             const struct bdr_id *base, const struct bdr_cancel *cancel, bdr_map_walk_fn *fn, void *ctx)
{
    const struct walk w = {repo, cancel, fn, ctx};

    if (!levels || levels > MAPREAD_LEVELS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "a map can't have %u levels", levels);
    if (base && !memcmp(base, root, sizeof(*root)))
        return NULL;
    return walk_below(&w, root, base, levels - 1, 0);
}
