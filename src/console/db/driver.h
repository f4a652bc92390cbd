/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.h - inside db/: the contract of an engine. sqlite.c and pg.c fulfil it; db.c is its only caller.
 *
 * Errors:  CONFLICT a rule of the schema; EXISTS a unique one; BUSY worth running the transaction again; NET the
 *          connection is gone (alive() then says no); NOSPACE, READONLY, CORRUPT, DENIED, AUTH, TIMEOUT as named.
 * Threads: a connection belongs to one thread at a time.
 */
#pragma once
#include "db/rows.h"

struct bdr_db_driver {
    enum bdr_db_engine engine;
    bool one_writer; /* connections for writing are one, the others read */
    /* With one_writer, any thread: for how long the writer has waited for another program's lock; 0: it does not wait.
     */
    uint64_t (*locked_ms)(void *conn);
    bdr_ret (*open)(const struct bdr_db_options *options, bool writer, void **out);
    void (*close)(void *conn);
    bool (*alive)(void *conn);
    bdr_ret (*begin)(void *conn, enum bdr_tx_kind kind);
    bdr_ret (*commit)(void *conn);
    void (*rollback)(void *conn);
    /* rows may be NULL: what is returned is dropped. */
    bdr_ret (*run)(void *conn, const struct bdr_stmt *st, const struct bdr_val *v, struct bdr_rows *rows,
                   int64_t *out_changed);
    bdr_ret (*script)(void *conn, const char *sql);
    /* See bdr_db_reserve; NULL: the engine's disk is its own server's care. */
    bdr_ret (*reserve)(void *conn, uint64_t bytes);
    /* Prepares and compares with the declaration. */
    bdr_ret (*check)(void *conn, const struct bdr_stmt *st);
    /* Words between consoles, as of bdr_ear_*; NULL: there are no others. */
    bdr_ret (*listen)(void *conn);
    bdr_ret (*tell)(void *conn, const char *text);
    bdr_ret (*hear)(void *conn, uint64_t wait_ms, void (*heard)(void *ctx, const char *text), void *ctx);
};
extern const struct bdr_db_driver bdr_db_sqlite, bdr_db_pg;
