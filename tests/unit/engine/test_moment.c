/* SPDX-License-Identifier: Apache-2.0 */
/* test_moment.c - disks that change while they are read: the point is what they were at the moment, whatever happens.
 */
#include "bdr/bytes.h"
#include "engine.h"
#include "mem/live.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1u << 20)

/* A moment that does as it is told. */
struct script {
    struct mem_moment mem;
    unsigned passes;   /* rounds before the last one */
    unsigned ticks;    /* that pass between two rounds */
    unsigned at;       /* next() calls so far */
    unsigned stale_at; /* this call finds the tracker wanting; 0: none */
    unsigned fail_at, kill_at, cancel_at;
    struct bdr_cancel *cancel;
    const char *consistency, *note;
    void (*between)(struct script *s); /* what a test does in each next(), or NULL */
};

static struct bdr_err *script_next(struct bdr_moment *m, enum bdr_moment_step *out)
{
    struct script *s = (struct script *)m;

    s->at++;
    if (s->at == s->kill_at)
        kill(getpid(), SIGKILL);
    if (s->at == s->fail_at)
        BDR_FAIL(BDR_IO, 0, "the freezer is gone");
    if (s->at == s->cancel_at)
        bdr_cancel_set(s->cancel);
    BDR_TRY(bdr_cancel_check(s->cancel));
    if (s->between)
        s->between(s);
    atomic_fetch_add(&s->mem.tick, s->ticks);
    *out = s->at > s->passes ? BDR_MOMENT_FINAL : BDR_MOMENT_PASS;
    if (*out == BDR_MOMENT_FINAL)
        mem_moment_last(&s->mem);
    else
        mem_moment_pass(&s->mem);
    if (s->at == s->stale_at)
        s->mem.stale = "the counters of this disk went backwards";
    return NULL;
}

static void script_report(struct bdr_moment *m, struct bdr_moment_report *out)
{
    static int64_t now = 1234567890122;
    struct script *s = (struct script *)m;

    *out = (struct bdr_moment_report){
        .time_ms = ++now, .passes = s->at, .window_ms = 42, .freezes = 1, .filesystems = 3, .captured_bytes = 65536};
    snprintf(out->consistency, sizeof(out->consistency), "%s", s->consistency ? s->consistency : "filesystem");
    snprintf(out->note, sizeof(out->note), "%s", s->note ? s->note : "");
}

static const struct bdr_moment_driver script_driver = {.name = "script", .next = script_next, .report = script_report};

static struct script script_new(unsigned passes, unsigned ticks)
{
    return (struct script){.mem.base.drv = &script_driver, .passes = passes, .ticks = ticks};
}

#define DISKS 2

static const char *place(unsigned disk, uint64_t gen, const char *rest)
{
    static char text[8][96];
    static unsigned at;
    char *p = text[at++ % 8];

    snprintf(p, sizeof(text[0]), "mem:%u,seed=%u,gen=%llu%s", disk ? 9 * MIB + 4096 : 14 * MIB, disk + 5,
             (unsigned long long)gen, rest);
    return p;
}

/* Both disks, live, behind the wrapper that a real backup has. */
static struct bdr_err *shoot(struct bdr_repo *repo, struct script *s, uint64_t gen, unsigned tick_reads,
                             struct bdr_backup_options *opt, struct bdr_backup_result *out)
{
    static const struct bdr_retry_policy policy = {.attempts = 2, .first_delay_ms = 1, .max_delay_ms = 1};
    struct bdr_backup_disk disk[DISKS] = {{0}};
    struct bdr_source *src[DISKS] = {NULL};
    struct bdr_err *err;
    char live[32];

    snprintf(live, sizeof(live), ",live=%u", tick_reads);
    for (unsigned i = 0; i < DISKS; i++) {
        engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = place(i, gen, live), .moment = &s->mem.base},
                                  &src[i]));
        engine_ok(bdr_source_wrap_retry(&src[i], &policy, NULL));
        disk[i].src = src[i];
    }
    opt->host = "live";
    opt->host_id = "test";
    opt->moment = &s->mem.base;
    opt->workers = 3;
    opt->cancel = s->cancel;
    err = bdr_backup_run(repo, disk, DISKS, opt, out);
    for (unsigned i = 0; i < DISKS; i++)
        bdr_source_close(src[i]);
    return err;
}

