/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repositories.c - where points are kept: a folder or a bucket, behind a gateway or written to directly.
 *
 * The passphrase of an encrypted one is made here, sealed, given to whoever opens the repository, and never shown.
 * Secrets are rows of `sealed`: owner "repository", fields "passphrase" and "s3_secret", and "s3_more" {"region","addressing","ca"},
 * which is none, but belongs to them.
 */
#include "api/objects.h"
#include "bdr/ca.h"
#include "bdr/machine_api.h"
#include "bdr/osfile.h"
#include "api/s3_more.h"
#include <stdio.h>
#include <string.h>

#define PASSPHRASE_BYTES 32

enum { USUAL, PATH, VIRTUAL };
static const struct bdr_choice addressings[] = {
    {"usual", USUAL, "The bucket in the host's name at Amazon, in the path elsewhere.", "默认"},
    {"path", PATH, "https://endpoint/bucket/.", "路径"},
    {"virtual", VIRTUAL, "https://bucket.endpoint/.", "虚拟主机"},
    {.name = NULL},
};

struct repository {
    uint64_t id, gateway, hosts, points, used_bytes, free_bytes, data_bytes;
    const char *name, *url, *gateway_name, *s3_key, *s3_secret, *s3_endpoint, *s3_region, *s3_ca, *state, *state_text;
    int s3_addressing;
    bool encrypted, s3_secret_set;
    bool has_s3_addressing, has_gateway, has_encrypted, has_free_bytes, has_measured, has_hosts, has_points;
    int64_t measured, created;
    struct obj_allowed_list allowed;
};
static const struct bdr_shape_field repository_fields[] = {
    OBJ_ID(struct repository),
    {BDR_FIELD(struct repository, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 128,
     .help = "Its name.", .help_zh = "存储库名称"},
    {BDR_FIELD(struct repository, url), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 2, .len_max = 1000,
     .pattern = "^(/|s3://).+$", .help = "A folder of the gateway, or s3://bucket/prefix.", .help_zh = "存储位置"},
    {BDR_FIELD_HAS(struct repository, gateway), .type = BDR_T_U64,
     .help = "The gateway that owns it; 0: machines write to it directly.", .help_zh = "云同步网关编号"},
    OBJ_OUT(struct repository, gateway_name, TEXT, "The gateway's name.", "云同步网关"),
    {BDR_FIELD_HAS(struct repository, encrypted), .type = BDR_T_BOOL, .def = "true",
     .help = "What is stored is encrypted; the console makes and keeps the passphrase.", .help_zh = "加密"},
    {BDR_FIELD(struct repository, s3_key), .type = BDR_T_TEXT, .len_max = 256, .help = "Access key id of the bucket.",
     .help_zh = "Access Key ID"},
    {BDR_FIELD(struct repository, s3_secret), .type = BDR_T_SECRET, .len_max = 1024,
     .help = "Secret of that key; when it is changed, empty means as before.", .help_zh = "Access Key Secret"},
    {BDR_FIELD(struct repository, s3_endpoint), .type = BDR_T_TEXT, .len_max = 256, .pattern = "^(https?://[^ ]+)?$",
     .help = "Address of the object store; empty: AWS.", .help_zh = "对象存储地址"},
    {BDR_FIELD(struct repository, s3_region), .type = BDR_T_TEXT, .len_max = 64, .pattern = "^[A-Za-z0-9-]*$",
     .help = "Region of the bucket; empty: us-east-1.", .help_zh = "区域"},
    {BDR_FIELD_HAS(struct repository, s3_addressing), .type = BDR_T_ENUM, .choices = addressings, .def = "usual",
     .help = "Where requests name the bucket.", .help_zh = "寻址方式"},
    {BDR_FIELD(struct repository, s3_ca), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = BDR_MACHINE_PEM_MAX,
     .help = "CA of the object store's certificate (PEM); empty: those the machine trusts.", .help_zh = "CA证书(PEM)"},
    OBJ_OUT(struct repository, s3_secret_set, BOOL, "A secret is there.", "已设置密钥"),
    OBJ_OUT(struct repository, state, TEXT, "ok, error or full.", "状态"),
    OBJ_OUT(struct repository, state_text, TEXT, "Why.", "状态说明"),
    OBJ_OUT(struct repository, used_bytes, SIZE, "Bytes it takes.", "已用空间"),
    OBJ_OUT_HAS(struct repository, free_bytes, SIZE, "Bytes left, where that is known.", "可用空间"),
    OBJ_OUT(struct repository, data_bytes, SIZE, "Bytes of all points before deduplication.", "去重前数据量"),
    OBJ_OUT_HAS(struct repository, measured, TIME, "When that was measured.", "统计时间"),
    OBJ_OUT_HAS(struct repository, hosts, U64, "Hosts that are protected to it.", "主机数量"),
    OBJ_OUT_HAS(struct repository, points, U64, "Recovery points in it.", "恢复点数量"),
    OBJ_OUT(struct repository, created, TIME, "When it was made.", "创建时间"),
    {BDR_FIELD(struct repository, allowed), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &obj_allowed_shape,
     .flags = BDR_F_READONLY, .help = "What can be asked for now.", .help_zh = "当前可执行的操作"},
    OBJ_END,
};
static const struct bdr_shape repository_shape = OBJ_SHAPE(struct repository, "Repository", repository_fields);

struct repository_filter {
    const char *name;
    uint64_t gateway;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct repository_filter, name), .type = BDR_T_TEXT, .len_max = 128, .help = "A part of the name.",
     .help_zh = "名称"},
    {BDR_FIELD(struct repository_filter, gateway), .type = BDR_T_U64, .help = "Only of this gateway.",
     .help_zh = "云同步网关编号"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct repository_filter, "RepositoryFilter", filter_fields);

