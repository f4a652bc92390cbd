/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/jobs.h"
#include "bdr/osfile.h"
#include <stdio.h>
#include <string.h>

static struct bdr_err *job_state(const struct bdr_row_job *job, enum bdr_job_state *out)
{
    if (!bdr_job_state_of(job->state, out))
        BDR_FAIL(BDR_CORRUPT, 0, "job %lld is in the state '%s', which does not exist", (long long)job->id, job->state);
    return NULL;
}

static struct bdr_err *job_log(struct bdr_tx *tx, const struct bdr_row_job *job, enum bdr_job_event event,
                               enum bdr_job_state now, const char *actor, int64_t now_ms, const char *text)
{
    return bdr_q_job_log_add(tx, &(struct bdr_in_job_log_add){.job_id = job->id,
                                                              .at_ms = now_ms,
                                                              .event = bdr_job_event_name(event),
                                                              .was = job->state,
                                                              .now = bdr_job_state_name(now),
                                                              .actor = actor,
                                                              .fence = job->fence,
                                                              .done_bytes = job->done_bytes,
                                                              .text = text ? text : ""});
}

/* ---- claim ---- */

struct claim {
    int64_t worker_id, now_ms, lease_ms;
    const char *kinds;
    struct bdr_row_job *job; /* owned */
};

static void worker_name(int64_t id, char out[32])
{
    snprintf(out, 32, "machine %lld", (long long)id);
}

static struct bdr_err *claim_take(struct bdr_tx *tx, struct claim *c, const struct bdr_row_job_pick *pick)
{
    int64_t fence = pick->fence + 1, tries = pick->moved ? 1 : pick->tries + 1;
    struct bdr_row_job was = {.id = pick->id, .state = "ready"};
    char actor[32];

    /* one counter a host: a store that has seen a lease of it refuses every earlier one, whatever job it was for */
    if (pick->host_id.set)
        BDR_TRY(bdr_q_host_fence(tx, pick->host_id.v, &fence));
    BDR_TRY(bdr_q_job_claim(
        tx, &(struct bdr_in_job_claim){pick->id, c->worker_id, fence, tries, c->now_ms, c->now_ms + c->lease_ms},
        &c->job));
    was.fence = fence;
    was.done_bytes = c->job->done_bytes;
    worker_name(c->worker_id, actor);
    return job_log(tx, &was, BDR_JOB_ON_CLAIM, BDR_JOB_RUNNING, actor, c->now_ms, "");
}

static struct bdr_err *claim(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_worker_load *load = NULL;
    BDR_AUTO(mem) struct bdr_row_job_pick *pick = NULL;
    struct claim *c = ctx;
    struct bdr_err *err;
    int64_t locked = 0;
    bool found = false;

    free(BDR_STEAL(c->job));
    /* the worker's row is the lock of all it does: one claim at a time, none while it is unbound or deleted */
    BDR_TRY(bdr_q_machine_lock(tx, c->worker_id, &locked, &found));
    if (found)
        BDR_TRY(bdr_q_worker_load(tx, c->worker_id, &load));
    if (!load)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no machine %lld", (long long)c->worker_id);
    if (load->revoked_ms)
        BDR_FAIL(BDR_DENIED, 0, "the access of machine %lld was revoked", (long long)c->worker_id);
    if (load->max_disks && load->busy_disks >= load->max_disks)
        return NULL;
    BDR_TRY(bdr_q_job_pick(tx,
                           &(struct bdr_in_job_pick){.worker_id = c->worker_id,
                                                     .kinds = c->kinds,
                                                     .now_ms = c->now_ms,
                                                     .busy = load->busy_disks,
                                                     .max = load->max_disks,
                                                     .alive_ms = c->now_ms - BDR_JOB_ALIVE_MS,
                                                     .patient_ms = c->now_ms - BDR_JOB_PATIENT_MS},
                           &pick));
    if (!pick)
        return NULL;
    err = claim_take(tx, c, pick);
    /* job_one_writer: another worker took another job of that host since we looked. Look again. */
    if (err && err->code == BDR_EXISTS)
        return bdr_err_recode(err, BDR_BUSY, BDR_AT, "claiming job %lld", (long long)pick->id);
    return err;
}

