/* SPDX-License-Identifier: Apache-2.0 */
/* What every machine does at the console: enrolment, leases, ends, and a console that is away, new or has had enough.
 */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "bdr/worker.h"
#include "console_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WAIT_MS 20000

static void none(struct bdr_err *err)
{
    char text[512];

    if (err)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
}

static void refused(struct bdr_err *err, enum bdr_code code, const char *says)
{
    char text[1024] = "no error";

    if (err)
        bdr_err_text(err, text, sizeof(text));
    if (!err || err->code != code || !strstr(text, says))
        fail_msg("wanted %s with '%s', got: %s", bdr_code_name(code), says, text);
    bdr_err_free(err);
}

/* ---- a machine that works ---- */

struct bed {
    struct console_double *d;
    char state[64];
    struct bdr_cancel stop;
    struct bdr_pool *pool;
    struct bdr_worker_config cfg;
    atomic_bool finish; /* a running job may end */
    atomic_bool drain;
    atomic_uint running, done, cancelled;
    atomic_uint_fast64_t bandwidth;
    atomic_int fails; /* enum bdr_code the job ends with; 0: well */
    char inventory[256];
    uint32_t disks_max;
};

static void meter(void *ctx, struct bdr_worker_job *job)
{
    (void)ctx;
    atomic_store(&job->total_bytes, 100);
    atomic_store(&job->done_bytes, 40);
}

static struct bdr_err *job_run(void *ctx, struct bdr_worker_job *job, json_t **out_result)
{
    struct bed *b = ctx;
    struct bdr_err *err = NULL;

    atomic_fetch_add(&b->running, 1);
    bdr_worker_job_step(job, "counting %d", 1);
    bdr_worker_job_checkpoint(job, "at 40");
    bdr_worker_job_meter(job, meter, b);
    *out_result = json_pack("{s:s}", "point", "0123");
    while (!err && !atomic_load(&b->finish)) {
        atomic_store(&b->bandwidth, atomic_load(&job->bandwidth_bps));
        err = bdr_cancel_sleep(&job->cancel, 5);
    }
    bdr_worker_job_meter(job, NULL, NULL);
    atomic_fetch_add(err ? &b->cancelled : &b->done, 1);
    atomic_fetch_sub(&b->running, 1);
    if (!err && atomic_load(&b->fails))
        return bdr_err_new((enum bdr_code)atomic_load(&b->fails), 0, BDR_AT, "as it was told");
    return err;
}
static const struct bdr_worker_kind kinds[] = {{"sync", job_run}, {0}};

static struct bdr_err *inventory(void *ctx, char **out)
{
    struct bed *b = ctx;

    *out = strdup(b->inventory);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static void settings(void *ctx, const struct bdr_worker_settings *s)
{
    ((struct bed *)ctx)->disks_max = s->disks_max;
}

static struct bdr_err *work(void *ctx, unsigned index)
{
    struct bed *b = ctx;

    (void)index;
    return bdr_worker_run(&b->cfg);
}

static void work_begin(struct bed *b)
{
    atomic_store(&b->stop.set, 0);
    none(bdr_pool_start("work", 1, work, b, NULL, &b->pool));
}

static void work_end(struct bed *b)
{
    bdr_cancel_set(&b->stop);
    none(bdr_pool_join(b->pool));
    b->pool = NULL;
}

static struct bdr_worker_enrol enrolment(struct bed *b, const char *token)
{
    return (struct bdr_worker_enrol){.state = b->state,
                                     .console = b->d->url,
                                     .ca = b->d->ca_print,
                                     .token = token,
                                     .kind = BDR_MACHINE_AGENT,
                                     .name = "web1",
                                     .version = "1",
                                     .identity = "abc"};
}

static struct bed *bed_new(void)
{
    struct bed *b = calloc(1, sizeof(*b));

