/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - what names of the production site resolve to; Sync Proxies take them as their hosts file. */
#include "api/objects.h"
#include <string.h>

struct name_record {
    uint64_t id, platform;
    bool has_platform;
    const char *name, *address;
};
static const struct bdr_shape_field name_fields[] = {
    OBJ_ID(struct name_record),
    {BDR_FIELD_HAS(struct name_record, platform), .type = BDR_T_U64,
     .help = "For this platform alone; without it, for all of them.", .help_zh = "平台编号"},
    {BDR_FIELD(struct name_record, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 253,
     .pattern = "^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$",
     .help = "The host name.", .help_zh = "域名"},
    {BDR_FIELD(struct name_record, address), .type = BDR_T_IP, .flags = BDR_F_REQUIRED,
     .help = "Its IPv4 or IPv6 address.", .help_zh = "IP地址"},
    OBJ_END,
};
static const struct bdr_shape name_shape = OBJ_SHAPE(struct name_record, "NameRecord", name_fields);

struct name_filter {
    uint64_t platform;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct name_filter, platform), .type = BDR_T_U64, .help = "Only those of this platform.",
     .help_zh = "平台编号"},
    OBJ_END,
};
static const struct bdr_shape filter_shape = OBJ_SHAPE(struct name_filter, "NameFilter", filter_fields);

static void name_fill(const struct bdr_row_name_record *n, struct name_record *out)
{
    *out = (struct name_record){.id = (uint64_t)n->id, .name = n->name, .address = n->addr};
    OBJ_SET(out, platform, (uint64_t)(n->platform_id.set ? n->platform_id.v : 0));
}

static struct bdr_err *name_list(struct bdr_req *req, const void *in, void *out)
{
    const struct name_filter *f = bdr_req_filter(req);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_name_record *row = NULL;
    struct bdr_page *page = out;
    struct name_record *items;

    (void)in;
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(bdr_q_name_view_list(tx, (int64_t)f->platform, api_cursor(req, 0), bdr_req_page(req)->limit + 1, &row,
                                 &page->n));
    BDR_TRY(obj_keep(req, row));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n; i++)
        name_fill(&row[i], &items[i]);
    return api_page_end(req, page, page->n > bdr_req_page(req)->limit ? row[bdr_req_page(req)->limit - 1].id : 0);
}

static struct bdr_err *add_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct name_record *in = c->in;
    struct name_record *out = c->out;
    int64_t locked;
    bool found = true;
    struct bdr_err *err;

    if (in->platform)
        BDR_TRY(bdr_q_platform_lock(tx, (int64_t)in->platform, &locked, &found));
    if (!found)
        BDR_FAIL(BDR_INVAL, 0, "there is no platform %llu", (unsigned long long)in->platform);
    err = bdr_q_name_record_add(tx, (struct bdr_opt_i64){.set = in->platform != 0, .v = (int64_t)in->platform}, in->name,
                                in->address, &c->made);
    if (err && err->code == BDR_EXISTS)
        return bdr_err_recode(err, BDR_EXISTS, BDR_AT, "that name has that address already");
    BDR_TRY(err);
    *out = *in;
    out->id = (uint64_t)c->made;
    out->has_platform = in->platform != 0;
    return api_audit(tx, c->req, "name.add", "name", c->made, &name_shape, NULL, out);
}

static struct bdr_err *name_add(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out};

    BDR_TRY(api_run(req, BDR_TX_LOCK, add_tx, &c));
    obj_tell(req, "name", c.made, "added");
    return NULL;
}

static struct bdr_err *remove_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_name_record *row = NULL;
    struct obj_change *c = ctx;
    struct name_record was;
    int64_t n;

    BDR_TRY(bdr_q_name_record_get(tx, c->id, &row));
    if (!row)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no name record %lld", (long long)c->id);
    name_fill(row, &was);
    BDR_TRY(bdr_q_name_record_delete(tx, c->id, &n));
    return api_audit(tx, c->req, "name.delete", "name", c->id, &name_shape, &was, NULL);
}

static struct bdr_err *name_remove(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .id = obj_id(req)};

    (void)in, (void)out;
    BDR_TRY(api_run(req, BDR_TX_WRITE, remove_tx, &c));
    obj_tell(req, "name", c.id, "removed");
    return NULL;
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/names", "platforms:read", BDR_R_LIST, .out = &name_shape, .query = &filter_shape, .run = name_list,
     .cli = "name list", .help = "Names of the production site and their addresses.", .help_zh = "域名解析记录列表"},
    {BDR_POST, "/v1/names", "platforms:admin", BDR_R_IDEMPOTENT, .in = &name_shape, .out = &name_shape, .run = name_add,
     .status = 201, .cli = "name add", .help = "Say what a name resolves to.", .help_zh = "添加域名解析记录"},
    {BDR_DELETE, "/v1/names/{id:u64}", "platforms:admin", 0, .run = name_remove, .cli = "name remove",
     .help = "Delete a name record.", .help_zh = "删除域名解析记录"},
};
const struct bdr_route_table api_names_table = BDR_ROUTES("names", rows);
