/* SPDX-License-Identifier: Apache-2.0 */
#include "capture.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define CAPTURE_DEPTH     64u
#define CAPTURE_SEG_BYTES ((uint64_t)256 << 10)
#define CAPTURE_ALIGN     4096u
#define CAPTURE_FINE      4096u /* in these the readable part of a bad segment is looked for */

static void capture_unmap(struct live_capture *c)
{
    if (c->mem)
        munmap(c->mem, c->bytes);
    c->mem = NULL;
    c->bytes = 0;
}

void live_capture_free(struct live_capture *c)
{
    capture_unmap(c);
    free(c->piece);
    free(c->bad);
    if (c->has_ring)
        io_uring_queue_exit(&c->ring);
    *c = (struct live_capture){0};
}

struct bdr_err *live_capture_room(struct live_capture *c, uint64_t bytes)
{
    c->n = c->bad_n = 0;
    c->used = 0;
    if (!c->has_ring) /* without one it is read with pread */
        c->has_ring = io_uring_queue_init(CAPTURE_DEPTH, &c->ring, 0) == 0;
    if (bytes <= c->bytes)
        return NULL;
    capture_unmap(c);
    bytes = (bytes + CAPTURE_ALIGN - 1) / CAPTURE_ALIGN * CAPTURE_ALIGN;
    c->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (c->mem == MAP_FAILED) {
        c->mem = NULL;
        BDR_FAIL(BDR_NOMEM, errno, "allocating %llu bytes for what is read in the window", (unsigned long long)bytes);
    }
    c->bytes = bytes;
    if (mlock(c->mem, bytes)) /* touched it is at least; what may not be locked might have to be swapped in */
        return NULL;
    return NULL;
}

static struct bdr_err *capture_grow(struct live_capture *c)
{
    size_t cap = BDR_MAX(2 * c->cap, (size_t)4096);
    struct live_piece *more;

    if (c->n < c->cap)
        return NULL;
    more = reallocarray(c->piece, cap, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    c->piece = more;
    c->cap = cap;
    return NULL;
}

struct bdr_err *live_capture_add(struct live_capture *c, uint32_t disk, const struct bdr_extent *ext)
{
    uint64_t room = (ext->len + CAPTURE_ALIGN - 1) / CAPTURE_ALIGN * CAPTURE_ALIGN;
    struct live_piece p = {.disk = disk, .off = ext->off, .len = ext->len};

    BDR_TRY(capture_grow(c));
    if (ext->kind == BDR_EXTENT_DATA) {
        if (room > c->bytes - c->used)
            BDR_FAIL(BDR_RANGE, 0, "more has changed than fits the %zu bytes that are set aside for it", c->bytes);
        p.data = c->mem + c->used;
        c->used += room;
    }
    c->piece[c->n++] = p;
    return NULL;
}

/* ---- reading ---- */

struct capture_seg {
    const struct live_piece *piece;
    uint64_t at, len; /* within the piece */
};
struct capture_run {
    struct live_capture *c;
    const int *fds;
    uint32_t (*left)(void *ctx);
    void *ctx;
    size_t next; /* piece, and where in it, that comes next */
    uint64_t next_at;
};

static bool run_in_time(const struct capture_run *r)
{
    return !r->left || r->left(r->ctx) > 0;
}

static bool run_next(struct capture_run *r, struct capture_seg *out)
{
    for (; r->next < r->c->n; r->next++, r->next_at = 0) {
        const struct live_piece *p = &r->c->piece[r->next];

        if (!p->data || r->next_at == p->len)
            continue;
        *out = (struct capture_seg){p, r->next_at, BDR_MIN(p->len - r->next_at, CAPTURE_SEG_BYTES)};
        r->next_at += out->len;
        return true;
    }
    return false;
}

static struct bdr_err *capture_bad(struct live_capture *c, uint32_t disk, uint64_t off, uint64_t len)
{
    if (c->bad_n && c->bad[c->bad_n - 1].disk == disk && c->bad[c->bad_n - 1].off + c->bad[c->bad_n - 1].len == off) {
        c->bad[c->bad_n - 1].len += len;
        return NULL;
    }
    if (c->bad_n == c->bad_cap) {
        size_t cap = BDR_MAX(2 * c->bad_cap, (size_t)64);
        struct live_bad *more = reallocarray(c->bad, cap, sizeof(*more));

        BDR_NOMEM_IF_NULL(more);
        c->bad = more;
        c->bad_cap = cap;
    }
    c->bad[c->bad_n++] = (struct live_bad){disk, off, len};
    return NULL;
}

/* A segment that can't be read at once: piece by piece, and what still can't is told to whoever wants it. */
static struct bdr_err *run_slowly(struct capture_run *r, const struct capture_seg *seg)
{
    const struct live_piece *p = seg->piece;

