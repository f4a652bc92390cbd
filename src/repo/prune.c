/* SPDX-License-Identifier: Apache-2.0 */
/* prune.c - freeing what no visible point refers to. Protocol: docs/formats/repository.md section 8. */
#include "bdr/clock.h"
#include "bdr/gc.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/osproc.h"
#include "lock.h"
#include "mark.h"
#include "move.h"
#include "presence.h"
#include "reserve.h"
#include <stdio.h>
#include <string.h>

#define PRUNE_UNUSED_PCT 20.0
#define PRUNE_SMALL_MIN 8               /* merging fewer small packs than this is not worth it */
#define PRUNE_LEFTOVER_MS (60u * 60000u) /* on stores that can't tell whether a writer lives */
#define PRUNE_CLOCK_SLACK_MS (10 * 60000)
#define PRUNE_SET_MAX 8192u              /* packs condemned at once: 300 KiB, and far below what an envelope holds */
#define PRUNE_ROUND_BYTES (512ull << 20) /* copied before what they were copied from is deleted */
#define PRUNE_SPARE_BYTES (512u << 10)   /* room that copying leaves for the index and a condemned set */

enum fate { FATE_KEEP, FATE_DEAD, FATE_REWRITE, FATE_ROUND /* in the round that is running */, FATE_CONDEMNED, FATE_READY };

struct prune {
    struct bdr_repo *r;
    const struct bdr_prune_options *opt;
    struct bdr_prune_result *out;
    struct bdr_presence presence;
    struct bdr_mark *mark;  /* owned */
    uint8_t *fate;          /* owned; enum fate a pack of the mark */
    uint32_t *moved;        /* owned; live rows that the pack may have and yet go: they are elsewhere */
    uint32_t *order;        /* owned; packs to rewrite */
    bool sessions;          /* others are open: what is condemned waits */
    json_t *ready;          /* owned; keys of condemned sets whose sessions have all ended */
    json_t *ready_names;    /* owned; their packs, as object members */
    int64_t oldest_ms;      /* wall time when the oldest open session began; INT64_MAX: none */
    struct bdr_lock lock;
    struct bdr_move move;
};

static void prune_phase(struct prune *p, const char *phase)
{
    if (p->opt->meter)
        atomic_store(&p->opt->meter->phase, phase);
}

static void prune_end(struct prune *p)
{
    bdr_move_end(&p->move);
    bdr_mark_free(p->mark);
    json_decref(p->ready);
    json_decref(p->ready_names);
    free(p->fate);
    free(p->moved);
    free(p->order);
    bdr_lock_drop(p->r, &p->lock);
    bdr_presence_end(p->r, &p->presence);
}

/* ---- deciding ---- */

/* Condemned sets that no open session could have missed. Before marking: a session that has ended by now made its
 * point visible before we list the points. */
static struct bdr_err *prune_ready(struct prune *p)
{
    BDR_AUTO(json) json_t *keys = NULL;
    size_t i, j;
    json_t *key, *s;

    p->ready = json_array();
    p->ready_names = json_object();
    if (!p->ready || !p->ready_names)
        BDR_FAIL(BDR_NOMEM, 0, "pruning");
    BDR_TRY(bdr_repo_list(p->r, "condemned/", &keys));
    json_array_foreach(keys, i, key)
    {
        BDR_AUTO(json) json_t *set = NULL;
        BDR_AUTO(json) json_t *all = NULL;
        const json_t *sessions;
        bool open = false;

        struct bdr_err *err = bdr_repo_load(p->r, BDR_ENV_CONDEMNED, json_string_value(key), &set);

        if (err && p->opt->dry_run && (err->code == BDR_CORRUPT || err->code == BDR_INVAL)) {
            bdr_err_drop(err, "a real run removes it");
            continue;
        }
        BDR_TRY(err);
        sessions = json_object_get(set, "sessions");
        if (!sessions) { /* its prune died before it could list them: any open one may matter */
            BDR_TRY(bdr_presence_others(p->r, p->presence.id, &all));
            sessions = all;
        }
        json_array_foreach(sessions, j, s)
        {
            bool alive = false;

            BDR_TRY(bdr_presence_alive(p->r, json_string_value(s), &alive));
            open |= alive;
        }
        if (open)
            continue;
        BDR_TRY(bdr_json_append(p->ready, json_incref(key)));
        json_array_foreach(json_object_get(set, "packs"), j, s) if (json_is_string(s))
            BDR_TRY(bdr_json_set(p->ready_names, json_string_value(s), json_true()));
    }
    return NULL;
}

