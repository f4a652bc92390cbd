/* SPDX-License-Identifier: Apache-2.0 */
/* repo_i.h - the inside of an open repository, shared by the files of this module only. */
#pragma once
#include "bdr/bytes.h"
#include "bdr/repo.h"
#include "codec.h"
#include "crypto.h"
#include "envelope.h"
#include "index.h"
#include "pack.h"
#include <pthread.h>

struct bdr_reader;

struct bdr_repo {
    struct bdr_store *store; /* owned */
    struct bdr_index *index; /* owned */
    char *index_dir;         /* owned */
    const struct bdr_cancel *cancel;
    uint8_t id[16];
    uint32_t block_bytes, pack_bytes;
    enum bdr_codec codec;
    int level;
    bool sealed, read_only;
    bool second_used; /* a second copy of config or a key had to be read: a writer heals the first */
    struct bdr_secret master, id_key, pack_key; /* when sealed */
    json_t *config;                             /* owned */
    struct bdr_pack_env env;
    pthread_mutex_t lock;        /* guards readers, synced_ms, known */
    struct bdr_point_info *known; /* owned; what the last listing of points said, by key: manifests never change */
    size_t known_n;
    struct bdr_reader *readers;  /* idle ones, a list */
    uint64_t synced_ms;
};

/* NULL unless sealed. */
BDR_UNUSED static inline const struct bdr_secret *repo_master(const struct bdr_repo *r)
{
    return r->sealed ? &r->master : NULL;
}
BDR_UNUSED static inline const struct bdr_secret *repo_id_key(const struct bdr_repo *r)
{
    return r->sealed ? &r->id_key : NULL;
}

/* bdr_repo_sync that tells of packs it can't read; on_bad takes the error. */
bdr_ret bdr_repo_sync_bad(struct bdr_repo *repo, void (*on_bad)(void *ctx, const char *pack, struct bdr_err *err),
                          void *ctx);
/* Reads an enveloped object. */
bdr_ret bdr_repo_load(struct bdr_repo *r, enum bdr_envelope_kind kind, const char *key, json_t **out);
bdr_ret bdr_repo_save(struct bdr_repo *r, enum bdr_envelope_kind kind, const char *key, const json_t *json, int flags);

/* What a manifest must have. CORRUPT; VERSION. */
bdr_ret bdr_point_check(const json_t *point);

/* Keys (keys.c): the master key from what the options give; *out_sealed when the repository has one at all. */
struct bdr_key_options {
    const char *passphrase_file, *key_file;
};
bdr_ret bdr_keys_open(struct bdr_store *store, const uint8_t repo_id[16], const json_t *config,
                      const char *passphrase_file, const char *key_file, struct bdr_secret *out, bool *out_second);
bdr_ret bdr_keys_wrap(struct bdr_store *store, const uint8_t repo_id[16], const struct bdr_secret *master,
                      const char *passphrase_file, const char *key_file, const char *label, char out_id[33]);
bdr_ret bdr_keys_check(const struct bdr_secret *master, char out_hex[33]);

/* Members of JSON objects we did not write ourselves: absent or of another type gives the default. */
BDR_UNUSED static inline uint64_t json_u64(const json_t *o, const char *name, uint64_t dflt)
{
    const json_t *v = json_object_get(o, name);

    return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : dflt;
}
BDR_UNUSED static inline const char *json_str(const json_t *o, const char *name, const char *dflt)
{
    const json_t *v = json_object_get(o, name);

    return json_is_string(v) ? json_string_value(v) : dflt;
}
