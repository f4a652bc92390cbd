/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bed.h - a fresh, migrated database for each test, on both engines.
 *
 * BED(test) makes two cmocka tests of one function, test_x on SQLite and on PostgreSQL. The second is skipped, by name,
 * when tests/lab/postgres/with found no server to start.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include "bdr/clock.h"
#include "db/statements.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct bed {
    enum bdr_db_engine engine;
    struct bdr_db *db;
    char dir[64], where[400];
};

int bed_sqlite(void **state);
int bed_pg(void **state);
/* The same, without migrations. */
int bed_sqlite_bare(void **state);
int bed_pg_bare(void **state);
int bed_down(void **state);
/* Another handle on the same database, as another console would have; the caller closes it. */
struct bdr_db *bed_open(const struct bed *b);
/* Runs SQL of the test's own, as a transaction. */
bdr_ret bed_sql(struct bed *b, const char *sql);

#define BED(f)                                                                                                         \
    {#f "@sqlite", f, bed_sqlite, bed_down, NULL},                                                                     \
    {                                                                                                                  \
#f "@postgresql", f, bed_pg, bed_down, NULL                                                                    \
    }
#define BED_BARE(f)                                                                                                    \
    {#f "@sqlite", f, bed_sqlite_bare, bed_down, NULL},                                                                \
    {                                                                                                                  \
#f "@postgresql", f, bed_pg_bare, bed_down, NULL                                                               \
    }
/* First line of a test: skips the PostgreSQL half where there is no server. */
#define BED_OF(state, name)                                                                                            \
    struct bed *name = *(state);                                                                                       \
    if (!name)                                                                                                         \
    skip()

/* No error; prints the one there is. */
BDR_UNUSED static void check_ok_at(struct bdr_err *err, const char *file, int line)
{
    char text[1024];

    if (err)
        print_error("%s\n", bdr_err_text(err, text, sizeof(text)));
    _assert_true(!err, "no error", file, line);
}
#define check_ok(call) check_ok_at((call), __FILE__, __LINE__)

/* An error of `code` whose text holds `part`. */
BDR_UNUSED static void check_fails_at(struct bdr_err *err, enum bdr_code code, const char *part, const char *file,
                                      int line)
{
    char text[1024] = "no error";
    bool right;

    bdr_err_text(err, text, sizeof(text));
    right = err && err->code == code && strstr(text, part);
    if (!right)
        print_error("wanted %s with '%s', got %s: %s\n", bdr_code_name(code), part,
                    err ? bdr_code_name(err->code) : "OK", text);
    bdr_err_free(err);
    _assert_true(right, "the right error", file, line);
}
#define check_fails(call, code, part) check_fails_at((call), (code), (part), __FILE__, __LINE__)
