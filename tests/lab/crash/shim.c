/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim.c - preloaded into a program: ends it, or lets a call fail, at the n-th call that changes a file below a folder.
 *
 * SHIM_DIR   the folder
 * SHIM_AT    n, counted from 1; 0 or absent: never
 * SHIM_MODE  kill (SIGKILL before the call), enospc, eio (the call fails), short (a write takes half; the next fails with
 *            ENOSPC)
 * SHIM_KEEP  1: from the n-th on every call that needs space fails (a disk that stays full)
 * SHIM_LOG   a file that gets a line a call: "pwrite PATH", "fdatasync PATH", "rename FROM TO", ...
 * Counted: write, pwrite, writev, pwritev, fsync, fdatasync, rename, renameat2, link, unlink, mkdir, ftruncate,
 * posix_fallocate. Threads: any; the count is one for all.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t shim_lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static unsigned long shim_count;
static int shim_log = -1;

#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static int shim_inside(const char *path)
{
    const char *dir = getenv("SHIM_DIR");

    return dir && *dir && path && !strncmp(path, dir, strlen(dir));
}

static void shim_path(int fd, char out[512])
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, out, 511);
    out[n > 0 ? n : 0] = 0;
}

static void shim_tell(const char *what, const char *a, const char *b)
{
    const char *log = getenv("SHIM_LOG");
    char line[1200];
    int n;

    if (!log)
        return;
    if (shim_log < 0)
        shim_log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    n = snprintf(line, sizeof(line), "%s %s%s%s\n", what, a, b ? " " : "", b ? b : "");
    if (REAL(write)(shim_log, line, (size_t)n) != n)
        abort();
}

/* 0: go on; else the errno to fail with; -1: write half. `space`: the call may need room on the disk. */
static int shim_call(const char *what, const char *path, const char *to, int space)
{
    const char *at = getenv("SHIM_AT"), *mode = getenv("SHIM_MODE"), *keep = getenv("SHIM_KEEP");
    unsigned long n = at ? strtoul(at, NULL, 10) : 0, mine;
    int hit, rc = 0;

    if (!shim_inside(path) && !shim_inside(to))
        return 0;
    pthread_mutex_lock(&shim_lock);
    mine = ++shim_count;
    shim_tell(what, path, to);
    pthread_mutex_unlock(&shim_lock);
    hit = n && (mine == n || (mine > n && keep && space));
    if (!hit || !mode)
        return 0;
    if (!strcmp(mode, "kill"))
        kill(getpid(), SIGKILL);
    if (!strcmp(mode, "enospc"))
        rc = ENOSPC;
    if (!strcmp(mode, "eio"))
        rc = EIO;
    if (!strcmp(mode, "short"))
        rc = space == 2 && mine == n ? -1 : ENOSPC;
    if (rc > 0)
        errno = rc;
    return rc;
}

static int shim_fd(const char *what, int fd, int space)
{
    char path[512];
    int saved = errno, rc;

    shim_path(fd, path);
    errno = saved;
    rc = shim_call(what, path, NULL, space);
    return rc;
}

ssize_t write(int fd, const void *buf, size_t len)
{
    int rc = shim_fd("write", fd, 2);

    return rc > 0 ? -1 : REAL(write)(fd, buf, rc < 0 && len > 1 ? len / 2 : len);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
    int rc = shim_fd("pwrite", fd, 2);

    return rc > 0 ? -1 : REAL(pwrite64)(fd, buf, rc < 0 && len > 1 ? len / 2 : len, off);
}
#ifndef pwrite64
ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
    int rc = shim_fd("pwrite", fd, 2);

    return rc > 0 ? -1 : REAL(pwrite64)(fd, buf, rc < 0 && len > 1 ? len / 2 : len, off);
}
#endif

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    return shim_fd("writev", fd, 1) > 0 ? -1 : REAL(writev)(fd, iov, n);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
    return shim_fd("pwritev", fd, 1) > 0 ? -1 : REAL(pwritev64)(fd, iov, n, off);
}
#ifndef pwritev64
ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
    return shim_fd("pwritev", fd, 1) > 0 ? -1 : REAL(pwritev64)(fd, iov, n, off);
}
#endif

int fsync(int fd)
{
    return shim_fd("fsync", fd, 1) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return shim_fd("fdatasync", fd, 1) ? -1 : REAL(fdatasync)(fd);
}

int ftruncate(int fd, off_t len)
{
    return shim_fd("ftruncate", fd, len > 0) ? -1 : REAL(ftruncate64)(fd, len);
}
#ifndef ftruncate64
int ftruncate64(int fd, off64_t len)
{
    return shim_fd("ftruncate", fd, len > 0) ? -1 : REAL(ftruncate64)(fd, len);
}
#endif

int posix_fallocate(int fd, off_t off, off_t len)
{
    return shim_fd("fallocate", fd, 1) ? errno : REAL(posix_fallocate64)(fd, off, len);
}
#ifndef posix_fallocate64
int posix_fallocate64(int fd, off64_t off, off64_t len)
{
    return shim_fd("fallocate", fd, 1) ? errno : REAL(posix_fallocate64)(fd, off, len);
}
#endif

int rename(const char *from, const char *to)
{
    return shim_call("rename", from, to, 1) ? -1 : REAL(rename)(from, to);
}

int renameat2(int fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return shim_call("rename", from, to, 1) ? -1 : REAL(renameat2)(fd, from, to_fd, to, flags);
}

int link(const char *from, const char *to)
{
    return shim_call("link", from, to, 1) ? -1 : REAL(link)(from, to);
}

int unlink(const char *path)
{
    return shim_call("unlink", path, NULL, 0) ? -1 : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode)
{
    return shim_call("mkdir", path, NULL, 1) ? -1 : REAL(mkdir)(path, mode);
}
