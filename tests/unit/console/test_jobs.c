/* SPDX-License-Identifier: Apache-2.0 */
/* test_jobs.c - the table of states, leases, fences, takeover, limits; then everything at once, by threads and
 * processes. */
#include "bdr/child.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "jobs/jobs.h"
#include "site.h"

#define NOW SITE_NOW

static void test_states__every_pair__moves_or_is_refused(void **state)
{
    size_t moves = 0;

    (void)state;
    for (int s = 0; s < BDR_JOB_STATES; s++)
        for (int e = 0; e < BDR_JOB_EVENTS; e++) {
            enum bdr_job_state now = BDR_JOB_STATES;
            struct bdr_err *err = bdr_job_next((enum bdr_job_state)s, (enum bdr_job_event)e, &now);
            bool worker = bdr_job_event_who((enum bdr_job_event)e) == BDR_JOB_BY_WORKER;

            if (err) {
                assert_int_equal(err->code, BDR_CONFLICT);
                bdr_err_free(err);
                continue;
            }
            moves++;
            assert_true(now < BDR_JOB_STATES);
            /* only a claim makes a holder, and what has ended moves only when a person says so */
            if (bdr_job_held(now) && !bdr_job_held((enum bdr_job_state)s))
                assert_int_equal(e, BDR_JOB_ON_CLAIM);
            if (bdr_job_ends((enum bdr_job_state)s))
                assert_int_equal(e, BDR_JOB_ON_AGAIN);
            if (worker && e != BDR_JOB_ON_CLAIM)
                assert_true(bdr_job_held((enum bdr_job_state)s) && !bdr_job_held(now));
        }
    assert_int_equal(moves, 28);
    /* every held state can be taken from a dead worker */
    for (int s = 0; s < BDR_JOB_STATES; s++)
        for (int e = BDR_JOB_ON_EXPIRE; e <= BDR_JOB_ON_GIVEUP; e++) {
            enum bdr_job_state now;
            struct bdr_err *err = bdr_job_next((enum bdr_job_state)s, (enum bdr_job_event)e, &now);

            assert_int_equal(!err, bdr_job_held((enum bdr_job_state)s));
            bdr_err_free(err);
        }
}

static void test_states__sums__are_sane(void **state)
{
    (void)state;
    assert_int_equal(bdr_job_backoff_ms(1, 0), 24000);
    assert_int_equal(bdr_job_backoff_ms(1, 255), 36000);
    assert_int_equal(bdr_job_backoff_ms(3, 0), 96000);
    assert_int_equal(bdr_job_backoff_ms(1000000, 255), 2160000);
    assert_int_equal(bdr_job_eta_ms(0, 1000, 100), 10000);
    assert_int_equal(bdr_job_eta_ms(0, 1000, 0), -1);
    assert_int_equal(bdr_job_eta_ms(1000, 1000, 0), 0);
    assert_int_equal(bdr_job_eta_ms(0, 0, 5), -1);
    assert_true(bdr_job_eta_ms(0, INT64_MAX / 2, 1000000) > 0);
}

static struct bdr_job_lease lease_of(const struct bdr_row_job *job)
{
    return (struct bdr_job_lease){job->id, job->worker_id.v, job->fence};
}

/* Claims; the lease, with job_id 0 when there was nothing. */
static struct bdr_job_lease claim_at(struct bed *b, int64_t worker, int64_t now)
{
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;

    check_ok(bdr_job_claim(b->db, worker, now, 0, &job));
    return job ? lease_of(job) : (struct bdr_job_lease){0};
}

static enum bdr_job_state says(struct bed *b, const struct bdr_job_lease *l, enum bdr_job_event event, int64_t now)
{
    enum bdr_job_state s = BDR_JOB_STATES;

    check_ok(bdr_job_worker_says(b->db, l, event, &(struct bdr_job_outcome){"IO", "why", ""}, now, &s));
    return s;
}

static struct bdr_err *person(struct bed *b, int64_t job, enum bdr_job_event event, enum bdr_job_state *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    BDR_TRY(bdr_tx_begin(b->db, BDR_TX_LOCK, &tx));
    BDR_TRY(bdr_job_person_says(tx, job, event, "alice", NOW, out));
    return bdr_tx_commit(BDR_STEAL(tx));
}

