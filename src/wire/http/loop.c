/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libmicrohttpd calls for a request, on its event loop, and what a worker then does.
 *
 * It calls http_access once when the headers are there, for each piece of the body, and when the body is complete; and
 * again at the same place after a resume. An answer can be queued at the first and the last of these only. So:
 *   headers -> (admit on a worker) -> body -> (run on a worker) -> queue the answer
 * and where a worker is busy the connection is suspended.
 */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "http_i.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void suspend(struct bdr_req *req)
{
    http_deadline(req->conn, 0);
    req->suspended = true;
    MHD_suspend_connection(req->mhd);
}

/* Progress of a body: each STALL_BYTES of it buy more time. */
static void body_progress(struct bdr_req *req, size_t n)
{
    req->body_seen += n;
    if (req->body_seen >= req->stall_mark || !atomic_load(&req->conn->deadline_ms)) {
        req->stall_mark = req->body_seen + STALL_BYTES;
        http_deadline(req->conn, req->server->limits.stall_ms);
    }
}

/* The app's refusal takes req.lock itself. */
static void refuse_unlocked(struct bdr_req *req, unsigned status, enum bdr_code code, const char *text)
{
    pthread_mutex_unlock(&req->lock);
    req->server->app->refuse(req->server->app_ctx, req, status, code, text);
    pthread_mutex_lock(&req->lock);
}

static bool answered(const struct bdr_req *req)
{
    return req->answer.kind != ANSWER_NONE;
}

/* Hands the request to a worker and suspends; when too many wait, it is refused. */
static enum MHD_Result dispatch(struct bdr_req *req, bool stream)
{
    struct bdr_http_server *s = req->server;

    suspend(req);
    if (http_work_push(stream ? s->stream_work : s->work, req))
        return MHD_YES;
    refuse_unlocked(req, 503, BDR_THROTTLED, "too many transfers wait already; try again in a few seconds");
    http_req_wake(req); /* the loop comes again and finds the answer */
    return MHD_YES;
}

static enum MHD_Result at_headers(struct bdr_req *req)
{
    bool streamed = req->plan.body == BDR_BODY_STREAMED;

    if (answered(req)) {
        bool small = req->body_len <= DRAIN_SMALL && !bdr_req_header(req, "Expect") && !req->unframed;

        if (req->has_body && !small)
            return http_answer_queue(req); /* libmicrohttpd then closes the connection instead of reading on */
        req->at_headers = false;
        if (req->has_body)
            body_progress(req, 0);
        return MHD_YES;
    }
    if (req->stage == STAGE_HEADERS && (streamed || (req->has_body && req->plan.body == BDR_BODY_BUFFERED))) {
        req->stage = STAGE_ADMIT;
        return dispatch(req, streamed);
    }
    if (streamed && req->has_body && !req->want_body) {
        suspend(req); /* woken for something else */
        return MHD_YES;
    }
    req->at_headers = false;
    if (req->has_body)
        body_progress(req, 0);
    return MHD_YES;
}

static enum MHD_Result body_piece(struct bdr_req *req, const char *data, size_t *size)
{
    uint64_t max = req->plan.max_bytes;
    size_t n = *size;

    if (!answered(req) && !req->over && max && req->body_seen + n > max && req->plan.body != BDR_BODY_NONE) {
        req->over = true;
        pthread_cond_broadcast(&req->changed);
        if (req->plan.body == BDR_BODY_BUFFERED)
            refuse_unlocked(req, 413, BDR_RANGE, "the body is too large");
    }
    if (answered(req) || req->over || req->plan.body == BDR_BODY_NONE) {
        req->drained += n;
        body_progress(req, n);
        *size = 0;
        return req->drained > (req->plan.body == BDR_BODY_NONE ? DRAIN_SMALL : DRAIN_MAX) ? MHD_NO : MHD_YES;
    }
    if (req->plan.body == BDR_BODY_BUFFERED) {
        if (!http_req_hold(req, n)) {
            http_req_body_drop(req);
            refuse_unlocked(req, 503, BDR_THROTTLED, "too many bodies wait already; try again in a few seconds");
            *size = 0;
            return MHD_YES;
        }
        bdr_buf_put(&req->body, data, n);
        body_progress(req, n);
        *size = 0;
        return req->body.failed ? MHD_NO : MHD_YES;
    }
    n = http_ring_put(&req->in, data, n);
    body_progress(req, n);
    *size -= n;
    if (n)
        pthread_cond_broadcast(&req->changed);
    if (*size)
        suspend(req); /* the handler is slower than the network: TCP tells the client */
    return MHD_YES;
}

