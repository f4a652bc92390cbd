/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/pool.h"
#include "source_priv.h"
#include "util.h"

#define MEM "mem:1M,seed=5,gen=2"

static const struct bdr_retry_policy quick = {.attempts = 3, .first_delay_ms = 1, .max_delay_ms = 2};

static void wrap_fault(struct bdr_source **src, uint64_t off, uint64_t len, uint32_t nth, enum bdr_code code)
{
    OK(bdr_source_wrap_fault(src,
                             &(struct bdr_fault_plan){.bad_off = off, .bad_len = len, .every_nth = nth, .code = code}));
}

static void test_fault__bad_range__only_reads_that_touch_it(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    struct bdr_source_stats stats;
    uint8_t buf[4096];

    (void)state;
    wrap_fault(&src, 4096, 512, 0, BDR_OK);
    OK(bdr_source_read(src, 0, buf, 4096));
    OK(bdr_source_read(src, 4608, buf, 512));
    FAILS(IO, "injected fault at 4096", bdr_source_read(src, 4096, buf, 512));
    FAILS(IO, "injected fault at 4096", bdr_source_read(src, 1024, buf, 4096));
    FAILS(IO, "injected", bdr_source_read(src, 0, buf, 4096 - 512 + 1024 - 512 + 512));
    bdr_source_stats(src, &stats);
    assert_int_equal(stats.reads, 2);
    assert_int_equal(stats.bytes, 4608);
    assert_int_equal(stats.errors, 3);
    FAILS(INVAL, "wraps", bdr_source_wrap_fault(&src, &(struct bdr_fault_plan){.bad_off = 2, .bad_len = UINT64_MAX}));
}

static void test_fault__every_nth__fails_once(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    uint8_t buf[512];

    (void)state;
    wrap_fault(&src, 0, 0, 3, BDR_NET);
    for (int i = 1; i <= 9; i++) {
        if (i % 3)
            OK(bdr_source_read(src, 0, buf, 512));
        else
            FAILS(NET, "read number", bdr_source_read(src, 0, buf, 512));
    }
}

static void test_retry__passing_fault__hidden(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM), *plain = open_ok(MEM);
    uint8_t buf[65536], want[65536];

    (void)state;
    wrap_fault(&src, 0, 0, 2, BDR_OK);
    OK(bdr_source_wrap_retry(&src, &quick, NULL));
    for (uint64_t off = 0; off < 1 << 20; off += sizeof(buf)) {
        OK(bdr_source_read(src, off, buf, sizeof(buf)));
        OK(bdr_source_read(plain, off, want, sizeof(want)));
        assert_memory_equal(buf, want, sizeof(buf));
    }
}

static uint64_t inner_errors(struct bdr_source *fault)
{
    struct bdr_source_stats stats;

    bdr_source_stats(fault, &stats);
    return stats.errors;
}

static void test_retry__lasting_fault__told_after_the_last_attempt(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    struct bdr_source *fault;
    uint8_t buf[512];

    (void)state;
    wrap_fault(&src, 0, 512, 0, BDR_IO);
    fault = src;
    OK(bdr_source_wrap_retry(&src, &quick, NULL));
    FAILS(IO, "read failed 3 times: injected", bdr_source_read(src, 0, buf, 512));
    assert_int_equal(inner_errors(fault), 3);
}

static void test_retry__not_retryable__one_attempt(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    struct bdr_source *fault;
    uint8_t buf[512];

    (void)state;
    wrap_fault(&src, 0, 512, 0, BDR_STALE);
    fault = src;
    OK(bdr_source_wrap_retry(&src, &quick, NULL));
    FAILS(STALE, "injected", bdr_source_read(src, 0, buf, 512));
    assert_int_equal(inner_errors(fault), 1);
}

static void test_retry__bad_policy__source_is_unchanged(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    struct bdr_source *was = src;

    (void)state;
    FAILS(INVAL, "at least 1", bdr_source_wrap_retry(&src, &(struct bdr_retry_policy){0}, NULL));
    assert_ptr_equal(src, was);
}

