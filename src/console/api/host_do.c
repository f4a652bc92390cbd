/* SPDX-License-Identifier: Apache-2.0 */
/* host_do.c - what people do with hosts: register, protect, leave disks out, pause, sync now, deregister. */
#include "api/hosts.h"
#include "policy/policy.h"
#include "rules/machine.h"
#include <string.h>

/* What the audit log keeps of a host. */
struct host_brief {
    const char *name, *state;
    uint64_t policy, repository, disk;
    bool paused, excluded;
};
static const struct bdr_shape_field brief_fields[] = {
    OBJ_OUT(struct host_brief, name, TEXT, "Name.", "名称"),
    OBJ_OUT(struct host_brief, state, TEXT, "State.", "状态"),
    OBJ_OUT(struct host_brief, policy, U64, "Policy.", "策略"),
    OBJ_OUT(struct host_brief, repository, U64, "Repository.", "存储库"),
    OBJ_OUT(struct host_brief, paused, BOOL, "Paused.", "暂停"),
    OBJ_OUT(struct host_brief, disk, U64, "Disk.", "磁盘"),
    OBJ_OUT(struct host_brief, excluded, BOOL, "Excluded.", "排除"),
    OBJ_END,
};
static const struct bdr_shape brief_shape = OBJ_SHAPE(struct host_brief, "HostBrief", brief_fields);

static struct host_brief brief_of(const struct bdr_row_host *h)
{
    return (struct host_brief){.name = h->name,
                               .state = h->state,
                               .policy = (uint64_t)(h->policy_id.set ? h->policy_id.v : 0),
                               .repository = (uint64_t)(h->repository_id.set ? h->repository_id.v : 0),
                               .paused = h->paused};
}

static struct bdr_err *host_lock(struct bdr_tx *tx, int64_t id, struct bdr_row_host **out)
{
    BDR_TRY(bdr_q_host_lock(tx, id, out));
    if (!*out)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no host %lld", (long long)id);
    return NULL;
}

/* Audits the change from `was` to what the row says now. */
static struct bdr_err *host_audit(struct bdr_tx *tx, struct bdr_req *req, const char *action,
                                  const struct bdr_row_host *was)
{
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    const struct host_brief before = brief_of(was);
    struct host_brief after;

    BDR_TRY(bdr_q_host_get(tx, was->id, &h));
    BDR_ASSERT(h);
    after = brief_of(h);
    return api_audit(tx, req, action, "host", was->id, &brief_shape, &before, &after);
}

/* Runs the change, tells people, answers with the host as it is now. */
static struct bdr_err *host_change(struct bdr_req *req, struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx),
                                   const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .id = obj_id(req)};

    BDR_TRY(api_run(req, BDR_TX_LOCK, fn, &c));
    obj_tell(req, "host", c.id, "changed");
    return host_show(req, NULL, out);
}

/* ---- register ---- */

static struct bdr_err *register_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    struct obj_change *c = ctx;
    int64_t n = 0;

    BDR_TRY(host_lock(tx, c->id, &h));
    BDR_TRY(bdr_q_host_register(tx, c->id, &n));
    if (!n)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s is %s; only one that was seen on a platform can be registered", h->name,
                 h->state);
    return host_audit(tx, c->req, "host.register", h);
}

struct bdr_err *host_register(struct bdr_req *req, const void *in, void *out)
{
    return host_change(req, register_tx, in, out);
}

/* ---- protect ---- */

struct protect_in {
    uint64_t policy, repository;
    BDR_ARRAY(uint64_t) excluded;
    bool has_excluded;
};
static const struct bdr_shape_field protect_fields[] = {
    {BDR_FIELD(struct protect_in, policy), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .min = 1,
     .help = "The policy's number.", .help_zh = "策略编号"},
    {BDR_FIELD(struct protect_in, repository), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .min = 1,
     .help = "The repository's number.", .help_zh = "存储库编号"},
    {BDR_FIELD_HAS(struct protect_in, excluded), .type = BDR_T_ARRAY, .of = BDR_T_U64, .n_max = 1000,
     .help = "Numbers of the disks to leave out; all others are taken in. Without it nothing changes.",
     .help_zh = "排除的磁盘编号"},
    OBJ_END,
};
const struct bdr_shape host_protect_shape = OBJ_SHAPE(struct protect_in, "HostProtection", protect_fields);

static bool is_listed(const struct protect_in *in, int64_t id)
{
    for (size_t i = 0; i < in->excluded.n; i++)
        if ((int64_t)in->excluded.items[i] == id)
            return true;
    return false;
}

