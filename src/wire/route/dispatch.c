/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its row and back: find, authorise, read the body, run, answer. */
#include "bdr/log.h"
#include "route_i.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define STRANGER_BYTES 98304 /* a login, an enrolment with its request of 64 Ki characters */

static const struct found *found_of(const struct bdr_req *req)
{
    return req->app_data;
}

const char *bdr_req_param(const struct bdr_req *req, const char *name)
{
    const struct found *f = found_of(req);

    for (size_t i = 0; i < f->n_params; i++)
        if (!strncmp(f->params[i].name, name, strlen(name)) && strchr(":}", f->params[i].name[strlen(name)]))
            return f->params[i].value;
    return "";
}

uint64_t bdr_req_param_u64(const struct bdr_req *req, const char *name)
{
    const struct found *f = found_of(req);

    for (size_t i = 0; i < f->n_params; i++)
        if (!strncmp(f->params[i].name, name, strlen(name)) && strchr(":}", f->params[i].name[strlen(name)]))
            return f->params[i].number;
    return 0;
}

const void *bdr_req_filter(const struct bdr_req *req)
{
    return found_of(req)->filter;
}
const struct bdr_page_query *bdr_req_page(const struct bdr_req *req)
{
    return &found_of(req)->page;
}
void *bdr_req_ctx(const struct bdr_req *req)
{
    return found_of(req)->router->config.ctx;
}
const struct bdr_route *bdr_req_route(const struct bdr_req *req)
{
    return found_of(req) ? found_of(req)->row : NULL;
}

static void audit(struct bdr_req *req, unsigned status)
{
    const struct found *f = found_of(req);

    if (f->router->config.audit && (f->row->method != BDR_GET || status == 401 || status == 403))
        f->router->config.audit(f->router->config.ctx, req, f->row, status);
}

static void fail(struct bdr_req *req, struct bdr_err *err, const struct bdr_faults *faults)
{
    audit(req, problem_of_err(req, err, faults));
}

/* "application/json; charset=utf-8" is application/json. */
static bool type_is(const char *given, const char *want)
{
    size_t len = strlen(want);

    return given && !strncasecmp(given, want, len) && (!given[len] || given[len] == ';' || given[len] == ' ');
}

static void not_found(struct bdr_req *req, enum match m, const char *allow)
{
    if (m == MATCH_NONE) {
        problem_send(req, 404, BDR_NOTFOUND,
                     "There is nothing at this path. Look at /v1/openapi.json for what there is.", NULL);
        return;
    }
    bdr_err_drop(bdr_req_set_header(req, "Allow", allow), "the problem says it too");
    problem_send(req, 405, BDR_UNSUPPORTED, bdr_arena_printf(req->arena, "This path takes %s only.", allow), NULL);
}

static void router_begin(void *ctx, struct bdr_req *req, struct bdr_http_plan *plan)
{
    struct bdr_router *r = ctx;
    struct found *f = bdr_arena_alloc(req->arena, sizeof(*f));
    const char *want;
    char allow[64];
    enum match m;

    if (!f) {
        bdr_req_break(req);
        return;
    }
    f->router = r;
    req->app_data = f;
    m = route_match(r, req->arena, req->method, req->path, f, allow);
    if (m != MATCH_YES) {
        not_found(req, m, allow);
        return;
    }
    for (size_t i = 0; i < f->compiled->n; i++) /* what the access log shows */
        if (f->compiled->segments[i].param && f->compiled->segments[i].type == PARAM_SECRET)
            req->path = f->row->path;
    plan->body = f->row->flags & BDR_R_STREAM_IN ? BDR_BODY_STREAMED : f->row->in ? BDR_BODY_BUFFERED : BDR_BODY_NONE;
    plan->stream = f->row->flags & BDR_R_STREAM_OUT;
    plan->at_once = f->row->flags & BDR_R_AT_ONCE;
    plan->max_bytes = f->row->body_max_bytes;
    plan->stranger = f->row->flags & BDR_R_ANONYMOUS;
    if (plan->stranger && plan->body == BDR_BODY_BUFFERED && !plan->max_bytes)
        plan->max_bytes = STRANGER_BYTES;
    want = f->row->in ? "application/json" : f->row->in_type;
    if (want && req->has_body && !type_is(bdr_req_header(req, "Content-Type"), want)) {
        bdr_err_drop(bdr_req_set_header(req, "Accept", want), "the problem says it too");
        problem_send(req, 415, BDR_UNSUPPORTED,
                     bdr_arena_printf(req->arena, "Send the body with Content-Type: %s.", want), NULL);
    }
}

static bool role_listed(const char *roles, const char *role)
{
    size_t len = strlen(role);

    for (const char *at = roles; len && at;) {
        const char *next = strchr(at, '|');

        if (!strncmp(at, role, len) && (!at[len] || at[len] == '|'))
            return true;
        at = next ? next + 1 : NULL;
    }
    return false;
}

