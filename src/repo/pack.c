/* SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"
#include "bdr/osfile.h"
#include <stdio.h>
#include <string.h>

static const char pack_magic[8] = {'B', 'D', 'R', 'P', 'A', 'C', 'K', '1'};
static const char pack_end[8] = {'B', 'D', 'R', 'P', 'E', 'N', 'D', '1'};
#define PACK_VERSION 1

void bdr_pack_key(const uint8_t name[16], char out[BDR_PACK_KEY_CHARS])
{
    char hex[33];

    bdr_hex(name, 16, hex);
    snprintf(out, BDR_PACK_KEY_CHARS, "packs/%.2s/%s", hex, hex);
}

bool bdr_pack_name(const char *key, uint8_t out[16])
{
    return strlen(key) == 41 && !strncmp(key, "packs/", 6) && key[8] == '/' && bdr_unhex(key + 9, out, 16) &&
           key[6] == key[9] && key[7] == key[10];
}

static void pack_nonce(uint64_t off, uint8_t nonce[BDR_NONCE_BYTES])
{
    memset(nonce, 0, BDR_NONCE_BYTES);
    for (size_t i = 0; i < 8; i++)
        nonce[i] = (uint8_t)(off >> (8 * i));
}

static void pack_aad(const struct bdr_id *id, size_t raw, uint8_t codec, uint8_t aad[37])
{
    memcpy(aad, id->b, 32);
    for (size_t i = 0; i < 4; i++)
        aad[32 + i] = (uint8_t)(raw >> (8 * i));
    aad[36] = codec;
}

static struct bdr_err *pack_aead(const struct bdr_secret *key, const uint8_t salt[32], struct bdr_aead **out)
{
    BDR_AUTO(secret) struct bdr_secret sub = {{0}};

    BDR_TRY(bdr_hkdf(key->b, sizeof(key->b), salt, 32, "bdr pack data", &sub));
    return bdr_aead_new(&sub, out);
}

/* ---- writing ---- */

struct bdr_pack_writer {
    struct bdr_store_writer *out; /* owned */
    struct bdr_aead *aead;        /* owned; NULL when not sealed */
    struct bdr_pack_info info;
    uint8_t header[BDR_PACK_HEADER_BYTES];
    uint64_t off;
    struct bdr_buf table, seal;
    struct bdr_pack_row *rows; /* owned */
    size_t cap;
};

struct bdr_err *bdr_pack_begin(const struct bdr_pack_env *env, enum bdr_pack_class cls, struct bdr_pack_writer **out)
{
    BDR_AUTO(pack) struct bdr_pack_writer *w = calloc(1, sizeof(*w));
    BDR_AUTO(buf) struct bdr_buf h = {0};
    char key[BDR_PACK_KEY_CHARS];

    BDR_NOMEM_IF_NULL(w);
    BDR_TRY(bdr_os_random(w->info.name, sizeof(w->info.name)));
    BDR_TRY(bdr_os_random(w->info.salt, sizeof(w->info.salt)));
    w->info.cls = (uint8_t)cls;
    bdr_buf_put(&h, pack_magic, 8);
    bdr_buf_u16(&h, PACK_VERSION);
    bdr_buf_u8(&h, (uint8_t)cls);
    bdr_buf_u8(&h, env->key ? 1 : 0);
    bdr_buf_u32(&h, 0);
    bdr_buf_put(&h, env->repo_id, 16);
    bdr_buf_put(&h, w->info.salt, 32);
    BDR_TRY(bdr_buf_check(&h));
    memcpy(w->header, h.data, sizeof(w->header));
    if (env->key)
        BDR_TRY(pack_aead(env->key, w->info.salt, &w->aead));
    bdr_pack_key(w->info.name, key);
    BDR_TRY(bdr_store_writer_begin(env->store, key, &w->out));
    BDR_TRY(bdr_store_writer_append(w->out, w->header, sizeof(w->header)));
    w->off = sizeof(w->header);
    *out = BDR_STEAL(w);
    return NULL;
}

