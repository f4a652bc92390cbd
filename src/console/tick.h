/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tick.h - what happens by itself: rows of work, each every so often, one after the other on a thread for each table.
 *
 * A row's function does a bounded piece of work and returns; its error is logged and the next time tries again. Several
 * consoles on one database run the same rows: each must be right when another one did it a moment ago.
 */
#pragma once
#include "console.h"

struct bdr_tick {
    const char *name;
    uint32_t every_ms;
    struct bdr_err *(*run)(struct bdr_console *c, int64_t now_ms);
};
/* End with name NULL. Those of the second wait for others, within deadlines, and end when c->ticks_stop is set. */
extern const struct bdr_tick bdr_ticks[], bdr_ticks_waiting[];

struct bdr_ticker;
bdr_ret bdr_ticker_start(struct bdr_console *c, struct bdr_ticker **out);
/* Waits for the piece of work that runs. NULL is fine. */
void bdr_ticker_stop(struct bdr_ticker *t);
/* Each row once, now: for tests, which have no ticker. */
bdr_ret bdr_tick_all(struct bdr_console *c, int64_t now_ms);
