/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite.c - the engine of a console that needs no other server: one file, one writer, many readers (WAL).
 *
 * Cannot: let two consoles on two machines share the file (WAL needs shared memory); that is what PostgreSQL is for.
 * Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/rescode.html
 */
#include "bdr/clock.h"
#include "db/driver.h"
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* 4 MiB of page cache a connection: with nine of them 36 MiB of the console's 300. */
#define LITE_CACHE "-4096"
/* A WAL file that grew in a rush is cut back to this at the next checkpoint. */
#define LITE_WAL_BYTES "67108864"

/* The reserve is written in rows of this; the log's file is no shorter than one from then on. */
#define LITE_CHUNK (8u << 20)
/* A reserve is made while the disk has this many times as much left. */
#define LITE_ROOMY 8

struct lite_conn {
    sqlite3 *db;
    const char *where;
    const struct bdr_cancel *cancel;
    uint64_t wait_ms, wait_end_ms;         /* the end of the wait that goes on now */
    atomic_uint_least64_t locked_since_ms; /* when that wait began; 0: there is none */
    bool writer, may_lose;                 /* may_lose: synchronous is NORMAL */
    sqlite3_stmt **stmts;                  /* by place in bdr_stmts; prepared when first used */
};

static enum bdr_code lite_code(int rc)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return BDR_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
    case SQLITE_CONSTRAINT_TRIGGER:
        return BDR_CONFLICT;
    default:
        break;
    }
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return BDR_BUSY;
    case SQLITE_FULL:
        return BDR_NOSPACE;
    case SQLITE_READONLY:
        return BDR_READONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return BDR_CORRUPT;
    case SQLITE_NOMEM:
        return BDR_NOMEM;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return BDR_DENIED;
    case SQLITE_INTERRUPT:
        return BDR_CANCELLED;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return BDR_INVAL;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return BDR_IO;
    default:
        return BDR_INTERNAL;
    }
}

static struct bdr_err *lite_fail(struct lite_conn *c, const char *doing, const char *what)
{
    int rc = sqlite3_extended_errcode(c->db), sys = sqlite3_system_errno(c->db);
    enum bdr_code code = lite_code(rc);

    if (code == BDR_BUSY)
        BDR_FAIL(BDR_BUSY, 0, "%s%s: %s is locked by another process", doing, what, c->where);
    if (code == BDR_IO && sys)
        BDR_FAIL(bdr_code_of_errno(sys), sys, "%s%s in %s: %s", doing, what, c->where, sqlite3_errmsg(c->db));
    BDR_FAIL(code, 0, "%s%s in %s: %s", doing, what, c->where, sqlite3_errmsg(c->db));
}

static struct bdr_err *lite_exec(struct lite_conn *c, const char *sql)
{
    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return lite_fail(c, "running ", sql);
    return NULL;
}

/* Called while another process holds the lock; 0 gives up. */
static int lite_wait(void *ctx, int tries)
{
    static const uint64_t steps_ms[] = {1, 2, 4, 8, 15, 25};
    struct lite_conn *c = ctx;
    uint64_t now = bdr_clock_mono_ms(), ms = steps_ms[BDR_MIN((size_t)tries, BDR_COUNT(steps_ms) - 1)];
    struct bdr_err *err;
    bool stop;

    if (!tries) {
        c->wait_end_ms = now + c->wait_ms;
        atomic_store(&c->locked_since_ms, now);
    }
    if (now >= c->wait_end_ms)
        return 0;
    err = bdr_cancel_sleep(c->cancel, BDR_MIN(ms, c->wait_end_ms - now));
    stop = err != NULL;
    bdr_err_drop(err, "the statement says BUSY, and the caller looks at its token");
    return !stop;
}

static void lite_close(void *conn)
{
    struct lite_conn *c = conn;

    if (!c)
        return;
    for (size_t i = 0; c->stmts && i < bdr_stmt_count; i++)
        sqlite3_finalize(c->stmts[i]);
    /* the last one to close would cut the log to nothing, and a full disk has no room for a new one */
    if (c->db)
        sqlite3_exec(c->db, "PRAGMA journal_size_limit=-1", NULL, NULL, NULL);
    sqlite3_close(c->db);
    free(c->stmts);
    free(c);
}
BDR_AUTO_DEFINE(lite, struct lite_conn *, lite_close)

/*
 * Makes the file, so that it is nobody else's from its first byte; -wal and -shm get the same mode from SQLite.
 *
 * One that is there is not opened: closing it would end all locks that other connections of this process hold on it
 * (fcntl(2), POSIX locks), and a backup program that comes and goes would then take the log away from under us.
 */
static struct bdr_err *lite_file(const char *path)
{
    BDR_AUTO(fd) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0 && errno != EEXIST)
        BDR_FAIL_ERRNO("opening the database %s", path);
    if (fd < 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        BDR_FAIL(BDR_INVAL, EISDIR, "opening the database %s: it is a folder", path);
    if (fd < 0 && access(path, R_OK | W_OK) != 0)
        BDR_FAIL_ERRNO("opening the database %s", path);
    return NULL;
}

