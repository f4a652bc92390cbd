/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inventory.c - what this machine is made of: its disks, what lies on them, its network.
 *
 * Source: /sys/class/block (partition, dm/uuid, md, slaves), udev's database (/run/udev/data, for what file systems
 * are called: nothing of the disks' content is parsed here), /proc/cpuinfo, meminfo, mountinfo. Where udev is not, a
 * volume has no label and no UUID.
 * What changes all the time (space used) is rounded, so that the print of the inventory stays.
 */
#include "bdr/arena.h"
#include "bdr/machine_api.h"
#include "bdr/osfile.h"
#include "bdr/track.h"
#include "bdr/volumes.h"
#include "bdr/worker_prog.h"
#include "inventory_i.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#define INV_DEPTH_MAX 16

const char *inv_text(struct inv *v, const char *path)
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;
    struct bdr_err *err = bdr_os_read_file(path, 65536, &text, &len);
    char *end;

    if (err) {
        bdr_err_drop(err, "not every machine has each of these files");
        return NULL;
    }
    for (end = text + strlen(text); end > text && (unsigned char)end[-1] <= ' '; end--)
        ;
    len = strspn(text, " \t");
    return end <= text + len ? NULL : bdr_arena_text(v->arena, text + len, (size_t)(end - text) - len);
}

static const char *inv_attr(struct inv *v, const char *name, const char *attr)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "/sys/class/block/%s/%s", name, attr);
    return inv_text(v, path);
}

static uint64_t inv_number(struct inv *v, const char *name, const char *attr)
{
    const char *text = inv_attr(v, name, attr);

    return text ? strtoull(text, NULL, 10) : 0;
}

static bool inv_is(const char *name, const char *attr)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "/sys/class/block/%s/%s", name, attr);
    return !access(path, F_OK);
}

/* A value that udev keeps of a device. */
static const char *inv_udev(struct inv *v, const char *name, const char *key)
{
    const char *dev = inv_attr(v, name, "dev"), *text, *p;
    char path[128], want[64];

    snprintf(path, sizeof(path), "/run/udev/data/b%s", dev ? dev : "?");
    text = inv_text(v, path);
    snprintf(want, sizeof(want), "E:%s=", key);
    for (p = text; p && (p = strstr(p, want)) != NULL; p++)
        if (p == text || p[-1] == '\n') {
            p += strlen(want);
            return bdr_arena_text(v->arena, p, strcspn(p, "\n"));
        }
    return NULL;
}

/* The kernel's name of a device in /dev: "dm-0" of "/dev/mapper/vg-root". False: none. */
static bool inv_kernel_name(const char *path, char out[NAME_MAX + 1])
{
    char link[64], to[PATH_MAX];
    struct stat st;
    ssize_t n;

    if (stat(path, &st) || !S_ISBLK(st.st_mode))
        return false;
    snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_rdev), minor(st.st_rdev));
    n = readlink(link, to, sizeof(to) - 1);
    if (n <= 0)
        return false;
    to[n] = 0;
    snprintf(out, NAME_MAX + 1, "%s", strrchr(to, '/') ? strrchr(to, '/') + 1 : to);
    return true;
}

/* ---- disks ---- */

/* By what it is called, or by what the path to it says. */
static const char *inv_bus(const char *name)
{
    static const struct {
        const char *prefix, *bus;
    } rows[] = {{"vd", "virtio"}, {"nvme", "nvme"}, {"xvd", "xen"},   {"loop", "loop"}, {"dm-", "dm"},
                {"md", "md"},     {"mmc", "mmc"},   {"dasd", "dasd"}, {"nbd", "nbd"}};
    char link[PATH_MAX], to[PATH_MAX];
    ssize_t n;

    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (!strncmp(name, rows[i].prefix, strlen(rows[i].prefix)))
            return rows[i].bus;
    snprintf(link, sizeof(link), "/sys/class/block/%s", name);
    n = readlink(link, to, sizeof(to) - 1);
    to[n > 0 ? n : 0] = 0;
    return strstr(to, "/usb") ? "usb" : strstr(to, "/ata") ? "ata" : strstr(to, "/virtio") ? "virtio" : "scsi";
}

/* The name that stays when disks come and go: of those in by-id the one that names the hardware best, else the
 * kernel's. */