static struct bdr_seal_place place(int64_t id, const char *field)
{
    return (struct bdr_seal_place){"repository", id, field};
}

static const char *needed_by(struct bdr_req *req, const struct bdr_row_repository_view *r)
{
    if (!r->hosts && !r->points)
        return NULL;
    return bdr_arena_printf(bdr_req_arena(req), "%lld hosts and %lld recovery points need it.", (long long)r->hosts,
                            (long long)r->points);
}

static struct bdr_err *repository_fill(struct bdr_req *req, struct bdr_tx *tx, const struct bdr_row_repository_view *r,
                                       struct repository *out)
{
    BDR_AUTO(mem) struct bdr_row_sealed_get *sealed = NULL;
    struct s3_more more = {0};

    *out = (struct repository){.id = (uint64_t)r->id,
                               .name = r->name,
                               .url = r->url,
                               .gateway_name = obj_text(r->gateway_name),
                               .encrypted = r->encrypted,
                               .has_encrypted = true,
                               .s3_key = obj_text(r->s3_key),
                               .s3_endpoint = obj_text(r->s3_endpoint),
                               .state = r->state,
                               .state_text = obj_text(r->state_text),
                               .used_bytes = (uint64_t)r->used_bytes,
                               .free_bytes = (uint64_t)r->free_bytes.v,
                               .has_free_bytes = r->free_bytes.set,
                               .data_bytes = (uint64_t)r->data_bytes,
                               .hosts = (uint64_t)r->hosts,
                               .points = (uint64_t)r->points,
                               .has_hosts = true,
                               .has_points = true,
                               .created = r->created_ms};
    OBJ_SET(out, gateway, (uint64_t)(r->gateway_id.set ? r->gateway_id.v : 0));
    OBJ_SET(out, measured, r->measured_ms);
    BDR_TRY(bdr_q_sealed_get(tx, "repository", r->id, "s3_secret", &sealed));
    out->s3_secret_set = sealed != NULL;
    BDR_TRY(s3_more_get(req, tx, r->id, &more));
    out->s3_region = more.region;
    out->s3_ca = more.ca;
    out->s3_addressing = obj_choice_of(addressings, more.addressing ? more.addressing : "usual");
    out->has_s3_addressing = !strncmp(r->url, "s3://", 5);
    out->allowed.items = bdr_arena_alloc(bdr_req_arena(req), sizeof(out->allowed.items[0]));
    BDR_NOMEM_IF_NULL(out->allowed.items);
    obj_allow(&out->allowed, 1, "delete", needed_by(req, r));
    return NULL;
}

static struct bdr_err *repository_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct repository *out)
{
    struct bdr_row_repository_view *r = NULL;