static void same_as(struct bdr_repo *repo, const char *point, unsigned index, const char *location)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    BDR_AUTO(mem) uint8_t *want = malloc(65536), *got = malloc(65536);
    struct bdr_disk *disk = NULL;
    struct bdr_source_info info;

    assert_true(want && got);
    engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = location}, &src));
    engine_ok(bdr_source_info(src, &info));
    engine_ok(bdr_disk_open(repo, point, index, NULL, &disk));
    assert_int_equal(bdr_disk_size(disk), info.size_bytes);
    for (uint64_t off = 0; off < info.size_bytes; off += 65536) {
        size_t n = (size_t)BDR_MIN(info.size_bytes - off, (uint64_t)65536);

        engine_ok(bdr_source_read(src, off, want, n));
        engine_ok(bdr_disk_read(disk, off, got, n));
        if (memcmp(want, got, n))
            fail_msg("disk %u differs at %llu", index, (unsigned long long)off);
    }
    bdr_disk_close(disk);
}

static void same_moment(struct bdr_repo *repo, const struct bdr_backup_result *r, const struct script *s, uint64_t gen)
{
    for (unsigned i = 0; i < DISKS; i++)
        same_as(repo, r->point_id, i, place(i, gen + s->mem.final, ""));
}

static void test_moment__any_load__the_point_is_the_moment(void **state)
{
    struct engine *e = *state;
    struct bdr_repo *repo;
    uint64_t gen = 0;

    engine_init(e, false, "none", 131072);
    repo = engine_open(e);
    for (unsigned i = 0; i < 40; i++) {
        struct bdr_backup_options opt = {.audit_pct = i % 3 ? 0.1 : 100};
        struct script s = script_new(i % 5, i % 4);
        struct bdr_backup_result r;

        engine_ok(shoot(repo, &s, gen, i % 7 * 5, &opt, &r));
        assert_int_equal(r.moment.passes, i % 5 + 1);
        assert_int_equal(r.audit_misses, 0); /* what was written meanwhile is no fault of the tracker */
        if (i)
            assert_false(r.full);
        same_moment(repo, &r, &s, gen);
        gen += s.mem.final;
        if (gen > 120) {
            gen = 0; /* a token from the future */
            s = script_new(0, 0);
            engine_ok(shoot(repo, &s, gen, 0, &opt, &r));
            assert_true(r.full);
            assert_non_null(strstr(r.reason, "is not of an earlier generation")); /* the tracker's own words */
        }
    }
    engine_verify_clean(repo);
    bdr_repo_close(repo);
}

static void test_moment__large_blocks__read_only_what_was_set_aside(void **state)
{
    struct engine *e = *state;
    struct bdr_repo *repo;

    engine_init(e, false, "none", MIB);
    repo = engine_open(e);
    for (unsigned i = 0; i < 6; i++) {
        struct bdr_backup_options opt = {0};
        struct script s = script_new(i % 3, 2);
        struct bdr_backup_result r;

        engine_ok(shoot(repo, &s, 0, 1, &opt, &r)); /* each read is a tick */
        same_moment(repo, &r, &s, 0);
        engine_ok(bdr_point_remove(repo, r.point_id));
    }
    bdr_repo_close(repo);
}

static void test_moment__stale_between_passes__compares_everything_and_goes_on(void **state)
{
    struct engine *e = *state;
    struct bdr_repo *repo;

    engine_init(e, false, "none", 65536);
    repo = engine_open(e);
    for (unsigned at = 1; at <= 3; at++) {
        struct bdr_backup_options opt = {0};
        struct script s = script_new(3, 2);
        struct bdr_backup_result r;

        s.stale_at = at;
        engine_ok(shoot(repo, &s, 0, 9, &opt, &r));
        assert_true(r.full);
        if (at > 1)
            assert_int_equal(r.moment.passes, 4);
        assert_non_null(strstr(r.reason, at == 1 ? "first point" : "is not of an earlier"));
        same_moment(repo, &r, &s, 0);
    }
    {
        struct bdr_backup_options opt = {0};
        struct script s = script_new(0, 0);
        struct bdr_backup_result r;

        engine_ok(shoot(repo, &s, 200, 0, &opt, &r));
        s = script_new(3, 2);
        s.stale_at = 2;
        engine_ok(shoot(repo, &s, 200, 9, &opt, &r));
        assert_true(r.full);
        assert_string_equal(r.reason, "the counters of this disk went backwards");
        same_moment(repo, &r, &s, 200);
    }
    bdr_repo_close(repo);
}

