/* SPDX-License-Identifier: Apache-2.0 */
/* The suite that every target driver passes. A case is skipped, with its reason, where the machine can't. */
#include "bdr/bytes.h"
#include "bdr/child.h"
#include "bdr/pool.h"
#include "places.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
/* after setjmp.h, stdarg.h */
#include <cmocka.h>

#define DISK_BYTES ((8u << 20) + 3 * 512)
#define ROOM_BYTES (9u << 20)
#define PIECE      (64u << 10)

struct kind {
    const char *driver;
    bool direct;
};

static void ok(struct bdr_err *err)
{
    char text[1024];

    if (err)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
}

static void fails(struct bdr_err *err, enum bdr_code code)
{
    char text[1024];

    if (!err)
        fail_msg("expected %s, got success", bdr_code_name(code));
    if (err->code != code)
        fail_msg("expected %s, got %s: %s", bdr_code_name(code), bdr_code_name(err->code),
                 bdr_err_text(err, text, sizeof(text)));
    bdr_err_free(err);
}

static uint8_t *page_buf(size_t len)
{
    uint8_t *buf = aligned_alloc(4096, (len + 4095) / 4096 * 4096);

    assert_non_null(buf);
    return buf;
}

static void fill(uint8_t *buf, size_t len, uint64_t off)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(((off + i) * 2654435761u) >> 13) | 1;
}

static struct bdr_target_spec spec_of(const struct place *p)
{
    return (struct bdr_target_spec){.location = p->location, .size_bytes = DISK_BYTES, .direct = p->direct};
}

/* The place, opened; skips the test where it can't be made. */
static struct bdr_target *begin(void **state, struct place *p)
{
    const struct kind *k = *state;
    struct bdr_target_spec spec;
    struct bdr_target *t = NULL;
    const char *why = NULL;

    if (!place_make(p, k->driver, k->direct, ROOM_BYTES, &why)) {
        print_message("skipped: %s\n", why);
        skip();
    }
    spec = spec_of(p);
    ok(bdr_target_open(&spec, &t));
    return t;
}

static void test_target__written_bytes__are_read_back(void **state)
{
    struct place p;
    struct bdr_target *t = begin(state, &p);
    struct bdr_target_info info;
    uint8_t *want = page_buf(DISK_BYTES), *got = page_buf(DISK_BYTES), *seen;

    ok(bdr_target_info(t, &info));
    assert_true(info.size_bytes >= DISK_BYTES && info.max_inflight >= 1 && info.align_bytes >= 1);
    fill(want, DISK_BYTES, 0);
    for (size_t off = 0; off < DISK_BYTES; off += 1u << 20)
        ok(bdr_target_write(t, off, want + off, BDR_MIN((size_t)1 << 20, DISK_BYTES - off)));
    ok(bdr_target_flush(t));
    if (info.can_read) {
        ok(bdr_target_read(t, 0, got, DISK_BYTES));
        assert_memory_equal(got, want, DISK_BYTES);
        memset(got, 0, 4096);
        ok(bdr_target_read(t, DISK_BYTES - 512, got, 512));
        assert_memory_equal(got, want + DISK_BYTES - 512, 512);
    }
    ok(bdr_target_commit(t));
    bdr_target_close(t);
    if (place_keeps(&p)) {
        seen = place_bytes(&p, DISK_BYTES);
        assert_memory_equal(seen, want, DISK_BYTES);
        free(seen);
    }
    free(want);
    free(got);
    place_remove(&p);
}

static void test_target__unaligned_buffer_and_odd_sectors__are_written(void **state)
{
    struct place p;
    struct bdr_target *t = begin(state, &p);
    uint8_t *room = page_buf(3 * PIECE), *got;

    fill(room + 1, 2 * PIECE, 0);
    ok(bdr_target_write(t, 512, room + 1, 1024));
    ok(bdr_target_write(t, 4096 * 3 + 512, room + 1, PIECE + 512));
    ok(bdr_target_commit(t));
    bdr_target_close(t);
    if (place_keeps(&p)) {
        got = place_bytes(&p, DISK_BYTES);
        assert_memory_equal(got + 512, room + 1, 1024);
        assert_memory_equal(got + 4096 * 3 + 512, room + 1, PIECE + 512);
        assert_true(bdr_all_zero(got, 512));
        free(got);
    }
    free(room);
    place_remove(&p);
}

