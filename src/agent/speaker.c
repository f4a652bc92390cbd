/* SPDX-License-Identifier: Apache-2.0 */
/* speaker.c - the agent's process with the network: it beats, tells the inventory and claims jobs. */
#include "speaker.h"
#include "bdr/clock.h"
#include "bdr/cpulimit.h"
#include "bdr/log.h"
#include "bdr/service.h"
#include "bdr/sync_job.h"
#include <stdio.h>
#include <string.h>

#define SPEAKER_ALIVE_MS 5000

static struct bdr_err *speaker_inventory(void *ctx, char **out)
{
    struct speaker *s = ctx;

    const char *id;

    BDR_TRY(remote_inventory(s->remote, out));
    if (s->firmware) /* neither changes while we run, and jobs read them */
        return NULL;
    s->firmware = strstr(*out, "\"firmware\":\"uefi\"") ? "uefi" : "bios";
    id = strstr(*out, "\"identity\":\""); /* the reader may make one where the machine has none; we may not */
    if (id)
        snprintf(s->identity, sizeof(s->identity), "%.*s", (int)strcspn(id + 12, "\""), id + 12);
    return NULL;
}

/* The main loop turns: the watchdog of the service manager may know. */
static void speaker_alive(void *ctx)
{
    struct speaker *s = ctx;
    uint64_t now = bdr_clock_mono_ms();

    if (now < s->fed_ms + s->watchdog_ms)
        return;
    s->fed_ms = now;
    remote_alive(s->remote);
}

static struct bdr_err *sync_disks(struct speaker *s, struct bdr_worker_job *job, struct remote_session *session,
                                  struct bdr_backup_disk *disks)
{
    const char *refs[TALK_DISKS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < job->work->disks.n; i++) {
        const struct bdr_job_disk *d = &job->work->disks.items[i];

        if (d->excluded)
            continue;
        if (n == TALK_DISKS_MAX)
            BDR_FAIL(BDR_RANGE, 0, "at most %u disks fit one point", TALK_DISKS_MAX);
        disks[n].name = d->name && *d->name ? d->name : NULL;
        refs[n++] = d->ref;
    }
    if (!n)
        BDR_FAIL(BDR_INVAL, 0, "all disks of this host are excluded; there is nothing to protect");
    bdr_worker_job_step(job, "opening the disks");
    BDR_TRY_FOR(remote_begin(s->remote, refs, n, &job->cancel, session), "opening the disks");
    for (size_t i = 0; i < n; i++) {
        if (s->opt->cpu_pct)
            BDR_TRY(bdr_source_wrap_share(&session->src[i], &job->cancel));
        disks[i].src = session->src[i];
    }
    return NULL;
}

struct bdr_err *speaker_sync(void *ctx, struct bdr_worker_job *job, json_t **out_result)
{
    struct speaker *s = ctx;
    __attribute__((cleanup(remote_end))) struct remote_session session = {0};
    BDR_AUTO(mem) struct bdr_backup_disk *disks = calloc(TALK_DISKS_MAX, sizeof(*disks));

    BDR_NOMEM_IF_NULL(disks);
    BDR_TRY(sync_disks(s, job, &session, disks));
    return bdr_sync_run(&(struct bdr_sync){.state = s->opt->state,
                                           .job = job,
                                           .disks = disks,
                                           .n = session.n,
                                           .moment = session.moment,
                                           .host_id = s->identity,
                                           .boot_mode = s->firmware},
                        out_result);
}

struct bdr_err *speaker_run(const struct bdr_prog_options *opt, const int lanes[TALK_LANES], uint8_t *slots,
                            const struct bdr_cancel *cancel)
{
    static const struct bdr_worker_kind kinds[] = {{"sync", speaker_sync}, {0}};
    struct speaker s = {.opt = opt, .watchdog_ms = SPEAKER_ALIVE_MS};
    char os[256];
    struct bdr_err *err;

    if (opt->cpu_pct) { /* what a copy costs is here: the reader hands over what it reads, and must not wait in a window
                         */
        enum bdr_cpu_way way = bdr_os_cpu_limit(opt->cpu_pct);

        BDR_LOG(INFO, "agent.cpu-limit", F_U64("percent", opt->cpu_pct),
                F_STR("by", way == BDR_CPU_GROUP ? "control group" : "pauses"));
    }
    BDR_TRY(remote_new(lanes, slots, &s.remote));
    err = bdr_worker_run(&(struct bdr_worker_config){.state = opt->state,
                                                     .version = OPENBDR_VERSION,
                                                     .os = bdr_prog_os(os),
                                                     .jobs_max = 1,
                                                     .kinds = kinds,
                                                     .ctx = &s,
                                                     .inventory = speaker_inventory,
                                                     .alive = speaker_alive,
                                                     .beat_ms = opt->beat_ms,
                                                     .backoff_ms = opt->beat_ms / 4,
                                                     .cancel = cancel});
    remote_free(s.remote);
    return err;
}