    for (uint64_t at = seg->at; at < seg->at + seg->len; at += CAPTURE_FINE) {
        size_t n = (size_t)BDR_MIN(seg->at + seg->len - at, (uint64_t)CAPTURE_FINE);
        ssize_t got;

        if (!run_in_time(r))
            BDR_FAIL(BDR_TIMEOUT, 0, "reading what changed took longer than the file systems may stand still");
        do
            got = pread(r->fds[p->disk], p->data + at, n, (off_t)(p->off + at));
        while (got < 0 && errno == EINTR);
        if (got != (ssize_t)n)
            BDR_TRY(capture_bad(r->c, p->disk, p->off + at, n));
    }
    return NULL;
}

static struct bdr_err *run_pread(struct capture_run *r)
{
    struct capture_seg seg;

    while (run_next(r, &seg)) {
        const struct live_piece *p = seg.piece;

        if (!run_in_time(r))
            BDR_FAIL(BDR_TIMEOUT, 0, "reading what changed took longer than the file systems may stand still");
        if (pread(r->fds[p->disk], p->data + seg.at, seg.len, (off_t)(p->off + seg.at)) != (ssize_t)seg.len)
            BDR_TRY(run_slowly(r, &seg));
    }
    return NULL;
}

/* Fills the ring's free places; whatever is left in the ring when time is over is waited for: the kernel writes into
 * our memory. */
static struct bdr_err *run_ring(struct capture_run *r)
{
    struct capture_seg segs[CAPTURE_DEPTH], *idle[CAPTURE_DEPTH];
    struct io_uring *ring = &r->c->ring;
    unsigned n_idle = CAPTURE_DEPTH, queued = 0, flying = 0;
    struct bdr_err *err = NULL;
    bool more = true;

    for (unsigned i = 0; i < CAPTURE_DEPTH; i++)
        idle[i] = &segs[i];
    while (((more || queued) && !err) || flying) {
        struct io_uring_cqe *cqe;
        int rc;

        while (more && !err && n_idle) {
            struct capture_seg *seg = idle[n_idle - 1];
            struct io_uring_sqe *sqe;

            more = run_next(r, seg);
            if (!more)
                break;
            sqe = io_uring_get_sqe(ring);
            BDR_ASSERT(sqe); /* as many as places */
            io_uring_prep_read(sqe, r->fds[seg->piece->disk], seg->piece->data + seg->at, (unsigned)seg->len,
                               seg->piece->off + seg->at);
            io_uring_sqe_set_data(sqe, seg);
            n_idle--;
            queued++;
        }
        if (!queued && !flying)
            break;
        rc = err ? io_uring_wait_cqe(ring, &cqe) : io_uring_submit_and_wait(ring, 1);
        if (!err && rc > 0) {
            flying += (unsigned)rc;
            queued -= (unsigned)rc;
        } else if (rc < 0 && rc != -EINTR && !err && !(flying && (rc == -EAGAIN || rc == -EBUSY))) {
            err = bdr_err_new(BDR_IO, -rc, BDR_AT, "asking for what changed");
        }
        while (flying && !io_uring_peek_cqe(ring, &cqe)) {
            struct capture_seg *seg = io_uring_cqe_get_data(cqe);
            bool ok = cqe->res == (int)seg->len;

            io_uring_cqe_seen(ring, cqe);
            flying--;
            if (!ok && !err)
                err = run_slowly(r, seg);
            idle[n_idle++] = seg;
        }
        if (!err && !run_in_time(r))
            err = bdr_err_new(BDR_TIMEOUT, 0, BDR_AT,
                              "reading what changed took longer than the file systems may stand still");
    }
    if (queued) { /* what it still holds must never reach the kernel */
        io_uring_queue_exit(ring);
        r->c->has_ring = false;
    }
    return err;
}

struct bdr_err *live_capture_read(struct live_capture *c, const int *fds, uint32_t (*left)(void *ctx), void *ctx)
{
    struct capture_run r = {.c = c, .fds = fds, .left = left, .ctx = ctx};

