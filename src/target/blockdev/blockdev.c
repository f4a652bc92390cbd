/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blockdev.c - recover a disk onto a block device of this machine.
 *
 * O_EXCL makes the kernel refuse mounts and other claims for as long as we hold it; O_DIRECT keeps gigabytes out of
 * the page cache. Zeros go by fallocate(2): on a block device PUNCH_HOLE either leaves zeros or fails (unlike
 * BLKDISCARD, whose result since Linux 4.12 nobody promises); then ZERO_RANGE, then BLKZEROOUT, then zeros written.
 */
#include "../target_priv.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "inuse.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define BLOCKDEV_PROBE_BYTES (1u << 20) /* partition tables and most super blocks lie in the first or last MiB */

struct blockdev_target {
    struct bdr_target base;
    int fd;
    char *path;
    uint64_t size_bytes; /* of the device */
    uint64_t disk_bytes; /* of the disk */
    uint32_t sector_bytes, disk_sector_bytes;
    atomic_int zero_way; /* index of the cheapest way that has not failed */
};

static void blockdev_close(struct bdr_target *base)
{
    struct blockdev_target *t = (struct blockdev_target *)base;

    if (t->fd >= 0)
        close(t->fd);
    free(t->path);
    free(t);
}

static struct bdr_err *blockdev_claim(struct blockdev_target *t)
{
    int flags = O_RDWR | O_EXCL | O_CLOEXEC | O_NOCTTY;
    int sector = 0;
    struct stat st;