static void test_target__zeroed_range__reads_zeros_and_nothing_else(void **state)
{
    static const struct {
        uint64_t off, len;
    } ranges[] = {{0, 512}, {4096 * 2, PIECE * 5}, {512 * 7 + PIECE * 20, 512 * 9}, {DISK_BYTES - 1024, 1024}};
    struct place p;
    struct bdr_target *t = begin(state, &p);
    uint8_t *want = page_buf(DISK_BYTES), *got;

    fill(want, DISK_BYTES, 0);
    ok(bdr_target_write(t, 0, want, DISK_BYTES));
    for (size_t i = 0; i < BDR_COUNT(ranges); i++) {
        ok(bdr_target_zero(t, ranges[i].off, ranges[i].len));
        memset(want + ranges[i].off, 0, ranges[i].len);
    }
    ok(bdr_target_commit(t));
    bdr_target_close(t);
    if (place_keeps(&p)) {
        got = place_bytes(&p, DISK_BYTES);
        assert_memory_equal(got, want, DISK_BYTES);
        free(got);
    }
    free(want);
    place_remove(&p);
}

static void test_target__starts_zero__unwritten_reads_zeros(void **state)
{
    struct place p;
    struct bdr_target *t = begin(state, &p);
    struct bdr_target_info info;
    uint8_t *got, one[512];

    memset(one, 7, sizeof(one));
    ok(bdr_target_info(t, &info));
    ok(bdr_target_write(t, 1u << 20, one, sizeof(one)));
    ok(bdr_target_commit(t));
    bdr_target_close(t);
    if (place_keeps(&p) && info.starts_zero) {
        got = place_bytes(&p, DISK_BYTES);
        assert_true(bdr_all_zero(got, 1u << 20));
        assert_true(bdr_all_zero(got + (1u << 20) + 512, DISK_BYTES - (1u << 20) - 512));
        free(got);
    }
    place_remove(&p);
}

static void test_target__past_the_end__fails_and_writes_nothing(void **state)
{
    struct place p;
    struct bdr_target *t = begin(state, &p);
    struct bdr_target_info info;
    uint8_t *buf = page_buf(8192);

    ok(bdr_target_info(t, &info));
    fails(bdr_target_write(t, DISK_BYTES - 512, buf, 1024), BDR_RANGE);
    fails(bdr_target_write(t, UINT64_MAX - 511, buf, 512), BDR_RANGE);
    fails(bdr_target_zero(t, DISK_BYTES, 512), BDR_RANGE);
    fails(bdr_target_zero(t, 512, UINT64_MAX), BDR_RANGE);
    fails(bdr_target_read(t, DISK_BYTES, buf, 1), info.can_read ? BDR_RANGE : BDR_UNSUPPORTED);
    ok(bdr_target_write(t, DISK_BYTES, buf, 0));
    if (info.align_bytes > 1)
        fails(bdr_target_write(t, info.align_bytes / 2, buf, info.align_bytes), BDR_INVAL);
    bdr_target_close(t);
    free(buf);
    place_remove(&p);
}

struct many {
    struct bdr_target *t;
    const uint8_t *want;
};

static struct bdr_err *many_write(void *ctx, unsigned index)
{
    struct many *m = ctx;

    for (uint64_t off = (uint64_t)index * PIECE; off + PIECE <= DISK_BYTES; off += 8 * PIECE) {
        BDR_TRY(bdr_target_zero(m->t, off, PIECE));
        BDR_TRY(bdr_target_write(m->t, off, m->want + off, PIECE));
        if (off / PIECE % 16 == 3)
            BDR_TRY(bdr_target_flush(m->t));
    }
    return NULL;
}

