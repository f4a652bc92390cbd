/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - storing blocks and publishing a point.
 *
 * A put finds out whether the block is known, else compresses it into one of a few open packs ("slots"). A full pack
 * goes to the syncer threads, which make it durable and then put it into the index, so that nobody waits for a disk
 * flush while there is something to hash.
 */
#include "bdr/jsonset.h"
#include "bdr/session.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "bdr/queue.h"
#include "bdr/sync.h"
#include "idset.h"
#include "bdr/point.h"
#include "presence.h"
#include "reader.h"
#include "reserve.h"
#include "session_i.h"
#include "twice.h"
#include <stdio.h>
#include <string.h>

#define SESSION_SYNCERS 2
#define SESSION_PACKS_WAITING 4

/* One place to compress and pack; used by one thread at a time. */
struct session_slot {
    struct session_slot *next;
    enum bdr_pack_class cls;
    struct bdr_codec_ctx *codec;
    struct bdr_buf packed;
    struct bdr_pack_writer *pack; /* open, or NULL */
};

struct bdr_session {
    struct bdr_repo *repo;
    struct bdr_presence presence;
    char *host; /* owned; NULL: no points */
    uint64_t lease;
    enum bdr_codec codec;
    int level;
    struct bdr_condemned condemned; /* as of our begin, and that is what counts */
    struct bdr_idset *pending; /* ids in packs that the index does not name yet */
    struct bdr_cancel stop;    /* set on the first error */
    struct bdr_queue *full;    /* struct bdr_pack_writer * */
    struct bdr_pool *syncers;
    struct bdr_session_stats stats;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t some;
    struct session_slot *idle[BDR_PACK_CLASSES];
    unsigned slots[BDR_PACK_CLASSES];     /* made so far */
    unsigned slots_max[BDR_PACK_CLASSES];
    unsigned in_flight;                   /* packs with the syncers */
    struct bdr_err *failed;               /* owned; the first error */
    struct session_hasher *hashers;
};

struct session_hasher {
    struct session_hasher *next;
    struct bdr_hasher *h;
};

/* ---- errors: the first one ends the session ---- */

static struct bdr_err *session_failed(struct bdr_session *s)
{
    struct bdr_err *err = NULL;
    char text[1024];

    pthread_mutex_lock(&s->lock);
    if (s->failed)
        err = bdr_err_new(s->failed->code, s->failed->sys, BDR_AT, "%s", bdr_err_text(s->failed, text, sizeof(text)));
    pthread_mutex_unlock(&s->lock);
    return err;
}

static struct bdr_err *session_fail(struct bdr_session *s, struct bdr_err *err)
{
    if (!err)
        return NULL;
    pthread_mutex_lock(&s->lock);
    if (!s->failed)
        s->failed = BDR_STEAL(err);
    pthread_mutex_unlock(&s->lock);
    bdr_err_drop(err, "the first error is kept");
    bdr_cancel_set(&s->stop);
    return session_failed(s);
}

/* ---- syncers ---- */

static struct bdr_err *session_store(struct bdr_session *s, struct bdr_pack_writer *w)
{
    BDR_AUTO(mem) struct bdr_pack_row *rows = NULL;
    struct bdr_pack_info info;

    BDR_TRY(bdr_pack_commit(w, &info, &rows));
    BDR_TRY(bdr_index_add(s->repo->index, &info, rows));
    for (uint32_t i = 0; i < info.rows; i++)
        bdr_idset_remove(s->pending, &rows[i].id);
    atomic_fetch_add(&s->stats.packs, 1);
    return NULL;
}

static struct bdr_err *session_syncer(void *ctx, unsigned index)
{
    struct bdr_session *s = ctx;

    (void)index;
    for (;;) {
        void *item = NULL;
        struct bdr_err *err;

        BDR_TRY(bdr_queue_get(s->full, NULL, &item));
        if (!item)
            return NULL;
        if (bdr_cancelled(&s->stop)) {
            bdr_pack_abandon(item);
            err = NULL;
        } else {
            err = session_store(s, item);
        }
        bdr_err_drop(session_fail(s, err), "kept in the session");
        pthread_mutex_lock(&s->lock);
        s->in_flight--;
        pthread_cond_broadcast(&s->some);
        pthread_mutex_unlock(&s->lock);
    }
}

