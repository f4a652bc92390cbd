/* SPDX-License-Identifier: Apache-2.0 */
/* repair.c - who may still have lost bytes: points of another repository, and the disks themselves. */
#include "bdr/bytes.h"
#include "bdr/copy.h"
#include "bdr/disk.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/point.h"
#include <stdio.h>
#include <string.h>

#define REPAIR_ALIGN 65536u /* the largest unit a source may want */

/* A candidate for the disk that is being healed. */
struct repair_from {
    struct bdr_source *src;             /* borrowed; NULL: a point */
    const struct bdr_point_info *point; /* borrowed */
    struct bdr_disk *disk;              /* owned; of the point, opened when first asked */
    uint32_t index;
    bool failed; /* the disk can't be opened */
};

struct repair {
    const struct bdr_repair_options *opt;
    struct bdr_point_info *theirs; /* owned; points of the other repository */
    size_t n_theirs;
    struct repair_from *from; /* owned; n_sources + n_theirs at most */
    uint32_t n;
    char *identity; /* owned; of the disk that is being healed */
    uint8_t *buf;   /* owned; aligned */
};

static void repair_forget(struct repair *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        bdr_disk_close(r->from[i].disk);
    r->n = 0;
    free(BDR_STEAL(r->identity));
}

static void repair_free(struct repair *r)
{
    repair_forget(r);
    free(r->from);
    free(r->theirs);
    free(r->buf);
}

/* What a candidate can't give is no reason to stop asking others. */
static bool repair_is_gap(const struct bdr_err *err)
{
    return err->code == BDR_CORRUPT || err->code == BDR_IO || err->code == BDR_RANGE || err->code == BDR_NOTFOUND ||
           err->code == BDR_STALE || err->code == BDR_VERSION;
}

/* ---- which candidates ---- */

static bool repair_matches(const struct bdr_point_info *theirs, const json_t *point)
{
    const char *id = json_string_value(json_object_get(point, "id"));
    const char *origin = json_string_value(json_object_get(point, "origin"));
    const char *host = json_string_value(json_object_get(point, "host"));

    if (!strcmp(bdr_point_key(theirs), origin ? origin : id))
        return true;
    return !strcmp(theirs->host, host) &&
           theirs->time_ms == json_integer_value(json_object_get(point, "time_ms"));
}

static struct bdr_err *repair_begin(void *ctx, const json_t *point, uint32_t disk, uint32_t *out_n)
{
    struct repair *r = ctx;
    struct bdr_point_disk d;

    repair_forget(r);
    BDR_TRY(bdr_point_disk(point, disk, &d));
    r->identity = strdup(d.identity);
    BDR_NOMEM_IF_NULL(r->identity);
    for (size_t i = 0; i < r->n_theirs; i++)
        if (repair_matches(&r->theirs[i], point))
            r->from[r->n++] = (struct repair_from){.point = &r->theirs[i], .index = disk};
    for (int same = 1; same >= 0; same--) /* the disk that has the name first, then any: the ids decide */
        for (size_t i = 0; i < r->opt->n_sources; i++) {
            struct bdr_source_info info;

            BDR_TRY(bdr_source_info(r->opt->sources[i], &info));
            if ((strcmp(info.identity, d.identity) == 0) == (same == 1))
                r->from[r->n++] = (struct repair_from){.src = r->opt->sources[i]};
        }
    *out_n = r->n;
    return NULL;
}

/* ---- a point of the other repository ---- */

/* The disk with the same identity; by number when none has it. */
static struct bdr_err *repair_open_disk(struct repair *r, struct repair_from *f)
{
    json_t *point = NULL;
    struct bdr_err *err;

    BDR_TRY(bdr_point_load(r->opt->other, f->point->id, &point));
    for (uint32_t i = 0; i < bdr_point_disks(point); i++) {
        struct bdr_point_disk d;

        err = bdr_point_disk(point, i, &d);
        if (!err && !strcmp(d.identity, r->identity))
            f->index = i;
        bdr_err_drop(err, "not this one");
    }
    json_decref(point);
    return bdr_disk_open(r->opt->other, f->point->id, f->index, NULL, &f->disk);
}

static struct bdr_err *repair_disk(struct repair *r, struct repair_from *f, bool *out_there)
{
    struct bdr_err *err;