static struct bdr_err *prune_oldest(struct prune *p)
{
    BDR_AUTO(json) json_t *ids = NULL;
    size_t i;
    json_t *id;

    p->oldest_ms = INT64_MAX;
    BDR_TRY(bdr_presence_others(p->r, p->presence.id, &ids));
    p->out->sessions_open = json_array_size(ids);
    json_array_foreach(ids, i, id)
    {
        BDR_AUTO(json) json_t *s = NULL;
        char key[64];
        struct bdr_err *err;

        snprintf(key, sizeof(key), "sessions/%.32s", json_string_value(id));
        err = bdr_repo_load(p->r, BDR_ENV_SESSION, key, &s);
        bdr_err_drop(err, "ended, or unreadable: then no pack is young enough");
        p->oldest_ms = BDR_MIN(p->oldest_ms, (int64_t)json_u64(s, "started_ms", 0));
    }
    return NULL;
}

/* A dead pack may be what an open session has just stored. Condemning it would be right, too, but would make that
 * session store the same blocks twice. */
static struct bdr_err *prune_is_young(struct prune *p, const struct bdr_index_pack *pack, int64_t since_ms, bool *out)
{
    struct bdr_store_stat st;
    char key[BDR_PACK_KEY_CHARS];
    struct bdr_err *err;

    *out = false;
    if (since_ms == INT64_MAX)
        return NULL;
    bdr_pack_key(pack->info.name, key);
    err = bdr_store_stat(p->r->store, key, &st);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "gone already");
        return NULL;
    }
    BDR_TRY(err);
    *out = st.modified_ms >= since_ms - PRUNE_CLOCK_SLACK_MS;
    return NULL;
}

/* Holds the pack what an upload that broke off has brought? Its next try counts on it. */
static struct bdr_err *prune_is_wanted(struct prune *p, const struct bdr_index_pack *pack, bool *out)
{
    BDR_AUTO(mem) struct bdr_pack_row *rows = NULL;
    struct bdr_pack_info info;
    struct bdr_err *err;

    *out = false;
    if (!p->opt->wanted)
        return NULL;
    BDR_TRY(prune_is_young(p, pack, bdr_clock_wall_ms() - (int64_t)p->opt->wanted_ms, out));
    if (!*out)
        return NULL;
    *out = false;
    err = bdr_pack_read_table(&p->r->env, pack->info.name, &info, &rows);
    if (err && (err->code == BDR_NOTFOUND || err->code == BDR_CORRUPT)) {
        bdr_err_drop(err, "nobody can count on it");
        return NULL;
    }
    BDR_TRY(err);
    for (uint32_t i = 0; i < info.rows && !*out; i++)
        BDR_TRY(p->opt->wanted(p->opt->wanted_ctx, &rows[i].id, out));
    return NULL;
}

static struct bdr_err *prune_decide(struct prune *p)
{
    double pct = p->opt->max_unused_pct < 0 ? PRUNE_UNUSED_PCT : p->opt->max_unused_pct;
    size_t n = bdr_mark_packs(p->mark), small[BDR_PACK_CLASSES] = {0};
    char hex[33];

