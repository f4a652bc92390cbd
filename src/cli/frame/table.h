/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - inside of out: tables and records as text. Pure. Threads: one a table. */
#pragma once
#include "bdr/bytes.h"
#include "frame/out.h"

/* The table for a terminal of `width` columns (0: unlimited); titles in bold with `color`. */
bdr_ret bdr_table_text(const struct bdr_table *t, unsigned width, bool color, struct bdr_buf *out);
/* A JSON string; bytes that are not UTF-8 become U+FFFD. New reference; NULL when out of memory. */
json_t *bdr_json_text(const char *text);
/* "Title: value" lines. */
bdr_ret bdr_record_text(const struct bdr_col *cols, size_t n, const struct bdr_cell *cells, struct bdr_buf *out);
