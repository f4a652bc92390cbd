/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.h - what works on two points or two repositories: copy, diff, repair.
 *
 * Depends on: base, repo, source.      Threads: one call at a time per session.
 */
#pragma once
#include "bdr/backup.h"

/*
 * A disk of a point as a source: so that copying to another repository is a backup like any other. Allocation comes
 * from the point's map. With `base_point` (id, of the same repository; NULL: none) the changes against that point's
 * disk `base_index` are known, too. The repository and the strings must outlive the source.
 * Errors: as bdr_disk_open; the source's reads fail with CORRUPT on damage.
 */
bdr_ret bdr_source_point_open(struct bdr_repo *repo, const char *point, uint32_t index, const char *base_point,
                              uint32_t base_index, struct bdr_source **out);

struct bdr_copy_options {
    const char *compress; /* NULL: the target's */
    struct bdr_backup_meter *meter;
    const struct bdr_cancel *cancel;
};
struct bdr_copy_result {
    char point_id[33]; /* in the target */
    bool there;        /* the target had a copy of this very point already: nothing was done */
    uint64_t read_bytes, new_bytes, stored_bytes;
    double seconds;
};
/* Copies one point; only blocks that the target lacks are stored there, and when the target has a copy of an earlier
 * point of the host only what differs is read. The copy keeps time, host, tags, and names its origin. */
bdr_ret bdr_copy_point(struct bdr_repo *from, const char *point, struct bdr_repo *to, const struct bdr_copy_options *opt,
                       struct bdr_copy_result *out);

/* Walks the extents that differ between two disks of one repository, merged, in order; reads only maps. A shorter
 * disk counts as zeros behind its end. */
bdr_ret bdr_diff(struct bdr_repo *repo, const char *point_a, uint32_t disk_a, const char *point_b, uint32_t disk_b,
                 bdr_extent_fn fn, void *ctx);

struct bdr_repair_options {
    struct bdr_source *const *sources; /* disks that may still hold the lost blocks; NULL-terminated, or NULL */
    struct bdr_repo *other;            /* a repository with a copy of the points; or NULL */
    const struct bdr_cancel *cancel;
};
struct bdr_repair_result {
    uint64_t damaged_blocks, healed_blocks, healed_bytes, packs_rewritten;
    uint64_t places_left; /* damaged places of points that remain */
};
/*
 * Finds damage (as verify does), looks for each lost block in the other repository's points and in the sources at the
 * place where it was, accepts only bytes whose id is right, and stores them again.
 */
bdr_ret bdr_repair(struct bdr_repo *repo, const struct bdr_repair_options *opt, struct bdr_repair_result *out);
