/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.c - is every block there and what its id says? Packs first, then the maps tell whom the damage hurts.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/gc.h"
#include "bdr/osfile.h"
#include "bdr/point.h"
#include "bdr/pool.h"
#include "idset.h"
#include "node.h"
#include "presence.h"
#include "reader.h"
#include <stdio.h>
#include <string.h>

#define VERIFY_PIECE (4u << 20)
#define VERIFY_DAMAGE_MAX 100000

struct verify {
    struct bdr_repo *r;
    const struct bdr_verify_options *opt;
    struct bdr_verify_result *out;
    struct bdr_cancel stop;
    struct bdr_index_pack *pack; /* owned */
    size_t packs;
    atomic_size_t next;
    struct bdr_idset *bad;   /* blocks of which some copy is damaged */
    struct bdr_idset *clean; /* map nodes whose whole subtree was found good */
    pthread_mutex_t lock;    /* guards out */
};

static struct bdr_err *verify_bad_object(struct verify *v, const char *key, struct bdr_err *err)
{
    char text[512];
    struct bdr_err *nomem = NULL;
    char(*more)[256];

    pthread_mutex_lock(&v->lock);
    more = reallocarray(v->out->bad_objects, v->out->n_bad + 1, sizeof(*more));
    if (more) {
        v->out->bad_objects = more;
        snprintf(more[v->out->n_bad++], sizeof(*more), "%.80s: %.170s", key, bdr_err_text(err, text, sizeof(text)));
    } else {
        nomem = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "listing damage");
    }
    pthread_mutex_unlock(&v->lock);
    bdr_err_free(err);
    return nomem;
}

/* ---- packs ---- */

struct verify_buf {
    struct bdr_unpacker *unpack;
    uint8_t *piece, *raw;
    uint64_t seed;
};

static void verify_buf_free(struct verify_buf *b)
{
    bdr_unpacker_free(b->unpack);
    free(b->piece);
    free(b->raw);
}

static bool verify_wants(struct verify *v, struct verify_buf *b, uint8_t cls)
{
    if (v->opt->depth == BDR_VERIFY_ALL || cls == BDR_PACK_NODE)
        return true;
    b->seed = b->seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX constants */
    return v->opt->depth == BDR_VERIFY_SAMPLE && (double)(b->seed >> 33) < v->opt->sample_pct / 100 * 2147483648.0;
}

/* Decodes rows [from, to) of a pack, which lie within one piece. */
static struct bdr_err *verify_piece(struct verify *v, struct verify_buf *b, const char *key,
                                    const struct bdr_pack_info *info, const struct bdr_pack_row *rows, uint32_t from,
                                    uint32_t to, uint64_t *bad_rows)
{
    uint64_t off = rows[from].off, end = rows[to - 1].off + (uint64_t)rows[to - 1].stored;
    size_t got = 0;

    BDR_TRY(bdr_cancel_check(v->opt->cancel));
    BDR_TRY(bdr_store_get(v->r->store, key, off, b->piece, (size_t)(end - off), &got));
    for (uint32_t i = from; i < to; i++) {
        const struct bdr_pack_row *row = &rows[i];
        struct bdr_err *err = NULL;
        bool fresh;

        if (!verify_wants(v, b, info->cls))
            continue;
        if (row->off - off + row->stored > got)
            err = bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "cut short at %llu", (unsigned long long)(off + got));
        else
            err = bdr_unpack(b->unpack, info->salt, row, b->piece + (row->off - off), b->raw);
        pthread_mutex_lock(&v->lock);
        v->out->blocks++;
        v->out->bytes += row->stored;
        pthread_mutex_unlock(&v->lock);
        if (!err)
            continue;
        if (err->code != BDR_CORRUPT)
            return err;
        BDR_TRY(bdr_idset_add(v->bad, &row->id, &fresh));
        if (++*bad_rows == 1) /* one line a pack; the points' damage is listed whole */
            BDR_TRY(verify_bad_object(v, key, bdr_err_wrap(err, BDR_AT, "at %u", row->off)));
        else
            bdr_err_drop(err, "the pack is listed already");
    }
    return NULL;
}

