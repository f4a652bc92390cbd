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
#include "twice.h"
#include "verify.h"
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
    struct bdr_err *failed;  /* owned; of a callback that can't return it */
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

/* What a pack's checks share. */
struct verify_one {
    const struct bdr_index_pack *pack;
    char key[BDR_PACK_KEY_CHARS];
    struct bdr_pack_info info;
    struct bdr_pack_row *rows; /* owned */
    uint64_t bad_rows;
};

static void verify_one_free(struct verify_one *o)
{
    free(o->rows);
}

/* Takes the error of one row. */
static struct bdr_err *verify_bad_row(struct verify *v, struct verify_one *o, const struct bdr_pack_row *row,
                                      struct bdr_err *err)
{
    bool fresh;

    BDR_TRY(bdr_idset_add(v->bad, &row->id, &fresh));
    if (++o->bad_rows == 1) /* one line a pack; the points' damage is listed whole */
        return verify_bad_object(v, o->key, bdr_err_wrap(err, BDR_AT, "at %u", row->off));
    bdr_err_drop(err, "the pack is listed already");
    return NULL;
}

/* Decodes rows [from, to) of a pack, which lie within one piece. *out_gone: the pack was pruned meanwhile. */
static struct bdr_err *verify_piece(struct verify *v, struct verify_buf *b, struct verify_one *o, uint32_t from,
                                    uint32_t to, bool *out_gone)
{
    uint64_t off = o->rows[from].off, end = o->rows[to - 1].off + (uint64_t)o->rows[to - 1].stored;
    size_t got = 0;
    struct bdr_err *err;

    BDR_TRY(bdr_cancel_check(v->opt->cancel));
    err = bdr_store_get(v->r->store, o->key, off, b->piece, (size_t)(end - off), &got);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "pruned; the maps tell when a point misses it");
        *out_gone = true;
        return NULL;
    }
    if (err && err->code == BDR_IO && to - from > 1) { /* which of them? */
        bdr_err_drop(err, "each row is read alone");
        for (uint32_t i = from; i < to && !*out_gone; i++)
            BDR_TRY(verify_piece(v, b, o, i, i + 1, out_gone));
        return NULL;
    }
    if (err && !bdr_verify_is_damage(err))
        return err;
    for (uint32_t i = from; i < to; i++) {
        const struct bdr_pack_row *row = &o->rows[i];
        struct bdr_err *e = NULL;

        if (!err && !verify_wants(v, b, o->info.cls))
            continue;
        if (err)
            e = bdr_err_new(err->code, err->sys, BDR_AT, "%s", err->msg);
        else if (row->off - off + row->stored > got)
            e = bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "cut short at %llu", (unsigned long long)(off + got));
        else
            e = bdr_unpack(b->unpack, o->info.salt, row, b->piece + (row->off - off), b->raw);
        pthread_mutex_lock(&v->lock);
        v->out->blocks++;
        v->out->bytes += row->stored;
        pthread_mutex_unlock(&v->lock);
        if (e && !bdr_verify_is_damage(e)) {
            bdr_err_free(err);
            return e;
        }
        if (e)
            BDR_TRY(verify_bad_row(v, o, row, e));
    }
    bdr_err_drop(err, "told row by row");
    return NULL;
}

/* The index must say of a pack what the pack says of itself. */
static struct bdr_err *verify_index(struct verify *v, const struct verify_one *o)
{
    for (uint32_t i = 0; i < o->info.rows; i++) {
        const struct bdr_pack_row *row = &o->rows[i];
        struct bdr_loc loc[8];
        bool condemned, hit = false;
        size_t n = 0;

        BDR_TRY(bdr_index_find(v->r->index, &row->id, loc, BDR_COUNT(loc), &n, &condemned));
        for (size_t j = 0; j < n; j++)
            hit |= loc[j].pack == o->pack->no && loc[j].row == i && loc[j].at.off == row->off &&
                   loc[j].at.stored == row->stored && loc[j].at.raw == row->raw && loc[j].at.codec == row->codec;
        if (!hit && n < BDR_COUNT(loc))
            BDR_FAIL(BDR_CORRUPT, 0, "the index does not say of its row %u what the pack says; run 'bdr rebuild-index'", i);
    }
    return NULL;
}

/* Whether a prune took the pack away while we looked. */
static struct bdr_err *verify_is_gone(struct verify *v, const struct verify_one *o, bool *out)
{
    struct bdr_index_pack again;
    bool found = false;

    BDR_TRY(bdr_repo_sync(v->r, NULL, NULL));
    BDR_TRY(bdr_index_pack_no(v->r->index, o->pack->no, &found, &again));
    *out = !found;
    return NULL;
}

/* Reads the pack's table and holds it against the index. Without a table the index says which blocks to look at, and
 * with what key: they can be read for as long as it lasts. *out_gone: pruned meanwhile. */
static struct bdr_err *verify_table(struct verify *v, struct verify_one *o, bool *out_gone)
{
    struct bdr_err *err = bdr_pack_read_table(&v->r->env, o->pack->info.name, &o->info, &o->rows);

    if (!err)
        err = verify_index(v, o);
    if (!err)
        return NULL;
    if (err->code != BDR_NOTFOUND && !bdr_verify_is_damage(err))
        return err;
    struct bdr_err *e = verify_is_gone(v, o, out_gone);
    if (e || *out_gone) {
        bdr_err_drop(err, "pruned; the maps tell when a point misses it");
        return e;
    }
    BDR_TRY(verify_bad_object(v, o->key, err));
    if (!o->rows) {
        o->info = o->pack->info;
        BDR_TRY(bdr_index_rows(v->r->index, o->pack->no, &o->rows, &o->info.rows));
    }
    return NULL;
}