    return c->has_ring ? run_ring(&r) : run_pread(&r);
}

/* ---- looking up ---- */

/* The first piece of `disk` that ends behind `off`, or of a later disk. */
static size_t capture_find(const struct live_capture *c, uint32_t disk, uint64_t off)
{
    size_t lo = 0, hi = c->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct live_piece *p = &c->piece[mid];

        if (p->disk < disk || (p->disk == disk && p->off + p->len <= off))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct bdr_err *live_capture_get(const struct live_capture *c, uint32_t disk, uint64_t off, size_t len, uint8_t *buf,
                                 bool *out_there, size_t *out_len)
{
    size_t i = capture_find(c, disk, off);
    const struct live_piece *p;

    *out_there = false;
    *out_len = len;
    if (i == c->n) /* of nothing captured there is no first piece to point to */
        return NULL;
    p = &c->piece[i];
    if (p->disk != disk)
        return NULL;
    if (p->off > off) {
        *out_len = (size_t)BDR_MIN((uint64_t)len, p->off - off);
        return NULL;
    }
    *out_there = true;
    *out_len = (size_t)BDR_MIN((uint64_t)len, p->off + p->len - off);
    for (size_t b = 0; b < c->bad_n; b++)
        if (c->bad[b].disk == disk && c->bad[b].off < off + *out_len && c->bad[b].off + c->bad[b].len > off)
            BDR_FAIL(BDR_IO, 0, "%llu bytes at %llu could not be read when the disks stood still",
                     (unsigned long long)c->bad[b].len, (unsigned long long)c->bad[b].off);
    if (p->data)
        memcpy(buf, p->data + (off - p->off), *out_len);
    else
        memset(buf, 0, *out_len);
    return NULL;
}

void live_capture_zero(struct live_capture *c, uint32_t disk, uint64_t off, uint64_t len)
{
    for (size_t i = capture_find(c, disk, off); i < c->n && c->piece[i].disk == disk && c->piece[i].off < off + len;
         i++) {
        const struct live_piece *p = &c->piece[i];
        uint64_t lo = BDR_MAX(off, p->off), hi = BDR_MIN(off + len, p->off + p->len);

        if (p->data && lo < hi)
            memset(p->data + (lo - p->off), 0, hi - lo);
    }
}

struct bdr_err *live_capture_walk(const struct live_capture *c, uint32_t disk, uint64_t off, uint64_t len,
                                  bdr_extent_fn fn, void *ctx)
{
    for (size_t i = capture_find(c, disk, off); i < c->n && c->piece[i].disk == disk && c->piece[i].off < off + len;
         i++) {
        const struct live_piece *p = &c->piece[i];
        struct bdr_extent ext = {p->off, p->len, p->data ? BDR_EXTENT_DATA : BDR_EXTENT_ZERO};

        BDR_TRY(fn(ctx, &ext));
    }
    return NULL;
}
