/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - what the console does by itself: the rows of tick.c that live in this folder.
 *
 * Each is right when several consoles on one database run it at once: a run of a host, a look at its RPO, a sweep of
 * alarms, a delivery happens once. Threads: the ticker's, or a test's.
 * Source:  docs/console/scheduling.md, alarms.md, notifications.md
 */
#pragma once
#include "console.h"

/* Jobs for hosts whose policy wants a run, their next times, and who begins and ends to be protected. */
bdr_ret bdr_watch_plan(struct bdr_console *c, int64_t now_ms);
bdr_ret bdr_watch_schedule(struct bdr_console *c, int64_t now_ms);
/* Jobs that keep repositories small and whole. */
bdr_ret bdr_watch_care(struct bdr_console *c, int64_t now_ms);
/* {"rules":[...],"keep":["POINT"]} as things stand; *out (caller frees) NULL when policies keep everything. Hosts that no
 * rule names are kept. */
bdr_ret bdr_watch_prune_params(struct bdr_tx *tx, int64_t repository_id, char **out);
/* Jobs that ended: the feed, the work of the hour, what their results say. */
bdr_ret bdr_watch_ended(struct bdr_console *c, int64_t now_ms);
/* What raises and clears alarms. */
bdr_ret bdr_watch_conditions(struct bdr_console *c, int64_t now_ms);
/* The same for what changes slowly. */
bdr_ret bdr_watch_slow_conditions(struct bdr_console *c, int64_t now_ms);
/* RPO and space, measured. */
bdr_ret bdr_watch_series(struct bdr_console *c, int64_t now_ms);
bdr_ret bdr_watch_thin(struct bdr_console *c, int64_t now_ms);
/* Notifications, sent: a lane of its own, it waits for others. */
bdr_ret bdr_watch_deliver(struct bdr_console *c, int64_t now_ms);

/* *out: it is ours to do this time; of all consoles one in `every_ms`. */
bdr_ret bdr_watch_claim(struct bdr_console *c, const char *name, int64_t every_ms, int64_t now_ms, bool *out);

/* Growth of a series of (at, used): least squares, bytes a day. False with less than a day of it. */
struct bdr_space_at {
    int64_t at_ms, used_bytes;
};
bool bdr_space_trend(const struct bdr_space_at *p, size_t n, double *out_bytes_a_day);
/* How often a host with this promise is looked at: an eighth of it, in whole minutes from 1 to 60. */
int64_t bdr_rpo_look_ms(int64_t rpo_ms);
/* Is `bytes` unusual after `n` runs of `before`? *out_usual: their median. */
bool bdr_change_unusual(const int64_t *before, size_t n, int64_t bytes, int64_t *out_usual);