static const char *inv_ref(struct inv *v, const char *name, const char *device)
{
    static const char *const order[] = {"wwn-", "nvme-eui.", "nvme-", "ata-", "virtio-", "scsi-", "mmc-", "usb-"};
    size_t best = BDR_COUNT(order);
    char found[NAME_MAX + 1] = "", path[PATH_MAX], is[NAME_MAX + 1];
    struct dirent *e;
    DIR *dir = opendir("/dev/disk/by-id");

    while (dir && (e = readdir(dir))) {
        for (size_t i = 0; i < BDR_COUNT(order); i++) {
            if (strncmp(e->d_name, order[i], strlen(order[i])) || i > best ||
                (i == best && strcmp(e->d_name, found) >= 0))
                continue;
            snprintf(path, sizeof(path), "/dev/disk/by-id/%s", e->d_name);
            if (!inv_kernel_name(path, is) || strcmp(is, name))
                continue;
            best = i;
            snprintf(found, sizeof(found), "%s", e->d_name);
        }
    }
    if (dir)
        closedir(dir);
    return found[0] ? bdr_arena_printf(v->arena, "live:/dev/disk/by-id/%s", found)
                    : bdr_arena_printf(v->arena, "live:%s", device);
}

/* UEFI 2.10 section 5.2.3 (the MBR's signature) and 5.3.2 ("EFI PART" in the second sector). */
static const char *inv_table(const char *device, uint32_t sector)
{
    uint8_t head[4096 + 8];
    int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? pread(fd, head, sizeof(head), 0) : -1;

    if (fd >= 0)
        close(fd);
    if (n >= (ssize_t)sector + 8 && !memcmp(head + sector, "EFI PART", 8))
        return "gpt";
    return n >= 512 && head[510] == 0x55 && head[511] == 0xaa ? "mbr" : "none";
}

static struct bdr_err *inv_disk(struct inv *v, const char *device, struct bdr_inv_disk *d)
{
    char name[NAME_MAX + 1];

    if (!inv_kernel_name(device, name))
        BDR_FAIL(BDR_NOTFOUND, 0, "%s is not a block device of this machine", device);
    d->name = bdr_arena_text(v->arena, name, strlen(name));
    BDR_NOMEM_IF_NULL(d->name);
    d->ref = inv_ref(v, name, device);
    BDR_NOMEM_IF_NULL(d->ref);
    d->bus = inv_bus(name);
    d->model = inv_attr(v, name, "device/model");
    d->serial = inv_attr(v, name, "serial");
    if (!d->serial)
        d->serial = inv_attr(v, name, "device/serial");
    if (!d->serial)
        d->serial = inv_udev(v, name, "ID_SERIAL_SHORT");
    if (!d->serial)
        d->serial = inv_attr(v, name, "wwid");
    d->size_bytes = inv_number(v, name, "size") * 512; /* the unit of /sys, whatever the disk's own is */
    d->sector_bytes = (uint32_t)inv_number(v, name, "queue/logical_block_size");
    d->removable = inv_number(v, name, "removable") != 0;
    d->read_only = inv_number(v, name, "ro") != 0;
    d->table = d->size_bytes && !d->removable ? inv_table(device, d->sector_bytes ? d->sector_bytes : 512) : "none";
    if (!d->size_bytes)
        d->reason = "it has no size: there is no medium in it";
    return NULL;
}

static struct bdr_err *inv_disks(struct inv *v, const char *only)
{
    char **disks = NULL, *list = only ? strdup(only) : NULL, *rest = list, *one;
    size_t n = 0;
    struct bdr_err *err = NULL;

