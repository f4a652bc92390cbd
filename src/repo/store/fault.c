/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/store_fault.h"
#include <pthread.h>
#include <string.h>

struct fault_store {
    struct bdr_store base;
    struct bdr_store *inner; /* owned */
    struct bdr_store_fault plan;
    pthread_mutex_t lock; /* guards count and *plan.calls */
    uint64_t count;
};

struct fault_writer {
    struct bdr_store_writer base;
    struct bdr_store_writer *inner; /* owned */
};

static struct fault_store *fault_of(struct bdr_store *st)
{
    return (struct fault_store *)st;
}

static struct bdr_err *fault_error(const struct fault_store *fs, const char *what)
{
    BDR_FAIL(fs->plan.code, 0, "injected fault at %s, call %llu", what, (unsigned long long)fs->plan.fail_at);
}

/* Counts a call; fails before it has an effect if that is the plan. *out_hit: it is the chosen call. */
static struct bdr_err *fault_before(struct fault_store *fs, const char *what, bool *out_hit)
{
    const struct bdr_store_fault *plan = &fs->plan;
    uint64_t n;

    pthread_mutex_lock(&fs->lock);
    n = ++fs->count;
    if (plan->calls)
        *plan->calls = n;
    pthread_mutex_unlock(&fs->lock);
    *out_hit = plan->fail_at && n == plan->fail_at;
    if (*out_hit && plan->kind == BDR_FAULT_DIE_BEFORE)
        _exit(BDR_FAULT_EXIT);
    if (*out_hit && plan->kind == BDR_FAULT_ERROR_BEFORE)
        return fault_error(fs, what);
    if (plan->sticky && plan->fail_at && n > plan->fail_at)
        return fault_error(fs, what);
    return NULL;
}

/* A call that can't be torn has failed before it began. */
static struct bdr_err *fault_whole(struct fault_store *fs, const char *what, bool hit)
{
    if (hit && fs->plan.kind == BDR_FAULT_TEAR_DIE)
        _exit(BDR_FAULT_EXIT);
    return hit && fs->plan.kind == BDR_FAULT_TEAR ? fault_error(fs, what) : NULL;
}

static struct bdr_err *fault_after(struct fault_store *fs, const char *what, bool hit)
{
    if (hit && fs->plan.kind == BDR_FAULT_DIE_AFTER)
        _exit(BDR_FAULT_EXIT);
    return hit && fs->plan.kind == BDR_FAULT_ERROR_AFTER ? fault_error(fs, what) : NULL;
}

static struct bdr_err *fault_get(struct bdr_store *st, const char *key, uint64_t off, void *buf, size_t len,
                                 size_t *out_len)
{
    return bdr_store_get(fault_of(st)->inner, key, off, buf, len, out_len);
}

static struct bdr_err *fault_stat(struct bdr_store *st, const char *key, struct bdr_store_stat *out)
{
    return bdr_store_stat(fault_of(st)->inner, key, out);
}

static struct bdr_err *fault_put(struct bdr_store *st, const char *key, const void *data, size_t len, int flags)
{
    struct fault_store *fs = fault_of(st);
    bool hit;

    if (fs->plan.before_put)
        fs->plan.before_put(fs->plan.ctx, key);
    BDR_TRY(fault_before(fs, "put", &hit));
    BDR_TRY(fault_whole(fs, "put", hit));
    BDR_TRY(bdr_store_put(fs->inner, key, data, len, flags));
    return fault_after(fs, "put", hit);
}

static struct bdr_err *fault_list(struct bdr_store *st, const char *prefix, bdr_list_fn fn, void *ctx)
{
    return bdr_store_list(fault_of(st)->inner, prefix, fn, ctx);
}

static struct bdr_err *fault_remove(struct bdr_store *st, const char *key)
{
    struct fault_store *fs = fault_of(st);
    bool hit;

    BDR_TRY(fault_before(fs, "remove", &hit));
    BDR_TRY(fault_whole(fs, "remove", hit));
    BDR_TRY(bdr_store_remove(fs->inner, key));
    return fault_after(fs, "remove", hit);
}

static void fault_writer_abandon(struct bdr_store_writer *base)
{
    struct fault_writer *w = (struct fault_writer *)base;

    bdr_store_writer_abandon(w->inner);
    free(w);
}

