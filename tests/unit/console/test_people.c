/* SPDX-License-Identifier: Apache-2.0 */
/* test_people.c - users, what they change about themselves, tokens, the audit log, settings, certificates: and who may
 * not. */
#include "auth/login.h"
#include "auth/totp.h"
#include "bdr/pool.h"
#include "fleet.h"
#include <sys/stat.h>

#define FIRST  "correct horse 1"
#define SECOND "battery staple 2"

/* ---- a person with a cookie ---- */

/* As rig_call, as the browser of whoever has `cookie`; with_header: the one that pages of ours send. */
static json_t *page_call(struct rig *r, const char *cookie, bool with_header, const char *method, const char *path,
                         const char *body, unsigned *out_status)
{
    char text[128];
    const struct bdr_pair headers[] = {{"Cookie", text}, {"X-Requested-With", "bdr"}};
    struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {.method = method,
                                       .path = path,
                                       .type = body ? "application/json" : NULL,
                                       .body = body,
                                       .body_len = body ? strlen(body) : 0,
                                       .headers = headers,
                                       .n_headers = with_header ? 2 : 1};
    struct bdr_err *err;
    char why[1024];
    json_t *v = NULL;

    snprintf(text, sizeof(text), "other=1; bdr_session=%s", cookie);
    err = bdr_http_call(r->anyone, &call, &reply);
    *out_status = err ? (unsigned)err->sys : reply.status;
    if (err)
        v = json_pack("{s:s}", "detail", bdr_err_text(err, why, sizeof(why)));
    else if (reply.body.len)
        v = json_loadb((char *)reply.body.data, reply.body.len, 0, NULL);
    bdr_err_drop(err, "it is what the test looks at");
    bdr_http_reply_free(&reply);
    return v;
}

static json_t *page_want(struct rig *r, const char *cookie, unsigned want, const char *method, const char *path,
                         const char *body)
{
    unsigned status = 0;
    json_t *v = page_call(r, cookie, true, method, path, body, &status);

    if (status != want)
        print_error("%s %s: %u, not %u: %s\n", method, path, status, want, rig_at(v, "/detail"));
    assert_int_equal(status, want);
    return v;
}

static struct bdr_login_result login(struct rig *r, const char *name, const char *password)
{
    const struct bdr_login_from from = {.addr = "192.0.2.1", .agent = "test", .now_ms = bdr_clock_wall_ms()};
    BDR_AUTO(secret) struct bdr_secret s = {0};
    struct bdr_login_result got;

    check_ok(bdr_secret_set(&s, password, strlen(password)));
    check_ok(bdr_login_password(r->bed->db, name, &s, &from, &got));
    return got;
}

/* A user with a password of their own and a session. */
static int64_t user_make(struct rig *r, const char *name, const char *role, char cookie[BDR_TOKEN_CHARS])
{
    char body[300];
    struct bdr_login_result in;
    int64_t id;
    json_t *v;

    snprintf(body, sizeof(body), "{\"name\":\"%s\",\"role\":\"%s\",\"password\":\"" FIRST "\"}", name, role);
    v = rig_want(r, r->admin, 201, "POST", "/v1/users", body);
    id = rig_int(v, "/id");
    json_decref(v);
    in = login(r, name, FIRST);
    assert_int_equal(in.what, BDR_LOGIN_IN);
    assert_true(in.must_change);
    snprintf(cookie, BDR_TOKEN_CHARS, "%s", in.cookie);
    json_decref(page_want(r, cookie, 204, "PUT", "/v1/session/password",
                          "{\"old\":\"" FIRST "\",\"password\":\"" SECOND "\"}"));
    return id;
}

/* ---- users ---- */

static void test_user__first_password__is_good_for_nothing_but_another(void **state)
{
    char cookie[BDR_TOKEN_CHARS];
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, r->admin, 201, "POST", "/v1/users",
                 "{\"name\":\"ann\",\"role\":\"operator\",\"password\":\"" FIRST "\",\"mail\":\"ann@example.org\"}");
    assert_string_equal(rig_at(v, "/must_change"), "true");
    assert_string_equal(rig_at(v, "/password"), "");
    json_decref(v);
    snprintf(cookie, sizeof(cookie), "%s", login(r, "ann", FIRST).cookie);
    json_decref(page_want(r, cookie, 403, "GET", "/v1/ca", NULL));
    json_decref(page_want(r, cookie, 403, "POST", "/v1/tokens", "{\"name\":\"x\",\"scopes\":\"*\"}"));
    json_decref(page_want(r, cookie, 403, "POST", "/v1/session/totp", "{\"password\":\"" FIRST "\"}"));
    json_decref(page_want(r, cookie, 403, "PUT", "/v1/session/password",
                          "{\"old\":\"wrong wrong\",\"password\":\"" SECOND "\"}"));
    json_decref(
        page_want(r, cookie, 422, "PUT", "/v1/session/password", "{\"old\":\"" FIRST "\",\"password\":\"" FIRST "\"}"));
    json_decref(
        page_want(r, cookie, 422, "PUT", "/v1/session/password", "{\"old\":\"" FIRST "\",\"password\":\"short\"}"));
    json_decref(page_want(r, cookie, 204, "PUT", "/v1/session/password",
                          "{\"old\":\"" FIRST "\",\"password\":\"" SECOND "\"}"));
    json_decref(page_want(r, cookie, 200, "GET", "/v1/ca", NULL));
    assert_int_equal(login(r, "ann", FIRST).what, BDR_LOGIN_WRONG);
}

