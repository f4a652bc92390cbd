/* SPDX-License-Identifier: Apache-2.0 */
/* proxies.c - Sync Proxies: load, settings, what they are bound to, and their end. */
#include "api/objects.h"
#include "rules/machine.h"
#include <stdio.h>
#include <string.h>

#define ACTIONS 2

struct bound {
    uint64_t platform, jobs;
    const char *name, *reason;
    bool unbind;
};
static const struct bdr_shape_field bound_fields[] = {
    OBJ_OUT(struct bound, platform, U64, "The platform.", "平台编号"),
    OBJ_OUT(struct bound, name, TEXT, "Its name.", "平台名称"),
    OBJ_OUT(struct bound, jobs, U64, "Jobs the proxy runs for it.", "运行中任务数"),
    OBJ_OUT(struct bound, unbind, BOOL, "It can be unbound now.", "可解绑"),
    OBJ_OUT(struct bound, reason, TEXT, "Why not.", "不可解绑原因"),
    OBJ_END,
};
static const struct bdr_shape bound_shape = OBJ_SHAPE(struct bound, "ProxyBinding", bound_fields);

struct proxy {
    uint64_t id, busy_disks, jobs, load_pct;
    const char *name, *address, *os, *version, *state, *warning;
    uint32_t http_timeout_s, max_disks;
    bool drain, has_http_timeout_s, has_max_disks, has_drain, has_seen;
    int64_t seen;
    json_t *load;
    BDR_ARRAY(struct bound) platforms;
    struct obj_allowed_list allowed;
};
static const struct bdr_shape_field proxy_fields[] = {
    OBJ_ID(struct proxy),
    OBJ_OUT(struct proxy, name, TEXT, "Its name.", "名称"),
    OBJ_OUT(struct proxy, address, TEXT, "Where it connects from.", "IP地址"),
    OBJ_OUT(struct proxy, os, TEXT, "Its operating system.", "操作系统"),
    OBJ_OUT(struct proxy, version, TEXT, "The program's version.", "版本"),
    OBJ_OUT(struct proxy, state, TEXT, "alive, silent or revoked.", "状态"),
    {BDR_FIELD_HAS(struct proxy, http_timeout_s), .type = BDR_T_U32, .min = 1, .max = 86400,
     .help = "Seconds without an answer after which it gives a connection up; 600 unless set.",
     .help_zh = "HTTP通讯超时时间（默认600秒）"},
    {BDR_FIELD_HAS(struct proxy, max_disks), .type = BDR_T_U32, .min = 1, .max = 1000,
     .help = "Disks it reads at once; 50 unless set, more than 150 is not advised.",
     .help_zh = "最大挂盘数量（默认50，建议最大不超过150）"},
    {BDR_FIELD_HAS(struct proxy, drain), .type = BDR_T_BOOL, .help = "It finishes what it has and is given nothing new.",
     .help_zh = "排空（不再分配新任务）"},
    OBJ_OUT(struct proxy, warning, TEXT, "What is unwise about its settings.", "设置警告"),
    OBJ_OUT(struct proxy, busy_disks, U64, "Disks it reads now.", "当前挂盘数量"),
    OBJ_OUT(struct proxy, jobs, U64, "Jobs it runs now.", "运行中任务数"),
    OBJ_OUT(struct proxy, load_pct, U64, "Share of its disks in use.", "负载"),
    OBJ_OUT(struct proxy, load, JSON, "What it told of its load.", "负载详情"),
    OBJ_OUT_HAS(struct proxy, seen, TIME, "When it was last heard of.", "最近心跳"),
    {BDR_FIELD(struct proxy, platforms), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bound_shape,
     .flags = BDR_F_READONLY, .help = "Platforms it is bound to.", .help_zh = "绑定的平台"},
    {BDR_FIELD(struct proxy, allowed), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &obj_allowed_shape,
     .flags = BDR_F_READONLY, .help = "What can be asked for now.", .help_zh = "当前可执行的操作"},
    OBJ_END,
};
static const struct bdr_shape proxy_shape = OBJ_SHAPE(struct proxy, "Proxy", proxy_fields);

struct proxy_filter {
    uint64_t platform;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct proxy_filter, platform), .type = BDR_T_U64, .help = "Only those bound to this platform.",
     .help_zh = "平台编号"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct proxy_filter, "ProxyFilter", filter_fields);

/* The rule of bdr_proxy_unbind, told before. */
static struct bdr_err *bound_fill(struct bdr_req *req, struct bdr_tx *tx, int64_t proxy_id, struct bound *b)
{
    BDR_AUTO(mem) struct bdr_row_binding_proxies *others = NULL;
    int64_t held = 0, waiting = 0;
    size_t n = 0;

