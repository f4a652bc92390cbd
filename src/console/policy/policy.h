/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - when a policy wants a run, what it keeps, and whether its promise was kept. Pure but for the time zone.
 *
 * Threads: any.
 */
#pragma once
#include "policy/cron.h"
#include "policy/hours.h"

#define BDR_POLICY_INTERVAL_MIN_MS 60000

/* A policy, understood. */
struct bdr_policy {
    int64_t interval_ms; /* 0: cron alone */
    bool has_cron;
    struct bdr_cron cron;
    char zone[64];
    struct bdr_hours windows, bandwidth;
    int64_t rpo_ms; /* as given; 0: follows from the interval */
};
/* The texts of a row of `policy`; INVAL says which of them is wrong. One of interval and cron is needed. */
struct bdr_policy_text {
    int64_t interval_ms, rpo_ms;
    const char *cron, *zone, *windows, *bandwidth, *retention;
};
bdr_ret bdr_policy_parse(const struct bdr_policy_text *text, struct bdr_policy *out);

/*
 * When the run after the one that was due at `last_ms` is due; last_ms 0: there was none, `created_ms` counts.
 *
 * An interval counts from when the last run was due, not from when it ended, so that runs do not drift. Runs that were
 * missed (the console was down, the last run took too long) are made up for by one run, now: a second one would read
 * the same disks again for a point a minute younger. Outside of the windows it is the first minute inside. Shape:
 * *out_ms may lie before now_ms: due. -1: never. *out_missed: how many runs that one run stands for, above one.
 */
bdr_ret bdr_policy_next(const struct bdr_policy *p, int64_t created_ms, int64_t last_ms, int64_t now_ms,
                        int64_t *out_ms, int64_t *out_missed);
/* The first moment from `from_ms` on in which a run may begin; -1: no window within 8 days. */
bdr_ret bdr_policy_open(const struct bdr_policy *p, int64_t from_ms, int64_t *out_ms);
/* Bytes a second now; UINT64_MAX: unlimited. */
bdr_ret bdr_policy_bandwidth(const struct bdr_policy *p, int64_t now_ms, uint64_t *out_bps);

/* How old the newest point may be: as given, else twice the interval, else (cron) 0: nobody promised anything. */
int64_t bdr_policy_rpo_ms(int64_t interval_ms, int64_t rpo_ms);
struct bdr_rpo {
    int64_t age_ms;  /* of the newest point, or since protection began */
    bool missed;     /* worth an alarm */
    int64_t over_ms; /* by how much */
};
struct bdr_rpo bdr_rpo_measure(int64_t rpo_ms, int64_t protected_ms, int64_t last_point_ms, int64_t now_ms);

/* "last=3 hourly=24 daily=7 weekly=4 monthly=12 yearly=2 within=30d", in any order, each at most once; "" keeps all. */
struct bdr_retention {
    uint32_t last, hourly, daily, weekly, monthly, yearly;
    int64_t within_ms;
};
bdr_ret bdr_retention_parse(const char *text, struct bdr_retention *out);
/* The same in the order above, without what is 0. */
void bdr_retention_text(const struct bdr_retention *r, char *out, size_t n);
