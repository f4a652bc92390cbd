/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy.c - crontab lines over changing clocks, windows, bandwidth, retention, catching up, RPO: tables. */
#include "bed.h"
#include "policy/policy.h"
#include "policy/zone.h"

static int64_t at(const char *text)
{
    int64_t ms = 0;

    check_ok(bdr_clock_parse(text, &ms));
    return ms;
}

static void test_cron__lines__come_next_when_they_should(void **state)
{
    static const struct {
        const char *line, *zone, *after, *next; /* UTC; next NULL: never */
    } rows[] = {
        {"* * * * *", "UTC", "2026-11-22T18:15:00Z", "2026-11-22T18:16:00Z"},
        {"30 2 * * *", "UTC", "2026-11-22T02:29:59Z", "2026-11-22T02:30:00Z"},
        {"30 2 * * *", "UTC", "2026-11-22T02:30:00Z", "2026-11-23T02:30:00Z"},
        {"30 2 * * *", "Asia/Shanghai", "2026-11-22T00:00:00Z", "2026-11-22T18:30:00Z"},
        {"*/15 8-17 * * mon-fri", "UTC", "2026-11-20T17:45:00Z", "2026-11-23T08:00:00Z"},
        {"5/20 * * * *", "UTC", "2026-11-20T17:26:00Z", "2026-11-20T17:45:00Z"},
        {"0 0 13 * fri", "UTC", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"}, /* either day is enough */
        {"0 0 13 * fri", "UTC", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"},
        {"0 0 */2 * fri", "UTC", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"}, /* begins with *: both */
        {"0 0 29 2 *", "UTC", "2026-11-22T00:00:00Z", "2028-02-29T00:00:00Z"},
        {"0 12 31 dec *", "UTC", "2026-12-31T12:00:00Z", "2027-12-31T12:00:00Z"},
        {"0 0 * * 7", "UTC", "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z"},
        {"0 0 * * fri-sun", "UTC", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
        {"@weekly", "UTC", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"},
        /* Berlin skips 02:00-03:00 on 2027-03-28: once, when the skip is over */
        {"30 2 * * *", "Europe/Berlin", "2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z"},
        {"30 2 * * *", "Europe/Berlin", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"},
        {"*/20 2 * * *", "Europe/Berlin", "2027-03-28T01:00:00Z", "2027-03-29T00:00:00Z"},
        /* Berlin has 02:00-03:00 twice on 2026-10-25: the first time only ... */
        {"30 2 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"},
        {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
        /* ... but a line for every hour goes on */
        {"30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
        {"*/10 * * * *", "Europe/Berlin", "2026-10-25T00:55:00Z", "2026-10-25T01:00:00Z"},
        {"*/10 * * * *", "Europe/Berlin", "2027-03-28T00:55:00Z", "2027-03-28T01:00:00Z"},
        /* half an hour only, in Lord Howe */
        {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z"},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        struct bdr_cron c;
        int64_t next = 0;
        char text[24];

        check_ok(bdr_cron_parse(rows[i].line, &c));
        check_ok(bdr_cron_next(&c, rows[i].zone, at(rows[i].after), &next));
        if (strcmp(bdr_clock_text(next, text), rows[i].next) != 0)
            print_error("row %zu: '%s' %s after %s\n", i, rows[i].line, rows[i].zone, rows[i].after);
        assert_string_equal(text, rows[i].next);
    }
}

static void test_cron__mistakes__are_named(void **state)
{
    static const struct {
        const char *line, *why;
    } rows[] = {
        {"", "0 fields"},           {"* * * *", "4 fields"},          {"* * * * * *", "more than five"},
        {"60 * * * *", "minute"},   {"* 24 * * *", "hour"},           {"* * 0 * *", "day of the month"},
        {"* * * 13 *", "month"},    {"* * * * 8", "day of the week"}, {"* * * foo *", "foo"},
        {"9-5 * * * *", "down"},    {"*/0 * * * *", "step"},          {"1,,2 * * * *", "no number"},
        {"1- * * * *", "number"},   {"* * 31 2 *", "never"},          {"* * 30,31 feb *", "never"},
        {"@often", "@hourly"},      {"* * * * monday", "number"},     {"99999999999999999999 * * * *", "minute"},
        {"5x * * * *", "too much"},
    };
    struct bdr_cron c;
    int64_t next;

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        check_fails(bdr_cron_parse(rows[i].line, &c), BDR_INVAL, rows[i].why);
    check_ok(bdr_cron_parse("* * * * *", &c));
    check_fails(bdr_cron_next(&c, "Mars/Olympus", 0, &next), BDR_INVAL, "Mars");
    check_fails(bdr_cron_next(&c, "../etc/passwd", 0, &next), BDR_INVAL, "no time zone");
}

static void test_hours__windows__open_and_close(void **state)
{
    static const struct {
        const char *text;
        int weekday, minute;
        bool open;
    } rows[] = {
        {"", 0, 0, true},
        {"mon-fri 20:00-06:00", 1, 20 * 60, true},
        {"mon-fri 20:00-06:00", 1, 20 * 60 - 1, false},
        {"mon-fri 20:00-06:00", 1, 5 * 60, false},    /* Sunday's night is none */
        {"mon-fri 20:00-06:00", 6, 6 * 60 - 1, true}, /* Friday's is */
        {"mon-fri 20:00-06:00", 6, 6 * 60, false},
        {"sat,sun 00:00-24:00", 0, 1439, true},
        {"sat,sun 00:00-24:00; * 12:00-13:00", 3, 12 * 60 + 30, true},
        {"fri-mon 10:00-11:00", 0, 10 * 60, true},
        {"fri-mon 10:00-11:00", 2, 10 * 60, false},
    };
    struct bdr_hours h;

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        check_ok(bdr_windows_parse(rows[i].text, &h));
        assert_int_equal(bdr_windows_open(&h, rows[i].weekday, rows[i].minute), rows[i].open);
    }
    check_fails(bdr_windows_parse("mon 8-9", &h), BDR_INVAL, "mon 8-9");
    check_fails(bdr_windows_parse("mon 08:00-08:00", &h), BDR_INVAL, "");
    check_fails(bdr_windows_parse("mon 08:00-25:00", &h), BDR_INVAL, "");
    check_fails(bdr_windows_parse("moo 08:00-09:00", &h), BDR_INVAL, "");
    check_fails(bdr_windows_parse("* 08:00-09:00 5M", &h), BDR_INVAL, "5M");
    check_ok(bdr_bandwidth_parse("mon-fri 08:00-18:00 10M; * 00:00-24:00 1G", &h));
    assert_int_equal(bdr_bandwidth_at(&h, 1, 9 * 60), 10 << 20);
    assert_int_equal(bdr_bandwidth_at(&h, 1, 18 * 60), 1 << 30);
    check_ok(bdr_bandwidth_parse("mon-fri 08:00-18:00 10M", &h));
    assert_true(bdr_bandwidth_at(&h, 0, 9 * 60) == UINT64_MAX);
    check_fails(bdr_bandwidth_parse("* 08:00-09:00", &h), BDR_INVAL, "");
    check_fails(bdr_bandwidth_parse("* 08:00-09:00 fast", &h), BDR_INVAL, "fast");
}

static void test_policy__next_run__catches_up_once(void **state)
{
    static const struct {
        int64_t interval_min;
        const char *cron, *windows, *last, *now, *next;
        int64_t missed;
    } rows[] = {
        {15, "", "", "", "2026-11-22T10:00:30Z", "2026-11-22T10:00:00Z", 0}, /* the first at once */
        {15, "", "", "2026-11-22T10:00:00Z", "2026-11-22T10:05:00Z", "2026-11-22T10:15:00Z", 0},
        {15, "", "", "2026-11-22T10:00:00Z", "2026-11-22T10:15:00Z", "2026-11-22T10:15:00Z", 0},
        /* down for three hours: one run, on the grid, and the next one when the grid says */
        {15, "", "", "2026-11-22T10:00:00Z", "2026-11-22T13:07:00Z", "2026-11-22T13:00:00Z", 11},
        {15, "", "", "2026-11-22T13:00:00Z", "2026-11-22T13:07:00Z", "2026-11-22T13:15:00Z", 0},
        {0, "0 2 * * *", "", "2026-11-19T02:00:00Z", "2026-11-22T10:00:00Z", "2026-11-22T02:00:00Z", 2},
        {0, "0 2 * * *", "", "2026-11-22T02:00:00Z", "2026-11-22T10:00:00Z", "2026-11-23T02:00:00Z", 0},
        /* whichever is first */
        {720, "0 2 * * *", "", "2026-11-22T00:00:00Z", "2026-11-22T00:10:00Z", "2026-11-22T02:00:00Z", 0},
        /* outside of the window: its first minute */
        {60, "", "* 20:00-06:00", "2026-11-22T05:30:00Z", "2026-11-22T05:40:00Z", "2026-11-22T20:00:00Z", 0},
        {60, "", "* 20:00-06:00", "2026-11-22T05:30:00Z", "2026-11-22T19:00:00Z", "2026-11-22T20:00:00Z", 12},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        const struct bdr_policy_text text = {
            rows[i].interval_min * 60000, 0, rows[i].cron, "UTC", rows[i].windows, "", ""};
        int64_t next = 0, missed = -1;
        struct bdr_policy p;
        char got[24];

        check_ok(bdr_policy_parse(&text, &p));
        check_ok(bdr_policy_next(&p, at("2026-11-22T10:00:00Z"), *rows[i].last ? at(rows[i].last) : 0, at(rows[i].now),
                                 &next, &missed));
        if (strcmp(bdr_clock_text(next, got), rows[i].next) != 0 || missed != rows[i].missed)
            print_error("row %zu: missed %lld\n", i, (long long)missed);
        assert_string_equal(got, rows[i].next);
        assert_int_equal(missed, rows[i].missed);
    }
}

static void test_policy__what_makes_no_sense__is_refused(void **state)
{
    static const struct {
        struct bdr_policy_text text;
        const char *why;
    } rows[] = {
        {{0, 0, "", "UTC", "", "", ""}, "interval or a crontab"},    {{59999, 0, "", "UTC", "", "", ""}, "one minute"},
        {{60000, 30000, "", "UTC", "", "", ""}, "always be missed"}, {{0, 0, "x", "UTC", "", "", ""}, "crontab"},
        {{60000, 0, "", "Nowhere", "", "", ""}, "Nowhere"},          {{60000, 0, "", "UTC", "x", "", ""}, "windows"},
        {{60000, 0, "", "UTC", "", "x", ""}, "bandwidth"},           {{60000, 0, "", "UTC", "", "", "x"}, "retention"},
    };
    struct bdr_policy p;

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        check_fails(bdr_policy_parse(&rows[i].text, &p), BDR_INVAL, rows[i].why);
    check_ok(bdr_policy_parse(&(struct bdr_policy_text){60000, 0, "", "UTC", "", "", "daily=7"}, &p));
}

static void test_rpo__is_measured_and_missed(void **state)
{
    struct bdr_rpo r;

    (void)state;
    assert_int_equal(bdr_policy_rpo_ms(60000, 0), 120000);
    assert_int_equal(bdr_policy_rpo_ms(60000, 300000), 300000);
    assert_int_equal(bdr_policy_rpo_ms(0, 0), 0);
    r = bdr_rpo_measure(120000, 1000, 500000, 620000);
    assert_false(r.missed);
    assert_int_equal(r.age_ms, 120000);
    r = bdr_rpo_measure(120000, 1000, 500000, 620001);
    assert_true(r.missed);
    assert_int_equal(r.over_ms, 1);
    r = bdr_rpo_measure(120000, 500000, 0, 700000); /* no point yet: since protection began */
    assert_true(r.missed);
    r = bdr_rpo_measure(0, 1000, 0, 700000000);
    assert_false(r.missed);
    r = bdr_rpo_measure(120000, 0, 500000, 400000); /* the clock went back */
    assert_int_equal(r.age_ms, 0);
}

static void test_retention__text__is_understood_and_written(void **state)
{
    struct bdr_retention r;
    char text[128];

    (void)state;
    check_ok(bdr_retention_parse("  weekly=4 daily=7 last=3  within=30d", &r));
    bdr_retention_text(&r, text, sizeof(text));
    assert_string_equal(text, "last=3 daily=7 weekly=4 within=720h");
    check_ok(bdr_retention_parse("", &r));
    bdr_retention_text(&r, text, sizeof(text));
    assert_string_equal(text, "");
    check_fails(bdr_retention_parse("daily", &r), BDR_INVAL, "daily=7");
    check_fails(bdr_retention_parse("dayly=7", &r), BDR_INVAL, "dayly");
    check_fails(bdr_retention_parse("daily=7 daily=8", &r), BDR_INVAL, "twice");
    check_fails(bdr_retention_parse("daily=-1", &r), BDR_INVAL, "");
    check_fails(bdr_retention_parse("within=5", &r), BDR_INVAL, "12h");
    check_fails(bdr_retention_parse("within=99999999999d", &r), BDR_INVAL, "");
}

static void test_zone__a_local_time__is_one_moment(void **state)
{
    struct tm tm = {.tm_year = 127, .tm_mon = 2, .tm_mday = 28, .tm_hour = 2, .tm_min = 30};
    int64_t ms = 0;

    (void)state;
    check_ok(bdr_zone_moment("Europe/Berlin", &tm, &ms));
    assert_int_equal(ms, at("2027-03-28T01:00:00Z"));
    tm = (struct tm){.tm_year = 126, .tm_mon = 9, .tm_mday = 25, .tm_hour = 2, .tm_min = 30};
    check_ok(bdr_zone_moment("Europe/Berlin", &tm, &ms));
    assert_int_equal(ms, at("2026-10-25T00:30:00Z"));
    check_ok(bdr_zone_local("America/New_York", at("2026-11-22T03:00:00Z"), &tm));
    assert_int_equal(tm.tm_mday, 21);
    assert_int_equal(tm.tm_hour, 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cron__lines__come_next_when_they_should),
        cmocka_unit_test(test_cron__mistakes__are_named),
        cmocka_unit_test(test_hours__windows__open_and_close),
        cmocka_unit_test(test_policy__next_run__catches_up_once),
        cmocka_unit_test(test_policy__what_makes_no_sense__is_refused),
        cmocka_unit_test(test_rpo__is_measured_and_missed),
        cmocka_unit_test(test_retention__text__is_understood_and_written),
        cmocka_unit_test(test_zone__a_local_time__is_one_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
