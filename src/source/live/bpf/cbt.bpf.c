/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * cbt.bpf.c - the two programs that mark what is written, in the kernel, for as long as their links are pinned.
 *
 * block_bio_queue sees every write before it begins, block_rq_complete when it is done: a pass that reads in between
 * finds it again. Both are needed; see docs/drivers/live-track.md#hooks. Both tell whole disks and absolute sectors, also for
 * I/O through partitions. The argument lists are those of Linux 5.11 and later.
 * Marks are stored with plain byte stores: losing a race means that two stores met, and either is right. A mark that is
 * already what it should be is not stored again, so that CPUs don't take the memory from each other at every write.
 */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_HASH_OF_MAPS = 13 };               /* linux/bpf.h, without which */
enum { BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1024, BPF_F_INNER_MAP = 4096 }; /* no kernel headers are needed */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "cbt.h"

char LICENSE[] SEC("license") = "GPL";

/* The members we use; libbpf finds their places in the running kernel. */
#define CORE __attribute__((preserve_access_index))
struct gendisk {
    int major, first_minor;
} CORE;
struct block_device {
    struct gendisk *bd_disk;
} CORE;
struct bvec_iter {
    __u64 bi_sector;
    __u32 bi_size;
} CORE;
struct bio {
    struct bio *bi_next;
    struct block_device *bi_bdev;
    __u32 bi_opf;
    struct bvec_iter bi_iter;
} CORE;
struct request_queue {
    struct gendisk *disk;
} CORE;
struct request {
    struct request_queue *q;
    struct bio *bio;
    __u32 cmd_flags, __data_len;
    __u64 __sector;
} CORE;
struct bio___5_11 { /* until 5.11 */
    struct gendisk *bi_disk;
} CORE;
struct request___5_14 { /* until 5.14 */
    struct gendisk *rq_disk;
} CORE;

#define OP(flags)     ((flags)&0xffu)
#define OP_WRITES(op) ((op)&1u) /* enum req_op: what moves data to the device is odd; over-marking costs nothing */
#define OP_DISCARD    3u
#define OP_DRIVER     32u /* and up: commands of SG_IO and the like, without sectors */
#define BIOS_MAX      256 /* of one discard request: NVMe's limit of ranges */
#define INLINE_MAX    32  /* granules; 2 MiB */
#define ELEMS_MAX     66  /* of 4 GiB */
/* Keeps the compiler from turning an index into a moving pointer, whose bounds the verifier can't see. */
#define OPAQUE(v) __asm__ volatile("" : "+r"(v))
/* For numbers that are only shown: one that meets another on its CPU may be lost. A locked addition costs five times as much. */
#define ABOUT_ONE_MORE(p) (*(volatile __u64 *)(p) += 1)

struct chunk {
    __u8 b[CBT_ELEM_BYTES];
};
struct disk_map {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
    __uint(max_entries, CBT_MARK_ELEM);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, CBT_ELEM_BYTES);
};
struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
    __uint(max_entries, 1024);
    __type(key, __u32); /* major << 20 | minor */
    __array(values, struct disk_map);
} disks SEC(".maps");

/* Tests: completions of writes are lost, as they are on some kernels (docs/drivers/live-track.md#hooks). */
const volatile __u32 cbt_lose_completions = 0;

/* Stores `value` into marks [from, to) of one element. Global: verified once, for all numbers. */
__attribute__((noinline)) int cbt_fill(__u32 dev, __u32 elem, __u32 from, __u32 to, __u32 value)
{
    void *map = bpf_map_lookup_elem(&disks, &dev);
    struct chunk *c = map ? bpf_map_lookup_elem(map, &elem) : 0;

    if (!c)
        return 0;
    for (__u32 i = 0; i < CBT_ELEM_BYTES; i++) {
        if (from >= to)
            break;
        OPAQUE(from);
        *(volatile __u8 *)&c->b[from & (CBT_ELEM_BYTES - 1)] = (__u8)value;
        from++;
    }
    return 0;
}

