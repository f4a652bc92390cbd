/* SPDX-License-Identifier: Apache-2.0 */
/* test_watch.c - what the console sees by itself: alarms, what ended jobs tell, series, its stream; on both engines. */
#include "bdr/pool.h"
#include "scene.h"
#include "watch/alarm.h"
#include "watch/watch.h"

/* ---- alarms ---- */

static void test_alarm__a_missed_rpo__stands_once_and_clears_itself(void **state)
{
    struct scene s;
    char path[64];
    json_t *v;

    RIG_OF(state, r);
    s = scene_make(r);
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    check_ok(bdr_tick_all(r->console, SITE_NOW + 20 * SCENE_MINUTE)); /* twice the interval: just not yet */
    assert_int_equal(scene_standing(r, "rpo.missed"), 0);
    for (int i = 1; i < 5; i++)
        check_ok(bdr_tick_all(r->console, SITE_NOW + (20 + i) * SCENE_MINUTE));
    v = scene_alarms(r, "?kind=rpo.missed");
    assert_int_equal(json_array_size(json_object_get(v, "items")), 1);
    assert_int_equal(rig_int(v, "/items/0/times"), 1);
    assert_int_equal(rig_int(v, "/items/0/object_id"), s.host);
    assert_string_equal(rig_at(v, "/items/0/severity"), "critical");
    assert_non_null(strstr(rig_at(v, "/items/0/text"),
                           "vm-1 has no recovery point newer than 2027-01-15 08:00 UTC; one every 20 min"));
    snprintf(path, sizeof(path), "/v1/alarms/%s/ack", rig_at(v, "/items/0/id"));
    json_decref(v);
    v = scene_alarms(r, "?kind=rpo.missed&lang=zh");
    assert_non_null(strstr(rig_at(v, "/items/0/text"), "主机vm-1"));
    json_decref(v);
    json_decref(rig_want(r, r->viewer, 403, "POST", path, NULL));
    json_decref(rig_want(r, NULL, 401, "POST", path, NULL));
    v = rig_want(r, r->operator_, 200, "POST", path, NULL);
    assert_string_equal(rig_at(v, "/acked_by"), "rig-operator");
    assert_string_equal(rig_at(v, "/standing"), "true");
    json_decref(v);
    json_decref(rig_want(r, r->operator_, 409, "POST", path, NULL));
    json_decref(rig_want(r, r->operator_, 404, "POST", "/v1/alarms/999/ack", NULL));
    v = scene_alarms(r, "?acked=false&kind=rpo.missed");
    assert_int_equal(json_array_size(json_object_get(v, "items")), 0);
    json_decref(v);
    scene_sql(r, "UPDATE host SET last_point_ms = %lld", (long long)(SITE_NOW + 25 * SCENE_MINUTE));
    check_ok(bdr_tick_all(r->console, SITE_NOW + 26 * SCENE_MINUTE));
    assert_int_equal(scene_standing(r, "rpo.missed"), 0);
    v = scene_alarms(r, "?state=cleared&kind=rpo.missed&object=host");
    assert_int_equal(json_array_size(json_object_get(v, "items")), 1);
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/events?object=host", NULL);
    assert_string_equal(rig_at(v, "/items/0/kind"), "alarm.cleared");
    assert_string_equal(rig_at(v, "/items/1/kind"), "alarm.acknowledged");
    assert_string_equal(rig_at(v, "/items/2/kind"), "alarm.raised");
    json_decref(v);
    json_decref(rig_want(r, r->viewer, 422, "GET", "/v1/alarms?severity=loud", NULL));
}