/* Hands a pack over; consumes it. */
static struct bdr_err *session_hand_over(struct bdr_session *s, struct bdr_pack_writer *w)
{
    struct bdr_err *err;

    if (!bdr_pack_rows(w)) {
        bdr_pack_abandon(w);
        return NULL;
    }
    pthread_mutex_lock(&s->lock);
    s->in_flight++;
    pthread_mutex_unlock(&s->lock);
    err = bdr_queue_put(s->full, &s->stop, w, bdr_pack_bytes(w));
    if (err) {
        bdr_pack_abandon(w);
        pthread_mutex_lock(&s->lock);
        s->in_flight--;
        pthread_mutex_unlock(&s->lock);
        struct bdr_err *first = session_failed(s);
        return bdr_err_first(first, err);
    }
    return NULL;
}

/* ---- slots ---- */

static void slot_free(struct session_slot *slot)
{
    if (!slot)
        return;
    bdr_pack_abandon(slot->pack);
    bdr_codec_free(slot->codec);
    bdr_buf_free(&slot->packed);
    free(slot);
}

static struct bdr_err *slot_get(struct bdr_session *s, enum bdr_pack_class cls, struct session_slot **out)
{
    struct session_slot *slot = NULL;
    struct bdr_err *err;
    bool make = false;

