/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heal.c - finds what points have lost, asks candidates for it, and has the bad packs replaced.
 *
 * The maps are walked twice: first each lost block and node is looked for at every place where some point has it, then,
 * when it is known what was found, the places are listed. A lost node is made again from the bytes below it: when its
 * id comes out, all of it is right.
 */
#include "bdr/heal.h"
#include "bdr/bytes.h"
#include "bdr/point.h"
#include "heal_pack.h"
#include "lock.h"
#include "node.h"
#include "presence.h"
#include "reader.h"
#include "twice.h"
#include "verify.h"
#include <stdio.h>
#include <string.h>

#define HEAL_PLACES_MAX 100000

/* A node that was made again. */
struct heal_node {
    struct bdr_id id;
    struct bdr_node node;
};

struct heal {
    struct bdr_repo *r;
    const struct bdr_heal_options *opt;
    struct bdr_heal_result *out;
    struct bdr_session *session; /* owned; NULL in a dry run */
    struct bdr_lock lock;
    struct bdr_verify_result found; /* owned */
    struct bdr_idset *bad;          /* owned; some copy of it is damaged */
    struct bdr_idset *lost;         /* owned; needed by a point, and no copy is good */
    struct bdr_idset *healed;       /* owned; of lost: had from a candidate */
    struct bdr_idset *clean;        /* owned; nodes with nothing lost below */
    struct heal_node *node;         /* owned */
    size_t n_node;
    struct bdr_hasher *hasher; /* owned */
    uint8_t *buf;              /* owned; one block */
    bool list;                 /* the second walk */
    /* The disk being walked. */
    const struct bdr_point_info *point;
    uint32_t disk, candidates;
    uint64_t size, blocks;
};

static void heal_free(struct heal *h)
{
    bdr_lock_drop(h->r, &h->lock);
    bdr_session_abandon(h->session);
    bdr_verify_free(&h->found);
    bdr_idset_free(h->bad);
    bdr_idset_free(h->lost);
    bdr_idset_free(h->healed);
    bdr_idset_free(h->clean);
    bdr_hasher_free(h->hasher);
    free(h->node);
    free(h->buf);
}

static struct bdr_err *heal_breathe(struct heal *h)
{
    BDR_TRY(bdr_cancel_check(h->opt->cancel));
    return h->session ? bdr_session_renew(h->session) : NULL;
}

/* ---- places ---- */

static struct bdr_err *heal_place(struct heal *h, uint64_t first, uint64_t blocks, bool healed, const char *what)
{
    struct bdr_heal_result *r = h->out;
    struct bdr_heal_place *last = r->n_place ? &r->place[r->n_place - 1] : NULL, *more;
    uint64_t off = first * h->r->block_bytes, len = BDR_MIN(blocks * h->r->block_bytes, h->size - off);

    if (last && last->healed == healed && !strcmp(last->at.point, h->point->id) && last->at.disk == h->disk &&
        last->at.off + last->at.len == off && !strcmp(last->at.what, what)) {
        last->at.len += len;
        return NULL;
    }
    r->n_left += !healed;
    if (r->n_place >= HEAL_PLACES_MAX)
        return NULL;
    more = reallocarray(r->place, r->n_place + 1, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    r->place = more;
    last = &more[r->n_place++];
    *last = (struct bdr_heal_place){.at = {.disk = h->disk, .off = off, .len = len}, .healed = healed};
    snprintf(last->at.point, sizeof(last->at.point), "%s", h->point->id);
    snprintf(last->at.host, sizeof(last->at.host), "%s", h->point->host);
    snprintf(last->at.what, sizeof(last->at.what), "%s", what);
    return NULL;
}

/* ---- candidates ---- */

static struct bdr_err *ask_zero(struct heal *h, uint32_t c, uint64_t first, uint64_t blocks, bool *out)
{
    uint64_t off = first * h->r->block_bytes;

    *out = false;
    return h->opt->ops->zero(h->opt->ctx, c, off, BDR_MIN(blocks * h->r->block_bytes, h->size - off), out);
}

/* What the candidate has where `block` was, in h->buf. */
static struct bdr_err *ask_block(struct heal *h, uint32_t c, uint64_t block, size_t *out_len, bool *out_there)
{
    uint64_t off = block * h->r->block_bytes;