    p->fate = calloc(n + 1, sizeof(*p->fate));
    p->moved = calloc(n + 1, sizeof(*p->moved));
    if (!p->fate || !p->moved)
        BDR_FAIL(BDR_NOMEM, 0, "pruning");
    for (size_t i = 0; i < n; i++)
        small[bdr_mark_pack(p->mark, i)->info.cls] += bdr_mark_pack(p->mark, i)->info.size_bytes < p->r->pack_bytes / 2;
    for (size_t i = 0; i < n; i++) {
        const struct bdr_index_pack *pack = bdr_mark_pack(p->mark, i);
        uint64_t body = pack->info.body_end - BDR_PACK_HEADER_BYTES, live = bdr_mark_live_bytes(p->mark, i);
        bool young = false;

        p->out->packs++;
        p->out->bytes_before += pack->info.size_bytes;
        p->out->live_blocks += bdr_mark_live_rows(p->mark, i);
        p->out->live_bytes += live;
        p->moved[i] = bdr_mark_live_rows(p->mark, i);
        if (pack->condemned) {
            p->fate[i] = json_object_get(p->ready_names, bdr_hex(pack->info.name, 16, hex)) ? FATE_READY : FATE_CONDEMNED;
            continue;
        }
        if (!live) {
            BDR_TRY(prune_is_young(p, pack, p->oldest_ms, &young));
            if (!young)
                BDR_TRY(prune_is_wanted(p, pack, &young));
            p->fate[i] = young ? FATE_KEEP : FATE_DEAD;
        } else if ((double)(body - live) * 100 > pct * (double)body ||
                   (pack->info.size_bytes < p->r->pack_bytes / 2 && small[pack->info.cls] >= PRUNE_SMALL_MIN)) {
            BDR_TRY(prune_is_wanted(p, pack, &young));
            p->fate[i] = young ? FATE_KEEP : FATE_REWRITE;
        }
    }
    return NULL;
}

/* ---- condemning and deleting ---- */

static struct bdr_err *condemn_save(struct prune *p, const char *key, json_t *sessions, int flags)
{
    BDR_AUTO(json) json_t *set = json_object();
    json_t *names;
    char hex[33];

    BDR_NOMEM_IF_NULL(set);
    names = json_array();
    BDR_TRY(bdr_json_set(set, "packs", names));
    if (sessions)
        BDR_TRY(bdr_json_set(set, "sessions", json_incref(sessions)));
    for (size_t i = 0; i < bdr_mark_packs(p->mark); i++)
        if (p->fate[i] == FATE_ROUND)
            BDR_TRY(bdr_json_append(names, json_string(bdr_hex(bdr_mark_pack(p->mark, i)->info.name, 16, hex))));
    return bdr_repo_save(p->r, BDR_ENV_CONDEMNED, key, set, flags);
}

static struct bdr_err *prune_delete(struct prune *p, size_t i)
{
    const struct bdr_index_pack *pack = bdr_mark_pack(p->mark, i);
    BDR_AUTO(mem) struct bdr_pack_row *rows = NULL;
    struct bdr_pack_info info;
    char key[BDR_PACK_KEY_CHARS];

    bdr_pack_key(pack->info.name, key);
    bdr_err_drop(bdr_pack_read_table(&p->r->env, pack->info.name, &info, &rows),
                 "without its table the pack's places in the index stay behind, which is harmless");
    BDR_TRY(bdr_store_remove(p->r->store, key));
    BDR_TRY(bdr_index_drop(p->r->index, pack->info.name, rows));
    p->out->packs_removed++;
    p->out->bytes_freed += pack->info.size_bytes;
    return NULL;
}

/* Deletes the packs of this fate that no point came to need; those it did are taken back. */
static struct bdr_err *prune_execute(struct prune *p, enum fate fate)
{
    for (size_t i = 0; i < bdr_mark_packs(p->mark); i++) {
        const struct bdr_index_pack *pack = bdr_mark_pack(p->mark, i);
        /* Rows marked after the decision were not moved: the pack is needed after all. A pack of an earlier set is
         * needed when anything in it is marked. */
        uint32_t allowed = fate == FATE_READY ? 0 : p->moved[i];

        if (p->fate[i] != fate)
            continue;
        BDR_TRY(bdr_cancel_check(p->opt->cancel));
        if (bdr_mark_live_rows(p->mark, i) > allowed)
            BDR_TRY(bdr_index_condemn(p->r->index, pack->info.name, false));
        else
            BDR_TRY(prune_delete(p, i));
        p->fate[i] = FATE_KEEP;
    }
    return NULL;
}

static struct bdr_err *prune_finish_ready(struct prune *p)
{
    size_t i;
    json_t *key;

    BDR_TRY(prune_execute(p, FATE_READY));
    json_array_foreach(p->ready, i, key) BDR_TRY(bdr_store_remove(p->r->store, json_string_value(key)));
    return NULL;
}

/* Condemns the packs of this round, and deletes them unless other sessions are open. */
static struct bdr_err *prune_round(struct prune *p)
{
    BDR_AUTO(json) json_t *others = NULL;
    uint64_t fresh = 0;
    uint8_t id[16];
    char hex[33], key[64];