    if (!f->disk && !f->failed) {
        err = repair_open_disk(r, f);
        if (err && !repair_is_gap(err))
            return err;
        f->failed = err != NULL;
        bdr_err_drop(err, "no candidate then");
    }
    *out_there = f->disk != NULL;
    return NULL;
}

/* ---- a disk ---- */

/* Reads any range, in the units the source wants. */
static struct bdr_err *repair_read_source(struct repair *r, struct bdr_source *src, uint64_t off, uint8_t *out,
                                          size_t len)
{
    struct bdr_source_info info;

    BDR_TRY(bdr_source_info(src, &info));
    if (off > info.size_bytes || len > info.size_bytes - off)
        BDR_FAIL(BDR_RANGE, 0, "the disk is too small");
    while (len) {
        uint64_t lo = off / info.align_bytes * info.align_bytes;
        uint64_t want = BDR_MIN((off - lo + len + info.align_bytes - 1) / info.align_bytes * info.align_bytes,
                                info.size_bytes - lo);
        size_t n = (size_t)BDR_MIN(want, (uint64_t)2 * REPAIR_ALIGN), take;

        BDR_TRY(bdr_source_read(src, lo, r->buf, n));
        take = (size_t)BDR_MIN(n - (off - lo), (uint64_t)len);
        memcpy(out, r->buf + (off - lo), take);
        off += take;
        out += take;
        len -= take;
    }
    return NULL;
}

static struct bdr_err *zero_extent(void *ctx, const struct bdr_extent *ext)
{
    *(bool *)ctx &= ext->kind == BDR_EXTENT_ZERO;
    if (ext->kind == BDR_EXTENT_DATA)
        BDR_FAIL(BDR_RANGE, 0, "data"); /* ends the walk */
    return NULL;
}

static struct bdr_err *repair_zero_source(struct bdr_source *src, uint64_t off, uint64_t len, bool *out)
{
    struct bdr_source_info info;
    bool zero = true;

    BDR_TRY(bdr_source_info(src, &info));
    if (!info.knows_allocation || off > info.size_bytes || len > info.size_bytes - off)
        return NULL;
    BDR_TRY(bdr_source_extents(src, BDR_EXTENTS_ALL, off, len, zero_extent, &zero));
    *out = zero;
    return NULL;
}

/* ---- answers ---- */

static struct bdr_err *repair_read(void *ctx, uint32_t c, uint64_t off, void *buf, size_t len, bool *out_there)
{
    struct repair *r = ctx;
    struct repair_from *f = &r->from[c];
    struct bdr_err *err;
    bool there = true;

    *out_there = false;
    if (!f->src)
        BDR_TRY(repair_disk(r, f, &there));
    if (!there)
        return NULL;
    err = f->src ? repair_read_source(r, f->src, off, buf, len) : bdr_disk_read(f->disk, off, buf, len);
    if (err && !repair_is_gap(err))
        return err;
    *out_there = !err;
    bdr_err_drop(err, "another may have it");
    return NULL;
}

static struct bdr_err *repair_zero(void *ctx, uint32_t c, uint64_t off, uint64_t len, bool *out_zero)
{
    struct repair *r = ctx;
    struct repair_from *f = &r->from[c];
    struct bdr_err *err = NULL;
    bool there = true, data = true;
    uint64_t got = 0;

    *out_zero = false;
    if (!f->src)
        BDR_TRY(repair_disk(r, f, &there));
    if (!there)
        return NULL;
    if (f->src)
        err = repair_zero_source(f->src, off, len, out_zero);
    else if (!(err = bdr_disk_extent(f->disk, off, len, &data, &got)))
        *out_zero = !data && got == len;
    if (err && !repair_is_gap(err))
        return err;
    bdr_err_drop(err, "then it is read");
    return NULL;
}

static const struct bdr_heal_ops repair_ops = {.begin = repair_begin, .read = repair_read, .zero = repair_zero};

/* ---- manifests ---- */

struct repair_manifests {
    struct repair *r;
    struct bdr_repo *repo;
};

static struct bdr_err *repair_manifest(void *ctx, const char *key, bool *out_there, char out_id[33])
{
    const struct repair_manifests *m = ctx;
    const struct bdr_repair_options *opt = m->r->opt;
    struct bdr_copy_result copy;

