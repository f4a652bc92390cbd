/* SPDX-License-Identifier: Apache-2.0 */
/* policies.c - how often, when, how fast and how long points are made and kept. */
#include "api/objects.h"
#include "policy/policy.h"
#include "policy/zone.h"
#include <stdio.h>
#include <string.h>

#define RUNS 5 /* of a preview */

struct policy {
    uint64_t id, interval_ms, rpo_ms, hosts;
    const char *name, *cron, *zone, *windows, *bandwidth, *retention, *compression;
    int consistency;
    uint32_t tries;
    bool encrypt;
    bool has_interval_ms, has_rpo_ms, has_consistency, has_tries, has_encrypt, has_hosts;
    int64_t created, changed;
};
static const struct bdr_shape_field policy_fields[] = {
    OBJ_ID(struct policy),
    {BDR_FIELD(struct policy, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 128,
     .help = "Its name.", .help_zh = "策略名称"},
    {BDR_FIELD_HAS(struct policy, interval_ms), .type = BDR_T_DURATION, .max = INT64_C(31622400000),
     .help = "A run every so often, a minute at least; 0: by cron alone.", .help_zh = "同步间隔"},
    {BDR_FIELD(struct policy, cron), .type = BDR_T_TEXT, .len_max = 256,
     .help = "Runs at these times, like: 30 2 * * mon-fri.", .help_zh = "定时计划（cron）"},
    {BDR_FIELD(struct policy, zone), .type = BDR_T_TEXT, .len_max = 63, .def = "UTC",
     .help = "Time zone of cron, windows and bandwidth, like Asia/Shanghai.", .help_zh = "时区"},
    {BDR_FIELD(struct policy, windows), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = 1000,
     .help = "When runs may begin, like: mon-fri 20:00-06:00. Empty: always.", .help_zh = "允许同步的时间窗口"},
    {BDR_FIELD(struct policy, bandwidth), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = 1000,
     .help = "Bytes a second by time, like: mon-fri 08:00-18:00 10M. Empty: unlimited.", .help_zh = "带宽限制"},
    {BDR_FIELD(struct policy, retention), .type = BDR_T_TEXT, .len_max = 256,
     .help = "Points to keep, like: last=3 daily=7 weekly=4 within=30d. Empty: all.", .help_zh = "保留规则"},
    {BDR_FIELD(struct policy, compression), .type = BDR_T_TEXT, .len_max = 16, .def = "zstd",
     .pattern = "^(none|lz4(:([1-9]|[1-5][0-9]|6[0-4]))?|zstd(:([1-9]|1[0-9]))?)$", .help = "none, lz4[:ACCELERATION] or zstd[:LEVEL].", .help_zh = "压缩"},
    {BDR_FIELD_HAS(struct policy, encrypt), .type = BDR_T_BOOL, .def = "true",
     .help = "Points go to encrypted repositories only.", .help_zh = "加密"},
    {BDR_FIELD_HAS(struct policy, consistency), .type = BDR_T_ENUM, .choices = obj_consistencies, .def = "crash",
     .help = "What a point should be worth.", .help_zh = "一致性级别"},
    {BDR_FIELD_HAS(struct policy, rpo_ms), .type = BDR_T_DURATION, .max = INT64_C(31622400000),
     .help = "Alarm when the newest point is older; 0: twice the interval.", .help_zh = "RPO告警阈值"},
    {BDR_FIELD_HAS(struct policy, tries), .type = BDR_T_U32, .min = 1, .max = 100, .def = "5",
     .help = "Tries of a run before it has failed.", .help_zh = "最大尝试次数"},
    OBJ_OUT_HAS(struct policy, hosts, U64, "Hosts under it.", "主机数量"),
    OBJ_OUT(struct policy, created, TIME, "When it was made.", "创建时间"),
    OBJ_OUT(struct policy, changed, TIME, "When it was changed.", "修改时间"),
    OBJ_END,
};
static const struct bdr_shape policy_shape = OBJ_SHAPE(struct policy, "Policy", policy_fields);

struct policy_filter {
    const char *name;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct policy_filter, name), .type = BDR_T_TEXT, .len_max = 128, .help = "A part of the name.",
     .help_zh = "名称"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct policy_filter, "PolicyFilter", filter_fields);