static void test_user__changes__are_checked_audited_and_end_sessions(void **state)
{
    char cookie[BDR_TOKEN_CHARS], path[80];
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = user_make(r, "bob", "viewer", cookie);
    snprintf(path, sizeof(path), "/v1/users/%lld", (long long)id);
    json_decref(rig_want(r, r->admin, 409, "POST", "/v1/users",
                         "{\"name\":\"bob\",\"role\":\"admin\",\"password\":\"" FIRST "\"}"));
    json_decref(rig_want(r, r->admin, 422, "POST", "/v1/users",
                         "{\"name\":\"B o b\",\"role\":\"admin\",\"password\":\"" FIRST "\"}"));
    json_decref(rig_want(r, r->admin, 422, "POST", "/v1/users",
                         "{\"name\":\"bobby\",\"role\":\"root\",\"password\":\"" FIRST "\"}"));
    json_decref(rig_want(r, r->admin, 422, "POST", "/v1/users",
                         "{\"name\":\"bobby\",\"role\":\"admin\",\"password\":\"short\"}"));
    v = rig_want(r, r->admin, 200, "PATCH", path, "{\"role\":\"operator\",\"title\":\"Bob B.\"}");
    assert_string_equal(rig_at(v, "/role"), "operator");
    json_decref(v);
    json_decref(page_want(r, cookie, 401, "GET", "/v1/session", NULL)); /* another role: log in again */
    v = rig_want(r, r->admin, 200, "GET", "/v1/users?search=BOB", NULL);
    assert_string_equal(rig_at(v, "/items/0/title"), "Bob B.");
    assert_string_equal(rig_at(v, "/items/1/name"), "");
    json_decref(v);
    v = rig_want(r, r->admin, 200, "GET", "/v1/users?search=%25", NULL);
    assert_string_equal(rig_at(v, "/items/0/name"), ""); /* a percent sign is one */
    json_decref(v);
    v = rig_want(r, r->admin, 200, "GET", "/v1/users?limit=2", NULL);
    assert_string_equal(rig_at(v, "/next"), rig_at(v, "/items/1/id"));
    json_decref(v);
    v = rig_want(r, r->admin, 200, "GET", "/v1/audit?object=user&limit=1", NULL);
    assert_string_equal(rig_at(v, "/items/0/action"), "user.update");
    assert_string_equal(rig_at(v, "/items/0/before/role"), "viewer");
    assert_string_equal(rig_at(v, "/items/0/after/role"), "operator");
    assert_string_equal(rig_at(v, "/items/0/actor"), "rig-admin");
    json_decref(v);
    json_decref(rig_want(r, r->admin, 204, "DELETE", path, NULL));
    json_decref(rig_want(r, r->admin, 404, "GET", path, NULL));
    json_decref(rig_want(r, r->admin, 404, "PATCH", path, "{\"title\":\"x\"}"));
}

static void test_user__the_last_administrator__stays(void **state)
{
    int64_t ids[8], n = 0, self = 0;
    char path[80];
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, r->admin, 200, "GET", "/v1/users?role=admin", NULL);
    for (; n < (int64_t)json_array_size(json_object_get(v, "items")); n++) {
        snprintf(path, sizeof(path), "/items/%lld/id", (long long)n);
        ids[n] = rig_int(v, path);
        snprintf(path, sizeof(path), "/items/%lld/name", (long long)n);
        if (!strcmp(rig_at(v, path), "rig-admin"))
            self = ids[n];
    }
    json_decref(v);
    for (int64_t i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "/v1/users/%lld", (long long)ids[i]);
        if (ids[i] != self)
            json_decref(rig_want(r, r->admin, 200, "PATCH", path, "{\"disabled\":true}"));
    }
    snprintf(path, sizeof(path), "/v1/users/%lld", (long long)self);
    json_decref(rig_want(r, r->admin, 409, "PATCH", path, "{\"disabled\":true}"));
    json_decref(rig_want(r, r->admin, 409, "PATCH", path, "{\"role\":\"viewer\"}"));
    json_decref(rig_want(r, r->admin, 409, "DELETE", path, NULL));
    json_decref(rig_want(r, r->admin, 200, "PATCH", path, "{\"title\":\"still here\"}"));
}

struct duel {
    struct rig *r;
    const char *token[2];
    char path[2][80];
};
static struct bdr_err *duel_main(void *ctx, unsigned index)
{
    struct duel *d = ctx;
    unsigned status = 0;

    json_decref(rig_call(d->r, d->token[index], "PATCH", d->path[index], "{\"disabled\":true}", &status));
    return NULL;
}

