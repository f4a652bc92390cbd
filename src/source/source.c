/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.c - the entry points of a source: every call of every driver passes here, checked and counted.
 */
#include "source_priv.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SOURCE_MAX_SECTOR_BYTES 65536u
#define SOURCE_MAX_INFLIGHT     1024u

#define D(n) extern const struct bdr_source_driver bdr_source_##n;
#include "drivers.def"
#undef D

const struct bdr_source_driver *const bdr_source_drivers[] = {
#define D(n) &bdr_source_##n,
#include "drivers.def"
#undef D
    NULL,
};

struct bdr_source_core {
    struct bdr_source_info info; /* constant */
    pthread_mutex_t lock;        /* guards what follows */
    pthread_cond_t turn;
    uint32_t active;
    struct bdr_source_stats stats;
};

static bool source_pow2(uint32_t v)
{
    return v && !(v & (v - 1));
}

static struct bdr_err *source_check_info(const struct bdr_source_driver *drv, struct bdr_source_info *info)
{
    if (!source_pow2(info->sector_bytes) || info->sector_bytes < 512 || info->sector_bytes > SOURCE_MAX_SECTOR_BYTES)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "sectors of %u bytes are not supported", info->sector_bytes);
    if (!source_pow2(info->align_bytes) || info->align_bytes > SOURCE_MAX_SECTOR_BYTES)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "reads in units of %u bytes are not supported", info->align_bytes);
    if (info->size_bytes > INT64_MAX)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "a disk of %llu bytes is not supported", (unsigned long long)info->size_bytes);
    if (!info->identity[0] || !memchr(info->identity, 0, sizeof(info->identity)) ||
        !memchr(info->consistency, 0, sizeof(info->consistency)))
        BDR_FAIL(BDR_INTERNAL, 0, "driver %s tells no identity", drv->name);
    if (drv->max_inflight)
        info->max_inflight = BDR_MIN(info->max_inflight, drv->max_inflight);
    info->max_inflight = BDR_MIN(BDR_MAX(info->max_inflight, 1u), SOURCE_MAX_INFLIGHT);
    if (!info->consistency[0])
        memcpy(info->consistency, "crash", sizeof("crash"));
    if (!info->driver[0]) /* a wrapper copies what is inside */
        snprintf(info->driver, sizeof(info->driver), "%s", drv->name);
    return NULL;
}

struct bdr_err *bdr_source_ready(struct bdr_source *src, const struct bdr_source_driver *drv)
{
    struct bdr_source_info info = {.sector_bytes = 512, .align_bytes = 512, .max_inflight = 1};
    struct bdr_source_core *core;

    src->drv = drv;
    BDR_TRY(drv->info(src, &info));
    BDR_TRY(source_check_info(drv, &info));
    core = calloc(1, sizeof(*core));
    BDR_NOMEM_IF_NULL(core);
    core->info = info;
    pthread_mutex_init(&core->lock, NULL);
    pthread_cond_init(&core->turn, NULL);
    src->core = core;
    return NULL;
}

const struct bdr_source_info *source_known(const struct bdr_source *src)
{
    return &src->core->info;
}

void bdr_source_close(struct bdr_source *src)
{
    struct bdr_source_core *core;

    if (!src)
        return;
    core = src->core;
    src->drv->close(src);
    if (core) {
        pthread_cond_destroy(&core->turn);
        pthread_mutex_destroy(&core->lock);
        free(core);
    }
}

struct bdr_err *bdr_source_info(struct bdr_source *src, struct bdr_source_info *out)
{
    *out = src->core->info;
    return NULL;
}

static struct bdr_err *source_check_range(const struct bdr_source_info *info, uint64_t off, uint64_t len)
{
    if (off > info->size_bytes || len > info->size_bytes - off)
        BDR_FAIL(BDR_RANGE, 0, "%llu bytes at %llu are past the end of %s (%llu bytes)", (unsigned long long)len,
                 (unsigned long long)off, info->identity, (unsigned long long)info->size_bytes);
    return NULL;
}

struct bdr_err *bdr_source_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                   bdr_extent_fn fn, void *ctx)
{
    const struct bdr_source_info *info = &src->core->info;
    struct bdr_err *err = NULL;
    struct source_walk walk;
    bool known = of == BDR_EXTENTS_ALL ? info->knows_allocation : info->has_changes;

    BDR_TRY(source_check_range(info, off, len));
    if (of == BDR_EXTENTS_CHANGED && (!known || !src->drv->extents))
        BDR_FAIL(BDR_UNSUPPORTED, 0, "nothing tracks the changes of %s; read all of it", info->identity);
    if (!len)
        return NULL;
    source_walk_init(&walk, off, len, info->align_bytes, of == BDR_EXTENTS_ALL, fn, ctx);
    if (known && src->drv->extents)
        err = src->drv->extents(src, of, off, len, source_walk_put, &walk);
    if (err && of == BDR_EXTENTS_ALL && err->code == BDR_UNSUPPORTED && !walk.fn_failed) {
        bdr_err_drop(err, "not knowing what is allocated is no failure: the rest counts as data");
        err = NULL;
    }
    BDR_TRY(err);
    return source_walk_end(&walk);
}

/* Drivers see at most max_inflight reads at once, whatever the callers do. */
static void source_enter(struct bdr_source_core *core)
{
    pthread_mutex_lock(&core->lock);
    while (core->active >= core->info.max_inflight)
        pthread_cond_wait(&core->turn, &core->lock); /* ends when one of the reads before us does */
    core->active++;
    pthread_mutex_unlock(&core->lock);
}

static void source_leave(struct bdr_source_core *core, size_t len, bool ok)
{
    pthread_mutex_lock(&core->lock);
    core->active--;
    if (ok) {
        core->stats.reads++;
        core->stats.bytes += len;
    } else {
        core->stats.errors++;
    }
    pthread_cond_signal(&core->turn);
    pthread_mutex_unlock(&core->lock);
}

struct bdr_err *bdr_source_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    const struct bdr_source_info *info = &src->core->info;
    struct bdr_err *err;

    BDR_TRY(source_check_range(info, off, len));
    if (off % info->align_bytes || (len % info->align_bytes && off + len != info->size_bytes))
        BDR_FAIL(BDR_INVAL, 0, "a read of %zu bytes at %llu of %s is not in units of %u bytes", len,
                 (unsigned long long)off, info->identity, info->align_bytes);
    if (!len)
        return NULL;
    source_enter(src->core);
    err = src->drv->read(src, off, buf, len);
    source_leave(src->core, len, !err);
    return err;
}

struct bdr_err *bdr_source_token(struct bdr_source *src, char **out)
{
    if (src->drv->token)
        return src->drv->token(src, out);
    *out = NULL;
    return NULL;
}

struct bdr_err *bdr_source_since(struct bdr_source *src, const char *token)
{
    if (!src->drv->since)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s keeps no account of changes between points", src->core->info.identity);
    return src->drv->since(src, token);
}

bool bdr_source_touched(struct bdr_source *src, uint64_t off, uint64_t len)
{
    return src->drv->touched && src->drv->touched(src, off, len);
}

struct bdr_err *bdr_source_check(struct bdr_source *src)
{
    return src->drv->check ? src->drv->check(src) : NULL;
}

struct bdr_err *bdr_source_committed(struct bdr_source *src)
{
    return src->drv->committed ? src->drv->committed(src) : NULL;
}

void bdr_source_stats(struct bdr_source *src, struct bdr_source_stats *out)
{
    pthread_mutex_lock(&src->core->lock);
    *out = src->core->stats;
    pthread_mutex_unlock(&src->core->lock);
}
