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
 * The table is read in a process of its own that has no rights (parts_child.c): this one has the key. `reader`: that
 * program's path; NULL: beside ours. The process has PARTS_WAIT_MS for everything but our own reading.
 * Errors:  those of bdr_disk_read; CORRUPT the reader crashed, hung or talked nonsense; NOTFOUND it is not installed.
 */
bdr_ret mount_parts_read(struct bdr_disk *disk, const char *reader, struct mount_part **out, size_t *out_n);
/* What the reader says of one partition of a disk of this size; false: it does not make sense. */
bool mount_part_decode(const uint8_t *msg, size_t len, uint64_t disk_bytes, struct mount_part *out);
