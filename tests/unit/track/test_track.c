/* SPDX-License-Identifier: Apache-2.0 */
/* test_track.c - the tracker on real loop devices: marks, generations, tokens, pins. */
#include "bdr/osfile.h"
#include "live/track_priv.h"
#include "loopdisk.h"
#include <sys/wait.h>

static struct scratch at;

/* What changed since `seq`, as text. */
static const char *changes(struct bdr_track *t, uint64_t seq, const struct loopdisk *d)
{
    static struct told told;

    memset(&told, 0, sizeof(told));
    OK(bdr_track_changes(t, seq, 0, d->size, told_put, &told));
    return told.text;
}

static uint64_t cut(struct bdr_track *t)
{
    uint64_t seq = 0;

    OK(bdr_track_cut(t, &seq));
    return seq;
}

static struct bdr_track *begin(struct loopdisk *d, const char *name, uint64_t size)
{
    struct bdr_track *t = NULL;

    loopdisk_make(d, &at, name, size);
    OK(bdr_track_start(d->dev));
    OK(bdr_track_open(d->dev, &t));
    return t;
}

static void end(struct loopdisk *d, struct bdr_track *t)
{
    bdr_track_close(t);
    OK(bdr_track_stop(d->dev));
    loopdisk_end(d);
}

static void test_track__write_between_cuts__told_by_the_generation_it_was_made_in(void **state)
{
    struct loopdisk d;
    struct bdr_track *t = begin(&d, "a", 16 * MIB + 4096);
    uint64_t a, b, bytes;

    (void)state;
    assert_string_equal(changes(t, 0, &d), "");
    loopdisk_write(&d, 65536 * 3, 4096);
    a = cut(t);
    loopdisk_write(&d, 65536 * 5 - 4096, 8192);
    b = cut(t);
    loopdisk_write(&d, 16 * MIB, 4096);
    assert_string_equal(changes(t, 0, &d), "D196608+196608 D16777216+4096");
    assert_string_equal(changes(t, a, &d), "D262144+131072 D16777216+4096");
    assert_string_equal(changes(t, b, &d), "D16777216+4096");
    OK(bdr_track_changed_bytes(t, a, &bytes));
    assert_int_equal(bytes, 131072 + 4096);
    assert_false(bdr_track_touched(t, a, 196608, 65536));
    assert_true(bdr_track_touched(t, a, 196608, 65537));
    assert_true(bdr_track_touched(t, 0, 196608 + 65535, 1));
    end(&d, t);
}

static void test_track__discard__told_as_zero_until_written(void **state)
{
    struct loopdisk d;
    struct bdr_track *t = begin(&d, "a", 64 * MIB);
    uint64_t a;

    (void)state;
    loopdisk_write(&d, 0, 1 * MIB);
    a = cut(t);
    loopdisk_discard(&d, 4096, 524288);
    assert_string_equal(changes(t, a, &d), "D0+65536 Z65536+458752 D524288+65536");
    loopdisk_write(&d, 131072, 512);
    assert_string_equal(changes(t, a, &d), "D0+65536 Z65536+65536 D131072+65536 Z196608+327680 D524288+65536");
    loopdisk_discard(&d, 0, 64 * MIB);
    assert_string_equal(changes(t, a, &d), "Z0+67108864");
    end(&d, t);
}

static void test_track__token_of_an_earlier_handle__resumes(void **state)
{
    struct loopdisk d;
    struct bdr_track *t = begin(&d, "a", 16 * MIB);
    struct bdr_track_counts counts, now;
    struct bdr_track_base base;
    char *token = NULL;
    int64_t missed = -1;
    uint64_t a;

    (void)state;
    loopdisk_write(&d, 0, 65536);
    a = cut(t);
    OK(bdr_track_counts(t, &counts));
    OK(bdr_track_token(t, a, &counts, true, &token));
    OK(bdr_track_keep(t, a));
    loopdisk_write(&d, MIB, 65536);
    loopdisk_discard(&d, 2 * MIB, MIB);
    bdr_track_close(t);

    OK(bdr_track_open(d.dev, &t));
    OK(bdr_track_resume(t, token, &base));
    assert_int_equal(base.seq, a);
    assert_true(base.exact);
    assert_string_equal(changes(t, base.seq, &d), "D1048576+65536 Z2097152+1048576");
    OK(bdr_track_counts(t, &now));
    OK(bdr_track_missed(&base.counts, &now, &missed));
    assert_int_equal(missed, 0);
    free(token);
    end(&d, t);
}

static int setup(void **state)
{
    (void)state;
    scratch_begin(&at);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_end(&at);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_track__write_between_cuts__told_by_the_generation_it_was_made_in),
        cmocka_unit_test(test_track__discard__told_as_zero_until_written),
        cmocka_unit_test(test_track__token_of_an_earlier_handle__resumes),
    };
    const char *why = scratch_why_not();

    if (why) {
        printf("%s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
