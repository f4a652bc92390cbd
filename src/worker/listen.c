/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - the console's events: hints to hurry. Losing them costs the time to the next beat. */
#include "bdr/clock.h"
#include "worker_i.h"
#include <stdio.h>
#include <string.h>

#define LISTEN_BACKOFF_MAX_MS 30000

struct ear {
    struct worker *w;
    char last[64];
    bool heard;
};

static void ear_job(struct worker *w, const char *data)
{
    BDR_AUTO(json_doc) json_t *doc = NULL;
    struct bdr_err *err = bdr_json_read(data, strlen(data), &doc);
    json_int_t id = json_integer_value(json_object_get(doc, "id"));

    bdr_err_drop(err, "a hint that can't be read is none");
    if (id > 0)
        job_hurry(w, (uint64_t)id);
}

static bool ear_event(void *ctx, const char *event, const char *id, const char *data)
{
    struct ear *ear = ctx;
    struct worker *w = ear->w;

    ear->heard = true;
    if (id && *id)
        snprintf(ear->last, sizeof(ear->last), "%s", id);
    if (!strcmp(event, "work"))
        worker_poke(w, POKE_CLAIM);
    else if (!strcmp(event, "job"))
        ear_job(w, data);
    else if (!strcmp(event, "settings"))
        worker_poke(w, POKE_BEAT);
    if (strcmp(event, "work") != 0 && strcmp(event, "job") != 0 && w->cfg->event)
        w->cfg->event(w->cfg->ctx, event, data);
    return true;
}

struct bdr_err *worker_listen(void *ctx, unsigned index)
{
    struct ear ear = {.w = ctx};
    struct worker *w = ctx;
    unsigned failures = 0;

    (void)index;
    while (!bdr_cancelled(&w->stop)) {
        struct worker_line *line = worker_line_take(w);
        struct bdr_err *err;

        ear.heard = false;
        err = bdr_http_listen(line->client, "/v1/machine/events", ear.last[0] ? ear.last : NULL, ear_event, &ear,
                              &w->stop);
        worker_line_drop(w, line);
        failures = ear.heard ? 0 : failures + 1;
        if (err && bdr_log_wanted(BDR_LOG_DEBUG) && !bdr_cancelled(&w->stop))
            BDR_LOG(DEBUG, "worker.events-lost", F_ERR(err));
        bdr_err_drop(err, "beats go on; the main loop tells that the console is away");
        err = bdr_cancel_sleep(&w->stop, worker_backoff(w->backoff_ms, failures, LISTEN_BACKOFF_MAX_MS));
        bdr_err_drop(err, "the loop looks");
    }
    return NULL;
}