struct canceller {
    struct bdr_cancel *cancel;
    struct bdr_source *fault;
};
static struct bdr_err *cancel_after_first_error(void *ctx, unsigned index)
{
    struct canceller *c = ctx;

    (void)index;
    while (!inner_errors(c->fault))
        BDR_TRY(bdr_cancel_sleep(NULL, 1));
    bdr_cancel_set(c->cancel);
    return NULL;
}

static void test_retry__cancelled_while_waiting__returns_at_once(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    struct bdr_cancel cancel = {0};
    struct canceller c = {.cancel = &cancel};
    struct bdr_pool *pool = NULL;
    uint64_t start = bdr_clock_mono_ms();
    uint8_t buf[512];

    (void)state;
    wrap_fault(&src, 0, 512, 0, BDR_NET);
    c.fault = src;
    OK(bdr_source_wrap_retry(
        &src, &(struct bdr_retry_policy){.attempts = 9, .first_delay_ms = 60000, .max_delay_ms = 60000}, &cancel));
    OK(bdr_pool_start("cancel", 1, cancel_after_first_error, &c, NULL, &pool));
    FAILS(CANCELLED, "", bdr_source_read(src, 0, buf, 512));
    assert_true(bdr_clock_mono_ms() - start < 20000);
    OK(bdr_pool_join(pool));
}

/* A driver whose walk breaks off after each extent; its n-th extent begins at n * 1000. */
struct flaky {
    struct bdr_source base;
    int walks, codes;
};
static struct bdr_err *flaky_info(struct bdr_source *src, struct bdr_source_info *out)
{
    (void)src;
    *out = (struct bdr_source_info){.size_bytes = 3000,
                                    .sector_bytes = 512,
                                    .align_bytes = 1,
                                    .max_inflight = 1,
                                    .knows_allocation = true,
                                    .identity = "flaky"};
    return NULL;
}
static struct bdr_err *flaky_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                     bdr_extent_fn fn, void *ctx)
{
    struct flaky *f = (struct flaky *)src;

    (void)of;
    f->walks++;
    for (uint64_t at = off; at < off + len; at = at / 1000 * 1000 + 1000) {
        uint64_t n = at / 1000;

        BDR_TRY(fn(ctx, &(struct bdr_extent){at, (n + 1) * 1000 - at, n % 2 ? BDR_EXTENT_ZERO : BDR_EXTENT_DATA}));
        if (f->walks < 4)
            BDR_FAIL(BDR_NET, 0, "flaky");
    }
    return NULL;
}
static void flaky_close(struct bdr_source *src)
{
    (void)src;
}
static const struct bdr_source_driver flaky_driver = {
    .name = "flaky", .info = flaky_info, .extents = flaky_extents, .close = flaky_close};

static void test_retry__walk_breaks_off__goes_on_where_it_was(void **state)
{
    struct flaky f = {0};
    struct bdr_source *src = &f.base;
    struct told told = {0};

    (void)state;
    OK(bdr_source_ready(src, &flaky_driver));
    OK(bdr_source_wrap_retry(&src, &(struct bdr_retry_policy){.attempts = 4, .first_delay_ms = 1, .max_delay_ms = 1},
                             NULL));
    OK(bdr_source_extents(src, BDR_EXTENTS_ALL, 0, 3000, told_put, &told));
    assert_string_equal(told.text, "D0+1000 Z1000+1000 D2000+1000");
    assert_int_equal(f.walks, 4);
    bdr_source_close(src);
}

static struct bdr_err *refuse_extent(void *ctx, const struct bdr_extent *ext)
{
    (void)ext;
    ++*(int *)ctx;
    BDR_FAIL(BDR_NET, 0, "the caller's own trouble");
}

static void test_retry__callers_function_fails__not_retried(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    int calls = 0;

    (void)state;
    OK(bdr_source_wrap_retry(&src, &quick, NULL));
    FAILS(NET, "own trouble", bdr_source_extents(src, BDR_EXTENTS_ALL, 0, 1 << 20, refuse_extent, &calls));
    assert_int_equal(calls, 1);
}