static void policy_fill(const struct bdr_row_policy *p, struct policy *out)
{
    *out = (struct policy){.id = (uint64_t)p->id,
                           .name = p->name,
                           .interval_ms = (uint64_t)p->interval_ms,
                           .cron = p->cron,
                           .zone = p->zone,
                           .windows = p->windows,
                           .bandwidth = p->bandwidth,
                           .retention = p->retention,
                           .compression = p->compression,
                           .encrypt = p->encrypt,
                           .consistency = obj_choice_of(obj_consistencies, p->consistency),
                           .rpo_ms = (uint64_t)p->rpo_ms,
                           .tries = (uint32_t)p->tries,
                           .has_interval_ms = true,
                           .has_rpo_ms = true,
                           .has_consistency = true,
                           .has_tries = true,
                           .has_encrypt = true,
                           .created = p->created_ms,
                           .changed = p->changed_ms};
}

static struct bdr_err *policy_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct policy *out)
{
    struct bdr_row_policy *p = NULL;
    int64_t hosts = 0;

    BDR_TRY(bdr_q_policy_get(tx, id, &p));
    if (!p)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no policy %lld", (long long)id);
    BDR_TRY(obj_keep(req, p));
    policy_fill(p, out);
    BDR_TRY(bdr_q_policy_hosts(tx, id, &hosts));
    out->hosts = (uint64_t)hosts;
    out->has_hosts = true;
    return NULL;
}

static struct bdr_err *policy_list(struct bdr_req *req, const void *in, void *out)
{
    const struct policy_filter *f = bdr_req_filter(req);
    const char *like = obj_like(req, f->name);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_policy *row = NULL;
    struct bdr_page *page = out;
    struct policy *items;

    (void)in;
    BDR_NOMEM_IF_NULL(like);
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_policy_view_list(tx, like, api_cursor(req, 0), bdr_req_page(req)->limit + 1, &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++) {
        int64_t hosts = 0;

        policy_fill(&row[i], &items[i]);
        BDR_TRY(bdr_q_policy_hosts(tx, row[i].id, &hosts));
        items[i].hosts = (uint64_t)hosts;
        items[i].has_hosts = true;
    }
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

static struct bdr_err *policy_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return api_refusal(req, policy_get(req, tx, obj_id(req), out));
}

/* ---- what is right ---- */

/* Tells a parser's sentence at the field; *out_bad counts. Other errors than INVAL are none of the person's. */
static struct bdr_err *at_field(struct bdr_req *req, struct bdr_err *err, const char *pointer, unsigned *out_bad)
{
    char text[400];

    if (!err || (err->code != BDR_INVAL && err->code != BDR_RANGE))
        return err;
    bdr_req_fault(req, pointer, BDR_INVAL, "%s", bdr_err_text(err, text, sizeof(text)));
    bdr_err_drop(err, "told at the field");
    ++*out_bad;
    return NULL;
}

/* Every text is looked at, so that all mistakes are told at once. */
static struct bdr_err *policy_check(struct bdr_req *req, const struct policy *p)
{
    struct bdr_hours hours;
    struct bdr_retention retention;
    struct bdr_cron cron;
    unsigned bad = 0;

    if (p->interval_ms && p->interval_ms < BDR_POLICY_INTERVAL_MIN_MS) {
        bdr_req_fault(req, "/interval_ms", BDR_INVAL, "is less than a minute");
        bad++;
    }
    if (!p->interval_ms && !*p->cron) {
        bdr_req_fault(req, "/interval_ms", BDR_INVAL, "is needed, or cron: a policy without a time never runs");
        bad++;
    }
    if (p->rpo_ms && p->interval_ms && p->rpo_ms < p->interval_ms) {
        bdr_req_fault(req, "/rpo_ms", BDR_INVAL, "is shorter than the interval: it would always be missed");
        bad++;
    }
    if (*p->cron)
        BDR_TRY(at_field(req, bdr_cron_parse(p->cron, &cron), "/cron", &bad));
    BDR_TRY(at_field(req, bdr_zone_check(p->zone), "/zone", &bad));
    BDR_TRY(at_field(req, bdr_windows_parse(p->windows, &hours), "/windows", &bad));
    BDR_TRY(at_field(req, bdr_bandwidth_parse(p->bandwidth, &hours), "/bandwidth", &bad));
    BDR_TRY(at_field(req, bdr_retention_parse(p->retention, &retention), "/retention", &bad));
    if (bad)
        BDR_REFUSE(req, BDR_INVAL, "The policy is not right; see what is said of its fields.");
    return NULL;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* Texts that were not given are empty, or their default. */
static struct policy whole(const struct policy *in)
{
    struct policy p = *in;

