/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shares.c - points served by their gateway, read-only, until somebody stops it or the time is over: a disk over NBD, or files.
 *
 * A share is a recovery of kind `share` and a job that lasts as long as it does. NBD takes TLS with a key that is made for
 * this share, sealed (owner "recovery", field "psk"), told once to whoever asked and to the gateway, and deleted at the end.
 */
#include "api/objects.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "secret.h"
#include <stdio.h>
#include <string.h>

#define SHARE_FOR_S     (8 * 3600)
#define SHARE_FOR_MAX_S (30 * 86400)
#define SHARE_KEY_BYTES 32
#define SHARE_TRIES     1000 /* each death of the gateway takes one */

enum { NBD, MOUNT };
static const struct bdr_choice targets[] = {
    {"nbd", NBD, "A disk over NBD, with TLS and a key of its own.", "NBD"},
    {"mount", MOUNT, "Files in a folder of the gateway.", "挂载"},
    {.name = NULL},
};

struct share {
    uint64_t id, host, point, disk, job, port;
    uint32_t for_s;
    int target;
    const char *host_name, *state, *uri, *path, *command, *secret, *text, *account;
    bool has_point, has_disk, has_job, has_port, has_target, has_until, has_ended;
    int64_t created, until, ended;
    struct obj_allowed_list allowed;
};
static const struct bdr_shape_field share_fields[] = {
    OBJ_ID(struct share),
    {BDR_FIELD(struct share, host), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .min = 1, .help = "Which host.",
     .help_zh = "主机编号"},
    OBJ_OUT(struct share, host_name, TEXT, "The host's name.", "主机名称"),
    {BDR_FIELD_HAS(struct share, point), .type = BDR_T_U64, .help = "Which point; without it the newest.",
     .help_zh = "恢复点编号"},
    {BDR_FIELD_HAS(struct share, disk), .type = BDR_T_U64, .help = "NBD: which disk; need not be said for a host with one.",
     .help_zh = "磁盘编号"},
    {BDR_FIELD_HAS(struct share, target), .type = BDR_T_ENUM, .choices = targets, .def = "nbd", .help = "As what.",
     .help_zh = "共享方式"},
    {BDR_FIELD(struct share, for_s), .type = BDR_T_U32, .def = "28800", .min = 60, .max = SHARE_FOR_MAX_S,
     .help = "For how many seconds.", .help_zh = "时长(秒)"},
    OBJ_OUT(struct share, state, TEXT, "waiting, up, ended or failed.", "状态"),
    OBJ_OUT(struct share, text, TEXT, "Why.", "说明"),
    OBJ_OUT(struct share, uri, TEXT, "NBD: where it is served.", "NBD地址"),
    OBJ_OUT_HAS(struct share, port, U64, "NBD: the gateway's port.", "端口"),
    OBJ_OUT(struct share, path, TEXT, "Files: the folder at the gateway.", "目录"),
    {BDR_FIELD(struct share, secret), .type = BDR_T_TEXT, .flags = BDR_F_READONLY, .len_max = 256,
     .help = "NBD: the line for the client's file of keys. Shown once.", .help_zh = "密钥(仅显示一次)"},
    {BDR_FIELD(struct share, command), .type = BDR_T_TEXT, .flags = BDR_F_READONLY, .len_max = 1024,
     .help = "How to read it; NBD: with the secret in the file that it names, which only its owner can read.",
     .help_zh = "使用命令"},
    OBJ_OUT_HAS(struct share, job, U64, "The job that does it.", "任务编号"),
    OBJ_OUT(struct share, account, TEXT, "Who asked for it.", "发起者"),
    OBJ_OUT(struct share, created, TIME, "When it was asked for.", "创建时间"),
    OBJ_OUT_HAS(struct share, until, TIME, "When its time is over.", "到期时间"),
    OBJ_OUT_HAS(struct share, ended, TIME, "When it ended.", "结束时间"),
    {BDR_FIELD(struct share, allowed), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &obj_allowed_shape,
     .flags = BDR_F_READONLY, .help = "What can be asked for now.", .help_zh = "当前可执行的操作"},
    OBJ_END,
};
static const struct bdr_shape share_shape = OBJ_SHAPE(struct share, "Share", share_fields);

static struct bdr_seal_place key_place(int64_t id)
{
    return (struct bdr_seal_place){"recovery", id, "psk"};
}

/* ---- showing ---- */

