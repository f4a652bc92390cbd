/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdcache.h - the last few files read stay open, so that reads at random offsets do not open one each time.
 *
 * What is replaced or removed - also by another process - is noticed by its link count and opened anew.
 * Threads: any; two readers may share one descriptor (pread only).
 */
#pragma once
#include "bdr/err.h"

struct bdr_fdcache;
struct bdr_fdref {
    struct bdr_fdcache_entry *entry; /* owned by the cache */
    int fd;                          /* borrowed until put */
    uint64_t size_bytes;
};

bdr_ret bdr_fdcache_new(struct bdr_fdcache **out);
void bdr_fdcache_free(struct bdr_fdcache *cache);
/* NOTFOUND when there is no regular file at `path`. Give the reference back with bdr_fdcache_put. */
bdr_ret bdr_fdcache_get(struct bdr_fdcache *cache, const char *path, struct bdr_fdref *out);
void bdr_fdcache_put(struct bdr_fdcache *cache, struct bdr_fdref *ref);
/* Closes the file as soon as nobody reads it, so that a removed object's space is free. */
void bdr_fdcache_drop(struct bdr_fdcache *cache, const char *path);
