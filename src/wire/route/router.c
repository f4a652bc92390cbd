/* SPDX-License-Identifier: Apache-2.0 */
/* The table: checked when a program starts, so that a wrong row is never served. */
#include "route_i.h"
#include <stdio.h>
#include <string.h>

const char *bdr_method_name(enum bdr_method m)
{
    static const char *const names[] = {"", "GET", "POST", "PUT", "PATCH", "DELETE"};

    return m <= BDR_DELETE ? names[m] : "";
}

static const struct bdr_shape_field page_fields[] = {
    {BDR_FIELD(struct bdr_page_query, limit), .type = BDR_T_U32, .def = "100", .min = 1, .max = 500,
     .help = "How many items to return.", .help_zh = "返回的条目数。"},
    {BDR_FIELD(struct bdr_page_query, cursor), .type = BDR_T_TEXT, .len_min = 1, .len_max = 512,
     .help = "The `next` of the page before.", .help_zh = "上一页返回的 next。"},
    {.name = NULL},
};
const struct bdr_shape route_page_shape = {
    .name = "PageQuery",
    .size = sizeof(struct bdr_page_query),
    .fields = page_fields,
    .help = "Which part of a list.",
    .help_zh = "列表的哪一部分。",
};

static struct bdr_err *perm_check(const struct bdr_route *row)
{
    bool anonymous = row->flags & BDR_R_ANONYMOUS;

    if (!row->perm && !anonymous)
        BDR_FAIL(BDR_INTERNAL, 0, "it has no permission; name one, or say BDR_R_ANONYMOUS");
    if (row->perm && anonymous)
        BDR_FAIL(BDR_INTERNAL, 0, "it has a permission and is for everybody: which?");
    if (anonymous && row->flags & BDR_R_MACHINE)
        BDR_FAIL(BDR_INTERNAL, 0, "a machine is not anonymous");
    if (row->roles && !(row->flags & BDR_R_MACHINE))
        BDR_FAIL(BDR_INTERNAL, 0, "roles are for machines");
    return NULL;
}

static struct bdr_err *body_check(const struct bdr_route *row)
{
    bool stream_in = row->flags & BDR_R_STREAM_IN, stream_out = row->flags & BDR_R_STREAM_OUT;

    if (row->in && (stream_in || row->method == BDR_GET || row->method == BDR_DELETE))
        BDR_FAIL(BDR_INTERNAL, 0, "a body of JSON does not go with a stream, GET or DELETE");
    if ((row->out != NULL) && stream_out)
        BDR_FAIL(BDR_INTERNAL, 0, "it answers with JSON or with a stream, not both");
    if (stream_in != (row->in_type != NULL) || stream_out != (row->out_type != NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "in_type and out_type go with streams");
    if (row->flags & BDR_R_ANY_QUERY && (row->query || row->flags & BDR_R_LIST))
        BDR_FAIL(BDR_INTERNAL, 0, "it has a query and says BDR_R_ANY_QUERY");
    if (row->flags & BDR_R_LIST && (!row->out || row->method != BDR_GET))
        BDR_FAIL(BDR_INTERNAL, 0, "a list is a GET and has .out, the shape of one item");
    if (row->flags & BDR_R_AT_ONCE && (row->method != BDR_GET || stream_out))
        BDR_FAIL(BDR_INTERNAL, 0, "only a plain GET may run at once");
    if (row->flags & BDR_R_IDEMPOTENT && (row->method != BDR_POST || stream_in || stream_out))
        BDR_FAIL(BDR_INTERNAL, 0, "Idempotency-Key is for a POST of JSON; other methods may come twice anyway");
    return NULL;
}

static struct bdr_err *query_check(const struct bdr_route *row)
{
    for (const struct bdr_shape_field *f = row->query ? row->query->fields : NULL; f && f->name; f++) {
        enum bdr_shape_type t = f->type == BDR_T_ARRAY ? f->of : f->type;

        if (t == BDR_T_OBJECT || t == BDR_T_JSON || t == BDR_T_SECRET)
            BDR_FAIL(BDR_INTERNAL, 0, "query parameter %s: objects do not fit, secrets end in logs", f->name);
        if (row->flags & BDR_R_LIST && (!strcmp(f->name, "limit") || !strcmp(f->name, "cursor")))
            BDR_FAIL(BDR_INTERNAL, 0, "a list has %s by itself", f->name);
    }
    return NULL;
}

static struct bdr_err *row_check(const struct bdr_router_config *c, const struct bdr_route *row)
{
    const struct bdr_shape *shapes[] = {row->in, row->out, row->query};

    if (row->method < BDR_GET || row->method > BDR_DELETE || !row->run || !row->help || !row->help_zh)
        BDR_FAIL(BDR_INTERNAL, 0, "it needs a method, a handler and its help in English and Chinese");
    BDR_TRY(perm_check(row));
    BDR_TRY(body_check(row));
    BDR_TRY(query_check(row));
    for (size_t i = 0; i < BDR_COUNT(shapes); i++)
        if (shapes[i])
            BDR_TRY(bdr_shape_check(shapes[i]));
    if (row->flags & BDR_R_IDEMPOTENT && !c->idempotency)
        BDR_FAIL(BDR_INTERNAL, 0, "it takes Idempotency-Key, and this program does not keep answers");
    return NULL;
}

static bool same_path(const struct compiled *a, const struct compiled *b)
{
    if (a->n != b->n || a->row->method != b->row->method)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct segment *s = &a->segments[i], *t = &b->segments[i];

        if (s->param != t->param || (!s->param && (s->len != t->len || strncmp(s->text, t->text, s->len))))
            return false;
    }
    return true;
}

static struct bdr_err *row_add(struct bdr_router *r, const struct bdr_route *row, const char *tag)
{
    struct compiled *c = &r->rows[r->n];

    BDR_TRY(row_check(&r->config, row));
    BDR_TRY(route_compile(row, c));
    c->tag = row->tag ? row->tag : tag;
    for (size_t i = 0; i < r->n; i++)
        if (same_path(&r->rows[i], c))
            BDR_FAIL(BDR_INTERNAL, 0, "there is a row for it already: %s", r->rows[i].row->path);
    r->n++;
    return NULL;
}

struct bdr_err *bdr_router_new(const struct bdr_router_config *config, struct bdr_router **out)
{
    BDR_AUTO(router) struct bdr_router *r = calloc(1, sizeof(*r));
    size_t n = 0;

    BDR_NOMEM_IF_NULL(r);
    r->config = *config;
    if (!config->authorise || !config->title || !config->version)
        BDR_FAIL(BDR_INTERNAL, 0, "a router needs a title, a version and an authorise callback");
    for (size_t i = 0; i < config->n_tables; i++)
        n += config->tables[i].n;
    r->rows = calloc(n + 1, sizeof(r->rows[0]));
    BDR_NOMEM_IF_NULL(r->rows);
    for (size_t i = 0; i < config->n_tables; i++)
        for (size_t k = 0; k < config->tables[i].n; k++) {
            const struct bdr_route *row = &config->tables[i].rows[k];

            BDR_TRY_FOR(row_add(r, row, config->tables[i].tag), "route %s %s", bdr_method_name(row->method),
                        row->path ? row->path : "?");
        }
    *out = BDR_STEAL(r);
    return NULL;
}

void bdr_router_free(struct bdr_router *r)
{
    if (!r)
        return;
    free(r->rows);
    free(r);
}

const struct bdr_route *bdr_router_row(const struct bdr_router *r, size_t i)
{
    return i < r->n ? r->rows[i].row : NULL;
}
