/* SPDX-License-Identifier: Apache-2.0 */
/* What lies on the disks, of this machine: loop devices as disks, real file systems on them. */
#include "bdr/osfile.h"
#include "lab.h"
#include "volumes_priv.h"
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const struct bdr_volume_fs *fs_at(const struct bdr_volumes *v, const char *mount)
{
    for (size_t i = 0; i < v->fs_n; i++)
        if (!strcmp(v->fs[i].mount, mount))
            return &v->fs[i];
    return NULL;
}

static void test_scan__stack__deepest_first(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    struct lab_fs low, high;
    const char *disks[1] = {low.dev};

    (void)state;
    LAB_OR_SKIP("test_scan__stack__deepest_first", "ext4");
    lab_make(&low, "low", NULL, "ext4", 64);
    lab_make(&high, "high", low.mount, "ext4", 16);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 2);
    assert_string_equal(v->fs[0].mount, high.mount);
    assert_string_equal(v->fs[0].device, high.dev);
    assert_string_equal(v->fs[0].type, "ext4");
    assert_string_equal(v->fs[1].mount, low.mount);
    assert_true(v->fs[0].depth > v->fs[1].depth);
    assert_true(bdr_volume_on(&v->fs[0], 0) && bdr_volume_on(&v->fs[1], 0));
    assert_false(v->fs[0].outside || v->fs[1].outside || v->fs[0].read_only);
    lab_unmake(&high);
    lab_unmake(&low);
}

static void test_scan__bind_mounts__counted_once(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    char bind[PATH_MAX], escaped[PATH_MAX];
    struct lab_fs fs;
    const char *disks[1] = {fs.dev};

    (void)state;
    LAB_OR_SKIP("test_scan__bind_mounts__counted_once", "ext4");
    lab_make(&fs, "a-long-name", NULL, "ext4", 16);
    snprintf(bind, sizeof(bind), "%s/b", lab_dir);
    snprintf(escaped, sizeof(escaped), "%s/b c\td", lab_dir);
    OK(bdr_os_mkdirs(bind));
    OK(bdr_os_mkdirs(escaped));
    assert_int_equal(mount(fs.mount, escaped, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(fs.mount, bind, NULL, MS_BIND, NULL), 0);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 1);
    assert_string_equal(v->fs[0].mount, bind);
    assert_int_equal(umount(bind), 0);
    bdr_volumes_free(BDR_STEAL(v));
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 1);
    assert_string_equal(v->fs[0].mount, escaped);
    assert_int_equal(umount(escaped), 0);
    lab_unmake(&fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan__stack__deepest_first),
        cmocka_unit_test(test_scan__bind_mounts__counted_once),
    };

    (void)fs_at;
    return cmocka_run_group_tests_name("os volumes", tests, lab_open, lab_close);
}
