/* SPDX-License-Identifier: Apache-2.0 */
/* Reading server-sent events (WHATWG HTML 9.2.6), a piece at a time. */
#include "client_i.h"
#include <string.h>

#define EVENT_MAX (1u << 20)

void bdr_sse_reader_free(struct bdr_sse_reader *r)
{
    bdr_buf_free(&r->line);
    bdr_buf_free(&r->event);
    bdr_buf_free(&r->id);
    bdr_buf_free(&r->data);
}

static void text_set(struct bdr_buf *b, const char *text, size_t len)
{
    b->len = 0;
    bdr_buf_put(b, text, len);
    bdr_buf_u8(b, 0);
}

static const char *text_of(const struct bdr_buf *b)
{
    return b->len ? (const char *)b->data : "";
}

static void event_done(struct bdr_sse_reader *r, bdr_http_on_event *on_event, void *ctx)
{
    if (r->data.len && !r->data.failed) {
        r->data.data[r->data.len - 1] = 0; /* the last line's break */
        r->ended =
            !on_event(ctx, r->event.len > 1 ? text_of(&r->event) : "message", text_of(&r->id), text_of(&r->data));
    }
    r->event.len = 0;
    r->data.len = 0;
}

static void line_done(struct bdr_sse_reader *r, bdr_http_on_event *on_event, void *ctx)
{
    const char *line = (const char *)r->line.data, *value;
    size_t len = r->line.len, name;

    r->line.len = 0;
    if (!r->begun && len >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
        line += 3;
        len -= 3;
    }
    r->begun = true;
    if (!len) {
        event_done(r, on_event, ctx);
        return;
    }
    value = memchr(line, ':', len);
    name = value ? (size_t)(value - line) : len;
    value = value ? value + 1 : line + len;
    if (value < line + len && *value == ' ')
        value++;
    len -= (size_t)(value - line);
    if (name == 4 && !memcmp(line, "data", 4)) {
        bdr_buf_put(&r->data, value, len);
        bdr_buf_u8(&r->data, '\n');
    } else if (name == 5 && !memcmp(line, "event", 5)) {
        text_set(&r->event, value, len);
    } else if (name == 2 && !memcmp(line, "id", 2) && !memchr(value, 0, len)) {
        text_set(&r->id, value, len);
    } /* comments and "retry" say nothing to us */
}

struct bdr_err *bdr_sse_read(struct bdr_sse_reader *r, const void *data, size_t len, bdr_http_on_event *on_event,
                             void *ctx)
{
    const char *p = data, *end = len ? p + len : p;

    while (p < end && !r->ended) {
        size_t plain = 0;

        while (p + plain < end && p[plain] != '\n' && p[plain] != '\r')
            plain++;
        bdr_buf_put(&r->line, p, plain);
        if (plain)
            r->after_cr = false;
        p += plain;
        if (r->line.len + r->data.len > EVENT_MAX)
            BDR_FAIL(BDR_RANGE, 0, "an event of more than %u bytes", EVENT_MAX);
        if (p == end)
            break;
        if (!(*p == '\n' && r->after_cr)) /* CR LF is one break */
            line_done(r, on_event, ctx);
        r->after_cr = *p == '\r';
        p++;
    }
    if (r->line.failed || r->data.failed || r->event.failed || r->id.failed)
        BDR_FAIL(BDR_NOMEM, 0, "reading events");
    return NULL;
}

struct listening {
    struct bdr_sse_reader reader;
    bdr_http_on_event *on_event;
    void *ctx;
};

static struct bdr_err *listening_sink(void *ctx, const void *data, size_t len)
{
    struct listening *l = ctx;

    BDR_TRY(bdr_sse_read(&l->reader, data, len, l->on_event, l->ctx));
    if (l->reader.ended)
        BDR_FAIL(BDR_CANCELLED, 0, "heard enough");
    return NULL;
}

struct bdr_err *bdr_http_listen(struct bdr_http_client *c, const char *path, const char *last_id,
                                bdr_http_on_event *on_event, void *ctx, const struct bdr_cancel *cancel)
{
    struct listening l = {.on_event = on_event, .ctx = ctx};
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct bdr_pair headers[] = {{"Accept", "text/event-stream"}, {"Last-Event-ID", last_id}};
    struct bdr_http_call call = {.method = "GET",
                                 .path = path,
                                 .headers = headers,
                                 .n_headers = last_id ? 2 : 1,
                                 .sink = listening_sink,
                                 .sink_ctx = &l,
                                 .deadline_ms = UINT64_MAX,
                                 .cancel = cancel};
    struct bdr_err *err = bdr_http_call(c, &call, &reply);

    bdr_sse_reader_free(&l.reader);
    if (err && l.reader.ended) {
        bdr_err_drop(err, "the listener wanted no more");
        return NULL;
    }
    return err;
}