struct bdr_err *bdr_job_claim_kinds(struct bdr_db *db, int64_t worker_id, const char *kinds, int64_t now_ms,
                                    int64_t lease_ms, struct bdr_row_job **out)
{
    struct claim c = {worker_id, now_ms, lease_ms ? lease_ms : BDR_JOB_LEASE_MS, kinds, NULL};
    struct bdr_err *err = bdr_db_run(db, BDR_TX_LOCK, claim, &c);

    if (err) {
        free(c.job);
        return err;
    }
    *out = c.job;
    return NULL;
}

struct bdr_err *bdr_job_claim(struct bdr_db *db, int64_t worker_id, int64_t now_ms, int64_t lease_ms,
                              struct bdr_row_job **out)
{
    return bdr_job_claim_kinds(db, worker_id, "", now_ms, lease_ms, out);
}

/* ---- beat ---- */

struct beat {
    const struct bdr_job_lease *lease;
    const struct bdr_job_progress *progress;
    int64_t now_ms, lease_ms;
    const char *checkpoint;
    enum bdr_job_state state;
};

static struct bdr_err *job_fenced(const struct bdr_job_lease *lease)
{
    BDR_FAIL(BDR_FENCED, 0, "lease %lld of job %lld is over: another worker has it, or the job has ended",
             (long long)lease->fence, (long long)lease->job_id);
}

static struct bdr_err *beat(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_job_beat *row = NULL;
    struct beat *b = ctx;

    BDR_TRY(bdr_q_job_beat(tx,
                           &(struct bdr_in_job_beat){.id = b->lease->job_id,
                                                     .worker_id = b->lease->worker_id,
                                                     .fence = b->lease->fence,
                                                     .now_ms = b->now_ms,
                                                     .until_ms = b->now_ms + b->lease_ms,
                                                     .pass = b->progress->pass,
                                                     .done_bytes = b->progress->done_bytes,
                                                     .total_bytes = b->progress->total_bytes,
                                                     .stored_bytes = b->progress->stored_bytes},
                           &row));
    if (!row)
        return job_fenced(b->lease);
    if (!bdr_job_state_of(row->state, &b->state))
        BDR_FAIL(BDR_CORRUPT, 0, "job %lld is in the state '%s', which does not exist", (long long)b->lease->job_id,
                 row->state);
    return NULL;
}

struct bdr_err *bdr_job_beat_in(struct bdr_tx *tx, const struct bdr_job_lease *lease,
                                const struct bdr_job_progress *progress, int64_t now_ms, int64_t lease_ms,
                                enum bdr_job_state *out_state)
{
    struct beat b = {lease, progress, now_ms, lease_ms ? lease_ms : BDR_JOB_LEASE_MS, NULL, BDR_JOB_RUNNING};

    BDR_TRY(beat(tx, &b));
    *out_state = b.state;
    return NULL;
}

struct bdr_err *bdr_job_beat(struct bdr_db *db, const struct bdr_job_lease *lease,
                             const struct bdr_job_progress *progress, int64_t now_ms, int64_t lease_ms,
                             enum bdr_job_state *out_state)
{
    struct beat b = {lease, progress, now_ms, lease_ms ? lease_ms : BDR_JOB_LEASE_MS, NULL, BDR_JOB_RUNNING};

    BDR_TRY(bdr_db_run(db, BDR_TX_BEAT, beat, &b));
    *out_state = b.state;
    return NULL;
}

static struct bdr_err *checkpoint(struct bdr_tx *tx, void *ctx)
{
    const struct beat *b = ctx;
    int64_t changed = 0;

    BDR_TRY(bdr_q_job_checkpoint(
        tx, &(struct bdr_in_job_checkpoint){b->lease->job_id, b->lease->worker_id, b->lease->fence, b->checkpoint},
        &changed));
    return changed ? NULL : job_fenced(b->lease);
}

struct bdr_err *bdr_job_checkpoint_in(struct bdr_tx *tx, const struct bdr_job_lease *lease, const char *text)
{
    return checkpoint(tx, &(struct beat){.lease = lease, .checkpoint = text});
}

