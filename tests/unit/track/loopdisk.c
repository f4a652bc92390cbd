/* SPDX-License-Identifier: Apache-2.0 */
#include "loopdisk.h"
#include "bdr/osfile.h"
#include <dirent.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>

extern char **environ;

const char *scratch_why_not(void)
{
    static char why[512];
    struct bdr_err *err;

    if (geteuid())
        return "needs root: block devices and BPF";
    if (access("/dev/loop-control", R_OK | W_OK))
        return "needs loop devices (/dev/loop-control)";
    err = bdr_track_supported();
    if (!err)
        return NULL;
    bdr_err_text(err, why, sizeof(why));
    bdr_err_free(err);
    return why;
}

/* Pins of tests that were killed: programs that nobody removes cost every write of the machine. */
static void scratch_tidy(void)
{
    DIR *dir = opendir("/sys/fs/bpf");
    struct dirent *e;
    char path[300];
    int pid;

    while (dir && (e = readdir(dir)))
        if (sscanf(e->d_name, "bdr-test-%d", &pid) == 1 && kill(pid, 0) && errno == ESRCH) {
            snprintf(path, sizeof(path), "/sys/fs/bpf/%s", e->d_name);
            bdr_err_drop(bdr_os_remove_tree(path), "another test may be doing the same");
        }
    if (dir)
        closedir(dir);
}

void scratch_begin(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    struct statfs fs;

    scratch_tidy();
    /* What we mount is ours alone, and gone when we are. bpffs is everybody's, so that comes first. */
    assert_int_equal(statfs("/sys/fs/bpf", &fs), 0);
    if ((unsigned long)fs.f_type != BPF_FS_MAGIC)
        assert_int_equal(mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"), 0);
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    snprintf(s->folder, sizeof(s->folder), "%.60s/bdr-track-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->pins, sizeof(s->pins), "/sys/fs/bpf/bdr-test-%d", (int)getpid());
    assert_int_equal(setenv("BDR_TRACK_PINS", s->pins, 1), 0);
}

void scratch_end(struct scratch *s)
{
    OK(bdr_track_stop(NULL));
    OK(bdr_os_remove_tree(s->pins));
    OK(bdr_os_remove_tree(s->folder));
}

void loopdisk_make(struct loopdisk *d, const struct scratch *s, const char *name, uint64_t size)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int dev = -1;

    memset(d, 0, sizeof(*d));
    d->size = size;
    snprintf(d->file, sizeof(d->file), "%s/%s.img", s->folder, name);
    d->backing = open(d->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(control >= 0 && d->backing >= 0);
    assert_int_equal(ftruncate(d->backing, (off_t)size), 0);
    for (int tries = 0; tries < 50; tries++) { /* somebody else may take the one we were offered */
        struct loop_config config = {.fd = (uint32_t)d->backing,
                                     .block_size = 512,
                                     .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN}};
        int n = ioctl(control, LOOP_CTL_GET_FREE);

        assert_true(n >= 0);
        snprintf(d->dev, sizeof(d->dev), "/dev/loop%d", n);
        dev = open(d->dev, O_RDWR | O_CLOEXEC);
        if (dev >= 0 && !ioctl(dev, LOOP_CONFIGURE, &config))
            break;
        if (dev >= 0)
            close(dev);
        dev = -1;
    }
    assert_true(dev >= 0);
    close(control);
    d->fd = open(d->dev, O_RDWR | O_DIRECT | O_CLOEXEC);
    assert_true(d->fd >= 0);
    close(dev);
}

void loopdisk_grow(struct loopdisk *d, uint64_t size)
{
    assert_int_equal(ftruncate(d->backing, (off_t)size), 0);
    assert_int_equal(ioctl(d->fd, LOOP_SET_CAPACITY, 0), 0);
    d->size = size;
}

void loopdisk_end(struct loopdisk *d)
{
    ioctl(d->fd, LOOP_CLR_FD, 0);
    close(d->fd);
    close(d->backing);
    unlink(d->file);
}

void loopdisk_write(const struct loopdisk *d, uint64_t off, uint64_t len)
{
    static uint64_t word = 88172645463325252u;
    uint64_t *buf = aligned_alloc(4096, (size_t)(len + 4095) / 4096 * 4096);

    assert_non_null(buf);
    for (uint64_t i = 0; i < len / 8; i++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        buf[i] = word;
    }
    assert_int_equal(pwrite(d->fd, buf, (size_t)len, (off_t)off), (ssize_t)len);
    free(buf);
}

void loopdisk_discard(const struct loopdisk *d, uint64_t off, uint64_t len)
{
    uint64_t range[2] = {off, len};

    assert_int_equal(ioctl(d->fd, BLKDISCARD, range), 0);
}

void run_ok(const char *const *argv)
{
    int status = -1;
    pid_t pid;

    assert_int_equal(posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status)
        fail_msg("%s %s: status %d", argv[0], argv[1], status);
}
