/* SPDX-License-Identifier: Apache-2.0 */
#include "fstemp.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static char boot[9] = "00000000";

/* For people only: which of the files are older than the last start of the machine. */
static void fstemp_boot_id(void)
{
    BDR_AUTO(mem) char *id = NULL;
    size_t len = 0;

    bdr_err_drop(bdr_os_read_file("/proc/sys/kernel/random/boot_id", 64, &id, &len), "zeros will do");
    if (len >= 8)
        memcpy(boot, id, 8);
}

void bdr_fstemp_end(struct bdr_fstemp *temp)
{
    if (temp->path)
        unlink(temp->path);
    if (temp->fd >= 0)
        close(temp->fd);
    free(temp->path);
    *temp = (struct bdr_fstemp){.fd = -1};
}

/* Makes one temp file; *out_raced: a sweep took it between our open and our lock, make another. */
static struct bdr_err *fstemp_try(const char *folder, struct bdr_fstemp *temp, bool *out_raced)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char random[17];
    uint64_t r;
    struct stat sb;

    pthread_once(&once, fstemp_boot_id);
    BDR_TRY(bdr_os_random(&r, sizeof(r)));
    bdr_hex(&r, sizeof(r), random);
    if (asprintf(&temp->path, "%s/%s-%d-%s", folder, boot, (int)getpid(), random) < 0) {
        temp->path = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    temp->fd = open(temp->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (temp->fd < 0 && errno == ENOENT) {
        if (mkdir(folder, 0700) && errno != EEXIST)
            BDR_FAIL_ERRNO("making folder %s", folder);
        temp->fd = open(temp->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (temp->fd < 0) {
        int saved = errno;

        free(BDR_STEAL(temp->path));
        errno = saved;
        BDR_FAIL_ERRNO("making a temporary file in %s", folder);
    }
    if (flock(temp->fd, LOCK_EX) || fstat(temp->fd, &sb))
        BDR_FAIL_ERRNO("locking %s", temp->path);
    *out_raced = sb.st_nlink == 0;
    return NULL;
}

struct bdr_err *bdr_fstemp_begin(const char *folder, struct bdr_fstemp *out)
{
    bool raced = true;

    while (raced) {
        struct bdr_fstemp temp = {.fd = -1};
        struct bdr_err *err = fstemp_try(folder, &temp, &raced);

        if (err || raced) {
            bdr_fstemp_end(&temp);
            BDR_TRY(err);
            continue;
        }
        *out = temp;
    }
    return NULL;
}

int bdr_fstemp_rename(struct bdr_fstemp *temp, const char *path, bool exclusive)
{
    struct stat sb;

    if (!exclusive)
        return rename(temp->path, path);
    if (!renameat2(AT_FDCWD, temp->path, AT_FDCWD, path, RENAME_NOREPLACE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return -1;
    /* The file system can't do that (NFS); link does not replace. When it had to repeat the call over the network it
     * may refuse what it has done: the link count says whether it was ours that won. */
    if (link(temp->path, path)) {
        int saved = errno;

        if (fstat(temp->fd, &sb) || sb.st_nlink != 2) {
            errno = saved;
            return -1;
        }
    }
    unlink(temp->path);
    return 0;
}

/* Removes one temp file if its writer is dead and it is old enough. */
static struct bdr_err *fstemp_sweep_one(const char *path, int64_t now_ms, uint64_t min_age_ms, bool *out_removed)
{
    BDR_AUTO(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat sb;
    int64_t age_ms;

    *out_removed = false;
    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            return NULL;
        BDR_FAIL_ERRNO("trying the lock of %s", path);
    }
    if (fstat(fd, &sb))
        BDR_FAIL_ERRNO("looking at %s", path);
    age_ms = now_ms - (int64_t)sb.st_mtim.tv_sec * 1000 - sb.st_mtim.tv_nsec / 1000000;
    if (sb.st_nlink == 0 || age_ms < 0 || (uint64_t)age_ms < min_age_ms)
        return NULL;
    if (unlink(path) && errno != ENOENT)
        BDR_FAIL_ERRNO("removing %s", path);
    *out_removed = true;
    return NULL;
}

struct bdr_err *bdr_fstemp_sweep(const char *folder, int64_t now_ms, uint64_t min_age_ms, uint64_t *out_removed)
{
    struct bdr_err *err = NULL;
    struct dirent *de;
    DIR *dir;

    dir = opendir(folder);
    if (!dir && errno == ENOENT)
        return NULL;
    if (!dir)
        BDR_FAIL_ERRNO("opening folder %s", folder);
    while (!err && (de = readdir(dir))) {
        BDR_AUTO(mem) char *path = NULL;
        bool removed = false;

        if (de->d_name[0] == '.')
            continue;
        if (asprintf(&path, "%s/%s", folder, de->d_name) < 0) {
            path = NULL;
            err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
            break;
        }
        err = fstemp_sweep_one(path, now_ms, min_age_ms, &removed);
        *out_removed += removed;
    }
    closedir(dir);
    return err;
}
