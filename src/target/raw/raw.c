/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw.c - recover a disk to a plain file, byte for byte.
 *
 * The file is sparse: zeros are holes. It is written in place under its own name, mode 0600. Written pages are
 * handed to the disk at once (sync_file_range) so that dirty memory stays small and the final fsync short;
 * spec.direct goes past the page cache instead. Linux: fallocate(2), SEEK_DATA, open file description locks.
 */
#include "../target_priv.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct raw_target {
    struct bdr_target base;
    int fd;      /* O_DIRECT when direct */
    int tail_fd; /* buffered: pieces that O_DIRECT can't write; the same as fd when not direct */
    char *path;
    uint64_t size_bytes;
    bool direct, fresh;
    atomic_bool no_punch; /* the file system said so once */
};

static struct bdr_err *raw_sync_parent(const char *path)
{
    BDR_AUTO(mem) char *copy = strdup(path);

    BDR_NOMEM_IF_NULL(copy);
    return bdr_os_fsync_dir(dirname(copy));
}

/* A file that is only a hole holds nothing worth asking about. */
static bool raw_holds_data(int fd, const struct stat *st)
{
    if (!st->st_size)
        return false;
    return !(lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO);
}

/* Nobody else may use the file meanwhile: qemu holds such locks on the images of running machines. */
static struct bdr_err *raw_lock(int fd, const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (!fcntl(fd, F_OFD_SETLK, &lock))
        return NULL;
    if (errno == EAGAIN || errno == EACCES)
        BDR_FAIL(BDR_BUSY, errno, "%s is in use by another program (a running machine?); stop that first", path);
    return NULL; /* a file system without locks */
}

static struct bdr_err *raw_prepare(struct raw_target *t, const struct bdr_target_spec *spec)
{
    struct stat st;

