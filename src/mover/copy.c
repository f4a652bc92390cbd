/* SPDX-License-Identifier: Apache-2.0 */
/* copy.c - a point of one repository into another: which point there to build on, then a backup of its disks. */
#include "bdr/copy.h"
#include "bdr/bytes.h"
#include "bdr/jsonset.h"
#include "bdr/point.h"
#include "direct.h"
#include <stdio.h>
#include <string.h>

struct copy {
    struct bdr_repo *from, *to;
    const struct bdr_copy_options *opt;
    struct bdr_point_info point;
    json_t *manifest; /* owned; the point's */
    json_t *base;     /* owned; in `from`, what the target has a copy of; or NULL */
    char base_from[33], base_to[33];
    struct bdr_source **src;      /* owned */
    struct bdr_backup_disk *disk; /* owned */
    uint32_t n;
};

static void copy_free(struct copy *c)
{
    for (uint32_t i = 0; c->src && i < c->n; i++)
        bdr_source_close(c->src[i]);
    free(c->src);
    free(c->disk);
    json_decref(c->manifest);
    json_decref(c->base);
}

static struct bdr_err *copy_check_pair(const struct copy *c)
{
    struct bdr_repo_facts a, b;

    BDR_TRY(bdr_repo_facts(c->from, &a));
    BDR_TRY(bdr_repo_facts(c->to, &b));
    if (!strcmp(a.id, b.id))
        BDR_FAIL(BDR_INVAL, 0, "%s and %s are the same repository", bdr_repo_url(c->from), bdr_repo_url(c->to));
    return NULL;
}

static const struct bdr_point_info *copy_same(const struct bdr_point_info *all, size_t n, const struct bdr_point_info *p)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(bdr_point_key(&all[i]), bdr_point_key(p)) && !strcmp(all[i].host, p->host))
            return &all[i];
    return NULL;
}

/*
 * Looks for the point itself in the target, and else for the one to build on: among the host's points that both
 * repositories hold the last before this one, or the first after it.
 */
static struct bdr_err *copy_plan(struct copy *c, struct bdr_copy_result *out)
{
    BDR_AUTO(mem) struct bdr_point_info *theirs = NULL;
    BDR_AUTO(mem) struct bdr_point_info *ours = NULL;
    const struct bdr_point_info *there, *base = NULL, *base_from = NULL;
    size_t n_theirs = 0, n_ours = 0;

    BDR_TRY(bdr_repo_points(c->to, &theirs, &n_theirs));
    there = copy_same(theirs, n_theirs, &c->point);
    if (there) {
        out->there = true;
        memcpy(out->point_id, there->id, sizeof(out->point_id));
        return NULL;
    }
    BDR_TRY(bdr_repo_points(c->from, &ours, &n_ours));
    for (size_t i = 0; i < n_theirs; i++) { /* by time */
        const struct bdr_point_info *same = NULL;

        if (!strcmp(theirs[i].host, c->point.host) && (!base || theirs[i].time_ms <= c->point.time_ms))
            same = copy_same(ours, n_ours, &theirs[i]);
        if (same) {
            base = &theirs[i];
            base_from = same;
        }
    }
    if (!base)
        return NULL;
    memcpy(c->base_to, base->id, sizeof(c->base_to));
    memcpy(c->base_from, base_from->id, sizeof(c->base_from));
    return bdr_point_load(c->from, c->base_from, &c->base);
}

/* The disk of the base with this identity. */
static bool copy_base_disk(const struct copy *c, const char *identity, uint32_t *out)
{
    for (uint32_t i = 0; c->base && i < bdr_point_disks(c->base); i++) {
        struct bdr_point_disk d;
        struct bdr_err *err = bdr_point_disk(c->base, i, &d);

        *out = i;
        if (!err && !strcmp(d.identity, identity))
            return true;
        bdr_err_drop(err, "a base that makes no sense is no base");
    }
    return false;
}

