/* SPDX-License-Identifier: Apache-2.0 */
/* A request's life, and what its handler asks about it. */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "http_i.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PAIRS_MAX 256 /* of a query, of the headers: they also fit limits.header_bytes */

struct pairs {
    struct bdr_arena *arena;
    struct bdr_pair *items;
    size_t n;
    bool failed, odd;
};

static enum MHD_Result pair_add(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_len, const char *value,
                                size_t value_len)
{
    struct pairs *p = cls;

    (void)kind;
    if (p->n == PAIRS_MAX || strlen(key) != key_len || (value && strlen(value) != value_len)) {
        p->odd = true;
        return MHD_NO;
    }
    p->items[p->n] = (struct bdr_pair){bdr_arena_text(p->arena, key, key_len),
                                       bdr_arena_text(p->arena, value ? value : "", value ? value_len : 0)};
    p->failed = p->failed || !p->items[p->n].name || !p->items[p->n].value;
    p->n += !p->failed;
    return p->failed ? MHD_NO : MHD_YES;
}

static struct bdr_err *pairs_take(struct bdr_req *req, enum MHD_ValueKind kind, struct bdr_pair **out, size_t *out_n)
{
    int count = MHD_get_connection_values_n(req->mhd, kind, NULL, NULL);
    struct pairs p = {.arena = req->arena};

    p.items =
        bdr_arena_alloc(req->arena, BDR_MIN((size_t)BDR_MAX(count, 0) + 1, (size_t)PAIRS_MAX) * sizeof(p.items[0]));
    BDR_NOMEM_IF_NULL(p.items);
    if (count > PAIRS_MAX - 1)
        p.odd = true;
    else
        MHD_get_connection_values_n(req->mhd, kind, pair_add, &p);
    if (p.failed)
        BDR_FAIL(BDR_NOMEM, 0, "taking a request");
    if (p.odd)
        BDR_FAIL(BDR_INVAL, 400, "too many or odd headers or parameters");
    *out = p.items;
    *out_n = p.n;
    return NULL;
}

/* A caller's own id joins its log with ours; but only one that can't break a log line. */
static struct bdr_err *id_make(struct bdr_req *req)
{
    const char *given = bdr_req_header(req, "X-Request-Id");
    size_t len = given ? strlen(given) : 0;
    uint8_t raw[8];

    if (len >= 8 && len < sizeof(req->id) && bdr_machine_id_ok(given)) {
        memcpy(req->id, given, len + 1);
        return NULL;
    }
    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    bdr_hex(raw, sizeof(raw), req->id);
    return NULL;
}

/*
 * How long is the body? Two answers to that (RFC 9112 6.3) are how requests get smuggled past a proxy: refuse them.
 */
static bool framing_read(struct bdr_req *req)
{
    unsigned lengths = 0, encodings = 0;
    bool ok = true;

    for (size_t i = 0; i < req->n_headers; i++) {
        const struct bdr_pair *h = &req->headers[i];

        if (!strcasecmp(h->name, "Content-Length")) {
            struct bdr_err *err = bdr_u64_parse(h->value, INT64_MAX, &req->body_len);

            ok = ok && !err;
            bdr_err_drop(err, "refused");
            lengths++;
        } else if (!strcasecmp(h->name, "Transfer-Encoding")) {
            ok = ok && !strcasecmp(h->value, "chunked");
            encodings++;
        }
    }
    if (encodings)
        req->body_len = UINT64_MAX;
    req->has_body = encodings || req->body_len;
    return ok && lengths + encodings <= 1;
}

struct bdr_err *http_req_new(struct http_conn *c, const char *url, const char *method, struct bdr_req **out)
{
    struct bdr_req *req = calloc(1, sizeof(*req));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(req);
    atomic_init(&req->refs, 1);
    pthread_mutex_init(&req->lock, NULL);
    pthread_cond_init(&req->changed, NULL);
    req->server = c->listener->server;
    req->listener = c->listener->index;
    req->conn = c;
    req->mhd = c->mhd;
    req->tls = c->listener->config.tls != BDR_TLS_NONE;
    req->has_peer = c->has_peer;
    req->peer = c->peer;
    req->begun_ns = bdr_clock_mono_ns();
    req->answer.fd = -1;
    req->at_headers = true;
    memcpy(req->remote, c->remote, sizeof(req->remote));
    err = bdr_arena_new(&req->arena);
    if (!err) {
        req->method = bdr_arena_text(req->arena, method, strlen(method));
        req->path = bdr_arena_text(req->arena, url, strlen(url));
        if (!req->method || !req->path)
            err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "taking a request");
    }
    if (!err)
        err = pairs_take(req, MHD_HEADER_KIND, &req->headers, &req->n_headers);
    if (!err)
        err = pairs_take(req, MHD_GET_ARGUMENT_KIND, &req->query, &req->n_query);
    if (!err)
        err = id_make(req);
    if (!err && (!framing_read(req) || c->bad_line))
        err = bdr_err_new(BDR_INVAL, 400, BDR_AT, "the request's framing is ambiguous");
    if (err && err->code != BDR_INVAL) {
        http_req_unref(req);
        return err;
    }
    req->must_close = req->unframed = err != NULL;
    bdr_err_drop(err, "the loop refuses requests that must close");
    *out = req;
    return NULL;
}

void http_req_ref(struct bdr_req *req)
{
    atomic_fetch_add(&req->refs, 1);
}

