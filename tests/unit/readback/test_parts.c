/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_parts.c - partition tables are read in a process that has no rights; whatever it does, who started it goes on.
 */
#include "../../../src/mount/parts.h"
#include "../../../src/mount/tree.h"
#include "bdr/clock.h"
#include "bdr/disk.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* after setjmp.h, stdarg.h */
#include <cmocka.h>

#define DISK_BYTES (8u << 20)

struct lab {
    char image[64], repo[64];
};

static int setup(void **state)
{
    static struct lab lab;
    FILE *f;
    int fd;

    snprintf(lab.image, sizeof(lab.image), "/tmp/bdr-parts-image-XXXXXX");
    snprintf(lab.repo, sizeof(lab.repo), "/tmp/bdr-parts-repo-XXXXXX");
    fd = mkstemp(lab.image);
    if (fd < 0 || ftruncate(fd, DISK_BYTES) || close(fd) || (fd = mkstemp(lab.repo)) < 0 || !(f = fdopen(fd, "w")))
        return -1;
    fprintf(f, "point 0123456789abcdef0123456789abcdef host 1000 file:%s\n", lab.image);
    *state = &lab;
    return fclose(f);
}

static int teardown(void **state)
{
    struct lab *lab = *state;

    unlink(lab->image);
    return unlink(lab->repo);
}

static void put(const struct lab *lab, uint64_t off, const void *data, size_t len)
{
    int fd = open(lab->image, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, (off_t)off), len);
    close(fd);
}

static struct bdr_err *look(const struct lab *lab, const char *reader, struct mount_part **out, size_t *out_n)
{
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;

    BDR_TRY(bdr_repo_open(lab->repo, NULL, &repo));
    BDR_TRY(bdr_disk_open(repo, "0123456789abcdef0123456789abcdef", 0, NULL, &disk));
    return mount_parts_read(disk, reader, out, out_n);
}

static void ok(struct bdr_err *err)
{
    char text[1024];

    if (err)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
}