static struct bdr_err *machine_check(struct bdr_req *req, const struct bdr_route *row)
{
    const struct bdr_cert_info *peer = bdr_req_peer(req);

    if (!peer || !peer->machine[0])
        BDR_REFUSE(req, BDR_AUTH,
                   "This is for machines: connect with the certificate that enrolment gave this machine.");
    if (row->roles && !role_listed(row->roles, peer->role))
        BDR_REFUSE(req, BDR_DENIED, "This is for machines of the role %s; this one is enrolled as %s.", row->roles,
                   peer->role);
    return NULL;
}

static void router_admit(void *ctx, struct bdr_req *req)
{
    const struct bdr_router *r = ctx;
    const struct found *f = found_of(req);
    struct bdr_err *err = NULL;

    if (f->row->flags & BDR_R_MACHINE)
        err = machine_check(req, f->row);
    if (!err && f->row->perm)
        err = r->config.authorise(r->config.ctx, req, f->row, f->row->perm);
    if (err)
        fail(req, err, NULL);
}

static void fields_append(struct bdr_shape_field *out, size_t *n, const struct bdr_shape *shape, size_t base)
{
    for (const struct bdr_shape_field *f = shape ? shape->fields : NULL; f && f->name; f++) {
        out[*n] = *f;
        out[*n].offset += base;
        out[*n].has += f->has ? base : 0;
        ++*n;
    }
}

static size_t fields_count(const struct bdr_shape *shape)
{
    size_t n = 0;

    while (shape && shape->fields[n].name)
        n++;
    return n;
}

/* Limit and cursor of a list and the row's own query are read as one, so that all mistakes are told at once. */
static struct bdr_err *query_read(struct bdr_req *req, struct found *f, struct bdr_faults *faults)
{
    const struct bdr_shape *page = f->row->flags & BDR_R_LIST ? &route_page_shape : NULL, *own = f->row->query;
    size_t base = (sizeof(f->page) + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t), n = 0;
    struct bdr_shape_field *fields =
        bdr_arena_alloc(req->arena, (fields_count(page) + fields_count(own) + 1) * sizeof(*fields));
    struct bdr_shape both = {.name = "Query", .size = base + (own ? own->size : 0), .fields = fields};
    char *room = bdr_arena_alloc(req->arena, both.size);

    BDR_NOMEM_IF_NULL(fields);
    BDR_NOMEM_IF_NULL(room);
    fields_append(fields, &n, page, 0);
    fields_append(fields, &n, own, base);
    BDR_TRY(bdr_shape_read_query(&both, req->query, req->n_query, req->arena, room, faults));
    if (page)
        memcpy(&f->page, room, sizeof(f->page));
    f->filter = own ? room + base : NULL;
    return NULL;
}

static struct bdr_err *body_read(struct bdr_req *req, const struct bdr_route *row, void **out,
                                 struct bdr_faults *faults)
{
    void *in = bdr_arena_alloc(req->arena, row->in->size);
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(in);
    if (!req->body.len)
        BDR_REFUSE(req, BDR_INVAL, "Send a body of JSON (Content-Type: application/json).");
    err = bdr_shape_read(row->in, row->method == BDR_PATCH ? BDR_SHAPE_PATCH : BDR_SHAPE_REQUEST,
                         (const char *)req->body.data, req->body.len, req->arena, in, faults);
    if (err && err->code == BDR_INVAL && !faults->n)
        req->refusal = bdr_arena_printf(req->arena, "The body is not right: %s", err->msg);
    BDR_TRY(err);
    *out = in;
    return NULL;
}

static struct bdr_err *page_write(const struct bdr_route *row, const struct bdr_page *page, struct bdr_buf *b)
{
    bdr_buf_printf(b, "{\"items\":[");
    for (size_t i = 0; i < page->n; i++) {
        if (i)
            bdr_buf_u8(b, ',');
        BDR_TRY(bdr_shape_write(row->out, BDR_SHAPE_RESPONSE, (char *)page->items + i * row->out->size, b));
    }
    bdr_buf_u8(b, ']');
    if (page->next) {
        bdr_buf_printf(b, ",\"next\":");
        bdr_json_put_text(b, page->next);
    }
    bdr_buf_u8(b, '}');
    return bdr_buf_check(b);
}

static struct bdr_err *answer(struct bdr_req *req, const struct bdr_route *row, const void *out, struct bdr_buf *b,
                              unsigned *out_status)
{
    *out_status = row->status ? row->status : row->out ? 200 : 204;
    if (row->flags & BDR_R_LIST)
        BDR_TRY(page_write(row, out, b));
    else if (row->out)
        BDR_TRY(bdr_shape_write(row->out, BDR_SHAPE_RESPONSE, out, b));
    return bdr_req_send(req, *out_status, row->out ? "application/json" : NULL, b->data, b->len);
}