bool http_req_hold(struct bdr_req *req, size_t n)
{
    struct bdr_http_server *s = req->server;
    uint64_t most = s->limits.bodies_bytes;
    bool room;

    req->body_held += n; /* counted before it is compared: two loops must not both find the last room */
    room = atomic_fetch_add(&s->bodies, n) + n <= most;
    if (req->plan.stranger)
        room &= atomic_fetch_add(&s->bodies_strange, n) + n <= most / 4;
    return room;
}

void http_req_room_give(struct bdr_req *req)
{
    if (!req->body_held)
        return;
    atomic_fetch_sub(&req->server->bodies, req->body_held);
    if (req->plan.stranger)
        atomic_fetch_sub(&req->server->bodies_strange, req->body_held);
    req->body_held = 0;
}

void http_req_body_drop(struct bdr_req *req)
{
    http_req_room_give(req);
    if (req->body.data)
        bdr_wipe(req->body.data, req->body.cap); /* passwords */
    bdr_buf_free(&req->body);
}

void http_req_unref(struct bdr_req *req)
{
    if (atomic_fetch_sub(&req->refs, 1) != 1)
        return;
    http_req_body_drop(req);
    if (req->answer.fd >= 0)
        close(req->answer.fd);
    bdr_buf_free(&req->events);
    http_ring_free(&req->in);
    http_ring_free(&req->out);
    bdr_arena_free(req->arena);
    pthread_cond_destroy(&req->changed);
    pthread_mutex_destroy(&req->lock);
    free(req);
}

void http_req_wake(struct bdr_req *req)
{
    pthread_cond_broadcast(&req->changed);
    if (req->suspended && !req->gone) {
        req->suspended = false;
        MHD_resume_connection(req->mhd);
    }
}

void http_req_abort(struct bdr_req *req)
{
    bdr_cancel_set(&req->cancel);
    pthread_mutex_lock(&req->lock);
    req->aborted = true;
    http_req_wake(req);
    pthread_mutex_unlock(&req->lock);
}

void bdr_req_break(struct bdr_req *req)
{
    http_req_abort(req);
}

void bdr_req_cut(struct bdr_req *req)
{
    struct bdr_http_server *s = req->server;
    bool there;

    http_req_abort(req);
    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&req->lock);
    there = !req->gone;
    pthread_mutex_unlock(&req->lock);
    if (there) /* a connection leaves under server.lock, after its request */
        http_conn_cut(req->conn);
    pthread_mutex_unlock(&s->lock);
}

const char *bdr_req_method(const struct bdr_req *req)
{
    return req->method;
}
const char *bdr_req_path(const struct bdr_req *req)
{
    return req->path;
}
const char *bdr_req_id(const struct bdr_req *req)
{
    return req->id;
}
const char *bdr_req_header(const struct bdr_req *req, const char *name)
{
    for (size_t i = 0; i < req->n_headers; i++)
        if (!strcasecmp(req->headers[i].name, name))
            return req->headers[i].value;
    return NULL;
}
const struct bdr_pair *bdr_req_query(const struct bdr_req *req, size_t *out_n)
{
    *out_n = req->n_query;
    return req->query;
}
const char *bdr_req_remote(const struct bdr_req *req)
{
    return req->remote;
}
const struct bdr_cert_info *bdr_req_peer(const struct bdr_req *req)
{
    return req->has_peer ? &req->peer : NULL;
}
bool bdr_req_is_tls(const struct bdr_req *req)
{
    return req->tls;
}
size_t bdr_req_listener(const struct bdr_req *req)
{
    return req->listener;
}
struct bdr_arena *bdr_req_arena(struct bdr_req *req)
{
    return req->arena;
}
const struct bdr_cancel *bdr_req_cancel(const struct bdr_req *req)
{
    return &req->cancel;
}
void bdr_req_set_who(struct bdr_req *req, const char *name, void *who)
{
    pthread_mutex_lock(&req->lock);
    req->who_name = name;
    req->who = who;
    pthread_mutex_unlock(&req->lock);
}
void *bdr_req_who(const struct bdr_req *req)
{
    return req->who;
}
const char *bdr_req_who_name(const struct bdr_req *req)
{
    return req->who_name ? req->who_name : "";
}
void bdr_req_body(const struct bdr_req *req, const void **out_data, size_t *out_len)
{
    *out_data = req->body.data;
    *out_len = req->body.len;
}
uint64_t bdr_req_body_len(const struct bdr_req *req)
{
    return req->body_len;
}
bool bdr_req_answered(struct bdr_req *req)
{
    bool there;

    pthread_mutex_lock(&req->lock);
    there = req->answer.kind != ANSWER_NONE;
    pthread_mutex_unlock(&req->lock);
    return there;
}

struct bdr_err *bdr_req_refuse(struct bdr_req *req, enum bdr_code code, const char *at, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    req->refusal = bdr_arena_text(req->arena, text, strlen(text));
    return bdr_err_new(code, 0, at, "%s", text);
}

void bdr_req_fault(struct bdr_req *req, const char *pointer, enum bdr_code code, const char *fmt, ...)
{
    struct bdr_fault *f;
    char text[512];
    va_list ap;

    if (!req->faults)
        req->faults = bdr_arena_alloc(req->arena, sizeof(*req->faults));
    if (!req->faults || req->faults->n == BDR_SHAPE_FAULTS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    f = &req->faults->items[req->faults->n];
    *f = (struct bdr_fault){bdr_arena_text(req->arena, pointer, strlen(pointer)), code,
                            bdr_arena_text(req->arena, text, strlen(text))};
    req->faults->n += f->pointer && f->text;
}
