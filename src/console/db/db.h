/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db.h - the console's database: SQLite by default, PostgreSQL by a connection string.
 *
 * Lifecycle: open -> migrate -> (run | begin ... commit)* -> close. Statements live in sql/ and become functions
 * bdr_q_<name>(tx, ...) of "db/statements.h"; nothing else in the tree sees SQL or a database header.
 * Depends on: base, os.      Threads: a struct bdr_db any; a struct bdr_tx the thread that began it.
 * Source:  docs/console/database.md
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct bdr_db;
struct bdr_tx;

/* Bytes in a parameter or a row; borrowed. data NULL is the database's NULL. */
struct bdr_blob {
    const uint8_t *data;
    size_t len;
};
/* A number that may be NULL. */
struct bdr_opt_i64 {
    bool set;
    int64_t v;
};
#define BDR_SOME(n) ((struct bdr_opt_i64){.set = true, .v = (n)})

enum bdr_db_engine { BDR_DB_SQLITE, BDR_DB_PG };

/*
 * What a transaction needs of the engine.
 *
 * READ   sees one moment; changes are refused.
 * WRITE  runs as if it were alone (PostgreSQL: SERIALIZABLE); the default for anything that reads before it writes.
 * LOCK   each statement sees what is committed when it starts; for transactions that lock the row they decide on first.
 * BEAT   as LOCK, and a power cut may undo it: heartbeats and progress, which the next beat repeats.
 * On SQLite all but READ take turns, so LOCK is WRITE there.
 */
enum bdr_tx_kind { BDR_TX_READ, BDR_TX_WRITE, BDR_TX_LOCK, BDR_TX_BEAT };

struct bdr_db_options {
    const char *where;               /* a file, or postgresql://..., or `pg:host=... dbname=...` */
    unsigned connections;            /* readers (SQLite) or all (PostgreSQL); 0: 8 */
    uint64_t wait_ms;                /* for a connection, a lock or another writer; 0: 10 s */
    const struct bdr_cancel *cancel; /* borrowed; ends waits and retries. May be NULL */
};

/*
 * Opens; makes an SQLite file (mode 0600) that is not there yet. No table is touched.
 *
 * Errors:  NOTFOUND no such folder or database; AUTH, DENIED; NET nobody answers; CORRUPT the file is no database.
 */
bdr_ret bdr_db_open(const struct bdr_db_options *options, struct bdr_db **out);
/* All transactions have ended. NULL is fine. */
void bdr_db_close(struct bdr_db *db);
enum bdr_db_engine bdr_db_engine(const struct bdr_db *db);
/* The file that `where` names, a part of it; NULL when it is a server, or no file at all. */
const char *bdr_db_file(const char *where);

/*
 * Brings the tables to this program's version: each missing migration in a transaction of its own.
 *
 * Shape:   *out_applied, may be NULL, gets how many were missing. Several consoles may start at once: one does it.
 * Errors:  VERSION the database is newer than this program; CORRUPT an applied migration is not the one we know.
 */
bdr_ret bdr_db_migrate(struct bdr_db *db, unsigned *out_applied);

/*
 * Runs `fn` in a transaction and commits it when `fn` succeeds; the one place that retries.
 *
 * Shape:   fn may run several times: it changes nothing but the database and what it overwrites next time in `ctx`.
 * Errors:  fn's own. What the engine calls a conflict or a lost connection is retried until wait_ms have passed,
 *          then BUSY or NET. A connection lost during the commit itself is not retried: NET, and nobody knows.
 */
bdr_ret bdr_db_run(struct bdr_db *db, enum bdr_tx_kind kind, struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx),
                   void *ctx);
/* The same for a BEAT that can be done without: not when others write, and a database that is locked, or whose disk is
 * full, is no error. */
bdr_ret bdr_db_spare(struct bdr_db *db, struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), void *ctx);

/*
 * Sees to it that an SQLite file has room of its own, 8 to 16 MiB, for when its disk is full: people log in, alarms are
 * raised, jobs go on. Not while others write, nor when the disk has under 128 MiB left: neither is an error.
 */
bdr_ret bdr_db_reserve(struct bdr_db *db);

/* Without a retry; for READ, where nothing conflicts, and where a closure would hide what happens. */
bdr_ret bdr_tx_begin(struct bdr_db *db, enum bdr_tx_kind kind, struct bdr_tx **out);
/* Consumes tx, also on failure. */
bdr_ret bdr_tx_commit(struct bdr_tx *tx);
/* Undoes all of it. NULL is fine. */
void bdr_tx_abandon(struct bdr_tx *tx);
enum bdr_db_engine bdr_tx_engine(const struct bdr_tx *tx);

/* Every statement is prepared on the engine and its columns compared with the declared ones; for tests and doctors. */
bdr_ret bdr_db_check_statements(struct bdr_db *db);

/*
 * Words between the consoles on one database: each hears those of the others, in order, none twice; not those that
 * were said while it was not there. A connection of its own (PostgreSQL's LISTEN).
 *
 * Errors:  UNSUPPORTED a file has one console; NET, AUTH as of opening. After an error only close.
 * Threads: one at a time.
 */
struct bdr_ear;
#define BDR_EAR_TEXT 7900 /* of a word, with its terminator: the server takes 8,000 */
bdr_ret bdr_ear_open(struct bdr_db *db, struct bdr_ear **out);
bdr_ret bdr_ear_tell(struct bdr_ear *ear, const char *text);
/* Calls `heard` for each word that is there; waits up to `wait_ms` for the first. */
bdr_ret bdr_ear_hear(struct bdr_ear *ear, uint64_t wait_ms, void (*heard)(void *ctx, const char *text), void *ctx);
void bdr_ear_close(struct bdr_ear *ear);
BDR_AUTO_DEFINE(ear, struct bdr_ear *, bdr_ear_close)

BDR_AUTO_DEFINE(db, struct bdr_db *, bdr_db_close)
BDR_AUTO_DEFINE(tx, struct bdr_tx *, bdr_tx_abandon)
