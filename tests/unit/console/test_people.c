/* SPDX-License-Identifier: Apache-2.0 */
/* test_people.c - users, what they change about themselves, and their tokens. */
#include "auth/totp.h"
#include "bdr/pool.h"
#include "person.h"
#include <sys/stat.h>

/* ---- users ---- */

static void test_user__first_password__is_good_for_nothing_but_another(void **state)
{
    char cookie[BDR_TOKEN_CHARS];
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, r->admin, 201, "POST", "/v1/users",
                 "{\"name\":\"ann\",\"role\":\"operator\",\"password\":\"" PERSON_FIRST
                 "\",\"mail\":\"ann@example.org\"}");
    assert_string_equal(rig_at(v, "/must_change"), "true");
    assert_string_equal(rig_at(v, "/password"), "");
    json_decref(v);
    snprintf(cookie, sizeof(cookie), "%s", person_login(r, "ann", PERSON_FIRST).cookie);
    json_decref(person_want(r, cookie, 403, "GET", "/v1/ca", NULL));
    json_decref(person_want(r, cookie, 403, "POST", "/v1/tokens", "{\"name\":\"x\",\"scopes\":\"*\"}"));
    json_decref(person_want(r, cookie, 403, "POST", "/v1/session/totp", "{\"password\":\"" PERSON_FIRST "\"}"));
    json_decref(person_want(r, cookie, 403, "PUT", "/v1/session/password",
                            "{\"old\":\"wrong wrong\",\"password\":\"" PERSON_SECOND "\"}"));
    json_decref(person_want(r, cookie, 422, "PUT", "/v1/session/password",
                            "{\"old\":\"" PERSON_FIRST "\",\"password\":\"" PERSON_FIRST "\"}"));
    json_decref(person_want(r, cookie, 422, "PUT", "/v1/session/password",
                            "{\"old\":\"" PERSON_FIRST "\",\"password\":\"short\"}"));
    json_decref(person_want(r, cookie, 204, "PUT", "/v1/session/password",
                            "{\"old\":\"" PERSON_FIRST "\",\"password\":\"" PERSON_SECOND "\"}"));
    json_decref(person_want(r, cookie, 200, "GET", "/v1/ca", NULL));
    assert_int_equal(person_login(r, "ann", PERSON_FIRST).what, BDR_LOGIN_WRONG);
}

static void test_user__changes__are_checked_audited_and_end_sessions(void **state)
{
    char cookie[BDR_TOKEN_CHARS], path[80];
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = person_make(r, "bob", "viewer", cookie);
    snprintf(path, sizeof(path), "/v1/users/%lld", (long long)id);
    json_decref(rig_want(r, r->admin, 409, "POST", "/v1/users",
                         "{\"name\":\"bob\",\"role\":\"admin\",\"password\":\"" PERSON_FIRST "\"}"));
    json_decref(rig_want(r, r->admin, 422, "POST", "/v1/users",
                         "{\"name\":\"B o b\",\"role\":\"admin\",\"password\":\"" PERSON_FIRST "\"}"));
    json_decref(rig_want(r, r->admin, 422, "POST", "/v1/users",
                         "{\"name\":\"bobby\",\"role\":\"root\",\"password\":\"" PERSON_FIRST "\"}"));
    json_decref(rig_want(r, r->admin, 422, "POST", "/v1/users",
                         "{\"name\":\"bobby\",\"role\":\"admin\",\"password\":\"short\"}"));
    v = rig_want(r, r->admin, 200, "PATCH", path, "{\"role\":\"operator\",\"title\":\"Bob B.\"}");
    assert_string_equal(rig_at(v, "/role"), "operator");
    json_decref(v);
    json_decref(person_want(r, cookie, 401, "GET", "/v1/session", NULL)); /* another role: log in again */
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
    snprintf(d.path[0], sizeof(d.path[0]), "/v1/users/%lld", (long long)person_make(r, "kim", "admin", cookie));
    v = person_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"t\",\"scopes\":\"*\"}");
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
    id = person_make(r, "carl", "admin", cookie);
    v = person_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"ci\",\"scopes\":\"*\"}");
    snprintf(token, sizeof(token), "%s", rig_at(v, "/token"));
    json_decref(v);
    json_decref(rig_want(r, token, 200, "GET", "/v1/users", NULL));
    snprintf(path, sizeof(path), "/v1/users/%lld", (long long)id);
    json_decref(rig_want(r, r->admin, 200, "PATCH", path, "{\"disabled\":true}"));
    json_decref(person_want(r, cookie, 401, "GET", "/v1/session", NULL));
    json_decref(rig_want(r, token, 401, "GET", "/v1/users", NULL));
    assert_int_equal(person_login(r, "carl", PERSON_SECOND).what, BDR_LOGIN_WRONG);
}

