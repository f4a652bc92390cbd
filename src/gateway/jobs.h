/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.h - what a gateway does for the console beside taking blocks: prune, verify, recover.
 *
 * Whoever has claimed the job calls these; they block until it is done. *out_result is what the console gets, set on
 * some failures too. Depends on: gateway.h.      Threads: any number of jobs at once.
 * Source:  docs/gateway.md#jobs
 */
#pragma once
#include "gateway.h"
#include <stdatomic.h>

struct bdr_job_work; /* machine_api.h */

struct gw_job {
    const struct bdr_job_work *work; /* borrowed */
    const struct bdr_cancel *cancel;
    atomic_uint_fast64_t done_bytes, total_bytes;
    const char *recover_below; /* recoveries to files stay below this folder; NULL: anywhere */
    void (*step)(void *ctx, const char *what); /* NULL: nobody wants to know */
    void (*told)(void *ctx, const char *json); /* share: {"port":N} or {"path":".."}, once it is served; NULL */
    void (*sample)(void *ctx, struct gw_job *job, bool begin); /* a long call begins, has ended; NULL */
    void *ctx;
    struct bdr_gc_meter *gc;               /* of the call that runs; NULL: none. Before done and total are read: */
    struct bdr_recover_progress *recover;
};
/* Brings done_bytes and total_bytes up to date. Any thread, between sample's begin and end. */
void gw_job_look(struct gw_job *job);

/* Removes points by params.remove (references), params.rules (retention of hosts) or the work's own retention; none of
 * params.keep. Then frees what nothing refers to. CONFLICT, INVAL params; those of bdr_prune. */
bdr_ret gw_job_prune(struct gw *gw, struct gw_job *job, json_t **out_result);
/* params.points, or params.sample_pct of all blocks, or everything. CORRUPT: there is damage, the result lists it. */
bdr_ret gw_job_verify(struct gw *gw, struct gw_job *job, json_t **out_result);
/* A disk of params.point to params.path; goes on where an earlier try stopped. EXISTS without params.overwrite. */
bdr_ret gw_job_recover(struct gw *gw, struct gw_job *job, json_t **out_result);

/*
 * Serves a disk of params.point over NBD (params.target "nbd": TLS by params.psk, "user:hex key"), or the point as files
 * (params.target "mount"), read-only, until params.until (wall ms) or a cancel. The point stays meanwhile: prune by rules keeps
 * it, by name is refused. BUSY: GW_SHARES_MAX are served; STALE: its time is over.
 */
#define GW_SHARES_MAX 8u
bdr_ret gw_job_share(struct gw *gw, struct gw_job *job, json_t **out_result);
/* Is the point served now? */
bool gw_shared(struct gw *gw, const char *point);
/* Takes away what a gateway that was killed left: mounts, keys. At the start, before jobs. */
void gw_shares_clean(const char *state_dir);

struct bdr_keep;
/* "last=3 daily=7 within=30d" in any order. INVAL. */
bdr_ret gw_retention_read(const char *text, struct bdr_keep *out);
