/* SPDX-License-Identifier: Apache-2.0 */
#include "lane.h"
#include "bdr/log.h"
#include <errno.h>
#include <string.h>

/* Deep enough for a disk behind a network; not told apart on cached loop devices: docs/drivers/source.md#measured. */
#define LANE_SEG_BYTES    ((size_t)256 << 10)
#define LANE_DEPTH        8u
#define LANE_BOUNCE_BYTES (LANE_DEPTH / 2 * LANE_SEG_BYTES)
#define LANE_MEMORY_ALIGN 4096

struct lane_seg {
    uint64_t off;
    uint8_t *buf;
    size_t len;
};

/* Whatever the code of a failed read, a medium that can't be read is IO; only "it is gone" is told apart. */
static struct bdr_err *lane_error(int err, const char *path, uint64_t off, size_t len)
{
    enum bdr_code code = bdr_code_of_errno(err);

    if (code != BDR_NOTFOUND && code != BDR_NOMEM && code != BDR_TIMEOUT)
        code = BDR_IO;
    BDR_FAIL(code, err, "reading %zu bytes at %llu of %s", len, (unsigned long long)off, path);
}

static struct bdr_err *lane_pread(int fd, const char *path, uint64_t off, uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = pread(fd, buf, len, (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lane_error(errno, path, off, len);
        if (n == 0)
            BDR_FAIL(BDR_IO, 0, "%s ends at %llu, %zu bytes early", path, (unsigned long long)off, len);
        buf += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return NULL;
}

static bool lane_ring_ready(struct blockdev_lane *lane)
{
    int rc;

    if (lane->has_ring || lane->no_ring)
        return lane->has_ring;
    rc = io_uring_queue_init(LANE_DEPTH, &lane->ring, 0);
    lane->has_ring = rc == 0;
    lane->no_ring = rc != 0;
    if (rc)
        BDR_LOG(DEBUG, "source.blockdev.no_uring", F_STR("reason", strerror(-rc)));
    return lane->has_ring;
}

static void lane_ring_drop(struct blockdev_lane *lane)
{
    if (lane->has_ring)
        io_uring_queue_exit(&lane->ring);
    lane->has_ring = false;
}

void blockdev_lane_close(struct blockdev_lane *lane)
{
    lane_ring_drop(lane);
    free(lane->bounce);
    lane->bounce = NULL;
}

static bool lane_push(struct blockdev_lane *lane, int fd, struct lane_seg *seg)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&lane->ring);

    if (!sqe)
        return false;
    io_uring_prep_read(sqe, fd, seg->buf, (unsigned)seg->len, seg->off);
    io_uring_sqe_set_data(sqe, seg);
    return true;
}

/* What came of a segment. *out_again when the rest of it has to be read. */
static struct bdr_err *lane_done(struct lane_seg *seg, int res, const char *path, bool *out_again)
{
    *out_again = false;
    if (res == -EINTR || res == -EAGAIN) {
        *out_again = true;
        return NULL;
    }
    if (res < 0)
        return lane_error(-res, path, seg->off, seg->len);
    if (res == 0)
        BDR_FAIL(BDR_IO, 0, "%s ends at %llu, %zu bytes early", path, (unsigned long long)seg->off, seg->len);
    seg->off += (uint64_t)res;
    seg->buf += res;
    seg->len -= (size_t)res;
    *out_again = seg->len > 0;
    return NULL;
}

/*
 * Keeps up to LANE_DEPTH segments in flight. Never returns while the kernel may still write into `buf`: after a
 * failure the segments in flight are waited for.
 */
static struct bdr_err *lane_uring(struct blockdev_lane *lane, int fd, const char *path, uint64_t off, uint8_t *buf,
                                  size_t len)
{
    struct lane_seg segs[LANE_DEPTH], *idle[LANE_DEPTH];
    unsigned n_idle = LANE_DEPTH, queued = 0, flying = 0; /* queued: in the ring, not yet with the kernel */
    struct bdr_err *err = NULL;

    for (unsigned i = 0; i < LANE_DEPTH; i++)
        idle[i] = &segs[i];
    while (((len || queued) && !err) || flying) {
        struct io_uring_cqe *cqe;
        int rc;

        while (len && !err && n_idle) {
            struct lane_seg *seg = idle[n_idle - 1];

            *seg = (struct lane_seg){.off = off, .buf = buf, .len = BDR_MIN(len, LANE_SEG_BYTES)};
            if (!lane_push(lane, fd, seg))
                break;
            n_idle--;
            queued++;
            off += seg->len;
            buf += seg->len;
            len -= seg->len;
        }
        rc = err ? io_uring_wait_cqe(&lane->ring, &cqe) : io_uring_submit_and_wait(&lane->ring, 1);
        if (rc > 0) {
            flying += (unsigned)rc;
            queued -= (unsigned)rc;
        } else if (rc < 0 && rc != -EINTR && !err && !(flying && (rc == -EAGAIN || rc == -EBUSY))) {
            err = lane_error(-rc, path, off, len);
        }
        while (flying && !io_uring_peek_cqe(&lane->ring, &cqe)) {
            struct lane_seg *seg = io_uring_cqe_get_data(cqe);
            bool again = false;

            rc = cqe->res;
            io_uring_cqe_seen(&lane->ring, cqe);
            flying--;
            err = bdr_err_first(err, lane_done(seg, rc, path, &again));
            if (again && !err && lane_push(lane, fd, seg))
                queued++;
            else
                idle[n_idle++] = seg;
        }
    }
    if (queued)
        lane_ring_drop(lane); /* what it still holds must never reach the kernel */
    return err;
}

static struct bdr_err *lane_aligned(struct blockdev_lane *lane, int fd, const char *path, uint64_t off, uint8_t *buf,
                                    size_t len)
{
    return lane_ring_ready(lane) ? lane_uring(lane, fd, path, off, buf, len) : lane_pread(fd, path, off, buf, len);
}

struct bdr_err *blockdev_lane_read(struct blockdev_lane *lane, int fd, const char *path, uint32_t sector_bytes,
                                   uint64_t off, uint8_t *buf, size_t len)
{
    if ((uintptr_t)buf % sector_bytes == 0)
        return lane_aligned(lane, fd, path, off, buf, len);
    if (!lane->bounce) {
        lane->bounce = aligned_alloc(LANE_MEMORY_ALIGN, LANE_BOUNCE_BYTES);
        BDR_NOMEM_IF_NULL(lane->bounce);
    }
    while (len) {
        size_t n = BDR_MIN(len, LANE_BOUNCE_BYTES);

        BDR_TRY(lane_aligned(lane, fd, path, off, lane->bounce, n));
        memcpy(buf, lane->bounce, n);
        buf += n;
        off += n;
        len -= n;
    }
    return NULL;
}