static enum MHD_Result body_end(struct bdr_req *req)
{
    struct bdr_http_server *s = req->server;

    if (answered(req))
        return http_answer_queue(req);
    if (!req->in.eof) {
        req->in.eof = true;
        pthread_cond_broadcast(&req->changed);
    }
    if (req->stage == STAGE_HEADERS || req->stage == STAGE_BODY) {
        req->stage = STAGE_RUN;
        if (!req->plan.at_once)
            return dispatch(req, req->plan.stream);
        pthread_mutex_unlock(&req->lock);
        if (!req->admitted)
            s->app->admit(s->app_ctx, req);
        if (!bdr_req_answered(req))
            s->app->run(s->app_ctx, req);
        pthread_mutex_lock(&req->lock);
        return answered(req) ? http_answer_queue(req) : MHD_NO;
    }
    suspend(req);
    return MHD_YES;
}

static void req_begin(struct bdr_req *req)
{
    struct bdr_http_server *s = req->server;

    if (req->unframed) {
        s->app->refuse(s->app_ctx, req, 400, BDR_INVAL, "the request is malformed: check its headers and length");
        return;
    }
    if (req->has_peer && s->revoked && s->revoked(s->revoked_ctx, &req->peer)) {
        req->must_close = true;
        http_peer_refused(req->conn, "revoked", req->peer.serial);
        s->app->refuse(s->app_ctx, req, 401, BDR_AUTH,
                       "this machine's certificate was revoked; enrol the machine again");
        return;
    }
    s->app->begin(s->app_ctx, req, &req->plan);
    if (!req->plan.max_bytes && req->plan.body == BDR_BODY_BUFFERED)
        req->plan.max_bytes = s->limits.buffered_bytes;
    if (!req->has_body)
        req->in.eof = true;
    else if (!answered(req) && req->body_len != UINT64_MAX && req->plan.body != BDR_BODY_NONE && req->plan.max_bytes &&
             req->body_len > req->plan.max_bytes)
        s->app->refuse(s->app_ctx, req, 413, BDR_RANGE, "the body is too large");
    else if (!answered(req) && req->plan.body == BDR_BODY_NONE && req->body_len > DRAIN_SMALL)
        s->app->refuse(s->app_ctx, req, 413, BDR_RANGE, "no body is expected here");
}

static enum MHD_Result access_begin(struct http_conn *c, const char *url, const char *method, void **ctx)
{
    struct bdr_http_server *s = c->listener->server;
    struct bdr_req *req = NULL;
    struct bdr_err *err;
    enum MHD_Result rc;

    if (c->late || atomic_load(&s->ending))
        return MHD_NO;
    err = http_req_new(c, url, method, &req);
    if (err) {
        BDR_LOG(WARN, "http.request.dropped", F_ERR(err));
        bdr_err_drop(err, "logged; the connection breaks");
        return MHD_NO;
    }
    *ctx = req;
    atomic_store(&c->state, CONN_REQUEST);
    http_deadline(c, 0);
    atomic_fetch_add(&s->running, 1);
    atomic_fetch_add(&s->requests_total, 1);
    pthread_mutex_lock(&s->lock);
    c->req = req;
    pthread_mutex_unlock(&s->lock);
    req_begin(req);
    pthread_mutex_lock(&req->lock);
    rc = at_headers(req);
    pthread_mutex_unlock(&req->lock);
    return rc;
}

enum MHD_Result http_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                            const char *version, const char *data, size_t *size, void **ctx)
{
    struct bdr_req *req = *ctx;
    enum MHD_Result rc;

    (void)cls;
    (void)version;
    if (!req) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info && info->socket_context ? access_begin(info->socket_context, url, method, ctx) : MHD_NO;
    }
    pthread_mutex_lock(&req->lock);
    if (req->aborted)
        rc = MHD_NO;
    else if (req->at_headers)
        rc = at_headers(req);
    else if (*size)
        rc = body_piece(req, data, size);
    else
        rc = body_end(req);
    pthread_mutex_unlock(&req->lock);
    return rc;
}