    *out_there = false;
    *out_len = (size_t)BDR_MIN((uint64_t)h->r->block_bytes, h->size - off);
    BDR_TRY(heal_breathe(h));
    return h->opt->ops->read(h->opt->ctx, c, off, h->buf, *out_len, out_there);
}

/* Makes the node of `level` for the candidate's content from block `first` on. *out_there false: it can't be read;
 * out->bits 0: all zeros, there is no node. */
static struct bdr_err *ask_node(struct heal *h, uint32_t c, uint32_t level, uint64_t first, struct bdr_node *out,
                                bool *out_there)
{
    uint64_t span = bdr_node_span(level);
    BDR_AUTO(mem) struct bdr_node *below = level ? malloc(sizeof(*below)) : NULL;
    bool zero = false;

    if (level)
        BDR_NOMEM_IF_NULL(below);
    out->bits = 0;
    *out_there = true;
    BDR_TRY(ask_zero(h, c, first, span * BDR_FANOUT, &zero));
    for (uint32_t i = 0; !zero && *out_there && i < BDR_FANOUT && first + i * span < h->blocks; i++) {
        uint8_t raw[BDR_NODE_MAX_BYTES];
        const void *bytes = raw;
        size_t len = 0;

        if (level) {
            BDR_TRY(ask_node(h, c, level - 1, first + i * span, below, out_there));
            if (*out_there && below->bits)
                len = bdr_node_encode(below, level - 1, raw);
        } else {
            BDR_TRY(ask_block(h, c, first + i, &len, out_there));
            bytes = h->buf;
            if (*out_there && bdr_all_zero(h->buf, len))
                len = 0;
        }
        if (*out_there && len) {
            BDR_TRY(bdr_hasher_id(h->hasher, bytes, len, &out->child[i]));
            out->bits |= (uint64_t)1 << i;
        }
    }
    return NULL;
}

/* ---- healing ---- */

/* The right bytes of a lost block are here. */
static struct bdr_err *heal_found(struct heal *h, enum bdr_block_class cls, const struct bdr_id *id, const void *data,
                                  size_t len)
{
    bool fresh = false;

    if (h->session)
        BDR_TRY(bdr_session_put_again(h->session, cls, id, data, len));
    BDR_TRY(bdr_idset_add(h->healed, id, &fresh));
    h->out->healed_blocks += fresh;
    h->out->healed_bytes += fresh ? len : 0;
    return NULL;
}

static struct bdr_err *heal_block(struct heal *h, const struct bdr_id *id, uint64_t block)
{
    for (uint32_t c = 0; c < h->candidates; c++) {
        struct bdr_id got;
        bool there;
        size_t len;

        BDR_TRY(ask_block(h, c, block, &len, &there));
        if (!there)
            continue;
        BDR_TRY(bdr_hasher_id(h->hasher, h->buf, len, &got));
        if (!memcmp(&got, id, sizeof(got)))
            return heal_found(h, BDR_BLOCK_DATA, id, h->buf, len);
    }
    return NULL;
}

static struct bdr_err *heal_rebuild(struct heal *h, const struct bdr_id *id, uint32_t level, uint64_t first,
                                    struct bdr_node *out, bool *out_there)
{
    for (uint32_t c = 0; c < h->candidates; c++) {
        uint8_t raw[BDR_NODE_MAX_BYTES];
        struct heal_node *more;
        struct bdr_id got;
        bool there;
        size_t len;

        BDR_TRY(ask_node(h, c, level, first, out, &there));
        if (!there || !out->bits)
            continue;
        len = bdr_node_encode(out, level, raw);
        BDR_TRY(bdr_hasher_id(h->hasher, raw, len, &got));
        if (memcmp(&got, id, sizeof(got)) != 0)
            continue;
        more = reallocarray(h->node, h->n_node + 1, sizeof(*more));
        BDR_NOMEM_IF_NULL(more);
        h->node = more;
        more[h->n_node].id = *id;
        more[h->n_node++].node = *out;
        *out_there = true;
        return heal_found(h, BDR_BLOCK_NODE, id, raw, len);
    }
    return NULL;
}

/* ---- what is lost ---- */

static struct bdr_err *heal_lose(struct heal *h, const struct bdr_id *id)
{
    bool fresh = false;