    p.cron = or_empty(p.cron);
    p.zone = p.zone && *p.zone ? p.zone : "UTC";
    p.windows = or_empty(p.windows);
    p.bandwidth = or_empty(p.bandwidth);
    p.retention = or_empty(p.retention);
    p.compression = p.compression && *p.compression ? p.compression : "zstd";
    p.has_interval_ms = p.has_rpo_ms = p.has_consistency = p.has_tries = p.has_encrypt = true;
    return p;
}

/* ---- changes ---- */

static struct bdr_err *name_taken(struct bdr_req *req, struct bdr_err *err, const char *name)
{
    if (err && err->code == BDR_EXISTS) {
        bdr_err_drop(err, "said in better words");
        bdr_req_fault(req, "/name", BDR_EXISTS, "is the name of another policy");
        BDR_REFUSE(req, BDR_EXISTS, "There is a policy of the name %s already.", name);
    }
    return err;
}

static struct bdr_err *add_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct policy *p = c->in;

    BDR_TRY(bdr_q_policy_add(tx,
                             &(struct bdr_in_policy_add){.name = p->name,
                                                         .interval_ms = (int64_t)p->interval_ms,
                                                         .cron = p->cron,
                                                         .zone = p->zone,
                                                         .windows = p->windows,
                                                         .bandwidth = p->bandwidth,
                                                         .retention = p->retention,
                                                         .compression = p->compression,
                                                         .encrypt = p->encrypt,
                                                         .consistency = obj_choice_name(obj_consistencies, p->consistency),
                                                         .rpo_ms = (int64_t)p->rpo_ms,
                                                         .tries = p->tries,
                                                         .now_ms = api_now()},
                             &c->made));
    BDR_TRY(policy_get(c->req, tx, c->made, c->out));
    return api_audit(tx, c->req, "policy.add", "policy", c->made, &policy_shape, NULL, c->out);
}

static struct bdr_err *policy_add(struct bdr_req *req, const void *in, void *out)
{
    struct policy p = whole(in);
    struct obj_change c = {.req = req, .in = &p, .out = out};

    BDR_TRY(policy_check(req, &p));
    BDR_TRY(api_refusal(req, name_taken(req, bdr_db_run(api_console(req)->db, BDR_TX_WRITE, add_tx, &c), p.name)));
    obj_tell(req, "policy", c.made, "added");
    return NULL;
}

/* What was given over what was there. */
static struct policy merged(const struct policy *was, const struct policy *in)
{
    struct policy p = *was;

    p.name = in->name ? in->name : p.name;
    p.cron = in->cron ? in->cron : p.cron;
    p.zone = in->zone ? in->zone : p.zone;
    p.windows = in->windows ? in->windows : p.windows;
    p.bandwidth = in->bandwidth ? in->bandwidth : p.bandwidth;
    p.retention = in->retention ? in->retention : p.retention;
    p.compression = in->compression ? in->compression : p.compression;
    p.interval_ms = in->has_interval_ms ? in->interval_ms : p.interval_ms;
    p.rpo_ms = in->has_rpo_ms ? in->rpo_ms : p.rpo_ms;
    p.consistency = in->has_consistency ? in->consistency : p.consistency;
    p.tries = in->has_tries ? in->tries : p.tries;
    p.encrypt = in->has_encrypt ? in->encrypt : p.encrypt;
    return whole(&p);
}

static struct bdr_err *set_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    struct policy was, p;
    int64_t n;

    BDR_TRY(policy_get(c->req, tx, c->id, &was));
    p = merged(&was, c->in);
    BDR_TRY(policy_check(c->req, &p));
    BDR_TRY(bdr_q_policy_update(
        tx,
        &(struct bdr_in_policy_update){.id = c->id,
                                       .name = p.name,
                                       .interval_ms = (int64_t)p.interval_ms,
                                       .cron = p.cron,
                                       .zone = p.zone,
                                       .windows = p.windows,
                                       .bandwidth = p.bandwidth,
                                       .retention = p.retention,
                                       .compression = p.compression,
                                       .encrypt = p.encrypt,
                                       .consistency = obj_choice_name(obj_consistencies, p.consistency),
                                       .rpo_ms = (int64_t)p.rpo_ms,
                                       .tries = p.tries,
                                       .now_ms = api_now()},
        &n));
    BDR_TRY(policy_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "policy.update", "policy", c->id, &policy_shape, &was, c->out);
}

static struct bdr_err *policy_set(struct bdr_req *req, const void *in, void *out)
{
    const struct policy *p = in;
    struct obj_change c = {.req = req, .in = in, .out = out, .id = obj_id(req)};
    struct bdr_err *err = bdr_db_run(api_console(req)->db, BDR_TX_WRITE, set_tx, &c);

    BDR_TRY(api_refusal(req, name_taken(req, err, or_empty(p->name))));
    obj_tell(req, "policy", c.id, "changed");
    return NULL;
}

