/* SPDX-License-Identifier: Apache-2.0 */
/* pace.h - so many bytes a second, shared by all who take from it. Threads: any. */
#pragma once
#include "bdr/cancel.h"
#include <pthread.h>

struct bdr_pace {
    pthread_mutex_t lock; /* guards next_ns */
    uint64_t next_ns;     /* when the next byte may go */
};
void bdr_pace_init(struct bdr_pace *p);
void bdr_pace_done(struct bdr_pace *p);
/* Waits until `bytes` may go at `bps` bytes a second; 0: unlimited, at once. Take small pieces: what changes the rate
 * is felt after the pieces taken before. CANCELLED. */
bdr_ret bdr_pace_take(struct bdr_pace *p, uint64_t bps, uint64_t bytes, const struct bdr_cancel *cancel);