    for (size_t i = 0; i < m->r->n_theirs && !*out_there; i++) {
        struct bdr_err *err;

        BDR_TRY(bdr_heal_manifest_fits(key, &m->r->theirs[i], out_there));
        if (!*out_there || opt->dry_run)
            continue;
        err = bdr_copy_point(opt->other, m->r->theirs[i].id, m->repo,
                             &(struct bdr_copy_options){.workers = opt->workers, .cancel = opt->cancel}, &copy);
        *out_there = !err;
        if (err && !repair_is_gap(err) && err->code != BDR_BUSY && err->code != BDR_INVAL)
            return err;
        if (err)
            BDR_LOG(WARN, "repair.manifest-not-copied", F_STR("key", key), F_ERR(err));
        else
            memcpy(out_id, copy.point_id, sizeof(copy.point_id));
        bdr_err_drop(err, "it stays as it is, and is told");
    }
    return NULL;
}

/* How many of their points of our hosts are not here: removed, or lost without a trace. */
static struct bdr_err *repair_elsewhere(const struct repair *r, struct bdr_repo *repo, uint64_t *out)
{
    BDR_AUTO(mem) struct bdr_point_info *ours = NULL;
    size_t n = 0;

    BDR_TRY(bdr_repo_points(repo, &ours, &n));
    for (size_t i = 0; i < r->n_theirs; i++) {
        bool host = false, same = false;

        for (size_t j = 0; j < n; j++)
            if (!strcmp(ours[j].host, r->theirs[i].host)) {
                host = true;
                same |= !strcmp(bdr_point_key(&ours[j]), bdr_point_key(&r->theirs[i])) ||
                        ours[j].time_ms == r->theirs[i].time_ms;
            }
        *out += host && !same;
    }
    return NULL;
}

/* In a dry run verify still complains of manifests that can be brought back. */
static void repair_untell(struct bdr_heal_result *r, const json_t *healed)
{
    size_t i, kept = 0;
    json_t *key;

    for (size_t line = 0; line < r->n_bad; line++) {
        bool can = false;

        json_array_foreach(healed, i, key)
            can |= !strncmp(r->bad_objects[line], json_string_value(key), json_string_length(key));
        if (!can)
            memmove(r->bad_objects[kept++], r->bad_objects[line], sizeof(r->bad_objects[line]));
    }
    r->n_bad = kept;
}

static struct bdr_err *repair_go(struct repair *r, struct bdr_repo *repo, struct bdr_heal_result *out)
{
    const struct bdr_repair_options *opt = r->opt;
    struct bdr_heal_options heal = {.ops = &repair_ops, .ctx = r, .dry_run = opt->dry_run,
                                    .delete_damaged = opt->delete_damaged, .workers = opt->workers,
                                    .meter = opt->meter, .cancel = opt->cancel};
    struct repair_manifests m = {r, repo};
    BDR_AUTO(json) json_t *healed = json_array();
    uint64_t elsewhere = 0;

    BDR_NOMEM_IF_NULL(healed);
    BDR_TRY(bdr_heal_manifests(repo, &(struct bdr_heal_manifest_ops){.copy = repair_manifest, .ctx = &m}, opt->dry_run,
                               healed));
    BDR_TRY(repair_elsewhere(r, repo, &elsewhere));
    BDR_TRY(bdr_heal(repo, &heal, out));
    if (opt->dry_run)
        repair_untell(out, healed);
    out->objects_healed += json_array_size(healed);
    out->points_elsewhere = elsewhere;
    return NULL;
}

struct bdr_err *bdr_repair(struct bdr_repo *repo, const struct bdr_repair_options *opt, struct bdr_heal_result *out)
{
    __attribute__((cleanup(repair_free))) struct repair r = {.opt = opt};
    struct bdr_repo_facts a, b;

    if (opt->other) {
        BDR_TRY(bdr_repo_facts(repo, &a));
        BDR_TRY(bdr_repo_facts(opt->other, &b));
        if (!strcmp(a.id, b.id) && !strcmp(bdr_repo_url(repo), bdr_repo_url(opt->other)))
            BDR_FAIL(BDR_INVAL, 0, "%s can't be healed from itself", bdr_repo_url(repo));
        BDR_TRY(bdr_repo_points(opt->other, &r.theirs, &r.n_theirs));
    }
    r.from = calloc(opt->n_sources + r.n_theirs + 1, sizeof(*r.from));
    if (!r.from || posix_memalign((void **)&r.buf, 4096, 2 * REPAIR_ALIGN))
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    return repair_go(&r, repo, out);
}
