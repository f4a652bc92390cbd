/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_work.c - the next job for a worker, with all it needs to do it: disks, policy, where to, and the secrets for
 * that. Only the machine that has just been given the lease gets them.
 */
#include "api/machine.h"
#include "api/s3_more.h"
#include "bdr/log.h"
#include "policy/policy.h"
#include "rules/label.h"
#include "rules/platform.h"
#include "watch/watch.h"
#include <stdio.h>
#include <string.h>

#define NOTHING_PASSES_BPS 1 /* on the wire 0 is "any" */

struct bdr_err *machine_bandwidth(struct bdr_tx *tx, int64_t host_id, int64_t now_ms, uint64_t *out_bps)
{
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    BDR_AUTO(mem) struct bdr_row_policy *row = NULL;
    struct bdr_policy p;
    uint64_t bps = 0;

    *out_bps = 0;
    BDR_TRY(bdr_q_host_get(tx, host_id, &host));
    if (host && host->policy_id.set)
        BDR_TRY(bdr_q_policy_get(tx, host->policy_id.v, &row));
    if (!row || !*row->bandwidth)
        return NULL;
    BDR_TRY(bdr_policy_parse(&(struct bdr_policy_text){.interval_ms = row->interval_ms,
                                                       .rpo_ms = row->rpo_ms,
                                                       .cron = row->cron,
                                                       .zone = row->zone,
                                                       .windows = row->windows,
                                                       .bandwidth = row->bandwidth,
                                                       .retention = row->retention},
                             &p));
    BDR_TRY(bdr_policy_bandwidth(&p, now_ms, &bps));
    *out_bps = bps == UINT64_MAX ? 0 : BDR_MAX(bps, (uint64_t)NOTHING_PASSES_BPS);
    return NULL;
}

/* ---- composing ---- */

struct compose {
    struct bdr_req *req;
    const struct bdr_row_job *job; /* as it was claimed, by this machine */
    struct bdr_job_work *out;
    int64_t now_ms;
};

