/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.h - what one reader of a block device needs to itself: an io_uring and a buffer for unaligned callers.
 *
 * A lane keeps several segments of one read in flight, so one sequential caller already keeps the device busy.
 * Without io_uring (old kernel, seccomp, kernel.io_uring_disabled) a lane reads by pread.
 * Depends on: base, liburing.      Threads: one at a time a lane.
 */
#pragma once
#include "bdr/err.h"
#include <liburing.h>

struct blockdev_lane {
    struct io_uring ring;
    bool has_ring, no_ring; /* no_ring: not to be had; do not ask again */
    uint8_t *bounce;        /* owned; NULL until somebody needs it */
    struct blockdev_lane *next;
};

/*
 * Reads with O_DIRECT from `fd`. off and len are multiples of `sector_bytes`; `buf` is any address.
 * Errors: IO for whatever the medium says; NOTFOUND when the device is gone; NOMEM.
 */
bdr_ret blockdev_lane_read(struct blockdev_lane *lane, int fd, const char *path, uint32_t sector_bytes, uint64_t off,
                           uint8_t *buf, size_t len);
void blockdev_lane_close(struct blockdev_lane *lane);
