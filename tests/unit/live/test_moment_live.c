/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_moment_live.c - the live moment's ladder on a machine of make-believe: whatever goes wrong, what it calls a
 * moment is one.
 *
 * Each test makes passes as the copy engine does, into a copy of its own, while `world.writer` writes at the worst of
 * times.
 */
#include "bdr/bytes.h"
#include "live/predict.h"
#include "world.h"

#define BYTES (GRANULES * GRANULE)

static uint8_t copy[BYTES], moment_was[BYTES];

static void keep_moment(void)
{
    assert_int_equal(pread(world.fd, moment_was, BYTES, 0), (ssize_t)BYTES);
}

static struct bdr_err *copy_extent(void *ctx, const struct bdr_extent *ext)
{
    static uint8_t buf[BYTES];
    struct bdr_err *err;

    if (ext->kind == BDR_EXTENT_ZERO) {
        memset(copy + ext->off, 0, ext->len);
        return NULL;
    }
    err = bdr_source_read(ctx, ext->off, buf, ext->len);
    if (!err)
        memcpy(copy + ext->off, buf, ext->len);
    return err;
}

/* As the mover: changed extents, or all of it when they are not known. */
static void pass(struct bdr_source *src, bool *out_full)
{
    struct bdr_err *err = bdr_source_extents(src, BDR_EXTENTS_CHANGED, 0, BYTES, copy_extent, src);

    *out_full = err != NULL;
    if (err) {
        assert_int_equal(err->code, BDR_STALE);
        bdr_err_free(err);
        OK(bdr_source_extents(src, BDR_EXTENTS_ALL, 0, BYTES, copy_extent, src));
    }
}

struct shot {
    struct bdr_moment_report report;
    unsigned fulls; /* passes over everything, the first not counted */
    struct bdr_source *src;
    struct bdr_moment *m;
};

static struct bdr_err *shoot(const struct bdr_live_options *opt, bool untracked, struct shot *out)
{
    enum bdr_moment_step step = BDR_MOMENT_PASS;
    bool full = false;

    *out = (struct shot){0};
    OK(bdr_live_moment_open(opt, &out->m));
    out->src = world_disk(out->m, untracked);
    pass(out->src, &full);
    for (unsigned i = 0; step == BDR_MOMENT_PASS; i++) {
        assert_true(i < 80); /* it ends */
        if (world.writer)
            world.writer("pass");
        BDR_TRY(bdr_moment_next(out->m, &step));
        assert_false(world.frozen);
        pass(out->src, &full);
        out->fulls += full;
    }
    bdr_moment_report(out->m, &out->report);
    return NULL;
}

static void done(struct shot *s)
{
    bdr_source_close(s->src);
    bdr_moment_close(s->m);
    assert_false(world.started);
}

static void is_moment(void)
{
    for (unsigned g = 0; g < GRANULES; g++)
        if (memcmp(copy + g * GRANULE, moment_was + g * GRANULE, GRANULE))
            fail_msg("granule %u is not as it was at the moment", g);
}

/* The next point reads whatever may be missing in this one. */
static void rest_is_remembered(void)
{
    for (unsigned g = 0; g < GRANULES; g++) {
        uint8_t now[GRANULE];

        assert_int_equal(pread(world.fd, now, GRANULE, (off_t)(g * GRANULE)), (ssize_t)GRANULE);
        if (memcmp(copy + g * GRANULE, now, GRANULE))
            assert_true(world.mark[g] > world.token_seq);
    }
}

static int setup(void **state)
{
    (void)state;
    world_begin();
    memset(copy, 0xee, sizeof(copy));
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    world_end();
    return 0;
}

/* ---- writers ---- */

/* Writes whenever nothing is frozen, as file systems do. */
static void busy(const char *when)
{
    static unsigned n;

    if (!strcmp(when, "frozen"))
        keep_moment();
    if (world.frozen)
        return;
    for (unsigned i = 0; i < 5; i++)
        world_write(n++ * 7 % GRANULES);
    if (n % 3 == 0)
        world_discard(n % GRANULES);
}
/* As busy, and never lets go: as somebody who writes to the disk itself. */
static void rude(const char *when)
{
    busy(when);
    if (world.frozen)
        world_write(5);
}
/* Keeps still but for one granule now and then, so that unfrozen windows find a moment. */
static void calm(const char *when)
{
    static unsigned n;

    if (!strcmp(when, "cut"))
        keep_moment();
    else if (!strcmp(when, "pass"))
        world_write(n++ % GRANULES);
}
static void forgetful(const char *when)
{
    busy(when);
    if (!strcmp(when, "pass") && world.freezes == 0)
        world_write_unseen(9);
}