static struct bdr_err *copy_open(struct copy *c)
{
    c->n = bdr_point_disks(c->manifest);
    c->src = calloc(c->n + 1u, sizeof(struct bdr_source *));
    c->disk = calloc(c->n + 1u, sizeof(*c->disk));
    if (!c->src || !c->disk)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    for (uint32_t i = 0; i < c->n; i++) {
        struct bdr_point_disk d;
        uint32_t base = 0;
        bool has_base;

        BDR_TRY(bdr_point_disk(c->manifest, i, &d));
        has_base = copy_base_disk(c, d.identity, &base);
        BDR_TRY(bdr_source_point_open(c->from, c->point.id, i, has_base ? c->base_from : NULL, base, c->opt->cancel,
                                      &c->src[i]));
        c->disk[i] = (struct bdr_backup_disk){.src = c->src[i], .name = d.name};
    }
    return NULL;
}

/* A point that was removed while it was read looks like damage. */
static struct bdr_err *copy_explain(struct copy *c, struct bdr_err *err)
{
    bool there = true;

    if (err && (err->code == BDR_CORRUPT || err->code == BDR_NOTFOUND))
        bdr_err_drop(bdr_point_visible(c->from, c->point.host, c->point.id, &there), "the first error is told");
    if (!there)
        return bdr_err_recode(err, BDR_NOTFOUND, BDR_AT, "point %.8s was removed while it was copied", c->point.id);
    return err;
}

static struct bdr_err *copy_go(struct copy *c, const char *point, struct bdr_copy_result *out)
{
    struct bdr_backup_options opt = {.host = c->point.host, .compress = c->opt->compress, .workers = c->opt->workers,
                                     .take_over = c->opt->take_over, .meter = c->opt->meter, .cancel = c->opt->cancel};
    struct bdr_backup_result r;

    BDR_TRY(copy_check_pair(c));
    BDR_TRY(bdr_repo_find(c->from, point, NULL, &c->point));
    opt.host = c->point.host;
    BDR_TRY(copy_plan(c, out));
    if (out->there)
        return NULL;
    BDR_TRY(bdr_point_read(c->from, &c->point, &c->manifest));
    if (direct_can(c->from, c->to)) {
        const struct direct_spec direct = {.from = c->from, .to = c->to, .host = c->point.host, .manifest = c->manifest,
                                           .base = c->base, .base_to = c->base_to, .opt = c->opt};

        return copy_explain(c, direct_copy(&direct, out));
    }
    BDR_TRY(copy_open(c));
    opt.inherit = c->manifest;
    opt.base_point = c->base ? c->base_to : NULL;
    BDR_TRY(copy_explain(c, bdr_backup_run(c->to, c->disk, c->n, &opt, &r)));
    out->full = r.full;
    out->size_bytes = r.size_bytes;
    out->read_bytes = r.read_bytes;
    out->new_bytes = r.new_bytes;
    out->stored_bytes = r.stored_bytes;
    out->seconds = r.seconds;
    memcpy(out->point_id, r.point_id, sizeof(out->point_id));
    return NULL;
}

static void copy_meter_reset(struct bdr_backup_meter *m)
{
    atomic_uint_fast64_t *const all[] = {&m->total_bytes,   &m->done_bytes, &m->read_bytes,   &m->zero_bytes,
                                         &m->changed_bytes, &m->new_bytes,  &m->stored_bytes, &m->unreadable_bytes,
                                         &m->audited_blocks, &m->audit_misses, &m->healed_bytes, &m->pass};

    for (size_t i = 0; i < BDR_COUNT(all); i++)
        atomic_store(all[i], 0);
}

struct bdr_err *bdr_copy_point(struct bdr_repo *from, const char *point, struct bdr_repo *to,
                               const struct bdr_copy_options *opt, struct bdr_copy_result *out)
{
    __attribute__((cleanup(copy_free))) struct copy c = {.from = from, .to = to, .opt = opt};
    struct bdr_copy_result r = {0};

    if (opt->meter)
        copy_meter_reset(opt->meter);
    BDR_TRY_FOR(copy_go(&c, point, &r), "copying point %.8s", point);
    *out = r;
    return NULL;
}
