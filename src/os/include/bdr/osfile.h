/* SPDX-License-Identifier: Apache-2.0 */
/* osfile.h - whole-buffer file I/O and durable folders. Threads: any. */
#pragma once
#include "bdr/err.h"

/* All of `len` bytes, or an error (a short read at the end of the file is IO). `name` is for messages. */
bdr_ret bdr_os_pread(int fd, const char *name, void *buf, size_t len, uint64_t off);
bdr_ret bdr_os_pwrite(int fd, const char *name, const void *buf, size_t len, uint64_t off);
bdr_ret bdr_os_write(int fd, const char *name, const void *buf, size_t len);
/* Creates `path` and its parents, mode 0700; there already is fine. */
bdr_ret bdr_os_mkdirs(const char *path);
bdr_ret bdr_os_fsync_dir(const char *path);
/* Bytes that this process may still write to the file system of `path`; a quota may say less. */
bdr_ret bdr_os_room(const char *path, uint64_t *out_bytes);
/* At most `max` bytes of a small file; NUL behind; caller frees. RANGE when larger. */
bdr_ret bdr_os_read_file(const char *path, size_t max, char **out, size_t *out_len);
/* Kernel random bytes. */
bdr_ret bdr_os_random(void *buf, size_t len);
/* Identity of this machine for `purpose`, stable over reboots, not its machine-id itself; 32 hex + NUL. */
bdr_ret bdr_os_machine_id(const char *purpose, char out[33]);
bdr_ret bdr_os_hostname(char *out, size_t n);
/* Removes a folder and all in it, not following links; gone already is fine. */
bdr_ret bdr_os_remove_tree(const char *path);
/*
 * Makes `path` hold exactly these bytes with `mode`, or leaves what was there: written beside, fsync, rename, fsync of
 * the folder. With `fresh`, EXISTS when there is a file already.
 */
bdr_ret bdr_os_replace_file(const char *path, const void *data, size_t len, unsigned mode, bool fresh);