/* The reader does as the disk's first byte says; this must be what comes of it. */
static void refused(const struct lab *lab, const char *what, const char *why)
{
    uint64_t from = bdr_clock_mono_ms();
    struct mount_part *parts = NULL;
    size_t n = 0;
    char text[1024];
    struct bdr_err *err;

    put(lab, 0, what, 1);
    err = look(lab, BAD_READER, &parts, &n);
    if (!err)
        fail_msg("%s: no error", what);
    assert_int_equal(err->code, BDR_CORRUPT);
    if (!strstr(bdr_err_text(err, text, sizeof(text)), why))
        fail_msg("%s: %s", what, text);
    bdr_err_free(err);
    assert_null(parts);
    assert_true(bdr_clock_mono_ms() - from < 9000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left behind */
}

static void test_parts__reader_crashes__is_told(void **state)
{
    refused(*state, "c", "status 139");
    refused(*state, "e", "status 0");
}
static void test_parts__reader_hangs__is_killed_in_time(void **state)
{
    refused(*state, "h", "did not come to an end");
}
static void test_parts__reader_asks_for_too_much__gets_nothing(void **state)
{
    refused(*state, "b", "nonsense");
    refused(*state, "a", "nonsense");
    refused(*state, "r", "nonsense");
}
static void test_parts__reader_talks_nonsense__is_told(void **state)
{
    refused(*state, "n", "nonsense");
    refused(*state, "t", "nonsense");
}

static void test_parts__reader_lies__only_what_can_be_is_taken(void **state)
{
    struct mount_part *parts = NULL;
    size_t n = 0;

    put(*state, 0, "l", 1);
    ok(look(*state, BAD_READER, &parts, &n));
    assert_int_equal(n, 1);
    assert_int_equal(parts[0].number, 4);
    assert_memory_equal(parts[0].name, "a?b?[2J", 7);
    assert_true(strlen(parts[0].name) < sizeof(parts[0].name));
    assert_true(strlen(parts[0].type) < sizeof(parts[0].type));
    free(parts);
}

static void test_parts__reader_looks_around__it_has_nothing(void **state)
{
    struct mount_part *parts = NULL;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    size_t n = 0;

    setenv("BDR_PASSPHRASE_FILE", "/etc/secret", 1);
    put(*state, 0, "i", 1);
    ok(look(*state, BAD_READER, &parts, &n));
    unsetenv("BDR_PASSPHRASE_FILE");
    assert_int_equal(n, 1);
    free(parts);
    close(fd);
}

static void test_parts__no_reader_installed__is_told(void **state)
{
    struct mount_part *parts = NULL;
    size_t n = 0;
    struct bdr_err *err = look(*state, NULL, &parts, &n); /* beside this test there is none */

    assert_non_null(err);
    assert_int_equal(err->code, BDR_NOTFOUND);
    bdr_err_free(err);
}

/* The mount's tree with a reader that hangs: the disk is there, only its partitions are not. */
static void test_tree__reader_fails__the_disk_is_there_without_partitions(void **state)
{
    const struct lab *lab = *state;
    struct bdr_repo *repo = NULL;
    struct mount_tree *tree = NULL;
    struct mount_node *node = NULL, *host = NULL, *point, *disk = NULL;
    size_t at = 0;

    put(lab, 0, "c", 1);
    ok(bdr_repo_open(lab->repo, NULL, &repo));
    ok(mount_tree_new(repo, 0, BAD_READER, NULL, &tree));
    ok(mount_tree_lookup(tree, mount_tree_by_ino(tree, 1), "host", &host));
    while ((point = mount_tree_child(tree, host, &at)) && point->kind != MOUNT_POINT)
        ;
    ok(mount_tree_lookup(tree, point, "disk0.raw", &disk));
    assert_non_null(disk);
    ok(mount_tree_lookup(tree, point, "disk0.p1", &node));
    assert_null(node);
    ok(mount_tree_lookup(tree, point, "point.json", &node));
    assert_non_null(node);
    assert_non_null(strstr(node->text, "ended with status 139"));
    mount_tree_free(tree);
    bdr_repo_close(repo);
}

/* ---- the real reader ---- */

static void mbr_entry(uint8_t *e, uint8_t type, uint32_t start, uint32_t sectors)
{
    memset(e, 0, 16);
    e[4] = type;
    for (int i = 0; i < 4; i++) {
        e[8 + i] = (uint8_t)(start >> (8 * i));
        e[12 + i] = (uint8_t)(sectors >> (8 * i));
    }
}

static void mbr(const struct lab *lab)
{
    uint8_t s[512] = {0};

    s[510] = 0x55;
    s[511] = 0xaa;
    mbr_entry(s + 446, 0x83, 2048, 4096);
    mbr_entry(s + 462, 0x05, 8000, 8000);
    put(lab, 0, s, sizeof(s));
    memset(s, 0, 510);
    mbr_entry(s + 446, 0x83, 100, 500);
    mbr_entry(s + 462, 0x05, 1000, 1000);
    put(lab, 8000 * 512, s, sizeof(s));
    mbr_entry(s + 446, 0x82, 50, 60);
    memset(s + 462, 0, 16);
    put(lab, 9000 * 512, s, sizeof(s));
}

static void test_reader__mbr_with_logical_partitions__finds_all(void **state)
{
    struct mount_part *parts = NULL;
    size_t n = 0;

    mbr(*state);
    ok(look(*state, PARTS_READER, &parts, &n));
    assert_int_equal(n, 3);
    assert_int_equal(parts[0].number, 1);
    assert_int_equal(parts[0].off, 2048 * 512);
    assert_int_equal(parts[0].len, 4096 * 512);
    assert_string_equal(parts[0].type, "0x83");
    assert_int_equal(parts[1].number, 5);
    assert_int_equal(parts[1].off, 8100 * 512);
    assert_int_equal(parts[2].number, 6);
    assert_int_equal(parts[2].off, 9050 * 512);
    free(parts);
}

/* Tables of every kind libblkid knows by its magic, then with random bytes: an answer, or a plain error, always soon.
 */
static void test_reader__fuzzed_tables__never_hurt(void **state)
{
    static const struct {
        uint64_t off;
        const char *magic;
    } kinds[] = {{0, ""},     {512, "EFI PART"}, {0, "\xeb\x3c\x90"}, {0, "ER"},
                 {512, "PM"}, {508, "\xda\xbe"}, {512, "WEV\x82"},    {0, "\x0b\xe5\xa9\x41"},
                 {0, "RDSK"}, {1024, "BSD"},     {3584, "SUN"},       {0, "\xc9\xc2\xd4\xc1"}};
    uint64_t r = 88172645463325252u;
    unsigned failed = 0, found = 0;

    for (unsigned i = 0; i < 120; i++) {
        struct mount_part *parts = NULL;
        uint8_t junk[64];
        size_t n = 0;
        struct bdr_err *err;

        if (i % 3 == 0)
            mbr(*state);
        put(*state, kinds[i % BDR_COUNT(kinds)].off, kinds[i % BDR_COUNT(kinds)].magic,
            strlen(kinds[i % BDR_COUNT(kinds)].magic));
        for (unsigned k = 0; k < 1 + i % 7; k++) {
            static const uint64_t places[] = {
                0, 512, 1024, 4096, 8000 * 512, 9000 * 512, DISK_BYTES - 16896, DISK_BYTES - 512};
            size_t len;

            r ^= r << 13, r ^= r >> 7, r ^= r << 17;
            for (size_t j = 0; j < sizeof(junk); j++)
                junk[j] = (uint8_t)(r >> (j % 57));
            len = 1 + r % 16;
            put(*state, places[r / 16 % BDR_COUNT(places)] + r / 256 % (512 - len), junk, len);
        }
        put(*state, 510, "\x55\xaa", 2);
        err = look(*state, PARTS_READER, &parts, &n);
        failed += err != NULL;
        if (err)
            assert_int_equal(err->code, BDR_CORRUPT);
        bdr_err_free(err);
        for (size_t k = 0; k < n; k++)
            assert_true(parts[k].off <= DISK_BYTES && parts[k].len <= DISK_BYTES - parts[k].off);
        found += n > 0;
        free(parts);
    }
    print_message("120 tables: partitions in %u, %u readers ended badly\n", found, failed);
    assert_true(found > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parts__reader_crashes__is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts__reader_hangs__is_killed_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts__reader_asks_for_too_much__gets_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts__reader_talks_nonsense__is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts__reader_lies__only_what_can_be_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts__reader_looks_around__it_has_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts__no_reader_installed__is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tree__reader_fails__the_disk_is_there_without_partitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reader__mbr_with_logical_partitions__finds_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reader__fuzzed_tables__never_hurt, setup, teardown),
    };

    return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
