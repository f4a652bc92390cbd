/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes.h - what lies on this machine's disks: file systems, swap areas, the devices stacked between.
 *
 * Linux: /proc/self/mountinfo, /proc/swaps, /sys/dev/block (slaves, partition start), /sys/fs/btrfs (its devices), backing files
 * of loop devices. Nothing of the disks' own content is parsed.
 * Depends on: base.      Threads: any; a result belongs to its owner.
 */
#pragma once
#include "bdr/err.h"
#include <stdbool.h>
#include <stdint.h>

#define BDR_VOLUMES_DISKS_MAX 256

struct bdr_volume_fs {
    char *mount;            /* one of its mount points, the shortest that we can open */
    char *type, *device;    /* "ext4", "/dev/mapper/vg-root" */
    uint32_t depth;         /* devices under it, the longest way; freeze the deepest first, thaw last */
    bool read_only;
    uint64_t *disks;        /* bit i: it lies (partly) on the i-th disk asked about; BDR_VOLUMES_DISKS_MAX bits */
    bool outside;           /* part of it lies on a disk that was not asked about */
};
struct bdr_volume_range {
    uint32_t disk;
    uint64_t off, len;      /* bytes of the disk */
    char *what;             /* "/dev/vda2", "/swapfile" */
};
struct bdr_volumes {
    struct bdr_volume_fs *fs;        /* of the disks asked about, deepest first; each once, however often it is mounted */
    size_t fs_n;
    struct bdr_volume_range *swap;   /* areas in use, without their header (first page, which holds the UUID) */
    size_t swap_n;
    struct bdr_volume_range *raw;    /* partitions or disks that somebody other than a file system, swap or a stacked device
                                        holds open for writing or claims: content whose consistency we can't know */
    size_t raw_n;
};
/*
 * Looks once: what is mounted a moment later is not in it. Opens each partition that nothing known uses with O_EXCL for an instant.
 *
 * Shape:   disks[n]: "/dev/vda"... whole disks, each once, also mapped or loop devices; at most BDR_VOLUMES_DISKS_MAX.
 * Errors:  NOTFOUND; INVAL (a partition: the text names the disk); UNSUPPORTED a file system whose only mount lies hidden under
 *          another; DENIED... whose only mount can't be opened; NOMEM, IO when looking failed: never less than there is.
 */
bdr_ret bdr_volumes_scan(const char *const *disks, size_t n, struct bdr_volumes **out);
void bdr_volumes_free(struct bdr_volumes *v);
/* The whole disks of the machine a person would call its disks: no loop, ram, zram, optical, mapped or md devices. Owned. */
bdr_ret bdr_volumes_disks(char ***out, size_t *out_n);
/* "/dev/vda" of "/dev/vda2", "/dev/loop0" of itself, by /sys. */
bdr_ret bdr_volumes_whole_disk(const char *device, char **out);
void bdr_volumes_disks_free(char **disks, size_t n);

static inline bool bdr_volume_on(const struct bdr_volume_fs *fs, size_t disk)
{
    return fs->disks[disk / 64] >> (disk % 64) & 1;
}
BDR_AUTO_DEFINE(volumes, struct bdr_volumes *, bdr_volumes_free)