static void test_alarm__a_failed_job__counts_and_clears_with_the_next_good_one(void **state)
{
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;
    struct scene s;
    json_t *v;

    RIG_OF(state, r);
    s = scene_make(r);
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    assert_int_equal(scene_jobs(r, "sync", &row), 1);
    scene_job_ends(r, row->id, "failed", "", SITE_NOW + SCENE_MINUTE);
    check_ok(bdr_tick_all(r->console, SITE_NOW + SCENE_MINUTE));
    check_ok(bdr_tick_all(r->console, SITE_NOW + 2 * SCENE_MINUTE));
    v = scene_alarms(r, "?kind=job.failed");
    assert_int_equal(rig_int(v, "/items/0/times"), 1);
    assert_int_equal(rig_int(v, "/items/0/object_id"), s.host);
    assert_non_null(strstr(rig_at(v, "/items/0/text"), "The sync of vm-1 failed at try 4: the disk is on fire"));
    json_decref(v);
    for (int i = 1; i <= 2; i++) {
        check_ok(bdr_tick_all(r->console, SITE_NOW + i * 10 * SCENE_MINUTE + 1000));
        free(BDR_STEAL(row));
        assert_int_equal(scene_jobs(r, "sync", &row), 1 + i);
        scene_job_ends(r, row->id, i == 1 ? "failed" : "done", "", SITE_NOW + i * 10 * SCENE_MINUTE + SCENE_MINUTE);
        check_ok(bdr_tick_all(r->console, SITE_NOW + i * 10 * SCENE_MINUTE + 2 * SCENE_MINUTE));
        v = scene_alarms(r, "?kind=job.failed&state=all");
        assert_int_equal(rig_int(v, "/items/0/times"), 2);
        assert_string_equal(rig_at(v, "/items/0/standing"), i == 1 ? "true" : "false");
        json_decref(v);
    }
    v = rig_want(r, r->viewer, 200, "GET", "/v1/events?kind=job.failed", NULL);
    assert_int_equal(json_array_size(json_object_get(v, "items")), 2);
    json_decref(v);
}

static void test_alarm__silent_machines__are_told_by_kind(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    scene_make(r);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 90000));
    assert_int_equal(scene_standing(r, "machine.silent"), 0);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 2 * SCENE_MINUTE));
    assert_int_equal(scene_standing(r, "machine.silent"), 2);
    v = scene_alarms(r, "?kind=machine.silent&severity=critical");
    assert_non_null(strstr(rig_at(v, "/items/0/text"), "The gateway g1"));
    json_decref(v);
    scene_beat(r, SITE_NOW + 3 * SCENE_MINUTE);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 3 * SCENE_MINUTE));
    assert_int_equal(scene_standing(r, "machine.silent"), 0);
}

static void test_alarm__space__rises_in_three_steps_and_does_not_flap(void **state)
{
    static const struct {
        int used;
        const char *severity; /* "": none */
    } steps[] = {{79, ""}, {80, "info"}, {79, "info"}, {91, "warning"}, {96, "critical"}, {92, "warning"}, {77, ""}};
    struct scene s;
    json_t *v;

    RIG_OF(state, r);
    s = scene_make(r);
    for (size_t i = 0; i < BDR_COUNT(steps); i++) {
        scene_sql(r, "UPDATE repository SET used_bytes = %d, free_bytes = %d WHERE id = %lld", steps[i].used,
                  100 - steps[i].used, (long long)s.repository);
        check_ok(bdr_watch_conditions(r->console, SITE_NOW + (int64_t)i * SCENE_MINUTE));
        v = scene_alarms(r, "?kind=space.low");
        assert_string_equal(rig_at(v, "/items/0/severity"), steps[i].severity);
        json_decref(v);
    }
}