/* A sealed text into the request's arena; NULL: there is none. */
static struct bdr_err *secret_text(struct bdr_tx *tx, struct bdr_req *req, const char *owner, int64_t id,
                                   const char *field, const char **out)
{
    const struct bdr_seal_place place = {owner, id, field};
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    bool found = false;

    BDR_TRY_FOR(bdr_secret_get(tx, api_console(req)->ring, &place, &secret, &found), "the %s of %s %lld", field, owner,
                (long long)id);
    if (!found)
        return NULL;
    *out = bdr_arena_text(bdr_req_arena(req), (char *)secret.data, secret.len);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static void json_free(void *p)
{
    json_decref(p);
}

/* Bytes of ours: what a form checked when it came in. A prune of the schedule is told what holds and rules are now. */
static struct bdr_err *params_of(struct bdr_tx *tx, struct compose *c, bool *out_full)
{
    BDR_AUTO(mem) char *fresh = NULL;
    const char *text = c->job->params;

    if (!strcmp(c->job->kind, "prune") && !strcmp(c->job->origin, "policy") && c->job->repository_id.set) {
        BDR_TRY(bdr_watch_prune_params(tx, c->job->repository_id.v, &fresh));
        text = fresh ? fresh : "{\"rules\":[],\"keep\":[]}";
    }

    if (!*text)
        return NULL;
    BDR_TRY_FOR(bdr_json_read(text, strlen(text), &c->out->params), "the parameters of job %lld",
                (long long)c->job->id);
    BDR_TRY(bdr_arena_defer(bdr_req_arena(c->req), json_free, c->out->params));
    *out_full = json_is_true(json_object_get(c->out->params, "full"));
    return NULL;
}

static struct bdr_err *disks_of(struct bdr_tx *tx, struct compose *c)
{
    struct bdr_row_disk *row = NULL;
    struct bdr_job_disk *disk;
    size_t n = 0, kept = 0;

    BDR_TRY(bdr_q_disk_list(tx, c->job->host_id.v, &row, &n));
    BDR_TRY(machine_keep(c->req, row));
    disk = bdr_arena_alloc(bdr_req_arena(c->req), BDR_MAX(n, (size_t)1) * sizeof(*disk));
    BDR_NOMEM_IF_NULL(disk);
    for (size_t i = 0; i < n && kept < BDR_MACHINE_DISKS_MAX; i++)
        if (!row[i].gone_ms)
            disk[kept++] = (struct bdr_job_disk){.id = (uint64_t)row[i].id,
                                                 .ref = row[i].ref,
                                                 .name = machine_text(row[i].name),
                                                 .size_bytes = (uint64_t)row[i].size_bytes,
                                                 .excluded = row[i].excluded || *row[i].reason};
    c->out->disks.items = disk;
    c->out->disks.n = kept;
    return NULL;
}

static struct bdr_err *policy_of(struct bdr_tx *tx, struct compose *c, const struct bdr_row_host *host)
{
    struct bdr_row_policy *policy = NULL;

    if (!host->policy_id.set)
        return NULL;
    BDR_TRY(bdr_q_policy_get(tx, host->policy_id.v, &policy));
    BDR_TRY(machine_keep(c->req, policy));
    if (!policy)
        return NULL;
    c->out->consistency = machine_text(policy->consistency);
    c->out->retention = machine_text(policy->retention);
    c->out->store.compress = machine_text(policy->compression);
    return machine_bandwidth(tx, host->id, c->now_ms, &c->out->bandwidth_bps);
}

static struct bdr_err *host_of(struct bdr_tx *tx, struct compose *c, struct bdr_row_host **out)
{
    struct bdr_row_host *host = NULL;

    *out = NULL;
    if (!c->job->host_id.set)
        return NULL;
    BDR_TRY(bdr_q_host_get(tx, c->job->host_id.v, &host));
    BDR_TRY(machine_keep(c->req, host));
    if (!host)
        BDR_FAIL(BDR_NOTFOUND, 0, "the job's host is gone");
    c->out->host = (uint64_t)host->id;
    c->out->host_name = machine_text(host->name);
    c->out->label = machine_text(host->label);
    c->out->ref = machine_text(host->ref);
    c->out->full |= host->needs_full;
    *out = host;
    BDR_TRY(policy_of(tx, c, host));
    return disks_of(tx, c);
}

/*
 * Where points go. A worker of a repository behind a gateway learns the gateway's address and nothing else; who opens
 * the repository itself - its gateway, or any worker when it has none - needs its keys.
 */
static struct bdr_err *store_of(struct bdr_tx *tx, struct compose *c, int64_t repository_id)
{
    struct bdr_job_store *s = &c->out->store;
    struct bdr_row_repository_where *row = NULL;
    struct bdr_row_gateway_get *gateway = NULL;
    struct s3_more more;

    BDR_TRY(bdr_q_repository_where(tx, repository_id, &row));
    BDR_TRY(machine_keep(c->req, row));
    if (!row)
        BDR_FAIL(BDR_NOTFOUND, 0, "the repository of the job is gone");
    c->out->has_store = true;
    s->repository = (uint64_t)row->id;
    if (row->gateway_id.set && row->gateway_id.v != machine_id(c->req)) {
        BDR_TRY(bdr_q_gateway_get(tx, row->gateway_id.v, &gateway));
        BDR_TRY(machine_keep(c->req, gateway));
        if (!gateway || !*gateway->https)
            BDR_FAIL(BDR_CONFLICT, 0, "nobody knows where the gateway of repository %s is reached", row->name);
        s->gateway_url = bdr_arena_printf(bdr_req_arena(c->req), "https://%s", gateway->https);
        BDR_NOMEM_IF_NULL(s->gateway_url);
        return NULL;
    }
    s->url = row->url;
    BDR_TRY(secret_text(tx, c->req, "repository", row->id, "passphrase", &s->passphrase));
    s->s3_key = machine_text(row->s3_key);
    s->s3_endpoint = machine_text(row->s3_endpoint);
    BDR_TRY(secret_text(tx, c->req, "repository", row->id, "s3_secret", &s->s3_secret));
    BDR_TRY(s3_more_get(c->req, tx, row->id, &more));
    s->s3_region = more.region;
    s->s3_addressing = more.addressing;
    s->s3_ca = more.ca;
    if (row->encrypted && !s->passphrase)
        BDR_FAIL(BDR_CONFLICT, 0, "the passphrase of repository %s is not known here", row->name);
    return NULL;
}

static struct bdr_err *ceph_json(struct bdr_tx *tx, struct compose *c, int64_t platform_id, json_t *more)
{
    BDR_AUTO(mem) struct bdr_row_ceph *row = NULL;
    json_t *list = json_array();
    size_t n = 0;

    if (!list || json_object_set_new(more, "ceph", list) != 0)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    BDR_TRY(bdr_q_ceph_list(tx, platform_id, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const char *key = NULL;
        json_t *one;

        BDR_TRY(secret_text(tx, c->req, "ceph", row[i].id, "keyring", &key));
        one = json_pack("{s:s,s:s,s:b,s:s,s:s,s:s,s:s,s:s*}", "cluster", row[i].cluster, "monitors", row[i].monitors,
                        "cephx", row[i].cephx, "username", row[i].username, "pool", row[i].pool, "diff", row[i].diff,
                        "volume_types", row[i].volume_types, "keyring", key);
        if (!one || json_array_append_new(list, one) != 0)
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    return NULL;
}

static struct bdr_err *names_json(struct bdr_tx *tx, int64_t platform_id, json_t *more)
{
    BDR_AUTO(mem) struct bdr_row_name_record *row = NULL;
    json_t *list = json_array();
    size_t n = 0;

    if (!list || json_object_set_new(more, "names", list) != 0)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    BDR_TRY(bdr_q_name_record_list(tx, BDR_SOME(platform_id), &row, &n));
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_pack("{s:s,s:s}", "name", row[i].name, "addr", row[i].addr);

        if (!one || json_array_append_new(list, one) != 0)
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    return NULL;
}

static const char *secret_field(const char *kind)
{
    for (size_t i = 0; i < bdr_platform_field_count; i++)
        if (bdr_platform_fields[i].need == BDR_FIELD_SECRET && !strcmp(bdr_platform_fields[i].kind, kind))
            return bdr_platform_fields[i].column;
    return NULL; /* mem has none */
}

static struct bdr_err *platform_of(struct bdr_tx *tx, struct compose *c, int64_t id)
{
    struct bdr_job_platform *p = &c->out->platform;
    struct bdr_row_platform *row = NULL;

    BDR_TRY(bdr_q_platform_get(tx, id, &row));
    BDR_TRY(machine_keep(c->req, row));
    if (!row)
        BDR_FAIL(BDR_NOTFOUND, 0, "the platform of the job is gone");
    c->out->has_platform = true;
    *p = (struct bdr_job_platform){.id = (uint64_t)row->id,
                                   .kind = row->kind,
                                   .name = machine_text(row->name),
                                   .endpoint = machine_text(row->endpoint),
                                   .username = machine_text(row->username),
                                   .user_domain = machine_text(row->user_domain),
                                   .project = machine_text(row->project),
                                   .project_domain = machine_text(row->project_domain),
                                   .region = machine_text(row->region),
                                   .tenancy = machine_text(row->tenancy),
                                   .key_print = machine_text(row->key_print),
                                   .cert_print = machine_text(row->cert_print),
                                   .more = json_object()};
    BDR_NOMEM_IF_NULL(p->more);
    BDR_TRY(bdr_arena_defer(bdr_req_arena(c->req), json_free, p->more));
    if (secret_field(row->kind))
        BDR_TRY(secret_text(tx, c->req, "platform", row->id, secret_field(row->kind), &p->password));
    if (secret_field(row->kind) && !p->password)
        BDR_FAIL(BDR_CONFLICT, 0, "the password of platform %s is not known here", row->name);
    BDR_TRY(ceph_json(tx, c, row->id, p->more));
    return names_json(tx, row->id, p->more);
}

/* The key of a share is sealed, not one of the job's parameters, which people see. */
static struct bdr_err *share_of(struct bdr_tx *tx, struct compose *c)
{
    const char *psk = NULL;

    if (strcmp(c->job->kind, "share") != 0 || !c->job->recovery_id.set || !c->out->params)
        return NULL;
    BDR_TRY(secret_text(tx, c->req, "recovery", c->job->recovery_id.v, "psk", &psk));
    if (psk && json_object_set_new(c->out->params, "psk", json_string(psk)))
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    return NULL;
}

static struct bdr_err *compose(struct bdr_tx *tx, void *ctx)
{
    struct compose *c = ctx;
    const struct bdr_row_job *j = c->job;
    struct bdr_row_host *host = NULL;
    struct bdr_opt_i64 repository = j->repository_id;

    BDR_ASSERT(j->worker_id.set && j->worker_id.v == machine_id(c->req));
    *c->out = (struct bdr_job_work){.id = (uint64_t)j->id,
                                    .fence = (uint64_t)j->fence,
                                    .kind = j->kind,
                                    .checkpoint = machine_text(j->checkpoint),
                                    .origin = machine_text(j->origin),
                                    .lease_s = BDR_JOB_LEASE_MS / 1000};
    BDR_TRY(params_of(tx, c, &c->out->full));
    BDR_TRY(share_of(tx, c));
    BDR_TRY(host_of(tx, c, &host));
    if (!repository.set && host)
        repository = host->repository_id;
    if (repository.set)
        BDR_TRY(store_of(tx, c, repository.v));
    else if (j->writes)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s has no repository", host ? host->name : "");
    /* an agent reads its own disks: no business of its with a platform */
    if (j->platform_id.set && !strcmp(api_who(c->req)->machine.kind, "proxy"))
        BDR_TRY(platform_of(tx, c, j->platform_id.v));
    return NULL;
}

/* ---- claiming ---- */

struct label {
    int64_t host_id;
};
static struct bdr_err *label_ensure(struct bdr_tx *tx, void *ctx)
{
    const struct label *l = ctx;
    char text[BDR_LABEL_CHARS];

    return bdr_host_label(tx, l->host_id, text);
}

static struct bdr_err *job_compose(struct bdr_req *req, const struct bdr_row_job *job, int64_t now_ms,
                                   struct bdr_claim_out *out)
{
    struct bdr_db *db = api_console(req)->db;
    struct compose c = {.req = req, .job = job, .now_ms = now_ms, .out = &out->job};

    if (job->host_id.set)
        BDR_TRY(bdr_db_run(db, BDR_TX_LOCK, label_ensure, &(struct label){job->host_id.v}));
    return bdr_db_run(db, BDR_TX_READ, compose, &c);
}

/* A job that cannot be handed out ends with the reason, where people look; the database being away only delays it. */
static struct bdr_err *job_refuse(struct bdr_req *req, const struct bdr_row_job *job, int64_t now_ms,
                                  struct bdr_err *why)
{
    const bool later = bdr_code_retryable(why->code) || why->code == BDR_NOMEM || why->code == BDR_CANCELLED;
    const struct bdr_job_lease lease = {job->id, machine_id(req), job->fence};
    enum bdr_job_state now = BDR_JOB_READY;
    struct bdr_err *err;
    char text[512], event[96];

    bdr_err_text(why, text, sizeof(text));
    err = bdr_job_worker_says(api_console(req)->db, &lease, later ? BDR_JOB_ON_STOPPED : BDR_JOB_ON_FAIL,
                              &(struct bdr_job_outcome){.error_code = bdr_code_name(why->code), .error_text = text},
                              now_ms, &now);
    bdr_err_drop(err, "its lease ends, and the next worker tries");
    if (later)
        return why;
    BDR_LOG(WARN, "job.refused", F_U64("job", (uint64_t)job->id), F_ERR(why));
    bdr_err_drop(why, "the job has it");
    snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"changed\"}", (long long)job->id);
    bdr_hub_tell(api_console(req)->hub, "job", event);
    return NULL;
}

/* "sync,scan", "sync scan" -> "sync scan". */
static struct bdr_err *kinds_of(struct bdr_req *req, const char *given, const char **out)
{
    char *text = bdr_arena_text(bdr_req_arena(req), given ? given : "", given ? strlen(given) : 0);

    BDR_NOMEM_IF_NULL(text);
    for (char *p = text; *p; p++)
        if (*p == ',')
            *p = ' ';
    *out = text;
    return NULL;
}

static struct bdr_err *claim(struct bdr_req *req, const void *body, void *answer)
{
    const struct bdr_claim_in *in = body;
    struct bdr_claim_out *out = answer;
    struct bdr_row_job *job = NULL;
    const char *kinds = NULL;
    int64_t now = api_now();
    struct bdr_err *err;
    char event[96];

    BDR_TRY(kinds_of(req, in->kinds, &kinds));
    BDR_TRY(api_refusal(req, bdr_job_claim_kinds(api_console(req)->db, machine_id(req), kinds, now, 0, &job)));
    BDR_TRY(machine_keep(req, job));
    if (!job)
        return NULL;
    err = job_compose(req, job, now, out);
    if (err) {
        *out = (struct bdr_claim_out){0};
        return job_refuse(req, job, now, err);
    }
    out->has_job = true;
    snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"changed\",\"state\":\"running\"}", (long long)job->id);
    bdr_hub_tell(api_console(req)->hub, "job", event);
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_POST,
     .path = "/v1/machine/claim",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .in = &bdr_claim_in_shape,
     .out = &bdr_claim_out_shape,
     .run = claim,
     .help = "The next job, or none.",
     .help_zh = "领取任务"},
};
const struct bdr_route_table api_machine_work_table = BDR_ROUTES("machine", rows);
