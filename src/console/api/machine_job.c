/* SPDX-License-Identifier: Apache-2.0 */
/* machine_job.c - a worker about the job it holds: progress, and what came of it. */
#include "api/machine.h"
#include <stdio.h>
#include <string.h>

#define RESULT_MAX 65536u /* bytes of a result, as JSON */

static struct bdr_err *fenced(uint64_t job, uint64_t fence)
{
    BDR_FAIL(BDR_FENCED, 0, "lease %llu of job %llu is over: another worker has it, or the job has ended",
             (unsigned long long)fence, (unsigned long long)job);
}

struct bdr_err *machine_holds(struct bdr_tx *tx, struct bdr_req *req, uint64_t job, uint64_t fence,
                              struct bdr_row_job **out)
{
    struct bdr_row_job *row = NULL;
    enum bdr_job_state state = BDR_JOB_READY;

    BDR_TRY(bdr_q_job_lock(tx, (int64_t)job, &row));
    BDR_TRY(machine_keep(req, row));
    if (!row || !bdr_job_state_of(row->state, &state) || !bdr_job_held(state) || !row->worker_id.set ||
        row->worker_id.v != machine_id(req) || row->fence != (int64_t)fence)
        return fenced(job, fence);
    *out = row;
    return NULL;
}

static void tell_job(struct bdr_req *req, const char *kind, uint64_t job, const char *state)
{
    char event[128];

    snprintf(event, sizeof(event), "{\"id\":%llu,\"what\":\"changed\",\"state\":\"%s\"}", (unsigned long long)job,
             state);
    bdr_hub_tell(api_console(req)->hub, kind, event);
}

/* ---- beat ---- */

struct beat {
    struct bdr_req *req;
    const struct bdr_job_beat_in *in;
    uint64_t job;
    int64_t now_ms;
    enum bdr_job_state state;
    uint64_t bandwidth_bps;
};

static struct bdr_err *beat_do(struct bdr_tx *tx, void *ctx)
{
    struct beat *b = ctx;
    const struct bdr_job_beat_in *in = b->in;
    const struct bdr_job_lease lease = machine_lease(b->req, b->job, in->fence);
    const struct bdr_job_progress progress = {in->pass, (int64_t)in->done_bytes, (int64_t)in->total_bytes,
                                              (int64_t)in->stored_bytes};
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    int64_t changed;

    BDR_TRY(bdr_job_beat_in(tx, &lease, &progress, b->now_ms, 0, &b->state));
    if (in->checkpoint)
        BDR_TRY(bdr_job_checkpoint_in(tx, &lease, in->checkpoint));
    if (in->step)
        BDR_TRY(bdr_q_job_step(tx, &(struct bdr_in_job_step){lease.job_id, lease.worker_id, lease.fence, in->step},
                               &changed));
    BDR_TRY(bdr_q_job_get(tx, lease.job_id, &job));
    b->bandwidth_bps = 0;
    return job && job->host_id.set ? machine_bandwidth(tx, job->host_id.v, b->now_ms, &b->bandwidth_bps) : NULL;
}

static struct bdr_err *job_beat(struct bdr_req *req, const void *body, void *answer)
{
    struct beat b = {.req = req, .in = body, .job = bdr_req_param_u64(req, "id"), .now_ms = api_now()};
    struct bdr_job_beat_out *out = answer;

    /* where the next worker goes on must outlive a power cut; progress may be told again */
    BDR_TRY(api_run(req, b.in->checkpoint ? BDR_TX_LOCK : BDR_TX_BEAT, beat_do, &b));
    *out = (struct bdr_job_beat_out){
        .wanted = b.state == BDR_JOB_PAUSING      ? BDR_JOB_PAUSE
                  : b.state == BDR_JOB_CANCELLING ? BDR_JOB_CANCEL
                                                  : BDR_JOB_GO_ON,
        .lease_s = BDR_JOB_LEASE_MS / 1000,
        .bandwidth_bps = b.bandwidth_bps,
    };
    tell_job(req, "progress", b.job, bdr_job_state_name(b.state));
    return NULL;
}

/* ---- end ---- */

struct end {
    struct bdr_req *req;
    const struct bdr_job_end_in *in;
    uint64_t job;
    const char *result; /* JSON, "" */
    int64_t now_ms;
    enum bdr_job_state state;
    bool again; /* it had been told before */
    int64_t host_id, gateway_id; /* 0: none */
};

static enum bdr_job_event event_of(int how)
{
    static const enum bdr_job_event events[] = {[BDR_HOW_FINISH] = BDR_JOB_ON_FINISH,
                                                [BDR_HOW_FAIL] = BDR_JOB_ON_FAIL,
                                                [BDR_HOW_RETRY] = BDR_JOB_ON_RETRY,
                                                [BDR_HOW_STOPPED] = BDR_JOB_ON_STOPPED};

    return events[how];
}

