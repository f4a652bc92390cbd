/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track_map.c - one disk's map: an array in the kernel that we see as memory.
 *
 * Whatever step its maker dies in, the table of disks holds either no map, the old one, or a new one whose header says
 * what is missing: a map is filled before it is put into the table.
 */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "track_priv.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

void (*track_map_growing)(void);

static uint64_t map_granules(uint64_t size_bytes)
{
    return (size_bytes + BDR_TRACK_GRANULE_BYTES - 1) / BDR_TRACK_GRANULE_BYTES;
}

uint64_t track_head_check(const struct track_head *h)
{
    const uint64_t parts[] = {h->cbt.magic,  h->cbt.layout, h->cbt.sectors, h->cbt.granules, h->instance,
                              h->size_bytes, h->diskseq,    h->node,        h->major,        h->minor};
    const uint8_t *p = (const uint8_t *)parts;
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */

    for (size_t i = 0; i < sizeof(parts); i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

void track_map_free(struct track_map *m)
{
    while (m) {
        struct track_map *before = m->before;

        if (m->base)
            munmap(m->base, m->bytes);
        if (m->fd >= 0)
            close(m->fd);
        free(m);
        m = before;
    }
}

/* Takes the map's fd, also on failure. */
static struct bdr_err *map_see(int map_fd, uint32_t elems, uint32_t id, struct track_map **out)
{
    BDR_AUTO(fd) int fd = map_fd;
    BDR_AUTO(track_map) struct track_map *m = calloc(1, sizeof(*m));
    void *base;

    BDR_NOMEM_IF_NULL(m);
    m->bytes = (size_t)elems * CBT_ELEM_BYTES;
    m->id = id;
    m->fd = bdr_fd_steal(&fd);
    base = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
    if (base == MAP_FAILED)
        BDR_FAIL_ERRNO("mapping %zu bytes of a tracking map", m->bytes);
    m->base = base;
    m->head = base;
    m->counts = (struct cbt_count *)(void *)(m->base + (size_t)CBT_COUNT_ELEM * CBT_ELEM_BYTES);
    m->marks = m->base + (size_t)CBT_MARK_ELEM * CBT_ELEM_BYTES;
    m->granules = m->head->cbt.granules;
    *out = BDR_STEAL(m);
    return NULL;
}

static struct bdr_err *map_info(int fd, struct bpf_map_info *out)
{
    uint32_t len = sizeof(*out);

    memset(out, 0, sizeof(*out));
    if (bpf_obj_get_info_by_fd(fd, out, &len))
        BDR_FAIL_ERRNO("asking about a tracking map");
    return NULL;
}

struct bdr_err *track_map_new(const struct track_disk *d, struct track_map **out)
{
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
    uint64_t granules = map_granules(d->size_bytes),
             elems = CBT_MARK_ELEM + (granules + CBT_ELEM_BYTES - 1) / CBT_ELEM_BYTES;
    BDR_AUTO(fd) int fd = -1;
    BDR_AUTO(track_map) struct track_map *m = NULL;
    struct bpf_map_info info;
    struct track_head *h;

    if (elems > UINT32_MAX / CBT_ELEM_BYTES) /* the kernel computes some offsets with 32 bits before 5.19 */
        BDR_FAIL(BDR_UNSUPPORTED, 0, "a disk of %llu bytes is too large to track", (unsigned long long)d->size_bytes);
    fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bdr_cbt_disk", sizeof(uint32_t), CBT_ELEM_BYTES, (uint32_t)elems, &opts);
    if (fd < 0)
        BDR_FAIL_ERRNO("making a tracking map of %llu KiB for %s", (unsigned long long)elems, d->name);
    BDR_TRY(map_info(fd, &info));
    BDR_TRY(map_see(bdr_fd_steal(&fd), (uint32_t)elems, info.id, &m));
    h = m->head;
    h->cbt.magic = CBT_MAGIC;
    h->cbt.layout = CBT_LAYOUT;
    h->cbt.sectors = d->size_bytes / 512;
    m->granules = h->cbt.granules = granules;
    BDR_TRY(bdr_os_random(&h->instance, sizeof(h->instance)));
    h->size_bytes = d->size_bytes;
    h->diskseq = d->diskseq;
    h->node = d->node;
    h->major = d->major;
    h->minor = d->minor;
    h->check = track_head_check(h);
    h->started_ms = (uint64_t)bdr_clock_wall_ms();
    h->names[1] = 1;
    h->cbt.gen = 1;
    *out = BDR_STEAL(m);
    return NULL;
}

struct bdr_err *track_map_open(uint32_t id, struct track_map **out)
{
    BDR_AUTO(fd) int fd = bpf_map_get_fd_by_id(id);
    BDR_AUTO(track_map) struct track_map *m = NULL;
    struct bpf_map_info info;
    const struct track_head *h;
    uint32_t gen;

    if (fd < 0)
        BDR_FAIL_ERRNO("opening the tracking map %u", id);
    BDR_TRY(map_info(fd, &info));
    if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != CBT_ELEM_BYTES || info.max_entries <= CBT_MARK_ELEM ||
        !(info.map_flags & BPF_F_MMAPABLE))
        BDR_FAIL(BDR_CORRUPT, 0, "the table of tracked disks holds a map that is not ours (id %u)", id);
    BDR_TRY(map_see(bdr_fd_steal(&fd), info.max_entries, id, &m));
    h = m->head;
    gen = TRACK_LOAD(&h->cbt.gen);
    if (h->cbt.magic != CBT_MAGIC || h->cbt.layout != CBT_LAYOUT || h->check != track_head_check(h) || !gen ||
        gen > CBT_NAME || !TRACK_LOAD(&h->names[gen]) || h->names[0] || m->granules != map_granules(h->size_bytes) ||
        m->granules > (uint64_t)(info.max_entries - CBT_MARK_ELEM) * CBT_ELEM_BYTES)
        BDR_FAIL(BDR_CORRUPT, 0, "the header of the tracking map %u is damaged", id);
    *out = BDR_STEAL(m);
    return NULL;
}

void track_map_foreign(const struct track_map *m, const struct track_disk *d, char out[160])
{
    const struct track_head *h = m->head;

    out[0] = 0;
    if (h->major != d->major || h->minor != d->minor || h->diskseq != d->diskseq || h->node != d->node)
        snprintf(out, 160, "another disk is now %s: it was taken away or its medium changed", d->name);
    else if (d->size_bytes < h->size_bytes)
        snprintf(out, 160, "the disk shrank from %llu to %llu bytes", (unsigned long long)h->size_bytes,
                 (unsigned long long)d->size_bytes);
    else if (TRACK_LOAD(&h->cbt.state) & TRACK_GROWING)
        snprintf(out, 160, "whoever enlarged the map of %s died meanwhile: marks may be missing", d->name);
}

struct bdr_err *track_map_renew(struct track_map *m, const char *trouble)
{
    uint64_t instance;

    BDR_TRY(bdr_os_random(&instance, sizeof(instance)));
    snprintf(m->head->trouble, sizeof(m->head->trouble), "%s", trouble);
    m->head->instance = instance;
    m->head->check = track_head_check(m->head); /* dying before this: CORRUPT, so the map is made anew */
    return NULL;
}

/* Adds to `now` what `old` counted after `copied` was read from it. */
static void map_carry_counts(struct cbt_count *now, const struct cbt_count *old, const uint64_t *copied)
{
    const uint64_t *from = (const uint64_t *)(const void *)old;
    uint64_t *to = (uint64_t *)(void *)now;

    for (size_t i = 0; i < CBT_SLOTS * sizeof(*old) / sizeof(uint64_t); i++)
        __atomic_fetch_add(&to[i], TRACK_LOAD(&from[i]) - copied[i], __ATOMIC_SEQ_CST);
}

struct bdr_err *track_map_grow(int disks_fd, const struct track_map *old, const struct track_disk *d,
                               struct track_map **out)
{
    BDR_AUTO(track_map) struct track_map *m = NULL;
    uint64_t copied[CBT_SLOTS * sizeof(struct cbt_count) / sizeof(uint64_t)];
    struct track_head fresh;
    struct track_head *h;
    uint8_t gen;

    BDR_TRY(track_map_new(d, &m));
    h = m->head;
    fresh = *h;
    gen = (uint8_t)TRACK_LOAD(&old->head->cbt.gen);
    memcpy(h, old->head, sizeof(*h));
    h->cbt.sectors = fresh.cbt.sectors;
    h->cbt.granules = fresh.cbt.granules;
    h->size_bytes = fresh.size_bytes;
    h->check = track_head_check(h);
    h->cbt.state = TRACK_GROWING;
    for (size_t i = 0; i < BDR_COUNT(copied); i++)
        copied[i] = TRACK_LOAD((uint64_t *)(void *)old->counts + i);
    memcpy(m->counts, copied, sizeof(copied));
    memcpy(m->marks, old->marks, old->granules);
    /* The last granule may have been a short one, and nobody marked behind it: what is new counts as written now. */
    memset(m->marks + old->granules - 1, gen, m->granules - old->granules + 1);
    if (track_map_growing)
        track_map_growing();
    /* Waits: after it nobody marks in the old one. */
    BDR_TRY(track_pins_put(disks_fd, track_disk_key(d->major, d->minor), m->fd));
    map_carry_counts(m->counts, old->counts, copied);
    /* Where they differ, one of the two was stored between the copy and now, so in the running generation. */
    for (uint64_t i = 0; i < old->granules; i++)
        if (TRACK_LOAD(&old->marks[i]) != TRACK_LOAD(&m->marks[i]))
            TRACK_STORE(&m->marks[i], gen);
    __atomic_fetch_or(&old->head->cbt.state, TRACK_MOVED, __ATOMIC_SEQ_CST);
    TRACK_STORE(&h->cbt.state, 0);
    *out = BDR_STEAL(m);
    return NULL;
}
