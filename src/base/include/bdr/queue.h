/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - a first-in first-out of pointers between threads, bounded in items and in bytes.
 *
 * An item larger than the byte bound passes alone. Closing lets takers drain what is there.
 * Threads: all calls from any thread. Every wait ends when `cancel` is set.
 */
#pragma once
#include "bdr/cancel.h"

struct bdr_queue;
bdr_ret bdr_queue_new(size_t max_items, uint64_t max_bytes, struct bdr_queue **out);
/* Frees the queue; items still in it are the caller's business (drain first). */
void bdr_queue_free(struct bdr_queue *q);
/* Waits for room. CANCELLED; FENCED when the queue is closed. The item stays the caller's on failure. */
bdr_ret bdr_queue_put(struct bdr_queue *q, const struct bdr_cancel *cancel, void *item, uint64_t bytes);
/* Waits for an item; *out is NULL when the queue is closed and empty. CANCELLED. */
bdr_ret bdr_queue_get(struct bdr_queue *q, const struct bdr_cancel *cancel, void **out);
/* An item if there is one now, else NULL. */
void *bdr_queue_poll(struct bdr_queue *q);
void bdr_queue_close(struct bdr_queue *q);

BDR_AUTO_DEFINE(queue, struct bdr_queue *, bdr_queue_free)
