/* SPDX-License-Identifier: Apache-2.0 */
/* What lies on the disks, of this machine: loop devices as disks, real file systems on them. */
#include "bdr/child.h"
#include "bdr/freeze.h"
#include "bdr/osfile.h"
#include "lab.h"
#include "volumes_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

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

static void test_scan__btrfs_on_two_devices__all_of_them(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    struct lab_fs one, two;
    char at[128], sub[160];
    const char *disks[2] = {one.dev, two.dev};
    const char *mkfs[] = {"/sbin/mkfs.btrfs", "-q", "-f", "-m", "raid1", "-d", "raid0", one.dev, two.dev, NULL};
    const char *subvolume[] = {"btrfs", "-q", "subvolume", "create", sub, NULL};

    (void)state;
    LAB_OR_SKIP("test_scan__btrfs_on_two_devices__all_of_them", "btrfs");
    lab_loop(&one, "one", NULL, 128);
    lab_loop(&two, "two", NULL, 128);
    OK(bdr_child_run(mkfs, NULL));
    snprintf(at, sizeof(at), "%s/multi", lab_dir);
    OK(bdr_os_mkdirs(at));
    snprintf(sub, sizeof(sub), "device=%s", one.dev);
    assert_int_equal(mount(two.dev, at, "btrfs", 0, sub), 0);
    snprintf(sub, sizeof(sub), "%s/sub", at);
    OK(bdr_child_run(subvolume, NULL));
    snprintf(sub, sizeof(sub), "%s/s", lab_dir); /* a mount of the subvolume alone: shorter, another st_dev */
    OK(bdr_os_mkdirs(sub));
    assert_int_equal(mount(two.dev, sub, "btrfs", 0, "subvol=sub"), 0);
    OK(bdr_volumes_scan(disks, 2, &v));
    assert_int_equal(v->fs_n, 1);
    assert_string_equal(v->fs[0].mount, sub);
    assert_true(bdr_volume_on(&v->fs[0], 0) && bdr_volume_on(&v->fs[0], 1) && !v->fs[0].outside);
    bdr_volumes_free(BDR_STEAL(v));
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_true(v->fs_n == 1 && v->fs[0].outside);
    assert_int_equal(umount(sub), 0);
    assert_int_equal(umount(at), 0);
    lab_unmake(&one);
    lab_unmake(&two);
}

static void test_scan__loop_file_on_btrfs__on_its_devices(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    struct lab_fs low, high;
    const char *disks[1] = {low.dev};

    (void)state;
    LAB_OR_SKIP("test_scan__loop_file_on_btrfs__on_its_devices", "btrfs");
    lab_make(&low, "low", NULL, "btrfs", 128);
    lab_make(&high, "high", low.mount, "ext4", 16);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 2);
    assert_string_equal(v->fs[0].mount, high.mount);
    assert_string_equal(v->fs[1].mount, low.mount);
    lab_unmake(&high);
    lab_unmake(&low);
}

