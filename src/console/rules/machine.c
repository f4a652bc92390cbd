/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/machine.h"
#include "jobs/jobs.h"
#include "rules/label.h"
#include <string.h>

#define HTTP_TIMEOUT_MAX_S 86400
#define DISKS_MAX          1000

static struct bdr_err *proxy_lock(struct bdr_tx *tx, int64_t proxy_id)
{
    BDR_AUTO(mem) struct bdr_row_proxy_get *proxy = NULL;
    int64_t id = 0;
    bool found = false;

    BDR_TRY(bdr_q_machine_lock(tx, proxy_id, &id, &found));
    if (found)
        BDR_TRY(bdr_q_proxy_get(tx, proxy_id, &proxy));
    if (!proxy)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no Sync Proxy %lld", (long long)proxy_id);
    return NULL;
}

static struct bdr_err *platform_lock(struct bdr_tx *tx, int64_t platform_id)
{
    int64_t id = 0;
    bool found = false;

    BDR_TRY(bdr_q_platform_lock(tx, platform_id, &id, &found));
    if (!found)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no platform %lld", (long long)platform_id);
    return NULL;
}

struct bdr_err *bdr_proxy_settings(struct bdr_tx *tx, int64_t proxy_id, int64_t http_timeout_s, int64_t max_disks,
                                   bool *out_unwise)
{
    int64_t changed;

    if (http_timeout_s < 1 || http_timeout_s > HTTP_TIMEOUT_MAX_S)
        BDR_FAIL(BDR_INVAL, 0, "the HTTP timeout is 1 to %d seconds", HTTP_TIMEOUT_MAX_S);
    if (max_disks < 1 || max_disks > DISKS_MAX)
        BDR_FAIL(BDR_INVAL, 0, "disks at once are 1 to %d", DISKS_MAX);
    BDR_TRY(proxy_lock(tx, proxy_id));
    BDR_TRY(bdr_q_proxy_set(tx, proxy_id, http_timeout_s, max_disks, &changed));
    *out_unwise = max_disks > BDR_PROXY_DISKS_ADVISED;
    return NULL;
}

struct bdr_err *bdr_proxy_bind(struct bdr_tx *tx, int64_t proxy_id, int64_t platform_id, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_machine *m = NULL;

    BDR_TRY(proxy_lock(tx, proxy_id));
    BDR_TRY(platform_lock(tx, platform_id));
    BDR_TRY(bdr_q_machine_get(tx, proxy_id, &m));
    if (m && m->revoked_ms)
        BDR_FAIL(BDR_CONFLICT, 0, "the access of Sync Proxy %s was revoked", m->name);
    BDR_TRY_FOR(bdr_q_binding_add(tx, proxy_id, platform_id, now_ms), "binding the Sync Proxy to the platform");
    return NULL;
}

struct bdr_err *bdr_proxy_unbind(struct bdr_tx *tx, int64_t proxy_id, int64_t platform_id)
{
    BDR_AUTO(mem) struct bdr_row_binding_proxies *bound = NULL;
    int64_t held = 0, waiting = 0, changed = 0;
    size_t n = 0;

    BDR_TRY(proxy_lock(tx, proxy_id));
    BDR_TRY(platform_lock(tx, platform_id));
    BDR_TRY(bdr_q_job_held_of_worker_on(tx, proxy_id, platform_id, &held));
    if (held)
        BDR_FAIL(BDR_CONFLICT, 0, "the Sync Proxy runs %lld jobs for the platform; wait for them or cancel them",
                 (long long)held);
    BDR_TRY(bdr_q_binding_proxies(tx, platform_id, &bound, &n));
    BDR_TRY(bdr_q_job_unfinished_of_platform(tx, platform_id, &waiting));
    if (n == 1 && bound[0].proxy_id == proxy_id && waiting)
        BDR_FAIL(BDR_CONFLICT, 0, "it is the platform's last Sync Proxy, and %lld of its jobs have not ended",
                 (long long)waiting);
    BDR_TRY(bdr_q_binding_delete(tx, proxy_id, platform_id, &changed));
    if (!changed)
        BDR_FAIL(BDR_NOTFOUND, 0, "the Sync Proxy is not bound to that platform");
    return NULL;
}

