/* SPDX-License-Identifier: Apache-2.0 */
/* machine_scan.c - what a proxy saw on a platform: only one that is bound to it, only under the scan's lease. */
#include "api/machine.h"
#include <stdio.h>
#include <string.h>

#define SEEN_MAX_BYTES (16u << 20) /* 500 hosts with their disks */

struct scan {
    struct bdr_req *req;
    const struct bdr_seen_hosts *in;
    int64_t platform_id, now_ms;
};

static struct bdr_err *seen_host(struct bdr_tx *tx, const struct scan *s, const struct bdr_seen_host *h,
                                 int64_t seen_ms)
{
    int64_t host_id = 0, changed;

    BDR_TRY(bdr_q_host_seen(tx,
                            &(struct bdr_in_host_seen){.platform_id = BDR_SOME(s->platform_id),
                                                       .ref = h->ref,
                                                       .name = h->name,
                                                       .addr = h->addr ? h->addr : "",
                                                       .os = h->os ? h->os : "",
                                                       .power = h->power ? h->power : "",
                                                       .now_ms = seen_ms},
                            &host_id));
    BDR_TRY(bdr_q_host_reason(tx, host_id, h->reason ? h->reason : "", &changed));
    return machine_disks_seen(tx, &(struct machine_disks){host_id, s->now_ms, h->disks.items, h->disks.n});
}

static struct bdr_err *bound(struct bdr_tx *tx, const struct scan *s)
{
    BDR_AUTO(mem) struct bdr_row_binding_platforms *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_binding_platforms(tx, machine_id(s->req), &row, &n));
    for (size_t i = 0; i < n; i++)
        if (row[i].platform_id == s->platform_id)
            return NULL;
    BDR_FAIL(BDR_DENIED, 0, "this Sync Proxy is not bound to that platform");
}

static struct bdr_err *scan_do(struct bdr_tx *tx, void *ctx)
{
    struct scan *s = ctx;
    struct bdr_row_job *job = NULL;
    int64_t began, changed;

    BDR_TRY(bound(tx, s));
    BDR_TRY(machine_holds(tx, s->req, s->in->job, s->in->fence, &job));
    if (strcmp(job->kind, "scan") != 0 || !job->platform_id.set || job->platform_id.v != s->platform_id)
        BDR_FAIL(BDR_DENIED, 0, "job %lld is no scan of that platform", (long long)job->id);
    began = job->started_ms.set ? job->started_ms.v : 0;
    /* clocks of several consoles differ: what the scan saw was seen no earlier than it began */
    for (size_t i = 0; i < s->in->hosts.n; i++)
        BDR_TRY(seen_host(tx, s, &s->in->hosts.items[i], BDR_MAX(s->now_ms, began)));
    return s->in->complete ? bdr_q_host_unseen(tx, BDR_SOME(s->platform_id), began, &changed) : NULL;
}

static struct bdr_err *seen(struct bdr_req *req, const void *body, void *answer)
{
    struct scan s = {.req = req, .in = body, .platform_id = (int64_t)bdr_req_param_u64(req, "id"), .now_ms = api_now()};
    char event[64];

    (void)answer;
    BDR_TRY(api_run(req, BDR_TX_LOCK, scan_do, &s));
    snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"hosts\"}", (long long)s.platform_id);
    bdr_hub_tell(api_console(req)->hub, "platform", event);
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_PUT,
     .path = "/v1/machine/platforms/{id:u64}/hosts",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .roles = "proxy",
     .in = &bdr_seen_hosts_shape,
     .body_max_bytes = SEEN_MAX_BYTES,
     .run = seen,
     .help = "What a scan saw, in parts of at most 500 hosts.",
     .help_zh = "上报平台主机"},
};
const struct bdr_route_table api_machine_scan_table = BDR_ROUTES("machine", rows);