    BDR_TRY(bdr_idset_add(h->lost, id, &fresh));
    h->out->lost_blocks += fresh;
    return NULL;
}

/* Whether no copy of a data block is good. */
static struct bdr_err *heal_is_lost(struct heal *h, const struct bdr_id *id, uint64_t block, bool *out)
{
    uint64_t want = BDR_MIN((uint64_t)h->r->block_bytes, h->size - block * h->r->block_bytes);
    struct bdr_err *err;
    size_t len = 0, n = 0;

    *out = bdr_idset_has(h->lost, id);
    if (*out)
        return NULL;
    if (!bdr_idset_has(h->bad, id)) {
        struct bdr_loc loc;
        bool condemned;

        BDR_TRY(bdr_index_find(h->r->index, id, &loc, 1, &n, &condemned));
        *out = !n;
        return n ? NULL : heal_lose(h, id);
    }
    err = bdr_block_read(h->r, id, h->buf, BDR_BLOCK_MAX_BYTES, &len);
    if (err && !bdr_verify_is_damage(err))
        return err;
    *out = err || len != want;
    bdr_err_drop(err, "it is lost");
    return *out ? heal_lose(h, id) : NULL;
}

/* Reads a node; one that is lost is made again if it can be. *out_lost: it was lost, whether or not it is here now. */
static struct bdr_err *heal_get_node(struct heal *h, const struct bdr_id *id, uint32_t level, uint64_t first,
                                     struct bdr_node *out, bool *out_there, bool *out_lost)
{
    *out_there = false;
    *out_lost = bdr_idset_has(h->lost, id);
    if (!*out_lost) {
        struct bdr_err *err = bdr_node_read(h->r, id, level, out);

        if (err && !bdr_verify_is_damage(err))
            return err;
        *out_there = !err;
        *out_lost = err != NULL;
        bdr_err_drop(err, "it is lost");
        if (*out_lost)
            BDR_TRY(heal_lose(h, id));
    }
    for (size_t i = 0; *out_lost && !*out_there && i < h->n_node; i++)
        if (!memcmp(&h->node[i].id, id, sizeof(*id))) {
            *out = h->node[i].node;
            *out_there = true;
        }
    if (!*out_there && !h->list)
        BDR_TRY(heal_rebuild(h, id, level, first, out, out_there));
    return NULL;
}

static struct bdr_err *heal_leaf_block(struct heal *h, const struct bdr_id *id, uint64_t block, bool *out_clean)
{
    bool lost;