/* The extents function's UNSUPPORTED means "no holes known"; the caller's own UNSUPPORTED must come through. */
static struct bdr_err *unsupported_extent(void *ctx, const struct bdr_extent *ext)
{
    (void)ctx;
    (void)ext;
    BDR_FAIL(BDR_UNSUPPORTED, 0, "the caller's own trouble");
}

static void test_extents__callers_unsupported__comes_through(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);

    (void)state;
    FAILS(UNSUPPORTED, "own trouble", bdr_source_extents(src, BDR_EXTENTS_ALL, 0, 1 << 20, unsupported_extent, NULL));
    FAILS(UNSUPPORTED, "nothing tracks",
          bdr_source_extents(src, BDR_EXTENTS_CHANGED, 0, 512, unsupported_extent, NULL));
}

static uint64_t timed_reads(struct bdr_source *src, unsigned n, size_t len)
{
    uint64_t start = bdr_clock_mono_ms();
    uint8_t buf[65536];

    for (unsigned i = 0; i < n; i++)
        OK(bdr_source_read(src, 0, buf, len));
    return bdr_clock_mono_ms() - start;
}

static void test_rate__bytes__held_after_the_burst(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    uint64_t ms;

    (void)state;
    OK(bdr_source_wrap_rate(&src, 1 << 20, 0, NULL));
    /* 1 MiB/s: 7 reads of 64 KiB; the 7th may start when 384 KiB are paid, less the burst of 100 ms. */
    ms = timed_reads(src, 7, 65536);
    assert_in_range(ms, 270, 5000);
}

static void test_rate__reads__held_after_the_burst(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);

    (void)state;
    OK(bdr_source_wrap_rate(&src, 0, 100, NULL));
    assert_in_range(timed_reads(src, 41, 512), 295, 5000); /* 40 paid at 10 ms each, less the burst */
}

static void test_rate__no_limits__not_held(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);

    (void)state;
    OK(bdr_source_wrap_rate(&src, 0, 0, NULL));
    assert_in_range(timed_reads(src, 1000, 512), 0, 5000);
}

static void test_rate__cancelled__returns_at_once(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    struct bdr_cancel cancel = {0};
    uint64_t start = bdr_clock_mono_ms();
    uint8_t buf[4096];

    (void)state;
    OK(bdr_source_wrap_rate(&src, 1, 0, &cancel));
    OK(bdr_source_read(src, 0, buf, 4096)); /* costs over an hour, paid by the next */
    bdr_cancel_set(&cancel);
    FAILS(CANCELLED, "", bdr_source_read(src, 0, buf, 512));
    assert_true(bdr_clock_mono_ms() - start < 20000);
}

static struct bdr_err *rate_reader(void *ctx, unsigned index)
{
    uint8_t buf[4096];

    for (unsigned i = 0; i < 10; i++)
        BDR_TRY(bdr_source_read(ctx, index * 4096, buf, sizeof(buf)));
    return NULL;
}

static void test_rate__several_readers__share_one_limit(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM);
    struct bdr_pool *pool = NULL;
    uint64_t start = bdr_clock_mono_ms();

    (void)state;
    OK(bdr_source_wrap_rate(&src, 0, 100, NULL));
    OK(bdr_pool_start("rate", 4, rate_reader, src, NULL, &pool));
    OK(bdr_pool_join(pool));
    assert_in_range(bdr_clock_mono_ms() - start, 285, 5000);
}

