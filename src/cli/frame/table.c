/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/table.h"
#include "bdr/clock.h"
#include "frame/out.h"
#include "frame/text.h"
#include "frame/value.h"
#include <string.h>

#define TABLE_GAP      2
#define TABLE_MIN_TEXT 8 /* a TEXT column is not squeezed below this */

struct bdr_table {
    const struct bdr_col *cols; /* borrowed */
    size_t width, rows, cap;    /* columns; rows */
    struct bdr_cell *cells;     /* rows * width; TEXT is owned */
};

struct bdr_err *bdr_table_new(const struct bdr_col *cols, size_t n, struct bdr_table **out)
{
    struct bdr_table *t = calloc(1, sizeof(*t));

    BDR_NOMEM_IF_NULL(t);
    t->cols = cols;
    t->width = n;
    *out = t;
    return NULL;
}

void bdr_table_free(struct bdr_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->rows * t->width; i++)
        if (t->cols[i % t->width].kind == BDR_COL_TEXT)
            free((char *)(uintptr_t)t->cells[i].text);
    free(t->cells);
    free(t);
}

struct bdr_err *bdr_table_add(struct bdr_table *t, const struct bdr_cell *cells)
{
    struct bdr_cell *row;

    if (t->rows == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        struct bdr_cell *grown = reallocarray(t->cells, cap, t->width * sizeof(*grown));

        BDR_NOMEM_IF_NULL(grown);
        t->cells = grown;
        t->cap = cap;
    }
    row = t->cells + t->rows * t->width;
    for (size_t i = 0; i < t->width; i++) {
        row[i] = cells[i];
        if (t->cols[i].kind != BDR_COL_TEXT)
            continue;
        row[i].text = cells[i].none || !cells[i].text ? NULL : strdup(cells[i].text);
        row[i].none = !row[i].text;
        if (row[i].none && !cells[i].none && cells[i].text) {
            while (i--)
                if (t->cols[i].kind == BDR_COL_TEXT)
                    free((char *)(uintptr_t)row[i].text);
            BDR_FAIL(BDR_NOMEM, 0, "adding a row to a table");
        }
    }
    t->rows++;
    return NULL;
}

size_t bdr_table_rows(const struct bdr_table *t)
{
    return t->rows;
}

static bool cell_none(const struct bdr_col *col, const struct bdr_cell *c)
{
    return c->none || (col->kind == BDR_COL_TEXT && !c->text);
}

/* A cell for people; the text is `scratch` or the cell's own. */
static const char *cell_text(const struct bdr_col *col, const struct bdr_cell *c, char scratch[32])
{
    if (cell_none(col, c))
        return "-";
    switch (col->kind) {
    case BDR_COL_TEXT:
        return c->text;
    case BDR_COL_SIZE:
        return bdr_size_text(c->u64, scratch);
    case BDR_COL_TIME:
        bdr_clock_text(c->time_ms, scratch);
        if (strlen(scratch) > 10)
            scratch[10] = ' ';
        return scratch;
    case BDR_COL_DURATION:
        return bdr_duration_text(c->u64, scratch);
    case BDR_COL_BOOL:
        return c->u64 ? "yes" : "no";
    case BDR_COL_COUNT:
        break;
    }
    snprintf(scratch, 32, "%llu", (unsigned long long)c->u64);
    return scratch;
}

static bool col_right(const struct bdr_col *col)
{
    if (col->align != BDR_ALIGN_KIND)
        return col->align == BDR_ALIGN_RIGHT;
    return col->kind == BDR_COL_COUNT || col->kind == BDR_COL_SIZE || col->kind == BDR_COL_DURATION;
}

/* Text of at most `width` columns, padded to it; a left-aligned last column is not padded. */
static void cell_put(struct bdr_buf *out, const char *text, unsigned width, bool right, bool last)
{
    unsigned w = BDR_MIN(bdr_text_width(text), width);

    if (right)
        bdr_text_fill(out, ' ', width - w);
    bdr_text_put(out, text, width);
    if (!right && !last)
        bdr_text_fill(out, ' ', width - w);
}

/* Takes columns from the widest TEXT until the line fits; numbers and times are never cut. */
static void table_squeeze(const struct bdr_table *t, unsigned *widths, unsigned sum, unsigned limit)
{
    while (limit && sum > limit) {
        size_t widest = t->width;

        for (size_t i = 0; i < t->width; i++)
            if (t->cols[i].title && t->cols[i].kind == BDR_COL_TEXT && widths[i] > TABLE_MIN_TEXT &&
                (widest == t->width || widths[i] > widths[widest]))
                widest = i;
        if (widest == t->width)
            return;
        widths[widest]--;
        sum--;
    }
}

