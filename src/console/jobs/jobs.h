/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.h - jobs in the database: added, claimed with a lease, kept alive, moved on, taken over.
 *
 * A worker claims, then beats before its lease ends, and says at the end what came of it. Each lease has a fencing
 * number larger than any before it for that host; who speaks with an older one is FENCED and has to stop at once. A
 * lease that ends unheard gives the job to the next able worker, at the checkpoint. Threads: any, as db.h says.
 */
#pragma once
#include "db/statements.h"
#include "jobs/states.h"

#define BDR_JOB_LEASE_MS   90000 /* three beats of 30 s: one lost and one late are survived */
#define BDR_JOB_ALIVE_MS   90000 /* a machine that was heard of within this counts as able */
#define BDR_JOB_PATIENT_MS 15000 /* how long a job waits for the proxy with the least to do */

/*
 * The next job for this worker, or *out NULL.
 *
 * Able is: the machine the job names; else a proxy bound to its platform with disks to spare. Of several proxies the
 * one with the smallest share of its disks in use goes first. lease_ms 0: BDR_JOB_LEASE_MS. Errors:  DENIED the machine
 * is revoked; NOTFOUND there is none.
 */
bdr_ret bdr_job_claim(struct bdr_db *db, int64_t worker_id, int64_t now_ms, int64_t lease_ms, struct bdr_row_job **out);
/* The same of `kinds` alone: words with single blanks between; "": any. */
bdr_ret bdr_job_claim_kinds(struct bdr_db *db, int64_t worker_id, const char *kinds, int64_t now_ms, int64_t lease_ms,
                            struct bdr_row_job **out);

/* A lease, as its holder knows it. */
struct bdr_job_lease {
    int64_t job_id, worker_id, fence;
};
struct bdr_job_progress {
    int64_t pass, done_bytes, total_bytes, stored_bytes;
};
/*
 * "I am at it": progress, and the lease is longer again.
 *
 * Shape:   *out_state tells what is wanted: RUNNING go on, PAUSING or CANCELLING stop and say STOPPED.
 * Errors:  FENCED the lease is somebody else's, or the job has ended: stop at once, write nothing more.
 */
bdr_ret bdr_job_beat(struct bdr_db *db, const struct bdr_job_lease *lease, const struct bdr_job_progress *progress,
                     int64_t now_ms, int64_t lease_ms, enum bdr_job_state *out_state);
/* Where the next worker would continue. Durable when it returns. Errors: FENCED. */
bdr_ret bdr_job_checkpoint(struct bdr_db *db, const struct bdr_job_lease *lease, const char *checkpoint);

/* What came of it; all borrowed, NULL is "". */
struct bdr_job_outcome {
    const char *error_code, *error_text, *result;
};
/* FINISH, FAIL, RETRY or STOPPED. RETRY on the last try is FAIL. Errors: FENCED, CONFLICT. */
bdr_ret bdr_job_worker_says(struct bdr_db *db, const struct bdr_job_lease *lease, enum bdr_job_event event,
                            const struct bdr_job_outcome *outcome, int64_t now_ms, enum bdr_job_state *out);
/* The three above within the caller's transaction (LOCK), for what else belongs to the same change. */
bdr_ret bdr_job_beat_in(struct bdr_tx *tx, const struct bdr_job_lease *lease, const struct bdr_job_progress *progress,
                        int64_t now_ms, int64_t lease_ms, enum bdr_job_state *out_state);
bdr_ret bdr_job_checkpoint_in(struct bdr_tx *tx, const struct bdr_job_lease *lease, const char *checkpoint);
bdr_ret bdr_job_worker_says_in(struct bdr_tx *tx, const struct bdr_job_lease *lease, enum bdr_job_event event,
                               const struct bdr_job_outcome *outcome, int64_t now_ms, enum bdr_job_state *out);
/*
 * How that lease ended, when its holder said so: the same words may come twice, because an answer was lost.
 *
 * Shape:   *out the state that the job went to then. Errors: FENCED it ended otherwise, or did not end.
 */
bdr_ret bdr_job_said(struct bdr_tx *tx, const struct bdr_job_lease *lease, enum bdr_job_event event,
                     enum bdr_job_state *out);
/* PAUSE, RESUME, CANCEL or AGAIN, within the caller's transaction (LOCK), where the audit row belongs too. */
bdr_ret bdr_job_person_says(struct bdr_tx *tx, int64_t job_id, enum bdr_job_event event, const char *account,
                            int64_t now_ms, enum bdr_job_state *out);
/* Takes leases that ended from their workers, at most `limit`; *out_n tells how many. Any console may call it any time.
 */
bdr_ret bdr_job_expire(struct bdr_db *db, int64_t now_ms, int64_t limit, size_t *out_n);