static struct bdr_err *fault_writer_begin(struct bdr_store *st, const char *key, struct bdr_store_writer **out)
{
    struct fault_store *fs = fault_of(st);
    BDR_AUTO(mem) struct fault_writer *w = calloc(1, sizeof(*w));
    struct bdr_err *err;
    bool hit;

    BDR_NOMEM_IF_NULL(w);
    BDR_TRY(fault_before(fs, "writer_begin", &hit));
    BDR_TRY(fault_whole(fs, "writer_begin", hit));
    BDR_TRY(bdr_store_writer_begin(fs->inner, key, &w->inner));
    err = fault_after(fs, "writer_begin", hit);
    if (err) {
        bdr_store_writer_abandon(w->inner);
        return err;
    }
    *out = &BDR_STEAL(w)->base;
    return NULL;
}

static struct bdr_err *fault_writer_append(struct bdr_store_writer *base, const void *data, size_t len)
{
    struct fault_writer *w = (struct fault_writer *)base;
    struct fault_store *fs = fault_of(base->st);
    bool hit;

    BDR_TRY(fault_before(fs, "writer_append", &hit));
    if (hit && (fs->plan.kind == BDR_FAULT_TEAR || fs->plan.kind == BDR_FAULT_TEAR_DIE)) {
        BDR_TRY(bdr_store_writer_append(w->inner, data, len / 2));
        return fault_whole(fs, "writer_append", hit);
    }
    BDR_TRY(bdr_store_writer_append(w->inner, data, len));
    return fault_after(fs, "writer_append", hit);
}

static struct bdr_err *fault_writer_commit(struct bdr_store_writer *base)
{
    struct fault_writer *w = (struct fault_writer *)base;
    struct fault_store *fs = fault_of(base->st);
    struct bdr_err *err;
    bool hit;

    err = fault_before(fs, "writer_commit", &hit);
    if (!err)
        err = fault_whole(fs, "writer_commit", hit);
    if (!err)
        err = bdr_store_writer_commit(BDR_STEAL(w->inner));
    fault_writer_abandon(base);
    return err ? err : fault_after(fs, "writer_commit", hit);
}

static struct bdr_err *fault_hold(struct bdr_store *st, const char *key, void **out_hold)
{
    return bdr_store_hold(fault_of(st)->inner, key, out_hold);
}

static void fault_release(struct bdr_store *st, void *hold)
{
    bdr_store_release(fault_of(st)->inner, hold);
}

static struct bdr_err *fault_held(struct bdr_store *st, const char *key, bool *out)
{
    return bdr_store_held(fault_of(st)->inner, key, out);
}

static struct bdr_err *fault_sweep(struct bdr_store *st, uint64_t min_age_ms, uint64_t *out_removed)
{
    struct fault_store *fs = fault_of(st);
    bool hit;

    BDR_TRY(fault_before(fs, "sweep", &hit));
    BDR_TRY(fault_whole(fs, "sweep", hit));
    BDR_TRY(bdr_store_sweep(fs->inner, min_age_ms, out_removed));
    return fault_after(fs, "sweep", hit);
}

static void fault_close(struct bdr_store *st)
{
    struct fault_store *fs = fault_of(st);

    bdr_store_close(fs->inner);
    pthread_mutex_destroy(&fs->lock);
    free(fs);
}

static const struct bdr_store_driver fault_driver = {
    .name = "fault",
    .title = "Injected faults (tests)",
    .get = fault_get,
    .stat = fault_stat,
    .put = fault_put,
    .list = fault_list,
    .remove = fault_remove,
    .writer_begin = fault_writer_begin,
    .writer_append = fault_writer_append,
    .writer_commit = fault_writer_commit,
    .writer_abandon = fault_writer_abandon,
    .hold = fault_hold,
    .release = fault_release,
    .held = fault_held,
    .sweep = fault_sweep,
    .close = fault_close,
};

struct bdr_err *bdr_store_wrap_fault(struct bdr_store **st, const struct bdr_store_fault *plan)
{
    BDR_AUTO(mem) struct fault_store *fs = calloc(1, sizeof(*fs));

    BDR_NOMEM_IF_NULL(fs);
    fs->base = (struct bdr_store){
        .drv = &fault_driver, .read_only = (*st)->read_only, .local = (*st)->local, .url = strdup((*st)->url)};
    BDR_NOMEM_IF_NULL(fs->base.url);
    pthread_mutex_init(&fs->lock, NULL);
    fs->plan = *plan;
    fs->inner = *st;
    *st = &BDR_STEAL(fs)->base;
    return NULL;
}