struct bdr_err *bdr_job_checkpoint(struct bdr_db *db, const struct bdr_job_lease *lease, const char *text)
{
    return bdr_db_run(db, BDR_TX_LOCK, checkpoint, &(struct beat){.lease = lease, .checkpoint = text});
}

/* ---- events ---- */

struct say {
    const struct bdr_job_lease *lease; /* of a worker; else NULL */
    int64_t job_id, now_ms;
    enum bdr_job_event event;
    const char *actor;
    struct bdr_job_outcome outcome;
    enum bdr_job_state state; /* out */
    bool skipped;             /* out: the lease was renewed since it was found ended */
};

/*
 * A protection that found no room: it is not its failure, and giving up would only hide what is wrong. It waits, longer
 * each time, until there is room or somebody cancels it; the alarm space.out says so.
 */
static bool say_waits(const struct say *s, const struct bdr_row_job *job)
{
    return s->event == BDR_JOB_ON_RETRY && job->writes && s->outcome.error_code &&
           !strcmp(s->outcome.error_code, bdr_code_name(BDR_NOSPACE));
}

/* A job that nobody holds any more: where it goes, when, and with what it says about itself. */
static struct bdr_err *say_move(struct bdr_tx *tx, const struct say *s, const struct bdr_row_job *job,
                                enum bdr_job_event event, enum bdr_job_state now)
{
    struct bdr_in_job_move in = {.id = job->id,
                                 .state = bdr_job_state_name(now),
                                 .due_ms = s->now_ms,
                                 .tries = job->tries,
                                 .error_code = s->outcome.error_code ? s->outcome.error_code : "",
                                 .error_text = s->outcome.error_text ? s->outcome.error_text : "",
                                 .result = s->outcome.result ? s->outcome.result : ""};
    uint8_t shake = 128;
    int64_t changed;

    if (event == BDR_JOB_ON_RETRY) {
        bdr_err_drop(bdr_os_random(&shake, 1), "a pause that is not shaken will do");
        in.due_ms = s->now_ms + bdr_job_backoff_ms(job->tries, shake);
    }
    if (event == BDR_JOB_ON_STOPPED && in.tries > 0)
        in.tries--; /* it was asked to stop: not its failure */
    if (event == BDR_JOB_ON_AGAIN)
        in.tries = 0;
    if (bdr_job_ends(now))
        in.ended_ms = BDR_SOME(s->now_ms);
    return bdr_q_job_move(tx, &in, &changed);
}

static struct bdr_err *say(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    struct say *s = ctx;
    enum bdr_job_event event = s->event;
    enum bdr_job_state was, now;
    int64_t changed;

    s->skipped = false;
    BDR_TRY(bdr_q_job_lock(tx, s->job_id, &job));
    if (!job)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no job %lld", (long long)s->job_id);
    BDR_TRY(job_state(job, &was));
    if (s->lease && (!bdr_job_held(was) || !job->worker_id.set || job->worker_id.v != s->lease->worker_id ||
                     job->fence != s->lease->fence))
        return job_fenced(s->lease);
    if (event == BDR_JOB_ON_EXPIRE && (!bdr_job_held(was) || job->lease_until_ms >= s->now_ms)) {
        s->skipped = true;
        return NULL;
    }
    if (!job->moved && job->tries >= job->max_tries && !say_waits(s, job))
        event = event == BDR_JOB_ON_RETRY ? BDR_JOB_ON_FAIL : event == BDR_JOB_ON_EXPIRE ? BDR_JOB_ON_GIVEUP : event;
    BDR_TRY(bdr_job_next(was, event, &now));
    s->state = now;
    if (bdr_job_held(now))
        BDR_TRY(bdr_q_job_ask(tx, job->id, bdr_job_state_name(now), &changed));
    else
        BDR_TRY(say_move(tx, s, job, event, now));
    return job_log(tx, job, event, now, s->actor, s->now_ms, s->outcome.error_text);
}

