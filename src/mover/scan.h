/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - the scan cache of one disk: which content had which id, by keyed fingerprints. Private to the mover.
 *
 * Lifecycle: open -> (hand_new -> (run -> (same | note)* -> run_end)* -> hand_free)* -> commit? -> free.
 * A cache is never worth an error of a backup: what goes wrong with it makes it know nothing, or not be written.
 * Two blocks that differ have one fingerprint with a chance of at most 2^-109, whoever chose them: GMAC under a random
 * key of this file that nobody is told.
 * Threads: a hand belongs to one; distrust from any; the rest from one.
 * Source:  docs/formats/scan-cache.md
 */
#pragma once
#include "bdr/repo.h"

#define SCAN_RUN_MAX 64 /* blocks of a run */

struct scan;
struct scan_hand;
struct scan_what {
    const char *dir;                     /* folder of the caches; made when it is missing */
    const char *place, *host, *identity; /* repository, host, disk */
    uint32_t block_bytes;
    uint64_t blocks;
    bool believe; /* use what is there; else all is found out anew */
};

/* What is there is opened, a new file is begun beside it. NOMEM; DENIED, NOSPACE, IO: the folder can't be written. */
bdr_ret scan_open(const struct scan_what *what, struct scan **out);
/* The new file takes the old one's place. Old and new are gone when something was distrusted or not written. */
void scan_commit(struct scan *s);
/* What was not committed is forgotten. */
void scan_free(struct scan *s);
/* It told an untruth: it is removed, and nothing in it counts any more. */
void scan_distrust(struct scan *s);

bdr_ret scan_hand_new(struct scan *s, struct scan_hand **out);
void scan_hand_free(struct scan_hand *h);
/* Blocks [first, first + count) come next; count is at most SCAN_RUN_MAX. */
void scan_run(struct scan_hand *h, uint64_t first, uint32_t count);
/* data[len], at `block` of the run, is known to have this id; then it is noted, too. */
bool scan_same(struct scan_hand *h, uint64_t block, const void *data, size_t len, const struct bdr_id *id);
/* data[len] has this id. */
void scan_note(struct scan_hand *h, uint64_t block, const void *data, size_t len, const struct bdr_id *id);
void scan_run_end(struct scan_hand *h);

BDR_AUTO_DEFINE(scan, struct scan *, scan_free)
BDR_AUTO_DEFINE(scan_hand, struct scan_hand *, scan_hand_free)