/* The name by which clients reach the gateway of the job: that of its data address, or where it connects from. */
static struct bdr_err *gateway_host(struct bdr_req *req, struct bdr_tx *tx, int64_t machine, const char **out)
{
    BDR_AUTO(mem) struct bdr_row_gateway_view *g = NULL;
    const char *at = NULL;
    size_t len = 0;

    BDR_TRY(bdr_q_gateway_view_get(tx, machine, &g));
    if (g && *g->https) {
        at = g->https;
        len = *at == '[' ? strcspn(at, "]") + 1 : strcspn(at, ":/");
    } else if (g) {
        at = g->addr;
        len = strlen(at);
    }
    *out = bdr_arena_text(bdr_req_arena(req), at ? at : "", len);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

/* Where its gateway says that it is; only what the worker of now said counts. */
static struct bdr_err *share_where(struct bdr_req *req, struct bdr_tx *tx, const struct bdr_row_job *job, struct share *out)
{
    struct bdr_arena *arena = bdr_req_arena(req);
    const char *host = "";
    json_t *said = NULL;

    BDR_TRY(obj_json(req, job->checkpoint, &said));
    OBJ_SET(out, port, (uint64_t)json_integer_value(json_object_get(said, "port")));
    out->path = json_string_value(json_object_get(said, "path"));
    if (out->path) {
        out->command = bdr_arena_printf(arena, "ls %s", out->path);
        BDR_NOMEM_IF_NULL(out->command);
    }
    if (!out->port)
        return NULL;
    if (job->machine_id.set)
        BDR_TRY(gateway_host(req, tx, job->machine_id.v, &host));
    out->uri = bdr_arena_printf(arena, "nbds://share-%llu@%s:%llu/?tls-psk-file=share-%llu.psk", (unsigned long long)out->id,
                                host, (unsigned long long)out->port, (unsigned long long)out->id);
    BDR_NOMEM_IF_NULL(out->uri);
    out->command = bdr_arena_printf(arena, "nbdcopy '%s' disk.img", out->uri);
    BDR_NOMEM_IF_NULL(out->command);
    return NULL;
}

static struct bdr_err *share_fill(struct bdr_req *req, struct bdr_tx *tx, const struct bdr_row_recovery_view *r,
                                  struct share *out)
{
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    bool over = !strcmp(r->state, "ended") || !strcmp(r->state, "failed"), held = false;
    enum bdr_job_state state = BDR_JOB_READY;
    json_t *params = NULL;

    if (r->job_id.set)
        BDR_TRY(bdr_q_job_get(tx, r->job_id.v, &job));
    BDR_TRY(obj_json(req, r->params, &params));
    *out = (struct share){.id = (uint64_t)r->id,
                          .host = (uint64_t)r->host_id,
                          .host_name = r->host_name,
                          .target = obj_choice_of(targets, r->target),
                          .has_target = true,
                          .account = obj_text(r->account),
                          .created = r->created_ms};
    out->for_s = (uint32_t)json_integer_value(json_object_get(params, "for_s"));
    OBJ_SET(out, point, (uint64_t)(r->point_id.set ? r->point_id.v : 0));
    OBJ_SET(out, job, (uint64_t)(r->job_id.set ? r->job_id.v : 0));
    OBJ_SET(out, disk, (uint64_t)json_integer_value(json_object_get(params, "disk")));
    OBJ_SET(out, until, (int64_t)json_integer_value(json_object_get(params, "until")));
    OBJ_SET(out, ended, r->ended_ms.set ? r->ended_ms.v : 0);
    if (job && bdr_job_state_of(job->state, &state))
        held = bdr_job_held(state);
    if (job && held && !over)
        BDR_TRY(share_where(req, tx, job, out));
    over = over || (job && bdr_job_ends(state));
    out->state = out->uri || out->path                                   ? "up"
                 : !over                                                 ? "waiting"
                 : state == BDR_JOB_DONE || state == BDR_JOB_CANCELLED   ? "ended"
                                                                         : "failed";
    if (job && *job->error_text && strcmp(out->state, "up") != 0 && strcmp(out->state, "ended") != 0) {
        out->text = bdr_arena_text(bdr_req_arena(req), job->error_text, strlen(job->error_text));
        BDR_NOMEM_IF_NULL(out->text);
    }
    out->allowed.items = bdr_arena_alloc(bdr_req_arena(req), sizeof(out->allowed.items[0]));
    BDR_NOMEM_IF_NULL(out->allowed.items);
    obj_allow(&out->allowed, 1, "stop", over ? "It has ended." : NULL);
    return NULL;
}

static struct bdr_err *share_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct share *out)
{
    struct bdr_row_recovery_view *r = NULL;

