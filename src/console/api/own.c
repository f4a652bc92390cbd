/* SPDX-License-Identifier: Apache-2.0 */
/* own.c - what people change about themselves: password and second step. */
#include "api/people.h"
#include "first_login.h"
#include "auth/password.h"
#include "auth/totp.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define ISSUER      "OpenBDR"
#define TOTP_NEW    "totp-new" /* sealed, until a code shows that the app has it */

/* ---- shared ---- */

static const struct bdr_rate_rule confirm_rule = {5, 60000};

struct bdr_err *people_session_only(struct bdr_req *req)
{
    if (api_who(req)->person.token_id)
        BDR_REFUSE(req, BDR_DENIED, "This needs a session: log in with the password; an API token can't do it.");
    if (api_who(req)->person.must_change)
        BDR_REFUSE(req, BDR_DENIED, "Choose a password of your own first (PUT /v1/session/password).");
    return NULL;
}

bool people_session_hash(struct bdr_req *req, uint8_t out[32])
{
    const char *cookie = bdr_req_header(req, "Cookie");
    char text[BDR_TOKEN_CHARS];

    while (cookie && *cookie) {
        cookie += strspn(cookie, "; ");
        if (!strncmp(cookie, "bdr_session=", 12)) {
            snprintf(text, sizeof(text), "%.*s", (int)BDR_MIN(strcspn(cookie + 12, ";"), sizeof(text) - 1),
                     cookie + 12);
            return bdr_token_hash(BDR_TOKEN_SESSION, text, out);
        }
        cookie += strcspn(cookie, ";");
    }
    return false;
}

struct bdr_err *people_keep(struct bdr_req *req, void *row)
{
    return row ? bdr_arena_defer(bdr_req_arena(req), free, row) : NULL;
}

void people_tell(struct bdr_req *req, const char *kind, int64_t id, const char *what)
{
    char event[96];

    snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"%s\"}", (long long)id, what);
    bdr_hub_tell(api_console(req)->hub, kind, event);
    if (!strcmp(kind, "user"))
        api_streams_review(req);
}

const char *people_like(struct bdr_req *req, const char *typed)
{
    size_t n = typed ? strlen(typed) : 0, at = 0;
    char *out = bdr_arena_alloc(bdr_req_arena(req), 2 * n + 3);

    if (!out || !n)
        return out;
    out[at++] = '%';
    for (size_t i = 0; i < n; i++) {
        if (strchr("%_!", typed[i]))
            out[at++] = '!';
        out[at++] = (char)tolower((unsigned char)typed[i]);
    }
    out[at] = '%';
    return out;
}

struct confirm {
    const char *what; /* passwords and codes are counted apart */
    int64_t account_id, now_ms, wait_ms;
    struct bdr_row_account *account; /* owned */
};

static struct bdr_err *confirm_begin(struct bdr_tx *tx, void *ctx)
{
    struct confirm *c = ctx;
    char key[64];

    free(BDR_STEAL(c->account));
    snprintf(key, sizeof(key), "%s %lld", c->what, (long long)c->account_id);
    BDR_TRY(bdr_rate_take(tx, key, &confirm_rule, c->now_ms, &c->wait_ms));
    return bdr_q_account_get(tx, c->account_id, &c->account);
}

struct bdr_err *people_confirm(struct bdr_req *req, const char *password)
{
    struct confirm c = {.what = "confirm", .account_id = api_who(req)->person.account_id, .now_ms = api_now()};
    struct bdr_err *err = bdr_db_run(api_console(req)->db, BDR_TX_LOCK, confirm_begin, &c);
    BDR_AUTO(mem) struct bdr_row_account *account = c.account;
    BDR_AUTO(secret) struct bdr_secret given = {0};
    char wait[24];
    bool ok = false;

    BDR_TRY(err);
    if (c.wait_ms) {
        snprintf(wait, sizeof(wait), "%lld", (long long)(c.wait_ms + 999) / 1000);
        BDR_TRY(bdr_req_set_header(req, "Retry-After", wait));
        BDR_REFUSE(req, BDR_THROTTLED, "Too many tries; wait %s seconds.", wait);
    }
    BDR_TRY(bdr_secret_set(&given, password, strlen(password)));
    BDR_TRY(bdr_password_check(account ? account->password : NULL, &given, &ok, NULL));
    if (!ok)
        BDR_REFUSE(req, BDR_DENIED, "The present password is not right.");
    return NULL;
}

/* ---- password ---- */

struct password_in {
    const char *old, *password;
};
static const struct bdr_shape_field password_fields[] = {
    {BDR_FIELD(struct password_in, old), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 1024,
     .help = "The present password.", .help_zh = "当前密码"},
    {BDR_FIELD(struct password_in, password), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 1024,
     .help = "The new one.", .help_zh = "新密码"},
    {.name = NULL},
};
static const struct bdr_shape password_shape = {
    .name = "Password", .size = sizeof(struct password_in), .fields = password_fields};

struct mine {
    struct bdr_req *req;
    int64_t now_ms;
    const char *hash, *code;
    struct bdr_blob session;
    struct bdr_secret *secret;
    char (*codes)[20];
};

