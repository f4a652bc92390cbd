/* SPDX-License-Identifier: Apache-2.0 */
/* test_points.c - finding points: by id, the newest, beside damaged ones, among many. */
#include "engine.h"
#include "bdr/osfile.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SMALL ((uint64_t)256 << 10)

struct made {
    char id[4][33];
};

/* Three points of host a, then one of host b. */
static struct made points_make(struct engine *e, struct bdr_repo *repo)
{
    const char *img = engine_path(e, "d.img");
    struct made m;

    engine_image(img, SMALL, 1);
    for (uint32_t i = 0; i < 4; i++) {
        struct bdr_backup_result r;

        engine_scribble(img, 0, 4096, 100 + i);
        r = engine_backup(repo, img, i < 3 ? "a" : "b", NULL);
        memcpy(m.id[i], r.point_id, sizeof(m.id[i]));
    }
    return m;
}

static void test_find__newest_of_a_host__without_the_others(void **state)
{
    struct engine *e = *state;
    struct bdr_point_info got;
    struct made m;

    engine_init(e, true, "lz4", 65536);
    BDR_AUTO(repo) struct bdr_repo *repo = engine_open(e);
    m = points_make(e, repo);
    engine_ok(bdr_repo_find(repo, "latest", "a", &got));
    assert_string_equal(got.id, m.id[2]);
    assert_string_equal(got.host, "a");
    assert_int_equal(got.disks, 1);
    assert_int_equal(got.size_bytes, SMALL);
    engine_ok(bdr_repo_find(repo, "latest", "b", &got));
    assert_string_equal(got.id, m.id[3]);
    engine_fails(bdr_repo_find(repo, "latest", NULL, &got), BDR_INVAL);
    engine_fails(bdr_repo_find(repo, "latest", "c", &got), BDR_NOTFOUND);
}

static void test_find__by_the_beginning_of_an_id(void **state)
{
    struct engine *e = *state;
    struct bdr_point_info got;
    struct made m;
    char some[9];

    engine_init(e, false, "lz4", 65536);
    BDR_AUTO(repo) struct bdr_repo *repo = engine_open(e);
    m = points_make(e, repo);
    memcpy(some, m.id[1], 8);
    some[8] = 0;
    engine_ok(bdr_repo_find(repo, some, NULL, &got));
    assert_string_equal(got.id, m.id[1]);
    engine_fails(bdr_repo_find(repo, m.id[1], "b", &got), BDR_NOTFOUND);
    engine_fails(bdr_repo_find(repo, "", NULL, &got), BDR_INVAL); /* all of them begin so */
    engine_fails(bdr_repo_find(repo, "zz", NULL, &got), BDR_NOTFOUND);
}

static void test_find__newest_is_damaged__the_one_before_by_latest_an_error_by_id(void **state)
{
    struct engine *e = *state;
    struct bdr_point_info got;
    struct engine_files files;
    struct made m;
    bool hit = false;

    engine_init(e, false, "lz4", 65536);
    {
        BDR_AUTO(repo) struct bdr_repo *repo = engine_open(e);
        m = points_make(e, repo);
    }
    files = engine_files(e->repo);
    for (size_t i = 0; i < files.n; i++)
        if (!strncmp(files.name[i], "points/", 7) && strstr(files.name[i], m.id[2])) {
            char path[300];
            BDR_AUTO(fd) int fd = -1;

            snprintf(path, sizeof(path), "%s/%s", e->repo, files.name[i]);
            fd = open(path, O_WRONLY);
            assert_int_equal(pwrite(fd, "XXXXXXXX", 8, 40), 8);
            hit = true;
        }
    engine_files_free(&files);
    assert_true(hit);
    {
        char index[120];

        snprintf(index, sizeof(index), "%s/index", e->repo); /* which holds a copy */
        engine_ok(bdr_os_remove_tree(index));
    }
    BDR_AUTO(repo) struct bdr_repo *repo = engine_open(e);
    engine_ok(bdr_repo_find(repo, "latest", "a", &got));
    assert_string_equal(got.id, m.id[1]);
    engine_fails(bdr_repo_find(repo, m.id[2], NULL, &got), BDR_CORRUPT);
}

static void test_list__again__tells_what_was_added_and_removed_meanwhile(void **state)
{
    struct engine *e = *state;
    struct bdr_point_info *all = NULL;
    size_t n = 0;
    struct made m;

    engine_init(e, false, "lz4", 65536);
    BDR_AUTO(repo) struct bdr_repo *repo = engine_open(e);
    BDR_AUTO(repo) struct bdr_repo *other = engine_open(e);
    m = points_make(e, other);
    engine_ok(bdr_repo_points(repo, &all, &n));
    assert_int_equal(n, 4);
    free(all);
    engine_ok(bdr_point_remove(other, m.id[1]));
    engine_backup(other, engine_path(e, "d.img"), "b", NULL);
    json_t *gone = NULL;
    engine_fails(bdr_point_load(repo, m.id[1], &gone), BDR_NOTFOUND); /* by an old listing it is there */
    engine_ok(bdr_repo_points(repo, &all, &n));
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        json_t *point = NULL;

        assert_string_not_equal(all[i].id, m.id[1]);
        engine_ok(bdr_point_read(repo, &all[i], &point));
        assert_string_equal(json_string_value(json_object_get(point, "id")), all[i].id);
        json_decref(point);
    }
    assert_string_equal(all[0].id, m.id[0]);
    assert_string_equal(all[1].id, m.id[2]);
    assert_string_equal(all[2].id, m.id[3]);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_find__newest_of_a_host__without_the_others, engine_setup, engine_teardown),
        cmocka_unit_test_setup_teardown(test_find__by_the_beginning_of_an_id, engine_setup, engine_teardown),
        cmocka_unit_test_setup_teardown(test_find__newest_is_damaged__the_one_before_by_latest_an_error_by_id,
                                        engine_setup, engine_teardown),
        cmocka_unit_test_setup_teardown(test_list__again__tells_what_was_added_and_removed_meanwhile, engine_setup,
                                        engine_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