static struct bdr_err *disks_exclude(struct bdr_tx *tx, int64_t host_id, const struct protect_in *in)
{
    BDR_AUTO(mem) struct bdr_row_disk *d = NULL;
    size_t n = 0, named = 0;
    int64_t changed;

    BDR_TRY(bdr_q_disk_list(tx, host_id, &d, &n));
    for (size_t i = 0; i < n; i++) {
        bool leave_out = is_listed(in, d[i].id);

        named += leave_out;
        if (leave_out != d[i].excluded)
            BDR_TRY(bdr_q_disk_exclude(tx, host_id, d[i].id, leave_out, &changed));
    }
    if (named != in->excluded.n)
        BDR_FAIL(BDR_INVAL, 0, "excluded names a disk twice, or one that is not the host's");
    return NULL;
}

/* At least one disk is left that can be read, and those that cannot be are left out. */
static struct bdr_err *disks_check(struct bdr_tx *tx, const struct bdr_row_host *h)
{
    BDR_AUTO(mem) struct bdr_row_disk *d = NULL;
    size_t n = 0, in = 0, there = 0;

    BDR_TRY(bdr_q_disk_list(tx, h->id, &d, &n));
    for (size_t i = 0; i < n; i++) {
        if (d[i].gone_ms)
            continue;
        there++;
        if (!d[i].excluded && *d[i].reason)
            BDR_FAIL(BDR_CONFLICT, 0, "disk %s cannot be protected (%s): exclude it", d[i].name, d[i].reason);
        in += !d[i].excluded;
    }
    if (there && !in)
        BDR_FAIL(BDR_CONFLICT, 0, "all disks of host %s are excluded: leave at least one in", h->name);
    return NULL;
}

static struct bdr_err *next_run(const struct bdr_row_policy *p, int64_t last_ms, int64_t now_ms, struct bdr_opt_i64 *out)
{
    struct bdr_policy policy;
    int64_t due = -1, missed;

    BDR_TRY(bdr_policy_parse(&(struct bdr_policy_text){p->interval_ms, p->rpo_ms, p->cron, p->zone, p->windows,
                                                       p->bandwidth, p->retention},
                             &policy));
    BDR_TRY(bdr_policy_next(&policy, now_ms, last_ms, now_ms, &due, &missed));
    *out = due >= 0 ? BDR_SOME(due) : (struct bdr_opt_i64){0};
    return NULL;
}

static struct bdr_err *protect_check(struct bdr_tx *tx, const struct bdr_row_host *h, const struct protect_in *in,
                                     struct bdr_row_policy **out)
{
    BDR_AUTO(mem) struct bdr_row_host_view *view = NULL;
    BDR_AUTO(mem) struct bdr_row_repository *r = NULL;

    if (strcmp(h->state, "registered") != 0 && strcmp(h->state, "protected") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s is %s; register it first", h->name, h->state);
    BDR_TRY(bdr_q_host_view_get(tx, h->id, &view));
    if (view && *view->reason)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s cannot be protected: %s", h->name, view->reason);
    BDR_TRY(bdr_q_policy_get(tx, (int64_t)in->policy, out));
    if (!*out)
        BDR_FAIL(BDR_INVAL, 0, "there is no policy %llu", (unsigned long long)in->policy);
    BDR_TRY(bdr_q_repository_get(tx, (int64_t)in->repository, &r));
    if (!r)
        BDR_FAIL(BDR_INVAL, 0, "there is no repository %llu", (unsigned long long)in->repository);
    if ((*out)->encrypt && !r->encrypted)
        BDR_FAIL(BDR_CONFLICT, 0, "policy %s wants encryption and repository %s is not encrypted: choose another of them",
                 (*out)->name, r->name);
    return NULL;
}

static struct bdr_err *protect_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_policy *policy = NULL;
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    struct obj_change *c = ctx;
    const struct protect_in *in = c->in;
    struct bdr_opt_i64 next = {0};
    int64_t n = 0, jobs = 0;

    BDR_TRY(host_lock(tx, c->id, &h));
    BDR_TRY(protect_check(tx, h, in, &policy));
    if (h->repository_id.set && h->repository_id.v != (int64_t)in->repository) {
        BDR_TRY(bdr_q_job_unfinished_of_host(tx, c->id, &jobs));
        if (jobs)
            BDR_FAIL(BDR_CONFLICT, 0, "%lld jobs of host %s have not ended; the repository can change when they have",
                     (long long)jobs, h->name);
    }
    if (in->has_excluded)
        BDR_TRY(disks_exclude(tx, c->id, in));
    BDR_TRY(disks_check(tx, h));
    BDR_TRY(next_run(policy, h->last_run_ms, api_now(), &next));
    BDR_TRY(bdr_q_host_protect(
        tx, &(struct bdr_in_host_protect){c->id, BDR_SOME(policy->id), BDR_SOME((int64_t)in->repository), next}, &n));
    return host_audit(tx, c->req, "host.protect", h);
}

