/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc.h - keeping a repository small and whole: retention, prune, verify.
 *
 * Protocol of prune: docs/formats/repository.md section 8. Threads: one call at a time per repository handle;
 * any number of writers and readers in other threads and processes meanwhile.
 */
#pragma once
#include "bdr/repo.h"
#include <stdatomic.h>

struct bdr_gc_meter {
    atomic_uint_fast64_t done, total; /* bytes of packs looked at */
    const char *_Atomic phase;        /* what is going on, for people */
};

struct bdr_prune_options {
    bool dry_run;         /* only tell */
    double max_unused_pct;/* a pack with more dead bytes than this is rewritten; default when negative: 20 */
    struct bdr_gc_meter *meter; /* or NULL */
    const struct bdr_cancel *cancel;
    /* Somebody is about to refer to this block, though no point does yet: packs that hold one stay. Asked of packs that
     * are at most wanted_ms old; NULL: there is nobody. */
    struct bdr_err *(*wanted)(void *ctx, const struct bdr_id *id, bool *out);
    void *wanted_ctx;
    uint64_t wanted_ms;
};
struct bdr_prune_result {
    uint64_t points, live_blocks, live_bytes;   /* marked */
    uint64_t packs, packs_removed, packs_rewritten, packs_waiting;
    uint64_t bytes_before, bytes_freed;         /* of packs; freed is what the repository is smaller by */
    uint64_t bytes_waiting;                     /* condemned, but an open session may refer to them */
    uint64_t packs_no_room;                     /* half-dead, but their live blocks do not fit anywhere else */
    uint64_t sessions_open;
    uint64_t leftovers;                         /* temporary objects of crashed writers removed */
};
/* Works on a full disk, as far as the reserve (or what else is free) lets it. BUSY when another prune runs; CORRUPT when a visible point's map can't be read (nothing is removed then). */
bdr_ret bdr_prune(struct bdr_repo *repo, const struct bdr_prune_options *opt, struct bdr_prune_result *out);

/* ---- retention ---- */

struct bdr_keep {
    uint32_t last, hourly, daily, weekly, monthly, yearly; /* 0: that rule keeps nothing */
    uint64_t within_ms;                                    /* 0: none */
};
struct bdr_keep_row {
    struct bdr_point_info point;
    bool keep;
    char why[96]; /* "last 3, daily 2026-11-22" or why not */
};
/* Decides on `n` points sorted as bdr_repo_points does; a host's points are judged among themselves. All rules 0 keeps
 * everything. The newest point of a host is always kept. Pure; now_ms is wall time. */
void bdr_keep_decide(const struct bdr_keep *keep, const struct bdr_point_info *points, size_t n, int64_t now_ms,
                     struct bdr_keep_row *out);

/* ---- verify ---- */

enum bdr_verify_depth { BDR_VERIFY_MAPS, BDR_VERIFY_SAMPLE, BDR_VERIFY_ALL };
struct bdr_verify_options {
    enum bdr_verify_depth depth;
    double sample_pct; /* SAMPLE: of the blocks */
    const char *point; /* only this one (id prefix); NULL: all, and the packs themselves */
    unsigned workers;
    struct bdr_gc_meter *meter;
    const struct bdr_cancel *cancel;
};
/* One damaged place of one point. */
struct bdr_damage {
    char point[33], host[128];
    uint32_t disk;
    uint64_t off, len; /* bytes of the disk; merged */
    char what[160];
};
struct bdr_verify_result {
    uint64_t points, packs, blocks, bytes; /* checked */
    struct bdr_damage *damage;             /* owned */
    size_t n_damage;
    char (*bad_objects)[256];              /* owned; "packs/ab/..: why" - what is wrong, whether or not a point needs it */
    size_t n_bad;
};
/* Finding damage is not an error: the result lists it. */
bdr_ret bdr_verify(struct bdr_repo *repo, const struct bdr_verify_options *opt, struct bdr_verify_result *out);
void bdr_verify_free(struct bdr_verify_result *r);