    BDR_TRY(bdr_q_repository_view_get(tx, id, &r));
    if (!r)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no repository %lld", (long long)id);
    BDR_TRY(obj_keep(req, r));
    return repository_fill(req, tx, r, out);
}

static struct bdr_err *repository_list(struct bdr_req *req, const void *in, void *out)
{
    const struct repository_filter *f = bdr_req_filter(req);
    const char *like = obj_like(req, f->name);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_repository_view *row = NULL;
    struct bdr_page *page = out;
    struct repository *items;

    (void)in;
    BDR_NOMEM_IF_NULL(like);
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_repository_view_list(tx,
                                       &(struct bdr_in_repository_view_list){like, (int64_t)f->gateway,
                                                                             api_cursor(req, 0),
                                                                             bdr_req_page(req)->limit + 1},
                                       &row, &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        BDR_TRY(repository_fill(req, tx, &row[i], &items[i]));
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

static struct bdr_err *repository_show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    return api_refusal(req, repository_get(req, tx, obj_id(req), out));
}

/* ---- secrets ---- */

static struct bdr_err *passphrase_make(struct bdr_tx *tx, struct bdr_req *req, int64_t id)
{
    const struct bdr_seal_place at = place(id, "passphrase");
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    uint8_t raw[PASSPHRASE_BYTES];
    char text[2 * PASSPHRASE_BYTES + 1];
    struct bdr_err *err;

    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    err = bdr_secret_set(&secret, bdr_hex(raw, sizeof(raw), text), 2 * sizeof(raw));
    bdr_wipe(raw, sizeof(raw));
    bdr_wipe(text, sizeof(text));
    BDR_TRY(err);
    return bdr_secret_put(tx, api_console(req)->ring, &at, &secret, api_now());
}

static struct bdr_err *s3_secret_put(struct bdr_tx *tx, struct bdr_req *req, int64_t id, const char *text)
{
    const struct bdr_seal_place at = place(id, "s3_secret");
    BDR_AUTO(secret) struct bdr_secret secret = {0};

    if (!text || !*text)
        return NULL;
    BDR_TRY(bdr_secret_set(&secret, text, strlen(text)));
    return bdr_secret_put(tx, api_console(req)->ring, &at, &secret, api_now());
}

/* ---- changes ---- */

static struct bdr_err *gateway_check(struct bdr_tx *tx, uint64_t id)
{
    BDR_AUTO(mem) struct bdr_row_gateway_view *g = NULL;

    if (!id)
        return NULL;
    BDR_TRY(bdr_q_gateway_view_get(tx, (int64_t)id, &g));
    if (!g)
        BDR_FAIL(BDR_INVAL, 0, "there is no gateway %llu", (unsigned long long)id);
    if (g->revoked_ms)
        BDR_FAIL(BDR_CONFLICT, 0, "the access of gateway %s was revoked", g->name);
    return NULL;
}

/* What only a bucket has, and what a bucket needs. */
static struct bdr_err *s3_check(struct bdr_req *req, const struct repository *r, bool has_secret)
{
    bool s3 = !strncmp(r->url, "s3://", 5), key = r->s3_key && *r->s3_key;
    bool ca = r->s3_ca && *r->s3_ca;
    bool any = key || (r->s3_secret && *r->s3_secret) || (r->s3_endpoint && *r->s3_endpoint) || ca ||
               (r->s3_region && *r->s3_region) || r->s3_addressing != USUAL;
    struct bdr_cert_info info;
    struct bdr_err *err = ca ? bdr_cert_parse(r->s3_ca, strlen(r->s3_ca), &info) : NULL;
    unsigned bad = 0;

