/* SPDX-License-Identifier: Apache-2.0 */
/* JSON and queries into structs and back; every mistake at once. */
#include "demo.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct bdr_arena *arena;
static struct bdr_faults faults;
static struct demo_host host;

static int setup(void **state)
{
    (void)state;
    return bdr_arena_new(&arena) != NULL;
}
static int teardown(void **state)
{
    (void)state;
    bdr_arena_free(arena);
    return 0;
}

static struct bdr_err *read_as(enum bdr_shape_mode mode, const char *json)
{
    return bdr_shape_read(&demo_host_shape, mode, json, strlen(json), arena, &host, &faults);
}

static void fault_is(const char *pointer, enum bdr_code code)
{
    for (size_t i = 0; i < faults.n; i++)
        if (!strcmp(faults.items[i].pointer, pointer)) {
            assert_int_equal(faults.items[i].code, code);
            return;
        }
    fail_msg("no mistake noted at %s", pointer);
}

static void one_fault(const char *json, const char *pointer, enum bdr_code code)
{
    struct bdr_err *err = read_as(BDR_SHAPE_REQUEST, json);

    assert_non_null(err);
    assert_int_equal(faults.n, 1);
    fault_is(pointer, code);
    bdr_err_free(err);
}

#define BASE "\"name\":\"web1\",\"address\":\"10.0.0.1\""

static void test_read__right__fills_fields_and_defaults(void **state)
{
    (void)state;
    assert_null(read_as(BDR_SHAPE_REQUEST,
                        "{" BASE ",\"secret\":\"pw\",\"limit_bytes\":9007199254740991,\"kind\":\"full\","
                        "\"disks\":[{\"name\":\"a\",\"size\":512},{\"name\":\"b\",\"size\":1024.0}],"
                        "\"tags\":[\"x\",\"y\"],\"note\":\"a\\nb \xe6\xb0\xb4\"}"));
    assert_string_equal(host.name, "web1");
    assert_string_equal(host.secret, "pw");
    assert_string_equal(host.note, "a\nb \xe6\xb0\xb4");
    assert_true(host.has_note);
    assert_int_equal(host.kind, DEMO_FULL);
    assert_true(host.enabled);
    assert_false(host.has_enabled);
    assert_int_equal(host.weight, 5);
    assert_int_equal(host.every_ms, 3600000);
    assert_int_equal(host.limit_bytes, BDR_SHAPE_INT_MAX);
    assert_int_equal(host.disks.n, 2);
    assert_int_equal(host.disks.items[1].size, 1024);
    assert_string_equal(host.tags.items[1], "y");
}

static void test_read__many_mistakes__all_are_told(void **state)
{
    struct bdr_err *err;

    (void)state;
    err =
        read_as(BDR_SHAPE_REQUEST, "{\"nam\":\"x\",\"address\":\"a..b\",\"weight\":11,\"enabled\":\"yes\",\"id\":\"q\","
                                   "\"disks\":[{\"name\":\"a\",\"size\":512},{\"name\":\"a b\",\"size\":5,\"x/y~\":1}],"
                                   "\"tags\":[\"ok\",7],\"kind\":\"ful\",\"callback\":\"ftp://x\",\"note\":null}");
    assert_non_null(err);
    assert_int_equal(err->code, BDR_INVAL);
    fault_is("/nam", BDR_INVAL);
    fault_is("/name", BDR_INVAL);
    fault_is("/address", BDR_INVAL);
    fault_is("/weight", BDR_RANGE);
    fault_is("/enabled", BDR_INVAL);
    fault_is("/id", BDR_INVAL);
    fault_is("/disks/1/name", BDR_INVAL);
    fault_is("/disks/1/size", BDR_RANGE);
    fault_is("/disks/1/x~1y~0", BDR_INVAL);
    fault_is("/tags/1", BDR_INVAL);
    fault_is("/kind", BDR_INVAL);
    fault_is("/callback", BDR_INVAL);
    fault_is("/note", BDR_INVAL);
    assert_int_equal(faults.n, 13);
    assert_non_null(strstr(faults.items[0].text, "did you mean 'name'"));
    bdr_err_free(err);
}

