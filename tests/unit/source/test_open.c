/* SPDX-License-Identifier: Apache-2.0 */
#include "source_priv.h"
#include "util.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static char lab[] = "/tmp/bdr-source-open-XXXXXX";

static const char *lab_path(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", lab, name);
    return path;
}

static const char *lab_write(const char *name, const void *data, size_t len)
{
    const char *path = lab_path(name);
    BDR_AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    return path;
}

static int lab_setup(void **state)
{
    (void)state;
    return mkdtemp(lab) ? 0 : -1;
}

static int lab_teardown(void **state)
{
    static const char *const names[] = {"raw", "qcow2", "linked", "vmdk", "fifo", "dir", "changed", "link"};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(names); i++)
        remove(lab_path(names[i]));
    return remove(lab);
}

#define OPEN(...) bdr_source_open(&(struct bdr_source_spec){__VA_ARGS__}, &src)

static void test_open__bad_locations__say_what_to_do(void **state)
{
    struct bdr_source *src = NULL;

    (void)state;
    FAILS(INVAL, "give a path", OPEN(.location = NULL));
    FAILS(INVAL, "give a path", OPEN(.location = ""));
    FAILS(NOTFOUND, "looking at /nowhere/at/all", OPEN(.location = "/nowhere/at/all"));
    FAILS(INVAL, "'ndb:' is no kind of source", OPEN(.location = "ndb://host/export"));
    FAILS(INVAL, "mem:", OPEN(.location = "memory:64M"));
    FAILS(INVAL, "is a folder", OPEN(.location = lab));
    FAILS(INVAL, "character device", OPEN(.location = "/dev/zero"));
    assert_int_equal(mkfifo(lab_path("fifo"), 0600), 0);
    FAILS(INVAL, "pipe", OPEN(.location = lab_path("fifo"))); /* and does not hang */
    FAILS(INVAL, "not a regular file", OPEN(.location = "file:/dev/zero"));
    assert_null(src);
}

static void test_open__regular_file__raw_with_identity(void **state)
{
    struct bdr_source *src = open_ok(lab_write("raw", "0123456789", 10));
    struct bdr_source_info info;
    char want[PATH_MAX + 8], file[PATH_MAX + 8], buf[10];

    (void)state;
    assert_string_equal(src->drv->name, "file");
    OK(bdr_source_info(src, &info));
    assert_int_equal(info.size_bytes, 10);
    snprintf(want, sizeof(want), "file:%s", lab_path("raw"));
    assert_string_equal(info.identity, want);
    assert_string_equal(info.consistency, "crash");
    bdr_source_close(src);

    /* A link to it is the same disk. */
    assert_int_equal(symlink("raw", lab_path("link")), 0);
    snprintf(file, sizeof(file), "file:%s", lab_path("link"));
    src = open_ok(file);
    OK(bdr_source_info(src, &info));
    assert_string_equal(info.identity, want);
    OK(bdr_source_read(src, 0, buf, 10));
    assert_memory_equal(buf, "0123456789", 10);
    bdr_source_close(src);
}

static void test_open__file_changes_size__told(void **state)
{
    struct bdr_source *src = open_ok(lab_write("raw", "0123456789", 10));
    struct told told = {0};
    char buf[10];

    (void)state;
    OK(bdr_source_check(src));
    assert_int_equal(truncate(lab_path("raw"), 11), 0);
    FAILS(RANGE, "10 bytes when it was opened and has 11", bdr_source_check(src));
    OK(bdr_source_read(src, 0, buf, 10));
    assert_int_equal(truncate(lab_path("raw"), 5), 0);
    FAILS(RANGE, "has 5 now", bdr_source_check(src));
    FAILS(STALE, "cut from 10 to 5", bdr_source_read(src, 0, buf, 10));
    FAILS(RANGE, "has 5 now", bdr_source_extents(src, BDR_EXTENTS_ALL, 0, 10, told_put, &told));
    bdr_source_close(src);
}

static void test_open__image_formats__never_raw_by_accident(void **state)
{
    uint8_t head[512] = "QFI\xfb\0\0\0\3";
    struct bdr_source *src = NULL;

    (void)state;
    head[15] = 1; /* the offset of a backing file's name */
    FAILS(INVAL, "names other files; write qcow2:", OPEN(.location = lab_write("linked", head, sizeof(head))));
    head[15] = 0;
    head[79] = 4; /* external data file */
    FAILS(INVAL, "names other files", OPEN(.location = lab_write("linked", head, sizeof(head))));
    FAILS(INVAL, "looks like a vmdk image; write qemu:vmdk:", OPEN(.location = lab_write("vmdk", "KDMV", 4)));
    src = open_ok(lab_write("raw", "KDM", 3));
    bdr_source_close(src);
}

