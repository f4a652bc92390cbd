/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/pace.h"
#include "bdr/clock.h"

#define PACE_BURST_NS 50000000u /* what was not used so long ago may still be used */

void bdr_pace_init(struct bdr_pace *p)
{
    pthread_mutex_init(&p->lock, NULL);
    p->next_ns = 0;
}

void bdr_pace_done(struct bdr_pace *p)
{
    pthread_mutex_destroy(&p->lock);
}

struct bdr_err *bdr_pace_take(struct bdr_pace *p, uint64_t bps, uint64_t bytes, const struct bdr_cancel *cancel)
{
    uint64_t now, at;

    if (!bps || !bytes)
        return NULL;
    now = bdr_clock_mono_ns();
    pthread_mutex_lock(&p->lock);
    at = BDR_MAX(p->next_ns, now - BDR_MIN(now, (uint64_t)PACE_BURST_NS));
    p->next_ns = at + (uint64_t)((double)bytes * 1e9 / (double)bps);
    pthread_mutex_unlock(&p->lock);
    return at > now ? bdr_cancel_sleep(cancel, (at - now) / 1000000) : NULL;
}
