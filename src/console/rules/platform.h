/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform.h - what a platform and a Ceph cluster must look like (schema/platforms.def), and their deletion.
 *
 * Threads: any, as db.h says.
 */
#pragma once
#include "db/statements.h"

/* The row of a field: rows of one kind are the form, in order. */
struct bdr_platform_field {
    const char *kind, *column;
    enum { BDR_FIELD_MUST, BDR_FIELD_MAY, BDR_FIELD_SECRET } need;
    const char *by_default, *example;
};
extern const struct bdr_platform_field bdr_platform_fields[];
extern const size_t bdr_platform_field_count;

/*
 * Fills empty fields with their defaults (and the name, from kind, place and time) and checks the rest.
 *
 * Shape:   texts of *p are borrowed and may point to constants afterwards; `name` holds the made-up name.
 * Errors:  INVAL naming the field.
 */
bdr_ret bdr_platform_fill(struct bdr_in_platform_add *p, char name[96]);
/* The same for a Ceph cluster: defaults cinder, volumes, rbd_diff, ceph, DEFAULT_VOLUME_TYPE. */
bdr_ret bdr_ceph_fill(struct bdr_in_ceph_add *c);
/* Within LOCK. CONFLICT while it is bound, has registered hosts, unfinished jobs, or hosts with points. */
bdr_ret bdr_platform_remove(struct bdr_tx *tx, int64_t platform_id);
