/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirsync.h - folders under one root whose entries survive a crash, with as few fsync calls as threads allow.
 *
 * Folders are named relative to the root, "" is the root. Threads: any.
 */
#pragma once
#include "bdr/err.h"

struct bdr_dirsync;
/* `root` is copied; it exists. */
bdr_ret bdr_dirsync_new(const char *root, struct bdr_dirsync **out);
void bdr_dirsync_free(struct bdr_dirsync *ds);
/* The folder and those above it exist, durably, when this returns (once a process and folder that costs an fsync:
 * another process may have made it and not yet synced it). */
bdr_ret bdr_dirsync_make(struct bdr_dirsync *ds, const char *folder);
/* What the caller has linked, renamed or removed in the folder is durable; callers at the same time share one fsync. */
bdr_ret bdr_dirsync_commit(struct bdr_dirsync *ds, const char *folder);
/* Somebody removed folders behind our back: make them again when asked. */
void bdr_dirsync_forget(struct bdr_dirsync *ds);
