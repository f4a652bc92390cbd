/* SPDX-License-Identifier: Apache-2.0 */
#include "db/rows.h"
#include <string.h>

#define ROWS_NULL SIZE_MAX

static struct bdr_err *rows_column(struct bdr_rows *r, const struct bdr_column **out)
{
    if (r->column >= r->st->n_columns)
        BDR_FAIL(BDR_INTERNAL, 0, "statement %s returns more than %zu columns", r->st->name, r->st->n_columns);
    *out = &r->st->columns[r->column++];
    return NULL;
}

/* The row begun last. */
static uint8_t *rows_at(struct bdr_rows *r, const struct bdr_column *c)
{
    return r->fixed.data + (r->n - 1) * r->st->row_bytes + c->at;
}

struct bdr_err *bdr_rows_row(struct bdr_rows *r)
{
    if (r->n >= BDR_ROWS_MAX)
        BDR_FAIL(BDR_INTERNAL, 0, "statement %s returns more than %u rows", r->st->name, BDR_ROWS_MAX);
    if (!bdr_buf_reserve(&r->fixed, r->st->row_bytes))
        return bdr_buf_check(&r->fixed);
    memset(r->fixed.data + r->fixed.len, 0, r->st->row_bytes);
    r->fixed.len += r->st->row_bytes;
    r->n++;
    r->column = 0;
    return NULL;
}

struct bdr_err *bdr_rows_null(struct bdr_rows *r)
{
    const struct bdr_column *c = NULL;
    size_t mark = ROWS_NULL;

    BDR_TRY(rows_column(r, &c));
    if (!c->nullable)
        BDR_FAIL(BDR_INTERNAL, 0, "statement %s: column %s is NULL", r->st->name, c->name);
    if (c->type == BDR_T_TEXT || c->type == BDR_T_BLOB)
        memcpy(rows_at(r, c), &mark, sizeof(mark));
    return NULL;
}

struct bdr_err *bdr_rows_i64(struct bdr_rows *r, int64_t v)
{
    const struct bdr_column *c = NULL;
    struct bdr_opt_i64 opt = BDR_SOME(v);
    bool yes = v != 0;

    BDR_TRY(rows_column(r, &c));
    if (c->type == BDR_T_BOOL)
        memcpy(rows_at(r, c), &yes, sizeof(yes));
    else if (c->type == BDR_T_I64 && c->nullable)
        memcpy(rows_at(r, c), &opt, sizeof(opt));
    else if (c->type == BDR_T_I64)
        memcpy(rows_at(r, c), &v, sizeof(v));
    else
        BDR_FAIL(BDR_INTERNAL, 0, "statement %s: column %s is a number", r->st->name, c->name);
    return NULL;
}

struct bdr_err *bdr_rows_bytes(struct bdr_rows *r, const void *data, size_t len)
{
    const struct bdr_column *c = NULL;
    size_t at = r->more.len;

    BDR_TRY(rows_column(r, &c));
    if (c->type != BDR_T_TEXT && c->type != BDR_T_BLOB)
        BDR_FAIL(BDR_INTERNAL, 0, "statement %s: column %s is not a number", r->st->name, c->name);
    bdr_buf_put(&r->more, data, len);
    bdr_buf_u8(&r->more, 0);
    BDR_TRY(bdr_buf_check(&r->more));
    /* the offset stands where the pointer will: blocks still move while they grow */
    memcpy(rows_at(r, c), &at, sizeof(at));
    if (c->type == BDR_T_BLOB)
        memcpy(rows_at(r, c) + offsetof(struct bdr_blob, len), &len, sizeof(len));
    return NULL;
}

struct bdr_err *bdr_rows_finish(struct bdr_rows *r, void **out, size_t *out_n)
{
    uint8_t *block;

    _Static_assert(sizeof(size_t) == sizeof(const char *), "an offset fits where a pointer stands");
    if (!r->n) {
        *out = NULL;
        if (out_n)
            *out_n = 0;
        return NULL;
    }
    block = malloc(r->fixed.len + r->more.len);
    BDR_NOMEM_IF_NULL(block);
    memcpy(block, r->fixed.data, r->fixed.len);
    if (r->more.len)
        memcpy(block + r->fixed.len, r->more.data, r->more.len);
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < r->st->n_columns; k++) {
            const struct bdr_column *c = &r->st->columns[k];
            uint8_t *at = block + i * r->st->row_bytes + c->at;
            const uint8_t *p;
            size_t off;

            if (c->type != BDR_T_TEXT && c->type != BDR_T_BLOB)
                continue;
            memcpy(&off, at, sizeof(off));
            p = off == ROWS_NULL ? NULL : block + r->fixed.len + off;
            memcpy(at, &p, sizeof(p));
        }
    *out = block;
    if (out_n)
        *out_n = r->n;
    return NULL;
}

void bdr_rows_free(struct bdr_rows *r)
{
    /* rows may hold sealed secrets and hashes: not worth much, but worth nothing in freed memory */
    if (r->more.data)
        bdr_wipe(r->more.data, r->more.cap);
    bdr_buf_free(&r->fixed);
    bdr_buf_free(&r->more);
}
