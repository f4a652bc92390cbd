/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct bdr_err *bdr_os_pread(int fd, const char *name, void *buf, size_t len, uint64_t off)
{
    uint8_t *p = buf;

    while (len) {
        ssize_t n = pread(fd, p, BDR_MIN(len, (size_t)1 << 30), (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            BDR_FAIL_ERRNO("reading %zu bytes at %llu of %s", len, (unsigned long long)off, name);
        if (n == 0)
            BDR_FAIL(BDR_IO, 0, "%s ends at %llu, %zu bytes early", name, (unsigned long long)off, len);
        p += n;
        len -= (size_t)n;
        off += (uint64_t)n;
    }
    return NULL;
}

struct bdr_err *bdr_os_pwrite(int fd, const char *name, const void *buf, size_t len, uint64_t off)
{
    const uint8_t *p = buf;

    while (len) {
        ssize_t n = pwrite(fd, p, BDR_MIN(len, (size_t)1 << 30), (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            BDR_FAIL_ERRNO("writing %zu bytes at %llu of %s", len, (unsigned long long)off, name);
        p += n;
        len -= (size_t)n;
        off += (uint64_t)n;
    }
    return NULL;
}

struct bdr_err *bdr_os_write(int fd, const char *name, const void *buf, size_t len)
{
    const uint8_t *p = buf;

    while (len) {
        ssize_t n = write(fd, p, BDR_MIN(len, (size_t)1 << 30));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            BDR_FAIL_ERRNO("writing %zu bytes to %s", len, name);
        p += n;
        len -= (size_t)n;
    }
    return NULL;
}

struct bdr_err *bdr_os_mkdirs(const char *path)
{
    BDR_AUTO(mem) char *copy = strdup(path);

    BDR_NOMEM_IF_NULL(copy);
    for (char *p = copy + 1;; p++) {
        char c = *p;

        if (c && c != '/')
            continue;
        *p = 0;
        if (mkdir(copy, 0700) && errno != EEXIST)
            BDR_FAIL_ERRNO("making folder %s", copy);
        *p = c;
        if (!c)
            return NULL;
    }
}

struct bdr_err *bdr_os_fsync_dir(const char *path)
{
    BDR_AUTO(fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        BDR_FAIL_ERRNO("opening folder %s", path);
    if (fsync(fd))
        BDR_FAIL_ERRNO("syncing folder %s", path);
    return NULL;
}

struct bdr_err *bdr_os_room(const char *path, uint64_t *out_bytes)
{
    struct statvfs vfs;

    if (statvfs(path, &vfs))
        BDR_FAIL_ERRNO("looking at the file system of %s", path);
    *out_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return NULL;
}

struct bdr_err *bdr_os_read_file(const char *path, size_t max, char **out, size_t *out_len)
{
    BDR_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    BDR_AUTO(buf) struct bdr_buf b = {0};

    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", path);
    for (;;) {
        ssize_t n;

        if (!bdr_buf_reserve(&b, 4097))
            return bdr_buf_check(&b);
        n = read(fd, b.data + b.len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            BDR_FAIL_ERRNO("reading %s", path);
        if (n == 0)
            break;
        b.len += (size_t)n;
        if (b.len > max)
            BDR_FAIL(BDR_RANGE, 0, "%s is larger than %zu bytes", path, max);
    }
    b.data[b.len] = 0;
    *out_len = b.len;
    *out = (char *)BDR_STEAL(b.data);
    return NULL;
}

struct bdr_err *bdr_os_random(void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len) {
        ssize_t n = getrandom(p, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            BDR_FAIL_ERRNO("asking the kernel for random bytes");
        p += n;
        len -= (size_t)n;
    }
    return NULL;
}

struct bdr_err *bdr_os_hostname(char *out, size_t n)
{
    if (gethostname(out, n))
        BDR_FAIL_ERRNO("asking for the host name");
    out[n - 1] = 0;
    return NULL;
}

static int tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path) && errno != ENOENT;
}

struct bdr_err *bdr_os_remove_tree(const char *path)
{
    if (nftw(path, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) && errno != ENOENT)
        BDR_FAIL_ERRNO("removing %s", path);
    return NULL;
}
