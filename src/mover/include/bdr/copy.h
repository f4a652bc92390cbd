/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.h - recovery points as a source: copying them to another repository, healing damage from it.
 *
 * Depends on: base, repo, source.      Threads: one call at a time per repository handle.
 */
#pragma once
#include "bdr/backup.h"
#include "bdr/heal.h"

/*
 * A disk of a point as a source, so that copying to another repository is a backup like any other. Allocation comes
 * from the point's map. With `base_point` (id, of the same repository; NULL: none) the changes against that point's
 * disk `base_index` are known, too. The repository must outlive the source.
 * Errors: as bdr_disk_open; reads fail with CORRUPT on damage and when the store can't read, never with IO: a copy
 * must not have gaps that the original has not.
 */
bdr_ret bdr_source_point_open(struct bdr_repo *repo, const char *point, uint32_t index, const char *base_point,
                              uint32_t base_index, const struct bdr_cancel *cancel, struct bdr_source **out);

struct bdr_copy_options {
    const char *compress; /* NULL: the target's */
    bool take_over;       /* as in struct bdr_backup_options */
    unsigned workers;     /* 0: by the CPUs */
    struct bdr_backup_meter *meter; /* or NULL; begins anew with each point */
    const struct bdr_cancel *cancel;
};
struct bdr_copy_result {
    char point_id[33]; /* in the target */
    bool there;        /* the target had a copy of this very point already: nothing was done */
    bool full;         /* all of it was read, because the target had no point to build on */
    uint64_t size_bytes, read_bytes, new_bytes, stored_bytes;
    double seconds;
};
/*
 * Copies one point (id). Only blocks that the target lacks are stored there; when it has a copy of another point of the
 * host, only what differs from that one is read. The copy keeps time, host, tags and names, and says its origin.
 * Errors: CORRUPT the source repository is damaged, names the place; INVAL both are one repository, or the host's name
 * belongs to another machine there; as bdr_backup_run.
 */
bdr_ret bdr_copy_point(struct bdr_repo *from, const char *point, struct bdr_repo *to, const struct bdr_copy_options *opt,
                       struct bdr_copy_result *out);

struct bdr_repair_options {
    struct bdr_source *const *sources; /* disks that may still hold the lost blocks where they were; borrowed */
    size_t n_sources;
    struct bdr_repo *other; /* a repository with copies of the points; or NULL; borrowed */
    bool dry_run, delete_damaged;
    unsigned workers;
    struct bdr_gc_meter *meter; /* or NULL */
    const struct bdr_cancel *cancel;
};
/*
 * bdr_heal with bytes from disks and from another repository: there from points with the same origin, else of the same
 * host and time. A disk is asked at the offset where the block was; the one with the same identity first.
 * Free `out` with bdr_heal_free.
 */
bdr_ret bdr_repair(struct bdr_repo *repo, const struct bdr_repair_options *opt, struct bdr_heal_result *out);