static struct bdr_err *password_do(struct bdr_tx *tx, void *ctx)
{
    struct mine *m = ctx;
    const int64_t id = api_who(m->req)->person.account_id;
    int64_t changed = 0, ended;

    BDR_TRY(bdr_q_account_password(tx, &(struct bdr_in_account_password){id, m->hash, false, m->now_ms}, &changed));
    if (!changed)
        BDR_FAIL(BDR_NOTFOUND, 0, "the account is gone");
    BDR_TRY(bdr_q_session_delete_others(tx, id, m->session, &ended));
    return api_audit(tx, m->req, "session.password", "user", id, NULL, NULL, NULL);
}

static struct bdr_err *password(struct bdr_req *req, const void *body, void *out)
{
    const struct password_in *in = body;
    const struct bdr_who *who = &api_who(req)->person;
    BDR_AUTO(secret) struct bdr_secret s = {0};
    struct mine m = {.req = req, .now_ms = api_now()};
    char hash[BDR_PASSWORD_CHARS];
    uint8_t session[32];
    struct bdr_err *err;

    (void)out;
    if (who->token_id || !people_session_hash(req, session))
        BDR_REFUSE(req, BDR_DENIED, "This needs a session: log in with the password; an API token can't do it.");
    BDR_TRY(people_confirm(req, in->old));
    if (!strcmp(in->old, in->password)) {
        bdr_req_fault(req, "/password", BDR_INVAL, "is the old one");
        BDR_REFUSE(req, BDR_INVAL, "The new password is the old one; choose another.");
    }
    BDR_TRY(bdr_secret_set(&s, in->password, strlen(in->password)));
    err = bdr_password_fits(who->name, &s);
    if (err && err->code == BDR_INVAL)
        bdr_req_fault(req, "/password", BDR_INVAL, "%s", err->msg);
    BDR_TRY(api_refusal(req, err));
    BDR_TRY(bdr_password_hash(&s, hash));
    m.hash = hash;
    m.session = (struct bdr_blob){session, sizeof(session)};
    BDR_TRY(api_run(req, BDR_TX_LOCK, password_do, &m));
    bdr_first_login_over(api_console(req), who->name);
    people_tell(req, "user", who->account_id, "changed");
    return NULL;
}

/* ---- second step ---- */

struct totp_in {
    const char *password, *code;
};
static const struct bdr_shape_field totp_begin_fields[] = {
    {BDR_FIELD(struct totp_in, password), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 1024,
     .help = "The password.", .help_zh = "密码"},
    {.name = NULL},
};
static const struct bdr_shape totp_begin_shape = {
    .name = "TotpBegin", .size = sizeof(struct totp_in), .fields = totp_begin_fields};
static const struct bdr_shape_field totp_code_fields[] = {
    {BDR_FIELD(struct totp_in, code), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 32,
     .help = "What the app shows now.", .help_zh = "动态码"},
    {.name = NULL},
};
static const struct bdr_shape totp_code_shape = {
    .name = "TotpCode", .size = sizeof(struct totp_in), .fields = totp_code_fields};

struct totp_out {
    const char *uri;
    BDR_ARRAY(const char *) codes;
};
static const struct bdr_shape_field totp_out_fields[] = {
    {BDR_FIELD(struct totp_out, uri), .type = BDR_T_TEXT, .help = "otpauth://, for the app; as a QR code. Shown once.",
     .help_zh = "otpauth地址(二维码)"},
    {BDR_FIELD(struct totp_out, codes), .type = BDR_T_ARRAY, .of = BDR_T_TEXT,
     .help = "Recovery codes, each good once. Shown once.", .help_zh = "恢复码(仅显示一次)"},
    {.name = NULL},
};
static const struct bdr_shape totp_out_shape = {
    .name = "Totp", .size = sizeof(struct totp_out), .fields = totp_out_fields};

static struct bdr_err *totp_begin_do(struct bdr_tx *tx, void *ctx)
{
    struct mine *m = ctx;
    const struct bdr_seal_place place = {"account", api_who(m->req)->person.account_id, TOTP_NEW};
    BDR_AUTO(mem) struct bdr_row_account *a = NULL;

    BDR_TRY(bdr_q_account_get(tx, place.owner_id, &a));
    if (!a || a->totp)
        BDR_FAIL(BDR_CONFLICT, 0, "the second step is on already; turn it off before another app takes it over");
    return bdr_secret_put(tx, api_console(m->req)->ring, &place, m->secret, m->now_ms);
}

static struct bdr_err *totp_begin(struct bdr_req *req, const void *body, void *answer)
{
    const struct totp_in *in = body;
    struct totp_out *out = answer;
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    BDR_AUTO(secret) struct bdr_secret uri = {0};
    struct mine m = {.req = req, .now_ms = api_now(), .secret = &secret};

