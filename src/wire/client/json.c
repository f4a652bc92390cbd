/* SPDX-License-Identifier: Apache-2.0 */
/* JSON calls, and problem+json turned back into the error it was. */
#include "client_i.h"
#include <stdio.h>
#include <string.h>

void bdr_http_escape(struct bdr_buf *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (strchr(plain, *p))
            bdr_buf_u8(out, *p);
        else
            bdr_buf_printf(out, "%%%02X", *p);
}

static enum bdr_code code_of_name(const char *name)
{
    for (int c = BDR_OK + 1; name && c < BDR_CODE_END; c++)
        if (!strcmp(bdr_code_name((enum bdr_code)c), name))
            return (enum bdr_code)c;
    return BDR_OK;
}

/* A proxy in between, or another kind of server, says it by status only. */
static enum bdr_code code_of_status(unsigned status)
{
    switch (status) {
    case 401:
        return BDR_AUTH;
    case 403:
        return BDR_DENIED;
    case 404:
    case 410:
        return BDR_NOTFOUND;
    case 408:
    case 504:
        return BDR_TIMEOUT;
    case 409:
    case 412:
        return BDR_STALE;
    case 413:
    case 416:
        return BDR_RANGE;
    case 429:
    case 503:
        return BDR_THROTTLED;
    case 502:
        return BDR_NET;
    case 507:
        return BDR_NOSPACE;
    default:
        return status >= 500 ? BDR_IO : BDR_INVAL;
    }
}

/* The server's words may hold anything; ours are one line. */
static void line_put(struct bdr_buf *b, const char *text)
{
    for (const char *p = text; *p && b->len < 2000; p++)
        bdr_buf_u8(b, (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : (uint8_t)*p);
}

static void faults_put(struct bdr_buf *b, const json_t *errors)
{
    for (size_t i = 0; i < json_array_size(errors) && i < 8; i++) {
        const char *pointer = json_string_value(json_object_get(json_array_get(errors, i), "pointer"));
        const char *detail = json_string_value(json_object_get(json_array_get(errors, i), "detail"));

        if (!pointer || !detail)
            continue;
        bdr_buf_put(b, i ? "; " : " ", i ? 2 : 1);
        line_put(b, pointer);
        bdr_buf_u8(b, ' ');
        line_put(b, detail);
    }
}

struct bdr_err *bdr_problem_read(unsigned status, const void *data, size_t len)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    json_t *json = NULL;
    struct bdr_err *err = bdr_json_read(data, len, &json);
    enum bdr_code code = BDR_OK;
    const char *detail = NULL;

    bdr_err_drop(err, "no JSON: the status has to do");
    if (json_is_object(json)) {
        code = code_of_name(json_string_value(json_object_get(json, "code")));
        detail = json_string_value(json_object_get(json, "detail"));
        if (!detail)
            detail = json_string_value(json_object_get(json, "title"));
    }
    if (detail)
        line_put(&text, detail);
    faults_put(&text, json_object_get(json, "errors"));
    bdr_buf_u8(&text, 0);
    err = bdr_err_new(code ? code : code_of_status(status), status, BDR_AT, "%s",
                      text.failed || text.len < 2 ? "the server refused without saying why" : (const char *)text.data);
    json_decref(json);
    return err;
}

static struct bdr_err *json_exchange(struct bdr_http_client *c, const struct bdr_http_json *j,
                                     struct bdr_http_reply *out)
{
    BDR_AUTO(buf) struct bdr_buf body = {0};
    struct bdr_http_call call = {
        .method = j->method, .path = j->path, .cancel = j->cancel, .idempotency_key = j->idempotency_key};
    struct bdr_err *err;

    if (j->in) {
        BDR_TRY(bdr_shape_write(j->in_shape, BDR_SHAPE_REQUEST, j->in, &body));
        call.body = body.data;
        call.body_len = body.len;
        call.type = "application/json";
    }
    err = bdr_http_call(c, &call, out);
    bdr_wipe(body.data, body.cap); /* it may have held a password */
    return err;
}

struct bdr_err *bdr_http_json(struct bdr_http_client *c, const struct bdr_http_json *j, struct bdr_arena *arena,
                              void *out)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};

    BDR_TRY(json_exchange(c, j, &reply));
    if (!out)
        return NULL;
    BDR_TRY_FOR(bdr_shape_read(j->out_shape, BDR_SHAPE_RESPONSE, (const char *)reply.body.data, reply.body.len, arena,
                               out, NULL),
                "reading the answer to %s %s", j->method, j->path);
    return NULL;
}

struct bdr_err *bdr_http_json_page(struct bdr_http_client *c, const struct bdr_http_json *j, struct bdr_arena *arena,
                                   void **out_items, size_t *out_n, const char **out_next)
{
    struct page {
        BDR_ARRAY(void) items;
        const char *next;
    } page;
    struct bdr_shape_field fields[] = {
        {BDR_FIELD(struct page, items), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = j->out_shape,
         .flags = BDR_F_REQUIRED},
        {BDR_FIELD(struct page, next), .type = BDR_T_TEXT},
        {.name = NULL},
    };
    struct bdr_shape shape = {.name = "Page", .size = sizeof(page), .fields = fields};
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};

    BDR_TRY(json_exchange(c, j, &reply));
    BDR_TRY_FOR(
        bdr_shape_read(&shape, BDR_SHAPE_RESPONSE, (const char *)reply.body.data, reply.body.len, arena, &page, NULL),
        "reading the answer to %s %s", j->method, j->path);
    *out_items = page.items.items;
    *out_n = page.items.n;
    *out_next = page.next;
    return NULL;
}