static struct bdr_err *lite_open(const struct bdr_db_options *options, bool writer, void **out)
{
    BDR_AUTO(lite) struct lite_conn *c = calloc(1, sizeof(*c));
    const char *path = bdr_db_file(options->where);

    BDR_NOMEM_IF_NULL(c);
    if (!path)
        BDR_FAIL(BDR_INVAL, 0, "'%s' is no file; the console's database has to outlive it", options->where);
    c->where = path;
    c->cancel = options->cancel;
    c->wait_ms = options->wait_ms;
    c->writer = writer;
    c->stmts = calloc(bdr_stmt_count, sizeof(*c->stmts));
    BDR_NOMEM_IF_NULL(c->stmts);
    BDR_TRY(lite_file(path));
    /* NOMUTEX: a connection belongs to one thread at a time */
    if (sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL) !=
        SQLITE_OK) {
        if (!c->db)
            BDR_FAIL(BDR_NOMEM, 0, "opening the database %s", path);
        return lite_fail(c, "opening the database ", path);
    }
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_handler(c->db, lite_wait, c);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_file_control(c->db, "main", SQLITE_FCNTL_PERSIST_WAL, &(int){1});
    BDR_TRY(lite_exec(c, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                         "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY; PRAGMA cache_size=" LITE_CACHE ";"
                         "PRAGMA journal_size_limit=" LITE_WAL_BYTES));
    if (!writer)
        BDR_TRY(lite_exec(c, "PRAGMA query_only=ON"));
    *out = BDR_STEAL(c);
    return NULL;
}

static bool lite_alive(void *conn)
{
    (void)conn;
    return true; /* a file does not hang up */
}

static struct bdr_err *lite_begin(void *conn, enum bdr_tx_kind kind)
{
    struct lite_conn *c = conn;
    bool may_lose = kind == BDR_TX_BEAT;
    struct bdr_err *err;

