/* SPDX-License-Identifier: Apache-2.0 */
/*
 * predict.h - another pass, or freeze now? And what the result may be called. Pure: figures in, advice out.
 *
 * Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct live_outlook {
    uint64_t dirty_bytes;   /* to be read in the window if it began now */
    uint64_t capture_bytes; /* memory for that */
    double write_rate;      /* at which dirty_bytes grow, bytes a second */
    double read_rate;       /* of a pass */
    double capture_rate;    /* of reads in the window */
    uint32_t freeze_ms;     /* what freezing and thawing take by themselves */
    uint32_t budget_ms;
    uint32_t overhead_ms; /* of a pass, however little there is to read */
    uint32_t passes, passes_max;
};
enum live_advice {
    LIVE_PASS,     /* another one makes the window shorter */
    LIVE_FREEZE,   /* it fits, and does not get better */
    LIVE_HOPELESS, /* it does not fit, and does not get better */
};
enum live_advice live_advise(const struct live_outlook *o);
/* What a window that begins now would take. */
uint32_t live_window_ms(const struct live_outlook *o);

/* What is known of a point when it is labelled. */
struct live_facts {
    bool one_moment; /* all of it was on the disks at one time */
    bool frozen;     /* its file systems stood still then, or were synced and proved to be unchanged */
    bool raw;        /* some of it is written by programs without a file system */
    bool prepared;   /* the pre-freeze program said yes */
};
const char *live_label(const struct live_facts *f);