static void test_read__single_mistakes(void **state)
{
    (void)state;
    one_fault("{\"address\":\"a\",\"name\":\"Web\"}", "/name", BDR_INVAL);
    one_fault("{\"address\":\"a\",\"name\":\"\"}", "/name", BDR_RANGE);
    one_fault("{" BASE ",\"limit_bytes\":9007199254740992}", "/limit_bytes", BDR_RANGE);
    one_fault("{" BASE ",\"limit_bytes\":-1}", "/limit_bytes", BDR_RANGE);
    one_fault("{" BASE ",\"limit_bytes\":1.5}", "/limit_bytes", BDR_INVAL);
    one_fault("{" BASE ",\"limit_bytes\":\"5\"}", "/limit_bytes", BDR_INVAL);
    one_fault("{" BASE ",\"every_ms\":999}", "/every_ms", BDR_RANGE);
    one_fault("{" BASE ",\"secret\":\"a\\u0001\"}", "/secret", BDR_INVAL);
    one_fault("{" BASE ",\"disks\":{}}", "/disks", BDR_INVAL);
    one_fault("{" BASE ",\"disks\":[[]]}", "/disks/0", BDR_INVAL);
    one_fault("{" BASE ",\"tags\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"a\",\"b\",\"c\",\"d\",\"e\","
              "\"f\",\"g\",\"h\"]}",
              "/tags", BDR_RANGE);
    one_fault("[]", "", BDR_INVAL);
}

static void test_read__not_json__says_where(void **state)
{
    static const char *const bad[] = {
        "", "{", "{\"a\":1,\"a\":2}", "nul", "{\"name\":\"\\u0000\"}", "{\"a\":\"\xff\"}", "{} x"};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(bad); i++) {
        struct bdr_err *err = read_as(BDR_SHAPE_REQUEST, bad[i]);

        assert_non_null(err);
        assert_int_equal(err->code, BDR_INVAL);
        assert_int_equal(faults.n, 0);
        assert_non_null(strstr(err->msg, "line"));
        bdr_err_free(err);
    }
}

static void test_read__too_deep__is_refused_before_parsing(void **state)
{
    char deep[4001];
    struct bdr_err *err;

    (void)state;
    memset(deep, '[', 4000);
    deep[4000] = 0;
    err = read_as(BDR_SHAPE_REQUEST, deep);
    assert_non_null(strstr(err->msg, "brackets"));
    bdr_err_free(err);
}

static void test_read__hundreds_of_mistakes__are_cut(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    struct bdr_err *err;

    (void)state;
    bdr_buf_printf(&b, "{");
    for (int i = 0; i < 500; i++)
        bdr_buf_printf(&b, "%s\"x%d\":1", i ? "," : "", i);
    bdr_buf_printf(&b, "}");
    err = read_as(BDR_SHAPE_REQUEST, (char *)b.data);
    assert_int_equal(faults.n, BDR_SHAPE_FAULTS_MAX);
    assert_true(faults.more);
    bdr_err_free(err);
}

static void test_read__patch__only_what_is_given(void **state)
{
    (void)state;
    assert_null(read_as(BDR_SHAPE_PATCH, "{\"enabled\":false}"));
    assert_true(host.has_enabled);
    assert_false(host.enabled);
    assert_null(host.name);
    assert_false(host.has_weight);
    assert_int_equal(host.weight, 0);
}

static void test_read__newer_server__its_fields_are_passed_over(void **state)
{
    (void)state;
    assert_null(read_as(BDR_SHAPE_RESPONSE, "{\"id\":\"h1\"," BASE
                                            ",\"future\":{\"a\":[1]},\"created\":\"2026-11-22T18:15:00.25+08:00\"}"));
    assert_string_equal(host.id, "h1");
    assert_int_equal(host.created, 1795342500250);
}

static void test_write__secrets_stay__and_come_back_equal(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    assert_null(read_as(BDR_SHAPE_REQUEST, "{" BASE ",\"secret\":\"hunter2\",\"note\":\"q\\\"\\\\\\t\"}"));
    host.id = "h1";
    assert_null(bdr_shape_write(&demo_host_shape, BDR_SHAPE_RESPONSE, &host, &b));
    bdr_buf_u8(&b, 0);
    assert_null(strstr((char *)b.data, "hunter2"));
    assert_non_null(strstr((char *)b.data, "\"note\":\"q\\\"\\\\\\u0009\""));
    assert_null(read_as(BDR_SHAPE_RESPONSE, (char *)b.data));
    assert_string_equal(host.note, "q\"\\\t");
    b.len = 0;
    host.secret = "hunter2";
    assert_null(bdr_shape_write(&demo_host_shape, BDR_SHAPE_REQUEST, &host, &b));
    bdr_buf_u8(&b, 0);
    assert_non_null(strstr((char *)b.data, "hunter2"));
    assert_null(strstr((char *)b.data, "\"id\":\"h1\""));
}