    assert_non_null(b);
    b->d = double_new();
    double_serve(b->d);
    snprintf(b->state, sizeof(b->state), "/tmp/bdr-worker-XXXXXX");
    assert_non_null(mkdtemp(b->state));
    snprintf(b->inventory, sizeof(b->inventory), "{\"name\":\"web1\",\"cpus\":1}");
    b->cfg = (struct bdr_worker_config){.state = b->state,
                                        .version = "1",
                                        .os = "test",
                                        .jobs_max = 1,
                                        .kinds = kinds,
                                        .ctx = b,
                                        .inventory = inventory,
                                        .settings = settings,
                                        .cancel = &b->stop,
                                        .drain = &b->drain,
                                        .beat_ms = 100,
                                        .backoff_ms = 20,
                                        .slow_ms = 200,
                                        .answer_ms = 3000};
    return b;
}

static struct bed *bed_enrolled(void)
{
    struct bed *b = bed_new();
    struct bdr_worker_enrol in;

    double_token(b->d, "t1");
    in = enrolment(b, "t1");
    none(bdr_worker_enrol(&in));
    return b;
}

static void bed_free(struct bed *b)
{
    if (b->pool)
        work_end(b);
    double_free(b->d);
    none(bdr_os_remove_tree(b->state));
    free(b);
}

static bool is_running(struct console_double *d, void *ctx)
{
    (void)d;
    return atomic_load(&((struct bed *)ctx)->running) == 1;
}

static bool is_cancelled(struct console_double *d, void *ctx)
{
    (void)d;
    return atomic_load(&((struct bed *)ctx)->cancelled) >= 1;
}

static uint64_t job_begun(struct bed *b)
{
    uint64_t id = double_job(b->d, NULL, "{\"kind\":\"sync\",\"host\":1}");

    assert_true(double_wait(b->d, is_running, b, WAIT_MS));
    return id;
}

static char *status_text(struct bed *b)
{
    char path[512], *text = NULL;
    size_t len;

    none(bdr_os_read_file(bdr_worker_path(b->state, "status.json", path), 65536, &text, &len));
    return text;
}

struct says {
    struct bed *b;
    const char *text;
};
static bool status_says(struct console_double *d, void *ctx)
{
    const struct says *s = ctx;
    char *text = status_text(s->b);
    bool yes = strstr(text, s->text) != NULL;

    (void)d;
    free(text);
    return yes;
}

static size_t notes(struct bed *b)
{
    char path[600];
    size_t n = 0;

    for (int id = 1; id <= 8; id++) {
        snprintf(path, sizeof(path), "%s/jobs/%d.json", b->state, id);
        n += !access(path, F_OK);
    }
    return n;
}

static bool no_notes(struct console_double *d, void *ctx)
{
    (void)d;
    return !notes(ctx);
}

/* ---- enrolment ---- */

static void test_enrol__right_token__keeps_key_and_certificate(void **s)
{
    struct bed *b = bed_enrolled();
    struct bdr_worker_identity who;
    struct stat st;
    char path[512];

    (void)s;
    none(bdr_worker_identity(b->state, &who));
    assert_string_equal(who.console, b->d->url);
    assert_int_equal(strlen(who.machine), 32);
    assert_int_equal(who.host, 1);
    assert_int_equal(stat(bdr_worker_path(b->state, "identity.pem", path), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(access(bdr_worker_path(b->state, "identity.new", path), F_OK), -1);
    bed_free(b);
}

static void test_enrol__wrong_print__names_both(void **s)
{
    struct bed *b = bed_new();
    struct bdr_worker_enrol in = enrolment(b, "t1");
    char text[1024], shown[104], wanted[104], other[65];
    struct bdr_worker_identity who;
    struct bdr_err *err;

    (void)s;
    double_token(b->d, "t1");
    memset(other, 'a', 64);
    other[64] = 0;
    in.ca = other;
    err = bdr_worker_enrol(&in);
    assert_non_null(err);
    assert_int_equal(err->code, BDR_AUTH);
    bdr_err_text(err, text, sizeof(text));
    assert_non_null(strstr(text, bdr_fingerprint_text(b->d->ca_print, shown)));
    assert_non_null(strstr(text, bdr_fingerprint_text(other, wanted)));
    bdr_err_free(err);
    refused(bdr_worker_identity(b->state, &who), BDR_NOTFOUND, "not enrolled");
    /* the token was not sent: it works still */
    in.ca = b->d->ca_print;
    none(bdr_worker_enrol(&in));
    bed_free(b);
}

static void test_enrol__used_token__says_copy_again(void **s)
{
    struct bed *b = bed_enrolled();
    struct bdr_worker_enrol in = enrolment(b, "t1");

    (void)s;
    in.force = true;
    refused(bdr_worker_enrol(&in), BDR_AUTH, "copy the install command");
    bed_free(b);
}

static void test_enrol__again__needs_force(void **s)
{
    struct bed *b = bed_enrolled();
    struct bdr_worker_enrol in = enrolment(b, "t2");
    struct bdr_worker_identity who;

    (void)s;
    double_token(b->d, "t2");
    refused(bdr_worker_enrol(&in), BDR_EXISTS, b->d->url);
    in.force = true;
    none(bdr_worker_enrol(&in));
    none(bdr_worker_identity(b->state, &who));
    assert_string_equal(who.machine, "00000000000000000000000000000002");
    bed_free(b);
}

static void test_enrol__bad_arguments__refused(void **s)
{
    struct bed *b = bed_new();
    struct bdr_worker_enrol in = enrolment(b, "t");

    (void)s;
    in.console = "http://127.0.0.1:1";
    refused(bdr_worker_enrol(&in), BDR_INVAL, "https://");
    in.console = b->d->url;
    in.ca = "SHA256:12";
    refused(bdr_worker_enrol(&in), BDR_INVAL, "fingerprint");
    in.ca = b->d->ca_print;
    in.token = "";
    refused(bdr_worker_enrol(&in), BDR_INVAL, "token");
    bed_free(b);
}

static bool is_renewed(struct console_double *d, void *ctx)
{
    (void)ctx;
    return d->machines[0].renewals >= 1;
}

static void test_renew__two_thirds_over__new_certificate(void **s)
{
    struct bed *b = bed_new();
    struct bdr_worker_enrol in;
    struct bdr_worker_identity before, after;
    unsigned beats;

    (void)s;
    b->d->cert_ms = 6000;
    double_token(b->d, "t1");
    in = enrolment(b, "t1");
    none(bdr_worker_enrol(&in));
    none(bdr_worker_identity(b->state, &before));
    b->d->cert_ms = 3600000;
    work_begin(b);
    assert_true(double_wait(b->d, is_renewed, b, WAIT_MS));
    beats = double_machine_of(b->d, 0).beats;
    work_end(b);
    work_begin(b); /* and it is this one that is used from then on */
    while (double_machine_of(b->d, 0).beats == beats)
        none(bdr_cancel_sleep(NULL, 5));
    none(bdr_worker_identity(b->state, &after));
    assert_true(after.expires_ms > before.expires_ms);
    bed_free(b);
}

/* ---- jobs ---- */

static void test_job__claimed__done_and_told(void **s)
{
    struct bed *b = bed_enrolled();
    struct double_job j;
    uint64_t id;

    (void)s;
    b->d->lease_s = 1;
    work_begin(b);
    id = job_begun(b);
    while (double_job_of(b->d, id).beats < 2)
        none(bdr_cancel_sleep(NULL, 5));
    j = double_job_of(b->d, id);
    assert_string_equal(j.step, "counting 1");
    assert_string_equal(j.checkpoint, "at 40");
    assert_int_equal(j.done_bytes, 40);
    assert_int_equal(j.total_bytes, 100);
    atomic_store(&b->finish, true);
    assert_true(double_wait_job(b->d, id, DOUBLE_FINISHED, WAIT_MS));
    j = double_job_of(b->d, id);
    assert_string_equal(j.result, "{\"point\": \"0123\"}");
    assert_int_equal(j.ends, 1);
    assert_int_equal(j.stale, 0);
    assert_true(double_wait(b->d, no_notes, b, WAIT_MS));
    bed_free(b);
}

static void test_job__bandwidth_in_a_beat__reaches_it(void **s)
{
    struct bed *b = bed_enrolled();
    uint64_t id;

    (void)s;
    b->d->lease_s = 1;
    work_begin(b);
    id = job_begun(b);
    pthread_mutex_lock(&b->d->lock);
    b->d->jobs[id - 1].bandwidth_bps = 777;
    pthread_mutex_unlock(&b->d->lock);
    while (atomic_load(&b->bandwidth) != 777)
        none(bdr_cancel_sleep(NULL, 5));
    bed_free(b);
}

static void test_job__unknown_kind_or_error__told(void **s)
{
    static const struct {
        enum bdr_code code;
        int how;
        enum double_state state;
    } rows[] = {
        {BDR_IO, BDR_HOW_RETRY, DOUBLE_FAILED},
        {BDR_NET, BDR_HOW_RETRY, DOUBLE_FAILED},
        {BDR_NOSPACE, BDR_HOW_RETRY, DOUBLE_FAILED},
        {BDR_INVAL, BDR_HOW_FAIL, DOUBLE_FAILED},
    };
    struct bed *b = bed_enrolled();

    (void)s;
    work_begin(b);
    atomic_store(&b->finish, true);
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        uint64_t id;

        atomic_store(&b->fails, (int)rows[i].code);
        id = double_job(b->d, NULL, "{\"kind\":\"sync\"}");
        pthread_mutex_lock(&b->d->lock);
        b->d->jobs[id - 1].again = false;
        pthread_mutex_unlock(&b->d->lock);
        assert_true(double_wait_job(b->d, id, rows[i].state, WAIT_MS));
        assert_int_equal(double_job_of(b->d, id).last_how, rows[i].how);
        assert_string_equal(double_job_of(b->d, id).error_code, bdr_code_name(rows[i].code));
        assert_non_null(strstr(double_job_of(b->d, id).error_text, "as it was told"));
    }
    bed_free(b);
}

static void test_job__somebody_else_has_it__stops_and_says_nothing(void **s)
{
    struct bed *b = bed_enrolled();
    struct double_job j;
    uint64_t id;

    (void)s;
    b->d->lease_s = 2;
    work_begin(b);
    id = job_begun(b);
    pthread_mutex_lock(&b->d->lock);
    b->d->jobs[id - 1].fence += 1; /* another holder */
    snprintf(b->d->jobs[id - 1].holder, 33, "other");
    b->d->jobs[id - 1].lease_end_ms = UINT64_MAX;
    pthread_mutex_unlock(&b->d->lock);
    double_event(b->d, "job", "{\"id\":1}");
    assert_true(double_wait(b->d, is_cancelled, b, WAIT_MS));
    assert_true(double_wait(b->d, no_notes, b, WAIT_MS));
    j = double_job_of(b->d, id);
    assert_int_equal(j.ends, 0);
    assert_int_equal(j.stale, 1); /* the beat; no end was tried */
    bed_free(b);
}

static void test_job__lease_runs_out__stops(void **s)
{
    struct bed *b = bed_enrolled();
    uint64_t begun;

    (void)s;
    b->d->lease_s = 1;
    work_begin(b);
    job_begun(b);
    double_stop(b->d);
    begun = bdr_clock_mono_ms();
    assert_true(double_wait(b->d, is_cancelled, b, WAIT_MS));
    assert_in_range(bdr_clock_mono_ms() - begun, 0, 1500);
    assert_true(double_wait(b->d, no_notes, b, WAIT_MS));
    bed_free(b);
}

static void test_job__console_starts_anew__goes_on(void **s)
{
    struct bed *b = bed_enrolled();
    unsigned beats;
    uint64_t id;

    (void)s;
    b->d->lease_s = 30;
    work_begin(b);
    id = job_begun(b);
    double_stop(b->d);
    assert_true(double_wait(b->d, status_says, &(struct says){b, "\"away\""}, WAIT_MS));
    beats = double_machine_of(b->d, 0).beats;
    double_serve(b->d);
    while (double_machine_of(b->d, 0).beats == beats)
        none(bdr_cancel_sleep(NULL, 5));
    atomic_store(&b->finish, true);
    assert_true(double_wait_job(b->d, id, DOUBLE_FINISHED, WAIT_MS));
    assert_int_equal(double_job_of(b->d, id).claims, 1);
    assert_int_equal(atomic_load(&b->cancelled), 0);
    assert_true(double_wait(b->d, status_says, &(struct says){b, "\"connected\""}, WAIT_MS));
    bed_free(b);
}

static void test_end__refused_and_lost__repeated_until_answered(void **s)
{
    struct bed *b = bed_enrolled();
    uint64_t id;

    (void)s;
    b->d->fail_ends = 3;
    b->d->lose_ends = 1;
    work_begin(b);
    atomic_store(&b->finish, true);
    id = double_job(b->d, NULL, "{\"kind\":\"sync\"}");
    assert_true(double_wait_job(b->d, id, DOUBLE_FINISHED, WAIT_MS));
    assert_true(double_wait(b->d, no_notes, b, WAIT_MS));
    assert_int_equal(double_job_of(b->d, id).ends, 2);
    assert_int_equal(double_job_of(b->d, id).stale, 0);
    bed_free(b);
}

static void test_end__restart_before_it_was_told__told_after(void **s)
{
    struct bed *b = bed_enrolled();
    uint64_t id;

    (void)s;
    work_begin(b);
    id = job_begun(b);
    double_stop(b->d);
    atomic_store(&b->finish, true);
    while (!atomic_load(&b->done))
        none(bdr_cancel_sleep(NULL, 5));
    work_end(b);
    assert_int_equal(notes(b), 1);
    double_serve(b->d);
    work_begin(b);
    assert_true(double_wait_job(b->d, id, DOUBLE_FINISHED, WAIT_MS));
    assert_string_equal(double_job_of(b->d, id).result, "{\"point\": \"0123\"}");
    assert_int_equal(double_job_of(b->d, id).claims, 1);
    bed_free(b);
}

static void wanted(struct bed *b, uint64_t id, int what)
{
    pthread_mutex_lock(&b->d->lock);
    b->d->jobs[id - 1].wanted = what;
    pthread_mutex_unlock(&b->d->lock);
    double_event(b->d, "job", "{\"id\":1}");
}

static void test_job__pause_or_cancel__ends_stopped(void **s)
{
    (void)s;
    for (int what = BDR_JOB_PAUSE; what <= BDR_JOB_CANCEL; what++) {
        struct bed *b = bed_enrolled();
        uint64_t id;

        b->d->lease_s = 2;
        work_begin(b);
        id = job_begun(b);
        wanted(b, id, what);
        assert_true(double_wait_job(b->d, id, DOUBLE_STOPPED, WAIT_MS));
        assert_int_equal(double_job_of(b->d, id).last_how, BDR_HOW_STOPPED);
        bed_free(b);
    }
}

static void test_stop__with_a_job__told_as_stopped(void **s)
{
    struct bed *b = bed_enrolled();
    uint64_t id;

    (void)s;
    work_begin(b);
    id = job_begun(b);
    work_end(b);
    assert_int_equal(double_job_of(b->d, id).last_how, BDR_HOW_STOPPED);
    assert_int_equal(notes(b), 0);
    bed_free(b);
}

static void test_revoked__with_a_job__stops_and_comes_slowly(void **s)
{
    struct bed *b = bed_enrolled();
    struct bdr_worker_identity who;
    enum bdr_worker_standing standing;
    char why[700];
    uint64_t id;

    (void)s;
    work_begin(b);
    id = job_begun(b);
    none(bdr_worker_identity(b->state, &who));
    double_revoke(b->d, who.machine);
    assert_true(double_wait(b->d, is_cancelled, b, WAIT_MS));
    assert_true(double_wait(b->d, status_says, &(struct says){b, "\"revoked\""}, WAIT_MS));
    assert_int_equal(double_job_of(b->d, id).ends, 0);
    none(bdr_worker_standing(b->state, "1", &standing, why, sizeof(why)));
    assert_int_equal(standing, BDR_STANDING_DEREGISTERED);
    double_stop(b->d); /* and it remembers */
    none(bdr_worker_standing(b->state, "1", &standing, why, sizeof(why)));
    assert_int_equal(standing, BDR_STANDING_MARKED);
    double_serve(b->d);
    bed_free(b);
}

static void deregister(struct bed *b, bool gone)
{
    pthread_mutex_lock(&b->d->lock);
    b->d->machines[0].deregistered = gone;
    pthread_mutex_unlock(&b->d->lock);
}

static void test_deregistered__stops_and_may_go(void **s)
{
    struct bed *b = bed_enrolled();
    enum bdr_worker_standing standing;
    char why[700], path[512];
    uint64_t id;

    (void)s;
    work_begin(b);
    id = job_begun(b);
    none(bdr_worker_standing(b->state, "1", &standing, why, sizeof(why)));
    assert_int_equal(standing, BDR_STANDING_REGISTERED);
    deregister(b, true);
    assert_true(double_wait(b->d, is_cancelled, b, WAIT_MS));
    assert_true(double_wait(b->d, status_says, &(struct says){b, "\"registered\":false"}, WAIT_MS));
    assert_int_equal(access(bdr_worker_path(b->state, "deregistered", path), F_OK), 0);
    none(bdr_worker_standing(b->state, "1", &standing, why, sizeof(why)));
    assert_int_equal(standing, BDR_STANDING_DEREGISTERED);
    assert_int_equal(double_job_of(b->d, id).claims, 1);
    work_end(b);
    double_stop(b->d);
    none(bdr_worker_standing(b->state, "1", &standing, why, sizeof(why)));
    assert_int_equal(standing, BDR_STANDING_MARKED);
    unlink(path);
    none(bdr_worker_standing(b->state, "1", &standing, why, sizeof(why)));
    assert_int_equal(standing, BDR_STANDING_UNKNOWN);
    double_serve(b->d);
    bed_free(b);
}

static bool has_inventories(struct console_double *d, void *ctx)
{
    return d->machines[0].inventories >= *(unsigned *)ctx;
}

static void test_inventory__changed__sent_again(void **s)
{
    struct bed *b = bed_enrolled();
    unsigned n = 1;

    (void)s;
    work_begin(b);
    assert_true(double_wait(b->d, has_inventories, &n, WAIT_MS));
    work_end(b);
    snprintf(b->inventory, sizeof(b->inventory), "{\"name\":\"web1\",\"cpus\":2}");
    work_begin(b);
    n = 2;
    assert_true(double_wait(b->d, has_inventories, &n, WAIT_MS));
    assert_non_null(strstr(double_machine_of(b->d, 0).inventory, "\"cpus\":2"));
    bed_free(b);
}

static bool beaten_since(struct console_double *d, void *ctx)
{
    return d->machines[0].beats >= *(unsigned *)ctx;
}

static void test_drain__claims_nothing_until_it_ends(void **s)
{
    struct bed *b = bed_enrolled();
    unsigned beats;
    uint64_t id;

    (void)s;
    b->d->disks_max = 50;
    atomic_store(&b->drain, true);
    atomic_store(&b->finish, true);
    work_begin(b);
    id = double_job(b->d, NULL, "{\"kind\":\"sync\"}");
    beats = double_machine_of(b->d, 0).beats + 4;
    assert_true(double_wait(b->d, beaten_since, &beats, WAIT_MS));
    assert_int_equal(double_job_of(b->d, id).claims, 0);
    atomic_store(&b->drain, false);
    assert_true(double_wait_job(b->d, id, DOUBLE_FINISHED, WAIT_MS));
    work_end(b);
    assert_int_equal(b->disks_max, 50);
    bed_free(b);
}

static uint32_t two_disks(void *ctx)
{
    (void)ctx;
    return 2;
}

/* Counted from the claim on: the job that runs has not opened any of its disks. */
static void test_disks_max__disks_of_a_claimed_job__count_at_once(void **s)
{
    struct bed *b = bed_enrolled();
    unsigned beats;
    uint64_t first, second;

    (void)s;
    b->cfg.jobs_max = 8;
    b->cfg.disks_max = two_disks;
    work_begin(b);
    first = double_job(b->d, NULL,
                       "{\"kind\":\"sync\",\"disks\":[{\"id\":1,\"ref\":\"a\"},{\"id\":2,\"ref\":\"b\"},"
                       "{\"id\":3,\"ref\":\"c\",\"excluded\":true}]}");
    assert_true(double_wait(b->d, is_running, b, WAIT_MS));
    second = double_job(b->d, NULL, "{\"kind\":\"sync\",\"disks\":[{\"id\":4,\"ref\":\"d\"}]}");
    beats = double_machine_of(b->d, 0).beats + 4;
    assert_true(double_wait(b->d, beaten_since, &beats, WAIT_MS));
    assert_int_equal(double_job_of(b->d, second).claims, 0);
    atomic_store(&b->finish, true);
    assert_true(double_wait_job(b->d, first, DOUBLE_FINISHED, WAIT_MS));
    assert_true(double_wait_job(b->d, second, DOUBLE_FINISHED, WAIT_MS));
    bed_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enrol__right_token__keeps_key_and_certificate),
        cmocka_unit_test(test_enrol__wrong_print__names_both),
        cmocka_unit_test(test_enrol__used_token__says_copy_again),
        cmocka_unit_test(test_enrol__again__needs_force),
        cmocka_unit_test(test_enrol__bad_arguments__refused),
        cmocka_unit_test(test_renew__two_thirds_over__new_certificate),
        cmocka_unit_test(test_job__claimed__done_and_told),
        cmocka_unit_test(test_job__bandwidth_in_a_beat__reaches_it),
        cmocka_unit_test(test_job__unknown_kind_or_error__told),
        cmocka_unit_test(test_job__somebody_else_has_it__stops_and_says_nothing),
        cmocka_unit_test(test_job__lease_runs_out__stops),
        cmocka_unit_test(test_job__console_starts_anew__goes_on),
        cmocka_unit_test(test_end__refused_and_lost__repeated_until_answered),
        cmocka_unit_test(test_end__restart_before_it_was_told__told_after),
        cmocka_unit_test(test_job__pause_or_cancel__ends_stopped),
        cmocka_unit_test(test_stop__with_a_job__told_as_stopped),
        cmocka_unit_test(test_revoked__with_a_job__stops_and_comes_slowly),
        cmocka_unit_test(test_deregistered__stops_and_may_go),
        cmocka_unit_test(test_inventory__changed__sent_again),
        cmocka_unit_test(test_drain__claims_nothing_until_it_ends),
        cmocka_unit_test(test_disks_max__disks_of_a_claimed_job__count_at_once),
    };

    bdr_log_setup(getenv("BDR_TEST_LOG") ? BDR_LOG_DEBUG : BDR_LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
