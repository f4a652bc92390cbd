/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h - the meter: how much is done, how fast, how long it will take.
 *
 * On a terminal one line is redrawn at most five times a second; elsewhere a line is written now and then.
 * Everything goes to stderr. Rendering is pure: state, time and width in, text out.
 * Depends on: base.      Threads: set, add and phase from any; start and stop from one.
 */
#pragma once
#include "bdr/bytes.h"
#include "bdr/cancel.h"

struct bdr_progress_counts {
    uint64_t done_bytes, total_bytes; /* total 0: not known */
    uint64_t new_bytes, stored_bytes; /* 0: not shown */
    uint64_t files;                   /* 0: not shown */
    uint64_t pass;                    /* done_bytes begins anew with each; 0: the first, not shown */
};

/* Pure part. */
struct bdr_progress_state {
    const char *phase; /* borrowed; NULL: none */
    struct bdr_progress_counts counts;
    uint64_t start_ms, tick_ms, tick_bytes;
    double rate_weight; /* 0..1: how much of the average is real, while it is young */
    double rate;        /* bytes a second, times rate_weight */
};
void bdr_progress_begin(struct bdr_progress_state *s, uint64_t now_ms);
/* Takes new counts at `now_ms`; the rate is an exponential average over about 5 s. */
void bdr_progress_tick(struct bdr_progress_state *s, const struct bdr_progress_counts *counts, uint64_t now_ms);
/* Bytes a second; 0 while nothing is known. */
double bdr_progress_rate(const struct bdr_progress_state *s);
/* Seconds to go; -1 when not known. */
int64_t bdr_progress_eta_s(const struct bdr_progress_state *s);
/* One line without newline that fits `width` columns (0: unlimited); parts that don't fit are left out. */
void bdr_progress_bar(const struct bdr_progress_state *s, uint64_t now_ms, unsigned width, struct bdr_buf *out);
/* The same as a plain sentence for a log, with newline. */
void bdr_progress_plain(const struct bdr_progress_state *s, uint64_t now_ms, struct bdr_buf *out);
/* {"event":"progress",...} with newline. */
void bdr_progress_json(const struct bdr_progress_state *s, uint64_t now_ms, struct bdr_buf *out);
/* "12 GiB in 1m04s (196 MiB/s), 1.2 GiB new, 600 MiB stored" - the last line of a command. */
void bdr_progress_summary(const struct bdr_progress_counts *counts, uint64_t elapsed_ms, struct bdr_buf *out);

/* The live meter. */
enum bdr_progress_mode { BDR_PROGRESS_NONE, BDR_PROGRESS_TTY, BDR_PROGRESS_LINES, BDR_PROGRESS_JSON };
/* Where counts come from when nobody pushes them; called from the meter's thread. */
struct bdr_progress_source {
    void (*sample)(void *ctx, struct bdr_progress_counts *out);
    void *ctx;
};
struct bdr_progress_how {
    enum bdr_progress_mode mode;
    int fd;                            /* borrowed; stderr */
    unsigned width;                    /* 0: ask the terminal each time */
    uint64_t every_ms;                 /* LINES and JSON; TTY is 200 */
    struct bdr_progress_source source; /* .sample NULL: none */
};
struct bdr_progress;
/* *out is NULL in mode NONE; every call below takes that. */
bdr_ret bdr_progress_start(const struct bdr_progress_how *how, struct bdr_progress **out);
/* Takes the line away (TTY) or writes the last one, stops the thread, frees. */
void bdr_progress_stop(struct bdr_progress *p);
/* `name` (borrowed, until the next phase or stop) is what is going on; the rate begins anew, counts stay. */
void bdr_progress_phase(struct bdr_progress *p, const char *name);
void bdr_progress_set(struct bdr_progress *p, const struct bdr_progress_counts *counts);
/* Adds each member. */
void bdr_progress_add(struct bdr_progress *p, const struct bdr_progress_counts *more);
/*
 * Between these the meter's line is off the screen and nobody else writes: write your own, briefly. Calls nest.
 * Log lines and everything of out.h do it by themselves.
 */
void bdr_screen_begin(void);
void bdr_screen_end(void);
BDR_AUTO_DEFINE(progress, struct bdr_progress *, bdr_progress_stop)
