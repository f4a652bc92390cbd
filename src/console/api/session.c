/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - logging in and out, and who one is. */
#include "api/api.h"
#include <stdio.h>
#include <string.h>

struct login_in {
    const char *name, *password;
};
static const struct bdr_shape_field login_fields[] = {
    {BDR_FIELD(struct login_in, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 127,
     .help = "Name of the account.", .help_zh = "用户名"},
    {BDR_FIELD(struct login_in, password), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 1024,
     .help = "Its password.", .help_zh = "密码"},
    {.name = NULL},
};
static const struct bdr_shape login_shape = {.name = "Login", .size = sizeof(struct login_in), .fields = login_fields};

struct code_in {
    const char *code;
};
static const struct bdr_shape_field code_fields[] = {
    {BDR_FIELD(struct code_in, code), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 32,
     .help = "The app's code, or a recovery code.", .help_zh = "动态码或恢复码"},
    {.name = NULL},
};
static const struct bdr_shape code_shape = {.name = "LoginCode", .size = sizeof(struct code_in), .fields = code_fields};

struct session_out {
    const char *stage, *name, *role, *scopes;
    bool must_change, totp;
    bool has_codes_left, has_totp;
    uint32_t codes_left;
};
static const struct bdr_shape_field session_fields[] = {
    {BDR_FIELD(struct session_out, stage), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED,
     .help = "in, or totp: the second step is missing.", .help_zh = "登录阶段"},
    {BDR_FIELD(struct session_out, name), .type = BDR_T_TEXT, .help = "The account.", .help_zh = "用户名"},
    {BDR_FIELD(struct session_out, role), .type = BDR_T_TEXT, .help = "admin, operator or viewer.", .help_zh = "角色"},
    {BDR_FIELD(struct session_out, scopes), .type = BDR_T_TEXT, .help = "What a token may; * for a session.",
     .help_zh = "权限范围"},
    {BDR_FIELD(struct session_out, must_change), .type = BDR_T_BOOL, .help = "A password of one's own comes first.",
     .help_zh = "须修改密码"},
    {BDR_FIELD_HAS(struct session_out, codes_left), .type = BDR_T_U32, .help = "Recovery codes that are left.",
     .help_zh = "剩余恢复码"},
    {BDR_FIELD_HAS(struct session_out, totp), .type = BDR_T_BOOL, .help = "The account has a second step.",
     .help_zh = "已开启两步验证"},
    {.name = NULL},
};
static const struct bdr_shape session_shape = {
    .name = "Session", .size = sizeof(struct session_out), .fields = session_fields};

static struct bdr_err *cookie_set(struct bdr_req *req, const char *value)
{
    const char *header =
        bdr_arena_printf(bdr_req_arena(req), "bdr_session=%s; Path=/; Secure; HttpOnly; SameSite=Strict%s", value,
                         *value ? "" : "; Max-Age=0");

    BDR_NOMEM_IF_NULL(header);
    return bdr_req_set_header(req, "Set-Cookie", header);
}

/* `name` with its "=" */
static const char *cookie_value(struct bdr_req *req, const char *name)
{
    const char *cookie = bdr_req_header(req, "Cookie"), *at = cookie ? strstr(cookie, name) : NULL;
    size_t len = strlen(name);

    return at ? bdr_arena_text(bdr_req_arena(req), at + len, strcspn(at + len, ";")) : NULL;
}

/* Told to the login alone, and of use there alone. */
static struct bdr_err *device_set(struct bdr_req *req, const char *value)
{
    const char *header =
        bdr_arena_printf(bdr_req_arena(req), "bdr_device=%s; Path=/v1/session; Secure; HttpOnly; SameSite=Strict; Max-Age=%d",
                         value, BDR_DEVICE_DAYS * 86400);

    BDR_NOMEM_IF_NULL(header);
    return bdr_req_set_header(req, "Set-Cookie", header);
}

static struct bdr_login_from from_of(struct bdr_req *req)
{
    const char *agent = bdr_req_header(req, "User-Agent");

    return (struct bdr_login_from){.addr = bdr_req_remote(req),
                                   .agent = agent ? agent : "",
                                   .now_ms = api_now(),
                                   .ring = api_console(req)->ring,
                                   .device = cookie_value(req, "bdr_device=")};
}

static struct bdr_err *login_answer(struct bdr_req *req, const struct bdr_login_result *r, struct session_out *out)
{
    char wait[24];

    switch (r->what) {
    case BDR_LOGIN_WRONG:
        BDR_REFUSE(req, BDR_AUTH, "The name, the password or the code is not right.");
    case BDR_LOGIN_WAIT:
        snprintf(wait, sizeof(wait), "%lld", (long long)(r->wait_ms + 999) / 1000);
        BDR_TRY(bdr_req_set_header(req, "Retry-After", wait));
        BDR_REFUSE(req, BDR_THROTTLED, "Too many tries; wait %s seconds.", wait);
    case BDR_LOGIN_TOTP:
        out->stage = "totp";
        break;
    case BDR_LOGIN_IN:
        out->stage = "in";
        out->must_change = r->must_change;
        out->has_codes_left = r->codes_left >= 0;
        out->codes_left = r->codes_left >= 0 ? (uint32_t)r->codes_left : 0;
        break;
    }
    if (*r->device)
        BDR_TRY(device_set(req, r->device));
    return cookie_set(req, r->cookie);
}

static struct bdr_err *login(struct bdr_req *req, const void *body, void *out)
{
    const struct login_in *in = body;
    const struct bdr_login_from from = from_of(req);
    BDR_AUTO(secret) struct bdr_secret password = {0};
    struct bdr_login_result r;

    BDR_TRY(bdr_secret_set(&password, in->password, strlen(in->password)));
    BDR_TRY(bdr_login_password(api_console(req)->db, in->name, &password, &from, &r));
    return login_answer(req, &r, out);
}

static struct bdr_err *login_code(struct bdr_req *req, const void *body, void *out)
{
    const struct code_in *in = body;
    const struct bdr_login_from from = from_of(req);
    const char *cookie = cookie_value(req, "bdr_session=");
    struct bdr_login_result r;

    if (!cookie)
        BDR_REFUSE(req, BDR_AUTH, "Give the name and the password first (POST /v1/session).");
    BDR_TRY(bdr_login_totp(api_console(req)->db, api_console(req)->ring, cookie, in->code, &from, &r));
    return login_answer(req, &r, out);
}

static struct bdr_err *logout(struct bdr_req *req, const void *in, void *out)
{
    const char *cookie = cookie_value(req, "bdr_session=");

    (void)in, (void)out;
    if (cookie)
        BDR_TRY(bdr_logout(api_console(req)->db, cookie));
    api_streams_review(req);
    return cookie_set(req, "");
}

static struct bdr_err *whoami(struct bdr_req *req, const void *in, void *out)
{
    const struct bdr_who *who = &api_who(req)->person;
    BDR_AUTO(mem) struct bdr_row_account *a = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct session_out *s = out;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_account_get(tx, who->account_id, &a));
    s->totp = a && a->totp;
    s->has_totp = true;
    s->stage = "in";
    s->name = who->name;
    s->role = bdr_role_name(who->role);
    s->scopes = who->scopes;
    s->must_change = who->must_change;
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_POST,
     .path = "/v1/session",
     .flags = BDR_R_ANONYMOUS,
     .in = &login_shape,
     .out = &session_shape,
     .run = login,
     .help = "Log in. The session is a cookie.",
     .help_zh = "登录"},
    {.method = BDR_POST,
     .path = "/v1/session/code",
     .flags = BDR_R_ANONYMOUS,
     .in = &code_shape,
     .out = &session_shape,
     .run = login_code,
     .help = "The second step of logging in.",
     .help_zh = "两步验证"},
    {.method = BDR_GET,
     .path = "/v1/session",
     .perm = "session:self",
     .out = &session_shape,
     .run = whoami,
     .cli = "whoami",
     .help = "Who am I?",
     .help_zh = "当前用户"},
    {.method = BDR_DELETE,
     .path = "/v1/session",
     .perm = "session:self",
     .run = logout,
     .help = "Log out.",
     .help_zh = "退出"},
};
const struct bdr_route_table api_session_table = BDR_ROUTES("session", rows);
