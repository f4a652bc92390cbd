/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - bdr-proxy: protects the hosts of platforms without a program in them. See docs/proxy.md.
 *
 * SIGTERM stops (jobs end as `stopped`, another proxy may go on); SIGUSR1 drains: no more jobs, and an end when the
 * last is done.
 */
#include "bdr/clock.h"
#include "bdr/http_client.h"
#include "bdr/log.h"
#include "bdr/service.h"
#include "proxy.h"
#include <signal.h>
#include <string.h>

#define PROXY_ALIVE_MS  5000
#define PROXY_ANSWER_MS 60000

static atomic_bool proxy_drain;
static uint64_t proxy_fed_ms;

static void proxy_on_drain(int sig)
{
    (void)sig;
    atomic_store(&proxy_drain, true);
}

struct bdr_err *proxy_platform(struct proxy *p, struct bdr_worker_job *job, struct bdr_platform **out)
{
    const struct bdr_job_platform *from = &job->work->platform;

    if (!job->work->has_platform)
        BDR_FAIL(BDR_INVAL, 0, "the job does not say which platform");
    bdr_worker_job_step(job, "connecting to %s", from->name ? from->name : from->kind);
    BDR_TRY_FOR(bdr_platform_open(&(struct bdr_platform_spec){.kind = from->kind,
                                                              .endpoint = from->endpoint,
                                                              .username = from->username,
                                                              .password = from->password,
                                                              .user_domain = from->user_domain,
                                                              .project = from->project,
                                                              .project_domain = from->project_domain,
                                                              .region = from->region,
                                                              .tenancy = from->tenancy,
                                                              .key_print = from->key_print,
                                                              .cert_print = from->cert_print,
                                                              .more = from->more,
                                                              .timeout_ms = atomic_load(&p->timeout_s) * 1000,
                                                              .cancel = &job->cancel},
                                  out),
                "connecting to the platform");
    return NULL;
}

static void proxy_settings(void *ctx, const struct bdr_worker_settings *s)
{
    struct proxy *p = ctx;
    unsigned disks = s->disks_max ? BDR_MIN(s->disks_max, 1000u) : PROXY_DISKS;

    if (atomic_exchange(&p->disks_max, disks) != disks)
        BDR_LOG(INFO, "proxy.settings", F_U64("disks_max", disks), F_U64("http_timeout_s", s->http_timeout_s));
    atomic_store(&p->timeout_s, s->http_timeout_s ? BDR_MIN(s->http_timeout_s, 86400u) : PROXY_TIMEOUT_S);
}

static uint32_t proxy_disks_max(void *ctx)
{
    struct proxy *p = ctx;

    return atomic_load(&p->disks_max);
}

static void proxy_alive(void *ctx)
{
    uint64_t now = bdr_clock_mono_ms();

    (void)ctx;
    if (now < proxy_fed_ms + PROXY_ALIVE_MS)
        return;
    proxy_fed_ms = now;
    bdr_os_notify("WATCHDOG=1");
}

/* It has the network and passwords, and needs nothing else of the machine. */
static struct bdr_err *proxy_rights(const struct bdr_prog_options *opt)
{
    bool filtered = false;
    uid_t uid = 0;
    gid_t gid = 0;

    if (opt->user && !geteuid()) {
        BDR_TRY(bdr_os_user(opt->user, &uid, &gid));
        BDR_TRY(bdr_os_become(uid, gid));
    }
    BDR_TRY(bdr_os_never(BDR_NEVER_EXEC | BDR_NEVER_SYSTEM | BDR_NEVER_DEVICE, &filtered));
    if (!filtered)
        BDR_LOG(WARN, "proxy.unfiltered", F_STR("why", "this kernel has no filter of system calls"));
    return NULL;
}

static struct bdr_err *proxy_run(const struct bdr_prog_options *opt, struct bdr_cancel *cancel)
{
    static const struct bdr_worker_kind kinds[] = {{"sync", proxy_sync}, {"scan", proxy_scan}, {0}};
    struct proxy p = {.opt = opt, .disks_max = PROXY_DISKS, .timeout_s = PROXY_TIMEOUT_S};
    struct sigaction act = {.sa_handler = proxy_on_drain, .sa_flags = SA_RESTART};
    struct bdr_worker_identity who;
    struct bdr_err *err;
    char os[256];

    sigaction(SIGUSR1, &act, NULL);
    BDR_TRY(proxy_rights(opt));
    BDR_TRY(bdr_worker_identity(opt->state, &who));
    BDR_TRY(bdr_worker_client(opt->state, who.console, PROXY_ANSWER_MS, &p.console));
    bdr_os_notify("READY=1\nSTATUS=running");
    err = bdr_worker_run(&(struct bdr_worker_config){.state = opt->state,
                                                     .version = OPENBDR_VERSION,
                                                     .os = bdr_prog_os(os),
                                                     .jobs_max = PROXY_JOBS_MAX,
                                                     .kinds = kinds,
                                                     .ctx = &p,
                                                     .settings = proxy_settings,
                                                     .disks_max = proxy_disks_max,
                                                     .alive = proxy_alive,
                                                     .beat_ms = opt->beat_ms,
                                                     .backoff_ms = opt->beat_ms / 4,
                                                     .drain = &proxy_drain,
                                                     .drain_ends = true,
                                                     .cancel = cancel});
    bdr_os_notify("STOPPING=1");
    bdr_http_client_free(p.console);
    return err;
}

int main(int argc, char **argv)
{
    static const struct bdr_prog prog = {
        .name = "bdr-proxy",
        .title = "OpenBDR Sync Proxy: protects the hosts of platforms",
        .state = "/var/lib/egisplus-proxy/state",
        .kind = BDR_MACHINE_PROXY,
        .run = proxy_run,
    };

    return bdr_prog_main(&prog, argc, argv);
}
