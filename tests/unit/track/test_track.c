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

/* The token with its n-th field (from 0) replaced. */
static char *token_with(const char *token, unsigned n, const char *value)
{
    const char *from = token, *to;
    char *out = malloc(strlen(token) + strlen(value) + 1);

    assert_non_null(out);
    while (n--)
        from = strchr(from, ':') + 1;
    to = from + strcspn(from, ":");
    snprintf(out, strlen(token) + strlen(value) + 1, "%.*s%s%s", (int)(from - token), token, value, to);
    return out;
}

static void test_track__token_of_something_else__stale_with_the_reason(void **state)
{
    static const struct {
        unsigned field;
        const char *value, *why;
    } rows[] = {
        {0, "rbd1", "of no use"},
        {1, "01234567-89ab-cdef-0123-456789abcdef", "the machine was started anew since the last point"},
        {1, "01234567-89AB-cdef-0123-456789abcdef", "damaged"},
        {2, "0123456789abcdef", "tracking was stopped since the last point"},
        {4, "8", "another disk"},
        {5, "1000", "another disk"},
        {6, "1", "another disk"},
        {7, "1", "another disk"},
        {8, "99999999999", "shrank"},
        {9, "2", "not one of this tracking"},
        {9, "18446744073709551615", "not one of this tracking"},
        {9, "-1", "damaged"},
        {14, "77", "past the block layer"},
        {14, "", "damaged"},
    };
    struct loopdisk d;
    struct bdr_track *t = begin(&d, "a", 16 * MIB);
    struct bdr_track_counts counts;
    struct bdr_track_base base;
    char *token = NULL, *other;
    uint64_t a = cut(t);

    (void)state;
    OK(bdr_track_counts(t, &counts));
    OK(bdr_track_token(t, a, &counts, true, &token));
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        other = token_with(token, rows[i].field, rows[i].value);
        FAILS(STALE, rows[i].why, bdr_track_resume(t, other, &base));
        free(other);
    }
    other = token_with(token, 3, "0123456789abcdef"); /* other programs: good, but nothing to compare counts with */
    OK(bdr_track_resume(t, other, &base));
    assert_true(base.seq == a && !base.exact);
    free(other);
    free(token);
    OK(bdr_track_token(t, a, NULL, true, &token));
    OK(bdr_track_resume(t, token, &base));
    assert_false(base.exact); /* there were no counts */
    free(token);
    FAILS(INVAL, "none of", bdr_track_token(t, a + 2, NULL, false, &token));
    FAILS(INVAL, "none of", bdr_track_keep(t, a + 2));
    FAILS(STALE, "not one of this tracking", bdr_track_changed_bytes(t, a + 2, &a));
    FAILS(RANGE, "not within", bdr_track_changes(t, 0, 16 * MIB, 1, told_put, NULL));
    end(&d, t);
}

/* A zram device of our own: it has no requests, so that nothing tells completion. */
static void test_track__disk_without_requests__marked_when_queued(void **state)
{
    struct bdr_track_status *rows = NULL;
    struct bdr_track_counts base, now;
    struct loopdisk d = {.size = 8 * MIB};
    struct bdr_track *t = NULL;
    BDR_AUTO(mem) char *number = NULL;
    char path[64];
    size_t n = 0;
    uint64_t a;
    int64_t missed = -1;
    FILE *f;
    struct bdr_err *err = bdr_os_read_file("/sys/class/zram-control/hot_add", 16, &number, &n);

    (void)state;
    if (err) {
        print_message("    no zram here\n");
        bdr_err_free(err);
        skip();
    }
    number[strcspn(number, "\n")] = 0;
    snprintf(path, sizeof(path), "/sys/block/zram%.8s/disksize", number);
    f = fopen(path, "w");
    assert_true(f && fprintf(f, "%llu", (unsigned long long)d.size) > 0);
    assert_int_equal(fclose(f), 0);
    snprintf(d.dev, sizeof(d.dev), "/dev/zram%.8s", number);
    for (unsigned i = 0; access(d.dev, F_OK) && i < 100; i++)
        OK(bdr_cancel_sleep(NULL, 20));
    d.fd = open(d.dev, O_RDWR | O_DIRECT | O_CLOEXEC);
    assert_true(d.fd >= 0);
    OK(bdr_track_start(d.dev));
    OK(bdr_track_open(d.dev, &t));
    a = cut(t);
    OK(bdr_track_counts(t, &base));
    loopdisk_write(&d, MIB, 4096);
    loopdisk_discard(&d, 2 * MIB, MIB);
    OK(bdr_track_settle(t, 300, NULL));
    assert_string_equal(changes(t, a, &d),
                        "D1048576+65536 D2097152+1048576"); /* it waits for its completion for ever */
    OK(bdr_track_counts(t, &now));
    OK(bdr_track_missed(&base, &now, &missed));
    assert_in_range(-missed, 0, MIB / 512); /* zram does not account for discards */
    OK(bdr_track_list(&rows, &n));
    assert_true(n == 1 && rows[0].queue_only);
    free(rows);
    bdr_track_close(t);
    OK(bdr_track_stop(NULL));
    close(d.fd);
    f = fopen("/sys/class/zram-control/hot_remove", "w");
    assert_true(f && fprintf(f, "%s", number) > 0);
    assert_int_equal(fclose(f), 0);
}

