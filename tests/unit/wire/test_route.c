/* SPDX-License-Identifier: Apache-2.0 */
/* The table itself: rows that must not start, and what the client sees of errors, over a plain connection. */
#include "demo.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct bdr_err *nothing(struct bdr_req *req, const void *in, void *out)
{
    (void)req;
    (void)in;
    (void)out;
    return NULL;
}
static struct bdr_err *all_may(void *ctx, struct bdr_req *req, const struct bdr_route *route, const char *perm)
{
    (void)ctx;
    (void)req;
    (void)route;
    (void)perm;
    return NULL;
}

#define ROW(...)                                                                                                       \
    {                                                                                                                  \
        .help = "x", .help_zh = "x", .run = nothing, __VA_ARGS__                                                       \
    }

static struct bdr_err *router_of(const struct bdr_route *rows, size_t n)
{
    const struct bdr_route_table table = {.tag = "t", .rows = rows, .n = n};
    const struct bdr_router_config config = {
        .title = "t", .version = "1", .tables = &table, .n_tables = 1, .authorise = all_may};
    struct bdr_router *r = NULL;
    struct bdr_err *err = bdr_router_new(&config, &r);

    bdr_router_free(r);
    return err;
}

static void test_rows__wrong__do_not_start(void **state)
{
    static const struct bdr_route bad[] = {
        ROW(.method = BDR_GET, .path = "/a"), /* the one that matters: no permission */
        ROW(.method = BDR_GET, .path = "/a", .perm = "p", .flags = BDR_R_ANONYMOUS),
        ROW(.method = BDR_GET, .path = "/a", .flags = BDR_R_ANONYMOUS | BDR_R_MACHINE),
        ROW(.path = "/a", .perm = "p"),
        ROW(.method = BDR_GET, .path = "a", .perm = "p"),
        ROW(.method = BDR_GET, .path = "/a//b", .perm = "p"),
        ROW(.method = BDR_GET, .path = "/a/{b", .perm = "p"),
        ROW(.method = BDR_GET, .path = "/a/{b:what}", .perm = "p"),
        ROW(.method = BDR_GET, .path = "/a/{b:path}/c", .perm = "p"),
        ROW(.method = BDR_GET, .path = "/a", .perm = "p", .in = &demo_disk_shape),
        ROW(.method = BDR_POST, .path = "/a", .perm = "p", .in = &demo_disk_shape, .flags = BDR_R_STREAM_IN,
            .in_type = "x/y"),
        ROW(.method = BDR_GET, .path = "/a", .perm = "p", .flags = BDR_R_LIST),
        ROW(.method = BDR_POST, .path = "/a", .perm = "p", .flags = BDR_R_IDEMPOTENT),
        ROW(.method = BDR_GET, .path = "/a", .perm = "p", .query = &demo_host_shape),
        ROW(.method = BDR_GET, .path = "/a", .perm = "p", .roles = "agent"),
        {.method = BDR_GET, .path = "/a", .perm = "p", .run = nothing, .help = "x"},
    };
    static const struct bdr_route twice[] = {ROW(.method = BDR_GET, .path = "/a/{x}", .perm = "p"),
                                             ROW(.method = BDR_GET, .path = "/a/{y}", .perm = "p")};
    static const struct bdr_route good[] = {ROW(.method = BDR_GET, .path = "/a/{x}", .perm = "p"),
                                            ROW(.method = BDR_GET, .path = "/a/new", .perm = "p")};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(bad); i++) {
        struct bdr_err *err = router_of(&bad[i], 1);

        if (!err)
            fail_msg("row %zu was taken", i);
        assert_int_equal(err->code, BDR_INTERNAL);
        bdr_err_free(err);
    }
    struct bdr_err *err = router_of(twice, 2);
    assert_non_null(err);
    bdr_err_free(err);
    assert_null(router_of(good, 2));
}

static struct demo *d;
static struct bdr_http_client *c;

static int setup(void **state)
{
    (void)state;
    d = demo_start(NULL, 0);
    c = demo_client(d, DEMO_PLAIN, NULL);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    bdr_http_client_free(c);
    demo_free(d);
    return 0;
}

