/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds.h - one disk through the passes of one point: which base, full or changed, what is to be believed. Private to
 * the mover.
 *
 * Lifecycle: open -> first -> again* -> close.
 */
#pragma once
#include "bdr/point.h"
#include "pass.h"

struct rounds_disk {
    struct pass_spec spec;
    struct pass_result r; /* of the last pass */
    bool has_base;
    struct bdr_point_disk base; /* of the host's last point; borrows from its manifest */
    bool full;                  /* some pass read all of it */
    uint64_t audited, misses;   /* of all passes */
    struct scan *scan;          /* owned; NULL: none */
};

/* base: the manifest of the last point, or NULL; must outlive the disk. */
bdr_ret rounds_open(const struct bdr_backup_options *opt, struct bdr_sink *sink, struct bdr_backup_meter *meter,
                    struct bdr_source *src, const json_t *base, struct rounds_disk *out);
void rounds_close(struct rounds_disk *d);
/* Against the last point. `reason` gets why all of it was read, in words, unless it says something already. */
bdr_ret rounds_first(struct rounds_disk *d, const struct bdr_backup_options *opt, char *reason, size_t reason_n);
/* What changed since the pass before; all of it when that is not known. `last`: after the moment. */
bdr_ret rounds_again(struct rounds_disk *d, bool last, char *reason, size_t reason_n);
