/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.c - the copy from a recovery point to a target.
 *
 * Workers take spans of the disk in order; within a span they follow the extents, so zeros are never read. One more
 * thread, the keeper, flushes the target now and then and writes down which spans were complete before that flush.
 */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/pool.h"
#include "bdr/sync.h"
#include "recover_priv.h"
#include <stdio.h>
#include <string.h>

#define RECOVER_SPAN          (4u << 20) /* one read, one write: few system calls, and a buffer still near the caches */
#define RECOVER_CHECKPOINT_MS 5000
#define RECOVER_ZERO_ASK      (UINT64_C(64) << 30) /* zeros handed out at once; a question costs what it walks over */
#define RECOVER_WORKERS_MIN   6                    /* some wait for the disk while others decode: 2 leave a third of the CPUs idle */

struct bdr_err *recover_check(const struct recover *r)
{
    BDR_TRY(bdr_cancel_check(r->spec->cancel));
    return bdr_cancel_check(&r->stop);
}

void recover_span_bounds(const struct recover *r, uint64_t span, uint64_t *out_off, uint64_t *out_end)
{
    *out_off = span * r->state.span_bytes;
    *out_end = BDR_MIN(*out_off + r->state.span_bytes, r->state.size_bytes);
}

struct bdr_err *recover_span_buffer(const struct recover *r, uint8_t **out)
{
    uint8_t *buf = aligned_alloc(4096, r->state.span_bytes);

    BDR_NOMEM_IF_NULL(buf);
    *out = buf;
    return NULL;
}

