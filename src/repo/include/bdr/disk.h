/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - "a recovery point as a disk": random reads of one disk of one point.
 *
 * Everything that reads back (recover, mount, serve, diff, verify) goes through here. Every block is checked
 * against its id before a byte of it is returned.
 * Depends on: base, repo.      Threads: read and extents from any thread at once.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct bdr_repo;
struct bdr_disk;

struct bdr_disk_options {
    uint64_t cache_bytes;    /* decoded blocks kept; 0: 64 MiB */
    uint32_t readahead;      /* blocks fetched ahead of a sequential reader; 0: none */
};
/*
 * Opens disk number `index` (from 0) of the point `point_id` (as bdr_point_info.id, or an unambiguous prefix).
 * Errors: NOTFOUND point or disk; CORRUPT manifest; UNSUPPORTED.
 */
bdr_ret bdr_disk_open(struct bdr_repo *repo, const char *point_id, uint32_t index, const struct bdr_disk_options *opt,
                      struct bdr_disk **out);
void bdr_disk_close(struct bdr_disk *disk);
uint64_t bdr_disk_size(const struct bdr_disk *disk);          /* bytes */
uint32_t bdr_disk_sector_bytes(const struct bdr_disk *disk);  /* 512 or 4096 */
uint32_t bdr_disk_block_bytes(const struct bdr_disk *disk);   /* block size of the repository */
/*
 * Reads any [off, off+len) inside the disk. Zero and unallocated blocks read as zeros.
 * Errors: RANGE; CORRUPT names the disk's offset and the pack (nothing is returned as data); IO, NET.
 */
bdr_ret bdr_disk_read(struct bdr_disk *disk, uint64_t off, void *buf, size_t len);
/*
 * Tells the extent at `off`: whether it is data or zeros, and *out_len bytes (> 0, at most `max`, merged over
 * neighbours) to the next change. Cheap: reads only maps.
 */
bdr_ret bdr_disk_extent(struct bdr_disk *disk, uint64_t off, uint64_t max, bool *out_data, uint64_t *out_len);

BDR_AUTO_DEFINE(disk, struct bdr_disk *, bdr_disk_close)