static void test_user__reset_and_unlock__by_an_administrator(void **state)
{
    char cookie[BDR_TOKEN_CHARS], path[80];
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = person_make(r, "dora", "viewer", cookie);
    for (int i = 0; i < 5; i++)
        assert_int_equal(person_login(r, "dora", "wrong wrong wrong").what, BDR_LOGIN_WRONG);
    snprintf(path, sizeof(path), "/v1/users/%lld", (long long)id);
    v = rig_want(r, r->admin, 200, "GET", path, NULL);
    assert_string_equal(rig_at(v, "/locked"), "true");
    json_decref(v);
    assert_int_equal(person_login(r, "dora", PERSON_SECOND).what, BDR_LOGIN_WRONG);
    snprintf(path, sizeof(path), "/v1/users/%lld/unlock", (long long)id);
    json_decref(rig_want(r, r->operator_, 403, "POST", path, NULL));
    v = rig_want(r, r->admin, 200, "POST", path, NULL);
    assert_string_equal(rig_at(v, "/locked"), "false");
    json_decref(v);
    assert_int_equal(person_login(r, "dora", PERSON_SECOND).what, BDR_LOGIN_IN);
    snprintf(path, sizeof(path), "/v1/users/%lld/password", (long long)id);
    json_decref(rig_want(r, r->admin, 200, "POST", path, "{\"password\":\"" PERSON_FIRST "\"}"));
    json_decref(person_want(r, cookie, 401, "GET", "/v1/session", NULL));
    assert_true(person_login(r, "dora", PERSON_FIRST).must_change);
}

/* ---- oneself ---- */

