/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_end.c - what a sync and a scan leave behind when they end.
 *
 * A sync's result: {"point":"<id in the repository>", "taken":wall ms, "full":bool, "consistency":"...",
 * "size_bytes":N, "read_bytes":N, "stored_bytes":N, "trackers":{"<disk's id>":"<the source's token>"}}, and what else
 * people may want to read. It came over the wire: each field is looked at.
 */
#include "api/machine.h"
#include <stdio.h>
#include <string.h>

#define TRACKER_MAX   4096u
#define CLOCKS_MS     300000 /* a worker's clock may be ahead by that much */
#define POINT_REF_MAX 64u

/* A text of the result, "" when it is not there. INVAL when it is something else, or too long. */
static struct bdr_err *text_of(const json_t *result, const char *name, size_t max, const char **out)
{
    const json_t *v = json_object_get(result, name);

    *out = "";
    if (!v || json_is_null(v))
        return NULL;
    if (!json_is_string(v) || json_string_length(v) > max)
        BDR_FAIL(BDR_INVAL, 0, "%s of the result is no text of at most %zu bytes", name, max);
    *out = json_string_value(v);
    return NULL;
}

static struct bdr_err *number_of(const json_t *result, const char *name, int64_t *out)
{
    const json_t *v = json_object_get(result, name);

    *out = 0;
    if (!v || json_is_null(v))
        return NULL;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > BDR_SHAPE_INT_MAX)
        BDR_FAIL(BDR_INVAL, 0, "%s of the result is no number from 0 on", name);
    *out = json_integer_value(v);
    return NULL;
}

static bool ref_ok(const char *ref)
{
    return *ref && strlen(ref) <= POINT_REF_MAX &&
           !ref[strspn(ref, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP"
                            "QRSTUVWXYZ._-")];
}

/* ---- sync ---- */

/* Only disks of the job's own host: a worker names their ids, but which are looked at is not its choice. */
static struct bdr_err *trackers(struct bdr_tx *tx, int64_t host_id, const json_t *given)
{
    BDR_AUTO(mem) struct bdr_row_disk *disk = NULL;
    size_t n = 0;

    if (!given || json_is_null(given))
        return NULL;
    if (!json_is_object(given))
        BDR_FAIL(BDR_INVAL, 0, "trackers of the result is no object of disks");
    BDR_TRY(bdr_q_disk_list(tx, host_id, &disk, &n));
    for (size_t i = 0; i < n; i++) {
        const char *token;
        int64_t changed;
        char key[24];

        snprintf(key, sizeof(key), "%lld", (long long)disk[i].id);
        if (!json_object_get(given, key))
            continue;
        BDR_TRY(text_of(given, key, TRACKER_MAX, &token));
        BDR_TRY(bdr_q_disk_tracker(tx, disk[i].id, token, &changed));
    }
    return NULL;
}

/* Nobody else tells of points in a repository without a gateway. */
static struct bdr_err *point_made(struct bdr_tx *tx, int64_t host_id, int64_t repository_id, const json_t *result,
                                  int64_t now_ms)
{
    struct bdr_in_point_told p = {.host_id = host_id, .repository_id = repository_id, .list = "", .now_ms = now_ms};
    BDR_AUTO(mem) struct bdr_row_point_told *row = NULL;
    int64_t changed;

    BDR_TRY(text_of(result, "point", POINT_REF_MAX, &p.ref));
    BDR_TRY(number_of(result, "taken", &p.taken_ms));
    BDR_TRY(text_of(result, "consistency", 32, &p.consistency));
    BDR_TRY(number_of(result, "size_bytes", &p.disk_bytes));
    BDR_TRY(number_of(result, "read_bytes", &p.read_bytes));
    BDR_TRY(number_of(result, "stored_bytes", &p.stored_bytes));
    if (!ref_ok(p.ref))
        BDR_FAIL(BDR_INVAL, 0, "the result of a sync names its point: 1 to %u of A-Z a-z 0-9 . _ -", POINT_REF_MAX);
    if (!p.taken_ms)
        p.taken_ms = now_ms;
    if (p.taken_ms > now_ms + CLOCKS_MS)
        BDR_FAIL(BDR_INVAL, 0, "the point is of the future; is the worker's clock right?");
    p.kind = json_is_true(json_object_get(result, "full")) ? "full" : "incremental";
    if (!*p.consistency)
        p.consistency = "crash";
    BDR_TRY(bdr_q_point_told(tx, &p, &row));
    return bdr_q_host_pointed(tx, host_id, p.taken_ms, &changed);
}

struct bdr_err *machine_end_sync(struct bdr_tx *tx, const struct bdr_row_job *job, const struct bdr_job_end_in *in,
                                 int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_repository *repository = NULL;
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    struct bdr_opt_i64 repository_id = job->repository_id;
    int64_t changed;

    if (!job->host_id.set)
        return NULL;
    if (in->how == BDR_HOW_FAIL || in->how == BDR_HOW_RETRY) /* "outdated; start a full pass" */
        return in->error_code && !strcmp(in->error_code, bdr_code_name(BDR_STALE))
                   ? bdr_q_host_needs_full(tx, job->host_id.v, true, &changed)
                   : NULL;
    if (in->how != BDR_HOW_FINISH)
        return NULL;
    BDR_TRY(bdr_q_host_lock(tx, job->host_id.v, &host));
    if (!repository_id.set && host)
        repository_id = host->repository_id;
    if (repository_id.set)
        BDR_TRY(bdr_q_repository_get(tx, repository_id.v, &repository));
    if (!host || !repository)
        BDR_FAIL(BDR_CONFLICT, 0, "the host or its repository is gone");
    BDR_TRY(trackers(tx, host->id, json_object_get(in->result, "trackers")));
    BDR_TRY(bdr_q_host_needs_full(tx, host->id, false, &changed));
    return repository->gateway_id.set ? NULL : point_made(tx, host->id, repository->id, in->result, now_ms);
}

/* ---- scan ---- */

struct bdr_err *machine_end_scan(struct bdr_tx *tx, const struct bdr_row_job *job, const struct bdr_job_end_in *in,
                                 int64_t now_ms)
{
    const bool ok = in->how == BDR_HOW_FINISH;
    int64_t changed;

    if (!job->platform_id.set || in->how == BDR_HOW_STOPPED)
        return NULL;
    return bdr_q_platform_status(tx,
                                 &(struct bdr_in_platform_status){job->platform_id.v, ok ? "ok" : "error",
                                                                  !ok && in->error_text ? in->error_text : "", now_ms},
                                 &changed);
}

const struct machine_end machine_ends[] = {
    {"sync", machine_end_sync},
    {"scan", machine_end_scan},
    {.kind = NULL},
};
