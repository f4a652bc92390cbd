/* SPDX-License-Identifier: Apache-2.0 */
#include "heal_pack.h"
#include "bdr/log.h"
#include "move.h"
#include "presence.h"
#include "verify.h"
#include <stdio.h>
#include <string.h>

#define ASIDE_PIECE  (1u << 20)
#define ASIDE_SECTOR 4096u

struct heal_one {
    struct bdr_heal_pack *h;
    char key[BDR_PACK_KEY_CHARS];
    struct bdr_pack_info info;
    struct bdr_pack_row *rows; /* owned */
    bool torn;                 /* its table can't be read; the rows are what the index knows */
    bool indexed;
    bool keep; /* may hold the last copy of something */
    struct bdr_move move;
};

static void heal_one_free(struct heal_one *o)
{
    bdr_move_end(&o->move);
    free(o->rows);
}

/* *out_gone: a prune took it away. */
static struct bdr_err *heal_rows(struct heal_one *o, const uint8_t name[16], bool *out_gone)
{
    struct bdr_repo *r = o->h->r;
    struct bdr_index_pack pack;
    struct bdr_err *err;

    *out_gone = false;
    BDR_TRY(bdr_index_pack(r->index, name, &o->indexed, &pack));
    err = bdr_pack_read_table(&r->env, name, &o->info, &o->rows);
    if (!err)
        return NULL;
    if (err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "nothing to replace");
        *out_gone = true;
        return NULL;
    }
    if (!bdr_verify_is_damage(err))
        return err;
    bdr_err_drop(err, "verify has told it");
    o->torn = o->keep = true;
    memcpy(o->info.name, name, sizeof(o->info.name));
    if (o->indexed) {
        o->info = pack.info;
        return bdr_index_rows(r->index, pack.no, &o->rows, &o->info.rows);
    }
    return NULL;
}

static struct bdr_err *heal_row(struct heal_one *o, const struct bdr_pack_row *row, uint8_t *body, uint8_t *raw)
{
    struct bdr_heal_pack *h = o->h;
    size_t got = 0;
    struct bdr_err *err = bdr_store_get(h->r->store, o->key, row->off, body, row->stored, &got);

    if (!err && got != row->stored)
        err = bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "cut short");
    if (!err)
        err = bdr_unpack(o->move.unpack, o->info.salt, row, body, raw);
    if (!err) { /* from here on no error says anything of the row: what can't be written is not damaged */
        h->out->moved_blocks++;
        return bdr_move_row(&o->move, &o->info, row, body);
    }
    if (!bdr_verify_is_damage(err))
        return err;
    bdr_err_drop(err, "verify has told it");
    o->keep |= bdr_idset_has(h->lost, &row->id) && !bdr_idset_has(h->healed, &row->id);
    return NULL;
}

/* Reads a piece of what is broken; sectors that can't be read become zeros. */
static struct bdr_err *aside_read(struct heal_one *o, uint64_t off, uint8_t *buf, size_t len, size_t *out_got)
{
    struct bdr_err *err = bdr_store_get(o->h->r->store, o->key, off, buf, len, out_got);

    if (!err || err->code != BDR_IO)
        return err;
    bdr_err_drop(err, "sector by sector");
    memset(buf, 0, len);
    for (size_t at = 0, n; at < len; at += n) {
        size_t got = 0;

        n = BDR_MIN(len - at, (size_t)ASIDE_SECTOR);
        err = bdr_store_get(o->h->r->store, o->key, off + at, buf + at, n, &got);
        if (err && err->code != BDR_IO)
            return err;
        bdr_err_drop(err, "unreadable, so zeros");
    }
    *out_got = len;
    return NULL;
}

/* Copies the object to damaged/<name>. */
static struct bdr_err *heal_set_aside(struct heal_one *o)
{
    struct bdr_store *store = o->h->r->store;
    BDR_AUTO(store_writer) struct bdr_store_writer *w = NULL;
    BDR_AUTO(mem) uint8_t *buf = malloc(ASIDE_PIECE);
    char key[64], hex[33];
    struct bdr_store_stat st;