static void test_trace__calls__pass_and_errors_too(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = open_ok(MEM), *plain = open_ok(MEM);
    struct told told = {0}, want = {0};
    uint8_t a[4096], b[4096];

    (void)state;
    wrap_fault(&src, 8192, 512, 0, BDR_IO);
    OK(bdr_source_wrap_trace(&src));
    OK(bdr_source_read(src, 0, a, sizeof(a)));
    OK(bdr_source_read(plain, 0, b, sizeof(b)));
    assert_memory_equal(a, b, sizeof(a));
    FAILS(IO, "injected", bdr_source_read(src, 8192, a, 512));
    OK(bdr_source_extents(src, BDR_EXTENTS_ALL, 0, 1 << 20, told_put, &told));
    OK(bdr_source_extents(plain, BDR_EXTENTS_ALL, 0, 1 << 20, told_put, &want));
    assert_string_equal(told.text, want.text);
    OK(bdr_source_check(src));
    OK(bdr_source_committed(src));
}

/* A driver that notes how many reads were in it at once. */
struct crowd {
    struct bdr_source base;
    atomic_uint in, most;
};
static struct bdr_err *crowd_info(struct bdr_source *src, struct bdr_source_info *out)
{
    (void)src;
    *out = (struct bdr_source_info){
        .size_bytes = 1 << 20, .sector_bytes = 512, .align_bytes = 512, .max_inflight = 2, .identity = "crowd"};
    return NULL;
}
static struct bdr_err *crowd_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct crowd *c = (struct crowd *)src;
    unsigned in = atomic_fetch_add(&c->in, 1) + 1, most = atomic_load(&c->most);
    struct bdr_err *err;

    while (in > most && !atomic_compare_exchange_weak(&c->most, &most, in))
        ;
    (void)off;
    memset(buf, 0, len);
    err = bdr_cancel_sleep(NULL, 1);
    atomic_fetch_sub(&c->in, 1);
    return err;
}
static const struct bdr_source_driver crowd_driver = {
    .name = "crowd", .info = crowd_info, .read = crowd_read, .close = flaky_close};

static struct bdr_err *crowd_reader(void *ctx, unsigned index)
{
    uint8_t buf[512];

    for (unsigned i = 0; i < 20; i++)
        BDR_TRY(bdr_source_read(ctx, index * 512, buf, sizeof(buf)));
    return NULL;
}

static void test_read__more_callers_than_max_inflight__wait_their_turn(void **state)
{
    struct crowd c = {0};
    struct bdr_pool *pool = NULL;
    struct bdr_source_stats stats;

    (void)state;
    OK(bdr_source_ready(&c.base, &crowd_driver));
    OK(bdr_pool_start("crowd", 8, crowd_reader, &c.base, NULL, &pool));
    OK(bdr_pool_join(pool));
    bdr_source_stats(&c.base, &stats);
    assert_int_equal(stats.reads, 160);
    assert_int_equal(atomic_load(&c.most), 2);
    bdr_source_close(&c.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault__bad_range__only_reads_that_touch_it),
        cmocka_unit_test(test_fault__every_nth__fails_once),
        cmocka_unit_test(test_retry__passing_fault__hidden),
        cmocka_unit_test(test_retry__lasting_fault__told_after_the_last_attempt),
        cmocka_unit_test(test_retry__not_retryable__one_attempt),
        cmocka_unit_test(test_retry__bad_policy__source_is_unchanged),
        cmocka_unit_test(test_retry__cancelled_while_waiting__returns_at_once),
        cmocka_unit_test(test_retry__walk_breaks_off__goes_on_where_it_was),
        cmocka_unit_test(test_retry__callers_function_fails__not_retried),
        cmocka_unit_test(test_extents__callers_unsupported__comes_through),
        cmocka_unit_test(test_rate__bytes__held_after_the_burst),
        cmocka_unit_test(test_rate__reads__held_after_the_burst),
        cmocka_unit_test(test_rate__no_limits__not_held),
        cmocka_unit_test(test_rate__cancelled__returns_at_once),
        cmocka_unit_test(test_rate__several_readers__share_one_limit),
        cmocka_unit_test(test_trace__calls__pass_and_errors_too),
        cmocka_unit_test(test_read__more_callers_than_max_inflight__wait_their_turn),
    };

    bdr_log_setup(BDR_LOG_ERROR, false);
    return cmocka_run_group_tests_name("source filter", tests, NULL, NULL);
}
