/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes.c - the file systems of the disks asked about, each once, deepest first; and which disks there are.
 */
#include "bdr/osfile.h"
#include "volumes_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct volumes_group {               /* the mounts of one file system */
    const struct volumes_mount **at; /* borrowed */
    size_t n;
    struct volumes_place place;
};

static void volumes_fs_free(struct bdr_volume_fs *fs)
{
    free(fs->mount);
    free(fs->type);
    free(fs->device);
    free(fs->disks);
}

void bdr_volumes_free(struct bdr_volumes *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->fs_n; i++)
        volumes_fs_free(&v->fs[i]);
    for (size_t i = 0; i < v->swap_n; i++)
        free(v->swap[i].what);
    for (size_t i = 0; i < v->raw_n; i++)
        free(v->raw[i].what);
    free(v->fs);
    free(v->swap);
    free(v->raw);
    free(v);
}

static void volumes_scan_end(struct volumes_scan *s)
{
    volumes_mounts_free(&s->mounts);
    free(s->seen);
}

bool volumes_on_devices(const struct volumes_mount *m)
{
    return volumes_major(m->dev) || !strcmp(m->type, "btrfs") || !strcmp(m->type, "bcachefs");
}

/* What `fd` is of: the number of the mount that /proc/self/mountinfo lists (Linux 3.15); `want` when that is not told.
 */
static uint64_t volumes_mount_id(int fd, uint64_t want)
{
    char path[64], text[1024];
    const char *id;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    id = volumes_read(path, text, sizeof(text)) ? strstr(text, "mnt_id:") : NULL;
    return id ? strtoull(id + strlen("mnt_id:"), NULL, 10) : want;
}

/* 0 when the mount point leads to this mount, else why not: EBUSY means that another mount hides it. */
static int volumes_reach(const struct volumes_host *host, const struct volumes_mount *m)
{
    BDR_AUTO(fd) int fd = -1;
    struct stat st;
    int opened;

    if (!host->live)
        return 0;
    fd = volumes_open(m->point, O_PATH);
    if (fd < 0 || fstat(fd, &st))
        return errno;
    if (volumes_mount_id(fd, m->id) != m->id)
        return EBUSY;
    if (!S_ISDIR(st.st_mode) &&
        !S_ISREG(st.st_mode)) /* a device or pipe bound over a name: opening it would do things */
        return ENOTDIR;
    opened = volumes_open(m->point, O_RDONLY | O_NONBLOCK);
    if (opened < 0)
        return errno;
    close(opened);
    return 0;
}

