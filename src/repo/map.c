/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/map.h"
#include "bdr/bytes.h"
#include "bdr/point.h"
#include "node.h"
#include <pthread.h>
#include <string.h>

#define MAP_LEVELS_MAX 10

/* A node under construction. `pending` counts open children and runs, and 1 for the feeder while it is on its path;
 * whoever takes it to 0 stores the node and tells the parent. */
struct map_node {
    struct bdr_map *map;
    struct map_node *parent;
    uint32_t level;
    uint64_t index; /* among the nodes of its level */
    uint32_t pending;
    bool has_base;
    struct bdr_id base_id;
    struct bdr_node now, base;
};

struct bdr_map_run {
    struct map_node *leaf;
    uint64_t set; /* bits of the leaf this run has set (to an id or to zero) */
    uint64_t bits;
    uint32_t first_slot, count;
    struct bdr_id id[]; /* count */
};

struct bdr_map {
    struct bdr_session *s;
    uint64_t blocks;
    uint32_t levels;
    enum bdr_map_mode mode;
    struct map_node *path[MAP_LEVELS_MAX]; /* the feeder's; [levels-1] is the root */
    pthread_mutex_t lock;                  /* guards pending and now of all nodes, and all below */
    bool failed, done, zero;
    unsigned nodes; /* alive */
    struct bdr_id root;
    bool has_base_root;
    struct bdr_id base_root;
};

struct bdr_err *bdr_map_new(struct bdr_session *s, uint64_t blocks, const struct bdr_id *base, enum bdr_map_mode mode,
                            struct bdr_map **out)
{
    struct bdr_map *m = calloc(1, sizeof(*m));

    BDR_NOMEM_IF_NULL(m);
    m->s = s;
    m->blocks = blocks;
    m->levels = bdr_map_levels(blocks);
    m->mode = mode;
    m->zero = true;
    m->has_base_root = base != NULL;
    if (base)
        m->base_root = *base;
    pthread_mutex_init(&m->lock, NULL);
    *out = m;
    return NULL;
}

