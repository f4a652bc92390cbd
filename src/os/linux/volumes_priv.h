/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_priv.h - the parts of the volumes scan, and where it looks: this machine, or a recorded tree of files.
 *
 * Threads: any; a struct belongs to its owner.
 */
#pragma once
#include "bdr/volumes.h"
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VOLUMES_WORDS    (BDR_VOLUMES_DISKS_MAX / 64)
#define VOLUMES_TEXT_MAX (64u << 20) /* mountinfo of a host with 100,000 mounts has some 20 MiB */
#define VOLUMES_SECTOR   512u        /* the unit of /sys/.../start and size, whatever the disk's own is */

/* A block device's number, (major << 32 | minor); 0 is none. */
typedef uint64_t volumes_dev;
static inline volumes_dev volumes_dev_of(uint32_t major, uint32_t minor)
{
    return (uint64_t)major << 32 | minor;
}
static inline uint32_t volumes_major(volumes_dev dev)
{
    return (uint32_t)(dev >> 32);
}
static inline uint32_t volumes_minor(volumes_dev dev)
{
    return (uint32_t)dev;
}

/* --- volumes_parse.c: the kernel's tables as text --- */
struct volumes_mount {
    char *line; /* owned; the other strings point into it */
    uint64_t id;
    volumes_dev dev;                                    /* major 0: anonymous (btrfs, overlay, tmpfs...) */
    const char *root, *point, *type, *source, *options; /* options: of the file system, not of this mount of it */
    bool read_only;
    char *elsewhere; /* owned, and then `point`: the way into another mount namespace, /proc/PID/root/...; NULL: ours */
};
struct volumes_mounts {
    struct volumes_mount *at;
    size_t n;
};
struct volumes_area {
    char *path;
    bool file;      /* else a device */
    uint64_t bytes; /* usable, without the header page */
};
struct volumes_areas {
    struct volumes_area *at;
    size_t n;
};
/*
 * proc(5): /proc/PID/mountinfo and /proc/swaps. Unknown optional fields are skipped.
 *
 * Errors:  INVAL with the line's number; NOMEM. *out is empty then.
 */
bdr_ret volumes_mounts_parse(const char *text, size_t len, struct volumes_mounts *out);
void volumes_mounts_free(struct volumes_mounts *m);
bdr_ret volumes_areas_parse(const char *text, size_t len, struct volumes_areas *out);
void volumes_areas_free(struct volumes_areas *a);
/* The value of "name=value" in comma-separated mount options into out[n]; false when there is none or it is too long.
 */
bool volumes_option(const char *options, const char *name, char *out, size_t n);

/* --- volumes_stack.c: devices under devices --- */
struct volumes_host {
    const char *proc, *sys; /* "/proc", "/sys" */
    bool live;              /* this machine: devices may be opened and asked; else only the files of the tree count */
};
extern const struct volumes_host volumes_this_host;

struct volumes_scan {
    const struct volumes_host *host;
    struct volumes_mounts mounts;
    volumes_dev disks[BDR_VOLUMES_DISKS_MAX];
    size_t disks_n;
    volumes_dev *seen; /* devices that carry a file system or swap, directly or under others, not by their partitions */
    size_t seen_n, seen_cap;
};
struct volumes_place {
    uint64_t disks[VOLUMES_WORDS];
    bool outside;
    uint32_t depth;
};
/* "/dev/NAME" as a device; *out is 0 when it is none that this machine has. */
bdr_ret volumes_resolve(const struct volumes_host *host, const char *path, volumes_dev *out);
/* The whole disk that `path` names: NOTFOUND, INVAL as bdr_volumes_scan. */
bdr_ret volumes_disk(const struct volumes_host *host, const char *path, volumes_dev *out);
/*
 * "Not there" is an answer, having no descriptors or memory to look is none. Whoever opens in here says so to
 * trouble(), which keeps the first errno of the second kind; trouble_begin() forgets, trouble_end() makes it the scan's
 * error.
 */
void volumes_trouble(int sys);
void volumes_trouble_begin(void);
bdr_ret volumes_trouble_end(void);
/* opendir(3), with that. */
DIR *volumes_opendir(const char *path);
/*
 * The first n-1 bytes of a small file of the kernel's; false when it can't be read. Allocates nothing: being short of
 * memory must not look like "there is none".
 */
bool volumes_read(const char *path, char *out, size_t n);
/* Its name in /dev, "/dev/vda2", into out[n]; false when /sys does not know it. */
bool volumes_name(const struct volumes_host *host, volumes_dev dev, char *out, size_t n);
/* A file of the device's folder in /sys, without its newline, into out[n]; false when there is none. */
bool volumes_attr(const struct volumes_host *host, volumes_dev dev, const char *attr, char *out, size_t n);
/* The disk that `dev` is a partition of; `dev` itself when it is none. */
volumes_dev volumes_parent(const struct volumes_host *host, volumes_dev dev);
/* Index of `dev` in the disks asked about; false when it is not among them. */
bool volumes_asked(const struct volumes_scan *s, volumes_dev dev, size_t *out);
/* Where `dev` lies: adds to *place. All devices passed are remembered in s->seen. */
bdr_ret volumes_walk(struct volumes_scan *s, volumes_dev dev, struct volumes_place *place);
/* The same for a mounted file system: all of its devices. */
bdr_ret volumes_walk_fs(struct volumes_scan *s, const struct volumes_mount *m, struct volumes_place *place);
/* The mount that holds the file `path`; NULL when that can't be told. */
const struct volumes_mount *volumes_mount_of(const struct volumes_scan *s, const char *path);
/* Where a whole disk or a partition of one begins, when that disk was asked about: its index and offset. */
bool volumes_direct(const struct volumes_scan *s, volumes_dev dev, size_t *out_disk, uint64_t *out_off);

/* --- volumes_swap.c, volumes_raw.c: ranges of the disks; they append to v --- */
bdr_ret volumes_swaps(struct volumes_scan *s, struct bdr_volumes *v);
/* Needs s->seen complete: after the file systems and swap. */
bdr_ret volumes_raws(struct volumes_scan *s, struct bdr_volumes *v);
/* Appends; `what` is copied. */
bdr_ret volumes_range_add(struct bdr_volume_range **list, size_t *n, size_t disk, uint64_t off, uint64_t len,
                          const char *what);

/* --- volumes_elsewhere.c --- */
/* Adds to s->mounts, which are ours until then, those of other mount namespaces that are of no file system in it. */
bdr_ret volumes_elsewhere(struct volumes_scan *s);
/* open(2) of a mount point, with O_CLOEXEC; those of other namespaces without following what somebody there put in the way. */
int volumes_open(const char *point, int flags);

/* --- volumes.c: the scan itself, of any host --- */
/* File systems of block devices have their numbers, but for those of several devices. FUSE without one is not ours. */
bool volumes_on_devices(const struct volumes_mount *m);
bdr_ret volumes_scan_host(const struct volumes_host *host, const char *const *disks, size_t n,
                          struct bdr_volumes **out);
bdr_ret volumes_disks_host(const struct volumes_host *host, char ***out, size_t *out_n);
bdr_ret volumes_whole_host(const struct volumes_host *host, const char *device, char **out);
