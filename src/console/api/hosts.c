/* SPDX-License-Identifier: Apache-2.0 */
/* hosts.c - the machines to protect, as people see them: lists, one with its disks, and its RPO now. */
#include "api/hosts.h"
#include "policy/policy.h"
#include <string.h>

#define ACTIONS 7

static const struct bdr_shape_field disk_fields[] = {
    OBJ_ID(struct host_disk),
    OBJ_OUT(struct host_disk, name, TEXT, "As its host calls it.", "名称"),
    OBJ_OUT(struct host_disk, ref, TEXT, "The source that reads it.", "标识"),
    OBJ_OUT(struct host_disk, size_bytes, SIZE, "Its size.", "大小"),
    OBJ_OUT(struct host_disk, excluded, BOOL, "It is left out of recovery points.", "是否排除"),
    OBJ_OUT(struct host_disk, reason, TEXT, "Why it cannot be protected.", "不可保护原因"),
    OBJ_OUT(struct host_disk, gone, BOOL, "It was not seen any more.", "已移除"),
    OBJ_END,
};
static const struct bdr_shape disk_shape = OBJ_SHAPE(struct host_disk, "HostDisk", disk_fields);

static const struct bdr_shape_field host_fields[] = {
    OBJ_ID(struct host),
    OBJ_OUT(struct host, name, TEXT, "Its name.", "主机名称"),
    OBJ_OUT(struct host, address, TEXT, "Its address.", "地址"),
    OBJ_OUT(struct host, os, TEXT, "Its operating system.", "操作系统"),
    OBJ_OUT(struct host, power, TEXT, "on, off, or as the platform says.", "电源状态"),
    OBJ_OUT(struct host, state, TEXT, "seen, registered, protected or gone.", "状态"),
    OBJ_OUT(struct host, reason, TEXT, "Why it cannot be protected.", "不可保护原因"),
    OBJ_OUT(struct host, paused, BOOL, "Its policy is paused.", "是否暂停"),
    OBJ_OUT_HAS(struct host, platform, U64, "Its platform, of a host without an agent.", "平台编号"),
    OBJ_OUT(struct host, platform_name, TEXT, "The platform's name.", "平台"),
    OBJ_OUT_HAS(struct host, machine, U64, "Its agent.", "代理编号"),
    OBJ_OUT_HAS(struct host, policy, U64, "Its policy.", "策略编号"),
    OBJ_OUT(struct host, policy_name, TEXT, "The policy's name.", "策略"),
    OBJ_OUT_HAS(struct host, repository, U64, "Where its points are.", "存储库编号"),
    OBJ_OUT(struct host, repository_name, TEXT, "The repository's name.", "存储库"),
    OBJ_OUT(struct host, rpo_state, TEXT, "kept, missed, or none: nothing is promised.", "RPO状态"),
    OBJ_OUT_HAS(struct host, rpo_ms, DURATION, "Age of the newest point: what would be lost now.", "当前RPO"),
    OBJ_OUT_HAS(struct host, rpo_limit_ms, DURATION, "What its policy promises.", "RPO目标"),
    OBJ_OUT_HAS(struct host, last_point, TIME, "Moment of the newest recovery point.", "最新恢复点时间"),
    OBJ_OUT_HAS(struct host, next_run, TIME, "When the next run is due.", "下次同步时间"),
    OBJ_OUT_HAS(struct host, job, U64, "A job of it that has not ended.", "当前任务"),
    OBJ_OUT(struct host, created, TIME, "When it was first seen.", "发现时间"),
    OBJ_OUT(struct host, seen, TIME, "When it was last seen.", "最近发现时间"),
    /* of one host alone */
    OBJ_OUT_HAS(struct host, newest_point, U64, "The newest recovery point.", "最新恢复点"),
    {BDR_FIELD_HAS(struct host, disks), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &disk_shape,
     .flags = BDR_F_READONLY, .help = "Its disks.", .help_zh = "磁盘"},
    OBJ_OUT(struct host, inventory, JSON, "What its agent told of it.", "主机信息"),
    {BDR_FIELD_HAS(struct host, allowed), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &obj_allowed_shape,
     .flags = BDR_F_READONLY, .help = "What can be asked for now.", .help_zh = "当前可执行的操作"},
    OBJ_END,
};
const struct bdr_shape host_shape = OBJ_SHAPE(struct host, "Host", host_fields);

