/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.c - what runs, ran and will run: list, log, and what a person may ask of a job. */
#include "api/objects.h"
#include <stdio.h>
#include <string.h>

#define ACTIONS 4

static const struct bdr_shape_field job_fields[] = {
    OBJ_ID(struct obj_job),
    OBJ_OUT(struct obj_job, kind, TEXT, "sync, scan, verify, prune, recover.", "类型"),
    OBJ_OUT(struct obj_job, state, TEXT, "ready, running, pausing, paused, cancelling, done, failed, cancelled.", "状态"),
    OBJ_OUT_HAS(struct obj_job, host, U64, "The host it is about.", "主机编号"),
    OBJ_OUT(struct obj_job, host_name, TEXT, "Its name.", "主机名称"),
    OBJ_OUT_HAS(struct obj_job, platform, U64, "The platform it is about.", "平台编号"),
    OBJ_OUT(struct obj_job, platform_name, TEXT, "Its name.", "平台名称"),
    OBJ_OUT_HAS(struct obj_job, worker, U64, "The machine that does it, or did it last.", "执行机器编号"),
    OBJ_OUT(struct obj_job, worker_name, TEXT, "Its name.", "执行机器"),
    OBJ_OUT_HAS(struct obj_job, repository, U64, "The repository.", "存储库编号"),
    OBJ_OUT_HAS(struct obj_job, recovery, U64, "The recovery it belongs to.", "恢复编号"),
    OBJ_OUT(struct obj_job, origin, TEXT, "policy, or who asked for it.", "发起者"),
    OBJ_OUT(struct obj_job, step, TEXT, "What it does now.", "当前步骤"),
    OBJ_OUT_HAS(struct obj_job, progress_pct, U32, "How much is done, in percent.", "进度"),
    OBJ_OUT(struct obj_job, done_bytes, SIZE, "Bytes done.", "已完成字节数"),
    OBJ_OUT(struct obj_job, total_bytes, SIZE, "Bytes in all; 0: not known yet.", "总字节数"),
    OBJ_OUT(struct obj_job, stored_bytes, SIZE, "Bytes added to the repository.", "写入存储字节数"),
    OBJ_OUT(struct obj_job, rate_bps, SIZE, "Bytes a second.", "速率"),
    OBJ_OUT_HAS(struct obj_job, eta_ms, DURATION, "Time left at this rate.", "预计剩余时间"),
    OBJ_OUT(struct obj_job, pass, U64, "Which pass over the disks.", "轮次"),
    OBJ_OUT(struct obj_job, tries, U64, "Tries so far.", "已尝试次数"),
    OBJ_OUT(struct obj_job, max_tries, U64, "Tries at most.", "最大尝试次数"),
    OBJ_OUT(struct obj_job, disks, U64, "Disks it reads.", "磁盘数量"),
    OBJ_OUT(struct obj_job, error_code, TEXT, "Kind of the last error.", "错误代码"),
    OBJ_OUT(struct obj_job, error_text, TEXT, "The last error.", "错误信息"),
    OBJ_OUT(struct obj_job, created, TIME, "When it was made.", "创建时间"),
    OBJ_OUT(struct obj_job, due, TIME, "When it may begin.", "计划时间"),
    OBJ_OUT_HAS(struct obj_job, started, TIME, "When it began.", "开始时间"),
    OBJ_OUT_HAS(struct obj_job, ended, TIME, "When it ended.", "结束时间"),
    OBJ_OUT_HAS(struct obj_job, beat, TIME, "When its worker was last heard of.", "最近心跳"),
    OBJ_OUT(struct obj_job, params, JSON, "What it was told to do.", "参数"),
    OBJ_OUT(struct obj_job, result, JSON, "What came of it.", "结果"),
    {BDR_FIELD(struct obj_job, allowed), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &obj_allowed_shape,
     .flags = BDR_F_READONLY, .help = "What can be asked of it now.", .help_zh = "当前可执行的操作"},
    OBJ_END,
};
const struct bdr_shape obj_job_shape = OBJ_SHAPE(struct obj_job, "Job", job_fields);