struct bdr_err *bdr_table_text(const struct bdr_table *t, unsigned width, bool color, struct bdr_buf *out)
{
    BDR_AUTO(mem) unsigned *widths = calloc(BDR_MAX(t->width, 1), sizeof(*widths));
    unsigned sum = 0;
    size_t last = 0;
    char scratch[32];

    BDR_NOMEM_IF_NULL(widths);
    for (size_t i = 0; i < t->width; i++) {
        if (!t->cols[i].title)
            continue;
        last = i;
        widths[i] = bdr_text_width(t->cols[i].title);
        for (size_t r = 0; r < t->rows; r++) {
            unsigned w = bdr_text_width(cell_text(&t->cols[i], &t->cells[r * t->width + i], scratch));

            widths[i] = BDR_MAX(widths[i], w);
        }
        if (t->cols[i].max_width)
            widths[i] = BDR_MIN(widths[i], t->cols[i].max_width);
        sum += widths[i] + (sum ? TABLE_GAP : 0);
    }
    table_squeeze(t, widths, sum, width);
    if (color)
        bdr_buf_printf(out, "\x1b[1m");
    for (size_t r = 0; r <= t->rows; r++) { /* row 0 is the titles */
        for (size_t i = 0; i < t->width; i++) {
            const struct bdr_col *col = &t->cols[i];

            if (!col->title)
                continue;
            cell_put(out, r ? cell_text(col, &t->cells[(r - 1) * t->width + i], scratch) : col->title, widths[i],
                     col_right(col), i == last);
            if (i != last)
                bdr_text_fill(out, ' ', TABLE_GAP);
        }
        if (color && !r)
            bdr_buf_printf(out, "\x1b[0m");
        bdr_buf_u8(out, '\n');
    }
    return bdr_buf_check(out);
}

struct bdr_err *bdr_record_text(const struct bdr_col *cols, size_t n, const struct bdr_cell *cells, struct bdr_buf *out)
{
    unsigned widest = 0;
    char scratch[32];

    for (size_t i = 0; i < n; i++)
        if (cols[i].title)
            widest = BDR_MAX(widest, bdr_text_width(cols[i].title));
    for (size_t i = 0; i < n; i++) {
        unsigned w;

        if (!cols[i].title)
            continue;
        w = bdr_text_put(out, cols[i].title, 0);
        bdr_buf_u8(out, ':');
        bdr_text_fill(out, ' ', widest - w + 1);
        bdr_text_put(out, cell_text(&cols[i], &cells[i], scratch), 0);
        bdr_buf_u8(out, '\n');
    }
    return bdr_buf_check(out);
}

/* JSON. */

/* Bytes that are not UTF-8 (a file name may hold any) become U+FFFD: a document is always valid. */
json_t *bdr_json_text(const char *text)
{
    BDR_AUTO(buf) struct bdr_buf fixed = {0};
    json_t *v = json_string(text);

    if (v)
        return v;
    bdr_text_put(&fixed, text, 0);
    return fixed.failed ? NULL : json_stringn((const char *)fixed.data, fixed.len);
}

static json_t *cell_json(const struct bdr_col *col, const struct bdr_cell *c)
{
    char time[24];

    if (cell_none(col, c))
        return json_null();
    switch (col->kind) {
    case BDR_COL_TEXT:
        return bdr_json_text(c->text);
    case BDR_COL_TIME:
        return json_string(bdr_clock_text(c->time_ms, time));
    case BDR_COL_BOOL:
        return json_boolean(c->u64);
    case BDR_COL_COUNT:
    case BDR_COL_SIZE:
    case BDR_COL_DURATION:
        break;
    }
    return json_integer((json_int_t)BDR_MIN(c->u64, (uint64_t)INT64_MAX));
}

json_t *bdr_record_json(const struct bdr_col *cols, size_t n, const struct bdr_cell *cells)
{
    json_t *doc = json_object();

    for (size_t i = 0; doc && i < n; i++) {
        if (!json_object_set_new(doc, cols[i].key, cell_json(&cols[i], &cells[i])))
            continue;
        json_decref(doc);
        doc = NULL;
    }
    return doc;
}

json_t *bdr_table_json(const struct bdr_table *t)
{
    json_t *doc = json_array();

    for (size_t r = 0; doc && r < t->rows; r++) {
        if (!json_array_append_new(doc, bdr_record_json(t->cols, t->width, t->cells + r * t->width)))
            continue;
        json_decref(doc);
        doc = NULL;
    }
    return doc;
}