    if (only) {
        BDR_NOMEM_IF_NULL(list);
        v->disks = bdr_arena_alloc(v->arena, (strlen(only) + 1) * sizeof(*v->disks));
        while (v->disks && !err && (one = strsep(&rest, ",")) != NULL)
            if (*one) {
                err = inv_disk(v, one, &v->disks[v->n_disks]);
                v->n_disks += !err;
                if (err && err->code == BDR_NOTFOUND) { /* taken away meanwhile */
                    bdr_err_drop(err, "a disk that is not there is not told");
                    err = NULL;
                }
            }
        free(list);
        return err;
    }
    BDR_TRY(bdr_volumes_disks(&disks, &n));
    v->disks = bdr_arena_alloc(v->arena, (n + 1) * sizeof(*v->disks));
    if (!v->disks)
        err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "listing disks");
    for (size_t i = 0; i < n && !err; i++) {
        err = inv_disk(v, disks[i], &v->disks[v->n_disks]);
        v->n_disks += !err;
        if (err && err->code == BDR_NOTFOUND) { /* gone between the two looks */
            bdr_err_drop(err, "a disk that is not there is not told");
            err = NULL;
        }
    }
    bdr_volumes_disks_free(disks, n);
    return err;
}

/* ---- volumes ---- */

static void inv_under(struct inv *v, const char *name, unsigned depth, bool *on)
{
    char path[PATH_MAX], to[PATH_MAX];
    struct dirent *e;
    ssize_t n;
    DIR *dir;

    for (size_t i = 0; i < v->n_disks; i++)
        on[i] |= !strcmp(v->disks[i].name, name);
    if (depth == INV_DEPTH_MAX)
        return;
    if (inv_is(name, "partition")) { /* the link of a partition leads through its disk */
        snprintf(path, sizeof(path), "/sys/class/block/%s", name);
        n = readlink(path, to, sizeof(to) - 1);
        to[n > 0 ? n : 0] = 0;
        char *end = strrchr(to, '/');

        if (end) {
            *end = 0;
            end = strrchr(to, '/');
            inv_under(v, end ? end + 1 : to, depth + 1, on);
        }
        return;
    }
    snprintf(path, sizeof(path), "/sys/class/block/%s/slaves", name);
    dir = opendir(path);
    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            inv_under(v, e->d_name, depth + 1, on);
    if (dir)
        closedir(dir);
}

static const char *inv_kind(struct inv *v, const char *name)
{
    const char *uuid = inv_attr(v, name, "dm/uuid");

    if (inv_is(name, "partition"))
        return "partition";
    if (inv_is(name, "md"))
        return "md";
    if (uuid)
        return !strncmp(uuid, "LVM-", 4) ? "lvm" : !strncmp(uuid, "CRYPT-", 6) ? "luks" : "dm";
    return "disk";
}

/* The shortest place where it is mounted, by its number; btrfs and others by the device's name. */
static void inv_mounted(struct inv *v, const char *name, struct bdr_inv_volume *o)
{
    const char *dev = inv_attr(v, name, "dev"), *dm = inv_attr(v, name, "dm/name");
    char want[32], source[PATH_MAX], mapped[PATH_MAX] = "";
    struct statvfs fs;
    size_t best = SIZE_MAX;

    snprintf(want, sizeof(want), " %s ", dev ? dev : "?");
    snprintf(source, sizeof(source), " /dev/%s ", name);
    if (dm)
        snprintf(mapped, sizeof(mapped), " /dev/mapper/%s ", dm);
    for (const char *line = v->mounts; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        size_t len = strcspn(line, "\n");
        BDR_AUTO(mem) char *text = strndup(line, len);
        char point[PATH_MAX], type[64], *dash;

        if (!text || (!strstr(text, want) && !strstr(text, source) && !(mapped[0] && strstr(text, mapped))))
            continue;
        dash = strstr(text, " - ");
        if (sscanf(text, "%*s %*s %*s %*s %4095s", point) != 1 || !dash || sscanf(dash, " - %63s", type) != 1 ||
            strlen(point) >= best)
            continue;
        best = strlen(point);
        o->mount = bdr_arena_text(v->arena, point, strlen(point));
        if (!o->fs)
            o->fs = bdr_arena_text(v->arena, type, strlen(type));
    }
    if (o->mount && !statvfs(o->mount, &fs) && fs.f_blocks) {
        uint64_t step = BDR_MAX((uint64_t)fs.f_blocks / 16, (uint64_t)1), used = (uint64_t)(fs.f_blocks - fs.f_bfree);

        o->used_bytes = (used + step / 2) / step * step * fs.f_frsize;
    }
}

static struct bdr_err *inv_volume(struct inv *v, const char *name, struct bdr_inv_volume *o, bool *on)
{
    BDR_AUTO(buf) struct bdr_buf disks = {0};
    const char *dm = inv_attr(v, name, "dm/name");