struct bdr_err *host_protect(struct bdr_req *req, const void *in, void *out)
{
    return host_change(req, protect_tx, in, out);
}

static struct bdr_err *unprotect_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    struct obj_change *c = ctx;
    int64_t job = 0, n;
    bool found = false;

    BDR_TRY(host_lock(tx, c->id, &h));
    if (strcmp(h->state, "protected") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s is not protected", h->name);
    BDR_TRY(bdr_q_job_unfinished_sync(tx, c->id, &job, &found));
    if (found)
        BDR_FAIL(BDR_CONFLICT, 0, "job %lld of host %s has not ended; wait for it or cancel it", (long long)job, h->name);
    BDR_TRY(bdr_q_host_unprotect(tx, c->id, "registered", &n));
    return host_audit(tx, c->req, "host.unprotect", h);
}

struct bdr_err *host_unprotect(struct bdr_req *req, const void *in, void *out)
{
    return host_change(req, unprotect_tx, in, out);
}

/* ---- disks ---- */

struct disk_in {
    bool excluded, has_excluded;
};
static const struct bdr_shape_field disk_fields[] = {
    {BDR_FIELD_HAS(struct disk_in, excluded), .type = BDR_T_BOOL, .flags = BDR_F_REQUIRED,
     .help = "Leave it out of recovery points.", .help_zh = "是否排除"},
    OBJ_END,
};
const struct bdr_shape host_disk_shape = OBJ_SHAPE(struct disk_in, "HostDiskChange", disk_fields);

static struct bdr_err *disk_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    BDR_AUTO(mem) struct bdr_row_disk *d = NULL;
    struct obj_change *c = ctx;
    const struct disk_in *in = c->in;
    struct host_brief before, after;
    int64_t n = 0;

    BDR_TRY(host_lock(tx, c->id, &h));
    BDR_TRY(bdr_q_disk_get(tx, c->id, (int64_t)bdr_req_param_u64(c->req, "disk"), &d));
    if (!d)
        BDR_FAIL(BDR_NOTFOUND, 0, "host %s has no disk %llu", h->name,
                 (unsigned long long)bdr_req_param_u64(c->req, "disk"));
    if (!in->has_excluded || in->excluded == d->excluded)
        return NULL;
    BDR_TRY(bdr_q_disk_exclude(tx, c->id, d->id, in->excluded, &n));
    if (!strcmp(h->state, "protected"))
        BDR_TRY(disks_check(tx, h));
    before = after = brief_of(h);
    before.disk = after.disk = (uint64_t)d->id;
    before.excluded = d->excluded;
    after.excluded = in->excluded;
    return api_audit(tx, c->req, "host.disk", "host", h->id, &brief_shape, &before, &after);
}

struct bdr_err *host_disk(struct bdr_req *req, const void *in, void *out)
{
    return host_change(req, disk_tx, in, out);
}

/* ---- pause ---- */

static struct bdr_err *pause_set(struct bdr_tx *tx, struct obj_change *c, bool paused)
{
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    int64_t n;

    BDR_TRY(host_lock(tx, c->id, &h));
    if (strcmp(h->state, "protected") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s is not protected", h->name);
    if (h->paused == paused)
        return NULL;
    BDR_TRY(bdr_q_host_pause(tx, c->id, paused, &n));
    return host_audit(tx, c->req, paused ? "host.pause" : "host.resume", h);
}

static struct bdr_err *pause_tx(struct bdr_tx *tx, void *ctx)
{
    return pause_set(tx, ctx, true);
}

static struct bdr_err *resume_tx(struct bdr_tx *tx, void *ctx)
{
    return pause_set(tx, ctx, false);
}

struct bdr_err *host_pause(struct bdr_req *req, const void *in, void *out)
{
    return host_change(req, pause_tx, in, out);
}

struct bdr_err *host_resume(struct bdr_req *req, const void *in, void *out)
{
    return host_change(req, resume_tx, in, out);
}

/* ---- sync now ---- */

struct sync_in {
    bool full;
};
static const struct bdr_shape_field sync_fields[] = {
    {BDR_FIELD(struct sync_in, full), .type = BDR_T_BOOL, .help = "Read all of the disks, not only what changed.",
     .help_zh = "全量同步"},
    OBJ_END,
};
const struct bdr_shape host_sync_shape = OBJ_SHAPE(struct sync_in, "HostSync", sync_fields);

static struct bdr_err *disks_count(struct bdr_tx *tx, int64_t host_id, int64_t *out)
{
    BDR_AUTO(mem) struct bdr_row_disk *d = NULL;
    size_t n = 0;

