/* SPDX-License-Identifier: Apache-2.0 */
/* machine_gateway.c - gateways: who may write, what they own with the keys of it, and what has become visible there. */
#include "api/machine.h"
#include "api/s3_more.h"
#include "bdr/log.h"
#include "rules/label.h"
#include <stdio.h>
#include <string.h>

#define AUTHORISED_S   10     /* asks again after: how long a lease that is over may still write when its end was not heard of */
#define LIST_MARGIN_MS 300000 /* points made shortly before a whole list was taken may not be on it */
#define POINTS_BYTES   (4u << 20)

/* A repository of this gateway. NOTFOUND for all others, whether they exist or not. */
static struct bdr_err *own_repository(struct bdr_tx *tx, struct bdr_req *req, struct bdr_row_repository **out)
{
    const int64_t id = (int64_t)bdr_req_param_u64(req, "id");
    struct bdr_row_repository *row = NULL;

    BDR_TRY(bdr_q_repository_get(tx, id, &row));
    BDR_TRY(machine_keep(req, row));
    if (!row || !row->gateway_id.set || row->gateway_id.v != machine_id(req))
        BDR_FAIL(BDR_NOTFOUND, 0, "this gateway has no repository %lld", (long long)id);
    *out = row;
    return NULL;
}

/* ---- authorise ---- */

struct authorise {
    struct bdr_req *req;
    const struct bdr_authorise_in *in;
    struct bdr_authorise_out *out;
    int64_t now_ms;
};

/* The machine of a certificate that is good now. */
static struct bdr_err *machine_of(struct bdr_tx *tx, const struct authorise *a, struct bdr_row_machine **out)
{
    BDR_AUTO(mem) struct bdr_row_certificate *cert = NULL;
    struct bdr_row_machine *m = NULL;

    BDR_TRY(bdr_q_machine_by_uuid(tx, a->in->machine, &m));
    BDR_TRY(machine_keep(a->req, m));
    BDR_TRY(bdr_q_certificate_by_serial(tx, a->in->serial, &cert));
    if (!m || m->revoked_ms || !cert || cert->machine_id != m->id || cert->revoked_ms || cert->expires_ms <= a->now_ms)
        BDR_FAIL(BDR_DENIED, 0, "that machine's access was ended, or it never had any");
    *out = m;
    return NULL;
}

static struct bdr_err *authorise_do(struct bdr_tx *tx, void *ctx)
{
    struct authorise *a = ctx;
    BDR_AUTO(mem) struct bdr_row_job_writer_of *job = NULL;
    BDR_AUTO(mem) struct bdr_row_repository *repository = NULL;
    const struct bdr_opt_i64 host_id = BDR_SOME((int64_t)a->in->host);
    struct bdr_row_machine *m = NULL;
    struct bdr_row_host *host = NULL;
    struct bdr_opt_i64 where;

    BDR_TRY(machine_of(tx, a, &m));
    BDR_TRY(bdr_q_host_get(tx, host_id.v, &host));
    BDR_TRY(machine_keep(a->req, host));
    BDR_TRY(bdr_q_job_writer_of(tx, host_id, &job));
    if (host && host->fence > (int64_t)a->in->fence)
        BDR_FAIL(BDR_FENCED, 0, "lease %llu of host %lld is over", (unsigned long long)a->in->fence,
                 (long long)host_id.v);
    if (!host || !job || !job->worker_id.set || job->worker_id.v != m->id || job->fence != (int64_t)a->in->fence)
        BDR_FAIL(BDR_DENIED, 0, "that machine has no job that writes points of host %lld under lease %llu",
                 (long long)host_id.v, (unsigned long long)a->in->fence);
    where = job->repository_id.set ? job->repository_id : host->repository_id;
    if (where.set)
        BDR_TRY(bdr_q_repository_get(tx, where.v, &repository));
    if (!repository || !repository->gateway_id.set || repository->gateway_id.v != machine_id(a->req))
        BDR_FAIL(BDR_DENIED, 0, "points of host %lld are not for this gateway", (long long)host_id.v);
    if (!*host->label)
        BDR_FAIL(BDR_CONFLICT, 0, "host %lld has no name for repositories yet", (long long)host_id.v);
    *a->out = (struct bdr_authorise_out){
        .repository = (uint64_t)repository->id, .label = host->label, .identity = m->uuid, .valid_s = AUTHORISED_S};
    return machine_bandwidth(tx, host->id, a->now_ms, &a->out->bandwidth_bps);
}

