/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsbig.h - writes a large file from its beginning to its end, past the page cache where the file system can.
 *
 * Whoever writes gigabytes nobody reads soon pushes everything else out of memory, and pays for each page twice. Threads: a
 * file belongs to one.
 */
#pragma once
#include "bdr/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bdr_fsbig {
    int fd;           /* borrowed */
    const char *path; /* borrowed; for errors */
    uint8_t *buf;     /* owned, aligned; NULL: through the page cache */
    size_t fill;      /* bytes in buf */
    uint64_t written_bytes, hinted_bytes;
};

/* `direct`: try it; file systems without it (tmpfs) get ordinary writes. */
bdr_ret bdr_fsbig_begin(struct bdr_fsbig *f, int fd, const char *path, bool direct);
bdr_ret bdr_fsbig_append(struct bdr_fsbig *f, const void *data, size_t len);
/* Writes what is left. Durable only after the caller's fdatasync. */
bdr_ret bdr_fsbig_finish(struct bdr_fsbig *f);
void bdr_fsbig_end(struct bdr_fsbig *f);