    *out = 0;
    BDR_TRY(bdr_q_disk_list(tx, host_id, &d, &n));
    for (size_t i = 0; i < n; i++)
        *out += !d[i].excluded && !d[i].gone_ms;
    return NULL;
}

static struct bdr_err *sync_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_policy *policy = NULL;
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    struct obj_change *c = ctx;
    const struct sync_in *in = c->in;
    struct host_brief brief;
    int64_t job = 0, disks = 0;
    bool found = false;

    BDR_TRY(host_lock(tx, c->id, &h));
    if (strcmp(h->state, "protected") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "host %s is %s; protect it first", h->name, h->state);
    BDR_TRY(bdr_q_job_unfinished_sync(tx, c->id, &job, &found));
    c->wake_machine = h->machine_id.set ? h->machine_id.v : 0;
    c->wake_platform = h->platform_id.set ? h->platform_id.v : 0;
    if (found) { /* one that waits for its next try need not wait longer */
        int64_t hurried = 0;

        if (!in->full)
            BDR_TRY(bdr_q_job_hurry(tx, job, api_now(), &hurried));
        if (!hurried)
            BDR_FAIL(BDR_CONFLICT, 0, "job %lld makes a point of host %s already", (long long)job, h->name);
        c->made = job;
        brief = brief_of(h);
        return api_audit(tx, c->req, "host.sync", "host", h->id, &brief_shape, NULL, &brief);
    }
    BDR_TRY(disks_count(tx, c->id, &disks));
    if (h->policy_id.set)
        BDR_TRY(bdr_q_policy_get(tx, h->policy_id.v, &policy));
    BDR_TRY(obj_job_add(tx, c->req,
                        &(struct bdr_in_job_add){.kind = "sync",
                                                 .writes = true,
                                                 .host_id = BDR_SOME(h->id),
                                                 .platform_id = h->platform_id,
                                                 .machine_id = h->machine_id,
                                                 .repository_id = h->repository_id,
                                                 .params = in->full ? "{\"full\":true}" : "{}",
                                                 .disks = disks,
                                                 .priority = 10,
                                                 .max_tries = policy ? policy->tries : 0},
                        &c->made));
    brief = brief_of(h);
    return api_audit(tx, c->req, "host.sync", "host", h->id, &brief_shape, NULL, &brief);
}

struct bdr_err *host_sync(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .id = obj_id(req)};

    BDR_TRY(api_run(req, BDR_TX_LOCK, sync_tx, &c));
    obj_tell(req, "job", c.made, "added");
    obj_tell(req, "host", c.id, "changed");
    obj_wake(req, c.wake_machine, c.wake_platform);
    return obj_job_show(req, c.made, out);
}

/* ---- deregister ---- */

struct forced {
    bool forced;
};
static const struct bdr_shape_field forced_fields[] = {
    {BDR_FIELD(struct forced, forced), .type = BDR_T_BOOL,
     .help = "End its protection and cancel its jobs first, instead of refusing.", .help_zh = "强制"},
    OBJ_END,
};
const struct bdr_shape host_forced_shape = OBJ_SHAPE(struct forced, "HostForced", forced_fields);

static struct bdr_err *deregister_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    struct obj_change *c = ctx;
    const struct forced *f = bdr_req_filter(c->req);

    BDR_TRY(bdr_q_host_get(tx, c->id, &h));
    BDR_TRY(bdr_host_deregister(tx, c->id, f->forced, bdr_req_who_name(c->req), api_now()));
    BDR_ASSERT(h);
    c->wake_machine = h->machine_id.set ? h->machine_id.v : 0;
    return host_audit(tx, c->req, "host.deregister", h);
}

struct bdr_err *host_deregister(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .id = obj_id(req)};

    (void)in, (void)out;
    BDR_TRY(api_run(req, BDR_TX_LOCK, deregister_tx, &c));
    if (c.wake_machine)
        BDR_TRY(obj_shut_out(req, c.wake_machine));
    obj_tell(req, "host", c.id, "changed");
    return NULL;
}
