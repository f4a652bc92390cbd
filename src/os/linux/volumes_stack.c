/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_stack.c - which disks lie under a device: partitions, dm (LVM, LUKS, multipath) and md by their slaves, loop
 * devices by the file behind them, btrfs by its list of devices.
 *
 * Source: Documentation/ABI/stable/sysfs-block (slaves, holders), testing/sysfs-fs-btrfs; loop/backing_file.
 */
#include "volumes_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define STACK_DEPTH_MAX 64

const struct volumes_host volumes_this_host = {.proc = "/proc", .sys = "/sys", .live = true};

static _Thread_local int stack_trouble; /* an errno; per thread, as the scan itself is */

void volumes_trouble(int sys)
{
    if (!stack_trouble && (sys == EMFILE || sys == ENFILE || sys == ENOMEM || sys == EIO))
        stack_trouble = sys;
}

void volumes_trouble_begin(void)
{
    stack_trouble = 0;
}

struct bdr_err *volumes_trouble_end(void)
{
    if (stack_trouble)
        BDR_FAIL(bdr_code_of_errno(stack_trouble), stack_trouble, "looking for what lies on the disks");
    return NULL;
}

DIR *volumes_opendir(const char *path)
{
    DIR *dir = opendir(path);

    if (!dir)
        volumes_trouble(errno);
    return dir;
}

bool volumes_read(const char *path, char *out, size_t n)
{
    BDR_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t got = -1;

    while (fd >= 0 && len < n - 1 && ((got = read(fd, out + len, n - 1 - len)) > 0 || (got < 0 && errno == EINTR)))
        len += got > 0 ? (size_t)got : 0;
    if (fd < 0 || (got < 0 && !len)) {
        volumes_trouble(errno);
        return false;
    }
    out[len] = 0;
    return true;
}

static bool stack_read(const char *path, char *out, size_t n)
{
    if (!volumes_read(path, out, n))
        return false;
    out[strcspn(out, "\n")] = 0;
    return true;
}

static void stack_path(const struct volumes_host *host, volumes_dev dev, const char *attr, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/dev/block/%u:%u/%s", host->sys, volumes_major(dev), volumes_minor(dev), attr);
}

bool volumes_attr(const struct volumes_host *host, volumes_dev dev, const char *attr, char *out, size_t n)
{
    char path[PATH_MAX];

    stack_path(host, dev, attr, path);
    return stack_read(path, out, n);
}

static volumes_dev stack_dev(const char *path)
{
    char text[32];
    unsigned major, minor;

    if (!stack_read(path, text, sizeof(text)) || sscanf(text, "%u:%u", &major, &minor) != 2)
        return 0;
    return volumes_dev_of(major, minor);
}

volumes_dev volumes_parent(const struct volumes_host *host, volumes_dev dev)
{
    char path[PATH_MAX];

    stack_path(host, dev, "partition", path);
    if (access(path, F_OK))
        return dev;
    stack_path(host, dev, "../dev", path); /* the link leads into the disk's folder */
    return stack_dev(path);
}

