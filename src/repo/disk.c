/* SPDX-License-Identifier: Apache-2.0 */
/* disk.c - reading one disk of one point: map nodes and decoded blocks through small caches. */
#include "bdr/disk.h"
#include "bdr/bytes.h"
#include "bdr/point.h"
#include "bdr/pool.h"
#include "bdr/sync.h"
#include "node.h"
#include "reader.h"
#include <stdio.h>
#include <string.h>

#define DISK_NODES 512          /* decoded map nodes kept: 1 MiB */
#define DISK_BATCH 64           /* blocks fetched by one call to the reader */
#define DISK_CACHE_DEFAULT (64u << 20)

struct disk_node {
    struct bdr_id id;
    bool full;
    struct bdr_node node;
};

/* A decoded block in the cache. */
struct disk_block {
    uint64_t block; /* UINT64_MAX: free */
    uint64_t used;
    uint8_t *data; /* block_bytes, owned */
};

struct bdr_disk {
    struct bdr_repo *repo;
    json_t *point; /* owned */
    struct bdr_point_disk d;
    uint32_t block_bytes, levels;
    uint64_t blocks;
    pthread_mutex_t lock; /* guards all below */
    uint64_t tick;
    struct disk_node *nodes; /* DISK_NODES, hashed by id */
    struct disk_block *cache;
    size_t cache_n;

    /* Readahead: one thread fetches [ahead_at, ahead_end) into the cache when reads are sequential. */
    uint32_t readahead;           /* blocks; 0: off */
    uint64_t last_end;            /* where the last read ended, bytes */
    uint64_t ahead_at, ahead_end; /* blocks still to be fetched */
    uint64_t busy_at, busy_end;   /* blocks being fetched now: readers of these wait */
    pthread_cond_t ahead_more, ahead_done;
    struct bdr_cancel ahead_stop;
    struct bdr_pool *ahead;
};

static struct bdr_err *disk_ahead(void *ctx, unsigned index);

struct bdr_err *bdr_disk_open(struct bdr_repo *repo, const char *point_id, uint32_t index,
                              const struct bdr_disk_options *opt, struct bdr_disk **out)
{
    BDR_AUTO(disk) struct bdr_disk *d = calloc(1, sizeof(*d));
    uint64_t cache = opt && opt->cache_bytes ? opt->cache_bytes : DISK_CACHE_DEFAULT;

    BDR_NOMEM_IF_NULL(d);
    pthread_mutex_init(&d->lock, NULL);
    d->repo = repo;
    BDR_TRY(bdr_point_load(repo, point_id, &d->point));
    BDR_TRY(bdr_point_disk(d->point, index, &d->d));
    d->block_bytes = repo->block_bytes;
    d->blocks = bdr_blocks_of(d->d.size_bytes, d->block_bytes);
    d->levels = bdr_map_levels(d->blocks);
    pthread_cond_init(&d->ahead_more, NULL);
    pthread_cond_init(&d->ahead_done, NULL);
    d->nodes = calloc(DISK_NODES, sizeof(*d->nodes));
    d->cache_n = (size_t)BDR_MAX(cache / d->block_bytes, 4u);
    d->cache = calloc(d->cache_n, sizeof(*d->cache));
    if (!d->nodes || !d->cache)
        BDR_FAIL(BDR_NOMEM, 0, "opening a disk");
    for (size_t i = 0; i < d->cache_n; i++)
        d->cache[i].block = UINT64_MAX;
    if (opt && opt->readahead) {
        /* No more than half the cache, or what was fetched ahead falls out before it is read. */
        d->readahead = (uint32_t)BDR_MIN((size_t)BDR_MIN(opt->readahead, 256u), d->cache_n / 2);
        BDR_TRY(bdr_pool_start("bdr-ahead", 1, disk_ahead, d, NULL, &d->ahead));
    }
    *out = BDR_STEAL(d);
    return NULL;
}

void bdr_disk_close(struct bdr_disk *disk)
{
    if (!disk)
        return;
    bdr_cancel_set(&disk->ahead_stop);
    bdr_err_drop(bdr_pool_join(disk->ahead), "readahead reports nothing");
    for (size_t i = 0; disk->cache && i < disk->cache_n; i++)
        free(disk->cache[i].data);
    free(disk->cache);
    free(disk->nodes);
    json_decref(disk->point);
    pthread_cond_destroy(&disk->ahead_more);
    pthread_cond_destroy(&disk->ahead_done);
    pthread_mutex_destroy(&disk->lock);
    free(disk);
}

