/* SPDX-License-Identifier: Apache-2.0 */
/*
 * point_source.c - a disk of a recovery point as a source.
 *
 * Knows: what is allocated (the map) and, given another point, what changed since (both maps). Can't: write, track.
 */
#include "bdr/bytes.h"
#include "bdr/copy.h"
#include "bdr/diff.h"
#include "bdr/disk.h"
#include "bdr/point.h"
#include <stdio.h>
#include <string.h>

#define POINT_INFLIGHT 32

struct point_src {
    struct bdr_source base;
    struct bdr_repo *repo;    /* borrowed */
    struct bdr_disk *disk;    /* owned */
    json_t *manifest;         /* owned */
    struct bdr_point_disk d;  /* borrows from the manifest */
    char id[33], base_id[33]; /* base_id "": none */
    uint32_t index, base_index;
    const struct bdr_cancel *cancel;
};

static void point_close(struct bdr_source *src)
{
    struct point_src *p = (struct point_src *)src;

    bdr_disk_close(p->disk);
    json_decref(p->manifest);
    free(p);
}

static struct bdr_err *point_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct point_src *p = (struct point_src *)src;
    const char *consistency = json_string_value(json_object_get(p->manifest, "consistency"));

    out->size_bytes = bdr_disk_size(p->disk);
    out->sector_bytes = bdr_disk_sector_bytes(p->disk);
    out->align_bytes = 1;
    out->max_inflight = POINT_INFLIGHT;
    out->knows_allocation = true;
    out->has_changes = p->base_id[0] != 0;
    if (p->d.identity[0])
        snprintf(out->identity, sizeof(out->identity), "%s", p->d.identity);
    else
        snprintf(out->identity, sizeof(out->identity), "disk%u", p->index);
    snprintf(out->consistency, sizeof(out->consistency), "%s", consistency ? consistency : "");
    return NULL;
}

static struct bdr_err *point_allocated(struct point_src *p, uint64_t off, uint64_t end, bdr_extent_fn fn, void *ctx)
{
    while (off < end) {
        struct bdr_extent ext = {.off = off};
        bool data = false;

        BDR_TRY(bdr_cancel_check(p->cancel));
        BDR_TRY(bdr_disk_extent(p->disk, off, end - off, &data, &ext.len));
        ext.kind = data ? BDR_EXTENT_DATA : BDR_EXTENT_ZERO;
        BDR_TRY(fn(ctx, &ext));
        off += ext.len;
    }
    return NULL;
}

struct point_clip {
    uint64_t off, end;
    bdr_extent_fn fn;
    void *ctx;
};

static struct bdr_err *point_change(void *ctx, uint64_t off, uint64_t len, bool data)
{
    struct point_clip *c = ctx;
    uint64_t lo = BDR_MAX(off, c->off), hi = BDR_MIN(off + len, c->end);

    if (lo >= hi)
        return NULL;
    return c->fn(c->ctx, &(struct bdr_extent){lo, hi - lo, data ? BDR_EXTENT_DATA : BDR_EXTENT_ZERO});
}

static struct bdr_err *point_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                     bdr_extent_fn fn, void *ctx)
{
    struct point_src *p = (struct point_src *)src;
    struct point_clip clip = {off, off + len, fn, ctx};

    if (of == BDR_EXTENTS_ALL)
        return point_allocated(p, off, off + len, fn, ctx);
    return bdr_diff(p->repo, &(struct bdr_diff_side){p->base_id, p->base_index},
                    &(struct bdr_diff_side){p->id, p->index}, p->cancel, point_change, &clip);
}

static struct bdr_err *point_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct point_src *p = (struct point_src *)src;
    struct bdr_err *err = bdr_disk_read(p->disk, off, buf, len);

    if (err && err->code == BDR_IO)
        return bdr_err_recode(err, BDR_CORRUPT, BDR_AT, "point %.8s can't be read", p->id);
    return err ? bdr_err_wrap(err, BDR_AT, "point %.8s", p->id) : NULL;
}

static const struct bdr_source_driver point_driver = {
    .name = "point", .title = "Disk of a recovery point", .max_inflight = POINT_INFLIGHT,
    .info = point_info, .extents = point_extents, .read = point_read, .close = point_close,
};

struct bdr_err *bdr_source_point_open(struct bdr_repo *repo, const char *point, uint32_t index, const char *base_point,
                                      uint32_t base_index, const struct bdr_cancel *cancel, struct bdr_source **out)
{
    struct point_src *p = calloc(1, sizeof(*p));
    BDR_AUTO(source) struct bdr_source *src = NULL;

    BDR_NOMEM_IF_NULL(p);
    src = &p->base;
    src->drv = &point_driver;
    p->repo = repo;
    p->index = index;
    p->base_index = base_index;
    p->cancel = cancel;
    snprintf(p->id, sizeof(p->id), "%s", point);
    snprintf(p->base_id, sizeof(p->base_id), "%s", base_point ? base_point : "");
    BDR_TRY(bdr_point_load(repo, point, &p->manifest));
    BDR_TRY(bdr_point_disk(p->manifest, index, &p->d));
    BDR_TRY(bdr_disk_open(repo, point, index, NULL, &p->disk));
    BDR_TRY(bdr_source_ready(src, &point_driver));
    *out = BDR_STEAL(src);
    return NULL;
}