struct host_filter {
    int state, rpo, sort;
    uint64_t platform, policy, repository;
    const char *name;
};
static const struct bdr_choice states[] = {
    {"any", 0, "All.", "全部"},
    {"seen", 1, "Seen on a platform, not ours yet.", "已发现"},
    {"registered", 2, "Ours, without protection.", "已注册"},
    {"protected", 3, "Protected.", "已保护"},
    {"gone", 4, "Not there any more.", "已移除"},
    {.name = NULL},
};
static const struct bdr_choice rpos[] = {
    {"any", 0, "All.", "全部"},
    {"kept", 1, "The newest point is as young as promised.", "达标"},
    {"missed", 2, "The newest point is older than promised.", "超时"},
    {.name = NULL},
};
static const struct bdr_choice sorts[] = {
    {"added", 0, "As they came.", "按加入顺序"},
    {"name", 1, "By name.", "按名称"},
    {"point", 2, "Those without a point, then those with the oldest newest point first.", "按最新恢复点，最旧的在前"},
    {.name = NULL},
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct host_filter, state), .type = BDR_T_ENUM, .choices = states, .def = "any",
     .help = "Only in this state.", .help_zh = "状态"},
    {BDR_FIELD(struct host_filter, platform), .type = BDR_T_U64, .help = "Only of this platform.", .help_zh = "平台编号"},
    {BDR_FIELD(struct host_filter, policy), .type = BDR_T_U64, .help = "Only under this policy.", .help_zh = "策略编号"},
    {BDR_FIELD(struct host_filter, repository), .type = BDR_T_U64, .help = "Only with points in this repository.",
     .help_zh = "存储库编号"},
    {BDR_FIELD(struct host_filter, name), .type = BDR_T_TEXT, .len_max = 128, .help = "A part of the name or address.",
     .help_zh = "名称或地址"},
    {BDR_FIELD(struct host_filter, rpo), .type = BDR_T_ENUM, .choices = rpos, .def = "any",
     .help = "Only those whose promise is kept, or missed.", .help_zh = "RPO状态"},
    {BDR_FIELD(struct host_filter, sort), .type = BDR_T_ENUM, .choices = sorts, .def = "added",
     .help = "In which order.", .help_zh = "排序"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct host_filter, "HostFilter", filter_fields);

static void host_fill(const struct bdr_row_host_view *h, int64_t now_ms, struct host *out)
{
    const bool is_protected = !strcmp(h->state, "protected");
    const struct bdr_rpo rpo = bdr_rpo_measure(h->limit_ms, h->created_ms, h->last_point_ms, now_ms);

    *out = (struct host){.id = (uint64_t)h->id,
                         .name = h->name,
                         .address = obj_text(h->addr),
                         .os = obj_text(h->os),
                         .power = obj_text(h->power),
                         .state = h->state,
                         .reason = obj_text(h->reason),
                         .paused = h->paused,
                         .platform_name = obj_text(h->platform_name),
                         .policy_name = obj_text(h->policy_name),
                         .repository_name = obj_text(h->repository_name),
                         .rpo_state = !is_protected || h->paused || !h->limit_ms ? "none" : rpo.missed ? "missed" : "kept",
                         .created = h->created_ms,
                         .seen = h->seen_ms};
    OBJ_SET(out, platform, (uint64_t)h->platform_id.v);
    OBJ_SET(out, machine, (uint64_t)h->machine_id.v);
    OBJ_SET(out, policy, (uint64_t)h->policy_id.v);
    OBJ_SET(out, repository, (uint64_t)h->repository_id.v);
    OBJ_SET(out, last_point, h->last_point_ms);
    OBJ_SET(out, next_run, is_protected && !h->paused ? h->next_ms.v : 0);
    OBJ_SET(out, job, (uint64_t)h->job_id.v);
    OBJ_SET(out, rpo_limit_ms, is_protected ? (uint64_t)h->limit_ms : 0);
    OBJ_SET(out, rpo_ms, h->last_point_ms ? (uint64_t)rpo.age_ms : 0);
}