    BDR_TRY(bdr_os_random(id, sizeof(id)));
    snprintf(key, sizeof(key), "condemned/%s", bdr_hex(id, sizeof(id), hex));
    BDR_TRY(condemn_save(p, key, NULL, BDR_PUT_EXCL));
    for (size_t i = 0; i < bdr_mark_packs(p->mark); i++)
        if (p->fate[i] == FATE_ROUND)
            BDR_TRY(bdr_index_condemn(p->r->index, bdr_mark_pack(p->mark, i)->info.name, true));
    BDR_TRY(bdr_presence_others(p->r, p->presence.id, &others));
    if (json_array_size(others)) {
        p->sessions = true;
        p->out->sessions_open = json_array_size(others);
        BDR_TRY(condemn_save(p, key, others, BDR_PUT_REPLACE));
        for (size_t i = 0; i < bdr_mark_packs(p->mark); i++)
            if (p->fate[i] == FATE_ROUND) {
                p->fate[i] = FATE_CONDEMNED;
                p->out->packs_waiting++;
                p->out->bytes_waiting += bdr_mark_pack(p->mark, i)->info.size_bytes;
            }
        return NULL;
    }
    BDR_TRY(bdr_mark_points(p->mark, p->opt->cancel, &fresh));
    p->out->points += fresh;
    BDR_TRY(prune_execute(p, FATE_ROUND));
    return bdr_store_remove(p->r->store, key);
}

static struct bdr_err *prune_dead(struct prune *p)
{
    size_t n = 0;

    for (size_t i = 0; i <= bdr_mark_packs(p->mark); i++) {
        if (n == PRUNE_SET_MAX || (n && i == bdr_mark_packs(p->mark))) {
            BDR_TRY(bdr_presence_renew(p->r, &p->presence));
            BDR_TRY(prune_round(p));
            n = 0;
        }
        if (i < bdr_mark_packs(p->mark) && p->fate[i] == FATE_DEAD) {
            p->fate[i] = FATE_ROUND;
            n++;
        }
    }
    return NULL;
}

/* ---- rewriting ---- */

static struct bdr_err *move_pack(struct prune *p, size_t i)
{
    const struct bdr_index_pack *pack = bdr_mark_pack(p->mark, i);
    BDR_AUTO(mem) struct bdr_pack_row *rows = NULL;
    BDR_AUTO(mem) uint8_t *body = NULL;
    struct bdr_pack_info info;
    char key[BDR_PACK_KEY_CHARS];

    bdr_pack_key(pack->info.name, key);
    BDR_TRY(bdr_pack_read_table(&p->r->env, pack->info.name, &info, &rows));
    body = malloc(BDR_BLOCK_MAX_BYTES + BDR_TAG_BYTES);
    BDR_NOMEM_IF_NULL(body);
    for (uint32_t row = 0; row < info.rows; row++) {
        size_t got = 0;

        if (!bdr_mark_is_live(p->mark, i, row))
            continue;
        BDR_TRY(bdr_cancel_check(p->opt->cancel));
        BDR_TRY(bdr_store_get(p->r->store, key, rows[row].off, body, rows[row].stored, &got));
        if (got != rows[row].stored)
            BDR_FAIL(BDR_CORRUPT, 0, "%s is cut short", key);
        BDR_TRY_FOR(bdr_move_row(&p->move, &pack->info, &rows[row], body), "%s at %u", key, rows[row].off);
    }
    p->moved[i] = bdr_mark_live_rows(p->mark, i);
    return NULL;
}

struct prune_by_live {
    uint64_t live;
    uint32_t pack;
};

static int by_live_cmp(const void *a, const void *b)
{
    const struct prune_by_live *x = a, *y = b;

    return x->live < y->live ? -1 : x->live > y->live;
}

/* Packs to rewrite into p->order: as they were written, or (short of room) first those that take least to copy. */
static struct bdr_err *prune_order(struct prune *p, size_t *out_n)
{
    BDR_AUTO(mem) struct prune_by_live *by = calloc(bdr_mark_packs(p->mark) + 1, sizeof(*by));
    uint64_t live = 0, room = bdr_reserve_room(p->r);
    size_t n = 0;

