/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recoveries.c - bringing a point back. Today: a disk as a file, or onto a device, of the gateway that owns its repository.
 *
 * A recovery is a row that stays, and a job of kind recover that does it. Which folders and devices may be written to is
 * the gateway's own configuration: the console only names a place.
 */
#include "api/objects.h"
#include <stdio.h>
#include <string.h>

#define FOLLOWED 100 /* recoveries brought up to date at once */

enum { EXPORT, DRILL, TAKEOVER, FAILBACK, SHARE };
static const struct bdr_choice kinds[] = {
    {"export", EXPORT, "As files or onto a device, at the gateway.", "导出"},
    {"drill", DRILL, "Boot it apart from all others, look, throw it away.", "演练"},
    {"takeover", TAKEOVER, "Boot it in the place of the lost machine.", "接管"},
    {"failback", FAILBACK, "Bring it back to the production site.", "回切"},
    {"share", SHARE, "Served by the gateway, read-only: made by POST /v1/shares.", "共享"},
    {.name = NULL},
};
static const struct bdr_choice targets[] = {
    {"file", 0, "To a file of the gateway, or into a folder, a file a disk.", "文件"},
    {"device", 1, "Onto a block device of the gateway.", "块设备"},
    {"nbd", 2, "Shares: a disk over NBD.", "NBD"},
    {"mount", 3, "Shares: a folder of the gateway.", "挂载"},
    {.name = NULL},
};
static const struct bdr_choice formats[] = {
    {"raw", 0, "Raw.", "raw"},
    {"qcow2", 1, "QEMU's qcow2.", "qcow2"},
    {.name = NULL},
};

struct recovery {
    uint64_t id, host, point, disk, job, rpo_ms, rto_ms;
    int kind, target, format;
    const char *path, *host_name, *state, *account;
    bool overwrite;
    bool has_point, has_disk, has_job, has_rpo_ms, has_rto_ms, has_started, has_up, has_ended, has_kind, has_target,
        has_format;
    int64_t created, started, up, ended;
    json_t *params, *report;
};
static const struct bdr_shape_field recovery_fields[] = {
    OBJ_ID(struct recovery),
    {BDR_FIELD_HAS(struct recovery, kind), .type = BDR_T_ENUM, .choices = kinds, .def = "export",
     .help = "What for; today export alone.", .help_zh = "类型"},
    {BDR_FIELD(struct recovery, host), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .min = 1, .help = "Which host.",
     .help_zh = "主机编号"},
    OBJ_OUT(struct recovery, host_name, TEXT, "The host's name.", "主机名称"),
    {BDR_FIELD_HAS(struct recovery, point), .type = BDR_T_U64, .help = "Which point; without it the newest.",
     .help_zh = "恢复点编号"},
    {BDR_FIELD_HAS(struct recovery, disk), .type = BDR_T_U64, .help = "Which disk; need not be said for a host with one, nor for all of them into a folder.",
     .help_zh = "磁盘编号"},
    {BDR_FIELD_HAS(struct recovery, target), .type = BDR_T_ENUM, .choices = targets, .def = "file", .help = "To what.",
     .help_zh = "目标类型"},
    {BDR_FIELD(struct recovery, path), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 2, .len_max = 1000,
     .pattern = "^/.+$", .help = "A file, a folder (it ends with / and takes all disks), or a device, of the gateway.", .help_zh = "目标路径"},
    {BDR_FIELD_HAS(struct recovery, format), .type = BDR_T_ENUM, .choices = formats, .def = "raw",
     .help = "Of the files.", .help_zh = "文件格式"},
    {BDR_FIELD(struct recovery, overwrite), .type = BDR_T_BOOL, .help = "Write over what is there.",
     .help_zh = "覆盖已有内容"},
    OBJ_OUT(struct recovery, state, TEXT, "planned, running, up, ended or failed.", "状态"),
    OBJ_OUT_HAS(struct recovery, job, U64, "The job that does it.", "任务编号"),
    OBJ_OUT(struct recovery, account, TEXT, "Who asked for it.", "发起者"),
    OBJ_OUT(struct recovery, created, TIME, "When it was asked for.", "创建时间"),
    OBJ_OUT_HAS(struct recovery, started, TIME, "When it began.", "开始时间"),
    OBJ_OUT_HAS(struct recovery, up, TIME, "The first sign of life.", "启动时间"),
    OBJ_OUT_HAS(struct recovery, ended, TIME, "When it ended.", "结束时间"),
    OBJ_OUT_HAS(struct recovery, rpo_ms, DURATION, "How old the point was.", "实际RPO"),
    OBJ_OUT_HAS(struct recovery, rto_ms, DURATION, "How long it took.", "实际RTO"),
    OBJ_OUT(struct recovery, params, JSON, "What its job is told.", "参数"),
    OBJ_OUT(struct recovery, report, JSON, "What came of it.", "报告"),
    OBJ_END,
};
static const struct bdr_shape recovery_shape = OBJ_SHAPE(struct recovery, "Recovery", recovery_fields);