static void test_sniff__heads__formats(void **state)
{
    uint8_t head[104] = "QFI\xfb\0\0\0\2";
    const char *format = NULL;

    (void)state;
    assert_int_equal(source_sniff(head, sizeof(head), &format), SOURCE_MAGIC_QCOW2);
    assert_string_equal(format, "qcow2");
    assert_int_equal(source_sniff(head, 23, &format), SOURCE_MAGIC_RAW);
    head[79] = 4; /* means nothing in version 2 */
    assert_int_equal(source_sniff(head, sizeof(head), &format), SOURCE_MAGIC_QCOW2);
    head[7] = 3;
    assert_int_equal(source_sniff(head, sizeof(head), &format), SOURCE_MAGIC_QCOW2_LINKED);
    head[7] = 9;
    assert_int_equal(source_sniff(head, sizeof(head), &format), SOURCE_MAGIC_RAW);
    assert_int_equal(source_sniff((const uint8_t *)"vhdxfile", 8, &format), SOURCE_MAGIC_OTHER);
    assert_string_equal(format, "vhdx");
    assert_int_equal(source_sniff((const uint8_t *)"", 0, &format), SOURCE_MAGIC_RAW);
}

static void test_open__options_of_another_driver__refused(void **state)
{
    struct bdr_source *src = NULL;

    (void)state;
    FAILS(INVAL, "dirty bitmap belongs to nbd or qcow2", OPEN(.location = "mem:1M", .dirty_bitmap = "b"));
    FAILS(INVAL, "TLS files belong to nbds", OPEN(.location = "mem:1M", .tls_ca = "/ca"));
    FAILS(INVAL, "the size in mem:x", OPEN(.location = "mem:x"));
    FAILS(INVAL, "'colour' is no option", OPEN(.location = "mem:1M,colour=2"));
    FAILS(INVAL, "has no value", OPEN(.location = "mem:1M,seed"));
    FAILS(UNSUPPORTED, "sectors of 1000", OPEN(.location = "mem:1M,sector=1000"));
    assert_null(src);
}

static void test_open__cancelled__nothing_is_opened(void **state)
{
    struct bdr_cancel cancel = {0};
    struct bdr_source *src = NULL;

    (void)state;
    bdr_cancel_set(&cancel);
    FAILS(CANCELLED, "", OPEN(.location = "mem:1M", .cancel = &cancel));
}

static void test_open__changed_extents__work_for_any_driver(void **state)
{
    struct bdr_source *src = NULL;
    struct bdr_source_info info;
    struct told told = {0};

    (void)state;
    lab_write("changed", "4000 1\n0 1\n", 11);
    OK(OPEN(.location = "mem:1M", .changed_extents = lab_path("changed")));
    OK(bdr_source_info(src, &info));
    assert_true(info.has_changes);
    OK(bdr_source_extents(src, BDR_EXTENTS_CHANGED, 0, 1 << 20, told_put, &told));
    assert_string_equal(told.text, "D0+512 D3584+512");
    told = (struct told){0};
    OK(bdr_source_extents(src, BDR_EXTENTS_CHANGED, 512, 3072 + 512, told_put, &told));
    assert_string_equal(told.text, "D3584+512");
    bdr_source_close(src);
    src = NULL;
    lab_write("changed", "0 1\n1048576 1\n", 14);
    FAILS(INVAL, "changed line 2: 1 bytes at 1048576",
          OPEN(.location = "mem:1M", .changed_extents = lab_path("changed")));
    FAILS(NOTFOUND, "reading the changed extents", OPEN(.location = "mem:1M", .changed_extents = "/nowhere"));
    assert_null(src);
}

static void test_identity__long_text__keeps_its_end_and_differs(void **state)
{
    struct bdr_source_info a = {0}, b = {0};
    char text[300];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[299] = 0;
    memcpy(text + 296, "end", 3);
    source_identity(&a, "file:", text);
    text[0] = 'y';
    source_identity(&b, "file:", text);
    assert_int_equal(strlen(a.identity), sizeof(a.identity) - 1);
    assert_string_equal(a.identity + strlen(a.identity) - 4, "xend");
    assert_string_not_equal(a.identity, b.identity);
}

static void test_mem__content__is_for_ever(void **state)
{
    struct bdr_source *src = open_ok("mem:4096T,seed=42,gen=3");
    uint64_t sum = 0;
    uint8_t buf[65536];

    (void)state;
    for (uint64_t cell = 0; cell < 64; cell++) {
        OK(bdr_source_read(src, cell << 36, buf, sizeof(buf)));
        for (size_t i = 0; i < sizeof(buf); i++)
            sum = sum * 31 + buf[i];
    }
    assert_int_equal(sum, 0x9aec5c35774bc678);
    bdr_source_close(src);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open__bad_locations__say_what_to_do),
        cmocka_unit_test(test_open__regular_file__raw_with_identity),
        cmocka_unit_test(test_open__file_changes_size__told),
        cmocka_unit_test(test_open__image_formats__never_raw_by_accident),
        cmocka_unit_test(test_sniff__heads__formats),
        cmocka_unit_test(test_open__options_of_another_driver__refused),
        cmocka_unit_test(test_open__cancelled__nothing_is_opened),
        cmocka_unit_test(test_open__changed_extents__work_for_any_driver),
        cmocka_unit_test(test_identity__long_text__keeps_its_end_and_differs),
        cmocka_unit_test(test_mem__content__is_for_ever),
    };

    return cmocka_run_group_tests_name("source open", tests, lab_setup, lab_teardown);
}
