/* SPDX-License-Identifier: Apache-2.0 */
/* points.c - recovery points: what there is to go back to; held, verified, removed. */
#include "api/objects.h"
#include <stdio.h>
#include <string.h>

#define ACTIONS 3

struct point {
    uint64_t id, host, repository, disk_bytes, read_bytes, stored_bytes;
    const char *host_name, *repository_name, *ref, *kind, *consistency, *state, *note;
    int64_t taken, verified, booted;
    bool held, has_held, has_verified, has_booted;
    struct obj_allowed_list allowed;
};
static const struct bdr_shape_field point_fields[] = {
    OBJ_ID(struct point),
    OBJ_OUT(struct point, host, U64, "Whose it is.", "主机编号"),
    OBJ_OUT(struct point, host_name, TEXT, "The host's name.", "主机名称"),
    OBJ_OUT(struct point, taken, TIME, "The moment it is of.", "时间点"),
    OBJ_OUT(struct point, kind, TEXT, "full or incremental: how it was made; any point is a whole one.", "同步方式"),
    OBJ_OUT(struct point, consistency, TEXT, "What it is worth: application, filesystem, crash, inconsistent.",
            "一致性级别"),
    OBJ_OUT(struct point, state, TEXT, "ok, damaged or removed.", "状态"),
    OBJ_OUT(struct point, repository, U64, "Where it is.", "存储库编号"),
    OBJ_OUT(struct point, repository_name, TEXT, "The repository's name.", "存储库"),
    OBJ_OUT(struct point, ref, TEXT, "Its id in the repository.", "存储库中的标识"),
    OBJ_OUT(struct point, disk_bytes, SIZE, "Size of its disks.", "磁盘总大小"),
    OBJ_OUT(struct point, read_bytes, SIZE, "Bytes read to make it.", "读取字节数"),
    OBJ_OUT(struct point, stored_bytes, SIZE, "Bytes it added to the repository.", "写入存储字节数"),
    {BDR_FIELD_HAS(struct point, held), .type = BDR_T_BOOL, .help = "No retention rule removes it.",
     .help_zh = "保留（不自动删除）"},
    {BDR_FIELD(struct point, note), .type = BDR_T_TEXT, .len_max = 500, .help = "A note.", .help_zh = "备注"},
    OBJ_OUT_HAS(struct point, verified, TIME, "When it was last verified.", "最近校验时间"),
    OBJ_OUT_HAS(struct point, booted, TIME, "When it last came up in a drill.", "最近演练成功时间"),
    {BDR_FIELD(struct point, allowed), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &obj_allowed_shape,
     .flags = BDR_F_READONLY, .help = "What can be asked for now.", .help_zh = "当前可执行的操作"},
    OBJ_END,
};
static const struct bdr_shape point_shape = OBJ_SHAPE(struct point, "Point", point_fields);

struct point_filter {
    uint64_t host, repository;
    int state;
    int64_t from, to;
};
static const struct bdr_choice states[] = {
    {"any", 0, "All that are there.", "全部"},
    {"ok", 1, "Whole.", "正常"},
    {"damaged", 2, "Damaged.", "损坏"},
    {"removed", 3, "Removed.", "已删除"},
    {.name = NULL},
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct point_filter, host), .type = BDR_T_U64, .help = "Only of this host.", .help_zh = "主机编号"},
    {BDR_FIELD(struct point_filter, repository), .type = BDR_T_U64, .help = "Only in this repository.",
     .help_zh = "存储库编号"},
    {BDR_FIELD(struct point_filter, state), .type = BDR_T_ENUM, .choices = states, .def = "any",
     .help = "Only in this state.", .help_zh = "状态"},
    {BDR_FIELD(struct point_filter, from), .type = BDR_T_TIME, .help = "Not older than this.", .help_zh = "开始时间"},
    {BDR_FIELD(struct point_filter, to), .type = BDR_T_TIME, .help = "Not younger than this.", .help_zh = "结束时间"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct point_filter, "PointFilter", filter_fields);