struct recovery_filter {
    int kind;
    bool has_kind;
    const char *state;
    uint64_t host;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD_HAS(struct recovery_filter, kind), .type = BDR_T_ENUM, .choices = kinds, .help = "Only of this kind.",
     .help_zh = "类型"},
    {BDR_FIELD(struct recovery_filter, state), .type = BDR_T_TEXT, .len_max = 16, .pattern = "^[a-z]*$",
     .help = "Only in this state.", .help_zh = "状态"},
    {BDR_FIELD(struct recovery_filter, host), .type = BDR_T_U64, .help = "Only of this host.", .help_zh = "主机编号"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct recovery_filter, "RecoveryFilter", filter_fields);

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text ? text : "";
}

static struct bdr_err *recovery_fill(struct bdr_req *req, const struct bdr_row_recovery_view *r, struct recovery *out)
{
    *out = (struct recovery){.id = (uint64_t)r->id,
                             .kind = obj_choice_of(kinds, r->kind),
                             .has_kind = true,
                             .host = (uint64_t)r->host_id,
                             .host_name = r->host_name,
                             .target = obj_choice_of(targets, r->target),
                             .has_target = true,
                             .state = r->state,
                             .account = obj_text(r->account),
                             .created = r->created_ms};
    OBJ_SET(out, point, (uint64_t)(r->point_id.set ? r->point_id.v : 0));
    OBJ_SET(out, job, (uint64_t)(r->job_id.set ? r->job_id.v : 0));
    OBJ_SET(out, started, r->started_ms.set ? r->started_ms.v : 0);
    OBJ_SET(out, up, r->up_ms.set ? r->up_ms.v : 0);
    OBJ_SET(out, ended, r->ended_ms.set ? r->ended_ms.v : 0);
    OBJ_SET(out, rpo_ms, (uint64_t)(r->rpo_ms.set ? r->rpo_ms.v : 0));
    OBJ_SET(out, rto_ms, (uint64_t)(r->rto_ms.set ? r->rto_ms.v : 0));
    BDR_TRY(obj_json(req, r->params, &out->params));
    BDR_TRY(obj_json(req, r->report, &out->report));
    out->path = text_of(out->params, "path");
    out->format = obj_choice_of(formats, text_of(out->params, "format"));
    out->has_format = true;
    out->overwrite = json_is_true(json_object_get(out->params, "overwrite"));
    OBJ_SET(out, disk, (uint64_t)json_integer_value(json_object_get(out->params, "disk")));
    return NULL;
}

static struct bdr_err *recovery_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct recovery *out)
{
    struct bdr_row_recovery_view *r = NULL;

    BDR_TRY(bdr_q_recovery_view_get(tx, id, &r));
    if (!r)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no recovery %lld", (long long)id);
    BDR_TRY(obj_keep(req, r));
    return recovery_fill(req, r, out);
}

static struct bdr_err *recovery_list(struct bdr_req *req, const void *in, void *out)
{
    const struct recovery_filter *f = bdr_req_filter(req);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_recovery_view *row = NULL;
    struct bdr_page *page = out;
    struct recovery *items;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_recovery_view_list(
        tx,
        &(struct bdr_in_recovery_view_list){.kind = f->has_kind ? obj_choice_name(kinds, f->kind) : "",
                                            .state = f->state ? f->state : "",
                                            .host_id = (int64_t)f->host,
                                            .before = api_cursor(req, INT64_MAX),
                                            .limit = bdr_req_page(req)->limit + 1},
        &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(recovery_fill(req, &row[i], &items[i]));
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

static struct bdr_err *recovery_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return api_refusal(req, recovery_get(req, tx, obj_id(req), out));
}

/* ---- add ---- */

/* The point that is meant, which has to be whole and behind a gateway. */
static struct bdr_err *point_find(struct bdr_tx *tx, const struct recovery *in, struct bdr_row_point_view **out)
{
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    int64_t id = (int64_t)in->point;
    bool found = true;

