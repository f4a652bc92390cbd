/* SPDX-License-Identifier: Apache-2.0 */
/* machines.c - what enrolled with us: agents with their hosts, and any machine by its number. */
#include "api/objects.h"
#include <string.h>

struct machine {
    uint64_t id, host;
    const char *uuid, *kind, *name, *address, *os, *version, *state, *host_name, *host_state;
    bool has_host, has_seen, has_revoked;
    int64_t created, seen, revoked;
    json_t *load;
};
static const struct bdr_shape_field machine_fields[] = {
    OBJ_ID(struct machine),
    OBJ_OUT(struct machine, uuid, TEXT, "Its name in its certificate.", "唯一标识"),
    OBJ_OUT(struct machine, kind, TEXT, "agent, proxy or gateway.", "类型"),
    OBJ_OUT(struct machine, name, TEXT, "Its name.", "名称"),
    OBJ_OUT(struct machine, address, TEXT, "Where it connects from.", "地址"),
    OBJ_OUT(struct machine, os, TEXT, "Its operating system.", "操作系统"),
    OBJ_OUT(struct machine, version, TEXT, "The program's version.", "版本"),
    OBJ_OUT(struct machine, state, TEXT, "alive, silent or revoked.", "状态"),
    OBJ_OUT_HAS(struct machine, host, U64, "The host it speaks for.", "主机编号"),
    OBJ_OUT(struct machine, host_name, TEXT, "The host's name.", "主机名称"),
    OBJ_OUT(struct machine, host_state, TEXT, "The host's state.", "主机状态"),
    OBJ_OUT(struct machine, created, TIME, "When it enrolled.", "注册时间"),
    OBJ_OUT_HAS(struct machine, seen, TIME, "When it was last heard of.", "最近心跳"),
    OBJ_OUT_HAS(struct machine, revoked, TIME, "When its access ended.", "吊销时间"),
    OBJ_OUT(struct machine, load, JSON, "What it told of its load.", "负载"),
    OBJ_END,
};
static const struct bdr_shape machine_shape = OBJ_SHAPE(struct machine, "Machine", machine_fields);

struct machine_filter {
    const char *name;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct machine_filter, name), .type = BDR_T_TEXT, .len_max = 128, .help = "A part of the name or address.",
     .help_zh = "名称或地址"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct machine_filter, "MachineFilter", filter_fields);

static struct bdr_err *machine_fill(struct bdr_req *req, const struct bdr_row_machine_view *m, struct machine *out)
{
    *out = (struct machine){.id = (uint64_t)m->id,
                            .uuid = m->uuid,
                            .kind = m->kind,
                            .name = m->name,
                            .address = obj_text(m->addr),
                            .os = obj_text(m->os),
                            .version = obj_text(m->version),
                            .state = obj_machine_state(m->revoked_ms, m->beat_ms, api_now()),
                            .host_name = obj_text(m->host_name),
                            .host_state = obj_text(m->host_state),
                            .created = m->created_ms};
    OBJ_SET(out, host, (uint64_t)(m->host_id.set ? m->host_id.v : 0));
    OBJ_SET(out, seen, m->beat_ms);
    OBJ_SET(out, revoked, m->revoked_ms);
    return obj_json(req, m->load, &out->load);
}

static struct bdr_err *agent_list(struct bdr_req *req, const void *in, void *out)
{
    const struct machine_filter *f = bdr_req_filter(req);
    const char *like = obj_like(req, f->name);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_machine_view *row = NULL;
    struct bdr_page *page = out;
    struct machine *items;

    (void)in;
    BDR_NOMEM_IF_NULL(like);
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_machine_view_list(
        tx, &(struct bdr_in_machine_view_list){"agent", like, api_cursor(req, 0), bdr_req_page(req)->limit + 1}, &row,
        &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(machine_fill(req, &row[i], &items[i]));
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

static struct bdr_err *machine_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_machine_view *m = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_machine_view_get(tx, obj_id(req), &m));
    if (!m)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no machine %lld.", (long long)obj_id(req));
    BDR_TRY(obj_keep(req, m));
    return machine_fill(req, m, out);
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/agents", "machines:read", BDR_R_LIST, .out = &machine_shape, .query = &filter_shape,
     .run = agent_list, .cli = "agent list", .help = "Agents and the hosts they speak for.", .help_zh = "源端代理程序列表"},
    {BDR_GET, "/v1/machines/{id:u64}", "machines:read", 0, .out = &machine_shape, .run = machine_show,
     .cli = "machine show", .help = "One machine of ours: agent, Sync Proxy or gateway.", .help_zh = "机器详情"},
};
const struct bdr_route_table api_machines_table = BDR_ROUTES("machines", rows);
