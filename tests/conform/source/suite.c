/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suite.c - what every source driver promises (src/source/include/bdr/source.h), checked against content that
 * did not come through the driver.
 *
 * Usage: conform-source ROW
 */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "conform.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BUF_BYTES ((size_t)4 << 20)
#define GUARD     0xa5

static struct {
    const struct conform_row *row;
    struct lab lab;
    struct conform_disk disk;
    const uint8_t *ref, *base;
    uint64_t size_bytes;
    uint8_t *buf; /* 4096-aligned, BUF_BYTES and one page */
    bool absent;
} suite;

static struct bdr_source *suite_open(void)
{
    struct bdr_source *src = NULL;

    OK(bdr_source_open(&suite.disk.spec, &src));
    if (suite.row->wrap)
        suite.row->wrap(&src);
    return src;
}

static struct bdr_source_info suite_info(struct bdr_source *src)
{
    struct bdr_source_info info;

    OK(bdr_source_info(src, &info));
    return info;
}

static uint32_t suite_random(uint32_t *rng)
{
    *rng = *rng * 1664525 + 1013904223;
    return *rng >> 8;
}

/* ---- info ---- */

static void test_info__sane(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    struct bdr_source_info info = suite_info(src), again;

    (void)state;
    assert_int_equal(info.size_bytes, suite.size_bytes);
    assert_true(info.sector_bytes == 512 || info.sector_bytes == 4096);
    assert_true(info.align_bytes && !(info.align_bytes & (info.align_bytes - 1)) && info.align_bytes <= 65536);
    assert_in_range(info.max_inflight, 1, 1024);
    assert_in_range(strlen(info.identity), 1, sizeof(info.identity) - 1);
    assert_true(!strcmp(info.consistency, "crash") || !strcmp(info.consistency, "filesystem") ||
                !strcmp(info.consistency, "application") || !strcmp(info.consistency, "inconsistent"));
    assert_true(info.driver[0]);
    assert_int_equal(info.has_changes, suite.disk.base != NULL);
    if (suite.disk.holes)
        assert_true(info.knows_allocation);
    again = suite_info(src);
    assert_memory_equal(&info, &again, sizeof(info));
}

static void test_identity__same_when_opened_again(void **state)
{
    BDR_AUTO(source) struct bdr_source *a = suite_open(), *b = suite_open();
    struct bdr_source_info x = suite_info(a), y = suite_info(b);

    (void)state;
    assert_string_equal(x.identity, y.identity);
}

/* ---- extents ---- */

struct walk {
    uint64_t at, end, zeros, told;
    uint32_t align;
    bool all;
    int last;
};

static struct bdr_err *walk_put(void *ctx, const struct bdr_extent *ext)
{
    struct walk *w = ctx;

    assert_true(ext->len > 0);
    assert_true(ext->kind == BDR_EXTENT_DATA || ext->kind == BDR_EXTENT_ZERO);
    assert_true(ext->off >= w->at && ext->len <= w->end - ext->off);
    if (w->all)
        assert_int_equal(ext->off, w->at);
    if (ext->off == w->at && w->last >= 0)
        assert_int_not_equal(ext->kind, w->last); /* neighbours of one kind come as one */
    if (ext->kind == BDR_EXTENT_ZERO) {
        assert_true(bdr_all_zero(suite.ref + ext->off, ext->len));
        w->zeros += ext->len;
    }
    if (!w->all) /* what is not told is unchanged */
        assert_memory_equal(suite.ref + w->at, suite.base + w->at, ext->off - w->at);
    w->told += ext->len;
    w->at = ext->off + ext->len;
    w->last = (int)ext->kind;
    return NULL;
}

static struct walk walk_range(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len)
{
    struct walk w = {.at = off, .end = off + len, .all = of == BDR_EXTENTS_ALL, .last = -1};

    OK(bdr_source_extents(src, of, off, len, walk_put, &w));
    if (w.all)
        assert_int_equal(w.at, w.end);
    else
        assert_memory_equal(suite.ref + w.at, suite.base + w.at, w.end - w.at);
    return w;
}

static void walk_some(struct bdr_source *src, enum bdr_extents_of of)
{
    uint32_t rng = 7;

    for (int i = 0; i < 50 && suite.size_bytes; i++) {
        uint64_t off = suite_random(&rng) % suite.size_bytes;

        walk_range(src, of, off, 1 + suite_random(&rng) % (suite.size_bytes - off));
    }
    walk_range(src, of, 0, 0);
    walk_range(src, of, suite.size_bytes, 0);
}