static void test_alarm__no_room__stands_while_runs_wait(void **state)
{
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;
    struct scene s;
    json_t *v;

    RIG_OF(state, r);
    s = scene_make(r);
    json_decref(rig_want(r, r->operator_, 202, "POST", "/v1/hosts/1/sync", "{}"));
    assert_int_equal(scene_jobs(r, "sync", &row), 1);
    check_ok(bdr_watch_conditions(r->console, SITE_NOW));
    assert_int_equal(scene_standing(r, "space.out"), 0);
    scene_sql(r, "UPDATE job SET error_code = 'NOSPACE', error_text = 'the disk is full', tries = 3, due_ms = %lld",
              (long long)(bdr_clock_wall_ms() + SCENE_HOUR));
    check_ok(bdr_watch_conditions(r->console, SITE_NOW + SCENE_MINUTE));
    v = scene_alarms(r, "?kind=space.out");
    assert_string_equal(rig_at(v, "/items/0/severity"), "critical");
    assert_int_equal(rig_int(v, "/items/0/object_id"), s.repository);
    assert_non_null(strstr(rig_at(v, "/items/0/text"), "/srv/main"));
    assert_non_null(strstr(rig_at(v, "/items/0/text"), "vm-1"));
    assert_non_null(strstr(rig_at(v, "/items/0/text"), "the disk is full"));
    json_decref(v);
    /* who made room need not wait for the back-off's end */
    v = rig_want(r, r->operator_, 202, "POST", "/v1/hosts/1/sync", "{}");
    assert_int_equal(rig_int(v, "/id"), row->id);
    json_decref(v);
    json_decref(rig_want(r, r->operator_, 409, "POST", "/v1/hosts/1/sync", "{}"));
    scene_job_ends(r, row->id, "done", "", SITE_NOW + SCENE_MINUTE);
    check_ok(bdr_watch_conditions(r->console, SITE_NOW + 2 * SCENE_MINUTE));
    assert_int_equal(scene_standing(r, "space.out"), 0);
}

static void test_alarm__growth__is_foretold(void **state)
{
    struct scene s;
    json_t *v;

    RIG_OF(state, r);
    s = scene_make(r);
    /* 10 GiB a day, 50 GiB are left */
    for (int h = 0; h < 72; h++) {
        scene_sql(r, "UPDATE repository SET used_bytes = %lld, free_bytes = %lld, measured_ms = %lld",
                  (long long)((INT64_C(100) << 30) + h * (INT64_C(10) << 30) / 24), (long long)(INT64_C(50) << 30),
                  (long long)(SITE_NOW + h * SCENE_HOUR));
        check_ok(bdr_watch_series(r->console, SITE_NOW + h * SCENE_HOUR + SCENE_MINUTE));
    }
    check_ok(bdr_watch_slow_conditions(r->console, SITE_NOW + 72 * SCENE_HOUR));
    v = scene_alarms(r, "?kind=space.forecast");
    assert_string_equal(rig_at(v, "/items/0/severity"), "warning");
    assert_in_range(rig_int(v, "/items/0/values/days"), 4, 5);
    assert_int_equal(rig_int(v, "/items/0/object_id"), s.repository);
    json_decref(v);
    scene_sql(r, "UPDATE repository SET free_bytes = %lld", (long long)(INT64_C(500) << 30));
    check_ok(bdr_watch_slow_conditions(r->console, SITE_NOW + 73 * SCENE_HOUR));
    assert_int_equal(scene_standing(r, "space.forecast"), 0);
}

static void test_change_unusual__is_eight_times_the_median_and_much(void **state)
{
    const int64_t mib = INT64_C(1) << 20;
    int64_t before[20], usual = 0;

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(before); i++)
        before[i] = (100 + (int64_t)i) * mib;
    assert_false(bdr_change_unusual(before, 7, 100000 * mib, &usual)); /* too few to say */
    assert_false(bdr_change_unusual(before, 20, 800 * mib, &usual));
    assert_int_equal(usual, 110 * mib);
    assert_true(bdr_change_unusual(before, 20, 900 * mib, &usual));
    for (size_t i = 0; i < BDR_COUNT(before); i++)
        before[i] = 1000;
    assert_false(bdr_change_unusual(before, 20, 200 * mib, &usual)); /* a log that was rotated */
    assert_true(bdr_change_unusual(before, 20, 300 * mib, &usual));
}

/* A run of the host ended with this result at minute `at`. */
static void run_ends(struct rig *r, const struct scene *s, const char *result, int64_t at)
{
    int64_t id = site_job(r->bed, s->platform, s->host, 1);

    scene_job_ends(r, id, "done", result, SITE_NOW + at * SCENE_MINUTE);
    check_ok(bdr_watch_ended(r->console, SITE_NOW + at * SCENE_MINUTE));
}