static void test_jobs__a_dead_workers_job__continues_elsewhere_and_it_is_fenced(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), one = site_proxy(b, "one"), two = site_proxy(b, "two"), id;
    struct bdr_job_lease dead, next;
    const struct bdr_job_progress half = {1, 500, 1000, 100}, more = {1, 1500, 2000, 100};
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    enum bdr_job_state s;
    size_t n = 9;

    site_bind(b, one, platform);
    site_bind(b, two, platform);
    id = site_job(b, platform, site_host(b, platform, "vm-1"), 1);
    dead = claim_at(b, one, NOW);
    assert_int_equal(dead.job_id, id);
    check_ok(bdr_job_beat(b->db, &dead, &half, NOW + 1000, 0, &s));
    assert_int_equal(s, BDR_JOB_RUNNING);
    check_ok(bdr_job_beat(b->db, &dead, &more, NOW + 2000, 0, &s));
    check_ok(bdr_job_checkpoint(b->db, &dead, "block 17"));
    check_ok(bdr_job_expire(b->db, NOW + 2000 + BDR_JOB_LEASE_MS, 10, &n));
    assert_int_equal(n, 0); /* to the last millisecond */
    check_ok(bdr_job_expire(b->db, NOW + 2001 + BDR_JOB_LEASE_MS, 10, &n));
    assert_int_equal(n, 1);
    next = claim_at(b, two, NOW + 2001 + BDR_JOB_LEASE_MS);
    assert_int_equal(next.job_id, id);
    assert_true(next.fence > dead.fence);
    job = site_job_get(b, id);
    assert_string_equal(job->checkpoint, "block 17");
    assert_int_equal(job->done_bytes, 1500);
    assert_int_equal(job->tries, 1); /* it had moved on: as good as a first try */
    check_fails(bdr_job_beat(b->db, &dead, &half, NOW + 95000, 0, &s), BDR_FENCED, "another worker");
    check_fails(bdr_job_checkpoint(b->db, &dead, "block 3"), BDR_FENCED, "");
    check_fails(bdr_job_worker_says(b->db, &dead, BDR_JOB_ON_FINISH, NULL, NOW + 95000, &s), BDR_FENCED, "");
    assert_int_equal(says(b, &next, BDR_JOB_ON_FINISH, NOW + 96000), BDR_JOB_DONE);
    check_fails(bdr_job_beat(b->db, &next, &half, NOW + 97000, 0, &s), BDR_FENCED, "");
}

static void test_jobs__failures__back_off_then_end(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), proxy = site_proxy(b, "one"), id, now = NOW;
    BDR_AUTO(mem) struct bdr_row_job_log *log = NULL;
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    struct bdr_tx *tx = NULL;
    enum bdr_job_state s;
    size_t n = 0;

    site_bind(b, proxy, platform);
    id = site_job(b, platform, 0, 1);
    for (int i = 1; i <= 3; i++) {
        struct bdr_job_lease l = claim_at(b, proxy, now);

        assert_int_equal(l.job_id, id);
        assert_int_equal(l.fence, i);
        assert_int_equal(says(b, &l, BDR_JOB_ON_RETRY, now), i < 3 ? BDR_JOB_READY : BDR_JOB_FAILED);
        assert_int_equal(claim_at(b, proxy, now + 1000).job_id, 0);
        now += 3600000;
    }
    job = site_job_get(b, id);
    assert_string_equal(job->error_text, "why");
    assert_true(job->ended_ms.set);
    check_ok(person(b, id, BDR_JOB_ON_AGAIN, &s));
    assert_int_equal(s, BDR_JOB_READY);
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_job_log_list(tx, id, 0, 100, &log, &n));
    bdr_tx_abandon(tx);
    assert_int_equal(n, 7);
    assert_string_equal(log[5].event, "fail");
    assert_string_equal(log[6].actor, "alice");
}

