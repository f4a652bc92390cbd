/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - what every machine of ours does at the console: enrol, beat, claim jobs, hold their leases, tell the end.
 *
 * A machine is a state folder: who it is and whom it trusts. bdr_worker_run() is the whole life of a program; what its
 * jobs do is a table of kinds. The network may be away, the console may start anew, the machine may sleep: the rules
 * for all that are here, in docs/wire/machines.md, and nowhere else.
 * Depends on: base, os, wire.      Threads: each call says.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/machine_api.h"
#include <stdatomic.h>

/* ---- who we are ---- */

struct bdr_worker_enrol {
    const char *state;   /* folder; made when it is not there, mode 0700 */
    const char *console; /* https://console.example:10443 */
    const char *ca;      /* SHA-256 print of the console's CA, as bdr_fingerprint_read takes it */
    const char *token;   /* the one-time token */
    int kind;            /* enum bdr_machine_kind */
    const char *name;    /* NULL: the host name */
    const char *os, *version, *identity;
    const char *url; /* gateways */
    bool force;      /* forget an enrolment that is there */
    const struct bdr_cancel *cancel;
};
/*
 * Makes a key, has it signed, keeps it. Nothing is believed but the CA with the given print; all or nothing is kept.
 *
 * Errors:  EXISTS it is enrolled (the text says with whom); AUTH the console is not the one with this print (both are
 *          named), or the token was refused; INVAL arguments; NET, TIMEOUT.
 */
bdr_ret bdr_worker_enrol(const struct bdr_worker_enrol *in);

struct bdr_worker_identity {
    char console[256], machine[65];
    char ca_print[65]; /* hex */
    uint64_t host;
    int kind;
    int64_t expires_ms;
};
/* Who the machine of this state folder is. NOTFOUND: it is not enrolled. */
bdr_ret bdr_worker_identity(const char *state, struct bdr_worker_identity *out);

/* May the program be removed from this machine? */
enum bdr_worker_standing {
    BDR_STANDING_REGISTERED,   /* the console says that its host is registered */
    BDR_STANDING_DEREGISTERED, /* the console says it is not, or does not know the machine any more */
    BDR_STANDING_MARKED,       /* the console can't be reached; it said so before */
    BDR_STANDING_UNKNOWN,      /* it can't be reached, and never said so */
    BDR_STANDING_NONE,         /* never enrolled */
};
/* *why: words for people, in buf[n]. */
bdr_ret bdr_worker_standing(const char *state, const char *version, enum bdr_worker_standing *out, char *why, size_t n);

/* ---- jobs ---- */

/* A job that runs. Members are the kind's to use; the rest is behind them. */
struct bdr_worker_job {
    const struct bdr_job_work *work;    /* with its secrets; lives as long as the job */
    struct bdr_cancel cancel;           /* stop soon: write nothing more */
    atomic_uint_fast64_t bandwidth_bps; /* 0: unlimited; changes while it runs */
    atomic_uint_fast64_t done_bytes, total_bytes, stored_bytes;
    atomic_uint pass;
    atomic_uint disks; /* being copied; for the machine's load */
};
/* What it does now, for people: "reading vda". Any thread. */
void bdr_worker_job_step(struct bdr_worker_job *job, const char *fmt, ...) BDR_PRINTF(2, 3);
/* Where another worker could go on; told with the next beat. Any thread. */
void bdr_worker_job_checkpoint(struct bdr_worker_job *job, const char *text);
/* Beats now rather than when it is due: somebody waits for what was just told. Any thread. */
void bdr_worker_job_hurry(struct bdr_worker_job *job);
/*
 * `fn(ctx, job)` is called before each beat to fill in the figures above, on another thread, until it is set to NULL;
 * once that returned it is not running any more.
 */
void bdr_worker_job_meter(struct bdr_worker_job *job, void (*fn)(void *ctx, struct bdr_worker_job *job), void *ctx);

struct bdr_worker_kind {
    const char *name; /* "sync"; NULL ends the table */
    /*
     * Does the job on a thread of its own. *out_result (NULL: none) is what the console gets, on failure too.
     * CANCELLED after the token was set is a stop; a retryable code asks for another try; FENCED: somebody else has it.
     */
    struct bdr_err *(*run)(void *ctx, struct bdr_worker_job *job, json_t **out_result);
};

struct bdr_worker_settings { /* of the last beat's answer */
    uint32_t http_timeout_s, disks_max;
};

/* ---- the life of a program ---- */

struct bdr_worker_config {
    const char *state;
    const char *version, *os;
    unsigned jobs_max;                   /* at once */
    const struct bdr_worker_kind *kinds; /* ends with a NULL name */
    void *ctx;                           /* of all callbacks; NULL ones are left out */
    /* The inventory as JSON (owned by the caller of it), called often: what it costs is paid each beat. */
    struct bdr_err *(*inventory)(void *ctx, char **out_json);
    void (*settings)(void *ctx, const struct bdr_worker_settings *s);
    /* An event of the console's that is not the worker's own business alone: settings, revoked. */
    void (*event)(void *ctx, const char *event, const char *data);
    void (*renewed)(void *ctx);        /* identity.pem holds another certificate and key */
    uint32_t (*disks_max)(void *ctx);  /* of all jobs at once; none is claimed beyond; NULL: no bound */
    void (*alive)(void *ctx);          /* some times a second: a watchdog's food */
    const struct bdr_cancel *cancel;   /* stop: jobs end as `stopped` */
    atomic_bool *drain;                /* NULL, or: while true no job is claimed */
    bool drain_ends;                   /* drained and nothing runs any more: that is the end */
    /* Tests: 0 takes what is right. */
    uint32_t beat_ms, backoff_ms, slow_ms, answer_ms;
};
/*
 * Beats, claims and works until `cancel` is set. Being unreachable, refused or revoked is no end: it is told (log,
 * status file) and tried again.
 *
 * Errors:  NOTFOUND not enrolled; what reading the state folder says.
 */
bdr_ret bdr_worker_run(const struct bdr_worker_config *config);

/* The client of this machine's state folder, for other conversations with its certificate. Caller frees. */
struct bdr_http_client;
bdr_ret bdr_worker_client(const char *state, const char *base, uint32_t answer_ms, struct bdr_http_client **out);
/* Paths in the state folder, into buf[512]: identity.pem (certificate and key), ca.crt. */
const char *bdr_worker_path(const char *state, const char *name, char buf[512]);