uint64_t bdr_disk_size(const struct bdr_disk *disk)
{
    return disk->d.size_bytes;
}
uint32_t bdr_disk_sector_bytes(const struct bdr_disk *disk)
{
    return disk->d.sector_bytes;
}
uint32_t bdr_disk_block_bytes(const struct bdr_disk *disk)
{
    return disk->block_bytes;
}

/* ---- the map ---- */

static struct bdr_err *disk_node(struct bdr_disk *d, const struct bdr_id *id, uint32_t level, struct bdr_node *out)
{
    struct disk_node *slot;
    size_t at;

    memcpy(&at, id->b, sizeof(at));
    slot = &d->nodes[at % DISK_NODES];
    pthread_mutex_lock(&d->lock);
    if (slot->full && !memcmp(&slot->id, id, sizeof(*id))) {
        *out = slot->node;
        pthread_mutex_unlock(&d->lock);
        return NULL;
    }
    pthread_mutex_unlock(&d->lock);
    BDR_TRY(bdr_node_read(d->repo, id, level, out));
    pthread_mutex_lock(&d->lock);
    slot->id = *id;
    slot->node = *out;
    slot->full = true;
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* The leaf that covers `block`: *out_there false when a node above it says zeros, then *out_span blocks from the
 * start of the zero subtree on are zero (*out_start). */
static struct bdr_err *disk_leaf(struct bdr_disk *d, uint64_t block, bool *out_there, uint64_t *out_start,
                                 uint64_t *out_span, struct bdr_node *out)
{
    struct bdr_id id = d->d.root;

    *out_there = d->d.has_root;
    *out_start = 0;
    *out_span = bdr_node_span(d->levels);
    if (!*out_there)
        return NULL;
    for (uint32_t level = d->levels - 1;; level--) {
        uint64_t span = bdr_node_span(level);
        size_t slot = block / span % BDR_FANOUT;

        BDR_TRY_FOR(disk_node(d, &id, level, out), "map of disk offset %llu",
                    (unsigned long long)(block / span / BDR_FANOUT * span * BDR_FANOUT * d->block_bytes));
        if (level == 0) {
            *out_start = block / BDR_FANOUT * BDR_FANOUT;
            *out_span = BDR_FANOUT;
            return NULL;
        }
        if (!(out->bits >> slot & 1)) {
            *out_there = false;
            *out_start = block / span * span;
            *out_span = span;
            return NULL;
        }
        id = out->child[slot];
    }
}

struct bdr_err *bdr_disk_extent(struct bdr_disk *disk, uint64_t off, uint64_t max, bool *out_data, uint64_t *out_len)
{
    uint64_t block = off / disk->block_bytes, end, at;
    bool data = false, first = true;

