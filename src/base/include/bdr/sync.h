/* SPDX-License-Identifier: Apache-2.0 */
/* sync.h - mutex and condition with the waits we allow (deadline and cancel). Threads: any. */
#pragma once
#include "bdr/cancel.h"
#include <pthread.h>

/* Waits on `cond` for at most 50 ms: callers loop on their condition and look at cancel between. */
void bdr_cond_wait_slice(pthread_cond_t *cond, pthread_mutex_t *lock);
