/* SPDX-License-Identifier: Apache-2.0 */
/* sync_job.c - open disks into the job's store, with the figures people see, and what came of it. */
#include "bdr/sync_job.h"
#include "place.h"
#include <stdio.h>
#include <string.h>

static void sync_meter(void *ctx, struct bdr_worker_job *job)
{
    const struct bdr_backup_meter *m = ctx;

    atomic_store(&job->done_bytes, atomic_load(&m->done_bytes));
    atomic_store(&job->total_bytes, atomic_load(&m->total_bytes));
    atomic_store(&job->stored_bytes, atomic_load(&m->stored_bytes));
    atomic_store(&job->pass, (unsigned)atomic_load(&m->pass));
}

static void result_number(json_t *doc, const char *name, uint64_t v)
{
    json_object_set_new(doc, name, json_integer((json_int_t)v));
}

static json_t *sync_result(const struct bdr_backup_result *r)
{
    json_t *doc = json_pack("{s:s,s:s,s:b}", "point", r->point_id, "consistency", r->consistency, "full", r->full);

    if (!doc)
        return NULL;
    if (r->reason[0])
        json_object_set_new(doc, "reason", json_string(r->reason));
    if (r->moment.note[0])
        json_object_set_new(doc, "note", json_string(r->moment.note));
    result_number(doc, "size_bytes", r->size_bytes);
    result_number(doc, "read_bytes", r->read_bytes);
    result_number(doc, "changed_bytes", r->changed_bytes);
    result_number(doc, "new_bytes", r->new_bytes);
    result_number(doc, "stored_bytes", r->stored_bytes);
    result_number(doc, "sent_bytes", r->sent_bytes);
    result_number(doc, "unreadable_bytes", r->unreadable_bytes);
    result_number(doc, "audited_blocks", r->audited_blocks);
    result_number(doc, "audit_misses", r->audit_misses);
    result_number(doc, "scan_cache_blocks", r->scan_blocks);
    result_number(doc, "passes", r->moment.passes);
    result_number(doc, "window_ms", r->moment.window_ms);
    result_number(doc, "filesystems", r->moment.filesystems);
    json_object_set_new(doc, "seconds", json_real(r->seconds));
    return doc;
}

static struct bdr_err *sync_check(const struct bdr_sync *s)
{
    const struct bdr_job_work *work = s->job->work;

    if (!s->n)
        BDR_FAIL(BDR_INVAL, 0, "all disks of this host are excluded; there is nothing to protect");
    if (!work->label || !*work->label)
        BDR_FAIL(BDR_INVAL, 0, "the job does not say the host's name in the repository");
    return NULL;
}

struct bdr_err *bdr_sync_run(const struct bdr_sync *s, json_t **out_result)
{
    const struct bdr_job_work *work = s->job->work;
    __attribute__((cleanup(place_close))) struct place place = {0};
    struct bdr_backup_meter meter = {0};
    struct bdr_backup_result r;
    struct bdr_err *err;
    char scan[512];

    BDR_TRY(sync_check(s));
    bdr_worker_job_step(s->job, "connecting to where the points go");
    BDR_TRY_FOR(place_open(s, &place), "opening the job's repository");
    /* The console's lease says who writes: a writer that was ours before its death, or another machine's, is fenced
     * off. */
    struct bdr_backup_options opt = {.host = work->label,
                                     .host_id = s->host_id,
                                     .boot_mode = s->boot_mode,
                                     .compress =
                                         work->store.compress && *work->store.compress ? work->store.compress : NULL,
                                     .pass = work->full ? BDR_PASS_FULL : BDR_PASS_AUTO,
                                     .audit_pct = -1,
                                     .scan_dir = bdr_worker_path(s->state, "scan", scan),
                                     .moment = s->moment,
                                     .take_over = true,
                                     .meter = &meter,
                                     .cancel = &s->job->cancel};
    bdr_worker_job_meter(s->job, sync_meter, &meter);
    bdr_worker_job_step(s->job, s->n == 1 ? "reading 1 disk" : "reading %zu disks", s->n);
    atomic_store(&s->job->disks, (unsigned)s->n);
    err = bdr_backup_to(place.sink, s->disks, s->n, &opt, &r);
    sync_meter(&meter, s->job);
    atomic_store(&s->job->disks, 0);
    bdr_worker_job_meter(s->job, NULL, NULL);
    BDR_TRY(err);
    atomic_store(&s->job->stored_bytes, r.stored_bytes);
    *out_result = sync_result(&r);
    BDR_NOMEM_IF_NULL(*out_result);
    return NULL;
}
