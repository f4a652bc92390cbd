/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "bdr/suggest.h"
#include "frame/value.h"

static void test_value__good__parsed(void **state)
{
    static const struct {
        enum bdr_opt_type type;
        const char *text;
        uint64_t want;
    } rows[] = {
        {BDR_OPT_U64, "0", 0},
        {BDR_OPT_U64, "18446744073709551615", UINT64_MAX},
        {BDR_OPT_SIZE, "4096", 4096},
        {BDR_OPT_SIZE, "64K", 65536},
        {BDR_OPT_SIZE, "1.5G", 1610612736},
        {BDR_OPT_SIZE, "32MiB", 33554432},
        {BDR_OPT_SIZE, "2t", 2199023255552},
        {BDR_OPT_DURATION, "0", 0},
        {BDR_OPT_DURATION, "250ms", 250},
        {BDR_OPT_DURATION, "10s", 10000},
        {BDR_OPT_DURATION, "5m", 300000},
        {BDR_OPT_DURATION, "2h", 7200000},
        {BDR_OPT_DURATION, "7d", 604800000},
        {BDR_OPT_DURATION, "4w", 2419200000},
        {BDR_OPT_DURATION, "1h30m", 5400000},
        {BDR_OPT_TIME, "2026-11-22T18:15:00Z", 1795371300000},
        {BDR_OPT_TIME, "2026-11-22", 1795305600000},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        const struct bdr_opt opt = {.name = "x", .type = rows[i].type};
        uint64_t got = 77;

        check_ok(bdr_value_parse(&opt, rows[i].text, &got));
        assert_int_equal(got, rows[i].want);
    }
}

static void test_value__bad__says_what_is_right(void **state)
{
    static const struct {
        enum bdr_opt_type type;
        const char *text;
        enum bdr_code code;
        const char *part;
    } rows[] = {
        {BDR_OPT_FLAG, "maybe", BDR_INVAL, "neither yes nor no"},
        {BDR_OPT_U32, "4294967296", BDR_RANGE, "4294967295"},
        {BDR_OPT_U32, "-1", BDR_INVAL, "not a number"},
        {BDR_OPT_U64, "18446744073709551616", BDR_RANGE, "more than"},
        {BDR_OPT_U64, "", BDR_INVAL, "missing"},
        {BDR_OPT_PERCENT, "", BDR_INVAL, "0.1, 5, 5%"},
        {BDR_OPT_PERCENT, "%", BDR_INVAL, "percentage"},
        {BDR_OPT_PERCENT, "1.2.3", BDR_INVAL, "percentage"},
        {BDR_OPT_PERCENT, "5%%", BDR_INVAL, "percentage"},
        {BDR_OPT_PERCENT, "nan", BDR_INVAL, "percentage"},
        {BDR_OPT_PERCENT, "-1", BDR_INVAL, "percentage"},
        {BDR_OPT_PERCENT, "100.1", BDR_RANGE, "0 to 100"},
        {BDR_OPT_SIZE, "many", BDR_INVAL, "4096, 64K, 1.5G"},
        {BDR_OPT_SIZE, "1X", BDR_INVAL, "size"},
        {BDR_OPT_SIZE, "-5", BDR_INVAL, "size"},
        {BDR_OPT_SIZE, "0x10", BDR_INVAL, "size"},
        {BDR_OPT_SIZE, "1e3", BDR_INVAL, "size"},
        {BDR_OPT_SIZE, "", BDR_INVAL, "size"},
        {BDR_OPT_SIZE, "99999999P", BDR_RANGE, "too large"},
        {BDR_OPT_DURATION, "5", BDR_INVAL, "10s, 5m, 2h, 7d, 4w"},
        {BDR_OPT_DURATION, "5y", BDR_INVAL, "10s, 5m, 2h, 7d, 4w"},
        {BDR_OPT_DURATION, "m", BDR_INVAL, "duration"},
        {BDR_OPT_DURATION, "", BDR_INVAL, "duration"},
        {BDR_OPT_DURATION, "99999999999999999999w", BDR_RANGE, "too long"},
        {BDR_OPT_DURATION, "999999999999w", BDR_RANGE, "too long"},
        {BDR_OPT_TIME, "yesterday", BDR_INVAL, "2026-11-22T18:15:00Z"},
        {BDR_OPT_PATH, "", BDR_INVAL, "empty path"},
        {BDR_OPT_CHOICE, "bzip2", BDR_INVAL, "none|lz4|zstd"},
        {BDR_OPT_CHOICE, "lz", BDR_INVAL, "none|lz4|zstd"},
        {BDR_OPT_CHOICE, "lz4|zstd", BDR_INVAL, "none|lz4|zstd"},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        const struct bdr_opt opt = {.name = "x", .type = rows[i].type, .choices = "none|lz4|zstd"};
        uint64_t got = 77;

        check_fails(bdr_value_parse(&opt, rows[i].text, &got), rows[i].code, rows[i].part);
        assert_int_equal(got, 77); /* untouched */
    }
}

static void test_value__percent__parsed(void **state)
{
    const struct bdr_opt opt = {.name = "x", .type = BDR_OPT_PERCENT};
    double got = -1;

    (void)state;
    check_ok(bdr_value_parse(&opt, "0.5", &got));
    assert_true(got > 0.49 && got < 0.51);
    check_ok(bdr_value_parse(&opt, "100%", &got));
    assert_true(got > 99.9);
    check_ok(bdr_value_parse(&opt, "0", &got));
    assert_true(got < 0.001);
}

