/* SPDX-License-Identifier: Apache-2.0 */
/* platforms.c - the platforms of the production site, as people see them; never their secrets. */
#include "api/platforms.h"
#include <string.h>

#define ACTIONS 3

static const struct bdr_choice statuses[] = {
    {"new", 0, "Not asked yet.", "等待检测"},
    {"ok", 1, "It answers.", "正常"},
    {"error", 2, "It does not; status_text says why.", "异常"},
    {.name = NULL},
};
const struct bdr_choice ceph_diffs[] = {
    {"rbd_diff", 0, "rbd diff: slower, exact.", "rbd diff：速度较慢但数据精确"},
    {"rbd_du", 1, "rbd du: faster, coarser.", "rbd du：速度较快但精度较低"},
    {.name = NULL},
};

static const struct bdr_shape_field ceph_fields[] = {
    {BDR_FIELD(struct ceph, id), .type = BDR_T_U64, .help = "Its number; 0 or none: a new one.", .help_zh = "编号"},
    {BDR_FIELD(struct ceph, monitors), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 1000,
     .pattern = "^[A-Za-z0-9.:_-]+(,[A-Za-z0-9.:_-]+)*$", .help = "Addresses of the monitors, with commas between.",
     .help_zh = "控制节点地址"},
    {BDR_FIELD_HAS(struct ceph, cephx), .type = BDR_T_BOOL, .def = "true", .help = "It wants CephX.",
     .help_zh = "使用 CephX 鉴权"},
    {BDR_FIELD(struct ceph, username), .type = BDR_T_TEXT, .len_max = 128, .def = "cinder", .help = "Ceph user.",
     .help_zh = "用户名"},
    {BDR_FIELD(struct ceph, keyring), .type = BDR_T_SECRET, .len_max = 256,
     .help = "The user's key; empty: as before.", .help_zh = "密钥环"},
    {BDR_FIELD(struct ceph, pool), .type = BDR_T_TEXT, .len_max = 128, .def = "volumes", .help = "Pool of the volumes.",
     .help_zh = "存储池"},
    {BDR_FIELD_HAS(struct ceph, diff), .type = BDR_T_ENUM, .choices = ceph_diffs, .def = "rbd_diff",
     .help = "How changes are found.", .help_zh = "增量获取类型"},
    {BDR_FIELD(struct ceph, cluster), .type = BDR_T_TEXT, .len_max = 128, .def = "ceph", .help = "Name of the cluster.",
     .help_zh = "集群"},
    {BDR_FIELD(struct ceph, volume_types), .type = BDR_T_TEXT, .len_max = 1000, .def = "DEFAULT_VOLUME_TYPE",
     .help = "OpenStack volume types on it, with commas between.", .help_zh = "OpenStack 卷类型"},
    OBJ_OUT(struct ceph, keyring_set, BOOL, "A key is there.", "已设置密钥环"),
    OBJ_END,
};
static const struct bdr_shape ceph_shape = OBJ_SHAPE(struct ceph, "Ceph", ceph_fields);

static const struct bdr_shape_field bound_fields[] = {
    OBJ_OUT(struct platform_proxy, id, U64, "Its number.", "编号"),
    OBJ_OUT(struct platform_proxy, name, TEXT, "Its name.", "名称"),
    OBJ_OUT(struct platform_proxy, address, TEXT, "Where it connects from.", "IP地址"),
    OBJ_OUT(struct platform_proxy, state, TEXT, "alive, silent or revoked.", "状态"),
    OBJ_END,
};
static const struct bdr_shape bound_shape = OBJ_SHAPE(struct platform_proxy, "PlatformProxy", bound_fields);

