/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h - inside db/: collects what a statement returns into one block of row structs.
 *
 * An engine calls row, then one of null/i64/bytes for each column in order. Text and bytes are copied.
 * Threads: one at a time.
 */
#pragma once
#include "bdr/bytes.h"
#include "db/stmt.h"

struct bdr_rows {
    const struct bdr_stmt *st;
    struct bdr_buf fixed, more; /* row structs; what they point to, by offset until finish */
    size_t n, column;
};
#define BDR_ROWS_MAX 100000u /* a list without a LIMIT is a mistake, not a reason to use all memory */

/* Begins the next row. INTERNAL beyond BDR_ROWS_MAX. */
bdr_ret bdr_rows_row(struct bdr_rows *r);
/* The next column. INTERNAL when the declaration says it is something else, or never NULL. */
bdr_ret bdr_rows_null(struct bdr_rows *r);
bdr_ret bdr_rows_i64(struct bdr_rows *r, int64_t v);
bdr_ret bdr_rows_bytes(struct bdr_rows *r, const void *data, size_t len);
/* One block, the caller's to free; NULL when there are no rows. */
bdr_ret bdr_rows_finish(struct bdr_rows *r, void **out, size_t *out_n);
void bdr_rows_free(struct bdr_rows *r);

BDR_UNUSED static inline void bdr_auto_rows(struct bdr_rows *r)
{
    bdr_rows_free(r);
}