    BDR_TRY(heal_is_lost(h, id, block, &lost));
    if (!lost)
        return NULL;
    *out_clean = false;
    if (h->list)
        return heal_place(h, block, 1, bdr_idset_has(h->healed, id), "data");
    return bdr_idset_has(h->healed, id) ? NULL : heal_block(h, id, block);
}

static struct bdr_err *heal_tree(struct heal *h, const struct bdr_id *id, uint32_t level, uint64_t first,
                                 bool *out_clean)
{
    uint64_t span = bdr_node_span(level);
    BDR_AUTO(mem) struct bdr_node *node = NULL;
    bool there, lost, clean = true, ignored;

    if (bdr_idset_has(h->clean, id))
        return NULL;
    BDR_TRY(heal_breathe(h));
    node = malloc(sizeof(*node));
    BDR_NOMEM_IF_NULL(node);
    BDR_TRY(heal_get_node(h, id, level, first, node, &there, &lost));
    if (lost) {
        clean = false;
        if (h->list)
            BDR_TRY(heal_place(h, first, span * BDR_FANOUT, there, "map"));
    }
    for (uint32_t i = 0; there && i < BDR_FANOUT && first + i * span < h->blocks; i++) {
        if (!(node->bits >> i & 1))
            continue;
        if (level)
            BDR_TRY(heal_tree(h, &node->child[i], level - 1, first + i * span, &clean));
        else
            BDR_TRY(heal_leaf_block(h, &node->child[i], first + i, &clean));
    }
    if (clean)
        BDR_TRY(bdr_idset_add(h->clean, id, &ignored));
    *out_clean &= clean;
    return NULL;
}

static struct bdr_err *heal_point(struct heal *h, const struct bdr_point_info *info)
{
    BDR_AUTO(json) json_t *point = NULL;
    struct bdr_err *err = bdr_point_read(h->r, info, &point);

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "removed meanwhile");
        return NULL;
    }
    BDR_TRY(err);
    h->point = info;
    for (uint32_t i = 0; i < bdr_point_disks(point); i++) {
        struct bdr_point_disk d;
        bool clean = true;

        err = bdr_point_disk(point, i, &d);
        if (err && err->code == BDR_CORRUPT) {
            bdr_err_drop(err, "verify has told it");
            continue;
        }
        BDR_TRY(err);
        h->disk = i;
        h->size = d.size_bytes;
        h->blocks = bdr_blocks_of(d.size_bytes, h->r->block_bytes);
        h->candidates = 0;
        if (h->opt->ops && !h->list)
            BDR_TRY(h->opt->ops->begin(h->opt->ctx, point, i, &h->candidates));
        if (d.has_root)
            BDR_TRY_FOR(heal_tree(h, &d.root, bdr_map_levels(h->blocks) - 1, 0, &clean), "point %.8s, disk %u", info->id,
                        i);
    }
    return NULL;
}

/* ---- all of it ---- */

static void heal_bad_point(void *ctx, const char *key, struct bdr_err *err)
{
    (void)ctx;
    (void)key;
    bdr_err_drop(err, "verify has told it");
}

static void heal_phase(struct heal *h, const char *phase)
{
    if (h->opt->meter)
        atomic_store(&h->opt->meter->phase, phase);
}

/* Name of the pack that verify complains of in this line, "packs/ab/...: why". */
static bool heal_pack_of(const char *line, uint8_t name[16])
{
    char key[BDR_PACK_KEY_CHARS];

    snprintf(key, sizeof(key), "%.*s", (int)BDR_MIN(strcspn(line, ":"), sizeof(key) - 1), line);
    return bdr_pack_name(key, name);
}

/* Verify may complain of a pack twice: of its table, and of its rows. */
static bool heal_was_told(const struct heal *h, size_t line)
{
    for (size_t i = 0; i < line; i++)
        if (!strncmp(h->found.bad_objects[i], h->found.bad_objects[line], strcspn(h->found.bad_objects[line], ":") + 1))
            return true;
    return false;
}

static struct bdr_err *heal_bad_object(struct heal *h, const char *line)
{
    char(*more)[256] = reallocarray(h->out->bad_objects, h->out->n_bad + 1, sizeof(*more));

    BDR_NOMEM_IF_NULL(more);
    h->out->bad_objects = more;
    snprintf(more[h->out->n_bad++], sizeof(*more), "%s", line);
    return NULL;
}

/* ---- config and keys ---- */

static struct bdr_err *heal_bad_copy(void *ctx, const char *key, bool can_heal, struct bdr_err *err)
{
    struct heal *h = ctx;
    struct bdr_err *e = NULL;
    char line[256], text[512];

    if (!h->opt->dry_run || !can_heal) {
        snprintf(line, sizeof(line), "%.80s: %.170s", key, bdr_err_text(err, text, sizeof(text)));
        e = heal_bad_object(h, line);
    }
    bdr_err_free(err);
    return e;
}

static struct bdr_err *heal_copies(struct heal *h)
{
    size_t told = 0;
    uint64_t ignored = 0;

    for (size_t i = 0; i < h->found.n_bad; i++)
        told += bdr_twice_is(h->found.bad_objects[i]);
    if (h->session)
        BDR_TRY(bdr_twice_heal(h->r, bdr_session_presence(h->session), &ignored));
    BDR_TRY(bdr_twice_check(h->r, heal_bad_copy, h));
    h->out->objects_healed += told - BDR_MIN(told, h->out->n_bad);
    return NULL;
}