static const struct bdr_shape_field platform_fields[] = {
    OBJ_ID(struct platform),
    {BDR_FIELD(struct platform, kind), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 32, .pattern = "^[a-z]+$",
     .help = "vmware, openstack, aws, fusioncompute or oracle.", .help_zh = "平台类型"},
    {BDR_FIELD(struct platform, name), .type = BDR_T_TEXT, .len_max = 95, .help = "Its name; made up when it is empty.",
     .help_zh = "名称（不填写时系统自动生成）"},
    {BDR_FIELD(struct platform, endpoint), .type = BDR_T_URL, .len_max = 1000, .help = "Where it answers.",
     .help_zh = "鉴权地址"},
    {BDR_FIELD(struct platform, username), .type = BDR_T_TEXT, .len_max = 1000,
     .help = "User; of AWS the access key id, of Oracle the user's OCID.", .help_zh = "用户名"},
    {BDR_FIELD(struct platform, password), .type = BDR_T_SECRET, .len_max = 1024,
     .help = "The user's password; empty in a change: as before.", .help_zh = "密码"},
    {BDR_FIELD(struct platform, secret_key), .type = BDR_T_SECRET, .len_max = 1024,
     .help = "AWS: the access key's secret; empty in a change: as before.", .help_zh = "Access Key Secret"},
    {BDR_FIELD(struct platform, private_key), .type = BDR_T_SECRET, .flags = BDR_F_LINES, .len_max = 16384,
     .help = "Oracle: the API key, as the text of its PEM file; empty in a change: as before.", .help_zh = "密钥"},
    {BDR_FIELD(struct platform, user_domain), .type = BDR_T_TEXT, .len_max = 256, .help = "OpenStack: the user's domain.",
     .help_zh = "用户Domain ID"},
    {BDR_FIELD(struct platform, project_domain), .type = BDR_T_TEXT, .len_max = 256,
     .help = "OpenStack: the project's domain.", .help_zh = "项目Domain ID"},
    {BDR_FIELD(struct platform, project), .type = BDR_T_TEXT, .len_max = 256, .help = "OpenStack: the project.",
     .help_zh = "项目名称"},
    {BDR_FIELD(struct platform, region), .type = BDR_T_TEXT, .len_max = 128, .help = "Its region.", .help_zh = "区域"},
    {BDR_FIELD(struct platform, tenancy), .type = BDR_T_TEXT, .len_max = 256, .help = "Oracle: the tenancy's OCID.",
     .help_zh = "租户 OCID"},
    {BDR_FIELD(struct platform, key_print), .type = BDR_T_TEXT, .len_max = 64, .help = "Oracle: the key's fingerprint.",
     .help_zh = "密钥指纹"},
    {BDR_FIELD(struct platform, cert_print), .type = BDR_T_TEXT, .len_max = 128,
     .pattern = "^((SHA256:)?[0-9A-Fa-f:]{64,95})?$",
     .help = "SHA-256 of a self-signed certificate that is accepted.", .help_zh = "接受的自签名证书指纹"},
    {BDR_FIELD_HAS(struct platform, ceph), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &ceph_shape, .n_max = 32,
     .help = "OpenStack: its Ceph clusters, all of them.", .help_zh = "Ceph认证信息"},
    {BDR_FIELD_HAS(struct platform, proxies), .type = BDR_T_ARRAY, .of = BDR_T_U64, .n_max = 100,
     .help = "Sync Proxies to bind to a new platform.", .help_zh = "源端同步代理"},
    OBJ_OUT(struct platform, secret_set, BOOL, "Its password or key is there.", "已设置密码或密钥"),
    {BDR_FIELD_HAS(struct platform, status), .type = BDR_T_ENUM, .choices = statuses, .flags = BDR_F_READONLY,
     .help = "Does it answer?", .help_zh = "状态"},
    OBJ_OUT(struct platform, status_text, TEXT, "Why not.", "异常原因"),
    OBJ_OUT_HAS(struct platform, refreshed, TIME, "When its hosts were last looked at.", "最近刷新时间"),
    OBJ_OUT(struct platform, hosts, U64, "Hosts on it.", "主机数量"),
    OBJ_OUT(struct platform, protected_hosts, U64, "Of these, protected.", "已保护主机数量"),
    OBJ_OUT_HAS(struct platform, job, U64, "The newest job that looks at it.", "最近扫描任务"),
    {BDR_FIELD(struct platform, bound), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bound_shape,
     .flags = BDR_F_READONLY, .help = "Sync Proxies that serve it.", .help_zh = "绑定的源端同步代理"},
    OBJ_OUT(struct platform, created, TIME, "When it was made.", "创建时间"),
    OBJ_OUT(struct platform, changed, TIME, "When it was changed.", "修改时间"),
    {BDR_FIELD(struct platform, allowed), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &obj_allowed_shape,
     .flags = BDR_F_READONLY, .help = "What can be asked for now.", .help_zh = "当前可执行的操作"},
    OBJ_END,
};
const struct bdr_shape platform_shape = OBJ_SHAPE(struct platform, "Platform", platform_fields);

struct platform_filter {
    const char *kind, *name;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct platform_filter, kind), .type = BDR_T_TEXT, .len_max = 32, .pattern = "^[a-z]*$",
     .help = "Only of this kind.", .help_zh = "平台类型"},
    {BDR_FIELD(struct platform_filter, name), .type = BDR_T_TEXT, .len_max = 128, .help = "A part of the name.",
     .help_zh = "名称"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct platform_filter, "PlatformFilter", filter_fields);