static void test_jobs__no_room__waits_longer_and_longer_and_never_gives_up(void **state)
{
    struct bdr_row_job *j;
    struct bdr_job_lease l;
    int64_t platform, p1, id, now = NOW;
    enum bdr_job_state s;

    BED_OF(state, b);
    platform = site_platform(b, "vc");
    p1 = site_proxy(b, "p1");
    site_bind(b, p1, platform);
    id = site_job(b, platform, site_host(b, platform, "vm-1"), 1);
    for (int i = 0; i < 12; i++) {
        l = claim_at(b, p1, now);
        assert_int_equal(l.job_id, id);
        check_ok(bdr_job_worker_says(b->db, &l, BDR_JOB_ON_RETRY, &(struct bdr_job_outcome){"NOSPACE", "full", ""}, now,
                                     &s));
        assert_int_equal(s, BDR_JOB_READY);
        j = site_job_get(b, id);
        assert_string_equal(j->error_code, "NOSPACE");
        assert_true(j->due_ms >= now + 24000 && (i < 8 || j->due_ms >= now + 1440000));
        now = j->due_ms;
        free(j);
    }
    l = claim_at(b, p1, now); /* another trouble counts as ever */
    assert_int_equal(l.job_id, id);
    assert_int_equal(says(b, &l, BDR_JOB_ON_RETRY, now), BDR_JOB_FAILED);
}

static void test_jobs__people__pause_resume_and_cancel(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), proxy = site_proxy(b, "one"), id;
    struct bdr_job_lease l;
    enum bdr_job_state s;

    site_bind(b, proxy, platform);
    id = site_job(b, platform, 0, 1);
    check_ok(person(b, id, BDR_JOB_ON_PAUSE, &s));
    assert_int_equal(s, BDR_JOB_PAUSED);
    assert_int_equal(claim_at(b, proxy, NOW).job_id, 0);
    check_ok(person(b, id, BDR_JOB_ON_RESUME, &s));
    l = claim_at(b, proxy, NOW);
    assert_int_equal(l.job_id, id);
    check_ok(person(b, id, BDR_JOB_ON_PAUSE, &s));
    assert_int_equal(s, BDR_JOB_PAUSING);
    check_ok(bdr_job_beat(b->db, &l, &(struct bdr_job_progress){0}, NOW + 1, 0, &s));
    assert_int_equal(s, BDR_JOB_PAUSING); /* so the worker learns of it */
    assert_int_equal(says(b, &l, BDR_JOB_ON_STOPPED, NOW + 2), BDR_JOB_PAUSED);
    check_ok(person(b, id, BDR_JOB_ON_RESUME, &s));
    l = claim_at(b, proxy, NOW + 3);
    assert_int_equal(l.fence, 2);
    check_ok(person(b, id, BDR_JOB_ON_CANCEL, &s));
    check_fails(person(b, id, BDR_JOB_ON_PAUSE, &s), BDR_CONFLICT, "cancelling");
    assert_int_equal(says(b, &l, BDR_JOB_ON_STOPPED, NOW + 4), BDR_JOB_CANCELLED);
    check_fails(person(b, id, BDR_JOB_ON_RESUME, &s), BDR_CONFLICT, "cancelled");
    check_fails(person(b, 9999, BDR_JOB_ON_PAUSE, &s), BDR_NOTFOUND, "9999");
}

static void test_jobs__disks_at_once__are_not_exceeded_and_balanced(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), one = site_proxy(b, "one"), two = site_proxy(b, "two"), changed;
    struct bdr_tx *tx = NULL;

    site_bind(b, one, platform);
    site_bind(b, two, platform);
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_proxy_set(tx, one, 600, 4, &changed));
    check_ok(bdr_q_proxy_set(tx, two, 600, 8, &changed));
    check_ok(bdr_tx_commit(tx));
    for (int i = 0; i < 9; i++)
        site_job(b, platform, 0, 2);
    assert_true(claim_at(b, one, NOW).job_id > 0);     /* 2/4, 0/8 */
    assert_int_equal(claim_at(b, one, NOW).job_id, 0); /* the other one has less to do */
    assert_true(claim_at(b, two, NOW).job_id > 0);     /* 2/4, 2/8 */
    assert_true(claim_at(b, two, NOW).job_id > 0);     /* 2/4, 4/8 */
    assert_true(claim_at(b, one, NOW + 1).job_id > 0); /* 4/4: as much as it may */
    assert_int_equal(claim_at(b, one, NOW + 99999).job_id, 0);
    assert_true(claim_at(b, two, NOW + 1).job_id > 0); /* 6/8 */
    assert_true(claim_at(b, two, NOW + 1).job_id > 0); /* 8/8 */
    assert_int_equal(claim_at(b, two, NOW + 99999).job_id, 0);
}