static void test_own__the_first_password_file__goes_with_the_password(void **state)
{
    char path[128], body[128], cookie[BDR_TOKEN_CHARS];
    BDR_AUTO(mem) char *password = NULL;
    struct stat st;

    RIG_OF(state, r);
    password = rig_first_password(r, path);
    snprintf(cookie, sizeof(cookie), "%s", person_login(r, "admin", password).cookie);
    snprintf(body, sizeof(body), "{\"old\":\"%s\",\"password\":\"" PERSON_SECOND "\"}", password);
    json_decref(person_want(r, cookie, 204, "PUT", "/v1/session/password", body));
    assert_int_not_equal(stat(path, &st), 0);
    json_decref(person_want(r, cookie, 200, "GET", "/v1/users", NULL)); /* this session goes on */
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
    snprintf(body, sizeof(body), "{\"name\":\"admin\",\"password\":\"%s\",\"new_password\":\"" PERSON_SECOND "\"}",
             password);
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
    person_make(r, "eve", "viewer", cookie);
    for (int i = 0; i < 10 && status != 429; i++)
        json_decref(person_call(r, cookie, true, "PUT", "/v1/session/password",
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
    id = person_make(r, "fay", "viewer", cookie);
    json_decref(person_want(r, cookie, 409, "PUT", "/v1/session/totp", "{\"code\":\"123456\"}"));
    json_decref(person_want(r, cookie, 403, "POST", "/v1/session/totp", "{\"password\":\"wrong wrong\"}"));
    v = person_want(r, cookie, 200, "POST", "/v1/session/totp", "{\"password\":\"" PERSON_SECOND "\"}");
    assert_true(strstr(rig_at(v, "/uri"), "otpauth://totp/OpenBDR:fay?secret=") == rig_at(v, "/uri"));
    snprintf(secret, sizeof(secret), "%.32s", strstr(rig_at(v, "/uri"), "secret=") + 7);
    json_decref(v);
    json_decref(person_want(r, cookie, 422, "PUT", "/v1/session/totp", "{\"code\":\"000000\"}"));
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
    v = person_want(r, cookie, 200, "GET", "/v1/session", NULL);
    assert_string_equal(rig_at(v, "/totp"), "false");
    json_decref(v);
    v = person_want(r, cookie, 200, "PUT", "/v1/session/totp", body);
    assert_int_equal(json_array_size(json_object_get(v, "codes")), BDR_RECOVERY_CODES);
    json_decref(v);
    in = person_login(r, "fay", PERSON_SECOND);
    assert_int_equal(in.what, BDR_LOGIN_TOTP);
    json_decref(person_want(r, in.cookie, 401, "GET", "/v1/session", NULL)); /* half a login is none */
    json_decref(person_want(r, cookie, 409, "POST", "/v1/session/totp", "{\"password\":\"" PERSON_SECOND "\"}"));
    json_decref(rig_want(r, r->admin, 200, "GET", "/v1/users", NULL));
    snprintf(body, sizeof(body), "/v1/users/%lld/totp", (long long)id);
    json_decref(rig_want(r, r->operator_, 403, "DELETE", body, NULL));
    json_decref(rig_want(r, r->admin, 204, "DELETE", body, NULL)); /* the phone is lost */
    assert_int_equal(person_login(r, "fay", PERSON_SECOND).what, BDR_LOGIN_IN);
}

static void test_own__sessions__are_listed_and_ended(void **state)
{
    char cookie[BDR_TOKEN_CHARS], other[BDR_TOKEN_CHARS], path[120];
    const json_t *items;
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = person_make(r, "gil", "viewer", cookie);
    snprintf(other, sizeof(other), "%s", person_login(r, "gil", PERSON_SECOND).cookie);
    v = person_want(r, cookie, 200, "GET", "/v1/sessions", NULL);
    items = json_object_get(v, "items");
    assert_int_equal(json_array_size(items), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_array_get(items, i);

        assert_null(strstr(cookie, json_string_value(json_object_get(one, "id"))));
        if (!json_is_true(json_object_get(one, "current")))
            snprintf(path, sizeof(path), "/v1/sessions/%s", json_string_value(json_object_get(one, "id")));
    }
    json_decref(v);
    json_decref(person_want(r, cookie, 204, "DELETE", path, NULL));
    json_decref(person_want(r, other, 401, "GET", "/v1/session", NULL));
    json_decref(person_want(r, cookie, 200, "GET", "/v1/session", NULL));
    json_decref(person_want(r, cookie, 404, "DELETE", path, NULL));
    json_decref(person_want(r, cookie, 404, "DELETE", "/v1/sessions/0", NULL)); /* no prefix will do */
    snprintf(path, sizeof(path), "/v1/users/%lld/sessions", (long long)id);
    json_decref(person_want(r, cookie, 403, "GET", path, NULL));
    json_decref(rig_want(r, r->admin, 200, "GET", path, NULL));
}

/* ---- tokens ---- */

static void test_token__its_scopes__bound_it(void **state)
{
    char cookie[BDR_TOKEN_CHARS], token[64], path[80];
    json_t *v;

    RIG_OF(state, r);
    person_make(r, "hal", "admin", cookie);
    json_decref(person_want(r, cookie, 422, "POST", "/v1/tokens", "{\"name\":\"bad\",\"scopes\":\"user:rea d x\"}"));
    json_decref(person_want(r, cookie, 422, "POST", "/v1/tokens",
                            "{\"name\":\"old\",\"scopes\":\"*\",\"expires\":\"2020-01-01T00:00:00Z\"}"));
    v = person_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"look\",\"scopes\":\"certificate:read\"}");
    snprintf(token, sizeof(token), "%s", rig_at(v, "/token"));
    snprintf(path, sizeof(path), "/v1/tokens/%s", rig_at(v, "/id"));
    json_decref(v);
    json_decref(person_want(r, cookie, 409, "POST", "/v1/tokens", "{\"name\":\"look\",\"scopes\":\"*\"}"));
    json_decref(rig_want(r, token, 200, "GET", "/v1/ca", NULL));
    json_decref(rig_want(r, token, 403, "GET", "/v1/users", NULL));
    json_decref(rig_want(r, token, 403, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}"));
    json_decref(rig_want(r, token, 403, "GET", "/v1/tokens", NULL));
    /* what would make it more than it is */
    json_decref(rig_want(r, token, 403, "POST", "/v1/tokens", "{\"name\":\"more\",\"scopes\":\"*\"}"));
    json_decref(rig_want(r, token, 403, "PUT", "/v1/session/password",
                         "{\"old\":\"" PERSON_SECOND "\",\"password\":\"x y z 1 2 3\"}"));
    json_decref(rig_want(r, token, 403, "POST", "/v1/session/totp", "{\"password\":\"" PERSON_SECOND "\"}"));
    json_decref(rig_want(r, token, 403, "POST", "/v1/session/totp/off", "{\"password\":\"" PERSON_SECOND "\"}"));
    json_decref(rig_want(r, token, 403, "GET", "/v1/sessions", NULL));
    json_decref(rig_want(r, token, 403, "DELETE", path, NULL));
    v = person_want(r, cookie, 200, "GET", "/v1/tokens", NULL);
    assert_string_equal(rig_at(v, "/items/0/token"), "");
    assert_string_equal(rig_at(v, "/items/0/name"), "look");
    json_decref(v);
    json_decref(person_want(r, cookie, 204, "DELETE", path, NULL));
    json_decref(rig_want(r, token, 401, "GET", "/v1/ca", NULL));
    json_decref(
        person_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"look\",\"scopes\":\"*\"}")); /* free again */
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
