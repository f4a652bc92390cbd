/* SPDX-License-Identifier: Apache-2.0 */
/* routes.c - the protocol as a table, and how its errors look. */
#include "bdr/bytes.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "gw_i.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ROUTE_DISCARD_BYTES ((uint64_t)16 << 20) /* of a refused body, so that its sender reads the answer */

static struct gw *routes_gw_of(struct bdr_req *req)
{
    return bdr_req_who(req);
}
struct gw *gw_of_req(struct bdr_req *req)
{
    return routes_gw_of(req);
}

/* ---- answers ---- */

static void body_discard(struct bdr_req *req)
{
    uint64_t seen = 0;
    char waste[8192];
    size_t n = 1;

    if (!(bdr_req_route(req)->flags & BDR_R_STREAM_IN))
        return;
    while (n && seen < ROUTE_DISCARD_BYTES) {
        struct bdr_err *err = bdr_req_read(req, waste, sizeof(waste), &n);

        if (err) {
            bdr_err_drop(err, "who sends too much or goes away gets no answer");
            return;
        }
        seen += n;
    }
}

struct bdr_err *gw_problem(struct bdr_req *req, unsigned status, enum bdr_code code, const char *fmt, ...)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    struct gw *gw = routes_gw_of(req);
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (gw)
        atomic_fetch_add(&gw->refused, 1);
    BDR_LOG(INFO, "gateway.refused", F_STR("id", bdr_req_id(req)), F_U64("status", status), F_STR("why", text));
    bdr_buf_printf(&b, "{\"type\":\"urn:openbdr:problem:%s\",\"title\":", bdr_code_name(code));
    bdr_json_put_text(&b, bdr_code_title(code));
    bdr_buf_printf(&b, ",\"status\":%u,\"code\":\"%s\",\"detail\":", status, bdr_code_name(code));
    bdr_json_put_text(&b, text);
    bdr_buf_printf(&b, ",\"request\":\"%s\"}", bdr_req_id(req));
    BDR_TRY(bdr_buf_check(&b));
    if (status == 429 || status == 503)
        BDR_TRY(bdr_req_set_header(req, "Retry-After", "2"));
    body_discard(req);
    return bdr_req_send(req, status, "application/problem+json", b.data, b.len);
}

/* What the client must know of errors from below; everything else is the server's own business. */
struct bdr_err *gw_answer_err(struct bdr_req *req, struct bdr_err *err)
{
    char text[400];

    if (!err || bdr_req_answered(req))
        return err;
    if (err->code == BDR_NET && bdr_cancelled(bdr_req_cancel(req))) {
        bdr_err_drop(err, "the client has gone away; what it sent counts");
        bdr_req_break(req);
        return NULL;
    }
    bdr_err_text(err, text, sizeof(text));
    switch (err->code) {
    case BDR_FENCED:
        bdr_err_drop(err, "told");
        return gw_problem(req, 412, BDR_FENCED, "Somebody newer writes this host. Stop for good.");
    case BDR_NOSPACE:
        BDR_LOG(ERROR, "gateway.no-space", F_ERR(err));
        bdr_err_drop(err, "told");
        return gw_problem(req, 507, BDR_NOSPACE,
                          "The repository's disk is full. Nothing is lost; make room, then try again.");
    case BDR_STALE:
        bdr_err_drop(err, "told");
        return gw_problem(req, 409, BDR_STALE, "%s", text);
    case BDR_CANCELLED:
        bdr_err_drop(err, "told");
        return gw_problem(req, 404, BDR_NOTFOUND, "The session has ended. Begin again: what was uploaded counts.");
    default:
        return err;
    }
}

struct bdr_err *gw_send_json(struct bdr_req *req, unsigned status, json_t *o)
{
    BDR_AUTO(json) json_t *mine = o;
    BDR_AUTO(mem) char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

    BDR_NOMEM_IF_NULL(text);
    return bdr_req_send(req, status, "application/json", text, strlen(text));
}

/* ---- what came ---- */

struct bdr_err *gw_body(struct bdr_req *req, size_t max, struct bdr_buf *out)
{
    size_t n = 1;

    while (n) {
        if (!bdr_buf_reserve(out, 65536))
            return bdr_buf_check(out);
        BDR_TRY(bdr_req_read(req, out->data + out->len, 65536, &n));
        out->len += n;
        if (out->len > max) /* the route's limit comes first; this is for those that have none */
            return bdr_err_new(BDR_RANGE, 413, BDR_AT, "the body is larger than %zu bytes", max);
    }
    return NULL;
}