/* Whether anything is sealed for the row. */
static struct bdr_err *is_sealed(struct bdr_tx *tx, const char *owner, int64_t id, const char *field, bool *out)
{
    BDR_AUTO(mem) struct bdr_row_sealed_get *row = NULL;

    BDR_TRY(bdr_q_sealed_get(tx, owner, id, field, &row));
    *out |= row != NULL;
    return NULL;
}

static struct bdr_err *ceph_fill(struct bdr_req *req, struct bdr_tx *tx, struct platform *out)
{
    struct bdr_row_ceph *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_ceph_list(tx, (int64_t)out->id, &row, &n));
    BDR_TRY(obj_keep(req, row));
    out->ceph.items = bdr_arena_alloc(bdr_req_arena(req), (n + 1) * sizeof(out->ceph.items[0]));
    BDR_NOMEM_IF_NULL(out->ceph.items);
    for (size_t i = 0; i < n; i++) {
        struct ceph *c = &out->ceph.items[i];

        *c = (struct ceph){.id = (uint64_t)row[i].id,
                           .cluster = row[i].cluster,
                           .monitors = row[i].monitors,
                           .cephx = row[i].cephx,
                           .has_cephx = true,
                           .username = row[i].username,
                           .pool = row[i].pool,
                           .diff = obj_choice_of(ceph_diffs, row[i].diff),
                           .has_diff = true,
                           .volume_types = row[i].volume_types};
        BDR_TRY(is_sealed(tx, "ceph", row[i].id, "keyring", &c->keyring_set));
    }
    out->ceph.n = n;
    out->has_ceph = true;
    return NULL;
}

static struct bdr_err *bound_fill(struct bdr_req *req, struct bdr_tx *tx, struct platform *out)
{
    struct bdr_row_proxy_view *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_proxy_view_list(tx, (int64_t)out->id, 0, 500, &row, &n));
    BDR_TRY(obj_keep(req, row));
    out->bound.items = bdr_arena_alloc(bdr_req_arena(req), (n + 1) * sizeof(out->bound.items[0]));
    BDR_NOMEM_IF_NULL(out->bound.items);
    for (size_t i = 0; i < n; i++)
        out->bound.items[i] =
            (struct platform_proxy){.id = (uint64_t)row[i].machine_id,
                                    .name = row[i].name,
                                    .address = obj_text(row[i].addr),
                                    .state = obj_machine_state(row[i].revoked_ms, row[i].beat_ms, api_now())};
    out->bound.n = n;
    return NULL;
}

/* What the rules would say of buttons, and what keeps the platform from working at all. */
static struct bdr_err *state_fill(struct bdr_req *req, const struct bdr_row_platform_counts *n, struct platform *out)
{
    const char *no_proxy = !n->proxies ? "No Sync Proxy is bound to the platform: bind one."
                           : !n->alive ? "None of the platform's Sync Proxies is heard of."
                                       : NULL;

    if (no_proxy) {
        out->status = obj_choice_of(statuses, "error");
        out->status_text = no_proxy;
    }
    out->hosts = (uint64_t)n->hosts;
    out->protected_hosts = (uint64_t)n->protected;
    out->allowed.items = bdr_arena_alloc(bdr_req_arena(req), ACTIONS * sizeof(out->allowed.items[0]));
    BDR_NOMEM_IF_NULL(out->allowed.items);
    obj_allow(&out->allowed, ACTIONS, "refresh", n->proxies ? NULL : no_proxy);
    obj_allow(&out->allowed, ACTIONS, "test", n->proxies ? NULL : no_proxy);
    obj_allow(&out->allowed, ACTIONS, "delete",
              n->proxies     ? "Sync Proxies are bound to the platform: unbind them first."
              : n->protected ? "Hosts of the platform are protected: deregister them first."
              : n->jobs      ? "Jobs of the platform have not ended."
                             : NULL);
    return NULL;
}

static struct bdr_err *platform_fill(struct bdr_req *req, struct bdr_tx *tx, const struct bdr_row_platform *p,
                                     struct platform *out)
{
    BDR_AUTO(mem) struct bdr_row_platform_counts *counts = NULL;
    BDR_AUTO(mem) struct bdr_row_job *scan = NULL;

