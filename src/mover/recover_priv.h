/* SPDX-License-Identifier: Apache-2.0 */
/* recover_priv.h - one running recover, shared by the copy and the comparison. */
#pragma once
#include "bdr/disk.h"
#include "bdr/recover.h"
#include "bdr/target.h"
#include "recover_state.h"
#include <pthread.h>

struct recover {
    const struct bdr_recover_spec *spec;
    struct bdr_disk *disk;
    struct bdr_target *target;
    struct bdr_target_info info;
    struct bdr_recover_progress *progress;
    char *state_path; /* owned; NULL: nothing is written down */
    uint32_t workers;
    struct bdr_cancel stop; /* of this run: a failed worker stops the others */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t idle;  /* a worker ended, or finished a span */
    struct recover_state state;
    uint64_t cursor; /* next span to hand out */
    uint64_t fresh;  /* spans done since the last checkpoint */
    uint32_t running;
    struct bdr_recover_range *damaged;
    size_t n_damaged, cap_damaged;
    uint64_t first_differing; /* UINT64_MAX: none */
};

/* CANCELLED when the caller or a failed worker says so. */
bdr_ret recover_check(const struct recover *r);
/* The next span that is (or, for the comparison, was) to do; false when there is none. */
bool recover_next(struct recover *r, bool wanted_done, uint64_t *out_span);
void recover_span_bounds(const struct recover *r, uint64_t span, uint64_t *out_off, uint64_t *out_end);
/* A page-aligned buffer of one span; free() it. */
bdr_ret recover_span_buffer(const struct recover *r, uint8_t **out);
/* Runs `fn` on all workers from the first span. */
bdr_ret recover_all(struct recover *r, const char *name, struct bdr_err *(*fn)(void *ctx, unsigned index), unsigned n);

/* Reads the target back and compares. Spans that differ are marked as not done. CORRUPT names the first. */
bdr_ret recover_verify(struct recover *r);
