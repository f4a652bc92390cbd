/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client.h - talking to a server of ours.
 *
 * It trusts one CA (a file, or the SHA-256 print that the enrolment command carries) and nothing else, says who we are
 * by certificate, and gives errors of the server back as the errors they were. Streams need memory for a piece only.
 * Lifecycle: new -> call* -> free.
 * Depends on: base, libcurl, OpenSSL.      Threads: any number at once on one client, each call its own connection.
 * Source:  docs/wire.md#client
 */
#pragma once
#include "bdr/arena.h"
#include "bdr/bytes.h"
#include "bdr/ca.h"
#include "bdr/cancel.h"
#include "bdr/shape.h"

struct bdr_http_client_config {
    const char *base;                 /* "https://console.example:10443" */
    const char *ca_file;              /* trust these CAs */
    const char *ca_fingerprint;       /* or the CA whose certificate has this print (bdr_fingerprint_read takes it) */
    bool system_ca;                   /* or the system's CAs */
    const char *cert_file, *key_file; /* who we are; NULL: nobody */
    const char *bearer;               /* a token; NULL: none */
    const char *proxy;                /* "http://proxy:3128"; NULL: none, whatever the environment says */
    const char *user_agent;           /* NULL: "openbdr/VERSION" */
    unsigned connect_ms;              /* 0: 10000 */
    unsigned answer_ms;               /* a whole call without streams; 0: 60000 */
    unsigned stall_ms;                /* a stream that does not move; 0: 30000 */
    unsigned tries;                   /* 0: 4 */
};
struct bdr_http_client;
/* Errors: INVAL configuration, NOTFOUND files. Nothing is connected yet. */
bdr_ret bdr_http_client_new(const struct bdr_http_client_config *config, struct bdr_http_client **out);
void bdr_http_client_free(struct bdr_http_client *c);
/* Its files were replaced: calls that begin from now on make new connections, with what is in them then. */
void bdr_http_client_fresh(struct bdr_http_client *c);
/* The certificate whose print matched ca_fingerprint, once a call succeeded: to be kept as ca_file. NULL before. */
const char *bdr_http_client_ca_pem(struct bdr_http_client *c);

/* Gives up to `cap` bytes of a body; *out_len 0 at its end. */
typedef struct bdr_err *bdr_http_source(void *ctx, void *buf, size_t cap, size_t *out_len);
/* Takes a piece of an answer's body. */
typedef struct bdr_err *bdr_http_sink(void *ctx, const void *data, size_t len);

struct bdr_http_call {
    const char *method;                   /* "GET" */
    const char *path;                     /* "/v1/hosts?limit=5"; escaped already, see bdr_http_path */
    const char *type;                     /* of the body */
    const void *body;                     /* borrowed; or: */
    uint64_t body_len;                    /* UINT64_MAX with a source: not known (chunked) */
    bdr_http_source *source;              /* called on this thread */
    struct bdr_err *(*rewind)(void *ctx); /* a source that can begin again may be retried */
    void *source_ctx;
    bdr_http_sink *sink; /* NULL: the body goes into reply.body (at most reply_max) */
    void *sink_ctx;
    uint64_t reply_max; /* 0: 16 MiB */
    const struct bdr_pair *headers;
    size_t n_headers;
    const char *idempotency_key; /* makes a POST safe to repeat */
    uint64_t deadline_ms;        /* of the whole call with its retries; 0: the client's; UINT64_MAX: none */
    const struct bdr_cancel *cancel;
};
struct bdr_http_reply {
    unsigned status;
    struct bdr_buf body;
    char type[64], etag[128], request_id[64];
    char content_range[80];
};
void bdr_http_reply_free(struct bdr_http_reply *r);
BDR_UNUSED static inline void bdr_auto_http_reply(struct bdr_http_reply *r)
{
    bdr_http_reply_free(r);
}
/*
 * One request. A status of 400 and more is an error: its code and words from problem+json, .sys the status.
 *
 * Repeats only what is safe: GET, HEAD, PUT, DELETE, or with an idempotency key; anything when nothing was sent; never
 * after a byte went to the sink. It waits as Retry-After says.
 * Errors:  the server's; AUTH the server is not who we trust, or does not take our certificate; NET; TIMEOUT; CANCELLED
 *          (within 100 ms); whatever source or sink fail with.
 */
bdr_ret bdr_http_call(struct bdr_http_client *c, const struct bdr_http_call *call, struct bdr_http_reply *out);

/*
 * The usual call: `in` (NULL: none) as JSON there, the answer back into `out` (NULL: not wanted), strings in `arena`.
 */
struct bdr_http_json {
    const char *method, *path;
    const struct bdr_shape *in_shape, *out_shape;
    const void *in;
    const char *idempotency_key;
    const struct bdr_cancel *cancel;
};
bdr_ret bdr_http_json(struct bdr_http_client *c, const struct bdr_http_json *call, struct bdr_arena *arena, void *out);
/* The same for a list: one page. items: n times out_shape's struct in the arena; *out_next NULL at the end. */
bdr_ret bdr_http_json_page(struct bdr_http_client *c, const struct bdr_http_json *call, struct bdr_arena *arena,
                           void **out_items, size_t *out_n, const char **out_next);

/* One event of a stream; texts borrowed. False ends the listening. */
typedef bool bdr_http_on_event(void *ctx, const char *event, const char *id, const char *data);
/*
 * Listens to server-sent events until the stream ends (NULL), breaks (NET, TIMEOUT after 60 s of silence) or is
 * cancelled. The caller comes again, with the last id it saw.
 */
bdr_ret bdr_http_listen(struct bdr_http_client *c, const char *path, const char *last_id, bdr_http_on_event *on_event,
                        void *ctx, const struct bdr_cancel *cancel);

/* Appends `text` with everything escaped that is not plain in a path segment or a query value. */
void bdr_http_escape(struct bdr_buf *out, const char *text);
/* The error in a problem+json body; `status` when it is none. Bytes from outside. */
bdr_ret bdr_problem_read(unsigned status, const void *data, size_t len);

/* The reader of text/event-stream, a piece at a time. Bytes from outside. */
struct bdr_sse_reader {
    struct bdr_buf line, event, id, data;
    bool after_cr, failed, ended, begun;
};
/* Errors: RANGE an event past 1 MiB; NOMEM. *out_ended: on_event said so. */
bdr_ret bdr_sse_read(struct bdr_sse_reader *r, const void *data, size_t len, bdr_http_on_event *on_event, void *ctx);
void bdr_sse_reader_free(struct bdr_sse_reader *r);

BDR_AUTO_DEFINE(http_client, struct bdr_http_client *, bdr_http_client_free)
