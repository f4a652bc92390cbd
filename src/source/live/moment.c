/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moment.c - from pass to pass until the disks of this machine stood still together, or settle for what can be had.
 *
 * The ladder: freeze (freezes_max times, with passes between) -> slow the writers down and try again, if that is
 * allowed -> an unfrozen window in which nothing that was read was written: one moment, as after a power cut -> not of
 * one moment, and labelled so. Source: docs/drivers/live.md
 */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/priority.h"
#include "bdr/script.h"
#include "disk.h"
#include "predict.h"
#include <stdio.h>
#include <string.h>

#define MOMENT_FREEZE_MS     500
#define MOMENT_FREEZES       3
#define MOMENT_PASSES        16
#define MOMENT_CAPTURE_BYTES ((uint64_t)256 << 20)
#define MOMENT_SCRIPT_MS     60000
#define MOMENT_OPEN_TRIES    20 /* unfrozen windows, within some seconds */
#define MOMENT_OPEN_PAUSE_MS 20
#define MOMENT_FAR           3     /* times the budget: no more attempts */
#define MOMENT_MISSES_MAX    2     /* doubts; after another one the tracker is not asked any more */
#define MOMENT_READ_RATE     200e6 /* until measured */
#define MOMENT_CAPTURE_RATE  300e6
#define MOMENT_THAW_MS       60  /* freeze and thaw of an idle file system: 50 to 95 ms under appenders, as measured */
#define MOMENT_OVERHEAD_MS   350 /* settle and sync */

/* ---- figures ---- */

/* How fast a pass goes, from those that read enough to tell. */
static void moment_measure(struct live_moment *m)
{
    uint64_t bytes = atomic_load(&m->read_bytes), ms = bdr_clock_mono_ms() - m->pass_ms;

    if (bytes >= 8u << 20 && ms)
        m->read_rate = (double)bytes * 1000 / (double)ms;
}

static struct bdr_err *moment_look(struct live_moment *m, enum live_advice *out)
{
    struct live_outlook o = {.capture_bytes = m->opt.capture_bytes,
                             .read_rate = m->read_rate,
                             .capture_rate = m->capture_rate,
                             .freeze_ms = m->freeze_ms,
                             .budget_ms = m->opt.freeze_ms,
                             .overhead_ms = MOMENT_OVERHEAD_MS,
                             .passes = m->report.passes,
                             .passes_max = m->opt.passes_max};
    uint64_t ms = BDR_MAX(bdr_clock_mono_ms() - m->pass_ms, 1u);

    BDR_TRY(live_dirty(m, &o.dirty_bytes));
    o.write_rate = (double)o.dirty_bytes * 1000 / (double)ms;
    *out = live_advise(&o);
    m->window_ms = live_window_ms(&o);
    BDR_LOG(DEBUG, "source.live.outlook", F_U64("pass", o.passes), F_U64("dirty_bytes", o.dirty_bytes),
            F_U64("write_bytes_s", (uint64_t)o.write_rate), F_U64("read_bytes_s", (uint64_t)o.read_rate),
            F_U64("window_ms", m->window_ms), F_U64("advice", *out));
    return NULL;
}

static bool moment_tracked(const struct live_moment *m)
{
    LIVE_EACH(m, i, d)
    {
        if (!d->track)
            return false;
    }
    return true;
}

/* ---- the steps of the ladder ---- */

/* A tracker that was found wanting: it is put in place again; doubted too often, it is not asked any more. */
static struct bdr_err *moment_renew(struct live_disk *d)
{
    struct bdr_err *err;

    bdr_track_close(d->track);
    d->track = NULL;
    d->began = 0;
    if (++d->missed > MOMENT_MISSES_MAX) {
        snprintf(d->untracked, sizeof(d->untracked), "its tracker misses writes");
        return NULL;
    }
    err = bdr_track_start(d->path);
    if (!err)
        err = bdr_track_open(d->path, &d->track);
    if (err)
        bdr_err_text(err, d->untracked, sizeof(d->untracked));
    bdr_err_drop(err, "it goes on without a tracker");
    return NULL;
}

static struct bdr_err *moment_doubt(struct live_moment *m)
{
    LIVE_EACH(m, i, d)
    {
        if (!d->stale[0] || !d->track)
            continue;
        BDR_LOG(WARN, "source.live.doubt", F_STR("disk", d->path), F_STR("why", d->stale));
        if (d->doubted)
            BDR_TRY(moment_renew(d));
        d->doubted = false;
    }
    return NULL;
}