    if (err && ++bad)
        bdr_req_fault(req, "/s3_ca", BDR_INVAL, "is no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----");
    bdr_err_drop(err, "told in words");
    if (!s3 && any) {
        bdr_req_fault(req, "/url", BDR_INVAL, "is a folder, which has no key, secret or endpoint");
        bad++;
    }
    if (s3 && !key && ++bad)
        bdr_req_fault(req, "/s3_key", BDR_INVAL, "is needed for a bucket");
    if (s3 && !has_secret && !(r->s3_secret && *r->s3_secret) && ++bad)
        bdr_req_fault(req, "/s3_secret", BDR_INVAL, "is needed for a bucket");
    if (strstr(r->url, "/../") && ++bad)
        bdr_req_fault(req, "/url", BDR_INVAL, "has .. in it");
    if (bad)
        BDR_REFUSE(req, BDR_INVAL, "The repository is not right; see what is said of its fields.");
    return NULL;
}

static struct bdr_err *taken(struct bdr_req *req, struct bdr_err *err)
{
    if (err && err->code == BDR_EXISTS) {
        bdr_err_drop(err, "said in better words");
        BDR_REFUSE(req, BDR_EXISTS, "There is a repository of that name or at that place already.");
    }
    return api_refusal(req, err);
}

static struct bdr_err *more_put(struct bdr_tx *tx, struct bdr_req *req, int64_t id, const struct repository *r)
{
    return s3_more_put(tx, req, id,
                       &(struct s3_more){.region = r->s3_region,
                                         .ca = r->s3_ca,
                                         .addressing = r->s3_addressing != USUAL ? obj_choice_name(addressings, r->s3_addressing) : NULL});
}

static struct bdr_err *add_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct repository *r = c->in;
    const struct bdr_opt_i64 gateway = {.set = r->gateway != 0, .v = (int64_t)r->gateway};
    int64_t n;

    BDR_TRY(gateway_check(tx, r->gateway));
    BDR_TRY(bdr_q_repository_add(
        tx, &(struct bdr_in_repository_add){r->name, r->url, gateway, r->encrypted, api_now()}, &c->made));
    BDR_TRY(bdr_q_repository_set(tx,
                                 &(struct bdr_in_repository_set){c->made, r->name, gateway, r->s3_key ? r->s3_key : "",
                                                                 r->s3_endpoint ? r->s3_endpoint : ""},
                                 &n));
    if (r->encrypted)
        BDR_TRY(passphrase_make(tx, c->req, c->made));
    BDR_TRY(s3_secret_put(tx, c->req, c->made, r->s3_secret));
    BDR_TRY(more_put(tx, c->req, c->made, r));
    BDR_TRY(repository_get(c->req, tx, c->made, c->out));
    return api_audit(tx, c->req, "repository.add", "repository", c->made, &repository_shape, NULL, c->out);
}

/* The gateway learns what it owns when it asks: it is told to. */
static void gateway_hint(struct bdr_req *req, const struct repository *r)
{
    if (r->has_gateway)
        bdr_hub_tell_machine(api_console(req)->hub, (int64_t)r->gateway, "settings", NULL);
}

static struct bdr_err *repository_add(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out};

    BDR_TRY(s3_check(req, in, false));
    BDR_TRY(taken(req, bdr_db_run(api_console(req)->db, BDR_TX_WRITE, add_tx, &c)));
    gateway_hint(req, out);
    obj_tell(req, "repository", c.made, "added");
    return NULL;
}

static struct bdr_err *set_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct repository *in = c->in;
    struct repository was, r;
    int64_t n, jobs = 0;

    BDR_TRY(repository_get(c->req, tx, c->id, &was));
    if ((in->url && strcmp(in->url, was.url) != 0) || (in->has_encrypted && in->encrypted != was.encrypted))
        BDR_FAIL(BDR_CONFLICT, 0, "a repository's place and encryption stay as they are: make another and copy to it");
    r = was;
    r.name = in->name ? in->name : r.name;
    r.s3_key = in->s3_key ? in->s3_key : r.s3_key;
    r.s3_secret = in->s3_secret;
    r.s3_endpoint = in->s3_endpoint ? in->s3_endpoint : r.s3_endpoint;
    r.s3_region = in->s3_region ? in->s3_region : r.s3_region;
    r.s3_ca = in->s3_ca ? in->s3_ca : r.s3_ca;
    r.s3_addressing = in->has_s3_addressing ? in->s3_addressing : r.s3_addressing;
    r.gateway = in->has_gateway ? in->gateway : r.gateway;
    BDR_TRY(s3_check(c->req, &r, was.s3_secret_set));
    if (r.gateway != was.gateway) {
        BDR_TRY(gateway_check(tx, r.gateway));
        BDR_TRY(bdr_q_repository_jobs(tx, c->id, &jobs));
        if (jobs)
            BDR_FAIL(BDR_CONFLICT, 0, "%lld jobs of repository %s have not ended; its gateway can change when they have",
                     (long long)jobs, was.name);
    }
    BDR_TRY(bdr_q_repository_set(
        tx,
        &(struct bdr_in_repository_set){c->id,
                                        r.name,
                                        {.set = r.gateway != 0, .v = (int64_t)r.gateway},
                                        r.s3_key ? r.s3_key : "",
                                        r.s3_endpoint ? r.s3_endpoint : ""},
        &n));
    BDR_TRY(s3_secret_put(tx, c->req, c->id, in->s3_secret));
    BDR_TRY(more_put(tx, c->req, c->id, &r));
    c->wake_machine = (int64_t)was.gateway;
    BDR_TRY(repository_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "repository.update", "repository", c->id, &repository_shape, &was, c->out);
}

