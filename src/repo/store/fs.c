/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store "fs": a folder, local or mounted. The key is the path below it.
 *
 * An object is written as tmp/<boot>-<pid>-<random>, synced, and renamed or linked to its name; the folder is synced
 * last. A temp file is locked with flock(2) while its writer lives; so is an object that is held.
 * Needs: rename(2) atomic over a crash and flock; on NFS, flock over the network (Linux 2.6.12 and newer do that).
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/store.h"
#include "dirsync.h"
#include "drivers.h"
#include "fdcache.h"
#include "fsbig.h"
#include "fslist.h"
#include "fstemp.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define HOLD_WAIT_MS 500                 /* somebody's look whether it is held takes microseconds */

struct fs_store {
    struct bdr_store base;
    struct bdr_fdcache *fds;
    struct bdr_dirsync *dirs;
    const struct bdr_cancel *cancel;
    int64_t clock_ahead_ms; /* of the file server's clock before ours; 0 on a local file system */
    char *tmp;              /* owned; the folder of temp files */
    bool remote;            /* a file server's: its client's cache is worth more than going past it */
};

struct fs_writer {
    struct bdr_store_writer base;
    struct bdr_fstemp temp;
    struct bdr_fsbig big;
    char key[];
};

static struct fs_store *fs_of(struct bdr_store *st)
{
    return (struct fs_store *)st;
}

static struct bdr_err *fs_path(const struct fs_store *fs, const char *key, char **out)
{
    char *path;

    if (asprintf(&path, "%s/%s", fs->base.url, key) < 0)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    *out = path;
    return NULL;
}

/* "a/b" of "a/b/c", "" of "c". */
static struct bdr_err *fs_folder(const char *key, char **out)
{
    const char *slash = strrchr(key, '/');
    char *folder = strndup(key, slash ? (size_t)(slash - key) : 0);

    BDR_NOMEM_IF_NULL(folder);
    *out = folder;
    return NULL;
}

/* The temp file's bytes become the object `key`, durably. */
static struct bdr_err *fs_publish(struct fs_store *fs, struct bdr_fstemp *temp, const char *key, int flags)
{
    BDR_AUTO(mem) char *path = NULL, *folder = NULL;
    int rc = -1;

    BDR_TRY(fs_path(fs, key, &path));
    BDR_TRY(fs_folder(key, &folder));
    if (fdatasync(temp->fd))
        BDR_FAIL_ERRNO("syncing %s", temp->path);
    for (int attempt = 0; attempt < 2 && rc; attempt++) {
        BDR_TRY(bdr_dirsync_make(fs->dirs, folder));
        rc = bdr_fstemp_rename(temp, path, flags & BDR_PUT_EXCL);
        if (rc && errno != ENOENT)
            break;
        if (rc)
            bdr_dirsync_forget(fs->dirs);
    }
    if (rc && errno == EEXIST)
        BDR_FAIL(BDR_EXISTS, EEXIST, "%s exists already", path);
    if (rc && (errno == ENOTDIR || errno == EISDIR))
        BDR_FAIL(BDR_INVAL, errno, "a part of %s is both a folder and an object", path);
    if (rc)
        BDR_FAIL_ERRNO("renaming %s to %s", temp->path, path);
    free(BDR_STEAL(temp->path));
    bdr_fdcache_drop(fs->fds, path);
    return bdr_dirsync_commit(fs->dirs, folder);
}

/* ---- open ---- */

/* The folder and those above it, each durable in the one above. */
static struct bdr_err *fs_make_root(const char *path)
{
    BDR_AUTO(mem) char *upto = strdup(path), *above = strdup(*path == '/' ? "/" : ".");

    if (!upto || !above)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    for (char *p = upto + 1;; p++) {
        char c = *p;

        if (c && c != '/')
            continue;
        *p = 0;
        if (!mkdir(upto, 0700))
            BDR_TRY(bdr_os_fsync_dir(above));
        else if (errno != EEXIST)
            BDR_FAIL_ERRNO("making folder %s", upto);
        free(above);
        above = strdup(upto);
        BDR_NOMEM_IF_NULL(above);
        *p = c;
        if (!c)
            return NULL;
    }
}