struct job_filter {
    const char *state, *kind;
    uint64_t host, platform, worker;
    bool active;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct job_filter, state), .type = BDR_T_TEXT, .len_max = 16, .pattern = "^[a-z]*$",
     .help = "Only in this state.", .help_zh = "状态"},
    {BDR_FIELD(struct job_filter, kind), .type = BDR_T_TEXT, .len_max = 16, .pattern = "^[a-z]*$",
     .help = "Only of this kind.", .help_zh = "类型"},
    {BDR_FIELD(struct job_filter, host), .type = BDR_T_U64, .help = "Only of this host.", .help_zh = "主机编号"},
    {BDR_FIELD(struct job_filter, platform), .type = BDR_T_U64, .help = "Only of this platform.", .help_zh = "平台编号"},
    {BDR_FIELD(struct job_filter, worker), .type = BDR_T_U64, .help = "Only those of this machine.",
     .help_zh = "执行机器编号"},
    {BDR_FIELD(struct job_filter, active), .type = BDR_T_BOOL, .help = "Only those that have not ended.",
     .help_zh = "仅未结束"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct job_filter, "JobFilter", filter_fields);

/* What a person may ask of a job in that state, from the table of jobs.def. */
static struct bdr_err *job_allowed(struct bdr_req *req, struct obj_job *out)
{
    static const struct {
        const char *name;
        enum bdr_job_event event;
    } rows[ACTIONS] = {{"cancel", BDR_JOB_ON_CANCEL},
                       {"pause", BDR_JOB_ON_PAUSE},
                       {"resume", BDR_JOB_ON_RESUME},
                       {"again", BDR_JOB_ON_AGAIN}};
    enum bdr_job_state was, now;

    if (!bdr_job_state_of(out->state, &was))
        BDR_FAIL(BDR_CORRUPT, 0, "job %llu is in the state '%s', which does not exist", (unsigned long long)out->id,
                 out->state);
    out->allowed.items = bdr_arena_alloc(bdr_req_arena(req), ACTIONS * sizeof(out->allowed.items[0]));
    BDR_NOMEM_IF_NULL(out->allowed.items);
    for (size_t i = 0; i < ACTIONS; i++) {
        struct bdr_err *err = bdr_job_next(was, rows[i].event, &now);

        obj_allow(&out->allowed, ACTIONS, rows[i].name,
                  err ? bdr_arena_printf(bdr_req_arena(req), "The job is %s.", out->state) : NULL);
        bdr_err_drop(err, "that it cannot is the answer");
    }
    return NULL;
}

static struct bdr_err *job_fill(struct bdr_req *req, const struct bdr_row_job_view *j, struct obj_job *out)
{
    int64_t eta = bdr_job_eta_ms(j->done_bytes, j->total_bytes, j->rate_bps);

    *out = (struct obj_job){.id = (uint64_t)j->id,
                            .kind = j->kind,
                            .state = j->state,
                            .origin = obj_text(j->origin),
                            .host_name = obj_text(j->host_name),
                            .platform_name = obj_text(j->platform_name),
                            .worker_name = obj_text(j->worker_name),
                            .step = obj_text(j->step),
                            .error_code = obj_text(j->error_code),
                            .error_text = obj_text(j->error_text),
                            .done_bytes = (uint64_t)j->done_bytes,
                            .total_bytes = (uint64_t)j->total_bytes,
                            .stored_bytes = (uint64_t)j->stored_bytes,
                            .rate_bps = (uint64_t)BDR_MAX(j->rate_bps, (int64_t)0),
                            .tries = (uint64_t)j->tries,
                            .max_tries = (uint64_t)j->max_tries,
                            .pass = (uint64_t)j->pass,
                            .disks = (uint64_t)j->disks,
                            .created = j->created_ms,
                            .due = j->due_ms};
    OBJ_SET(out, host, (uint64_t)j->host_id.v);
    OBJ_SET(out, platform, (uint64_t)j->platform_id.v);
    OBJ_SET(out, worker, (uint64_t)j->worker_id.v);
    OBJ_SET(out, repository, (uint64_t)j->repository_id.v);
    OBJ_SET(out, recovery, (uint64_t)j->recovery_id.v);
    OBJ_SET(out, started, j->started_ms.v);
    OBJ_SET(out, ended, j->ended_ms.v);
    OBJ_SET(out, beat, j->beat_ms);
    out->has_eta_ms = eta >= 0 && j->lease_until_ms > 0;
    out->eta_ms = out->has_eta_ms ? (uint64_t)eta : 0;
    out->has_progress_pct = j->total_bytes > 0;
    if (out->has_progress_pct)
        out->progress_pct = (uint32_t)BDR_MIN((int64_t)100, (int64_t)((double)j->done_bytes * 100 / (double)j->total_bytes));
    BDR_TRY(obj_json(req, j->params, &out->params));
    BDR_TRY(obj_json(req, j->result, &out->result));
    return job_allowed(req, out);
}