static struct bdr_err *heal_packs(struct heal *h)
{
    struct bdr_heal_pack one = {.r = h->r, .opt = h->opt, .out = h->out, .session = h->session, .lost = h->lost,
                                .healed = h->healed};
    uint8_t name[16];

    for (size_t i = 0; i < h->found.n_bad; i++) {
        if (bdr_twice_is(h->found.bad_objects[i]))
            continue;
        if (!heal_pack_of(h->found.bad_objects[i], name)) {
            BDR_TRY(heal_bad_object(h, h->found.bad_objects[i]));
            continue;
        }
        if (heal_was_told(h, i))
            continue;
        h->out->bad_packs++;
        if (h->session)
            BDR_TRY(bdr_heal_pack(&one, name));
    }
    return NULL;
}

static struct bdr_err *heal_walk(struct heal *h)
{
    BDR_AUTO(mem) struct bdr_point_info *points = NULL;
    size_t n = 0;

    BDR_TRY(bdr_repo_points_bad(h->r, heal_bad_point, NULL, &points, &n));
    for (size_t i = n; i-- > 0;) /* the newest first: disks are most like these */
        BDR_TRY(heal_point(h, &points[i]));
    if (h->session)
        BDR_TRY(bdr_session_flush(h->session));
    h->list = true;
    for (size_t i = 0; i < n; i++)
        BDR_TRY(heal_point(h, &points[i]));
    return NULL;
}

static struct bdr_err *heal_go(struct heal *h)
{
    struct bdr_verify_options verify = {.depth = BDR_VERIFY_ALL, .workers = h->opt->workers, .meter = h->opt->meter,
                                        .cancel = h->opt->cancel};
    bool twice = true;

    if (h->r->read_only && !h->opt->dry_run)
        BDR_FAIL(BDR_READONLY, 0, "%s is opened for reading only", bdr_repo_url(h->r));
    BDR_TRY(bdr_verify_find(h->r, &verify, &h->found, &h->bad));
    h->out->points = h->found.points;
    h->out->packs = h->found.packs;
    if (!h->opt->dry_run)
        BDR_TRY(bdr_twice_fine(h->r, &twice));
    if (!h->found.n_bad && !h->found.n_damage && twice)
        return NULL;
    BDR_TRY(bdr_idset_new(&h->lost));
    BDR_TRY(bdr_idset_new(&h->healed));
    BDR_TRY(bdr_idset_new(&h->clean));
    BDR_TRY(bdr_hasher_new(repo_id_key(h->r), &h->hasher));
    h->buf = malloc(BDR_BLOCK_MAX_BYTES);
    BDR_NOMEM_IF_NULL(h->buf);
    if (!h->opt->dry_run) {
        /* The session first: from now on no prune removes what we store, and with the lock none removes anything. */
        BDR_TRY(bdr_session_begin(h->r, &(struct bdr_session_options){0}, &h->session));
        BDR_TRY(bdr_lock_take(h->r, BDR_LOCK_PRUNE, bdr_session_presence(h->session), &h->lock));
    }
    BDR_TRY(heal_copies(h));
    heal_phase(h, "looking for what was lost");
    BDR_TRY(heal_walk(h));
    heal_phase(h, "replacing bad packs");
    return heal_packs(h);
}

struct bdr_err *bdr_heal(struct bdr_repo *repo, const struct bdr_heal_options *opt, struct bdr_heal_result *out)
{
    struct bdr_heal_result r = {0};
    struct heal h = {.r = repo, .opt = opt, .out = &r};
    struct bdr_err *err = heal_go(&h);

    heal_free(&h);
    if (err) {
        bdr_heal_free(&r);
        return err;
    }
    *out = r;
    return NULL;
}

void bdr_heal_free(struct bdr_heal_result *r)
{
    free(r->place);
    free(r->bad_objects);
    r->place = NULL;
    r->bad_objects = NULL;
}
