/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - the main loop: ends that were not answered yet, then a beat, the inventory, a claim; and so on.
 *
 * It has one thread of its own for events and two for each job. All it waits for is one condition, so that a hint, a
 * job that ended or the wish to stop wakes it at once.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/osproc.h"
#include "bdr/sync.h"
#include "worker_i.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define RUN_STATUS_MS   10000
#define RUN_BACKOFF_MAX 30000u
#define RUN_CLAIM_MS    2000 /* after a claim that failed */

/* ---- small things ---- */

void worker_poke(struct worker *w, unsigned what)
{
    pthread_mutex_lock(&w->lock);
    w->pokes |= what;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

uint64_t worker_jitter(uint64_t ms)
{
    uint16_t random = 32768;
    struct bdr_err *err = bdr_os_random(&random, sizeof(random));

    bdr_err_drop(err, "no jitter then");
    return ms - ms / 10 + ms * random / 327675; /* 0.9 to 1.1 of it */
}

uint64_t worker_backoff(uint64_t start, unsigned n, uint64_t max)
{
    return worker_jitter(BDR_MAX(BDR_MIN(start << BDR_MIN(n, 16u), max), (uint64_t)1));
}

void worker_wait(struct worker *w, uint64_t until_ms, const atomic_bool *a, const atomic_bool *b)
{
    pthread_mutex_lock(&w->lock);
    while (bdr_clock_mono_ms() < until_ms && !(a && atomic_load(a)) && !(b && atomic_load(b)))
        bdr_cond_wait_slice(&w->wake, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

bool worker_revoked(const struct bdr_err *err)
{
    return err->code == BDR_AUTH && err->sys == 401;
}

/* ---- the line to the console ---- */

struct worker_line *worker_line_take(struct worker *w)
{
    struct worker_line *line;

    pthread_mutex_lock(&w->lock);
    line = w->line;
    line->refs++;
    pthread_mutex_unlock(&w->lock);
    return line;
}

void worker_line_drop(struct worker *w, struct worker_line *line)
{
    bool last;

    pthread_mutex_lock(&w->lock);
    last = line && !--line->refs;
    pthread_mutex_unlock(&w->lock);
    if (last) {
        bdr_http_client_free(line->client);
        free(line);
    }
}

struct bdr_err *worker_line_renew(struct worker *w)
{
    struct worker_line *line = calloc(1, sizeof(*line)), *old;
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(line);
    line->refs = 1;
    err = bdr_worker_client(w->cfg->state, w->who.console, w->answer_ms, &line->client);
    if (err) {
        free(line);
        return err;
    }
    pthread_mutex_lock(&w->lock);
    old = w->line;
    w->line = line;
    pthread_mutex_unlock(&w->lock);
    if (old)
        worker_line_drop(w, old);
    return NULL;
}

struct bdr_err *worker_call(struct worker *w, const struct bdr_http_json *given, struct bdr_arena *arena, void *out)
{
    struct worker_line *line = worker_line_take(w);
    struct bdr_http_json call = *given;
    struct bdr_err *err;

    if (!call.cancel)
        call.cancel = &w->stop;
    err = bdr_http_json(line->client, &call, arena, out);
    worker_line_drop(w, line);
    return err;
}

static void run_link(struct worker *w, enum worker_link link, const struct bdr_err *err)
{
    enum worker_link before;
    char text[512] = "";

    if (err)
        bdr_err_text(err, text, sizeof(text));
    pthread_mutex_lock(&w->lock);
    before = w->link;
    w->link = link;
    if (before != link)
        w->link_since_ms = bdr_clock_wall_ms();
    if (!err)
        w->last_beat_ms = bdr_clock_wall_ms();
    memcpy(w->said, text, sizeof(w->said));
    pthread_mutex_unlock(&w->lock);
    if (before == link)
        return;
    if (link == LINK_UP)
        BDR_LOG(INFO, "worker.console-reached", F_STR("console", w->who.console), F_STR("machine", w->who.machine));
    else
        BDR_LOG(WARN,
                link == LINK_AWAY      ? "worker.console-away"
                : link == LINK_REVOKED ? "worker.revoked"
                                       : "worker.refused",
                F_STR("console", w->who.console), F_ERR(err));
    worker_poke(w, POKE_STATUS);
}

/* ---- beats ---- */

static uint64_t run_memory(void)
{
    char *text = NULL;
    size_t len = 0;
    struct bdr_err *err = bdr_os_read_file("/proc/self/statm", 256, &text, &len);
    uint64_t pages = 0;
    char *second = err ? NULL : strchr(text, ' ');

    if (second)
        pages = strtoull(second + 1, NULL, 10);
    bdr_err_drop(err, "a figure for people");
    free(text);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint32_t run_cpu_pct(struct worker *w)
{
    struct rusage u;
    uint64_t now = bdr_clock_mono_ms(), used, pct;

    getrusage(RUSAGE_SELF, &u);
    used = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
    pct = w->cpu_at_ms && now > w->cpu_at_ms ? (used - w->cpu_ms) * 100 / (now - w->cpu_at_ms) : 0;
    w->cpu_ms = used;
    w->cpu_at_ms = now;
    return (uint32_t)pct;
}

/* Looks at the machine again; keeps the print of what it would tell. */
static struct bdr_err *run_look(struct worker *w)
{
    uint8_t digest[32];
    char *json = NULL;

    if (!w->cfg->inventory)
        return NULL;
    BDR_TRY_FOR(w->cfg->inventory(w->cfg->ctx, &json), "looking at this machine");
    free(w->inventory);
    w->inventory = json;
    if (!EVP_Digest(json, strlen(json), digest, NULL, EVP_sha256(), NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "hashing the inventory");
    bdr_hex(digest, sizeof(digest), w->print);
    return NULL;
}

static struct bdr_err *run_send_inventory(struct worker *w)
{
    struct worker_line *line;
    struct bdr_http_reply reply = {0};
    struct bdr_err *err;

    if (!w->inventory)
        return NULL;
    struct bdr_http_call call = {.method = "PUT",
                                 .path = "/v1/machine/inventory",
                                 .type = "application/json",
                                 .body = w->inventory,
                                 .body_len = strlen(w->inventory),
                                 .cancel = &w->stop};
    line = worker_line_take(w);
    err = bdr_http_call(line->client, &call, &reply);
    worker_line_drop(w, line);
    bdr_http_reply_free(&reply);
    if (!err)
        BDR_LOG(INFO, "worker.inventory-sent", F_STR("print", w->print));
    return err;
}

/* The console does not want this machine any more: that lets the program be uninstalled when the console is away. */
static void run_mark(struct worker *w)
{
    char path[512];
    struct bdr_err *err;

    if (!access(bdr_worker_path(w->cfg->state, WORKER_MARKER, path), F_OK))
        return;
    err = bdr_os_replace_file(path, "", 0, 0644, false);
    BDR_LOG(WARN, "worker.deregistered", F_STR("console", w->who.console));
    bdr_err_drop(err, "the uninstaller asks the console, too");
    worker_poke(w, POKE_STATUS);
}

static void run_registered(struct worker *w, bool registered)
{
    char path[512];

    pthread_mutex_lock(&w->lock);
    w->registered = registered;
    pthread_mutex_unlock(&w->lock);
    if (!registered) {
        jobs_cancel(w, false, "deregistered");
        run_mark(w);
    } else if (!unlink(bdr_worker_path(w->cfg->state, WORKER_MARKER, path))) {
        BDR_LOG(INFO, "worker.registered", F_STR("console", w->who.console));
        worker_poke(w, POKE_STATUS);
    }
}

static void run_take(struct worker *w, const struct bdr_beat_out *got)
{
    struct bdr_worker_settings settings = {.http_timeout_s = got->http_timeout_s, .disks_max = got->disks_max};

    if (got->beat_s && !w->cfg->beat_ms)
        w->beat_ms = BDR_MIN(got->beat_s, 3600u) * 1000;
    run_registered(w, got->registered);
    if (w->cfg->settings)
        w->cfg->settings(w->cfg->ctx, &settings);
    if (got->work)
        worker_poke(w, POKE_CLAIM);
}

static struct bdr_err *run_beat(struct worker *w, struct bdr_beat_out *got)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_beat_in say = {.version = w->cfg->version,
                              .os = w->cfg->os,
                              .boot = w->boot,
                              .jobs = jobs_running(w),
                              .cpu_pct = run_cpu_pct(w),
                              .memory_bytes = run_memory()};
    struct bdr_err *err = run_look(w);

    if (err)
        BDR_LOG(WARN, "worker.inventory", F_ERR(err));
    bdr_err_drop(err, "it beats all the same, with the print of what it saw before");
    say.inventory = w->print[0] ? w->print : NULL;
    for (unsigned i = 0; i < w->cfg->jobs_max; i++)
        if (w->jobs[i].used && !atomic_load(&w->jobs[i].over))
            say.disks += atomic_load(&w->jobs[i].pub.disks);
    BDR_TRY(bdr_arena_new(&arena));
    return worker_call(w,
                       &(struct bdr_http_json){.method = "POST",
                                               .path = "/v1/machine/beat",
                                               .in_shape = &bdr_beat_in_shape,
                                               .in = &say,
                                               .out_shape = &bdr_beat_out_shape},
                       arena, got);
}

static void run_beat_failed(struct worker *w, struct bdr_err *err)
{
    uint64_t now = bdr_clock_mono_ms();

    if (worker_revoked(err)) {
        jobs_cancel(w, true, "this machine's certificate was revoked");
        run_mark(w); /* the one console we trust said it; deregistering a host does it, too */
        run_link(w, LINK_REVOKED, err);
        w->next_beat_ms = now + worker_jitter(w->slow_ms);
    } else {
        run_link(w, err->sys >= 400 && err->sys < 500 && err->code != BDR_THROTTLED ? LINK_REFUSED : LINK_AWAY, err);
        w->next_beat_ms =
            now + worker_backoff(w->backoff_ms, w->failures, BDR_MAX(w->backoff_ms, (uint64_t)RUN_BACKOFF_MAX));
    }
    w->failures++;
    bdr_err_drop(err, "told, and tried again");
}

static void run_beat_step(struct worker *w)
{
    struct bdr_beat_out got = {0};
    struct bdr_err *err = run_beat(w, &got);

    if (err) {
        if (bdr_cancelled(w->cfg->cancel))
            bdr_err_drop(err, "it stops");
        else
            run_beat_failed(w, err);
        return;
    }
    w->failures = 0;
    run_link(w, LINK_UP, NULL);
    run_take(w, &got);
    w->next_beat_ms = bdr_clock_mono_ms() + worker_jitter(w->beat_ms);
    err = got.want_inventory ? run_send_inventory(w) : NULL;
    if (!err)
        err = worker_renew(w);
    if (err)
        BDR_LOG(WARN, "worker.beat", F_ERR(err));
    bdr_err_drop(err, "tried again with the next beat");
}

/* ---- claims and ends ---- */

static struct bdr_err *run_claim(struct worker *w, bool *out_more)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_claim_in say = {0};
    struct bdr_claim_out got = {0};
    char kinds[200] = "";
    uint64_t asked = bdr_clock_mono_ms();
    size_t len = 0;

    *out_more = false;
    for (const struct bdr_worker_kind *k = w->cfg->kinds; k && k->name && len < sizeof(kinds); k++)
        len += (size_t)snprintf(kinds + len, sizeof(kinds) - len, "%s%s", len ? " " : "", k->name);
    say.kinds = kinds;
    if (w->cfg->disks_max) {
        uint32_t max = w->cfg->disks_max(w->cfg->ctx), busy = jobs_disks(w);

        if (busy >= max)
            return NULL;
        say.disks_free = max - busy;
    }
    BDR_TRY(bdr_arena_new(&arena));
    BDR_TRY(worker_call(w,
                        &(struct bdr_http_json){.method = "POST",
                                                .path = "/v1/machine/claim",
                                                .in_shape = &bdr_claim_in_shape,
                                                .in = &say,
                                                .out_shape = &bdr_claim_out_shape},
                        arena, &got));
    if (!got.has_job)
        return NULL;
    if (jobs_has(w, got.job.id)) /* ours was lost, or will be: the beat says so */
        BDR_FAIL(BDR_BUSY, 0, "job %" PRIu64 " still runs here", got.job.id);
    *out_more = true;
    return job_start(w, BDR_STEAL(arena), &got, asked);
}

static void run_claims(struct worker *w)
{
    bool more = true;

    while (more && jobs_reap(w) < w->cfg->jobs_max && w->registered && w->link == LINK_UP &&
           !bdr_cancelled(w->cfg->cancel) && !(w->cfg->drain && atomic_load(w->cfg->drain))) {
        struct bdr_err *err = run_claim(w, &more);

        if (!err)
            continue;
        BDR_LOG(WARN, "worker.claim", F_ERR(err));
        bdr_err_drop(err, "tried again soon, at the latest when the next beat says that there is work");
        w->next_claim_ms = bdr_clock_mono_ms() + worker_jitter(BDR_MAX(w->backoff_ms, 10u) * 2);
        return;
    }
}

/* An error: the console did not answer. */
static struct bdr_err *end_tell(struct worker *w, uint64_t id, struct bdr_job_end_in *end)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_job_end_out got = {0};
    struct bdr_err *err;
    char path[64];

    snprintf(path, sizeof(path), "/v1/machine/jobs/%" PRIu64 "/end", id);
    BDR_TRY(bdr_arena_new(&arena));
    err = worker_call(w,
                      &(struct bdr_http_json){.method = "POST",
                                              .path = path,
                                              .in_shape = &bdr_job_end_in_shape,
                                              .in = end,
                                              .out_shape = &bdr_job_end_out_shape},
                      arena, &got);
    if (err && (!err->sys || err->sys >= 500 || err->sys == 429 || worker_revoked(err)))
        return err;
    if (err) /* it does not want to hear of it: somebody else has the job, or it is gone */
        BDR_LOG(WARN, "worker.end-refused", F_U64("job", id), F_ERR(err));
    else
        BDR_LOG(DEBUG, "worker.end-told", F_U64("job", id), F_STR("state", got.state ? got.state : ""));
    bdr_err_drop(err, "answered");
    note_drop(w->cfg->state, id);
    return NULL;
}

static void run_ends(struct worker *w)
{
    struct bdr_err *err;

    jobs_reap(w);
    err = notes_each(w, end_tell);
    if (!err) {
        w->end_failures = 0;
        w->next_end_ms = UINT64_MAX;
        return;
    }
    if (!w->end_failures)
        BDR_LOG(WARN, "worker.end-untold", F_ERR(err));
    bdr_err_drop(err, "repeated until it is answered");
    w->next_end_ms = bdr_clock_mono_ms() + worker_backoff(w->backoff_ms, w->end_failures++,
                                                          BDR_MAX(w->backoff_ms, (uint64_t)RUN_BACKOFF_MAX));
}

/* ---- the loop ---- */

/* How long the machine has slept since it was started. */
static uint64_t run_slept_ns(void)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t awake = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec, all = bdr_clock_mono_ns();

    return all > awake ? all - awake : 0;
}

static void run_awake(struct worker *w)
{
    uint64_t slept = run_slept_ns();

    if (slept > w->slept_ns + (uint64_t)WORKER_SLEPT_MS * 1000000) {
        BDR_LOG(INFO, "worker.resumed", F_U64("slept_ms", (slept - w->slept_ns) / 1000000));
        for (unsigned i = 0; i < w->cfg->jobs_max; i++)
            atomic_store(&w->jobs[i].hurry, true);
        worker_poke(w, POKE_BEAT | POKE_CLAIM);
    }
    w->slept_ns = slept;
}

static unsigned run_pokes(struct worker *w)
{
    uint64_t now = bdr_clock_mono_ms(), until = BDR_MIN(BDR_MIN(w->next_beat_ms, w->next_end_ms), w->next_claim_ms);
    unsigned pokes;

    pthread_mutex_lock(&w->lock);
    if (!w->pokes && now < until && !bdr_cancelled(w->cfg->cancel))
        bdr_cond_wait_slice(&w->wake, &w->lock);
    pokes = w->pokes;
    w->pokes = 0;
    pthread_mutex_unlock(&w->lock);
    now = bdr_clock_mono_ms();
    if (now >= w->next_beat_ms)
        pokes |= POKE_BEAT;
    if (now >= w->next_end_ms)
        pokes |= POKE_END;
    if (now >= w->next_claim_ms) {
        pokes |= POKE_CLAIM;
        w->next_claim_ms = UINT64_MAX;
    }
    return pokes;
}

static bool run_drained(struct worker *w)
{
    return w->cfg->drain_ends && atomic_load(w->cfg->drain) && !jobs_reap(w);
}

static void run_loop(struct worker *w)
{
    while (!bdr_cancelled(w->cfg->cancel) && !run_drained(w)) {
        unsigned pokes = run_pokes(w);

        if (w->cfg->alive)
            w->cfg->alive(w->cfg->ctx);
        run_awake(w);
        if (pokes & POKE_END)
            run_ends(w);
        if (pokes & POKE_BEAT)
            run_beat_step(w);
        if (pokes & POKE_CLAIM && w->link == LINK_UP)
            run_claims(w);
        if (pokes & POKE_STATUS || bdr_clock_mono_ms() >= w->status_ms) {
            status_write(w);
            w->status_ms = bdr_clock_mono_ms() + RUN_STATUS_MS;
        }
    }
}

/* Jobs stop, and the console is told while there is time; else the notes tell it at the next start. */
static void run_goodbye(struct worker *w)
{
    uint64_t end = bdr_clock_mono_ms() + WORKER_GOODBYE_MS;

    jobs_cancel(w, false, "stopping");
    while (jobs_reap(w)) {
        if (w->cfg->alive)
            w->cfg->alive(w->cfg->ctx);
        pthread_mutex_lock(&w->lock);
        bdr_cond_wait_slice(&w->wake, &w->lock);
        pthread_mutex_unlock(&w->lock);
    }
    if (w->link == LINK_UP)
        do
            run_ends(w);
        while (w->next_end_ms != UINT64_MAX && bdr_clock_mono_ms() < end);
    status_write(w);
}

static struct bdr_err *run_begin(struct worker *w)
{
    char path[512], *boot = NULL;
    struct bdr_err *err;
    size_t len = 0;

    BDR_TRY(bdr_worker_identity(w->cfg->state, &w->who));
    BDR_TRY(bdr_os_mkdirs(bdr_worker_path(w->cfg->state, WORKER_NOTES, path)));
    err = bdr_os_read_file("/proc/sys/kernel/random/boot_id", 64, &boot, &len);
    if (!err)
        snprintf(w->boot, sizeof(w->boot), "%.*s", (int)strcspn(boot, "\n"), boot);
    bdr_err_drop(err, "a hint");
    free(boot);
    w->jobs = calloc(BDR_MAX(w->cfg->jobs_max, 1u), sizeof(*w->jobs));
    BDR_NOMEM_IF_NULL(w->jobs);
    w->registered = access(bdr_worker_path(w->cfg->state, WORKER_MARKER, path), F_OK) != 0;
    w->link_since_ms = bdr_clock_wall_ms();
    w->next_end_ms = w->next_claim_ms = UINT64_MAX;
    w->slept_ns = run_slept_ns();
    w->pokes = POKE_END | POKE_BEAT | POKE_CLAIM | POKE_STATUS;
    return worker_line_renew(w);
}

static void run_end(struct worker *w)
{
    worker_line_drop(w, w->line);
    free(w->jobs);
    free(w->inventory);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
}

struct bdr_err *bdr_worker_run(const struct bdr_worker_config *cfg)
{
    struct worker w = {.cfg = cfg,
                       .backoff_ms = cfg->backoff_ms ? cfg->backoff_ms : WORKER_BACKOFF_MS,
                       .slow_ms = cfg->slow_ms ? cfg->slow_ms : WORKER_SLOW_MS,
                       .beat_ms = cfg->beat_ms ? cfg->beat_ms : BDR_MACHINE_BEAT_S * 1000,
                       .answer_ms = cfg->answer_ms ? cfg->answer_ms : WORKER_ANSWER_MS};
    struct bdr_pool *ears = NULL;
    struct bdr_err *err;

    BDR_ASSERT(cfg->jobs_max && cfg->jobs_max <= WORKER_JOBS_MAX);
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.wake, NULL);
    err = run_begin(&w);
    if (!err)
        err = bdr_pool_start("events", 1, worker_listen, &w, NULL, &ears);
    if (!err) {
        run_loop(&w);
        run_goodbye(&w);
    }
    bdr_cancel_set(&w.stop);
    err = bdr_err_first(err, bdr_pool_join(ears));
    run_end(&w);
    return err;
}
