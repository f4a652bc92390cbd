/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and answers that do not fit into memory: a ring each way, and both sides wait for the other. */
#include "bdr/bytes.h"
#include "bdr/sync.h"
#include "http_i.h"
#include <string.h>

bool http_ring_open(struct http_ring *r)
{
    if (!r->data) {
        r->data = malloc(RING_BYTES);
        r->cap = r->data ? RING_BYTES : 0;
    }
    return r->data != NULL;
}

size_t http_ring_put(struct http_ring *r, const void *data, size_t len)
{
    size_t n = BDR_MIN(len, r->cap - r->len), at, first;

    if (!n)
        return 0;
    at = (r->head + r->len) % r->cap;
    first = BDR_MIN(n, r->cap - at);
    memcpy(r->data + at, data, first);
    memcpy(r->data, (const uint8_t *)data + first, n - first);
    r->len += n;
    return n;
}

size_t http_ring_take(struct http_ring *r, void *buf, size_t cap)
{
    size_t n = BDR_MIN(cap, r->len), first;

    if (!n)
        return 0;
    first = BDR_MIN(n, r->cap - r->head);
    memcpy(buf, r->data + r->head, first);
    memcpy((uint8_t *)buf + first, r->data, n - first);
    r->head = (r->head + n) % r->cap;
    r->len -= n;
    return n;
}

void http_ring_free(struct http_ring *r)
{
    free(r->data);
    *r = (struct http_ring){0};
}

static struct bdr_err *stream_fault(const struct bdr_req *req)
{
    if (req->aborted)
        BDR_FAIL(BDR_CANCELLED, 0, "the server stops");
    if (req->gone)
        BDR_FAIL(BDR_NET, 0, "the client has gone away");
    if (req->over)
        BDR_FAIL(BDR_RANGE, 413, "the body is larger than %llu bytes", (unsigned long long)req->plan.max_bytes);
    return NULL;
}

struct bdr_err *bdr_req_read(struct bdr_req *req, void *buf, size_t cap, size_t *out_len)
{
    struct bdr_err *err = NULL;
    size_t n = 0;

    pthread_mutex_lock(&req->lock);
    if (!http_ring_open(&req->in)) {
        pthread_mutex_unlock(&req->lock);
        BDR_FAIL(BDR_NOMEM, 0, "reading a body");
    }
    if (!req->want_body) {
        req->want_body = true;
        http_req_wake(req);
    }
    for (;;) {
        err = stream_fault(req);
        n = err ? 0 : http_ring_take(&req->in, buf, cap);
        if (err || n || req->in.eof)
            break;
        bdr_cond_wait_slice(&req->changed, &req->lock);
    }
    /* half empty: not a switch of threads for each piece */
    if (n && req->in.len <= req->in.cap / 2)
        http_req_wake(req);
    pthread_mutex_unlock(&req->lock);
    if (!err)
        *out_len = n;
    return err;
}

static struct bdr_err *body_discard(struct bdr_req *req)
{
    char waste[4096];
    size_t n = 1;

    while (req->plan.body == BDR_BODY_STREAMED && n)
        BDR_TRY(bdr_req_read(req, waste, sizeof(waste), &n));
    return NULL;
}

struct bdr_err *bdr_req_begin(struct bdr_req *req, unsigned status, const char *type, uint64_t len)
{
    BDR_TRY(body_discard(req));
    if (type)
        BDR_TRY(bdr_req_set_header(req, "Content-Type", type));
    pthread_mutex_lock(&req->lock);
    BDR_ASSERT(req->answer.kind == ANSWER_NONE);
    req->answer.status = status;
    req->answer.stream_len = len;
    req->answer.kind = http_ring_open(&req->out) ? ANSWER_STREAM : ANSWER_NONE;
    if (req->answer.kind)
        http_answer_ready(req);
    pthread_mutex_unlock(&req->lock);
    if (req->answer.kind == ANSWER_NONE)
        BDR_FAIL(BDR_NOMEM, 0, "answering with a stream");
    return NULL;
}

struct bdr_err *bdr_req_write(struct bdr_req *req, const void *data, size_t len)
{
    struct bdr_err *err = NULL;
    const uint8_t *p = data;

    pthread_mutex_lock(&req->lock);
    BDR_ASSERT(req->answer.kind == ANSWER_STREAM);
    while (len && !(err = stream_fault(req))) {
        size_t n = http_ring_put(&req->out, p, len);

        p += n;
        len -= n;
        if (req->out.len >= req->out.cap / 4)
            http_req_wake(req);
        if (len && !n)
            bdr_cond_wait_slice(&req->changed, &req->lock);
    }
    if (!err)
        http_req_wake(req);
    pthread_mutex_unlock(&req->lock);
    return err;
}

ssize_t http_stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct bdr_req *req = cls;
    ssize_t n;

    (void)pos;
    pthread_mutex_lock(&req->lock);
    n = (ssize_t)http_ring_take(&req->out, buf, max);
    if (n > 0) {
        req->answered_bytes += (uint64_t)n;
        if (req->out.len <= req->out.cap / 2)
            pthread_cond_broadcast(&req->changed);
        /* a first byte, and then each piece of it, buys time */
        if (req->answered_bytes >= req->stall_mark || !atomic_load(&req->conn->deadline_ms)) {
            req->stall_mark = req->answered_bytes + STALL_BYTES;
            http_deadline(req->conn, req->server->limits.stall_ms);
        }
    } else if (req->aborted) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (req->out.eof) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        http_deadline(req->conn, 0); /* we are the slow ones */
        req->suspended = true;
        MHD_suspend_connection(req->mhd);
    }
    pthread_mutex_unlock(&req->lock);
    return n;
}