static void test_extents_all__cover_exactly_and_zeros_are_zeros(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    struct walk w = walk_range(src, BDR_EXTENTS_ALL, 0, suite.size_bytes);

    (void)state;
    if (suite.disk.holes)
        assert_true(w.zeros > 0);
    if (!suite_info(src).knows_allocation)
        assert_int_equal(w.zeros, 0);
    walk_some(src, BDR_EXTENTS_ALL);
}

static void test_extents_changed__contain_every_changed_byte(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    struct walk none = {0}, w;

    (void)state;
    if (!suite.disk.base) {
        FAILS(UNSUPPORTED, "", bdr_source_extents(src, BDR_EXTENTS_CHANGED, 0, suite.size_bytes, walk_put, &none));
        return;
    }
    w = walk_range(src, BDR_EXTENTS_CHANGED, 0, suite.size_bytes);
    assert_true(w.told > 0);
    assert_true(w.told < suite.size_bytes); /* else it tracks nothing */
    walk_some(src, BDR_EXTENTS_CHANGED);
}

static void test_extents__past_the_end__range(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    struct walk none = {0};

    (void)state;
    FAILS(RANGE, "", bdr_source_extents(src, BDR_EXTENTS_ALL, 0, suite.size_bytes + 1, walk_put, &none));
    FAILS(RANGE, "", bdr_source_extents(src, BDR_EXTENTS_ALL, suite.size_bytes + 1, 0, walk_put, &none));
    FAILS(RANGE, "", bdr_source_extents(src, BDR_EXTENTS_ALL, 1, UINT64_MAX, walk_put, &none));
}

static struct bdr_err *stop_walk(void *ctx, const struct bdr_extent *ext)
{
    (void)ext;
    ++*(int *)ctx;
    BDR_FAIL(BDR_NOSPACE, 0, "enough");
}

static void test_extents__callers_error__stops_the_walk(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    int calls = 0;

    (void)state;
    if (!suite.size_bytes)
        return;
    FAILS(NOSPACE, "enough", bdr_source_extents(src, BDR_EXTENTS_ALL, 0, suite.size_bytes, stop_walk, &calls));
    assert_int_equal(calls, 1);
}

/* ---- read ---- */

/* Reads into buf+shift and looks at the bytes before and behind. */
static void read_checked(struct bdr_source *src, uint64_t off, size_t len, size_t shift)
{
    uint8_t *to = suite.buf + 64 + shift;

    memset(suite.buf, GUARD, 64 + shift);
    memset(to + len, GUARD, 64);
    OK(bdr_source_read(src, off, to, len));
    assert_memory_equal(to, suite.ref + off, len);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(to[-1 - (int)i], GUARD);
        assert_int_equal(to[len + i], GUARD);
    }
}

static void read_aligned(struct bdr_source *src, uint64_t off, size_t len)
{
    OK(bdr_source_read(src, off, suite.buf, len));
    assert_memory_equal(suite.buf, suite.ref + off, len);
}

static void test_read__whole_disk__is_the_reference(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();

    (void)state;
    for (uint64_t off = 0; off < suite.size_bytes; off += BUF_BYTES)
        read_aligned(src, off, BDR_MIN(BUF_BYTES, suite.size_bytes - off));
}

static void test_read__every_size_and_place__is_the_reference(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    uint32_t unit = suite_info(src).align_bytes, rng = 99;
    uint64_t units = suite.size_bytes / unit;

    (void)state;
    for (int i = 0; i < 150 && units; i++) {
        uint64_t off = suite_random(&rng) % units * unit, most = BDR_MIN(suite.size_bytes - off, BUF_BYTES / 2);
        uint64_t len = i % 3 ? unit * (1 + suite_random(&rng) % 9) : suite_random(&rng) % (BUF_BYTES / 2);

        len = BDR_MIN(len / unit * unit, most / unit * unit);
        read_checked(src, off, len, 0);
    }
}

static void test_read__end_of_disk__may_be_ragged(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    uint32_t unit = suite_info(src).align_bytes;

    (void)state;
    for (unsigned back = 0; back < 5; back++) {
        uint64_t units = suite.size_bytes / unit, off = (units > back ? units - back : 0) * unit;

        read_checked(src, off, suite.size_bytes - off, 0);
        read_checked(src, off, suite.size_bytes - off, 3);
    }
    read_checked(src, 0, 0, 0);
    read_checked(src, suite.size_bytes / unit * unit, 0, 0);
}

static void test_read__unaligned_buffer__is_the_reference(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    uint32_t unit = suite_info(src).align_bytes;
    uint64_t len = BDR_MIN(suite.size_bytes / unit * unit, BUF_BYTES / 2);

    (void)state;
    for (size_t shift = 1; shift < 64; shift = shift * 3 + 1)
        read_checked(src, 0, len, shift);
}