    if (fstat(t->fd, &st))
        BDR_FAIL_ERRNO("looking at %s", t->path);
    if (!S_ISREG(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is not a plain file; a block device is written as blockdev:%s", t->path, t->path);
    BDR_TRY(raw_lock(t->fd, t->path));
    if (spec->resume) {
        if ((uint64_t)st.st_size != spec->size_bytes)
            BDR_FAIL(BDR_INVAL, 0, "%s has %llu bytes, the disk %llu: not its unfinished copy; recover without resume",
                     t->path, (unsigned long long)st.st_size, (unsigned long long)spec->size_bytes);
        return NULL;
    }
    if (!spec->force && raw_holds_data(t->fd, &st))
        BDR_FAIL(BDR_EXISTS, 0, "%s already holds data; add --force to overwrite it", t->path);
    if (ftruncate(t->fd, 0) || ftruncate(t->fd, (off_t)spec->size_bytes))
        BDR_FAIL_ERRNO("making %s %llu bytes long", t->path, (unsigned long long)spec->size_bytes);
    t->fresh = true;
    return raw_sync_parent(t->path);
}

static void raw_close(struct bdr_target *base)
{
    struct raw_target *t = (struct raw_target *)base;

    if (t->tail_fd >= 0 && t->tail_fd != t->fd)
        close(t->tail_fd);
    if (t->fd >= 0)
        close(t->fd);
    free(t->path);
    free(t);
}

static struct bdr_err *raw_open(const struct bdr_target_spec *spec, const char *where, struct bdr_target **out)
{
    struct raw_target *t = calloc(1, sizeof(*t));
    BDR_AUTO(target) struct bdr_target *guard = NULL;
    int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK; /* NONBLOCK: a FIFO must not hang us before fstat */

    BDR_NOMEM_IF_NULL(t);
    guard = &t->base;
    *t = (struct raw_target){.base.drv = &bdr_target_raw, .fd = -1, .tail_fd = -1};
    t->size_bytes = spec->size_bytes;
    t->path = strdup(where);
    BDR_NOMEM_IF_NULL(t->path);
    t->fd = open(where, flags | (spec->resume ? 0 : O_CREAT), 0600);
    if (t->fd < 0)
        BDR_FAIL_ERRNO("opening %s for writing", where);
    BDR_TRY(raw_prepare(t, spec));
    t->tail_fd = t->fd;
    if (spec->direct) {
        int fd = open(where, flags | O_DIRECT);

        /* tmpfs and some network file systems refuse: then it is an ordinary file. */
        if (fd >= 0) {
            t->fd = fd;
            t->direct = true;
        }
    }
    *out = BDR_STEAL(guard);
    return NULL;
}

static struct bdr_err *raw_info(struct bdr_target *base, struct bdr_target_info *out)
{
    struct raw_target *t = (struct raw_target *)base;

    out->size_bytes = t->size_bytes;
    out->starts_zero = t->fresh;
    return NULL;
}

static struct bdr_err *raw_write(struct bdr_target *base, uint64_t off, const void *buf, size_t len)
{
    struct raw_target *t = (struct raw_target *)base;

    if (t->direct && off % TARGET_DIRECT_ALIGN == 0 && (uintptr_t)buf % TARGET_DIRECT_ALIGN == 0) {
        size_t whole = len - len % TARGET_DIRECT_ALIGN;

        if (whole)
            BDR_TRY(bdr_os_pwrite(t->fd, t->path, buf, whole, off));
        if (whole == len)
            return NULL;
        buf = (const uint8_t *)buf + whole;
        off += whole;
        len -= whole;
    }
    BDR_TRY(bdr_os_pwrite(t->tail_fd, t->path, buf, len, off));
    /* Starts writeback without waiting. Best effort: flush is what makes it durable and tells errors. */
    if (sync_file_range(t->tail_fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE))
        return NULL;
    return NULL;
}

static struct bdr_err *raw_zero(struct bdr_target *base, uint64_t off, uint64_t len)
{
    struct raw_target *t = (struct raw_target *)base;
    static const int modes[] = {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};

    for (size_t i = 0; i < BDR_COUNT(modes) && !atomic_load(&t->no_punch); i++) {
        if (!fallocate(t->tail_fd, modes[i], (off_t)off, (off_t)len))
            return NULL;
        if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
            BDR_FAIL_ERRNO("zeroing %llu bytes at %llu of %s", (unsigned long long)len, (unsigned long long)off,
                           t->path);
    }
    atomic_store(&t->no_punch, true);
    BDR_FAIL(BDR_UNSUPPORTED, 0, "the file system of %s makes no holes", t->path);
}

static struct bdr_err *raw_read(struct bdr_target *base, uint64_t off, void *buf, size_t len)
{
    struct raw_target *t = (struct raw_target *)base;

    /* Clean pages are dropped, so that it is the disk which answers. Advice: whether it was taken can't be told. */
    (void)posix_fadvise(t->tail_fd, (off_t)off, (off_t)len, POSIX_FADV_DONTNEED);
    return bdr_os_pread(t->tail_fd, t->path, buf, len, off);
}

static struct bdr_err *raw_flush(struct bdr_target *base)
{
    struct raw_target *t = (struct raw_target *)base;

    if (fdatasync(t->tail_fd))
        BDR_FAIL_ERRNO("flushing %s", t->path);
    return NULL;
}

static struct bdr_err *raw_commit(struct bdr_target *base)
{
    struct raw_target *t = (struct raw_target *)base;

    if (fsync(t->tail_fd))
        BDR_FAIL_ERRNO("flushing %s", t->path);
    return raw_sync_parent(t->path);
}

const struct bdr_target_driver bdr_target_raw = {
    .name = "raw",
    .title = "Raw file",
    .help = "PATH or raw:PATH: a plain sparse file with the bytes of the disk",
    .scheme = "raw:",
    .max_inflight = 8,
    .is_file = true,
    .open = raw_open,
    .info = raw_info,
    .write = raw_write,
    .zero = raw_zero,
    .read = raw_read,
    .flush = raw_flush,
    .commit = raw_commit,
    .close = raw_close,
};
