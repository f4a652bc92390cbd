/* SPDX-License-Identifier: Apache-2.0 */
/* What only a folder has: a full disk, a read-only one, files that others changed, leftovers with strange names. */
#include "bdr/store.h"
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

static char root[64];
static uint8_t big[4 * MIB];

static int fresh(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/bdr-fs-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static void fails(struct bdr_err *err, enum bdr_code code, const char *has)
{
    char text[1024] = "success";

    if (err)
        bdr_err_text(err, text, sizeof(text));
    if (!err || err->code != code || !strstr(text, has))
        fail_msg("wanted %s with '%s', got: %s", bdr_code_name(code), has, text);
    bdr_err_free(err);
}

static struct bdr_err *count(void *ctx, const char *key, uint64_t size_bytes)
{
    (void)key;
    (void)size_bytes;
    ++*(unsigned *)ctx;
    return NULL;
}

static bool write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return ok;
}

/* Mounts that nobody else sees; as root in a namespace when we are not root. */
static bool own_mounts(void)
{
    char users[32], groups[32];

    snprintf(users, sizeof(users), "0 %u 1", geteuid());
    snprintf(groups, sizeof(groups), "0 %u 1", getegid());
    if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS))
        return false;
    if (strcmp(users, "0 0 1") &&
        (!write_to("/proc/self/uid_map", users) || !write_to("/proc/self/setgroups", "deny") ||
         !write_to("/proc/self/gid_map", groups)))
        return false;
    return !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* In a child with a mount of its own: 1 MiB of disk, full, then read-only. Exits 0, 77, or by an assertion. */
static void small_disk(void)
{
    struct bdr_store *st = NULL;
    struct bdr_store_writer *w = NULL;
    struct bdr_err *err;
    uint64_t swept = 9;
    unsigned n = 0;

    if (!own_mounts() || mount("none", root, "tmpfs", 0, "size=1m,mode=700"))
        _exit(77);
    assert_null(bdr_store_open(root, NULL, &st));
    assert_null(bdr_store_put(st, "a/small", big, 1000, BDR_PUT_EXCL));
    fails(bdr_store_put(st, "a/big", big, sizeof(big), BDR_PUT_EXCL), BDR_NOSPACE, root);
    assert_null(bdr_store_writer_begin(st, "a/big", &w));
    for (err = NULL; !err;)
        err = bdr_store_writer_append(w, big, 65536);
    fails(err, BDR_NOSPACE, "a/big");
    bdr_store_writer_abandon(w);
    assert_null(bdr_store_sweep(st, 0, &swept));
    assert_true(swept == 0);
    assert_null(bdr_store_list(st, "", count, &n));
    assert_int_equal(n, 1);
    assert_null(bdr_store_put(st, "a/other", big, 1000, BDR_PUT_EXCL));
    if (mount("none", root, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=1m"))
        _exit(77);
    fails(bdr_store_put(st, "b", big, 1, BDR_PUT_EXCL), BDR_READONLY, root);
    fails(bdr_store_remove(st, "a/small"), BDR_READONLY, root);
    bdr_store_close(st);
    _exit(0);
}

static void test_put__disk_full_or_read_only__says_so_and_leaves_nothing(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    if (!pid)
        small_disk();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* no namespaces for this user */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_get__replaced_behind_our_back__gives_the_new_bytes(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = NULL, *other = NULL;
    char buf[8], path[128], link_path[128];
    size_t n = 0;

    (void)state;
    assert_null(bdr_store_open(root, NULL, &st));
    assert_null(bdr_store_open(root, NULL, &other));
    assert_null(bdr_store_put(st, "k", "old", 3, BDR_PUT_REPLACE));
    snprintf(path, sizeof(path), "%s/k", root);
    snprintf(link_path, sizeof(link_path), "%s/.copy", root);
    assert_int_equal(link(path, link_path), 0); /* a copy made of hard links keeps the old file alive */
    assert_null(bdr_store_get(st, "k", 0, buf, sizeof(buf), &n));
    assert_null(bdr_store_put(other, "k", "newer", 5, BDR_PUT_REPLACE));
    assert_null(bdr_store_get(st, "k", 0, buf, sizeof(buf), &n));
    assert_int_equal(n, 5);
    assert_null(bdr_store_remove(other, "k"));
    fails(bdr_store_get(st, "k", 0, buf, sizeof(buf), &n), BDR_NOTFOUND, "k");
}

static void test_put__folder_vanished__is_made_again(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = NULL;
    char path[128];

    (void)state;
    assert_null(bdr_store_open(root, NULL, &st));
    assert_null(bdr_store_put(st, "d/e/k", "1", 1, BDR_PUT_REPLACE));
    assert_null(bdr_store_remove(st, "d/e/k"));
    snprintf(path, sizeof(path), "%s/d/e", root);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof(path), "%s/d", root);
    assert_int_equal(rmdir(path), 0);
    assert_null(bdr_store_put(st, "d/e/k", "2", 1, BDR_PUT_EXCL));
}

static void test_list__names_that_are_no_keys__are_left_out(void **state)
{
    static const char *const names[] = {"UPPER", ".hidden", "with space", "lost+found"};
    BDR_AUTO(store) struct bdr_store *st = NULL;
    unsigned n = 0;

    (void)state;
    assert_null(bdr_store_open(root, NULL, &st));
    assert_null(bdr_store_put(st, "k", "1", 1, BDR_PUT_REPLACE));
    for (size_t i = 0; i < BDR_COUNT(names); i++) {
        char path[128];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", root, names[i]);
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_null(bdr_store_list(st, "", count, &n));
    assert_int_equal(n, 1);
}

static void test_put__key_below_an_object__is_inval(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = NULL;

    (void)state;
    assert_null(bdr_store_open(root, NULL, &st));
    assert_null(bdr_store_put(st, "k", "1", 1, BDR_PUT_REPLACE));
    fails(bdr_store_put(st, "k/l", "1", 1, BDR_PUT_REPLACE), BDR_INVAL, "both a folder and an object");
    assert_null(bdr_store_put(st, "m/n", "1", 1, BDR_PUT_REPLACE));
    fails(bdr_store_put(st, "m", "1", 1, BDR_PUT_REPLACE), BDR_INVAL, "both a folder and an object");
}

static void test_open__no_folder__is_notfound_unless_create(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = NULL;
    struct stat sb;
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/a/b/", root);
    fails(bdr_store_open(path, NULL, &st), BDR_NOTFOUND, "a/b");
    assert_null(bdr_store_open(path, &(struct bdr_store_options){.create = true}, &st));
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0700);
    assert_non_null(bdr_store_path(st));
    fails(bdr_store_open("ftp://x", NULL, &st), BDR_INVAL, "s3://bucket/prefix");
    fails(bdr_store_open("/dev/null", NULL, &st), BDR_INVAL, "not a folder");
}

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static int clean(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put__disk_full_or_read_only__says_so_and_leaves_nothing, fresh, clean),
        cmocka_unit_test_setup_teardown(test_get__replaced_behind_our_back__gives_the_new_bytes, fresh, clean),
        cmocka_unit_test_setup_teardown(test_put__folder_vanished__is_made_again, fresh, clean),
        cmocka_unit_test_setup_teardown(test_list__names_that_are_no_keys__are_left_out, fresh, clean),
        cmocka_unit_test_setup_teardown(test_put__key_below_an_object__is_inval, fresh, clean),
        cmocka_unit_test_setup_teardown(test_open__no_folder__is_notfound_unless_create, fresh, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