/* One attempt with the file systems frozen, between the two programs. */
static struct bdr_err *moment_freeze(struct live_moment *m, enum live_outcome *out)
{
    struct bdr_err *err, *post;
    char text[160];

    *out = LIVE_AGAIN;
    m->freezes_left--;
    BDR_TRY(live_script_pre(m));
    bdr_os_hurry();
    err = live_window_frozen(m, out);
    bdr_os_idle_again();
    post = live_script_post(m, !err && *out == LIVE_DONE);
    if (err && (err->code == BDR_CANCELLED || err->code == BDR_NOMEM))
        return bdr_err_first(err, post);
    if (!err && *out == LIVE_AGAIN)
        snprintf(m->why, sizeof(m->why), "the disks did not stand still for the whole window of %u ms",
                 m->opt.freeze_ms);
    if (err) {
        *out = LIVE_AGAIN;
        snprintf(m->why, sizeof(m->why), "%s", bdr_err_text(err, text, sizeof(text)));
        BDR_LOG(WARN, "source.live.freeze", F_U64("attempt", m->report.freezes), F_ERR(err));
        bdr_err_drop(err, "tried again, or told in the note");
    }
    return post;
}

/* Without freezing: waits for a time at which nothing of what is read is written, and else takes what it gets. */
static struct bdr_err *moment_open_window(struct live_moment *m, enum live_outcome *out)
{
    bool tracked = moment_tracked(m), small = true;

    m->prepared = false;
    for (unsigned i = 0; tracked && i < MOMENT_OPEN_TRIES; i++) {
        struct bdr_err *err = live_window_open(m, false, out);

        if (!err && *out != LIVE_AGAIN)
            return NULL;
        small = !err || err->code != BDR_RANGE;
        if (err && small)
            return err;
        bdr_err_drop(err, "too much for one reading; what the passes have read stays");
        if (!small)
            break;
        BDR_TRY(bdr_cancel_sleep(m->opt.cancel, MOMENT_OPEN_PAUSE_MS));
    }
    if (!tracked && !m->opt.no_track)
        LIVE_EACH(m, i, d)
        {
            if (!d->track)
                live_note(m, "changes of %s can't be tracked: %s", d->path, d->untracked);
        }
    if (!small) { /* more than fits: of no one moment, and without what was to be captured */
        live_capture_free(&m->capture);
        return live_window_skip(m, out);
    }
    return live_window_open(m, true, out);
}

static bool moment_may_freeze(const struct live_moment *m)
{
    return m->freezer && !m->opt.no_freeze && m->freezes_left && moment_tracked(m);
}

static const char *moment_mixed(const struct live_moment *m)
{
    return strcmp(m->report.consistency, "inconsistent") ? ""
                                                         : ", and what was read without freezing was written meanwhile";
}

static struct bdr_err *moment_try(struct live_moment *m, enum live_outcome *out)
{
    enum live_advice advice = LIVE_FREEZE;
    bool more = m->report.passes < m->opt.passes_max;

    *out = LIVE_AGAIN;
    if (moment_tracked(m)) {
        BDR_TRY(moment_look(m, &advice));
        if (live_doubted(m)) {
            *out = LIVE_DOUBT;
            return NULL;
        }
        if (advice == LIVE_PASS)
            return NULL;
        if (advice == LIVE_HOPELESS)
            snprintf(m->why, sizeof(m->why),
                     "more was written than could be read while the disks stand still for %u ms", m->opt.freeze_ms);
        /* Hopeless is a prediction, and the watchdog sees to it that trying costs no more than the budget; but not
         * again and again. */
        if (advice == LIVE_HOPELESS && m->report.freezes && m->window_ms > MOMENT_FAR * m->opt.freeze_ms)
            m->freezes_left = 0;
        if (moment_may_freeze(m)) {
            BDR_TRY(moment_freeze(m, out));
            if (*out != LIVE_AGAIN || (more && moment_may_freeze(m)))
                return NULL;
        }
    }
    if (m->opt.throttle && m->freezer && !m->opt.no_freeze && moment_tracked(m)) {
        bool slower = false;

        BDR_TRY(live_throttle(m, &slower));
        if (slower) { /* from here on everything may work out again */
            m->freezes_left = m->opt.freezes_max;
            m->opt.passes_max = m->report.passes + MOMENT_PASSES;
            return NULL;
        }
    }
    BDR_TRY(moment_open_window(m, out));
    if (*out == LIVE_DONE && m->opt.no_freeze)
        live_note(m, "the file systems were not to be frozen%s", moment_mixed(m));
    else if (*out == LIVE_DONE && m->why[0])
        live_note(m, "%s%s", m->why, moment_mixed(m));
    return NULL;
}

