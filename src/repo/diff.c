/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.c - both maps are walked at once; a subtree with one id in both is passed over unread.
 *
 * The smaller disk may have fewer levels. Its tree then hangs as child 0 below upper nodes that exist only here.
 */
#include "bdr/diff.h"
#include "bdr/bytes.h"
#include "bdr/point.h"
#include "node.h"
#include "repo_i.h"
#include <string.h>

struct diff_tree {
    json_t *point; /* owned */
    struct bdr_point_disk d;
    const char *name; /* "A", "B": for messages */
    uint64_t blocks;
    uint32_t levels;
};

/* A subtree of one side: absent (zeros), real (id), or upper: a node above the tree's own root. */
struct diff_ref {
    bool there, upper;
    struct bdr_id id;
};

/* One step of the walk, on the heap: two nodes are 4 KiB a level. */
struct diff_step {
    struct bdr_node node[2];
    struct diff_ref child[2];
};

struct diff {
    struct bdr_repo *repo;
    const struct bdr_cancel *cancel;
    struct diff_tree tree[2];
    uint64_t size; /* of the larger disk */
    bdr_diff_fn fn;
    void *ctx;
    uint64_t off, len; /* held back for merging */
    bool data;
};

static struct bdr_err *diff_flush(struct diff *d)
{
    uint64_t len = d->len;

    d->len = 0;
    return len ? d->fn(d->ctx, d->off, len, d->data) : NULL;
}

static struct bdr_err *diff_block(struct diff *d, uint64_t block, bool data)
{
    uint64_t off = block * d->repo->block_bytes, len = BDR_MIN((uint64_t)d->repo->block_bytes, d->size - off);

    if (d->len && d->off + d->len == off && d->data == data) {
        d->len += len;
        return NULL;
    }
    BDR_TRY(diff_flush(d));
    d->off = off;
    d->len = len;
    d->data = data;
    return NULL;
}

static bool diff_same(const struct diff_ref *a, const struct diff_ref *b)
{
    if (!a->there || !b->there)
        return a->there == b->there;
    return !a->upper && !b->upper && !memcmp(&a->id, &b->id, sizeof(a->id));
}

/* The root of tree `t`, seen as a node of `level`. */
static struct diff_ref diff_root(const struct diff_tree *t, uint32_t level)
{
    struct diff_ref r = {.there = t->d.has_root, .upper = level >= t->levels};

    if (!r.upper)
        r.id = t->d.root;
    return r;
}

static struct bdr_err *diff_load(struct diff *d, int side, const struct diff_ref *ref, uint32_t level, uint64_t first,
                                 struct bdr_node *out)
{
    const struct diff_tree *t = &d->tree[side];

    out->bits = 0;
    if (!ref->there)
        return NULL;
    if (ref->upper) {
        out->bits = 1; /* child 0 is made by diff_child */
        return NULL;
    }
    BDR_TRY_FOR(bdr_node_read(d->repo, &ref->id, level, out), "%s, map of disk offset %llu", t->name,
                (unsigned long long)(first * d->repo->block_bytes));
    for (uint32_t i = 0; i < BDR_FANOUT; i++)
        if ((out->bits >> i & 1) && first + i * bdr_node_span(level) >= t->blocks)
            BDR_FAIL(BDR_CORRUPT, 0, "%s: the map reaches past the disk's end", t->name);
    return NULL;
}

static struct diff_ref diff_child(const struct diff *d, int side, const struct diff_ref *ref, uint32_t level,
                                  const struct bdr_node *node, uint32_t i)
{
    struct diff_ref r = {.there = node->bits >> i & 1};

    if (r.there && ref->upper)
        return diff_root(&d->tree[side], level - 1);
    if (r.there)
        r.id = node->child[i];
    return r;
}

/* Nodes of `level` that cover blocks from `first` on. */
static struct bdr_err *diff_walk(struct diff *d, uint32_t level, uint64_t first, const struct diff_ref *a,
                                 const struct diff_ref *b)
{
    BDR_AUTO(mem) struct diff_step *s = NULL;

    if (diff_same(a, b))
        return NULL;
    BDR_TRY(bdr_cancel_check(d->cancel));
    s = malloc(sizeof(*s));
    BDR_NOMEM_IF_NULL(s);
    BDR_TRY(diff_load(d, 0, a, level, first, &s->node[0]));
    BDR_TRY(diff_load(d, 1, b, level, first, &s->node[1]));
    for (uint32_t i = 0; i < BDR_FANOUT; i++) {
        uint64_t at = first + i * bdr_node_span(level);

        s->child[0] = diff_child(d, 0, a, level, &s->node[0], i);
        s->child[1] = diff_child(d, 1, b, level, &s->node[1], i);
        if (level)
            BDR_TRY(diff_walk(d, level - 1, at, &s->child[0], &s->child[1]));
        else if (!diff_same(&s->child[0], &s->child[1]))
            BDR_TRY(diff_block(d, at, s->child[1].there));
    }
    return NULL;
}

static void diff_free(struct diff *d)
{
    json_decref(d->tree[0].point);
    json_decref(d->tree[1].point);
}

struct bdr_err *bdr_diff(struct bdr_repo *repo, const struct bdr_diff_side *a, const struct bdr_diff_side *b,
                         const struct bdr_cancel *cancel, bdr_diff_fn fn, void *ctx)
{
    __attribute__((cleanup(diff_free))) struct diff d = {.repo = repo, .cancel = cancel, .fn = fn, .ctx = ctx};
    const struct bdr_diff_side *side[2] = {a, b};
    struct diff_ref root[2];
    uint32_t levels;

    for (int i = 0; i < 2; i++) {
        struct diff_tree *t = &d.tree[i];

        t->name = side[i]->point;
        BDR_TRY(bdr_point_load(repo, side[i]->point, &t->point));
        BDR_TRY_FOR(bdr_point_disk(t->point, side[i]->disk, &t->d), "point %.8s", side[i]->point);
        t->blocks = bdr_blocks_of(t->d.size_bytes, repo->block_bytes);
        t->levels = bdr_map_levels(t->blocks);
        d.size = BDR_MAX(d.size, t->d.size_bytes);
    }
    levels = BDR_MAX(d.tree[0].levels, d.tree[1].levels);
    for (int i = 0; i < 2; i++)
        root[i] = diff_root(&d.tree[i], levels - 1);
    BDR_TRY(diff_walk(&d, levels - 1, 0, &root[0], &root[1]));
    return diff_flush(&d);
}