static void test_jobs__a_proxy_that_only_seems_alive__is_not_waited_for(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), one = site_proxy(b, "one");

    site_bind(b, one, platform);
    site_bind(b, site_proxy(b, "never asks"), platform);
    site_job(b, platform, 0, 1);
    site_job(b, platform, 0, 1);
    assert_true(claim_at(b, one, NOW).job_id > 0);
    assert_int_equal(claim_at(b, one, NOW + 1000).job_id, 0);
    assert_true(claim_at(b, one, NOW + BDR_JOB_PATIENT_MS).job_id > 0);
}

static void test_jobs__a_host__has_one_writer(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), proxy = site_proxy(b, "one"), host = site_host(b, platform, "vm-1"), id;
    struct bdr_job_lease first, second;

    site_bind(b, proxy, platform);
    site_job(b, platform, host, 1);
    id = site_job(b, platform, host, 1);
    first = claim_at(b, proxy, NOW);
    assert_int_equal(claim_at(b, proxy, NOW).job_id, 0);
    assert_int_equal(says(b, &first, BDR_JOB_ON_FINISH, NOW), BDR_JOB_DONE);
    second = claim_at(b, proxy, NOW);
    assert_int_equal(second.job_id, id);
    assert_true(second.fence > first.fence); /* counted for the host, over its jobs */
}

static void test_jobs__who_may_not__gets_none(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), proxy = site_proxy(b, "one"), changed;
    BDR_AUTO(mem) struct bdr_row_job_stuck *stuck = NULL;
    struct bdr_row_job *job = NULL;
    struct bdr_tx *tx = NULL;
    size_t n = 0;

    site_job(b, platform, 0, 1);
    assert_int_equal(claim_at(b, proxy, NOW).job_id, 0); /* not bound */
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_job_stuck(tx, NOW + 1, NOW, 10, &stuck, &n));
    assert_int_equal(n, 1);
    check_ok(bdr_q_machine_revoke(tx, proxy, NOW, &changed));
    check_ok(bdr_tx_commit(tx));
    check_fails(bdr_job_claim(b->db, proxy, NOW, 0, &job), BDR_DENIED, "revoked");
    check_fails(bdr_job_claim(b->db, 4242, NOW, 0, &job), BDR_NOTFOUND, "4242");
}

/* ---- everything at once ---- */

#define CROWD_LEASE_MS 400

/* Works until nothing is left: finishes, fails, gives back, or falls silent. A lease is written to `event` by its
 * fence. */
static struct bdr_err *crowd_work(struct bdr_db *db, int64_t worker, unsigned seed)
{
    unsigned idle = 0;

    while (idle < 60) {
        BDR_AUTO(mem) struct bdr_row_job *job = NULL;
        struct bdr_job_lease l;
        enum bdr_job_state s;
        struct bdr_err *err;
        BDR_AUTO(tx) struct bdr_tx *tx = NULL;
        unsigned dice = rand_r(&seed) % 10;
        int64_t row;
        size_t n;

        err = bdr_job_expire(db, bdr_clock_wall_ms(), 10, &n);
        if (!err)
            err = bdr_job_claim(db, worker, bdr_clock_wall_ms(), CROWD_LEASE_MS, &job);
        if (err && err->code == BDR_BUSY) { /* a machine that writes nothing for a second: a worker asks again */
            bdr_err_drop(err, "nothing was claimed");
            continue;
        }
        BDR_TRY(err);
        if (!job) {
            BDR_TRY(bdr_cancel_sleep(NULL, 20));
            idle++;
            continue;
        }
        idle = 0;
        l = lease_of(job);
        BDR_TRY(bdr_tx_begin(db, BDR_TX_LOCK, &tx));
        BDR_TRY(bdr_q_event_add(tx, &(struct bdr_in_event_add){worker, "ran", "job", l.job_id, ""}, &row));
        BDR_TRY(bdr_tx_commit(BDR_STEAL(tx)));
        if (dice == 0)
            continue; /* falls silent: the lease has to end */
        err = bdr_job_beat(db, &l, &(struct bdr_job_progress){1, 10, 10, 0}, bdr_clock_wall_ms(), CROWD_LEASE_MS, &s);
        if (!err)
            err = bdr_job_worker_says(db, &l,
                                      dice == 1   ? BDR_JOB_ON_FAIL
                                      : dice == 2 ? BDR_JOB_ON_STOPPED
                                                  : BDR_JOB_ON_FINISH,
                                      NULL, bdr_clock_wall_ms(), &s);
        if (err && (err->code == BDR_FENCED || err->code == BDR_BUSY))
            bdr_err_drop(BDR_STEAL(err), "a slow machine: the lease ended meanwhile, or will");
        BDR_TRY(err);
    }
    return NULL;
}

