/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_raw.c - who else writes to the disks: programs that hold a device open for writing (Oracle, a VM's disk), and
 * partitions that somebody unseen claims (ZFS, a mount in a namespace that is not ours).
 *
 * Of programs, /proc/PID/fd tells: without root only our user's. Of claims, opening with O_EXCL tells, for the instant
 * between open and close, in which another's mount of that very partition fails with EBUSY: asked only of partitions
 * that nothing known uses.
 */
#include "volumes_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define RAW_PARTS 256 /* the kernel's DISK_MAX_PARTS */

static uint64_t raw_bytes(const struct volumes_scan *s, volumes_dev dev)
{
    char text[32];

    return volumes_attr(s->host, dev, "size", text, sizeof(text)) ? strtoull(text, NULL, 10) * VOLUMES_SECTOR : 0;
}

/* As bdr_volumes promises it: one entry a range, whoever else holds it. */
static struct bdr_err *raw_add(struct bdr_volumes *v, size_t disk, uint64_t off, uint64_t len, const char *what)
{
    for (size_t i = 0; i < v->raw_n; i++)
        if (v->raw[i].disk == disk && v->raw[i].off == off && v->raw[i].len == len)
            return NULL;
    return volumes_range_add(&v->raw, &v->raw_n, disk, off, len, what);
}

/* A writer on `dev`: its own range when it is a disk or partition, else all of the disks under it. */
static struct bdr_err *raw_add_dev(struct volumes_scan *s, struct bdr_volumes *v, volumes_dev dev, const char *what)
{
    struct volumes_place place = {0};
    uint64_t off;
    size_t disk;

    if (volumes_direct(s, dev, &disk, &off))
        return raw_add(v, disk, off, raw_bytes(s, dev), what);
    BDR_TRY(volumes_walk(s, dev, &place));
    for (disk = 0; disk < s->disks_n; disk++)
        if (place.disks[disk / 64] >> (disk % 64) & 1)
            BDR_TRY(raw_add(v, disk, 0, raw_bytes(s, s->disks[disk]), what));
    return NULL;
}

static bool raw_writes(const struct volumes_scan *s, const char *pid, const char *fd)
{
    char path[PATH_MAX], text[1024]; /* "flags:" is its second line */
    const char *flags;

    snprintf(path, sizeof(path), "%s/%s/fdinfo/%s", s->host->proc, pid, fd);
    if (!volumes_read(path, text, sizeof(text))) /* closed meanwhile */
        return false;
    flags = strstr(text, "flags:");
    return flags && (strtoul(flags + strlen("flags:"), NULL, 8) & O_ACCMODE) != O_RDONLY;
}

static struct bdr_err *raw_descriptor(struct volumes_scan *s, struct bdr_volumes *v, const char *pid, const char *fd)
{
    char path[PATH_MAX], to[PATH_MAX], name[64] = "", what[PATH_MAX + 128];
    volumes_dev dev = 0;
    ssize_t n;

    snprintf(path, sizeof(path), "%s/%s/fd/%s", s->host->proc, pid, fd);
    n = readlink(path, to, sizeof(to) - 1);
    if (n <= 5 || strncmp(to, "/dev/", 5)) /* by its name first: following it could touch a dead network server */
        return NULL;
    to[n] = 0;
    BDR_TRY(volumes_resolve(s->host, to, &dev));
    if (!dev || !raw_writes(s, pid, fd))
        return NULL;
    snprintf(path, sizeof(path), "%s/%s/comm", s->host->proc, pid);
    if (volumes_read(path, name, sizeof(name))) /* else it ended meanwhile; its number will do */
        name[strcspn(name, "\n")] = 0;
    snprintf(what, sizeof(what), "%s (written by %s, process %s)", to, *name ? name : "a program", pid);
    return raw_add_dev(s, v, dev, what);
}

static struct bdr_err *raw_process(struct volumes_scan *s, struct bdr_volumes *v, const char *pid)
{
    char path[PATH_MAX];
    struct bdr_err *err = NULL;
    struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%s/fd", s->host->proc, pid);
    dir = volumes_opendir(path); /* another user's, or gone: not to be known */
    while (dir && !err && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            err = raw_descriptor(s, v, pid, e->d_name);
    if (dir)
        closedir(dir);
    return err;
}

static struct bdr_err *raw_programs(struct volumes_scan *s, struct bdr_volumes *v)
{
    DIR *dir = volumes_opendir(s->host->proc);
    struct bdr_err *err = NULL;
    struct dirent *e;
    char self[24];

    snprintf(self, sizeof(self), "%ld", (long)getpid());
    while (dir && !err && (e = readdir(dir)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && (!s->host->live || strcmp(e->d_name, self)))
            err = raw_process(s, v, e->d_name);
    if (dir)
        closedir(dir);
    return err;
}

static bool raw_used(const struct volumes_scan *s, const char *folder, volumes_dev dev)
{
    char path[PATH_MAX];
    struct dirent *e;
    bool any = false;
    DIR *dir;

    for (size_t i = 0; i < s->seen_n; i++)
        if (s->seen[i] == dev)
            return true;
    snprintf(path, sizeof(path), "%s/holders", folder);
    dir = volumes_opendir(path);
    while (dir && !any && (e = readdir(dir)))
        any = e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return any;
}

/* Somebody has it, or the disk that it is a partition of. */
static bool raw_busy(const struct volumes_scan *s, volumes_dev dev)
{
    char name[PATH_MAX];
    int fd;

    if (!s->host->live || !volumes_name(s->host, dev, name, sizeof(name)))
        return false;
    fd = open(name, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return false;
    }
    volumes_trouble(errno);
    return errno == EBUSY;
}

static struct bdr_err *raw_claimed(struct volumes_scan *s, struct bdr_volumes *v, volumes_dev dev)
{
    char name[PATH_MAX], what[PATH_MAX + 64];

    if (!volumes_name(s->host, dev, name, sizeof(name)))
        return NULL;
    snprintf(what, sizeof(what), "%s (claimed by something that is not mounted here)", name);
    return raw_add_dev(s, v, dev, what);
}

struct raw_parts {
    size_t n, busy, used;
    volumes_dev at[RAW_PARTS]; /* the busy ones */
};

static void raw_look_at_parts(struct volumes_scan *s, const char *folder, volumes_dev disk, struct raw_parts *p)
{
    char path[PATH_MAX], sub[PATH_MAX], text[300];
    struct dirent *e;
    DIR *dir = volumes_opendir(folder);

    while (dir && (e = readdir(dir))) {
        unsigned major, minor;

        if (e->d_name[0] == '.' || snprintf(sub, sizeof(sub), "%s/%s", folder, e->d_name) >= (int)sizeof(sub) ||
            snprintf(path, sizeof(path), "%s/partition", sub) >= (int)sizeof(path) || access(path, F_OK))
            continue;
        snprintf(path, sizeof(path), "%s/dev", e->d_name);
        if (!volumes_attr(s->host, disk, path, text, sizeof(text)) || sscanf(text, "%u:%u", &major, &minor) != 2)
            continue;
        p->n++;
        if (raw_used(s, sub, volumes_dev_of(major, minor)))
            p->used++;
        else if (p->busy < RAW_PARTS && raw_busy(s, volumes_dev_of(major, minor)))
            p->at[p->busy++] = volumes_dev_of(major, minor);
    }
    if (dir)
        closedir(dir);
}

static struct bdr_err *raw_disk(struct volumes_scan *s, struct bdr_volumes *v, volumes_dev disk)
{
    struct raw_parts p = {0};
    char folder[PATH_MAX];

    snprintf(folder, sizeof(folder), "%s/dev/block/%u:%u", s->host->sys, volumes_major(disk), volumes_minor(disk));
    /* Used as a whole (multipath, a file system made over an old partition table): then its partitions are busy too. */
    if (raw_used(s, folder, disk))
        return NULL;
    raw_look_at_parts(s, folder, disk, &p);
    if (p.busy == p.n && !p.used) /* none has been had, so that it may be the disk itself that is taken */
        return raw_busy(s, disk) ? raw_claimed(s, v, disk) : NULL;
    for (size_t i = 0; i < p.busy; i++)
        BDR_TRY(raw_claimed(s, v, p.at[i]));
    return NULL;
}

struct bdr_err *volumes_raws(struct volumes_scan *s, struct bdr_volumes *v)
{
    /* Claims first: looking at programs' devices marks what it walks over as seen. */
    for (size_t i = 0; i < s->disks_n; i++)
        BDR_TRY(raw_disk(s, v, s->disks[i]));
    return raw_programs(s, v);
}
