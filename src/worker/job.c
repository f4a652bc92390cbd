/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.c - one job: a thread that does it, and one that keeps its lease and says how far it is.
 *
 * The lease is counted from when the request was sent, by a clock that goes on while the machine sleeps. When it ran
 * out, or the console says that somebody else has the job, the job is cancelled and nothing more is said of it.
 */
#include "bdr/clock.h"
#include "worker_i.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define JOB_ERROR_CHARS 480
#define JOB_TELL_MS     5000 /* people watch how far it is; the lease alone would do with a third of it */

void bdr_worker_job_step(struct bdr_worker_job *pub, const char *fmt, ...)
{
    struct job *j = (struct job *)pub;
    va_list ap;

    va_start(ap, fmt);
    pthread_mutex_lock(&j->lock);
    vsnprintf(j->step, sizeof(j->step), fmt, ap);
    pthread_mutex_unlock(&j->lock);
    va_end(ap);
}

void bdr_worker_job_checkpoint(struct bdr_worker_job *pub, const char *text)
{
    struct job *j = (struct job *)pub;
    char *copy = strdup(text);

    pthread_mutex_lock(&j->lock);
    if (copy) {
        free(j->checkpoint);
        j->checkpoint = copy;
    }
    pthread_mutex_unlock(&j->lock);
}

void bdr_worker_job_hurry(struct bdr_worker_job *pub)
{
    struct job *j = (struct job *)pub;

    atomic_store(&j->hurry, true);
    worker_poke(j->w, 0);
}

void bdr_worker_job_meter(struct bdr_worker_job *pub, void (*fn)(void *ctx, struct bdr_worker_job *job), void *ctx)
{
    struct job *j = (struct job *)pub;

    pthread_mutex_lock(&j->lock);
    j->meter = fn;
    j->meter_ctx = ctx;
    pthread_mutex_unlock(&j->lock);
}

static void job_lose(struct job *j, const char *why)
{
    if (!atomic_exchange(&j->lost, true))
        BDR_LOG(WARN, "worker.job-lost", F_U64("job", j->pub.work->id), F_U64("fence", j->pub.work->fence),
                F_STR("why", why));
    bdr_cancel_set(&j->pub.cancel);
}

/* ---- the lease ---- */

static bool job_gone(const struct bdr_err *err)
{
    return err->code == BDR_FENCED || err->code == BDR_STALE || err->code == BDR_NOTFOUND ||
           err->code == BDR_CONFLICT || err->sys == 412;
}

static struct bdr_err *beat_send(struct job *j, struct bdr_arena *arena, struct bdr_job_beat_out *got)
{
    struct bdr_job_beat_in say = {.fence = j->pub.work->fence};
    char step[sizeof(j->step)], path[64];
    const char *checkpoint = NULL;
    struct bdr_err *err;

    pthread_mutex_lock(&j->lock);
    if (j->meter)
        j->meter(j->meter_ctx, &j->pub);
    memcpy(step, j->step, sizeof(step));
    if (j->checkpoint)
        checkpoint = bdr_arena_text(arena, j->checkpoint, strlen(j->checkpoint));
    pthread_mutex_unlock(&j->lock);
    say.pass = atomic_load(&j->pub.pass);
    say.done_bytes = atomic_load(&j->pub.done_bytes);
    say.total_bytes = atomic_load(&j->pub.total_bytes);
    say.stored_bytes = atomic_load(&j->pub.stored_bytes);
    say.checkpoint = checkpoint;
    say.step = step[0] ? step : NULL;
    snprintf(path, sizeof(path), "/v1/machine/jobs/%" PRIu64 "/beat", j->pub.work->id);
    err = worker_call(j->w,
                      &(struct bdr_http_json){.method = "POST",
                                              .path = path,
                                              .in_shape = &bdr_job_beat_in_shape,
                                              .in = &say,
                                              .out_shape = &bdr_job_beat_out_shape},
                      arena, got);
    if (!err && checkpoint) { /* told: not again, unless there is a newer one */
        pthread_mutex_lock(&j->lock);
        if (j->checkpoint && !strcmp(j->checkpoint, checkpoint)) {
            free(j->checkpoint);
            j->checkpoint = NULL;
        }
        pthread_mutex_unlock(&j->lock);
    }
    return err;
}

