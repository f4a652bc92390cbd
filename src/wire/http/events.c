/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events: a connection that sleeps suspended until somebody has something to say. */
#include "bdr/clock.h"
#include "http_i.h"
#include <string.h>

struct bdr_events {
    struct bdr_req *req; /* one reference; the handle is the request under another name */
};

struct bdr_err *bdr_req_events(struct bdr_req *req, struct bdr_events **out)
{
    BDR_AUTO(mem) struct bdr_events *ev = calloc(1, sizeof(*ev));

    BDR_NOMEM_IF_NULL(ev);
    BDR_TRY(bdr_req_set_header(req, "Content-Type", "text/event-stream"));
    BDR_TRY(bdr_req_set_header(req, "Cache-Control", "no-store"));
    BDR_TRY(bdr_req_set_header(req, "X-Accel-Buffering", "no")); /* nginx before us holds nothing back */
    http_req_ref(req);
    ev->req = req;
    pthread_mutex_lock(&req->lock);
    BDR_ASSERT(req->answer.kind == ANSWER_NONE);
    req->answer.kind = ANSWER_EVENTS;
    req->answer.status = 200;
    req->events_open = true;
    req->events_last_ms = bdr_clock_mono_ms();
    bdr_buf_put(&req->events, ":\n\n", 3); /* the client sees at once that it is connected */
    if (!req->gone)
        atomic_fetch_add(&req->server->events, 1); /* the loop counts down when it ends */
    http_answer_ready(req);
    pthread_mutex_unlock(&req->lock);
    *out = BDR_STEAL(ev);
    return NULL;
}

static void event_line(struct bdr_buf *b, const char *name, const char *value, size_t len)
{
    bdr_buf_put(b, name, strlen(name));
    for (size_t i = 0; i < len; i++)
        if (value[i] != '\r' && value[i] != '\n') /* a line break would begin another field */
            bdr_buf_u8(b, (uint8_t)value[i]);
    bdr_buf_u8(b, '\n');
}

static void event_put(struct bdr_buf *b, const char *event, const char *id, const char *data)
{
    if (event)
        event_line(b, "event: ", event, strlen(event));
    if (id)
        event_line(b, "id: ", id, strlen(id));
    for (;;) {
        const char *end = strchr(data, '\n');

        event_line(b, "data: ", data, end ? (size_t)(end - data) : strlen(data));
        if (!end)
            break;
        data = end + 1;
    }
    bdr_buf_u8(b, '\n');
}

static bool events_there(const struct bdr_req *req)
{
    return req->events_open && !req->gone && !req->aborted;
}

bool bdr_events_send(struct bdr_events *ev, const char *event, const char *id, const char *data)
{
    struct bdr_req *req = ev->req;
    bool there;

    pthread_mutex_lock(&req->lock);
    there = events_there(req);
    if (there) {
        event_put(&req->events, event, id, data);
        if (req->events.failed || req->events.len > EVENTS_MAX) {
            req->aborted = true; /* half of its events are worth nothing: it comes again and asks anew */
            there = false;
        }
        req->events_last_ms = bdr_clock_mono_ms();
        http_req_wake(req);
    }
    pthread_mutex_unlock(&req->lock);
    return there;
}

bool bdr_events_alive(struct bdr_events *ev)
{
    bool there;

    pthread_mutex_lock(&ev->req->lock);
    there = events_there(ev->req);
    pthread_mutex_unlock(&ev->req->lock);
    return there;
}

void bdr_events_close(struct bdr_events *ev)
{
    if (!ev)
        return;
    pthread_mutex_lock(&ev->req->lock);
    ev->req->events_open = false;
    http_req_wake(ev->req);
    pthread_mutex_unlock(&ev->req->lock);
    http_req_unref(ev->req);
    free(ev);
}

void http_events_tick(struct bdr_req *req, uint64_t now_ms)
{
    pthread_mutex_lock(&req->lock);
    if (req->answer.kind == ANSWER_EVENTS && events_there(req) && now_ms - req->events_last_ms >= EVENTS_ALIVE_MS) {
        req->events_last_ms = now_ms;
        if (!req->events.len) {
            bdr_buf_put(&req->events, ":\n\n", 3);
            http_req_wake(req);
        }
    }
    pthread_mutex_unlock(&req->lock);
}

ssize_t http_events_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct bdr_req *req = cls;
    ssize_t n;

    (void)pos;
    pthread_mutex_lock(&req->lock);
    n = (ssize_t)BDR_MIN(req->events.len, max);
    if (req->aborted) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (n) {
        memcpy(buf, req->events.data, (size_t)n);
        memmove(req->events.data, req->events.data + n, req->events.len - (size_t)n);
        req->events.len -= (size_t)n;
        req->answered_bytes += (uint64_t)n;
        if (!req->events.len)
            bdr_buf_free(&req->events); /* idle ones by the thousand */
    } else if (!req->events_open) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        req->suspended = true;
        MHD_suspend_connection(req->mhd);
    }
    pthread_mutex_unlock(&req->lock);
    return n;
}