static void test_moment__manifest__says_what_was_reached(void **state)
{
    struct engine *e = *state;
    struct bdr_backup_options opt = {0};
    struct script s = script_new(1, 1);
    struct bdr_backup_result r;
    struct bdr_repo *repo;
    struct bdr_point_disk d;
    json_t *point = NULL, *m;

    engine_init(e, false, "none", 65536);
    repo = engine_open(e);
    s.consistency = "inconsistent";
    s.note = "the disks were written faster than they could be read";
    engine_ok(shoot(repo, &s, 0, 0, &opt, &r));
    assert_string_equal(r.consistency, "inconsistent");
    assert_string_equal(r.moment.note, s.note);
    engine_ok(bdr_point_load(repo, r.point_id, &point));
    assert_string_equal(json_string_value(json_object_get(point, "consistency")), "inconsistent");
    assert_int_equal(json_integer_value(json_object_get(point, "time_ms")), r.moment.time_ms);
    m = json_object_get(point, "moment");
    assert_int_equal(json_integer_value(json_object_get(m, "window_ms")), 42);
    assert_int_equal(json_integer_value(json_object_get(m, "passes")), 2);
    assert_string_equal(json_string_value(json_object_get(m, "note")), s.note);
    engine_ok(bdr_point_disk(point, 0, &d));
    assert_string_equal(d.token_kind, "mem"); /* and not the wrapper's name */
    json_decref(point);
    bdr_repo_close(repo);
}

static void test_moment__live_disk_without_moment__is_labelled(void **state)
{
    struct engine *e = *state;
    struct script s = script_new(0, 0);
    struct bdr_backup_disk disk = {0};
    struct bdr_backup_result r;
    struct bdr_repo *repo;

    engine_init(e, false, "none", 65536);
    repo = engine_open(e);
    BDR_AUTO(source) struct bdr_source *src = NULL;
    engine_ok(
        bdr_source_open(&(struct bdr_source_spec){.location = place(0, 0, ",live=3"), .moment = &s.mem.base}, &src));
    disk.src = src;
    engine_ok(bdr_backup_run(repo, &disk, 1, &(struct bdr_backup_options){.host = "x", .host_id = "x"}, &r));
    assert_string_equal(r.consistency, "inconsistent");
    bdr_repo_close(repo);
}

static void test_moment__error_or_cancel__nothing_is_visible(void **state)
{
    struct engine *e = *state;
    struct bdr_point_info *all = NULL;
    struct bdr_repo *repo;
    size_t n = 1;

    engine_init(e, false, "none", 65536);
    repo = engine_open(e);
    for (unsigned at = 1; at <= 3; at++) {
        struct bdr_backup_options opt = {0};
        struct bdr_cancel cancel = {0};
        struct script s = script_new(2, 1);
        struct bdr_backup_result r;

        s.fail_at = at;
        engine_fails(shoot(repo, &s, 0, 5, &opt, &r), BDR_IO);
        s = script_new(2, 1);
        s.cancel_at = at;
        s.cancel = &cancel;
        engine_fails(shoot(repo, &s, 0, 5, &opt, &r), BDR_CANCELLED);
    }
    engine_ok(bdr_repo_points(repo, &all, &n));
    assert_int_equal(n, 0);
    free(all);
    bdr_repo_close(repo);
}

struct killed {
    struct engine *e;
    unsigned at;
};

static int killed_main(void *ctx)
{
    struct killed *k = ctx;
    struct bdr_repo *repo = engine_open(k->e);
    struct bdr_backup_options opt = {0};
    struct script s = script_new(2, 3);
    struct bdr_backup_result r;

    s.kill_at = k->at;
    engine_ok(shoot(repo, &s, 0, 5, &opt, &r));
    bdr_repo_close(repo);
    return 0;
}