/* Each removes the other at the same moment: one of them is left. */
static void test_user__two_administrators_at_once__one_is_left(void **state)
{
    struct bdr_pool *pool = NULL;
    char cookie[BDR_TOKEN_CHARS], token[64];
    struct bdr_tx *tx;
    struct duel d;
    int64_t n = 0;
    json_t *v;

    RIG_OF(state, r);
    d = (struct duel){.r = r, .token = {r->admin, token}};
    snprintf(d.path[0], sizeof(d.path[0]), "/v1/users/%lld", (long long)user_make(r, "kim", "admin", cookie));
    v = page_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"t\",\"scopes\":\"*\"}");
    snprintf(token, sizeof(token), "%s", rig_at(v, "/token"));
    json_decref(v);
    v = rig_want(r, r->admin, 200, "GET", "/v1/users?search=rig-admin", NULL);
    snprintf(d.path[1], sizeof(d.path[1]), "/v1/users/%s", rig_at(v, "/items/0/id"));
    json_decref(v);
    check_ok(bed_sql(r->bed, "UPDATE account SET disabled = 1 WHERE name = 'admin';"));
    check_ok(bdr_pool_start("duel", 2, duel_main, &d, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    tx = fleet_read(r);
    check_ok(bdr_q_account_admins(tx, &n));
    bdr_tx_abandon(tx);
    assert_int_equal(n, 1);
}

static void test_user__disabled__is_out_at_once(void **state)
{
    char cookie[BDR_TOKEN_CHARS], path[80], token[64];
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = user_make(r, "carl", "admin", cookie);
    v = page_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"ci\",\"scopes\":\"*\"}");
    snprintf(token, sizeof(token), "%s", rig_at(v, "/token"));
    json_decref(v);
    json_decref(rig_want(r, token, 200, "GET", "/v1/users", NULL));
    snprintf(path, sizeof(path), "/v1/users/%lld", (long long)id);
    json_decref(rig_want(r, r->admin, 200, "PATCH", path, "{\"disabled\":true}"));
    json_decref(page_want(r, cookie, 401, "GET", "/v1/session", NULL));
    json_decref(rig_want(r, token, 401, "GET", "/v1/users", NULL));
    assert_int_equal(login(r, "carl", SECOND).what, BDR_LOGIN_WRONG);
}

static void test_user__reset_and_unlock__by_an_administrator(void **state)
{
    char cookie[BDR_TOKEN_CHARS], path[80];
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = user_make(r, "dora", "viewer", cookie);
    for (int i = 0; i < 5; i++)
        assert_int_equal(login(r, "dora", "wrong wrong wrong").what, BDR_LOGIN_WRONG);
    snprintf(path, sizeof(path), "/v1/users/%lld", (long long)id);
    v = rig_want(r, r->admin, 200, "GET", path, NULL);
    assert_string_equal(rig_at(v, "/locked"), "true");
    json_decref(v);
    assert_int_equal(login(r, "dora", SECOND).what, BDR_LOGIN_WRONG);
    snprintf(path, sizeof(path), "/v1/users/%lld/unlock", (long long)id);
    json_decref(rig_want(r, r->operator_, 403, "POST", path, NULL));
    v = rig_want(r, r->admin, 200, "POST", path, NULL);
    assert_string_equal(rig_at(v, "/locked"), "false");
    json_decref(v);
    assert_int_equal(login(r, "dora", SECOND).what, BDR_LOGIN_IN);
    snprintf(path, sizeof(path), "/v1/users/%lld/password", (long long)id);
    json_decref(rig_want(r, r->admin, 200, "POST", path, "{\"password\":\"" FIRST "\"}"));
    json_decref(page_want(r, cookie, 401, "GET", "/v1/session", NULL));
    assert_true(login(r, "dora", FIRST).must_change);
}

/* ---- oneself ---- */

static void test_own__the_first_password_file__goes_with_the_password(void **state)
{
    char path[128], body[128], cookie[BDR_TOKEN_CHARS];
    BDR_AUTO(mem) char *password = NULL;
    struct stat st;

    RIG_OF(state, r);
    password = rig_first_password(r, path);
    snprintf(cookie, sizeof(cookie), "%s", login(r, "admin", password).cookie);
    snprintf(body, sizeof(body), "{\"old\":\"%s\",\"password\":\"" SECOND "\"}", password);
    json_decref(page_want(r, cookie, 204, "PUT", "/v1/session/password", body));
    assert_int_not_equal(stat(path, &st), 0);
    json_decref(page_want(r, cookie, 200, "GET", "/v1/users", NULL)); /* this session goes on */
}

static void test_own__a_program_that_chooses_the_first_password__is_audited_and_ends_the_file(void **state)
{
    char path[128], body[256];
    BDR_AUTO(mem) char *password = NULL;
    struct stat st;
    json_t *v;

    RIG_OF(state, r);
    password = rig_first_password(r, path);
    snprintf(body, sizeof(body), "{\"name\":\"admin\",\"password\":\"%s\",\"new_password\":\"%s\"}", password,
             password);
    json_decref(rig_want(r, NULL, 400, "POST", "/v1/session/token", body));
    snprintf(body, sizeof(body), "{\"name\":\"admin\",\"password\":\"%s\",\"new_password\":\"short\"}", password);
    json_decref(rig_want(r, NULL, 400, "POST", "/v1/session/token", body));
    assert_int_equal(stat(path, &st), 0);
    snprintf(body, sizeof(body), "{\"name\":\"admin\",\"password\":\"%s\",\"new_password\":\"" SECOND "\"}", password);
    v = rig_want(r, NULL, 200, "POST", "/v1/session/token", body);
    assert_string_equal(rig_at(v, "/stage"), "in");
    json_decref(v);
    assert_int_not_equal(stat(path, &st), 0);
    /* newest first */
    v = rig_want(r, r->admin, 200, "GET", "/v1/audit?limit=2", NULL);
    assert_string_equal(rig_at(v, "/items/0/action"), "token.add");
    assert_string_equal(rig_at(v, "/items/0/actor"), "admin");
    assert_string_equal(rig_at(v, "/items/1/action"), "session.password");
    assert_string_equal(rig_at(v, "/items/1/actor"), "admin");
    json_decref(v);
}