/* One beat. False: it was not answered. */
static bool beat_once(struct job *j, uint64_t *lease_ms)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_job_beat_out got = {0};
    uint64_t asked = bdr_clock_mono_ms();
    struct bdr_err *err = bdr_arena_new(&arena);

    if (!err)
        err = beat_send(j, arena, &got);
    if (err && job_gone(err)) {
        job_lose(j, "the console gave it to somebody else");
        bdr_err_drop(err, "the job ends");
        return true;
    }
    if (err && worker_revoked(err)) {
        job_lose(j, "this machine's certificate was revoked");
        bdr_err_drop(err, "the job ends");
        return true;
    }
    if (err) {
        if (!bdr_cancelled(&j->w->stop))
            BDR_LOG(WARN, "worker.job-beat", F_U64("job", j->pub.work->id), F_ERR(err));
        bdr_err_drop(err, "tried again while the lease lasts");
        return false;
    }
    if (got.lease_s) {
        *lease_ms = (uint64_t)got.lease_s * 1000;
        atomic_store(&j->lease_end_ms, asked + *lease_ms);
    }
    atomic_store(&j->pub.bandwidth_bps, got.bandwidth_bps);
    if (got.wanted != BDR_JOB_GO_ON && atomic_exchange(&j->wanted, got.wanted) == BDR_JOB_GO_ON) {
        BDR_LOG(INFO, "worker.job-wanted", F_U64("job", j->pub.work->id),
                F_STR("wanted", got.wanted == BDR_JOB_PAUSE ? "pause" : "cancel"));
        bdr_cancel_set(&j->pub.cancel);
    }
    return true;
}

static void lease_keep(struct job *j)
{
    uint64_t lease_ms = (uint64_t)BDR_MAX(j->pub.work->lease_s, 1u) * 1000;
    unsigned failures = 0;

    while (!atomic_load(&j->over)) {
        uint64_t now = bdr_clock_mono_ms(), end = atomic_load(&j->lease_end_ms), next;

        if (now >= end) {
            job_lose(j, "its lease ran out without an answer from the console");
            worker_wait(j->w, UINT64_MAX, &j->over, NULL);
            return;
        }
        next = failures ? now + worker_backoff(j->w->backoff_ms, failures - 1, lease_ms / 6 + 1)
                        : now + worker_jitter(BDR_MIN(lease_ms / 3, (uint64_t)JOB_TELL_MS));
        worker_wait(j->w, BDR_MIN(next, end), &j->over, &j->hurry);
        if (atomic_load(&j->over))
            return;
        if (bdr_clock_mono_ms() >= atomic_load(&j->lease_end_ms)) /* slept: look first, then ask */
            continue;
        atomic_store(&j->hurry, false);
        failures = beat_once(j, &lease_ms) ? 0 : failures + 1;
        if (atomic_load(&j->lost)) {
            worker_wait(j->w, UINT64_MAX, &j->over, NULL);
            return;
        }
    }
}

/* ---- the job ---- */

static const struct bdr_worker_kind *kind_find(const struct bdr_worker_config *cfg, const char *name)
{
    for (const struct bdr_worker_kind *k = cfg->kinds; k && k->name; k++)
        if (!strcmp(k->name, name))
            return k;
    return NULL;
}

static int job_how(const struct job *j, const struct bdr_err *err)
{
    bool asked =
        atomic_load(&j->wanted) != BDR_JOB_GO_ON || bdr_cancelled(j->w->cfg->cancel) || bdr_cancelled(&j->pub.cancel);

    if (!err)
        return BDR_HOW_FINISH;
    if (err->code == BDR_CANCELLED && asked)
        return BDR_HOW_STOPPED;
    /* NOSPACE: the same call won't work, but a later try does once there is room; what was sent by then counts */
    return bdr_code_retryable(err->code) || err->code == BDR_STALE || err->code == BDR_CANCELLED ||
                   err->code == BDR_NOSPACE
               ? BDR_HOW_RETRY
               : BDR_HOW_FAIL;
}

/* What came of it, kept until the console has answered. */
static void job_note(struct job *j, struct bdr_err *err, json_t *result)
{
    struct bdr_job_end_in end = {.fence = j->pub.work->fence, .how = job_how(j, err), .result = result};
    char text[JOB_ERROR_CHARS];

    pthread_mutex_lock(&j->lock);
    if (j->meter)
        j->meter(j->meter_ctx, &j->pub);
    pthread_mutex_unlock(&j->lock);
    end.done_bytes = atomic_load(&j->pub.done_bytes);
    end.total_bytes = atomic_load(&j->pub.total_bytes);
    end.stored_bytes = atomic_load(&j->pub.stored_bytes);
    if (err) {
        end.error_code = bdr_code_name(err->code);
        end.error_text = bdr_err_text(err, text, sizeof(text));
    }
    BDR_LOG(INFO, "worker.job-over", F_U64("job", j->pub.work->id), F_STR("kind", j->pub.work->kind),
            F_STR("how", bdr_job_hows[end.how].name), F_U64("ms", bdr_clock_mono_ms() - j->begun_ms),
            F_STR("error", err ? text : ""));
    struct bdr_err *bad = note_end(j->w->cfg->state, j->pub.work->id, &end);

    if (bad)
        BDR_LOG(ERROR, "worker.note-unwritten", F_U64("job", j->pub.work->id), F_ERR(bad));
    bdr_err_drop(bad, "the console then hears of a job that was cut off, and gives it out again");
}

static struct bdr_err *job_do(struct job *j)
{
    const struct bdr_worker_kind *kind = kind_find(j->w->cfg, j->pub.work->kind);
    json_t *result = NULL;
    struct bdr_err *err;

