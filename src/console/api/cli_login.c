/* SPDX-License-Identifier: Apache-2.0 */
/* cli_login.c - from a name and a password to an API token in one step, for programs that keep no cookies: bdr login.
 */
#include "api/objects.h"
#include "auth/password.h"
#include "first_login.h"
#include <stdio.h>
#include <string.h>

#define DAYS 90

struct token_in {
    const char *name, *password, *code, *new_password, *label;
    uint32_t days;
};
static const struct bdr_shape_field in_fields[] = {
    {BDR_FIELD(struct token_in, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 127,
     .help = "Name of the account.", .help_zh = "用户名"},
    {BDR_FIELD(struct token_in, password), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 1024,
     .help = "Its password.", .help_zh = "密码"},
    {BDR_FIELD(struct token_in, code), .type = BDR_T_SECRET, .len_max = 32,
     .help = "The second step's code, of an account that has one.", .help_zh = "动态码或恢复码"},
    {BDR_FIELD(struct token_in, new_password), .type = BDR_T_SECRET, .len_max = 1024,
     .help = "A password of one's own, where the first one must be changed.", .help_zh = "新密码"},
    {BDR_FIELD(struct token_in, label), .type = BDR_T_TEXT, .len_max = 100, .def = "bdr",
     .help = "What the list of tokens calls it.", .help_zh = "令牌名称"},
    {BDR_FIELD(struct token_in, days), .type = BDR_T_U32, .min = 1, .max = 366, .def = "90",
     .help = "How long it is good.", .help_zh = "有效天数"},
    OBJ_END,
};
static const struct bdr_shape in_shape = OBJ_SHAPE(struct token_in, "LoginToken", in_fields);

struct token_out {
    const char *stage, *token, *name;
    int64_t expires;
    bool has_expires;
};
static const struct bdr_shape_field out_fields[] = {
    OBJ_OUT(struct token_out, stage, TEXT, "in; or what is missing: code, new_password.", "登录阶段"),
    OBJ_OUT(struct token_out, token, TEXT, "The token, told once.", "令牌"),
    OBJ_OUT(struct token_out, name, TEXT, "The account.", "用户名"),
    OBJ_OUT_HAS(struct token_out, expires, TIME, "Until when it is good.", "过期时间"),
    OBJ_END,
};
static const struct bdr_shape out_shape = OBJ_SHAPE(struct token_out, "LoginTokenMade", out_fields);

struct brief {
    const char *name;
};
static const struct bdr_shape_field brief_fields[] = {
    OBJ_OUT(struct brief, name, TEXT, "Its name.", "名称"),
    OBJ_END,
};
static const struct bdr_shape brief_shape = OBJ_SHAPE(struct brief, "TokenBrief", brief_fields);

struct making {
    struct bdr_req *req;
    int64_t account_id, expires_ms, id;
    const char *hash; /* of the password they choose with it, or NULL */
    char name[128], label[160];
    char token[BDR_TOKEN_CHARS];
};

static struct bdr_err *make_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_account *a = NULL;
    struct making *m = ctx;

    BDR_TRY(bdr_q_account_get(tx, m->account_id, &a));
    if (!a)
        BDR_FAIL(BDR_AUTH, 0, "the account is gone");
    snprintf(m->name, sizeof(m->name), "%s", a->name);
    if (m->hash) {
        BDR_TRY(bdr_password_change(tx, a->id, m->hash, false, api_now()));
        BDR_TRY(api_audit_as(tx, m->req, a->name, "session.password", "user", a->id, NULL, NULL, NULL));
    }
    BDR_TRY(bdr_api_token_new(tx, a->id, m->label, "*", api_now(), m->expires_ms, m->token, &m->id));
    return api_audit_as(tx, m->req, a->name, "token.add", "token", m->id, &brief_shape, NULL,
                        &(struct brief){m->label});
}

static struct bdr_err *answer_wrong(struct bdr_req *req, const struct bdr_login_result *r)
{
    char wait[24];

    if (r->what == BDR_LOGIN_WRONG)
        BDR_REFUSE(req, BDR_AUTH, "The name, the password or the code is not right.");
    snprintf(wait, sizeof(wait), "%lld", (long long)(r->wait_ms + 999) / 1000);
    BDR_TRY(bdr_req_set_header(req, "Retry-After", wait));
    BDR_REFUSE(req, BDR_THROTTLED, "Too many tries; wait %s seconds.", wait);
}