static void test_track__what_is_no_whole_disk__refused_by_name(void **state)
{
    struct loopdisk d;
    struct bdr_track *t = NULL;
    char part[48];

    (void)state;
    FAILS(INVAL, "no block device", bdr_track_start("/dev/null"));
    FAILS(NOTFOUND, "/dev/no-such-disk", bdr_track_start("/dev/no-such-disk"));
    loopdisk_make(&d, &at, "a", 16 * MIB);
    FAILS(NOTFOUND, "", bdr_track_open(d.dev, &t));
    OK(bdr_track_stop(d.dev)); /* not tracked is no error */
    run_ok((const char *const[]){"sh", "-c", "echo ,, | sfdisk -q $0 && partx -a $0 2>/dev/null || :", d.dev, NULL});
    snprintf(part, sizeof(part), "%sp1", d.dev);
    for (unsigned i = 0; access(part, F_OK) && i < 50; i++)
        OK(bdr_cancel_sleep(NULL, 20));
    if (!access(part, F_OK))
        FAILS(UNSUPPORTED, d.dev, bdr_track_start(part));
    run_ok((const char *const[]){"sh", "-c", "partx -d $0 2>/dev/null || :", d.dev, NULL});
    loopdisk_end(&d);
}

/* Through a partition the kernel tells sectors of the disk. */
static void test_track__write_through_a_partition__marked_on_the_disk(void **state)
{
    struct loopdisk d, p;
    struct bdr_track *t = begin(&d, "a", 16 * MIB);
    uint64_t a;

    (void)state;
    run_ok(
        (const char *const[]){"sh", "-c", "echo 2048,,L | sfdisk -q $0 && partx -a $0 2>/dev/null || :", d.dev, NULL});
    p = d;
    snprintf(p.dev, sizeof(p.dev), "%.20sp1", d.dev);
    for (unsigned i = 0; access(p.dev, F_OK) && i < 50; i++)
        OK(bdr_cancel_sleep(NULL, 20));
    p.fd = open(p.dev, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (p.fd < 0) {
        print_message("    loop devices have no partitions here\n");
        end(&d, t);
        skip();
    }
    a = cut(t);
    loopdisk_write(&p, 65536, 4096);
    loopdisk_discard(&p, MIB, 131072);
    assert_string_equal(changes(t, a, &d), "D1114112+65536 Z2097152+131072");
    close(p.fd);
    run_ok((const char *const[]){"sh", "-c", "partx -d $0 2>/dev/null || :", d.dev, NULL});
    end(&d, t);
}

/* 3 GiB in one discard: the longest loops of the programs. */
static void test_track__huge_discard__told_whole(void **state)
{
    struct loopdisk d;
    struct bdr_track *t = begin(&d, "a", 5120 * MIB);
    struct bdr_track_counts base, now;
    uint64_t a = cut(t), bytes = 1;
    int64_t missed = -1;

    (void)state;
    OK(bdr_track_counts(t, &base));
    loopdisk_discard(&d, 512, 5120 * MIB - 1024);
    assert_string_equal(changes(t, a, &d), "D0+65536 Z65536+5368578048 D5368643584+65536");
    OK(bdr_track_changed_bytes(t, a, &bytes));
    assert_int_equal(bytes, 131072);
    OK(bdr_track_counts(t, &now));
    OK(bdr_track_missed(&base, &now, &missed));
    assert_int_equal(missed, 0);
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
        cmocka_unit_test(test_track__token_of_something_else__stale_with_the_reason),
        cmocka_unit_test(test_track__disk_without_requests__marked_when_queued),
        cmocka_unit_test(test_track__what_is_no_whole_disk__refused_by_name),
        cmocka_unit_test(test_track__write_through_a_partition__marked_on_the_disk),
        cmocka_unit_test(test_track__huge_discard__told_whole),
    };
    const char *why = scratch_why_not();

    if (why) {
        printf("%s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