    *o = (struct bdr_inv_volume){.kind = inv_kind(v, name), .size_bytes = inv_number(v, name, "size") * 512};
    o->name = dm ? dm : bdr_arena_text(v->arena, name, strlen(name));
    for (size_t i = 0; i < v->n_disks; i++)
        if (on[i])
            bdr_buf_printf(&disks, "%s%s", disks.len ? "," : "", v->disks[i].name);
    BDR_TRY(bdr_buf_check(&disks));
    o->disks = bdr_arena_text(v->arena, (const char *)disks.data, disks.len);
    o->fs = inv_udev(v, name, "ID_FS_TYPE");
    o->label = inv_udev(v, name, "ID_FS_LABEL");
    o->uuid = inv_udev(v, name, "ID_FS_UUID");
    inv_mounted(v, name, o);
    return NULL;
}

static int inv_by_name(const void *a, const void *b)
{
    return strcmp(((const struct bdr_inv_volume *)a)->name, ((const struct bdr_inv_volume *)b)->name);
}

/* What lies on a disk, in words: "/, /boot, swap; LVM vg0-root". */
static struct bdr_err *inv_uses(struct inv *v)
{
    for (size_t d = 0; d < v->n_disks; d++) {
        BDR_AUTO(buf) struct bdr_buf use = {0};

        for (size_t i = 0; i < v->n_volumes && use.len < 900; i++) {
            const struct bdr_inv_volume *o = &v->volumes[i];
            const char *what = o->mount                                                  ? o->mount
                               : o->fs && !strcmp(o->fs, "swap")                         ? "swap"
                               : strcmp(o->kind, "partition") && strcmp(o->kind, "disk") ? o->kind
                                                                                         : NULL;
            char word[NAME_MAX + 8], all[1200];

            snprintf(word, sizeof(word), ",%s,", v->disks[d].name);
            snprintf(all, sizeof(all), ",%s,", o->disks ? o->disks : "");
            if (what && strstr(all, word))
                bdr_buf_printf(&use, "%s%s", use.len ? ", " : "", what);
        }
        BDR_TRY(bdr_buf_check(&use));
        if (use.len)
            v->disks[d].use = bdr_arena_text(v->arena, (const char *)use.data, use.len);
    }
    return NULL;
}

static struct bdr_err *inv_volumes(struct inv *v)
{
    BDR_AUTO(mem) bool *on = calloc(v->n_disks + 1, sizeof(*on));
    size_t cap = 256;
    struct dirent *e;
    struct bdr_err *err = NULL;
    DIR *dir = opendir("/sys/class/block");

    if (!dir)
        BDR_FAIL_ERRNO("opening /sys/class/block");
    v->volumes = bdr_arena_alloc(v->arena, cap * sizeof(*v->volumes));
    if (!on || !v->volumes)
        err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "listing volumes");
    while (!err && v->n_volumes < cap && (e = readdir(dir))) {
        bool any = false;

        if (e->d_name[0] == '.')
            continue;
        memset(on, 0, v->n_disks);
        inv_under(v, e->d_name, 0, on);
        for (size_t i = 0; i < v->n_disks; i++)
            any |= on[i];
        if (!any)
            continue;
        err = inv_volume(v, e->d_name, &v->volumes[v->n_volumes], on);
        /* A disk itself is a volume only when a file system lies on it as a whole. */
        if (!err && (strcmp(v->volumes[v->n_volumes].kind, "disk") != 0 || v->volumes[v->n_volumes].fs))
            v->n_volumes++;
    }
    closedir(dir);
    BDR_TRY(err);
    qsort(v->volumes, v->n_volumes, sizeof(*v->volumes), inv_by_name);
    return inv_uses(v);
}

/* ---- the machine ---- */

static pthread_mutex_t tracker_lock = PTHREAD_MUTEX_INITIALIZER;
static char tracker_text[400]; /* what the kernel can do does not change while it runs */

static const char *inv_tracker(void)
{
    pthread_mutex_lock(&tracker_lock);
    if (!tracker_text[0]) {
        struct bdr_err *err = bdr_track_supported();

        snprintf(tracker_text, sizeof(tracker_text), "ebpf");
        if (err)
            bdr_err_text(err, tracker_text, sizeof(tracker_text));
        bdr_err_drop(err, "told as the reason");
    }
    pthread_mutex_unlock(&tracker_lock);
    return tracker_text;
}