static struct bdr_err *repository_set(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out, .id = obj_id(req)};

    BDR_TRY(taken(req, bdr_db_run(api_console(req)->db, BDR_TX_WRITE, set_tx, &c)));
    if (c.wake_machine)
        bdr_hub_tell_machine(api_console(req)->hub, c.wake_machine, "settings", NULL);
    gateway_hint(req, out);
    obj_tell(req, "repository", c.id, "changed");
    return NULL;
}

static struct bdr_err *remove_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    struct repository was;
    int64_t jobs = 0, n, locked;
    bool found;

    BDR_TRY(bdr_q_repository_lock(tx, c->id, &locked, &found));
    BDR_TRY(repository_get(c->req, tx, c->id, &was));
    if (was.hosts || was.points)
        BDR_FAIL(BDR_CONFLICT, 0, "repository %s is needed by %llu hosts and %llu recovery points; remove them first",
                 was.name, (unsigned long long)was.hosts, (unsigned long long)was.points);
    BDR_TRY(bdr_q_repository_jobs(tx, c->id, &jobs));
    if (jobs)
        BDR_FAIL(BDR_CONFLICT, 0, "%lld jobs of repository %s have not ended", (long long)jobs, was.name);
    BDR_TRY(bdr_q_repository_forget_jobs(tx, c->id, &n));
    BDR_TRY(bdr_q_repository_forget_recoveries(tx, c->id, &n));
    BDR_TRY(bdr_q_repository_forget_points(tx, c->id, &n));
    BDR_TRY(bdr_q_sealed_delete(tx, "repository", c->id, &n));
    BDR_TRY(bdr_q_repository_delete(tx, c->id, &n));
    return api_audit(tx, c->req, "repository.delete", "repository", c->id, &repository_shape, &was, NULL);
}

static struct bdr_err *repository_remove(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .id = obj_id(req)};

    (void)in, (void)out;
    BDR_TRY(api_run(req, BDR_TX_WRITE, remove_tx, &c));
    obj_tell(req, "repository", c.id, "removed");
    return NULL;
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/repositories", "repositories:read", BDR_R_LIST, .out = &repository_shape, .query = &filter_shape,
     .run = repository_list, .cli = "repository list", .help = "Repositories and their space.", .help_zh = "存储库列表"},
    {BDR_POST, "/v1/repositories", "repositories:admin", 0, .in = &repository_shape, .out = &repository_shape,
     .run = repository_add, .status = 201, .cli = "repository add", .help = "Make a repository known.",
     .help_zh = "添加存储库"},
    {BDR_GET, "/v1/repositories/{id:u64}", "repositories:read", 0, .out = &repository_shape, .run = repository_show,
     .cli = "repository show", .help = "One repository.", .help_zh = "存储库详情"},
    {BDR_PATCH, "/v1/repositories/{id:u64}", "repositories:admin", 0, .in = &repository_shape, .out = &repository_shape,
     .run = repository_set, .cli = "repository update", .help = "Change a repository's name, gateway or keys.",
     .help_zh = "修改存储库"},
    {BDR_DELETE, "/v1/repositories/{id:u64}", "repositories:admin", 0, .run = repository_remove,
     .cli = "repository remove", .help = "Forget a repository that nothing needs; its data is not touched.",
     .help_zh = "删除存储库"},
};
const struct bdr_route_table api_repositories_table = BDR_ROUTES("repositories", rows);