struct bdr_err *bdr_job_worker_says_in(struct bdr_tx *tx, const struct bdr_job_lease *lease, enum bdr_job_event event,
                                       const struct bdr_job_outcome *outcome, int64_t now_ms, enum bdr_job_state *out)
{
    char actor[32];
    struct say s = {.lease = lease, .job_id = lease->job_id, .now_ms = now_ms, .event = event, .actor = actor};

    BDR_ASSERT(bdr_job_event_who(event) == BDR_JOB_BY_WORKER && event != BDR_JOB_ON_CLAIM);
    worker_name(lease->worker_id, actor);
    if (outcome)
        s.outcome = *outcome;
    BDR_TRY(say(tx, &s));
    *out = s.state;
    return NULL;
}

struct worker_says {
    const struct bdr_job_lease *lease;
    enum bdr_job_event event;
    const struct bdr_job_outcome *outcome;
    int64_t now_ms;
    enum bdr_job_state state;
};

static struct bdr_err *worker_says(struct bdr_tx *tx, void *ctx)
{
    struct worker_says *w = ctx;

    return bdr_job_worker_says_in(tx, w->lease, w->event, w->outcome, w->now_ms, &w->state);
}

struct bdr_err *bdr_job_worker_says(struct bdr_db *db, const struct bdr_job_lease *lease, enum bdr_job_event event,
                                    const struct bdr_job_outcome *outcome, int64_t now_ms, enum bdr_job_state *out)
{
    struct worker_says w = {lease, event, outcome, now_ms, BDR_JOB_READY};

    BDR_TRY(bdr_db_run(db, BDR_TX_LOCK, worker_says, &w));
    *out = w.state;
    return NULL;
}

struct bdr_err *bdr_job_said(struct bdr_tx *tx, const struct bdr_job_lease *lease, enum bdr_job_event event,
                             enum bdr_job_state *out)
{
    BDR_AUTO(mem) struct bdr_row_job_log_end *row = NULL;
    char actor[32];
    bool same;

    worker_name(lease->worker_id, actor);
    BDR_TRY(bdr_q_job_log_end(tx, lease->job_id, lease->fence, actor, &row));
    same = row && (!strcmp(row->event, bdr_job_event_name(event)) ||
                   /* the last try's RETRY was written down as what it is */
                   (event == BDR_JOB_ON_RETRY && !strcmp(row->event, bdr_job_event_name(BDR_JOB_ON_FAIL))));
    if (!same || !bdr_job_state_of(row->now, out))
        return job_fenced(lease);
    return NULL;
}

struct bdr_err *bdr_job_person_says(struct bdr_tx *tx, int64_t job_id, enum bdr_job_event event, const char *account,
                                    int64_t now_ms, enum bdr_job_state *out)
{
    struct say s = {.job_id = job_id, .now_ms = now_ms, .event = event, .actor = account};
    struct bdr_err *err;

    BDR_ASSERT(bdr_job_event_who(event) == BDR_JOB_BY_PERSON);
    err = say(tx, &s);
    if (err && err->code == BDR_EXISTS)
        return bdr_err_recode(err, BDR_CONFLICT, BDR_AT, "the next run of that policy is there already");
    if (err)
        return err;
    *out = s.state;
    return NULL;
}

struct bdr_err *bdr_job_expire(struct bdr_db *db, int64_t now_ms, int64_t limit, size_t *out_n)
{
    BDR_AUTO(mem) struct bdr_row_job_expired *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0, done = 0;

    BDR_TRY(bdr_tx_begin(db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_job_expired(tx, now_ms, limit, &row, &n));
    bdr_tx_abandon(BDR_STEAL(tx));
    for (size_t i = 0; i < n; i++) {
        struct say s = {.job_id = row[i].id,
                        .now_ms = now_ms,
                        .event = BDR_JOB_ON_EXPIRE,
                        .actor = "console",
                        .outcome = {"TIMEOUT", "its worker was not heard of until the lease ended", ""}};
        struct bdr_err *err = bdr_db_run(db, BDR_TX_LOCK, say, &s);

        if (err && err->code == BDR_NOTFOUND)
            bdr_err_drop(BDR_STEAL(err), "deleted since it was listed");
        BDR_TRY_FOR(err, "taking job %lld from its worker", (long long)row[i].id);
        done += !s.skipped;
    }
    *out_n = done;
    return NULL;
}