/* ---- tests ---- */

static void test_moment__busy_disk__frozen_and_exact(void **state)
{
    struct shot s;

    (void)state;
    world.writer = busy;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "filesystem");
    assert_string_equal(s.report.note, "");
    assert_int_equal(s.report.filesystems, 1);
    assert_int_equal(s.report.window_ms, 33);
    assert_true(world.token_exact);
    is_moment();
    OK(bdr_source_committed(s.src));
    assert_int_equal(world.kept_seq, world.token_seq);
    done(&s);
}

static void test_moment__freezing_fails_twice__third_time_lucky(void **state)
{
    struct shot s;

    (void)state;
    world.writer = busy;
    world.timeouts = 1;
    world.lost = 2;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "filesystem");
    assert_int_equal(s.report.freezes, 3);
    is_moment();
    done(&s);
}

static void test_moment__never_frozen__a_quiet_time_is_a_crash_point(void **state)
{
    struct shot s;

    (void)state;
    world.writer = calm;
    world.timeouts = 99;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "crash");
    assert_non_null(strstr(s.report.note, "took the whole budget"));
    is_moment();
    done(&s);
}

static void test_moment__never_frozen_never_quiet__inconsistent_and_why(void **state)
{
    struct shot s;

    (void)state;
    world.writer = rude;
    world.lost = 99;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "inconsistent");
    assert_non_null(strstr(s.report.note, "written meanwhile"));
    assert_false(world.token_exact);
    rest_is_remembered();
    done(&s);
}

static void test_moment__more_than_fits_memory__is_left_to_the_next_point(void **state)
{
    struct shot s;

    (void)state;
    world.writer = busy;
    OK(shoot(&(struct bdr_live_options){.no_freeze = true, .capture_bytes = GRANULE}, false, &s));
    assert_string_equal(s.report.consistency, "inconsistent");
    assert_int_equal(s.report.captured_bytes, 0);
    rest_is_remembered();
    done(&s);
}

static void test_moment__somebody_writes_past_the_freeze__is_not_called_a_moment(void **state)
{
    struct shot s;

    (void)state;
    world.writer = rude;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "inconsistent");
    done(&s);
}

static void test_moment__no_freeze__is_never_frozen(void **state)
{
    struct shot s;

    (void)state;
    world.writer = calm;
    OK(shoot(&(struct bdr_live_options){.no_freeze = true}, false, &s));
    assert_string_equal(s.report.consistency, "crash");
    assert_non_null(strstr(s.report.note, "were not to be frozen"));
    assert_int_equal(world.freezes, 0);
    is_moment();
    done(&s);
}

static void test_moment__frozen_by_somebody_else__tried_again_and_told(void **state)
{
    struct shot s;

    (void)state;
    world.writer = calm;
    world.busy = true;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "crash");
    assert_non_null(strstr(s.report.note, "somebody else froze"));
    done(&s);
}

static void test_moment__counts_do_not_fit__full_pass_then_right(void **state)
{
    struct shot s;

    (void)state;
    world.writer = forgetful;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_int_equal(s.fulls, 1);
    assert_int_equal(world.starts, 1);
    assert_string_equal(s.report.consistency, "filesystem");
    is_moment();
    done(&s);
}

static void breaks(const char *when)
{
    busy(when);
    if (!strcmp(when, "pass") && world.starts == 0)
        world.broken = "its programs were detached";
}

static void test_moment__tracker_stale_in_the_middle__renewed(void **state)
{
    struct shot s;

    (void)state;
    world.writer = breaks;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_int_equal(s.fulls, 1);
    assert_string_equal(s.report.consistency, "filesystem");
    is_moment();
    done(&s);
}

static void always_unseen(const char *when)
{
    busy(when);
    if (!strcmp(when, "pass"))
        world_write_unseen(9);
}

static void test_moment__tracker_always_wrong__is_given_up_and_told(void **state)
{
    struct shot s;

    (void)state;
    world.writer = always_unseen;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "inconsistent");
    assert_non_null(strstr(s.report.note, "misses writes"));
    done(&s);
}