    *out = (struct platform){.id = (uint64_t)p->id,
                             .kind = p->kind,
                             .name = p->name,
                             .endpoint = obj_text(p->endpoint),
                             .username = obj_text(p->username),
                             .user_domain = obj_text(p->user_domain),
                             .project = obj_text(p->project),
                             .project_domain = obj_text(p->project_domain),
                             .region = obj_text(p->region),
                             .tenancy = obj_text(p->tenancy),
                             .key_print = obj_text(p->key_print),
                             .cert_print = obj_text(p->cert_print),
                             .status = obj_choice_of(statuses, p->status),
                             .has_status = true,
                             .status_text = obj_text(p->status_text),
                             .created = p->created_ms,
                             .changed = p->changed_ms};
    OBJ_SET(out, refreshed, p->status_ms);
    BDR_TRY(bdr_q_platform_counts(tx, p->id, api_now() - BDR_JOB_ALIVE_MS, &counts));
    BDR_TRY(state_fill(req, counts, out));
    BDR_TRY(bdr_q_scan_last_of_platform(tx, p->id, &scan));
    OBJ_SET(out, job, scan ? (uint64_t)scan->id : 0);
    BDR_TRY(is_sealed(tx, "platform", p->id, "password", &out->secret_set));
    BDR_TRY(is_sealed(tx, "platform", p->id, "secret_key", &out->secret_set));
    BDR_TRY(is_sealed(tx, "platform", p->id, "private_key", &out->secret_set));
    BDR_TRY(bound_fill(req, tx, out));
    return strcmp(p->kind, "openstack") ? NULL : ceph_fill(req, tx, out);
}

struct bdr_err *platform_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct platform *out)
{
    struct bdr_row_platform *p = NULL;

    BDR_TRY(bdr_q_platform_get(tx, id, &p));
    if (!p)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no platform %lld", (long long)id);
    BDR_TRY(obj_keep(req, p));
    return platform_fill(req, tx, p, out);
}

static struct bdr_err *platform_list(struct bdr_req *req, const void *in, void *out)
{
    const struct platform_filter *f = bdr_req_filter(req);
    const char *like = obj_like(req, f->name);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_platform *row = NULL;
    struct bdr_page *page = out;
    struct platform *items;

    (void)in;
    BDR_NOMEM_IF_NULL(like);
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_platform_view_list(tx,
                                     &(struct bdr_in_platform_view_list){f->kind ? f->kind : "", like,
                                                                         api_cursor(req, 0),
                                                                         bdr_req_page(req)->limit + 1},
                                     &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(platform_fill(req, tx, &row[i], &items[i]));
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

struct bdr_err *platform_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return api_refusal(req, platform_get(req, tx, obj_id(req), out));
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/platforms", "platforms:read", BDR_R_LIST, .out = &platform_shape, .query = &filter_shape,
     .run = platform_list, .cli = "platform list", .help = "Platforms of the production site.",
     .help_zh = "生产平台列表"},
    {BDR_POST, "/v1/platforms", "platforms:admin", 0, .in = &platform_shape, .out = &platform_shape, .run = platform_add,
     .status = 201, .cli = "platform add", .help = "Add a platform.", .help_zh = "添加生产平台"},
    {BDR_GET, "/v1/platforms/{id:u64}", "platforms:read", 0, .out = &platform_shape, .run = platform_show,
     .cli = "platform show", .help = "One platform.", .help_zh = "生产平台详情"},
    {BDR_PATCH, "/v1/platforms/{id:u64}", "platforms:admin", 0, .in = &platform_shape, .out = &platform_shape,
     .run = platform_set, .cli = "platform update", .help = "Change a platform; an empty secret stays as it was.",
     .help_zh = "更新生产平台"},
    {BDR_DELETE, "/v1/platforms/{id:u64}", "platforms:admin", 0, .run = platform_remove, .cli = "platform remove",
     .help = "Delete a platform that nothing needs.", .help_zh = "删除生产平台"},
    {BDR_POST, "/v1/platforms/{id:u64}/refresh", "platforms:operate", BDR_R_IDEMPOTENT, .out = &obj_job_shape,
     .run = platform_refresh, .status = 202, .cli = "platform refresh", .help = "Look at a platform's hosts again.",
     .help_zh = "刷新主机"},
    {BDR_POST, "/v1/platforms/{id:u64}/test", "platforms:operate", BDR_R_IDEMPOTENT, .out = &obj_job_shape,
     .run = platform_test, .status = 202, .cli = "platform test", .help = "Does the platform take our credentials?",
     .help_zh = "测试连接"},
    {BDR_POST, "/v1/platforms/{id:u64}/regions", "platforms:operate", BDR_R_IDEMPOTENT, .out = &obj_job_shape,
     .run = platform_regions, .status = 202, .cli = "platform regions", .help = "Ask AWS for its regions.",
     .help_zh = "刷新区域"},
};
const struct bdr_route_table api_platforms_table = BDR_ROUTES("platforms", rows);
