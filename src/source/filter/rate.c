/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate.c - holds reads to so many bytes and calls a second.
 *
 * Each bucket is kept as one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T
 * I.371): a read may start when that is at most a burst away, and moves it on by its own cost. So readers queue
 * in order, a read larger than the bucket passes and is paid for by the next, and an idle time saves up one burst.
 */
#include "bdr/clock.h"
#include "filter.h"
#include <pthread.h>

#define RATE_BURST_NS 100000000u /* 100 ms: smooth for a graph by the second, still large reads in one piece */

struct rate_bucket {
    uint64_t per_s; /* 0: no limit */
    uint64_t full_ns;
};

struct rate_src {
    struct filter_src filter;
    const struct bdr_cancel *cancel;
    pthread_mutex_t lock; /* guards the buckets' full_ns */
    struct rate_bucket bytes, reads;
};

/* Takes `amount`; how long the taker has to wait before it may use it. */
static uint64_t rate_take(struct rate_bucket *b, uint64_t now_ns, uint64_t amount)
{
    uint64_t start;

    if (!b->per_s)
        return 0;
    start = BDR_MAX(b->full_ns, now_ns);
    b->full_ns = start + (uint64_t)((double)amount / (double)b->per_s * 1e9);
    return start > now_ns + RATE_BURST_NS ? start - now_ns - RATE_BURST_NS : 0;
}

static struct bdr_err *rate_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct rate_src *r = (struct rate_src *)src;
    uint64_t now = bdr_clock_mono_ns(), by_bytes, by_reads;

    pthread_mutex_lock(&r->lock);
    by_bytes = rate_take(&r->bytes, now, len);
    by_reads = rate_take(&r->reads, now, 1);
    pthread_mutex_unlock(&r->lock);
    BDR_TRY(bdr_cancel_sleep(r->cancel, (BDR_MAX(by_bytes, by_reads) + 999999) / 1000000));
    return filter_read(src, off, buf, len);
}

static void rate_close(struct bdr_source *src)
{
    pthread_mutex_destroy(&((struct rate_src *)src)->lock);
    filter_close(src);
}

static const struct bdr_source_driver rate_driver = {
    .name = "rate",
    .title = "Limits the rate",
    .info = filter_info,
    .extents = filter_extents,
    .read = rate_read,
    .token = filter_token,
    .since = filter_since,
    .touched = filter_touched,
    .check = filter_check,
    .committed = filter_committed,
    .close = rate_close,
};

struct bdr_err *bdr_source_wrap_rate(struct bdr_source **src, uint64_t bytes_per_s, uint64_t reads_per_s,
                                     const struct bdr_cancel *cancel)
{
    struct rate_src *r = calloc(1, sizeof(*r));

    BDR_NOMEM_IF_NULL(r);
    r->cancel = cancel;
    r->bytes.per_s = bytes_per_s;
    r->reads.per_s = reads_per_s;
    pthread_mutex_init(&r->lock, NULL);
    return filter_wrap(src, &r->filter, &rate_driver);
}