/* The gateway that lets this job's worker write, 0 when there is none. */
static struct bdr_err *end_gateway(struct bdr_tx *tx, const struct bdr_row_job *job, int64_t *out)
{
    BDR_AUTO(mem) struct bdr_row_repository *repository = NULL;
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    struct bdr_opt_i64 where = job->repository_id;

    *out = 0;
    if (!job->writes || !job->host_id.set)
        return NULL;
    BDR_TRY(bdr_q_host_get(tx, job->host_id.v, &host));
    if (!where.set && host)
        where = host->repository_id;
    if (where.set)
        BDR_TRY(bdr_q_repository_get(tx, where.v, &repository));
    if (repository && repository->gateway_id.set)
        *out = repository->gateway_id.v;
    return NULL;
}

static struct bdr_err *end_kind(struct bdr_tx *tx, const struct end *e, const struct bdr_row_job *job)
{
    for (const struct machine_end *k = machine_ends; k->kind; k++)
        if (!strcmp(k->kind, job->kind))
            return k->run(tx, job, e->in, e->now_ms);
    return NULL;
}

static struct bdr_err *end_do(struct bdr_tx *tx, void *ctx)
{
    struct end *e = ctx;
    const struct bdr_job_end_in *in = e->in;
    const struct bdr_job_lease lease = machine_lease(e->req, e->job, in->fence);
    struct bdr_job_progress progress = {0, (int64_t)in->done_bytes, (int64_t)in->total_bytes,
                                        (int64_t)in->stored_bytes};
    struct bdr_row_job *job = NULL;
    enum bdr_job_state held;
    struct bdr_err *err = machine_holds(tx, e->req, e->job, in->fence, &job);

    e->again = err && err->code == BDR_FENCED;
    if (e->again) {
        bdr_err_drop(err, "it may have been told before");
        return bdr_job_said(tx, &lease, event_of(in->how), &e->state);
    }
    BDR_TRY(err);
    e->host_id = job->host_id.set ? job->host_id.v : 0;
    BDR_TRY(end_gateway(tx, job, &e->gateway_id));
    if (!progress.done_bytes && !progress.total_bytes && !progress.stored_bytes)
        progress = (struct bdr_job_progress){job->pass, job->done_bytes, job->total_bytes, job->stored_bytes};
    progress.pass = job->pass;
    BDR_TRY(bdr_job_beat_in(tx, &lease, &progress, e->now_ms, 0, &held));
    BDR_TRY(end_kind(tx, e, job));
    return bdr_job_worker_says_in(
        tx, &lease, event_of(in->how),
        &(struct bdr_job_outcome){.error_code = in->error_code, .error_text = in->error_text, .result = e->result},
        e->now_ms, &e->state);
}

static struct bdr_err *result_text(struct bdr_req *req, const json_t *result, const char **out)
{
    BDR_AUTO(mem) char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;

    *out = "";
    if (!result)
        return NULL;
    BDR_NOMEM_IF_NULL(text);
    if (strlen(text) > RESULT_MAX) {
        bdr_req_fault(req, "/result", BDR_RANGE, "is longer than %u bytes", RESULT_MAX);
        BDR_REFUSE(req, BDR_INVAL, "The result of the job is too long.");
    }
    *out = bdr_arena_text(bdr_req_arena(req), text, strlen(text));
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static struct bdr_err *job_end(struct bdr_req *req, const void *body, void *answer)
{
    struct end e = {.req = req, .in = body, .job = bdr_req_param_u64(req, "id"), .now_ms = api_now()};
    struct bdr_job_end_out *out = answer;
    char event[96];

    BDR_TRY(result_text(req, e.in->result, &e.result));
    BDR_TRY(api_run(req, BDR_TX_LOCK, end_do, &e));
    out->state = bdr_job_state_name(e.state);
    if (e.again)
        return NULL;
    tell_job(req, "job", e.job, out->state);
    if (e.gateway_id) { /* its session ends now, not when the gateway asks again */
        snprintf(event, sizeof(event), "{\"host\":%lld,\"fence\":%llu}", (long long)e.host_id,
                 (unsigned long long)e.in->fence);
        bdr_hub_tell_machine(api_console(req)->hub, e.gateway_id, "ended", event);
    }
    if (e.host_id) {
        snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"changed\"}", (long long)e.host_id);
        bdr_hub_tell(api_console(req)->hub, "host", event);
    }
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_POST,
     .path = "/v1/machine/jobs/{id:u64}/beat",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .in = &bdr_job_beat_in_shape,
     .out = &bdr_job_beat_out_shape,
     .body_max_bytes = 512u << 10, /* a checkpoint of 64 Ki characters, escaped */
     .run = job_beat,
     .help = "I am at it; the lease is longer again.",
     .help_zh = "任务进度"},
    {.method = BDR_POST,
     .path = "/v1/machine/jobs/{id:u64}/end",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .in = &bdr_job_end_in_shape,
     .out = &bdr_job_end_out_shape,
     .run = job_end,
     .help = "What came of it. May be repeated until it is answered.",
     .help_zh = "任务结束"},
};
const struct bdr_route_table api_machine_job_table = BDR_ROUTES("machine", rows);