static void test_own__passwords_are_not_guessed__with_a_stolen_session(void **state)
{
    char cookie[BDR_TOKEN_CHARS];
    unsigned status = 0;

    RIG_OF(state, r);
    user_make(r, "eve", "viewer", cookie);
    for (int i = 0; i < 10 && status != 429; i++)
        json_decref(page_call(r, cookie, true, "PUT", "/v1/session/password",
                              "{\"old\":\"wrong wrong\",\"password\":\"another one 3\"}", &status));
    assert_int_equal(status, 429);
}

static void test_own__second_step__on_and_off(void **state)
{
    char cookie[BDR_TOKEN_CHARS], body[128], secret[64], code[9];
    struct bdr_login_result in;
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = user_make(r, "fay", "viewer", cookie);
    json_decref(page_want(r, cookie, 409, "PUT", "/v1/session/totp", "{\"code\":\"123456\"}"));
    json_decref(page_want(r, cookie, 403, "POST", "/v1/session/totp", "{\"password\":\"wrong wrong\"}"));
    v = page_want(r, cookie, 200, "POST", "/v1/session/totp", "{\"password\":\"" SECOND "\"}");
    assert_true(strstr(rig_at(v, "/uri"), "otpauth://totp/OpenBDR:fay?secret=") == rig_at(v, "/uri"));
    snprintf(secret, sizeof(secret), "%.32s", strstr(rig_at(v, "/uri"), "secret=") + 7);
    json_decref(v);
    json_decref(page_want(r, cookie, 422, "PUT", "/v1/session/totp", "{\"code\":\"000000\"}"));
    {
        BDR_AUTO(secret) struct bdr_secret s = {0};
        const struct bdr_seal_place place = {"account", id, "totp-new"};
        struct bdr_tx *tx = fleet_read(r);
        bool found = false;

        check_ok(bdr_secret_get(tx, r->console->ring, &place, &s, &found));
        bdr_tx_abandon(tx);
        assert_true(found);
        check_ok(bdr_totp_code(&s, bdr_clock_wall_ms() / BDR_TOTP_STEP_MS, 6, code));
    }
    snprintf(body, sizeof(body), "{\"code\":\"%s\"}", code);
    v = page_want(r, cookie, 200, "GET", "/v1/session", NULL);
    assert_string_equal(rig_at(v, "/totp"), "false");
    json_decref(v);
    v = page_want(r, cookie, 200, "PUT", "/v1/session/totp", body);
    assert_int_equal(json_array_size(json_object_get(v, "codes")), BDR_RECOVERY_CODES);
    json_decref(v);
    in = login(r, "fay", SECOND);
    assert_int_equal(in.what, BDR_LOGIN_TOTP);
    json_decref(page_want(r, in.cookie, 401, "GET", "/v1/session", NULL)); /* half a login is none */
    json_decref(page_want(r, cookie, 409, "POST", "/v1/session/totp", "{\"password\":\"" SECOND "\"}"));
    json_decref(rig_want(r, r->admin, 200, "GET", "/v1/users", NULL));
    snprintf(body, sizeof(body), "/v1/users/%lld/totp", (long long)id);
    json_decref(rig_want(r, r->operator_, 403, "DELETE", body, NULL));
    json_decref(rig_want(r, r->admin, 204, "DELETE", body, NULL)); /* the phone is lost */
    assert_int_equal(login(r, "fay", SECOND).what, BDR_LOGIN_IN);
}

static void test_own__sessions__are_listed_and_ended(void **state)
{
    char cookie[BDR_TOKEN_CHARS], other[BDR_TOKEN_CHARS], path[120];
    const json_t *items;
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = user_make(r, "gil", "viewer", cookie);
    snprintf(other, sizeof(other), "%s", login(r, "gil", SECOND).cookie);
    v = page_want(r, cookie, 200, "GET", "/v1/sessions", NULL);
    items = json_object_get(v, "items");
    assert_int_equal(json_array_size(items), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_array_get(items, i);

        assert_null(strstr(cookie, json_string_value(json_object_get(one, "id"))));
        if (!json_is_true(json_object_get(one, "current")))
            snprintf(path, sizeof(path), "/v1/sessions/%s", json_string_value(json_object_get(one, "id")));
    }
    json_decref(v);
    json_decref(page_want(r, cookie, 204, "DELETE", path, NULL));
    json_decref(page_want(r, other, 401, "GET", "/v1/session", NULL));
    json_decref(page_want(r, cookie, 200, "GET", "/v1/session", NULL));
    json_decref(page_want(r, cookie, 404, "DELETE", path, NULL));
    json_decref(page_want(r, cookie, 404, "DELETE", "/v1/sessions/0", NULL)); /* no prefix will do */
    snprintf(path, sizeof(path), "/v1/users/%lld/sessions", (long long)id);
    json_decref(page_want(r, cookie, 403, "GET", path, NULL));
    json_decref(rig_want(r, r->admin, 200, "GET", path, NULL));
}

/* ---- tokens ---- */