    if (stat(t->path, &st))
        BDR_FAIL_ERRNO("looking for %s", t->path);
    if (!S_ISBLK(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is not a block device", t->path);
    BDR_TRY(inuse_check(st.st_rdev, t->path));
    t->fd = open(t->path, flags | O_DIRECT);
    if (t->fd < 0 && errno == EINVAL)
        t->fd = open(t->path, flags);
    if (t->fd < 0 && errno == EBUSY)
        BDR_FAIL(BDR_BUSY, EBUSY, "%s is held by another program or the kernel; 'lsof %s' may tell", t->path, t->path);
    if (t->fd < 0)
        BDR_FAIL_ERRNO("opening %s for writing", t->path);
    if (ioctl(t->fd, BLKGETSIZE64, &t->size_bytes) || ioctl(t->fd, BLKSSZGET, &sector))
        BDR_FAIL_ERRNO("asking %s for its size", t->path);
    t->sector_bytes = (uint32_t)sector;
    return NULL;
}

/* Blank where partition tables and super blocks would be. */
static struct bdr_err *blockdev_blank(struct blockdev_target *t, bool *out)
{
    BDR_AUTO(mem) void *buf = NULL;
    size_t n = (size_t)BDR_MIN(t->size_bytes, (uint64_t)BLOCKDEV_PROBE_BYTES);
    bool blank;

    BDR_TRY(target_buffer(n, &buf));
    BDR_TRY(bdr_os_pread(t->fd, t->path, buf, n, 0));
    blank = bdr_all_zero(buf, n);
    if (blank) {
        BDR_TRY(bdr_os_pread(t->fd, t->path, buf, n, t->size_bytes - n));
        blank = bdr_all_zero(buf, n);
    }
    *out = blank;
    return NULL;
}

static struct bdr_err *blockdev_open(const struct bdr_target_spec *spec, const char *where, struct bdr_target **out)
{
    struct blockdev_target *t = calloc(1, sizeof(*t));
    BDR_AUTO(target) struct bdr_target *guard = NULL;
    bool blank = false;

    BDR_NOMEM_IF_NULL(t);
    guard = &t->base;
    *t = (struct blockdev_target){.base.drv = &bdr_target_blockdev, .fd = -1};
    t->disk_bytes = spec->size_bytes;
    t->disk_sector_bytes = spec->sector_bytes ? spec->sector_bytes : 512;
    t->path = strdup(where);
    BDR_NOMEM_IF_NULL(t->path);
    BDR_TRY(blockdev_claim(t));
    if (t->size_bytes < t->disk_bytes)
        BDR_FAIL(BDR_RANGE, 0, "%s has %llu bytes, the disk needs %llu; use a larger device", where,
                 (unsigned long long)t->size_bytes, (unsigned long long)t->disk_bytes);
    if (!spec->force && !spec->resume) {
        BDR_TRY(blockdev_blank(t, &blank));
        if (!blank)
            BDR_FAIL(BDR_EXISTS, 0, "%s already holds data; add --force to overwrite it", where);
    }
    *out = BDR_STEAL(guard);
    return NULL;
}

static struct bdr_err *blockdev_info(struct bdr_target *base, struct bdr_target_info *out)
{
    struct blockdev_target *t = (struct blockdev_target *)base;
    char more[16];

    out->size_bytes = t->size_bytes;
    out->align_bytes = t->sector_bytes;
    if (t->sector_bytes != t->disk_sector_bytes)
        snprintf(out->note, sizeof(out->note),
                 "the device has sectors of %u bytes, the disk had %u: its partition table will not be understood",
                 t->sector_bytes, t->disk_sector_bytes);
    else if (t->size_bytes > t->disk_bytes)
        snprintf(out->note, sizeof(out->note),
                 "the device is %s larger than the disk; 'sgdisk -e' moves a GPT's second header to the new end",
                 bdr_size_text(t->size_bytes - t->disk_bytes, more));
    return NULL;
}

/* Copies what O_DIRECT can't take as it is: an unaligned buffer, or the last piece of a disk that ends in mid-sector.
 */
static struct bdr_err *blockdev_write_copied(struct blockdev_target *t, uint64_t off, const void *buf, size_t len)
{
    BDR_AUTO(mem) void *copy = NULL;
    size_t padded = (len + t->sector_bytes - 1) / t->sector_bytes * t->sector_bytes;

    BDR_TRY(target_buffer(padded, &copy));
    memcpy(copy, buf, len);
    memset((uint8_t *)copy + len, 0, padded - len);
    return bdr_os_pwrite(t->fd, t->path, copy, padded, off);
}

static struct bdr_err *blockdev_write(struct bdr_target *base, uint64_t off, const void *buf, size_t len)
{
    struct blockdev_target *t = (struct blockdev_target *)base;

    if (len % t->sector_bytes || (uintptr_t)buf % TARGET_DIRECT_ALIGN)
        return blockdev_write_copied(t, off, buf, len);
    return bdr_os_pwrite(t->fd, t->path, buf, len, off);
}

static int blockdev_zero_by(struct blockdev_target *t, int way, uint64_t off, uint64_t len)
{
    uint64_t range[2] = {off, len};

    switch (way) {
    case 0:
        return fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
    case 1:
        return fallocate(t->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
    default:
        return ioctl(t->fd, BLKZEROOUT, range);
    }
}

static struct bdr_err *blockdev_zero(struct bdr_target *base, uint64_t off, uint64_t len)
{
    struct blockdev_target *t = (struct blockdev_target *)base;
    uint64_t padded = (len + t->sector_bytes - 1) / t->sector_bytes * t->sector_bytes;

    for (int way = atomic_load(&t->zero_way); way < 3; way++) {
        if (!blockdev_zero_by(t, way, off, padded))
            return NULL;
        if (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOTTY && errno != ENODEV)
            BDR_FAIL_ERRNO("zeroing %llu bytes at %llu of %s", (unsigned long long)len, (unsigned long long)off,
                           t->path);
        atomic_store(&t->zero_way, way + 1);
    }
    BDR_FAIL(BDR_UNSUPPORTED, 0, "%s can only be zeroed by writing", t->path);
}

static struct bdr_err *blockdev_read(struct bdr_target *base, uint64_t off, void *buf, size_t len)
{
    struct blockdev_target *t = (struct blockdev_target *)base;
    size_t padded = (len + t->sector_bytes - 1) / t->sector_bytes * t->sector_bytes;
    BDR_AUTO(mem) void *copy = NULL;

    if (padded == len && (uintptr_t)buf % TARGET_DIRECT_ALIGN == 0)
        return bdr_os_pread(t->fd, t->path, buf, len, off);
    BDR_TRY(target_buffer(padded, &copy));
    BDR_TRY(bdr_os_pread(t->fd, t->path, copy, padded, off));
    memcpy(buf, copy, len);
    return NULL;
}

static struct bdr_err *blockdev_flush(struct bdr_target *base)
{
    struct blockdev_target *t = (struct blockdev_target *)base;

    if (fsync(t->fd))
        BDR_FAIL_ERRNO("flushing %s", t->path);
    return NULL;
}

static struct bdr_err *blockdev_commit(struct bdr_target *base)
{
    struct blockdev_target *t = (struct blockdev_target *)base;

    BDR_TRY(blockdev_flush(base));
    /* So that /dev/sdx1 appears. Partitions and loop devices can't: nothing is lost, a reboot or partprobe does it. */
    if (ioctl(t->fd, BLKRRPART))
        return NULL;
    return NULL;
}

const struct bdr_target_driver bdr_target_blockdev = {
    .name = "blockdev",
    .title = "Block device",
    .help = "/dev/NAME or blockdev:PATH: a disk or volume, not in use",
    .scheme = "blockdev:",
    .max_inflight = 8,
    .open = blockdev_open,
    .info = blockdev_info,
    .write = blockdev_write,
    .zero = blockdev_zero,
    .read = blockdev_read,
    .flush = blockdev_flush,
    .commit = blockdev_commit,
    .close = blockdev_close,
};
