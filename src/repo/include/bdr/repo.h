/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo.h - the content-addressed repository: open, points, blocks.
 *
 * Format: docs/formats/repository.md. Depends on: base, os, store.
 * Threads: a struct bdr_repo may be used from any thread.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"
#include "bdr/store.h"

#define BDR_ID_BYTES 32
struct bdr_id {
    uint8_t b[BDR_ID_BYTES];
};

enum bdr_codec { BDR_CODEC_NONE = 0, BDR_CODEC_LZ4 = 1, BDR_CODEC_ZSTD = 2 };

struct bdr_repo;

struct bdr_repo_options {
    const char *passphrase_file; /* or NULL */
    const char *key_file;        /* or NULL */
    const char *cache_dir;       /* index of non-local stores; NULL: $XDG_CACHE_HOME/bdr or ~/.cache/bdr */
    bool read_only;
    bool writes_next;            /* a session, prune, verify or repair comes next: it lists the packs, opening need not */
    bool to_free;                /* to free space: on a full disk the reserve may be spent on opening already */
    bool fresh_index;            /* throw the local index away first (rebuild): nobody else may use it */
    const struct bdr_cancel *cancel;
};
/*
 * Opens the repository at `url` and (unless opt->writes_next) brings its index up to date with its packs.
 * Errors: NOTFOUND nothing there; INVAL not a repository; VERSION newer format; AUTH wrong passphrase or none given;
 * DENIED; NET.
 */
bdr_ret bdr_repo_open(const char *url, const struct bdr_repo_options *opt, struct bdr_repo **out);
void bdr_repo_close(struct bdr_repo *repo);
const char *bdr_repo_url(const struct bdr_repo *repo);
/* The repository's id in hex. */
void bdr_repo_id(const struct bdr_repo *repo, char out[33]);
uint32_t bdr_repo_block_bytes(const struct bdr_repo *repo);

/* The key of block ids; *out_keyed false (and nothing else) when they are plain SHA-256. A secret: who has it can test
 * guesses of content against ids. */
void bdr_repo_id_key(const struct bdr_repo *repo, uint8_t out[32], bool *out_keyed);

/* One row of the list of points. */
#define BDR_POINT_KEY_CHARS 96
struct bdr_point_info {
    char id[33];       /* 32 hex digits, unique in the repository */
    char host[128];    /* UTF-8 */
    int64_t time_ms;   /* UTC; the moment the content belongs to */
    uint32_t disks;
    uint64_t size_bytes; /* of all disks */
    char key[BDR_POINT_KEY_CHARS]; /* where its manifest is in the store */
    char origin[33];     /* of a copy: the id of the point it was copied from first; else "" */
};
/* What a point and all its copies have in common. Borrowed from `p`. */
static inline const char *bdr_point_key(const struct bdr_point_info *p)
{
    return p->origin[0] ? p->origin : p->id;
}
/* All visible points, by host then time; *out is owned by the caller (free). */
bdr_ret bdr_repo_points(struct bdr_repo *repo, struct bdr_point_info **out, size_t *out_n);
/* A point by id prefix or "latest"; `host` NULL is any host. NOTFOUND; INVAL when ambiguous. */
bdr_ret bdr_repo_find(struct bdr_repo *repo, const char *which, const char *host, struct bdr_point_info *out);

BDR_AUTO_DEFINE(repo, struct bdr_repo *, bdr_repo_close)

/* ---- making and keeping ---- */

struct bdr_repo_init_options {
    uint32_t block_bytes;        /* power of two, 64 KiB - 4 MiB; 0: the default (docs/benchmarks.md) */
    uint32_t pack_bytes;         /* 0: 32 MiB */
    const char *compress;        /* "zstd[:LEVEL]", "lz4[:ACCELERATION]", "none"; NULL: zstd */
    bool encrypt;                /* needs passphrase_file or key_file */
    const char *passphrase_file; /* first line is the passphrase */
    const char *key_file;        /* its bytes are the key; at least 32 */
    const struct bdr_cancel *cancel;
};
/* Makes a repository. EXISTS when there is one (or the folder holds other things). */
bdr_ret bdr_repo_init(const char *url, const struct bdr_repo_init_options *opt);

/* Brings the index up to date with the packs in the store; *out_added, *out_gone may be NULL. */
bdr_ret bdr_repo_sync(struct bdr_repo *repo, uint64_t *out_added, uint64_t *out_gone);
/* Throws the index away and makes it again from the packs; damaged packs are told one by one through `on_bad` (which
 * takes the error) and left out. */
bdr_ret bdr_repo_rebuild(struct bdr_repo *repo, void (*on_bad)(void *ctx, const char *pack, struct bdr_err *err),
                         void *ctx, uint64_t *out_packs);

/* What the repository is, for people: counts and sizes by the index. */
struct bdr_repo_facts {
    char id[33];
    uint32_t block_bytes, pack_bytes;
    char compress[24];
    bool encrypted;
    uint64_t packs, blocks, stored_bytes;
};
bdr_ret bdr_repo_facts(struct bdr_repo *repo, struct bdr_repo_facts *out);

/* Keys of an encrypted repository. */
#define BDR_KEY_DAMAGED "damaged"
struct bdr_key_row {
    char id[33];
    char type[16]; /* "passphrase", "keyfile", or BDR_KEY_DAMAGED: no copy of it can be read */
    char label[64];
    int64_t created_ms;
};
bdr_ret bdr_repo_keys(struct bdr_repo *repo, struct bdr_key_row **out, size_t *out_n);
bdr_ret bdr_repo_key_add(struct bdr_repo *repo, const char *passphrase_file, const char *key_file, const char *label,
                         char out_id[33]);
/* Both copies are gone when it returns. Refuses to remove the last one that is whole. BUSY: somebody changes keys. */
bdr_ret bdr_repo_key_remove(struct bdr_repo *repo, const char *id);
/* The recovery kit: text that opens the repository without any passphrase (--key-file KIT). Caller frees and guards. */
bdr_ret bdr_repo_key_export(struct bdr_repo *repo, char **out);