static void test_token__its_scopes__bound_it(void **state)
{
    char cookie[BDR_TOKEN_CHARS], token[64], path[80];
    json_t *v;

    RIG_OF(state, r);
    user_make(r, "hal", "admin", cookie);
    json_decref(page_want(r, cookie, 422, "POST", "/v1/tokens", "{\"name\":\"bad\",\"scopes\":\"user:rea d x\"}"));
    json_decref(page_want(r, cookie, 422, "POST", "/v1/tokens",
                          "{\"name\":\"old\",\"scopes\":\"*\",\"expires\":\"2020-01-01T00:00:00Z\"}"));
    v = page_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"look\",\"scopes\":\"certificate:read\"}");
    snprintf(token, sizeof(token), "%s", rig_at(v, "/token"));
    snprintf(path, sizeof(path), "/v1/tokens/%s", rig_at(v, "/id"));
    json_decref(v);
    json_decref(page_want(r, cookie, 409, "POST", "/v1/tokens", "{\"name\":\"look\",\"scopes\":\"*\"}"));
    json_decref(rig_want(r, token, 200, "GET", "/v1/ca", NULL));
    json_decref(rig_want(r, token, 403, "GET", "/v1/users", NULL));
    json_decref(rig_want(r, token, 403, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}"));
    json_decref(rig_want(r, token, 403, "GET", "/v1/tokens", NULL));
    /* what would make it more than it is */
    json_decref(rig_want(r, token, 403, "POST", "/v1/tokens", "{\"name\":\"more\",\"scopes\":\"*\"}"));
    json_decref(rig_want(r, token, 403, "PUT", "/v1/session/password",
                         "{\"old\":\"" SECOND "\",\"password\":\"x y z 1 2 3\"}"));
    json_decref(rig_want(r, token, 403, "POST", "/v1/session/totp", "{\"password\":\"" SECOND "\"}"));
    json_decref(rig_want(r, token, 403, "POST", "/v1/session/totp/off", "{\"password\":\"" SECOND "\"}"));
    json_decref(rig_want(r, token, 403, "GET", "/v1/sessions", NULL));
    json_decref(rig_want(r, token, 403, "DELETE", path, NULL));
    v = page_want(r, cookie, 200, "GET", "/v1/tokens", NULL);
    assert_string_equal(rig_at(v, "/items/0/token"), "");
    assert_string_equal(rig_at(v, "/items/0/name"), "look");
    json_decref(v);
    json_decref(page_want(r, cookie, 204, "DELETE", path, NULL));
    json_decref(rig_want(r, token, 401, "GET", "/v1/ca", NULL));
    json_decref(
        page_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"look\",\"scopes\":\"*\"}")); /* free again */
}

/* ---- the audit log, settings, certificates, enrolments ---- */