struct bdr_err *obj_job_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct obj_job *out)
{
    struct bdr_row_job_view *j = NULL;

    BDR_TRY(bdr_q_job_view_get(tx, id, &j));
    if (!j)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no job %lld.", (long long)id);
    BDR_TRY(obj_keep(req, j));
    return job_fill(req, j, out);
}

struct bdr_err *obj_job_show(struct bdr_req *req, int64_t id, struct obj_job *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    BDR_TRY(obj_read(req, &tx));
    return obj_job_get(req, tx, id, out);
}

static struct bdr_err *job_list(struct bdr_req *req, const void *in, void *out)
{
    const struct job_filter *f = bdr_req_filter(req);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_job_view *row = NULL;
    struct bdr_page *page = out;
    struct obj_job *items;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_job_view_list(tx,
                                &(struct bdr_in_job_view_list){.state = f->state ? f->state : "",
                                                               .kind = f->kind ? f->kind : "",
                                                               .host_id = (int64_t)f->host,
                                                               .platform_id = (int64_t)f->platform,
                                                               .worker_id = (int64_t)f->worker,
                                                               .active = f->active,
                                                               .before = api_cursor(req, INT64_MAX),
                                                               .limit = bdr_req_page(req)->limit + 1},
                                &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(job_fill(req, &row[i], &items[i]));
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

static struct bdr_err *job_show(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return obj_job_show(req, obj_id(req), out);
}

/* ---- the log ---- */

struct log_line {
    uint64_t id, done_bytes;
    int64_t at;
    const char *event, *was, *now, *actor, *text;
};
static const struct bdr_shape_field log_fields[] = {
    OBJ_ID(struct log_line),
    OBJ_OUT(struct log_line, at, TIME, "When.", "时间"),
    OBJ_OUT(struct log_line, event, TEXT, "What happened.", "事件"),
    OBJ_OUT(struct log_line, was, TEXT, "State before.", "之前状态"),
    OBJ_OUT(struct log_line, now, TEXT, "State after.", "之后状态"),
    OBJ_OUT(struct log_line, actor, TEXT, "Who did it.", "操作者"),
    OBJ_OUT(struct log_line, done_bytes, SIZE, "Bytes done by then.", "已完成字节数"),
    OBJ_OUT(struct log_line, text, TEXT, "More about it.", "说明"),
    OBJ_END,
};
static const struct bdr_shape log_shape = OBJ_SHAPE(struct log_line, "JobLogLine", log_fields);

static struct bdr_err *job_log_list(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_job_log *row = NULL;
    struct bdr_page *page = out;
    struct log_line *items;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_job_get(tx, obj_id(req), &job));
    if (!job)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no job %lld.", (long long)obj_id(req));
    BDR_TRY(bdr_q_job_log_list(tx, obj_id(req), api_cursor(req, 0), bdr_req_page(req)->limit + 1, &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        items[i] = (struct log_line){.id = (uint64_t)row[i].id,
                                     .at = row[i].at_ms,
                                     .event = row[i].event,
                                     .was = obj_text(row[i].was),
                                     .now = row[i].now,
                                     .actor = obj_text(row[i].actor),
                                     .done_bytes = (uint64_t)row[i].done_bytes,
                                     .text = obj_text(row[i].text)};
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

/* ---- what a person may say ---- */

struct job_said {
    const char *state;
};
static const struct bdr_shape_field said_fields[] = {
    OBJ_OUT(struct job_said, state, TEXT, "State.", "状态"),
    OBJ_END,
};
static const struct bdr_shape said_shape = OBJ_SHAPE(struct job_said, "JobSaid", said_fields);

struct job_say {
    struct bdr_req *req;
    enum bdr_job_event event;
    int64_t worker_id, recovery_id; /* out */
    enum bdr_job_state now;
};

static struct bdr_err *job_say(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    struct job_say *s = ctx;
    char action[32];

    BDR_TRY(bdr_q_job_lock(tx, obj_id(s->req), &job));
    if (!job)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no job %lld", (long long)obj_id(s->req));
    BDR_TRY(bdr_job_person_says(tx, job->id, s->event, bdr_req_who_name(s->req), api_now(), &s->now));
    s->worker_id = job->worker_id.set ? job->worker_id.v : job->machine_id.set ? job->machine_id.v : 0;
    s->recovery_id = job->recovery_id.set ? job->recovery_id.v : 0;
    if (s->recovery_id && s->now == BDR_JOB_CANCELLED) {
        BDR_AUTO(mem) struct bdr_row_recovery *r = NULL;
        int64_t n;

        BDR_TRY(bdr_q_recovery_get(tx, s->recovery_id, &r));
        if (r && (!strcmp(r->state, "planned") || !strcmp(r->state, "running")))
            BDR_TRY(bdr_q_recovery_set(
                tx, &(struct bdr_in_recovery_set){r->id, "failed", r->started_ms, r->up_ms, BDR_SOME(api_now()), r->rpo_ms,
                                                  r->rto_ms, "{\"text\":\"cancelled\"}"},
                &n));
    }
    snprintf(action, sizeof(action), "job.%s", bdr_job_event_name(s->event));
    return api_audit(tx, s->req, action, "job", job->id, &said_shape, &(struct job_said){job->state},
                     &(struct job_said){bdr_job_state_name(s->now)});
}

static struct bdr_err *job_event(struct bdr_req *req, enum bdr_job_event event, void *out)
{
    struct job_say s = {.req = req, .event = event};
    struct obj_job *job = out;
    char json[48];

    BDR_TRY(api_run(req, BDR_TX_LOCK, job_say, &s));
    obj_tell(req, "job", obj_id(req), "changed");
    if (s.recovery_id)
        obj_tell(req, "recovery", s.recovery_id, "changed");
    snprintf(json, sizeof(json), "{\"id\":%lld}", (long long)obj_id(req));
    if (bdr_job_held(s.now) && s.worker_id) /* it learns what is wanted with its next beat: now */
        bdr_hub_tell_machine(api_console(req)->hub, s.worker_id, "job", json);
    BDR_TRY(obj_job_show(req, obj_id(req), job));
    if (s.now == BDR_JOB_READY)
        obj_wake(req, job->platform ? 0 : s.worker_id, (int64_t)job->platform);
    return NULL;
}

static struct bdr_err *job_cancel(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return job_event(req, BDR_JOB_ON_CANCEL, out);
}

static struct bdr_err *job_pause(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return job_event(req, BDR_JOB_ON_PAUSE, out);
}

static struct bdr_err *job_resume(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return job_event(req, BDR_JOB_ON_RESUME, out);
}

static struct bdr_err *job_again(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return job_event(req, BDR_JOB_ON_AGAIN, out);
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/jobs", "jobs:read", BDR_R_LIST, .out = &obj_job_shape, .query = &filter_shape, .run = job_list,
     .cli = "job list", .help = "Jobs, newest first.", .help_zh = "任务列表"},
    {BDR_GET, "/v1/jobs/{id:u64}", "jobs:read", 0, .out = &obj_job_shape, .run = job_show, .cli = "job show",
     .help = "One job: progress, rate, time left.", .help_zh = "任务详情"},
    {BDR_GET, "/v1/jobs/{id:u64}/log", "jobs:read", BDR_R_LIST, .out = &log_shape, .run = job_log_list, .cli = "job log",
     .help = "What happened to a job, in order.", .help_zh = "任务日志"},
    {BDR_POST, "/v1/jobs/{id:u64}/cancel", "jobs:operate", 0, .out = &obj_job_shape, .run = job_cancel,
     .cli = "job cancel", .help = "Stop a job for good.", .help_zh = "取消任务"},
    {BDR_POST, "/v1/jobs/{id:u64}/pause", "jobs:operate", 0, .out = &obj_job_shape, .run = job_pause, .cli = "job pause",
     .help = "Stop a job and keep its place.", .help_zh = "暂停任务"},
    {BDR_POST, "/v1/jobs/{id:u64}/resume", "jobs:operate", 0, .out = &obj_job_shape, .run = job_resume,
     .cli = "job resume", .help = "Let a paused job go on.", .help_zh = "继续任务"},
    {BDR_POST, "/v1/jobs/{id:u64}/again", "jobs:operate", 0, .out = &obj_job_shape, .run = job_again,
     .cli = "job again", .help = "Try a failed job once more, from where it failed.", .help_zh = "重试任务"},
};
const struct bdr_route_table api_jobs_table = BDR_ROUTES("jobs", rows);
