/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_swap.c - where on the disks swap lies. Its content means nothing after a boot, and the kernel goes on writing
 * it while file systems are frozen.
 *
 * The first page, the header, is left in: it holds the label and UUID that fstab names. Areas that we can't place on a
 * disk byte by byte (on LVM, LUKS, md, btrfs, a deleted file) are not listed, and so are copied like data: more to
 * send, never less.
 */
#include "bdr/osfile.h"
#include "volumes_priv.h"
#include <fcntl.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define SWAP_EXTENTS 128 /* asked for at once */
/* Extents whose physical place is not the file's bytes as they are. */
#define SWAP_NO_PLACE                                                                                                  \
    (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_NOT_ALIGNED |              \
     FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_SHARED)

struct swap_file {
    const char *path;
    size_t disk;
    uint64_t base;     /* of the file system's device on the disk */
    uint64_t from, to; /* of the file: what is no header */
};

struct bdr_err *volumes_range_add(struct bdr_volume_range **list, size_t *n, size_t disk, uint64_t off, uint64_t len,
                                  const char *what)
{
    struct bdr_volume_range *more = reallocarray(*list, *n + 1, sizeof(*more));

    BDR_NOMEM_IF_NULL(more);
    *list = more;
    more[*n] = (struct bdr_volume_range){.disk = (uint32_t)disk, .off = off, .len = len, .what = strdup(what)};
    BDR_NOMEM_IF_NULL(more[*n].what);
    (*n)++;
    return NULL;
}

static struct bdr_err *swap_extent(const struct swap_file *f, const struct fiemap_extent *e, struct bdr_volumes *v)
{
    uint64_t from = BDR_MAX(e->fe_logical, f->from), to = BDR_MIN(e->fe_logical + e->fe_length, f->to);
    uint64_t off = f->base + e->fe_physical + (from - e->fe_logical);
    struct bdr_volume_range *last = v->swap_n ? &v->swap[v->swap_n - 1] : NULL;

    if (from >= to || (e->fe_flags & SWAP_NO_PLACE))
        return NULL;
    if (last && last->disk == f->disk && last->off + last->len == off && !strcmp(last->what, f->path)) {
        last->len += to - from; /* a file system cuts long extents; they lie together all the same */
        return NULL;
    }
    return volumes_range_add(&v->swap, &v->swap_n, f->disk, off, to - from, f->path);
}

/* Source: Documentation/filesystems/fiemap.rst */
static struct bdr_err *swap_extents(int fd, const struct swap_file *f, struct bdr_volumes *v)
{
    BDR_AUTO(mem) struct fiemap *map = calloc(1, sizeof(*map) + SWAP_EXTENTS * sizeof(map->fm_extents[0]));
    uint64_t at = 0;

    BDR_NOMEM_IF_NULL(map);
    while (at < f->to) {
        const struct fiemap_extent *e = NULL;

        *map = (struct fiemap){.fm_start = at, .fm_length = f->to - at, .fm_extent_count = SWAP_EXTENTS};
        if (ioctl(fd, FS_IOC_FIEMAP, map) || !map->fm_mapped_extents)
            return NULL; /* what was not told is copied like data */
        for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
            e = &map->fm_extents[i];
            BDR_TRY(swap_extent(f, e, v));
        }
        if ((e->fe_flags & FIEMAP_EXTENT_LAST) || e->fe_logical + e->fe_length <= at)
            break;
        at = e->fe_logical + e->fe_length;
    }
    return NULL;
}

/* Extents of these are places on their one device; btrfs answers with addresses of its own. */
static bool swap_places(const struct volumes_mount *m)
{
    static const char *const types[] = {"ext2", "ext3", "ext4", "xfs"};

    for (size_t i = 0; m && i < BDR_COUNT(types); i++)
        if (!strcmp(m->type, types[i]))
            return true;
    return false;
}

static struct bdr_err *swap_in_file(struct volumes_scan *s, const struct volumes_area *a, uint64_t page,
                                    struct bdr_volumes *v)
{
    const struct volumes_mount *m = volumes_mount_of(s, a->path);
    struct swap_file f = {.path = a->path, .from = page, .to = page + a->bytes};
    BDR_AUTO(fd) int fd = -1;
    struct stat st;

    if (!s->host->live || !swap_places(m) || !volumes_direct(s, m->dev, &f.disk, &f.base))
        return NULL;
    fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) ||
        volumes_dev_of(major(st.st_dev), minor(st.st_dev)) != m->dev)
        return NULL;
    return swap_extents(fd, &f, v);
}

static struct bdr_err *swap_on_device(struct volumes_scan *s, const struct volumes_area *a, uint64_t page,
                                      struct bdr_volumes *v)
{
    struct volumes_place place = {0};
    volumes_dev dev = 0;
    uint64_t off;
    size_t disk;

    BDR_TRY(volumes_resolve(s->host, a->path, &dev));
    if (!dev)
        return NULL;
    BDR_TRY(volumes_walk(s, dev, &place)); /* so that its devices count as used */
    if (!volumes_direct(s, dev, &disk, &off))
        return NULL;
    return volumes_range_add(&v->swap, &v->swap_n, disk, off + page, a->bytes, a->path);
}

static void swap_areas_free(struct volumes_areas *a)
{
    volumes_areas_free(a);
}

struct bdr_err *volumes_swaps(struct volumes_scan *s, struct bdr_volumes *v)
{
    __attribute__((cleanup(swap_areas_free))) struct volumes_areas areas = {0};
    BDR_AUTO(mem) char *text = NULL;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    char path[PATH_MAX];
    size_t len = 0;
    struct bdr_err *err;

    snprintf(path, sizeof(path), "%s/swaps", s->host->proc);
    err = bdr_os_read_file(path, VOLUMES_TEXT_MAX, &text, &len);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "a kernel without swap has no such file");
        return NULL;
    }
    BDR_TRY(err);
    BDR_TRY(volumes_areas_parse(text, len, &areas));
    for (size_t i = 0; i < areas.n; i++)
        BDR_TRY(areas.at[i].file ? swap_in_file(s, &areas.at[i], page, v) : swap_on_device(s, &areas.at[i], page, v));
    return NULL;
}