static void test_audit__filters_and_verify(void **state)
{
    char hash[65], path[160];
    json_t *v;

    RIG_OF(state, r);
    json_decref(rig_want(r, r->admin, 201, "POST", "/v1/enrolments", "{\"kind\":\"agent\",\"note\":\"for web1\"}"));
    json_decref(rig_want(r, r->operator_, 201, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}"));
    v = rig_want(r, r->admin, 200, "GET", "/v1/audit?actor=rig-operator&action=enrolment.", NULL);
    assert_string_equal(rig_at(v, "/items/0/action"), "enrolment.add");
    assert_string_equal(rig_at(v, "/items/1/seq"), "");
    json_decref(v);
    v = rig_want(r, r->admin, 200, "GET", "/v1/audit?until=2020-01-01T00:00:00Z", NULL);
    assert_int_equal(json_array_size(json_object_get(v, "items")), 0);
    json_decref(v);
    v = rig_want(r, r->admin, 200, "GET", "/v1/audit/verify", NULL);
    assert_string_equal(rig_at(v, "/ok"), "true");
    assert_int_equal(rig_int(v, "/rows"), 2);
    snprintf(hash, sizeof(hash), "%s", rig_at(v, "/hash"));
    json_decref(v);
    snprintf(path, sizeof(path), "/v1/audit/verify?seq=2&hash=%s", hash);
    v = rig_want(r, r->admin, 200, "GET", path, NULL);
    assert_string_equal(rig_at(v, "/ok"), "true");
    json_decref(v);
    hash[0] = hash[0] == '0' ? '1' : '0';
    snprintf(path, sizeof(path), "/v1/audit/verify?seq=2&hash=%s", hash);
    v = rig_want(r, r->admin, 200, "GET", path, NULL);
    assert_string_equal(rig_at(v, "/ok"), "false");
    json_decref(v);
    json_decref(rig_want(r, r->admin, 422, "GET", "/v1/audit/verify?hash=zz", NULL));
}

static void test_settings__are_kept_and_the_certificate_follows(void **state)
{
    struct bdr_cert_info before, after;
    char path[128];
    json_t *v;

    RIG_OF(state, r);
    snprintf(path, sizeof(path), "%s/server.crt", r->bed->dir);
    check_ok(bdr_cert_parse_file(path, &before));
    v = rig_want(r, r->admin, 200, "PATCH", "/v1/settings",
                 "{\"public_url\":\"https://dr.example:8443/\",\"names\":[\"dr.example\"],\"mail_host\":\"mx.example\","
                 "\"mail_port\":587,\"mail_password\":\"hush hush\"}");
    assert_string_equal(rig_at(v, "/mail_password"), "");
    assert_string_equal(rig_at(v, "/mail_password_set"), "true");
    assert_string_equal(rig_at(v, "/names/0"), "dr.example");
    assert_int_equal(rig_int(v, "/mail_port"), 587);
    json_decref(v);
    check_ok(bdr_cert_parse_file(path, &after));
    assert_string_not_equal(before.serial, after.serial);
    v = rig_want(r, r->admin, 200, "GET", "/v1/audit?object=settings", NULL);
    {
        BDR_AUTO(mem) char *text = json_dumps(v, 0);

        assert_null(strstr(text, "hush"));
    }
    json_decref(v);
    v = rig_want(r, r->admin, 201, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}");
    assert_non_null(strstr(rig_at(v, "/manual"), "--console 'https://dr.example:8443'"));
    json_decref(v);
    v = rig_want(r, r->admin, 200, "PATCH", "/v1/settings", "{\"mail_password\":\"\",\"public_url\":\"\"}");
    assert_string_equal(rig_at(v, "/mail_password_set"), "false");
    assert_string_equal(rig_at(v, "/mail_host"), "mx.example"); /* what is not named stays */
    json_decref(v);
    json_decref(rig_want(r, r->admin, 422, "PATCH", "/v1/settings", "{\"public_url\":\"https://x'; rm -rf /\"}"));
    json_decref(rig_want(r, r->admin, 422, "PATCH", "/v1/settings", "{\"public_url\":\"http://x\"}"));
    json_decref(rig_want(r, r->admin, 422, "PATCH", "/v1/settings", "{\"names\":[\"not a name\"]}"));
}

static void test_certificates__list_and_revoke(void **state)
{
    FLEET m = {0};
    char path[80];
    json_t *v;

    RIG_OF(state, r);
    fleet_join(r, "agent", "web1", NULL, NULL, &m);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/certificates?kind=agent", NULL);
    assert_string_equal(rig_at(v, "/items/0/state"), "good");
    assert_string_equal(rig_at(v, "/items/0/uuid"), m.uuid);
    json_decref(v);
    snprintf(path, sizeof(path), "/v1/certificates/%lld/revoke", (long long)m.id);
    json_decref(rig_want(r, r->operator_, 403, "POST", path, NULL));
    json_decref(fleet_want(r, &m, 200, "POST", "/v1/machine/beat", "{}"));
    json_decref(rig_want(r, r->admin, 204, "POST", path, NULL));
    check_fails(fleet_json(r, &m, "POST", "/v1/machine/beat", &bdr_beat_in_shape, &(struct bdr_beat_in){0}, NULL, NULL),
                BDR_AUTH, "");
    json_decref(rig_want(r, r->admin, 409, "POST", path, NULL));
    json_decref(rig_want(r, r->admin, 404, "POST", "/v1/certificates/4242/revoke", NULL));
    snprintf(path, sizeof(path), "/v1/certificates/%lld", (long long)m.id);
    v = rig_want(r, r->viewer, 200, "GET", path, NULL);
    assert_string_equal(rig_at(v, "/items/0/state"), "revoked");
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/ca", NULL);
    assert_string_equal(rig_at(v, "/pem"), bdr_ca_pem(r->console->ca));
    assert_true(strstr(rig_at(v, "/print"), "SHA256:") == rig_at(v, "/print"));
    json_decref(v);
}

static void test_enrolments__are_shown_once_and_taken_back(void **state)
{
    char token[64], path[80], body[300];
    json_t *v;

    RIG_OF(state, r);
    json_decref(rig_want(r, r->operator_, 403, "POST", "/v1/enrolments", "{\"kind\":\"gateway\"}"));
    json_decref(rig_want(r, r->operator_, 403, "POST", "/v1/enrolments", "{\"kind\":\"proxy\"}"));
    json_decref(rig_want(r, r->viewer, 403, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}"));
    json_decref(rig_want(r, r->admin, 422, "POST", "/v1/enrolments", "{\"kind\":\"agent\",\"valid_s\":1}"));
    v = rig_want(r, r->operator_, 201, "POST", "/v1/enrolments", "{\"kind\":\"agent\",\"note\":\"rack 7\"}");
    snprintf(token, sizeof(token), "%s", rig_at(v, "/token"));
    snprintf(path, sizeof(path), "/v1/enrolments/%s", rig_at(v, "/id"));
    assert_non_null(strstr(rig_at(v, "/manual"), token));
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/enrolments", NULL);
    assert_string_equal(rig_at(v, "/items/0/note"), "rack 7");
    assert_string_equal(rig_at(v, "/items/0/token"), "");
    assert_string_equal(rig_at(v, "/items/0/account"), "rig-operator");
    json_decref(v);
    v = rig_want(r, r->admin, 201, "POST", "/v1/enrolments", "{\"kind\":\"gateway\"}");
    assert_non_null(strstr(rig_at(v, "/manual"), " bdr-gateway enrol --console 'https://"));
    assert_non_null(strstr(rig_at(v, "/manual"), "--ca 'SHA256:"));
    assert_true(!strncmp(rig_at(v, "/manual"), "BDR_TOKEN='", 11));
    json_decref(v);
    json_decref(rig_want(r, r->viewer, 403, "DELETE", path, NULL));
    json_decref(rig_want(r, r->operator_, 204, "DELETE", path, NULL));
    json_decref(rig_want(r, r->operator_, 404, "DELETE", path, NULL));
    snprintf(body, sizeof(body), "{\"token\":\"%s\",\"kind\":\"agent\",\"name\":\"x\",\"csr\":\"x\"}", token);
    json_decref(rig_want(r, NULL, 403, "POST", "/v1/enrol", body));
}

/* ---- who may not ---- */

static void test_people_routes__rights__row_by_row(void **state)
{
    static const struct {
        const char *method, *path, *body;
        unsigned viewer, operator_; /* what they get; an admin is never refused */
    } rows[] = {
        {"GET", "/v1/users", NULL, 403, 403},
        {"POST", "/v1/users", "{\"name\":\"zed\",\"role\":\"viewer\",\"password\":\"" FIRST "\"}", 403, 403},
        {"GET", "/v1/users/1", NULL, 403, 403},
        {"PATCH", "/v1/users/1", "{\"title\":\"x\"}", 403, 403},
        {"GET", "/v1/users/1/sessions", NULL, 403, 403},
        {"GET", "/v1/users/1/tokens", NULL, 403, 403},
        {"GET", "/v1/audit", NULL, 403, 403},
        {"GET", "/v1/audit/verify", NULL, 403, 403},
        {"GET", "/v1/settings", NULL, 403, 403},
        {"PATCH", "/v1/settings", "{}", 403, 403},
        {"GET", "/v1/ca", NULL, 200, 200},
        {"GET", "/v1/certificates", NULL, 200, 200},
        {"GET", "/v1/enrolments", NULL, 200, 200},
        {"GET", "/v1/tokens", NULL, 200, 200},
    };
    FLEET m = {0};

    RIG_OF(state, r);
    fleet_join(r, "agent", "web1", NULL, NULL, &m);
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        unsigned status = 0;

        json_decref(rig_want(r, NULL, 401, rows[i].method, rows[i].path, rows[i].body));
        json_decref(fleet_want(r, &m, 401, rows[i].method, rows[i].path, rows[i].body)); /* a machine is nobody here */
        json_decref(rig_want(r, r->viewer, rows[i].viewer, rows[i].method, rows[i].path, rows[i].body));
        json_decref(rig_want(r, r->operator_, rows[i].operator_, rows[i].method, rows[i].path, rows[i].body));
        json_decref(rig_call(r, r->admin, rows[i].method, rows[i].path, rows[i].body, &status));
        assert_true(status < 300);
    }
}

static void test_cookie__from_another_site__changes_nothing(void **state)
{
    char cookie[BDR_TOKEN_CHARS];
    unsigned status = 0;

    RIG_OF(state, r);
    user_make(r, "ida", "admin", cookie);
    json_decref(page_call(r, cookie, false, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}", &status));
    assert_int_equal(status, 403);
    json_decref(page_call(r, cookie, false, "DELETE", "/v1/users/1", NULL, &status));
    assert_int_equal(status, 403);
    json_decref(
        page_call(r, cookie, false, "GET", "/v1/users", NULL, &status)); /* looking is harmless: it can't read it */
    assert_int_equal(status, 200);
    cookie[10] = cookie[10] == 'a' ? 'b' : 'a';
    json_decref(page_call(r, cookie, true, "GET", "/v1/users", NULL, &status));
    assert_int_equal(status, 401);
}

/* ---- streams ---- */

struct stream {
    struct rig *r;
    char value[128];
    const char *header;
    unsigned status; /* when it ended; 0: it broke */
};
static struct bdr_err *stream_main(void *ctx, unsigned index)
{
    struct stream *s = ctx;
    const struct bdr_pair header = {s->header, s->value};
    struct bdr_http_reply reply = {0};
    struct bdr_err *err = bdr_http_call(
        s->r->anyone,
        &(struct bdr_http_call){.method = "GET", .path = "/v1/stream", .headers = &header, .n_headers = 1}, &reply);

    (void)index;
    s->status = err ? 0 : reply.status;
    bdr_http_reply_free(&reply);
    return err;
}

struct stream_end {
    const char *what;
    bool token;
    void (*run)(struct rig *r, int64_t user, const char *cookie, int64_t token);
};
static void end_logout(struct rig *r, int64_t user, const char *cookie, int64_t token)
{
    (void)user, (void)token;
    json_decref(page_want(r, cookie, 204, "DELETE", "/v1/session", NULL));
}
static void end_change(struct rig *r, int64_t user, const char *body)
{
    char path[64];

    snprintf(path, sizeof(path), "/v1/users/%lld", (long long)user);
    json_decref(rig_want(r, r->admin, body ? 200 : 204, body ? "PATCH" : "DELETE", path, body));
}
static void end_disabled(struct rig *r, int64_t user, const char *cookie, int64_t token)
{
    (void)cookie, (void)token;
    end_change(r, user, "{\"disabled\":true}");
}
static void end_role(struct rig *r, int64_t user, const char *cookie, int64_t token)
{
    (void)cookie, (void)token;
    end_change(r, user, "{\"role\":\"viewer\"}");
}
static void end_removed(struct rig *r, int64_t user, const char *cookie, int64_t token)
{
    (void)cookie, (void)token;
    end_change(r, user, NULL);
}
static void end_token(struct rig *r, int64_t user, const char *cookie, int64_t token)
{
    char path[64];

    (void)user;
    snprintf(path, sizeof(path), "/v1/tokens/%lld", (long long)token);
    json_decref(page_want(r, cookie, 204, "DELETE", path, NULL));
}
/* What another console did is seen by the tick. */
static void end_elsewhere(struct rig *r, int64_t user, const char *cookie, int64_t token)
{
    (void)user, (void)cookie, (void)token;
    check_ok(bed_sql(r->bed, "DELETE FROM session"));
    check_ok(bdr_tick_all(r->console, bdr_clock_wall_ms()));
}
static void end_by_itself(struct rig *r, int64_t user, const char *cookie, int64_t token)
{
    (void)user, (void)cookie, (void)token;
    check_ok(bdr_tick_all(r->console, bdr_clock_wall_ms() + 40 * INT64_C(86400000)));
}

static void test_stream__ends_with_the_right_to_it(void **state)
{
    static const struct stream_end rows[] = {{"logout", false, end_logout},
                                             {"disabled", false, end_disabled},
                                             {"disabled, by token", true, end_disabled},
                                             {"role", false, end_role},
                                             {"role, by token", true, end_role},
                                             {"removed", true, end_removed},
                                             {"token revoked", true, end_token},
                                             {"by another console", false, end_elsewhere},
                                             {"the session's end", false, end_by_itself}};

    RIG_OF(state, r);
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        struct stream s = {.r = r, .header = rows[i].token ? "Authorization" : "Cookie"};
        struct bdr_pool *pool = NULL;
        char cookie[BDR_TOKEN_CHARS], name[16];
        int64_t user, token;
        json_t *v;

        snprintf(name, sizeof(name), "eve%zu", i);
        user = user_make(r, name, "operator", cookie);
        v = page_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"t\",\"scopes\":\"*\"}");
        token = rig_int(v, "/id");
        snprintf(s.value, sizeof(s.value), rows[i].token ? "Bearer %s" : "bdr_session=%s",
                 rows[i].token ? rig_at(v, "/token") : cookie);
        json_decref(v);
        check_ok(bdr_pool_start("stream", 1, stream_main, &s, NULL, &pool));
        for (int k = 0; k < 4000 && !bdr_hub_counts(r->console->hub).people; k++)
            check_ok(bdr_cancel_sleep(NULL, 5));
        assert_int_equal(bdr_hub_counts(r->console->hub).people, 1);
        check_ok(bdr_tick_all(r->console, bdr_clock_wall_ms())); /* nothing happened: it stays */
        assert_int_equal(bdr_hub_counts(r->console->hub).people, 1);
        rows[i].run(r, user, cookie, token);
        if (bdr_hub_counts(r->console->hub).people)
            fail_msg("%s: the stream goes on", rows[i].what);
        check_ok(bdr_pool_join(pool));
        assert_int_equal(s.status, 200);
    }
}

