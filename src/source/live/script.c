/* SPDX-License-Identifier: Apache-2.0 */
/* script.c - what runs before and after a freeze: the programs of the host's owner, and slowing the writers down. */
#include "bdr/child.h"
#include "disk.h"
#include <stdio.h>

#define SCRIPT_GRACE_MS 2000 /* between asking it to end and ending it */

static struct bdr_err *script_run(const char *path, const char *env, uint32_t ms, const struct bdr_cancel *cancel)
{
    const char *const argv[] = {path, NULL};
    BDR_AUTO(child) struct bdr_child *child = NULL;
    bool ended = false;

    BDR_TRY(bdr_child_start(&(struct bdr_child_spec){.argv = argv, .env = env}, &child));
    BDR_TRY(bdr_child_poll(child, ms, cancel, &ended));
    if (!ended) {
        bdr_child_stop(BDR_STEAL(child), SCRIPT_GRACE_MS);
        BDR_FAIL(BDR_TIMEOUT, 0, "%s took longer than %u ms and was ended", path, ms);
    }
    if (bdr_child_status(child))
        BDR_FAIL(BDR_INVAL, 0, "%s said %d: %s", path, bdr_child_status(child), bdr_child_said(child));
    return NULL;
}

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
                         script_run(m->opt.pre_freeze, "BDR_FREEZE=begin", m->opt.script_ms, m->opt.cancel)));
    return live_sync(m); /* what the program made the applications write */
}

struct bdr_err *live_script_post(struct live_moment *m, bool ok)
{
    if (!m->opt.post_freeze)
        return NULL;
    /* Also when cancelled: applications may be waiting for it. */
    return script_noted(m, "post-freeze",
                        script_run(m->opt.post_freeze, ok ? "BDR_FREEZE=done" : "BDR_FREEZE=failed", m->opt.script_ms, NULL));
}

struct bdr_err *live_throttle(struct live_moment *m)
{
    (void)m;
    return NULL;
}

void live_throttle_end(struct live_moment *m)
{
    m->throttled = false;
}
