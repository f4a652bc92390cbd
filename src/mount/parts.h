/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h - the partitions of a disk, from the disk's own bytes. Threads: any. */
#pragma once
#include "bdr/err.h"

struct bdr_disk;

struct mount_part {
    uint32_t number;   /* as in /dev/sda1 */
    uint64_t off, len; /* bytes */
    char type[40];     /* "0x83" or a GPT type GUID */
    char uuid[40], name[76];
};

/*
 * MBR with logical partitions, GPT and what else libblkid knows; a disk without a table has none.
 *
 * Errors:  those of bdr_disk_read; NOMEM.
 * Source:  libblkid's blkid_partlist; it wants a file, so it gets a sparse memory file with the places tables live in
 */
bdr_ret mount_parts_read(struct bdr_disk *disk, struct mount_part **out, size_t *out_n);