static struct bdr_err *authorise(struct bdr_req *req, const void *body, void *answer)
{
    struct authorise a = {.req = req, .in = body, .out = answer, .now_ms = api_now()};

    return api_run(req, BDR_TX_READ, authorise_do, &a);
}

/* ---- what it owns ---- */

static struct bdr_err *sealed_text(struct bdr_tx *tx, struct bdr_req *req, int64_t id, const char *field,
                                   const char **out)
{
    const struct bdr_seal_place place = {"repository", id, field};
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    bool found = false;

    BDR_TRY_FOR(bdr_secret_get(tx, api_console(req)->ring, &place, &secret, &found), "the %s of repository %lld", field,
                (long long)id);
    if (!found)
        return NULL;
    *out = bdr_arena_text(bdr_req_arena(req), (char *)secret.data, secret.len);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

struct repositories {
    struct bdr_req *req;
    struct bdr_gateway_repos *out;
};

static struct bdr_err *repositories_do(struct bdr_tx *tx, void *ctx)
{
    struct repositories *r = ctx;
    struct bdr_row_repository_where *row = NULL;
    struct bdr_gateway_repo *repo;
    struct s3_more more;
    size_t n = 0;

    BDR_TRY(bdr_q_repository_of_gateway(tx, BDR_SOME(machine_id(r->req)), &row, &n));
    BDR_TRY(machine_keep(r->req, row));
    repo = bdr_arena_alloc(bdr_req_arena(r->req), BDR_MAX(n, (size_t)1) * sizeof(*repo));
    BDR_NOMEM_IF_NULL(repo);
    for (size_t i = 0; i < n; i++) {
        repo[i] = (struct bdr_gateway_repo){.id = (uint64_t)row[i].id,
                                            .name = row[i].name,
                                            .url = row[i].url,
                                            .s3_key = machine_text(row[i].s3_key),
                                            .s3_endpoint = machine_text(row[i].s3_endpoint),
                                            .create = !row[i].measured_ms};
        BDR_TRY(sealed_text(tx, r->req, row[i].id, "passphrase", &repo[i].passphrase));
        BDR_TRY(sealed_text(tx, r->req, row[i].id, "s3_secret", &repo[i].s3_secret));
        BDR_TRY(s3_more_get(r->req, tx, row[i].id, &more));
        repo[i].s3_region = more.region;
        repo[i].s3_addressing = more.addressing;
        repo[i].s3_ca = more.ca;
    }
    r->out->repositories.items = repo;
    r->out->repositories.n = n;
    return NULL;
}

static struct bdr_err *repositories(struct bdr_req *req, const void *in, void *answer)
{
    struct repositories r = {req, answer};

    (void)in;
    return api_run(req, BDR_TX_READ, repositories_do, &r);
}

/* ---- how it is ---- */

#define ROOM_BYTES (64 << 20) /* so much more than before is room for somebody */

struct state {
    struct bdr_req *req;
    const struct bdr_repo_state *in;
    int64_t now_ms;
};

static struct bdr_err *state_do(struct bdr_tx *tx, void *ctx)
{
    const struct state *s = ctx;
    struct bdr_row_repository *row = NULL;
    int64_t changed;
    bool room;

    BDR_TRY(own_repository(tx, s->req, &row));
    room = !strcmp(s->in->state, "ok") &&
           (!strcmp(row->state, "full") || (s->in->has_free_bytes && row->free_bytes.set &&
                                            (int64_t)s->in->free_bytes - row->free_bytes.v >= ROOM_BYTES));
    if (room)
        BDR_TRY(bdr_q_job_room(tx, row->id, s->now_ms, &changed));
    BDR_TRY(bdr_q_repository_measured(
        tx,
        &(struct bdr_in_repository_measured){.id = row->id,
                                             .state = s->in->state,
                                             .state_text = s->in->text ? s->in->text : "",
                                             .used_bytes = (int64_t)s->in->used_bytes,
                                             .free_bytes = s->in->has_free_bytes ? BDR_SOME((int64_t)s->in->free_bytes)
                                                                                 : (struct bdr_opt_i64){0},
                                             .now_ms = s->now_ms},
        &changed));
    return bdr_q_repository_data(tx, row->id, (int64_t)s->in->data_bytes, &changed);
}

static struct bdr_err *state(struct bdr_req *req, const void *body, void *answer)
{
    static const char *const states[] = {"ok", "error", "full"};
    struct state s = {req, body, api_now()};
    bool known = false;
    char event[64];

    (void)answer;
    for (size_t i = 0; i < BDR_COUNT(states); i++)
        known |= !strcmp(s.in->state, states[i]);
    if (!known) {
        bdr_req_fault(req, "/state", BDR_INVAL, "is none of ok, error, full");
        BDR_REFUSE(req, BDR_INVAL, "A repository is ok, error or full.");
    }
    BDR_TRY(api_run(req, BDR_TX_LOCK, state_do, &s));
    snprintf(event, sizeof(event), "{\"id\":%llu,\"what\":\"changed\"}",
             (unsigned long long)bdr_req_param_u64(req, "id"));
    bdr_hub_tell(api_console(req)->hub, "repository", event);
    return NULL;
}

/* ---- removing ---- */

struct removing {
    struct bdr_req *req;
    const struct bdr_removing_in *in;
    bool may;
    int64_t point;
};

/* Is this still the rule of the point's host? */
static struct bdr_err *rule_holds(struct bdr_tx *tx, int64_t host_id, const char *retention, bool *out)
{
    BDR_AUTO(mem) struct bdr_row_policy *policy = NULL;
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;

    *out = false;
    BDR_TRY(bdr_q_host_get(tx, host_id, &host));
    if (host && host->policy_id.set)
        BDR_TRY(bdr_q_policy_get(tx, host->policy_id.v, &policy));
    *out = policy && !strcmp(policy->retention, retention);
    return NULL;
}

/*
 * A hold and this are two changes of one row: whichever comes first wins. A point that the gateway then can't remove is
 * on its next whole list, and there again.
 */
static struct bdr_err *removing_do(struct bdr_tx *tx, void *ctx)
{
    struct removing *r = ctx;
    BDR_AUTO(mem) struct bdr_row_point_by_ref *point = NULL;
    struct bdr_row_repository *row = NULL;
    int64_t changed;

    r->point = 0;
    BDR_TRY(own_repository(tx, r->req, &row));
    BDR_TRY(bdr_q_point_by_ref(tx, row->id, r->in->ref, &point));
    r->may = !point || !point->held;
    if (point && r->may && r->in->retention)
        BDR_TRY(rule_holds(tx, point->host_id, r->in->retention, &r->may));
    if (!point || !r->may || !strcmp(point->state, "removed"))
        return NULL;
    BDR_TRY(bdr_q_point_removing(tx, point->id, &changed));
    r->may = changed > 0;
    r->point = point->id;
    return NULL;
}

static struct bdr_err *removing(struct bdr_req *req, const void *body, void *answer)
{
    struct removing r = {.req = req, .in = body};
    char event[64];

    BDR_TRY(api_run(req, BDR_TX_LOCK, removing_do, &r));
    ((struct bdr_removing_out *)answer)->may = r.may;
    if (!r.point)
        return NULL;
    snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"changed\"}", (long long)r.point);
    bdr_hub_tell(api_console(req)->hub, "point", event);
    return NULL;
}

