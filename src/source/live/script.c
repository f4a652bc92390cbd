/* SPDX-License-Identifier: Apache-2.0 */
/* script.c - what runs before and after a freeze: the programs of the host's owner, and slowing the writers down. */
#include "bdr/script.h"
#include "bdr/log.h"
#include "disk.h"

#define SCRIPT_THROTTLE_PART                                                                                           \
    4 /* of what can be read is what each group of writers may write; that part of it the second time */
#define SCRIPT_THROTTLE_STEPS 2

static struct bdr_err *script_noted(struct live_moment *m, const char *which, struct bdr_err *err)
{
    char text[200];

    if (err && err->code == BDR_CANCELLED)
        return err;
    if (err) {
        m->prepared = false;
        live_note(m, "the %s program failed: %s", which, bdr_err_text(err, text, sizeof(text)));
        bdr_err_drop(err, "the point is not 'application', and says why");
    }
    return NULL;
}

struct bdr_err *live_script_pre(struct live_moment *m)
{
    if (!m->opt.pre_freeze)
        return NULL;
    m->prepared = true;
    BDR_TRY(script_noted(m, "pre-freeze",
                         bdr_script_run(m->opt.pre_freeze, BDR_SCRIPT_PRE, true, m->opt.script_ms, m->opt.cancel)));
    return live_sync(m); /* what the program made the applications write */
}

struct bdr_err *live_script_post(struct live_moment *m, bool ok)
{
    if (!m->opt.post_freeze)
        return NULL;
    /* Also when cancelled: applications may be waiting for it. */
    return script_noted(m, "post-freeze",
                        bdr_script_run(m->opt.post_freeze, BDR_SCRIPT_POST, ok, m->opt.script_ms, NULL));
}

/* ---- slowing down ---- */

struct bdr_err *live_throttle(struct live_moment *m, bool *out)
{
    const char *paths[BDR_VOLUMES_DISKS_MAX];
    double rate = BDR_MIN(m->read_rate, m->capture_rate);
    struct bdr_err *err;
    char text[200];
    size_t n = 0;

    *out = false;
    if (m->throttle_steps == SCRIPT_THROTTLE_STEPS)
        return NULL;
    for (unsigned i = 0; i <= m->throttle_steps; i++)
        rate /= SCRIPT_THROTTLE_PART;
    m->throttle_steps++;
    LIVE_EACH(m, i, d)
    {
        paths[n++] = d->path;
    }
    if (m->throttle)
        err = bdr_throttle_set(m->throttle, (uint64_t)rate);
    else
        err = bdr_throttle_start(paths, n, (uint64_t)rate, &m->throttle);
    if (err && (err->code == BDR_CANCELLED || err->code == BDR_NOMEM))
        return err;
    if (err) {
        m->throttle_steps = SCRIPT_THROTTLE_STEPS;
        live_note(m, "writers could not be slowed down: %s", bdr_err_text(err, text, sizeof(text)));
        bdr_err_drop(err, "the next step of the ladder follows");
        return NULL;
    }
    BDR_LOG(INFO, "source.live.throttle", F_U64("bytes_s", (uint64_t)rate),
            F_U64("limits", bdr_throttle_count(m->throttle)));
    m->report.throttled = *out = true;
    return NULL;
}

void live_throttle_end(struct live_moment *m)
{
    bdr_throttle_end(BDR_STEAL(m->throttle));
}
