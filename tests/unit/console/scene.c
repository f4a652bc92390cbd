/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

static int64_t scene_gateway_add(struct bed *b, const char *uuid)
{
    struct bdr_tx *tx = NULL;
    int64_t id = 0;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_machine_add(
        tx, &(struct bdr_in_machine_add){uuid, "gateway", uuid, "192.0.2.9", "Debian 12", "0.1", SITE_NOW}, &id));
    check_ok(bdr_q_gateway_put(tx, id, "192.0.2.9:443", ""));
    check_ok(bdr_q_machine_beat(tx, id, SITE_NOW, ""));
    check_ok(bdr_tx_commit(tx));
    return id;
}

int64_t scene_repository_add(struct bed *b, const char *name, int64_t gateway)
{
    struct bdr_tx *tx = NULL;
    char url[64];
    int64_t id = 0;

    snprintf(url, sizeof(url), "/srv/%s", name);
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_repository_add(tx,
                                  &(struct bdr_in_repository_add){name, url,
                                                                  gateway ? BDR_SOME(gateway) : (struct bdr_opt_i64){0},
                                                                  false, SITE_NOW},
                                  &id));
    check_ok(bdr_tx_commit(tx));
    return id;
}

int64_t scene_policy_add(struct bed *b, const char *name, int64_t interval_ms, const char *windows)
{
    struct bdr_tx *tx = NULL;
    int64_t id = 0;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_policy_add(tx,
                              &(struct bdr_in_policy_add){.name = name,
                                                          .interval_ms = interval_ms,
                                                          .cron = "",
                                                          .zone = "UTC",
                                                          .windows = windows,
                                                          .bandwidth = "",
                                                          .retention = "daily=7",
                                                          .compression = "zstd",
                                                          .encrypt = false,
                                                          .consistency = "crash",
                                                          .rpo_ms = 0,
                                                          .tries = 4,
                                                          .now_ms = SITE_NOW},
                              &id));
    check_ok(bdr_tx_commit(tx));
    return id;
}

int64_t scene_host_add(struct bed *b, int64_t platform, const char *ref, int64_t policy, int64_t repository)
{
    struct bdr_tx *tx = NULL;
    int64_t id = site_host(b, platform, ref), n;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_host_protect(
        tx, &(struct bdr_in_host_protect){id, BDR_SOME(policy), BDR_SOME(repository), (struct bdr_opt_i64){0}}, &n));
    assert_int_equal(n, 1);
    check_ok(bdr_tx_commit(tx));
    return id;
}

struct scene scene_make(struct rig *r)
{
    struct scene s = {.platform = site_platform(r->bed, "vc"), .proxy = site_proxy(r->bed, "p1")};

    site_bind(r->bed, s.proxy, s.platform);
    s.gateway = scene_gateway_add(r->bed, "g1");
    s.repository = scene_repository_add(r->bed, "main", s.gateway);
    s.policy = scene_policy_add(r->bed, "ten", 10 * SCENE_MINUTE, "");
    s.host = scene_host_add(r->bed, s.platform, "vm-1", s.policy, s.repository);
    return s;
}

void scene_sql(struct rig *r, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    check_ok(bed_sql(r->bed, text));
}

void scene_beat(struct rig *r, int64_t now)
{
    scene_sql(r, "UPDATE machine_beat SET beat_ms = %lld", (long long)now);
}

size_t scene_jobs(struct rig *r, const char *kind, struct bdr_row_job **out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_job_list(tx, &(struct bdr_in_job_list){"", kind, INT64_MAX, 1000}, out, &n));
    return n;
}
size_t scene_job_count(struct rig *r, const char *kind)
{
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;

    return scene_jobs(r, kind, &row);
}

void scene_job_ends(struct rig *r, int64_t id, const char *state, const char *result, int64_t now)
{
    scene_sql(
        r,
        "UPDATE job SET state = '%s', result = '%s', error_text = '%s', tries = 4, started_ms = %lld, ended_ms = %lld "
        "WHERE id = %lld",
        state, result, strcmp(state, "failed") ? "" : "the disk is on fire", (long long)now - 1000, (long long)now,
        (long long)id);
}

json_t *scene_alarms(struct rig *r, const char *query)
{
    char path[256];

    snprintf(path, sizeof(path), "/v1/alarms%s", query);
    return rig_want(r, r->viewer, 200, "GET", path, NULL);
}

size_t scene_standing(struct rig *r, const char *kind)
{
    BDR_AUTO(mem) struct bdr_row_alarm_of_kind *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_alarm_of_kind(tx, kind, &row, &n));
    return n;
}