static void test_read__past_the_end__range_and_nothing_read(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    uint32_t unit = suite_info(src).align_bytes;
    uint64_t last = suite.size_bytes / unit * unit;
    struct bdr_source_stats stats;

    (void)state;
    memset(suite.buf, GUARD, 65536 * 2);
    FAILS(RANGE, "past the end", bdr_source_read(src, last, suite.buf, suite.size_bytes - last + 1));
    FAILS(RANGE, "past the end", bdr_source_read(src, last, suite.buf, suite.size_bytes - last + unit));
    FAILS(RANGE, "past the end", bdr_source_read(src, suite.size_bytes + unit, suite.buf, unit));
    FAILS(RANGE, "past the end", bdr_source_read(src, UINT64_MAX - unit + 1, suite.buf, unit));
    FAILS(RANGE, "past the end", bdr_source_read(src, 0, suite.buf, SIZE_MAX));
    for (size_t i = 0; i < 65536 * 2; i++)
        assert_int_equal(suite.buf[i], GUARD);
    bdr_source_stats(src, &stats);
    assert_int_equal(stats.reads, 0);
    assert_int_equal(stats.errors, 0);
}

static void test_read__not_in_units__inval(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    uint32_t unit = suite_info(src).align_bytes;

    (void)state;
    if (unit == 1 || suite.size_bytes < 4 * (uint64_t)unit)
        return;
    FAILS(INVAL, "not in units of", bdr_source_read(src, 1, suite.buf, unit));
    FAILS(INVAL, "not in units of", bdr_source_read(src, 0, suite.buf, unit + 1));
    FAILS(INVAL, "not in units of", bdr_source_read(src, unit / 2, suite.buf, unit / 2));
}

/* ---- threads ---- */

struct readers {
    struct bdr_source *src;
    uint32_t unit;
    bool wrong[64];
};

static struct bdr_err *reader_main(void *ctx, unsigned index)
{
    struct readers *r = ctx;
    uint64_t units = suite.size_bytes / r->unit;
    BDR_AUTO(mem) uint8_t *buf = malloc((size_t)1 << 20);
    uint32_t rng = index * 77 + 1;

    BDR_NOMEM_IF_NULL(buf);
    for (int i = 0; i < 60; i++) {
        uint64_t off = suite_random(&rng) % units * r->unit;
        uint64_t len = suite_random(&rng) % ((size_t)1 << 20);

        len = BDR_MIN(len, suite.size_bytes - off) / r->unit * r->unit;
        BDR_TRY(bdr_source_read(r->src, off, buf, len));
        if (memcmp(buf, suite.ref + off, len))
            r->wrong[index] = true;
    }
    return NULL;
}

static void test_read__max_inflight_threads__all_as_the_reference(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();
    struct bdr_source_info info = suite_info(src);
    struct readers r = {.src = src, .unit = info.align_bytes};
    unsigned n = BDR_MIN(info.max_inflight + 2, BDR_COUNT(r.wrong)); /* two more than fit: they wait */
    struct bdr_pool *pool = NULL;

    (void)state;
    if (suite.size_bytes < info.align_bytes)
        return;
    OK(bdr_pool_start("reader", n, reader_main, &r, NULL, &pool));
    walk_range(src, BDR_EXTENTS_ALL, 0, suite.size_bytes); /* one thread may ask for extents meanwhile */
    OK(bdr_pool_join(pool));
    for (unsigned i = 0; i < n; i++)
        assert_false(r.wrong[i]);
}

/* ---- token, check, committed, close ---- */

static void test_token__round_trip__nothing_changed(void **state)
{
    struct bdr_source_spec spec = suite.disk.spec;
    BDR_AUTO(source) struct bdr_source *src = suite_open(), *next = NULL;
    BDR_AUTO(mem) char *token = NULL;
    struct walk w = {.end = suite.size_bytes, .last = -1};
    const uint8_t *was = suite.base;

    (void)state;
    OK(bdr_source_token(src, &token));
    OK(bdr_source_committed(src));
    if (!token)
        return;
    assert_true(*token);
    spec.base_token = token;
    if (suite.row->since) {
        next = suite_open();
        FAILS(STALE, "", bdr_source_since(next, "no token of anybody's"));
        OK(bdr_source_since(next, token));
    } else {
        OK(bdr_source_open(&spec, &next));
    }
    suite.base = suite.ref; /* our content is the base now */
    OK(bdr_source_extents(next, BDR_EXTENTS_CHANGED, 0, suite.size_bytes, walk_put, &w));
    suite.base = was;
    assert_int_equal(w.told, 0);
    bdr_source_close(next);
    next = NULL;
    if (suite.row->since)
        return;
    spec.base_token = "no token of anybody's";
    OK(bdr_source_open(&spec, &next));
    FAILS(STALE, "", bdr_source_extents(next, BDR_EXTENTS_CHANGED, 0, suite.size_bytes, walk_put, &w));
}