    if (off >= disk->d.size_bytes || !max)
        BDR_FAIL(BDR_RANGE, 0, "offset %llu is past the end of the disk (%llu bytes)", (unsigned long long)off,
                 (unsigned long long)disk->d.size_bytes);
    end = off + BDR_MIN(max, disk->d.size_bytes - off);
    for (at = block; at * disk->block_bytes < end;) {
        struct bdr_node leaf;
        uint64_t start, span;
        bool there;

        BDR_TRY(disk_leaf(disk, at, &there, &start, &span, &leaf));
        if (!there) {
            if (!first && data)
                break;
            data = first = false;
            at = start + span;
            continue;
        }
        for (; at < start + span && at * disk->block_bytes < end; at++) {
            bool is = leaf.bits >> (at % BDR_FANOUT) & 1;

            if (!first && is != data)
                goto out;
            data = is;
            first = false;
        }
    }
out:
    *out_data = data;
    *out_len = BDR_MIN(at * disk->block_bytes, end) - off;
    return NULL;
}

/* ---- blocks ---- */

static uint32_t disk_block_len(const struct bdr_disk *d, uint64_t block)
{
    return (uint32_t)BDR_MIN((uint64_t)d->block_bytes, d->d.size_bytes - block * d->block_bytes);
}

/* Copies a block from the cache when it is there. */
static bool cache_copy(struct bdr_disk *d, uint64_t block, uint32_t from, uint8_t *dst, size_t len)
{
    bool hit = false;

    pthread_mutex_lock(&d->lock);
    while (block >= d->busy_at && block < d->busy_end)
        bdr_cond_wait_slice(&d->ahead_done, &d->lock);
    for (size_t i = 0; i < 4 && !hit; i++) {
        struct disk_block *c = &d->cache[(block * 4 + i) % (d->cache_n / 4 * 4)];

        if (c->block != block)
            continue;
        memcpy(dst, c->data + from, len);
        c->used = ++d->tick;
        hit = true;
    }
    pthread_mutex_unlock(&d->lock);
    return hit;
}

/* Keeps a decoded block; takes over *data (set to the buffer that fell out, or NULL). */
static void cache_keep(struct bdr_disk *d, uint64_t block, uint8_t **data)
{
    struct disk_block *victim = NULL;
    uint8_t *old;

    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < 4; i++) {
        struct disk_block *c = &d->cache[(block * 4 + i) % (d->cache_n / 4 * 4)];

        if (c->block == block) {
            victim = c;
            break;
        }
        if (!victim || c->used < victim->used)
            victim = c;
    }
    old = victim->data;
    victim->data = *data;
    victim->block = block;
    victim->used = ++d->tick;
    pthread_mutex_unlock(&d->lock);
    *data = old;
}

static bool cache_has(struct bdr_disk *d, uint64_t block)
{
    for (size_t i = 0; i < 4; i++)
        if (d->cache[(block * 4 + i) % (d->cache_n / 4 * 4)].block == block)
            return true;
    return false;
}

/* One block of a read: whole blocks decode straight into the caller's buffer, partial ones through the cache. */
struct disk_part {
    uint64_t block;
    uint32_t from, len;
    uint8_t *dst;
    uint8_t *own; /* owned; a partial block's buffer */
};

static struct bdr_err *disk_fetch(struct bdr_disk *d, struct disk_part *part, struct bdr_want *want, size_t n)
{
    struct bdr_err *first = NULL;

    BDR_TRY(bdr_blocks_read(d->repo, want, n));
    for (size_t i = 0; i < n; i++) {
        if (!want[i].err) {
            if (part[i].own) {
                memcpy(part[i].dst, part[i].own + part[i].from, part[i].len);
                cache_keep(d, part[i].block, &part[i].own);
            }
            continue;
        }
        if (!first)
            first = bdr_err_wrap(BDR_STEAL(want[i].err), BDR_AT, "disk offset %llu",
                                 (unsigned long long)(part[i].block * d->block_bytes));
        bdr_err_drop(want[i].err, "the first bad block is told");
    }
    return first;
}

static void parts_free(struct disk_part *part, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(part[i].own);
        part[i].own = NULL;
    }
}

/* Reads within one leaf. */
static struct bdr_err *disk_read_leaf(struct bdr_disk *d, const struct bdr_node *leaf, uint64_t off, uint8_t *buf,
                                      size_t len)
{
    struct disk_part part[DISK_BATCH] = {{0}};
    struct bdr_want want[DISK_BATCH];
    struct bdr_err *err = NULL;
    size_t n = 0;

    while (len && !err) {
        uint64_t block = off / d->block_bytes;
        uint32_t from = (uint32_t)(off % d->block_bytes), whole = disk_block_len(d, block);
        uint32_t take = (uint32_t)BDR_MIN((uint64_t)(whole - from), len);
        size_t slot = block % BDR_FANOUT;

        if (!(leaf->bits >> slot & 1)) {
            memset(buf, 0, take);
        } else if (!cache_copy(d, block, from, buf, take)) {
            part[n] = (struct disk_part){.block = block, .from = from, .len = take, .dst = buf};
            want[n] = (struct bdr_want){.id = leaf->child[slot], .dst = buf, .raw = whole};
            if (take < whole) {
                part[n].own = malloc(d->block_bytes);
                want[n].dst = part[n].own;
                if (!part[n].own)
                    err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
            }
            n++;
        }
        off += take;
        buf += take;
        len -= take;
    }
    if (!err && n)
        err = disk_fetch(d, part, want, n);
    parts_free(part, n);
    return err;
}

