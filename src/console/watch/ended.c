/* SPDX-License-Identifier: Apache-2.0 */
/* ended.c - jobs that ended: the feed, the work of the hour, and what a sync's result says about its host. */
#include "bdr/log.h"
#include "watch/alarm.h"
#include "watch/watch.h"
#include <jansson.h>
#include <string.h>

#define BATCH         100
#define ROUNDS        20
#define USUAL_RUNS    8 /* fewer say nothing about what is usual */
#define KEPT_RUNS     48
#define UNUSUAL_TIMES 8
#define UNUSUAL_FLOOR (INT64_C(256) << 20)
#define UNUSUAL_MS    (7 * INT64_C(86400000))

struct ended {
    int64_t now_ms;
    size_t seen;
    struct bdr_told told;
};

static int ended_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

bool bdr_change_unusual(const int64_t *before, size_t n, int64_t bytes, int64_t *out_usual)
{
    int64_t sorted[KEPT_RUNS];

    n = BDR_MIN(n, BDR_COUNT(sorted));
    *out_usual = 0;
    if (n < USUAL_RUNS)
        return false;
    memcpy(sorted, before, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), ended_compare);
    *out_usual = sorted[n / 2];
    return bytes / UNUSUAL_TIMES > *out_usual && bytes - *out_usual > UNUSUAL_FLOOR;
}

/* A number of the result that a worker of ours gave; -1: it did not. */
static int64_t result_number(const json_t *result, const char *name)
{
    const json_t *v = json_object_get(result, name);

    return json_is_integer(v) && json_integer_value(v) >= 0 ? (int64_t)json_integer_value(v) : -1;
}

static struct bdr_err *ended_changes(struct bdr_tx *tx, struct ended *e, const struct bdr_row_job_ended *j,
                                     int64_t bytes)
{
    BDR_AUTO(mem) struct bdr_row_change_list *row = NULL;
    BDR_AUTO(mem) struct bdr_row_alarm_at *standing = NULL;
    int64_t before[KEPT_RUNS], usual = 0, n_trim;
    size_t n = 0;

    BDR_TRY(bdr_q_change_list(tx, j->host_id.v, KEPT_RUNS, &row, &n));
    for (size_t i = 0; i < n; i++)
        before[i] = row[i].bytes;
    if (bdr_change_unusual(before, n, bytes, &usual)) {
        const struct bdr_value v[] = {BDR_VT("host", j->name), BDR_VN("bytes", bytes), BDR_VN("usual", usual),
                                      BDR_VN("since", j->started_ms.set ? j->started_ms.v : j->ended_ms),
                                      BDR_VN("job_id", j->id)};

        /* not added to what is usual: ten such runs would make it so */
        return bdr_alarm_raise(tx, BDR_ALARM_CHANGE_UNUSUAL,
                               &(struct bdr_found){BDR_SEV_CRITICAL, "host", j->host_id.v, 0, v, BDR_COUNT(v)},
                               e->now_ms, &e->told);
    }
    BDR_TRY(bdr_q_change_add(tx, j->host_id.v, j->ended_ms, bytes));
    if (n == KEPT_RUNS)
        BDR_TRY(bdr_q_change_trim(tx, j->host_id.v, row[KEPT_RUNS - 2].at_ms, &n_trim));
    /* a quiet run does not undo what the loud one may have been: somebody has to have looked */
    BDR_TRY(bdr_q_alarm_at(tx, bdr_alarm_kinds[BDR_ALARM_CHANGE_UNUSUAL].kind, "host", j->host_id.v, &standing));
    if (standing && (standing->acked_ms || e->now_ms - standing->raised_ms > UNUSUAL_MS))
        return bdr_alarm_clear(tx, BDR_ALARM_CHANGE_UNUSUAL, "host", j->host_id.v, e->now_ms, &e->told);
    return NULL;
}

static struct bdr_err *ended_sync(struct bdr_tx *tx, struct ended *e, const struct bdr_row_job_ended *j,
                                  const json_t *result)
{
    int64_t misses = result_number(result, "audit_misses"), changed = result_number(result, "changed_bytes");
    bool full = json_is_true(json_object_get(result, "full"));

    if (misses > 0) {
        const struct bdr_value v[] = {BDR_VT("host", j->name), BDR_VN("misses", misses), BDR_VN("job_id", j->id)};

        BDR_TRY(bdr_alarm_raise(tx, BDR_ALARM_TRACKER_MISS,
                                &(struct bdr_found){BDR_SEV_CRITICAL, "host", j->host_id.v, j->id, v, BDR_COUNT(v)},
                                e->now_ms, &e->told));
    } else if (!misses && !full && result_number(result, "audited_blocks")) { /* 0: nothing was looked at */
        BDR_TRY(bdr_alarm_clear(tx, BDR_ALARM_TRACKER_MISS, "host", j->host_id.v, e->now_ms, &e->told));
    }
    return changed >= 0 && !full && misses <= 0 ? ended_changes(tx, e, j, changed) : NULL;
}