static void test_ended__results__tell_of_ransomware_and_broken_trackers(void **state)
{
    struct scene s;
    json_t *v;

    RIG_OF(state, r);
    s = scene_make(r);
    for (int i = 0; i < 10; i++)
        run_ends(r, &s,
                 "{\"changed_bytes\":104857600,\"read_bytes\":104857600,\"audited_blocks\":16,\"audit_misses\":0}", i);
    assert_int_equal(scene_standing(r, "change.unusual"), 0);
    run_ends(r, &s, "{\"changed_bytes\":21474836480,\"full\":true}", 11); /* a full one says nothing */
    assert_int_equal(scene_standing(r, "change.unusual"), 0);
    run_ends(r, &s, "{\"changed_bytes\":21474836480}", 12);
    assert_int_equal(scene_standing(r, "change.unusual"), 1);
    run_ends(r, &s, "{\"changed_bytes\":1048576}", 13); /* quiet again, but nobody has looked */
    assert_int_equal(scene_standing(r, "change.unusual"), 1);
    v = scene_alarms(r, "?kind=change.unusual");
    assert_non_null(strstr(rig_at(v, "/items/0/text"), "vm-1 changed 20"));
    scene_sql(r, "UPDATE alarm SET acked_ms = 1 WHERE kind = 'change.unusual'");
    json_decref(v);
    run_ends(r, &s, "{\"changed_bytes\":1048576}", 14);
    assert_int_equal(scene_standing(r, "change.unusual"), 0);
    run_ends(r, &s, "{\"audited_blocks\":16,\"audit_misses\":3}", 15);
    assert_int_equal(scene_standing(r, "tracker.miss"), 1);
    run_ends(r, &s, "{\"audited_blocks\":0,\"audit_misses\":0}", 16); /* nothing was looked at */
    assert_int_equal(scene_standing(r, "tracker.miss"), 1);
    run_ends(r, &s, "{\"audited_blocks\":16,\"audit_misses\":0}", 17);
    assert_int_equal(scene_standing(r, "tracker.miss"), 0);
    run_ends(r, &s, "not even JSON", 18);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/events?kind=job.done&limit=2", NULL);
    assert_int_equal(json_array_size(json_object_get(v, "items")), 2);
    assert_string_not_equal(rig_at(v, "/next"), "");
    json_decref(v);
}

static void test_alarm__other_conditions__are_found(void **state)
{
    static const char *const kinds[] = {"certificate.expiring", "repository.error", "point.inconsistent",
                                        "point.damaged",        "clock.skew",       "job.waiting"};
    struct scene s;
    struct bdr_tx *tx = NULL;
    int64_t point;

    RIG_OF(state, r);
    s = scene_make(r);
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    for (size_t i = 0; i < BDR_COUNT(kinds); i++)
        assert_int_equal(scene_standing(r, kinds[i]), 0);
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_certificate_add(
        tx, &(struct bdr_in_certificate_add){
                "01", s.proxy, {(const uint8_t *)"print", 5}, SITE_NOW - 80 * SCENE_DAY, SITE_NOW + 10 * SCENE_DAY}));
    check_ok(bdr_q_point_add(
        tx, &(struct bdr_in_point_add){s.host, s.repository, "p", SITE_NOW + SCENE_HOUR, "full", "crash", 1, 1, 1},
        &point));
    check_ok(bdr_tx_commit(tx));
    scene_sql(r, "UPDATE policy SET consistency = 'application'");
    scene_sql(r, "UPDATE point SET state = 'damaged'");
    scene_sql(r, "UPDATE repository SET state = 'error', state_text = 'no such folder'");
    scene_sql(r, "UPDATE host SET last_point_ms = %lld", (long long)(SITE_NOW + SCENE_HOUR));
    check_ok(bdr_tick_all(r->console, SITE_NOW + 15 * SCENE_MINUTE)); /* the proxy is silent, and the run is due */
    for (size_t i = 0; i < BDR_COUNT(kinds); i++)
        assert_int_equal(scene_standing(r, kinds[i]), 1);
    scene_sql(r, "UPDATE certificate SET expires_ms = %lld", (long long)(SITE_NOW + 90 * SCENE_DAY));
    scene_sql(r, "UPDATE policy SET consistency = 'crash'");
    scene_sql(r, "UPDATE point SET state = 'ok'");
    scene_sql(r, "UPDATE repository SET state = 'ok', state_text = ''");
    scene_sql(r, "UPDATE host SET last_point_ms = %lld", (long long)SITE_NOW);
    scene_beat(r, SITE_NOW + 16 * SCENE_MINUTE);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 16 * SCENE_MINUTE));
    for (size_t i = 0; i < BDR_COUNT(kinds); i++)
        assert_int_equal(scene_standing(r, kinds[i]), 0);
}

