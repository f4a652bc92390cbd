/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - what the handlers for machines share (docs/wire/machines.md). Each concerns the machine that asks alone.
 *
 * Threads: as req.h says.
 */
#pragma once
#include "api/api.h"
#include "jobs/jobs.h"

BDR_UNUSED static inline int64_t machine_id(const struct bdr_req *req)
{
    return api_who(req)->machine.id;
}
/* `row` (may be NULL) lives until the request ends. */
bdr_ret machine_keep(struct bdr_req *req, void *row);
/* NULL for "": left out of an answer. */
BDR_UNUSED static inline const char *machine_text(const char *text)
{
    return text && *text ? text : NULL;
}
/* Numbers of the wire fit: shapes keep them below 2^53. */
BDR_UNUSED static inline struct bdr_job_lease machine_lease(const struct bdr_req *req, uint64_t job, uint64_t fence)
{
    return (struct bdr_job_lease){(int64_t)job, machine_id(req), (int64_t)fence};
}
/* The job, when this machine holds it under that fence. FENCED otherwise, also when there is no such job. */
bdr_ret machine_holds(struct bdr_tx *tx, struct bdr_req *req, uint64_t job, uint64_t fence, struct bdr_row_job **out);
/* What the host's policy allows now, bytes a second; 0: any, 1: nothing may pass. */
bdr_ret machine_bandwidth(struct bdr_tx *tx, int64_t host_id, int64_t now_ms, uint64_t *out_bps);

/* All disks of a host as its agent or a scan saw them; borrowed. */
struct machine_disks {
    int64_t host_id, now_ms;
    const struct bdr_inv_disk *disks;
    size_t n;
};
/* Keeps them; rows of the feed say which were added, removed or resized since (kinds disk.*). */
bdr_ret machine_disks_seen(struct bdr_tx *tx, const struct machine_disks *m);

/*
 * What a kind of job does with its worker's result, in the transaction that ends it; machine_end.c lists them.
 *
 * `result` may be NULL. Errors: INVAL and the worker is told, nothing is changed.
 */
struct machine_end {
    const char *kind;
    struct bdr_err *(*run)(struct bdr_tx *tx, const struct bdr_row_job *job, const struct bdr_job_end_in *in,
                           int64_t now_ms);
};
extern const struct machine_end machine_ends[]; /* kind NULL ends */
bdr_ret machine_end_sync(struct bdr_tx *tx, const struct bdr_row_job *job, const struct bdr_job_end_in *in,
                         int64_t now_ms);
bdr_ret machine_end_scan(struct bdr_tx *tx, const struct bdr_row_job *job, const struct bdr_job_end_in *in,
                         int64_t now_ms);
