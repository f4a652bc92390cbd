/* SPDX-License-Identifier: Apache-2.0 */
/* mounts.c - what lies on the disks and has to stand still; looked at again before each freeze, for passes may take hours. */
#include "bdr/log.h"
#include "bdr/priority.h"
#include "disk.h"
#include <stdio.h>
#include <string.h>

static struct bdr_err *mounts_scan(struct live_moment *m, struct bdr_volumes **out)
{
    BDR_AUTO(mem) const char **paths = calloc(m->n, sizeof(*paths));

    BDR_NOMEM_IF_NULL(paths);
    for (size_t i = 0; i < m->n; i++) {
        if (!m->disk[i])
            BDR_FAIL(BDR_INVAL, 0, "a disk of the moment was closed too early");
        paths[i] = m->disk[i]->path;
    }
    return bdr_volumes_scan(paths, m->n, out);
}

static void mounts_forget(struct live_moment *m)
{
    bdr_freezer_end(BDR_STEAL(m->freezer));
    free(BDR_STEAL(m->frozen_fs));
    free(BDR_STEAL(m->state));
    m->mounts = 0;
}

/* The freezer holds all that can be written; what is mounted read-only stands still by itself. */
static struct bdr_err *mounts_hold(struct live_moment *m)
{
    BDR_AUTO(mem) const char **mounts = calloc(m->vol->fs_n + 1, sizeof(*mounts));
    struct bdr_err *err;
    char text[160];

    mounts_forget(m);
    m->frozen_fs = calloc(m->vol->fs_n + 1, sizeof(*m->frozen_fs));
    m->state = calloc(m->vol->fs_n + 1, sizeof(*m->state));
    if (!mounts || !m->frozen_fs || !m->state)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    for (size_t i = 0; i < m->vol->fs_n; i++) {
        const struct bdr_volume_fs *fs = &m->vol->fs[i];

        if (fs->outside)
            live_note(m, "%s at %s lies partly on disks that are not in this point", fs->type, fs->mount);
        if (fs->read_only)
            continue;
        m->frozen_fs[m->mounts] = i;
        mounts[m->mounts++] = fs->mount;
    }
    if (!m->mounts)
        return NULL;
    bdr_os_hurry(); /* whoever watches over a freeze must not wait its turn */
    err = bdr_freezer_start(mounts, m->mounts, &m->freezer);
    bdr_os_idle_again();
    if (err && (err->code == BDR_CANCELLED || err->code == BDR_NOMEM))
        return err;
    if (err)
        live_note(m, "the file systems can't be held still: %s", bdr_err_text(err, text, sizeof(text)));
    bdr_err_drop(err, "a point of less consistency is better than none; it says so");
    return NULL;
}

struct bdr_err *live_mounts_find(struct live_moment *m)
{
    BDR_TRY(mounts_scan(m, &m->vol));
    return mounts_hold(m);
}

static bool mounts_same(const struct bdr_volumes *a, const struct bdr_volumes *b)
{
    if (a->fs_n != b->fs_n)
        return false;
    for (size_t i = 0; i < a->fs_n; i++)
        if (strcmp(a->fs[i].mount, b->fs[i].mount) != 0 || strcmp(a->fs[i].type, b->fs[i].type) != 0 ||
            strcmp(a->fs[i].device ? a->fs[i].device : "", b->fs[i].device ? b->fs[i].device : "") != 0 ||
            a->fs[i].read_only != b->fs[i].read_only)
            return false;
    return true;
}

static bool mounts_has_swap(const struct bdr_volumes *v, const struct bdr_volume_range *s)
{
    for (size_t i = 0; i < v->swap_n; i++)
        if (v->swap[i].disk == s->disk && v->swap[i].off == s->off && v->swap[i].len == s->len)
            return true;
    return false;
}

/* What was a swap area is zeros in the copy so far, and may be a file system now. */
static void mounts_swap_gone(struct live_moment *m, const struct bdr_volumes *was)
{
    for (size_t i = 0; !m->opt.keep_swap && i < was->swap_n; i++) {
        struct live_disk *d = m->disk[was->swap[i].disk];

        if (!mounts_has_swap(m->vol, &was->swap[i]) && !d->stale[0])
            snprintf(d->stale, sizeof(d->stale), "the swap area %s was given up while %s was read", was->swap[i].what, d->path);
    }
}

struct bdr_err *live_mounts_again(struct live_moment *m)
{
    BDR_AUTO(volumes) struct bdr_volumes *was = NULL;
    struct bdr_volumes *now = NULL;

    BDR_TRY(mounts_scan(m, &now));
    was = m->vol;
    m->vol = now;
    mounts_swap_gone(m, was);
    if (mounts_same(was, now))
        return NULL;
    BDR_LOG(INFO, "source.live.mounts", F_U64("before", was->fs_n), F_U64("now", now->fs_n));
    return mounts_hold(m);
}

void live_mounts_end(struct live_moment *m)
{
    mounts_forget(m);
    bdr_volumes_free(BDR_STEAL(m->vol));
}