void bdr_map_free(struct bdr_map *m)
{
    if (!m)
        return;
    for (uint32_t l = 0; l < m->levels; l++)
        free(m->path[l]);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* Opens the node of `level` with this index below `parent` (NULL: the root). Feeder only. */
static struct bdr_err *node_open(struct bdr_map *m, uint32_t level, uint64_t index, struct map_node *parent,
                                 struct map_node **out)
{
    BDR_AUTO(mem) struct map_node *n = calloc(1, sizeof(*n));
    size_t slot = index % BDR_FANOUT;

    BDR_NOMEM_IF_NULL(n);
    n->map = m;
    n->parent = parent;
    n->level = level;
    n->index = index;
    n->pending = 1;
    if (!parent) {
        n->has_base = m->has_base_root;
        n->base_id = m->base_root;
    } else if (parent->has_base && (parent->base.bits >> slot & 1)) {
        n->has_base = true;
        n->base_id = parent->base.child[slot];
    }
    if (n->has_base) {
        struct bdr_err *err = bdr_node_read(bdr_session_repo(m->s), &n->base_id, level, &n->base);

        /* A full pass needs the base only to save work; a damaged one must not stop it. */
        if (err && m->mode == BDR_MAP_DELTA)
            return err;
        if (err) {
            bdr_err_drop(err, "without a base node its blocks are looked up one by one");
            n->has_base = false;
            n->base.bits = 0;
        }
        if (m->mode == BDR_MAP_DELTA)
            n->now = n->base;
    }
    pthread_mutex_lock(&m->lock);
    if (parent)
        parent->pending++;
    m->nodes++;
    pthread_mutex_unlock(&m->lock);
    *out = BDR_STEAL(n);
    return NULL;
}

static bool node_same(const struct map_node *n)
{
    if (!n->has_base || n->now.bits != n->base.bits)
        return false;
    for (size_t i = 0; i < BDR_FANOUT; i++)
        if ((n->now.bits >> i & 1) && memcmp(&n->now.child[i], &n->base.child[i], sizeof(n->now.child[i])) != 0)
            return false;
    return true;
}

static struct bdr_err *node_store(struct map_node *n, struct bdr_id *out)
{
    uint8_t raw[BDR_NODE_MAX_BYTES];
    size_t len;

    if (node_same(n)) {
        *out = n->base_id;
        return NULL;
    }
    len = bdr_node_encode(&n->now, n->level, raw);
    BDR_TRY(bdr_session_id(n->map->s, raw, len, out));
    return bdr_session_put(n->map->s, BDR_BLOCK_NODE, out, raw, len, NULL);
}

/* Takes one from pending; stores the node when it was the last, and so on upwards. Frees finished nodes. */
static struct bdr_err *node_unref(struct map_node *n)
{
    struct bdr_map *m = n->map;
    struct bdr_err *first = NULL;

    while (n) {
        struct map_node *parent = n->parent;
        struct bdr_id id;
        struct bdr_err *err = NULL;
        bool last, failed;

        pthread_mutex_lock(&m->lock);
        last = --n->pending == 0;
        failed = m->failed;
        pthread_mutex_unlock(&m->lock);
        if (!last)
            break;
        /* Nobody else has this node now. */
        if (!failed && n->now.bits)
            err = node_store(n, &id);
        pthread_mutex_lock(&m->lock);
        m->failed |= err != NULL;
        m->nodes--;
        if (!err && !failed && parent) {
            size_t slot = n->index % BDR_FANOUT;

            parent->now.bits &= ~((uint64_t)1 << slot);
            if (n->now.bits) {
                parent->now.bits |= (uint64_t)1 << slot;
                parent->now.child[slot] = id;
            }
        } else if (!err && !failed) {
            m->done = true;
            m->zero = !n->now.bits;
            if (n->now.bits)
                m->root = id;
        }
        pthread_mutex_unlock(&m->lock);
        free(n);
        first = bdr_err_first(first, err);
        n = parent;
    }
    return first;
}

/* The feeder leaves its path from `level` downwards. */
static struct bdr_err *path_close(struct bdr_map *m, uint32_t level)
{
    struct bdr_err *first = NULL;

    for (uint32_t l = 0; l <= level && l < m->levels; l++)
        if (m->path[l])
            first = bdr_err_first(first, node_unref(BDR_STEAL(m->path[l])));
    return first;
}

/* Makes path[level] the node that covers `block`. */
static struct bdr_err *path_open(struct bdr_map *m, uint32_t level, uint64_t block)
{
    for (uint32_t l = m->levels; l-- > level;) {
        uint64_t index = block / bdr_node_span(l + 1);

        if (m->path[l] && m->path[l]->index == index)
            continue;
        BDR_TRY(path_close(m, l));
        BDR_TRY(node_open(m, l, index, l + 1 < m->levels ? m->path[l + 1] : NULL, &m->path[l]));
    }
    return NULL;
}

struct bdr_err *bdr_map_run(struct bdr_map *m, uint64_t first, uint32_t count, struct bdr_map_run **out)
{
    BDR_AUTO(mem) struct bdr_map_run *run = calloc(1, sizeof(*run) + count * sizeof(run->id[0]));

    BDR_ASSERT(count && first % BDR_FANOUT + count <= BDR_FANOUT && first + count <= m->blocks);
    BDR_NOMEM_IF_NULL(run);
    BDR_TRY(path_open(m, 0, first));
    run->leaf = m->path[0];
    run->first_slot = first % BDR_FANOUT;
    run->count = count;
    pthread_mutex_lock(&m->lock);
    run->leaf->pending++;
    pthread_mutex_unlock(&m->lock);
    *out = BDR_STEAL(run);
    return NULL;
}

const struct bdr_id *bdr_map_base(const struct bdr_map_run *run, uint64_t block)
{
    size_t slot = block % BDR_FANOUT;

    return run->leaf->has_base && (run->leaf->base.bits >> slot & 1) ? &run->leaf->base.child[slot] : NULL;
}

void bdr_map_set(struct bdr_map_run *run, uint64_t block, const struct bdr_id *id)
{
    size_t slot = block % BDR_FANOUT;

    BDR_ASSERT(slot >= run->first_slot && slot < run->first_slot + run->count);
    run->set |= (uint64_t)1 << slot;
    run->bits &= ~((uint64_t)1 << slot);
    if (id) {
        run->bits |= (uint64_t)1 << slot;
        run->id[slot - run->first_slot] = *id;
    }
}

struct bdr_err *bdr_map_run_end(struct bdr_map_run *run, bool ok)
{
    struct map_node *leaf = run->leaf;
    struct bdr_map *m = leaf->map;

    pthread_mutex_lock(&m->lock);
    m->failed |= !ok;
    leaf->now.bits = (leaf->now.bits & ~run->set) | run->bits;
    for (uint32_t i = 0; i < run->count; i++)
        if (run->bits >> (run->first_slot + i) & 1)
            leaf->now.child[run->first_slot + i] = run->id[i];
    pthread_mutex_unlock(&m->lock);
    free(run);
    return node_unref(leaf);
}

/* Clears [first, first+count) below the feeder's node of `level`, opening only children that are partly covered. */
static struct bdr_err *zero_below(struct bdr_map *m, uint32_t level, uint64_t first, uint64_t count)
{
    uint64_t span = bdr_node_span(level);

    while (count) {
        struct map_node *n;
        uint64_t slot = first / span % BDR_FANOUT, part = BDR_MIN(count, span - first % span);
        uint64_t child_end = BDR_MIN((first / span + 1) * span, m->blocks);
        bool there;

        BDR_TRY(path_open(m, level, first));
        n = m->path[level];
        pthread_mutex_lock(&m->lock);
        there = n->now.bits >> slot & 1;
        pthread_mutex_unlock(&m->lock);
        if (first % span == 0 && first + part == child_end &&
            !(level && m->path[level - 1] && m->path[level - 1]->index == first / span)) {
            pthread_mutex_lock(&m->lock);
            n->now.bits &= ~((uint64_t)1 << slot);
            pthread_mutex_unlock(&m->lock);
        } else if (there || (level && m->path[level - 1] && m->path[level - 1]->index == first / span)) {
            BDR_TRY(zero_below(m, level - 1, first, part));
        }
        first += part;
        count -= part;
    }
    return NULL;
}

struct bdr_err *bdr_map_zero(struct bdr_map *m, uint64_t first, uint64_t count)
{
    BDR_ASSERT(m->mode == BDR_MAP_DELTA && first + count <= m->blocks);
    return count ? zero_below(m, m->levels - 1, first, count) : NULL;
}

struct bdr_err *bdr_map_finish(struct bdr_map *m, struct bdr_id *out_root, bool *out_zero)
{
    BDR_TRY(path_open(m, m->levels - 1, 0)); /* a map nobody touched has no root open yet */
    BDR_TRY(path_close(m, m->levels - 1));
    BDR_ASSERT(m->nodes == 0);
    if (!m->done)
        BDR_FAIL(BDR_CANCELLED, 0, "the map was not completed");
    *out_zero = m->zero;
    if (!m->zero)
        *out_root = m->root;
    return NULL;
}