static void test_value__flag_words__parsed(void **state)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};
    const struct bdr_opt opt = {.name = "x", .type = BDR_OPT_FLAG};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(yes); i++) {
        bool got = false;

        check_ok(bdr_value_parse(&opt, yes[i], &got));
        assert_true(got);
        check_ok(bdr_value_parse(&opt, no[i], &got));
        assert_false(got);
    }
}

static void test_value__range__named_in_its_unit(void **state)
{
    const struct bdr_opt size = {.name = "x", .type = BDR_OPT_SIZE, .min = 4096, .max = 1 << 20};
    const struct bdr_opt wait = {.name = "x", .type = BDR_OPT_DURATION, .min = 1000, .max = 3600000};
    const struct bdr_opt least = {.name = "x", .type = BDR_OPT_U32, .min = 3};
    uint64_t got = 0;

    (void)state;
    check_fails(bdr_value_parse(&size, "1", &got), BDR_RANGE, "from 4.0 KiB to 1.0 MiB");
    check_fails(bdr_value_parse(&wait, "2h", &got), BDR_RANGE, "from 1s to 1h");
    check_fails(bdr_value_parse(&least, "2", &got), BDR_RANGE, "the least is 3");
    check_ok(bdr_value_parse(&size, "4096", &got));
    check_ok(bdr_value_parse(&size, "1M", &got));
}

static void test_value__hosts__told_apart(void **state)
{
    static const char *const good[] = {"a", "dr1.example.com", "192.0.2.7", "2001:db8::7", "x_y", "a.b."};
    static const char *const bad[] = {"", "-a", "a-", "a..b", ".a", "a b", "a:1", "a/b", "1:2", "a-.b"};
    static const char *const good_addr[] = {":10809", "192.0.2.7:443", "[::1]:443", "dr1:1"};
    static const char *const bad_addr[] = {"443",   "a:",    "a:0", "a:65536", "::1:443",
                                           "[::1]", "[a]:1", ":x",  "a b:1",   ""};
    const struct bdr_opt host = {.name = "x", .type = BDR_OPT_HOSTNAME}, addr = {.name = "x", .type = BDR_OPT_ADDRESS};
    const char *got;

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(good); i++)
        check_ok(bdr_value_parse(&host, good[i], &got));
    for (size_t i = 0; i < BDR_COUNT(bad); i++)
        check_fails(bdr_value_parse(&host, bad[i], &got), BDR_INVAL, "dr1.example.com");
    for (size_t i = 0; i < BDR_COUNT(good_addr); i++)
        check_ok(bdr_value_parse(&addr, good_addr[i], &got));
    for (size_t i = 0; i < BDR_COUNT(bad_addr); i++)
        check_fails(bdr_value_parse(&addr, bad_addr[i], &got), BDR_INVAL, ":10809");
}

static void test_duration_text__any__reads_back(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "0s"},          {250, "250ms"},      {10000, "10s"},    {64000, "1m4s"},
                {5400000, "1h30m"}, {3600000, "1h"},     {604800000, "1w"}, {90061001, "1d1h"},
                {3601000, "1h"},    {694861000, "1w1d"}, {61250, "1m1s"}};
    char buf[32];

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        assert_string_equal(bdr_duration_text(rows[i].ms, buf), rows[i].text);
}

static void test_edit_distance__pairs__counted(void **state)
{
    char longer[80] = "";

    (void)state;
    memset(longer, 'a', sizeof(longer) - 1);
    assert_int_equal(bdr_edit_distance("", ""), 0);
    assert_int_equal(bdr_edit_distance("backup", "backup"), 0);
    assert_int_equal(bdr_edit_distance("bakcup", "backup"), 1); /* neighbours swapped */
    assert_int_equal(bdr_edit_distance("bckup", "backup"), 1);
    assert_int_equal(bdr_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(bdr_edit_distance("", "abc"), 3);
    assert_true(bdr_edit_distance(longer, "abc") > 60);
}

static void test_nearest__far_name__not_offered(void **state)
{
    struct bdr_nearest near = {.typed = "xyzzy"};
    char buf[64];

    (void)state;
    bdr_nearest_offer(&near, "backup");
    assert_string_equal(bdr_nearest_text(&near, "--", buf, sizeof(buf)), "");
    near = (struct bdr_nearest){.typed = "back"};
    bdr_nearest_offer(&near, "backup");
    assert_string_equal(bdr_nearest_text(&near, "--", buf, sizeof(buf)), "; did you mean '--backup'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value__good__parsed),
        cmocka_unit_test(test_value__bad__says_what_is_right),
        cmocka_unit_test(test_value__percent__parsed),
        cmocka_unit_test(test_value__flag_words__parsed),
        cmocka_unit_test(test_value__range__named_in_its_unit),
        cmocka_unit_test(test_value__hosts__told_apart),
        cmocka_unit_test(test_duration_text__any__reads_back),
        cmocka_unit_test(test_edit_distance__pairs__counted),
        cmocka_unit_test(test_nearest__far_name__not_offered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
