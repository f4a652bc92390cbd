/* SPDX-License-Identifier: Apache-2.0 */
/* test_names.c - naming and merging generations against a model that forgets nothing; no kernel needed. */
#include "../source/util.h"
#include "live/track_priv.h"
#include <pthread.h>
#include <stdlib.h>

#define MARKS 203u /* not a multiple of 8 */

struct world {
    _Alignas(8) struct track_head head;
    _Alignas(8) uint8_t marks[MARKS + 8];
    uint64_t last[MARKS]; /* the model: the number a granule was touched in last */
    bool zero[MARKS];     /* and by what */
    uint64_t seed;
    unsigned merges;
};

static uint64_t world_random(struct world *w)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return w->seed;
}

static void world_begin(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->head.names[1] = 1;
    w->head.cbt.gen = 1;
    w->seed = seed;
}

/* What gen_next does, without the kernel's part. */
static uint64_t world_cut(struct world *w)
{
    struct track_head *h = &w->head;
    uint64_t seq = track_names_seq(h);
    uint32_t name = track_names_free(h);

    if (!name) {
        track_names_merge(h, w->marks, MARKS);
        w->merges++;
        name = track_names_free(h);
    }
    assert_true(name);
    for (unsigned i = 0; i < MARKS; i++)
        assert_int_not_equal(w->marks[i] & CBT_NAME, name);
    h->names[name] = seq + 1;
    h->cbt.gen = name;
    return seq;
}

static void world_touch(struct world *w)
{
    unsigned i = (unsigned)(world_random(w) % MARKS);

    w->zero[i] = world_random(w) % 4 == 0;
    w->marks[i] = (uint8_t)(w->head.cbt.gen | (w->zero[i] ? CBT_ZERO : 0));
    w->last[i] = track_names_seq(&w->head);
}

/* Nothing that changed after seq is left out; *out_more: granules that are told and did not change. */
static void world_check(const struct world *w, uint64_t seq, unsigned *out_more)
{
    uint8_t lut[256];

    *out_more = 0;
    track_names_lut(&w->head, seq, lut);
    for (unsigned i = 0; i < MARKS; i++) {
        uint8_t told = lut[w->marks[i]];

        if (w->last[i] > seq && told != (w->zero[i] ? TRACK_ZERO : TRACK_DATA))
            fail_msg("granule %u, touched in %llu, is told as %u after %llu", i, (unsigned long long)w->last[i], told,
                     (unsigned long long)seq);
        *out_more += told && w->last[i] <= seq;
    }
}

static void test_names__two_thousand_generations__kept_ones_stay_exact(void **state)
{
    struct world w;
    uint64_t kept[6] = {0};
    unsigned more;

    (void)state;
    world_begin(&w, 1234567);
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t seq;

        for (unsigned i = (unsigned)(world_random(&w) % 20); i > 0; i--)
            world_touch(&w);
        seq = world_cut(&w);
        if (round % 97 == 0) { /* six repositories, each with a point now and then */
            kept[round / 97 % 6] = seq;
            track_names_keep(&w.head, seq);
        }
        for (unsigned i = 0; i < 6; i++) {
            world_check(&w, kept[i], &more);
            assert_int_equal(more, 0);
        }
        world_check(&w, seq, &more);
        assert_int_equal(more, 0);
        if (seq > 10) {
            world_check(&w, seq - 10, &more); /* young ones are told apart without being kept */
            assert_int_equal(more, 0);
            world_check(&w, seq - seq / 3, &more); /* others only ever tell too much */
        }
    }
    assert_in_range(w.merges, 10, 100); /* a sweep is rare */
}

