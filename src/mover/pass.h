/* SPDX-License-Identifier: Apache-2.0 */
/* pass.h - one pass over one disk: extents -> read -> hash -> store -> map. Private to the mover. */
#pragma once
#include "bdr/backup.h"
#include "bdr/sink.h"
#include "scan.h"

#define PASS_RANGES_MAX 65536 /* 1 MiB a disk at most */

struct pass_range {
    uint64_t off, len;
};
/* What could not be read and is zeros in the copy. */
struct pass_bad {
    struct pass_range *at; /* owned; sorted, apart from each other, at most PASS_RANGES_MAX */
    size_t n, cap;
    uint64_t bytes;                    /* listed or not */
    uint64_t unlisted, unlisted_bytes; /* that found no room */
};
void pass_bad_free(struct pass_bad *bad);
/* Joined to the last one when it touches it. */
void pass_bad_add(struct pass_bad *bad, uint64_t off, uint64_t len);
/* Sorted, and neighbours as one. */
void pass_bad_tidy(struct pass_bad *bad);
struct pass_spec {
    struct bdr_sink *sink;
    struct bdr_source *src;
    struct bdr_source_info info;
    const struct bdr_id *base; /* root of the base map, or NULL */
    enum bdr_map_mode mode;    /* DELTA: changed extents against base */
    bool last;                 /* after the moment: reads may be STALE, the base has what they would give */
    double audit_pct; /* of what the tracker, or in a FULL pass the scan cache, says is unchanged */
    struct scan *scan; /* borrowed; only for FULL; NULL: none */
    unsigned workers;
    struct bdr_backup_meter *meter; /* never NULL */
    const struct bdr_cancel *cancel;
};
struct pass_result {
    struct bdr_id root;
    bool zero;
    struct pass_bad bad; /* owned */
    uint64_t audited, misses;
};
/*
 * r holds what the pass before left: a DELTA pass on it keeps the unreadable ranges that it does not come by again. The root is
 * changed on success only; unreadable ranges of a DELTA pass that failed are worth nothing.
 * STALE: the tracker can't tell the changes. Misses are not errors here.
 */
bdr_ret pass_run(const struct pass_spec *spec, struct pass_result *r);
