/* SPDX-License-Identifier: Apache-2.0 */
/* track_disk.c - a whole disk as /sys/dev/block tells it. Source: Documentation/ABI/stable/sysfs-block of Linux. */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "track_priv.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DISK_PATH 128

static void disk_file(uint32_t major, uint32_t minor, const char *file, char out[DISK_PATH])
{
    snprintf(out, DISK_PATH, "/sys/dev/block/%u:%u/%s", major, minor, file);
}

/* A small text file without its newline; "" when it can't be read. */
static void disk_text(const struct track_disk *d, const char *file, char *out, size_t n)
{
    char path[DISK_PATH];
    FILE *f;

    out[0] = 0;
    disk_file(d->major, d->minor, file, path);
    f = fopen(path, "re");
    if (!f)
        return;
    if (!fgets(out, (int)n, f))
        out[0] = 0;
    fclose(f);
    out[strcspn(out, "\n")] = 0;
}

static uint64_t disk_number(const struct track_disk *d, const char *file)
{
    char text[64];
    uint64_t n = 0;
    struct bdr_err *err;

    disk_text(d, file, text, sizeof(text));
    err = bdr_u64_parse(text, UINT64_MAX, &n);
    bdr_err_drop(err, "a file that this kernel does not have reads as 0");
    return n;
}

/* The n-th number (from 0) of a line; false when there are fewer. */
static bool disk_field(const char *line, unsigned n, uint64_t *out)
{
    unsigned long long v = 0;
    int used = 0;

    for (unsigned i = 0; i <= n; i++, line += used)
        if (sscanf(line, "%llu%n", &v, &used) != 1)
            return false;
    *out = v;
    return true;
}

static bool disk_has(const struct track_disk *d, const char *file)
{
    char path[DISK_PATH];

    disk_file(d->major, d->minor, file, path);
    return access(path, F_OK) == 0;
}

/* The last or the last but one name in the path that /sys/dev/block/MAJ:MIN leads to. */
static bool disk_link(const struct track_disk *d, bool parent, char *out, size_t n)
{
    char path[DISK_PATH], to[512];
    char *last;
    ssize_t got;

    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", d->major, d->minor);
    got = readlink(path, to, sizeof(to) - 1);
    if (got <= 0)
        return false;
    to[got] = 0;
    if (parent) {
        last = strrchr(to, '/');
        if (last)
            *last = 0;
    }
    last = strrchr(to, '/');
    return last && (size_t)snprintf(out, n, "%s", last + 1) < n;
}

void track_disk_path(const struct track_disk *d, char out[64])
{
    snprintf(out, 64, "/dev/%s", d->name);
    for (char *p = out + 5; *p; p++)
        if (*p == '!') /* how sysfs writes a slash */
            *p = '/';
}

struct bdr_err *track_disk_at(uint32_t major, uint32_t minor, struct track_disk *out)
{
    struct track_disk d = {.major = major, .minor = minor};
    char path[DISK_PATH];
    struct stat st;

    disk_file(major, minor, "", path);
    if (stat(path, &st) || !disk_link(&d, false, d.name, sizeof(d.name)))
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no block device %u:%u", major, minor);
    d.node = st.st_ino;
    d.size_bytes = disk_number(&d, "size") * 512;
    d.diskseq = disk_number(&d, "diskseq");
    d.queue_only = !disk_has(&d, "mq");
    d.counted = disk_number(&d, "queue/iostats") == 1;
    *out = d;
    return NULL;
}

struct bdr_err *track_disk_find(const char *path, struct track_disk *out)
{
    struct track_disk d;
    struct stat st;

    if (stat(path, &st))
        BDR_FAIL_ERRNO("looking at %s", path);
    if (!S_ISBLK(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is no block device", path);
    BDR_TRY_FOR(track_disk_at(major(st.st_rdev), minor(st.st_rdev), &d), "looking at %s", path);
    if (disk_has(&d, "partition")) {
        char parent[48] = "its disk";

        disk_link(&d, true, parent, sizeof(parent));
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s is a partition; track the whole disk, /dev/%s", path, parent);
    }
    *out = d;
    return NULL;
}

struct bdr_err *track_disk_fit(const struct track_disk *d)
{
    char zoned[32], path[64];

    track_disk_path(d, path);
    if (disk_number(d, "queue/dax") == 1)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s is persistent memory (DAX): programs write to it without the block layer",
                 path);
    disk_text(d, "queue/zoned", zoned, sizeof(zoned));
    if (zoned[0] && strcmp(zoned, "none"))
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s is a zoned disk (%s): its zones are reset without sectors", path, zoned);
    if (!d->size_bytes)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s has no medium", path);
    return NULL;
}

struct bdr_err *track_disk_stat(const struct track_disk *d, uint64_t *out_sectors)
{
    uint64_t written, discarded = 0;
    char line[512];

    disk_text(d, "stat", line, sizeof(line));
    if (!disk_field(line, 6, &written))
        BDR_FAIL(BDR_IO, 0, "/sys/block/%s/stat can't be read", d->name);
    if (!disk_field(line, 13, &discarded))
        discarded = 0; /* Linux before 4.18 did not count them */
    *out_sectors = written + discarded;
    return NULL;
}

struct bdr_err *track_disk_inflight(const struct track_disk *d, uint64_t *out_writes)
{
    char line[128];

    disk_text(d, "inflight", line, sizeof(line));
    if (!disk_field(line, 1, out_writes))
        BDR_FAIL(BDR_IO, 0, "/sys/block/%s/inflight can't be read", d->name);
    return NULL;
}
