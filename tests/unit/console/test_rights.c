/* SPDX-License-Identifier: Apache-2.0 */
/* test_rights.c - the audit log, settings, certificates, enrolments; who may not, and what ends with a right. */
#include "bdr/pool.h"
#include "person.h"

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
        {"POST", "/v1/users", "{\"name\":\"zed\",\"role\":\"viewer\",\"password\":\"" PERSON_FIRST "\"}", 403, 403},
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
    person_make(r, "ida", "admin", cookie);
    json_decref(person_call(r, cookie, false, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}", &status));
    assert_int_equal(status, 403);
    json_decref(person_call(r, cookie, false, "DELETE", "/v1/users/1", NULL, &status));
    assert_int_equal(status, 403);
    json_decref(
        person_call(r, cookie, false, "GET", "/v1/users", NULL, &status)); /* looking is harmless: it can't read it */
    assert_int_equal(status, 200);
    cookie[10] = cookie[10] == 'a' ? 'b' : 'a';
    json_decref(person_call(r, cookie, true, "GET", "/v1/users", NULL, &status));
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
    json_decref(person_want(r, cookie, 204, "DELETE", "/v1/session", NULL));
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
    json_decref(person_want(r, cookie, 204, "DELETE", path, NULL));
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
        user = person_make(r, name, "operator", cookie);
        v = person_want(r, cookie, 201, "POST", "/v1/tokens", "{\"name\":\"t\",\"scopes\":\"*\"}");
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
        RIG(test_audit__filters_and_verify),         RIG(test_settings__are_kept_and_the_certificate_follows),
        RIG(test_certificates__list_and_revoke),     RIG(test_enrolments__are_shown_once_and_taken_back),
        RIG(test_people_routes__rights__row_by_row), RIG(test_cookie__from_another_site__changes_nothing),
        RIG(test_stream__ends_with_the_right_to_it), RIG(test_database__locked__reads_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
