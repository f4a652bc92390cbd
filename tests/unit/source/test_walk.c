/* SPDX-License-Identifier: Apache-2.0 */
#include "source_priv.h"
#include "util.h"

static const char *walk_text(struct told *told, uint64_t off, uint64_t len, uint32_t align, bool fill,
                             const struct bdr_extent *ext, size_t n)
{
    struct source_walk w;

    *told = (struct told){0};
    source_walk_init(&w, off, len, align, fill, told_put, told);
    for (size_t i = 0; i < n; i++)
        OK(source_walk_put(&w, &ext[i]));
    OK(source_walk_end(&w));
    return told->text;
}
#define E_(k, o, l) ((struct bdr_extent){.off = (o), .len = (l), .kind = BDR_EXTENT_##k})
#define WALK(off, len, align, fill, ...)                                                                               \
    walk_text(&told, off, len, align, fill, (const struct bdr_extent[]){__VA_ARGS__},                                  \
              BDR_COUNT(((const struct bdr_extent[]){__VA_ARGS__})))

static void test_walk__nothing_told__all_is_data(void **state)
{
    struct told told;

    (void)state;
    assert_string_equal(WALK(0, 4096, 512, true, E_(DATA, 0, 0)), "D0+4096");
    assert_string_equal(WALK(0, 4096, 512, false, E_(DATA, 0, 0)), "");
}

static void test_walk__gaps_and_neighbours__filled_and_merged(void **state)
{
    struct told told;

    (void)state;
    assert_string_equal(WALK(0, 4096, 512, true, E_(ZERO, 512, 512), E_(ZERO, 1024, 512), E_(DATA, 2048, 512)),
                        "D0+512 Z512+1024 D1536+2560");
    assert_string_equal(WALK(0, 4096, 512, false, E_(DATA, 512, 512), E_(DATA, 1024, 512), E_(DATA, 2048, 512)),
                        "D512+1024 D2048+512");
}

static void test_walk__kinds_meet_inside_a_unit__unit_is_data(void **state)
{
    struct told told;

    (void)state;
    /* Hole until 700, data until 1300, hole until the end. */
    assert_string_equal(WALK(0, 4096, 512, true, E_(ZERO, 0, 700), E_(DATA, 700, 600), E_(ZERO, 1300, 2796)),
                        "Z0+512 D512+1024 Z1536+2560");
    /* Two short zero runs around an unchanged byte: the unit is changed and not all zeros. */
    assert_string_equal(WALK(0, 4096, 512, false, E_(ZERO, 0, 100), E_(ZERO, 101, 411)), "D0+512");
    assert_string_equal(WALK(0, 4096, 512, false, E_(ZERO, 0, 100), E_(ZERO, 100, 412)), "Z0+512");
    assert_string_equal(WALK(0, 4096, 512, false, E_(DATA, 1023, 2)), "D512+1024");
}

static void test_walk__end_of_disk_is_odd__last_unit_is_cut(void **state)
{
    struct told told;

    (void)state;
    assert_string_equal(WALK(0, 1000, 512, true, E_(DATA, 0, 512), E_(ZERO, 512, 488)), "D0+512 Z512+488");
    assert_string_equal(WALK(0, 1000, 512, false, E_(DATA, 999, 1)), "D512+488");
}

static void test_walk__range_inside__extents_are_cut(void **state)
{
    struct told told;

    (void)state;
    assert_string_equal(WALK(1024, 1024, 512, true, E_(ZERO, 0, 512), E_(ZERO, 600, 1000), E_(DATA, 1600, 9999)),
                        "Z1024+512 D1536+512");
    assert_string_equal(WALK(700, 100, 512, true, E_(ZERO, 0, 4096)), "Z700+100");
    assert_string_equal(WALK(700, 1000, 512, false, E_(DATA, 1600, 1)), "D1536+164");
}

static void test_walk__driver_goes_backwards__internal(void **state)
{
    struct told told = {0};
    struct source_walk w;

    (void)state;
    source_walk_init(&w, 0, 4096, 512, true, told_put, &told);
    OK(source_walk_put(&w, &E_(DATA, 1024, 512)));
    FAILS(INTERNAL, "out of order", source_walk_put(&w, &E_(DATA, 1000, 512)));
    FAILS(INTERNAL, "wraps", source_walk_put(&w, &E_(DATA, 4096, UINT64_MAX)));
}

/* Random runs against a byte-wise model: slow, obvious, and of another shape than the code. */
static void test_walk__random_runs__as_the_model(void **state)
{
    enum { SIZE = 300, ALIGN = 16 };
    uint32_t rng = 12345;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        char model[SIZE], got[SIZE];
        struct bdr_extent ext[40];
        struct told told;
        bool fill = round & 1;
        size_t n = 0;
        unsigned lo, len;

        memset(model, fill ? 'D' : '.', sizeof(model));
        for (unsigned at = 0; n < 40;) {
            rng = rng * 1664525 + 1013904223;
            at += (rng >> 8) % 3 ? 0 : (rng >> 12) % 40;
            len = 1 + (rng >> 20) % 40;
            if (at + len > SIZE)
                break;
            ext[n] = (struct bdr_extent){at, len, (rng >> 30) & 1 ? BDR_EXTENT_ZERO : BDR_EXTENT_DATA};
            memset(model + at, ext[n].kind == BDR_EXTENT_ZERO ? 'Z' : 'D', len);
            at += len;
            n++;
        }
        lo = (rng >> 4) % 100;
        len = 1 + (rng >> 9) % (SIZE - lo);
        for (unsigned cell = lo / ALIGN * ALIGN; cell < lo + len; cell += ALIGN) {
            unsigned a = BDR_MAX(cell, lo), b = BDR_MIN(cell + ALIGN, lo + len);

            for (unsigned i = a; i < b; i++)
                if (model[i] != model[a]) {
                    memset(model + a, 'D', b - a);
                    break;
                }
        }
        walk_text(&told, lo, len, ALIGN, fill, ext, n);
        memset(got, '.', sizeof(got));
        for (char *p = told.text; *p;) {
            unsigned o = 0, l = 0;
            char kind = 0;
            int used = 0;

            assert_int_equal(sscanf(p, "%c%u+%u %n", &kind, &o, &l, &used), 3);
            assert_true(l > 0 && o >= lo && o + l <= lo + len);
            memset(got + o, kind, l);
            p += used;
        }
        assert_memory_equal(got + lo, model + lo, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk__nothing_told__all_is_data),
        cmocka_unit_test(test_walk__gaps_and_neighbours__filled_and_merged),
        cmocka_unit_test(test_walk__kinds_meet_inside_a_unit__unit_is_data),
        cmocka_unit_test(test_walk__end_of_disk_is_odd__last_unit_is_cut),
        cmocka_unit_test(test_walk__range_inside__extents_are_cut),
        cmocka_unit_test(test_walk__driver_goes_backwards__internal),
        cmocka_unit_test(test_walk__random_runs__as_the_model),
    };

    return cmocka_run_group_tests_name("source walk", tests, NULL, NULL);
}
