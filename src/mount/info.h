/* SPDX-License-Identifier: Apache-2.0 */
/* info.h - point.json: what is known about a point, for people and scripts. Threads: any. */
#pragma once
#include "bdr/err.h"
#include "bdr/repo.h"
#include "parts.h"

struct mount_disk_info {
    uint32_t index;
    bool readable; /* it could be opened: the size is known */
    uint64_t size_bytes;
    uint32_t sector_bytes;
    struct mount_part *parts; /* owned by whoever fills it in */
    size_t n_parts;
    char error[256]; /* why it, or its partitions, can't be read; or "" */
};

/* Caller frees *out. NOMEM. */
bdr_ret mount_info_json(const struct bdr_point_info *point, const struct mount_disk_info *disks, size_t n, char **out);
