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
    const struct bdr_cancel *cancel;
};
/*
 * Opens the repository at `url` and brings its index up to date with its packs.
 * Errors: NOTFOUND nothing there; INVAL not a repository; VERSION newer format; AUTH wrong passphrase or none given;
 * DENIED; NET.
 */
bdr_ret bdr_repo_open(const char *url, const struct bdr_repo_options *opt, struct bdr_repo **out);
void bdr_repo_close(struct bdr_repo *repo);
const char *bdr_repo_url(const struct bdr_repo *repo);
uint32_t bdr_repo_block_bytes(const struct bdr_repo *repo);

/* One row of the list of points. */
struct bdr_point_info {
    char id[33];       /* 32 hex digits, unique in the repository */
    char host[128];    /* UTF-8 */
    int64_t time_ms;   /* UTC; the moment the content belongs to */
    uint32_t disks;
    uint64_t size_bytes; /* of all disks */
};
/* All visible points, by host then time; *out is owned by the caller (free). */
bdr_ret bdr_repo_points(struct bdr_repo *repo, struct bdr_point_info **out, size_t *out_n);
/* A point by id prefix or "latest"; `host` NULL is any host. NOTFOUND; INVAL when ambiguous. */
bdr_ret bdr_repo_find(struct bdr_repo *repo, const char *which, const char *host, struct bdr_point_info *out);

BDR_AUTO_DEFINE(repo, struct bdr_repo *, bdr_repo_close)