static struct bdr_err *verify_pack(struct verify *v, struct verify_buf *b, const struct bdr_index_pack *pack)
{
    __attribute__((cleanup(verify_one_free))) struct verify_one o = {.pack = pack};
    bool gone = false;

    bdr_pack_key(pack->info.name, o.key);
    BDR_TRY(verify_table(v, &o, &gone));
    if (v->opt->depth == BDR_VERIFY_MAPS && o.info.cls == BDR_PACK_DATA)
        return NULL;
    for (uint32_t i = 0, j; !gone && i < o.info.rows; i = j) {
        const struct bdr_pack_row *rows = o.rows;

        for (j = i + 1; j < o.info.rows && rows[j].off == rows[j - 1].off + (uint64_t)rows[j - 1].stored &&
                        rows[j].off + (uint64_t)rows[j].stored - rows[i].off <= VERIFY_PIECE;
             j++)
            ;
        BDR_TRY_FOR(verify_piece(v, b, &o, i, j, &gone), "reading %s", o.key);
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

static void verify_bad_pack(void *ctx, const char *pack, struct bdr_err *err)
{
    struct verify *v = ctx;

    v->failed = bdr_err_first(v->failed, verify_bad_object(v, pack, err));
}

static struct bdr_err *verify_packs(struct verify *v)
{
    struct bdr_pool *pool = NULL;

    /* Packs whose table can't be read are not in the index, and nobody else would tell of them. */
    BDR_TRY(bdr_repo_sync_bad(v->r, verify_bad_pack, v));
    BDR_TRY(BDR_STEAL(v->failed));
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
    if (err && !bdr_verify_is_damage(err))
        return err;
    if (err)
        *out_what = err->code == BDR_IO ? "the block can't be read from the store" : "the block is damaged";
    else if (raw && len != raw)
        *out_what = "the block has the wrong size";
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
    if (err && bdr_verify_is_damage(err)) {
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

static struct bdr_err *verify_disks(struct verify *v, const struct bdr_point_info *info, const json_t *point)
{
    for (uint32_t i = 0; i < bdr_point_disks(point); i++) {
        struct verify_disk d = {.point = info, .disk = i};
        struct bdr_point_disk pd;
        bool clean;
        struct bdr_err *err = bdr_point_disk(point, i, &pd);

        if (err && err->code == BDR_CORRUPT) {
            BDR_TRY(verify_bad_object(v, info->id, err));
            continue;
        }
        BDR_TRY(err);
        d.size = pd.size_bytes;
        d.blocks = bdr_blocks_of(pd.size_bytes, v->r->block_bytes);
        if (pd.has_root)
            BDR_TRY(verify_tree(v, &d, &pd.root, bdr_map_levels(d.blocks) - 1, 0, &clean));
    }
    return NULL;
}

/* Damage is believed when it is still there after a second look with fresh eyes: a prune may have moved the blocks, or
 * somebody may have removed the point and a prune its blocks. */
static struct bdr_err *verify_point(struct verify *v, const struct bdr_point_info *info)
{
    BDR_AUTO(json) json_t *point = NULL;
    size_t before = v->out->n_damage;
    struct bdr_err *err = bdr_point_read(v->r, info, &point);
    bool there = true;

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "removed meanwhile");
        return NULL;
    }
    BDR_TRY(err);
    BDR_TRY(verify_disks(v, info, point));
    if (v->out->n_damage > before) {
        v->out->n_damage = before;
        BDR_TRY(bdr_repo_sync(v->r, NULL, NULL));
        BDR_TRY(verify_disks(v, info, point));
    }
    if (v->out->n_damage > before)
        BDR_TRY(bdr_point_visible(v->r, info->host, info->id, &there));
    if (there)
        v->out->points++;
    else
        v->out->n_damage = before;
    return NULL;
}

static struct bdr_err *verify_bad_copy(void *ctx, const char *key, bool can_heal, struct bdr_err *err)
{
    (void)can_heal;
    return verify_bad_object(ctx, key, err);
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

            if (!err && kinds[k].kind == BDR_ENV_POINT)
                err = bdr_point_check(obj);
            if (err && (err->code == BDR_CORRUPT || err->code == BDR_VERSION || err->code == BDR_INVAL))
                BDR_TRY(verify_bad_object(v, json_string_value(key), err));
            else if (err && err->code != BDR_NOTFOUND)
                return err;
            else
                bdr_err_drop(err, "removed meanwhile");
        }
    }
    return bdr_twice_check(v->r, verify_bad_copy, v);
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
    BDR_AUTO(idset) struct bdr_idset *bad = NULL;

    return bdr_verify_find(repo, opt, out, &bad);
}

struct bdr_err *bdr_verify_find(struct bdr_repo *repo, const struct bdr_verify_options *opt,
                                struct bdr_verify_result *out, struct bdr_idset **out_bad)
{
    struct bdr_verify_result r = {0};
    struct verify v = {.r = repo, .opt = opt, .out = &r};
    struct bdr_err *err;

    pthread_mutex_init(&v.lock, NULL);
    err = verify_go(&v);
    pthread_mutex_destroy(&v.lock);
    bdr_idset_free(v.clean);
    bdr_err_free(v.failed);
    free(v.pack);
    if (err) {
        bdr_idset_free(v.bad);
        bdr_verify_free(&r);
        return err;
    }
    *out = r;
    *out_bad = v.bad;
    return NULL;
}

void bdr_verify_free(struct bdr_verify_result *r)
{
    free(r->damage);
    free(r->bad_objects);
    r->damage = NULL;
    r->bad_objects = NULL;
}
