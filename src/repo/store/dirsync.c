/* SPDX-License-Identifier: Apache-2.0 */
#include "dirsync.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "bdr/sync.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct dirsync_dir {
    bool durable;  /* its own entry in the folder above is on disk */
    bool busy;     /* one thread is in fsync */
    uint64_t want; /* tickets handed out */
    uint64_t done; /* tickets up to here are on disk */
    uint64_t lost; /* tickets up to here met a failed fsync: the kernel tells only one caller, we tell all */
    char *path;    /* absolute; owned */
    char folder[]; /* relative to the root */
};

struct bdr_dirsync {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t turned;
    struct dirsync_dir **dirs; /* a few hundred at most: the store's fan-out */
    size_t n, cap;
    char root[];
};

struct bdr_err *bdr_dirsync_new(const char *root, struct bdr_dirsync **out)
{
    size_t len = strlen(root) + 1;
    struct bdr_dirsync *ds = calloc(1, sizeof(*ds) + len);

    BDR_NOMEM_IF_NULL(ds);
    pthread_mutex_init(&ds->lock, NULL);
    pthread_cond_init(&ds->turned, NULL);
    memcpy(ds->root, root, len);
    *out = ds;
    return NULL;
}

void bdr_dirsync_free(struct bdr_dirsync *ds)
{
    if (!ds)
        return;
    for (size_t i = 0; i < ds->n; i++) {
        free(ds->dirs[i]->path);
        free(ds->dirs[i]);
    }
    free(ds->dirs);
    pthread_cond_destroy(&ds->turned);
    pthread_mutex_destroy(&ds->lock);
    free(ds);
}

/* Finds or adds a folder's row; the lock is held. NULL: out of memory. */
static struct dirsync_dir *dirsync_row(struct bdr_dirsync *ds, const char *folder)
{
    size_t len = strlen(folder) + 1;
    struct dirsync_dir *dir;

    for (size_t i = 0; i < ds->n; i++)
        if (!strcmp(ds->dirs[i]->folder, folder))
            return ds->dirs[i];
    if (ds->n == ds->cap) {
        size_t cap = ds->cap ? 2 * ds->cap : 16;
        struct dirsync_dir **dirs = reallocarray(ds->dirs, cap, sizeof(*dirs));

        if (!dirs)
            return NULL;
        ds->dirs = dirs;
        ds->cap = cap;
    }
    dir = calloc(1, sizeof(*dir) + len);
    if (!dir)
        return NULL;
    memcpy(dir->folder, folder, len);
    if (asprintf(&dir->path, "%s%s%s", ds->root, *folder ? "/" : "", folder) < 0) {
        free(dir);
        return NULL;
    }
    dir->durable = !*folder;
    ds->dirs[ds->n++] = dir;
    return dir;
}

struct bdr_err *bdr_dirsync_commit(struct bdr_dirsync *ds, const char *folder)
{
    struct bdr_err *err = NULL;
    struct dirsync_dir *dir;
    uint64_t ticket;

    pthread_mutex_lock(&ds->lock);
    dir = dirsync_row(ds, folder);
    if (!dir) {
        pthread_mutex_unlock(&ds->lock);
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    ticket = ++dir->want;
    /* Ends when an fsync that began after our ticket has ended; not to be cancelled, its effect is already visible. */
    while (dir->done < ticket && dir->lost < ticket) {
        uint64_t upto = dir->want;

        if (dir->busy) {
            bdr_cond_wait_slice(&ds->turned, &ds->lock);
            continue;
        }
        dir->busy = true;
        pthread_mutex_unlock(&ds->lock);
        err = bdr_os_fsync_dir(dir->path);
        pthread_mutex_lock(&ds->lock);
        dir->busy = false;
        if (err)
            dir->lost = upto;
        else
            dir->done = upto;
        pthread_cond_broadcast(&ds->turned);
    }
    if (!err && dir->lost >= ticket)
        err = bdr_err_new(BDR_IO, 0, BDR_AT, "syncing folder %s failed in another thread", dir->path);
    pthread_mutex_unlock(&ds->lock);
    return err;
}

/* One folder whose parent is durable already. */
static struct bdr_err *dirsync_make_one(struct bdr_dirsync *ds, const char *folder, const char *parent)
{
    struct dirsync_dir *dir;
    bool durable;

    pthread_mutex_lock(&ds->lock);
    dir = dirsync_row(ds, folder);
    durable = dir && dir->durable;
    pthread_mutex_unlock(&ds->lock);
    BDR_NOMEM_IF_NULL(dir);
    if (durable)
        return NULL;
    if (mkdir(dir->path, 0700) && errno != EEXIST)
        BDR_FAIL_ERRNO("making folder %s", dir->path);
    BDR_TRY(bdr_dirsync_commit(ds, parent));
    pthread_mutex_lock(&ds->lock);
    dir->durable = true;
    pthread_mutex_unlock(&ds->lock);
    return NULL;
}

struct bdr_err *bdr_dirsync_make(struct bdr_dirsync *ds, const char *folder)
{
    BDR_AUTO(mem) char *upto = strdup(folder), *parent = strdup("");

    BDR_NOMEM_IF_NULL(upto && parent ? upto : NULL);
    for (char *p = upto; *folder; p++) {
        char c = *p, *copy;

        if (c && c != '/')
            continue;
        *p = 0;
        BDR_TRY(dirsync_make_one(ds, upto, parent));
        copy = strdup(upto);
        BDR_NOMEM_IF_NULL(copy);
        free(parent);
        parent = copy;
        *p = c;
        if (!c)
            break;
    }
    return NULL;
}

void bdr_dirsync_forget(struct bdr_dirsync *ds)
{
    pthread_mutex_lock(&ds->lock);
    for (size_t i = 0; i < ds->n; i++)
        ds->dirs[i]->durable = !*ds->dirs[i]->folder;
    pthread_mutex_unlock(&ds->lock);
}