/* ---- a database that somebody has locked ---- */

#define KNOCKERS 8 /* as many as the server has threads for handlers */

struct knock {
    struct rig *r;
    _Atomic unsigned ended;
};
static struct bdr_err *knock_main(void *ctx, unsigned index)
{
    struct knock *k = ctx;
    unsigned status = 0;

    (void)index;
    json_decref(rig_call(k->r, k->r->operator_, "POST", "/v1/alarms/1/ack", NULL, &status));
    atomic_fetch_add(&k->ended, 1);
    return NULL;
}

static void test_database__locked__reads_go_on(void **state)
{
    struct bdr_http_stats stats = {0};
    struct bdr_pool *pool = NULL;
    struct knock k = {0};
    struct bdr_tx *tx;
    struct bdr_db *other;

    RIG_OF(state, r);
    if (r->bed->engine != BDR_DB_SQLITE)
        skip();
    k.r = r;
    json_decref(rig_want(r, r->operator_, 404, "POST", "/v1/alarms/1/ack", NULL));
    other = bed_open(r->bed);
    check_ok(bdr_tx_begin(other, BDR_TX_WRITE, &tx));
    check_ok(bdr_pool_start("knock", KNOCKERS, knock_main, &k, NULL, &pool));
    while (stats.requests_running + atomic_load(&k.ended) < KNOCKERS) {
        bdr_http_stats(r->console->server, &stats);
        check_ok(bdr_cancel_sleep(NULL, 5));
    }
    for (int i = 0; i < 20; i++) /* by tokens whose use has yet to be noted, too */
        json_decref(rig_want(r, i % 2 ? r->viewer : r->admin, 200, "GET", "/v1/alarms", NULL));
    assert_true(atomic_load(&k.ended) < KNOCKERS); /* they wait still */
    bdr_tx_abandon(tx);
    bdr_db_close(other);
    check_ok(bdr_pool_join(pool));
    json_decref(rig_want(r, r->operator_, 404, "POST", "/v1/alarms/1/ack", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_user__first_password__is_good_for_nothing_but_another),
        RIG(test_user__changes__are_checked_audited_and_end_sessions),
        RIG(test_user__the_last_administrator__stays),
        RIG(test_user__two_administrators_at_once__one_is_left),
        RIG(test_user__disabled__is_out_at_once),
        RIG(test_user__reset_and_unlock__by_an_administrator),
        RIG(test_own__the_first_password_file__goes_with_the_password),
        RIG(test_own__a_program_that_chooses_the_first_password__is_audited_and_ends_the_file),
        RIG(test_own__passwords_are_not_guessed__with_a_stolen_session),
        RIG(test_own__second_step__on_and_off),
        RIG(test_own__sessions__are_listed_and_ended),
        RIG(test_token__its_scopes__bound_it),
        RIG(test_audit__filters_and_verify),
        RIG(test_settings__are_kept_and_the_certificate_follows),
        RIG(test_certificates__list_and_revoke),
        RIG(test_enrolments__are_shown_once_and_taken_back),
        RIG(test_people_routes__rights__row_by_row),
        RIG(test_cookie__from_another_site__changes_nothing),
        RIG(test_stream__ends_with_the_right_to_it),
        RIG(test_database__locked__reads_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
