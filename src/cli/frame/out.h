/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out.h - what a command says: tables and records for people, one JSON document for programs.
 *
 * The same column rows give both. With --json nothing but one document reaches stdout: it is kept until
 * bdr_out_finish; an error is its member "error". Words for people go to stderr then.
 * Depends on: base, os, jansson.      Threads: main's only, except bdr_out_note.
 */
#pragma once
#include "bdr/err.h"
#include "frame/cmd.h"
#include <jansson.h>
#include <stdio.h>

enum bdr_col_kind {
    BDR_COL_TEXT,     /* string */
    BDR_COL_COUNT,    /* number; right-aligned */
    BDR_COL_SIZE,     /* bytes; "1.5 GiB", in JSON a number */
    BDR_COL_TIME,     /* wall ms; "2026-11-22 18:15:00Z", in JSON "2026-11-22T18:15:00Z" */
    BDR_COL_DURATION, /* ms; "1h30m", in JSON a number */
    BDR_COL_BOOL      /* "yes" or "no" */
};
enum bdr_col_align { BDR_ALIGN_KIND, BDR_ALIGN_LEFT, BDR_ALIGN_RIGHT }; /* KIND: numbers right, the rest left */

struct bdr_col {
    const char *title; /* NULL: only in JSON */
    const char *key;   /* JSON member; units in it: "size_bytes" */
    enum bdr_col_kind kind;
    enum bdr_col_align align;
    uint16_t max_width; /* TEXT is cut with an ellipsis; 0: never */
};
/* One value; `none` prints as "-" and null. */
struct bdr_cell {
    union {
        const char *text;
        uint64_t u64;
        int64_t time_ms;
    };
    bool none;
};
#define BDR_CELL_TEXT(v) ((struct bdr_cell){.text = (v)}) /* NULL is none */
#define BDR_CELL_U64(v)  ((struct bdr_cell){.u64 = (v)})
#define BDR_CELL_TIME(v) ((struct bdr_cell){.time_ms = (v)})
#define BDR_CELL_NONE    ((struct bdr_cell){.none = true})

/* A table under construction: rows are copied, nothing is printed yet. */
struct bdr_table;
bdr_ret bdr_table_new(const struct bdr_col *cols, size_t n, struct bdr_table **out);
/* Adds one row; cells[n] in the columns' order. NOMEM. */
bdr_ret bdr_table_add(struct bdr_table *t, const struct bdr_cell *cells);
size_t bdr_table_rows(const struct bdr_table *t);
void bdr_table_free(struct bdr_table *t);
BDR_AUTO_DEFINE(table, struct bdr_table *, bdr_table_free)

struct bdr_out_how {
    FILE *out, *err;
    bool json, quiet;
    bool color_out, color_err; /* isatty and no NO_COLOR */
    uint16_t width;            /* of the terminal; 0: unlimited */
};
struct bdr_out;
bdr_ret bdr_out_new(const struct bdr_out_how *how, struct bdr_out **out);
void bdr_out_free(struct bdr_out *o);
/* Terminal width, colours and NO_COLOR of the real stdout and stderr. */
struct bdr_out_how bdr_out_how_real(void);
BDR_AUTO_DEFINE(out, struct bdr_out *, bdr_out_free)
bool bdr_out_is_json(const struct bdr_out *o);
unsigned bdr_out_width(const struct bdr_out *o); /* 0: not a terminal */

/* Prints the table, or makes an array of objects the document. */
bdr_ret bdr_out_table(struct bdr_out *o, const struct bdr_table *t);
/* Prints "Title: value" lines, or makes one object the document. */
bdr_ret bdr_out_record(struct bdr_out *o, const struct bdr_col *cols, size_t n, const struct bdr_cell *cells);
/* A line of text on stdout; nothing with --json. */
bdr_ret bdr_out_line(struct bdr_out *o, const char *fmt, ...) BDR_PRINTF(2, 3);
/* Text of any length on stdout as it is, also with --json: help, completion scripts. */
bdr_ret bdr_out_raw(struct bdr_out *o, const void *text, size_t len);
/* "bdr: ..." on stderr for a person; nothing with --quiet. Threads: any. */
void bdr_out_note(struct bdr_out *o, const char *fmt, ...) BDR_PRINTF(2, 3);

/* Composed documents. These give a new reference, or NULL when out of memory. */
json_t *bdr_table_json(const struct bdr_table *t);
json_t *bdr_record_json(const struct bdr_col *cols, size_t n, const struct bdr_cell *cells);
/* Makes `doc` (consumed, also on failure; NULL is NOMEM) the one document; nothing without --json. */
bdr_ret bdr_out_json(struct bdr_out *o, json_t *doc);

/* The hint for the error the command is about to return. */
void bdr_out_hint(struct bdr_out *o, const char *text);
/*
 * The one boundary: prints the document, or `err` (borrowed; NULL is success) with the hint that fits.
 *
 * Hints come from bdr_out_hint, then `cmd`, then `app`; both may be NULL.
 * Returns: the exit code; 141 when the reader of stdout has gone away.
 */
int bdr_out_finish(struct bdr_out *o, const struct bdr_err *err, const struct bdr_cmd *cmd, const struct bdr_app *app);
