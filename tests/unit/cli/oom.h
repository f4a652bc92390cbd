/* SPDX-License-Identifier: Apache-2.0 */
/* oom.h - the n-th allocation fails. Link with -Wl,--wrap for malloc, calloc, realloc, reallocarray, strdup. */
#pragma once
#include <stdbool.h>

/* The n-th allocation from now fails (1 is the next); 0: none. */
void oom_arm(unsigned n);
/* Disarms; true when an allocation did fail. */
bool oom_disarm(void);