void bdr_pack_abandon(struct bdr_pack_writer *w)
{
    if (!w)
        return;
    if (w->out)
        bdr_store_writer_abandon(w->out);
    bdr_aead_free(w->aead);
    bdr_buf_free(&w->table);
    bdr_buf_free(&w->seal);
    free(w->rows);
    free(w);
}

uint64_t bdr_pack_bytes(const struct bdr_pack_writer *w)
{
    return w->off;
}
uint32_t bdr_pack_rows(const struct bdr_pack_writer *w)
{
    return w->info.rows;
}

struct bdr_err *bdr_pack_add(struct bdr_pack_writer *w, const struct bdr_id *id, enum bdr_codec codec, const void *body,
                             size_t len, size_t raw_len)
{
    size_t stored = len + (w->aead ? BDR_TAG_BYTES : 0);

    if (w->info.rows == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 256;
        struct bdr_pack_row *rows = reallocarray(w->rows, cap, sizeof(*rows));

        BDR_NOMEM_IF_NULL(rows);
        w->rows = rows;
        w->cap = cap;
    }
    if (w->aead) {
        uint8_t nonce[BDR_NONCE_BYTES], aad[37];

        w->seal.len = 0;
        bdr_buf_reserve(&w->seal, stored);
        BDR_TRY(bdr_buf_check(&w->seal));
        pack_nonce(w->off, nonce);
        pack_aad(id, raw_len, (uint8_t)codec, aad);
        BDR_TRY(bdr_aead_seal(w->aead, nonce, aad, sizeof(aad), body, len, w->seal.data));
        body = w->seal.data;
    }
    BDR_TRY(bdr_store_writer_append(w->out, body, stored));
    w->rows[w->info.rows++] = (struct bdr_pack_row){
        .id = *id, .off = (uint32_t)w->off, .stored = (uint32_t)stored, .raw = (uint32_t)raw_len, .codec = (uint8_t)codec};
    w->off += stored;
    return NULL;
}

static struct bdr_err *pack_finish(struct bdr_pack_writer *w)
{
    BDR_AUTO(buf) struct bdr_buf t = {0};
    uint8_t sum[32], nonce[BDR_NONCE_BYTES];
    size_t len = (size_t)w->info.rows * BDR_PACK_ROW_BYTES;

    for (uint32_t i = 0; i < w->info.rows; i++) {
        const struct bdr_pack_row *r = &w->rows[i];

        bdr_buf_put(&t, r->id.b, 32);
        bdr_buf_u32(&t, r->off);
        bdr_buf_u32(&t, r->stored);
        bdr_buf_u32(&t, r->raw);
        bdr_buf_u8(&t, r->codec);
        bdr_buf_put(&t, "\0\0\0", 3);
    }
    if (w->aead) {
        bdr_buf_reserve(&w->seal, len + BDR_TAG_BYTES);
        BDR_TRY(bdr_buf_check(&w->seal));
        memset(nonce, 0xff, sizeof(nonce));
        BDR_TRY(bdr_aead_seal(w->aead, nonce, w->header, sizeof(w->header), t.data, len, w->seal.data));
        len += BDR_TAG_BYTES;
        t.len = 0;
        bdr_buf_put(&t, w->seal.data, len);
    }
    w->info.body_end = w->off;
    bdr_buf_u32(&t, (uint32_t)len);
    bdr_buf_u32(&t, w->info.rows);
    bdr_buf_u64(&t, w->info.body_end);
    BDR_TRY(bdr_buf_check(&t));
    BDR_TRY(bdr_sha256(w->header, sizeof(w->header), t.data, t.len, NULL, 0, sum));
    bdr_buf_put(&t, sum, sizeof(sum));
    bdr_buf_u64(&t, 0);
    bdr_buf_put(&t, pack_end, 8);
    BDR_TRY(bdr_buf_check(&t));
    BDR_TRY(bdr_store_writer_append(w->out, t.data, t.len));
    w->info.size_bytes = w->off + t.len;
    return bdr_store_writer_commit(BDR_STEAL(w->out));
}

