/* SPDX-License-Identifier: Apache-2.0 */
/* Backups through a gateway restore as local ones do. */
#include "bed.h"
#include "bdr/bytes.h"
#include "bdr/jsonset.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

/* Backs `image` up to a local repository of the same kind and compares roots: the same bytes, the same maps. */
static void same_as_local(struct bed *b, const char *point, const char *image, bool encrypt)
{
    struct bdr_repo *repo = bed_repo(b);
    struct bdr_backup_result local;
    json_t *a = NULL, *c = NULL;

    local = engine_backup(repo, image, "local", NULL);
    engine_ok(bdr_point_load(repo, point, &a));
    engine_ok(bdr_point_load(repo, local.point_id, &c));
    const json_t *da = json_array_get(json_object_get(a, "disks"), 0), *dc = json_array_get(json_object_get(c, "disks"), 0);
    assert_string_equal(json_string_value(json_object_get(da, "root")), json_string_value(json_object_get(dc, "root")));
    assert_int_equal(local.new_bytes, 0); /* what the gateway stored is what a local backup stores */
    (void)encrypt;
    json_decref(a);
    json_decref(c);
    bdr_repo_close(repo);
}

static void full_and_increments(struct bed *b, bool encrypt, const char *compress, uint32_t block)
{
    const uint64_t size = 24 * MIB + 4096 * 3; /* a short last block */
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_backup_result r;

    engine_image(image, size, 7);
    bed_start(b, encrypt, compress, block);
    r = bed_backup(b, 1, image, NULL);
    assert_true(r.full);
    assert_true(r.new_bytes > 4 * MIB);
    assert_true(r.stored_bytes > 0 && r.stored_bytes <= r.new_bytes);
    bed_same(b, r.point_id, image);
    same_as_local(b, r.point_id, image, encrypt);

    /* Nothing changed: nothing is sent. */
    r = bed_backup(b, 1, image, NULL);
    assert_int_equal(r.new_bytes, 0);
    assert_int_equal(r.changed_bytes, 0);
    assert_true(r.sent_bytes < 64 * 1024);
    bed_same(b, r.point_id, image);

    /* A few changes, found by comparing. */
    engine_scribble(image, 3 * MIB + 17, 100, 1);
    engine_scribble(image, size - 50, 50, 2);
    r = bed_backup(b, 1, image, NULL);
    assert_true(r.new_bytes > 0 && r.new_bytes <= 3 * (uint64_t)block);
    bed_same(b, r.point_id, image);
    free(image);
}

static void test_backup__zstd__as_local(void **state)
{
    full_and_increments(*state, false, "zstd", 65536);
}
static void test_backup__encrypted_lz4__as_local(void **state)
{
    full_and_increments(*state, true, "lz4", 262144);
}
static void test_backup__plain_large_blocks__as_local(void **state)
{
    full_and_increments(*state, false, "none", 1u << 20);
}