static bool fs_is_remote(const char *path)
{
    struct statfs sf;

    if (statfs(path, &sf))
        return false;
    switch ((uint32_t)sf.f_type) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case CEPH_SUPER_MAGIC:
    case V9FS_MAGIC:
    case FUSE_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

/* A file server stamps files with its own clock: let it stamp one and compare. */
static struct bdr_err *fs_learn_clock(struct fs_store *fs)
{
    struct bdr_fstemp temp = {.fd = -1};
    struct stat sb;
    int rc;

    BDR_TRY(bdr_fstemp_begin(fs->tmp, &temp));
    rc = pwrite(temp.fd, "t", 1, 0) == 1 && !fdatasync(temp.fd) ? fstat(temp.fd, &sb) : -1;
    if (!rc)
        fs->clock_ahead_ms = (int64_t)sb.st_mtim.tv_sec * 1000 + sb.st_mtim.tv_nsec / 1000000 - bdr_clock_wall_ms();
    bdr_fstemp_end(&temp);
    if (rc)
        BDR_FAIL_ERRNO("asking the file server of %s for its time", fs->base.url);
    return NULL;
}

static void fs_close(struct bdr_store *st)
{
    struct fs_store *fs = fs_of(st);

    bdr_fdcache_free(fs->fds);
    bdr_dirsync_free(fs->dirs);
    free(fs->tmp);
    free(fs);
}

static struct bdr_err *fs_fill(struct fs_store *fs, const char *url, const struct bdr_store_options *opt)
{
    struct stat sb;

    if (!*url)
        BDR_FAIL(BDR_INVAL, 0, "the folder's name is empty");
    if (opt->create && !opt->read_only)
        BDR_TRY(fs_make_root(url));
    if (stat(url, &sb))
        BDR_FAIL_ERRNO("looking at folder %s", url);
    if (!S_ISDIR(sb.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is not a folder", url);
    fs->base.url = realpath(url, NULL);
    if (!fs->base.url)
        BDR_FAIL_ERRNO("looking at folder %s", url);
    fs->base.local = true;
    fs->cancel = opt->cancel;
    BDR_TRY(fs_path(fs, BDR_STORE_TMP, &fs->tmp));
    BDR_TRY(bdr_fdcache_new(&fs->fds));
    BDR_TRY(bdr_dirsync_new(fs->base.url, &fs->dirs));
    fs->remote = fs_is_remote(fs->base.url);
    if (!opt->read_only && fs->remote)
        BDR_TRY(fs_learn_clock(fs));
    return NULL;
}

static struct bdr_err *fs_open(const char *url, const struct bdr_store_options *opt, struct bdr_store **out)
{
    struct fs_store *fs = calloc(1, sizeof(*fs));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(fs);
    err = fs_fill(fs, url, opt);
    if (err) {
        free(fs->base.url);
        fs_close(&fs->base);
        return err;
    }
    *out = &fs->base;
    return NULL;
}

/* ---- objects ---- */

static struct bdr_err *fs_get_once(struct fs_store *fs, const char *path, uint64_t off, void *buf, size_t len,
                                   size_t *out_len)
{
    struct bdr_fdref ref = {.fd = -1};
    struct bdr_err *err = NULL;

    BDR_TRY(bdr_fdcache_get(fs->fds, path, &ref));
    if (off > ref.size_bytes)
        err = bdr_err_new(BDR_RANGE, 0, BDR_AT, "%s has %llu bytes, nothing at %llu", path,
                          (unsigned long long)ref.size_bytes, (unsigned long long)off);
    else
        len = (size_t)BDR_MIN((uint64_t)len, ref.size_bytes - off);
    if (!err)
        err = bdr_os_pread(ref.fd, path, buf, len, off);
    bdr_fdcache_put(fs->fds, &ref);
    if (!err)
        *out_len = len;
    return err;
}

static struct bdr_err *fs_get(struct bdr_store *st, const char *key, uint64_t off, void *buf, size_t len,
                              size_t *out_len)
{
    struct fs_store *fs = fs_of(st);
    BDR_AUTO(mem) char *path = NULL;
    struct bdr_err *err;

    BDR_TRY(fs_path(fs, key, &path));
    err = fs_get_once(fs, path, off, buf, len, out_len);
    if (err && err->sys == ESTALE) { /* NFS: another machine replaced or removed the file that we have open */
        bdr_err_drop(err, "asked again with a fresh descriptor");
        bdr_fdcache_drop(fs->fds, path);
        err = fs_get_once(fs, path, off, buf, len, out_len);
    }
    return err;
}

static struct bdr_err *fs_stat(struct bdr_store *st, const char *key, struct bdr_store_stat *out)
{
    const struct fs_store *fs = fs_of(st);
    BDR_AUTO(mem) char *path = NULL;
    struct stat sb;

    BDR_TRY(fs_path(fs, key, &path));
    if (lstat(path, &sb))
        BDR_FAIL_ERRNO("looking at %s", path);
    if (!S_ISREG(sb.st_mode))
        BDR_FAIL(BDR_NOTFOUND, 0, "%s is a folder, not an object", path);
    *out = (struct bdr_store_stat){
        .size_bytes = (uint64_t)sb.st_size,
        .modified_ms = (int64_t)sb.st_mtim.tv_sec * 1000 + sb.st_mtim.tv_nsec / 1000000,
        .now_ms = bdr_clock_wall_ms() + fs->clock_ahead_ms,
    };
    return NULL;
}

static struct bdr_err *fs_put(struct bdr_store *st, const char *key, const void *data, size_t len, int flags)
{
    struct fs_store *fs = fs_of(st);
    struct bdr_fstemp temp = {.fd = -1};
    struct bdr_err *err;

    BDR_TRY(bdr_fstemp_begin(fs->tmp, &temp));
    err = bdr_os_pwrite(temp.fd, temp.path, data, len, 0);
    if (!err)
        err = fs_publish(fs, &temp, key, flags);
    bdr_fstemp_end(&temp);
    return err;
}

static struct bdr_err *fs_remove(struct bdr_store *st, const char *key)
{
    struct fs_store *fs = fs_of(st);
    BDR_AUTO(mem) char *path = NULL, *folder = NULL;

    BDR_TRY(fs_path(fs, key, &path));
    BDR_TRY(fs_folder(key, &folder));
    bdr_fdcache_drop(fs->fds, path);
    if (unlink(path)) {
        if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR)
            return NULL;
        BDR_FAIL_ERRNO("removing %s", path);
    }
    return bdr_dirsync_commit(fs->dirs, folder);
}

static struct bdr_err *fs_list(struct bdr_store *st, const char *prefix, bdr_list_fn fn, void *ctx)
{
    return bdr_fslist(st->url, prefix, fn, ctx);
}

/* ---- writer ---- */

static void fs_writer_abandon(struct bdr_store_writer *base)
{
    struct fs_writer *w = (struct fs_writer *)base;

    bdr_fsbig_end(&w->big);
    bdr_fstemp_end(&w->temp);
    free(w);
}

static struct bdr_err *fs_writer_begin(struct bdr_store *st, const char *key, struct bdr_store_writer **out)
{
    const struct fs_store *fs = fs_of(st);
    size_t len = strlen(key) + 1;
    struct fs_writer *w = calloc(1, sizeof(*w) + len);
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(w);
    memcpy(w->key, key, len);
    w->temp.fd = -1;
    err = bdr_fstemp_begin(fs->tmp, &w->temp);
    if (!err)
        err = bdr_fsbig_begin(&w->big, w->temp.fd, w->temp.path, !fs->remote);
    if (err) {
        fs_writer_abandon(&w->base);
        return err;
    }
    *out = &w->base;
    return NULL;
}

static struct bdr_err *fs_writer_append(struct bdr_store_writer *base, const void *data, size_t len)
{
    struct fs_writer *w = (struct fs_writer *)base;

    BDR_TRY_FOR(bdr_fsbig_append(&w->big, data, len), "writing object %s", w->key);
    return NULL;
}

static struct bdr_err *fs_writer_commit(struct bdr_store_writer *base)
{
    struct fs_writer *w = (struct fs_writer *)base;
    struct bdr_err *err = bdr_fsbig_finish(&w->big);

    if (!err)
        err = fs_publish(fs_of(base->st), &w->temp, w->key, BDR_PUT_REPLACE);
    if (err)
        err = bdr_err_wrap(err, BDR_AT, "writing object %s", w->key);
    fs_writer_abandon(base);
    return err;
}

/* ---- who is alive ---- */

static struct bdr_err *fs_open_lockable(const char *path, int *out_fd)
{
    int fd = open(path, O_RDWR | O_CLOEXEC); /* an exclusive lock over NFS needs a descriptor that may write */

    if (fd < 0 && (errno == EACCES || errno == EROFS))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EISDIR)
        BDR_FAIL(BDR_NOTFOUND, 0, "%s is a folder, not an object", path);
    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", path);
    *out_fd = fd;
    return NULL;
}

static struct bdr_err *fs_hold(struct bdr_store *st, const char *key, void **out_hold)
{
    uint64_t deadline = bdr_clock_mono_ms() + HOLD_WAIT_MS;
    BDR_AUTO(mem) char *path = NULL;
    BDR_AUTO(mem) int *hold = malloc(sizeof(*hold));
    struct stat named, locked;

    BDR_NOMEM_IF_NULL(hold);
    BDR_TRY(fs_path(fs_of(st), key, &path));
    for (;;) {
        BDR_AUTO(fd) int fd = -1;

        BDR_TRY(fs_open_lockable(path, &fd));
        while (flock(fd, LOCK_EX | LOCK_NB)) {
            if (errno != EWOULDBLOCK)
                BDR_FAIL_ERRNO("locking %s", path);
            if (bdr_clock_mono_ms() >= deadline)
                BDR_FAIL(BDR_BUSY, 0, "%s is held by another process", path);
            BDR_TRY(bdr_cancel_sleep(fs_of(st)->cancel, 1));
        }
        if (fstat(fd, &locked) || stat(path, &named))
            BDR_FAIL_ERRNO("looking at %s", path);
        if (locked.st_ino != named.st_ino || locked.st_dev != named.st_dev)
            continue; /* replaced between open and lock: hold the new one */
        *hold = bdr_fd_steal(&fd);
        *out_hold = BDR_STEAL(hold);
        return NULL;
    }
}

static void fs_release(struct bdr_store *st, void *hold)
{
    (void)st;
    close(*(int *)hold);
    free(hold);
}

static struct bdr_err *fs_held(struct bdr_store *st, const char *key, bool *out)
{
    BDR_AUTO(mem) char *path = NULL;
    BDR_AUTO(fd) int fd = -1;

    BDR_TRY(fs_path(fs_of(st), key, &path));
    BDR_TRY(fs_open_lockable(path, &fd));
    /* Shared, so that two who look at the same time do not take each other for a holder. */
    if (!flock(fd, LOCK_SH | LOCK_NB)) {
        *out = false;
        return NULL;
    }
    if (errno != EWOULDBLOCK)
        BDR_FAIL_ERRNO("trying the lock of %s", path);
    *out = true;
    return NULL;
}

static struct bdr_err *fs_sweep(struct bdr_store *st, uint64_t min_age_ms, uint64_t *out_removed)
{
    const struct fs_store *fs = fs_of(st);

    return bdr_fstemp_sweep(fs->tmp, bdr_clock_wall_ms() + fs->clock_ahead_ms, min_age_ms, out_removed);
}

const struct bdr_store_driver bdr_store_fs = {
    .name = "fs",
    .title = "Folder",
    .help = "A folder on a local or mounted file system.",
    .open = fs_open,
    .get = fs_get,
    .stat = fs_stat,
    .put = fs_put,
    .list = fs_list,
    .remove = fs_remove,
    .writer_begin = fs_writer_begin,
    .writer_append = fs_writer_append,
    .writer_commit = fs_writer_commit,
    .writer_abandon = fs_writer_abandon,
    .hold = fs_hold,
    .release = fs_release,
    .held = fs_held,
    .sweep = fs_sweep,
    .close = fs_close,
};
