/* SPDX-License-Identifier: Apache-2.0 */
/* access.c - by what people are let in: sessions and API tokens, one's own and, for administrators, others'. */
#include "api/people.h"
#include <stdio.h>
#include <string.h>

#define SESSION_HEX 16 /* of the hash: enough to tell sessions apart, and no way back to the cookie */

/* ---- sessions ---- */

struct session_row {
    const char *id, *stage, *addr, *agent;
    int64_t created, seen, expires;
    bool current;
};
static const struct bdr_shape_field session_fields[] = {
    {BDR_FIELD(struct session_row, id), .type = BDR_T_ID, .flags = BDR_F_REQUIRED, .help = "To end it by.",
     .help_zh = "编号"},
    {BDR_FIELD(struct session_row, stage), .type = BDR_T_TEXT, .help = "full, or totp: the second step is missing.",
     .help_zh = "阶段"},
    {BDR_FIELD(struct session_row, addr), .type = BDR_T_TEXT, .help = "From where.", .help_zh = "地址"},
    {BDR_FIELD(struct session_row, agent), .type = BDR_T_TEXT, .help = "With what.", .help_zh = "客户端"},
    {BDR_FIELD(struct session_row, created), .type = BDR_T_TIME, .help = "Begun.", .help_zh = "登录时间"},
    {BDR_FIELD(struct session_row, seen), .type = BDR_T_TIME, .help = "Used last.", .help_zh = "最近活动"},
    {BDR_FIELD(struct session_row, expires), .type = BDR_T_TIME, .help = "Ends by itself.", .help_zh = "到期时间"},
    {BDR_FIELD(struct session_row, current), .type = BDR_T_BOOL, .help = "This one.", .help_zh = "当前会话"},
    {.name = NULL},
};
static const struct bdr_shape session_shape = {
    .name = "SessionRow", .size = sizeof(struct session_row), .fields = session_fields};

/* Whose: one's own, or with {id} those of a user (the row's permission says who may). */
static int64_t whose(struct bdr_req *req)
{
    int64_t id = (int64_t)bdr_req_param_u64(req, "id");

    return id ? id : api_who(req)->person.account_id;
}

static struct bdr_err *own_by_session(struct bdr_req *req)
{
    return bdr_req_param_u64(req, "id") ? NULL : people_session_only(req);
}

static struct bdr_err *sessions(struct bdr_req *req, const void *in, void *answer)
{
    struct bdr_row_session_of *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_page *page = answer;
    struct session_row *item;
    uint8_t own[32] = {0};
    char hex[65];
    size_t n = 0;

    (void)in;
    BDR_TRY(own_by_session(req));
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_session_of(tx, whose(req), &row, &n));
    BDR_TRY(people_keep(req, row));
    n = BDR_MIN(n, (size_t)bdr_req_page(req)->limit); /* the newest; nobody has more */
    item = bdr_arena_alloc(bdr_req_arena(req), BDR_MAX(n, (size_t)1) * sizeof(*item));
    BDR_NOMEM_IF_NULL(item);
    (void)people_session_hash(req, own);
    for (size_t i = 0; i < n; i++) {
        BDR_ASSERT(row[i].hash.len == 32);
        item[i] = (struct session_row){
            .id = bdr_arena_text(bdr_req_arena(req), bdr_hex(row[i].hash.data, 32, hex), SESSION_HEX),
            .stage = row[i].stage,
            .addr = row[i].addr,
            .agent = *row[i].agent ? row[i].agent : NULL,
            .created = row[i].created_ms,
            .seen = row[i].seen_ms,
            .expires = row[i].expires_ms,
            .current = !memcmp(row[i].hash.data, own, 32)};
        BDR_NOMEM_IF_NULL(item[i].id);
    }
    *page = (struct bdr_page){.items = item, .n = n};
    return NULL;
}

static struct bdr_err *session_end_do(struct bdr_tx *tx, void *ctx)
{
    struct bdr_req *req = ctx;
    BDR_AUTO(mem) struct bdr_row_session_of *row = NULL;
    int64_t changed = 0;
    char hex[65];
    size_t n = 0;

    BDR_TRY(bdr_q_session_of(tx, whose(req), &row, &n));
    for (size_t i = 0; i < n; i++)
        if (row[i].hash.len == 32 &&
            !strncmp(bdr_hex(row[i].hash.data, 32, hex), bdr_req_param(req, "session"), SESSION_HEX) &&
            strlen(bdr_req_param(req, "session")) == SESSION_HEX) {
            BDR_TRY(bdr_q_session_delete(tx, row[i].hash, &changed));
            return api_audit(tx, req, "session.end", "user", whose(req), NULL, NULL, NULL);
        }
    BDR_FAIL(BDR_NOTFOUND, 0, "there is no such session");
}

static struct bdr_err *session_end(struct bdr_req *req, const void *in, void *out)
{
    (void)in, (void)out;
    BDR_TRY(own_by_session(req));
    BDR_TRY(api_run(req, BDR_TX_LOCK, session_end_do, req));
    api_streams_review(req);
    return NULL;
}