static struct bdr_err *host_list(struct bdr_req *req, const void *in, void *out)
{
    const struct host_filter *f = bdr_req_filter(req);
    const char *like = obj_like(req, f->name);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_host_view *row = NULL;
    struct bdr_page *page = out;
    int64_t now_ms = api_now();
    struct host *items;

    (void)in;
    BDR_NOMEM_IF_NULL(like);
    BDR_TRY(obj_read(req, &tx));
    if (f->sort)
        BDR_TRY(bdr_q_host_view_sorted(
            tx,
            &(struct bdr_in_host_view_sorted){.by = obj_choice_name(sorts, f->sort),
                                              .state = f->state ? obj_choice_name(states, f->state) : "",
                                              .platform_id = (int64_t)f->platform,
                                              .policy_id = (int64_t)f->policy,
                                              .repository_id = (int64_t)f->repository,
                                              .like = like,
                                              .rpo = f->rpo ? obj_choice_name(rpos, f->rpo) : "",
                                              .now_ms = now_ms,
                                              .after = api_cursor(req, 0),
                                              .limit = bdr_req_page(req)->limit + 1},
            &row, &page->n));
    else
        BDR_TRY(bdr_q_host_view_list(
            tx,
            &(struct bdr_in_host_view_list){.state = f->state ? obj_choice_name(states, f->state) : "",
                                            .platform_id = (int64_t)f->platform,
                                            .policy_id = (int64_t)f->policy,
                                            .repository_id = (int64_t)f->repository,
                                            .like = like,
                                            .rpo = f->rpo ? obj_choice_name(rpos, f->rpo) : "",
                                            .now_ms = now_ms,
                                            .after = api_cursor(req, 0),
                                            .limit = bdr_req_page(req)->limit + 1},
            &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        host_fill(&row[i], now_ms, &items[i]);
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

static struct bdr_err *host_disks(struct bdr_req *req, struct bdr_tx *tx, struct host *out)
{
    struct bdr_row_disk *d = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_disk_list(tx, (int64_t)out->id, &d, &n));
    BDR_TRY(obj_keep(req, d));
    out->disks.items = bdr_arena_alloc(bdr_req_arena(req), (n + 1) * sizeof(out->disks.items[0]));
    BDR_NOMEM_IF_NULL(out->disks.items);
    for (size_t i = 0; i < n; i++)
        out->disks.items[i] = (struct host_disk){.id = (uint64_t)d[i].id,
                                                 .name = obj_text(d[i].name),
                                                 .ref = d[i].ref,
                                                 .size_bytes = (uint64_t)d[i].size_bytes,
                                                 .excluded = d[i].excluded,
                                                 .reason = obj_text(d[i].reason),
                                                 .gone = d[i].gone_ms != 0};
    out->disks.n = n;
    out->has_disks = true;
    return NULL;
}

/* The rules of host_do.c, told before somebody presses the button. */
static struct bdr_err *host_allowed(struct bdr_req *req, struct host *h)
{
    const bool is_protected = !strcmp(h->state, "protected"), registered = !strcmp(h->state, "registered");
    const char *not_ours = is_protected || registered ? NULL : "The host is not registered.";
    const char *not_protected = is_protected ? NULL : "The host is not protected.";
    struct obj_allowed_list *list = &h->allowed;

    list->items = bdr_arena_alloc(bdr_req_arena(req), ACTIONS * sizeof(list->items[0]));
    BDR_NOMEM_IF_NULL(list->items);
    obj_allow(list, ACTIONS, "register",
              !strcmp(h->state, "seen") ? NULL : not_ours ? "The host is gone." : "The host is registered already.");
    obj_allow(list, ACTIONS, "protect", not_ours ? not_ours : h->reason);
    obj_allow(list, ACTIONS, "unprotect", not_protected);
    obj_allow(list, ACTIONS, "pause", not_protected ? not_protected : h->paused ? "The host is paused already." : NULL);
    obj_allow(list, ACTIONS, "resume", not_protected ? not_protected : h->paused ? NULL : "The host is not paused.");
    obj_allow(list, ACTIONS, "sync",
              not_protected ? not_protected : h->has_job ? "A job of the host has not ended." : NULL);
    obj_allow(list, ACTIONS, "deregister", not_ours);
    h->has_allowed = true;
    return NULL;
}

struct bdr_err *host_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct host *out)
{
    BDR_AUTO(mem) struct bdr_row_host_inventory_json *inventory = NULL;
    struct bdr_row_host_view *h = NULL;
    int64_t point = 0;
    bool found = false;

