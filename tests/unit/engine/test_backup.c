/* SPDX-License-Identifier: Apache-2.0 */
/* test_backup.c - points are what the disk was, whatever the settings; increments cost what changed. */
#include "engine.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1u << 20)

static void roundtrip(void **state, bool encrypt, const char *compress, uint32_t block, uint64_t size)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    struct bdr_backup_result a, b, c;
    struct bdr_repo *repo;

    engine_image(image, size, 7);
    engine_init(e, encrypt, compress, block);
    repo = engine_open(e);
    a = engine_backup(repo, image, "web1", NULL);
    assert_true(a.full);
    engine_same(repo, a.point_id, image);
    b = engine_backup(repo, image, "web1", NULL);
    assert_int_equal(b.new_bytes, 0);
    assert_int_equal(b.changed_bytes, 0);
    assert_int_equal(b.node_bytes, 0);
    engine_scribble(image, size / 2, 5000, 99);
    c = engine_backup(repo, image, "web1", NULL);
    assert_true(c.changed_bytes > 0 && c.changed_bytes <= 2ull * BDR_MAX(block, 65536u));
    engine_same(repo, c.point_id, image);
    bdr_repo_close(repo);
    /* A new process sees the same. */
    repo = engine_open(e);
    engine_same(repo, c.point_id, image);
    assert_false(engine_is_same(repo, b.point_id, image));
    bdr_repo_close(repo);
}

static void test_backup__plain_zstd__restores(void **state)
{
    roundtrip(state, false, "zstd", 65536, 40 * MIB);
}
static void test_backup__encrypted_lz4__restores(void **state)
{
    roundtrip(state, true, "lz4", 131072, 40 * MIB + 4096);
}
static void test_backup__odd_size_none__restores(void **state)
{
    roundtrip(state, false, "none", 65536, 20 * MIB + 777);
}
static void test_backup__one_block__restores(void **state)
{
    roundtrip(state, true, "zstd:3", 4 * MIB, 2 * MIB + 513);
}
static void test_backup__large_blocks__restores(void **state)
{
    roundtrip(state, true, "zstd:-3", 1 * MIB, 300 * MIB);
}

static void changed_file(const char *path, uint64_t off, uint64_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fprintf(f, "%llu %llu\n", (unsigned long long)off, (unsigned long long)len);
    fclose(f);
}

static void test_backup__changed_extents__reads_only_those(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img"), *changed = engine_path(e, "changed");
    struct bdr_backup_result r;
    struct bdr_repo *repo;

    engine_image(image, 300 * MIB, 3);
    engine_init(e, true, "lz4", 65536);
    repo = engine_open(e);
    engine_backup(repo, image, "db", NULL);
    engine_scribble(image, 100 * MIB + 10, 3 * MIB, 5);
    changed_file(changed, 100 * MIB + 10, 3 * MIB);
    r = engine_backup(repo, image, "db", changed);
    assert_false(r.full);
    assert_true(r.audited_blocks > 0);
    assert_int_equal(r.audit_misses, 0);
    assert_true(r.read_bytes < 3 * MIB + 2 * 65536 + r.audited_blocks * 65536 + 1);
    assert_true(r.changed_bytes >= 3 * MIB && r.changed_bytes <= 3 * MIB + 2 * 65536);
    engine_same(repo, r.point_id, image);
    bdr_repo_close(repo);
}

static void test_backup__tracker_misses_a_change__compares_everything(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img"), *changed = engine_path(e, "changed");
    struct bdr_backup_result r;
    struct bdr_repo *repo;

    engine_image(image, 20 * MIB, 3);
    engine_init(e, false, "lz4", 65536);
    repo = engine_open(e);
    engine_backup(repo, image, "db", NULL);
    /* Everything changes, the tracker tells of one sector: any sample must notice. */
    engine_scribble(image, 0, 20 * MIB, 6);
    changed_file(changed, 0, 512);
    r = engine_backup(repo, image, "db", changed);
    assert_true(r.audit_misses > 0);
    assert_true(r.full);
    assert_non_null(strstr(r.reason, "missed a change"));
    engine_same(repo, r.point_id, image);
    bdr_repo_close(repo);
}

static void test_backup__resized_disk__is_a_full_pass(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img"), *changed = engine_path(e, "changed");
    struct bdr_backup_result r;
    struct bdr_repo *repo;

    engine_image(image, 3 * MIB, 3);
    engine_init(e, false, "lz4", 65536);
    repo = engine_open(e);
    engine_backup(repo, image, "db", NULL);
    assert_int_equal(truncate(image, 9 * MIB + 5), 0);
    engine_scribble(image, 8 * MIB, MIB, 6);
    changed_file(changed, 0, 512);
    r = engine_backup(repo, image, "db", changed);
    assert_true(r.full);
    engine_same(repo, r.point_id, image);
    assert_int_equal(truncate(image, MIB), 0);
    r = engine_backup(repo, image, "db", NULL);
    engine_same(repo, r.point_id, image);
    bdr_repo_close(repo);
}