static void call_fails(const char *method, const char *path, const char *type, const char *body, unsigned status,
                       enum bdr_code code, const char *words)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {
        .method = method, .path = path, .type = type, .body = body, .body_len = body ? strlen(body) : 0};
    struct bdr_err *err = bdr_http_call(c, &call, &reply);
    char text[2048];

    assert_non_null(err);
    bdr_err_text(err, text, sizeof(text));
    if (reply.status != status || err->code != code || !strstr(text, words))
        fail_msg("%s %s: %u %s %s", method, path, reply.status, bdr_code_name(err->code), text);
    assert_string_equal(reply.type, "application/problem+json");
    bdr_err_free(err);
}

static void test_errors__are_problems_with_their_code(void **state)
{
    static const char json[] = "application/json";

    (void)state;
    call_fails("GET", "/nope", NULL, NULL, 404, BDR_NOTFOUND, "nothing at this path");
    call_fails("GET", "/v1/hosts/", NULL, NULL, 404, BDR_NOTFOUND, "nothing");
    call_fails("GET", "/v1/hosts/..", NULL, NULL, 404, BDR_NOTFOUND, "");
    call_fails("GET", "/v1/hosts/h77", NULL, NULL, 404, BDR_NOTFOUND, "no host 'h77'");
    call_fails("GET", "/v1/slow/12a", NULL, NULL, 404, BDR_NOTFOUND, "");
    call_fails("PUT", "/v1/hosts", NULL, NULL, 405, BDR_UNSUPPORTED, "GET, HEAD, POST");
    call_fails("TRACE", "/v1/hosts/h1", NULL, NULL, 405, BDR_UNSUPPORTED, "GET, HEAD, PATCH, DELETE");
    call_fails("POST", "/v1/hosts", "text/plain", "{}", 415, BDR_UNSUPPORTED, "application/json");
    call_fails("POST", "/v1/hosts", json, "{", 400, BDR_INVAL, "line 1");
    call_fails("POST", "/v1/hosts", json, "", 400, BDR_INVAL, "body of JSON");
    call_fails("POST", "/v1/hosts", json, "{}", 422, BDR_INVAL, "/name is missing");
    call_fails("POST", "/v1/hosts", json, "{\"name\":\"taken\",\"address\":\"a\"}", 409, BDR_EXISTS, "choose another");
    call_fails("GET", "/v1/hosts?limit=0&limt=1&kind=x", NULL, NULL, 422, BDR_INVAL, "did you mean 'limit'");
    call_fails("GET", "/v1/hosts?cursor=zz", NULL, NULL, 422, BDR_INVAL, "?cursor");
    call_fails("GET", "/v1/machine/me", NULL, NULL, 401, BDR_AUTH, "certificate that enrolment gave");
    call_fails("PUT", "/v1/full/a", "application/octet-stream", "some bytes", 507, BDR_NOSPACE, "no space left");
}

static void test_errors__show_nothing_of_the_inside(void **state)
{
    (void)state;
    call_fails("GET", "/v1/crash", NULL, NULL, 500, BDR_IO, "reason in the log");
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {.method = "GET", .path = "/v1/crash"};
    struct bdr_err *err = bdr_http_call(c, &call, &reply);

    assert_null(memmem(reply.body.data, reply.body.len, "secret", 6));
    assert_null(memmem(reply.body.data, reply.body.len, "users", 5));
    bdr_err_free(err);
}

static void test_permission__is_asked_before_the_handler(void **state)
{
    char base[64];
    struct bdr_http_client_config config = {.base = base};

    (void)state;
    snprintf(base, sizeof(base), "http://127.0.0.1:%u", bdr_http_port(d->server, DEMO_PLAIN));
    bdr_http_client_free(c);
    assert_null(bdr_http_client_new(&config, &c));
    call_fails("POST", "/v1/hosts", "application/json", "{\"name\":\"a\",\"address\":\"a\"}", 401, BDR_AUTH, "Sign in");
    bdr_http_client_free(c);
    config.bearer = "viewer";
    assert_null(bdr_http_client_new(&config, &c));
    call_fails("POST", "/v1/hosts", "application/json", "{\"name\":\"a\",\"address\":\"a\"}", 403, BDR_DENIED,
               "may not operate");
    assert_int_equal(atomic_load(&d->runs), 0);
    assert_int_equal(atomic_load(&d->audits), 2);
}