/* The index must say of a pack what the pack says of itself. */
static struct bdr_err *verify_index(struct verify *v, uint32_t no, const struct bdr_pack_info *info,
                                    const struct bdr_pack_row *rows)
{
    for (uint32_t i = 0; i < info->rows; i++) {
        struct bdr_loc loc[8];
        bool condemned, hit = false;
        size_t n = 0;

        BDR_TRY(bdr_index_find(v->r->index, &rows[i].id, loc, BDR_COUNT(loc), &n, &condemned));
        for (size_t j = 0; j < n; j++)
            hit |= loc[j].pack == no && loc[j].row == i && !memcmp(&loc[j].at, &rows[i], sizeof(rows[i].id)) &&
                   loc[j].at.off == rows[i].off && loc[j].at.stored == rows[i].stored && loc[j].at.raw == rows[i].raw &&
                   loc[j].at.codec == rows[i].codec;
        if (!hit && n < BDR_COUNT(loc))
            BDR_FAIL(BDR_CORRUPT, 0, "the index does not say of its row %u what the pack says; run 'bdr rebuild-index'", i);
    }
    return NULL;
}

static struct bdr_err *verify_pack(struct verify *v, struct verify_buf *b, const struct bdr_index_pack *pack)
{
    BDR_AUTO(mem) struct bdr_pack_row *rows = NULL;
    char key[BDR_PACK_KEY_CHARS];
    struct bdr_pack_info info;
    uint64_t bad_rows = 0;
    struct bdr_err *err;

    bdr_pack_key(pack->info.name, key);
    err = bdr_pack_read_table(&v->r->env, pack->info.name, &info, &rows);
    if (!err)
        err = verify_index(v, pack->no, &info, rows);
    if (err && (err->code == BDR_CORRUPT || err->code == BDR_VERSION || err->code == BDR_NOTFOUND)) {
        struct bdr_index_pack again;
        bool found = false;

        if (err->code == BDR_NOTFOUND) { /* pruned meanwhile, or lost? */
            BDR_TRY(bdr_repo_sync(v->r, NULL, NULL));
            BDR_TRY(bdr_index_pack_no(v->r->index, pack->no, &found, &again));
            if (!found) {
                bdr_err_drop(err, "pruned; the maps tell when a point misses it");
                return NULL;
            }
        }
        BDR_TRY(verify_bad_object(v, key, err));
        if (!rows)
            return NULL;
        err = NULL;
    }
    BDR_TRY(err);
    if (v->opt->depth == BDR_VERIFY_MAPS && info.cls == BDR_PACK_DATA)
        return NULL;
    for (uint32_t i = 0, j; i < info.rows; i = j) {
        for (j = i + 1; j < info.rows && rows[j].off == rows[j - 1].off + (uint64_t)rows[j - 1].stored &&
                        rows[j].off + (uint64_t)rows[j].stored - rows[i].off <= VERIFY_PIECE;
             j++)
            ;
        BDR_TRY_FOR(verify_piece(v, b, key, &info, rows, i, j, &bad_rows), "reading %s", key);
    }
    return NULL;
}

static struct bdr_err *verify_worker(void *ctx, unsigned index)
{
    struct verify *v = ctx;
    __attribute__((cleanup(verify_buf_free))) struct verify_buf b = {0};

    (void)index;
    BDR_TRY(bdr_unpacker_new(&v->r->env, repo_id_key(v->r), &b.unpack));
    BDR_TRY(bdr_os_random(&b.seed, sizeof(b.seed)));
    b.piece = malloc(VERIFY_PIECE + BDR_BLOCK_MAX_BYTES + BDR_TAG_BYTES);
    b.raw = malloc(BDR_BLOCK_MAX_BYTES);
    if (!b.piece || !b.raw)
        BDR_FAIL(BDR_NOMEM, 0, "allocating buffers");
    for (;;) {
        size_t i = atomic_fetch_add(&v->next, 1);

        if (i >= v->packs)
            return NULL;
        BDR_TRY(bdr_cancel_check(&v->stop));
        BDR_TRY(verify_pack(v, &b, &v->pack[i]));
        if (v->opt->meter)
            atomic_fetch_add(&v->opt->meter->done, v->pack[i].info.size_bytes);
        pthread_mutex_lock(&v->lock);
        v->out->packs++;
        pthread_mutex_unlock(&v->lock);
    }
}

static struct bdr_err *verify_packs(struct verify *v)
{
    struct bdr_pool *pool = NULL;

    BDR_TRY(bdr_index_packs(v->r->index, &v->pack, &v->packs));
    if (v->opt->meter) {
        atomic_store(&v->opt->meter->phase, "packs");
        for (size_t i = 0; i < v->packs; i++)
            atomic_fetch_add(&v->opt->meter->total, v->pack[i].info.size_bytes);
    }
    BDR_TRY(bdr_pool_start("bdr-verify", v->opt->workers ? v->opt->workers : bdr_cpu_count(), verify_worker, v, &v->stop,
                           &pool));
    return bdr_pool_join(pool);
}