static void test_moment__untracked__only_when_nobody_writes(void **state)
{
    struct shot s;

    (void)state;
    OK(shoot(&(struct bdr_live_options){0}, true, &s));
    assert_string_equal(s.report.consistency, "crash");
    done(&s);
    world.writer = busy;
    OK(shoot(&(struct bdr_live_options){0}, true, &s));
    assert_string_equal(s.report.consistency, "inconsistent");
    assert_non_null(strstr(s.report.note, "the kernel is too old"));
    done(&s);
}

static void test_moment__nothing_mounted_or_raw__labels(void **state)
{
    struct shot s;

    (void)state;
    world.fs_n = 0;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "filesystem");
    assert_int_equal(s.report.filesystems, 0);
    done(&s);
    world.raw = true;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "crash");
    assert_non_null(strstr(s.report.note, "/dev/fake"));
    done(&s);
    world.fs_n = 1;
    world.raw = false;
    world.unfreezable = true;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "filesystem"); /* synced, and proved to be still */
    done(&s);
}

static void test_moment__scripts__application_only_when_they_say_yes(void **state)
{
    struct shot s;

    (void)state;
    world.writer = busy;
    OK(shoot(&(struct bdr_live_options){.pre_freeze = "/pre", .post_freeze = "/post"}, false, &s));
    assert_string_equal(s.report.consistency, "application");
    assert_int_equal(world.scripts, 2);
    done(&s);
    world.script_fails = true;
    OK(shoot(&(struct bdr_live_options){.pre_freeze = "/pre"}, false, &s));
    assert_string_equal(s.report.consistency, "filesystem");
    assert_non_null(strstr(s.report.note, "said 1"));
    done(&s);
}

static void test_moment__throttle__tried_before_settling_for_less(void **state)
{
    struct shot s;

    (void)state;
    world.writer = busy;
    world.timeouts = 4;
    world.throttle_works = true;
    OK(shoot(&(struct bdr_live_options){.throttle = true}, false, &s));
    assert_string_equal(s.report.consistency, "filesystem");
    assert_true(s.report.throttled);
    assert_int_equal(world.throttles, 1);
    is_moment();
    done(&s);
    world.freezes = 0;
    world.timeouts = 99;
    world.throttle_works = false;
    OK(shoot(&(struct bdr_live_options){.throttle = true}, false, &s));
    assert_false(s.report.throttled);
    assert_non_null(strstr(s.report.note, "no control groups"));
    done(&s);
}

static void test_moment__swap__is_zeros_in_every_pass(void **state)
{
    struct shot s;

    (void)state;
    world.writer = busy;
    world.swap_off = 10 * GRANULE + 4096;
    world.swap_len = 5 * GRANULE;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    memset(moment_was + world.swap_off, 0, world.swap_len);
    is_moment();
    done(&s);
    OK(shoot(&(struct bdr_live_options){.keep_swap = true}, false, &s));
    is_moment();
    done(&s);
}

/* The first pass may take hours. */
static void remounts(const char *when)
{
    busy(when);
    if (!strcmp(when, "pass") && world.fs_n == 1) {
        world.fs_n = 2;
        world.swap_len = 0;
    }
}

static void test_moment__mounts_and_swap_change_meanwhile__are_seen(void **state)
{
    struct shot s;

    (void)state;
    world.writer = remounts;
    world.swap_off = 30 * GRANULE;
    world.swap_len = 4 * GRANULE;
    for (unsigned g = 30; g < 34; g++)
        world_write(g);
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    assert_string_equal(s.report.consistency, "filesystem");
    assert_int_equal(s.report.filesystems, 2);
    assert_int_equal(s.fulls, 1); /* what was swap is content now */
    assert_int_equal(world.starts, 0);
    is_moment();
    done(&s);
}

