/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cancel.h - a token that says "stop what you are doing".
 *
 * Threads: all calls from any thread; bdr_cancel_set also from a signal handler.
 */
#pragma once
#include "bdr/err.h"
#include <stdatomic.h>

struct bdr_cancel {
    atomic_int set;
};

BDR_UNUSED static inline void bdr_cancel_set(struct bdr_cancel *c)
{
    atomic_store(&c->set, 1);
}
/* NULL is a token nobody sets. */
BDR_UNUSED static inline bool bdr_cancelled(const struct bdr_cancel *c)
{
    return c && atomic_load(&((struct bdr_cancel *)(uintptr_t)c)->set);
}
/* CANCELLED when set. */
bdr_ret bdr_cancel_check(const struct bdr_cancel *c);
/* Sleeps `ms` milliseconds; CANCELLED at once (within 20 ms) when the token is set. */
bdr_ret bdr_cancel_sleep(const struct bdr_cancel *c, uint64_t ms);
