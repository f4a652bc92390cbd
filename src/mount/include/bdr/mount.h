/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.h - all recovery points of a repository as files.
 *
 *   HOST/2026-11-22T18:15:00Z-1a2b3c4d/disk0.raw      a whole disk
 *                                     /disk0.p1       a partition of it, ready for mount -o loop,ro
 *                                     /point.json     what the repository knows about the point
 *   HOST/latest -> 2026-11-22T18:15:00Z-1a2b3c4d
 *
 * Depends on: base, os, repo; libfuse 3, libblkid.      Threads: one call a mountpoint.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct bdr_repo;

struct bdr_mount_spec {
    struct bdr_repo *repo;    /* borrowed */
    const char *mountpoint;   /* an empty folder */
    const char *point;        /* id: this one alone is there; NULL: all */
    bool allow_other;         /* other users may read too; without it only who mounts */
    uint32_t threads;         /* requests answered at once; 0: 8 */
    const char *parts_reader; /* path of bdr-parts; NULL: beside the program */
    uint64_t cache_bytes;     /* decoded blocks kept for each open disk; 0: 32 MiB */
    void (*ready)(void *ctx); /* called once when the files are there. May be NULL */
    void *ready_ctx;
};

/*
 * Mounts, serves until `cancel` is set or somebody unmounts, and unmounts: both are success. Points that come or go
 * meanwhile appear and disappear.
 *
 * Errors:  NOTFOUND, EXISTS (not empty), INVAL (no folder) the mountpoint; DENIED no right to mount; UNSUPPORTED the
 *          kernel has no FUSE.
 * Source:  docs/mount.md
 */
bdr_ret bdr_mount_run(const struct bdr_mount_spec *spec, const struct bdr_cancel *cancel);
