/* SPDX-License-Identifier: Apache-2.0 */
/* test_schedule.c - what the console begins by itself: runs of hosts, care of repositories; on both engines. */
#include "bdr/pool.h"
#include "scene.h"
#include "watch/watch.h"

/* ---- runs ---- */

static void test_schedule__a_protected_host__runs_at_its_times_and_once(void **state)
{
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;
    struct scene s;

    RIG_OF(state, r);
    s = scene_make(r);
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    assert_int_equal(scene_jobs(r, "sync", &row), 1);
    assert_int_equal(row->host_id.v, s.host);
    assert_int_equal(row->platform_id.v, s.platform);
    assert_int_equal(row->repository_id.v, s.repository);
    assert_string_equal(row->origin, "policy");
    assert_int_equal(row->max_tries, 4);
    assert_true(row->writes);
    /* it runs: nothing new, however long */
    check_ok(bdr_tick_all(r->console, SITE_NOW + 35 * SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "sync"), 1);
    /* it ended; three times passed meanwhile: one run catches up, the next is on the grid again */
    scene_job_ends(r, row->id, "done", "{}", SITE_NOW + 36 * SCENE_MINUTE);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 36 * SCENE_MINUTE));
    free(BDR_STEAL(row));
    assert_int_equal(scene_jobs(r, "sync", &row), 2);
    assert_int_equal(row->due_ms, SITE_NOW + 30 * SCENE_MINUTE);
    scene_job_ends(r, row->id, "done", "{}", SITE_NOW + 37 * SCENE_MINUTE);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 39 * SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "sync"), 2);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 40 * SCENE_MINUTE + 500));
    free(BDR_STEAL(row));
    assert_int_equal(scene_jobs(r, "sync", &row), 3);
    assert_int_equal(row->due_ms, SITE_NOW + 40 * SCENE_MINUTE);
}

static void test_schedule__paused_unprotected_or_busy_hosts__are_left_alone(void **state)
{
    struct scene s;

    RIG_OF(state, r);
    s = scene_make(r);
    scene_sql(r, "UPDATE host SET paused = 1 WHERE id = %lld", (long long)s.host);
    site_host(r->bed, s.platform, "vm-2");
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    assert_int_equal(scene_job_count(r, "sync"), 0);
    scene_sql(r, "UPDATE host SET paused = 0 WHERE id = %lld", (long long)s.host);
    site_job(r->bed, s.platform, s.host, 1); /* a person started one */
    check_ok(bdr_tick_all(r->console, SITE_NOW + SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "sync"), 1);
    scene_sql(r, "UPDATE job SET state = 'done', ended_ms = %lld", (long long)(SITE_NOW + SCENE_MINUTE));
    check_ok(bdr_tick_all(r->console, SITE_NOW + 2 * SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "sync"), 2);
    scene_sql(r, "UPDATE job SET state = 'done', ended_ms = %lld", (long long)(SITE_NOW + 2 * SCENE_MINUTE));
    scene_sql(r, "UPDATE host SET state = 'registered', policy_id = NULL, next_ms = NULL WHERE id = %lld",
              (long long)s.host);
    check_ok(bdr_tick_all(r->console, SITE_NOW + SCENE_HOUR));
    assert_int_equal(scene_job_count(r, "sync"), 2);
}

static void test_schedule__a_changed_policy__is_obeyed_at_once(void **state)
{
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;
    struct scene s;

    RIG_OF(state, r);
    s = scene_make(r);
    scene_sql(r, "UPDATE policy SET interval_ms = 86400000 WHERE id = %lld", (long long)s.policy);
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    assert_int_equal(scene_jobs(r, "sync", &row), 1);
    scene_job_ends(r, row->id, "done", "{}", SITE_NOW + 1);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 5 * SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "sync"), 1);
    scene_sql(r, "UPDATE policy SET interval_ms = 60000, changed_ms = %lld WHERE id = %lld",
              (long long)(SITE_NOW + 6 * SCENE_MINUTE), (long long)s.policy);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 7 * SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "sync"), 2);
}

static void test_schedule__a_window__keeps_runs_inside_and_on_their_grid(void **state)
{
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;
    /* SITE_NOW is 2027-01-15 08:00 UTC, a Friday */
    const int64_t ten = SITE_NOW + 2 * SCENE_HOUR;
    int64_t policy;
    struct scene s;

    RIG_OF(state, r);
    s = scene_make(r);
    policy = scene_policy_add(r->bed, "morning", 10 * SCENE_MINUTE, "* 10:00-11:00");
    scene_sql(r, "UPDATE host SET policy_id = %lld WHERE id = %lld", (long long)policy, (long long)s.host);
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    check_ok(bdr_tick_all(r->console, ten - SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "sync"), 0);
    for (int i = 0; i < 7; i++) {
        check_ok(bdr_tick_all(r->console, ten + i * 10 * SCENE_MINUTE + 700));
        scene_sql(r, "UPDATE job SET state = 'done', ended_ms = %lld WHERE state = 'ready'",
                  (long long)(ten + i * 10 * SCENE_MINUTE + 900));
    }
    /* 10:00, 10:10, ... 10:50; 11:00 is outside. A drift would have lost one. */
    assert_int_equal(scene_jobs(r, "sync", &row), 6);
}

struct two {
    struct bdr_console *c[2];
    int64_t now;
};
static struct bdr_err *two_tick(void *ctx, unsigned index)
{
    struct two *t = ctx;

