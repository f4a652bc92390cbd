/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ops.c - every way of changing a disk, against the truth: images before and after, compared block by block.
 *
 * Nothing that changed may be missing from what the tracker tells (no false negatives), what it tells as ZERO must read
 * as zeros, and with nothing in flight the sectors it saw must be those that the disk counted.
 */
#include "bdr/cancel.h"
#include "live/track_priv.h"
#include "loopdisk.h"
#include <liburing.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#define WORKERS_MAX 6
#define FILE_BYTES  (12 * MIB)

static struct scratch at;

/* ---- the truth: a hash a granule of the backing file ---- */

struct image {
    uint64_t *hash; /* 0: all zero */
    size_t n;
};

static struct image image_take(const struct loopdisk *d)
{
    struct image m = {.n = (d->size + GRANULE - 1) / GRANULE};
    static uint64_t buf[GRANULE / 8];

    fsync(d->fd);
    m.hash = calloc(m.n, sizeof(*m.hash));
    assert_non_null(m.hash);
    for (off_t off = 0; (off = lseek(d->backing, off, SEEK_DATA)) >= 0; off += (off_t)GRANULE) {
        uint64_t h = 0;

        off -= off % (off_t)GRANULE;
        memset(buf, 0, sizeof(buf));
        assert_true(pread(d->backing, buf, sizeof(buf), off) > 0);
        for (size_t i = 0; i < BDR_COUNT(buf); i++)
            if (buf[i])
                h = (h ^ buf[i] ^ i) * 0x9e3779b97f4a7c15u + 1;
        m.hash[(size_t)off / GRANULE] = h;
    }
    return m;
}

struct truth {
    const struct image *before, *after;
    size_t next; /* granules before it were compared */
    unsigned data, zero, changed, missed, not_zero;
};

static void truth_gap(struct truth *t, size_t end)
{
    for (; t->next < end; t->next++)
        if (t->before->hash[t->next] != t->after->hash[t->next]) {
            t->changed++;
            t->missed++;
        }
}

static struct bdr_err *truth_put(void *ctx, const struct bdr_extent *ext)
{
    struct truth *t = ctx;
    size_t end = (size_t)((ext->off + ext->len + GRANULE - 1) / GRANULE);

    truth_gap(t, (size_t)(ext->off / GRANULE));
    for (; t->next < end; t->next++) {
        t->changed += t->before->hash[t->next] != t->after->hash[t->next];
        if (ext->kind == BDR_EXTENT_ZERO) {
            t->zero++;
            t->not_zero += t->after->hash[t->next] != 0;
        } else {
            t->data++;
        }
    }
    return NULL;
}

/* One round: what did the tracker miss of what happened since `before` was taken, `seq` was cut and `base` counted? */
static struct truth truth_of(struct bdr_track *t, const struct loopdisk *d, uint64_t seq, const struct image *before,
                             const struct image *after)
{
    struct truth truth = {.before = before, .after = after};

    OK(bdr_track_changes(t, seq, 0, d->size, truth_put, &truth));
    truth_gap(&truth, before->n);
    return truth;
}

/* ---- workers ---- */

struct worker {
    const char *folder; /* of the file system; NULL: the device itself */
    const struct loopdisk *disk;
    char kind;
    unsigned id;
    uint64_t seed;
    atomic_bool *stop;
    pthread_t thread;
    unsigned ops;
};

static uint64_t worker_random(struct worker *w)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return w->seed;
}

static void worker_fill(struct worker *w, void *buf, size_t n)
{
    uint64_t *p = buf;

    for (size_t i = 0; i < n / 8; i++)
        p[i] = worker_random(w);
}

static int worker_file(struct worker *w, int flags)
{
    char path[200];
    int fd;

    snprintf(path, sizeof(path), "%s/f%u", w->folder, w->id);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)FILE_BYTES), 0);
    return fd;
}