bool recover_next(struct recover *r, bool wanted_done, uint64_t *out_span)
{
    bool found = false;

    pthread_mutex_lock(&r->lock);
    while (r->cursor < r->state.n_spans && recover_state_get(&r->state, r->cursor) != wanted_done)
        r->cursor++;
    if (r->cursor < r->state.n_spans) {
        *out_span = r->cursor++;
        found = true;
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

/*
 * A worker that found zeros from here up to `zero_end` takes the following spans too while nobody else has them, so a
 * terabyte of nothing is not a quarter of a million calls. Returns the last span that is now ours.
 */
static uint64_t recover_take_more(struct recover *r, uint64_t span, uint64_t zero_end)
{
    uint64_t last = span;

    pthread_mutex_lock(&r->lock);
    while (r->cursor == last + 1 && r->cursor < r->state.n_spans && !recover_state_get(&r->state, r->cursor)) {
        uint64_t off, end;

        recover_span_bounds(r, r->cursor, &off, &end);
        if (end > zero_end)
            break;
        last = r->cursor++;
    }
    pthread_mutex_unlock(&r->lock);
    return last;
}

static void recover_mark(struct recover *r, uint64_t first, uint64_t last, bool damaged)
{
    pthread_mutex_lock(&r->lock);
    for (uint64_t i = first; i <= last && !damaged; i++)
        recover_state_set(&r->state, i, true);
    r->fresh += last - first + 1;
    pthread_cond_signal(&r->idle); /* the keeper looks at the clock */
    pthread_mutex_unlock(&r->lock);
}

static struct bdr_err *recover_note_damage(struct recover *r, uint64_t off, uint64_t len)
{
    bool failed = false;

    pthread_mutex_lock(&r->lock);
    if (r->n_damaged == r->cap_damaged) {
        size_t cap = r->cap_damaged ? r->cap_damaged * 2 : 16;
        struct bdr_recover_range *more = reallocarray(r->damaged, cap, sizeof(*more));

        failed = !more;
        if (more) {
            r->damaged = more;
            r->cap_damaged = cap;
        }
    }
    if (!failed)
        r->damaged[r->n_damaged++] = (struct bdr_recover_range){off, len};
    pthread_mutex_unlock(&r->lock);
    if (failed)
        BDR_FAIL(BDR_NOMEM, 0, "noting a damaged range");
    atomic_fetch_add(&r->progress->damaged_bytes, len);
    return NULL;
}

/* Block by block, so that one damaged block costs one block. */
static struct bdr_err *recover_read_around(struct recover *r, uint64_t off, uint8_t *buf, size_t len, bool *out_damaged)
{
    uint32_t block = bdr_disk_block_bytes(r->disk);

    while (len) {
        size_t n = (size_t)BDR_MIN((uint64_t)len, block - off % block);
        struct bdr_err *err = bdr_disk_read(r->disk, off, buf, n);

        if (err && err->code != BDR_CORRUPT)
            return err;
        if (err) {
            BDR_LOG(WARN, "recover.damaged", F_U64("offset", off), F_U64("length", n), F_ERR(err));
            bdr_err_drop(err, "skip_damaged: told in the result");
            BDR_TRY(recover_note_damage(r, off, n));
            memset(buf, 0, n);
            *out_damaged = true;
        }
        off += n;
        buf += n;
        len -= n;
    }
    return NULL;
}

static struct bdr_err *recover_data(struct recover *r, uint64_t off, uint8_t *buf, size_t len, bool *out_damaged)
{
    struct bdr_err *err = bdr_disk_read(r->disk, off, buf, len);

    if (err && err->code == BDR_CORRUPT && r->spec->skip_damaged) {
        bdr_err_drop(err, "read again in smaller pieces");
        err = recover_read_around(r, off, buf, len, out_damaged);
    } else if (err && err->code == BDR_CORRUPT) {
        return bdr_err_wrap(err, BDR_AT,
                            "recovering disk %u (repair the repository and --resume, or --skip-damaged leaves zeros)",
                            r->spec->disk_index);
    }
    BDR_TRY(err);
    BDR_TRY(bdr_target_write(r->target, off, buf, len));
    atomic_fetch_add(&r->progress->data_bytes, len);
    atomic_fetch_add(&r->progress->done_bytes, len);
    return NULL;
}

static struct bdr_err *recover_zero(struct recover *r, uint64_t off, uint64_t len)
{
    if (!r->info.starts_zero)
        BDR_TRY(bdr_target_zero(r->target, off, len));
    atomic_fetch_add(&r->progress->zero_bytes, len);
    atomic_fetch_add(&r->progress->done_bytes, len);
    return NULL;
}

/* Cuts an extent to the target's alignment: data grows into zeros, never the other way round. */
static void recover_align(uint32_t align, uint64_t left, bool *data, uint64_t *len)
{
    if (*len % align == 0 || *len == left)
        return;
    if (!*data && *len >= align) {
        *len -= *len % align;
        return;
    }
    *data = true;
    *len = BDR_MIN((*len + align - 1) / align * align, left);
}

/* Zeros reach the end of the span: asks how far they go on, and makes what is free of it part of this span. */
static struct bdr_err *recover_grow_zero(struct recover *r, uint64_t span, uint64_t *end, uint64_t *last)
{
    uint64_t more = 0, off;
    bool data = true;

    if (*end == r->state.size_bytes)
        return NULL;
    BDR_TRY(bdr_disk_extent(r->disk, *end, BDR_MIN(r->state.size_bytes - *end, RECOVER_ZERO_ASK), &data, &more));
    if (!data) {
        *last = recover_take_more(r, span, *end + more);
        recover_span_bounds(r, *last, &off, end);
    }
    return NULL;
}

static struct bdr_err *recover_span(struct recover *r, uint64_t span, uint8_t *buf)
{
    uint64_t off, end, last = span;
    bool damaged = false;

    recover_span_bounds(r, span, &off, &end);
    while (off < end) {
        uint64_t len = 0;
        bool data = false;

        BDR_TRY(recover_check(r));
        BDR_TRY(bdr_disk_extent(r->disk, off, end - off, &data, &len));
        if (!data && off + len == end) {
            BDR_TRY(recover_grow_zero(r, span, &end, &last));
            len = end - off;
        }
        recover_align(r->info.align_bytes, end - off, &data, &len);
        if (data)
            BDR_TRY(recover_data(r, off, buf, (size_t)len, &damaged));
        else
            BDR_TRY(recover_zero(r, off, len));
        off += len;
    }
    recover_mark(r, span, last, damaged);
    return NULL;
}

/* What is durable when this returns is written down. */
static struct bdr_err *recover_checkpoint(struct recover *r)
{
    BDR_AUTO(recover_state) struct recover_state snap = {0};
    uint64_t fresh;

    if (!r->state_path)
        return NULL;
    BDR_TRY(recover_state_init(&snap, r->state.point, r->state.disk, r->state.size_bytes, r->state.span_bytes));
    pthread_mutex_lock(&r->lock);
    memcpy(snap.done, r->state.done, (size_t)(snap.n_spans / 8 + 1));
    fresh = r->fresh;
    r->fresh = 0;
    pthread_mutex_unlock(&r->lock);
    if (!fresh)
        return NULL;
    BDR_TRY(bdr_target_flush(r->target));
    return recover_state_save(r->state_path, &snap);
}

static struct bdr_err *recover_keep(struct recover *r)
{
    uint64_t every = r->spec->checkpoint_ms ? r->spec->checkpoint_ms : RECOVER_CHECKPOINT_MS;
    uint64_t next = bdr_clock_mono_ms() + every;
    bool running = true;

    while (running && !bdr_cancelled(&r->stop) && !bdr_cancelled(r->spec->cancel)) {
        pthread_mutex_lock(&r->lock);
        if (r->running && bdr_clock_mono_ms() < next)
            bdr_cond_wait_slice(&r->idle, &r->lock);
        running = r->running > 0;
        pthread_mutex_unlock(&r->lock);
        if (running && bdr_clock_mono_ms() >= next) {
            BDR_TRY(recover_checkpoint(r));
            next = bdr_clock_mono_ms() + every;
        }
    }
    return NULL;
}

static struct bdr_err *recover_work(struct recover *r)
{
    BDR_AUTO(mem) uint8_t *buf = NULL;
    uint64_t span;

    BDR_TRY(recover_span_buffer(r, &buf));
    while (recover_next(r, false, &span))
        BDR_TRY(recover_span(r, span, buf));
    return NULL;
}

static struct bdr_err *recover_thread(void *ctx, unsigned index)
{
    struct recover *r = ctx;
    struct bdr_err *err;

    if (index == r->workers)
        return recover_keep(r);
    err = recover_work(r);
    pthread_mutex_lock(&r->lock);
    r->running--;
    pthread_cond_broadcast(&r->idle);
    pthread_mutex_unlock(&r->lock);
    return err;
}

struct bdr_err *recover_all(struct recover *r, const char *name, struct bdr_err *(*fn)(void *ctx, unsigned index),
                            unsigned n)
{
    struct bdr_pool *pool = NULL;

    r->cursor = 0;
    r->running = r->workers;
    BDR_TRY(bdr_pool_start(name, n, fn, r, &r->stop, &pool));
    return bdr_pool_join(pool);
}

static uint32_t recover_span_for(uint64_t size_bytes)
{
    uint32_t span = RECOVER_SPAN;

    while (size_bytes / span >= RECOVER_SPANS_MAX && span < RECOVER_SPAN_MAX)
        span *= 2;
    return span;
}

/* Finds out whether there is earlier work to go on with; r->state then tells what is done. */
static struct bdr_err *recover_find_state(struct recover *r, bool *out_resume)
{
    const struct bdr_recover_spec *spec = r->spec;
    BDR_AUTO(recover_state) struct recover_state old = {0};
    bool found = false;

    *out_resume = false;
    if (r->state_path && (spec->resume || !spec->force))
        BDR_TRY(recover_state_load(r->state_path, &old, &found));
    if (found && !spec->resume)
        BDR_FAIL(BDR_EXISTS, 0, "%s was not finished; add --resume to go on or --force to start over", spec->location);
    if (found && (strcmp(old.point, spec->point_id) || old.disk != spec->disk_index ||
                  old.size_bytes != bdr_disk_size(r->disk))) {
        if (!spec->force)
            BDR_FAIL(BDR_INVAL, 0, "%s is the unfinished copy of disk %u of point %s; recover that, or add --force",
                     spec->location, old.disk, old.point);
        found = false;
    }
    if (found) {
        recover_state_free(&r->state);
        r->state = old;
        old.done = NULL;
        *out_resume = true;
        return NULL;
    }
    /* An old promise must be gone before the target it speaks of is emptied. */
    return r->state_path ? recover_state_remove(r->state_path) : NULL;
}

static struct bdr_err *recover_open(struct recover *r, bool *resume)
{
    const struct bdr_recover_spec *spec = r->spec;
    struct bdr_target_spec ts = {.location = spec->location,
                                 .size_bytes = bdr_disk_size(r->disk),
                                 .sector_bytes = bdr_disk_sector_bytes(r->disk),
                                 .force = spec->force,
                                 .resume = *resume,
                                 .direct = spec->direct,
                                 .tls_ca = spec->tls_ca,
                                 .cancel = spec->cancel};
    struct bdr_err *err = bdr_target_open(&ts, &r->target);

    if (err && err->code == BDR_NOTFOUND && *resume) {
        bdr_err_drop(err, "the unfinished copy is gone: nothing to lose, start over");
        memset(r->state.done, 0, (size_t)(r->state.n_spans / 8 + 1));
        BDR_TRY(recover_state_remove(r->state_path));
        *resume = ts.resume = false;
        err = bdr_target_open(&ts, &r->target);
    }
    BDR_TRY(err);
    BDR_TRY(bdr_target_info(r->target, &r->info));
    if (!*resume && r->state_path)
        BDR_TRY(recover_state_save(r->state_path, &r->state));
    return NULL;
}

static void recover_count_resumed(struct recover *r)
{
    uint64_t n = 0, off, end;

    for (uint64_t i = 0; i < r->state.n_spans; i++)
        if (recover_state_get(&r->state, i)) {
            recover_span_bounds(r, i, &off, &end);
            n += end - off;
        }
    atomic_store(&r->progress->resumed_bytes, n);
    atomic_store(&r->progress->done_bytes, n);
}

static struct bdr_err *recover_copy(struct recover *r)
{
    struct bdr_err *err;

    r->workers = r->spec->workers ? r->spec->workers : BDR_MAX(2 * bdr_cpu_count(), RECOVER_WORKERS_MIN);
    r->workers = BDR_MIN(r->workers, r->info.max_inflight);
    err = recover_all(r, "recover", recover_thread, r->workers + 1);
    if (err) {
        bdr_err_drop(recover_checkpoint(r), "the first error matters; a resume then starts from the last checkpoint");
        return err;
    }
    return recover_check(r);
}

static int recover_range_order(const void *a, const void *b)
{
    const struct bdr_recover_range *x = a, *y = b;

    return x->off < y->off ? -1 : x->off > y->off;
}

static void recover_merge_damaged(struct recover *r)
{
    size_t n = 0;

    if (r->n_damaged)
        qsort(r->damaged, r->n_damaged, sizeof(r->damaged[0]), recover_range_order);
    for (size_t i = 0; i < r->n_damaged; i++) {
        if (n && r->damaged[n - 1].off + r->damaged[n - 1].len == r->damaged[i].off)
            r->damaged[n - 1].len += r->damaged[i].len;
        else
            r->damaged[n++] = r->damaged[i];
    }
    r->n_damaged = n;
}

/* After the copy: complete, compared, and the state file gone unless a repair can still add to it. */
static struct bdr_err *recover_finish(struct recover *r)
{
    struct bdr_err *err;

    BDR_TRY_FOR(bdr_target_commit(r->target), "finishing %s", r->spec->location);
    if (r->spec->verify) {
        err = recover_verify(r);
        if (err) {
            r->fresh++;
            bdr_err_drop(recover_checkpoint(r), "the comparison's error matters");
            return err;
        }
    }
    if (!r->state_path)
        return NULL;
    if (r->n_damaged) {
        r->fresh++;
        return recover_checkpoint(r);
    }
    return recover_state_remove(r->state_path);
}

static struct bdr_err *recover_do(struct recover *r, struct bdr_recover_result *out)
{
    const struct bdr_recover_spec *spec = r->spec;
    uint64_t size = bdr_disk_size(r->disk);
    bool resume = false;

    BDR_TRY(recover_state_init(&r->state, spec->point_id, spec->disk_index, size, recover_span_for(size)));
    if (spec->state_path) {
        r->state_path = strdup(spec->state_path);
        BDR_NOMEM_IF_NULL(r->state_path);
    } else {
        BDR_AUTO(mem) char *path = NULL;

        BDR_TRY(bdr_target_path(spec->location, &path));
        if (path && asprintf(&r->state_path, "%s.bdr-recover", path) < 0) {
            r->state_path = NULL;
            BDR_NOMEM_IF_NULL(NULL);
        }
    }
    BDR_TRY(recover_find_state(r, &resume));
    BDR_TRY(recover_open(r, &resume));
    atomic_store(&r->progress->total_bytes, size);
    recover_count_resumed(r);
    BDR_TRY(recover_copy(r));
    recover_merge_damaged(r);
    BDR_TRY(recover_finish(r));
    *out = (struct bdr_recover_result){
        .damaged = BDR_STEAL(r->damaged),
        .n_damaged = r->n_damaged,
        .resumed = resume,
        .data_bytes = atomic_load(&r->progress->data_bytes),
        .zero_bytes = atomic_load(&r->progress->zero_bytes),
        .resumed_bytes = atomic_load(&r->progress->resumed_bytes),
    };
    memcpy(out->note, r->info.note, sizeof(out->note));
    return NULL;
}

struct bdr_err *bdr_recover_run(const struct bdr_recover_spec *spec, struct bdr_recover_result *out)
{
    struct bdr_recover_progress own = {0};
    struct recover r = {.spec = spec,
                        .disk = spec->disk,
                        .progress = spec->progress ? spec->progress : &own,
                        .first_differing = UINT64_MAX};
    struct bdr_err *err;

    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.idle, NULL);
    err = recover_do(&r, out);
    bdr_target_close(r.target);
    recover_state_free(&r.state);
    free(r.damaged);
    free(r.state_path);
    pthread_cond_destroy(&r.idle);
    pthread_mutex_destroy(&r.lock);
    return err;
}

void bdr_recover_result_free(struct bdr_recover_result *res)
{
    free(res->damaged);
    *res = (struct bdr_recover_result){0};
}