/* What the log says of a request; taken under its lock, because its handler may still run when the client has gone. */
struct ended {
    enum answer_kind kind;
    unsigned status;
    uint64_t in_bytes, out_bytes;
    const char *who;
};

static struct ended req_end(struct bdr_req *req)
{
    struct ended e;

    bdr_cancel_set(&req->cancel);
    pthread_mutex_lock(&req->lock);
    req->gone = true;
    req->suspended = false;
    pthread_cond_broadcast(&req->changed);
    e = (struct ended){
        .kind = req->answer.kind,
        .status = req->answer.status,
        .in_bytes = req->body_seen,
        .out_bytes = req->answer.kind == ANSWER_DATA ? req->answer.len : req->answered_bytes,
        .who = req->who_name ? req->who_name : "",
    };
    pthread_mutex_unlock(&req->lock);
    return e;
}

static void access_log(const struct bdr_req *req, const struct ended *e, bool whole)
{
    /* Never the query: filters hold names, and tools put tokens there. */
    BDR_LOG(INFO, "http.request", F_STR("id", req->id), F_STR("method", req->method), F_STR("path", req->path),
            F_U64("status", e->status), F_U64("ms", (bdr_clock_mono_ns() - req->begun_ns) / 1000000),
            F_U64("in_bytes", e->in_bytes), F_U64("out_bytes", e->out_bytes), F_STR("remote", req->remote),
            F_STR("machine", req->has_peer ? req->peer.machine : ""), F_STR("who", e->who),
            F_STR("end", whole ? "whole" : "broken"));
}

void http_completed(void *cls, struct MHD_Connection *mhd, void **ctx, enum MHD_RequestTerminationCode why)
{
    struct bdr_req *req = *ctx;
    struct bdr_http_server *s = ((struct http_listener *)cls)->server;
    struct http_conn *c;
    struct ended e;

    (void)mhd;
    if (!req)
        return; /* a line was read, but never all of its headers */
    c = req->conn;
    *ctx = NULL;
    atomic_store(&c->asked, true);
    if (bdr_req_who_name(req)[0])
        atomic_store(&c->known, true);
    pthread_mutex_lock(&s->lock);
    c->req = NULL;
    pthread_mutex_unlock(&s->lock);
    atomic_store(&c->sending, false);
    atomic_store(&c->state, CONN_IDLE);
    http_deadline(c, s->limits.idle_ms);
    e = req_end(req);
    if (e.kind == ANSWER_EVENTS)
        atomic_fetch_sub(&s->events, 1);
    access_log(req, &e, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    http_req_room_give(req); /* now: who holds a stream of events may outlive the server */
    http_req_unref(req);
    pthread_mutex_lock(&s->lock);
    atomic_fetch_sub(&s->running, 1);
    pthread_cond_broadcast(&s->quiet);
    pthread_mutex_unlock(&s->lock);
}

/* ---- a worker's side ---- */

static void work_finish(struct bdr_req *req)
{
    pthread_mutex_lock(&req->lock);
    if (!answered(req)) {
        req->aborted = true; /* an app that does not answer is a bug; the client must not wait for it */
        bdr_cancel_set(&req->cancel);
    }
    if (req->answer.kind == ANSWER_STREAM)
        req->out.eof = true;
    http_req_wake(req);
    pthread_mutex_unlock(&req->lock);
}

void http_req_work(struct bdr_req *req)
{
    struct bdr_http_server *s = req->server;
    bool run = true;

    if (!req->admitted) {
        req->admitted = true;
        s->app->admit(s->app_ctx, req);
        pthread_mutex_lock(&req->lock);
        run = !answered(req);
        if (run && req->stage == STAGE_ADMIT && req->plan.body == BDR_BODY_BUFFERED) {
            req->stage = STAGE_BODY;
            http_req_wake(req);
            pthread_mutex_unlock(&req->lock);
            return;
        }
        req->stage = STAGE_RUN;
        pthread_mutex_unlock(&req->lock);
    }
    if (run)
        s->app->run(s->app_ctx, req);
    work_finish(req);
}
