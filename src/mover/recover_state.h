/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover_state.h - what an unfinished recover has brought to safety.
 *
 * The disk is cut into spans of equal size; a span is done when all of it is durable at the target.
 * Format: docs/drivers/target.md#state.      Threads: one at a time.
 */
#pragma once
#include "bdr/err.h"

#define RECOVER_SPAN_MIN  (64u << 10)
#define RECOVER_SPAN_MAX  (1u << 30)
#define RECOVER_SPANS_MAX (1u << 26) /* 8 MiB of bits: 256 TiB in spans of 4 MiB */

struct recover_state {
    char point[33];
    uint32_t disk;
    uint64_t size_bytes;
    uint32_t span_bytes; /* power of two */
    uint64_t n_spans;
    uint8_t *done; /* owned; bit i: span i */
};

/* All spans to do. RANGE when the disk is larger than we can write down. */
bdr_ret recover_state_init(struct recover_state *st, const char *point, uint32_t disk, uint64_t size_bytes,
                           uint32_t span_bytes);
void recover_state_free(struct recover_state *st);
bool recover_state_get(const struct recover_state *st, uint64_t span);
void recover_state_set(struct recover_state *st, uint64_t span, bool done);

/* Parses `len` bytes of a state file. CORRUPT; VERSION made by a newer program. */
bdr_ret recover_state_parse(const char *text, size_t len, struct recover_state *out);
struct bdr_buf;
void recover_state_format(const struct recover_state *st, struct bdr_buf *out);

/* *out_found is false when there is no such file. */
bdr_ret recover_state_load(const char *path, struct recover_state *out, bool *out_found);
/* Durable, and never half: a new file takes the old one's name. */
bdr_ret recover_state_save(const char *path, const struct recover_state *st);
/* Durably gone; was not there: fine. */
bdr_ret recover_state_remove(const char *path);

BDR_UNUSED static inline void bdr_auto_recover_state(struct recover_state *st)
{
    recover_state_free(st);
}