static void test_ended__a_verify__marks_what_it_found(void **state)
{
    BDR_AUTO(mem) struct bdr_row_point *point = NULL;
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;
    struct bdr_tx *tx = NULL;
    struct scene s;

    RIG_OF(state, r);
    s = scene_make(r);
    for (int i = 0; i < 2; i++)
        scene_sql(r,
                  "INSERT INTO point (host_id, repository_id, ref, taken_ms, kind, consistency, disk_bytes) "
                  "VALUES (%lld, %lld, 'p%d', %d, 'full', 'crash', 1)",
                  (long long)s.host, (long long)s.repository, i, i + 1);
    check_ok(bdr_watch_care(r->console, SITE_NOW)); /* the prune goes first */
    scene_sql(r, "UPDATE job SET state = 'done', ended_ms = 1");
    check_ok(bdr_watch_care(r->console, SITE_NOW + SCENE_MINUTE));
    assert_int_equal(scene_jobs(r, "verify", &row), 1);
    scene_job_ends(r, row->id, "failed", "{\"damaged_points\":[\"p1\",\"nobody\"]}", SITE_NOW + 2 * SCENE_MINUTE);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 2 * SCENE_MINUTE));
    assert_int_equal(scene_standing(r, "point.damaged"), 1);
    /* repaired, and looked at again by name */
    scene_sql(r, "UPDATE job SET params = '{\"points\":[\"p1\"]}' WHERE id = %lld", (long long)row->id);
    scene_job_ends(r, row->id, "done", "{\"damaged_points\":[]}", SITE_NOW + 4 * SCENE_MINUTE);
    check_ok(bdr_tick_all(r->console, SITE_NOW + 4 * SCENE_MINUTE));
    assert_int_equal(scene_standing(r, "point.damaged"), 0);
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_point_get(tx, 2, &point));
    bdr_tx_abandon(tx);
    assert_string_equal(point->state, "ok");
    assert_int_equal(point->verified_ms, SITE_NOW + 4 * SCENE_MINUTE);
}

/* ---- series ---- */

static void test_series__rpo__is_measured_thinned_and_told(void **state)
{
    struct scene s;
    char path[160];
    json_t *v;

    RIG_OF(state, r);
    s = scene_make(r);
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    /* an RPO of 20 minutes: a look each 2 minutes */
    for (int i = 1; i <= 60; i++)
        check_ok(bdr_watch_series(r->console, SITE_NOW + i * SCENE_MINUTE));
    snprintf(path, sizeof(path), "/v1/hosts/%lld/rpo?from=2027-01-15T08:00:00Z&to=2027-01-15T09:00:00Z",
             (long long)s.host);
    v = rig_want(r, r->viewer, 200, "GET", path, NULL);
    assert_in_range(json_array_size(json_object_get(v, "series")), 29, 31);
    assert_int_equal(rig_int(v, "/promised"), 20 * SCENE_MINUTE);
    assert_int_equal(rig_int(v, "/series/0/missed_minutes"), 0);
    assert_int_equal(rig_int(v, "/series/28/missed_minutes"), 2);
    json_decref(v);
    check_ok(bdr_watch_thin(r->console, SITE_NOW + 26 * SCENE_HOUR));
    v = rig_want(r, r->viewer, 200, "GET", path, NULL);
    assert_int_equal(json_array_size(json_object_get(v, "series")), 1);
    assert_in_range(rig_int(v, "/series/0/minutes"), 58, 62);
    assert_in_range(rig_int(v, "/series/0/missed_minutes"), 36, 42);
    assert_in_range(rig_int(v, "/series/0/age"), 58 * SCENE_MINUTE, 60 * SCENE_MINUTE);
    json_decref(v);
    json_decref(rig_want(r, r->viewer, 404, "GET", "/v1/hosts/999/rpo", NULL));
    json_decref(rig_want(r, NULL, 401, "GET", path, NULL));
    snprintf(path, sizeof(path), "/v1/hosts/%lld/rpo?from=2027-01-15T09:00:00Z&to=2027-01-15T08:00:00Z",
             (long long)s.host);
    json_decref(rig_want(r, r->viewer, 422, "GET", path, NULL));
    assert_int_equal(bdr_rpo_look_ms(SCENE_MINUTE), SCENE_MINUTE);
    assert_int_equal(bdr_rpo_look_ms(30 * SCENE_DAY), SCENE_HOUR);
    assert_int_equal(bdr_rpo_look_ms(0), SCENE_HOUR);
}

