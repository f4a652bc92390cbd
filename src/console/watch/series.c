/* SPDX-License-Identifier: Apache-2.0 */
/* series.c - RPO and space over time: measured, thinned, forgotten. */
#include "db/statements.h"
#include "policy/policy.h"
#include "watch/watch.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   INT64_C(3600000)
#define DAY_MS    INT64_C(86400000)
#define LOOKS     1000
#define HOSTS     200 /* in one transaction of thinning */

int64_t bdr_rpo_look_ms(int64_t rpo_ms)
{
    int64_t step = rpo_ms / 8 / MINUTE_MS * MINUTE_MS;

    if (!rpo_ms)
        return HOUR_MS; /* nobody promised anything */
    return step < MINUTE_MS ? MINUTE_MS : step > HOUR_MS ? HOUR_MS : step;
}

struct look {
    int64_t now_ms;
    size_t seen;
};

static struct bdr_err *look_one(struct bdr_tx *tx, const struct bdr_row_rpo_due *r, int64_t now_ms,
                                int64_t *out_minutes, int64_t *out_missed)
{
    int64_t rpo_ms = bdr_policy_rpo_ms(r->interval_ms, r->rpo_ms), step = bdr_rpo_look_ms(rpo_ms), mine = 0;
    struct bdr_rpo rpo = bdr_rpo_measure(rpo_ms, r->since_ms, r->last_point_ms, now_ms);
    int64_t minutes = step / MINUTE_MS, at = now_ms - now_ms % MINUTE_MS;

    /* hosts that were adopted together are not looked at together for ever */
    BDR_TRY(bdr_q_rpo_looked(tx, r->id, r->look_ms, at + step - (r->look_ms ? 0 : r->id % minutes * MINUTE_MS), &mine));
    if (!mine)
        return NULL;
    *out_minutes += rpo_ms ? minutes : 0;
    *out_missed += rpo.missed ? minutes : 0;
    return bdr_q_rpo_add(tx, &(struct bdr_in_rpo_add){r->id, at, rpo.age_ms, minutes, rpo.missed ? minutes : 0});
}

static struct bdr_err *look_some(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_rpo_due *row = NULL;
    struct look *l = ctx;
    int64_t minutes = 0, missed = 0;
    size_t n = 0;

    BDR_TRY(bdr_q_rpo_due(tx, l->now_ms, LOOKS, &row, &n));
    for (size_t i = 0; i < n; i++)
        BDR_TRY(look_one(tx, &row[i], l->now_ms, &minutes, &missed));
    l->seen = n;
    return minutes ? bdr_q_rpo_hour_add(tx, l->now_ms - l->now_ms % HOUR_MS, minutes, missed) : NULL;
}

static struct bdr_err *space_some(struct bdr_tx *tx, void *ctx)
{
    static const int64_t steps[] = {0, HOUR_MS, DAY_MS};
    BDR_AUTO(mem) struct bdr_row_space_unseen *row = NULL;
    const struct look *l = ctx;
    size_t n = 0;

    BDR_TRY(bdr_q_space_unseen(tx, l->now_ms - 5 * MINUTE_MS, &row, &n));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < BDR_COUNT(steps); k++)
            BDR_TRY(bdr_q_space_add(
                tx, &(struct bdr_in_space_add){row[i].id, steps[k],
                                               row[i].measured_ms - (steps[k] ? row[i].measured_ms % steps[k] : 0),
                                               row[i].used_bytes, row[i].free_bytes}));
    return NULL;
}

struct bdr_err *bdr_watch_series(struct bdr_console *c, int64_t now_ms)
{
    struct look l = {.now_ms = now_ms, .seen = LOOKS};
    bool mine = false;

    BDR_TRY(bdr_watch_claim(c, "series", 15000, now_ms, &mine));
    if (!mine)
        return NULL;
    while (l.seen == LOOKS && !bdr_cancelled(&c->stop))
        BDR_TRY(bdr_db_run(c->db, BDR_TX_BEAT, look_some, &l));
    return bdr_db_run(c->db, BDR_TX_BEAT, space_some, &l);
}

/* ---- thinning ---- */

struct thin {
    int64_t from_id, to_id, before_ms, now_ms;
};

static struct bdr_err *thin_hosts(struct bdr_tx *tx, void *ctx)
{
    const struct thin *t = ctx;
    int64_t n;

    BDR_TRY(bdr_q_rpo_thin(tx, t->from_id, t->to_id, t->before_ms, &n));
    return n ? bdr_q_rpo_thinned(tx, t->from_id, t->to_id, t->before_ms, &n) : NULL;
}

static struct bdr_err *thin_old(struct bdr_tx *tx, void *ctx)
{
    const struct thin *t = ctx;
    int64_t n;

    BDR_TRY(bdr_q_rpo_expire(tx, t->now_ms - 31 * DAY_MS, &n));
    BDR_TRY(bdr_q_rpo_hour_expire(tx, t->now_ms - 31 * DAY_MS, &n));
    BDR_TRY(bdr_q_moved_expire(tx, t->now_ms - 31 * DAY_MS, &n));
    BDR_TRY(bdr_q_space_expire(tx, 0, t->now_ms - DAY_MS, &n));
    BDR_TRY(bdr_q_space_expire(tx, HOUR_MS, t->now_ms - 31 * DAY_MS, &n));
    BDR_TRY(bdr_q_space_expire(tx, DAY_MS, t->now_ms - 3 * 366 * DAY_MS, &n));
    BDR_TRY(bdr_q_alarm_expire(tx, t->now_ms - 366 * DAY_MS, 500, &n));
    BDR_TRY(bdr_q_notification_expire(tx, t->now_ms - 31 * DAY_MS, &n));
    return bdr_q_event_expire(tx, t->now_ms - 92 * DAY_MS, &n);
}

struct bdr_err *bdr_watch_thin(struct bdr_console *c, int64_t now_ms)
{
    struct thin t = {.now_ms = now_ms, .before_ms = (now_ms - DAY_MS) / HOUR_MS * HOUR_MS};
    bool mine = false;
    size_t n = HOSTS;

    BDR_TRY(bdr_watch_claim(c, "thin", 600000, now_ms, &mine));
    if (!mine)
        return NULL;
    while (n == HOSTS && !bdr_cancelled(&c->stop)) {
        BDR_AUTO(mem) struct bdr_row_rpo_hosts *row = NULL;
        BDR_AUTO(tx) struct bdr_tx *tx = NULL;

        BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
        BDR_TRY(bdr_q_rpo_hosts(tx, t.to_id, HOSTS, &row, &n));
        bdr_tx_abandon(BDR_STEAL(tx));
        if (!n)
            break;
        t.from_id = row[0].id;
        t.to_id = row[n - 1].id;
        BDR_TRY(bdr_db_run(c->db, BDR_TX_BEAT, thin_hosts, &t));
    }
    return bdr_db_run(c->db, BDR_TX_LOCK, thin_old, &t);
}
