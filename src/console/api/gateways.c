/* SPDX-License-Identifier: Apache-2.0 */
/* gateways.c - Cloud Sync Gateways: where sources reach them, what they own, and their end. */
#include "api/objects.h"
#include "rules/machine.h"
#include <string.h>

struct gateway {
    uint64_t id, repositories, jobs;
    const char *name, *address, *os, *version, *state, *url, *iscsi;
    bool has_seen;
    int64_t seen;
    struct obj_allowed_list allowed;
};
static const struct bdr_shape_field gateway_fields[] = {
    OBJ_ID(struct gateway),
    OBJ_OUT(struct gateway, name, TEXT, "Its name.", "名称"),
    OBJ_OUT(struct gateway, address, TEXT, "Where it connects from.", "地址"),
    OBJ_OUT(struct gateway, os, TEXT, "Its operating system.", "操作系统"),
    OBJ_OUT(struct gateway, version, TEXT, "The program's version.", "版本"),
    OBJ_OUT(struct gateway, state, TEXT, "alive, silent or revoked.", "状态"),
    {BDR_FIELD(struct gateway, url), .type = BDR_T_TEXT, .len_max = 256, .pattern = "^(https://[^ /]+)?$",
     .help = "Where sources reach it, like https://gw1.example:443.", .help_zh = "HTTPS数据地址"},
    {BDR_FIELD(struct gateway, iscsi), .type = BDR_T_TEXT, .len_max = 256, .pattern = "^[^ /]*$",
     .help = "Its iSCSI portal, like gw1.example:3260.", .help_zh = "iSCSI地址"},
    OBJ_OUT(struct gateway, repositories, U64, "Repositories it owns.", "存储库数量"),
    OBJ_OUT(struct gateway, jobs, U64, "Jobs it runs.", "运行中任务数"),
    OBJ_OUT_HAS(struct gateway, seen, TIME, "When it was last heard of.", "最近心跳"),
    {BDR_FIELD(struct gateway, allowed), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &obj_allowed_shape,
     .flags = BDR_F_READONLY, .help = "What can be asked for now.", .help_zh = "当前可执行的操作"},
    OBJ_END,
};
static const struct bdr_shape gateway_shape = OBJ_SHAPE(struct gateway, "Gateway", gateway_fields);

#define HTTPS "https://" /* stored without it: host:port */

static struct bdr_err *gateway_fill(struct bdr_req *req, const struct bdr_row_gateway_view *g, struct gateway *out)
{
    *out = (struct gateway){.id = (uint64_t)g->machine_id,
                            .name = g->name,
                            .address = obj_text(g->addr),
                            .os = obj_text(g->os),
                            .version = obj_text(g->version),
                            .state = obj_machine_state(g->revoked_ms, g->beat_ms, api_now()),
                            .iscsi = obj_text(g->iscsi),
                            .repositories = (uint64_t)g->repositories,
                            .jobs = (uint64_t)g->jobs};
    if (*g->https) {
        out->url = bdr_arena_printf(bdr_req_arena(req), HTTPS "%s", g->https);
        BDR_NOMEM_IF_NULL(out->url);
    }
    OBJ_SET(out, seen, g->beat_ms);
    out->allowed.items = bdr_arena_alloc(bdr_req_arena(req), sizeof(out->allowed.items[0]));
    BDR_NOMEM_IF_NULL(out->allowed.items);
    obj_allow(&out->allowed, 1, "delete",
              g->repositories ? "It owns repositories: give them another gateway or delete them first."
              : g->jobs       ? "It runs jobs."
                              : NULL);
    return NULL;
}

static struct bdr_err *gateway_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct gateway *out)
{
    struct bdr_row_gateway_view *g = NULL;

    BDR_TRY(bdr_q_gateway_view_get(tx, id, &g));
    if (!g)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no gateway %lld", (long long)id);
    BDR_TRY(obj_keep(req, g));
    return gateway_fill(req, g, out);
}

static struct bdr_err *gateway_list(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_gateway_view *row = NULL;
    struct bdr_page *page = out;
    struct gateway *items;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_gateway_view_list(tx, api_cursor(req, 0), bdr_req_page(req)->limit + 1, &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(gateway_fill(req, &row[i], &items[i]));
    return api_page_end(req, page,
                        page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].machine_id : 0);
}

static struct bdr_err *gateway_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return api_refusal(req, gateway_get(req, tx, obj_id(req), out));
}

static struct bdr_err *set_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct gateway *in = c->in;
    struct gateway was;
    const char *url;

    BDR_TRY(gateway_get(c->req, tx, c->id, &was));
    url = in->url ? in->url : was.url ? was.url : "";
    BDR_TRY(bdr_q_gateway_put(tx, c->id, *url ? url + strlen(HTTPS) : "",
                              in->iscsi ? in->iscsi : was.iscsi ? was.iscsi : ""));
    BDR_TRY(gateway_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "gateway.update", "gateway", c->id, &gateway_shape, &was, c->out);
}

static struct bdr_err *gateway_set(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out, .id = obj_id(req)};

    BDR_TRY(api_run(req, BDR_TX_WRITE, set_tx, &c));
    obj_tell(req, "gateway", c.id, "changed");
    return NULL;
}

static struct bdr_err *remove_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    int64_t locked, n;
    struct gateway was;
    bool found;

    BDR_TRY(bdr_q_machine_lock(tx, c->id, &locked, &found));
    BDR_TRY(gateway_get(c->req, tx, c->id, &was));
    if (!was.allowed.items[0].allowed)
        BDR_FAIL(BDR_CONFLICT, 0, "gateway %s cannot be deleted: %s", was.name, was.allowed.items[0].reason);
    BDR_TRY(bdr_machine_shut_out(tx, c->id, api_now()));
    BDR_TRY(bdr_q_gateway_delete(tx, c->id, &n));
    return api_audit(tx, c->req, "gateway.delete", "gateway", c->id, &gateway_shape, &was, NULL);
}

static struct bdr_err *gateway_remove(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .id = obj_id(req)};

    (void)in, (void)out;
    BDR_TRY(api_run(req, BDR_TX_LOCK, remove_tx, &c));
    BDR_TRY(obj_shut_out(req, c.id));
    obj_tell(req, "gateway", c.id, "removed");
    return NULL;
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/gateways", "gateways:read", BDR_R_LIST, .out = &gateway_shape, .run = gateway_list,
     .cli = "gateway list", .help = "Cloud Sync Gateways.", .help_zh = "云同步网关列表"},
    {BDR_GET, "/v1/gateways/{id:u64}", "gateways:read", 0, .out = &gateway_shape, .run = gateway_show,
     .cli = "gateway show", .help = "One gateway.", .help_zh = "云同步网关详情"},
    {BDR_PATCH, "/v1/gateways/{id:u64}", "gateways:admin", 0, .in = &gateway_shape, .out = &gateway_shape,
     .run = gateway_set, .cli = "gateway update", .help = "Say where sources reach a gateway.",
     .help_zh = "设置云同步网关"},
    {BDR_DELETE, "/v1/gateways/{id:u64}", "gateways:admin", 0, .run = gateway_remove, .cli = "gateway remove",
     .help = "End a gateway's access; it must own no repository.", .help_zh = "删除云同步网关"},
};
const struct bdr_route_table api_gateways_table = BDR_ROUTES("gateways", rows);