static const char *inv_cpu(struct inv *v)
{
    const char *text = inv_text(v, "/proc/cpuinfo"), *p = text ? strstr(text, "model name") : NULL;

    p = p ? strchr(p, ':') : NULL;
    if (!p)
        return NULL;
    p += 1 + strspn(p + 1, " \t");
    return bdr_arena_text(v->arena, p, strcspn(p, "\n"));
}

static uint64_t inv_memory(struct inv *v)
{
    const char *text = inv_text(v, "/proc/meminfo");

    return text && !strncmp(text, "MemTotal:", 9) ? strtoull(text + 9, NULL, 10) * 1024 : 0;
}

static struct bdr_err *inv_collect(struct inv *v, const char *only, struct bdr_inventory *out)
{
    char name[256], os[256], identity[33] = "";
    struct utsname u;
    struct bdr_err *err;

    BDR_TRY(bdr_os_hostname(name, sizeof(name)));
    if (uname(&u))
        BDR_FAIL_ERRNO("asking for the kernel's name");
    err = bdr_os_machine_id("machine", identity);
    bdr_err_drop(err, "a machine without an id");
    BDR_TRY(inv_disks(v, only));
    v->mounts = inv_text(v, "/proc/self/mountinfo");
    BDR_TRY(inv_volumes(v));
    BDR_TRY(inv_nics(v));
    *out = (struct bdr_inventory){.name = bdr_arena_text(v->arena, name, strlen(name)),
                                  .os = bdr_arena_printf(v->arena, "%s", bdr_prog_os(os)),
                                  .kernel = bdr_arena_printf(v->arena, "%s", u.release),
                                  .arch = bdr_arena_printf(v->arena, "%s", u.machine),
                                  .firmware = access("/sys/firmware/efi", F_OK) ? "bios" : "uefi",
                                  .cpu = inv_cpu(v),
                                  .cpus = (uint32_t)BDR_MAX(sysconf(_SC_NPROCESSORS_ONLN), 1),
                                  .memory_bytes = inv_memory(v),
                                  .identity = identity[0] ? bdr_arena_text(v->arena, identity, 32) : NULL,
                                  .tracker = inv_tracker(),
                                  .disks = {v->disks, v->n_disks},
                                  .volumes = {v->volumes, v->n_volumes},
                                  .nics = {v->nics, v->n_nics}};
    return NULL;
}

struct bdr_err *agent_inventory(const char *disks, char **out)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    BDR_AUTO(buf) struct bdr_buf text = {0};
    struct inv v = {0};
    struct bdr_inventory inv;

    BDR_TRY(bdr_arena_new(&arena));
    v.arena = arena;
    BDR_TRY(inv_collect(&v, disks, &inv));
    BDR_TRY(bdr_shape_write(&bdr_inventory_shape, BDR_SHAPE_REQUEST, &inv, &text));
    bdr_buf_u8(&text, 0);
    BDR_TRY(bdr_buf_check(&text));
    *out = (char *)BDR_STEAL(text.data);
    return NULL;
}

struct bdr_err *agent_inventory_has(const char *disks, const char *ref)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct inv v = {0};

    BDR_TRY(bdr_arena_new(&arena));
    v.arena = arena;
    BDR_TRY(inv_disks(&v, disks));
    for (size_t i = 0; i < v.n_disks; i++) {
        const struct bdr_inv_disk *d = &v.disks[i];
        BDR_AUTO(mem) char *plain = NULL;

        if (asprintf(&plain, "live:/dev/%s", d->name) < 0)
            BDR_FAIL(BDR_NOMEM, 0, "looking for a disk");
        if ((!strcmp(d->ref, ref) || !strcmp(plain, ref)) && d->reason)
            BDR_FAIL(BDR_UNSUPPORTED, 0, "disk %s can't be protected: %s", d->name, d->reason);
        if (!strcmp(d->ref, ref) || !strcmp(plain, ref))
            return NULL;
    }
    BDR_FAIL(BDR_NOTFOUND, 0, "%s is not a disk of this machine (any more)", ref);
}
