/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup_every.c - point after point, as often as asked for.
 *
 * What counts is the time between two moments: that much is lost when the machine is lost just before the next one.
 * The first signal ends it after the point that is being made.
 */
#include "backup_args.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "engine.h"
#include <stdio.h>
#include <string.h>

#define EVERY_DELAY_MS     1000 /* after an error; doubles */
#define EVERY_DELAY_MAX_MS 60000

struct every {
    const struct backup_args *a;
    struct bdr_cli *cli;
    const char *host;
    const struct backup_place *place;
    int64_t last_ms; /* the moment before; 0: none */
    uint64_t made, failed, partial, rpo_sum, rpo_n, rpo_max;
    uint64_t lead_ms;  /* from the start of an incremental point to its moment */
    uint64_t delay_ms; /* after the next error */
    char trouble[512]; /* the last one */
};

/* What an operator has to do something about: trying again would only fill the log. */
static bool every_is_final(enum bdr_code code)
{
    return code == BDR_INVAL || code == BDR_UNSUPPORTED || code == BDR_DENIED || code == BDR_AUTH ||
           code == BDR_FENCED || code == BDR_VERSION || code == BDR_INTERNAL || code == BDR_RANGE;
}

static struct bdr_err *every_line(struct every *e, json_t *doc, const char *text)
{
    BDR_AUTO(mem) char *line = NULL;

    if (bdr_out_is_json(e->cli->out))
        line = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    else
        line = strdup(text);
    json_decref(doc);
    BDR_NOMEM_IF_NULL(line);
    BDR_TRY(bdr_out_raw(e->cli->out, line, strlen(line)));
    BDR_TRY(bdr_out_raw(e->cli->out, "\n", 1));
    fflush(stdout); /* somebody may follow it */
    return NULL;
}

static struct bdr_err *every_tell(struct every *e, const struct bdr_backup_result *r, int64_t moment_ms,
                                  uint64_t rpo_ms)
{
    char time[24], changed[16], stored[16], rpo[32] = "-", text[512];

    if (e->last_ms)
        snprintf(rpo, sizeof(rpo), "%.1fs", (double)rpo_ms / 1000);
    snprintf(text, sizeof(text), "%s  point %.8s  %s  rpo %s  window %ums  changed %s  stored %s  in %.1fs%s%s%s%s",
             bdr_clock_text(moment_ms, time), r->point_id, r->consistency, rpo, r->moment.window_ms,
             bdr_size_text(r->changed_bytes, changed), bdr_size_text(r->stored_bytes, stored), r->seconds,
             r->reason[0] ? "  because " : "", r->reason, r->moment.note[0] ? "  note: " : "", r->moment.note);
    return every_line(e,
                      json_pack("{s:s, s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:s}", "point",
                                r->point_id, "time_ms", (json_int_t)moment_ms, "consistency", r->consistency, "rpo_ms",
                                e->last_ms ? json_integer((json_int_t)rpo_ms) : json_null(), "window_ms",
                                (json_int_t)r->moment.window_ms, "passes", (json_int_t)r->moment.passes, "read_bytes",
                                (json_int_t)r->read_bytes, "changed_bytes", (json_int_t)r->changed_bytes,
                                "stored_bytes", (json_int_t)r->stored_bytes, "duration_ms",
                                (json_int_t)(r->seconds * 1000), "full", r->full, "reason", r->reason, "note",
                                r->moment.note),
                      text);
}

static struct bdr_err *every_failed(struct every *e, struct bdr_err *err, uint64_t *out_wait_ms)
{
    enum bdr_code code = err->code;

    if (every_is_final(code) || (!e->made && !bdr_code_retryable(code)))
        return err;
    e->failed++;
    bdr_err_text(err, e->trouble, sizeof(e->trouble));
    bdr_err_drop(err, "told, and tried again");
    *out_wait_ms = e->delay_ms;
    e->delay_ms = BDR_MIN(2 * e->delay_ms, (uint64_t)EVERY_DELAY_MAX_MS);
    bdr_out_note(e->cli->out, "no point this time: %s; the next attempt comes in %llu s", e->trouble,
                 (unsigned long long)(*out_wait_ms / 1000));
    return every_line(e, json_pack("{s:s, s:s}", "error", e->trouble, "code", bdr_code_name(code)), e->trouble);
}

/* One point; *out_wait_ms: until the next. */
static struct bdr_err *every_point(struct every *e, uint64_t *out_wait_ms)
{
    uint64_t start = bdr_clock_mono_ms(), took, age, rpo = 0;
    int64_t moment_ms = bdr_clock_wall_ms();
    struct bdr_backup_result r;
    struct bdr_err *err = backup_once(e->a, e->place, e->host, NULL, NULL, &r);

    if (err)
        return every_failed(e, err, out_wait_ms);
    if (r.moment.time_ms)
        moment_ms = r.moment.time_ms;
    if (e->last_ms && moment_ms > e->last_ms) {
        rpo = (uint64_t)(moment_ms - e->last_ms);
        e->rpo_sum += rpo;
        e->rpo_n++;
        e->rpo_max = BDR_MAX(e->rpo_max, rpo);
    }
    BDR_TRY(every_tell(e, &r, moment_ms, rpo));
    e->last_ms = moment_ms;
    e->made++;
    e->partial += r.unreadable_bytes || !strcmp(r.consistency, "inconsistent");
    e->delay_ms = EVERY_DELAY_MS;
    /* What counts is from moment to moment, so the next point starts a little before its moment is due. */
    took = bdr_clock_mono_ms() - start;
    age = BDR_MIN((uint64_t)BDR_MAX(bdr_clock_wall_ms() - moment_ms, (int64_t)0), took);
    if (!r.full)
        e->lead_ms = took - age;
    age += e->lead_ms;
    *out_wait_ms = e->a->every_ms > age ? e->a->every_ms - age : 0;
    return NULL;
}

static struct bdr_err *every_sum(const struct every *e)
{
    if (e->rpo_n)
        bdr_out_note(e->cli->out, "%llu points; from one to the next %.1f s on average, %.1f s at most",
                     (unsigned long long)e->made, (double)e->rpo_sum / (double)e->rpo_n / 1000,
                     (double)e->rpo_max / 1000);
    if (e->failed)
        BDR_FAIL(BDR_PARTIAL, 0, "%llu points were made, %llu times none could be; the last time: %s",
                 (unsigned long long)e->made, (unsigned long long)e->failed, e->trouble);
    if (e->partial)
        BDR_FAIL(BDR_PARTIAL, 0, "%llu of %llu points are saved, but not of one moment or not whole",
                 (unsigned long long)e->partial, (unsigned long long)e->made);
    return NULL;
}

struct bdr_err *backup_every(const struct backup_args *a, struct bdr_cli *cli, const char *host)
{
    __attribute__((cleanup(backup_place_close))) struct backup_place place = {0};
    struct bdr_cancel never = {0}; /* a signal waits for the point; a second one ends us */
    struct bdr_cli patient = *cli;
    struct every e = {.a = a, .cli = cli, .host = host, .delay_ms = EVERY_DELAY_MS};

    patient.cancel = &never;
    BDR_TRY(backup_place_open(a, &patient, &place));
    e.place = &place;
    while (!bdr_cancelled(cli->cancel)) {
        uint64_t wait_ms = 0;

        BDR_TRY(every_point(&e, &wait_ms));
        if (a->count && e.made >= a->count)
            break;
        bdr_err_drop(bdr_cancel_sleep(cli->cancel, wait_ms), "the loop looks");
    }
    return every_sum(&e);
}
