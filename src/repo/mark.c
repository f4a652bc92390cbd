/* SPDX-License-Identifier: Apache-2.0 */
#include "mark.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/point.h"
#include "node.h"
#include "presence.h"
#include <string.h>

struct mark_pack {
    struct bdr_index_pack p;
    uint64_t first_bit;
    uint64_t live_bytes;
    uint32_t live_rows;
};

struct bdr_mark {
    struct bdr_repo *r;
    struct mark_pack *pack; /* by number, increasing */
    size_t n;
    uint64_t *bits;
    uint64_t *walked; /* nodes whose subtree is marked: a data block may have the bytes, so the id, of a node */
    json_t *seen; /* point keys marked */
    bool synced;  /* the store was asked for new packs in this round */
};

struct bdr_err *bdr_mark_new(struct bdr_repo *r, struct bdr_mark **out)
{
    BDR_AUTO(mark) struct bdr_mark *m = calloc(1, sizeof(*m));
    BDR_AUTO(mem) struct bdr_index_pack *packs = NULL;
    uint64_t bits = 0;

    BDR_NOMEM_IF_NULL(m);
    m->r = r;
    m->seen = json_object();
    BDR_NOMEM_IF_NULL(m->seen);
    BDR_TRY(bdr_index_packs(r->index, &packs, &m->n));
    m->pack = calloc(m->n + 1, sizeof(*m->pack));
    BDR_NOMEM_IF_NULL(m->pack);
    for (size_t i = 0; i < m->n; i++) {
        m->pack[i] = (struct mark_pack){.p = packs[i], .first_bit = bits};
        bits += packs[i].info.rows;
    }
    m->bits = calloc(bits / 64 + 1, sizeof(*m->bits));
    m->walked = calloc(bits / 64 + 1, sizeof(*m->walked));
    if (!m->bits || !m->walked)
        BDR_FAIL(BDR_NOMEM, 0, "marking %llu blocks", (unsigned long long)bits);
    *out = BDR_STEAL(m);
    return NULL;
}

void bdr_mark_free(struct bdr_mark *m)
{
    if (!m)
        return;
    json_decref(m->seen);
    free(m->bits);
    free(m->walked);
    free(m->pack);
    free(m);
}

static struct mark_pack *mark_find(const struct bdr_mark *m, uint32_t no)
{
    size_t lo = 0, hi = m->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (m->pack[mid].p.no < no)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < m->n && m->pack[lo].p.no == no ? &m->pack[lo] : NULL;
}

/* Places of a block, asking the store for new packs when the index has none. */
static struct bdr_err *mark_places(struct bdr_mark *m, const struct bdr_id *id, struct bdr_loc *out, size_t max,
                                   size_t *out_n)
{
    bool condemned;
    char hex[65];

    BDR_TRY(bdr_index_find(m->r->index, id, out, max, out_n, &condemned));
    if (!*out_n && !m->synced) { /* another machine's writer may have stored it after our last look */
        m->synced = true;
        BDR_TRY(bdr_repo_sync(m->r, NULL, NULL));
        BDR_TRY(bdr_index_find(m->r->index, id, out, max, out_n, &condemned));
    }
    if (!*out_n)
        BDR_FAIL(BDR_CORRUPT, 0, "block %.16s is in no pack", bdr_hex(id->b, 32, hex));
    return NULL;
}

/* Marks one block where reads will look for it first: in the first pack of our snapshot; other copies may go. *out_bit
 * is its bit; UINT64_MAX when it was stored after the snapshot, then nobody removes it. */
static struct bdr_err *mark_block(struct bdr_mark *m, const struct bdr_id *id, uint64_t *out_bit)
{
    struct bdr_loc loc[4];
    size_t n = 0;

    BDR_TRY(mark_places(m, id, loc, BDR_COUNT(loc), &n));
    *out_bit = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        struct mark_pack *p = mark_find(m, loc[i].pack);
        uint64_t bit;

