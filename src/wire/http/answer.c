/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: what a handler leaves, and how libmicrohttpd gets it. */
#include "bdr/bytes.h"
#include "http_i.h"
#include <string.h>
#include <strings.h>

#define EVENTS_PIECE 1024  /* each open stream has a buffer of it */
#define STREAM_PIECE 16384 /* a TLS record */

struct bdr_err *bdr_req_set_header(struct bdr_req *req, const char *name, const char *value)
{
    struct http_header *h;

    if (strpbrk(value, "\r\n") || strpbrk(name, "\r\n: "))
        BDR_FAIL(BDR_INVAL, 0, "a header's value has a line break in it");
    h = bdr_arena_alloc(req->arena, sizeof(*h));
    BDR_NOMEM_IF_NULL(h);
    h->name = bdr_arena_text(req->arena, name, strlen(name));
    h->value = bdr_arena_text(req->arena, value, strlen(value));
    BDR_NOMEM_IF_NULL(h->name);
    BDR_NOMEM_IF_NULL(h->value);
    pthread_mutex_lock(&req->lock);
    h->next = req->answer.headers;
    req->answer.headers = h;
    pthread_mutex_unlock(&req->lock);
    return NULL;
}

struct bdr_err *bdr_req_send(struct bdr_req *req, unsigned status, const char *type, const void *data, size_t len)
{
    char *copy = bdr_arena_text(req->arena, data ? data : "", data ? len : 0);

    BDR_NOMEM_IF_NULL(copy);
    if (type)
        BDR_TRY(bdr_req_set_header(req, "Content-Type", type));
    pthread_mutex_lock(&req->lock);
    BDR_ASSERT(req->answer.kind == ANSWER_NONE);
    req->answer.kind = ANSWER_DATA;
    req->answer.status = status;
    req->answer.data = copy;
    req->answer.len = data ? len : 0;
    pthread_mutex_unlock(&req->lock);
    return NULL;
}

void http_answer_ready(struct bdr_req *req)
{
    req->stage = STAGE_ANSWER;
    http_req_wake(req);
}

static void answer_release(void *cls)
{
    http_req_unref(cls);
}

bool http_has_header(const struct bdr_req *req, const char *name)
{
    for (const struct http_header *h = req->answer.headers; h; h = h->next)
        if (!strcasecmp(h->name, name))
            return true;
    return false;
}

/*
 * What a browser should know of every answer. An API's answers are data: no page may frame or run them; the console's
 * pages set a policy of their own, which then stands.
 */
static void security_headers(struct bdr_req *req, struct MHD_Response *r)
{
    static const struct {
        const char *name, *value;
        bool tls_only;
    } rows[] = {
        {"X-Content-Type-Options", "nosniff", false},
        {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'", false},
        {"Referrer-Policy", "no-referrer", false},
        {"Cache-Control", "no-store", false},
        {"Strict-Transport-Security", "max-age=31536000", true},
    };

    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if ((req->tls || !rows[i].tls_only) && !http_has_header(req, rows[i].name))
            MHD_add_response_header(r, rows[i].name, rows[i].value);
    MHD_add_response_header(r, "X-Request-Id", req->id);
}

static struct MHD_Response *answer_make(struct bdr_req *req)
{
    struct http_answer *a = &req->answer;
    struct MHD_Response *r = NULL;

    switch (a->kind) {
    case ANSWER_DATA:
        http_req_ref(req);
        r = MHD_create_response_from_buffer_with_free_callback_cls(a->len, (void *)(uintptr_t)a->data, answer_release,
                                                                   req);
        break;
    case ANSWER_FILE:
        r = MHD_create_response_from_fd_at_offset64(a->file_len, a->fd, a->file_off);
        if (r)
            a->fd = -1; /* libmicrohttpd closes it */
        return r;
    case ANSWER_STREAM:
        http_req_ref(req);
        r = MHD_create_response_from_callback(a->stream_len == UINT64_MAX ? MHD_SIZE_UNKNOWN : a->stream_len,
                                              STREAM_PIECE, http_stream_read, req, answer_release);
        break;
    case ANSWER_EVENTS:
        http_req_ref(req);
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, EVENTS_PIECE, http_events_read, req, answer_release);
        break;
    case ANSWER_NONE:
        break;
    }
    if (!r && a->kind != ANSWER_NONE)
        http_req_unref(req);
    return r;
}

enum MHD_Result http_answer_queue(struct bdr_req *req)
{
    struct http_answer *a = &req->answer;
    struct MHD_Response *r = answer_make(req);
    enum MHD_Result rc;

    if (!r)
        return MHD_NO;
    for (const struct http_header *h = a->headers; h; h = h->next)
        MHD_add_response_header(r, h->name, h->value);
    security_headers(req, r);
    if (req->must_close || atomic_load(&req->server->stopping))
        MHD_add_response_header(r, "Connection", "close");
    /* at least STALL_BYTES in each stall_ms; streams count as they go */
    if (a->kind == ANSWER_DATA || a->kind == ANSWER_FILE)
        http_deadline_answer(req->conn);
    else
        http_deadline(req->conn, a->kind == ANSWER_EVENTS ? 0 : req->server->limits.stall_ms);
    req->stage = STAGE_ANSWER;
    req->stall_mark = 0;
    if (a->kind == ANSWER_FILE)
        req->answered_bytes = a->file_len;
    /* a request that was suspended is resumed by the loop before it gets here */
    /* The library calls http_stream_read with the answer's own mutex held, and that takes req.lock: never the other
     * way. */
    pthread_mutex_unlock(&req->lock);
    rc = MHD_queue_response(req->mhd, a->status, r);
    MHD_destroy_response(r);
    pthread_mutex_lock(&req->lock);
    return rc;
}