    BDR_TRY(bdr_q_job_held_of_worker_on(tx, proxy_id, (int64_t)b->platform, &held));
    b->jobs = (uint64_t)held;
    if (held) {
        b->reason = bdr_arena_printf(bdr_req_arena(req), "It runs %lld jobs for the platform.", (long long)held);
        return NULL;
    }
    BDR_TRY(bdr_q_binding_proxies(tx, (int64_t)b->platform, &others, &n));
    BDR_TRY(bdr_q_job_unfinished_of_platform(tx, (int64_t)b->platform, &waiting));
    if (n == 1 && waiting)
        b->reason = bdr_arena_printf(bdr_req_arena(req),
                                     "It is the platform's last Sync Proxy, and %lld of its jobs have not ended.",
                                     (long long)waiting);
    b->unbind = !b->reason;
    return NULL;
}

static struct bdr_err *proxy_platforms(struct bdr_req *req, struct bdr_tx *tx, struct proxy *out)
{
    struct bdr_row_binding_platforms *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_binding_platforms(tx, (int64_t)out->id, &row, &n));
    BDR_TRY(obj_keep(req, row));
    out->platforms.items = bdr_arena_alloc(bdr_req_arena(req), (n + 1) * sizeof(out->platforms.items[0]));
    BDR_NOMEM_IF_NULL(out->platforms.items);
    for (size_t i = 0; i < n; i++) {
        struct bound *b = &out->platforms.items[i];

        *b = (struct bound){.platform = (uint64_t)row[i].platform_id, .name = row[i].name};
        BDR_TRY(bound_fill(req, tx, (int64_t)out->id, b));
    }
    out->platforms.n = n;
    return NULL;
}

static struct bdr_err *proxy_fill(struct bdr_req *req, struct bdr_tx *tx, const struct bdr_row_proxy_view *p,
                                  struct proxy *out)
{
    *out = (struct proxy){.id = (uint64_t)p->machine_id,
                          .name = p->name,
                          .address = obj_text(p->addr),
                          .os = obj_text(p->os),
                          .version = obj_text(p->version),
                          .state = obj_machine_state(p->revoked_ms, p->beat_ms, api_now()),
                          .http_timeout_s = (uint32_t)p->http_timeout_s,
                          .max_disks = (uint32_t)p->max_disks,
                          .drain = p->drain,
                          .has_http_timeout_s = true,
                          .has_max_disks = true,
                          .has_drain = true,
                          .busy_disks = (uint64_t)p->busy_disks,
                          .jobs = (uint64_t)p->jobs,
                          .load_pct = (uint64_t)(p->busy_disks * 100 / BDR_MAX(p->max_disks, (int64_t)1))};
    if (p->max_disks > BDR_PROXY_DISKS_ADVISED)
        out->warning = "More than 150 disks at once is not advised: add another Sync Proxy instead.";
    OBJ_SET(out, seen, p->beat_ms);
    BDR_TRY(obj_json(req, p->load, &out->load));
    BDR_TRY(proxy_platforms(req, tx, out));
    out->allowed.items = bdr_arena_alloc(bdr_req_arena(req), ACTIONS * sizeof(out->allowed.items[0]));
    BDR_NOMEM_IF_NULL(out->allowed.items);
    obj_allow(&out->allowed, ACTIONS, "bind", p->revoked_ms ? "Its access was revoked." : NULL);
    obj_allow(&out->allowed, ACTIONS, "delete",
              p->platforms ? bdr_arena_printf(bdr_req_arena(req), "It is bound to %lld platforms: unbind it first.",
                                              (long long)p->platforms)
              : p->jobs    ? "It still runs jobs."
                           : NULL);
    return NULL;
}

static struct bdr_err *proxy_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct proxy *out)
{
    struct bdr_row_proxy_view *p = NULL;

    BDR_TRY(bdr_q_proxy_view_get(tx, id, &p));
    if (!p)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no Sync Proxy %lld", (long long)id);
    BDR_TRY(obj_keep(req, p));
    return proxy_fill(req, tx, p, out);
}

static struct bdr_err *proxy_list(struct bdr_req *req, const void *in, void *out)
{
    const struct proxy_filter *f = bdr_req_filter(req);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_proxy_view *row = NULL;
    struct bdr_page *page = out;
    struct proxy *items;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_proxy_view_list(tx, (int64_t)f->platform, api_cursor(req, 0), bdr_req_page(req)->limit + 1, &row,
                                  &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(proxy_fill(req, tx, &row[i], &items[i]));
    return api_page_end(req, page,
                        page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].machine_id : 0);
}

static struct bdr_err *proxy_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return api_refusal(req, proxy_get(req, tx, obj_id(req), out));
}

/* ---- changes ---- */

static struct bdr_err *set_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct proxy *in = c->in;
    struct proxy was;
    bool unwise;
    int64_t n;

    BDR_TRY(proxy_get(c->req, tx, c->id, &was));
    BDR_TRY(bdr_proxy_settings(tx, c->id, in->has_http_timeout_s ? in->http_timeout_s : was.http_timeout_s,
                               in->has_max_disks ? in->max_disks : was.max_disks, &unwise));
    if (in->has_drain)
        BDR_TRY(bdr_q_proxy_drain(tx, c->id, in->drain, &n));
    BDR_TRY(proxy_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "proxy.settings", "proxy", c->id, &proxy_shape, &was, c->out);
}