/* ---- points ---- */

struct points {
    struct bdr_req *req;
    const struct bdr_points_told *in;
    int64_t now_ms;
    size_t taken, unknown;
};

/*
 * The host of a name in this repository: one that is protected into it, or has points in it already. A gateway has no
 * say about others, whose RPO it could make look good.
 */
static struct bdr_err *host_named(struct bdr_tx *tx, const struct points *p, int64_t repository_id, const char *label,
                                  struct bdr_row_host **out)
{
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    int64_t here = 0;

    *out = NULL;
    (void)p;
    BDR_TRY(bdr_q_host_by_label(tx, label, &host));
    if (!host)
        return NULL;
    if (!host->repository_id.set || host->repository_id.v != repository_id)
        BDR_TRY(bdr_q_point_here(tx, host->id, repository_id, &here));
    else
        here = 1;
    if (here)
        *out = BDR_STEAL(host);
    return NULL;
}

static struct bdr_err *point_take(struct bdr_tx *tx, struct points *p, int64_t repository_id,
                                  const struct bdr_point_told *t)
{
    BDR_AUTO(mem) struct bdr_row_point_told *row = NULL;
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    int64_t changed;

    BDR_TRY(host_named(tx, p, repository_id, t->label, &host));
    if (!host) { /* a repository may hold what others put there */
        p->unknown++;
        return NULL;
    }
    BDR_TRY(bdr_q_point_told(tx,
                             &(struct bdr_in_point_told){.host_id = host->id,
                                                         .repository_id = repository_id,
                                                         .ref = t->ref,
                                                         .taken_ms = t->taken,
                                                         .kind = t->full ? "full" : "incremental",
                                                         .consistency = t->consistency ? t->consistency : "crash",
                                                         .disk_bytes = (int64_t)t->disk_bytes,
                                                         .read_bytes = (int64_t)t->read_bytes,
                                                         .stored_bytes = (int64_t)t->stored_bytes,
                                                         .list = p->in->list ? p->in->list : "",
                                                         .now_ms = p->now_ms},
                             &row));
    p->taken++;
    if (host->repository_id.set && host->repository_id.v == repository_id && t->taken <= p->now_ms + LIST_MARGIN_MS)
        return bdr_q_host_pointed(tx, host->id, t->taken, &changed);
    return NULL;
}

