/* SPDX-License-Identifier: Apache-2.0 */
/*
 * states.h - the life of a job as a table (schema/jobs.def), and the sums about it. Pure.
 *
 * Threads: any.
 */
#pragma once
#include "bdr/err.h"

enum bdr_job_state {
#define S(name, text, held, ends, title) BDR_JOB_##name,
#include "jobs.def"
#undef S
    BDR_JOB_STATES
};
enum bdr_job_event {
#define V(name, text, who, title) BDR_JOB_ON_##name,
#include "jobs.def"
#undef V
    BDR_JOB_EVENTS
};
enum bdr_job_who { BDR_JOB_BY_WORKER, BDR_JOB_BY_PERSON, BDR_JOB_BY_CONSOLE };

const char *bdr_job_state_name(enum bdr_job_state state); /* "running": as in the database and the API */
const char *bdr_job_event_name(enum bdr_job_event event);
/* False: no state is called that. */
bool bdr_job_state_of(const char *name, enum bdr_job_state *out);
bool bdr_job_held(enum bdr_job_state state); /* a worker has the lease */
bool bdr_job_ends(enum bdr_job_state state);
enum bdr_job_who bdr_job_event_who(enum bdr_job_event event);
/* CONFLICT when a job in state `was` cannot take `event`. */
bdr_ret bdr_job_next(enum bdr_job_state was, enum bdr_job_event event, enum bdr_job_state *out);

/* Pause before try number `tries` + 1: 30 s, doubling up to 30 min, more or less by a fifth (`shake` 0..255). */
int64_t bdr_job_backoff_ms(int64_t tries, unsigned shake);
/* Milliseconds until done at this rate; -1: nobody can say. */
int64_t bdr_job_eta_ms(int64_t done_bytes, int64_t total_bytes, int64_t rate_bps);