struct bdr_err *bdr_pack_commit(struct bdr_pack_writer *w, struct bdr_pack_info *out, struct bdr_pack_row **out_rows)
{
    BDR_AUTO(pack) struct bdr_pack_writer *mine = w;
    char key[BDR_PACK_KEY_CHARS];

    bdr_pack_key(w->info.name, key);
    BDR_TRY_FOR(pack_finish(w), "storing %s", key);
    *out = w->info;
    *out_rows = BDR_STEAL(w->rows);
    return NULL;
}

/* ---- reading the table ---- */

static struct bdr_err *pack_rows(const uint8_t *table, struct bdr_pack_info *info, struct bdr_pack_row **out)
{
    BDR_AUTO(mem) struct bdr_pack_row *rows = calloc(BDR_MAX(info->rows, 1u), sizeof(*rows));
    struct bdr_cur c = bdr_cur_of(table, (size_t)info->rows * BDR_PACK_ROW_BYTES);

    BDR_NOMEM_IF_NULL(rows);
    for (uint32_t i = 0; i < info->rows; i++) {
        struct bdr_pack_row *r = &rows[i];

        memcpy(r->id.b, bdr_cur_take(&c, 32), 32);
        r->off = bdr_cur_u32(&c);
        r->stored = bdr_cur_u32(&c);
        r->raw = bdr_cur_u32(&c);
        r->codec = bdr_cur_u8(&c);
        bdr_cur_take(&c, 3);
        if (r->off < BDR_PACK_HEADER_BYTES || r->off > info->body_end || r->stored > info->body_end - r->off ||
            r->raw > BDR_BLOCK_MAX_BYTES || r->raw == 0 || r->stored > r->raw + BDR_TAG_BYTES)
            BDR_FAIL(BDR_CORRUPT, 0, "row %u of the table points outside the pack", i);
    }
    *out = BDR_STEAL(rows);
    return NULL;
}

struct bdr_err *bdr_pack_parse(const struct bdr_pack_env *env, const uint8_t header[BDR_PACK_HEADER_BYTES],
                               const void *tail, size_t tail_len, uint64_t size_bytes, size_t *out_need,
                               struct bdr_pack_info *out, struct bdr_pack_row **out_rows)
{
    struct bdr_pack_info info = {.size_bytes = size_bytes};
    const uint8_t *trailer, *table;
    BDR_AUTO(mem) uint8_t *plain = NULL;
    struct bdr_cur c;
    uint8_t sum[32];
    uint32_t table_len;
    bool sealed = header[11] & 1;

