/* SPDX-License-Identifier: Apache-2.0 */
/* hosts.h - inside of api/: a host as the API tells it (hosts.c), and what is done with it (host_do.c). */
#pragma once
#include "api/objects.h"

struct host_disk {
    uint64_t id;
    const char *name, *ref, *reason;
    uint64_t size_bytes;
    bool excluded, gone;
};
struct host {
    uint64_t id, platform, machine, policy, repository, job, newest_point;
    const char *name, *address, *os, *power, *state, *reason, *platform_name, *policy_name, *repository_name, *rpo_state;
    uint64_t rpo_ms, rpo_limit_ms;
    int64_t last_point, next_run, created, seen;
    bool paused;
    bool has_platform, has_machine, has_policy, has_repository, has_job, has_newest_point, has_rpo_ms, has_rpo_limit_ms,
        has_last_point, has_next_run, has_disks, has_allowed;
    BDR_ARRAY(struct host_disk) disks;
    json_t *inventory;
    struct obj_allowed_list allowed;
};
extern const struct bdr_shape host_shape, host_protect_shape, host_disk_shape, host_sync_shape, host_forced_shape;

/* The whole host; NOTFOUND. */
bdr_ret host_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct host *out);
/* Handlers. */
bdr_ret host_show(struct bdr_req *req, const void *in, void *out);
bdr_ret host_register(struct bdr_req *req, const void *in, void *out);
bdr_ret host_protect(struct bdr_req *req, const void *in, void *out);
bdr_ret host_unprotect(struct bdr_req *req, const void *in, void *out);
bdr_ret host_disk(struct bdr_req *req, const void *in, void *out);
bdr_ret host_pause(struct bdr_req *req, const void *in, void *out);
bdr_ret host_resume(struct bdr_req *req, const void *in, void *out);
bdr_ret host_sync(struct bdr_req *req, const void *in, void *out);
bdr_ret host_deregister(struct bdr_req *req, const void *in, void *out);
