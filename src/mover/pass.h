/* SPDX-License-Identifier: Apache-2.0 */
/* pass.h - one pass over one disk: extents -> read -> hash -> store -> map. Private to the mover. */
#pragma once
#include "bdr/backup.h"
#include "bdr/map.h"
#include "bdr/session.h"

#define PASS_RANGES_MAX 4096

struct pass_range {
    uint64_t off, len;
};
struct pass_spec {
    struct bdr_session *session;
    struct bdr_source *src;
    struct bdr_source_info info;
    const struct bdr_id *base; /* root of the base map, or NULL */
    enum bdr_map_mode mode;    /* DELTA: changed extents against base */
    double audit_pct;
    unsigned workers;
    struct bdr_backup_meter *meter; /* never NULL */
    const struct bdr_cancel *cancel;
};
struct pass_result {
    struct bdr_id root;
    bool zero;
    struct pass_range *bad; /* owned; unreadable ranges, sorted, at most PASS_RANGES_MAX */
    size_t bad_n;
    uint64_t bad_bytes, bad_count;
    uint64_t audited, misses;
};
/* STALE: the tracker can't tell the changes. Misses are not errors here. */
bdr_ret pass_run(const struct pass_spec *spec, struct pass_result *out);