static void test_summary__numbers__are_those_of_the_tables(void **state)
{
    int64_t now = bdr_clock_wall_ms();
    struct scene s;
    char path[64];
    json_t *v;

    RIG_OF(state, r);
    s = scene_make(r);
    site_host(r->bed, s.platform, "vm-2");
    scene_beat(r, now);
    scene_sql(r, "UPDATE policy SET changed_ms = 0");
    scene_sql(r, "UPDATE repository SET used_bytes = 1000, free_bytes = 3000, measured_ms = %lld",
              (long long)now - 2 * SCENE_HOUR);
    check_ok(bdr_tick_all(r->console, now - 2 * SCENE_HOUR));
    scene_sql(r, "UPDATE machine_beat SET beat_ms = %lld WHERE machine_id = %lld", (long long)now - SCENE_HOUR,
              (long long)s.proxy);
    scene_job_ends(r, site_job(r->bed, s.platform, s.host, 1), "done", "{\"read_bytes\":5000}", now - SCENE_HOUR);
    scene_sql(r, "UPDATE job SET stored_bytes = 700 WHERE ended_ms IS NOT NULL");
    check_ok(bdr_tick_all(r->console, now));
    v = rig_want(r, r->viewer, 200, "GET", "/v1/summary", NULL);
    assert_int_equal(rig_int(v, "/hosts_protected"), 1);
    assert_int_equal(rig_int(v, "/hosts_unprotected"), 1);
    assert_int_equal(rig_int(v, "/hosts_at_risk"), 1);
    assert_int_equal(rig_int(v, "/rpo_missed"), 1);
    assert_int_equal(rig_int(v, "/read_bytes_day"), 5000);
    assert_int_equal(rig_int(v, "/stored_bytes_day"), 700);
    assert_int_equal(rig_int(v, "/jobs_done_day"), 1);
    assert_int_equal(rig_int(v, "/machines"), 2);
    assert_int_equal(rig_int(v, "/proxies_silent"), 1);
    assert_int_equal(rig_int(v, "/used_bytes"), 1000);
    assert_int_equal(json_array_size(json_object_get(v, "growth")), 1);
    assert_true(rig_int(v, "/alarms_critical") >= 1);
    json_decref(v);
    json_decref(rig_want(r, NULL, 401, "GET", "/v1/summary", NULL));
    snprintf(path, sizeof(path), "/v1/repositories/%lld/space", (long long)s.repository);
    v = rig_want(r, r->viewer, 200, "GET", path, NULL);
    assert_int_equal(rig_int(v, "/series/0/used_bytes"), 1000);
    json_decref(v);
    json_decref(rig_want(r, r->viewer, 404, "GET", "/v1/repositories/99/space", NULL));
}