static struct bdr_err *run_row(struct bdr_req *req, const struct bdr_route *row, const void *in, struct bdr_buf *b,
                               unsigned *out_status)
{
    size_t size = row->flags & BDR_R_LIST ? sizeof(struct bdr_page) : row->out ? row->out->size : 0;
    void *out = size ? bdr_arena_alloc(req->arena, size) : NULL;

    if (size)
        BDR_NOMEM_IF_NULL(out);
    BDR_TRY(row->run(req, in, out));
    if (bdr_req_answered(req)) {
        *out_status = req->answer.status;
        return NULL;
    }
    if (row->flags & BDR_R_STREAM_OUT)
        BDR_FAIL(BDR_INTERNAL, 0, "the handler of %s did not answer", row->path);
    return answer(req, row, out, b, out_status);
}

static struct bdr_err *digest_of(struct bdr_req *req, uint8_t out[32])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const char *parts[] = {bdr_req_who_name(req), req->method, req->path, req->has_peer ? req->peer.machine : ""};
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

    for (size_t i = 0; ok && i < BDR_COUNT(parts); i++)
        ok = EVP_DigestUpdate(md, parts[i], strlen(parts[i]) + 1);
    ok = ok && EVP_DigestUpdate(md, req->body.len ? (const void *)req->body.data : "", req->body.len) &&
         EVP_DigestFinal_ex(md, out, NULL);
    EVP_MD_CTX_free(md);
    if (!ok)
        BDR_FAIL(BDR_NOMEM, 0, "hashing a request");
    return NULL;
}

static bool key_ok(const char *key)
{
    size_t len = strlen(key);

    if (len < 8 || len > 128)
        return false;
    for (size_t i = 0; i < len; i++)
        if (key[i] <= 0x20 || key[i] > 0x7e)
            return false;
    return true;
}

/* A request under a key: the first one runs, those after it get its answer. */
static struct bdr_err *run_once(struct bdr_req *req, const struct found *f, const char *key, const void *in,
                                unsigned *out_status)
{
    const struct bdr_idempotency *keep = f->router->config.idempotency;
    struct bdr_kept_answer kept = {0};
    BDR_AUTO(buf) struct bdr_buf b = {0};
    uint8_t digest[32];
    bool again = false;
    struct bdr_err *err;

    if (!key_ok(key))
        BDR_REFUSE(req, BDR_INVAL, "Idempotency-Key has 8 to 128 printable characters.");
    BDR_TRY(digest_of(req, digest));
    BDR_TRY(keep->begin(f->router->config.ctx, req, key, digest, &again, &kept));
    if (again) {
        BDR_TRY(bdr_req_set_header(req, "Idempotency-Replayed", "true"));
        *out_status = kept.status;
        return bdr_req_send(req, kept.status, kept.len ? "application/json" : NULL, kept.body, kept.len);
    }
    err = run_row(req, f->row, in, &b, out_status);
    if (!err)
        kept = (struct bdr_kept_answer){.status = *out_status, .body = (const char *)b.data, .len = b.len};
    keep->end(f->router->config.ctx, req, key, err ? NULL : &kept);
    return err;
}

static struct bdr_err *run_all(struct bdr_req *req, struct found *f, struct bdr_faults *faults, unsigned *out_status)
{
    const char *key = bdr_req_header(req, "Idempotency-Key");
    BDR_AUTO(buf) struct bdr_buf b = {0};
    void *in = NULL;

    if (!(f->row->flags & BDR_R_ANY_QUERY))
        BDR_TRY(query_read(req, f, faults));
    if (f->row->in)
        BDR_TRY(body_read(req, f->row, &in, faults));
    if (f->row->flags & BDR_R_IDEMPOTENT && key)
        return run_once(req, f, key, in, out_status);
    return run_row(req, f->row, in, &b, out_status);
}

static void router_run(void *ctx, struct bdr_req *req)
{
    struct found *f = req->app_data;
    struct bdr_faults *faults = bdr_arena_alloc(req->arena, sizeof(*faults));
    unsigned status = 0;
    struct bdr_err *err;

    (void)ctx;
    if (!faults) {
        bdr_req_break(req);
        return;
    }
    err = run_all(req, f, faults, &status);
    if (err)
        fail(req, err, faults);
    else
        audit(req, status);
}

static void router_refuse(void *ctx, struct bdr_req *req, unsigned status, enum bdr_code code, const char *text)
{
    (void)ctx;
    problem_send(req, status, code, text, NULL);
}

const struct bdr_http_app bdr_router_app = {
    .begin = router_begin,
    .admit = router_admit,
    .run = router_run,
    .refuse = router_refuse,
};
