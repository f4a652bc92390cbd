/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - a raw disk image in a regular file.
 *
 * Speaks: pread(2), lseek(2) with SEEK_DATA and SEEK_HOLE for what is allocated. Any size, any alignment.
 * Can't: know what changed (use spec.changed_extents), hold the file still: whoever writes it must have stopped.
 */
#include "../source_priv.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_INFLIGHT 16

struct file_src {
    struct bdr_source base;
    int fd;
    char *path; /* real path; owned */
    uint64_t size_bytes;
    bool seeks_holes;
};

static void file_close(struct bdr_source *src)
{
    struct file_src *f = (struct file_src *)src;

    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f);
}

static struct bdr_err *file_setup(struct file_src *f, const char *location)
{
    struct stat st;

    f->path = realpath(location, NULL);
    if (!f->path)
        BDR_FAIL_ERRNO("finding %s", location);
    f->fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* NONBLOCK: a pipe put in its place must not hang us */
    if (f->fd < 0)
        BDR_FAIL_ERRNO("opening %s", f->path);
    if (fstat(f->fd, &st))
        BDR_FAIL_ERRNO("looking at %s", f->path);
    if (!S_ISREG(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is not a regular file; name it without 'file:'", f->path);
    f->size_bytes = (uint64_t)st.st_size;
    f->seeks_holes = !f->size_bytes || lseek(f->fd, 0, SEEK_HOLE) >= 0;
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* best effort: doubles read-ahead */
    return NULL;
}

static struct bdr_err *file_open(const struct bdr_source_spec *spec, struct bdr_source **out)
{
    struct file_src *f = calloc(1, sizeof(*f));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(f);
    f->fd = -1;
    err = file_setup(f, source_strip(spec->location, "file:"));
    if (err)
        file_close(&f->base);
    else
        *out = &f->base;
    return err;
}

static struct bdr_err *file_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct file_src *f = (struct file_src *)src;

    out->size_bytes = f->size_bytes;
    out->sector_bytes = 512;
    out->align_bytes = 1;
    out->max_inflight = FILE_INFLIGHT;
    out->knows_allocation = f->seeks_holes;
    source_identity(out, "file:", f->path);
    return NULL;
}

static struct bdr_err *file_check(struct bdr_source *src)
{
    struct file_src *f = (struct file_src *)src;
    struct stat st;

    if (fstat(f->fd, &st))
        BDR_FAIL_ERRNO("asking for the size of %s", f->path);
    if ((uint64_t)st.st_size != f->size_bytes)
        BDR_FAIL(BDR_RANGE, 0, "%s had %llu bytes when it was opened and has %llu now; stop its writer and start again",
                 f->path, (unsigned long long)f->size_bytes, (unsigned long long)st.st_size);
    return NULL;
}

/* Where the next data (or hole) begins, at most `end`; `end` when there is none. */
static struct bdr_err *file_seek(const struct file_src *f, uint64_t off, uint64_t end, int whence, uint64_t *out)
{
    off_t at = lseek(f->fd, (off_t)off, whence);

    if (at < 0 && errno == ENXIO) {
        *out = end;
        return NULL;
    }
    if (at < 0 && errno == EINVAL)
        BDR_FAIL(BDR_UNSUPPORTED, errno, "the file system of %s does not tell holes", f->path);
    if (at < 0)
        BDR_FAIL_ERRNO("looking for %s of %s", whence == SEEK_DATA ? "data" : "holes", f->path);
    *out = BDR_MIN((uint64_t)at, end);
    return NULL;
}

static struct bdr_err *file_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                    bdr_extent_fn fn, void *ctx)
{
    struct file_src *f = (struct file_src *)src;
    uint64_t end = off + len;

    (void)of;                 /* has_changes is false: only ALL comes here */
    BDR_TRY(file_check(src)); /* past the end of a file that shrank everything looks like a hole */
    while (off < end) {
        uint64_t data = end, hole = end;

        BDR_TRY(file_seek(f, off, end, SEEK_DATA, &data));
        if (data > off)
            BDR_TRY(fn(ctx, &(struct bdr_extent){.off = off, .len = data - off, .kind = BDR_EXTENT_ZERO}));
        if (data == end)
            break;
        BDR_TRY(file_seek(f, data, end, SEEK_HOLE, &hole));
        if (hole > data)
            BDR_TRY(fn(ctx, &(struct bdr_extent){.off = data, .len = hole - data, .kind = BDR_EXTENT_DATA}));
        off = hole;
    }
    return NULL;
}

static struct bdr_err *file_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct file_src *f = (struct file_src *)src;
    struct bdr_err *err = bdr_os_pread(f->fd, f->path, buf, len, off);
    struct stat st;

    /* A file that was cut will not come back: trying again, as one does for a bad sector, is no use. */
    if (err && !fstat(f->fd, &st) && (uint64_t)st.st_size < f->size_bytes)
        return bdr_err_recode(err, BDR_STALE, BDR_AT, "%s was cut from %llu to %llu bytes while it was read", f->path,
                              (unsigned long long)f->size_bytes, (unsigned long long)st.st_size);
    return err;
}

const struct bdr_source_driver bdr_source_file = {
    .name = "file",
    .title = "Raw disk image",
    .help = "/path/disk.img or file:/path/disk.img",
    .schemes = "file:",
    .max_inflight = FILE_INFLIGHT,
    .open = file_open,
    .info = file_info,
    .extents = file_extents,
    .read = file_read,
    .check = file_check,
    .close = file_close,
};
