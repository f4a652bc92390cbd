/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.c - jobs for hosts whose policy wants a run. */
#include "bdr/log.h"
#include "db/statements.h"
#include "policy/policy.h"
#include "watch/alarm.h"
#include "watch/watch.h"
#include <stdio.h>
#include <string.h>

#define BATCH    20  /* hosts in one transaction: a transaction costs a sync of the disk */
#define ROUND    500 /* hosts in one tick; the next one is a second later */
#define WAKES    64
#define RETRY_MS 600000 /* a host without a next time is looked at again after */

/* Hosts and what came of them. */
struct plan {
    struct bdr_console *c;
    int64_t now_ms;
    const int64_t *ids;
    size_t n;
    bool due; /* they are due; else only their next time is to be found */
    /* out */
    size_t jobs;
    int64_t job_ids[BATCH];
    size_t n_wake;
    int64_t wake[WAKES];
};

static void plan_wake(struct plan *p, int64_t machine_id)
{
    for (size_t i = 0; i < p->n_wake; i++)
        if (p->wake[i] == machine_id)
            return;
    if (p->n_wake < WAKES)
        p->wake[p->n_wake++] = machine_id;
}

static struct bdr_err *plan_policy(struct bdr_tx *tx, int64_t policy_id, struct bdr_policy *out, int64_t *out_tries)
{
    BDR_AUTO(mem) struct bdr_row_policy *row = NULL;

    BDR_TRY(bdr_q_policy_get(tx, policy_id, &row));
    if (!row)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no policy %lld", (long long)policy_id);
    *out_tries = row->tries;
    return bdr_policy_parse(&(struct bdr_policy_text){.interval_ms = row->interval_ms,
                                                      .rpo_ms = row->rpo_ms,
                                                      .cron = row->cron,
                                                      .zone = row->zone,
                                                      .windows = row->windows,
                                                      .bandwidth = row->bandwidth,
                                                      .retention = row->retention},
                            out);
}

static struct bdr_err *plan_job(struct bdr_tx *tx, struct plan *p, const struct bdr_row_host *h, int64_t tries,
                                int64_t due_ms)
{
    BDR_AUTO(mem) struct bdr_row_binding_proxies *proxy = NULL;
    int64_t disks = 0;
    size_t n = 0;

    BDR_TRY(bdr_q_disk_wanted(tx, h->id, &disks));
    BDR_TRY(bdr_q_job_add(tx,
                          &(struct bdr_in_job_add){.kind = "sync",
                                                   .writes = true,
                                                   .host_id = BDR_SOME(h->id),
                                                   .platform_id = h->platform_id,
                                                   .machine_id = h->machine_id,
                                                   .repository_id = h->repository_id,
                                                   .params = "",
                                                   .origin = "policy",
                                                   .disks = BDR_MAX(disks, (int64_t)1),
                                                   .due_ms = due_ms,
                                                   .max_tries = tries,
                                                   .now_ms = p->now_ms},
                          &p->job_ids[p->jobs]));
    p->jobs++;
    if (h->machine_id.set)
        plan_wake(p, h->machine_id.v);
    if (h->platform_id.set)
        BDR_TRY(bdr_q_binding_proxies(tx, h->platform_id.v, &proxy, &n));
    for (size_t i = 0; i < n; i++)
        plan_wake(p, proxy[i].proxy_id);
    return NULL;
}

/*
 * When the run that is due now was due. Windows make it "now", and an interval that counts from there would drift by a
 * tick each time: what was planned counts as long as it is not a whole interval ago.
 */
static int64_t plan_due(const struct bdr_policy *policy, const struct bdr_row_host *h, int64_t due_ms)
{
    if (policy->windows.n && policy->interval_ms && h->next_ms.set && h->next_ms.v <= due_ms &&
        due_ms - h->next_ms.v < policy->interval_ms)
        return h->next_ms.v;
    return due_ms;
}

static struct bdr_err *plan_host(struct bdr_tx *tx, struct plan *p, int64_t id)
{
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    BDR_AUTO(mem) struct bdr_row_watch_get *w = NULL;
    struct bdr_policy policy;
    int64_t tries = 5, due = -1, missed = 0, last, busy = 0, changed;
    struct bdr_err *err;

