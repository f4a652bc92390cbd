/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console_double.h - a console for tests: the routes of docs/wire/machines.md and nothing behind them, but strict.
 *
 * Tokens work once. A job has one holder: fences grow, leases end, beats and ends of another holder are answered 412. A
 * revoked machine gets 401. It can be stopped and started again at the same port, and it notes what it was told.
 */
#pragma once
#include "bdr/http_server.h"
#include "bdr/machine_api.h"
#include "bdr/route.h"
#include <pthread.h>

#define DOUBLE_MACHINES 16
#define DOUBLE_JOBS     64

struct double_machine {
    char id[33], role[16], name[64], serial[BDR_SERIAL_CHARS], print[65], boot[65];
    bool revoked, deregistered, want_inventory;
    unsigned beats, inventories, renewals;
    uint32_t jobs, disks;
    uint64_t host;
    char *inventory; /* owned: the last one, as JSON */
};
enum double_state { DOUBLE_READY, DOUBLE_RUNNING, DOUBLE_FINISHED, DOUBLE_FAILED, DOUBLE_STOPPED };
struct double_job {
    uint64_t id, fence;
    enum double_state state;
    char *work; /* owned: JSON of a JobWork without id, fence, lease */
    char for_machine[33];
    char holder[33];
    uint64_t lease_end_ms;
    uint32_t lease_s;
    int wanted;
    uint64_t bandwidth_bps;
    char checkpoint[512], step[256], error_code[40], error_text[2049];
    char *result; /* owned: JSON */
    uint64_t done_bytes, total_bytes, stored_bytes;
    unsigned claims, beats, ends, stale; /* stale: beats and ends refused with 412 */
    int last_how;
    bool again; /* an end of `retry` makes it ready again */
};
struct console_double {
    char folder[64], url[64], ca_print[65];
    struct bdr_ca *ca;
    struct bdr_router *router;
    struct bdr_http_server *server;
    uint16_t port;
    pthread_mutex_t lock; /* guards what follows */
    char tokens[8][64];
    struct double_machine machines[DOUBLE_MACHINES];
    size_t n_machines;
    struct double_job jobs[DOUBLE_JOBS];
    size_t n_jobs;
    uint64_t fences; /* given out; they grow over all jobs */
    uint32_t beat_s, lease_s, disks_max, http_timeout_s;
    uint64_t cert_ms;                          /* life of the certificates it gives */
    unsigned fail_ends, fail_beats, lose_ends; /* so many are answered 503; are done and then answered 503 */
    struct bdr_events *ears[DOUBLE_MACHINES];
    char *hosts; /* owned: the last part of a scan, as JSON */
    unsigned host_parts, hosts_seen;
    bool hosts_complete;
};

struct console_double *double_new(void);
void double_serve(struct console_double *d); /* at the port it had */
void double_stop(struct console_double *d);
void double_free(struct console_double *d);
void double_token(struct console_double *d, const char *token);
/* Returns the job's number. `work`: JSON with kind, store, disks...; machine NULL: whoever asks. */
uint64_t double_job(struct console_double *d, const char *machine, const char *work);
void double_revoke(struct console_double *d, const char *machine);
/* An event to all who listen. */
void double_event(struct console_double *d, const char *event, const char *data);
/* A copy of how it stands; texts stay the double's. */
struct double_job double_job_of(struct console_double *d, uint64_t id);
struct double_machine double_machine_of(struct console_double *d, size_t i);
/* Until `ready(d, ctx)` (called with the lock held) or `ms` have passed; false then. */
bool double_wait(struct console_double *d, bool (*ready)(struct console_double *d, void *ctx), void *ctx, uint64_t ms);
bool double_wait_job(struct console_double *d, uint64_t id, enum double_state state, uint64_t ms);
