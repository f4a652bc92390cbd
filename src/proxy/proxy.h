/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h - what the files of bdr-proxy share. */
#pragma once
#include "bdr/platform.h"
#include "bdr/worker_prog.h"

#define PROXY_JOBS_MAX   150u /* the most that the operator's settings advise */
#define PROXY_DISKS      50u  /* until the console says something else */
#define PROXY_TIMEOUT_S  600u
#define PROXY_HOSTS_PART 500u /* docs/wire/machines.md */

struct proxy {
    const struct bdr_prog_options *opt;
    struct bdr_http_client *console; /* owned: for what a scan tells */
    atomic_uint disks_max, timeout_s;
};
/* The kinds; ctx is a struct proxy. */
struct bdr_err *proxy_scan(void *ctx, struct bdr_worker_job *job, json_t **out_result);
struct bdr_err *proxy_sync(void *ctx, struct bdr_worker_job *job, json_t **out_result);
/* The job's platform, open with its credentials. */
bdr_ret proxy_platform(struct proxy *p, struct bdr_worker_job *job, struct bdr_platform **out);
