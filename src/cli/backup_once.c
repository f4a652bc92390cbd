/* SPDX-License-Identifier: Apache-2.0 */
/* backup_once.c - one point: the sources as they were asked for, live ones with their moment. */
#include "backup_args.h"
#include "bdr/live.h"
#include "bdr/volumes.h"
#include <stdio.h>
#include <string.h>

struct once {
    struct bdr_source *src[BACKUP_DISKS_MAX];
    struct bdr_backup_disk disk[BACKUP_DISKS_MAX];
    size_t n;
    struct bdr_moment *moment; /* owned; NULL: no disk is live */
};

static void once_close(struct once *o)
{
    for (size_t i = 0; i < o->n; i++)
        bdr_source_close(o->src[i]);
    bdr_moment_close(o->moment);
}

static bool once_is_live(const char *location)
{
    return !strncmp(location, "live:", 5);
}

struct bdr_err *backup_check(const struct backup_args *a)
{
    bool live = false;

    if (a->sources.count > BACKUP_DISKS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "at most %d disks fit one point", BACKUP_DISKS_MAX);
    if (a->tags.count > BACKUP_TAGS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "at most %d tags fit one point", BACKUP_TAGS_MAX);
    if (a->changed && a->sources.count != 1)
        BDR_FAIL(BDR_INVAL, 0, "--changed-extents tells of one disk, so give one source");
    if (a->count && !a->every_ms)
        BDR_FAIL(BDR_INVAL, 0, "--count says how many points --every makes; give both");
    for (size_t i = 0; i < a->sources.count; i++)
        live |= once_is_live(a->sources.items[i]);
    if (live && (a->changed || a->bitmap))
        BDR_FAIL(BDR_INVAL, 0, "live disks find out by themselves what has changed");
    if (live && a->consistency)
        BDR_FAIL(BDR_INVAL, 0, "--consistency is not for live disks: what was reached is told by how it was reached");
    return NULL;
}

static struct bdr_err *once_moment(const struct backup_args *a, const struct bdr_cancel *cancel, struct once *o)
{
    struct bdr_live_options live = {.freeze_ms = a->freeze_ms,
                                    .pre_freeze = a->pre_freeze,
                                    .post_freeze = a->post_freeze,
                                    .script_ms = (uint32_t)a->script_ms,
                                    .throttle = a->throttle,
                                    .no_freeze = a->no_freeze,
                                    .no_track = a->no_track,
                                    .keep_swap = a->keep_swap,
                                    .cancel = cancel};

    return o->moment ? NULL : bdr_live_moment_open(&live, &o->moment);
}

static struct bdr_err *once_open(const struct backup_args *a, const char *location, const struct bdr_cancel *cancel,
                                 struct once *o)
{
    static const struct bdr_retry_policy policy = {.attempts = 3, .first_delay_ms = 200, .max_delay_ms = 5000};
    struct bdr_source_spec spec = {.location = location,
                                   .changed_extents = a->changed,
                                   .dirty_bitmap = a->bitmap,
                                   .tls_ca = a->tls_ca,
                                   .tls_cert = a->tls_cert,
                                   .tls_key = a->tls_key,
                                   .cancel = cancel};
    struct bdr_source **src = &o->src[o->n];

    if (o->n == BACKUP_DISKS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "at most %d disks fit one point", BACKUP_DISKS_MAX);
    if (once_is_live(location)) {
        BDR_TRY(once_moment(a, cancel, o));
        spec.moment = o->moment;
    }
    BDR_TRY(bdr_source_open(&spec, src));
    o->n++;
    BDR_TRY(bdr_source_wrap_retry(src, &policy, cancel));
    if (a->limit_bytes)
        BDR_TRY(bdr_source_wrap_rate(src, a->limit_bytes, 0, cancel));
    if (a->cpu_pct)
        BDR_TRY(bdr_source_wrap_share(src, cancel));
    o->disk[o->n - 1].src = *src;
    return NULL;
}

static struct bdr_err *once_open_all(const struct backup_args *a, const struct bdr_cancel *cancel, struct once *o)
{
    struct bdr_err *err = NULL;
    char **disks = NULL, location[512];
    size_t n = 0;

    BDR_TRY(bdr_live_disks(&disks, &n));
    if (!n)
        err = bdr_err_new(BDR_NOTFOUND, 0, BDR_AT, "this machine has no disks of its own; name them as live:/dev/NAME");
    for (size_t i = 0; i < n && !err; i++) {
        snprintf(location, sizeof(location), "live:%s", disks[i]);
        err = once_open(a, location, cancel, o);
    }
    bdr_volumes_disks_free(disks, n);
    return err;
}

struct bdr_err *backup_once(const struct backup_args *a, const struct backup_place *place, const char *host,
                            struct bdr_backup_meter *meter, const struct bdr_cancel *cancel,
                            struct bdr_backup_result *out)
{
    __attribute__((cleanup(once_close))) struct once o = {0};
    struct bdr_backup_options opt = {.host = host,
                                     .host_id = a->host_id,
                                     .consistency = a->consistency,
                                     .boot_mode = a->boot_mode,
                                     .compress = a->compress,
                                     .take_over = a->take_over,
                                     .workers = a->workers,
                                     .audit_pct = a->audit_pct,
                                     .scan_dir = place->scan_dir[0] ? place->scan_dir : NULL,
                                     .meter = meter,
                                     .cancel = cancel,
                                     .pass = a->full ? BDR_PASS_FULL : BDR_PASS_AUTO};
    const char *tags[BACKUP_TAGS_MAX + 1] = {0};

    for (size_t i = 0; i < a->tags.count; i++)
        tags[i] = a->tags.items[i];
    opt.tags = tags;
    for (size_t i = 0; i < a->sources.count; i++) {
        if (!strcmp(a->sources.items[i], "live:all"))
            BDR_TRY(once_open_all(a, cancel, &o));
        else
            BDR_TRY(once_open(a, a->sources.items[i], cancel, &o));
    }
    opt.moment = o.moment;
    return bdr_backup_to(place->sink, o.disk, o.n, &opt, out);
}

void backup_sample(void *ctx, struct bdr_progress_counts *out)
{
    const struct bdr_backup_meter *m = ctx;

    out->done_bytes = atomic_load(&m->done_bytes);
    out->total_bytes = atomic_load(&m->total_bytes);
    out->new_bytes = atomic_load(&m->new_bytes);
    out->pass = atomic_load(&m->pass);
}
