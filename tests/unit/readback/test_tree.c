/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../src/mount/tree.h"
#include "bdr/pool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after setjmp.h, stdarg.h */
#include <cmocka.h>

static char repo_path[] = "/tmp/bdr-tree-XXXXXX";

static void ok(struct bdr_err *err)
{
    char text[1024];

    if (err)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
}

static int write_repo(void **state)
{
    FILE *f = fopen(repo_path, "w");

    (void)state;
    for (int i = 0; f && i < 300; i++)
        fprintf(f, "point %08x%024x host%d %d000 gen:10000000:%d gen:1000:%d\n", i * 2654435761u, i, i % 3, i, i, i);
    return !f || fclose(f);
}

static int make_repo(void **state)
{
    int fd = mkstemp(repo_path);

    return fd < 0 || close(fd) || write_repo(state);
}

static int remove_repo(void **state)
{
    (void)state;
    return unlink(repo_path);
}

static struct mount_node *must_find(struct mount_tree *tree, struct mount_node *dir, const char *name)
{
    struct mount_node *node = NULL;

    ok(mount_tree_lookup(tree, dir, name, &node));
    if (!node)
        fail_msg("no %s", name);
    return node;
}

static void test_safe_name__strange_hosts__become_file_names(void **state)
{
    static const char *const rows[][2] = {{"web1", "web1"}, {"a/b", "a_b"}, {"..", "_"},
                                          {".", "_"},       {"", "_"},      {"x\ny", "x_y"}};
    char out[32];

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        mount_safe_name(rows[i][0], out, sizeof(out));
        assert_string_equal(out, rows[i][1]);
    }
}

static void test_tree__two_mounts__have_the_same_inode_numbers(void **state)
{
    struct bdr_repo *repo = NULL;
    struct mount_tree *a = NULL, *b = NULL;
    struct mount_node *host, *point, *node;
    size_t at = 0, n = 0;

    (void)state;
    ok(bdr_repo_open(repo_path, NULL, &repo));
    ok(mount_tree_new(repo, 0, PARTS_READER, NULL, &a));
    ok(mount_tree_new(repo, 0, PARTS_READER, NULL, &b));
    host = must_find(a, mount_tree_by_ino(a, 1), "host1");
    while ((point = mount_tree_child(a, host, &at))) {
        struct mount_node *other = must_find(b, must_find(b, mount_tree_by_ino(b, 1), "host1"), point->name);

        assert_int_equal(point->ino, other->ino);
        assert_ptr_equal(mount_tree_by_ino(a, point->ino), point);
        n++;
    }
    assert_int_equal(n, 101); /* and `latest` */
    node = must_find(a, host, "latest");
    assert_int_equal(node->kind, MOUNT_LATEST);
    mount_tree_free(a);
    mount_tree_free(b);
    bdr_repo_close(repo);
}

static void test_tree__pruned_point__disappears_and_a_new_one_comes(void **state)
{
    struct bdr_repo *repo = NULL;
    struct mount_tree *tree = NULL;
    struct mount_node *root, *host, *point;
    char *latest, *before;
    size_t at = 0, n = 0;
    FILE *f;

    ok(bdr_repo_open(repo_path, NULL, &repo));
    ok(mount_tree_new(repo, 0, PARTS_READER, NULL, &tree));
    root = mount_tree_by_ino(tree, 1);
    host = must_find(tree, root, "host0");
    before = mount_tree_latest(tree, host);
    f = fopen(repo_path, "w");
    assert_non_null(f);
    fprintf(f, "point ffffffffffffffffffffffffffffffff host0 900000 gen:10000000:1\n");
    assert_int_equal(fclose(f), 0);
    ok(bdr_cancel_sleep(NULL, 2100)); /* how long a list may be old: what is tested here */
    ok(mount_tree_fill(tree, root));
    while ((point = mount_tree_child(tree, host, &at)))
        n++;
    assert_int_equal(n, 2);
    latest = mount_tree_latest(tree, host);
    assert_string_not_equal(latest, before);
    assert_string_equal(latest, "1970-01-01T00:15:00Z-ffffffff");
    at = n = 0;
    while (mount_tree_child(tree, root, &at))
        n++;
    assert_int_equal(n, 1);
    free(latest);
    free(before);
    mount_tree_free(tree);
    bdr_repo_close(repo);
    assert_int_equal(write_repo(state), 0);
}

static struct bdr_err *many_look(void *ctx, unsigned index)
{
    struct mount_tree *tree = ctx;
    struct mount_node *root = mount_tree_by_ino(tree, 1), *host = NULL, *point, *disk = NULL;
    size_t at = 0;
    char name[16];

    snprintf(name, sizeof(name), "host%u", index % 3);
    BDR_TRY(mount_tree_lookup(tree, root, name, &host));
    for (int i = 0; i < 40 && (point = mount_tree_child(tree, host, &at)); i++) {
        struct bdr_disk *d = NULL;

        if (point->kind != MOUNT_POINT)
            continue;
        BDR_TRY(mount_tree_lookup(tree, point, "disk0.raw", &disk));
        BDR_ASSERT(disk && disk->size_bytes == 10000000);
        BDR_TRY(mount_tree_get_disk(tree, disk, &d));
        mount_tree_put_disk(tree, disk);
    }
    return NULL;
}

static void test_tree__many_threads__see_whole_points(void **state)
{
    struct bdr_repo *repo = NULL;
    struct mount_tree *tree = NULL;
    struct bdr_pool *pool = NULL;

    (void)state;
    ok(bdr_repo_open(repo_path, NULL, &repo));
    ok(mount_tree_new(repo, 0, PARTS_READER, NULL, &tree));
    ok(bdr_pool_start("look", 8, many_look, tree, NULL, &pool));
    ok(bdr_pool_join(pool));
    mount_tree_free(tree);
    bdr_repo_close(repo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_name__strange_hosts__become_file_names),
        cmocka_unit_test(test_tree__two_mounts__have_the_same_inode_numbers),
        cmocka_unit_test(test_tree__many_threads__see_whole_points),
        cmocka_unit_test(test_tree__pruned_point__disappears_and_a_new_one_comes),
    };

    return cmocka_run_group_tests(tests, make_repo, remove_repo);
}