    BDR_TRY(bdr_q_recovery_view_get(tx, id, &r));
    if (r)
        BDR_TRY(obj_keep(req, r));
    if (!r || strcmp(r->kind, "share") != 0)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no share %lld", (long long)id);
    return share_fill(req, tx, r, out);
}

static struct bdr_err *share_list(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_recovery_view *row = NULL;
    struct bdr_page *page = out;
    struct share *items;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_recovery_view_list(tx,
                                     &(struct bdr_in_recovery_view_list){.kind = "share",
                                                                         .state = "",
                                                                         .before = api_cursor(req, INT64_MAX),
                                                                         .limit = bdr_req_page(req)->limit + 1},
                                     &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(share_fill(req, tx, &row[i], &items[i]));
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

static struct bdr_err *share_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return api_refusal(req, share_get(req, tx, obj_id(req), out));
}

/* ---- add ---- */

static struct bdr_err *point_find(struct bdr_tx *tx, const struct share *in, struct bdr_row_point_view **out)
{
    int64_t id = (int64_t)in->point;
    bool found = true;

    if (!id)
        BDR_TRY(bdr_q_host_newest_point(tx, (int64_t)in->host, &id, &found));
    if (!found)
        BDR_FAIL(BDR_CONFLICT, 0, "host %llu has no recovery point yet", (unsigned long long)in->host);
    BDR_TRY(bdr_q_point_view_get(tx, id, out));
    if (!*out || (*out)->host_id != (int64_t)in->host)
        BDR_FAIL(BDR_INVAL, 0, "host %llu has no recovery point %lld", (unsigned long long)in->host, (long long)id);
    if (strcmp((*out)->state, "ok") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "recovery point %lld is %s; choose another one", (long long)id, (*out)->state);
    if (!(*out)->gateway_id.set)
        BDR_FAIL(BDR_CONFLICT, 0, "repository %s is not behind a gateway; run 'bdr serve' on a machine that reaches it",
                 (*out)->repository_name);
    return NULL;
}

static struct bdr_err *params_make(struct bdr_tx *tx, const struct share *in, const struct bdr_row_point_view *p,
                                   char **out)
{
    BDR_AUTO(mem) struct bdr_row_disk *d = NULL;
    json_t *o;

    if (in->disk) {
        BDR_TRY(bdr_q_disk_get(tx, p->host_id, (int64_t)in->disk, &d));
        if (!d)
            BDR_FAIL(BDR_INVAL, 0, "host %s has no disk %llu", p->host_name, (unsigned long long)in->disk);
    }
    o = json_pack("{s:s,s:s,s:I,s:I,s:I,s:s*}", "target", obj_choice_name(targets, in->target), "point", p->ref, "point_id",
                  (json_int_t)p->id, "for_s", (json_int_t)in->for_s, "until", (json_int_t)(api_now() + in->for_s * 1000ll),
                  "disk_name", d ? d->name : NULL);
    if (o && d && json_object_set_new(o, "disk", json_integer((json_int_t)in->disk)))
        *out = NULL;
    else
        *out = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

/* "share-7:<64 hex>", as GnuTLS wants a line of its file of keys. */
static struct bdr_err *key_make(struct bdr_tx *tx, struct bdr_req *req, int64_t id, const char **out)
{
    const struct bdr_seal_place at = key_place(id);
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    uint8_t raw[SHARE_KEY_BYTES];
    char hex[2 * SHARE_KEY_BYTES + 1];

    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    *out = bdr_arena_printf(bdr_req_arena(req), "share-%lld:%s", (long long)id, bdr_hex(raw, sizeof(raw), hex));
    bdr_wipe(raw, sizeof(raw));
    bdr_wipe(hex, sizeof(hex));
    BDR_NOMEM_IF_NULL(*out);
    BDR_TRY(bdr_secret_set(&secret, *out, strlen(*out)));
    return bdr_secret_put(tx, api_console(req)->ring, &at, &secret, api_now());
}

static struct bdr_err *add_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_point_view *p = NULL;
    BDR_AUTO(mem) char *params = NULL;
    struct obj_change *c = ctx;
    const struct share *in = c->in;
    const char *key = NULL;
    int64_t job;

    BDR_TRY(point_find(tx, in, &p));
    BDR_TRY(params_make(tx, in, p, &params));
    BDR_TRY(bdr_q_recovery_add(tx,
                               &(struct bdr_in_recovery_add){.kind = "share",
                                                             .host_id = p->host_id,
                                                             .point_id = BDR_SOME(p->id),
                                                             .target = obj_choice_name(targets, in->target),
                                                             .params = params,
                                                             .network = "",
                                                             .account = bdr_req_who_name(c->req),
                                                             .now_ms = api_now()},
                               &c->made));
    c->wake_machine = p->gateway_id.v;
    if (in->target == NBD)
        BDR_TRY(key_make(tx, c->req, c->made, &key));
    BDR_TRY(obj_job_add(tx, c->req,
                        &(struct bdr_in_job_add){.kind = "share",
                                                 .host_id = BDR_SOME(p->host_id),
                                                 .machine_id = p->gateway_id,
                                                 .repository_id = BDR_SOME(p->repository_id),
                                                 .recovery_id = BDR_SOME(c->made),
                                                 .params = params,
                                                 .max_tries = SHARE_TRIES,
                                                 .priority = 100},
                        &job));
    BDR_TRY(share_get(c->req, tx, c->made, c->out));
    BDR_TRY(api_audit(tx, c->req, "share.add", "recovery", c->made, &share_shape, NULL, c->out));
    ((struct share *)c->out)->secret = key;
    return NULL;
}

static struct bdr_err *share_add(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out};

    if (((const struct share *)in)->target == MOUNT && ((const struct share *)in)->disk) {
        bdr_req_fault(req, "/disk", BDR_INVAL, "is for NBD; files are of all disks");
        BDR_REFUSE(req, BDR_INVAL, "Files show all disks of the point; leave disk out.");
    }
    BDR_TRY(api_run(req, BDR_TX_WRITE, add_tx, &c));
    obj_tell(req, "recovery", c.made, "added");
    obj_wake(req, c.wake_machine, 0);
    return NULL;
}

