/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - the table that is the API: one row gives dispatch, permission, checks, OpenAPI, and a CLI verb.
 *
 * A router is made of tables and is an app of http_server.h. A row must name its permission (or say that everybody
 * may): bdr_router_new fails otherwise, so a program with such a row does not start. Depends on: http_server, shape.
 * Threads: any, once made. Source:  docs/wire.md#routes
 *
 * A handler gets `in`, the checked body (NULL without .in), and `out`, zeroed room for .out to fill (NULL without).
 * What it returns: NULL and the router answers with `out` (or 204); or an error, of which the client sees what
 * bdr_req_refuse said, else only its kind. It may answer by itself instead (files, streams, events).
 */
#pragma once
#include "bdr/http_server.h"

enum bdr_method { BDR_GET = 1, BDR_POST, BDR_PUT, BDR_PATCH, BDR_DELETE };

enum bdr_route_flag {
    BDR_R_ANONYMOUS = 1,   /* no permission: for everybody who reaches the port */
    BDR_R_MACHINE = 2,     /* only with a machine's certificate; .roles says whose */
    BDR_R_STREAM_IN = 4,   /* the body is .in_type, taken with bdr_req_read */
    BDR_R_STREAM_OUT = 8,  /* the answer is .out_type, made with bdr_req_begin, _send_file or _events */
    BDR_R_LIST = 16,       /* out is a struct bdr_page of .out; the query takes limit and cursor too */
    BDR_R_IDEMPOTENT = 32, /* a POST that takes Idempotency-Key */
    BDR_R_AT_ONCE = 64,    /* GET that never blocks: it runs on the event loop */
    BDR_R_HIDDEN = 128,    /* not in the OpenAPI document */
    BDR_R_ANY_QUERY = 256, /* the query is for whoever reads the answer (a page): not read, never refused */
};

struct bdr_route {
    enum bdr_method method;
    const char
        *path; /* "/v1/hosts/{id}", "/v1/jobs/{n:u64}", "/pkg/{rest:path}"; types: id (default), u64, path, secret */
    const char *perm; /* what the authorisation is asked for; NULL only with ANONYMOUS */
    unsigned flags;   /* enum bdr_route_flag */
    const struct bdr_shape *in, *out, *query;
    struct bdr_err *(*run)(struct bdr_req *req, const void *in, void *out);
    const char *cli;                /* "host add"; NULL: no verb */
    const char *roles;              /* MACHINE: "agent|proxy"; NULL: any */
    const char *in_type, *out_type; /* of streams; "application/octet-stream" */
    uint64_t body_max_bytes;        /* 0: the server's */
    unsigned status;                /* of success; 0: 200, or 204 without .out */
    const char *tag;                /* OpenAPI's group; NULL: the table's */
    const char *help, *help_zh;
};

struct bdr_route_table {
    const char *tag;
    const struct bdr_route *rows;
    size_t n;
};
#define BDR_ROUTES(tag_, rows_)                                                                                        \
    {                                                                                                                  \
        .tag = (tag_), .rows = (rows_), .n = BDR_COUNT(rows_)                                                          \
    }

/* What a LIST handler fills; items in the request's arena. */
struct bdr_page {
    void *items; /* n times .out's struct */
    size_t n;
    const char *next; /* cursor of the next page; NULL at the end */
};
/* What came with a LIST request. */
struct bdr_page_query {
    uint32_t limit;     /* 1..500, 100 */
    const char *cursor; /* NULL: from the start; opaque, made by the handler before */
};

/* Requests that may come twice: the program keeps answers under their key. */
struct bdr_kept_answer {
    unsigned status;
    const char *body; /* in the request's arena */
    size_t len;
};
struct bdr_idempotency {
    /*
     * Is `key` new (then it is ours from now on)? `digest`: SHA-256 of who, method, path and body.
     * *out_kept true: `out` is the answer given then. Errors: BUSY it still runs; EXISTS the key had another request.
     */
    struct bdr_err *(*begin)(void *ctx, struct bdr_req *req, const char *key, const uint8_t digest[32], bool *out_kept,
                             struct bdr_kept_answer *out);
    /* The answer to keep; NULL: it failed, the key is free again. */
    void (*end)(void *ctx, struct bdr_req *req, const char *key, const struct bdr_kept_answer *answer);
};

struct bdr_router_config {
    const char *title, *version; /* of the OpenAPI document */
    const struct bdr_route_table *tables;
    size_t n_tables;
    /*
     * May this request do what `perm` names? Runs on a worker before the body is read; leaves who it is
     * (bdr_req_set_who). Errors: AUTH nobody known (401), DENIED not allowed (403), THROTTLED too many tries (429).
     */
    struct bdr_err *(*authorise)(void *ctx, struct bdr_req *req, const struct bdr_route *route, const char *perm);
    /* After each request that was not a GET, and each that was refused. May be NULL. */
    void (*audit)(void *ctx, struct bdr_req *req, const struct bdr_route *route, unsigned status);
    const struct bdr_idempotency *idempotency; /* NULL: IDEMPOTENT rows are refused at start */
    void *ctx;
};

struct bdr_router;
/* Errors: INTERNAL says which row is wrong and why. */
bdr_ret bdr_router_new(const struct bdr_router_config *config, struct bdr_router **out);
void bdr_router_free(struct bdr_router *r);
/* For struct bdr_http_config, with the router as .app_ctx. */
extern const struct bdr_http_app bdr_router_app;
/* All rows in order, for a CLI or a generator. */
const struct bdr_route *bdr_router_row(const struct bdr_router *r, size_t i); /* NULL past the end */

/* ---- in a handler ---- */
/* The path's {name}; "" when the pattern has none. */
const char *bdr_req_param(const struct bdr_req *req, const char *name);
uint64_t bdr_req_param_u64(const struct bdr_req *req, const char *name);
/* The checked query, of .query's struct; NULL without. */
const void *bdr_req_filter(const struct bdr_req *req);
const struct bdr_page_query *bdr_req_page(const struct bdr_req *req);
const struct bdr_route *bdr_req_route(const struct bdr_req *req);
/* The router's config.ctx: the program. */
void *bdr_req_ctx(const struct bdr_req *req);
/* The status an error of this code answers with. */
unsigned bdr_status_of_code(enum bdr_code code);

/*
 * The whole API as OpenAPI 3.1; `zh`: descriptions in Chinese. Caller frees.
 */
bdr_ret bdr_openapi(const struct bdr_router *r, bool zh, char **out_json, size_t *out_len);
/* A handler for `GET /v1/openapi.json`; ?lang=zh. Its row: .query = &bdr_openapi_query, STREAM_OUT. */
struct bdr_err *bdr_openapi_run(struct bdr_req *req, const void *in, void *out);
extern const struct bdr_shape bdr_openapi_query;

const char *bdr_method_name(enum bdr_method m);

BDR_AUTO_DEFINE(router, struct bdr_router *, bdr_router_free)