static void test_backup__another_machine_with_the_name__is_refused(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    struct bdr_backup_result r;
    BDR_AUTO(source) struct bdr_source *src = NULL;
    struct bdr_backup_disk disk = {0};
    struct bdr_backup_options opt = {.host = "db", .host_id = "other"};
    struct bdr_repo *repo;

    engine_image(image, 3 * MIB, 3);
    engine_init(e, false, "lz4", 65536);
    repo = engine_open(e);
    engine_backup(repo, image, "db", NULL);
    engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = image}, &src));
    disk.src = src;
    engine_fails(bdr_backup_run(repo, &disk, 1, &opt, &r), BDR_INVAL);
    opt.take_over = true;
    engine_ok(bdr_backup_run(repo, &disk, 1, &opt, &r));
    bdr_repo_close(repo);
}

static void test_backup__unreadable_sectors__are_recorded_and_the_rest_saved(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img"), *want = engine_path(e, "want.img");
    struct bdr_source *src = NULL;
    struct bdr_backup_disk disk = {0};
    struct bdr_backup_result r;
    struct bdr_repo *repo;
    int fd;

    engine_image(image, 3 * MIB, 3);
    engine_image(want, 3 * MIB, 3);
    fd = open(want, O_WRONLY);
    static const uint8_t zeros[1024];
    assert_int_equal(pwrite(fd, zeros, 1024, 1 * MIB + 512), 1024);
    close(fd);
    engine_init(e, false, "lz4", 65536);
    repo = engine_open(e);
    engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = image}, &src));
    engine_ok(bdr_source_wrap_fault(&src, &(struct bdr_fault_plan){.bad_off = 1 * MIB + 512, .bad_len = 1024}));
    disk.src = src;
    engine_ok(bdr_backup_run(repo, &disk, 1,
                             &(struct bdr_backup_options){.host = "old", .host_id = "x"}, &r));
    bdr_source_close(src);
    assert_int_equal(r.unreadable_bytes, 1024);
    assert_int_equal(r.unreadable_ranges, 1);
    engine_same(repo, r.point_id, want);
    bdr_repo_close(repo);
}

static void test_open__wrong_passphrase__is_told(void **state)
{
    struct engine *e = *state;
    const char *wrong = engine_path(e, "wrong");
    struct bdr_repo *repo = NULL;
    FILE *f = fopen(wrong, "w");

    fputs("battery staple\n", f);
    fclose(f);
    engine_init(e, true, NULL, 65536);
    engine_fails(bdr_repo_open(e->repo, &(struct bdr_repo_options){.passphrase_file = wrong}, &repo), BDR_AUTH);
    engine_fails(bdr_repo_open(e->repo, &(struct bdr_repo_options){0}, &repo), BDR_AUTH);
    engine_fails(bdr_repo_open(e->dir, &(struct bdr_repo_options){0}, &repo), BDR_NOTFOUND);
    assert_null(repo);
}

static void test_extent__tells_holes(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    struct bdr_backup_result r;
    struct bdr_disk *disk = NULL;
    struct bdr_repo *repo;
    uint64_t len = 0;
    bool data = true;

    engine_image(image, 0, 3);
    assert_int_equal(truncate(image, 1ll << 40), 0);
    engine_scribble(image, 512ull << 30, 100, 1);
    engine_init(e, false, "lz4", 65536);
    repo = engine_open(e);
    r = engine_backup(repo, image, "db", NULL);
    engine_ok(bdr_disk_open(repo, r.point_id, 0, NULL, &disk));
    engine_ok(bdr_disk_extent(disk, 0, UINT64_MAX, &data, &len));
    assert_false(data);
    assert_int_equal(len, 512ull << 30);
    engine_ok(bdr_disk_extent(disk, 512ull << 30, UINT64_MAX, &data, &len));
    assert_true(data);
    assert_int_equal(len, 65536);
    engine_ok(bdr_disk_extent(disk, (512ull << 30) + 70000, UINT64_MAX, &data, &len));
    assert_false(data);
    assert_int_equal(len, (512ull << 30) - 70000);
    bdr_disk_close(disk);
    bdr_repo_close(repo);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_backup__plain_zstd__restores),
        T(test_backup__encrypted_lz4__restores),
        T(test_backup__odd_size_none__restores),
        T(test_backup__one_block__restores),
        T(test_backup__large_blocks__restores),
        T(test_backup__changed_extents__reads_only_those),
        T(test_backup__tracker_misses_a_change__compares_everything),
        T(test_backup__resized_disk__is_a_full_pass),
        T(test_backup__another_machine_with_the_name__is_refused),
        T(test_backup__unreadable_sectors__are_recorded_and_the_rest_saved),
        T(test_open__wrong_passphrase__is_told),
        T(test_extent__tells_holes),
    };

    return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