    BDR_TRY(bdr_q_host_get(tx, (int64_t)in->host, &h));
    if (!h)
        BDR_FAIL(BDR_INVAL, 0, "there is no host %llu", (unsigned long long)in->host);
    if (!id)
        BDR_TRY(bdr_q_host_newest_point(tx, h->id, &id, &found));
    if (!found)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s has no recovery point yet", h->name);
    BDR_TRY(bdr_q_point_view_get(tx, id, out));
    if (!*out || (*out)->host_id != h->id)
        BDR_FAIL(BDR_INVAL, 0, "host %s has no recovery point %lld", h->name, (long long)id);
    if (strcmp((*out)->state, "ok") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "recovery point %lld is %s; choose another one", (long long)id, (*out)->state);
    if (!(*out)->gateway_id.set)
        BDR_FAIL(BDR_CONFLICT, 0,
                 "repository %s is not behind a gateway; run 'bdr recover' on a machine that reaches it",
                 (*out)->repository_name);
    return NULL;
}

/* A host with several disks: which one is meant has to be said. */
static struct bdr_err *disk_alone(struct bdr_tx *tx, const struct bdr_row_point_view *p)
{
    BDR_AUTO(mem) struct bdr_row_disk *d = NULL;
    size_t n = 0, in = 0;

    BDR_TRY(bdr_q_disk_list(tx, p->host_id, &d, &n));
    for (size_t i = 0; i < n; i++)
        in += !d[i].excluded && !d[i].gone_ms;
    if (in > 1)
        BDR_FAIL(BDR_INVAL, 0, "host %s has %zu disks; say which disk", p->host_name, in);
    return NULL;
}

static struct bdr_err *params_make(struct bdr_tx *tx, const struct recovery *in, const struct bdr_row_point_view *p,
                                   char **out)
{
    BDR_AUTO(mem) struct bdr_row_disk *d = NULL;
    json_t *o;

    if (!in->disk && in->path[strlen(in->path) - 1] != '/') /* a folder takes all of them */
        BDR_TRY(disk_alone(tx, p));
    if (in->disk) {
        BDR_TRY(bdr_q_disk_get(tx, p->host_id, (int64_t)in->disk, &d));
        if (!d)
            BDR_FAIL(BDR_INVAL, 0, "host %s has no disk %llu", p->host_name, (unsigned long long)in->disk);
    }
    o = json_pack("{s:s,s:s,s:s,s:s,s:b,s:I}", "target", obj_choice_name(targets, in->target), "path", in->path, "format",
                  obj_choice_name(formats, in->format), "point", p->ref, "overwrite", in->overwrite, "point_id",
                  (json_int_t)p->id);
    if (o && d && (json_object_set_new(o, "disk", json_integer((json_int_t)in->disk)) ||
                   json_object_set_new(o, "disk_name", json_string(d->name))))
        *out = NULL;
    else
        *out = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static struct bdr_err *add_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_point_view *p = NULL;
    BDR_AUTO(mem) char *params = NULL;
    struct obj_change *c = ctx;
    const struct recovery *in = c->in;
    int64_t job;

    BDR_TRY(point_find(tx, in, &p));
    BDR_TRY(params_make(tx, in, p, &params));
    BDR_TRY(bdr_q_recovery_add(tx,
                               &(struct bdr_in_recovery_add){.kind = obj_choice_name(kinds, in->kind),
                                                             .host_id = p->host_id,
                                                             .point_id = BDR_SOME(p->id),
                                                             .target = obj_choice_name(targets, in->target),
                                                             .params = params,
                                                             .network = "",
                                                             .account = bdr_req_who_name(c->req),
                                                             .now_ms = api_now()},
                               &c->made));
    c->wake_machine = p->gateway_id.v;
    BDR_TRY(obj_job_add(tx, c->req,
                        &(struct bdr_in_job_add){.kind = "recover",
                                                 .host_id = BDR_SOME(p->host_id),
                                                 .machine_id = p->gateway_id,
                                                 .repository_id = BDR_SOME(p->repository_id),
                                                 .recovery_id = BDR_SOME(c->made),
                                                 .params = params,
                                                 .priority = 100},
                        &job));
    BDR_TRY(recovery_get(c->req, tx, c->made, c->out));
    return api_audit(tx, c->req, "recovery.add", "recovery", c->made, &recovery_shape, NULL, c->out);
}

static struct bdr_err *recovery_check(struct bdr_req *req, const struct recovery *r)
{
    const char *last = r->path + strlen(r->path);
    bool up = strstr(r->path, "/../") || (last - r->path >= 3 && !strcmp(last - 3, "/.."));
    unsigned bad = 0;