    p->order = calloc(bdr_mark_packs(p->mark) + 1, sizeof(*p->order));
    if (!by || !p->order)
        BDR_FAIL(BDR_NOMEM, 0, "pruning");
    for (size_t i = 0; i < bdr_mark_packs(p->mark); i++)
        if (p->fate[i] == FATE_REWRITE) {
            by[n++] = (struct prune_by_live){bdr_mark_live_bytes(p->mark, i), (uint32_t)i};
            live += bdr_mark_live_bytes(p->mark, i);
        }
    if (live > room / 2)
        qsort(by, n, sizeof(*by), by_live_cmp);
    for (size_t i = 0; i < n; i++)
        p->order[i] = by[i].pack;
    *out_n = n;
    return NULL;
}

/* Copies the live blocks of packs order[*at..n) as long as half of the room holds them; at least one pack's, if it fits
 * at all. *out_packs 0: it does not. */
static struct bdr_err *prune_copy_round(struct prune *p, size_t n, size_t *at, size_t *out_packs)
{
    uint64_t room = bdr_reserve_room(p->r), copied = 0, limit;

    room -= BDR_MIN(room, (uint64_t)PRUNE_SPARE_BYTES);
    limit = BDR_MIN(PRUNE_ROUND_BYTES, room / 2);
    *out_packs = 0;
    for (; *at < n && *out_packs < PRUNE_SET_MAX; ++*at) {
        size_t i = p->order[*at];
        uint64_t live = bdr_mark_live_bytes(p->mark, i) + bdr_mark_pack(p->mark, i)->info.rows * 128u; /* and its table */
        struct bdr_err *err;

        if (copied + live > (*out_packs ? limit : room))
            break;
        BDR_TRY(bdr_presence_renew(p->r, &p->presence));
        err = move_pack(p, i);
        if (err && err->code == BDR_CORRUPT) {
            BDR_LOG(ERROR, "prune.damaged-pack", F_ERR(err));
            bdr_err_drop(err, "the pack stays as it is; verify names what it hurts");
            p->fate[i] = FATE_KEEP;
            continue;
        }
        BDR_TRY(err);
        p->fate[i] = FATE_ROUND;
        copied += live;
        ++*out_packs;
        if (p->opt->meter)
            atomic_fetch_add(&p->opt->meter->done, bdr_mark_pack(p->mark, i)->info.size_bytes);
    }
    return bdr_move_commit(&p->move);
}

/* Nothing of what a round has copied counts: somebody else was faster to use the room. */
static struct bdr_err *prune_undo_round(struct prune *p)
{
    for (size_t i = 0; i < bdr_mark_packs(p->mark); i++)
        if (p->fate[i] == FATE_ROUND)
            p->fate[i] = FATE_KEEP;
    bdr_move_end(&p->move);
    return bdr_move_begin(p->r, &p->move);
}

static struct bdr_err *prune_rewrite(struct prune *p)
{
    size_t n = 0, at = 0, packs = 1;

    BDR_TRY(bdr_move_begin(p->r, &p->move));
    BDR_TRY(prune_order(p, &n));
    while (at < n && packs && !(p->sessions && bdr_reserve_room(p->r) < PRUNE_ROUND_BYTES)) {
        struct bdr_err *err = prune_copy_round(p, n, &at, &packs);

        if (err && err->code == BDR_NOSPACE) {
            BDR_LOG(WARN, "prune.no-room", F_ERR(err));
            bdr_err_drop(err, "these packs stay as they are");
            BDR_TRY(prune_undo_round(p));
            break;
        }
        BDR_TRY(err);
        p->out->packs_rewritten += packs;
        if (packs)
            BDR_TRY(prune_round(p));
    }
    for (size_t i = 0; i < n; i++)
        p->out->packs_no_room += p->fate[p->order[i]] == FATE_REWRITE;
    return NULL;
}

/* The index learns what is condemned. A set that can't be read is taken back: nobody but a prune acts on it, and we are
 * the only one. */
static struct bdr_err *prune_condemned(struct prune *p)
{
    __attribute__((cleanup(bdr_condemned_free))) struct bdr_condemned c = {0};
    size_t i;
    json_t *key;