    pthread_mutex_lock(&s->lock);
    while (!s->idle[cls] && s->slots[cls] == s->slots_max[cls] && !bdr_cancelled(&s->stop))
        bdr_cond_wait_slice(&s->some, &s->lock);
    if (s->idle[cls]) {
        slot = s->idle[cls]; /* last in, first out: an idle writer's pack stays the one that fills */
        s->idle[cls] = slot->next;
    } else if (s->slots[cls] < s->slots_max[cls]) {
        s->slots[cls]++;
        make = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (make) {
        slot = calloc(1, sizeof(*slot));
        err = slot ? bdr_codec_new(&slot->codec) : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
        if (err) {
            free(slot);
            return err;
        }
        slot->cls = cls;
    }
    if (!slot)
        return bdr_err_first(session_failed(s), bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has stopped"));
    *out = slot;
    return NULL;
}

static void slot_put(struct bdr_session *s, struct session_slot *slot)
{
    pthread_mutex_lock(&s->lock);
    slot->next = s->idle[slot->cls];
    s->idle[slot->cls] = slot;
    pthread_cond_signal(&s->some);
    pthread_mutex_unlock(&s->lock);
}

/* What is put: the block itself, or how somebody who was checked has compressed it. */
struct session_block {
    const void *data;
    size_t len, raw_len;
    bool encoded;
    enum bdr_codec codec; /* of encoded data */
};

static struct bdr_err *slot_pack(struct bdr_session *s, struct session_slot *slot, struct session_block *b)
{
    enum bdr_codec want = slot->cls == BDR_PACK_NODE ? BDR_CODEC_NONE : s->codec;

    slot->packed.len = 0;
    bdr_buf_reserve(&slot->packed, bdr_codec_bound(b->raw_len));
    BDR_TRY(bdr_buf_check(&slot->packed));
    BDR_TRY(bdr_codec_pack(slot->codec, want, s->level, b->data, b->raw_len, slot->packed.data, &b->codec, &b->len));
    if (b->codec != BDR_CODEC_NONE)
        b->data = slot->packed.data;
    return NULL;
}

static struct bdr_err *slot_store(struct bdr_session *s, struct session_slot *slot, const struct bdr_id *id,
                                  struct session_block b, size_t *out_stored)
{
    if (!b.encoded)
        BDR_TRY(slot_pack(s, slot, &b));
    if (!slot->pack)
        BDR_TRY(bdr_pack_begin(&s->repo->env, slot->cls, &slot->pack));
    BDR_TRY(bdr_pack_add(slot->pack, id, b.codec, b.data, b.len, b.raw_len));
    *out_stored = b.len;
    if (bdr_pack_bytes(slot->pack) >= s->repo->pack_bytes)
        BDR_TRY(session_hand_over(s, BDR_STEAL(slot->pack)));
    return NULL;
}

/* ---- the public part ---- */

struct bdr_err *bdr_session_begin(struct bdr_repo *repo, const struct bdr_session_options *opt,
                                  struct bdr_session **out)
{
    BDR_AUTO(session) struct bdr_session *s = calloc(1, sizeof(*s));
    char purpose[200];
    unsigned slots = opt->slots;

    BDR_NOMEM_IF_NULL(s);
    s->repo = repo;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->some, NULL);
    s->codec = repo->codec;
    s->level = repo->level;
    if (repo->read_only)
        BDR_FAIL(BDR_READONLY, 0, "%s is opened for reading only", bdr_repo_url(repo));
    if (opt->compress)
        BDR_TRY(bdr_codec_parse(opt->compress, &s->codec, &s->level));
    if (!slots) /* some wait for the store while as many as there are CPUs compress; each costs a buffer of 1 MiB or a part */
        slots = bdr_cpu_count() + 2;
    s->slots_max[BDR_PACK_DATA] = slots;
    s->slots_max[BDR_PACK_NODE] = 1;
    BDR_TRY(bdr_idset_new(&s->pending));
    BDR_TRY(bdr_queue_new(SESSION_PACKS_WAITING, UINT64_MAX, &s->full));
    snprintf(purpose, sizeof(purpose), "backup of host %.100s", opt->host ? opt->host : "-");
    BDR_TRY(bdr_presence_begin(repo, opt->host ? purpose : "maintenance", &s->presence));
    bdr_twice_tend(repo, s->presence.id);
    bdr_reserve_make(repo);
    /* Only now, with the session visible to prune, is what the index says safe to refer to. */
    BDR_TRY(bdr_condemned_load(repo, &s->condemned));
    BDR_TRY(bdr_repo_sync(repo, NULL, NULL));
    if (json_array_size(s->condemned.damaged))
        BDR_TRY(bdr_condemned_all(repo, &s->condemned));
    if (opt->host) {
        s->host = strdup(opt->host);
        BDR_NOMEM_IF_NULL(s->host);
        BDR_TRY(bdr_lease_take(repo, s->host, s->presence.id, opt->take_over, &s->lease));
    }
    BDR_TRY(bdr_pool_start("bdr-sync", SESSION_SYNCERS, session_syncer, s, NULL, &s->syncers));
    *out = BDR_STEAL(s);
    return NULL;
}

/* Ends the syncers; with `keep` the open packs are stored first. */
static struct bdr_err *session_drain(struct bdr_session *s, bool keep)
{
    struct bdr_err *err = NULL;

    for (int c = 0; c < BDR_PACK_CLASSES; c++)
        for (struct session_slot *slot = s->idle[c]; slot; slot = slot->next)
            if (keep && slot->pack)
                err = bdr_err_first(err, session_hand_over(s, BDR_STEAL(slot->pack)));
    pthread_mutex_lock(&s->lock);
    while (s->in_flight)
        bdr_cond_wait_slice(&s->some, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return bdr_err_first(err, session_failed(s));
}

void bdr_session_abandon(struct bdr_session *s)
{
    if (!s)
        return;
    bdr_cancel_set(&s->stop);
    if (s->syncers) {
        bdr_err_drop(session_drain(s, false), "abandoned");
        bdr_queue_close(s->full);
        bdr_err_drop(bdr_pool_join(s->syncers), "abandoned");
    }
    for (int c = 0; c < BDR_PACK_CLASSES; c++)
        while (s->idle[c]) {
            struct session_slot *slot = s->idle[c];

            s->idle[c] = slot->next;
            slot_free(slot);
        }
    while (s->hashers) {
        struct session_hasher *h = s->hashers;

        s->hashers = h->next;
        bdr_hasher_free(h->h);
        free(h);
    }
    bdr_presence_end(s->repo, &s->presence);
    bdr_queue_free(s->full);
    bdr_idset_free(s->pending);
    bdr_condemned_free(&s->condemned);
    bdr_err_free(s->failed);
    pthread_cond_destroy(&s->some);
    pthread_mutex_destroy(&s->lock);
    free(s->host);
    free(s);
}

struct bdr_err *bdr_session_id(struct bdr_session *s, const void *data, size_t len, struct bdr_id *out)
{
    struct session_hasher *h;
    struct bdr_err *err;

