/* SPDX-License-Identifier: Apache-2.0 */
/*
 * throttle.h - slow down those who write to given disks, for a while, so that copying can catch up with them.
 *
 * Linux: control groups (cgroups(7)). Each group other than ours gets the limit, groups inside it share it. What groups can do:
 *   version 2 (io.max)  all writes of a group, buffered ones too where the file system and the memory controller take part
 *                       (ext4, XFS, btrfs; systemd's default)
 *   version 1 (blkio.throttle.write_bps_device)  direct and synchronous writes (O_DIRECT, O_SYNC, fsync) only: buffered
 *                       writes are written out by the kernel's own threads, which belong to the root group
 * Never slowed: writers of our own group and of those above it, the root group, the kernel's threads, swap; groups that have a
 * limit for writes to that disk already; groups made after start() until the next set().
 * The limits go with us: a guard process of our own takes them back when we die, and LEASE_MS after the last start() or set()
 * whatever happens. Should both be killed at once, the limits stay: `echo "8:0 wbps=max" > .../io.max`.
 * Depends on: base, os.      Threads: one at a time.
 */
#pragma once
#include "bdr/err.h"
#include <stddef.h>
#include <stdint.h>

#define BDR_THROTTLE_MIN_BYTES (UINT64_C(1) << 20) /* a second and group: less would look like a failed disk */
#define BDR_THROTTLE_LEASE_MS  600000

struct bdr_throttle;

/*
 * Limits writes to these whole disks.
 *
 * Units:   bytes a second for each group; less than BDR_THROTTLE_MIN_BYTES counts as that.
 * Errors:  UNSUPPORTED and why: no groups, no controller, nobody in a group other than ours, no right to it; NOTFOUND, INVAL (a
 *          partition) as bdr_volumes_scan. Nothing is limited then.
 */
bdr_ret bdr_throttle_start(const char *const *disks, size_t n, uint64_t bytes_per_s, struct bdr_throttle **out);
/*
 * Another limit; also for the groups that came since, and the lease begins anew.
 *
 * Errors:  STALE the lease was over or the guard is gone: nothing is limited any more.
 */
bdr_ret bdr_throttle_set(struct bdr_throttle *t, uint64_t bytes_per_s);
/* Puts everything back as it was; a limit that somebody else changed meanwhile is left. NULL is fine. */
void bdr_throttle_end(struct bdr_throttle *t);
/* How many limits are set, a group and disk each. */
size_t bdr_throttle_count(const struct bdr_throttle *t);

BDR_AUTO_DEFINE(throttle, struct bdr_throttle *, bdr_throttle_end)
