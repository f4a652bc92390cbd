/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads for handlers. Not base/queue: its waits wake 20 times a second, and there are many idle threads here.
 *
 * A client (a machine by its certificate, anybody else by the address) may have three quarters of the threads and of
 * the places in the queue, so that one alone never has all; and who has the fewest threads gets the next one. When
 * several together hold them all, and their requests wait for them rather than for us, http_work_greedy says whose.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/pool.h"
#include "http_i.h"
#include <string.h>

#define WORK_PATIENCE_MS 2000u /* somebody waits in vain */
#define WORK_TURN_MS     5000u /* a request may run before it is in anybody's way */

struct http_slot {
    struct bdr_req *req; /* borrowed from the thread that runs it; NULL: none */
    uint64_t since_ms;
};

struct http_work {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t some;
    struct bdr_req *head, *tail;
    unsigned waiting, max_waiting, idle;
    bool stopping;
    void (*run)(struct bdr_req *req);
    unsigned threads, share; /* share: of the threads, that one client may have */
    struct http_slot *slots; /* owned; one a thread */
    unsigned next_slot;
    struct bdr_pool *pools[]; /* owned; one thread each, so that a failed start can end those before it */
};

/* FNV-1a; two clients in one number share a share. */
static uint32_t work_client(const struct bdr_req *req)
{
    const char *who = req->has_peer && req->peer.machine[0] ? req->peer.machine : req->remote;
    uint32_t h = 2166136261u;

    for (const char *p = who; *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    return h;
}

static unsigned work_runs(const struct http_work *w, uint32_t client)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->threads; i++)
        n += w->slots[i].req && w->slots[i].req->client == client;
    return n;
}

/* Takes off the queue what runs next: of the client with the fewest threads, the first that came. NULL: nothing may. */
static struct bdr_req *work_next(struct http_work *w)
{
    struct bdr_req *best = NULL, *before = NULL, *last = NULL;
    unsigned least = w->share;

    for (struct bdr_req *r = w->head; r && (least || !best); last = r, r = r->next_job) {
        unsigned n = w->share < w->threads ? work_runs(w, r->client) : 0;

        if (n < least || (!best && w->stopping)) {
            best = r;
            before = last;
            least = n;
        }
    }
    if (!best)
        return NULL;
    *(before ? &before->next_job : &w->head) = best->next_job;
    if (w->tail == best)
        w->tail = before;
    w->waiting--;
    return best;
}

static struct bdr_req *work_take(struct http_work *w, struct http_slot *slot)
{
    struct bdr_req *req;

    pthread_mutex_lock(&w->lock);
    slot->req = NULL;
    w->idle++;
    while (!(req = work_next(w)) && !w->stopping)
        pthread_cond_wait(&w->some, &w->lock);
    w->idle--;
    *slot = (struct http_slot){req, bdr_clock_mono_ms()};
    pthread_mutex_unlock(&w->lock);
    return req;
}

static struct bdr_err *work_main(void *ctx, unsigned index)
{
    struct http_work *w = ctx;
    struct http_slot *slot;
    struct bdr_req *req;

    (void)index;
    pthread_mutex_lock(&w->lock);
    slot = &w->slots[w->next_slot++];
    pthread_mutex_unlock(&w->lock);
    while ((req = work_take(w, slot)) != NULL) {
        w->run(req);
        pthread_mutex_lock(&w->lock);
        slot->req = NULL; /* before it may be freed */
        pthread_mutex_unlock(&w->lock);
        http_req_unref(req);
    }
    return NULL;
}

struct bdr_err *http_work_start(const char *name, unsigned threads, unsigned max_waiting, bool shared,
                                void (*run)(struct bdr_req *req), struct http_work **out)
{
    struct http_work *w = calloc(1, sizeof(*w) + threads * sizeof(w->pools[0]));

    BDR_NOMEM_IF_NULL(w);
    w->slots = calloc(threads, sizeof(*w->slots));
    if (!w->slots) {
        free(w);
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    w->share = shared ? threads - threads / 4 : threads;
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

static unsigned work_waits(const struct http_work *w, uint32_t client)
{
    unsigned n = 0;

    for (const struct bdr_req *r = w->head; r; r = r->next_job)
        n += r->client == client;
    return n;
}

bool http_work_push(struct http_work *w, struct bdr_req *req)
{
    bool room;

    req->client = work_client(req);
    pthread_mutex_lock(&w->lock);
    room = !w->stopping && (w->waiting < w->max_waiting || w->idle > w->waiting);
    if (room && w->share < w->threads && w->waiting >= w->max_waiting / 2)
        room = work_waits(w, req->client) < w->max_waiting - w->max_waiting / 4;
    req->queued_ms = bdr_clock_mono_ms();
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

/* Who waits in vain, and has two fewer than `most`? Under w->lock. */
static bool work_starves(const struct http_work *w, unsigned most, uint64_t now_ms)
{
    for (const struct bdr_req *r = w->head; r; r = r->next_job)
        if (r->queued_ms + WORK_PATIENCE_MS <= now_ms && work_runs(w, r->client) + 2 <= most)
            return true;
    return false;
}

size_t http_work_greedy(struct http_work *w, uint64_t now_ms, struct bdr_req **out, size_t cap)
{
    unsigned most = 0;
    uint32_t who = 0;
    size_t n = 0;

    pthread_mutex_lock(&w->lock);
    if (!w->idle && w->head && w->share < w->threads) {
        for (unsigned i = 0; i < w->threads; i++) {
            unsigned runs = w->slots[i].req ? work_runs(w, w->slots[i].req->client) : 0;

            if (runs > most) {
                most = runs;
                who = w->slots[i].req->client;
            }
        }
        if (work_starves(w, most, now_ms))
            for (unsigned i = 0; i < w->threads && n < cap; i++)
                if (w->slots[i].req && w->slots[i].req->client == who &&
                    w->slots[i].since_ms + WORK_TURN_MS <= now_ms) {
                    http_req_ref(w->slots[i].req);
                    out[n++] = w->slots[i].req;
                }
    }
    pthread_mutex_unlock(&w->lock);
    return n;
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
    free(w->slots);
    free(w);
}