    BDR_TRY(bdr_q_host_lock(tx, id, &h));
    if (!h || strcmp(h->state, "protected") != 0 || h->paused || !h->policy_id.set || !h->repository_id.set)
        return NULL; /* changed since it was listed */
    if (p->due && (!h->next_ms.set || h->next_ms.v > p->now_ms))
        return NULL; /* another console was quicker */
    BDR_TRY(bdr_q_watch_get(tx, id, &w));
    if (!w)
        return NULL;
    err = plan_policy(tx, h->policy_id.v, &policy, &tries);
    last = h->last_run_ms;
    if (!err)
        err = bdr_policy_next(&policy, w->since_ms, last, p->now_ms, &due, &missed);
    if (err && (err->code == BDR_INVAL || err->code == BDR_NOTFOUND)) {
        BDR_LOG(ERROR, "schedule.bad-policy", F_STR("host", h->name), F_ERR(err));
        bdr_err_drop(BDR_STEAL(err), "logged; other hosts go on");
        due = -1;
    }
    BDR_TRY(err);
    BDR_TRY(bdr_q_job_syncs_unfinished(tx, id, &busy));
    if (due >= 0 && due <= p->now_ms && !busy) {
        BDR_TRY(plan_job(tx, p, h, tries, due));
        last = plan_due(&policy, h, due);
        BDR_TRY(bdr_policy_next(&policy, w->since_ms, last, p->now_ms, &due, &missed));
    }
    BDR_TRY(bdr_q_host_scheduled(tx, id, last, due < 0 ? (struct bdr_opt_i64){0} : BDR_SOME(due), &changed));
    return bdr_q_watch_planned(tx, id, p->now_ms, &changed);
}

static struct bdr_err *plan_all(struct bdr_tx *tx, void *ctx)
{
    struct plan *p = ctx;

    p->jobs = p->n_wake = 0;
    for (size_t i = 0; i < p->n; i++)
        BDR_TRY_FOR(plan_host(tx, p, p->ids[i]), "planning host %lld", (long long)p->ids[i]);
    return NULL;
}

static void plan_tell(const struct plan *p)
{
    char json[64];

    for (size_t i = 0; i < p->jobs; i++) {
        snprintf(json, sizeof(json), "{\"id\":%lld,\"what\":\"changed\"}", (long long)p->job_ids[i]);
        bdr_hub_tell(p->c->hub, "job", json);
    }
    if (p->n_wake == WAKES)
        bdr_hub_tell_machine(p->c->hub, 0, "work", NULL);
    else
        for (size_t i = 0; i < p->n_wake; i++)
            bdr_hub_tell_machine(p->c->hub, p->wake[i], "work", NULL);
}

static struct bdr_err *plan_some(struct bdr_console *c, const int64_t *ids, size_t n, bool due, int64_t now_ms)
{
    struct bdr_err *err = NULL;

    for (size_t i = 0; i < n && !bdr_cancelled(&c->stop); i += BATCH) {
        struct plan p = {.c = c, .now_ms = now_ms, .ids = ids + i, .n = BDR_MIN((size_t)BATCH, n - i), .due = due};
        struct bdr_err *one = bdr_db_run(c->db, BDR_TX_LOCK, plan_all, &p);

        if (one && one->code == BDR_EXISTS && p.n > 1) { /* a person started one of them just now: the others alone */
            bdr_err_drop(BDR_STEAL(one), "each for itself");
            for (size_t k = 0; k < p.n; k++)
                one = bdr_err_first(one, plan_some(c, p.ids + k, 1, due, now_ms));
        } else if (one && one->code == BDR_EXISTS) {
            bdr_err_drop(BDR_STEAL(one), "it runs already; the next tick looks again");
        } else if (!one) {
            plan_tell(&p);
        }
        err = bdr_err_first(err, one);
    }
    return err;
}

struct bdr_err *bdr_watch_schedule(struct bdr_console *c, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_host_due_free *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    int64_t ids[ROUND];
    size_t n = 0;

    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_host_due_free(tx, now_ms, ROUND, &row, &n));
    bdr_tx_abandon(BDR_STEAL(tx));
    for (size_t i = 0; i < n; i++)
        ids[i] = row[i].id;
    return plan_some(c, ids, n, true, now_ms);
}

static struct bdr_err *adopt(struct bdr_tx *tx, void *ctx)
{
    const int64_t *now_ms = ctx;
    int64_t n;

    BDR_TRY(bdr_q_watch_forget(tx, &n));
    return bdr_q_watch_adopt(tx, *now_ms, 2000, &n);
}

struct bdr_err *bdr_watch_plan(struct bdr_console *c, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_host_unplanned *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    int64_t ids[ROUND];
    bool mine = false;
    size_t n = 0;

    BDR_TRY(bdr_watch_claim(c, "plan", 2000, now_ms, &mine));
    if (!mine)
        return NULL;
    BDR_TRY(bdr_db_run(c->db, BDR_TX_LOCK, adopt, &now_ms));
    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_host_unplanned(tx, now_ms - RETRY_MS, ROUND, &row, &n));
    bdr_tx_abandon(BDR_STEAL(tx));
    for (size_t i = 0; i < n; i++)
        ids[i] = row[i].id;
    return plan_some(c, ids, n, false, now_ms);
}