struct crowd {
    struct bed *b;
    int64_t worker[4];
};

static struct bdr_err *crowd_thread(void *ctx, unsigned index)
{
    struct crowd *c = ctx;

    return crowd_work(c->b->db, c->worker[index % 4], index + 1);
}

/* Another process of this program: test_jobs --work WHERE WORKER SEED. */
static int crowd_main(char **argv)
{
    BDR_AUTO(err) struct bdr_err *err = NULL;
    BDR_AUTO(db) struct bdr_db *db = NULL;
    char text[512];

    err = bdr_db_open(&(struct bdr_db_options){.where = argv[2], .wait_ms = 30000}, &db);
    if (!err)
        err = crowd_work(db, strtoll(argv[3], NULL, 10), (unsigned)strtoul(argv[4], NULL, 10));
    if (err)
        fprintf(stderr, "%s\n", bdr_err_text(err, text, sizeof(text)));
    return err ? bdr_code_exit(err->code) : 0;
}

static void crowd_start(struct bed *b, struct crowd *c, int jobs)
{
    int64_t platform = site_platform(b, "p");

    c->b = b;
    for (int i = 0; i < 4; i++) {
        char uuid[16];

        snprintf(uuid, sizeof(uuid), "w%d", i);
        c->worker[i] = site_proxy(b, uuid);
        site_bind(b, c->worker[i], platform);
    }
    /* two jobs a host: they may never overlap */
    for (int i = 0; i < jobs; i += 2) {
        char ref[16];
        int64_t host;

        snprintf(ref, sizeof(ref), "vm-%d", i);
        host = site_host(b, platform, ref);
        site_job(b, platform, host, 1 + i % 3);
        site_job(b, platform, host, 1);
    }
    check_ok(bed_sql(b, "UPDATE job SET due_ms = 0, max_tries = 50"));
}

static int64_t number_of(struct bed *b, const char *sql)
{
    BDR_AUTO(mem) struct bdr_row_setting_get *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    char text[1024];

    snprintf(text, sizeof(text),
             "DELETE FROM setting; INSERT INTO setting (name, value, changed_ms) SELECT 'n', CAST((%s) AS TEXT), 0",
             sql);
    check_ok(bed_sql(b, text));
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_setting_get(tx, "n", &row));
    return strtoll(row->value, NULL, 10);
}

