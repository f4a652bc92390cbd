/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that is given out piece by piece and freed at once, with what hangs on it.
 *
 * A request has one: everything decoded or made for it lives exactly as long as the request. All bytes are wiped
 * before they are freed, because passwords pass through here.
 * Depends on: base.      Threads: one at a time.
 */
#pragma once
#include "bdr/err.h"

struct bdr_arena;
bdr_ret bdr_arena_new(struct bdr_arena **out);
/* Runs what was deferred, last first; wipes and frees all. NULL is fine. */
void bdr_arena_free(struct bdr_arena *a);
/* `n` zeroed bytes, aligned for anything; NULL when memory is short. */
void *bdr_arena_alloc(struct bdr_arena *a, size_t n);
/* `len` bytes of `text` with a NUL behind; NULL when memory is short. */
char *bdr_arena_text(struct bdr_arena *a, const char *text, size_t len);
/* Formatted text; NULL when memory is short. */
char *bdr_arena_printf(struct bdr_arena *a, const char *fmt, ...) BDR_PRINTF(2, 3);
/* `fn(p)` when the arena is freed; at once when this fails. */
bdr_ret bdr_arena_defer(struct bdr_arena *a, void (*fn)(void *p), void *p);

BDR_AUTO_DEFINE(arena, struct bdr_arena *, bdr_arena_free)
