/* SPDX-License-Identifier: Apache-2.0 */
/* show.c - the console's answers: tables and records for people, the same JSON for programs. */
#include "console/verbs.h"
#include "bdr/jsonset.h"
#include "bdr/shape.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COLS_MAX 64
#define COLS_ROW 9 /* of a table: more do not fit a terminal; the record and --json have all */

static enum bdr_col_kind col_kind(enum verb_kind kind)
{
    switch (kind) {
    case VERB_BOOL:
        return BDR_COL_BOOL;
    case VERB_NUMBER:
        return BDR_COL_COUNT;
    case VERB_SIZE:
        return BDR_COL_SIZE;
    case VERB_DURATION:
        return BDR_COL_DURATION;
    case VERB_TIME:
        return BDR_COL_TIME;
    default:
        return BDR_COL_TEXT;
    }
}

/* What has no column of its own: lists of scalars with commas between, objects as JSON. The text is kept in `keep`. */
static const char *text_of(const json_t *v, json_t *keep)
{
    BDR_AUTO(mem) char *text = NULL;
    BDR_AUTO(buf) struct bdr_buf b = {0};
    json_t *kept;

    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            const json_t *item = json_array_get(v, i);
            BDR_AUTO(mem) char *one = json_is_string(item) ? NULL : json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);

            bdr_buf_printf(&b, "%s%s", i ? ", " : "", json_is_string(item) ? json_string_value(item) : one ? one : "");
        }
        bdr_buf_u8(&b, 0);
        kept = json_string(b.failed ? "" : (const char *)b.data);
    } else {
        text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        kept = json_string(text ? text : "");
    }
    return json_array_append_new(keep, kept) ? "" : json_string_value(kept);
}

static struct bdr_cell cell_of(const struct verb_col *col, const json_t *item, json_t *keep)
{
    const json_t *v = json_object_get(item, col->member);
    int64_t ms;

    if (!v || json_is_null(v))
        return BDR_CELL_NONE;
    switch (col->kind) {
    case VERB_BOOL:
        return BDR_CELL_U64(json_is_true(v));
    case VERB_NUMBER:
    case VERB_SIZE:
    case VERB_DURATION:
        return BDR_CELL_U64((uint64_t)json_integer_value(v));
    case VERB_TIME:
        return bdr_rfc3339_read(json_string_value(v) ? json_string_value(v) : "", &ms) ? BDR_CELL_TIME(ms) : BDR_CELL_NONE;
    default:
        return BDR_CELL_TEXT(text_of(v, keep));
    }
}

/* "host name" -> "HOST NAME" or "Host name", "url" -> "URL"; kept in `keep`. */
static const char *title_of(const char *words, bool loud, json_t *keep)
{
    static const char *const loud_words[] = {"id", "url", "os", "rpo", "rto", "uuid", "ip", "iscsi"};
    char out[64];
    json_t *kept;

    for (size_t i = 0; i < BDR_COUNT(loud_words); i++) {
        size_t len = strlen(loud_words[i]);

        loud |= !strncmp(words, loud_words[i], len) && !words[len];
    }

    snprintf(out, sizeof(out), "%s", words);
    for (char *p = out; *p; p++)
        if (loud || p == out)
            *p = (char)toupper((unsigned char)*p);
    kept = json_string(out);
    return json_array_append_new(keep, kept) ? "" : json_string_value(kept);
}

static bool is_used(const struct verb_col *col, const json_t *items)
{
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *v = json_object_get(json_array_get(items, i), col->member);

        if (v && !json_is_null(v) && !(json_is_string(v) && !*json_string_value(v)))
            return true;
    }
    return json_array_size(items) == 0;
}

static struct bdr_err *table_show(struct bdr_cli *cli, const struct verb_col *cols, size_t n, const json_t *items,
                                  json_t *keep)
{
    struct bdr_col out[COLS_ROW];
    const struct verb_col *used[COLS_ROW];
    struct bdr_cell cells[COLS_ROW];
    BDR_AUTO(table) struct bdr_table *t = NULL;
    size_t k = 0;

    for (size_t i = 0; i < n && k < COLS_ROW; i++) {
        if (cols[i].kind == VERB_TABLE || cols[i].kind == VERB_JSON || !is_used(&cols[i], items))
            continue;
        used[k] = &cols[i];
        out[k++] = (struct bdr_col){.title = title_of(cols[i].title, true, keep),
                                    .key = cols[i].member,
                                    .kind = col_kind(cols[i].kind),
                                    .max_width = 48};
    }
    if (!k)
        return NULL;
    BDR_TRY(bdr_table_new(out, k, &t));
    for (size_t i = 0; i < json_array_size(items); i++) {
        for (size_t c = 0; c < k; c++)
            cells[c] = cell_of(used[c], json_array_get(items, i), keep);
        BDR_TRY(bdr_table_add(t, cells));
    }
    return bdr_out_table(cli->out, t);
}

static struct bdr_err *record_show(struct bdr_cli *cli, const struct verb_col *cols, size_t n, const json_t *v,
                                   json_t *keep)
{
    struct bdr_col out[COLS_MAX];
    struct bdr_cell cells[COLS_MAX];
    size_t k = 0;

    for (size_t i = 0; i < n && k < COLS_MAX; i++) {
        if (cols[i].kind == VERB_TABLE || !json_object_get(v, cols[i].member))
            continue;
        out[k] = (struct bdr_col){
            .title = title_of(cols[i].title, false, keep), .key = cols[i].member, .kind = col_kind(cols[i].kind)};
        cells[k++] = cell_of(&cols[i], v, keep);
    }
    if (k)
        BDR_TRY(bdr_out_record(cli->out, out, k, cells));
    for (size_t i = 0; i < n; i++) {
        const json_t *items = json_object_get(v, cols[i].member);

        if (cols[i].kind != VERB_TABLE || !json_array_size(items) || !strcmp(cols[i].member, "allowed"))
            continue; /* what buttons may do is for programs */
        BDR_TRY(bdr_out_line(cli->out, "\n%s:", title_of(cols[i].title, false, keep)));
        BDR_TRY(table_show(cli, cols[i].cols, cols[i].n, items, keep));
    }
    return NULL;
}

struct bdr_err *verb_show(struct bdr_cli *cli, const struct verb_col *cols, size_t n, const json_t *v)
{
    BDR_AUTO(json) json_t *keep = json_array();

    BDR_NOMEM_IF_NULL(keep);
    if (bdr_out_is_json(cli->out))
        return bdr_out_json(cli->out, json_incref((json_t *)(uintptr_t)v));
    return json_is_array(v) ? table_show(cli, cols, n, v, keep) : record_show(cli, cols, n, v, keep);
}
