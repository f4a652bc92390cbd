/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blockdev.c - a block device, read past the page cache.
 *
 * Speaks: io_uring and O_DIRECT, or pread and O_DIRECT; BLKGETSIZE64, BLKSSZGET. Any sector size.
 * Can't: hold the device still, tell what is allocated or what changed. The kernel writes back what it holds of the
 * pages that are read, not what a mounted file system has yet to write: unmount, snapshot or freeze it first.
 */
#include "../source_priv.h"
#include "identity.h"
#include "lane.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BLOCKDEV_INFLIGHT     8u
#define BLOCKDEV_MAX_INFLIGHT 64u

struct blockdev_src {
    struct bdr_source base;
    char *path; /* real path; owned */
    int fd;     /* O_DIRECT */
    uint64_t size_bytes;
    uint32_t sector_bytes, n_lanes;
    dev_t dev;
    pthread_mutex_t lock; /* guards idle; the core lets in no more readers than there are lanes */
    struct blockdev_lane *idle;
    struct blockdev_lane lanes[BLOCKDEV_MAX_INFLIGHT];
};

static void blockdev_close(struct bdr_source *src)
{
    struct blockdev_src *b = (struct blockdev_src *)src;

    for (uint32_t i = 0; i < b->n_lanes; i++)
        blockdev_lane_close(&b->lanes[i]);
    pthread_mutex_destroy(&b->lock);
    if (b->fd >= 0)
        close(b->fd);
    free(b->path);
    free(b);
}

/* In whole sectors: a loop device over an odd file has bytes behind the last one, which nobody can read: the kernel
 * refuses such requests, through the page cache too (seen on 6.18 with 4096-byte sectors). */
static struct bdr_err *blockdev_size(const struct blockdev_src *b, uint64_t *out)
{
    uint64_t bytes = 0;
    int sector = 0;

    if (ioctl(b->fd, BLKGETSIZE64, &bytes))
        BDR_FAIL_ERRNO("asking for the size of %s", b->path);
    if (ioctl(b->fd, BLKSSZGET, &sector) || sector <= 0)
        BDR_FAIL_ERRNO("asking for the sector size of %s", b->path);
    *out = bytes - bytes % (unsigned)sector;
    return NULL;
}

static struct bdr_err *blockdev_setup(struct blockdev_src *b, const char *location)
{
    struct stat st;
    int sector = 0;

    b->path = realpath(location, NULL);
    if (!b->path)
        BDR_FAIL_ERRNO("finding %s", location);
    if (stat(b->path, &st))
        BDR_FAIL_ERRNO("looking at %s", b->path);
    if (!S_ISBLK(st.st_mode)) /* before open: opening other devices may do things */
        BDR_FAIL(BDR_INVAL, 0, "%s is not a block device; name it without 'blockdev:'", b->path);
    b->fd = open(b->path, O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC);
    if (b->fd < 0 && errno == EACCES)
        BDR_FAIL(BDR_DENIED, errno, "opening %s; run as root or join the group that owns it", b->path);
    if (b->fd < 0)
        BDR_FAIL_ERRNO("opening %s", b->path);
    if (fstat(b->fd, &st))
        BDR_FAIL_ERRNO("looking at %s", b->path);
    b->dev = st.st_rdev;
    BDR_TRY(blockdev_size(b, &b->size_bytes));
    if (!b->size_bytes)
        BDR_FAIL(BDR_NOTFOUND, 0, "%s has no medium (its size is 0)", b->path);
    if (ioctl(b->fd, BLKSSZGET, &sector))
        BDR_FAIL_ERRNO("asking for the sector size of %s", b->path);
    b->sector_bytes = (uint32_t)sector;
    return NULL;
}

static struct bdr_err *blockdev_open(const struct bdr_source_spec *spec, struct bdr_source **out)
{
    struct blockdev_src *b = calloc(1, sizeof(*b));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(b);
    b->fd = -1;
    pthread_mutex_init(&b->lock, NULL);
    b->n_lanes = BDR_MIN(spec->depth ? spec->depth : BLOCKDEV_INFLIGHT, BLOCKDEV_MAX_INFLIGHT);
    for (uint32_t i = 0; i < b->n_lanes; i++) {
        b->lanes[i].next = b->idle;
        b->idle = &b->lanes[i];
    }
    err = blockdev_setup(b, source_strip(spec->location, "blockdev:"));
    if (err)
        blockdev_close(&b->base);
    else
        *out = &b->base;
    return err;
}

static struct bdr_err *blockdev_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct blockdev_src *b = (struct blockdev_src *)src;

    out->size_bytes = b->size_bytes;
    out->sector_bytes = b->sector_bytes;
    out->align_bytes = b->sector_bytes;
    out->max_inflight = b->n_lanes;
    out->rotational = blockdev_rotational("/sys", major(b->dev), minor(b->dev));
    blockdev_identity("/sys", "/run/udev/data", major(b->dev), minor(b->dev), b->path, out);
    return NULL;
}

static struct blockdev_lane *blockdev_take(struct blockdev_src *b)
{
    struct blockdev_lane *lane;

    pthread_mutex_lock(&b->lock);
    lane = b->idle;
    BDR_ASSERT(lane);
    b->idle = lane->next;
    pthread_mutex_unlock(&b->lock);
    return lane;
}

static void blockdev_give(struct blockdev_src *b, struct blockdev_lane *lane)
{
    pthread_mutex_lock(&b->lock);
    lane->next = b->idle;
    b->idle = lane;
    pthread_mutex_unlock(&b->lock);
}

static struct bdr_err *blockdev_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct blockdev_src *b = (struct blockdev_src *)src;
    struct blockdev_lane *lane = blockdev_take(b);
    struct bdr_err *err = blockdev_lane_read(lane, b->fd, b->path, b->sector_bytes, off, buf, len);

    blockdev_give(b, lane);
    return err;
}

static struct bdr_err *blockdev_check(struct bdr_source *src)
{
    struct blockdev_src *b = (struct blockdev_src *)src;
    uint64_t now = 0;

    BDR_TRY(blockdev_size(b, &now));
    if (now != b->size_bytes)
        BDR_FAIL(BDR_RANGE, 0, "%s had %llu bytes when it was opened and has %llu now; start again", b->path,
                 (unsigned long long)b->size_bytes, (unsigned long long)now);
    return NULL;
}

const struct bdr_source_driver bdr_source_blockdev = {
    .name = "blockdev",
    .title = "Block device",
    .help = "/dev/NAME or blockdev:/dev/NAME",
    .schemes = "blockdev:",
    .max_inflight = BLOCKDEV_MAX_INFLIGHT,
    .open = blockdev_open,
    .info = blockdev_info,
    .read = blockdev_read,
    .check = blockdev_check,
    .close = blockdev_close,
};