static void test_target__many_threads__do_not_disturb_each_other(void **state)
{
    struct place p;
    struct many m = {.t = begin(state, &p)};
    struct bdr_pool *pool = NULL;
    uint8_t *want = page_buf(DISK_BYTES), *got;

    fill(want, DISK_BYTES, 0);
    m.want = want;
    ok(bdr_pool_start("many", 8, many_write, &m, NULL, &pool));
    ok(bdr_pool_join(pool));
    ok(bdr_target_commit(m.t));
    bdr_target_close(m.t);
    if (place_keeps(&p)) {
        got = place_bytes(&p, DISK_BYTES);
        assert_memory_equal(got, want, DISK_BYTES / PIECE * PIECE);
        free(got);
    }
    free(want);
    place_remove(&p);
}

static void test_target__holds_data__refused_unless_forced(void **state)
{
    struct place p;
    struct bdr_target *t = begin(state, &p);
    struct bdr_target_spec spec = spec_of(&p);
    uint8_t *buf = page_buf(PIECE), *got;

    fill(buf, PIECE, 0);
    ok(bdr_target_write(t, 0, buf, PIECE));
    ok(bdr_target_commit(t));
    bdr_target_close(t);
    if (place_keeps(&p)) {
        fails(bdr_target_open(&spec, &t), BDR_EXISTS);
        got = place_bytes(&p, PIECE);
        assert_memory_equal(got, buf, PIECE); /* refusing harms nothing */
        free(got);
        spec.force = true;
        ok(bdr_target_open(&spec, &t));
        ok(bdr_target_zero(t, 0, DISK_BYTES));
        ok(bdr_target_commit(t));
        bdr_target_close(t);
        got = place_bytes(&p, DISK_BYTES);
        assert_true(bdr_all_zero(got, DISK_BYTES));
        free(got);
    }
    free(buf);
    place_remove(&p);
}

static void test_target__resume__keeps_what_is_there(void **state)
{
    struct place p;
    struct bdr_target *t = begin(state, &p);
    struct bdr_target_spec spec = spec_of(&p);
    struct bdr_target_info info;
    uint8_t *buf = page_buf(PIECE), *got;

    fill(buf, PIECE, 0);
    ok(bdr_target_write(t, PIECE, buf, PIECE));
    ok(bdr_target_flush(t));
    bdr_target_close(t); /* no commit: as if killed */
    spec.resume = true;
    ok(bdr_target_open(&spec, &t));
    ok(bdr_target_info(t, &info));
    if (place_keeps(&p))
        assert_false(info.starts_zero);
    ok(bdr_target_write(t, 0, buf, PIECE));
    ok(bdr_target_commit(t));
    bdr_target_close(t);
    if (place_keeps(&p)) {
        got = place_bytes(&p, 2 * PIECE);
        assert_memory_equal(got, buf, PIECE);
        assert_memory_equal(got + PIECE, buf, PIECE);
        free(got);
    }
    free(buf);
    place_remove(&p);
}

static void test_target__wrong_size__is_refused(void **state)
{
    struct place p;
    struct bdr_target *t = begin(state, &p);
    struct bdr_target_spec spec = spec_of(&p);
    bool fixed = !strcmp(p.driver, "blockdev") || !strcmp(p.driver, "nbd");

    bdr_target_close(t);
    if (fixed) {
        spec.size_bytes = ROOM_BYTES + 512;
        fails(bdr_target_open(&spec, &t), BDR_RANGE);
        spec.force = true; /* force overwrites; it can't make room */
        fails(bdr_target_open(&spec, &t), BDR_RANGE);
    } else if (place_keeps(&p)) {
        spec.size_bytes = ROOM_BYTES + 512;
        spec.resume = true;
        fails(bdr_target_open(&spec, &t), BDR_INVAL);
    }
    spec.size_bytes = 0;
    fails(bdr_target_open(&spec, &t), BDR_INVAL);
    place_remove(&p);
}