    if (size_bytes < BDR_PACK_HEADER_BYTES + BDR_PACK_TRAILER_BYTES || size_bytes > BDR_PACK_MAX_BYTES ||
        tail_len < BDR_PACK_TRAILER_BYTES || tail_len > size_bytes)
        BDR_FAIL(BDR_CORRUPT, 0, "a pack can't have %llu bytes", (unsigned long long)size_bytes);
    trailer = (const uint8_t *)tail + tail_len - BDR_PACK_TRAILER_BYTES;
    if (memcmp(header, pack_magic, 8) != 0 || memcmp(trailer + 56, pack_end, 8) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "the pack's magic is missing (torn or not a pack)");
    if (header[8] != PACK_VERSION || header[9] != 0)
        BDR_FAIL(header[8] > PACK_VERSION || header[9] ? BDR_VERSION : BDR_CORRUPT, 0,
                 "the pack has version %u, this program knows %u", header[8] | header[9] << 8, PACK_VERSION);
    if (memcmp(header + 16, env->repo_id, 16) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "the pack belongs to another repository");
    if (header[10] >= BDR_PACK_CLASSES || sealed != !!env->key)
        BDR_FAIL(BDR_CORRUPT, 0, "the pack's header does not fit this repository");
    c = bdr_cur_of(trailer, BDR_PACK_TRAILER_BYTES);
    table_len = bdr_cur_u32(&c);
    info.rows = bdr_cur_u32(&c);
    info.body_end = bdr_cur_u64(&c);
    info.cls = header[10];
    memcpy(info.salt, header + 32, 32);
    if (info.rows > BDR_PACK_MAX_ROWS || table_len != info.rows * BDR_PACK_ROW_BYTES + (sealed ? BDR_TAG_BYTES : 0) ||
        info.body_end < BDR_PACK_HEADER_BYTES || info.body_end > size_bytes || info.body_end + table_len + BDR_PACK_TRAILER_BYTES != size_bytes)
        BDR_FAIL(BDR_CORRUPT, 0, "the pack's trailer does not fit its size");
    if (table_len + BDR_PACK_TRAILER_BYTES > tail_len) {
        *out_need = table_len + BDR_PACK_TRAILER_BYTES;
        return NULL;
    }
    table = trailer - table_len;
    BDR_TRY(bdr_sha256(header, BDR_PACK_HEADER_BYTES, table, table_len + 16, NULL, 0, sum));
    if (memcmp(sum, trailer + 16, 32) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "the checksum of the pack's table does not fit");
    if (!bdr_all_zero(trailer + 48, 8))
        BDR_FAIL(BDR_CORRUPT, 0, "the pack's trailer has bytes where there must be zeros");
    if (sealed) {
        BDR_AUTO(aead) struct bdr_aead *aead = NULL;
        uint8_t nonce[BDR_NONCE_BYTES];

        plain = malloc(table_len);
        BDR_NOMEM_IF_NULL(plain);
        memset(nonce, 0xff, sizeof(nonce));
        BDR_TRY(pack_aead(env->key, info.salt, &aead));
        BDR_TRY(bdr_aead_open(aead, nonce, header, BDR_PACK_HEADER_BYTES, table, table_len, plain));
        table = plain;
    }
    BDR_TRY(pack_rows(table, &info, out_rows));
    *out_need = 0;
    *out = info;
    return NULL;
}

static struct bdr_err *pack_read_table(const struct bdr_pack_env *env, const char *key, struct bdr_pack_info *out,
                                       struct bdr_pack_row **out_rows)
{
    struct bdr_store_stat st;
    uint8_t header[BDR_PACK_HEADER_BYTES];
    BDR_AUTO(mem) uint8_t *tail = NULL;
    size_t want, got = 0, need;

    BDR_TRY(bdr_store_stat(env->store, key, &st));
    BDR_TRY(bdr_store_get(env->store, key, 0, header, sizeof(header), &got));
    if (got < sizeof(header))
        BDR_FAIL(BDR_CORRUPT, 0, "the pack is cut short at %zu bytes", got);
    /* 64 KiB hold the tables of nearly all packs, so this is one request more often than not. */
    for (want = BDR_MIN(st.size_bytes, (uint64_t)65536);; want = need) {
        free(tail);
        tail = malloc(want + BDR_PACK_TRAILER_BYTES);
        BDR_NOMEM_IF_NULL(tail);
        BDR_TRY(bdr_store_get(env->store, key, st.size_bytes - want, tail, want, &got));
        if (got != want)
            BDR_FAIL(BDR_CORRUPT, 0, "the pack got shorter while it was read");
        need = 0;
        BDR_TRY(bdr_pack_parse(env, header, tail, want, st.size_bytes, &need, out, out_rows));
        if (!need)
            return NULL;
        if (need <= want || need > st.size_bytes)
            BDR_FAIL(BDR_CORRUPT, 0, "the pack's table is larger than the pack");
    }
}

struct bdr_err *bdr_pack_read_table(const struct bdr_pack_env *env, const uint8_t name[16], struct bdr_pack_info *out,
                                    struct bdr_pack_row **out_rows)
{
    char key[BDR_PACK_KEY_CHARS];
    struct bdr_pack_info info;

    bdr_pack_key(name, key);
    BDR_TRY_FOR(pack_read_table(env, key, &info, out_rows), "reading %s", key);
    memcpy(info.name, name, sizeof(info.name));
    *out = info;
    return NULL;
}