    BDR_TRY(bdr_condemned_load(p->r, &c));
    if (!p->opt->dry_run)
        json_array_foreach(c.damaged, i, key) BDR_TRY(bdr_store_remove(p->r->store, json_string_value(key)));
    BDR_TRY(bdr_repo_sync(p->r, NULL, NULL));
    return bdr_condemned_apply(p->r, &c);
}

static struct bdr_err *prune_go(struct prune *p)
{
    uint64_t fresh = 0;

    BDR_TRY(bdr_presence_begin(p->r, "prune", &p->presence));
    BDR_TRY(bdr_lock_take(p->r, BDR_LOCK_PRUNE, p->presence.id, &p->lock));
    prune_phase(p, "reading the index");
    BDR_TRY(prune_condemned(p));
    BDR_TRY(prune_ready(p));
    BDR_TRY(prune_oldest(p));
    prune_phase(p, "marking what points refer to");
    BDR_TRY(bdr_mark_new(p->r, &p->mark));
    BDR_TRY_FOR(bdr_mark_points(p->mark, p->opt->cancel, &fresh),
                "marking what points refer to; nothing is removed while a point can't be read ('bdr verify' tells more)");
    p->out->points = fresh;
    BDR_TRY(prune_decide(p));
    for (size_t i = 0; i < bdr_mark_packs(p->mark); i++) {
        uint64_t size = bdr_mark_pack(p->mark, i)->info.size_bytes;

        if (p->fate[i] == FATE_REWRITE && p->opt->meter)
            atomic_fetch_add(&p->opt->meter->total, size);
        if (p->opt->dry_run && (p->fate[i] == FATE_DEAD || p->fate[i] == FATE_READY)) {
            p->out->packs_removed++;
            p->out->bytes_freed += size;
        }
        if (p->opt->dry_run && p->fate[i] == FATE_REWRITE) {
            p->out->packs_rewritten++;
            p->out->bytes_freed += size - BDR_MIN(size, bdr_mark_live_bytes(p->mark, i));
        }
        if (p->fate[i] == FATE_CONDEMNED) {
            p->out->packs_waiting++;
            p->out->bytes_waiting += size;
        }
    }
    if (p->opt->dry_run)
        return NULL;
    prune_phase(p, "removing");
    BDR_TRY(prune_finish_ready(p));
    BDR_TRY(prune_dead(p));
    prune_phase(p, "rewriting half-empty packs");
    return prune_rewrite(p);
}

struct bdr_err *bdr_prune(struct bdr_repo *repo, const struct bdr_prune_options *opt, struct bdr_prune_result *out)
{
    struct bdr_prune_result r = {0};
    struct prune p = {.r = repo, .opt = opt, .out = &r};
    bool spent = false, ignored = false;
    struct bdr_err *err;

    if (repo->read_only)
        BDR_FAIL(BDR_READONLY, 0, "%s is opened for reading only", bdr_repo_url(repo));
    if (!opt->dry_run) {
        /* What writers that died left behind is not ours to wait with: on a full disk it may be all there is. */
        BDR_TRY(bdr_store_sweep(repo->store, bdr_store_path(repo->store) ? 0 : PRUNE_LEFTOVER_MS, &r.leftovers));
        BDR_TRY(bdr_reserve_spend(repo, false, &ignored));
    }
    err = prune_go(&p);
    prune_end(&p);
    if (err && err->code == BDR_NOSPACE) /* a quota, or somebody else used the room */
        err = bdr_err_first(err, bdr_reserve_spend(repo, true, &spent));
    if (spent) {
        struct bdr_err *again;

        r = (struct bdr_prune_result){.leftovers = r.leftovers};
        p = (struct prune){.r = repo, .opt = opt, .out = &r};
        again = prune_go(&p);
        prune_end(&p);
        if (again) { /* an index that met a full disk in the middle of a page works again after it was opened anew */
            bdr_err_drop(again, "the disk is full, which is why; there is room now for the next run");
            return err;
        }
        bdr_err_drop(BDR_STEAL(err), "tried again with the reserve spent");
    }
    BDR_TRY(err);
    if (!opt->dry_run)
        bdr_reserve_make(repo);
    /* What the rewritten packs became takes space again. */
    r.bytes_freed -= BDR_MIN(r.bytes_freed, p.move.written_bytes);
    *out = r;
    return NULL;
}