static void test_write__bytes_that_are_no_text__become_replacement(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_json_put_text(&b, "a\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80z\xe2\x82\xac");
    bdr_buf_u8(&b, 0);
    assert_non_null(strstr((char *)b.data, "z\xe2\x82\xac\""));
    assert_int_equal(((char *)b.data)[1], 'a');
    assert_null(strstr((char *)b.data, "\xff"));
}

static void test_write__what_is_not_set__is_an_internal_error(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    struct bdr_err *err;

    (void)state;
    memset(&host, 0, sizeof(host));
    err = bdr_shape_write(&demo_host_shape, BDR_SHAPE_RESPONSE, &host, &b);
    assert_int_equal(err->code, BDR_INTERNAL);
    bdr_err_free(err);
}

static void test_rfc3339__edges(void **state)
{
    static const char *const bad[] = {"2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00Zx",
                                      "2026-01-01T00:00:00+24:00",
                                      ""};
    int64_t ms = 1;
    char text[32];

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(bad); i++)
        assert_false(bdr_rfc3339_read(bad[i], &ms));
    assert_true(bdr_rfc3339_read("2024-02-29T23:59:60.123456z", &ms));
    assert_true(bdr_rfc3339_read("1969-12-31T23:59:59.999Z", &ms));
    assert_int_equal(ms, -1);
    assert_string_equal(bdr_rfc3339_text(-1, text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(bdr_rfc3339_text(INT64_MAX, text), "1970-01-01T00:00:00.000Z");
}

static void test_host_names(void **state)
{
    static const char *const good[] = {"a", "web-1.example.com", "1host", "::1", "10.0.0.1", "xn--fiq228c.cn", "a--b"};
    static const char *const bad[] = {"",       "-a", "a-",  "a..b", ".a",   "a.",
                                      "10.0.0", "1",  "a_b", "a b",  "a-.b", "256.1.1.1"};
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(good) + BDR_COUNT(bad); i++) {
        bool ok = i < BDR_COUNT(good);
        struct bdr_err *err;

        b.len = 0;
        bdr_buf_printf(&b, "{\"name\":\"a\",\"address\":\"%s\"}", ok ? good[i] : bad[i - BDR_COUNT(good)]);
        err = read_as(BDR_SHAPE_REQUEST, (char *)b.data);
        if (ok != !err)
            fail_msg("%s", (char *)b.data);
        bdr_err_free(err);
    }
}

static void test_check__wrong_tables__are_found(void **state)
{
    struct thing {
        uint32_t n;
        const char *s;
    };
    static const struct bdr_shape_field bad[][2] = {
        {{BDR_FIELD(struct thing, n), .type = BDR_T_U64, .help = "x", .help_zh = "x"}, {.name = NULL}},
        {{BDR_FIELD(struct thing, n), .type = BDR_T_U32, .help = "x"}, {.name = NULL}},
        {{BDR_FIELD(struct thing, n), .type = BDR_T_U32, .max = 3, .def = "4", .help = "x", .help_zh = "x"},
         {.name = NULL}},
        {{BDR_FIELD(struct thing, s), .type = BDR_T_TEXT, .pattern = "^[", .help = "x", .help_zh = "x"},
         {.name = NULL}},
        {{BDR_FIELD(struct thing, s), .type = BDR_T_ENUM, .help = "x", .help_zh = "x"}, {.name = NULL}},
        {{BDR_FIELD(struct thing, s), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .def = "a", .help = "x",
          .help_zh = "x"},
         {.name = NULL}},
    };

    (void)state;
    assert_null(bdr_shape_check(&demo_host_shape));
    for (size_t i = 0; i < BDR_COUNT(bad); i++) {
        struct bdr_shape shape = {.name = "Thing", .size = sizeof(struct thing), .fields = bad[i]};
        struct bdr_err *err = bdr_shape_check(&shape);

        assert_non_null(err);
        assert_int_equal(err->code, BDR_INTERNAL);
        bdr_err_free(err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read__right__fills_fields_and_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read__many_mistakes__all_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read__single_mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read__not_json__says_where, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read__too_deep__is_refused_before_parsing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read__hundreds_of_mistakes__are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read__patch__only_what_is_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read__newer_server__its_fields_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write__secrets_stay__and_come_back_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write__bytes_that_are_no_text__become_replacement, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write__what_is_not_set__is_an_internal_error, setup, teardown),
        cmocka_unit_test(test_rfc3339__edges),
        cmocka_unit_test_setup_teardown(test_host_names, setup, teardown),
        cmocka_unit_test(test_check__wrong_tables__are_found),
    };

    return cmocka_run_group_tests_name("wire-shape", tests, NULL, NULL);
}
