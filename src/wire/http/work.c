/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads for handlers. Not base/queue: its waits wake 20 times a second, and there are many idle threads here.
 */
#include "bdr/pool.h"
#include "http_i.h"
#include <time.h>

struct http_work {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t some;
    struct bdr_req *head, *tail;
    unsigned waiting, max_waiting, idle;
    bool stopping;
    void (*run)(struct bdr_req *req);
    unsigned threads;
    struct bdr_pool *pools[]; /* owned; one thread each, so that a failed start can end those before it */
};

static struct bdr_req *work_take(struct http_work *w)
{
    struct bdr_req *req;

    pthread_mutex_lock(&w->lock);
    w->idle++;
    while (!w->head && !w->stopping)
        pthread_cond_wait(&w->some, &w->lock);
    w->idle--;
    req = w->head;
    if (req) {
        w->head = req->next_job;
        if (!w->head)
            w->tail = NULL;
        w->waiting--;
    }
    pthread_mutex_unlock(&w->lock);
    return req;
}

static struct bdr_err *work_main(void *ctx, unsigned index)
{
    struct http_work *w = ctx;
    struct bdr_req *req;

    (void)index;
    while ((req = work_take(w)) != NULL) {
        w->run(req);
        http_req_unref(req);
    }
    return NULL;
}

struct bdr_err *http_work_start(const char *name, unsigned threads, unsigned max_waiting,
                                void (*run)(struct bdr_req *req), struct http_work **out)
{
    struct http_work *w = calloc(1, sizeof(*w) + threads * sizeof(w->pools[0]));

    BDR_NOMEM_IF_NULL(w);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->some, NULL);
    w->run = run;
    w->max_waiting = max_waiting;
    for (; w->threads < threads; w->threads++) {
        struct bdr_err *err = bdr_pool_start(name, 1, work_main, w, NULL, &w->pools[w->threads]);

        if (err) {
            http_work_stop(w);
            return err;
        }
    }
    *out = w;
    return NULL;
}

bool http_work_push(struct http_work *w, struct bdr_req *req)
{
    bool room;

    pthread_mutex_lock(&w->lock);
    room = !w->stopping && (w->waiting < w->max_waiting || w->idle > w->waiting);
    if (room) {
        http_req_ref(req);
        req->next_job = NULL;
        if (w->tail)
            w->tail->next_job = req;
        else
            w->head = req;
        w->tail = req;
        w->waiting++;
        pthread_cond_signal(&w->some);
    }
    pthread_mutex_unlock(&w->lock);
    return room;
}

void http_work_stop(struct http_work *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->some);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->threads; i++)
        bdr_err_drop(bdr_pool_join(w->pools[i]), "workers return no errors");
    pthread_cond_destroy(&w->some);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