static struct bdr_err *point_fill(struct bdr_req *req, const struct bdr_row_point_view *p, struct point *out)
{
    const char *gone = strcmp(p->state, "removed") ? NULL : "The point was removed.";
    const char *direct = p->gateway_id.set ? NULL : "Its repository is not behind a gateway: use bdr on a machine that reaches it.";

    *out = (struct point){.id = (uint64_t)p->id,
                          .host = (uint64_t)p->host_id,
                          .repository = (uint64_t)p->repository_id,
                          .host_name = p->host_name,
                          .repository_name = p->repository_name,
                          .ref = p->ref,
                          .kind = p->kind,
                          .consistency = p->consistency,
                          .state = p->state,
                          .note = obj_text(p->note),
                          .taken = p->taken_ms,
                          .disk_bytes = (uint64_t)p->disk_bytes,
                          .read_bytes = (uint64_t)p->read_bytes,
                          .stored_bytes = (uint64_t)p->stored_bytes,
                          .held = p->held,
                          .has_held = true};
    OBJ_SET(out, verified, p->verified_ms);
    OBJ_SET(out, booted, p->booted_ms);
    out->allowed.items = bdr_arena_alloc(bdr_req_arena(req), ACTIONS * sizeof(out->allowed.items[0]));
    BDR_NOMEM_IF_NULL(out->allowed.items);
    obj_allow(&out->allowed, ACTIONS, "hold", gone);
    obj_allow(&out->allowed, ACTIONS, "verify", gone ? gone : direct);
    obj_allow(&out->allowed, ACTIONS, "remove",
              gone      ? gone
              : p->held ? "It is held: release it first."
                        : direct);
    return NULL;
}

static struct bdr_err *point_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct point *out)
{
    struct bdr_row_point_view *p = NULL;

    BDR_TRY(bdr_q_point_view_get(tx, id, &p));
    if (!p)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no recovery point %lld", (long long)id);
    BDR_TRY(obj_keep(req, p));
    return point_fill(req, p, out);
}

/* Points are in order of their moments: the cursor is a moment and an id. */
static void cursor_read(const char *text, int64_t *out_ms, int64_t *out_id)
{
    long long ms, id;

    *out_ms = *out_id = INT64_MAX;
    if (text && sscanf(text, "%lld.%lld", &ms, &id) == 2) {
        *out_ms = ms;
        *out_id = id;
    }
}

static struct bdr_err *point_list(struct bdr_req *req, const void *in, void *out)
{
    const struct point_filter *f = bdr_req_filter(req);
    const size_t limit = bdr_req_page(req)->limit;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_point_view *row = NULL;
    struct bdr_page *page = out;
    struct point *items;
    int64_t ms, id;

    (void)in;
    cursor_read(bdr_req_page(req)->cursor, &ms, &id);
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_point_view_list(tx,
                                  &(struct bdr_in_point_view_list){.host_id = (int64_t)f->host,
                                                                   .repository_id = (int64_t)f->repository,
                                                                   .state = f->state ? obj_choice_name(states, f->state) : "",
                                                                   .from_ms = f->from,
                                                                   .to_ms = f->to ? f->to : INT64_MAX,
                                                                   .before_ms = ms,
                                                                   .before_id = id,
                                                                   .limit = (int64_t)limit + 1},
                                  &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(point_fill(req, &row[i], &items[i]));
    if (page->n > limit) {
        page->n = limit;
        page->next = bdr_arena_printf(bdr_req_arena(req), "%lld.%lld", (long long)row[limit - 1].taken_ms,
                                      (long long)row[limit - 1].id);
        BDR_NOMEM_IF_NULL(page->next);
    }
    return NULL;
}

static struct bdr_err *point_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return api_refusal(req, point_get(req, tx, obj_id(req), out));
}

static struct bdr_err *hold_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct point *in = c->in;
    struct point was;
    int64_t n;

    BDR_TRY(point_get(c->req, tx, c->id, &was));
    if (!strcmp(was.state, "removed"))
        BDR_FAIL(BDR_CONFLICT, 0, "recovery point %lld was removed", (long long)c->id);
    BDR_TRY(bdr_q_point_hold(tx, c->id, in->has_held ? in->held : was.held,
                             in->note   ? in->note
                             : was.note ? was.note
                                        : "",
                             &n));
    BDR_TRY(point_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "point.hold", "point", c->id, &point_shape, &was, c->out);
}