    BDR_TRY(people_session_only(req));
    BDR_TRY(people_confirm(req, in->password));
    BDR_TRY(bdr_totp_new(&secret));
    BDR_TRY(bdr_totp_uri(&secret, ISSUER, api_who(req)->person.name, &uri));
    BDR_TRY(api_run(req, BDR_TX_LOCK, totp_begin_do, &m));
    out->uri = bdr_arena_text(bdr_req_arena(req), (char *)uri.data, uri.len);
    BDR_NOMEM_IF_NULL(out->uri);
    return NULL;
}

static struct bdr_err *totp_on_do(struct bdr_tx *tx, void *ctx)
{
    struct mine *m = ctx;
    const struct bdr_keyring *ring = api_console(m->req)->ring;
    const struct bdr_seal_place place = {"account", api_who(m->req)->person.account_id, TOTP_NEW};
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    bool found = false;
    int64_t changed;

    BDR_TRY(bdr_secret_get(tx, ring, &place, &secret, &found));
    if (!found)
        BDR_FAIL(BDR_CONFLICT, 0, "ask for a secret first (POST /v1/session/totp)");
    BDR_TRY(bdr_q_sealed_delete(tx, "account", place.owner_id, &changed)); /* the new one moves to its place */
    BDR_TRY(bdr_totp_enable(tx, ring, place.owner_id, &secret, m->code, m->now_ms, m->codes));
    return api_audit(tx, m->req, "session.totp-on", "user", place.owner_id, NULL, NULL, NULL);
}

static struct bdr_err *confirm_rate(struct bdr_tx *tx, void *ctx)
{
    struct confirm *c = ctx;

    BDR_TRY(confirm_begin(tx, c));
    free(BDR_STEAL(c->account));
    return NULL;
}

static struct bdr_err *totp_on(struct bdr_req *req, const void *body, void *answer)
{
    const struct totp_in *in = body;
    struct totp_out *out = answer;
    char(*codes)[20] = bdr_arena_alloc(bdr_req_arena(req), BDR_RECOVERY_CODES * sizeof(*codes));
    const char **items = bdr_arena_alloc(bdr_req_arena(req), BDR_RECOVERY_CODES * sizeof(*items));
    struct mine m = {.req = req, .now_ms = api_now(), .code = in->code, .codes = codes};
    struct confirm c = {.what = "code", .account_id = api_who(req)->person.account_id, .now_ms = m.now_ms};
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(codes);
    BDR_NOMEM_IF_NULL(items);
    BDR_TRY(people_session_only(req));
    BDR_TRY(bdr_db_run(api_console(req)->db, BDR_TX_LOCK, confirm_rate, &c));
    if (c.wait_ms)
        BDR_REFUSE(req, BDR_THROTTLED, "Too many tries; wait a minute.");
    err = bdr_db_run(api_console(req)->db, BDR_TX_LOCK, totp_on_do, &m);
    if (err && err->code == BDR_INVAL)
        bdr_req_fault(req, "/code", BDR_INVAL, "%s", err->msg);
    BDR_TRY(api_refusal(req, err));
    for (size_t i = 0; i < BDR_RECOVERY_CODES; i++)
        items[i] = codes[i];
    out->codes.items = items;
    out->codes.n = BDR_RECOVERY_CODES;
    people_tell(req, "user", c.account_id, "changed");
    return NULL;
}

static struct bdr_err *totp_off_do(struct bdr_tx *tx, void *ctx)
{
    struct mine *m = ctx;
    const int64_t id = api_who(m->req)->person.account_id;

    BDR_TRY(bdr_totp_disable(tx, id));
    return api_audit(tx, m->req, "session.totp-off", "user", id, NULL, NULL, NULL);
}

static struct bdr_err *totp_off(struct bdr_req *req, const void *body, void *out)
{
    const struct totp_in *in = body;
    struct mine m = {.req = req, .now_ms = api_now()};

    (void)out;
    BDR_TRY(people_session_only(req));
    BDR_TRY(people_confirm(req, in->password));
    BDR_TRY(api_run(req, BDR_TX_LOCK, totp_off_do, &m));
    people_tell(req, "user", api_who(req)->person.account_id, "changed");
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_PUT,
     .path = "/v1/session/password",
     .perm = "session:self",
     .in = &password_shape,
     .run = password,
     .help = "Choose another password; one's other sessions end.",
     .help_zh = "修改密码"},
    {.method = BDR_POST,
     .path = "/v1/session/totp",
     .perm = "session:self",
     .in = &totp_begin_shape,
     .out = &totp_out_shape,
     .run = totp_begin,
     .help = "A secret for an authenticator app.",
     .help_zh = "两步验证密钥"},
    {.method = BDR_PUT,
     .path = "/v1/session/totp",
     .perm = "session:self",
     .in = &totp_code_shape,
     .out = &totp_out_shape,
     .run = totp_on,
     .help = "Turn the second step on, with a code of the app.",
     .help_zh = "启用两步验证"},
    {.method = BDR_POST,
     .path = "/v1/session/totp/off",
     .perm = "session:self",
     .in = &totp_begin_shape,
     .run = totp_off,
     .help = "Turn the second step off.",
     .help_zh = "关闭两步验证"},
};
const struct bdr_route_table api_own_table = BDR_ROUTES("session", rows);