    pthread_mutex_lock(&s->lock);
    h = s->hashers;
    if (h)
        s->hashers = h->next;
    pthread_mutex_unlock(&s->lock);
    if (!h) {
        h = calloc(1, sizeof(*h));
        BDR_NOMEM_IF_NULL(h);
        err = bdr_hasher_new(repo_id_key(s->repo), &h->h);
        if (err) {
            free(h);
            return err;
        }
    }
    err = bdr_hasher_id(h->h, data, len, out);
    pthread_mutex_lock(&s->lock);
    h->next = s->hashers;
    s->hashers = h;
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* *out: the repository holds the block where a new reference may be made to it. */
static struct bdr_err *session_known(struct bdr_session *s, const struct bdr_id *id, bool *out)
{
    return bdr_index_known(s->repo->index, id, (const uint8_t(*)[16])s->condemned.name, s->condemned.n, out);
}

static struct bdr_err *session_put(struct bdr_session *s, enum bdr_block_class cls, const struct bdr_id *id,
                                   const struct session_block *b, bool again, bool *out_new)
{
    size_t len = b->raw_len;
    struct session_slot *slot = NULL;
    bool known = false, fresh = false;
    struct bdr_err *err;
    size_t stored = 0;

    *out_new = false;
    if (!again && !bdr_idset_has(s->pending, id))
        BDR_TRY(session_known(s, id, &known));
    if (!known)
        BDR_TRY(bdr_idset_add(s->pending, id, &fresh));
    if (!fresh) {
        if (cls == BDR_BLOCK_DATA) {
            atomic_fetch_add(&s->stats.blocks_known, 1);
            atomic_fetch_add(&s->stats.bytes_known, len);
        }
        return NULL;
    }
    BDR_TRY(slot_get(s, cls == BDR_BLOCK_NODE ? BDR_PACK_NODE : BDR_PACK_DATA, &slot));
    err = slot_store(s, slot, id, *b, &stored);
    slot_put(s, slot);
    BDR_TRY(err);
    *out_new = true;
    if (cls == BDR_BLOCK_NODE) {
        atomic_fetch_add(&s->stats.nodes_new, 1);
        atomic_fetch_add(&s->stats.node_bytes, stored);
    } else {
        atomic_fetch_add(&s->stats.blocks_new, 1);
        atomic_fetch_add(&s->stats.bytes_new, len);
        atomic_fetch_add(&s->stats.bytes_stored, stored);
    }
    return NULL;
}

struct bdr_err *bdr_session_put(struct bdr_session *s, enum bdr_block_class cls, const struct bdr_id *id,
                                const void *data, size_t len, bool *out_new)
{
    bool fresh;

    BDR_TRY(session_fail(s, session_put(s, cls, id, &(struct session_block){.data = data, .len = len, .raw_len = len},
                                        false, &fresh)));
    if (out_new)
        *out_new = fresh;
    return NULL;
}

struct bdr_err *bdr_session_put_encoded(struct bdr_session *s, const struct bdr_id *id, enum bdr_codec codec,
                                        const void *body, size_t len, size_t raw_len, bool *out_new)
{
    const struct session_block b = {.data = body, .len = len, .raw_len = raw_len, .encoded = true, .codec = codec};
    bool fresh;

    BDR_TRY(session_fail(s, session_put(s, BDR_BLOCK_DATA, id, &b, false, &fresh)));
    if (out_new)
        *out_new = fresh;
    return NULL;
}

struct bdr_err *bdr_session_put_again(struct bdr_session *s, enum bdr_block_class cls, const struct bdr_id *id,
                                      const void *data, size_t len)
{
    bool ignored;

    return session_fail(s, session_put(s, cls, id, &(struct session_block){.data = data, .len = len, .raw_len = len},
                                       true, &ignored));
}

struct bdr_err *bdr_session_check(struct bdr_session *s)
{
    return session_fail(s, bdr_presence_check(s->repo, &s->presence));
}

struct bdr_err *bdr_session_get(struct bdr_session *s, const struct bdr_id *id, void *dst, size_t max, size_t *out_len)
{
    return bdr_block_read(s->repo, id, dst, max, out_len);
}

struct bdr_err *bdr_session_renew(struct bdr_session *s)
{
    return session_fail(s, bdr_presence_renew(s->repo, &s->presence));
}

struct bdr_err *bdr_session_flush(struct bdr_session *s)
{
    return session_fail(s, session_drain(s, true));
}

/*
 * A map shares what did not change with the base point's, condemned packs or not: the base being visible keeps them.
 * When packs were condemned before we began and the base is removed while we run, a prune need not wait for us. So the
 * base must still be there once our point is visible; from then on one of the two is seen by every prune.
 */
static struct bdr_err *session_check_base(struct bdr_session *s, const json_t *point)
{
    const char *base = json_str(point, "base", NULL);
    bool there = true;