    if (kind)
        err = kind->run(j->w->cfg->ctx, &j->pub, &result);
    else
        err = bdr_err_new(BDR_UNSUPPORTED, 0, BDR_AT, "this program can't do jobs of kind '%s'", j->pub.work->kind);
    if (err && err->code == BDR_FENCED)
        job_lose(j, "a newer writer has taken over");
    if (atomic_load(&j->lost))
        note_drop(j->w->cfg->state, j->pub.work->id);
    else
        job_note(j, err, result);
    bdr_worker_job_meter(&j->pub, NULL, NULL);
    bdr_err_drop(err, "told to the console");
    json_decref(result);
    return NULL;
}

static struct bdr_err *job_thread(void *ctx, unsigned index)
{
    struct job *j = ctx;

    if (index) {
        lease_keep(j);
        return NULL;
    }
    bdr_err_drop(job_do(j), "never fails");
    atomic_store(&j->over, true);
    worker_poke(j->w, POKE_END | POKE_CLAIM | POKE_STATUS);
    return NULL;
}

/* ---- slots ---- */

static void job_clear(struct job *j)
{
    free(j->checkpoint);
    bdr_arena_free(j->arena);
    pthread_mutex_destroy(&j->lock);
    *j = (struct job){0};
}

struct bdr_err *job_start(struct worker *w, struct bdr_arena *given, const struct bdr_claim_out *claim,
                          uint64_t asked_ms)
{
    BDR_AUTO(arena) struct bdr_arena *arena = given;
    struct job *j = NULL;
    struct bdr_err *err;

    for (unsigned i = 0; i < w->cfg->jobs_max && !j; i++)
        if (!w->jobs[i].used)
            j = &w->jobs[i];
    if (!j)
        BDR_FAIL(BDR_BUSY, 0, "no room for another job");
    *j = (struct job){.w = w, .claim = *claim, .begun_ms = bdr_clock_mono_ms()};
    pthread_mutex_init(&j->lock, NULL);
    j->pub.work = &j->claim.job;
    atomic_store(&j->pub.bandwidth_bps, claim->job.bandwidth_bps);
    atomic_store(&j->lease_end_ms, asked_ms + (uint64_t)BDR_MAX(claim->job.lease_s, 1u) * 1000);
    j->arena = BDR_STEAL(arena);
    err = note_running(w->cfg->state, j->pub.work);
    if (err)
        BDR_LOG(WARN, "worker.note-unwritten", F_U64("job", j->pub.work->id), F_ERR(err));
    bdr_err_drop(err, "a full disk must not stop protection; after a crash the lease has to run out");
    BDR_LOG(INFO, "worker.job", F_U64("job", j->pub.work->id), F_STR("kind", j->pub.work->kind),
            F_U64("fence", j->pub.work->fence), F_STR("host", j->pub.work->host_name ? j->pub.work->host_name : ""));
    err = bdr_pool_start("job", 2, job_thread, j, NULL, &j->pool);
    if (err) {
        job_clear(j);
        return err;
    }
    pthread_mutex_lock(&w->lock);
    j->used = true;
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

unsigned jobs_reap(struct worker *w)
{
    unsigned running = 0;

    for (unsigned i = 0; i < w->cfg->jobs_max; i++) {
        struct job *j = &w->jobs[i];

        if (!j->used)
            continue;
        if (!atomic_load(&j->over)) {
            running++;
            continue;
        }
        bdr_err_drop(bdr_pool_join(j->pool), "its threads never fail");
        pthread_mutex_lock(&w->lock);
        j->used = false;
        pthread_mutex_unlock(&w->lock);
        job_clear(j);
    }
    return running;
}

unsigned jobs_running(struct worker *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->cfg->jobs_max; i++)
        n += w->jobs[i].used && !atomic_load(&w->jobs[i].over);
    return n;
}

uint32_t jobs_disks(struct worker *w)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < w->cfg->jobs_max; i++) {
        const struct bdr_job_work *work = w->jobs[i].pub.work;

        if (!w->jobs[i].used || atomic_load(&w->jobs[i].over))
            continue;
        for (size_t k = 0; k < work->disks.n; k++)
            n += !((const struct bdr_job_disk *)work->disks.items)[k].excluded;
    }
    return n;
}

bool jobs_has(struct worker *w, uint64_t id)
{
    for (unsigned i = 0; i < w->cfg->jobs_max; i++)
        if (w->jobs[i].used && !atomic_load(&w->jobs[i].over) && w->jobs[i].pub.work->id == id)
            return true;
    return false;
}

void jobs_cancel(struct worker *w, bool lost, const char *why)
{
    for (unsigned i = 0; i < w->cfg->jobs_max; i++) {
        if (!w->jobs[i].used || atomic_load(&w->jobs[i].over))
            continue;
        if (lost)
            job_lose(&w->jobs[i], why);
        bdr_cancel_set(&w->jobs[i].pub.cancel);
    }
}

void job_hurry(struct worker *w, uint64_t id)
{
    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < w->cfg->jobs_max; i++)
        if (w->jobs[i].used && w->jobs[i].pub.work->id == id)
            atomic_store(&w->jobs[i].hurry, true);
    pthread_mutex_unlock(&w->lock);
    worker_poke(w, 0);
}
