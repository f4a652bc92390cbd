/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/log.h"
#include "bdr/pool.h"
#include "check.h"
#include "frame/progress.h"
#include "frame/text.h"
#include <fcntl.h>
#include <stdio.h>

#define MIB (1024u * 1024u)

/* 100 MiB/s for ten seconds towards `total`. */
static struct bdr_progress_state running(uint64_t total)
{
    struct bdr_progress_state s;
    struct bdr_progress_counts c = {.total_bytes = total};

    bdr_progress_begin(&s, 5000);
    s.phase = "reading";
    for (uint64_t i = 1; i <= 10; i++) {
        c.done_bytes = i * 100 * MIB;
        bdr_progress_tick(&s, &c, 5000 + i * 1000);
    }
    return s;
}

static void test_rate__steady__is_the_rate(void **state)
{
    struct bdr_progress_state s = running(2000ull * MIB);

    (void)state;
    assert_true(bdr_progress_rate(&s) > 99.9 * MIB && bdr_progress_rate(&s) < 100.1 * MIB);
    assert_int_equal(bdr_progress_eta_s(&s), 10);
}

static void test_rate__stall__decays(void **state)
{
    struct bdr_progress_state s = running(2000ull * MIB);
    struct bdr_progress_counts c = s.counts;

    (void)state;
    bdr_progress_tick(&s, &c, 20000);
    assert_true(bdr_progress_rate(&s) < 50.0 * MIB &&
                bdr_progress_rate(&s) > 20.0 * MIB); /* e^-1, less what is young */
    bdr_progress_tick(&s, &c, 600000);
    assert_int_equal(bdr_progress_eta_s(&s), -1);
}

static void test_rate__going_back__no_underflow(void **state)
{
    struct bdr_progress_state s = running(2000ull * MIB);

    (void)state;
    bdr_progress_tick(&s, &(struct bdr_progress_counts){.done_bytes = 1}, 16000);
    assert_true(bdr_progress_rate(&s) >= 0 && bdr_progress_rate(&s) < 100.0 * MIB);
    bdr_progress_tick(&s, &(struct bdr_progress_counts){.done_bytes = 5}, 16000); /* no time has passed */
    bdr_progress_tick(&s, &(struct bdr_progress_counts){.done_bytes = 9}, 15000); /* nor does it go back */
    assert_true(bdr_progress_rate(&s) < 100.0 * MIB);
}

static void test_bar__wide__all_parts(void **state)
{
    struct bdr_progress_state s = running(2000ull * MIB);
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    s.counts.new_bytes = 300 * MIB;
    s.counts.stored_bytes = 100 * MIB;
    s.counts.files = 12;
    bdr_progress_bar(&s, 15000, 0, &b);
    assert_string_equal(bdr_text_of(&b), "reading   50%  [==============>             ]  1000 MiB/2.0 GiB  100 MiB/s  "
                                         "ETA 10s  new 300 MiB  stored 100 MiB  12 files");
}

static void test_bar__every_width__fits_and_keeps_the_percentage(void **state)
{
    struct bdr_progress_state s = running(2000ull * MIB);

    (void)state;
    s.phase = "\xe6\xba\x90\xe7\xab\xaf"; /* wide characters count twice */
    s.counts.new_bytes = 300 * MIB;
    s.counts.files = 12;
    for (unsigned width = 1; width < 200; width++) {
        BDR_AUTO(buf) struct bdr_buf b = {0};

        bdr_progress_bar(&s, 15000, width, &b);
        assert_true(bdr_text_width(bdr_text_of(&b)) <= width);
        assert_true(width < 4 || strstr(bdr_text_of(&b), "50%"));
    }
}

static void test_bar__80_columns__golden(void **state)
{
    struct bdr_progress_state s = running(2000ull * MIB);
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_progress_bar(&s, 15000, 79, &b);
    assert_string_equal(bdr_text_of(&b),
                        "reading   50%  [============>           ]  1000 MiB/2.0 GiB  100 MiB/s  ETA 10s");
}

static void test_bar__total_unknown__time_so_far(void **state)
{
    struct bdr_progress_state s = running(0);
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_progress_bar(&s, 15000, 0, &b);
    assert_string_equal(bdr_text_of(&b), "reading  1000 MiB  100 MiB/s  10s so far");
}

static void test_bar__more_than_total__100_percent(void **state)
{
    struct bdr_progress_state s = running(500ull * MIB);
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_progress_bar(&s, 15000, 40, &b);
    assert_non_null(strstr(bdr_text_of(&b), "100%"));
    assert_int_equal(bdr_progress_eta_s(&s), 0);
}

static void test_plain__running__a_sentence(void **state)
{
    struct bdr_progress_state s = running(2000ull * MIB);
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_progress_plain(&s, 15000, &b);
    assert_string_equal(bdr_text_of(&b), "reading: 50%, 1000 MiB/2.0 GiB, 100 MiB/s, ETA 10s\n");
}

static void test_json__running__one_line(void **state)
{
    struct bdr_progress_state s = running(0);
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    s.rate = 2048;
    s.rate_weight = 1;
    bdr_progress_json(&s, 15000, &b);
    assert_string_equal(bdr_text_of(&b),
                        "{\"event\":\"progress\",\"phase\":\"reading\",\"done_bytes\":1048576000,\"total_bytes\":null,"
                        "\"new_bytes\":0,\"stored_bytes\":0,\"files\":0,\"bytes_per_s\":2048,\"eta_s\":null,"
                        "\"elapsed_ms\":10000}\n");
}

