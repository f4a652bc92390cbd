/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h - immutable files of many blocks. Format: docs/formats/repository.md section 6.
 *
 * Threads: a writer belongs to one thread at a time; the rest any.
 */
#pragma once
#include "bdr/bytes.h"
#include "bdr/store.h"
#include "codec.h"
#include "crypto.h"

#define BDR_PACK_HEADER_BYTES 64
#define BDR_PACK_TRAILER_BYTES 64
#define BDR_PACK_ROW_BYTES 48
#define BDR_PACK_MAX_BYTES (1u << 30)
#define BDR_PACK_MAX_ROWS (1u << 24)
#define BDR_BLOCK_MAX_BYTES (4u << 20)

enum bdr_pack_class { BDR_PACK_DATA, BDR_PACK_NODE, BDR_PACK_CLASSES };

struct bdr_pack_row {
    struct bdr_id id;
    uint32_t off, stored, raw; /* bytes; off from the start of the pack */
    uint8_t codec;
};
struct bdr_pack_info {
    uint8_t name[16];
    uint8_t salt[32];
    uint8_t cls; /* enum bdr_pack_class */
    uint32_t rows;
    uint64_t size_bytes, body_end;
};
/* What a pack needs to know of its repository; borrowed. */
struct bdr_pack_env {
    struct bdr_store *store;
    uint8_t repo_id[16];
    const struct bdr_secret *key; /* pack key, or NULL */
};

/* "packs/ab/abcd…" into out. */
#define BDR_PACK_KEY_CHARS 48
void bdr_pack_key(const uint8_t name[16], char out[BDR_PACK_KEY_CHARS]);
/* False unless `key` is a pack's key. */
bool bdr_pack_name(const char *key, uint8_t out[16]);

struct bdr_pack_writer;
bdr_ret bdr_pack_begin(const struct bdr_pack_env *env, enum bdr_pack_class cls, struct bdr_pack_writer **out);
/* Stores body[len], compressed as `codec` from raw_len bytes; seals it when the repository is encrypted. */
bdr_ret bdr_pack_add(struct bdr_pack_writer *w, const struct bdr_id *id, enum bdr_codec codec, const void *body,
                     size_t len, size_t raw_len);
uint64_t bdr_pack_bytes(const struct bdr_pack_writer *w); /* so far */
uint32_t bdr_pack_rows(const struct bdr_pack_writer *w);
/* Consumes w, also on error. Durable on success; *out_rows (caller frees) has out->rows rows. */
bdr_ret bdr_pack_commit(struct bdr_pack_writer *w, struct bdr_pack_info *out, struct bdr_pack_row **out_rows);
void bdr_pack_abandon(struct bdr_pack_writer *w);

/* Reads a pack's header and table. CORRUPT names the pack; NOTFOUND. */
bdr_ret bdr_pack_read_table(const struct bdr_pack_env *env, const uint8_t name[16], struct bdr_pack_info *out,
                            struct bdr_pack_row **out_rows);
/* The same from bytes: header[64], and tail = the last tail_len bytes of a pack of size_bytes; *out_need is set, and
 * nothing else, when the tail does not hold the whole table. For the fuzzer, too. */
bdr_ret bdr_pack_parse(const struct bdr_pack_env *env, const uint8_t header[BDR_PACK_HEADER_BYTES], const void *tail,
                       size_t tail_len, uint64_t size_bytes, size_t *out_need, struct bdr_pack_info *out,
                       struct bdr_pack_row **out_rows);

/* One thread's means to decode blocks of any pack. */
struct bdr_unpacker;
bdr_ret bdr_unpacker_new(const struct bdr_pack_env *env, const struct bdr_secret *id_key, struct bdr_unpacker **out);
void bdr_unpacker_free(struct bdr_unpacker *u);
/* Decodes body[row->stored] of the pack with `salt` into out[row->raw] and checks it against row->id. CORRUPT. */
bdr_ret bdr_unpack(struct bdr_unpacker *u, const uint8_t salt[32], const struct bdr_pack_row *row, const void *body,
                   void *out);
/* Undoes the seal only (repacking): out gets row->stored - tag bytes, *out_len; without seal the body itself. */
bdr_ret bdr_unpack_seal(struct bdr_unpacker *u, const uint8_t salt[32], const struct bdr_pack_row *row,
                        const void *body, void *out, size_t *out_len);

BDR_AUTO_DEFINE(pack, struct bdr_pack_writer *, bdr_pack_abandon)
BDR_AUTO_DEFINE(unpacker, struct bdr_unpacker *, bdr_unpacker_free)