struct bdr_err *bdr_machine_shut_out(struct bdr_tx *tx, int64_t machine_id, int64_t now_ms)
{
    int64_t changed;

    /* the machine's row first: a renewal holds it while it adds a certificate, which must be among those that end */
    BDR_TRY(bdr_q_machine_revoke(tx, machine_id, now_ms, &changed));
    return bdr_q_certificate_revoke_all(tx, machine_id, now_ms, &changed);
}

struct bdr_err *bdr_proxy_remove(struct bdr_tx *tx, int64_t proxy_id, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_binding_platforms *bound = NULL;
    int64_t held = 0, changed;
    size_t n = 0;

    BDR_TRY(proxy_lock(tx, proxy_id));
    BDR_TRY(bdr_q_binding_platforms(tx, proxy_id, &bound, &n));
    if (n)
        BDR_FAIL(BDR_CONFLICT, 0, "the Sync Proxy is bound to %zu platforms, %s first; unbind it before", n,
                 bound[0].name);
    BDR_TRY(bdr_q_job_held_of_worker(tx, proxy_id, &held));
    if (held)
        BDR_FAIL(BDR_CONFLICT, 0, "the Sync Proxy still runs %lld jobs", (long long)held);
    BDR_TRY(bdr_machine_shut_out(tx, proxy_id, now_ms));
    return bdr_q_proxy_delete(tx, proxy_id, &changed);
}

/* CANCEL for each job of the host that has not ended. */
static struct bdr_err *jobs_cancel(struct bdr_tx *tx, int64_t host_id, const char *account, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_job_unfinished_ids *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_job_unfinished_ids(tx, host_id, &row, &n));
    for (size_t i = 0; i < n; i++) {
        enum bdr_job_state now;
        struct bdr_err *err = bdr_job_person_says(tx, row[i].id, BDR_JOB_ON_CANCEL, account, now_ms, &now);

        if (err && err->code == BDR_CONFLICT)
            bdr_err_drop(BDR_STEAL(err), "it is being cancelled already, or ended since it was listed");
        BDR_TRY(err);
    }
    return NULL;
}