static void crowd_check(struct bed *b, int jobs)
{
    assert_int_equal(number_of(b, "SELECT count(*) FROM job"), jobs);
    assert_int_equal(number_of(b, "SELECT count(*) FROM job WHERE state NOT IN ('done', 'failed', 'cancelled')"), 0);
    /* each lease has a number of its own on its host ... */
    assert_int_equal(number_of(b, "SELECT count(*) FROM (SELECT j.host_id, l.fence FROM job_log l JOIN job j ON j.id ="
                                  " l.job_id WHERE l.event = 'claim' GROUP BY j.host_id, l.fence"
                                  " HAVING count(*) > 1) x"),
                     0);
    /* ... every lease was written down once, and as often as it was taken */
    assert_int_equal(number_of(b, "SELECT count(*) FROM event WHERE kind = 'ran'"),
                     number_of(b, "SELECT count(*) FROM job_log WHERE event = 'claim'"));
    assert_int_equal(number_of(b, "SELECT max(fence) FROM host"),
                     number_of(b,
                               "SELECT max(n) FROM (SELECT count(*) AS n FROM job_log l JOIN job j ON j.id = l.job_id"
                               " WHERE l.event = 'claim' GROUP BY j.host_id) x"));
    /* no lease of a host began before the one before it ended: claims and ends take turns in the log */
    assert_int_equal(number_of(b,
                               "SELECT count(*) FROM job_log l JOIN job j ON j.id = l.job_id WHERE l.event = 'claim'"
                               " AND EXISTS (SELECT 1 FROM job_log o JOIN job k ON k.id = o.job_id WHERE k.host_id ="
                               " j.host_id AND o.event = 'claim' AND o.id < l.id AND NOT EXISTS (SELECT 1 FROM job_log"
                               " e WHERE e.job_id = o.job_id AND e.id > o.id AND e.id < l.id AND e.event <> 'claim'))"),
                     0);
}

static void test_jobs__eight_threads__run_each_lease_once_and_end_all(void **state)
{
    BED_OF(state, b);
    struct bdr_pool *pool = NULL;
    struct crowd c;

    crowd_start(b, &c, 80);
    check_ok(bdr_pool_start("crowd", 8, crowd_thread, &c, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    crowd_check(b, 80);
}

static void test_jobs__processes_that_are_killed__leave_their_jobs_to_others(void **state)
{
    BED_OF(state, b);
    struct bdr_child *child[4] = {0};
    char worker[4][24], seed[4][8];
    struct crowd c;

    crowd_start(b, &c, 60);
    for (int i = 0; i < 4; i++) {
        snprintf(worker[i], sizeof(worker[i]), "%lld", (long long)c.worker[i]);
        snprintf(seed[i], sizeof(seed[i]), "%d", 100 + i);
        check_ok(
            bdr_child_start(&(struct bdr_child_spec){.argv = (const char *const[]){"/proc/self/exe", "--work", b->where,
                                                                                   worker[i], seed[i], NULL}},
                            &child[i]));
    }
    check_ok(bdr_cancel_sleep(NULL, 300));
    bdr_child_stop(BDR_STEAL(child[0]), 0); /* in the middle of whatever they do */
    bdr_child_stop(BDR_STEAL(child[1]), 0);
    for (int i = 2; i < 4; i++) {
        bool ended = false;

        while (!ended)
            check_ok(bdr_child_poll(child[i], 1000, NULL, &ended));
        if (bdr_child_status(child[i]))
            print_error("worker: %s\n", bdr_child_said(child[i]));
        assert_int_equal(bdr_child_status(child[i]), 0);
        bdr_child_stop(child[i], 0);
    }
    /* a killed one may have died between a claim and writing it down */
    assert_int_equal(number_of(b, "SELECT count(*) FROM job WHERE state NOT IN ('done', 'failed', 'cancelled')"), 0);
    assert_true(number_of(b, "SELECT count(*) FROM job_log WHERE event = 'claim'") -
                    number_of(b, "SELECT count(*) FROM event WHERE kind = 'ran'") <=
                2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states__every_pair__moves_or_is_refused),
        cmocka_unit_test(test_states__sums__are_sane),
        BED(test_jobs__a_dead_workers_job__continues_elsewhere_and_it_is_fenced),
        BED(test_jobs__failures__back_off_then_end),
        BED(test_jobs__no_room__waits_longer_and_longer_and_never_gives_up),
        BED(test_jobs__people__pause_resume_and_cancel),
        BED(test_jobs__disks_at_once__are_not_exceeded_and_balanced),
        BED(test_jobs__a_proxy_that_only_seems_alive__is_not_waited_for),
        BED(test_jobs__a_host__has_one_writer),
        BED(test_jobs__who_may_not__gets_none),
        BED(test_jobs__eight_threads__run_each_lease_once_and_end_all),
        BED(test_jobs__processes_that_are_killed__leave_their_jobs_to_others),
    };

    if (argc == 5)
        return crowd_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