/* ---- readahead ---- */

/* Fetches the stored blocks among [at, at + n) of one leaf into the cache. What can't be read is left for the reader,
 * who is told why. */
static struct bdr_err *ahead_fetch(struct bdr_disk *d, uint64_t at, size_t n)
{
    struct bdr_want want[DISK_BATCH];
    uint64_t block[DISK_BATCH], start, span;
    struct bdr_node leaf;
    struct bdr_err *err;
    size_t m = 0;
    bool there;

    BDR_TRY(disk_leaf(d, at, &there, &start, &span, &leaf));
    for (uint64_t b = at; there && b < at + n && m < DISK_BATCH; b++) {
        uint8_t *data;

        if (!(leaf.bits >> (b % BDR_FANOUT) & 1) || !(data = malloc(d->block_bytes)))
            continue;
        block[m] = b;
        want[m++] = (struct bdr_want){.id = leaf.child[b % BDR_FANOUT], .dst = data, .raw = disk_block_len(d, b)};
    }
    err = m ? bdr_blocks_read(d->repo, want, m) : NULL;
    for (size_t i = 0; i < m; i++) {
        uint8_t *data = want[i].dst;

        if (!err && !want[i].err)
            cache_keep(d, block[i], &data);
        bdr_err_drop(err ? NULL : want[i].err, "the reader meets it, too");
        free(data);
    }
    return err;
}

static struct bdr_err *disk_ahead(void *ctx, unsigned index)
{
    struct bdr_disk *d = ctx;

    (void)index;
    pthread_mutex_lock(&d->lock);
    while (!bdr_cancelled(&d->ahead_stop)) {
        uint64_t at, end;

        while (d->ahead_at < d->ahead_end && cache_has(d, d->ahead_at))
            d->ahead_at++;
        if (d->ahead_at >= d->ahead_end) {
            bdr_cond_wait_slice(&d->ahead_more, &d->lock);
            continue;
        }
        at = d->ahead_at;
        end = BDR_MIN(BDR_MIN(d->ahead_end, at + 16), (at / BDR_FANOUT + 1) * BDR_FANOUT);
        d->busy_at = at;
        d->busy_end = end;
        d->ahead_at = end;
        pthread_mutex_unlock(&d->lock);
        bdr_err_drop(ahead_fetch(d, at, (size_t)(end - at)), "the reader meets it, too");
        pthread_mutex_lock(&d->lock);
        d->busy_at = d->busy_end = 0;
        pthread_cond_broadcast(&d->ahead_done);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* A read that begins where one ended lets the thread run ahead of it. */
static void ahead_note(struct bdr_disk *d, uint64_t off, size_t len)
{
    uint64_t next = bdr_blocks_of(off + len, d->block_bytes);

    pthread_mutex_lock(&d->lock);
    if (off == d->last_end && off) {
        d->ahead_at = d->ahead_at > next && d->ahead_at <= next + d->readahead ? d->ahead_at : next;
        d->ahead_end = BDR_MIN(next + d->readahead, d->blocks);
        pthread_cond_signal(&d->ahead_more);
    }
    d->last_end = off + len;
    pthread_mutex_unlock(&d->lock);
}

struct bdr_err *bdr_disk_read(struct bdr_disk *disk, uint64_t off, void *buf, size_t len)
{
    uint8_t *p = buf;

    if (off > disk->d.size_bytes || len > disk->d.size_bytes - off)
        BDR_FAIL(BDR_RANGE, 0, "%zu bytes at %llu are past the end of the disk (%llu bytes)", len,
                 (unsigned long long)off, (unsigned long long)disk->d.size_bytes);
    if (disk->readahead)
        ahead_note(disk, off, len);
    while (len) {
        struct bdr_node leaf;
        uint64_t start, span, end;
        size_t take;
        bool there;

        BDR_TRY(disk_leaf(disk, off / disk->block_bytes, &there, &start, &span, &leaf));
        end = (start + span) * disk->block_bytes;
        take = (size_t)BDR_MIN(end - off, len);
        if (there)
            BDR_TRY(disk_read_leaf(disk, &leaf, off, p, take));
        else
            memset(p, 0, take);
        off += take;
        p += take;
        len -= take;
    }
    return NULL;
}