static int volumes_by_length(const void *a, const void *b)
{
    const struct volumes_mount *x = *(const struct volumes_mount *const *)a;
    const struct volumes_mount *y = *(const struct volumes_mount *const *)b;
    size_t xn = strlen(x->point), yn = strlen(y->point);

    if (xn != yn)
        return xn < yn ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Its device as a person knows it. */
static const char *volumes_device(const struct volumes_scan *s, const struct volumes_mount *m, char name[PATH_MAX])
{
    if (strncmp(m->source, "/dev/", 5) || !strcmp(m->source, "/dev/root"))
        return volumes_major(m->dev) && volumes_name(s->host, m->dev, name, PATH_MAX) ? name : m->source;
    return m->source;
}

static struct bdr_err *volumes_unreachable(const struct volumes_scan *s, const struct volumes_group *g, int sys)
{
    const struct volumes_mount *m = g->at[0];
    char name[PATH_MAX];

    if (sys == EBUSY)
        BDR_FAIL(BDR_UNSUPPORTED, sys,
                 "the %s of %s is mounted on %s only, hidden by another mount; unmount one of them", m->type,
                 volumes_device(s, m, name), m->point);
    BDR_FAIL(bdr_code_of_errno(sys), sys, "the %s of %s is mounted on %s only, which can't be opened", m->type,
             volumes_device(s, m, name), m->point);
}

/* Appends the file system of `g` to v. *out_added is false when there is no way in and nobody to tell of. */
static struct bdr_err *volumes_add(const struct volumes_scan *s, struct volumes_group *g, struct bdr_volumes *v,
                                   bool *out_added)
{
    const struct volumes_mount *m = NULL;
    struct bdr_volume_fs *more, *fs;
    char name[PATH_MAX];
    int sys = 0;

    qsort(g->at, g->n, sizeof(g->at[0]), volumes_by_length);
    for (size_t i = 0; i < g->n && !m; i++) {
        int why = volumes_reach(s->host, g->at[i]);

        m = why ? NULL : g->at[i];
        sys = sys ? sys : why;
    }
    /* A process there is the way in, and it ended: then there is nobody to mount it, or it is told as claimed. */
    if (!m && g->at[0]->elsewhere)
        return NULL;
    if (!m)
        return volumes_unreachable(s, g, sys);
    *out_added = true;
    more = reallocarray(v->fs, v->fs_n + 1, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    v->fs = more;
    fs = &v->fs[v->fs_n++];
    *fs = (struct bdr_volume_fs){.mount = strdup(m->point),
                                 .type = strdup(m->type),
                                 .device = strdup(volumes_device(s, m, name)),
                                 .depth = g->place.depth,
                                 .read_only = m->read_only,
                                 .disks = malloc(sizeof(g->place.disks)),
                                 .outside = g->place.outside};
    if (!fs->mount || !fs->type || !fs->device || !fs->disks)
        BDR_NOMEM_IF_NULL(NULL);
    memcpy(fs->disks, g->place.disks, sizeof(g->place.disks));
    return NULL;
}

static bool volumes_any(const struct volumes_place *place)
{
    for (size_t i = 0; i < VOLUMES_WORDS; i++)
        if (place->disks[i])
            return true;
    return false;
}

static int volumes_by_fs(const void *a, const void *b)
{
    const struct volumes_mount *x = *(const struct volumes_mount *const *)a;
    const struct volumes_mount *y = *(const struct volumes_mount *const *)b;

    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int volumes_deepest_first(const void *a, const void *b)
{
    const struct bdr_volume_fs *x = a, *y = b;

    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    return strcmp(x->mount, y->mount);
}

static struct bdr_err *volumes_filesystems(struct volumes_scan *s, struct bdr_volumes *v)
{
    BDR_AUTO(mem) const struct volumes_mount **at = calloc(s->mounts.n + 1, sizeof(*at));
    size_t n = 0;

    BDR_NOMEM_IF_NULL(at);
    for (size_t i = 0; i < s->mounts.n; i++)
        if (volumes_on_devices(&s->mounts.at[i]))
            at[n++] = &s->mounts.at[i];
    qsort(at, n, sizeof(*at), volumes_by_fs);
    for (size_t i = 0, end; i < n; i = end) {
        struct volumes_group g = {.at = at + i};
        size_t seen = s->seen_n;
        bool added = true;

        for (end = i; end < n && at[end]->dev == at[i]->dev; end++)
            ;
        g.n = end - i;
        BDR_TRY(volumes_walk_fs(s, at[i], &g.place));
        if (volumes_any(&g.place))
            BDR_TRY(volumes_add(s, &g, v, &added));
        if (!added)
            s->seen_n = seen;
    }
    if (v->fs_n)
        qsort(v->fs, v->fs_n, sizeof(*v->fs), volumes_deepest_first);
    return NULL;
}

struct bdr_err *volumes_disk(const struct volumes_host *host, const char *path, volumes_dev *out)
{
    char name[PATH_MAX];
    volumes_dev parent;

    BDR_TRY(volumes_resolve(host, path, out));
    if (!*out)
        BDR_FAIL(BDR_NOTFOUND, 0, "%s is not a block device of this machine", path);
    parent = volumes_parent(host, *out);
    if (parent != *out)
        BDR_FAIL(BDR_INVAL, 0, "%s is a partition; give its disk, %s", path,
                 volumes_name(host, parent, name, sizeof(name)) ? name : "which has no name in /dev");
    return NULL;
}

struct bdr_err *volumes_scan_host(const struct volumes_host *host, const char *const *disks, size_t n,
                                  struct bdr_volumes **out)
{
    __attribute__((cleanup(volumes_scan_end))) struct volumes_scan s = {.host = host};
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    BDR_AUTO(mem) char *text = NULL;
    char path[PATH_MAX];
    size_t len = 0, twice;

    volumes_trouble_begin();
    if (n > BDR_VOLUMES_DISKS_MAX)
        BDR_FAIL(BDR_INVAL, 0, "%zu disks at once; at most %d", n, BDR_VOLUMES_DISKS_MAX);
    for (size_t i = 0; i < n; i++) {
        BDR_TRY(volumes_disk(host, disks[i], &s.disks[i]));
        if (volumes_asked(&s, s.disks[i], &twice))
            BDR_FAIL(BDR_INVAL, 0, "%s and %s are the same disk", disks[twice], disks[i]);
        s.disks_n = i + 1;
    }
    v = calloc(1, sizeof(*v));
    BDR_NOMEM_IF_NULL(v);
    snprintf(path, sizeof(path), "%s/self/mountinfo", host->proc);
    BDR_TRY_FOR(bdr_os_read_file(path, VOLUMES_TEXT_MAX, &text, &len), "listing mounts");
    BDR_TRY(volumes_mounts_parse(text, len, &s.mounts));
    BDR_TRY(volumes_elsewhere(&s));
    BDR_TRY(volumes_filesystems(&s, v));
    BDR_TRY(volumes_swaps(&s, v));
    BDR_TRY(volumes_raws(&s, v));
    BDR_TRY(volumes_trouble_end());
    *out = BDR_STEAL(v);
    return NULL;
}

void bdr_volumes_disks_free(char **disks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(disks[i]);
    free(disks);
}

/* By the kernel's names, since what they are not shows nowhere else: not one of these is a disk that a person bought.
 */
static bool volumes_no_disk(const char *name)
{
    static const char *const prefixes[] = {"loop", "ram", "zram", "sr", "fd", "dm-", "md", "mtdblock", "zd"};

    for (size_t i = 0; i < BDR_COUNT(prefixes); i++) {
        size_t len = strlen(prefixes[i]);

        if (!strncmp(name, prefixes[i], len) &&
            (prefixes[i][len - 1] == '-' || (name[len] >= '0' && name[len] <= '9') ||
             (name[len] == '_' && !strcmp(prefixes[i], "md"))))
            return true;
    }
    return strstr(name, "boot") || strstr(name, "rpmb"); /* eMMC: a board's firmware */
}

static bool volumes_is_disk(const struct volumes_host *host, const char *name, char out[PATH_MAX])
{
    char path[PATH_MAX], text[32];
    unsigned major, minor;
    struct stat st;

    snprintf(path, sizeof(path), "%s/block/%s/dev", host->sys, name);
    if (volumes_no_disk(name) || !volumes_read(path, text, sizeof(text)) || sscanf(text, "%u:%u", &major, &minor) != 2)
        return false;
    volumes_dev dev = volumes_dev_of(major, minor);
    /* Unused slots of nbd and empty card readers have no size; a path of NVMe multipath is hidden behind its head. */
    if (!volumes_attr(host, dev, "size", text, sizeof(text)) || !strtoull(text, NULL, 10) ||
        (volumes_attr(host, dev, "hidden", text, sizeof(text)) && *text == '1'))
        return false;
    snprintf(path, sizeof(path), "%s/block/%s/bcache/backing_dev_name", host->sys, name);
    return stat(path, &st) && volumes_name(host, dev, out, PATH_MAX);
}

static int volumes_by_name(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t xn = strlen(x), yn = strlen(y);

    return xn != yn ? (xn < yn ? -1 : 1) : strcmp(x, y); /* sda..sdz before sdaa */
}

struct bdr_err *volumes_disks_host(const struct volumes_host *host, char ***out, size_t *out_n)
{
    char path[PATH_MAX], name[PATH_MAX], **all = NULL;
    bool short_of_memory = false;
    struct dirent *e;
    size_t n = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/block", host->sys);
    volumes_trouble_begin();
    dir = opendir(path);
    if (!dir)
        BDR_FAIL_ERRNO("opening folder %s", path);
    while (!short_of_memory && (e = readdir(dir))) {
        char **more;

        if (e->d_name[0] == '.' || !volumes_is_disk(host, e->d_name, name))
            continue;
        more = reallocarray(all, n + 1, sizeof(*more));
        all = more ? more : all;
        short_of_memory = !more || !(all[n] = strdup(name));
        n += !short_of_memory;
    }
    closedir(dir);
    if (short_of_memory) {
        bdr_volumes_disks_free(all, n);
        BDR_NOMEM_IF_NULL(NULL);
    }
    struct bdr_err *err = volumes_trouble_end();
    if (err) {
        bdr_volumes_disks_free(all, n);
        return err;
    }
    if (n)
        qsort(all, n, sizeof(*all), volumes_by_name);
    *out = all;
    *out_n = n;
    return NULL;
}

struct bdr_err *volumes_whole_host(const struct volumes_host *host, const char *device, char **out)
{
    char name[PATH_MAX];
    volumes_dev dev, parent;
    char *copy;

    BDR_TRY(volumes_resolve(host, device, &dev));
    if (!dev)
        BDR_FAIL(BDR_NOTFOUND, 0, "%s is not a block device of this machine", device);
    parent = volumes_parent(host, dev);
    if (!parent || !volumes_name(host, parent, name, sizeof(name)))
        BDR_FAIL(BDR_NOTFOUND, 0, "the disk of %s is not known to %s", device, host->sys);
    copy = strdup(name);
    BDR_NOMEM_IF_NULL(copy);
    *out = copy;
    return NULL;
}

struct bdr_err *bdr_volumes_scan(const char *const *disks, size_t n, struct bdr_volumes **out)
{
    return volumes_scan_host(&volumes_this_host, disks, n, out);
}

struct bdr_err *bdr_volumes_disks(char ***out, size_t *out_n)
{
    return volumes_disks_host(&volumes_this_host, out, out_n);
}

struct bdr_err *bdr_volumes_whole_disk(const char *device, char **out)
{
    return volumes_whole_host(&volumes_this_host, device, out);
}