/* ---- maps ---- */

struct verify_disk {
    const struct bdr_point_info *point;
    uint32_t disk;
    uint64_t blocks, size;
};

static struct bdr_err *verify_damage(struct verify *v, const struct verify_disk *d, uint64_t off, uint64_t len,
                                     const char *what)
{
    struct bdr_verify_result *r = v->out;
    struct bdr_damage *last = r->n_damage ? &r->damage[r->n_damage - 1] : NULL, *more;

    len = BDR_MIN(len, d->size - BDR_MIN(off, d->size));
    if (last && !strcmp(last->point, d->point->id) && last->disk == d->disk && last->off + last->len == off) {
        last->len += len;
        return NULL;
    }
    if (r->n_damage >= VERIFY_DAMAGE_MAX)
        return NULL;
    more = reallocarray(r->damage, r->n_damage + 1, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    r->damage = more;
    last = &more[r->n_damage++];
    *last = (struct bdr_damage){.disk = d->disk, .off = off, .len = len};
    snprintf(last->point, sizeof(last->point), "%s", d->point->id);
    snprintf(last->host, sizeof(last->host), "%s", d->point->host);
    snprintf(last->what, sizeof(last->what), "%s", what);
    return NULL;
}

/* Whether a block can be served: it is in a pack, and if some copy is bad, another is good. */
static struct bdr_err *verify_block(struct verify *v, const struct bdr_id *id, uint32_t raw, const char **out_what)
{
    struct bdr_loc loc;
    bool condemned;
    size_t n = 0;

    *out_what = NULL;
    if (!bdr_idset_has(v->bad, id)) {
        BDR_TRY(bdr_index_find(v->r->index, id, &loc, 1, &n, &condemned));
        if (!n)
            *out_what = "the block is in no pack";
        else if (raw && loc.at.raw != raw)
            *out_what = "the block has the wrong size";
        return NULL;
    }
    BDR_AUTO(mem) uint8_t *buf = malloc(BDR_BLOCK_MAX_BYTES);
    BDR_NOMEM_IF_NULL(buf);
    size_t len = 0;
    struct bdr_err *err = bdr_block_read(v->r, id, buf, BDR_BLOCK_MAX_BYTES, &len);
    if (err && err->code != BDR_CORRUPT)
        return err;
    if (err)
        *out_what = "the block is damaged";
    bdr_err_drop(err, "listed");
    return NULL;
}

/* *out_clean: nothing below is damaged. */
static struct bdr_err *verify_tree(struct verify *v, const struct verify_disk *d, const struct bdr_id *id,
                                   uint32_t level, uint64_t first, bool *out_clean)
{
    uint64_t span = bdr_node_span(level), bs = v->r->block_bytes;
    BDR_AUTO(mem) struct bdr_node *node = NULL;
    struct bdr_err *err;
    bool ignored;

    *out_clean = true;
    if (bdr_idset_has(v->clean, id))
        return NULL;
    BDR_TRY(bdr_cancel_check(v->opt->cancel));
    node = malloc(sizeof(*node));
    BDR_NOMEM_IF_NULL(node);
    err = bdr_node_read(v->r, id, level, node);
    if (err && err->code == BDR_CORRUPT) {
        bdr_err_drop(err, "listed");
        *out_clean = false;
        return verify_damage(v, d, first * bs, span * BDR_FANOUT * bs, "a node of the map is damaged or missing");
    }
    BDR_TRY(err);
    for (uint64_t i = 0; i < BDR_FANOUT; i++) {
        uint64_t at = first + i * span;
        const char *what = NULL;
        bool clean = true;

        if (!(node->bits >> i & 1))
            continue;
        if (at >= d->blocks) {
            what = "the map reaches past the disk's end";
        } else if (level) {
            BDR_TRY(verify_tree(v, d, &node->child[i], level - 1, at, &clean));
        } else {
            BDR_TRY(verify_block(v, &node->child[i], (uint32_t)BDR_MIN(bs, d->size - at * bs), &what));
        }
        if (what) {
            clean = false;
            BDR_TRY(verify_damage(v, d, BDR_MIN(at * bs, d->size), span * bs, what));
        }
        *out_clean &= clean;
    }
    if (*out_clean)
        BDR_TRY(bdr_idset_add(v->clean, id, &ignored));
    return NULL;
}

static struct bdr_err *verify_point(struct verify *v, const struct bdr_point_info *info)
{
    json_t *point = NULL;
    struct bdr_err *err = bdr_point_load(v->r, info->id, &point);

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "removed meanwhile");
        return NULL;
    }
    BDR_TRY(err);
    for (uint32_t i = 0; !err && i < bdr_point_disks(point); i++) {
        struct verify_disk d = {.point = info, .disk = i};
        struct bdr_point_disk pd;
        bool clean;

        err = bdr_point_disk(point, i, &pd);
        if (err && err->code == BDR_CORRUPT) {
            err = verify_bad_object(v, info->id, err);
            continue;
        }
        d.size = pd.size_bytes;
        d.blocks = bdr_blocks_of(pd.size_bytes, v->r->block_bytes);
        if (!err && pd.has_root)
            err = verify_tree(v, &d, &pd.root, bdr_map_levels(d.blocks) - 1, 0, &clean);
    }
    json_decref(point);
    v->out->points++;
    return err;
}