static struct bdr_err *moment_next(struct bdr_moment *base, enum bdr_moment_step *out)
{
    struct live_moment *m = (struct live_moment *)base;
    enum live_outcome outcome;

    BDR_TRY(bdr_cancel_check(m->opt.cancel));
    BDR_TRY(live_begin(m));
    moment_measure(m);
    m->report.passes++;
    BDR_TRY(live_mounts_again(m));
    BDR_TRY(live_sync(m));
    BDR_TRY(moment_try(m, &outcome));
    m->rounds = true;
    if (outcome == LIVE_DONE) {
        live_throttle_end(m);
        if (m->freezer) /* nothing is frozen any more, and nothing will be */
            bdr_freezer_end(BDR_STEAL(m->freezer));
        m->last = true;
        *out = BDR_MOMENT_FINAL;
        return NULL;
    }
    if (outcome == LIVE_DOUBT)
        BDR_TRY(moment_doubt(m));
    *out = BDR_MOMENT_PASS;
    return live_cut(m);
}

static void moment_report(struct bdr_moment *base, struct bdr_moment_report *out)
{
    struct live_moment *m = (struct live_moment *)base;

    *out = m->report;
}

static void moment_close(struct bdr_moment *base)
{
    struct live_moment *m = (struct live_moment *)base;

    LIVE_EACH(m, i, d)
    {
        d->m = NULL; /* the disks may be closed later, but not read */
    }
    live_throttle_end(m);
    live_mounts_end(m);
    live_capture_free(&m->capture);
    free((char *)(uintptr_t)m->opt.pre_freeze);
    free((char *)(uintptr_t)m->opt.post_freeze);
    free(m);
}

const struct bdr_moment_driver live_moment_driver = {
    .name = "live",
    .next = moment_next,
    .report = moment_report,
    .close = moment_close,
};

static struct bdr_err *moment_options(struct live_moment *m, const struct bdr_live_options *opt)
{
    struct bdr_live_options *o = &m->opt;

    *o = *opt;
    o->pre_freeze = opt->pre_freeze ? strdup(opt->pre_freeze) : NULL;
    o->post_freeze = opt->post_freeze ? strdup(opt->post_freeze) : NULL;
    if ((opt->pre_freeze && !o->pre_freeze) || (opt->post_freeze && !o->post_freeze))
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    if (o->pre_freeze)
        BDR_TRY(bdr_script_check(o->pre_freeze));
    if (o->post_freeze)
        BDR_TRY(bdr_script_check(o->post_freeze));
    o->freeze_ms = opt->freeze_ms ? opt->freeze_ms : MOMENT_FREEZE_MS;
    o->freezes_max = opt->freezes_max ? opt->freezes_max : MOMENT_FREEZES;
    o->passes_max = opt->passes_max ? opt->passes_max : MOMENT_PASSES;
    o->capture_bytes = opt->capture_bytes ? opt->capture_bytes : MOMENT_CAPTURE_BYTES;
    o->script_ms = opt->script_ms ? opt->script_ms : MOMENT_SCRIPT_MS;
    return NULL;
}

struct bdr_err *bdr_live_moment_open(const struct bdr_live_options *opt, struct bdr_moment **out)
{
    struct live_moment *m = calloc(1, sizeof(*m));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(m);
    m->base.drv = &live_moment_driver;
    m->sys_root = "/sys";
    m->read_rate = MOMENT_READ_RATE;
    m->capture_rate = MOMENT_CAPTURE_RATE;
    m->freeze_ms = MOMENT_THAW_MS;
    err = moment_options(m, opt);
    m->freezes_left = m->opt.freezes_max;
    if (err)
        moment_close(&m->base);
    else
        *out = &m->base;
    return err;
}

struct bdr_err *bdr_live_disks(char ***out, size_t *out_n)
{
    return bdr_volumes_disks(out, out_n);
}