    for (int i = 0; i < 3; i++)
        BDR_TRY(bdr_tick_all(t->c[index], t->now));
    return NULL;
}

static void test_schedule__two_consoles__make_one_run_of_each_host(void **state)
{
    struct two t = {.now = SITE_NOW};
    struct bdr_cancel cancel = {0};
    struct bdr_pool *pool = NULL;
    struct scene s;
    char ref[16], folder[128];

    RIG_OF(state, r);
    s = scene_make(r);
    for (int i = 0; i < 60; i++) {
        snprintf(ref, sizeof(ref), "many-%d", i);
        scene_host_add(r->bed, s.platform, ref, s.policy, s.repository);
    }
    t.c[0] = r->console;
    rig_folder(r, "other", true, folder);
    check_ok(rig_console(r, folder, false, &t.c[1]));
    for (int round = 1; round <= 3; round++) {
        check_ok(bdr_pool_start("two", 2, two_tick, &t, &cancel, &pool));
        check_ok(bdr_pool_join(pool));
        assert_int_equal(scene_job_count(r, "sync"), 61 * round);
        assert_int_equal(scene_job_count(r, "prune"), 1); /* one a day, whoever asks */
        t.now += 10 * SCENE_MINUTE;
        scene_beat(r, t.now);
        scene_sql(r, "UPDATE job SET state = 'done', ended_ms = %lld WHERE state = 'ready'", (long long)t.now - 1);
    }
    bdr_console_stop(t.c[1]);
}

/* ---- care ---- */

static void test_care__a_repository__is_pruned_daily_and_verified_weekly(void **state)
{
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;
    struct scene s;
    json_t *params;

    RIG_OF(state, r);
    s = scene_make(r);
    for (int i = 0; i < 2; i++)
        scene_sql(r,
                  "INSERT INTO point (host_id, repository_id, ref, taken_ms, kind, consistency, disk_bytes, held) "
                  "VALUES (%lld, %lld, '%s', 1, 'full', 'crash', 1, %d)",
                  (long long)s.host, (long long)s.repository, i ? "precious" : "any", i);
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    assert_int_equal(scene_jobs(r, "prune", &row), 1);
    assert_int_equal(row->machine_id.v, s.gateway);
    assert_int_equal(row->repository_id.v, s.repository);
    params = json_loads(row->params, 0, NULL);
    assert_string_equal(rig_at(params, "/rules/0/retention"), "daily=7");
    assert_int_equal(rig_int(params, "/rules/0/hosts/0"), s.host);
    assert_string_equal(rig_at(params, "/keep/0"), "precious");
    assert_string_equal(rig_at(params, "/keep/1"), "");
    json_decref(params);
    scene_sql(r, "UPDATE job SET state = 'done', ended_ms = %lld", (long long)SITE_NOW);
    check_ok(bdr_watch_care(r->console, SITE_NOW + SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "verify"), 1);
    scene_sql(r, "UPDATE job SET state = 'done', ended_ms = %lld", (long long)SITE_NOW);
    check_ok(bdr_watch_care(r->console, SITE_NOW + 19 * SCENE_HOUR));
    assert_int_equal(scene_job_count(r, "prune"), 1);
    /* from 20 hours on, but not while a host writes */
    site_job(r->bed, s.platform, s.host, 1);
    scene_sql(r, "UPDATE job SET state = 'running', repository_id = %lld WHERE state = 'ready'",
              (long long)s.repository);
    check_ok(bdr_watch_care(r->console, SITE_NOW + 21 * SCENE_HOUR));
    assert_int_equal(scene_job_count(r, "prune"), 1);
    check_ok(bdr_watch_care(r->console, SITE_NOW + 24 * SCENE_HOUR));
    assert_int_equal(scene_job_count(r, "prune"), 2);
    /* little space: sooner */
    scene_sql(r, "UPDATE job SET state = 'done', ended_ms = %lld", (long long)SITE_NOW);
    scene_sql(r, "UPDATE repository SET used_bytes = 90, free_bytes = 10");
    check_ok(bdr_watch_care(r->console, SITE_NOW + 29 * SCENE_HOUR));
    assert_int_equal(scene_job_count(r, "prune"), 3);
    /* policies that keep all need no pruning */
    scene_sql(r, "UPDATE job SET state = 'done', ended_ms = %lld", (long long)SITE_NOW);
    scene_sql(r, "UPDATE policy SET retention = ''");
    check_ok(bdr_watch_care(r->console, SITE_NOW + 60 * SCENE_HOUR));
    assert_int_equal(scene_job_count(r, "prune"), 3);
    check_ok(bdr_watch_care(r->console, SITE_NOW + 8 * SCENE_DAY));
    check_ok(bdr_watch_care(r->console, SITE_NOW + 8 * SCENE_DAY + SCENE_MINUTE));
    assert_int_equal(scene_job_count(r, "verify"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_schedule__a_protected_host__runs_at_its_times_and_once),
        RIG(test_schedule__paused_unprotected_or_busy_hosts__are_left_alone),
        RIG(test_schedule__a_changed_policy__is_obeyed_at_once),
        RIG(test_schedule__a_window__keeps_runs_inside_and_on_their_grid),
        RIG_PG(test_schedule__two_consoles__make_one_run_of_each_host),
        RIG(test_care__a_repository__is_pruned_daily_and_verified_weekly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
