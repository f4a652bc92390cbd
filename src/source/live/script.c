/* SPDX-License-Identifier: Apache-2.0 */
/* script.c - what runs before and after a freeze: the programs of the host's owner, and slowing the writers down. */
#include "bdr/script.h"
#include "disk.h"

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

struct bdr_err *live_throttle(struct live_moment *m)
{
    (void)m;
    return NULL;
}

void live_throttle_end(struct live_moment *m)
{
    m->throttled = false;
}