static void *worker_run(void *ctx)
{
    struct worker *w = ctx;
    char *buf = aligned_alloc(4096, MIB), *map = NULL;
    int fd =
        strchr("bdmz", w->kind) ? worker_file(w, w->kind == 'd' ? O_DIRECT : 0) : open(w->folder, O_RDONLY | O_CLOEXEC);

    if (w->kind == 'm') {
        map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(map != MAP_FAILED);
    }
    for (; !atomic_load(w->stop); w->ops++) {
        uint64_t r = worker_random(w), n = 4096 * (1 + r % 16), off = r / 64 % (FILE_BYTES / 4096 - 16) * 4096;
        struct fstrim_range trim = {.len = UINT64_MAX};
        char path[220];
        int small;

        worker_fill(w, buf, 65536);
        switch (w->kind) {
        case 'b': /* buffered, unaligned */
            assert_true(pwrite(fd, buf, n - r % 77, (off_t)(off + r % 3000)) > 0);
            if (w->ops % 50 == 49)
                fsync(fd);
            break;
        case 'd':
            assert_true(pwrite(fd, buf, n, (off_t)off) > 0);
            break;
        case 'm':
            memcpy(map + off, buf, 64);
            if (w->ops % 100 == 99)
                msync(map, FILE_BYTES, w->ops % 200 == 199 ? MS_SYNC : MS_ASYNC);
            break;
        case 'z': /* not every file system has each */
            if (r >> 40 & 1)
                (void)!fallocate(fd, FALLOC_FL_KEEP_SIZE | (r >> 41 & 1 ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
                                 (off_t)off, (off_t)n);
            else
                assert_true(pwrite(fd, buf, n, (off_t)off) > 0);
            if (w->ops % 40 == 39)
                fsync(fd);
            break;
        case 's': /* small files come and go */
            snprintf(path, sizeof(path), "%s/s%u-%u", w->folder, w->id, (unsigned)(r % 100));
            if (r >> 40 & 1) {
                unlink(path);
                break;
            }
            small = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            assert_true(small >= 0 && write(small, buf, n) > 0);
            if (r >> 41 & 1)
                fsync(small);
            close(small);
            break;
        default: /* 't' */
            assert_true(!ioctl(fd, FITRIM, &trim) || errno == EOPNOTSUPP);
            bdr_err_drop(bdr_cancel_sleep(NULL, 200), "no token");
        }
    }
    if (map)
        munmap(map, FILE_BYTES);
    close(fd);
    free(buf);
    return NULL;
}

/* The device itself: direct writes, write-zeroes and discards that may overlap, each worker through its own fd. */
static void *worker_raw(void *ctx)
{
    struct worker *w = ctx;
    char *buf = aligned_alloc(4096, MIB);
    int fd = open(w->disk->dev, O_RDWR | O_CLOEXEC | (w->kind == 'B' ? 0 : O_DIRECT));

    assert_true(fd >= 0);
    for (; !atomic_load(w->stop); w->ops++) {
        uint64_t r = worker_random(w), n = 4096 * (1 + r % 64), off = r / 64 % (w->disk->size / 4096 - 1024) * 4096;
        uint64_t range[2] = {off, n * (w->kind == 'D' ? 16 : 1)};

        worker_fill(w, buf, n);
        if (w->kind == 'D')
            assert_int_equal(ioctl(fd, BLKDISCARD, range), 0);
        else if (w->kind == 'Z')
            assert_int_equal(ioctl(fd, BLKZEROOUT, range), 0);
        else
            assert_true(pwrite(fd, buf, n, (off_t)off) > 0);
        if (w->kind == 'B' && w->ops % 64 == 63)
            fsync(fd);
    }
    fsync(fd);
    close(fd);
    free(buf);
    return NULL;
}

static unsigned work(const struct loopdisk *d, const char *folder, const char *kinds, unsigned ms, unsigned seed)
{
    struct worker w[WORKERS_MAX];
    atomic_bool stop = false;
    unsigned ops = 0;
    size_t n = strlen(kinds);

    for (size_t i = 0; i < n; i++) {
        w[i] = (struct worker){folder, d, kinds[i], (unsigned)i, seed * 7919u + i * 104729u + 1, &stop, 0, 0};
        assert_int_equal(pthread_create(&w[i].thread, NULL, folder ? worker_run : worker_raw, &w[i]), 0);
    }
    bdr_err_drop(bdr_cancel_sleep(NULL, ms), "no token");
    atomic_store(&stop, true);
    for (size_t i = 0; i < n; i++) {
        pthread_join(w[i].thread, NULL);
        assert_true(w[i].ops);
        ops += w[i].ops;
    }
    return ops;
}

/* ---- tests ---- */

static void check_rounds(struct loopdisk *d, struct bdr_track *t, const char *folder, const char *kinds,
                         unsigned rounds, unsigned ms)
{
    struct image first = image_take(d), before = first, after = {0};
    struct bdr_track_counts base, now;
    uint64_t seq, all = 0;
    int64_t missed;

    OK(bdr_track_cut(t, &all));
    for (unsigned i = 0; i < rounds; i++) {
        struct truth truth, whole;
        unsigned ops;

        OK(bdr_track_cut(t, &seq));
        OK(bdr_track_counts(t, &base));
        ops = work(d, folder, kinds, ms, i + 1);
        if (folder) {
            int fd = open(folder, O_RDONLY | O_CLOEXEC);

            assert_int_equal(syncfs(fd), 0);
            close(fd);
        }
        OK(bdr_track_settle(t, 2000, NULL));
        after = image_take(d);
        truth = truth_of(t, d, seq, &before, &after);
        whole = truth_of(t, d, all, &first, &after);
        OK(bdr_track_counts(t, &now));
        OK(bdr_track_missed(&base, &now, &missed));
        print_message("    %s %s: %u ops, %u granules changed, %u told as data, %u as zero, missed %lld sectors\n",
                      folder ? "files" : "raw", kinds, ops, truth.changed, truth.data, truth.zero, (long long)missed);
        assert_int_equal(truth.missed, 0);
        assert_int_equal(truth.not_zero, 0);
        assert_int_equal(whole.missed, 0);
        assert_int_equal(whole.not_zero, 0);
        assert_true(truth.changed);
        assert_int_equal(missed, 0);
        if (before.hash != first.hash)
            free(before.hash);
        before = after;
    }
    if (before.hash != first.hash)
        free(before.hash);
    free(first.hash);
}

static void check_fs(const char *const *mkfs, const char *type, const char *kinds, uint64_t size)
{
    char folder[128];
    struct loopdisk d;
    struct bdr_track *t = NULL;
    const char *argv[8] = {0};
    size_t n = 0;

    loopdisk_make(&d, &at, type, size);
    OK(bdr_track_start(d.dev));
    OK(bdr_track_open(d.dev, &t));
    for (; mkfs[n]; n++)
        argv[n] = mkfs[n];
    argv[n] = d.dev;
    run_ok(argv);
    snprintf(folder, sizeof(folder), "%s/%s", at.folder, type);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(mount(d.dev, folder, type, 0, NULL), 0);
    check_rounds(&d, t, folder, kinds, 2, 700);
    assert_int_equal(umount(folder), 0);
    bdr_track_close(t);
    OK(bdr_track_stop(d.dev));
    loopdisk_end(&d);
}

static void test_ops__raw_disk__no_change_is_missed(void **state)
{
    struct loopdisk d;
    struct bdr_track *t = NULL;

    (void)state;
    loopdisk_make(&d, &at, "raw", 128 * MIB);
    OK(bdr_track_start(d.dev));
    OK(bdr_track_open(d.dev, &t));
    check_rounds(&d, t, NULL, "W", 1, 200);
    check_rounds(&d, t, NULL, "WBDZW", 3, 500);
    bdr_track_close(t);
    OK(bdr_track_stop(d.dev));
    loopdisk_end(&d);
}

/*
 * The same on a kernel that loses all completions of writes. A discard that completes may only make ZERO of what was
 * not written while it was on its way.
 */
static void test_ops__completions_lost__no_change_is_missed(void **state)
{
    struct loopdisk d;
    struct bdr_track *t = NULL;

    (void)state;
    OK(bdr_track_stop(NULL));
    track_program_loses = true;
    loopdisk_make(&d, &at, "lost", 64 * MIB);
    OK(bdr_track_start(d.dev));
    track_program_loses = false;
    OK(bdr_track_open(d.dev, &t));
    check_rounds(&d, t, NULL, "WBDDW", 3, 500);
    bdr_track_close(t);
    OK(bdr_track_stop(NULL));
    loopdisk_end(&d);
}

static void test_ops__ext4__no_change_is_missed(void **state)
{
    (void)state;
    check_fs((const char *const[]){"mkfs.ext4", "-q", "-F", NULL}, "ext4", "bdmzst", 160 * MIB);
}
static void test_ops__xfs__no_change_is_missed(void **state)
{
    (void)state;
    check_fs((const char *const[]){"mkfs.xfs", "-q", "-f", NULL}, "xfs", "bdmzst", 320 * MIB);
}
static void test_ops__btrfs__no_change_is_missed(void **state)
{
    (void)state;
    check_fs((const char *const[]){"mkfs.btrfs", "-q", "-f", NULL}, "btrfs", "bdmzst", 320 * MIB);
}

static void test_ops__io_uring__no_change_is_missed(void **state)
{
    struct image before, after;
    struct bdr_track *t = NULL;
    struct io_uring ring;
    struct loopdisk d;
    struct truth truth;
    uint64_t seq = 0, word = 99;
    char *buf = aligned_alloc(4096, 64 * 16384);
    unsigned in = 0;

    (void)state;
    if (io_uring_queue_init(64, &ring, 0)) {
        print_message("    io_uring is switched off here\n");
        free(buf);
        skip();
    }
    loopdisk_make(&d, &at, "uring", 128 * MIB);
    OK(bdr_track_start(d.dev));
    OK(bdr_track_open(d.dev, &t));
    before = image_take(&d);
    OK(bdr_track_cut(t, &seq));
    for (unsigned i = 0; i < 2000 || in; i++) {
        struct io_uring_cqe *cqe;

        if (i < 2000) {
            struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

            word = word * 6364136223846793005u + 1442695040888963407u;
            memcpy(buf + i % 64 * 16384, &word, sizeof(word));
            io_uring_prep_write(sqe, d.fd, buf + i % 64 * 16384, 4096 << (word >> 60 & 1),
                                (word >> 20) % (d.size / 8192) * 8192);
            assert_int_equal(io_uring_submit(&ring), 1);
            if (++in < 48)
                continue;
        }
        assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
        assert_true(cqe->res > 0);
        io_uring_cqe_seen(&ring, cqe);
        in--;
    }
    io_uring_queue_exit(&ring);
    free(buf);
    after = image_take(&d);
    truth = truth_of(t, &d, seq, &before, &after);
    assert_int_equal(truth.missed, 0);
    assert_true(truth.changed > 500);
    assert_int_equal(truth.zero, 0);
    free(before.hash);
    free(after.hash);
    bdr_track_close(t);
    OK(bdr_track_stop(d.dev));
    loopdisk_end(&d);
}

static int setup(void **state)
{
    (void)state;
    scratch_begin(&at);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_end(&at);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops__raw_disk__no_change_is_missed),
        cmocka_unit_test(test_ops__io_uring__no_change_is_missed),
        cmocka_unit_test(test_ops__completions_lost__no_change_is_missed),
        cmocka_unit_test(test_ops__ext4__no_change_is_missed),
        cmocka_unit_test(test_ops__xfs__no_change_is_missed),
        cmocka_unit_test(test_ops__btrfs__no_change_is_missed),
    };
    const char *why = scratch_why_not();

    if (why) {
        printf("%s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
