/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - the only place threads come from, besides main.
 *
 * A pool runs the same function on n threads; the first error sets the pool's cancel token (so the
 * others stop) and is what join returns. Threads: start and join from one thread.
 */
#pragma once
#include "bdr/cancel.h"

struct bdr_pool;
/* `fn(ctx, index)` on n threads named name. `cancel` is set on the first failure. */
bdr_ret bdr_pool_start(const char *name, unsigned n, struct bdr_err *(*fn)(void *ctx, unsigned index), void *ctx,
                       struct bdr_cancel *cancel, struct bdr_pool **out);
/* Waits for all threads; frees the pool; the first error, or NULL. NULL pool is fine. */
bdr_ret bdr_pool_join(struct bdr_pool *pool);
/* CPUs this process may use, at least 1. */
unsigned bdr_cpu_count(void);
