/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/sync.h"
#include "bdr/worker_prog.h"
#include "console.h"
#include "jobs.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MACHINE_JOBS_MAX (2u + GW_SHARES_MAX)
#define MACHINE_HEAVY_MAX 2u /* of those at once: prune, verify, recover */

struct gw_machine {
    char *state, *below;
    struct gw_console *console; /* owned */
    struct gw *gw;              /* borrowed, while it runs */
    pthread_mutex_t lock;       /* guards heavy */
    pthread_cond_t lighter;
    unsigned heavy;
};

struct bdr_err *gw_machine_enrol(const struct gw_enrol *in)
{
    char os[256], identity[33] = "";

    bdr_err_drop(bdr_os_machine_id("gateway", identity), "then the console knows it by its name");
    return bdr_worker_enrol(&(struct bdr_worker_enrol){.state = in->state,
                                                       .console = in->console,
                                                       .ca = in->ca_print,
                                                       .token = in->token,
                                                       .kind = BDR_MACHINE_GATEWAY,
                                                       .name = in->name,
                                                       .os = bdr_prog_os(os),
                                                       .version = OPENBDR_VERSION,
                                                       .identity = identity[0] ? identity : NULL,
                                                       .url = in->url,
                                                       .force = in->force,
                                                       .cancel = in->cancel});
}

struct bdr_err *gw_machine_open(const char *state, const char *recover_below, struct gw_machine **out)
{
    struct bdr_worker_identity who;
    char identity[512], ca[512];
    struct gw_machine *m;
    struct bdr_err *err;

    BDR_TRY(bdr_worker_identity(state, &who));
    if (who.kind != BDR_MACHINE_GATEWAY)
        BDR_FAIL(BDR_INVAL, 0, "the machine of %s is enrolled, but not as a gateway", state);
    m = calloc(1, sizeof(*m));
    BDR_NOMEM_IF_NULL(m);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->lighter, NULL);
    m->state = strdup(state);
    m->below = recover_below ? strdup(recover_below) : NULL;
    bdr_worker_path(state, "identity.pem", identity);
    err = m->state && (m->below || !recover_below)
              ? gw_console_open(&(struct gw_console_config){.url = who.console,
                                                            .ca_file = bdr_worker_path(state, "ca.crt", ca),
                                                            .cert_file = identity,
                                                            .key_file = identity,
                                                            .no_events = true},
                                &m->console)
              : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
    if (err) {
        gw_machine_close(m);
        return err;
    }
    *out = m;
    return NULL;
}

struct gw_authority gw_machine_authority(struct gw_machine *m)
{
    return gw_console_authority(m->console);
}

void gw_machine_told(void *ctx, uint64_t repository, const json_t *manifest)
{
    gw_console_told(((struct gw_machine *)ctx)->console, repository, manifest);
}

/* ---- jobs ---- */

static void job_step(void *ctx, const char *what)
{
    bdr_worker_job_step(ctx, "%s", what);
}

static void job_told(void *ctx, const char *json)
{
    bdr_worker_job_checkpoint(ctx, json);
    bdr_worker_job_hurry(ctx); /* a person waits for it */
}

static void job_look(void *ctx, struct bdr_worker_job *job)
{
    struct gw_job *j = ctx;

    gw_job_look(j);
    atomic_store(&job->done_bytes, atomic_load(&j->done_bytes));
    atomic_store(&job->total_bytes, atomic_load(&j->total_bytes));
}

static void job_sample(void *ctx, struct gw_job *j, bool begin)
{
    bdr_worker_job_meter(ctx, begin ? job_look : NULL, begin ? j : NULL);
}

/* Shares last for hours and take little: they must not keep the others waiting, who in turn would take all of the disk. */
static struct bdr_err *heavy_take(struct gw_machine *m, struct bdr_worker_job *job)
{
    struct bdr_err *err = NULL;