    BDR_TRY(bdr_q_host_view_get(tx, id, &h));
    if (!h)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no host %lld.", (long long)id);
    BDR_TRY(obj_keep(req, h));
    host_fill(h, api_now(), out);
    BDR_TRY(bdr_q_host_newest_point(tx, id, &point, &found));
    OBJ_SET(out, newest_point, found ? (uint64_t)point : 0);
    BDR_TRY(bdr_q_host_inventory_json(tx, id, &inventory));
    BDR_TRY(obj_json(req, inventory ? inventory->json : NULL, &out->inventory));
    BDR_TRY(host_disks(req, tx, out));
    return host_allowed(req, out);
}

struct bdr_err *host_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return host_get(req, tx, obj_id(req), out);
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/hosts", "hosts:read", BDR_R_LIST, .out = &host_shape, .query = &filter_shape, .run = host_list,
     .cli = "host list", .help = "Hosts, with what is promised and what is kept.", .help_zh = "主机列表"},
    {BDR_GET, "/v1/hosts/{id:u64}", "hosts:read", 0, .out = &host_shape, .run = host_show, .cli = "host show",
     .help = "One host with its disks, its RPO now and its running job.", .help_zh = "主机详情"},
    {BDR_POST, "/v1/hosts/{id:u64}/register", "hosts:operate", 0, .out = &host_shape, .run = host_register,
     .cli = "host register", .help = "Take a host that was seen on a platform into our care.", .help_zh = "注册主机"},
    {BDR_PUT, "/v1/hosts/{id:u64}/protection", "hosts:operate", 0, .in = &host_protect_shape, .out = &host_shape,
     .run = host_protect, .cli = "host protect", .help = "Protect a host by a policy, or change how.",
     .help_zh = "保护主机"},
    {BDR_DELETE, "/v1/hosts/{id:u64}/protection", "hosts:operate", 0, .out = &host_shape, .run = host_unprotect,
     .cli = "host unprotect", .help = "End a host's protection; its points stay.", .help_zh = "取消保护"},
    {BDR_PATCH, "/v1/hosts/{id:u64}/disks/{disk:u64}", "hosts:operate", 0, .in = &host_disk_shape, .out = &host_shape,
     .run = host_disk, .cli = "host disk", .help = "Leave a disk out of the next points, or take it in again.",
     .help_zh = "设置磁盘"},
    {BDR_POST, "/v1/hosts/{id:u64}/pause", "hosts:operate", 0, .out = &host_shape, .run = host_pause, .cli = "host pause",
     .help = "Let the policy begin no more runs for a host.", .help_zh = "暂停保护"},
    {BDR_POST, "/v1/hosts/{id:u64}/resume", "hosts:operate", 0, .out = &host_shape, .run = host_resume,
     .cli = "host resume", .help = "Let the policy go on for a host.", .help_zh = "恢复保护"},
    {BDR_POST, "/v1/hosts/{id:u64}/sync", "hosts:operate", BDR_R_IDEMPOTENT, .in = &host_sync_shape,
     .out = &obj_job_shape, .run = host_sync, .status = 202, .cli = "host sync", .help = "Make a recovery point now.",
     .help_zh = "立即同步"},
    {BDR_DELETE, "/v1/hosts/{id:u64}", "hosts:admin", 0, .query = &host_forced_shape, .run = host_deregister,
     .cli = "host deregister", .help = "End what binds a host to us; its points stay.", .help_zh = "解除注册"},
};
const struct bdr_route_table api_hosts_table = BDR_ROUTES("hosts", rows);