static void test_counts__files_of_old_and_odd_kernels(void **state)
{
    struct live_counts c;
    char path[128];
    FILE *f;

    (void)state;
    snprintf(path, sizeof(path), "%s/dev/block/1:2/stat", world.dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("1 2 3 4 5 6 70 8 9 10 11\n", f); /* before 4.18 */
    fclose(f);
    OK(live_counts_read(world.dir, 1, 2, &c));
    assert_int_equal(c.written, 70);
    assert_int_equal(c.flying, 0);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("1 2 three\n", f);
    fclose(f);
    FAILS(UNSUPPORTED, "not as it should be", live_counts_read(world.dir, 1, 2, &c));
    FAILS(NOTFOUND, "", live_counts_read(world.dir, 9, 9, &c));
}

static void lies(const char *when)
{
    if (!strcmp(when, "frozen"))
        keep_moment();
    if (!strcmp(when, "pass")) {
        world_write(20);
        world.zero[20] = true; /* "discarded", and still there */
    }
}

static void test_moment__discards_that_keep_their_data__are_read(void **state)
{
    struct shot s;

    (void)state;
    world.writer = lies;
    world.timeouts = 1; /* so that there is a pass after the discard */
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    is_moment();
    done(&s);
}

static struct bdr_cancel cancel_now;

static void cancels(const char *when)
{
    if (!strcmp(when, "frozen"))
        bdr_cancel_set(&cancel_now);
}

static void test_moment__cancelled_while_frozen__thaws(void **state)
{
    struct shot s;

    (void)state;
    world.writer = cancels;
    world.lost = 1;
    cancel_now = (struct bdr_cancel){0};
    FAILS(CANCELLED, "", shoot(&(struct bdr_live_options){.cancel = &cancel_now, .post_freeze = "/post"}, false, &s));
    assert_false(world.frozen);
    assert_int_equal(world.scripts, 1); /* applications may be waiting for it */
    done(&s);
}

static void test_moment__token__says_what_changed_since(void **state)
{
    struct told t = {.at = 0};
    struct shot s;

    (void)state;
    world.writer = busy;
    OK(shoot(&(struct bdr_live_options){0}, false, &s));
    done(&s);
    world.writer = NULL;
    memset(world.mark, 0, sizeof(world.mark));
    world_write(3);
    OK(bdr_live_moment_open(&(struct bdr_live_options){0}, &s.m));
    s.src = world_disk(s.m, false);
    FAILS(STALE, "started anew", bdr_source_since(s.src, "another"));
    FAILS(STALE, "without a record", bdr_source_since(s.src, ""));
    OK(bdr_source_since(s.src, "token"));
    OK(bdr_source_extents(s.src, BDR_EXTENTS_CHANGED, 0, BYTES, told_put, &t));
    assert_string_equal(t.text, "D196608+65536");
    done(&s);
}

/* ---- prediction, labels, capture ---- */

static void test_advise__figures__advice(void **state)
{
    static const struct {
        uint64_t dirty_mib;
        double write, read, capture;
        uint32_t passes;
        enum live_advice want;
    } cases[] = {
        {1, 1, 200, 500, 0, LIVE_FREEZE},        /* little left */
        {1000, 20, 200, 500, 0, LIVE_PASS},      /* much left, slowly written */
        {1000, 20, 200, 500, 16, LIVE_HOPELESS}, /* no pass is left */
        {90, 300, 200, 500, 2, LIVE_FREEZE},     /* does not get better, but fits */
        {400, 300, 200, 500, 2, LIVE_HOPELESS},  /* nor does it fit */
        {60, 5, 200, 300, 1, LIVE_PASS},         /* fits, and a pass makes it short */
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(cases); i++) {
        struct live_outlook o = {.dirty_bytes = cases[i].dirty_mib << 20,
                                 .capture_bytes = 256u << 20,
                                 .write_rate = cases[i].write * 1048576,
                                 .read_rate = cases[i].read * 1048576,
                                 .capture_rate = cases[i].capture * 1048576,
                                 .freeze_ms = 60,
                                 .budget_ms = 500,
                                 .overhead_ms = 350,
                                 .passes = cases[i].passes,
                                 .passes_max = 16};

        if (live_advise(&o) != cases[i].want)
            fail_msg("case %zu: advice %d", i, (int)live_advise(&o));
    }
}

static void test_label__facts__never_better_than_they_are(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct live_facts f = {bits & 1, bits & 2, bits & 4, bits & 8};
        const char *label = live_label(&f);

        if (!f.one_moment)
            assert_string_equal(label, "inconsistent");
        else if (f.raw || !f.frozen)
            assert_string_equal(label, "crash");
        else
            assert_string_equal(label, f.prepared ? "application" : "filesystem");
    }
}