/* ---- API tokens ---- */

struct token_in {
    const char *name, *scopes;
    int64_t expires;
    bool has_expires;
};
static const struct bdr_shape_field token_in_fields[] = {
    {BDR_FIELD(struct token_in, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 63,
     .help = "What it is for.", .help_zh = "名称"},
    {BDR_FIELD(struct token_in, scopes), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 500,
     .help = "What it may, with blanks: host:read job:*; never more than its owner.", .help_zh = "权限范围"},
    {BDR_FIELD_HAS(struct token_in, expires), .type = BDR_T_TIME, .help = "When it ends; never if left out.",
     .help_zh = "到期时间"},
    {.name = NULL},
};
static const struct bdr_shape token_in_shape = {
    .name = "TokenNew", .size = sizeof(struct token_in), .fields = token_in_fields};

struct token_row {
    uint64_t id;
    const char *name, *hint, *scopes, *used_addr, *token;
    int64_t created, expires, used;
    bool has_expires, has_used, revoked;
};
static const struct bdr_shape_field token_fields[] = {
    {BDR_FIELD(struct token_row, id), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Its id.", .help_zh = "编号"},
    {BDR_FIELD(struct token_row, name), .type = BDR_T_TEXT, .help = "What it is for.", .help_zh = "名称"},
    {BDR_FIELD(struct token_row, hint), .type = BDR_T_TEXT, .help = "How it begins.", .help_zh = "前缀"},
    {BDR_FIELD(struct token_row, scopes), .type = BDR_T_TEXT, .help = "What it may.", .help_zh = "权限范围"},
    {BDR_FIELD(struct token_row, created), .type = BDR_T_TIME, .help = "Made.", .help_zh = "创建时间"},
    {BDR_FIELD_HAS(struct token_row, expires), .type = BDR_T_TIME, .help = "Ends.", .help_zh = "到期时间"},
    {BDR_FIELD_HAS(struct token_row, used), .type = BDR_T_TIME, .help = "Used last.", .help_zh = "最近使用"},
    {BDR_FIELD(struct token_row, used_addr), .type = BDR_T_TEXT, .help = "From where.", .help_zh = "使用地址"},
    {BDR_FIELD(struct token_row, revoked), .type = BDR_T_BOOL, .help = "Worth nothing any more.", .help_zh = "已吊销"},
    {BDR_FIELD(struct token_row, token), .type = BDR_T_TEXT, .help = "The token. Shown once.",
     .help_zh = "令牌(仅显示一次)"},
    {.name = NULL},
};
static const struct bdr_shape token_shape = {.name = "Token", .size = sizeof(struct token_row), .fields = token_fields};

struct token_add {
    struct bdr_req *req;
    const struct token_in *in;
    struct token_row *out;
    char token[BDR_TOKEN_CHARS];
    int64_t now_ms;
};

static struct bdr_err *token_add_do(struct bdr_tx *tx, void *ctx)
{
    struct token_add *t = ctx;
    const int64_t account = api_who(t->req)->person.account_id;
    int64_t id = 0, changed;
    struct bdr_err *err;

    BDR_TRY(bdr_q_api_token_forget(tx, account, t->in->name, &changed));
    err = bdr_api_token_new(tx, account, t->in->name, t->in->scopes, t->now_ms, t->in->has_expires ? t->in->expires : 0,
                            t->token, &id);
    if (err && err->code == BDR_EXISTS) {
        bdr_err_drop(err, "told in words");
        BDR_FAIL(BDR_EXISTS, 0, "you have a token %s; choose another name or revoke that one", t->in->name);
    }
    BDR_TRY(err);
    *t->out = (struct token_row){.id = (uint64_t)id,
                                 .name = t->in->name,
                                 .scopes = t->in->scopes,
                                 .created = t->now_ms,
                                 .expires = t->in->expires,
                                 .has_expires = t->in->has_expires};
    return api_audit(tx, t->req, "token.add", "token", id, &token_shape, NULL, t->out);
}

static struct bdr_err *token_add(struct bdr_req *req, const void *body, void *answer)
{
    struct token_add t = {.req = req, .in = body, .out = answer, .now_ms = api_now()};
    char hint[BDR_TOKEN_HINT];
    struct bdr_err *err;

    BDR_TRY(people_session_only(req));
    err = bdr_scopes_check(t.in->scopes);
    if (err)
        bdr_req_fault(req, "/scopes", BDR_INVAL, "%s", err->msg);
    BDR_TRY(api_refusal(req, err));
    if (t.in->has_expires && t.in->expires <= t.now_ms) {
        bdr_req_fault(req, "/expires", BDR_INVAL, "is not in the future");
        BDR_REFUSE(req, BDR_INVAL, "A token that has ended already is no use.");
    }
    BDR_TRY(api_run(req, BDR_TX_LOCK, token_add_do, &t));
    bdr_token_hint(t.token, hint);
    t.out->hint = bdr_arena_text(bdr_req_arena(req), hint, strlen(hint));
    t.out->token = bdr_arena_text(bdr_req_arena(req), t.token, strlen(t.token));
    bdr_wipe(t.token, sizeof(t.token));
    BDR_NOMEM_IF_NULL(t.out->hint);
    BDR_NOMEM_IF_NULL(t.out->token);
    return NULL;
}

static struct bdr_err *tokens(struct bdr_req *req, const void *in, void *answer)
{
    struct bdr_row_api_token *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_page *page = answer;
    size_t n = 0, limit = bdr_req_page(req)->limit, kept = 0;
    int64_t after = api_cursor(req, 0);
    struct token_row *item;

    (void)in;
    if (!bdr_scopes_allow(api_who(req)->person.scopes, "token", "read"))
        BDR_REFUSE(req, BDR_DENIED, "This needs a token with the scope token:read.");
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_api_token_list(tx, whose(req), &row, &n));
    BDR_TRY(people_keep(req, row));
    item = bdr_arena_alloc(bdr_req_arena(req), BDR_MAX(n, (size_t)1) * sizeof(*item));
    BDR_NOMEM_IF_NULL(item);
    for (size_t i = 0; i < n && kept <= limit; i++)
        if (row[i].id > after)
            item[kept++] = (struct token_row){.id = (uint64_t)row[i].id,
                                              .name = row[i].name,
                                              .hint = row[i].hint,
                                              .scopes = row[i].scopes,
                                              .used_addr = *row[i].used_addr ? row[i].used_addr : NULL,
                                              .created = row[i].created_ms,
                                              .expires = row[i].expires_ms,
                                              .has_expires = row[i].expires_ms > 0,
                                              .used = row[i].used_ms,
                                              .has_used = row[i].used_ms > 0,
                                              .revoked = row[i].revoked_ms > 0};
    *page = (struct bdr_page){.items = item, .n = kept};
    return api_page_end(req, page, kept > limit ? (int64_t)item[limit - 1].id : 0);
}

static struct bdr_err *token_end_do(struct bdr_tx *tx, void *ctx)
{
    struct bdr_req *req = ctx;
    const int64_t id = (int64_t)bdr_req_param_u64(req, "token");
    int64_t changed = 0;

    BDR_TRY(bdr_q_api_token_revoke(tx, whose(req), id, api_now(), &changed));
    if (!changed)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no token %lld that is good", (long long)id);
    return api_audit(tx, req, "token.revoke", "token", id, NULL, NULL, NULL);
}

static struct bdr_err *token_end(struct bdr_req *req, const void *in, void *out)
{
    (void)in, (void)out;
    BDR_TRY(own_by_session(req));
    BDR_TRY(api_run(req, BDR_TX_LOCK, token_end_do, req));
    api_streams_review(req);
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/sessions",
     .perm = "session:self",
     .flags = BDR_R_LIST,
     .out = &session_shape,
     .run = sessions,
     .help = "One's own sessions.",
     .help_zh = "会话列表"},
    {.method = BDR_DELETE,
     .path = "/v1/sessions/{session}",
     .perm = "session:self",
     .run = session_end,
     .help = "End one of them.",
     .help_zh = "结束会话"},
    {.method = BDR_GET,
     .path = "/v1/users/{id:u64}/sessions",
     .perm = "user:admin",
     .flags = BDR_R_LIST,
     .out = &session_shape,
     .run = sessions,
     .help = "A user's sessions.",
     .help_zh = "用户会话"},
    {.method = BDR_DELETE,
     .path = "/v1/users/{id:u64}/sessions/{session}",
     .perm = "user:admin",
     .run = session_end,
     .help = "End one of them.",
     .help_zh = "结束用户会话"},
    {.method = BDR_GET,
     .path = "/v1/tokens",
     .perm = "token:self",
     .flags = BDR_R_LIST,
     .out = &token_shape,
     .run = tokens,
     .cli = "token list",
     .help = "One's own API tokens.",
     .help_zh = "API令牌列表"},
    {.method = BDR_POST,
     .path = "/v1/tokens",
     .perm = "token:self",
     .in = &token_in_shape,
     .out = &token_shape,
     .status = 201,
     .run = token_add,
     .cli = "token add",
     .help = "One more; it is shown once.",
     .help_zh = "创建API令牌"},
    {.method = BDR_DELETE,
     .path = "/v1/tokens/{token:u64}",
     .perm = "token:self",
     .run = token_end,
     .cli = "token revoke",
     .help = "It is worth nothing from now on.",
     .help_zh = "吊销API令牌"},
    {.method = BDR_GET,
     .path = "/v1/users/{id:u64}/tokens",
     .perm = "user:admin",
     .flags = BDR_R_LIST,
     .out = &token_shape,
     .run = tokens,
     .help = "A user's tokens.",
     .help_zh = "用户API令牌"},
    {.method = BDR_DELETE,
     .path = "/v1/users/{id:u64}/tokens/{token:u64}",
     .perm = "user:admin",
     .run = token_end,
     .help = "It is worth nothing from now on.",
     .help_zh = "吊销用户API令牌"},
};
const struct bdr_route_table api_access_table = BDR_ROUTES("session", rows);
