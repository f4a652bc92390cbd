/* SPDX-License-Identifier: Apache-2.0 */
/* care.c - jobs that keep repositories small and whole: prune by the retention of policies, verify a sample. */
#include "db/statements.h"
#include "watch/watch.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS        INT64_C(3600000)
#define PRUNE_CALM_MS  (20 * HOUR_MS) /* from then on the next calm moment */
#define PRUNE_MS       (24 * HOUR_MS) /* calm or not */
#define PRUNE_LOW_MS   (4 * HOUR_MS)  /* while space is low */
#define LOW_PCT        85
#define VERIFY_CALM_MS (6 * 24 * HOUR_MS)
#define VERIFY_MS      (7 * 24 * HOUR_MS)
#define VERIFY_PCT     2 /* of the blocks each week: all of them within a year */

struct care {
    const struct bdr_row_care_list *r;
    const char *kind;
    char *params; /* owned */
    int64_t now_ms, job_id;
};

static bool care_low(const struct bdr_row_care_list *r)
{
    double total = (double)r->used_bytes + (double)r->free_bytes.v;

    return r->free_bytes.set && total > 0 && (double)r->used_bytes * 100 >= total * LOW_PCT;
}

/*
 * Calm: nobody writes to it now. One that was never cared for is due at its first calm moment; calm or not a day after it was
 * made: its first run, when that was interrupted, has nothing yet but what no point refers to.
 */
static bool care_wanted(const struct bdr_row_care_list *r, int64_t done_ms, int64_t calm_ms, int64_t at_last_ms,
                        int64_t now_ms)
{
    int64_t age = now_ms - done_ms;

    return !r->cares && (now_ms - BDR_MAX(done_ms, r->made_ms) >= at_last_ms || (age >= calm_ms && !r->syncs));
}

/* Hosts by retention; `rules` gets {"retention":"daily=7","hosts":[1,2]} for each. */
static struct bdr_err *care_rules(struct bdr_tx *tx, int64_t repository_id, json_t *rules)
{
    BDR_AUTO(mem) struct bdr_row_care_keeps *row = NULL;
    json_t *hosts = NULL;
    size_t n = 0;
    bool ok = true;

    BDR_TRY(bdr_q_care_keeps(tx, repository_id, &row, &n));
    for (size_t i = 0; ok && i < n; i++) {
        if (!i || strcmp(row[i].retention, row[i - 1].retention) != 0) {
            hosts = json_array();
            ok = !json_array_append_new(rules, json_pack("{s:s,s:o}", "retention", row[i].retention, "hosts", hosts));
        }
        ok = ok && !json_array_append_new(hosts, json_integer((json_int_t)row[i].host_id));
    }
    if (!ok)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    return NULL;
}

/* Points that a person holds: no rule removes them. */
static struct bdr_err *care_held(struct bdr_tx *tx, int64_t repository_id, json_t *held)
{
    BDR_AUTO(mem) struct bdr_row_care_held *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_care_held(tx, repository_id, &row, &n));
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(held, json_string(row[i].ref)))
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    return NULL;
}

struct bdr_err *bdr_watch_prune_params(struct bdr_tx *tx, int64_t repository_id, char **out)
{
    json_t *rules = json_array(), *held = json_array(), *root = json_pack("{s:o,s:o}", "rules", rules, "keep", held);
    struct bdr_err *err = root ? care_rules(tx, repository_id, rules) : NULL;

    if (root && !err && json_array_size(rules))
        err = care_held(tx, repository_id, held);
    if (root && !err && json_array_size(rules)) {
        *out = json_dumps(root, JSON_COMPACT);
        if (!*out)
            err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
    }
    json_decref(root);
    BDR_TRY(err);
    BDR_NOMEM_IF_NULL(root);
    return NULL;
}

static struct bdr_err *care_begin(struct bdr_tx *tx, void *ctx)
{
    struct care *c = ctx;
    bool prune = !strcmp(c->kind, "prune");
    int64_t n = 0;

    c->job_id = 0;
    free(BDR_STEAL(c->params));
    if (prune)
        BDR_TRY(bdr_q_care_pruned(tx, c->r->id, c->r->prune_ms, c->now_ms, &n));
    else
        BDR_TRY(bdr_q_care_verified(tx, c->r->id, c->r->verify_ms, c->now_ms, &n));
    if (!n)
        return NULL;
    if (prune) {
        BDR_TRY(bdr_watch_prune_params(tx, c->r->id, &c->params));
        if (!c->params)
            return NULL; /* policies here keep everything */
    }
    return bdr_q_job_add(
        tx,
        &(struct bdr_in_job_add){.kind = c->kind,
                                 .machine_id = BDR_SOME(c->r->gateway_id),
                                 .repository_id = BDR_SOME(c->r->id),
                                 .params = prune ? c->params : "{\"sample_pct\":" BDR_STR(VERIFY_PCT) "}",
                                 .origin = "policy",
                                 .disks = 0,
                                 .due_ms = c->now_ms,
                                 .max_tries = 3,
                                 .now_ms = c->now_ms},
        &c->job_id);
}

static struct bdr_err *care_do(struct bdr_console *c, const struct bdr_row_care_list *r, const char *kind,
                               int64_t now_ms)
{
    struct care care = {.r = r, .kind = kind, .now_ms = now_ms};
    struct bdr_err *err = bdr_db_run(c->db, BDR_TX_LOCK, care_begin, &care);
    char json[64];

    free(care.params);
    BDR_TRY_FOR(err, "a %s of the repository %s", kind, r->name);
    if (!care.job_id)
        return NULL;
    snprintf(json, sizeof(json), "{\"id\":%lld,\"what\":\"changed\"}", (long long)care.job_id);
    bdr_hub_tell(c->hub, "job", json);
    bdr_hub_tell_machine(c->hub, r->gateway_id, "work", NULL);
    return NULL;
}

struct bdr_err *bdr_watch_care(struct bdr_console *c, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_care_list *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_err *err = NULL;
    size_t n = 0;

    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_care_list(tx, &row, &n));
    bdr_tx_abandon(BDR_STEAL(tx));
    for (size_t i = 0; i < n; i++) {
        int64_t calm = care_low(&row[i]) ? PRUNE_LOW_MS : PRUNE_CALM_MS,
                last = care_low(&row[i]) ? PRUNE_LOW_MS : PRUNE_MS;

        /* one at a time: a verify after the prune reads less */
        if (care_wanted(&row[i], row[i].prune_ms, calm, last, now_ms))
            err = bdr_err_first(err, care_do(c, &row[i], "prune", now_ms));
        else if (care_wanted(&row[i], row[i].verify_ms, VERIFY_CALM_MS, VERIFY_MS, now_ms))
            err = bdr_err_first(err, care_do(c, &row[i], "verify", now_ms));
    }
    return err;
}