static void test_capture__pieces__are_found_again(void **state)
{
    struct live_capture c = {0};
    struct told t = {.at = 0};
    uint8_t buf[3 * GRANULE];
    int fds[2] = {world.fd, world.fd};
    bool there = false;
    size_t n = 0;

    (void)state;
    for (unsigned g = 0; g < GRANULES; g++)
        world_write(g);
    keep_moment();
    OK(live_capture_room(&c, 4 * GRANULE));
    OK(live_capture_add(&c, 0, &(struct bdr_extent){GRANULE, GRANULE, BDR_EXTENT_DATA}));
    OK(live_capture_add(&c, 0, &(struct bdr_extent){2 * GRANULE, GRANULE, BDR_EXTENT_ZERO}));
    OK(live_capture_add(&c, 1, &(struct bdr_extent){0, 2 * GRANULE, BDR_EXTENT_DATA}));
    FAILS(RANGE, "set aside", live_capture_add(&c, 1, &(struct bdr_extent){8 * GRANULE, 2 * GRANULE, BDR_EXTENT_DATA}));
    OK(live_capture_read(&c, fds, NULL, NULL));
    OK(live_capture_get(&c, 0, 0, sizeof(buf), buf, &there, &n));
    assert_false(there);
    assert_int_equal(n, GRANULE);
    OK(live_capture_get(&c, 0, GRANULE + 512, sizeof(buf), buf, &there, &n));
    assert_true(there);
    assert_int_equal(n, GRANULE - 512);
    assert_memory_equal(buf, moment_was + GRANULE + 512, n);
    OK(live_capture_get(&c, 0, 2 * GRANULE, 512, buf, &there, &n));
    assert_true(there && bdr_all_zero(buf, 512));
    OK(live_capture_get(&c, 0, 3 * GRANULE, 512, buf, &there, &n));
    assert_false(there);
    live_capture_zero(&c, 1, 100, 1000);
    OK(live_capture_get(&c, 1, 0, 2 * GRANULE, buf, &there, &n));
    assert_true(there && n == 2 * GRANULE && bdr_all_zero(buf + 100, 1000) && buf[99] && buf[1100]);
    OK(live_capture_walk(&c, 0, 0, BYTES, told_put, &t));
    assert_string_equal(t.text, "D65536+65536 Z131072+65536");
    /* A place that can't be read is told to whoever wants it, and to nobody else. */
    assert_int_equal(ftruncate(world.fd, (off_t)(GRANULE + 8192)), 0);
    OK(live_capture_room(&c, 4 * GRANULE));
    OK(live_capture_add(&c, 0, &(struct bdr_extent){GRANULE, GRANULE, BDR_EXTENT_DATA}));
    OK(live_capture_read(&c, fds, NULL, NULL));
    OK(live_capture_get(&c, 0, GRANULE, 8192, buf, &there, &n));
    assert_memory_equal(buf, moment_was + GRANULE, 8192);
    FAILS(IO, "could not be read", live_capture_get(&c, 0, GRANULE + 8192, 4096, buf, &there, &n));
    live_capture_free(&c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_moment__busy_disk__frozen_and_exact),
        T(test_moment__freezing_fails_twice__third_time_lucky),
        T(test_moment__never_frozen__a_quiet_time_is_a_crash_point),
        T(test_moment__never_frozen_never_quiet__inconsistent_and_why),
        T(test_moment__more_than_fits_memory__is_left_to_the_next_point),
        T(test_moment__somebody_writes_past_the_freeze__is_not_called_a_moment),
        T(test_moment__no_freeze__is_never_frozen),
        T(test_moment__frozen_by_somebody_else__tried_again_and_told),
        T(test_moment__counts_do_not_fit__full_pass_then_right),
        T(test_moment__tracker_stale_in_the_middle__renewed),
        T(test_moment__tracker_always_wrong__is_given_up_and_told),
        T(test_moment__untracked__only_when_nobody_writes),
        T(test_moment__nothing_mounted_or_raw__labels),
        T(test_moment__scripts__application_only_when_they_say_yes),
        T(test_moment__throttle__tried_before_settling_for_less),
        T(test_moment__swap__is_zeros_in_every_pass),
        T(test_moment__mounts_and_swap_change_meanwhile__are_seen),
        T(test_counts__files_of_old_and_odd_kernels),
        T(test_moment__discards_that_keep_their_data__are_read),
        T(test_moment__cancelled_while_frozen__thaws),
        T(test_moment__token__says_what_changed_since),
        T(test_advise__figures__advice),
        T(test_label__facts__never_better_than_they_are),
        T(test_capture__pieces__are_found_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