struct bdr_err *gw_body_json(struct bdr_req *req, size_t max, json_t **out)
{
    BDR_AUTO(buf) struct bdr_buf body = {0};
    struct bdr_err *err;

    BDR_TRY(gw_body(req, max, &body));
    err = bdr_json_read((const char *)body.data, body.len, out);
    if (!err && !json_is_object(*out)) {
        json_decref(BDR_STEAL(*out));
        err = bdr_err_new(BDR_INVAL, 0, BDR_AT, "it is no object");
    }
    if (err) {
        bdr_err_drop(err, "told to the client");
        return bdr_req_refuse(req, BDR_INVAL, BDR_AT, "The body is not a JSON object.");
    }
    return NULL;
}

/* ---- sessions ---- */

static struct bdr_err *session_answer(struct bdr_req *req, const struct gw_session *s)
{
    const struct gw_limits *l = &s->gw->limits;
    BDR_AUTO(json) json_t *o = json_object();
    json_t *limits = json_object();
    char hex[65];

    BDR_NOMEM_IF_NULL(o);
    BDR_TRY(bdr_json_set(o, "limits", limits));
    BDR_TRY(bdr_json_set(o, "session", json_string(s->id)));
    BDR_TRY(bdr_json_set_text(o, "label", s->label));
    BDR_TRY(bdr_json_set(o, "block_bytes", json_integer(s->repo->block_bytes)));
    BDR_TRY(bdr_json_set_text(o, "codec", s->repo->compress));
    BDR_TRY(bdr_json_set(o, "id_key", s->repo->keyed ? json_string(bdr_hex(s->repo->id_key, 32, hex)) : json_null()));
    BDR_TRY(bdr_json_set(o, "base", s->base ? json_incref(s->base) : json_null()));
    BDR_TRY(bdr_json_set(limits, "connections", json_integer(l->connections)));
    BDR_TRY(bdr_json_set(limits, "ask_ids", json_integer(BDR_WIRE_ASK_IDS)));
    BDR_TRY(bdr_json_set(limits, "body_bytes", json_integer(BDR_WIRE_BODY_BYTES)));
    BDR_TRY(bdr_json_set(limits, "idle_ms", json_integer((json_int_t)l->idle_ms)));
    bdr_wipe(hex, sizeof(hex));
    return gw_send_json(req, 201, BDR_STEAL(o));
}

static struct bdr_err *session_new_run(struct bdr_req *req, const void *in, void *out)
{
    struct gw *gw = routes_gw_of(req);
    BDR_AUTO(json) json_t *body = NULL;
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    const json_t *fence;
    struct bdr_err *err;

    (void)in;
    (void)out;
    BDR_TRY(gw_body_json(req, 4096, &body));
    fence = json_object_get(body, "fence");
    if (!json_is_integer(fence) || json_integer_value(fence) < 1)
        GW_REFUSE(req, 400, BDR_INVAL, "Say the job's fence: {\"fence\":N}, N from 1.");
    err = gw_session_begin(gw, req, bdr_req_param_u64(req, "host"), (uint64_t)json_integer_value(fence), &s);
    if (err && err->code == BDR_NOTFOUND) { /* for a client that would be its session */
        BDR_LOG(ERROR, "gateway.no-repository", F_ERR(err));
        bdr_err_drop(err, "told");
        GW_REFUSE(req, 409, BDR_BUSY, "The repository of this host is not there; is its disk mounted at the gateway?");
    }
    BDR_TRY(gw_answer_err(req, err));
    return s ? session_answer(req, s) : NULL;
}

static struct bdr_err *session_end_run(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(gw_session) struct gw_session *s = NULL;

    (void)in;
    (void)out;
    BDR_TRY(gw_session_of(routes_gw_of(req), req, &s));
    if (s)
        gw_session_end(s);
    return NULL;
}

/* ---- the table ---- */