    BDR_NOMEM_IF_NULL(buf);
    snprintf(key, sizeof(key), "damaged/%s", bdr_hex(o->info.name, 16, hex));
    BDR_TRY(bdr_store_stat(store, o->key, &st));
    BDR_TRY(bdr_store_writer_begin(store, key, &w));
    for (uint64_t off = 0; off < st.size_bytes;) {
        size_t got = 0;

        BDR_TRY(bdr_cancel_check(o->h->opt->cancel));
        BDR_TRY(aside_read(o, off, buf, (size_t)BDR_MIN(st.size_bytes - off, (uint64_t)ASIDE_PIECE), &got));
        if (!got)
            break;
        BDR_TRY(bdr_store_writer_append(w, buf, got));
        off += got;
    }
    BDR_TRY_FOR(bdr_store_writer_commit(BDR_STEAL(w)), "setting %s aside as %s", o->key, key);
    o->h->out->packs_set_aside++;
    return NULL;
}

/* Without a table and without the index nobody here knows what is in the pack. Another machine's index may: its open
 * session may refer to what it can still read. */
static struct bdr_err *heal_must_wait(struct heal_one *o, bool *out)
{
    BDR_AUTO(json) json_t *others = NULL;

    *out = false;
    if (!o->torn || o->indexed)
        return NULL;
    BDR_TRY(bdr_presence_others(o->h->r, bdr_session_presence(o->h->session), &others));
    *out = json_array_size(others) > 0;
    return NULL;
}

static struct bdr_err *heal_replace(struct heal_one *o, const uint8_t name[16])
{
    struct bdr_heal_pack *h = o->h;
    BDR_AUTO(mem) uint8_t *body = malloc(BDR_BLOCK_MAX_BYTES + BDR_TAG_BYTES);
    BDR_AUTO(mem) uint8_t *raw = malloc(BDR_BLOCK_MAX_BYTES);
    bool gone = false, wait = false;

    if (!body || !raw)
        BDR_FAIL(BDR_NOMEM, 0, "allocating buffers");
    BDR_TRY(heal_rows(o, name, &gone));
    if (gone)
        return NULL;
    BDR_TRY(heal_must_wait(o, &wait));
    if (wait) {
        h->out->packs_waiting++;
        return NULL;
    }
    BDR_TRY(bdr_move_begin(h->r, &o->move));
    for (uint32_t i = 0; i < o->info.rows; i++) {
        BDR_TRY(bdr_cancel_check(h->opt->cancel));
        BDR_TRY(bdr_session_renew(h->session));
        BDR_TRY(heal_row(o, &o->rows[i], body, raw));
    }
    BDR_TRY(bdr_move_commit(&o->move));
    if (o->keep && !h->opt->delete_damaged)
        BDR_TRY(heal_set_aside(o));
    /* All that was good is durable in other packs and the index says so. Had our session been declared dead meanwhile, a
     * prune could have removed those packs: nothing refers to them by name. */
    BDR_TRY(bdr_session_check(h->session));
    BDR_LOG(WARN, "repair.pack-replaced", F_STR("pack", o->key), F_U64("kept", o->keep && !h->opt->delete_damaged));
    BDR_TRY(bdr_store_remove(h->r->store, o->key));
    BDR_TRY(bdr_index_drop(h->r->index, o->info.name, o->torn ? NULL : o->rows));
    h->out->packs_replaced++;
    return NULL;
}

struct bdr_err *bdr_heal_pack(struct bdr_heal_pack *h, const uint8_t name[16])
{
    __attribute__((cleanup(heal_one_free))) struct heal_one o = {.h = h};

    bdr_pack_key(name, o.key);
    BDR_TRY_FOR(heal_replace(&o, name), "replacing %s", o.key);
    return NULL;
}
