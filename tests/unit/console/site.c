/* SPDX-License-Identifier: Apache-2.0 */
#include "site.h"

int64_t site_platform(struct bed *b, const char *name)
{
    struct bdr_tx *tx = NULL;
    int64_t id = 0;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_platform_add(tx,
                                &(struct bdr_in_platform_add){.kind = "vmware",
                                                              .name = name,
                                                              .endpoint = "https://vc.example:443",
                                                              .username = "root",
                                                              .user_domain = "",
                                                              .project = "",
                                                              .project_domain = "",
                                                              .region = "",
                                                              .tenancy = "",
                                                              .key_print = "",
                                                              .cert_print = "",
                                                              .now_ms = SITE_NOW},
                                &id));
    check_ok(bdr_tx_commit(tx));
    return id;
}

int64_t site_proxy(struct bed *b, const char *uuid)
{
    struct bdr_tx *tx = NULL;
    int64_t id = 0;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_machine_add(
        tx, &(struct bdr_in_machine_add){uuid, "proxy", uuid, "192.0.2.20", "Debian 12", "0.1", SITE_NOW}, &id));
    check_ok(bdr_q_proxy_add(tx, id));
    check_ok(bdr_q_machine_beat(tx, id, SITE_NOW, ""));
    check_ok(bdr_tx_commit(tx));
    return id;
}

void site_bind(struct bed *b, int64_t proxy, int64_t platform)
{
    struct bdr_tx *tx = NULL;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_binding_add(tx, proxy, platform, SITE_NOW));
    check_ok(bdr_tx_commit(tx));
}

int64_t site_host(struct bed *b, int64_t platform, const char *ref)
{
    struct bdr_tx *tx = NULL;
    int64_t id = 0, changed;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_host_seen(tx, &(struct bdr_in_host_seen){BDR_SOME(platform), ref, ref, "", "", "", SITE_NOW}, &id));
    check_ok(bdr_q_host_state(tx, id, "registered", &changed));
    check_ok(bdr_tx_commit(tx));
    return id;
}

int64_t site_job(struct bed *b, int64_t platform, int64_t host, int64_t disks)
{
    struct bdr_tx *tx = NULL;
    int64_t id = 0;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_job_add(tx,
                           &(struct bdr_in_job_add){.kind = "sync",
                                                    .writes = true,
                                                    .host_id = host ? BDR_SOME(host) : (struct bdr_opt_i64){0},
                                                    .platform_id = BDR_SOME(platform),
                                                    .params = "",
                                                    .origin = "test",
                                                    .disks = disks,
                                                    .due_ms = SITE_NOW,
                                                    .max_tries = 3,
                                                    .now_ms = SITE_NOW},
                           &id));
    check_ok(bdr_tx_commit(tx));
    return id;
}

struct bdr_row_job *site_job_get(struct bed *b, int64_t id)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_job *job = NULL;

    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_job_get(tx, id, &job));
    assert_non_null(job);
    return job;
}
