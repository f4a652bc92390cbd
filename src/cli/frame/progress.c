/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/progress.h"
#include "bdr/clock.h"
#include "bdr/pool.h"
#include "bdr/sync.h"
#include <stdio.h>
#include <sys/ioctl.h>

#define TTY_EVERY_MS 200 /* five times a second is as fast as an eye reads */

/*
 * Locks, in the order they are taken: screen_lock (who writes on the terminal, and screen_meter; writing under
 * it is its purpose), then lock (counters and state).
 */
struct bdr_progress {
    struct bdr_progress_how how;
    struct bdr_pool *pool;
    struct bdr_cancel stop;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct bdr_progress_counts counts; /* guarded by lock */
    struct bdr_progress_state state;   /* guarded by lock */
    bool drawn;                        /* guarded by screen_lock: a line is on the terminal */
};

static pthread_mutex_t screen_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct bdr_progress *screen_meter; /* guarded by screen_lock */
static unsigned screen_depth;             /* guarded by screen_lock */

static void meter_write(const struct bdr_progress *p, const struct bdr_buf *text)
{
    if (!text->failed && text->len && write(p->how.fd, text->data, text->len) < 0)
        return; /* nowhere to tell; the work goes on */
}

static unsigned meter_width(const struct bdr_progress *p)
{
    struct winsize size;

    if (p->how.width)
        return p->how.width;
    return !ioctl(p->how.fd, TIOCGWINSZ, &size) && size.ws_col > 1 ? size.ws_col : 80;
}

/* Takes the newest counts. */
static struct bdr_progress_state meter_tick(struct bdr_progress *p, uint64_t now_ms)
{
    struct bdr_progress_counts sampled;
    struct bdr_progress_state s;

    if (p->how.source.sample) {
        sampled = (struct bdr_progress_counts){0};
        p->how.source.sample(p->how.source.ctx, &sampled);
        bdr_progress_set(p, &sampled);
    }
    pthread_mutex_lock(&p->lock);
    bdr_progress_tick(&p->state, &p->counts, now_ms);
    s = p->state;
    pthread_mutex_unlock(&p->lock);
    return s;
}

static void meter_draw(struct bdr_progress *p)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    uint64_t now = bdr_clock_mono_ms();
    struct bdr_progress_state s = meter_tick(p, now);

    pthread_mutex_lock(&screen_lock);
    if (p->how.mode == BDR_PROGRESS_TTY) {
        /* The last column stays free: a character there makes some terminals wrap. */
        bdr_buf_printf(&text, "\r");
        bdr_progress_bar(&s, now, meter_width(p) - 1, &text);
        bdr_buf_printf(&text, "\x1b[K");
        p->drawn = true;
    } else if (p->how.mode == BDR_PROGRESS_LINES) {
        bdr_progress_plain(&s, now, &text);
    } else {
        bdr_progress_json(&s, now, &text);
    }
    meter_write(p, &text);
    pthread_mutex_unlock(&screen_lock);
}

/* Needs screen_lock. */
static void meter_erase(struct bdr_progress *p)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};

    if (!p->drawn)
        return;
    bdr_buf_printf(&text, "\r\x1b[K");
    meter_write(p, &text);
    p->drawn = false;
}

void bdr_screen_begin(void)
{
    pthread_mutex_lock(&screen_lock);
    if (!screen_depth++ && screen_meter)
        meter_erase(screen_meter);
}

/* The meter's thread draws again within 200 ms. */
void bdr_screen_end(void)
{
    screen_depth--;
    pthread_mutex_unlock(&screen_lock);
}

static struct bdr_err *meter_run(void *ctx, unsigned index)
{
    struct bdr_progress *p = ctx;
    uint64_t every = p->how.mode == BDR_PROGRESS_TTY ? TTY_EVERY_MS : p->how.every_ms;
    uint64_t due = bdr_clock_mono_ms() + every;

    (void)index;
    while (!bdr_cancelled(&p->stop)) {
        uint64_t now;

        pthread_mutex_lock(&p->lock);
        if (!bdr_cancelled(&p->stop))
            bdr_cond_wait_slice(&p->wake, &p->lock);
        pthread_mutex_unlock(&p->lock);
        now = bdr_clock_mono_ms();
        if (now < due || bdr_cancelled(&p->stop))
            continue;
        meter_draw(p);
        due = now + every;
    }
    return NULL;
}

static void meter_free(struct bdr_progress *p)
{
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p);
}

struct bdr_err *bdr_progress_start(const struct bdr_progress_how *how, struct bdr_progress **out)
{
    struct bdr_progress *p;
    struct bdr_err *err;

    if (how->mode == BDR_PROGRESS_NONE) {
        *out = NULL;
        return NULL;
    }
    p = calloc(1, sizeof(*p));
    BDR_NOMEM_IF_NULL(p);
    p->how = *how;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    bdr_progress_begin(&p->state, bdr_clock_mono_ms());
    err = bdr_pool_start("bdr-progress", 1, meter_run, p, &p->stop, &p->pool);
    if (err) {
        meter_free(p);
        return err;
    }
    pthread_mutex_lock(&screen_lock);
    BDR_ASSERT(!screen_meter); /* one terminal, one meter */
    screen_meter = p;
    pthread_mutex_unlock(&screen_lock);
    *out = p;
    return NULL;
}

void bdr_progress_stop(struct bdr_progress *p)
{
    if (!p)
        return;
    bdr_cancel_set(&p->stop);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    bdr_err_drop(bdr_pool_join(p->pool), "the meter's thread has no errors of its own");
    pthread_mutex_lock(&screen_lock);
    meter_erase(p);
    screen_meter = NULL;
    pthread_mutex_unlock(&screen_lock);
    if (p->how.mode != BDR_PROGRESS_TTY)
        meter_draw(p);
    meter_free(p);
}

void bdr_progress_phase(struct bdr_progress *p, const char *name)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->state.phase = name;
    p->state.rate = p->state.rate_weight = 0;
    p->state.tick_ms = bdr_clock_mono_ms();
    p->state.tick_bytes = p->counts.done_bytes;
    pthread_mutex_unlock(&p->lock);
}

void bdr_progress_set(struct bdr_progress *p, const struct bdr_progress_counts *counts)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->counts = *counts;
    pthread_mutex_unlock(&p->lock);
}

void bdr_progress_add(struct bdr_progress *p, const struct bdr_progress_counts *more)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->counts.done_bytes += more->done_bytes;
    p->counts.total_bytes += more->total_bytes;
    p->counts.new_bytes += more->new_bytes;
    p->counts.stored_bytes += more->stored_bytes;
    p->counts.files += more->files;
    pthread_mutex_unlock(&p->lock);
}