static void test_check__unchanged_disk__fine(void **state)
{
    BDR_AUTO(source) struct bdr_source *src = suite_open();

    (void)state;
    OK(bdr_source_check(src));
    OK(bdr_source_committed(src));
}

static void test_close__at_any_time(void **state)
{
    struct bdr_source *src = NULL;
    struct walk none = {0};
    int calls = 0;

    (void)state;
    bdr_source_close(NULL);
    bdr_source_close(suite_open());
    src = suite_open();
    FAILS(RANGE, "", bdr_source_read(src, suite.size_bytes, suite.buf, 65536));
    bdr_source_close(src);
    src = suite_open();
    if (suite.size_bytes)
        FAILS(NOSPACE, "", bdr_source_extents(src, BDR_EXTENTS_ALL, 0, suite.size_bytes, stop_walk, &calls));
    if (!suite.disk.base)
        FAILS(UNSUPPORTED, "", bdr_source_extents(src, BDR_EXTENTS_CHANGED, 0, 0, walk_put, &none));
    bdr_source_close(src);
}

static void test_cancelled__open_fails(void **state)
{
    struct bdr_cancel cancel = {0};
    struct bdr_source_spec spec = suite.disk.spec;
    struct bdr_source *src = NULL;

    (void)state;
    bdr_cancel_set(&cancel);
    spec.cancel = &cancel;
    FAILS(CANCELLED, "", bdr_source_open(&spec, &src));
    assert_null(src);
}

static void test_more__what_this_row_promises(void **state)
{
    (void)state;
    if (suite.row->more)
        suite.row->more(&suite.lab, &suite.disk);
}

/* ---- the frame ---- */

static const uint8_t *suite_map(const char *path, uint64_t *out_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *p;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    *out_size = (uint64_t)st.st_size;
    p = mmap(NULL, (size_t)st.st_size + 1, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(p != MAP_FAILED);
    close(fd);
    return p;
}

static int suite_setup(void **state)
{
    uint64_t base_size = 0;

    (void)state;
    lab_open(&suite.lab);
    if (!suite.row->make(&suite.lab, &suite.disk)) {
        suite.absent = true;
        return -1;
    }
    suite.buf = aligned_alloc(4096, BUF_BYTES + 4096);
    assert_non_null(suite.buf);
    suite.ref = suite_map(suite.disk.ref, &suite.size_bytes);
    if (suite.disk.base) {
        suite.base = suite_map(suite.disk.base, &base_size);
        assert_int_equal(base_size, suite.size_bytes);
    }
    return 0;
}

static int suite_teardown(void **state)
{
    (void)state;
    lab_close(&suite.lab);
    free(suite.buf);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info__sane),
        cmocka_unit_test(test_identity__same_when_opened_again),
        cmocka_unit_test(test_extents_all__cover_exactly_and_zeros_are_zeros),
        cmocka_unit_test(test_extents_changed__contain_every_changed_byte),
        cmocka_unit_test(test_extents__past_the_end__range),
        cmocka_unit_test(test_extents__callers_error__stops_the_walk),
        cmocka_unit_test(test_read__whole_disk__is_the_reference),
        cmocka_unit_test(test_read__every_size_and_place__is_the_reference),
        cmocka_unit_test(test_read__end_of_disk__may_be_ragged),
        cmocka_unit_test(test_read__unaligned_buffer__is_the_reference),
        cmocka_unit_test(test_read__past_the_end__range_and_nothing_read),
        cmocka_unit_test(test_read__not_in_units__inval),
        cmocka_unit_test(test_read__max_inflight_threads__all_as_the_reference),
        cmocka_unit_test(test_token__round_trip__nothing_changed),
        cmocka_unit_test(test_check__unchanged_disk__fine),
        cmocka_unit_test(test_close__at_any_time),
        cmocka_unit_test(test_cancelled__open_fails),
        cmocka_unit_test(test_more__what_this_row_promises),
    };
    int rc;

    for (size_t i = 0; argc == 2 && i < source_rows_n; i++)
        if (!strcmp(argv[1], source_rows[i].name))
            suite.row = &source_rows[i];
    if (!suite.row) {
        fprintf(stderr, "usage: conform-source ROW, with one of:");
        for (size_t i = 0; i < source_rows_n; i++)
            fprintf(stderr, " %s", source_rows[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    rc = cmocka_run_group_tests_name(suite.row->name, tests, suite_setup, suite_teardown);
    return suite.absent ? 77 : rc; /* 77: skipped, by Meson's convention */
}