static void test_summary__counts__a_sentence(void **state)
{
    const struct bdr_progress_counts c = {
        .done_bytes = 12ull << 30, .new_bytes = 1288490189, .stored_bytes = 600 * MIB};
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_progress_summary(&c, 64321, &b);
    assert_string_equal(bdr_text_of(&b), "12.0 GiB in 1m4s (191 MiB/s), 1.2 GiB new, 600 MiB stored");
    b.len = 0;
    bdr_progress_summary(&(struct bdr_progress_counts){0}, 0, &b);
    assert_string_equal(bdr_text_of(&b), "0 B in 0s");
}

static struct bdr_err *adder(void *ctx, unsigned index)
{
    (void)index;
    for (int i = 0; i < 2000; i++) {
        bdr_progress_add(ctx, &(struct bdr_progress_counts){.done_bytes = 1, .files = 1});
        if (i % 500 == 0)
            BDR_LOG(WARN, "test.event", F_U64("i", (uint64_t)i));
    }
    return NULL;
}

/* Eight threads count and log while the meter draws: no count is lost, no log line shares one with the meter. */
static void test_meter__many_threads__counts_and_lines_hold(void **state)
{
    char name[] = "/tmp/bdr-test-meter.XXXXXX", text[65536], last[128];
    int fd = mkstemp(name), old = dup(STDERR_FILENO);
    struct bdr_progress *meter = NULL;
    struct bdr_pool *pool = NULL;
    struct bdr_cancel cancel = {0};
    ssize_t n;

    (void)state;
    assert_true(fd >= 0);
    unlink(name);
    assert_true(fcntl(fd, F_SETFL, O_APPEND) == 0);
    bdr_log_around(bdr_screen_begin, bdr_screen_end);
    check_ok(bdr_progress_start(
        &(struct bdr_progress_how){.mode = BDR_PROGRESS_JSON, .fd = fd, .width = 80, .every_ms = 1}, &meter));
    dup2(fd, STDERR_FILENO);
    bdr_progress_phase(meter, "counting");
    check_ok(bdr_pool_start("test", 8, adder, meter, &cancel, &pool));
    check_ok(bdr_pool_join(pool));
    bdr_progress_stop(meter);
    dup2(old, STDERR_FILENO);
    close(old);
    bdr_log_around(NULL, NULL);
    n = pread(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = 0;
    snprintf(last, sizeof(last), "\"done_bytes\":%d,", 8 * 2000);
    assert_non_null(strstr(text, last));
    for (char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_true(*line == '{' || (*line == '2' && strstr(line, "test.event")));
    close(fd);
}

static void sample(void *ctx, struct bdr_progress_counts *out)
{
    out->done_bytes = *(const uint64_t *)ctx;
}

static void test_meter__terminal_mode__line_drawn_and_taken_away(void **state)
{
    char name[] = "/tmp/bdr-test-meter.XXXXXX", text[4096];
    uint64_t bytes = 512;
    int fd = mkstemp(name);
    struct bdr_progress *meter = NULL;
    ssize_t n;

    (void)state;
    unlink(name);
    check_ok(bdr_progress_start(
        &(struct bdr_progress_how){
            .mode = BDR_PROGRESS_TTY, .fd = fd, .width = 40, .source = {.sample = sample, .ctx = &bytes}},
        &meter));
    check_ok(bdr_cancel_sleep(NULL, 350));
    bdr_progress_stop(meter);
    n = pread(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = 0;
    assert_non_null(strstr(text, "\r512 B"));
    assert_string_equal(text + n - 4, "\r\x1b[K");
    close(fd);
}

static void test_meter__none__every_call_takes_null(void **state)
{
    struct bdr_progress *meter = NULL;

    (void)state;
    check_ok(bdr_progress_start(&(struct bdr_progress_how){.mode = BDR_PROGRESS_NONE}, &meter));
    assert_null(meter);
    bdr_progress_phase(meter, "x");
    bdr_progress_add(meter, &(struct bdr_progress_counts){0});
    bdr_progress_set(meter, &(struct bdr_progress_counts){0});
    bdr_progress_stop(meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate__steady__is_the_rate),
        cmocka_unit_test(test_rate__stall__decays),
        cmocka_unit_test(test_rate__going_back__no_underflow),
        cmocka_unit_test(test_bar__wide__all_parts),
        cmocka_unit_test(test_bar__every_width__fits_and_keeps_the_percentage),
        cmocka_unit_test(test_bar__80_columns__golden),
        cmocka_unit_test(test_bar__total_unknown__time_so_far),
        cmocka_unit_test(test_bar__more_than_total__100_percent),
        cmocka_unit_test(test_plain__running__a_sentence),
        cmocka_unit_test(test_json__running__one_line),
        cmocka_unit_test(test_summary__counts__a_sentence),
        cmocka_unit_test(test_meter__many_threads__counts_and_lines_hold),
        cmocka_unit_test(test_meter__terminal_mode__line_drawn_and_taken_away),
        cmocka_unit_test(test_meter__none__every_call_takes_null),
    };

    bdr_text_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
