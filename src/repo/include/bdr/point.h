/* SPDX-License-Identifier: Apache-2.0 */
/*
 * point.h - recovery points: manifests and what they say of each disk.
 *
 * Threads: any.
 */
#pragma once
#include "bdr/repo.h"
#include <jansson.h>

/* What a manifest says of one disk; strings are borrowed from the manifest. */
struct bdr_point_disk {
    const char *name, *identity, *token, *token_kind, *table;
    uint64_t size_bytes;
    uint32_t sector_bytes;
    bool has_root; /* false: the whole disk is zero */
    struct bdr_id root;
    uint64_t unreadable_bytes;
};

/* The manifest of a point (id as in bdr_point_info); *out is a new reference. NOTFOUND; CORRUPT; VERSION. */
bdr_ret bdr_point_load(struct bdr_repo *repo, const char *id, json_t **out);
/* The same of a point that a listing told; asks for nothing else. For loops: bdr_point_load lists the repository each time. */
bdr_ret bdr_point_read(struct bdr_repo *repo, const struct bdr_point_info *info, json_t **out);
/* Disk `index` of a manifest. NOTFOUND; CORRUPT. */
bdr_ret bdr_point_disk(const json_t *point, uint32_t index, struct bdr_point_disk *out);
uint32_t bdr_point_disks(const json_t *point);
/* Makes a manifest visible: sets id (and time when absent), stores it exclusively. Sessions call this. */
bdr_ret bdr_point_store(struct bdr_repo *repo, json_t *point, char out_id[33]);
/* Whether a host's point is still there, by the store itself. */
bdr_ret bdr_point_visible(struct bdr_repo *repo, const char *host, const char *id, bool *out);
/* Removes a point; what only it referred to is freed by the next prune. */
bdr_ret bdr_point_remove(struct bdr_repo *repo, const char *id);
/* Fewest levels whose map covers `blocks` blocks; at least 1. */
uint32_t bdr_map_levels(uint64_t blocks);
BDR_UNUSED static inline uint64_t bdr_blocks_of(uint64_t size_bytes, uint32_t block_bytes)
{
    return size_bytes / block_bytes + (size_bytes % block_bytes != 0);
}

/* Points whose manifests can't be read: told one by one (`on_bad` takes the error) instead of failing the list. */
bdr_ret bdr_repo_points_bad(struct bdr_repo *repo, void (*on_bad)(void *ctx, const char *key, struct bdr_err *err),
                            void *ctx, struct bdr_point_info **out, size_t *out_n);