/* The mapped device of a name of device-mapper's, which /dev/mapper has and /sys/class/block has not. */
static volumes_dev stack_mapped(const struct volumes_host *host, const char *name)
{
    char path[PATH_MAX], text[256];
    volumes_dev found = 0;
    struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/class/block", host->sys);
    dir = volumes_opendir(path);
    while (dir && !found && (e = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/class/block/%s/dm/name", host->sys, e->d_name);
        if (strncmp(e->d_name, "dm-", 3) || !stack_read(path, text, sizeof(text)) || strcmp(text, name))
            continue;
        snprintf(path, sizeof(path), "%s/class/block/%s/dev", host->sys, e->d_name);
        found = stack_dev(path);
    }
    if (dir)
        closedir(dir);
    return found;
}

struct bdr_err *volumes_resolve(const struct volumes_host *host, const char *path, volumes_dev *out)
{
    char file[PATH_MAX], name[NAME_MAX + 1];
    struct stat st;

    *out = 0;
    if (host->live && !stat(path, &st)) {
        if (S_ISBLK(st.st_mode))
            *out = volumes_dev_of(major(st.st_rdev), minor(st.st_rdev));
        return NULL;
    }
    if (strncmp(path, "/dev/", 5) || strlen(path + 5) > NAME_MAX)
        return NULL;
    if (!strncmp(path, "/dev/mapper/", 12)) {
        *out = stack_mapped(host, path + 12);
        return NULL;
    }
    strcpy(name, path + 5);       /* banned-ok: fits by the check above */
    for (char *p = name; *p; p++) /* as sysfs writes /dev/cciss/c0d0 */
        *p = *p == '/' ? '!' : *p;
    if (snprintf(file, sizeof(file), "%s/class/block/%s/dev", host->sys, name) < (int)sizeof(file))
        *out = stack_dev(file);
    return NULL;
}

bool volumes_name(const struct volumes_host *host, volumes_dev dev, char *out, size_t n)
{
    char text[4096];
    const char *name;
    char *end;

    if (!dev || !volumes_attr(host, dev, "dm/name", text, sizeof(text))) {
        char path[PATH_MAX], all[4096];

        stack_path(host, dev, "uevent", path);
        if (!volumes_read(path, all, sizeof(all)))
            return false;
        name = strstr(all, "DEVNAME=");
        if (!name || (name != all && name[-1] != '\n'))
            return false;
        name += strlen("DEVNAME=");
        end = strchr(name, '\n');
        return snprintf(out, n, "/dev/%.*s", end ? (int)(end - name) : (int)strlen(name), name) < (int)n;
    }
    return snprintf(out, n, "/dev/mapper/%s", text) < (int)n;
}

bool volumes_asked(const struct volumes_scan *s, volumes_dev dev, size_t *out)
{
    for (size_t i = 0; i < s->disks_n; i++)
        if (s->disks[i] == dev) {
            *out = i;
            return true;
        }
    return false;
}

bool volumes_direct(const struct volumes_scan *s, volumes_dev dev, size_t *out_disk, uint64_t *out_off)
{
    char text[32];

    *out_off = 0;
    if (volumes_asked(s, dev, out_disk))
        return true;
    if (!volumes_asked(s, volumes_parent(s->host, dev), out_disk) ||
        !volumes_attr(s->host, dev, "start", text, sizeof(text)))
        return false;
    *out_off = strtoull(text, NULL, 10) * VOLUMES_SECTOR;
    return true;
}

static struct bdr_err *stack_remember(struct volumes_scan *s, volumes_dev dev)
{
    for (size_t i = 0; i < s->seen_n; i++)
        if (s->seen[i] == dev)
            return NULL;
    if (s->seen_n == s->seen_cap) {
        size_t cap = s->seen_cap ? s->seen_cap * 2 : 32;
        volumes_dev *more = reallocarray(s->seen, cap, sizeof(*more));

        BDR_NOMEM_IF_NULL(more);
        s->seen = more;
        s->seen_cap = cap;
    }
    s->seen[s->seen_n++] = dev;
    return NULL;
}

const struct volumes_mount *volumes_mount_of(const struct volumes_scan *s, const char *path)
{
    const struct volumes_mount *best = NULL;
    size_t best_len = 0;

    for (size_t i = 0; i < s->mounts.n; i++) {
        const char *point = s->mounts.at[i].point;
        size_t len = strlen(point);

        if (strncmp(path, point, len) || (len > 1 && path[len] && path[len] != '/') || len < best_len)
            continue;
        best = &s->mounts.at[i]; /* of several on one point the last is on top */
        best_len = len;
    }
    return best;
}

static struct bdr_err *stack_walk(struct volumes_scan *s, volumes_dev dev, bool covered, unsigned depth,
                                  struct volumes_place *place);
static struct bdr_err *stack_walk_fs(struct volumes_scan *s, const struct volumes_mount *m, bool covered,
                                     unsigned depth, struct volumes_place *place);

/* All that lies under `dev` by its `slaves`; *out_any tells whether there was one. */
static struct bdr_err *stack_slaves(struct volumes_scan *s, volumes_dev dev, bool covered, unsigned depth,
                                    struct volumes_place *place, bool *out_any)
{
    char path[PATH_MAX], sub[PATH_MAX];
    struct bdr_err *err = NULL;
    struct dirent *e;
    DIR *dir;

    stack_path(s->host, dev, "slaves", path);
    dir = volumes_opendir(path);
    while (dir && !err && (e = readdir(dir))) {
        volumes_dev under;

        if (e->d_name[0] == '.' || snprintf(sub, sizeof(sub), "%s/%s/dev", path, e->d_name) >= (int)sizeof(sub))
            continue;
        under = stack_dev(sub);
        if (!under) /* it went away meanwhile, or never was a disk: what lies there is not known */
            place->outside |= !covered;
        else
            err = stack_walk(s, under, covered, depth, place);
        *out_any = true;
    }
    if (dir)
        closedir(dir);
    return err;
}

/* The file system that the file behind a loop device lies on. */
static struct bdr_err *stack_loop(struct volumes_scan *s, const char *file, bool covered, unsigned depth,
                                  struct volumes_place *place)
{
    const struct volumes_mount *m = volumes_mount_of(s, file);
    struct stat st;

    /* The name is as of when it was opened. On a file system with a device number of its own the file itself tells. */
    if (s->host->live && !stat(file, &st) && major(st.st_dev))
        return stack_walk(s, volumes_dev_of(major(st.st_dev), minor(st.st_dev)), covered, depth, place);
    if (m)
        return stack_walk_fs(s, m, covered, depth, place);
    place->outside |= !covered;
    return NULL;
}

/* `covered`: something above was asked about as a whole, so that what lies below is in it. */
static struct bdr_err *stack_under(struct volumes_scan *s, volumes_dev dev, bool covered, unsigned depth,
                                   struct volumes_place *place)
{
    char file[PATH_MAX];
    volumes_dev parent;
    bool any = false;
    size_t disk;

    if (depth >
        STACK_DEPTH_MAX) { /* a ring: a loop's file of another mount namespace can look as if it lay on itself */
        place->outside |= !covered;
        return NULL;
    }
    place->depth = BDR_MAX(place->depth, depth);
    if (volumes_asked(s, dev, &disk)) {
        place->disks[disk / 64] |= UINT64_C(1) << (disk % 64);
        covered = true;
    }
    parent = volumes_parent(s->host, dev);
    if (parent && parent != dev)
        return stack_under(s, parent, covered, depth + 1, place); /* the disk itself is not what is used */
    if (volumes_attr(s->host, dev, "loop/backing_file", file, sizeof(file)))
        return stack_loop(s, file, covered, depth + 1, place);
    BDR_TRY(stack_slaves(s, dev, covered, depth + 1, place, &any));
    if (!any)
        place->outside |= !covered;
    return NULL;
}

static struct bdr_err *stack_walk(struct volumes_scan *s, volumes_dev dev, bool covered, unsigned depth,
                                  struct volumes_place *place)
{
    BDR_TRY(stack_remember(s, dev));
    return stack_under(s, dev, covered, depth, place);
}

/* The folder of the btrfs that `dev` belongs to. */
static bool stack_btrfs_by_device(const struct volumes_host *host, volumes_dev dev, char *out, size_t n)
{
    char path[PATH_MAX], sub[PATH_MAX];
    bool found = false;
    struct dirent *e;
    DIR *all;

    snprintf(path, sizeof(path), "%s/fs/btrfs", host->sys);
    all = dev ? volumes_opendir(path) : NULL;
    while (all && !found && (e = readdir(all))) {
        struct dirent *d;
        DIR *dir;

        if (e->d_name[0] == '.' || snprintf(out, n, "%s/%s/devices", path, e->d_name) >= (int)n)
            continue;
        dir = volumes_opendir(out);
        while (dir && !found && (d = readdir(dir)))
            found = d->d_name[0] != '.' && snprintf(sub, sizeof(sub), "%s/%s/dev", out, d->d_name) < (int)sizeof(sub) &&
                    stack_dev(sub) == dev;
        if (dir)
            closedir(dir);
    }
    if (all)
        closedir(all);
    return found;
}

/* The same, asked of the file system itself: its source may be a name that no longer leads anywhere. */
static bool stack_btrfs_by_mount(const struct volumes_host *host, const char *point, char *out, size_t n)
{
    BDR_AUTO(fd) int fd = host->live ? open(point, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    struct btrfs_ioctl_fs_info_args args = {0};
    const uint8_t *u = args.fsid;

    if (fd < 0 || ioctl(fd, BTRFS_IOC_FS_INFO, &args))
        return false;
    return snprintf(out, n, "%s/fs/btrfs/%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x/devices",
                    host->sys, u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
                    u[14], u[15]) < (int)n;
}

static struct bdr_err *stack_btrfs(struct volumes_scan *s, const struct volumes_mount *m, bool covered, unsigned depth,
                                   struct volumes_place *place)
{
    char path[PATH_MAX], sub[PATH_MAX];
    struct bdr_err *err = NULL;
    volumes_dev dev = 0;
    struct dirent *e;
    bool any = false;
    DIR *dir = NULL;

    BDR_TRY(volumes_resolve(s->host, m->source, &dev));
    if (stack_btrfs_by_device(s->host, dev, path, sizeof(path)) ||
        stack_btrfs_by_mount(s->host, m->point, path, sizeof(path)))
        dir = volumes_opendir(path);
    while (dir && !err && (e = readdir(dir))) {
        if (e->d_name[0] == '.' || snprintf(sub, sizeof(sub), "%s/%s/dev", path, e->d_name) >= (int)sizeof(sub))
            continue;
        dev = stack_dev(sub);
        any = true;
        if (dev)
            err = stack_walk(s, dev, covered, depth, place);
        else
            place->outside |= !covered;
    }
    if (dir)
        closedir(dir);
    if (!any && !err)
        place->outside |= !covered;
    return err;
}

/* Devices by name, as bcachefs writes them: "/dev/sda:/dev/sdb". */
static struct bdr_err *stack_named(struct volumes_scan *s, const char *names, bool covered, unsigned depth,
                                   struct volumes_place *place)
{
    char name[PATH_MAX];

    for (const char *p = names; *p;) {
        size_t len = strcspn(p, ":");
        volumes_dev dev = 0;

        if (len && len < sizeof(name)) {
            memcpy(name, p, len);
            name[len] = 0;
            BDR_TRY(volumes_resolve(s->host, name, &dev));
        }
        if (dev)
            BDR_TRY(stack_walk(s, dev, covered, depth, place));
        else
            place->outside |= !covered;
        p += len + (p[len] == ':');
    }
    return NULL;
}

static struct bdr_err *stack_walk_fs(struct volumes_scan *s, const struct volumes_mount *m, bool covered,
                                     unsigned depth, struct volumes_place *place)
{
    static const char *const more[] = {"logdev", "rtdev"}; /* XFS */
    char name[PATH_MAX];

    if (!strcmp(m->type, "btrfs"))
        return stack_btrfs(s, m, covered, depth, place);
    if (!volumes_major(m->dev)) {
        if (!strcmp(m->type, "bcachefs"))
            return stack_named(s, m->source, covered, depth, place);
        place->outside |= !covered;
        return NULL;
    }
    BDR_TRY(stack_walk(s, m->dev, covered, depth, place));
    for (size_t i = 0; i < BDR_COUNT(more); i++)
        if (volumes_option(m->options, more[i], name, sizeof(name)))
            BDR_TRY(stack_named(s, name, covered, depth, place));
    return NULL;
}

struct bdr_err *volumes_walk(struct volumes_scan *s, volumes_dev dev, struct volumes_place *place)
{
    return stack_walk(s, dev, false, 1, place);
}

struct bdr_err *volumes_walk_fs(struct volumes_scan *s, const struct volumes_mount *m, struct volumes_place *place)
{
    return stack_walk_fs(s, m, false, 1, place);
}
