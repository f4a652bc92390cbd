/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inuse.c - who uses a block device: mounts, swap, and devices stacked on it.
 *
 * O_EXCL already refuses most of it, without saying who; this says who. Formats: proc(5) mountinfo and swaps,
 * Documentation/ABI/stable/sysfs-block (holders, partition).
 */
#include "inuse.h"
#include "bdr/osfile.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define INUSE_TEXT_MAX (16u << 20)

bool inuse_parse_dev(const char *text, dev_t *out)
{
    unsigned maj, min;
    char end = '\n';

    if (sscanf(text, "%u:%u%c", &maj, &min, &end) < 2 || (end != '\n' && end != ' '))
        return false;
    *out = makedev(maj, min);
    return true;
}

bool inuse_mounted(const char *mountinfo, dev_t dev, char *where, size_t n)
{
    /* "36 35 98:0 /root /mnt rw ..." : id, parent, major:minor, root, mount point */
    for (const char *line = mountinfo; line && *line;) {
        const char *next = strchr(line, '\n');
        unsigned maj, min;
        int at = 0, end = 0;

        if (sscanf(line, "%*u %*u %u:%u %*s %n%*s%n", &maj, &min, &at, &end) >= 2 && end > at &&
            makedev(maj, min) == dev) {
            snprintf(where, n, "%.*s", end - at, line + at);
            return true;
        }
        line = next ? next + 1 : NULL;
    }
    return false;
}

static struct bdr_err *inuse_swap(dev_t dev, const char *path)
{
    BDR_AUTO(mem) char *text = NULL;
    char *save = NULL;
    size_t len = 0;
    struct bdr_err *err = bdr_os_read_file("/proc/swaps", INUSE_TEXT_MAX, &text, &len);

    if (err) {
        bdr_err_drop(err, "a kernel without swap has no such file");
        return NULL;
    }
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct stat st;

        line[strcspn(line, " \t")] = 0;
        if (*line == '/' && !stat(line, &st) && S_ISBLK(st.st_mode) && st.st_rdev == dev)
            BDR_FAIL(BDR_BUSY, 0, "%s is swap space; run 'swapoff %s' first", path, line);
    }
    return NULL;
}

/* Devices stacked on it: LVM, RAID, dm-crypt, multipath. */
static struct bdr_err *inuse_holders(const char *sys, const char *path)
{
    BDR_AUTO(mem) char *name = NULL;
    struct dirent *e;
    struct bdr_err *err = NULL;
    DIR *dir;

    if (asprintf(&name, "%s/holders", sys) < 0)
        BDR_NOMEM_IF_NULL(NULL);
    dir = opendir(name);
    while (dir && !err && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            err = bdr_err_new(BDR_BUSY, 0, BDR_AT, "%s is part of %s (LVM, RAID, encryption); stop that first", path,
                              e->d_name);
    if (dir)
        closedir(dir);
    return err;
}

static struct bdr_err *inuse_one(dev_t dev, const char *sys, const char *mounts, const char *path)
{
    char where[512];

    if (inuse_mounted(mounts, dev, where, sizeof(where)))
        BDR_FAIL(BDR_BUSY, 0, "%s is mounted on %s; run 'umount %s' first", path, where, where);
    BDR_TRY(inuse_swap(dev, path));
    return inuse_holders(sys, path);
}

/* The partition `name` of the disk whose folder is `sys`; other entries of that folder are none. */
static struct bdr_err *inuse_partition(const char *sys, const char *name, const char *mounts)
{
    BDR_AUTO(mem) char *sub = NULL, *file = NULL, *text = NULL, *path = NULL;
    size_t len = 0;
    struct bdr_err *err;
    dev_t dev;

    if (asprintf(&sub, "%s/%s", sys, name) < 0 || asprintf(&file, "%s/partition", sub) < 0 ||
        asprintf(&path, "/dev/%s", name) < 0)
        BDR_NOMEM_IF_NULL(NULL);
    if (access(file, F_OK))
        return NULL;
    free(BDR_STEAL(file));
    if (asprintf(&file, "%s/dev", sub) < 0)
        BDR_NOMEM_IF_NULL(NULL);
    err = bdr_os_read_file(file, 64, &text, &len);
    if (err) {
        bdr_err_drop(err, "the partition went away meanwhile");
        return NULL;
    }
    return inuse_parse_dev(text, &dev) ? inuse_one(dev, sub, mounts, path) : NULL;
}

struct bdr_err *inuse_check(dev_t dev, const char *path)
{
    BDR_AUTO(mem) char *mounts = NULL;
    size_t len = 0;
    struct bdr_err *err;
    struct dirent *e;
    char sys[64];
    DIR *dir;

    BDR_TRY_FOR(bdr_os_read_file("/proc/self/mountinfo", INUSE_TEXT_MAX, &mounts, &len), "listing mounts");
    snprintf(sys, sizeof(sys), "/sys/dev/block/%u:%u", major(dev), minor(dev));
    err = inuse_one(dev, sys, mounts, path);
    dir = err ? NULL : opendir(sys);
    while (dir && !err && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            err = inuse_partition(sys, e->d_name, mounts);
    if (dir)
        closedir(dir);
    return err;
}