/* A manifest as it lies in the store, not as the cache remembers it. */
static struct bdr_err *verify_manifests(struct verify *v)
{
    static const struct {
        const char *prefix;
        enum bdr_envelope_kind kind;
    } kinds[] = {{"points/", BDR_ENV_POINT}, {"condemned/", BDR_ENV_CONDEMNED}, {"leases/", BDR_ENV_LEASE}};

    for (size_t k = 0; k < BDR_COUNT(kinds); k++) {
        BDR_AUTO(json) json_t *keys = NULL;
        size_t i;
        json_t *key;

        BDR_TRY(bdr_repo_list(v->r, kinds[k].prefix, &keys));
        json_array_foreach(keys, i, key)
        {
            BDR_AUTO(json) json_t *obj = NULL;
            struct bdr_err *err = bdr_repo_load(v->r, kinds[k].kind, json_string_value(key), &obj);

            if (err && (err->code == BDR_CORRUPT || err->code == BDR_VERSION || err->code == BDR_INVAL))
                BDR_TRY(verify_bad_object(v, json_string_value(key), err));
            else if (err && err->code != BDR_NOTFOUND)
                return err;
            else
                bdr_err_drop(err, "removed meanwhile");
        }
    }
    if (v->r->sealed) {
        BDR_AUTO(mem) struct bdr_key_row *rows = NULL;
        size_t n;
        struct bdr_err *err = bdr_repo_keys(v->r, &rows, &n);

        if (err && err->code != BDR_CORRUPT && err->code != BDR_INVAL)
            return err;
        if (err)
            BDR_TRY(verify_bad_object(v, "keys", err));
    }
    return NULL;
}

static void verify_bad_point(void *ctx, const char *key, struct bdr_err *err)
{
    (void)ctx;
    (void)key;
    bdr_err_drop(err, "verify_manifests lists it");
}

static struct bdr_err *verify_go(struct verify *v)
{
    BDR_AUTO(mem) struct bdr_point_info *points = NULL;
    struct bdr_point_info one;
    size_t n = 0;

    BDR_TRY(bdr_idset_new(&v->bad));
    BDR_TRY(bdr_idset_new(&v->clean));
    if (!v->opt->point) {
        BDR_TRY(verify_manifests(v));
        BDR_TRY(verify_packs(v));
        BDR_TRY(bdr_repo_points_bad(v->r, verify_bad_point, NULL, &points, &n));
    } else {
        BDR_TRY(bdr_repo_find(v->r, v->opt->point, NULL, &one));
        BDR_TRY(verify_packs(v));
    }
    if (v->opt->meter)
        atomic_store(&v->opt->meter->phase, "maps");
    for (size_t i = 0; i < n; i++)
        BDR_TRY(verify_point(v, &points[i]));
    return v->opt->point ? verify_point(v, &one) : NULL;
}

struct bdr_err *bdr_verify(struct bdr_repo *repo, const struct bdr_verify_options *opt, struct bdr_verify_result *out)
{
    struct bdr_verify_result r = {0};
    struct verify v = {.r = repo, .opt = opt, .out = &r};
    struct bdr_err *err;

    pthread_mutex_init(&v.lock, NULL);
    err = verify_go(&v);
    pthread_mutex_destroy(&v.lock);
    bdr_idset_free(v.bad);
    bdr_idset_free(v.clean);
    free(v.pack);
    if (err) {
        bdr_verify_free(&r);
        return err;
    }
    *out = r;
    return NULL;
}

void bdr_verify_free(struct bdr_verify_result *r)
{
    free(r->damage);
    free(r->bad_objects);
    r->damage = NULL;
    r->bad_objects = NULL;
}