static void test_names__more_kept_than_room__old_ones_tell_a_little_more_never_less(void **state)
{
    struct world w;
    unsigned more = 0;

    (void)state;
    world_begin(&w, 42);
    for (unsigned round = 0; round < 3000; round++) {
        uint64_t seq;

        world_touch(&w);
        seq = world_cut(&w);
        track_names_keep(&w.head, seq);
        if (round % 50 == 0)
            for (uint64_t ago = 1; ago < seq; ago *= 2) {
                world_check(&w, seq - ago, &more);
                assert_in_range(more, 0, ago < 8 ? 0 : ago / 2); /* one granule a generation: the resolution of age */
            }
    }
    for (unsigned i = 1; i < CBT_KEPT; i++)
        assert_true(w.head.kept[i] > w.head.kept[i - 1]);
}

static void test_names__cut_that_died__name_is_taken_back(void **state)
{
    struct world w;

    (void)state;
    world_begin(&w, 7);
    for (unsigned round = 0; round < 300; round++) {
        uint64_t seq = world_cut(&w);
        uint32_t name = track_names_free(&w.head);

        if (name)
            w.head.names[name] = seq + 2; /* and then nothing: killed before the store of gen */
        track_names_repair(&w.head);
        assert_int_equal(track_names_seq(&w.head), seq + 1);
        assert_int_equal(track_names_free(&w.head), name);
    }
}

static void test_names__mark_without_a_name__counts_as_changed(void **state)
{
    struct world w;
    uint8_t lut[256];

    (void)state;
    world_begin(&w, 7);
    track_names_lut(&w.head, 1, lut);
    assert_int_equal(lut[0], 0);
    assert_int_equal(lut[1], 0);
    assert_int_equal(lut[17], TRACK_DATA);
    assert_int_equal(lut[17 | CBT_ZERO], TRACK_DATA);
    assert_int_equal(lut[CBT_ZERO], TRACK_DATA);
    track_names_lut(&w.head, 0, lut);
    assert_int_equal(lut[1 | CBT_ZERO], TRACK_ZERO);
    assert_int_equal(lut[1 | CBT_PENDING], TRACK_DATA);
}

/* The kernel's part of a race with merging: stores of the running name, one after the other through the marks. */
#define RACE_MARKS (256u << 10)
struct racer {
    struct track_head *head;
    uint8_t *marks;
    unsigned rounds; /* through all marks */
};
static void *race_run(void *ctx)
{
    struct racer *r = ctx;

    for (unsigned round = 0; round < r->rounds; round++)
        for (unsigned i = 0; i < RACE_MARKS; i++)
            __atomic_store_n(&r->marks[i], (uint8_t)TRACK_LOAD(&r->head->cbt.gen), __ATOMIC_RELAXED);
    return NULL;
}

static void test_names__merge_while_marks_are_stored__loses_none(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    uint8_t *marks = aligned_alloc(64, RACE_MARKS);

    (void)state;
    assert_true(w && marks);
    for (unsigned round = 0; round < 40; round++) {
        struct racer r = {&w->head, marks, 3};
        pthread_t thread;
        uint8_t lut[256];

        world_begin(w, round + 1);
        for (unsigned i = 0; i < 40; i++)
            world_cut(w);
        memset(marks, 1, RACE_MARKS);
        assert_int_equal(pthread_create(&thread, NULL, race_run, &r), 0);
        track_names_merge(&w->head, marks, RACE_MARKS);
        pthread_join(thread, NULL);
        track_names_lut(&w->head, track_names_seq(&w->head) - 1, lut);
        for (unsigned i = 0; i < RACE_MARKS; i++)
            if (lut[marks[i]] != TRACK_DATA) /* whoever stored the running name keeps it */
                fail_msg("mark %u was stored and relabelled: %u", i, marks[i]);
    }
    free(marks);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names__two_thousand_generations__kept_ones_stay_exact),
        cmocka_unit_test(test_names__more_kept_than_room__old_ones_tell_a_little_more_never_less),
        cmocka_unit_test(test_names__cut_that_died__name_is_taken_back),
        cmocka_unit_test(test_names__mark_without_a_name__counts_as_changed),
        cmocka_unit_test(test_names__merge_while_marks_are_stored__loses_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
