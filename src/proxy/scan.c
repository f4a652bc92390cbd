/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c - the job `scan`: what hosts a platform has, told to the console in parts. */
#include "bdr/http_client.h"
#include "proxy.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct scan {
    struct proxy *proxy;
    struct bdr_worker_job *job;
    struct bdr_arena *arena;
    struct bdr_seen_host *hosts; /* of the part that is being filled */
    size_t n;
    uint64_t seen, unprotectable;
};

static struct bdr_err *scan_tell(struct scan *s, bool complete)
{
    struct bdr_seen_hosts part = {
        .fence = s->job->work->fence, .job = s->job->work->id, .complete = complete, .hosts = {s->hosts, s->n}};
    char path[80];

    snprintf(path, sizeof(path), "/v1/machine/platforms/%" PRIu64 "/hosts", s->job->work->platform.id);
    BDR_TRY_FOR(bdr_http_json(s->proxy->console,
                              &(struct bdr_http_json){.method = "PUT",
                                                      .path = path,
                                                      .in_shape = &bdr_seen_hosts_shape,
                                                      .in = &part,
                                                      .cancel = &s->job->cancel},
                              s->arena, NULL),
                "telling the console of %zu hosts", s->n);
    s->n = 0;
    return NULL;
}

static struct bdr_err *scan_host(struct scan *s, const struct bdr_platform_host *h)
{
    struct bdr_seen_host *to = &s->hosts[s->n];
    struct bdr_inv_disk *disks = bdr_arena_alloc(s->arena, (h->n_disks + 1) * sizeof(*disks));

    BDR_NOMEM_IF_NULL(disks);
    *to = (struct bdr_seen_host){.ref = h->ref,
                                 .name = h->name,
                                 .addr = h->addr,
                                 .os = h->os,
                                 .power = h->power,
                                 .reason = h->reason,
                                 .disks = {disks, h->n_disks}};
    for (size_t i = 0; i < h->n_disks; i++)
        disks[i] = (struct bdr_inv_disk){.ref = h->disks[i].ref,
                                         .name = h->disks[i].name,
                                         .bus = h->disks[i].bus,
                                         .size_bytes = h->disks[i].size_bytes,
                                         .sector_bytes = h->disks[i].sector_bytes,
                                         .reason = h->disks[i].reason};
    s->n++;
    s->seen++;
    s->unprotectable += h->reason != NULL;
    return s->n == PROXY_HOSTS_PART ? scan_tell(s, false) : NULL;
}

/* A page lives until the part that holds it was sent, so parts and pages share an arena; it is small next to a host. */
static struct bdr_err *scan_pages(struct scan *s, struct bdr_platform *platform)
{
    const char *cursor = NULL;

    do {
        struct bdr_platform_host *hosts = NULL;
        size_t n = 0;

        BDR_TRY_FOR(bdr_platform_list(platform, cursor, s->arena, &hosts, &n, &cursor),
                    "listing the hosts of the platform");
        for (size_t i = 0; i < n; i++)
            BDR_TRY(scan_host(s, &hosts[i]));
        bdr_worker_job_step(s->job, "%" PRIu64 " hosts seen", s->seen);
        BDR_TRY(bdr_cancel_check(&s->job->cancel));
    } while (cursor);
    return scan_tell(s, true);
}

struct bdr_err *proxy_scan(void *ctx, struct bdr_worker_job *job, json_t **out_result)
{
    BDR_AUTO(platform) struct bdr_platform *platform = NULL;
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct scan s = {.proxy = ctx, .job = job};

    BDR_TRY(proxy_platform(ctx, job, &platform));
    BDR_TRY(bdr_arena_new(&arena));
    s.arena = arena;
    s.hosts = bdr_arena_alloc(arena, PROXY_HOSTS_PART * sizeof(*s.hosts));
    BDR_NOMEM_IF_NULL(s.hosts);
    BDR_TRY(scan_pages(&s, platform));
    *out_result = json_pack("{s:I,s:I}", "hosts", (json_int_t)s.seen, "unprotectable", (json_int_t)s.unprotectable);
    return NULL;
}
