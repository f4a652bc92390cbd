/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - how a point of a running Linux host is made: options of the moment that the `live` source driver shares.
 *
 * Depends on: source.      Threads: one at a time.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/moment.h"

struct bdr_live_options {
    uint32_t freeze_ms;      /* budget of the window; a watchdog thaws at its end whatever happens. 0: 500 */
    uint32_t freezes_max;    /* attempts before settling for less. 0: 3 */
    uint32_t passes_max;     /* over what changed. 0: 16 */
    uint64_t capture_bytes;  /* locked memory for what is read in the window. 0: 256 MiB */
    const char *pre_freeze, *post_freeze; /* programs, run around each attempt as script.h says; NULL: none */
    uint32_t script_ms;      /* each; 0: 60000 */
    bool throttle;           /* writers may be slowed down when the load does not converge */
    bool no_freeze;          /* never stop a file system; the point is labelled accordingly */
    bool no_track;           /* do not start tracking: read everything */
    bool keep_swap;          /* copy swap areas too */
    const struct bdr_cancel *cancel;
};
/* Strings are copied. Errors: those of bdr_script_check. */
bdr_ret bdr_live_moment_open(const struct bdr_live_options *opt, struct bdr_moment **out);
/* Whole disks of this machine that hold something mounted or look like fixed disks, for `live:all`; paths, owned. */
bdr_ret bdr_live_disks(char ***out, size_t *out_n);