static struct bdr_err *remove_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    struct policy was;
    int64_t n;

    BDR_TRY(policy_get(c->req, tx, c->id, &was));
    if (was.hosts)
        BDR_FAIL(BDR_CONFLICT, 0, "%llu hosts are protected by policy %s; give them another one first",
                 (unsigned long long)was.hosts, was.name);
    BDR_TRY(bdr_q_policy_delete(tx, c->id, &n));
    return api_audit(tx, c->req, "policy.delete", "policy", c->id, &policy_shape, &was, NULL);
}

static struct bdr_err *policy_remove(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .id = obj_id(req)};

    (void)in, (void)out;
    BDR_TRY(api_run(req, BDR_TX_WRITE, remove_tx, &c));
    obj_tell(req, "policy", c.id, "removed");
    return NULL;
}

/* ---- the next runs ---- */

struct runs {
    BDR_ARRAY(int64_t) runs;
    uint64_t bandwidth_bps;
    bool has_bandwidth_bps;
};
static const struct bdr_shape_field runs_fields[] = {
    {BDR_FIELD(struct runs, runs), .type = BDR_T_ARRAY, .of = BDR_T_TIME, .flags = BDR_F_READONLY,
     .help = "When the next five runs would begin.", .help_zh = "接下来五次同步时间"},
    OBJ_OUT_HAS(struct runs, bandwidth_bps, SIZE, "The limit now, bytes a second.", "当前带宽限制"),
    OBJ_END,
};
static const struct bdr_shape runs_shape = OBJ_SHAPE(struct runs, "PolicyRuns", runs_fields);

static struct bdr_err *runs_of(struct bdr_req *req, const struct policy *p, struct runs *out)
{
    int64_t now_ms = api_now(), at = now_ms, last = 0, due = 0, missed;
    struct bdr_policy policy;

    BDR_TRY(bdr_policy_parse(&(struct bdr_policy_text){(int64_t)p->interval_ms, (int64_t)p->rpo_ms, p->cron, p->zone,
                                                       p->windows, p->bandwidth, p->retention},
                             &policy));
    out->runs.items = bdr_arena_alloc(bdr_req_arena(req), RUNS * sizeof(out->runs.items[0]));
    BDR_NOMEM_IF_NULL(out->runs.items);
    while (out->runs.n < RUNS) {
        BDR_TRY(bdr_policy_next(&policy, now_ms, last, at, &due, &missed));
        if (due < 0)
            break;
        out->runs.items[out->runs.n++] = due;
        last = at = due;
    }
    BDR_TRY(bdr_policy_bandwidth(&policy, now_ms, &out->bandwidth_bps));
    out->has_bandwidth_bps = out->bandwidth_bps != UINT64_MAX;
    return NULL;
}

static struct bdr_err *policy_preview(struct bdr_req *req, const void *in, void *out)
{
    struct policy p = whole(in);

    BDR_TRY(policy_check(req, &p));
    return api_refusal(req, runs_of(req, &p, out));
}

static struct bdr_err *policy_runs(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct policy p;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(api_refusal(req, policy_get(req, tx, obj_id(req), &p)));
    return runs_of(req, &p, out);
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/policies", "policies:read", BDR_R_LIST, .out = &policy_shape, .query = &filter_shape,
     .run = policy_list, .cli = "policy list", .help = "Policies.", .help_zh = "策略列表"},
    {BDR_POST, "/v1/policies", "policies:admin", BDR_R_IDEMPOTENT, .in = &policy_shape, .out = &policy_shape,
     .run = policy_add, .status = 201, .cli = "policy add", .help = "Make a policy.", .help_zh = "添加策略"},
    {BDR_POST, "/v1/policies/preview", "policies:read", 0, .in = &policy_shape, .out = &runs_shape,
     .run = policy_preview, .help = "When a policy that is being written would run.", .help_zh = "策略预览"},
    {BDR_GET, "/v1/policies/{id:u64}", "policies:read", 0, .out = &policy_shape, .run = policy_show,
     .cli = "policy show", .help = "One policy.", .help_zh = "策略详情"},
    {BDR_GET, "/v1/policies/{id:u64}/runs", "policies:read", 0, .out = &runs_shape, .run = policy_runs,
     .cli = "policy runs", .help = "The next five runs of a policy.", .help_zh = "接下来的同步时间"},
    {BDR_PATCH, "/v1/policies/{id:u64}", "policies:admin", 0, .in = &policy_shape, .out = &policy_shape,
     .run = policy_set, .cli = "policy update", .help = "Change a policy.", .help_zh = "修改策略"},
    {BDR_DELETE, "/v1/policies/{id:u64}", "policies:admin", 0, .run = policy_remove, .cli = "policy remove",
     .help = "Delete a policy that no host needs.", .help_zh = "删除策略"},
};
const struct bdr_route_table api_policies_table = BDR_ROUTES("policies", rows);
