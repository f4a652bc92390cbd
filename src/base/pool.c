/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

struct pool_thread {
    struct bdr_pool *pool;
    pthread_t id;
    unsigned index;
};

struct bdr_pool {
    struct bdr_err *(*fn)(void *ctx, unsigned index);
    void *ctx;
    struct bdr_cancel *cancel;
    pthread_mutex_t lock;  /* guards first */
    struct bdr_err *first; /* owned */
    unsigned started;
    struct pool_thread threads[];
};

static void *pool_main(void *arg)
{
    struct pool_thread *t = arg;
    struct bdr_pool *pool = t->pool;
    struct bdr_err *err = pool->fn(pool->ctx, t->index);

    if (err) {
        pthread_mutex_lock(&pool->lock);
        /* The cause comes first; "cancelled" is only its echo in the other threads. */
        if (!pool->first)
            pool->first = BDR_STEAL(err);
        pthread_mutex_unlock(&pool->lock);
        bdr_err_drop(err, "an earlier error of this pool is kept");
        if (pool->cancel)
            bdr_cancel_set(pool->cancel);
    }
    return NULL;
}

struct bdr_err *bdr_pool_start(const char *name, unsigned n, struct bdr_err *(*fn)(void *ctx, unsigned index),
                               void *ctx, struct bdr_cancel *cancel, struct bdr_pool **out)
{
    struct bdr_pool *pool = calloc(1, sizeof(*pool) + n * sizeof(pool->threads[0]));

    BDR_NOMEM_IF_NULL(pool);
    pool->fn = fn;
    pool->ctx = ctx;
    pool->cancel = cancel;
    pthread_mutex_init(&pool->lock, NULL);
    for (unsigned i = 0; i < n; i++) {
        struct pool_thread *t = &pool->threads[i];
        int rc;

        *t = (struct pool_thread){.pool = pool, .index = i};
        rc = pthread_create(&t->id, NULL, pool_main, t);
        if (rc) {
            if (cancel)
                bdr_cancel_set(cancel);
            bdr_err_drop(bdr_pool_join(pool), "starting failed; that error is told");
            BDR_FAIL(bdr_code_of_errno(rc), rc, "starting thread %s-%u", name, i);
        }
        pthread_setname_np(t->id, name);
        pool->started++;
    }
    *out = pool;
    return NULL;
}

struct bdr_err *bdr_pool_join(struct bdr_pool *pool)
{
    struct bdr_err *first;

    if (!pool)
        return NULL;
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i].id, NULL);
    first = pool->first;
    pthread_mutex_destroy(&pool->lock);
    free(pool);
    return first;
}

unsigned bdr_cpu_count(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set))
        return 1;
    return BDR_MAX((unsigned)CPU_COUNT(&set), 1u);
}
