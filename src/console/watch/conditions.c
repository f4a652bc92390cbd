/* SPDX-License-Identifier: Apache-2.0 */
/* conditions.c - what is not as it should be: one function a kind of alarm, each one look at the tables. */
#include "bdr/clock.h"
#include "bdr/machine_api.h"
#include "jobs/jobs.h"
#include "watch/alarm.h"
#include "watch/watch.h"
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#define SILENT_MS     (3 * BDR_MACHINE_BEAT_S * 1000)
#define WAITING_MS    600000
#define FAILED_MS     (7 * INT64_C(86400000)) /* a failure is news for so long */
#define FUTURE_MS     300000
#define DB_SKEW_MS    5000
#define FORECAST_DAYS 7
#define GIB           (INT64_C(1) << 30)

struct bdr_err *bdr_watch_claim(struct bdr_console *c, const char *name, int64_t every_ms, int64_t now_ms, bool *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    int64_t n = 0;
    struct bdr_err *err;

    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_BEAT, &tx));
    err = bdr_q_watch_claim(tx, name, now_ms, now_ms - every_ms / 2, &n);
    if (!err)
        err = bdr_tx_commit(BDR_STEAL(tx));
    if (err && err->code == BDR_BUSY) { /* another console is doing just that */
        bdr_err_drop(err, "whoever was quicker does it");
        n = 0;
        err = NULL;
    }
    *out = n > 0;
    return err;
}