/* ---- decoding blocks ---- */

#define UNPACK_KEYS 4

struct bdr_unpacker {
    struct bdr_pack_env env;
    struct bdr_hasher *hasher;
    struct bdr_codec_ctx *codec;
    struct {
        uint8_t salt[32];
        struct bdr_aead *aead;
    } keys[UNPACK_KEYS]; /* most recently used first: a pack's key is derived once, not per block */
    struct bdr_buf plain;
};

struct bdr_err *bdr_unpacker_new(const struct bdr_pack_env *env, const struct bdr_secret *id_key,
                                 struct bdr_unpacker **out)
{
    BDR_AUTO(unpacker) struct bdr_unpacker *u = calloc(1, sizeof(*u));

    BDR_NOMEM_IF_NULL(u);
    u->env = *env;
    BDR_TRY(bdr_hasher_new(id_key, &u->hasher));
    BDR_TRY(bdr_codec_new(&u->codec));
    *out = BDR_STEAL(u);
    return NULL;
}

void bdr_unpacker_free(struct bdr_unpacker *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < UNPACK_KEYS; i++)
        bdr_aead_free(u->keys[i].aead);
    bdr_hasher_free(u->hasher);
    bdr_codec_free(u->codec);
    bdr_buf_free(&u->plain);
    free(u);
}

static struct bdr_err *unpack_key(struct bdr_unpacker *u, const uint8_t salt[32], struct bdr_aead **out)
{
    size_t at = 0;

    while (at < UNPACK_KEYS - 1 && u->keys[at].aead && memcmp(u->keys[at].salt, salt, 32) != 0)
        at++;
    if (!u->keys[at].aead || memcmp(u->keys[at].salt, salt, 32) != 0) {
        struct bdr_aead *aead = NULL;

        BDR_TRY(pack_aead(u->env.key, salt, &aead));
        bdr_aead_free(u->keys[at].aead);
        u->keys[at].aead = aead;
        memcpy(u->keys[at].salt, salt, 32);
    }
    if (at) {
        __typeof__(u->keys[0]) hit = u->keys[at];

        memmove(&u->keys[1], &u->keys[0], at * sizeof(u->keys[0]));
        u->keys[0] = hit;
    }
    *out = u->keys[0].aead;
    return NULL;
}

struct bdr_err *bdr_unpack_seal(struct bdr_unpacker *u, const uint8_t salt[32], const struct bdr_pack_row *row,
                                const void *body, void *out, size_t *out_len)
{
    uint8_t nonce[BDR_NONCE_BYTES], aad[37];
    struct bdr_aead *aead = NULL;

    if (!u->env.key) {
        memcpy(out, body, row->stored);
        *out_len = row->stored;
        return NULL;
    }
    BDR_TRY(unpack_key(u, salt, &aead));
    pack_nonce(row->off, nonce);
    pack_aad(&row->id, row->raw, row->codec, aad);
    BDR_TRY(bdr_aead_open(aead, nonce, aad, sizeof(aad), body, row->stored, out));
    *out_len = row->stored - BDR_TAG_BYTES;
    return NULL;
}

struct bdr_err *bdr_unpack(struct bdr_unpacker *u, const uint8_t salt[32], const struct bdr_pack_row *row,
                           const void *body, void *out)
{
    size_t len = row->stored;
    struct bdr_id id;

    if (u->env.key) {
        u->plain.len = 0;
        bdr_buf_reserve(&u->plain, row->stored);
        BDR_TRY(bdr_buf_check(&u->plain));
        BDR_TRY(bdr_unpack_seal(u, salt, row, body, u->plain.data, &len));
        body = u->plain.data;
    }
    BDR_TRY(bdr_codec_unpack(u->codec, row->codec, body, len, out, row->raw));
    BDR_TRY(bdr_hasher_id(u->hasher, out, row->raw, &id));
    if (memcmp(id.b, row->id.b, sizeof(id.b)) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "a block's bytes do not fit its id");
    return NULL;
}