static void test_rights__machines_and_nobody__see_none_of_it(void **state)
{
    static const char *const paths[] = {"/v1/alarms",     "/v1/alarms/1",    "/v1/events",   "/v1/stream",
                                        "/v1/summary",    "/v1/hosts/1/rpo", "/v1/channels", "/v1/repositories/1/space",
                                        "/v1/channels/1", "/metrics"};
    FLEET agent = {0};

    RIG_OF(state, r);
    fleet_join(r, "agent", "web", NULL, NULL, &agent);
    for (size_t i = 0; i < BDR_COUNT(paths); i++) {
        json_decref(fleet_want(r, &agent, 401, "GET", paths[i], NULL));
        json_decref(rig_want(r, NULL, 401, "GET", paths[i], NULL));
    }
    json_decref(fleet_want(r, &agent, 401, "POST", "/v1/alarms/1/ack", NULL));
    json_decref(fleet_want(r, &agent, 401, "POST", "/v1/channels/1/test", NULL));
    json_decref(fleet_want(r, &agent, 401, "DELETE", "/v1/channels/1", NULL));
}

/* ---- the stream ---- */

struct listener {
    struct rig *r;
    char auth[64], kinds[64];
    char heard[512];
    struct bdr_cancel stop;
};
static bool on_event(void *ctx, const char *event, const char *id, const char *data)
{
    struct listener *l = ctx;
    size_t n = strlen(l->heard);

    (void)id;
    snprintf(l->heard + n, sizeof(l->heard) - n, "%s %s\n", event, data);
    return !strstr(l->heard, "enough");
}
static struct bdr_err *listen_main(void *ctx, unsigned index)
{
    struct listener *l = ctx;
    BDR_AUTO(http_client) struct bdr_http_client *client = NULL;
    char base[64], ca[128];

    (void)index;
    snprintf(base, sizeof(base), "https://127.0.0.1:%u", bdr_console_port(l->r->console));
    snprintf(ca, sizeof(ca), "%s/ca.crt", l->r->bed->dir);
    BDR_TRY(bdr_http_client_new(
        &(struct bdr_http_client_config){.base = base, .ca_file = ca, .bearer = l->r->viewer, .tries = 1}, &client));
    return bdr_http_listen(client, "/v1/stream?kinds=alarm,job", NULL, on_event, l, &l->stop);
}

static void test_stream__listeners__hear_the_kinds_they_want(void **state)
{
    struct listener l = {0};
    struct bdr_pool *pool = NULL;

    RIG_OF(state, r);
    json_decref(rig_want(r, NULL, 401, "GET", "/v1/stream", NULL));
    json_decref(rig_want(r, r->viewer, 422, "GET", "/v1/stream?kinds=Job%20x", NULL));
    l.r = r;
    check_ok(bdr_pool_start("listen", 1, listen_main, &l, &l.stop, &pool));
    for (int i = 0; i < 2000 && !bdr_hub_counts(r->console->hub).people; i++)
        check_ok(bdr_cancel_sleep(NULL, 5));
    assert_int_equal(bdr_hub_counts(r->console->hub).people, 1);
    bdr_hub_tell(r->console->hub, "host", "{\"id\":1}");
    bdr_hub_tell(r->console->hub, "alarm", "{\"id\":2}");
    bdr_hub_tell(r->console->hub, "job", "{\"what\":\"enough\"}");
    check_ok(bdr_pool_join(pool));
    assert_null(strstr(l.heard, "host"));
    assert_non_null(strstr(l.heard, "alarm {\"id\":2}\njob"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_alarm__a_missed_rpo__stands_once_and_clears_itself),
        RIG(test_alarm__a_failed_job__counts_and_clears_with_the_next_good_one),
        RIG(test_alarm__silent_machines__are_told_by_kind),
        RIG(test_alarm__space__rises_in_three_steps_and_does_not_flap),
        RIG(test_alarm__no_room__stands_while_runs_wait),
        RIG(test_alarm__growth__is_foretold),
        cmocka_unit_test(test_change_unusual__is_eight_times_the_median_and_much),
        RIG(test_ended__results__tell_of_ransomware_and_broken_trackers),
        RIG(test_alarm__other_conditions__are_found),
        RIG(test_ended__a_verify__marks_what_it_found),
        RIG(test_series__rpo__is_measured_thinned_and_told),
        RIG(test_summary__numbers__are_those_of_the_tables),
        RIG(test_rights__machines_and_nobody__see_none_of_it),
        RIG(test_stream__listeners__hear_the_kinds_they_want),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