/*
 * A discard of marks [from, to) of one element is done: those that still wait for it become `value`. One that was
 * written while the discard was on the way does not wait any more: whichever came last on the disk, it is read.
 */
__attribute__((noinline)) int cbt_discarded(__u32 dev, __u32 elem, __u32 from, __u32 to, __u32 value)
{
    void *map = bpf_map_lookup_elem(&disks, &dev);
    struct chunk *c = map ? bpf_map_lookup_elem(map, &elem) : 0;

    if (!c)
        return 0;
    for (__u32 i = 0; i < CBT_ELEM_BYTES; i++) {
        volatile __u8 *mark;

        if (from >= to)
            break;
        OPAQUE(from);
        mark = &c->b[from & (CBT_ELEM_BYTES - 1)];
        if (*mark & CBT_PENDING)
            *mark = (__u8)value;
        from++;
    }
    return 0;
}

/* Marks granules [first, end): `value` has ZERO when a discard is done, else all get it. */
__attribute__((noinline)) int cbt_range(__u32 dev, __u64 first, __u64 end, __u32 value)
{
    for (int i = 0; i < ELEMS_MAX; i++) {
        __u32 elem = CBT_MARK_ELEM + (__u32)(first >> CBT_ELEM_SHIFT);
        __u32 from = (__u32)first & (CBT_ELEM_BYTES - 1);
        __u64 to = from + (end - first);

        if (first >= end)
            break;
        if (to > CBT_ELEM_BYTES)
            to = CBT_ELEM_BYTES;
        if (value & CBT_ZERO)
            cbt_discarded(dev, elem, from, (__u32)to, value);
        else
            cbt_fill(dev, elem, from, (__u32)to, value);
        first += to - from;
    }
    return 0;
}

/* One event's disk: its map and header. */
struct at {
    void *map;
    struct cbt_head *head;
    __u32 dev;
};

static __always_inline int find(struct gendisk *disk, struct at *at)
{
    __u32 zero = 0;

    at->dev = (__u32)disk->major << 20 | (__u32)disk->first_minor;
    at->map = bpf_map_lookup_elem(&disks, &at->dev);
    if (!at->map)
        return 0;
    at->head = bpf_map_lookup_elem(at->map, &zero);
    return at->head != 0;
}

static __always_inline struct cbt_count *counts(struct at *at)
{
    __u32 slot = bpf_get_smp_processor_id() & (CBT_SLOTS - 1);
    __u32 elem = CBT_COUNT_ELEM + slot / CBT_SLOTS_ELEM;
    struct chunk *c = bpf_map_lookup_elem(at->map, &elem);

    return c ? (struct cbt_count *)&c->b[slot % CBT_SLOTS_ELEM * 64] : 0;
}

/* Marks granules [first, end), which must be within the disk. */
static __always_inline void mark(struct at *at, __u64 first, __u64 end, __u32 value)
{
    if (end - first > INLINE_MAX) {
        cbt_range(at->dev, first, end, value);
        return;
    }
    for (int i = 0; i < INLINE_MAX; i++) {
        __u32 elem = CBT_MARK_ELEM + (__u32)(first >> CBT_ELEM_SHIFT);
        struct chunk *c;

        if (first >= end)
            break;
        c = bpf_map_lookup_elem(at->map, &elem);
        if (c) {
            volatile __u8 *mark = &c->b[first & (CBT_ELEM_BYTES - 1)];

            if (*mark != (__u8)value)
                *mark = (__u8)value;
        }
        first++;
    }
}

/* Sectors as granules, cut to the disk: the map of a disk that grew is smaller until somebody opens it. */
static __always_inline void written(struct at *at, __u64 sector, __u64 n)
{
    __u64 first = sector >> CBT_GRANULE_SHIFT, end = ((sector + n - 1) >> CBT_GRANULE_SHIFT) + 1;

    if (end > at->head->granules)
        end = at->head->granules;
    if (first < end)
        mark(at, first, end, *(volatile __u32 *)&at->head->gen & CBT_NAME);
}