        if (!p || loc[i].row >= p->p.info.rows)
            continue;
        bit = *out_bit = p->first_bit + loc[i].row;
        if (!(m->bits[bit / 64] >> (bit % 64) & 1)) {
            m->bits[bit / 64] |= (uint64_t)1 << (bit % 64);
            p->live_rows++;
            p->live_bytes += loc[i].at.stored;
        }
        return NULL;
    }
    return NULL;
}

static struct bdr_err *mark_tree(struct bdr_mark *m, const struct bdr_cancel *cancel, const struct bdr_id *id,
                                 uint32_t level)
{
    BDR_AUTO(mem) struct bdr_node *node = NULL;
    uint64_t bit, ignored;

    BDR_TRY(mark_block(m, id, &bit));
    if (bit != UINT64_MAX && m->walked[bit / 64] >> (bit % 64) & 1)
        return NULL;
    BDR_TRY(bdr_cancel_check(cancel));
    node = malloc(sizeof(*node));
    BDR_NOMEM_IF_NULL(node);
    BDR_TRY(bdr_node_read(m->r, id, level, node));
    for (size_t i = 0; i < BDR_FANOUT; i++) {
        if (!(node->bits >> i & 1))
            continue;
        if (level)
            BDR_TRY(mark_tree(m, cancel, &node->child[i], level - 1));
        else
            BDR_TRY(mark_block(m, &node->child[i], &ignored));
    }
    if (bit != UINT64_MAX)
        m->walked[bit / 64] |= (uint64_t)1 << (bit % 64);
    return NULL;
}

static struct bdr_err *mark_point(struct bdr_mark *m, const struct bdr_cancel *cancel, const json_t *point)
{
    for (uint32_t i = 0; i < bdr_point_disks(point); i++) {
        struct bdr_point_disk d;

        BDR_TRY(bdr_point_disk(point, i, &d));
        if (d.has_root)
            BDR_TRY(mark_tree(m, cancel, &d.root,
                              bdr_map_levels(bdr_blocks_of(d.size_bytes, m->r->block_bytes)) - 1));
    }
    return NULL;
}

struct bdr_err *bdr_mark_points(struct bdr_mark *m, const struct bdr_cancel *cancel, uint64_t *out_new)
{
    BDR_AUTO(json) json_t *keys = NULL;
    size_t i;
    json_t *key;

    *out_new = 0;
    m->synced = false;
    BDR_TRY(bdr_repo_list(m->r, "points/", &keys));
    json_array_foreach(keys, i, key)
    {
        BDR_AUTO(json) json_t *point = NULL;
        const char *k = json_string_value(key);
        struct bdr_err *err;

        if (json_object_get(m->seen, k))
            continue;
        err = bdr_repo_load(m->r, BDR_ENV_POINT, k, &point);
        if (err && err->code == BDR_NOTFOUND) {
            bdr_err_drop(err, "removed since the listing");
            continue;
        }
        BDR_TRY(err);
        BDR_TRY_FOR(mark_point(m, cancel, point), "point %.8s of host %s", json_str(point, "id", "?"),
                    json_str(point, "host", "?"));
        BDR_TRY(bdr_json_set(m->seen, k, json_true()));
        ++*out_new;
    }
    return NULL;
}

size_t bdr_mark_packs(const struct bdr_mark *m)
{
    return m->n;
}
const struct bdr_index_pack *bdr_mark_pack(const struct bdr_mark *m, size_t i)
{
    return &m->pack[i].p;
}
uint32_t bdr_mark_live_rows(const struct bdr_mark *m, size_t i)
{
    return m->pack[i].live_rows;
}
uint64_t bdr_mark_live_bytes(const struct bdr_mark *m, size_t i)
{
    return m->pack[i].live_bytes;
}
bool bdr_mark_is_live(const struct bdr_mark *m, size_t i, uint32_t row)
{
    uint64_t bit = m->pack[i].first_bit + row;

    return m->bits[bit / 64] >> (bit % 64) & 1;
}
