/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"
#include "bdr/osfile.h"
#include "bdr/worker_prog.h"
#include "console.h"
#include "jobs.h"
#include <stdio.h>
#include <string.h>

#define MACHINE_JOBS_MAX 2u

struct gw_machine {
    char *state, *below;
    struct gw_console *console; /* owned */
    struct gw *gw;              /* borrowed, while it runs */
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

static struct bdr_err *job_run(void *ctx, struct bdr_worker_job *job, json_t **out_result,
                               struct bdr_err *(*fn)(struct gw *gw, struct gw_job *job, json_t **out_result))
{
    struct gw_machine *m = ctx;
    struct gw_job j = {.work = job->work, .cancel = &job->cancel, .recover_below = m->below, .step = job_step,
                       .sample = job_sample, .ctx = job};

    return fn(m->gw, &j, out_result);
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

static void machine_event(void *ctx, const char *event, const char *data)
{
    gw_console_heard(((struct gw_machine *)ctx)->console, event, data);
}

struct bdr_err *gw_machine_run(struct gw_machine *m, struct gw *gw, const struct bdr_cancel *cancel)
{
    static const struct bdr_worker_kind kinds[] = {
        {"prune", job_prune}, {"verify", job_verify}, {"recover", job_recover}, {0}};
    char os[256];

    m->gw = gw;
    BDR_TRY(gw_console_attach(m->console, gw));
    return bdr_worker_run(&(struct bdr_worker_config){.state = m->state,
                                                      .version = OPENBDR_VERSION,
                                                      .os = bdr_prog_os(os),
                                                      .jobs_max = MACHINE_JOBS_MAX,
                                                      .kinds = kinds,
                                                      .ctx = m,
                                                      .event = machine_event,
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
    free(m);
}