static struct bdr_err *points_do(struct bdr_tx *tx, void *ctx)
{
    struct points *p = ctx;
    struct bdr_row_repository *row = NULL;
    int64_t began = 0, changed;
    bool found = false;

    p->taken = p->unknown = 0;
    BDR_TRY(own_repository(tx, p->req, &row));
    for (size_t i = 0; i < p->in->points.n; i++)
        BDR_TRY(point_take(tx, p, row->id, &p->in->points.items[i]));
    if (!p->in->complete)
        return NULL;
    BDR_TRY(bdr_q_point_list_began(tx, row->id, p->in->list, &began, &found));
    return bdr_q_point_unlisted(tx, row->id, p->in->list, (found ? began : p->now_ms) - LIST_MARGIN_MS, &changed);
}

static struct bdr_err *points(struct bdr_req *req, const void *body, void *answer)
{
    struct points p = {.req = req, .in = body, .now_ms = api_now()};
    char event[96];

    (void)answer;
    if (p.in->complete && !p.in->list) {
        bdr_req_fault(req, "/list", BDR_INVAL, "is needed with complete");
        BDR_REFUSE(req, BDR_INVAL, "The last part of a whole list says which list it belongs to.");
    }
    BDR_TRY(api_run(req, BDR_TX_LOCK, points_do, &p));
    if (p.unknown)
        BDR_LOG(INFO, "gateway.points-of-others", F_U64("points", p.unknown),
                F_U64("repository", bdr_req_param_u64(req, "id")));
    if (!p.taken && !p.in->complete)
        return NULL;
    snprintf(event, sizeof(event), "{\"repository\":%llu,\"what\":\"changed\"}",
             (unsigned long long)bdr_req_param_u64(req, "id"));
    bdr_hub_tell(api_console(req)->hub, "point", event);
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_POST,
     .path = "/v1/gateway/authorise",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .roles = "gateway",
     .in = &bdr_authorise_in_shape,
     .out = &bdr_authorise_out_shape,
     .run = authorise,
     .help = "May that machine write that host's points under that fence?",
     .help_zh = "写入授权"},
    {.method = BDR_GET,
     .path = "/v1/gateway/repositories",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .roles = "gateway",
     .out = &bdr_gateway_repos_shape,
     .run = repositories,
     .help = "What the gateway owns, with keys.",
     .help_zh = "网关存储库列表"},
    {.method = BDR_PUT,
     .path = "/v1/gateway/repositories/{id:u64}/state",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .roles = "gateway",
     .in = &bdr_repo_state_shape,
     .run = state,
     .help = "Space and health.",
     .help_zh = "上报存储库状态"},
    {.method = BDR_POST,
     .path = "/v1/gateway/repositories/{id:u64}/removing",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .roles = "gateway",
     .in = &bdr_removing_in_shape,
     .out = &bdr_removing_out_shape,
     .run = removing,
     .help = "May a prune remove that point now? From then on nobody can hold it.",
     .help_zh = "确认删除恢复点"},
    {.method = BDR_POST,
     .path = "/v1/gateway/repositories/{id:u64}/points",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .roles = "gateway",
     .in = &bdr_points_told_shape,
     .body_max_bytes = POINTS_BYTES,
     .run = points,
     .help = "Points that became visible; now and then all of them.",
     .help_zh = "上报恢复点"},
};
const struct bdr_route_table api_machine_gateway_table = BDR_ROUTES("machine", rows);
