/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.h - what is read while the file systems stand still: into locked memory, many requests deep, all disks at
 * once.
 *
 * Lifecycle: room (before the freeze) -> add* -> read (in the window) -> get* (after it) -> free. Another `room` begins
 * anew. Depends on: base, liburing.      Threads: get: any, once read has returned; the rest one at a time.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/source.h"
#include <liburing.h>

struct live_piece {
    uint32_t disk;
    uint64_t off, len;
    uint8_t *data; /* in the buffer; NULL: zeros */
};
struct live_bad {
    uint32_t disk;
    uint64_t off, len;
};
struct live_capture {
    uint8_t *mem; /* owned, mapped; locked if that is allowed */
    size_t bytes, used;
    struct live_piece *piece; /* owned; by disk, then offset */
    size_t n, cap;
    struct live_bad *bad; /* owned */
    size_t bad_n, bad_cap;
    struct io_uring ring;
    bool has_ring;
};

/* Memory for `bytes`, touched and locked, and the ring; forgets what was captured before. NOMEM. */
bdr_ret live_capture_room(struct live_capture *c, uint64_t bytes);
void live_capture_free(struct live_capture *c);
/* An extent of a disk, disks and offsets in increasing order. RANGE: more than there is room for. */
bdr_ret live_capture_add(struct live_capture *c, uint32_t disk, const struct bdr_extent *ext);
/*
 * Reads all pieces; fds[disk] are open with O_DIRECT. `left` says how many milliseconds there are (NULL: no limit).
 * Errors: TIMEOUT; NOMEM, IO (of the ring). Places that can't be read are no error: get tells them.
 */
bdr_ret live_capture_read(struct live_capture *c, const int *fds, uint32_t (*left)(void *ctx), void *ctx);
/*
 * The part of [off, off+len) from its start that is captured or that is not, whichever it begins with: *out_len bytes,
 * copied into buf when *out_there. IO: it could not be read in the window.
 */
bdr_ret live_capture_get(const struct live_capture *c, uint32_t disk, uint64_t off, size_t len, uint8_t *buf,
                         bool *out_there, size_t *out_len);
/* Makes [off, off+len) zeros where it was captured. */
void live_capture_zero(struct live_capture *c, uint32_t disk, uint64_t off, uint64_t len);
/* Walks the pieces of a disk within [off, off+len). */
bdr_ret live_capture_walk(const struct live_capture *c, uint32_t disk, uint64_t off, uint64_t len, bdr_extent_fn fn,
                          void *ctx);