struct bdr_err *bdr_host_deregister(struct bdr_tx *tx, int64_t host_id, bool forced, const char *account,
                                    int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    int64_t jobs = 0, recoveries = 0, changed;

    BDR_TRY(bdr_q_host_lock(tx, host_id, &host));
    if (!host)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no host %lld", (long long)host_id);
    if (strcmp(host->state, "registered") != 0 && strcmp(host->state, "protected") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s is not registered", host->name);
    BDR_TRY(bdr_q_recovery_running_of_host(tx, host_id, &recoveries));
    if (recoveries)
        BDR_FAIL(BDR_CONFLICT, 0, "%lld recoveries of host %s have not ended", (long long)recoveries, host->name);
    BDR_TRY(bdr_q_job_unfinished_of_host(tx, host_id, &jobs));
    if (!forced && !strcmp(host->state, "protected"))
        BDR_FAIL(BDR_CONFLICT, 0, "host %s is protected; end its protection before, or force it", host->name);
    if (!forced && jobs)
        BDR_FAIL(BDR_CONFLICT, 0, "%lld jobs of host %s have not ended; wait, cancel them, or force it",
                 (long long)jobs, host->name);
    if (jobs)
        BDR_TRY(jobs_cancel(tx, host_id, account, now_ms));
    if (host->machine_id.set)
        BDR_TRY(bdr_machine_shut_out(tx, host->machine_id.v, now_ms));
    return bdr_q_host_unprotect(tx, host_id, host->machine_id.set ? "gone" : "seen", &changed);
}

struct bdr_err *bdr_enrol_token(struct bdr_tx *tx, const char *kind, const char *note, struct bdr_opt_i64 account_id,
                                int64_t now_ms, int64_t expires_ms, char out[BDR_TOKEN_CHARS])
{
    uint8_t hash[32];
    int64_t id;

    if (strcmp(kind, "proxy") != 0 && strcmp(kind, "agent") != 0 && strcmp(kind, "gateway") != 0)
        BDR_FAIL(BDR_INVAL, 0, "'%.32s' is no kind of machine; proxy, agent, gateway", kind);
    BDR_TRY(bdr_token_new(BDR_TOKEN_ENROL, out));
    BDR_ASSERT(bdr_token_hash(BDR_TOKEN_ENROL, out, hash));
    return bdr_q_enrolment_add(
        tx, &(struct bdr_in_enrolment_add){{hash, sizeof(hash)}, kind, note, account_id, now_ms, expires_ms}, &id);
}

/* The host a new agent speaks for. */
static struct bdr_err *enrol_host(struct bdr_tx *tx, const struct bdr_enrol *e, int64_t machine_id, int64_t *out)
{
    BDR_AUTO(mem) struct bdr_row_host_left_by *left = NULL;
    char label[BDR_LABEL_CHARS];
    int64_t moved = 0, id = 0;

    if (e->identity && *e->identity)
        BDR_TRY(bdr_q_host_left_by(tx, e->identity, &left));
    if (left)
        BDR_TRY(bdr_q_host_moves_in(tx,
                                    &(struct bdr_in_host_moves_in){.id = left->id,
                                                                   .was_machine_id = left->machine_id,
                                                                   .machine_id = BDR_SOME(machine_id),
                                                                   .name = e->name,
                                                                   .addr = e->addr,
                                                                   .os = e->os,
                                                                   .now_ms = e->now_ms},
                                    &moved));
    id = moved ? left->id : 0;
    if (!id)
        BDR_TRY(bdr_q_host_of_agent(
            tx, &(struct bdr_in_host_of_agent){BDR_SOME(machine_id), e->name, e->addr, e->os, e->now_ms}, &id));
    BDR_TRY(bdr_host_label(tx, id, label));
    *out = id;
    return NULL;
}

struct bdr_err *bdr_enrol(struct bdr_tx *tx, const struct bdr_enrol *e, int64_t *out_machine_id, int64_t *out_host_id)
{
    uint8_t hash[32];
    int64_t id = 0, host = 0, used = 0, changed;

    if (!bdr_token_hash(BDR_TOKEN_ENROL, e->token, hash))
        BDR_FAIL(BDR_DENIED, 0, "that is no enrolment token; copy the install command again");
    BDR_TRY(bdr_q_machine_add(
        tx, &(struct bdr_in_machine_add){e->uuid, e->kind, e->name, e->addr, e->os, e->version, e->now_ms}, &id));
    /* of two machines with one token only one changes the row */
    BDR_TRY(bdr_q_enrolment_use(
        tx, &(struct bdr_in_enrolment_use){{hash, sizeof(hash)}, e->kind, BDR_SOME(id), e->now_ms}, &used));
    if (!used)
        BDR_FAIL(BDR_DENIED, 0, "the enrolment token was used before, has expired, or is not for a machine of kind %s",
                 e->kind);
    BDR_TRY(bdr_q_certificate_add(
        tx, &(struct bdr_in_certificate_add){e->serial, id, e->sha256, e->now_ms, e->expires_ms}));
    BDR_TRY(bdr_q_machine_beat(tx, id, e->now_ms, ""));
    if (e->identity && *e->identity)
        BDR_TRY(bdr_q_machine_identity(tx, id, e->identity, &changed));
    if (!strcmp(e->kind, "proxy"))
        BDR_TRY(bdr_q_proxy_add(tx, id));
    if (!strcmp(e->kind, "agent"))
        BDR_TRY(enrol_host(tx, e, id, &host));
    if (!strcmp(e->kind, "gateway"))
        BDR_TRY(bdr_q_gateway_put(tx, id, e->https ? e->https : "", ""));
    *out_machine_id = id;
    if (out_host_id)
        *out_host_id = host;
    return NULL;
}