static void test_raw__missing_or_strange__is_told(void **state)
{
    struct place p;
    struct bdr_target_spec spec;
    struct bdr_target *t = NULL;
    char dir[300], fifo[300];
    const char *why;

    (void)state;
    assert_true(place_make(&p, "raw", false, 0, &why));
    spec = spec_of(&p);
    spec.resume = true;
    fails(bdr_target_open(&spec, &t), BDR_NOTFOUND);
    spec.resume = false;
    spec.location = p.dir;
    fails(bdr_target_open(&spec, &t), BDR_INVAL); /* EISDIR */
    snprintf(fifo, sizeof(fifo), "%s/fifo", p.dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    spec.location = fifo;
    fails(bdr_target_open(&spec, &t), BDR_INVAL);
    snprintf(dir, sizeof(dir), "%s/no/such/folder", p.dir);
    spec.location = dir;
    fails(bdr_target_open(&spec, &t), BDR_NOTFOUND);
    spec.location = "raw:";
    fails(bdr_target_open(&spec, &t), BDR_INVAL);
    place_remove(&p);
}

static void test_raw__open_twice_or_by_qemu__is_busy(void **state)
{
    struct place p;
    struct bdr_target_spec spec;
    struct bdr_target *t = NULL, *other = NULL;
    const char *why;

    (void)state;
    assert_true(place_make(&p, "raw", false, 0, &why));
    spec = spec_of(&p);
    ok(bdr_target_open(&spec, &t));
    fails(bdr_target_open(&spec, &other), BDR_BUSY);
    bdr_target_close(t);
    place_remove(&p);
}

static void test_raw__zeros__take_no_space(void **state)
{
    struct place p;
    struct bdr_target_spec spec;
    struct bdr_target *t = NULL;
    uint8_t *buf = page_buf(1u << 20);
    struct stat st;
    const char *why;

    (void)state;
    fill(buf, 1u << 20, 0);
    assert_true(place_make(&p, "raw", false, 0, &why));
    spec = spec_of(&p);
    ok(bdr_target_open(&spec, &t));
    ok(bdr_target_write(t, 1u << 20, buf, 1u << 20));
    ok(bdr_target_write(t, 4u << 20, buf, 1u << 20));
    ok(bdr_target_zero(t, 1u << 20, 1u << 20));
    ok(bdr_target_commit(t));
    bdr_target_close(t);
    assert_int_equal(stat(p.backing, &st), 0);
    assert_int_equal(st.st_size, DISK_BYTES);
    assert_true((uint64_t)st.st_blocks * 512 <= (1u << 20) + (64u << 10));
    assert_int_equal(st.st_mode & 0777, 0600);
    free(buf);
    place_remove(&p);
}

static void test_blockdev__mounted__is_refused_by_name(void **state)
{
    struct place p;
    struct bdr_target_spec spec;
    struct bdr_target *t = NULL;
    struct bdr_err *err;
    char mnt[128], text[512];
    const char *why;

    (void)state;
    if (!place_make(&p, "blockdev", false, ROOM_BYTES, &why)) {
        print_message("skipped: %s\n", why);
        skip();
    }
    {
        const char *const mkfs[] = {"mke2fs", "-q", "-F", "-t", "ext4", p.loop, NULL};

        ok(bdr_child_run(mkfs, NULL));
    }
    snprintf(mnt, sizeof(mnt), "%s/mnt", p.dir);
    assert_int_equal(mkdir(mnt, 0700), 0);
    assert_int_equal(mount(p.loop, mnt, "ext4", MS_RDONLY, NULL), 0);
    spec = spec_of(&p);
    spec.force = true;
    err = bdr_target_open(&spec, &t);
    assert_non_null(err);
    assert_int_equal(err->code, BDR_BUSY);
    assert_non_null(strstr(bdr_err_text(err, text, sizeof(text)), mnt));
    bdr_err_free(err);
    assert_int_equal(umount(mnt), 0);
    spec.force = false; /* the file system is data */
    fails(bdr_target_open(&spec, &t), BDR_EXISTS);
    spec.force = true;
    ok(bdr_target_open(&spec, &t));
    bdr_target_close(t);
    place_remove(&p);
}

static void test_blockdev__held_exclusively__is_busy(void **state)
{
    struct place p;
    struct bdr_target_spec spec;
    struct bdr_target *t = NULL;
    const char *why;
    int fd;

    (void)state;
    if (!place_make(&p, "blockdev", false, ROOM_BYTES, &why))
        skip();
    spec = spec_of(&p);
    fd = open(p.loop, O_RDONLY | O_EXCL | O_CLOEXEC);
    assert_true(fd >= 0);
    fails(bdr_target_open(&spec, &t), BDR_BUSY);
    close(fd);
    place_remove(&p);
}

static void test_qcow2__killed_connection__leaves_no_server_and_no_socket(void **state)
{
    struct place p;
    struct bdr_target_spec spec;
    struct bdr_target *t = NULL;
    const char *why;

    (void)state;
    assert_true(place_make(&p, "qcow2", false, 0, &why));
    spec = spec_of(&p);
    ok(bdr_target_open(&spec, &t));
    bdr_target_close(t); /* waits for qemu-nbd: a second open finds no lock */
    spec.resume = true;
    ok(bdr_target_open(&spec, &t));
    {
        struct bdr_target *other = NULL;

        fails(bdr_target_open(&spec, &other), BDR_BUSY);
    }
    bdr_target_close(t);
    place_remove(&p);
}

static void test_nbd__no_server_or_read_only__is_told(void **state)
{
    struct bdr_target_spec spec = {.location = "nbd+unix:///?socket=/nonexistent/sock", .size_bytes = 512};
    struct bdr_target *t = NULL;

    (void)state;
    fails(bdr_target_open(&spec, &t), BDR_NOTFOUND);
    spec.location = "nbd://127.0.0.1:1/x";
    fails(bdr_target_open(&spec, &t), BDR_NET);
}

#define SUITE(kind)                                                                                                    \
    cmocka_unit_test_prestate(test_target__written_bytes__are_read_back, &(kind)),                                     \
        cmocka_unit_test_prestate(test_target__unaligned_buffer_and_odd_sectors__are_written, &(kind)),                \
        cmocka_unit_test_prestate(test_target__zeroed_range__reads_zeros_and_nothing_else, &(kind)),                   \
        cmocka_unit_test_prestate(test_target__starts_zero__unwritten_reads_zeros, &(kind)),                           \
        cmocka_unit_test_prestate(test_target__past_the_end__fails_and_writes_nothing, &(kind)),                       \
        cmocka_unit_test_prestate(test_target__many_threads__do_not_disturb_each_other, &(kind)),                      \
        cmocka_unit_test_prestate(test_target__holds_data__refused_unless_forced, &(kind)),                            \
        cmocka_unit_test_prestate(test_target__resume__keeps_what_is_there, &(kind)),                                  \
        cmocka_unit_test_prestate(test_target__wrong_size__is_refused, &(kind))

static struct kind kinds[] = {{"raw", false},  {"raw", true},  {"blockdev", false}, {"qcow2", false},
                              {"qcow2", true}, {"nbd", false}, {"null", false}};

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUITE(kinds[0]),
        SUITE(kinds[1]),
        SUITE(kinds[2]),
        SUITE(kinds[3]),
        SUITE(kinds[4]),
        SUITE(kinds[5]),
        SUITE(kinds[6]),
        cmocka_unit_test(test_raw__missing_or_strange__is_told),
        cmocka_unit_test(test_raw__open_twice_or_by_qemu__is_busy),
        cmocka_unit_test(test_raw__zeros__take_no_space),
        cmocka_unit_test(test_blockdev__mounted__is_refused_by_name),
        cmocka_unit_test(test_blockdev__held_exclusively__is_busy),
        cmocka_unit_test(test_qcow2__killed_connection__leaves_no_server_and_no_socket),
        cmocka_unit_test(test_nbd__no_server_or_read_only__is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
