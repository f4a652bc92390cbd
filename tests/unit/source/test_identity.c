/* SPDX-License-Identifier: Apache-2.0 */
/* The names of block devices, from a /sys and a /run/udev/data of our own making. */
#include "bdr/osfile.h"
#include "blockdev/identity.h"
#include "util.h"
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>

static char root[] = "/tmp/bdr-identity-XXXXXX";

static int tree_setup(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int tree_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static int tree_teardown(void **state)
{
    (void)state;
    return nftw(root, tree_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void tree_put(const char *name, const char *text)
{
    char path[PATH_MAX];
    BDR_AUTO(fd) int fd = -1;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    *strrchr(path, '/') = 0;
    OK(bdr_os_mkdirs(path));
    path[strlen(path)] = '/';
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    OK(bdr_os_write(fd, path, text, strlen(text)));
}

/* A device at devices/NAME with its number's link; NAME "sda/sda1" is a partition. */
static void tree_device(const char *name, unsigned major, unsigned minor)
{
    char path[PATH_MAX], to[PATH_MAX], number[32];

    snprintf(path, sizeof(path), "devices/%s/dev", name);
    snprintf(number, sizeof(number), "%u:%u\n", major, minor);
    tree_put(path, number);
    tree_put("dev/block/.keep", "");
    snprintf(path, sizeof(path), "%s/dev/block/%u:%u", root, major, minor);
    snprintf(to, sizeof(to), "../../devices/%s", name);
    assert_int_equal(symlink(to, path), 0);
}

static void named(unsigned major, unsigned minor, const char *want)
{
    struct bdr_source_info info = {0};
    char udev[PATH_MAX];

    snprintf(udev, sizeof(udev), "%s/udev", root);
    blockdev_identity(root, udev, major, minor, "/dev/x", &info);
    assert_string_equal(info.identity, want);
}

static void test_identity__nothing_known__path(void **state)
{
    (void)state;
    named(1, 1, "blockdev:/dev/x");
    tree_device("bare", 1, 2);
    named(1, 2, "blockdev:/dev/x");
}

static void test_identity__disk__wwid_before_serial_before_udev(void **state)
{
    (void)state;
    tree_device("sda", 8, 0);
    tree_put("udev/b8:0", "S:disk/by-id/x\nE:ID_SERIAL=udev-serial\n");
    named(8, 0, "disk:udev-serial");
    tree_put("devices/sda/device/serial", "  S123 \n");
    named(8, 0, "disk:S123");
    tree_put("devices/sda/device/wwid", "naa.5000c500\n");
    named(8, 0, "disk:naa.5000c500");
}

static void test_identity__placeholders__not_taken(void **state)
{
    (void)state;
    tree_device("vda", 254, 0);
    tree_put("devices/vda/serial", "\n");
    tree_put("devices/vda/wwid", "0000000000000000\n");
    tree_put("devices/vda/device/serial", "None\n");
    named(254, 0, "blockdev:/dev/x");
}

static void test_identity__mapped_and_loop__their_own(void **state)
{
    (void)state;
    tree_device("dm-0", 253, 0);
    tree_put("devices/dm-0/dm/uuid", "LVM-abc\n");
    named(253, 0, "dm:LVM-abc");
    tree_device("loop0", 7, 0);
    tree_put("devices/loop0/loop/backing_file", "/a/disk.img\n");
    named(7, 0, "loop:/a/disk.img");
}

static void test_identity__partition__uuid_else_number_of_its_disk(void **state)
{
    (void)state;
    tree_device("sdb", 8, 16);
    tree_device("sdb/sdb2", 8, 18);
    tree_put("devices/sdb/sdb2/partition", "2\n");
    named(8, 18, "blockdev:/dev/x");
    tree_put("devices/sdb/device/wwid", "naa.6\n");
    named(8, 18, "disk:naa.6-part2");
    named(8, 16, "disk:naa.6");
    tree_put("devices/sdb/sdb2/uevent", "MAJOR=8\nPARTN=2\nPARTUUID=0aaa-02\n");
    named(8, 18, "partuuid:0aaa-02");
    tree_put("udev/b8:18", "E:ID_PART_ENTRY_UUID=beef-02\n");
    named(8, 18, "partuuid:beef-02");
}

static void test_rotational__disk_and_partition__as_the_kernel_says(void **state)
{
    (void)state;
    tree_device("sdc", 8, 32);
    tree_device("sdc/sdc1", 8, 33);
    assert_false(blockdev_rotational(root, 8, 33));
    tree_put("devices/sdc/queue/rotational", "1\n");
    assert_true(blockdev_rotational(root, 8, 32));
    assert_true(blockdev_rotational(root, 8, 33));
    tree_put("devices/sdc/queue/rotational", "0\n");
    assert_false(blockdev_rotational(root, 8, 32));
    assert_false(blockdev_rotational(root, 99, 99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity__nothing_known__path),
        cmocka_unit_test(test_identity__disk__wwid_before_serial_before_udev),
        cmocka_unit_test(test_identity__placeholders__not_taken),
        cmocka_unit_test(test_identity__mapped_and_loop__their_own),
        cmocka_unit_test(test_identity__partition__uuid_else_number_of_its_disk),
        cmocka_unit_test(test_rotational__disk_and_partition__as_the_kernel_says),
    };

    return cmocka_run_group_tests_name("source identity", tests, tree_setup, tree_teardown);
}