static struct bdr_err *proxy_set(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out, .id = obj_id(req)};

    BDR_TRY(api_run(req, BDR_TX_LOCK, set_tx, &c));
    obj_tell(req, "proxy", c.id, "changed");
    bdr_hub_tell_machine(api_console(req)->hub, c.id, "settings", NULL);
    return NULL;
}

static struct bdr_err *bind_audit(struct bdr_tx *tx, struct obj_change *c, const char *action, bool bound)
{
    const struct bound b = {.platform = bdr_req_param_u64(c->req, "platform")};

    BDR_TRY(api_audit(tx, c->req, action, "proxy", c->id, &bound_shape, bound ? NULL : &b, bound ? &b : NULL));
    return proxy_get(c->req, tx, c->id, c->out);
}

static struct bdr_err *bind_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    struct bdr_err *err = bdr_proxy_bind(tx, c->id, (int64_t)bdr_req_param_u64(c->req, "platform"), api_now());

    if (err && err->code == BDR_EXISTS)
        return bdr_err_recode(err, BDR_EXISTS, BDR_AT, "the Sync Proxy is bound to that platform already");
    BDR_TRY(err);
    return bind_audit(tx, c, "proxy.bind", true);
}

static struct bdr_err *unbind_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;

    BDR_TRY(bdr_proxy_unbind(tx, c->id, (int64_t)bdr_req_param_u64(c->req, "platform")));
    return bind_audit(tx, c, "proxy.unbind", false);
}

static struct bdr_err *binding(struct bdr_req *req, struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), void *out)
{
    struct obj_change c = {.req = req, .out = out, .id = obj_id(req)};

    BDR_TRY(api_run(req, BDR_TX_LOCK, fn, &c));
    obj_tell(req, "proxy", c.id, "changed");
    obj_tell(req, "platform", (int64_t)bdr_req_param_u64(req, "platform"), "changed");
    bdr_hub_tell_machine(api_console(req)->hub, c.id, "work", NULL);
    return NULL;
}

static struct bdr_err *proxy_bind(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return binding(req, bind_tx, out);
}

static struct bdr_err *proxy_unbind(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return binding(req, unbind_tx, out);
}

static struct bdr_err *remove_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    struct proxy was;

    BDR_TRY(proxy_get(c->req, tx, c->id, &was));
    BDR_TRY(bdr_proxy_remove(tx, c->id, api_now()));
    return api_audit(tx, c->req, "proxy.delete", "proxy", c->id, &proxy_shape, &was, NULL);
}

static struct bdr_err *proxy_remove(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .id = obj_id(req)};

    (void)in, (void)out;
    BDR_TRY(api_run(req, BDR_TX_LOCK, remove_tx, &c));
    BDR_TRY(obj_shut_out(req, c.id));
    obj_tell(req, "proxy", c.id, "removed");
    return NULL;
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/proxies", "proxies:read", BDR_R_LIST, .out = &proxy_shape, .query = &filter_shape, .run = proxy_list,
     .cli = "proxy list", .help = "Sync Proxies, with their load.", .help_zh = "源端同步代理列表"},
    {BDR_GET, "/v1/proxies/{id:u64}", "proxies:read", 0, .out = &proxy_shape, .run = proxy_show, .cli = "proxy show",
     .help = "One Sync Proxy.", .help_zh = "源端同步代理详情"},
    {BDR_PATCH, "/v1/proxies/{id:u64}", "proxies:admin", 0, .in = &proxy_shape, .out = &proxy_shape, .run = proxy_set,
     .cli = "proxy update", .help = "Set a proxy's timeout and disks, or drain it.", .help_zh = "设置"},
    {BDR_PUT, "/v1/proxies/{id:u64}/platforms/{platform:u64}", "proxies:admin", 0, .out = &proxy_shape,
     .run = proxy_bind, .cli = "proxy bind", .help = "Bind a proxy to a platform.", .help_zh = "绑定"},
    {BDR_DELETE, "/v1/proxies/{id:u64}/platforms/{platform:u64}", "proxies:admin", 0, .out = &proxy_shape,
     .run = proxy_unbind, .cli = "proxy unbind", .help = "Unbind a proxy that runs no jobs for the platform.",
     .help_zh = "解绑"},
    {BDR_DELETE, "/v1/proxies/{id:u64}", "proxies:admin", 0, .run = proxy_remove, .cli = "proxy remove",
     .help = "End a proxy's access; it must be bound to no platform.", .help_zh = "删除"},
};
const struct bdr_route_table api_proxies_table = BDR_ROUTES("proxies", rows);