static struct bdr_err *cond_rpo(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_rpo_missed *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_rpo_missed(tx, now_ms, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("host", row[i].name),
                                      BDR_VN("since", row[i].last_point_ms ? row[i].last_point_ms : row[i].since_ms),
                                      BDR_VN("rpo", row[i].rpo_ms)};

        BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){BDR_SEV_CRITICAL, "host", row[i].id, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_failed(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_failed *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_cond_failed(tx, now_ms - FAILED_MS, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("name", row[i].name), BDR_VT("job", row[i].kind),
                                      BDR_VT("error", *row[i].error_text ? row[i].error_text : row[i].error_code),
                                      BDR_VN("tries", row[i].tries), BDR_VN("job_id", row[i].id)};

        BDR_TRY(bdr_sweep_found(
            s, &(struct bdr_found){BDR_SEV_WARNING, row[i].object, row[i].object_id, row[i].id, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_waiting(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_waiting *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_cond_waiting(tx, now_ms - WAITING_MS, now_ms - BDR_JOB_ALIVE_MS, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("host", row[i].name), BDR_VT("job", row[i].kind),
                                      BDR_VN("since", row[i].due_ms), BDR_VN("job_id", row[i].id)};

        if (i && row[i].host_id == row[i - 1].host_id)
            continue;
        BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){BDR_SEV_WARNING, "host", row[i].host_id, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_silent(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_machine_silent *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_machine_silent(tx, now_ms - SILENT_MS, 50000, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("kind", row[i].kind), BDR_VT("name", row[i].name),
                                      BDR_VN("since", row[i].beat_ms)};

        BDR_TRY(
            bdr_sweep_found(s, &(struct bdr_found){!strcmp(row[i].kind, "gateway") ? BDR_SEV_CRITICAL : BDR_SEV_WARNING,
                                                   "machine", row[i].id, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_repository(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_repositories *row = NULL;
    size_t n = 0;

    (void)now_ms;
    BDR_TRY(bdr_q_cond_repositories(tx, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("name", row[i].name),
                                      BDR_VT("error", *row[i].state_text ? row[i].state_text : row[i].state)};

        if (strcmp(row[i].state, "ok") != 0)
            BDR_TRY(
                bdr_sweep_found(s, &(struct bdr_found){BDR_SEV_CRITICAL, "repository", row[i].id, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_space(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_repositories *row = NULL;
    size_t n = 0;

    (void)now_ms;
    BDR_TRY(bdr_q_cond_repositories(tx, &row, &n));
    for (size_t i = 0; i < n; i++) {
        double total = (double)row[i].used_bytes + (double)row[i].free_bytes.v;
        int64_t pct = total > 0 ? (int64_t)((double)row[i].used_bytes * 100 / total) : 0;
        const struct bdr_value v[] = {BDR_VT("name", row[i].name), BDR_VN("percent", pct),
                                      BDR_VN("free", row[i].free_bytes.v)};

        if (!row[i].free_bytes.set)
            continue;
        if (pct >= 80)
            BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){pct >= 95   ? BDR_SEV_CRITICAL
                                                           : pct >= 90 ? BDR_SEV_WARNING
                                                                       : BDR_SEV_INFO,
                                                           "repository", row[i].id, 0, v, BDR_COUNT(v)}));
        else if (pct >= 78)
            BDR_TRY(bdr_sweep_keep(s, "repository", row[i].id));
    }
    return NULL;
}

static struct bdr_err *cond_no_room(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_no_room *row = NULL;
    size_t n = 0;

    (void)now_ms;
    BDR_TRY(bdr_q_cond_no_room(tx, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("name", row[i].name),   BDR_VN("n", row[i].n),
                                      BDR_VT("host", row[i].host),   BDR_VT("error", row[i].error_text),
                                      BDR_VT("url", row[i].url),     BDR_VT("gateway", row[i].gateway)};

        BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){BDR_SEV_CRITICAL, "repository", row[i].id, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

bool bdr_space_trend(const struct bdr_space_at *p, size_t n, double *out_bytes_a_day)
{
    double st = 0, su = 0, stt = 0, stu = 0, below;

    if (n < 6 || p[n - 1].at_ms - p[0].at_ms < 86400000)
        return false;
    for (size_t i = 0; i < n; i++) {
        double t = (double)(p[i].at_ms - p[0].at_ms) / 86400000.0, u = (double)(p[i].used_bytes - p[0].used_bytes);

        st += t;
        su += u;
        stt += t * t;
        stu += t * u;
    }
    below = (double)n * stt - st * st;
    if (below <= 0)
        return false;
    *out_bytes_a_day = ((double)n * stu - st * su) / below;
    return true;
}

static struct bdr_err *forecast_one(struct bdr_tx *tx, struct bdr_sweep *s, const struct bdr_row_cond_repositories *r,
                                    int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_space_series *row = NULL;
    BDR_AUTO(mem) struct bdr_space_at *at = NULL;
    double daily = 0, days;
    size_t n = 0;

    BDR_TRY(bdr_q_space_series(
        tx, &(struct bdr_in_space_series){r->id, 3600000, now_ms - FORECAST_DAYS * INT64_C(86400000), now_ms, 1000},
        &row, &n));
    at = calloc(n + 1, sizeof(*at));
    BDR_NOMEM_IF_NULL(at);
    for (size_t i = 0; i < n; i++)
        at[i] = (struct bdr_space_at){row[i].at_ms, row[i].used_bytes};
    if (!bdr_space_trend(at, n, &daily) || daily < 1)
        return NULL;
    days = (double)r->free_bytes.v / daily;
    if (days < 14) {
        const struct bdr_value v[] = {BDR_VT("name", r->name), BDR_VN("days", (int64_t)days),
                                      BDR_VN("free", r->free_bytes.v), BDR_VN("daily", (int64_t)daily)};

        return bdr_sweep_found(s, &(struct bdr_found){days < 3 ? BDR_SEV_CRITICAL : BDR_SEV_WARNING, "repository",
                                                      r->id, 0, v, BDR_COUNT(v)});
    }
    return days < 16 ? bdr_sweep_keep(s, "repository", r->id) : NULL;
}

static struct bdr_err *cond_forecast(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_repositories *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_cond_repositories(tx, &row, &n));
    for (size_t i = 0; i < n; i++)
        if (row[i].free_bytes.set)
            BDR_TRY(forecast_one(tx, s, &row[i], now_ms));
    return NULL;
}

static struct bdr_err *cond_certificate(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_certificates *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_cond_certificates(tx, now_ms, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("kind", row[i].kind), BDR_VT("name", row[i].name),
                                      BDR_VN("expires", row[i].expires_ms)};

        BDR_TRY(bdr_sweep_found(
            s, &(struct bdr_found){row[i].left_ms * 20 < row[i].life_ms ? BDR_SEV_CRITICAL : BDR_SEV_WARNING, "machine",
                                   row[i].id, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_inconsistent(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_inconsistent *row = NULL;
    size_t n = 0;

    (void)now_ms;
    BDR_TRY(bdr_q_cond_inconsistent(tx, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("host", row[i].name), BDR_VT("is", row[i].consistency),
                                      BDR_VT("wanted", row[i].wanted), BDR_VN("since", row[i].taken_ms)};

        BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){BDR_SEV_WARNING, "host", row[i].id, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_damaged(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_damaged *row = NULL;
    size_t n = 0;

    (void)now_ms;
    BDR_TRY(bdr_q_cond_damaged(tx, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("host", row[i].name), BDR_VN("n", row[i].n)};

        BDR_TRY(bdr_sweep_found(
            s, &(struct bdr_found){BDR_SEV_CRITICAL, "host", row[i].host_id, row[i].point_id, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_clock(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_future *row = NULL;
    int64_t theirs = 0, skew;
    size_t n = 0;

    BDR_TRY(bdr_q_cond_future(tx, now_ms + FUTURE_MS, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("name", row[i].name), BDR_VN("skew", row[i].last_point_ms - now_ms)};

        BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){BDR_SEV_WARNING, "host", row[i].id, 0, v, BDR_COUNT(v)}));
    }
    BDR_TRY(bdr_q_cond_clock(tx, &theirs)); /* against our clock, not the tick's: tests live in another time */
    skew = theirs - bdr_clock_wall_ms();
    if (skew > DB_SKEW_MS || skew < -DB_SKEW_MS) {
        const struct bdr_value v[] = {BDR_VT("name", "database"), BDR_VN("skew", skew)};

        BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){BDR_SEV_CRITICAL, "console", 0, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

static struct bdr_err *cond_channel(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_cond_channels *row = NULL;
    size_t n = 0;

    (void)now_ms;
    BDR_TRY(bdr_q_cond_channels(tx, &row, &n));
    for (size_t i = 0; i < n; i++) {
        const struct bdr_value v[] = {BDR_VT("name", row[i].name), BDR_VT("error", row[i].error_text)};

        BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){BDR_SEV_WARNING, "channel", row[i].id, 0, v, BDR_COUNT(v)}));
    }
    return NULL;
}

/* Of this console alone: each has its own disk. */
static struct bdr_err *cond_disk(struct bdr_console *c, struct bdr_sweep *s)
{
    struct statvfs vfs;
    int64_t total, left, pct;

    if (statvfs(c->config.folder, &vfs) != 0)
        BDR_FAIL(BDR_IO, 0, "asking for the space of %s", c->config.folder);
    total = (int64_t)(vfs.f_blocks * vfs.f_frsize);
    left = (int64_t)(vfs.f_bavail * vfs.f_frsize);
    pct = total > 0 ? 100 - (int64_t)((double)left * 100 / (double)total) : 0;
    if (pct >= 90 || left < GIB) {
        const struct bdr_value v[] = {BDR_VN("free", left), BDR_VN("percent", pct)};

        return bdr_sweep_found(s, &(struct bdr_found){pct >= 95 || left < GIB / 4 ? BDR_SEV_CRITICAL : BDR_SEV_WARNING,
                                                      "console", 0, 0, v, BDR_COUNT(v)});
    }
    return pct >= 88 ? bdr_sweep_keep(s, "console", 0) : NULL;
}

/* ---- the rows ---- */

struct cond {
    enum bdr_alarm_id kind;
    struct bdr_err *(*look)(struct bdr_tx *tx, struct bdr_sweep *s, int64_t now_ms);
};
static const struct cond quick[] = {
    {BDR_ALARM_RPO_MISSED, cond_rpo},       {BDR_ALARM_MACHINE_SILENT, cond_silent},
    {BDR_ALARM_JOB_FAILED, cond_failed},    {BDR_ALARM_REPOSITORY_ERROR, cond_repository},
    {BDR_ALARM_SPACE_LOW, cond_space},      {BDR_ALARM_CHANNEL_FAILED, cond_channel},
    {BDR_ALARM_POINT_DAMAGED, cond_damaged}, {BDR_ALARM_SPACE_OUT, cond_no_room}};
static const struct cond slow[] = {{BDR_ALARM_JOB_WAITING, cond_waiting},
                                   {BDR_ALARM_SPACE_FORECAST, cond_forecast},
                                   {BDR_ALARM_CERTIFICATE_EXPIRING, cond_certificate},
                                   {BDR_ALARM_POINT_INCONSISTENT, cond_inconsistent},
                                   {BDR_ALARM_CLOCK_SKEW, cond_clock}};

static struct bdr_err *cond_run(struct bdr_console *c, const struct cond *cond, int64_t now_ms)
{
    BDR_AUTO(sweep) struct bdr_sweep *s = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    BDR_TRY(bdr_sweep_new(cond->kind, &s));
    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY_FOR(cond->look(tx, s, now_ms), "looking for %s", bdr_alarm_kinds[cond->kind].kind);
    bdr_tx_abandon(BDR_STEAL(tx));
    return bdr_sweep_end(c, s, now_ms);
}

/* One that fails does not keep the others from being looked at. */
static struct bdr_err *conds_run(struct bdr_console *c, const struct cond *conds, size_t n, int64_t now_ms)
{
    struct bdr_err *err = NULL;

    for (size_t i = 0; i < n; i++)
        err = bdr_err_first(err, cond_run(c, &conds[i], now_ms));
    return err;
}

struct bdr_err *bdr_watch_conditions(struct bdr_console *c, int64_t now_ms)
{
    bool mine = false;

    BDR_TRY(bdr_watch_claim(c, "conditions", 15000, now_ms, &mine));
    return mine ? conds_run(c, quick, BDR_COUNT(quick), now_ms) : NULL;
}

struct bdr_err *bdr_watch_slow_conditions(struct bdr_console *c, int64_t now_ms)
{
    BDR_AUTO(sweep) struct bdr_sweep *disk = NULL;
    bool mine = false;

    BDR_TRY(bdr_watch_claim(c, "conditions.slow", 60000, now_ms, &mine));
    if (!mine)
        return NULL;
    BDR_TRY(conds_run(c, slow, BDR_COUNT(slow), now_ms));
    BDR_TRY(bdr_sweep_new(BDR_ALARM_CONSOLE_DISK, &disk));
    BDR_TRY(cond_disk(c, disk));
    return bdr_sweep_end(c, disk, now_ms);
}