/* Both steps; *r ends with what the last one said. */
static struct bdr_err *log_in(struct bdr_req *req, const struct token_in *in, struct bdr_login_result *r)
{
    struct bdr_console *c = api_console(req);
    const struct bdr_login_from from = {.addr = bdr_req_remote(req), .agent = "bdr", .now_ms = api_now()};
    BDR_AUTO(secret) struct bdr_secret password = {0};
    char cookie[BDR_TOKEN_CHARS];

    BDR_TRY(bdr_secret_set(&password, in->password, strlen(in->password)));
    BDR_TRY(bdr_login_password(c->db, in->name, &password, &from, r));
    if (r->what == BDR_LOGIN_TOTP && in->code) {
        snprintf(cookie, sizeof(cookie), "%s", r->cookie);
        BDR_TRY(bdr_login_totp(c->db, c->ring, cookie, in->code, &from, r));
    }
    return NULL;
}

static struct bdr_err *own_password(struct bdr_req *req, const struct token_in *in, char hash[BDR_PASSWORD_CHARS])
{
    BDR_AUTO(secret) struct bdr_secret password = {0};

    if (!strcmp(in->new_password, in->password))
        BDR_REFUSE(req, BDR_INVAL, "The new password is the old one; choose another.");
    BDR_TRY(bdr_secret_set(&password, in->new_password, strlen(in->new_password)));
    BDR_TRY(api_refusal(req, bdr_password_fits(in->name, &password)));
    return bdr_password_hash(&password, hash);
}

static struct bdr_err *token_make(struct bdr_req *req, const void *body, void *out)
{
    const struct token_in *in = body;
    struct making m = {.req = req, .expires_ms = api_now() + (int64_t)(in->days ? in->days : DAYS) * 86400000};
    struct token_out *o = out;
    struct bdr_login_result r = {0};
    char when[32], hash[BDR_PASSWORD_CHARS];

    BDR_TRY(log_in(req, in, &r));
    if (r.what == BDR_LOGIN_WRONG || r.what == BDR_LOGIN_WAIT)
        return answer_wrong(req, &r);
    o->stage = r.what == BDR_LOGIN_TOTP ? "code" : r.must_change && !in->new_password ? "new_password" : "in";
    BDR_TRY(bdr_logout(api_console(req)->db, r.cookie)); /* a program has no use for the session */
    if (strcmp(o->stage, "in") != 0)
        return NULL;
    if (r.must_change) {
        BDR_TRY(own_password(req, in, hash));
        m.hash = hash;
    }
    snprintf(m.label, sizeof(m.label), "%s %s", in->label ? in->label : "bdr", bdr_rfc3339_text(api_now(), when));
    m.account_id = r.account_id;
    BDR_TRY(api_run(req, BDR_TX_WRITE, make_tx, &m));
    if (m.hash)
        bdr_first_login_over(api_console(req), m.name);
    o->token = bdr_arena_printf(bdr_req_arena(req), "%s", m.token);
    BDR_NOMEM_IF_NULL(o->token);
    o->name = in->name;
    OBJ_SET(o, expires, m.expires_ms);
    return NULL;
}

static struct bdr_err *end_tx(struct bdr_tx *tx, void *ctx)
{
    struct bdr_req *req = ctx;
    const struct bdr_who *who = &api_who(req)->person;
    int64_t n;

    BDR_TRY(bdr_q_api_token_revoke(tx, who->account_id, who->token_id, api_now(), &n));
    return api_audit(tx, req, "token.revoke", "token", who->token_id, &brief_shape, &(struct brief){who->name}, NULL);
}

static struct bdr_err *token_end(struct bdr_req *req, const void *in, void *out)
{
    (void)in, (void)out;
    if (!api_who(req)->person.token_id)
        BDR_REFUSE(req, BDR_CONFLICT, "This request came with a session, not with a token: log out of the session.");
    BDR_TRY(api_run(req, BDR_TX_WRITE, end_tx, req));
    api_streams_review(req);
    return NULL;
}

static const struct bdr_route rows[] = {
    {BDR_POST, "/v1/session/token", NULL, BDR_R_ANONYMOUS, .in = &in_shape, .out = &out_shape, .run = token_make,
     .help = "Log in as a program: gives an API token.", .help_zh = "以程序方式登录，返回API令牌"},
    {BDR_DELETE, "/v1/session/token", "session:self", 0, .run = token_end,
     .help = "End the token that this request came with.", .help_zh = "吊销当前令牌"},
};
const struct bdr_route_table api_cli_login_table = BDR_ROUTES("session", rows);