static void changes_write(struct bed *b, const char *text)
{
    FILE *f = fopen(bed_file(b, "changed"), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_backup__delta__reads_only_changes(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img")), *changed = strdup(bed_file(b, "changed"));
    struct bdr_backup_result r;
    int fd;

    engine_image(image, 64 * MIB, 3);
    bed_start(b, false, "zstd", 65536);
    bed_backup(b, 1, image, NULL);
    engine_scribble(image, 10 * MIB, 200000, 5);
    changes_write(b, "10485760 200000\n");
    r = bed_backup(b, 1, image, changed);
    assert_false(r.full);
    assert_true(r.read_bytes < 4 * MIB);
    assert_true(r.audited_blocks > 0);
    bed_same(b, r.point_id, image);

    /* A whole range becomes zero. */
    fd = open(image, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * (off_t)MIB, 9 * (off_t)MIB), 0);
    close(fd);
    changes_write(b, "4194304 9437184\n");
    r = bed_backup(b, 1, image, changed);
    assert_false(r.full);
    bed_same(b, r.point_id, image);

    /* A list that lies is found out and all is compared. */
    engine_scribble(image, 0, 64 * MIB, 77);
    changes_write(b, "0 65536\n");
    r = bed_backup(b, 1, image, changed);
    assert_true(r.full);
    assert_true(r.audit_misses > 0);
    bed_same(b, r.point_id, image);
    free(image);
    free(changed);
}

static void test_backup__zeros_and_growth__as_they_are(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_backup_result r;

    bed_start(b, false, "zstd", 65536);
    assert_int_equal(close(open(image, O_CREAT | O_RDWR, 0600)), 0);
    assert_int_equal(truncate(image, 300 * (off_t)MIB), 0);
    r = bed_backup(b, 1, image, NULL); /* nothing but zeros: no root */
    assert_int_equal(r.new_bytes, 0);
    bed_same(b, r.point_id, image);
    engine_scribble(image, 299 * MIB, 1000, 1);
    r = bed_backup(b, 1, image, NULL);
    bed_same(b, r.point_id, image);
    assert_int_equal(truncate(image, 700 * (off_t)MIB), 0); /* more levels than the base has */
    engine_scribble(image, 650 * MIB, 5 * MIB, 9);
    r = bed_backup(b, 1, image, NULL);
    bed_same(b, r.point_id, image);
    free(image);
}

static void test_backup__manifest__says_what_the_gateway_knows(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_backup_result r;
    struct bdr_repo *repo;
    json_t *m = NULL;

    engine_image(image, 4 * MIB, 3);
    bed_start(b, false, "zstd", 65536);
    r = bed_backup(b, 1, image, NULL);
    repo = bed_repo(b);
    engine_ok(bdr_point_load(repo, r.point_id, &m));
    assert_string_equal(json_string_value(json_object_get(m, "host")), "host1");
    assert_string_equal(json_string_value(json_object_get(m, "host_id")), "id1");
    assert_string_equal(json_string_value(json_object_get(m, "machine")), "m1");
    assert_int_equal(json_integer_value(json_object_get(m, "host_number")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(m, "stats"), "new_bytes")), r.new_bytes);
    json_decref(m);
    engine_verify_clean(repo);
    bdr_repo_close(repo);
    free(image);
}

static void test_possession__what_another_host_has__is_sent_once_more_and_stored_once(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_backup_result first, second;
    uint64_t before;

    engine_image(image, 16 * MIB, 11);
    bed_start(b, false, "zstd", 65536);
    first = bed_backup(b, 1, image, NULL);
    before = engine_bytes_of(b->e->repo);
    second = bed_backup(b, 2, image, NULL);
    assert_true(second.sent_bytes > first.sent_bytes / 2); /* saying "I have it" is not enough */
    assert_true(engine_bytes_of(b->e->repo) < before + MIB / 2);
    assert_int_equal(second.stored_bytes, 0);
    bed_same(b, second.point_id, image);
    free(image);
}

static void test_possession__table_is_lost__points_say_it_again(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_backup_result r;

    engine_image(image, 16 * MIB, 11);
    bed_start(b, false, "zstd", 65536);
    bed_backup(b, 1, image, NULL);
    engine_scribble(image, 0, 100, 1);
    bed_backup(b, 1, image, NULL);
    bed_down(b);
    engine_remove(bed_file(b, "state/owners-1"));
    bed_up(b);
    r = bed_backup(b, 1, image, NULL);
    assert_int_equal(r.new_bytes, 0);
    assert_true(r.sent_bytes < 64 * 1024);
    bed_same(b, r.point_id, image);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_backup__zstd__as_local, bed_setup, bed_teardown),
        cmocka_unit_test_setup_teardown(test_backup__encrypted_lz4__as_local, bed_setup, bed_teardown),
        cmocka_unit_test_setup_teardown(test_backup__plain_large_blocks__as_local, bed_setup, bed_teardown),
        cmocka_unit_test_setup_teardown(test_backup__delta__reads_only_changes, bed_setup, bed_teardown),
        cmocka_unit_test_setup_teardown(test_backup__zeros_and_growth__as_they_are, bed_setup, bed_teardown),
        cmocka_unit_test_setup_teardown(test_backup__manifest__says_what_the_gateway_knows, bed_setup, bed_teardown),
        cmocka_unit_test_setup_teardown(test_possession__what_another_host_has__is_sent_once_more_and_stored_once,
                                        bed_setup, bed_teardown),
        cmocka_unit_test_setup_teardown(test_possession__table_is_lost__points_say_it_again, bed_setup, bed_teardown),
    };

    return cmocka_run_group_tests_name("gateway-backup", tests, NULL, NULL);
}