static void test_moment__killed_at_each_stage__the_next_point_is_right(void **state)
{
    struct engine *e = *state;

    engine_init(e, true, "lz4", 65536);
    for (unsigned at = 1; at <= 4; at++) { /* 4: not killed */
        struct bdr_backup_options opt = {0};
        struct killed k = {e, at};
        struct script s = script_new(1, 2);
        struct bdr_backup_result r;
        struct bdr_repo *repo;

        assert_int_equal(engine_child(killed_main, &k), at < 4 ? 128 + SIGKILL : 0);
        repo = engine_open(e);
        engine_ok(shoot(repo, &s, 100 * at, 5, &opt, &r));
        assert_int_equal(r.full, at == 1);
        same_moment(repo, &r, &s, 100 * at);
        engine_verify_clean(repo);
        bdr_repo_close(repo);
    }
}

/* ---- a disk of which some can't be read, for a while ---- */

static struct {
    uint64_t bad_off, bad_len;
    uint64_t changed_off, changed_len; /* told in the passes after the first */
} patchy;

static struct bdr_err *patchy_info(struct bdr_source *src, struct bdr_source_info *out)
{
    (void)src;
    out->size_bytes = 4 * MIB;
    out->has_changes = out->live = true;
    snprintf(out->identity, sizeof(out->identity), "patchy");
    return NULL;
}
static struct bdr_err *patchy_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                      bdr_extent_fn fn, void *ctx)
{
    (void)src;
    (void)off;
    (void)len;
    return of == BDR_EXTENTS_ALL || !patchy.changed_len
               ? NULL
               : fn(ctx, &(struct bdr_extent){patchy.changed_off, patchy.changed_len, BDR_EXTENT_DATA});
}
static struct bdr_err *patchy_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    (void)src;
    if (off < patchy.bad_off + patchy.bad_len && off + len > patchy.bad_off)
        BDR_FAIL(BDR_IO, 0, "a scratch");
    memset(buf, 7, len);
    return NULL;
}
static void patchy_close(struct bdr_source *src)
{
    free(src);
}
static const struct bdr_source_driver patchy_driver = {
    .name = "patchy", .info = patchy_info, .extents = patchy_extents, .read = patchy_read, .close = patchy_close};

static void patchy_heals(struct script *s)
{
    if (s->at == 1) { /* half of it is read again and well, elsewhere a new scratch */
        patchy.changed_off = MIB;
        patchy.changed_len = 65536;
        patchy.bad_len = 0;
    } else {
        patchy.bad_off = patchy.changed_off = 3 * MIB;
        patchy.bad_len = 512;
        patchy.changed_len = 4096;
    }
}

static void test_moment__unreadable__the_last_pass_over_a_block_decides(void **state)
{
    struct engine *e = *state;
    struct script s = script_new(1, 0);
    struct bdr_source *src = calloc(1, sizeof(*src));
    struct bdr_backup_disk disk = {.src = src};
    struct bdr_backup_result r;
    struct bdr_repo *repo;
    json_t *point = NULL, *list;

    engine_init(e, false, "none", 65536);
    repo = engine_open(e);
    assert_non_null(src);
    engine_ok(bdr_source_ready(src, &patchy_driver));
    patchy.bad_off = MIB + 65536 - 1024;
    patchy.bad_len = 2048; /* over the border of two blocks */
    patchy.changed_len = 0;
    s.between = patchy_heals;
    engine_ok(bdr_backup_run(repo, &disk, 1,
                             &(struct bdr_backup_options){.host = "x", .host_id = "x", .moment = &s.mem.base}, &r));
    assert_int_equal(r.unreadable_bytes, 1024 + 512);
    assert_int_equal(r.unreadable_ranges, 2);
    engine_ok(bdr_point_load(repo, r.point_id, &point));
    list = json_object_get(json_array_get(json_object_get(point, "disks"), 0), "unreadable");
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(list, 0), 0)), MIB + 65536);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(list, 1), 0)), 3 * MIB);
    json_decref(point);
    bdr_source_close(src);
    bdr_repo_close(repo);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_moment__any_load__the_point_is_the_moment),
        T(test_moment__large_blocks__read_only_what_was_set_aside),
        T(test_moment__stale_between_passes__compares_everything_and_goes_on),
        T(test_moment__manifest__says_what_was_reached),
        T(test_moment__live_disk_without_moment__is_labelled),
        T(test_moment__error_or_cancel__nothing_is_visible),
        T(test_moment__killed_at_each_stage__the_next_point_is_right),
        T(test_moment__unreadable__the_last_pass_over_a_block_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
