/* SPDX-License-Identifier: Apache-2.0 */
/*
 * req.h - one HTTP request, as its handler sees it.
 *
 * A handler runs on a worker thread, may block, and answers exactly once: by returning (route.h makes JSON of it), by
 * bdr_req_send and its sisters, by a stream, or by handing the request over to a struct bdr_events. What it is given
 * lives until the request ends.
 * Depends on: base.      Threads: the handler's only; bdr_events_* any.
 */
#pragma once
#include "bdr/arena.h"
#include "bdr/ca.h"
#include "bdr/cancel.h"
#include "bdr/shape.h"

struct bdr_req;

/* ---- what came ---- */
const char *bdr_req_method(const struct bdr_req *req);
const char *bdr_req_path(const struct bdr_req *req); /* decoded, without the query */
const char *bdr_req_id(const struct bdr_req *req);   /* in the log, in the answer, in a problem */
/* A header's value, NULL when it is not there. Names in any case. */
const char *bdr_req_header(const struct bdr_req *req, const char *name);
/* The pairs of the query, decoded, in order. */
const struct bdr_pair *bdr_req_query(const struct bdr_req *req, size_t *out_n);
/* The client's address as text, without the port. */
const char *bdr_req_remote(const struct bdr_req *req);
/* The client's certificate, checked against the listener's CA and not revoked; NULL without one. */
const struct bdr_cert_info *bdr_req_peer(const struct bdr_req *req);
bool bdr_req_is_tls(const struct bdr_req *req);
/* Which of the server's listeners it came in by. */
size_t bdr_req_listener(const struct bdr_req *req);
struct bdr_arena *bdr_req_arena(struct bdr_req *req);
/* Set when the client has gone or the server stops: pass it to every wait. */
const struct bdr_cancel *bdr_req_cancel(const struct bdr_req *req);
/* Whoever authorised the request leaves who it is; `name` is logged. Borrowed or in the request's arena. */
void bdr_req_set_who(struct bdr_req *req, const char *name, void *who);
void *bdr_req_who(const struct bdr_req *req);
const char *bdr_req_who_name(const struct bdr_req *req); /* "" when unknown */

/* The body as a whole, of a route that buffers. */
void bdr_req_body(const struct bdr_req *req, const void **out_data, size_t *out_len);
/*
 * The next piece of a streamed body; *out_len 0 at its end. Waits; the client is slowed down when we are.
 *
 * Errors:  RANGE more than the route takes; NET the client went away; CANCELLED.
 */
bdr_ret bdr_req_read(struct bdr_req *req, void *buf, size_t cap, size_t *out_len);
/* The body's length as announced; UINT64_MAX when it was not. */
uint64_t bdr_req_body_len(const struct bdr_req *req);

/* ---- the answer ---- */
/* Adds a header to the answer; before it is sent. INVAL for line breaks in it; NOMEM. */
bdr_ret bdr_req_set_header(struct bdr_req *req, const char *name, const char *value);
/* Answers with these bytes (copied). `type` may be NULL when there are none. */
bdr_ret bdr_req_send(struct bdr_req *req, unsigned status, const char *type, const void *data, size_t len);
/*
 * Answers with an open file (consumed, also on failure); ranges, If-None-Match, If-Range and HEAD are obeyed. A
 * Cache-Control that was set before stays; else the client keeps it and asks whether it changed.
 *
 * Shape:   `type` its media type; `name` what it should be saved as, or NULL.
 */
bdr_ret bdr_req_send_file(struct bdr_req *req, int fd, const char *type, const char *name);
/*
 * Begins an answer of unknown or known length (UINT64_MAX: unknown) that bdr_req_write then fills. What is left of the
 * request's body is thrown away. When the handler returns an error after that, the connection breaks: the client sees
 * that the answer is not whole.
 */
bdr_ret bdr_req_begin(struct bdr_req *req, unsigned status, const char *type, uint64_t len);
/* Waits for room. NET the client went away; CANCELLED. */
bdr_ret bdr_req_write(struct bdr_req *req, const void *data, size_t len);
bool bdr_req_answered(struct bdr_req *req);
/* Breaks the connection, so that the client sees that what it got is not whole. */
void bdr_req_break(struct bdr_req *req);
/* The same of a request whose client may be gone: at once, whatever it waits for. Any thread, while its handler runs. */
void bdr_req_cut(struct bdr_req *req);

/*
 * Something of the request itself is wrong, in words for the client that say what to do. Returned by the handler, it
 * becomes the problem's detail; other errors show only their kind, and the log has the rest.
 */
bdr_ret bdr_req_refuse(struct bdr_req *req, enum bdr_code code, const char *at, const char *fmt, ...) BDR_PRINTF(4, 5);
#define BDR_REFUSE(req, code, ...) return bdr_req_refuse((req), (code), BDR_AT, __VA_ARGS__)
/* The same for one field of the body; may be called several times before the refusal. */
void bdr_req_fault(struct bdr_req *req, const char *pointer, enum bdr_code code, const char *fmt, ...) BDR_PRINTF(4, 5);

/* ---- server-sent events ---- */
/*
 * A connection that stays open and is written to by anybody, any time. It holds no thread while it is idle.
 * Lifecycle: open (the handler then returns NULL) -> send* -> close. Comments keep it alive every 15 s.
 */
struct bdr_events;
bdr_ret bdr_req_events(struct bdr_req *req, struct bdr_events **out);
/*
 * Queues one event; never waits. False when the client is gone, or too slow to follow (then it is cut off, comes back
 * and says Last-Event-ID): close it.
 *
 * Shape:   `event` and `id` may be NULL; `data` may have several lines.
 */
bool bdr_events_send(struct bdr_events *ev, const char *event, const char *id, const char *data);
/* Still there? */
bool bdr_events_alive(struct bdr_events *ev);
/* Ends the stream (if it is still there) and gives up the handle. NULL is fine. */
void bdr_events_close(struct bdr_events *ev);
