/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_i.h - what the files of the worker know of each other.
 *
 * run.c is the main loop: beats, claims, ends. job.c is one job: its thread and the thread that holds its lease.
 * listen.c hears events. notes.c remembers jobs over a restart. status.c says how it goes. state.c, enrol.c: who we
 * are. Threads: `lock` guards what is written below it; it is held for copying only.
 */
#pragma once
#include "bdr/http_client.h"
#include "bdr/log.h"
#include "bdr/pool.h"
#include "bdr/worker.h"
#include <pthread.h>

#define WORKER_IDENTITY  "identity.pem" /* certificate and key, one file: they are replaced together */
#define WORKER_CA        "ca.crt"
#define WORKER_ENROLMENT "enrolment.json" /* written last: with it the machine is enrolled */
#define WORKER_STATUS    "status.json"
#define WORKER_MARKER    "deregistered" /* the console said that it may go */
#define WORKER_NOTES     "jobs"

#define WORKER_JOBS_MAX   256u
#define WORKER_ANSWER_MS  20000u
#define WORKER_BACKOFF_MS 1000u
#define WORKER_SLOW_MS    300000u /* revoked: once in five minutes */
#define WORKER_SLEPT_MS   5000u   /* the machine was suspended at least that long */
#define WORKER_GOODBYE_MS 5000u   /* for telling ends when it stops */

/* ---- state.c ---- */
bdr_ret state_save_identity(const char *state, const struct bdr_key *key, const char *certificate);
bdr_ret state_save_enrolment(const char *state, const struct bdr_worker_identity *who);
bdr_ret state_write_json(const char *path, json_t *doc, unsigned mode); /* consumes doc */
bdr_ret state_read_json(const char *path, json_t **out);
/* A new key in the folder and its request. Caller frees. */
bdr_ret state_new_key(const char *name, struct bdr_key **out_key, char **out_csr);

/* ---- the worker ---- */
enum worker_poke { POKE_BEAT = 1, POKE_CLAIM = 2, POKE_END = 4, POKE_STATUS = 8 };
enum worker_link { LINK_STARTING, LINK_UP, LINK_AWAY, LINK_REVOKED, LINK_REFUSED };

/* A client that may be replaced while others still talk by it. */
struct worker_line {
    struct bdr_http_client *client;
    unsigned refs;
};

struct worker;
struct job { /* a slot */
    struct bdr_worker_job pub;
    struct worker *w;
    struct bdr_arena *arena;
    struct bdr_claim_out claim;
    struct bdr_pool *pool; /* two threads: the job, its lease */
    bool used;
    uint64_t begun_ms;
    atomic_bool over;  /* the job's thread has ended */
    atomic_bool lost;  /* the lease is gone: say nothing more of it */
    atomic_bool hurry; /* beat now */
    atomic_int wanted; /* enum bdr_job_wanted */
    atomic_uint_fast64_t lease_end_ms;
    pthread_mutex_t lock; /* guards what follows */
    char step[200];
    char *checkpoint; /* owned; NULL: as before */
    void (*meter)(void *ctx, struct bdr_worker_job *job);
    void *meter_ctx;
};

struct worker {
    const struct bdr_worker_config *cfg;
    struct bdr_worker_identity who;
    struct bdr_cancel stop; /* of the listener and of calls that are under way when it ends */
    uint64_t backoff_ms, slow_ms;
    uint32_t beat_ms, answer_ms;
    char boot[40];
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    unsigned pokes;
    struct worker_line *line;
    struct job *jobs; /* cfg->jobs_max of them */
    enum worker_link link;
    bool registered;
    int64_t link_since_ms, last_beat_ms; /* wall */
    char said[512];                      /* the last error at the console; "" when none */
    /* The main thread's alone. */
    char print[65];  /* of the inventory that would be sent */
    char *inventory; /* owned: its JSON */
    uint64_t next_beat_ms, next_end_ms, next_claim_ms, status_ms;
    unsigned failures, end_failures;
    uint64_t slept_ns; /* CLOCK_BOOTTIME minus CLOCK_MONOTONIC */
    uint64_t cpu_ms, cpu_at_ms;
};

void worker_poke(struct worker *w, unsigned what);
/* *out is to be given back with line_drop(). */
struct worker_line *worker_line_take(struct worker *w);
void worker_line_drop(struct worker *w, struct worker_line *line);
/* Opens a client anew by the files there are now. */
bdr_ret worker_line_renew(struct worker *w);
/* One call at the console: shapes as in bdr_http_json. */
bdr_ret worker_call(struct worker *w, const struct bdr_http_json *call, struct bdr_arena *arena, void *out);
/* Did the console (not somebody in its place) refuse our certificate? */
bool worker_revoked(const struct bdr_err *err);
/* `ms` or a little less or more, so that a thousand machines do not come at once. */
uint64_t worker_jitter(uint64_t ms);
/* Start doubled `n` times, at most `max`, with jitter. */
uint64_t worker_backoff(uint64_t start, unsigned n, uint64_t max);
/* Sleeps in slices until `until` or until `flag` is set. */
void worker_wait(struct worker *w, uint64_t until_ms, const atomic_bool *a, const atomic_bool *b);

/* ---- job.c ---- */
/* Starts the job of a claim; consumes `arena`. `asked_ms`: when the claim was sent; the lease counts from there. */
bdr_ret job_start(struct worker *w, struct bdr_arena *arena, const struct bdr_claim_out *claim, uint64_t asked_ms);
/* Frees the slots of those that are over. Returns how many run still. */
unsigned jobs_reap(struct worker *w);
unsigned jobs_running(struct worker *w);
/* All of them stop; `lost`: and nothing is told of them. */
void jobs_cancel(struct worker *w, bool lost, const char *why);
void job_hurry(struct worker *w, uint64_t id);

/* ---- notes.c: one small file a job, so that a restart can tell what became of it ---- */
bdr_ret note_running(const char *state, const struct bdr_job_work *work);
bdr_ret note_end(const char *state, uint64_t id, const struct bdr_job_end_in *end);
void note_drop(const char *state, uint64_t id);
/* Calls fn for each note whose job does not run. What fn returns stops the walk. */
bdr_ret notes_each(struct worker *w, struct bdr_err *(*fn)(struct worker *w, uint64_t id, struct bdr_job_end_in *end));
/* Disks of the jobs that run: counted from the claim on, whatever a job has opened yet. */
uint32_t jobs_disks(struct worker *w);
bool jobs_has(struct worker *w, uint64_t id);

/* ---- listen.c ---- */
bdr_ret worker_listen(void *ctx, unsigned index);
/* ---- status.c ---- */
void status_write(struct worker *w);
/* ---- renew.c ---- */
bdr_ret worker_renew(struct worker *w);

BDR_AUTO_DEFINE(json_doc, json_t *, json_decref)
