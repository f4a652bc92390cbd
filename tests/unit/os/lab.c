/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"
#include "bdr/child.h"
#include "bdr/osfile.h"
#include "volumes_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define LAB_LOOP_MAJOR 7
#define LAB_PART_MAJOR 259 /* BLOCK_EXT_MAJOR: partitions of loop devices */

char lab_dir[64];
const char *lab_reason;

uint64_t lab_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int lab_open(void **state)
{
    (void)state;
    strcpy(lab_dir, "/tmp/bdr-os-XXXXXX"); /* banned-ok: fits */
    if (!mkdtemp(lab_dir))
        return -1;
    if (geteuid())
        lab_reason = "needs root, to mount";
    else if (access("/dev/loop-control", R_OK | W_OK))
        lab_reason = "no loop devices here";
    else if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        lab_reason = "no mount namespaces here";
    return 0;
}

/* What a failed test left behind. A file system that stands still would outlive us, with its loop device. */
static void lab_sweep(void)
{
    BDR_AUTO(mem) char *text = NULL;
    struct volumes_mounts mounts = {0};
    size_t len = 0;

    OK(bdr_os_read_file("/proc/self/mountinfo", VOLUMES_TEXT_MAX, &text, &len));
    OK(volumes_mounts_parse(text, len, &mounts));
    for (size_t i = mounts.n; i--;) {
        const char *point = mounts.at[i].point;

        if (strncmp(point, lab_dir, strlen(lab_dir)) || point[strlen(lab_dir)] != '/')
            continue;
        lab_thaw(point);
        umount2(point, MNT_DETACH);
    }
    volumes_mounts_free(&mounts);
}

int lab_close(void **state)
{
    (void)state;
    if (!lab_reason)
        lab_sweep();
    bdr_err_drop(bdr_os_remove_tree(lab_dir), "a temporary folder");
    return 0;
}

const char *lab_lacks(const char *type)
{
    static char why[96];
    BDR_AUTO(mem) char *known = NULL;
    size_t len = 0;
    char word[32], tool[64];

    if (lab_reason || !type)
        return lab_reason;
    snprintf(word, sizeof(word), "\t%s\n", type);
    snprintf(tool, sizeof(tool), "/sbin/mkfs.%s", type);
    OK(bdr_os_read_file("/proc/filesystems", 65536, &known, &len));
    if (strstr(known, word) && !access(tool, X_OK))
        return NULL;
    snprintf(why, sizeof(why), "no %s here", type);
    return why;
}

/* A loop device keeps the partitions that its last user added by hand. */
static void lab_no_partitions(int loop)
{
    for (int n = 1; n < 16; n++) {
        struct blkpg_partition p = {.pno = n};
        struct blkpg_ioctl_arg arg = {.op = BLKPG_DEL_PARTITION, .datalen = sizeof(p), .data = &p};

        ioctl(loop, BLKPG, &arg);
    }
}

void lab_loop(struct lab_fs *fs, const char *name, const char *dir, unsigned mib)
{
    BDR_AUTO(fd) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    BDR_AUTO(fd) int file = -1;

    assert_true(control >= 0);
    snprintf(fs->image, sizeof(fs->image), "%s/%s.img", dir ? dir : lab_dir, name);
    fs->mount[0] = 0;
    file = open(fs->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, (off_t)mib << 20), 0);
    for (int tries = 0; tries < 50; tries++) { /* somebody else may take the free one first */
        int n = ioctl(control, LOOP_CTL_GET_FREE);
        struct loop_config config = {.fd = (uint32_t)file, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};

        assert_true(n >= 0);
        snprintf(fs->dev, sizeof(fs->dev), "/dev/loop%d", n);
        snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "%s", fs->image);
        fs->loop = open(fs->dev, O_RDWR | O_CLOEXEC);
        if (fs->loop >= 0 && !ioctl(fs->loop, LOOP_CONFIGURE, &config)) {
            lab_no_partitions(fs->loop);
            return;
        }
        if (fs->loop >= 0)
            close(fs->loop);
    }
    fail_msg("no loop device for %s: %s", fs->image, strerror(errno));
}

void lab_make(struct lab_fs *fs, const char *name, const char *dir, const char *type, unsigned mib)
{
    char tool[64];
    const char *ext4[] = {tool, "-q", "-F", fs->dev, NULL}, *other[] = {tool, "-q", "-f", fs->dev, NULL};

    lab_loop(fs, name, dir, mib);
    snprintf(tool, sizeof(tool), "/sbin/mkfs.%s", type);
    OK(bdr_child_run(!strcmp(type, "ext4") ? ext4 : other, NULL));
    snprintf(fs->mount, sizeof(fs->mount), "%s/%s", lab_dir, name);
    OK(bdr_os_mkdirs(fs->mount));
    if (mount(fs->dev, fs->mount, type, 0, NULL))
        fail_msg("mounting %s on %s: %s", fs->dev, fs->mount, strerror(errno));
}

/* The file system of this path is one of ours, on a loop device or without any: anything else is not touched. */
static int lab_guard(const char *mount)
{
    struct stat st, root;
    int fd = open(mount, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0 && !fstat(fd, &st) && !stat("/", &root));
    assert_true(st.st_dev != root.st_dev);
    assert_true(major(st.st_dev) == LAB_LOOP_MAJOR || major(st.st_dev) == LAB_PART_MAJOR || major(st.st_dev) == 0);
    assert_true(!strncmp(mount, lab_dir, strlen(lab_dir)));
    return fd;
}

bool lab_thaw(const char *mount)
{
    BDR_AUTO(fd) int fd = lab_guard(mount);

    return !ioctl(fd, FITHAW, 0);
}

int lab_freeze(const char *mount)
{
    BDR_AUTO(fd) int fd = lab_guard(mount);

    return ioctl(fd, FIFREEZE, 0) ? errno : 0;
}

void lab_unmake(struct lab_fs *fs)
{
    if (fs->mount[0]) {
        lab_thaw(fs->mount); /* a frozen one outlives its mounts */
        if (umount2(fs->mount, 0) && umount2(fs->mount, MNT_DETACH))
            fail_msg("unmounting %s: %s", fs->mount, strerror(errno));
        rmdir(fs->mount);
    }
    close(fs->loop);
    unlink(fs->image);
}

void lab_put(const char *name, const char *text)
{
    char path[PATH_MAX];
    BDR_AUTO(fd) int fd = -1;

    snprintf(path, sizeof(path), "%s/%s", lab_dir, name);
    *strrchr(path, '/') = 0;
    OK(bdr_os_mkdirs(path));
    path[strlen(path)] = '/';
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    if (text)
        OK(bdr_os_write(fd, path, text, strlen(text)));
}
