/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track.h - changed-block tracking of this machine's disks by eBPF; the tracker lives in the kernel and outlives us.
 *
 * A disk's map has a byte for each 64 KiB (16 MiB a TiB): the generation of the last write, or of the discard that covered all of
 * it. Generations have growing 64-bit numbers outside (`seq`); the byte is their short name. Maps and programs are pinned
 * below /sys/fs/bpf/openbdr/v1, so that tracking goes on without any process of ours.
 * Needs: Linux 5.11 or later with BTF, CAP_BPF + CAP_PERFMON + CAP_SYS_ADMIN.
 * Source: docs/drivers/live-track.md; the reference page on Linux tracking for what was measured.
 * Depends on: base, os, source.h.      Threads: one at a time a handle, except bdr_track_touched: any.
 */
#pragma once
#include "bdr/err.h"
#include "bdr/source.h"
#include <stdint.h>

#define BDR_TRACK_GRANULE_BYTES 65536u

struct bdr_track; /* one tracked disk */

/* UNSUPPORTED with the reason in words: kernel too old, no BTF, lockdown, not permitted. */
bdr_ret bdr_track_supported(void);
/*
 * Starts tracking a whole disk ("/dev/vda"); does nothing when it is tracked already. Loads and pins the programs when this is
 * the first, replaces those of an older version without losing the maps, grows the map of a disk that grew.
 * Errors: UNSUPPORTED (as above; a partition: names the disk; DAX, zoned); NOTFOUND; DENIED; NOMEM.
 */
bdr_ret bdr_track_start(const char *disk);
/* NULL: all, and the programs too. Not tracked is no error. */
bdr_ret bdr_track_stop(const char *disk);

struct bdr_track_status {
    char disk[64];             /* "/dev/vda" now; "" when the device is gone */
    uint32_t major, minor;
    uint64_t size_bytes, map_bytes;
    uint64_t started_ms;       /* wall clock */
    uint64_t seq;              /* the running generation */
    uint64_t writes;           /* about: a few may not be counted; the others are exact */
    uint64_t written_bytes, discarded_bytes, passthrough;
    uint64_t changed_bytes;    /* since the last committed point, or since the start */
    bool queue_only;           /* dm, md, zram: no completions to see; a pass waits for what is in flight (settle) */
    char trouble[160];         /* what makes the next pass a full compare; empty: nothing */
};
/* Sorted by disk. *out is one allocation, owned by the caller. */
bdr_ret bdr_track_list(struct bdr_track_status **out, size_t *out_n);

/* NOTFOUND: not tracked. Grows the map when the disk grew. */
bdr_ret bdr_track_open(const char *disk, struct bdr_track **out);
void bdr_track_close(struct bdr_track *t);
/*
 * Ends the running generation. *out is its number: a write that is queued after the return is marked with a greater one. Writes
 * under way may be marked with either; see settle.
 */
bdr_ret bdr_track_cut(struct bdr_track *t, uint64_t *out);
/* Waits until what was queued before the call has reached the disk: no write in flight seen at one instant, else `ms` long. */
bdr_ret bdr_track_settle(struct bdr_track *t, uint32_t ms, const struct bdr_cancel *cancel);
/*
 * What may have changed with a number > seq, in increasing order, within [off, off+len); multiples of the granule except at the end
 * of the disk. ZERO: discarded as a whole since, and not written again; whether it reads as zeros is the disk's business.
 * Old numbers are told apart ever more coarsely: more may be told than changed, never less.
 * Errors: STALE, with the reason: tracking was stopped or interrupted, another disk; RANGE.
 */
bdr_ret bdr_track_changes(struct bdr_track *t, uint64_t seq, uint64_t off, uint64_t len, bdr_extent_fn fn, void *ctx);
/* Bytes that bdr_track_changes would tell as DATA; fast. */
bdr_ret bdr_track_changed_bytes(struct bdr_track *t, uint64_t seq, uint64_t *out);
bool bdr_track_touched(struct bdr_track *t, uint64_t seq, uint64_t off, uint64_t len);

/* What the kernel counts of the disk's writes against what our programs saw. Equal only while nothing is in flight. */
struct bdr_track_counts {
    uint64_t seen_sectors;   /* written and discarded, at queueing, by our programs */
    uint64_t disk_sectors;   /* the same of /sys/block/X/stat, at completion */
    uint64_t completions, passthrough; /* requests, about; passthrough commands that may write, which no map knows */
};
bdr_ret bdr_track_counts(struct bdr_track *t, struct bdr_track_counts *out);
/*
 * A token of what is on the disk now, to be taken while no write is in flight (frozen) or with `exact` false: counts are not
 * checked then. It says boot, tracker, disk, seq and counts.
 */
bdr_ret bdr_track_token(struct bdr_track *t, uint64_t seq, const struct bdr_track_counts *counts, bool exact, char **out);
/*
 * The seq of a token and the counts it was taken with. STALE, with the reason in words: another boot, tracking was stopped between,
 * another disk, a numbers' window that is gone, passthrough writes since.
 */
struct bdr_track_base {
    uint64_t seq;
    bool exact;
    struct bdr_track_counts counts;
};
bdr_ret bdr_track_resume(struct bdr_track *t, const char *token, struct bdr_track_base *out);
/*
 * Did the programs see every write since the base? To be asked while no write is in flight; otherwise what is in flight counts as a
 * difference. *out_missed: sectors the disk wrote and the programs did not see (negative: seen, not yet or never completed).
 */
bdr_ret bdr_track_missed(const struct bdr_track_counts *base, const struct bdr_track_counts *now, int64_t *out_missed);
/* A point with this seq is durable: keep telling changes since it apart for as long as numbers last. */
bdr_ret bdr_track_keep(struct bdr_track *t, uint64_t seq);

BDR_AUTO_DEFINE(track, struct bdr_track *, bdr_track_close)
