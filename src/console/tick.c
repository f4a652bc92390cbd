/* SPDX-License-Identifier: Apache-2.0 */
#include "api/objects.h"
#include "tick.h"
#include "streams.h"
#include "auth/login.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/pool.h"
#include "db/statements.h"
#include "jobs/jobs.h"
#include "revoked.h"
#include "watch/watch.h"

#define TICKS_MAX 32

/* ---- the rows ---- */

static struct bdr_err *tick_leases(struct bdr_console *c, int64_t now_ms)
{
    size_t n = 0;

    BDR_TRY(bdr_job_expire(c->db, now_ms, 100, &n));
    if (n) {
        BDR_LOG(WARN, "job.lease-ended", F_U64("jobs", n));
        bdr_hub_tell_machine(c->hub, 0, "work", NULL);
    }
    return NULL;
}

struct tick_old {
    int64_t now_ms;
};
static struct bdr_err *tick_old_rows(struct bdr_tx *tx, void *ctx)
{
    const struct tick_old *o = ctx;
    int64_t n;

    BDR_TRY(bdr_q_session_expire(tx, o->now_ms, o->now_ms - BDR_SESSION_IDLE_MS, &n));
    BDR_TRY(bdr_q_rate_expire(tx, o->now_ms - 86400000, &n));
    BDR_TRY(bdr_q_idempotency_expire(tx, o->now_ms - 86400000, &n));
    return bdr_q_enrolment_expire(tx, o->now_ms - 7 * 86400000ll, &n);
}
static struct bdr_err *tick_clean(struct bdr_console *c, int64_t now_ms)
{
    return bdr_db_run(c->db, BDR_TX_LOCK, tick_old_rows, &(struct tick_old){now_ms});
}

static struct bdr_err *tick_reserve(struct bdr_console *c, int64_t now_ms)
{
    (void)now_ms;
    return bdr_db_reserve(c->db);
}

const struct bdr_tick bdr_ticks[] = {
    {"leases", 5000, tick_leases},
    {"revoked", 2000, bdr_revoked_learn},
    {"streams", 2000, bdr_streams_review},
    {"clean", 600000, tick_clean},
    {"reserve", 60000, tick_reserve},
    {"plan", 2000, bdr_watch_plan},
    {"schedule", 1000, bdr_watch_schedule},
    {"care", 60000, bdr_watch_care},
    {"ended", 3000, bdr_watch_ended},
    {"recoveries", 2000, bdr_recoveries_follow},
    {"series", 15000, bdr_watch_series},
    {"conditions", 15000, bdr_watch_conditions},
    {"conditions-slow", 60000, bdr_watch_slow_conditions},
    {"thin", 600000, bdr_watch_thin},
    {.name = NULL},
};
const struct bdr_tick bdr_ticks_waiting[] = {
    {"deliver", 2000, bdr_watch_deliver},
    {.name = NULL},
};
static const struct bdr_tick *const lanes[] = {bdr_ticks, bdr_ticks_waiting}; /* a thread each */

/* ---- the thread ---- */

struct bdr_ticker {
    struct bdr_console *c;
    struct bdr_pool *pool;
    uint64_t due_ms[BDR_COUNT(lanes)][TICKS_MAX];
};

static void tick_run(struct bdr_console *c, const struct bdr_tick *t)
{
    struct bdr_err *err = t->run(c, bdr_clock_wall_ms());

    if (err)
        BDR_LOG(ERROR, "console.tick-failed", F_STR("what", t->name), F_ERR(err));
    bdr_err_drop(err, "logged; the next time tries again");
}

static struct bdr_err *ticker_main(void *ctx, unsigned index)
{
    struct bdr_ticker *t = ctx;
    const struct bdr_cancel *stop = &t->c->ticks_stop;
    const struct bdr_tick *rows = lanes[index];
    uint64_t *due_ms = t->due_ms[index];

    while (!bdr_cancelled(stop)) {
        uint64_t now = bdr_clock_mono_ms(), wake = now + 1000;

        for (size_t i = 0; rows[i].name && !bdr_cancelled(stop); i++) {
            if (due_ms[i] <= now) {
                tick_run(t->c, &rows[i]);
                due_ms[i] = now + rows[i].every_ms;
            }
            wake = BDR_MIN(wake, due_ms[i]);
        }
        now = bdr_clock_mono_ms();
        if (wake > now)
            bdr_err_drop(bdr_cancel_sleep(stop, wake - now), "the loop looks at it");
    }
    return NULL;
}

struct bdr_err *bdr_ticker_start(struct bdr_console *c, struct bdr_ticker **out)
{
    struct bdr_ticker *t = calloc(1, sizeof(*t));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(t);
    t->c = c;
    err = bdr_pool_start("bdr-tick", BDR_COUNT(lanes), ticker_main, t, &c->ticks_stop, &t->pool);
    if (err) {
        free(t);
        return err;
    }
    *out = t;
    return NULL;
}

void bdr_ticker_stop(struct bdr_ticker *t)
{
    if (!t)
        return;
    bdr_cancel_set(&t->c->ticks_stop);
    bdr_err_drop(bdr_pool_join(t->pool), "its rows logged their own");
    free(t);
}

struct bdr_err *bdr_tick_all(struct bdr_console *c, int64_t now_ms)
{
    for (size_t lane = 0; lane < BDR_COUNT(lanes); lane++)
        for (const struct bdr_tick *row = lanes[lane]; row->name; row++)
            BDR_TRY_FOR(row->run(c, now_ms), "%s", row->name);
    return NULL;
}