/* how: PENDING or ZERO, for the granules that lie wholly inside; the others count as written. 0: all do. */
__attribute__((noinline)) int cbt_discard(__u32 dev, __u64 sector, __u64 n, __u32 how)
{
    __u32 zero = 0, gen;
    void *map = bpf_map_lookup_elem(&disks, &dev);
    struct cbt_head *head = map ? bpf_map_lookup_elem(map, &zero) : 0;
    __u64 first = sector >> CBT_GRANULE_SHIFT, end = ((sector + n - 1) >> CBT_GRANULE_SHIFT) + 1;
    __u64 whole = (sector + (1u << CBT_GRANULE_SHIFT) - 1) >> CBT_GRANULE_SHIFT;
    __u64 whole_end = (sector + n) >> CBT_GRANULE_SHIFT;

    if (!head)
        return 0;
    gen = *(volatile __u32 *)&head->gen & CBT_NAME;
    if (sector + n >= head->sectors)
        whole_end = head->granules; /* the last granule may be short */
    if (end > head->granules)
        end = head->granules;
    if (whole_end > end)
        whole_end = end;
    if (!how || whole >= whole_end)
        return cbt_range(dev, first, end, gen);
    cbt_range(dev, first, whole, gen);
    cbt_range(dev, whole_end, end, gen);
    return cbt_range(dev, whole, whole_end, gen | how);
}

SEC("tp_btf/block_bio_queue")
int BPF_PROG(cbt_bio_queue, struct bio *bio)
{
    __u32 op = OP(bio->bi_opf);
    __u64 sector, n;
    struct gendisk *disk;
    struct cbt_count *count;
    struct at at;

    if (!OP_WRITES(op) || op >= OP_DRIVER)
        return 0;
    n = bio->bi_iter.bi_size >> 9;
    if (!n)
        return 0; /* an empty write that carries a flush */
    if (bpf_core_field_exists(((struct bio___5_11 *)0)->bi_disk))
        disk = ((struct bio___5_11 *)bio)->bi_disk;
    else
        disk = bio->bi_bdev->bd_disk;
    if (!find(disk, &at))
        return 0;
    sector = bio->bi_iter.bi_sector;
    if (op == OP_DISCARD)
        cbt_discard(at.dev, sector, n, CBT_PENDING);
    else
        written(&at, sector, n);
    count = counts(&at);
    if (!count)
        return 0;
    ABOUT_ONE_MORE(op == OP_DISCARD ? &count->discards : &count->writes);
    __sync_fetch_and_add(op == OP_DISCARD ? &count->discard_sectors : &count->write_sectors, n);
    return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(cbt_rq_complete, struct request *rq, int error, unsigned int nr_bytes)
{
    __u32 op = OP(rq->cmd_flags);
    struct gendisk *disk;
    struct cbt_count *count;
    struct bio *bio;
    struct at at;
    __u32 how;

    if (!OP_WRITES(op))
        return 0;
    if (bpf_core_field_exists(((struct request___5_14 *)0)->rq_disk))
        disk = ((struct request___5_14 *)rq)->rq_disk;
    else
        disk = rq->q->disk;
    if (!find(disk, &at))
        return 0;
    count = counts(&at);
    if (count && op >= OP_DRIVER)
        __sync_fetch_and_add(&count->passthrough, 1);
    else if (count)
        ABOUT_ONE_MORE(&count->completions);
    if (op >= OP_DRIVER || nr_bytes < 512)
        return 0;
    if (op != OP_DISCARD && cbt_lose_completions)
        return 0;
    if (op != OP_DISCARD) {
        written(&at, rq->__sector, nr_bytes >> 9);
        return 0;
    }
    /* A discard request may be of many ranges that don't touch: its bios tell them, its sector and length don't. */
    how = !error && nr_bytes == rq->__data_len ? CBT_ZERO : 0;
    bio = rq->bio;
    for (int i = 0; i < BIOS_MAX; i++) {
        if (!bio)
            break;
        if (bio->bi_iter.bi_size >= 512)
            cbt_discard(at.dev, bio->bi_iter.bi_sector, bio->bi_iter.bi_size >> 9, how);
        bio = bio->bi_next;
    }
    return 0;
}