#define HOST    "/v1/hosts/{host:u64}"
#define SESSION HOST "/sessions/{session}"
#define BINARY  "application/octet-stream"
#define MACHINE .perm = "blocks", .roles = "agent|proxy"
/* Everything is for machines whose host this is; what of it is whose is checked session by session. */
static const struct bdr_route gw_rows[] = {
    {.method = BDR_POST, .path = HOST "/sessions", .run = session_new_run, .flags = BDR_R_MACHINE | BDR_R_STREAM_IN,
     .in_type = "application/json", .body_max_bytes = 4096, MACHINE,
     .help = "Begin to write a host's point.", .help_zh = "开始写入主机的恢复点。"},
    {.method = BDR_DELETE, .path = SESSION, .run = session_end_run, .flags = BDR_R_MACHINE, MACHINE,
     .help = "Give a session up.", .help_zh = "放弃会话。"},
    {.method = BDR_POST, .path = SESSION "/ask", .run = gw_ask_run, .flags = BDR_R_MACHINE | BDR_R_STREAM_IN | BDR_R_STREAM_OUT,
     .in_type = BINARY, .out_type = BINARY, .body_max_bytes = BDR_WIRE_ASK_IDS * BDR_WIRE_ID_BYTES, MACHINE,
     .help = "Which blocks need not be sent?", .help_zh = "哪些数据块不需要发送？"},
    {.method = BDR_POST, .path = SESSION "/blocks", .run = gw_blocks_run, .flags = BDR_R_MACHINE | BDR_R_STREAM_IN,
     .in_type = BINARY, .body_max_bytes = BDR_WIRE_BODY_BYTES, MACHINE,
     .help = "Send blocks.", .help_zh = "发送数据块。"},
    {.method = BDR_GET, .path = SESSION "/blocks/{id}", .run = gw_block_run, .flags = BDR_R_MACHINE | BDR_R_STREAM_OUT,
     .out_type = BINARY, MACHINE,
     .help = "Read a block of this host back.", .help_zh = "读回本主机的数据块。"},
    {.method = BDR_POST, .path = SESSION "/maps", .run = gw_map_new_run, .flags = BDR_R_MACHINE | BDR_R_STREAM_IN,
     .in_type = "application/json", .body_max_bytes = 65536, MACHINE,
     .help = "Begin a disk's map.", .help_zh = "开始磁盘的映射。"},
    {.method = BDR_DELETE, .path = SESSION "/maps/{map:u64}", .run = gw_map_drop_run, .flags = BDR_R_MACHINE, MACHINE,
     .help = "Give a map up.", .help_zh = "放弃映射。"},
    {.method = BDR_GET, .path = SESSION "/maps/{map:u64}/base", .run = gw_map_base_run, .query = &gw_base_query_shape, .flags = BDR_R_MACHINE | BDR_R_STREAM_OUT,
     .out_type = BINARY, MACHINE,
     .help = "Ids of the base's blocks.", .help_zh = "基准的数据块标识。"},
    {.method = BDR_POST, .path = SESSION "/maps/{map:u64}/set", .run = gw_map_set_run, .query = &gw_set_query_shape, .flags = BDR_R_MACHINE | BDR_R_STREAM_IN,
     .in_type = BINARY, .body_max_bytes = BDR_WIRE_SET_BYTES, MACHINE,
     .help = "Set runs of blocks.", .help_zh = "设置数据块区段。"},
    {.method = BDR_POST, .path = SESSION "/maps/{map:u64}/finish", .run = gw_map_finish_run, .flags = BDR_R_MACHINE, MACHINE,
     .help = "Finish a disk's map.", .help_zh = "完成磁盘的映射。"},
    {.method = BDR_POST, .path = SESSION "/publish", .run = gw_publish_run, .flags = BDR_R_MACHINE | BDR_R_STREAM_IN,
     .in_type = "application/json", .body_max_bytes = BDR_WIRE_MANIFEST_BYTES, MACHINE,
     .help = "Make the point visible.", .help_zh = "发布恢复点。"},
};

static const struct bdr_route_table gw_tables[] = {BDR_ROUTES("blocks", gw_rows)};

static struct bdr_err *routes_authorise(void *ctx, struct bdr_req *req, const struct bdr_route *row, const char *perm)
{
    const struct bdr_cert_info *peer = bdr_req_peer(req);

    (void)row;
    (void)perm;
    if (!peer) /* the route's flags have seen to it */
        BDR_FAIL(BDR_AUTH, 0, "no certificate");
    bdr_req_set_who(req, peer->machine, ctx);
    return NULL;
}

struct bdr_err *gw_router(struct gw *gw, struct bdr_router **out)
{
    const struct bdr_router_config config = {.title = "OpenBDR gateway",
                                             .version = OPENBDR_VERSION,
                                             .tables = gw_tables,
                                             .n_tables = BDR_COUNT(gw_tables),
                                             .authorise = routes_authorise,
                                             .ctx = gw};

    return bdr_router_new(&config, out);
}
