/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stmt.h - inside db/: what tools/gen/sql makes of a statement, and the calls its functions are thin covers of.
 *
 * Threads: tables are constant; calls as db.h says.
 */
#pragma once
#include "db/db.h"

enum bdr_type { BDR_T_I64, BDR_T_TEXT, BDR_T_BLOB, BDR_T_BOOL };

struct bdr_val {
    enum bdr_type type;
    bool null;
    int64_t i64;      /* I64 and BOOL */
    const void *data; /* TEXT and BLOB; text is terminated */
    size_t len;       /* BLOB */
};
#define BDR_V_I64(n)                                                                                                   \
    {                                                                                                                  \
        .type = BDR_T_I64, .i64 = (n)                                                                                  \
    }
#define BDR_V_I64_OPT(o)                                                                                               \
    {                                                                                                                  \
        .type = BDR_T_I64, .null = !(o).set, .i64 = (o).v                                                              \
    }
#define BDR_V_BOOL(b)                                                                                                  \
    {                                                                                                                  \
        .type = BDR_T_BOOL, .i64 = (b) ? 1 : 0                                                                         \
    }
#define BDR_V_TEXT(s)                                                                                                  \
    {                                                                                                                  \
        .type = BDR_T_TEXT, .null = !(s), .data = (s)                                                                  \
    }
/* `bytes`: a macro's parameter must not be called like a member */
#define BDR_V_BLOB(bytes)                                                                                              \
    {                                                                                                                  \
        .type = BDR_T_BLOB, .null = !(bytes).data, .data = (bytes).data, .len = (bytes).len                            \
    }

struct bdr_column {
    const char *name;
    enum bdr_type type;
    bool nullable;
    size_t at; /* offset in the row struct */
};

struct bdr_stmt {
    const char *name;
    const char *sql[2]; /* by enum bdr_db_engine */
    size_t n_params;
    const enum bdr_type *params;
    size_t n_columns, row_bytes;
    const struct bdr_column *columns;
};
extern const struct bdr_stmt bdr_stmts[];
extern const size_t bdr_stmt_count;

struct bdr_migration {
    unsigned number;
    const char *name, *sha256;
    const char *sql[2];
};
extern const struct bdr_migration bdr_migrations[];
extern const size_t bdr_migration_count;

enum bdr_rows_wanted { BDR_ROWS_ONE, BDR_ROWS_MAYBE, BDR_ROWS_MANY };

/* *out_changed, may be NULL, gets the number of rows changed. */
bdr_ret bdr_tx_exec(struct bdr_tx *tx, const struct bdr_stmt *st, const struct bdr_val *v, int64_t *out_changed);
/* One number; with out_found an answer without a row is fine (and *out untouched). */
bdr_ret bdr_tx_number(struct bdr_tx *tx, const struct bdr_stmt *st, const struct bdr_val *v, int64_t *out,
                      bool *out_found);
/* One block with the rows and all they point to; NULL when MAYBE found none. NOTFOUND when ONE found none. */
bdr_ret bdr_tx_rows(struct bdr_tx *tx, const struct bdr_stmt *st, const struct bdr_val *v, enum bdr_rows_wanted wanted,
                    void **out, size_t *out_n);
/* Text of a migration. */
bdr_ret bdr_tx_script(struct bdr_tx *tx, const char *sql);