static bool names(const json_t *list, const char *ref)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));

        if (item && !strcmp(item, ref))
            return true;
    }
    return false;
}

/* What a gateway found in its own repository: points that are damaged, and those it was asked about that are right. */
static struct bdr_err *ended_verify(struct bdr_tx *tx, const struct bdr_row_job_ended *j, const json_t *result,
                                    const json_t *asked)
{
    const json_t *damaged = json_object_get(result, "damaged_points");
    int64_t n;

    for (size_t i = 0; i < json_array_size(damaged); i++)
        if (json_is_string(json_array_get(damaged, i)))
            BDR_TRY(bdr_q_point_damaged(tx, j->repository_id.v, json_string_value(json_array_get(damaged, i)), &n));
    for (size_t i = 0; i < json_array_size(asked); i++) {
        const char *ref = json_string_value(json_array_get(asked, i));

        if (ref && !names(damaged, ref))
            BDR_TRY(bdr_q_point_verified(tx, j->repository_id.v, ref, j->ended_ms, &n));
    }
    return NULL;
}

static struct bdr_err *ended_one(struct bdr_tx *tx, struct ended *e, const struct bdr_row_job_ended *j)
{
    bool done = !strcmp(j->state, "done"), failed = !strcmp(j->state, "failed");
    json_t *result = *j->result ? json_loads(j->result, 0, NULL) : NULL;
    json_t *params = *j->params ? json_loads(j->params, 0, NULL) : NULL;
    int64_t read = result_number(result, "read_bytes"), mine = 0, hour = j->ended_ms - j->ended_ms % 3600000;
    const struct bdr_value v[] = {BDR_VT("job", j->kind),         BDR_VT("name", j->name),
                                  BDR_VT("origin", j->origin),    BDR_VN("job_id", j->id),
                                  BDR_VN("bytes", j->done_bytes), BDR_VT("error", j->error_text)};
    struct bdr_err *err;

    err = bdr_q_job_watched(tx, j->id, j->ended_ms, &mine);
    for (int all = 0; !err && mine && all < 2; all++)
        err = bdr_q_moved_add(tx, &(struct bdr_in_moved_add){all ? 0 : hour, done, failed,
                                                             read >= 0 ? read : j->done_bytes, j->stored_bytes});
    if (!err && mine)
        err = bdr_event_add(tx,
                            done     ? "job.done"
                            : failed ? "job.failed"
                                     : "job.cancelled",
                            j->host_id.set ? "host" : "job", j->host_id.set ? j->host_id.v : j->id, v, BDR_COUNT(v),
                            e->now_ms);
    if (!err && mine && done && j->host_id.set && !strcmp(j->kind, "sync"))
        err = ended_sync(tx, e, j, result);
    if (!err && mine && result && j->repository_id.set && !strcmp(j->kind, "verify"))
        err = ended_verify(tx, j, result, json_object_get(params, "points"));
    json_decref(result);
    json_decref(params);
    return err;
}

static struct bdr_err *ended_some(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_job_ended *row = NULL;
    struct ended *e = ctx;
    size_t n = 0;

    e->told.n = 0;
    BDR_TRY(bdr_q_job_ended(tx, BATCH, &row, &n));
    for (size_t i = 0; i < n; i++)
        BDR_TRY_FOR(ended_one(tx, e, &row[i]), "job %lld, which ended", (long long)row[i].id);
    e->seen = n;
    return NULL;
}

struct bdr_err *bdr_watch_ended(struct bdr_console *c, int64_t now_ms)
{
    struct ended e = {.now_ms = now_ms, .seen = BATCH};

    for (int i = 0; i < ROUNDS && e.seen == BATCH && !bdr_cancelled(&c->stop); i++) {
        BDR_TRY(bdr_db_run(c->db, BDR_TX_LOCK, ended_some, &e));
        bdr_alarm_tell(c, &e.told);
    }
    return NULL;
}