static void test_scan__read_only__the_file_system_not_the_mount(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    struct lab_fs fs;
    const char *disks[1] = {fs.dev};

    (void)state;
    LAB_OR_SKIP("test_scan__read_only__the_file_system_not_the_mount", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    assert_int_equal(mount(NULL, fs.mount, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_false(v->fs[0].read_only);
    bdr_volumes_free(BDR_STEAL(v));
    assert_int_equal(mount(NULL, fs.mount, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_true(v->fs[0].read_only);
    lab_unmake(&fs);
}

static void test_scan__hidden_mount__an_error_only_when_alone(void **state)
{
    struct bdr_volumes *v = NULL;
    char elsewhere[128];
    struct lab_fs fs;
    const char *disks[1] = {fs.dev};

    (void)state;
    LAB_OR_SKIP("test_scan__hidden_mount__an_error_only_when_alone", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    snprintf(elsewhere, sizeof(elsewhere), "%s/quite-another-place", lab_dir);
    OK(bdr_os_mkdirs(elsewhere));
    assert_int_equal(mount(fs.mount, elsewhere, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount("none", fs.mount, "tmpfs", 0, NULL), 0);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 1);
    assert_string_equal(v->fs[0].mount, elsewhere);
    bdr_volumes_free(BDR_STEAL(v));
    assert_int_equal(umount(elsewhere), 0);
    FAILS(UNSUPPORTED, fs.mount, bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(umount(fs.mount), 0);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 1);
    bdr_volumes_free(v);
    lab_unmake(&fs);
}

static void test_scan__mounted_file__is_a_way_in(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    struct lab_fs fs;
    char file[160], at[128];
    const char *disks[1] = {fs.dev};

    (void)state;
    LAB_OR_SKIP("test_scan__mounted_file__is_a_way_in", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    lab_put("fs/inside", "x");
    lab_put("f", "");
    snprintf(file, sizeof(file), "%s/inside", fs.mount);
    snprintf(at, sizeof(at), "%s/f", lab_dir);
    assert_int_equal(mount(file, at, NULL, MS_BIND, NULL), 0);
    assert_int_equal(umount(fs.mount), 0); /* as in a container that sees no more of it than one file */
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 1);
    assert_string_equal(v->fs[0].mount, at);
    assert_int_equal(umount(at), 0);
    fs.mount[0] = 0;
    lab_unmake(&fs);
}

/* --- swap files: what the ranges name are the file's own bytes --- */

static void swap_file_on(const char *type, unsigned mib)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    BDR_AUTO(mem) char *mem = NULL;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), len = 3 << 20;
    char path[160], proc[128], swaps[256];
    uint64_t covered = 0;
    struct lab_fs fs;
    const char *disks[1] = {fs.dev};
    const struct volumes_host host = {.proc = proc, .sys = "/sys", .live = true};

    lab_make(&fs, "swapped", NULL, type, mib);
    snprintf(path, sizeof(path), "%s/swap file", fs.mount);
    BDR_AUTO(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    mem = malloc(len);
    assert_true(fd >= 0 && mem);
    for (size_t i = 0; i < len; i++) /* each page tells its place */
        mem[i] = (char)(i / page * 7 + i % page + 1);
    OK(bdr_os_pwrite(fd, path, mem, len, 0));
    assert_int_equal(fsync(fd), 0);
    /* Listed as if it were in use: the machine's real swap is left alone. */
    snprintf(proc, sizeof(proc), "%s/fake-proc", lab_dir);
    snprintf(swaps, sizeof(swaps), "Filename Type Size Used Priority\n%s/swap\\040file\tfile\t%zu\t0\t-2\n", fs.mount,
             (len - page) / 1024);
    lab_put("fake-proc/swaps", swaps);
    BDR_AUTO(mem) char *mounts = NULL;
    size_t mounts_len = 0;
    OK(bdr_os_read_file("/proc/self/mountinfo", 1 << 24, &mounts, &mounts_len));
    lab_put("fake-proc/self/mountinfo", mounts);
    OK(volumes_scan_host(&host, disks, 1, &v));
    assert_true(v->swap_n > 0);
    assert_int_equal(ioctl(fs.loop, BLKFLSBUF, 0), 0);
    for (size_t i = 0; i < v->swap_n; i++) {
        BDR_AUTO(mem) char *raw = malloc(v->swap[i].len);
        size_t at = page + covered; /* ranges come in the file's order */

        assert_string_equal(v->swap[i].what, path);
        assert_true(raw && at + v->swap[i].len <= len);
        OK(bdr_os_pread(fs.loop, fs.dev, raw, v->swap[i].len, v->swap[i].off));
        assert_memory_equal(raw, mem + at, v->swap[i].len);
        covered += v->swap[i].len;
    }
    assert_int_equal(covered, len - page);
    close(bdr_fd_steal(&fd));
    lab_unmake(&fs);
}

static void test_scan__swap_file__its_bytes_on_the_disk(void **state)
{
    (void)state;
    LAB_OR_SKIP("test_scan__swap_file__its_bytes_on_the_disk", "ext4");
    swap_file_on("ext4", 32);
    if (!lab_lacks("xfs"))
        swap_file_on("xfs", 320);
}

/* --- others' use of the disk --- */

enum holder { HOLDER_WRITES, HOLDER_CLAIMS, HOLDER_MOUNTS };

/* A process that holds `dev` open for writing, claims it, or has it mounted in a namespace of its own, until its pipe is closed.
 */
static pid_t holder_start(const char *dev, enum holder how, int *out_pipe)
{
    int ready[2], end[2];
    char c = 0;
    pid_t pid;

    assert_true(!pipe(ready) && !pipe(end));
    pid = fork();
    if (!pid) {
        char at[128];

        snprintf(at, sizeof(at), "%s/elsewhere", lab_dir);
        for (int fd = 3; fd < 256; fd++) /* the loop device itself, which the lab holds open for writing, above all */
            if (fd != ready[1] && fd != end[0])
                close(fd);
        if (how == HOLDER_MOUNTS ? unshare(CLONE_NEWNS) || mkdir(at, 0700) || mount(dev, at, "ext4", 0, NULL)
                                 : open(dev, (how == HOLDER_CLAIMS ? O_RDONLY | O_EXCL : O_WRONLY) | O_CLOEXEC) < 0)
            _exit(1);
        if (write(ready[1], &c, 1) != 1 || read(end[0], &c, 1) < 0)
            _exit(2);
        _exit(0);
    }
    close(ready[1]);
    close(end[0]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    *out_pipe = end[1];
    return pid;
}

static void holder_stop(pid_t pid, int pipe_fd)
{
    int st = -1;

    close(pipe_fd);
    assert_int_equal(waitpid(pid, &st, 0), pid);
    assert_int_equal(st, 0);
}

static void no_raw(const struct bdr_volumes *v)
{
    if (v->raw_n)
        fail_msg("%zu held, the first: %s, %llu+%llu", v->raw_n, v->raw[0].what, (unsigned long long)v->raw[0].off,
                 (unsigned long long)v->raw[0].len);
}

static void test_scan__others_hold_the_disk__told(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    struct lab_fs fs;
    char what[96];
    pid_t pid;
    int end = -1;
    const char *disks[1] = {fs.dev};

    (void)state;
    LAB_OR_SKIP("test_scan__others_hold_the_disk__told", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    OK(bdr_volumes_scan(disks, 1, &v));
    no_raw(v);
    assert_int_equal(umount(fs.mount), 0);
    bdr_volumes_free(BDR_STEAL(v));
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 0);
    no_raw(v);
    bdr_volumes_free(BDR_STEAL(v));

    pid = holder_start(fs.dev, HOLDER_WRITES, &end);
    OK(bdr_volumes_scan(disks, 1, &v));
    snprintf(what, sizeof(what), "%s (written by test-os-volumes, process %d)", fs.dev, (int)pid);
    assert_int_equal(v->raw_n, 1);
    assert_string_equal(v->raw[0].what, what);
    assert_true(v->raw[0].off == 0 && v->raw[0].len == 16u << 20);
    bdr_volumes_free(BDR_STEAL(v));
    holder_stop(pid, end);

    pid = holder_start(fs.dev, HOLDER_CLAIMS, &end);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->raw_n, 1);
    assert_non_null(strstr(v->raw[0].what, "not mounted here"));
    holder_stop(pid, end);
    fs.mount[0] = 0;
    lab_unmake(&fs);
}

/* A container's volume: the file system is nowhere in our tree, and still stands when its moment comes. */
static void test_scan__mounted_elsewhere_only__reached_through_a_process_there(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state frozen = BDR_FREEZE_NO;
    const char *disks[1], *mounts[1];
    uint32_t window = 0;
    struct lab_fs fs;
    bool held = false;
    char way[192], link[192];
    int end = -1, fd;
    pid_t pid;

    (void)state;
    LAB_OR_SKIP("test_scan__mounted_elsewhere_only__reached_through_a_process_there", "ext4");
    lab_make(&fs, "inside", NULL, "ext4", 16);
    disks[0] = fs.dev;
    assert_int_equal(umount(fs.mount), 0);
    pid = holder_start(fs.dev, HOLDER_MOUNTS, &end);
    OK(bdr_volumes_scan(disks, 1, &v));
    snprintf(way, sizeof(way), "/proc/%d/root%s/elsewhere", (int)pid, lab_dir);
    assert_int_equal(v->fs_n, 1);
    assert_string_equal(v->fs[0].mount, way);
    assert_string_equal(v->fs[0].type, "ext4");
    no_raw(v);
    snprintf(link, sizeof(link), "/proc/%d/root%s/elsewhere/link", (int)pid, lab_dir);
    assert_int_equal(symlink("/", link), 0);
    mounts[0] = link; /* it would freeze what is ours */
    FAILS(IO, "link", bdr_freezer_start(mounts, 1, &f));
    mounts[0] = v->fs[0].mount;
    OK(bdr_freezer_start(mounts, 1, &f));
    OK(bdr_freezer_freeze(f, 20000, &frozen));
    assert_int_equal(frozen, BDR_FREEZE_YES);
    fd = open(way, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(ioctl(fd, FIFREEZE, 0) && errno == EBUSY);
    close(fd);
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_true(held);
    bdr_freezer_end(BDR_STEAL(f));
    bdr_volumes_free(BDR_STEAL(v));
    holder_stop(pid, end);
    OK(bdr_volumes_scan(disks, 1, &v)); /* the namespace and its mount went with the process */
    assert_int_equal(v->fs_n, 0);
    no_raw(v);
    fs.mount[0] = 0;
    lab_unmake(&fs);
}

/* --- partitions: made by hand, since not every kernel reads partition tables --- */

static bool partition(const struct lab_fs *disk, int number, uint64_t off, uint64_t len, char name[64])
{
    struct blkpg_partition p = {.start = (long long)off, .length = (long long)len, .pno = number};
    struct blkpg_ioctl_arg arg = {
        .op = len ? BLKPG_ADD_PARTITION : BLKPG_DEL_PARTITION, .datalen = sizeof(p), .data = &p};

    snprintf(name, 64, "%sp%d", disk->dev, number);
    return !ioctl(disk->loop, BLKPG, &arg) && (!len || !access(name, F_OK));
}

static void test_scan__partitions__theirs_and_of_no_account_under_a_whole(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    BDR_AUTO(mem) char *whole = NULL;
    struct lab_fs disk;
    char first[64], second[64], third[64], at[128];
    const char *disks[1] = {disk.dev}, *parts[1] = {second};
    const char *mkfs[] = {"/sbin/mkfs.ext4", "-q", "-F", second, NULL},
               *over[] = {"/sbin/mkfs.ext4", "-q", "-F", disk.dev, NULL};
    pid_t pid;
    int end = -1;

    (void)state;
    LAB_OR_SKIP("test_scan__partitions__theirs_and_of_no_account_under_a_whole", "ext4");
    lab_loop(&disk, "disk", NULL, 64);
    if (!partition(&disk, 1, 1 << 20, 16 << 20, first) || !partition(&disk, 2, 17 << 20, 16 << 20, second) ||
        !partition(&disk, 3, 33 << 20, 16 << 20, third)) {
        printf(
            "skip test_scan__partitions__theirs_and_of_no_account_under_a_whole: no partitions on loop devices here\n");
        lab_unmake(&disk);
        skip();
    }
    OK(bdr_child_run(mkfs, NULL));
    snprintf(at, sizeof(at), "%s/part", lab_dir);
    OK(bdr_os_mkdirs(at));
    assert_int_equal(mount(second, at, "ext4", 0, NULL), 0);
    OK(bdr_volumes_whole_disk(second, &whole));
    assert_string_equal(whole, disk.dev);
    FAILS(INVAL, disk.dev, bdr_volumes_scan(parts, 1, &v));
    pid = holder_start(third, false, &end);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 1);
    assert_string_equal(v->fs[0].device, second);
    assert_int_equal(v->raw_n, 1);
    assert_true(v->raw[0].off == 33 << 20 && v->raw[0].len == 16 << 20);
    bdr_volumes_free(BDR_STEAL(v));
    holder_stop(pid, end);
    assert_int_equal(umount(at), 0);

    OK(bdr_child_run(over, NULL));
    assert_int_equal(mount(disk.dev, at, "ext4", 0, NULL), 0);
    OK(bdr_volumes_scan(disks, 1, &v));
    assert_int_equal(v->fs_n, 1);
    assert_string_equal(v->fs[0].device, disk.dev);
    no_raw(v);
    assert_int_equal(umount(at), 0);
    for (int n = 1; n < 4; n++)
        assert_true(partition(&disk, n, 0, 0, first));
    lab_unmake(&disk);
}

static void test_scan__this_machine__something(void **state)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    BDR_AUTO(mem) char *whole = NULL;
    char **disks = NULL;
    size_t n = 0;

    (void)state;
    OK(bdr_volumes_disks(&disks, &n));
    if (n)
        OK(bdr_volumes_whole_disk(disks[0], &whole));
    if (n)
        assert_string_equal(whole, disks[0]);
    if (!lab_reason)
        OK(bdr_volumes_scan((const char *const *)disks, n, &v));
    bdr_volumes_disks_free(disks, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan__stack__deepest_first),
        cmocka_unit_test(test_scan__bind_mounts__counted_once),
        cmocka_unit_test(test_scan__btrfs_on_two_devices__all_of_them),
        cmocka_unit_test(test_scan__loop_file_on_btrfs__on_its_devices),
        cmocka_unit_test(test_scan__read_only__the_file_system_not_the_mount),
        cmocka_unit_test(test_scan__hidden_mount__an_error_only_when_alone),
        cmocka_unit_test(test_scan__mounted_file__is_a_way_in),
        cmocka_unit_test(test_scan__swap_file__its_bytes_on_the_disk),
        cmocka_unit_test(test_scan__others_hold_the_disk__told),
        cmocka_unit_test(test_scan__mounted_elsewhere_only__reached_through_a_process_there),
        cmocka_unit_test(test_scan__partitions__theirs_and_of_no_account_under_a_whole),
        cmocka_unit_test(test_scan__this_machine__something),
    };

    return cmocka_run_group_tests_name("os volumes", tests, lab_open, lab_close);
}