static void test_json__there_and_back__pages(void **state)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct demo_host in = {.name = "web1",
                           .address = "::1",
                           .secret = "pw",
                           .weight = 7,
                           .has_weight = true,
                           .every_ms = 60000},
                     out;
    struct bdr_http_json call = {
        .method = "POST", .path = "/v1/hosts", .in_shape = &demo_host_shape, .out_shape = &demo_host_shape, .in = &in};
    const char *next = NULL;
    void *items = NULL;
    size_t n = 0;

    (void)state;
    assert_null(bdr_arena_new(&arena));
    for (int i = 0; i < 5; i++)
        assert_null(bdr_http_json(c, &call, arena, &out));
    assert_string_equal(out.id, "h5");
    assert_int_equal(out.weight, 7);
    assert_null(out.secret);
    call = (struct bdr_http_json){.method = "GET", .path = "/v1/hosts?limit=3", .out_shape = &demo_host_shape};
    assert_null(bdr_http_json_page(c, &call, arena, &items, &n, &next));
    assert_int_equal(n, 3);
    assert_string_equal(next, "3");
    call.path = "/v1/hosts?limit=3&cursor=3";
    assert_null(bdr_http_json_page(c, &call, arena, &items, &n, &next));
    assert_int_equal(n, 2);
    assert_null(next);
    assert_string_equal(((struct demo_host *)items)[1].id, "h5");
    call = (struct bdr_http_json){.method = "DELETE", .path = "/v1/hosts/h5"};
    assert_null(bdr_http_json(c, &call, arena, NULL));
}

static void test_idempotency__runs_once(void **state)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct demo_host in = {.name = "web1", .address = "a", .every_ms = 60000, .weight = 1}, a, b;
    struct bdr_http_json call = {.method = "POST",
                                 .path = "/v1/hosts",
                                 .in_shape = &demo_host_shape,
                                 .in = &in,
                                 .out_shape = &demo_host_shape,
                                 .idempotency_key = "0123456789"};
    struct bdr_err *err;

    (void)state;
    assert_null(bdr_arena_new(&arena));
    assert_null(bdr_http_json(c, &call, arena, &a));
    assert_null(bdr_http_json(c, &call, arena, &b));
    assert_string_equal(a.id, b.id);
    assert_int_equal(atomic_load(&d->runs), 1);
    in.name = "web2";
    err = bdr_http_json(c, &call, arena, &b);
    assert_int_equal(err->code, BDR_EXISTS);
    bdr_err_free(err);
    call.idempotency_key = "short";
    err = bdr_http_json(c, &call, arena, &b);
    assert_int_equal(err->code, BDR_INVAL);
    bdr_err_free(err);
}

static void test_openapi__describes_every_row(void **state)
{
    BDR_AUTO(mem) char *en = NULL;
    BDR_AUTO(mem) char *zh = NULL;
    json_t *doc = NULL, *host;
    size_t len;

    (void)state;
    assert_null(bdr_openapi(d->router, false, &en, &len));
    assert_null(bdr_openapi(d->router, true, &zh, &len));
    assert_non_null(strstr(zh, "\xe6\xb7\xbb\xe5\x8a\xa0\xe4\xb8\xbb\xe6\x9c\xba"));
    assert_null(bdr_json_read(en, strlen(en), &doc));
    host = json_object_get(json_object_get(json_object_get(json_object_get(doc, "components"), "schemas"), "Host"),
                           "properties");
    assert_true(json_is_true(json_object_get(json_object_get(host, "secret"), "writeOnly")));
    assert_true(json_is_true(json_object_get(json_object_get(host, "id"), "readOnly")));
    assert_non_null(json_object_get(json_object_get(doc, "paths"), "/v1/hosts/{id}"));
    assert_null(strstr(en, "/v1/crash")); /* hidden */
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows__wrong__do_not_start),
        cmocka_unit_test_setup_teardown(test_errors__are_problems_with_their_code, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors__show_nothing_of_the_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_permission__is_asked_before_the_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json__there_and_back__pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idempotency__runs_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_openapi__describes_every_row, setup, teardown),
    };

    return cmocka_run_group_tests_name("wire-route", tests, NULL, NULL);
}