    if (r->kind == SHARE || r->target > 1)
        BDR_REFUSE(req, BDR_INVAL, "A point is served by POST /v1/shares; a recovery writes it to a file or a device.");
    if (r->kind != EXPORT)
        BDR_REFUSE(req, BDR_UNSUPPORTED,
                   "Recoveries of kind %s are not there yet; export a point and boot it by hand.",
                   obj_choice_name(kinds, r->kind));
    if (up && ++bad)
        bdr_req_fault(req, "/path", BDR_INVAL, "has .. in it");
    if (r->target == 1 && strncmp(r->path, "/dev/", 5) != 0 && ++bad)
        bdr_req_fault(req, "/path", BDR_INVAL, "is no device: it does not begin with /dev/");
    if (r->target == 0 && !strncmp(r->path, "/dev/", 5) && ++bad)
        bdr_req_fault(req, "/path", BDR_INVAL, "is a device: say target device");
    if (r->target == 1 && r->format != 0 && ++bad)
        bdr_req_fault(req, "/format", BDR_INVAL, "is for files; a device is raw");
    if (bad)
        BDR_REFUSE(req, BDR_INVAL, "The recovery is not right; see what is said of its fields.");
    return NULL;
}

static struct bdr_err *recovery_add(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out};

    BDR_TRY(recovery_check(req, in));
    BDR_TRY(api_run(req, BDR_TX_WRITE, add_tx, &c));
    obj_tell(req, "recovery", c.made, "added");
    obj_wake(req, c.wake_machine, 0);
    return NULL;
}

/* ---- cancel ---- */

static struct bdr_err *cancel_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    enum bdr_job_state now = BDR_JOB_CANCELLED;
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    struct recovery was;
    int64_t n;

    BDR_TRY(recovery_get(c->req, tx, c->id, &was));
    if (strcmp(was.state, "planned") != 0 && strcmp(was.state, "running") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "recovery %lld is %s", (long long)c->id, was.state);
    if (was.job) {
        BDR_TRY(bdr_q_job_get(tx, (int64_t)was.job, &job));
        BDR_TRY(bdr_job_person_says(tx, (int64_t)was.job, BDR_JOB_ON_CANCEL, bdr_req_who_name(c->req), api_now(), &now));
    }
    if (!bdr_job_held(now))
        BDR_TRY(bdr_q_sealed_delete(tx, "recovery", c->id, &n));
    if (bdr_job_held(now))
        c->wake_machine = job && job->worker_id.set ? job->worker_id.v : 0;
    else
        BDR_TRY(bdr_q_recovery_set(
            tx,
            &(struct bdr_in_recovery_set){.id = c->id,
                                          .state = "failed",
                                          .started_ms = {.set = was.has_started, .v = was.started},
                                          .ended_ms = BDR_SOME(api_now()),
                                          .report = "{\"text\":\"cancelled\"}"},
            &n));
    BDR_TRY(recovery_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "recovery.cancel", "recovery", c->id, &recovery_shape, &was, c->out);
}