    pthread_mutex_lock(&m->lock);
    if (m->heavy >= MACHINE_HEAVY_MAX)
        bdr_worker_job_step(job, "waiting for its turn");
    while (m->heavy >= MACHINE_HEAVY_MAX && !(err = bdr_cancel_check(&job->cancel)))
        bdr_cond_wait_slice(&m->lighter, &m->lock);
    m->heavy += !err;
    pthread_mutex_unlock(&m->lock);
    return err;
}

static void heavy_give(struct gw_machine *m)
{
    pthread_mutex_lock(&m->lock);
    m->heavy--;
    pthread_cond_signal(&m->lighter);
    pthread_mutex_unlock(&m->lock);
}

static struct bdr_err *job_run(void *ctx, struct bdr_worker_job *job, json_t **out_result,
                               struct bdr_err *(*fn)(struct gw *gw, struct gw_job *job, json_t **out_result))
{
    struct gw_machine *m = ctx;
    struct gw_job j = {.work = job->work, .cancel = &job->cancel, .recover_below = m->below, .step = job_step,
                       .sample = job_sample, .ctx = job};
    struct bdr_err *err;

    BDR_TRY(heavy_take(m, job));
    err = fn(m->gw, &j, out_result);
    heavy_give(m);
    return err;
}

static struct bdr_err *job_prune(void *ctx, struct bdr_worker_job *job, json_t **out_result)
{
    return job_run(ctx, job, out_result, gw_job_prune);
}
static struct bdr_err *job_verify(void *ctx, struct bdr_worker_job *job, json_t **out_result)
{
    return job_run(ctx, job, out_result, gw_job_verify);
}
static struct bdr_err *job_recover(void *ctx, struct bdr_worker_job *job, json_t **out_result)
{
    return job_run(ctx, job, out_result, gw_job_recover);
}

static struct bdr_err *job_share(void *ctx, struct bdr_worker_job *job, json_t **out_result)
{
    struct gw_machine *m = ctx;
    struct gw_job j = {.work = job->work, .cancel = &job->cancel, .step = job_step, .told = job_told, .ctx = job};

    return gw_job_share(m->gw, &j, out_result);
}

static void machine_event(void *ctx, const char *event, const char *data)
{
    gw_console_heard(((struct gw_machine *)ctx)->console, event, data);
}

static void machine_renewed(void *ctx)
{
    struct gw_machine *m = ctx;
    struct bdr_err *err = gw_reload(m->gw);

    if (err)
        BDR_LOG(ERROR, "gateway.certificate-not-loaded", F_ERR(err));
    bdr_err_drop(err, "the old one serves until it ends; a new start loads the new one");
    gw_console_renewed(m->console);
}

struct bdr_err *gw_machine_run(struct gw_machine *m, struct gw *gw, const struct bdr_cancel *cancel)
{
    static const struct bdr_worker_kind kinds[] = {
        {"prune", job_prune}, {"verify", job_verify}, {"recover", job_recover}, {"share", job_share}, {0}};
    char os[256];

    m->gw = gw;
    gw_shares_clean(m->state);
    BDR_TRY(gw_console_attach(m->console, gw));
    return bdr_worker_run(&(struct bdr_worker_config){.state = m->state,
                                                      .version = OPENBDR_VERSION,
                                                      .os = bdr_prog_os(os),
                                                      .jobs_max = MACHINE_JOBS_MAX,
                                                      .kinds = kinds,
                                                      .ctx = m,
                                                      .event = machine_event,
                                                      .renewed = machine_renewed,
                                                      .cancel = cancel});
}

void gw_machine_quiet(struct gw_machine *m)
{
    if (m)
        gw_console_quiet(m->console);
}

void gw_machine_close(struct gw_machine *m)
{
    if (!m)
        return;
    gw_console_close(m->console);
    free(m->state);
    free(m->below);
    pthread_cond_destroy(&m->lighter);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