    if (!base || !s->condemned.n)
        return NULL;
    BDR_TRY(bdr_point_visible(s->repo, s->host, base, &there));
    if (!there)
        BDR_FAIL(BDR_STALE, 0,
                 "point %.8s, which this one builds on, was removed meanwhile, and its blocks may be; run it again", base);
    return NULL;
}

/*
 * Checking and putting are two requests: this process may have slept in between, for hours. So we look again, awake, at all
 * that must have been true when the point became visible; else it is taken back.
 */
static struct bdr_err *session_check_again(struct bdr_session *s, const json_t *point)
{
    BDR_TRY(session_check_base(s, point));
    BDR_TRY(bdr_presence_check(s->repo, &s->presence));
    return bdr_lease_check(s->repo, s->host, s->lease);
}

struct bdr_err *bdr_session_publish(struct bdr_session *s, json_t *point, char out_id[33])
{
    BDR_AUTO(session) struct bdr_session *mine = s;
    char id[33];
    struct bdr_err *err;

    BDR_ASSERT(s->host);
    BDR_TRY(bdr_session_flush(s));
    BDR_TRY(bdr_presence_check(s->repo, &s->presence));
    BDR_TRY(bdr_lease_check(s->repo, s->host, s->lease));
    BDR_TRY(bdr_json_set_text(point, "host", s->host));
    BDR_TRY(bdr_json_set(point, "lease", json_integer((json_int_t)s->lease)));
    BDR_TRY(bdr_json_set(point, "session", json_string(s->presence.id)));
    BDR_TRY(session_check_base(s, point));
    BDR_TRY(bdr_point_store(s->repo, point, id));
    err = session_check_again(s, point);
    if (err && (err->code == BDR_STALE || err->code == BDR_FENCED))
        bdr_err_drop(bdr_point_remove(s->repo, id), "the first error is told");
    BDR_TRY(err);
    if (out_id)
        memcpy(out_id, id, sizeof(id));
    return NULL;
}

struct bdr_err *bdr_session_has(struct bdr_session *s, const struct bdr_id *id, bool *out)
{
    bool has = bdr_idset_has(s->pending, id);

    if (!has)
        BDR_TRY(session_fail(s, session_known(s, id, &has)));
    *out = has;
    return NULL;
}

struct bdr_session_stats *bdr_session_stats(struct bdr_session *s)
{
    return &s->stats;
}
struct bdr_repo *bdr_session_repo(struct bdr_session *s)
{
    return s->repo;
}
const char *bdr_session_presence(const struct bdr_session *s)
{
    return s->presence.id;
}