static struct bdr_err *recovery_cancel(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .out = out, .id = obj_id(req)};
    const struct recovery *r = out;
    char json[48];

    (void)in;
    BDR_TRY(api_run(req, BDR_TX_LOCK, cancel_tx, &c));
    obj_tell(req, "recovery", c.id, "changed");
    obj_tell(req, "job", (int64_t)r->job, "changed");
    snprintf(json, sizeof(json), "{\"id\":%llu}", (unsigned long long)r->job);
    if (c.wake_machine)
        bdr_hub_tell_machine(api_console(req)->hub, c.wake_machine, "job", json);
    return NULL;
}

/* ---- as its job goes on ---- */

static struct bdr_err *follow_one(struct bdr_tx *tx, const struct bdr_row_recovery_behind *r)
{
    const char *state = !strcmp(r->job_state, "done") ? "ended" : r->ended_ms.set ? "failed" : "running";
    BDR_AUTO(mem) struct bdr_row_point *p = NULL;
    BDR_AUTO(buf) struct bdr_buf why = {0};
    struct bdr_opt_i64 rpo = {0};
    int64_t n;

    if (r->ended_ms.set) /* a share's key is worth nothing now */
        BDR_TRY(bdr_q_sealed_delete(tx, "recovery", r->id, &n));
    if (r->point_id.set)
        BDR_TRY(bdr_q_point_get(tx, r->point_id.v, &p));
    if (p && r->started_ms.set)
        rpo = BDR_SOME(r->started_ms.v - p->taken_ms);
    if (!strcmp(state, "failed")) {
        bdr_buf_printf(&why, "{\"text\":");
        bdr_json_put_text(&why, *r->error_text ? r->error_text : r->job_state);
        bdr_buf_printf(&why, "}");
        BDR_TRY(bdr_buf_check(&why));
    }
    return bdr_q_recovery_set(
        tx,
        &(struct bdr_in_recovery_set){.id = r->id,
                                      .state = state,
                                      .started_ms = r->started_ms,
                                      .ended_ms = r->ended_ms,
                                      .rpo_ms = rpo,
                                      .rto_ms = {.set = r->ended_ms.set, .v = r->ended_ms.v - r->created_ms},
                                      .report = why.data ? (const char *)why.data : r->result},
        &n);
}

struct following {
    int64_t ids[FOLLOWED];
    size_t n;
};

static struct bdr_err *follow_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_recovery_behind *row = NULL;
    struct following *f = ctx;

    f->n = 0;
    BDR_TRY(bdr_q_recovery_behind(tx, FOLLOWED, &row, &f->n));
    for (size_t i = 0; i < f->n; i++) {
        BDR_TRY(follow_one(tx, &row[i]));
        f->ids[i] = row[i].id;
    }
    return NULL;
}

struct bdr_err *bdr_recoveries_follow(struct bdr_console *c, int64_t now_ms)
{
    struct following f;
    char json[64];

    (void)now_ms;
    BDR_TRY(bdr_db_run(c->db, BDR_TX_WRITE, follow_tx, &f));
    for (size_t i = 0; i < f.n; i++) {
        snprintf(json, sizeof(json), "{\"id\":%lld,\"what\":\"changed\"}", (long long)f.ids[i]);
        bdr_hub_tell(c->hub, "recovery", json);
    }
    return NULL;
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/recoveries", "recoveries:read", BDR_R_LIST, .out = &recovery_shape, .query = &filter_shape,
     .run = recovery_list, .cli = "recovery list", .help = "Recoveries, newest first.", .help_zh = "恢复列表"},
    {BDR_POST, "/v1/recoveries", "recoveries:operate", BDR_R_IDEMPOTENT, .in = &recovery_shape, .out = &recovery_shape,
     .run = recovery_add, .status = 201, .cli = "recovery add", .help = "Bring a recovery point back.",
     .help_zh = "发起恢复"},
    {BDR_GET, "/v1/recoveries/{id:u64}", "recoveries:read", 0, .out = &recovery_shape, .run = recovery_show,
     .cli = "recovery show", .help = "One recovery.", .help_zh = "恢复详情"},
    {BDR_POST, "/v1/recoveries/{id:u64}/cancel", "recoveries:operate", 0, .out = &recovery_shape,
     .run = recovery_cancel, .cli = "recovery cancel", .help = "Stop a recovery.", .help_zh = "取消恢复"},
};
const struct bdr_route_table api_recoveries_table = BDR_ROUTES("recoveries", rows);