    if (c->writer && may_lose != c->may_lose) {
        /* NORMAL syncs at checkpoints only: a power cut may undo the newest transactions, and damages nothing */
        BDR_TRY(lite_exec(c, may_lose ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL"));
        c->may_lose = may_lose;
    }
    /* IMMEDIATE: to wait for the lock here, and never find it taken in the middle */
    err = lite_exec(c, kind == BDR_TX_READ ? "BEGIN" : "BEGIN IMMEDIATE");
    atomic_store(&c->locked_since_ms, 0);
    return err;
}

static uint64_t lite_locked_ms(void *conn)
{
    struct lite_conn *c = conn;
    uint64_t since = c ? atomic_load(&c->locked_since_ms) : 0;

    return since ? bdr_clock_mono_ms() - since : 0;
}

static void lite_rollback(void *conn)
{
    struct lite_conn *c = conn;

    /* SQLite has already rolled back after some errors; then there is nothing to do */
    if (!sqlite3_get_autocommit(c->db))
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

static struct bdr_err *lite_commit(void *conn)
{
    struct bdr_err *err = lite_exec(conn, "COMMIT");

    if (err)
        lite_rollback(conn);
    return err;
}

static struct bdr_err *lite_prepared(struct lite_conn *c, const struct bdr_stmt *st, sqlite3_stmt **out)
{
    sqlite3_stmt **at = &c->stmts[st - bdr_stmts];

    if (!*at && sqlite3_prepare_v3(c->db, st->sql[BDR_DB_SQLITE], -1, SQLITE_PREPARE_PERSISTENT, at, NULL) != SQLITE_OK)
        return lite_fail(c, "preparing statement ", st->name);
    *out = *at;
    return NULL;
}

static int lite_bind(sqlite3_stmt *s, int i, const struct bdr_val *v)
{
    if (v->null)
        return sqlite3_bind_null(s, i);
    switch (v->type) {
    case BDR_T_TEXT:
        return sqlite3_bind_text(s, i, v->data, -1, SQLITE_STATIC);
    case BDR_T_BLOB:
        return sqlite3_bind_blob64(s, i, v->data, v->len, SQLITE_STATIC);
    default:
        return sqlite3_bind_int64(s, i, v->i64);
    }
}

static struct bdr_err *lite_row(sqlite3_stmt *s, struct bdr_rows *rows)
{
    BDR_TRY(bdr_rows_row(rows));
    for (int i = 0; i < sqlite3_column_count(s); i++)
        switch (sqlite3_column_type(s, i)) {
        case SQLITE_NULL:
            BDR_TRY(bdr_rows_null(rows));
            break;
        case SQLITE_INTEGER:
            BDR_TRY(bdr_rows_i64(rows, sqlite3_column_int64(s, i)));
            break;
        default:
            BDR_TRY(bdr_rows_bytes(rows, sqlite3_column_blob(s, i), (size_t)sqlite3_column_bytes(s, i)));
        }
    return NULL;
}

static struct bdr_err *lite_run(void *conn, const struct bdr_stmt *st, const struct bdr_val *v, struct bdr_rows *rows,
                                int64_t *out_changed)
{
    struct lite_conn *c = conn;
    struct bdr_err *err = NULL;
    sqlite3_stmt *s = NULL;
    int rc = SQLITE_OK;

    BDR_TRY(lite_prepared(c, st, &s));
    for (size_t i = 0; i < st->n_params && rc == SQLITE_OK; i++)
        rc = lite_bind(s, (int)i + 1, &v[i]);
    if (rc == SQLITE_OK)
        while (!err && (rc = sqlite3_step(s)) == SQLITE_ROW)
            if (rows)
                err = lite_row(s, rows);
    if (!err && rc != SQLITE_DONE)
        err = lite_fail(c, "statement ", st->name);
    if (!err && out_changed)
        *out_changed = sqlite3_changes64(c->db);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return err;
}

static struct bdr_err *lite_script(void *conn, const char *sql)
{
    struct lite_conn *c = conn;

    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return lite_fail(c, "running a script", "");
    return NULL;
}

static struct bdr_err *lite_check(void *conn, const struct bdr_stmt *st)
{
    sqlite3_stmt *s = NULL;

    BDR_TRY(lite_prepared(conn, st, &s));
    if ((size_t)sqlite3_bind_parameter_count(s) != st->n_params)
        BDR_FAIL(BDR_INTERNAL, 0, "statement %s has %d parameters, not %zu", st->name, sqlite3_bind_parameter_count(s),
                 st->n_params);
    if ((size_t)sqlite3_column_count(s) != st->n_columns)
        BDR_FAIL(BDR_INTERNAL, 0, "statement %s returns %d columns, not %zu", st->name, sqlite3_column_count(s),
                 st->n_columns);
    for (size_t i = 0; i < st->n_columns; i++) {
        const char *name = sqlite3_column_name(s, (int)i);

        if (st->row_bytes != sizeof(int64_t) && (!name || strcmp(name, st->columns[i].name) != 0))
            BDR_FAIL(BDR_INTERNAL, 0, "statement %s: column %zu is %s, not %s", st->name, i + 1, name ? name : "?",
                     st->columns[i].name);
    }
    return NULL;
}

/* ---- the reserve ---- */

static struct bdr_err *lite_number(struct lite_conn *c, const char *sql, uint64_t *out)
{
    sqlite3_stmt *s = NULL;

    if (sqlite3_prepare_v2(c->db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW) {
        sqlite3_finalize(s);
        return lite_fail(c, "running ", sql);
    }
    *out = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return NULL;
}

static struct bdr_err *lite_alone(struct lite_conn *c, const char *sql)
{
    struct bdr_err *err;

    BDR_TRY(lite_begin(c, BDR_TX_BEAT));
    err = lite_exec(c, sql);
    if (!err)
        return lite_commit(c);
    lite_rollback(c);
    return err;
}

/*
 * Free pages inside the file, and a log that is already long: what is written while the disk is full goes there.
 * https://www.sqlite.org/fileformat2.html#the_freelist, https://www.sqlite.org/wal.html#the_wal_file
 */
static struct bdr_err *lite_reserve(void *conn, uint64_t bytes)
{
    struct lite_conn *c = conn;
    uint64_t pages = 0, page_bytes = 0;
    struct statvfs vfs;
    char add[96];

    BDR_TRY(lite_number(c, "PRAGMA page_size", &page_bytes));
    BDR_TRY(lite_number(c, "PRAGMA freelist_count", &pages));
    if (pages * page_bytes >= bytes / 2)
        return NULL;
    if (statvfs(c->where, &vfs) != 0)
        BDR_FAIL_ERRNO("asking for the space of %s", c->where);
    if ((uint64_t)vfs.f_bavail * vfs.f_frsize < LITE_ROOMY * bytes)
        return NULL;
    snprintf(add, sizeof(add), "INSERT INTO reserve VALUES (zeroblob(%u))", LITE_CHUNK);
    BDR_TRY(lite_alone(c, "CREATE TABLE IF NOT EXISTS reserve (zero BLOB)"));
    for (uint64_t at = 0; at < bytes; at += LITE_CHUNK)
        BDR_TRY(lite_alone(c, add));
    return lite_alone(c, "DELETE FROM reserve"); /* also what a console that died here left */
}

const struct bdr_db_driver bdr_db_sqlite = {
    .engine = BDR_DB_SQLITE,
    .one_writer = true,
    .locked_ms = lite_locked_ms,
    .open = lite_open,
    .close = lite_close,
    .alive = lite_alive,
    .begin = lite_begin,
    .commit = lite_commit,
    .rollback = lite_rollback,
    .run = lite_run,
    .script = lite_script,
    .reserve = lite_reserve,
    .check = lite_check,
};
