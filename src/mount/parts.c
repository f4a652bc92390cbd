/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"
#include "bdr/disk.h"
#include "bdr/osfile.h"
#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PARTS_EDGE_BYTES (1u << 20) /* tables lie in the first MiB (32 KiB of GPT) or the last (its second copy) */
#define PARTS_EBR_MAX    256u       /* logical partitions form a chain; a damaged one may be a ring */
#define PARTS_MAX        256

BDR_AUTO_DEFINE(probe, blkid_probe, blkid_free_probe)

static struct bdr_err *parts_copy(struct bdr_disk *disk, int fd, uint64_t off, size_t len)
{
    BDR_AUTO(mem) uint8_t *buf = malloc(len);

    BDR_NOMEM_IF_NULL(buf);
    BDR_TRY(bdr_disk_read(disk, off, buf, len));
    return bdr_os_pwrite(fd, "memory", buf, len, off);
}

/* The first entry of a boot record that is an extended partition: its start in sectors, or 0. */
static uint32_t parts_extended(const uint8_t *sector)
{
    if (sector[510] != 0x55 || sector[511] != 0xaa)
        return 0;
    for (const uint8_t *e = sector + 446; e < sector + 510; e += 16)
        if (e[4] == 0x05 || e[4] == 0x0f || e[4] == 0x85)
            return (uint32_t)e[8] | (uint32_t)e[9] << 8 | (uint32_t)e[10] << 16 | (uint32_t)e[11] << 24;
    return 0;
}

/* Extended boot records lie anywhere on the disk, each naming the next relative to the first. */
static struct bdr_err *parts_copy_ebrs(struct bdr_disk *disk, int fd)
{
    uint64_t size = bdr_disk_size(disk), first, at;
    uint32_t sector = bdr_disk_sector_bytes(disk), next;
    uint8_t record[512];

    if (size < sizeof(record))
        return NULL;
    BDR_TRY(bdr_disk_read(disk, 0, record, sizeof(record)));
    first = parts_extended(record);
    next = 0;
    for (unsigned i = 0; first && i < PARTS_EBR_MAX; i++) {
        at = (first + next) * sector;
        if (at > size || size - at < sizeof(record))
            return NULL;
        BDR_TRY(bdr_disk_read(disk, at, record, sizeof(record)));
        BDR_TRY(bdr_os_pwrite(fd, "memory", record, sizeof(record), at));
        next = parts_extended(record);
        if (!next)
            return NULL;
    }
    return NULL;
}

/* A sparse memory file that looks like the disk to who reads only tables. */
static struct bdr_err *parts_image(struct bdr_disk *disk, int *out)
{
    uint64_t size = bdr_disk_size(disk);
    size_t edge = (size_t)BDR_MIN(size, (uint64_t)PARTS_EDGE_BYTES);
    BDR_AUTO(fd) int fd = memfd_create("bdr-parts", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)size))
        BDR_FAIL_ERRNO("making a memory file of %llu bytes", (unsigned long long)size);
    BDR_TRY(parts_copy(disk, fd, 0, edge));
    BDR_TRY(parts_copy(disk, fd, size - edge, edge));
    BDR_TRY(parts_copy_ebrs(disk, fd));
    *out = bdr_fd_steal(&fd);
    return NULL;
}

static void parts_text(char *out, size_t n, const char *text)
{
    snprintf(out, n, "%s", text ? text : "");
}

static bool parts_take(blkid_partition par, uint64_t disk_bytes, struct mount_part *out)
{
    /* libblkid counts 512-byte sectors whatever the disk's are. */
    int64_t start = blkid_partition_get_start(par), len = blkid_partition_get_size(par);
    int number = blkid_partition_get_partno(par);
    const char *type = blkid_partition_get_type_string(par);

    if (blkid_partition_is_extended(par) || number <= 0 || start < 0 || len <= 0 ||
        (uint64_t)start > disk_bytes / 512 || (uint64_t)len > disk_bytes / 512 - (uint64_t)start)
        return false;
    *out = (struct mount_part){.number = (uint32_t)number, .off = (uint64_t)start * 512, .len = (uint64_t)len * 512};
    if (type)
        parts_text(out->type, sizeof(out->type), type);
    else
        snprintf(out->type, sizeof(out->type), "0x%02x", (unsigned)blkid_partition_get_type(par));
    parts_text(out->uuid, sizeof(out->uuid), blkid_partition_get_uuid(par));
    parts_text(out->name, sizeof(out->name), blkid_partition_get_name(par));
    return true;
}

struct bdr_err *mount_parts_read(struct bdr_disk *disk, struct mount_part **out, size_t *out_n)
{
    BDR_AUTO(fd) int fd = -1;
    BDR_AUTO(probe) blkid_probe probe = blkid_new_probe();
    BDR_AUTO(mem) struct mount_part *parts = calloc(PARTS_MAX, sizeof(*parts));
    uint64_t size = bdr_disk_size(disk);
    blkid_partlist list = NULL;
    size_t n = 0;

    BDR_NOMEM_IF_NULL(probe);
    BDR_NOMEM_IF_NULL(parts);
    if (size) {
        BDR_TRY(parts_image(disk, &fd));
        if (!blkid_probe_set_device(probe, fd, 0, (blkid_loff_t)size) &&
            !blkid_probe_set_sectorsize(probe, bdr_disk_sector_bytes(disk)) &&
            !blkid_probe_enable_superblocks(probe, 0) && !blkid_probe_enable_partitions(probe, 1))
            list = blkid_probe_get_partitions(probe);
    }
    for (int i = 0; list && i < blkid_partlist_numof_partitions(list) && n < PARTS_MAX; i++)
        n += parts_take(blkid_partlist_get_partition(list, i), size, &parts[n]);
    *out = BDR_STEAL(parts);
    *out_n = n;
    return NULL;
}
