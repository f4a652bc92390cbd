/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - how it goes, as a file that people's commands and the uninstaller read. */
#include "bdr/clock.h"
#include "worker_i.h"
#include <stdio.h>
#include <string.h>

static const char *const link_names[] = {"starting", "connected", "away", "revoked", "refused"};

static void text_time(json_t *doc, const char *name, int64_t wall_ms)
{
    char buf[32];

    if (wall_ms)
        json_object_set_new(doc, name, json_string(bdr_rfc3339_text(wall_ms, buf)));
}

static json_t *status_job(struct job *j)
{
    char step[sizeof(j->step)];

    pthread_mutex_lock(&j->lock);
    memcpy(step, j->step, sizeof(step));
    pthread_mutex_unlock(&j->lock);
    return json_pack("{s:I,s:s,s:s?,s:I,s:I}", "id", (json_int_t)j->pub.work->id, "kind", j->pub.work->kind, "step",
                     step[0] ? step : NULL, "done_bytes", (json_int_t)atomic_load(&j->pub.done_bytes), "total_bytes",
                     (json_int_t)atomic_load(&j->pub.total_bytes));
}

void status_write(struct worker *w)
{
    json_t *doc, *jobs = json_array();
    struct bdr_err *err;
    char path[512];

    pthread_mutex_lock(&w->lock);
    doc = json_pack("{s:s,s:s,s:s,s:I,s:s,s:b,s:s?,s:i}", "version", w->cfg->version, "console", w->who.console,
                    "machine", w->who.machine, "host", (json_int_t)w->who.host, "state", link_names[w->link],
                    "registered", w->registered, "error", w->said[0] ? w->said : NULL, "pid", (int)getpid());
    text_time(doc, "since", w->link_since_ms);
    text_time(doc, "last_beat", w->last_beat_ms);
    text_time(doc, "certificate_until", w->who.expires_ms);
    for (unsigned i = 0; i < w->cfg->jobs_max; i++)
        if (w->jobs[i].used && !atomic_load(&w->jobs[i].over))
            json_array_append_new(jobs, status_job(&w->jobs[i]));
    pthread_mutex_unlock(&w->lock);
    json_object_set_new(doc, "jobs", jobs);
    err = state_write_json(bdr_worker_path(w->cfg->state, WORKER_STATUS, path), doc, 0644);
    if (err)
        BDR_LOG(WARN, "worker.status-unwritten", F_ERR(err));
    bdr_err_drop(err, "for people only");
}
