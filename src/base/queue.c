/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/queue.h"
#include "bdr/sync.h"
#include <time.h>

struct queue_slot {
    void *item;
    uint64_t bytes;
};

struct bdr_queue {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t room, some;
    size_t max_items, head, count;
    uint64_t max_bytes, bytes;
    bool closed;
    struct queue_slot slots[];
};

void bdr_cond_wait_slice(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    struct timespec ts;

    /* Not the wall clock: set back by an hour, it would make this wait an hour. */
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_nsec += 50 * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &ts);
}

struct bdr_err *bdr_queue_new(size_t max_items, uint64_t max_bytes, struct bdr_queue **out)
{
    struct bdr_queue *q = calloc(1, sizeof(*q) + max_items * sizeof(q->slots[0]));

    BDR_NOMEM_IF_NULL(q);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->room, NULL);
    pthread_cond_init(&q->some, NULL);
    q->max_items = max_items;
    q->max_bytes = max_bytes;
    *out = q;
    return NULL;
}

void bdr_queue_free(struct bdr_queue *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->some);
    pthread_cond_destroy(&q->room);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

struct bdr_err *bdr_queue_put(struct bdr_queue *q, const struct bdr_cancel *cancel, void *item, uint64_t bytes)
{
    bool closed, cancelled = false;

    pthread_mutex_lock(&q->lock);
    while (!q->closed && (q->count == q->max_items || (q->count && q->bytes + bytes > q->max_bytes)) &&
           !(cancelled = bdr_cancelled(cancel)))
        bdr_cond_wait_slice(&q->room, &q->lock);
    closed = q->closed;
    if (!closed && !cancelled) {
        q->slots[(q->head + q->count) % q->max_items] = (struct queue_slot){item, bytes};
        q->count++;
        q->bytes += bytes;
        pthread_cond_signal(&q->some);
    }
    pthread_mutex_unlock(&q->lock);
    if (cancelled)
        return bdr_cancel_check(cancel);
    if (closed)
        BDR_FAIL(BDR_FENCED, 0, "the queue is closed");
    return NULL;
}

static void *queue_take(struct bdr_queue *q)
{
    struct queue_slot s = q->slots[q->head];

    q->head = (q->head + 1) % q->max_items;
    q->count--;
    q->bytes -= s.bytes;
    pthread_cond_broadcast(&q->room);
    return s.item;
}

struct bdr_err *bdr_queue_get(struct bdr_queue *q, const struct bdr_cancel *cancel, void **out)
{
    bool cancelled = false;

    pthread_mutex_lock(&q->lock);
    while (!q->count && !q->closed && !(cancelled = bdr_cancelled(cancel)))
        bdr_cond_wait_slice(&q->some, &q->lock);
    if (!cancelled)
        *out = q->count ? queue_take(q) : NULL;
    pthread_mutex_unlock(&q->lock);
    return cancelled ? bdr_cancel_check(cancel) : NULL;
}

void *bdr_queue_poll(struct bdr_queue *q)
{
    void *item;

    pthread_mutex_lock(&q->lock);
    item = q->count ? queue_take(q) : NULL;
    pthread_mutex_unlock(&q->lock);
    return item;
}

void bdr_queue_close(struct bdr_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->room);
    pthread_cond_broadcast(&q->some);
    pthread_mutex_unlock(&q->lock);
}
