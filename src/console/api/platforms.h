/* SPDX-License-Identifier: Apache-2.0 */
/* platforms.h - inside of api/: a platform as the API tells it (platforms.c), and what is done with it (platform_do.c). */
#pragma once
#include "api/objects.h"

struct ceph {
    uint64_t id;
    const char *cluster, *monitors, *username, *keyring, *pool, *volume_types;
    int diff;
    bool cephx, keyring_set;
    bool has_cephx, has_diff;
};
struct platform_proxy {
    uint64_t id;
    const char *name, *address, *state;
};
struct platform {
    uint64_t id, hosts, protected_hosts, job;
    const char *kind, *name, *endpoint, *username, *user_domain, *project, *project_domain, *region, *tenancy, *key_print,
        *cert_print, *password, *secret_key, *private_key, *status_text;
    int status;
    bool secret_set;
    bool has_status, has_job, has_refreshed, has_ceph, has_proxies;
    int64_t refreshed, created, changed;
    BDR_ARRAY(struct ceph) ceph;
    BDR_ARRAY(uint64_t) proxies; /* of a request */
    BDR_ARRAY(struct platform_proxy) bound;
    struct obj_allowed_list allowed;
};
extern const struct bdr_shape platform_shape;
extern const struct bdr_choice ceph_diffs[]; /* rbd_diff, rbd_du */

/* The whole platform; NOTFOUND. */
bdr_ret platform_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct platform *out);
/* Are simulated platforms (kind mem) switched on? */
bdr_ret platform_mem_on(struct bdr_tx *tx, bool *out);
#define PLATFORM_MEM "platform.mem" /* the setting; "1": on */

/* Handlers. */
bdr_ret platform_show(struct bdr_req *req, const void *in, void *out);
bdr_ret platform_add(struct bdr_req *req, const void *in, void *out);
bdr_ret platform_set(struct bdr_req *req, const void *in, void *out);
bdr_ret platform_remove(struct bdr_req *req, const void *in, void *out);
bdr_ret platform_refresh(struct bdr_req *req, const void *in, void *out);
bdr_ret platform_test(struct bdr_req *req, const void *in, void *out);
bdr_ret platform_regions(struct bdr_req *req, const void *in, void *out);