static struct bdr_err *point_hold(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out, .id = obj_id(req)};

    BDR_TRY(api_run(req, BDR_TX_WRITE, hold_tx, &c));
    obj_tell(req, "point", c.id, "changed");
    return NULL;
}

/* A job of the repository's gateway about this point. */
static struct bdr_err *point_job(struct bdr_tx *tx, struct obj_change *c, size_t action, const char *kind,
                                 const char *param)
{
    BDR_AUTO(mem) struct bdr_row_point_view *p = NULL;
    BDR_AUTO(buf) struct bdr_buf params = {0};
    struct point was;

    BDR_TRY(point_get(c->req, tx, c->id, &was));
    if (!was.allowed.items[action].allowed)
        BDR_FAIL(BDR_CONFLICT, 0, "recovery point %lld: %s", (long long)c->id, was.allowed.items[action].reason);
    BDR_TRY(bdr_q_point_view_get(tx, c->id, &p));
    BDR_ASSERT(p && p->gateway_id.set);
    bdr_buf_printf(&params, "{\"%s\":[", param);
    bdr_json_put_text(&params, p->ref);
    bdr_buf_printf(&params, "],\"ids\":[%lld]}", (long long)c->id);
    BDR_TRY(bdr_buf_check(&params));
    c->wake_machine = p->gateway_id.v;
    BDR_TRY(obj_job_add(tx, c->req,
                        &(struct bdr_in_job_add){.kind = kind,
                                                 .host_id = BDR_SOME(p->host_id),
                                                 .machine_id = p->gateway_id,
                                                 .repository_id = BDR_SOME(p->repository_id),
                                                 .params = (const char *)params.data},
                        &c->made));
    return api_audit(tx, c->req, !strcmp(kind, "prune") ? "point.remove" : "point.verify", "point", c->id, &point_shape,
                     &was, NULL);
}

static struct bdr_err *verify_tx(struct bdr_tx *tx, void *ctx)
{
    return point_job(tx, ctx, 1, "verify", "points");
}

static struct bdr_err *remove_tx(struct bdr_tx *tx, void *ctx)
{
    return point_job(tx, ctx, 2, "prune", "remove");
}

static struct bdr_err *job_made(struct bdr_req *req, struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), void *out)
{
    struct obj_change c = {.req = req, .id = obj_id(req)};

    BDR_TRY(api_run(req, BDR_TX_WRITE, fn, &c));
    obj_tell(req, "job", c.made, "added");
    obj_wake(req, c.wake_machine, 0);
    return obj_job_show(req, c.made, out);
}

static struct bdr_err *point_verify(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return job_made(req, verify_tx, out);
}

static struct bdr_err *point_remove(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return job_made(req, remove_tx, out);
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/points", "points:read", BDR_R_LIST, .out = &point_shape, .query = &filter_shape, .run = point_list,
     .cli = "point list", .help = "Recovery points, newest first.", .help_zh = "恢复点列表"},
    {BDR_GET, "/v1/points/{id:u64}", "points:read", 0, .out = &point_shape, .run = point_show, .cli = "point show",
     .help = "One recovery point.", .help_zh = "恢复点详情"},
    {BDR_PATCH, "/v1/points/{id:u64}", "points:operate", 0, .in = &point_shape, .out = &point_shape, .run = point_hold,
     .cli = "point hold", .help = "Hold a point, release it, or note something.", .help_zh = "保留恢复点"},
    {BDR_POST, "/v1/points/{id:u64}/verify", "points:operate", BDR_R_IDEMPOTENT, .out = &obj_job_shape,
     .run = point_verify, .status = 202, .cli = "point verify", .help = "Check every block of a point.",
     .help_zh = "校验恢复点"},
    {BDR_DELETE, "/v1/points/{id:u64}", "points:admin", 0, .out = &obj_job_shape, .run = point_remove, .status = 202,
     .cli = "point remove", .help = "Remove a point; its gateway does it as a job.", .help_zh = "删除恢复点"},
};
const struct bdr_route_table api_points_table = BDR_ROUTES("points", rows);