/* ---- stop ---- */

static struct bdr_err *stop_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    enum bdr_job_state now = BDR_JOB_CANCELLED;
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    struct share was;
    int64_t n;

    BDR_TRY(share_get(c->req, tx, c->id, &was));
    if (!was.allowed.items[0].allowed)
        BDR_FAIL(BDR_CONFLICT, 0, "share %lld has ended", (long long)c->id);
    if (was.job) {
        BDR_TRY(bdr_q_job_get(tx, (int64_t)was.job, &job));
        BDR_TRY(bdr_job_person_says(tx, (int64_t)was.job, BDR_JOB_ON_CANCEL, bdr_req_who_name(c->req), api_now(), &now));
    }
    if (bdr_job_held(now))
        c->wake_machine = job && job->worker_id.set ? job->worker_id.v : 0;
    else {
        BDR_TRY(bdr_q_sealed_delete(tx, "recovery", c->id, &n));
        BDR_TRY(bdr_q_recovery_set(
            tx, &(struct bdr_in_recovery_set){.id = c->id, .state = "ended", .ended_ms = BDR_SOME(api_now()), .report = ""},
            &n));
    }
    BDR_TRY(share_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "share.stop", "recovery", c->id, &share_shape, &was, c->out);
}

static struct bdr_err *share_stop(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .out = out, .id = obj_id(req)};
    const struct share *s = out;
    char json[48];

    (void)in;
    BDR_TRY(api_run(req, BDR_TX_LOCK, stop_tx, &c));
    obj_tell(req, "recovery", c.id, "changed");
    obj_tell(req, "job", (int64_t)s->job, "changed");
    snprintf(json, sizeof(json), "{\"id\":%llu}", (unsigned long long)s->job);
    if (c.wake_machine)
        bdr_hub_tell_machine(api_console(req)->hub, c.wake_machine, "job", json);
    return NULL;
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/shares", "recoveries:read", BDR_R_LIST, .out = &share_shape, .run = share_list, .cli = "share list",
     .help = "Points that are served or were, newest first.", .help_zh = "共享列表"},
    {BDR_POST, "/v1/shares", "recoveries:operate", 0, .in = &share_shape, .out = &share_shape, .run = share_add,
     .status = 201, .cli = "share add", .help = "Have a point served by its gateway, read-only: over NBD or as files.",
     .help_zh = "共享恢复点"},
    {BDR_GET, "/v1/shares/{id:u64}", "recoveries:read", 0, .out = &share_shape, .run = share_show, .cli = "share show",
     .help = "One share, and how to reach it.", .help_zh = "共享详情"},
    {BDR_POST, "/v1/shares/{id:u64}/stop", "recoveries:operate", 0, .out = &share_shape, .run = share_stop,
     .cli = "share stop", .help = "Serve it no longer.", .help_zh = "停止共享"},
};
const struct bdr_route_table api_shares_table = BDR_ROUTES("shares", rows);
