/* SPDX-License-Identifier: Apache-2.0 */
/* db.c - the connections of a database, transactions over them, and the one place that runs a transaction again. */
#include "db/db.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/sync.h"
#include "db/driver.h"
#include <string.h>

#define DB_CONNECTIONS     8
#define DB_CONNECTIONS_MAX 64
#define DB_WAIT_MS         10000
/* First pause before a transaction runs again; doubled up to the second, and shaken so that two don't meet for ever. */
#define DB_PAUSE_MS 2
/* Changes that may wait for a database that somebody else has locked. Each holds a thread of the server: the others go
 * on reading. */
#define DB_WRITERS      4
#define DB_LOCKED_MS    1000 /* another program has had its lock for so long: more do not wait */
#define DB_SLOW_MS      5000 /* nothing was written for so long, though nobody else has it: a disk that stalls */
#define DB_PAUSE_MAX_MS 200
/* Some 10,000 changes with their audit and events: hours in which a full disk is seen to. */
#define DB_RESERVE (16u << 20)

struct db_conn {
    void *handle; /* NULL: not opened yet, or lost */
    bool taken;
};

struct bdr_db {
    const struct bdr_db_driver *drv;
    struct bdr_db_options options;
    char *where;
    pthread_mutex_t lock; /* guards conns[].taken and handles of those not taken */
    pthread_cond_t freed;
    size_t writing;    /* in bdr_db_run, waiting or not; under lock */
    uint64_t moved_ms; /* when one of them last ended well, or the first came; under lock */
    size_t n;          /* with one_writer conns[0] writes and the others read */
    struct db_conn conns[DB_CONNECTIONS_MAX + 1];
};

struct bdr_tx {
    struct bdr_db *db;
    struct db_conn *conn;
};

static bool db_server(const char *where)
{
    return !strncmp(where, "pg:", 3) || !strncmp(where, "postgres://", 11) || !strncmp(where, "postgresql://", 13);
}

const char *bdr_db_file(const char *where)
{
    const char *path = strncmp(where, "sqlite:", 7) ? where : where + 7;

    return db_server(where) || !*path || strstr(path, ":memory:") ? NULL : path;
}

struct bdr_err *bdr_db_open(const struct bdr_db_options *options, struct bdr_db **out)
{
    BDR_AUTO(db) struct bdr_db *db = calloc(1, sizeof(*db));
    const char *where = options->where;

    BDR_NOMEM_IF_NULL(db);
    pthread_mutex_init(&db->lock, NULL);
    pthread_cond_init(&db->freed, NULL);
    db->drv = db_server(where) ? &bdr_db_pg : &bdr_db_sqlite;
    db->options = *options;
    db->where = strdup(where);
    BDR_NOMEM_IF_NULL(db->where);
    db->options.where = db->where;
    if (!options->wait_ms)
        db->options.wait_ms = DB_WAIT_MS;
    db->n = BDR_MIN(options->connections ? options->connections : DB_CONNECTIONS, DB_CONNECTIONS_MAX);
    if (db->drv->one_writer)
        db->n++;
    /* the first one now, so that a wrong name or password is told at the start */
    BDR_TRY(db->drv->open(&db->options, true, &db->conns[0].handle));
    *out = BDR_STEAL(db);
    return NULL;
}

void bdr_db_close(struct bdr_db *db)
{
    if (!db)
        return;
    for (size_t i = db->n; i-- > 0;) {
        BDR_ASSERT(!db->conns[i].taken);
        db->drv->close(db->conns[i].handle);
    }
    pthread_cond_destroy(&db->freed);
    pthread_mutex_destroy(&db->lock);
    if (db->where)
        bdr_wipe(db->where, strlen(db->where)); /* a connection string may hold a password */
    free(db->where);
    free(db);
}

enum bdr_db_engine bdr_db_engine(const struct bdr_db *db)
{
    return db->drv->engine;
}

enum bdr_db_engine bdr_tx_engine(const struct bdr_tx *tx)
{
    return tx->db->drv->engine;
}

/* An open connection that is not taken goes before one that has yet to be opened. */
static struct db_conn *db_free_conn(struct bdr_db *db, size_t from, size_t to)
{
    struct db_conn *closed = NULL;

    for (size_t i = from; i < to; i++) {
        struct db_conn *c = &db->conns[i];

        if (!c->taken && c->handle)
            return c;
        if (!c->taken && !closed)
            closed = c;
    }
    return closed;
}

static struct bdr_err *db_take(struct bdr_db *db, bool write, struct db_conn **out)
{
    bool one = db->drv->one_writer;
    size_t from = one && !write, to = one && write ? 1 : db->n;
    uint64_t end = bdr_clock_mono_ms() + db->options.wait_ms;
    struct db_conn *c = NULL;
    struct bdr_err *err = NULL;

    pthread_mutex_lock(&db->lock);
    while (!(c = db_free_conn(db, from, to)) && bdr_clock_mono_ms() < end && !bdr_cancelled(db->options.cancel))
        bdr_cond_wait_slice(&db->freed, &db->lock);
    if (c)
        c->taken = true;
    pthread_mutex_unlock(&db->lock);
    if (!c) {
        BDR_TRY(bdr_cancel_check(db->options.cancel));
        BDR_FAIL(BDR_BUSY, 0, "no connection to the database became free within %llu ms",
                 (unsigned long long)db->options.wait_ms);
    }
    if (!c->handle)
        err = db->drv->open(&db->options, !one || write, &c->handle);
    if (err) {
        pthread_mutex_lock(&db->lock);
        c->taken = false;
        pthread_cond_broadcast(&db->freed);
        pthread_mutex_unlock(&db->lock);
        return err;
    }
    *out = c;
    return NULL;
}

static void db_give(struct bdr_db *db, struct db_conn *c)
{
    void *dead = NULL;

    if (!db->drv->alive(c->handle))
        dead = BDR_STEAL(c->handle);
    pthread_mutex_lock(&db->lock);
    c->taken = false;
    /* all: a reader and a writer may wait for different connections */
    pthread_cond_broadcast(&db->freed);
    pthread_mutex_unlock(&db->lock);
    db->drv->close(dead);
}

/* One that was open may have died with its server since: nothing was begun on it, and the next may be a new one. */
static struct bdr_err *tx_take(struct bdr_db *db, enum bdr_tx_kind kind, struct db_conn **out)
{
    for (size_t tries = 0;; tries++) {
        struct bdr_err *err;

        BDR_TRY(db_take(db, kind != BDR_TX_READ, out));
        err = db->drv->begin((*out)->handle, kind);
        if (!err)
            return NULL;
        db_give(db, *out);
        if (err->code != BDR_NET || tries >= db->n)
            return err;
        bdr_err_drop(err, "another connection, then");
    }
}

struct bdr_err *bdr_tx_begin(struct bdr_db *db, enum bdr_tx_kind kind, struct bdr_tx **out)
{
    struct bdr_tx *tx = calloc(1, sizeof(*tx));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(tx);
    tx->db = db;
    err = tx_take(db, kind, &tx->conn);
    if (err) {
        free(tx);
        return err;
    }
    *out = tx;
    return NULL;
}

static void tx_end(struct bdr_tx *tx)
{
    db_give(tx->db, tx->conn);
    free(tx);
}

struct bdr_err *bdr_tx_commit(struct bdr_tx *tx)
{
    struct bdr_err *err = tx->db->drv->commit(tx->conn->handle);

    tx_end(tx);
    return err;
}

void bdr_tx_abandon(struct bdr_tx *tx)
{
    if (!tx)
        return;
    tx->db->drv->rollback(tx->conn->handle);
    tx_end(tx);
}

/* *out_again: nothing was changed, and the same may succeed now. */
static struct bdr_err *db_once(struct bdr_db *db, enum bdr_tx_kind kind,
                               struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), void *ctx, bool *out_again)
{
    struct bdr_tx *tx = NULL;
    struct bdr_err *err = bdr_tx_begin(db, kind, &tx);

    if (!err) {
        err = fn(tx, ctx);
        if (!err) {
            err = bdr_tx_commit(tx);
            /* BUSY: the server refused the commit. NET: it may have committed and died before telling us. */
            *out_again = err && err->code == BDR_BUSY;
            return err;
        }
        bdr_tx_abandon(tx);
    }
    *out_again = err->code == BDR_BUSY || err->code == BDR_NET;
    return err;
}

/* Whether another one that waits now would wait for long. Under lock. */
static bool db_stuck(struct bdr_db *db, uint64_t now)
{
    return now - db->moved_ms >= DB_SLOW_MS || db->drv->locked_ms(db->conns[0].handle) >= DB_LOCKED_MS;
}

/* One more that writes. Waits while others do and get on; BUSY when `alone` and there are others, or none gets on. */
static struct bdr_err *db_enter(struct bdr_db *db, bool alone)
{
    const size_t most = alone ? 1 : DB_WRITERS;
    uint64_t now = bdr_clock_mono_ms();
    const uint64_t end = now + db->options.wait_ms;
    bool room;

    pthread_mutex_lock(&db->lock);
    while (!alone && db->writing >= most && now < end && !db_stuck(db, now) && !bdr_cancelled(db->options.cancel)) {
        bdr_cond_wait_slice(&db->freed, &db->lock);
        now = bdr_clock_mono_ms();
    }
    room = db->writing < most;
    if (room && !db->writing++)
        db->moved_ms = now;
    pthread_mutex_unlock(&db->lock);
    if (room)
        return NULL;
    BDR_TRY(bdr_cancel_check(db->options.cancel));
    BDR_FAIL(BDR_BUSY, 0, "the database is locked, and %u changes wait for it already", DB_WRITERS);
}

static void db_leave(struct bdr_db *db, bool moved)
{
    pthread_mutex_lock(&db->lock);
    db->writing--;
    if (moved)
        db->moved_ms = bdr_clock_mono_ms();
    pthread_cond_broadcast(&db->freed);
    pthread_mutex_unlock(&db->lock);
}

static struct bdr_err *db_run(struct bdr_db *db, enum bdr_tx_kind kind,
                              struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), void *ctx)
{
    uint64_t end = bdr_clock_mono_ms() + db->options.wait_ms, pause = DB_PAUSE_MS;

    for (;;) {
        uint8_t shake = 0;
        bool again = false;
        struct bdr_err *err = db_once(db, kind, fn, ctx, &again);

        if (!err || !again || bdr_clock_mono_ms() + pause >= end || bdr_cancelled(db->options.cancel))
            return err;
        bdr_err_drop(err, "the transaction left nothing behind and runs again");
        bdr_err_drop(bdr_os_random(&shake, 1), "a pause that is not shaken will do");
        BDR_TRY(bdr_cancel_sleep(db->options.cancel, pause / 2 + pause * shake / 256));
        pause = BDR_MIN(pause * 2, DB_PAUSE_MAX_MS);
    }
}

static struct bdr_err *db_run_counted(struct bdr_db *db, enum bdr_tx_kind kind,
                                      struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), void *ctx, bool alone)
{
    struct bdr_err *err;

    BDR_TRY(db_enter(db, alone));
    err = db_run(db, kind, fn, ctx);
    db_leave(db, !err || err->code != BDR_BUSY);
    return err;
}

struct bdr_err *bdr_db_run(struct bdr_db *db, enum bdr_tx_kind kind,
                           struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), void *ctx)
{
    if (kind == BDR_TX_READ || !db->drv->one_writer)
        return db_run(db, kind, fn, ctx);
    return db_run_counted(db, kind, fn, ctx, false);
}

struct bdr_err *bdr_db_spare(struct bdr_db *db, struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), void *ctx)
{
    struct bdr_err *err =
        db->drv->one_writer ? db_run_counted(db, BDR_TX_BEAT, fn, ctx, true) : db_run(db, BDR_TX_BEAT, fn, ctx);

    if (err && (err->code == BDR_BUSY || err->code == BDR_NOSPACE)) {
        bdr_err_drop(err, "it can be done without");
        return NULL;
    }
    return err;
}

struct bdr_err *bdr_db_reserve(struct bdr_db *db)
{
    struct db_conn *conn = NULL;
    struct bdr_err *err;

    if (!db->drv->reserve)
        return NULL;
    err = db_enter(db, true);
    if (!err) {
        err = db_take(db, true, &conn);
        if (!err) {
            err = db->drv->reserve(conn->handle, DB_RESERVE);
            db_give(db, conn);
        }
        db_leave(db, !err);
    }
    if (err && (err->code == BDR_BUSY || err->code == BDR_NOSPACE)) {
        bdr_err_drop(err, "the next time will do");
        return NULL;
    }
    return err;
}

struct bdr_err *bdr_tx_exec(struct bdr_tx *tx, const struct bdr_stmt *st, const struct bdr_val *v, int64_t *out_changed)
{
    return tx->db->drv->run(tx->conn->handle, st, v, NULL, out_changed);
}

struct bdr_err *bdr_tx_rows(struct bdr_tx *tx, const struct bdr_stmt *st, const struct bdr_val *v,
                            enum bdr_rows_wanted wanted, void **out, size_t *out_n)
{
    BDR_AUTO(rows) struct bdr_rows rows = {.st = st};

    BDR_TRY(tx->db->drv->run(tx->conn->handle, st, v, &rows, NULL));
    if (wanted == BDR_ROWS_ONE && !rows.n)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no such row (%s)", st->name);
    if (wanted != BDR_ROWS_MANY && rows.n > 1)
        BDR_FAIL(BDR_INTERNAL, 0, "statement %s returns %zu rows instead of one", st->name, rows.n);
    return bdr_rows_finish(&rows, out, out_n);
}

struct bdr_err *bdr_tx_number(struct bdr_tx *tx, const struct bdr_stmt *st, const struct bdr_val *v, int64_t *out,
                              bool *out_found)
{
    BDR_AUTO(mem) void *row = NULL;

    BDR_TRY(bdr_tx_rows(tx, st, v, out_found ? BDR_ROWS_MAYBE : BDR_ROWS_ONE, &row, NULL));
    if (out_found)
        *out_found = row != NULL;
    if (row)
        *out = *(int64_t *)row;
    return NULL;
}

struct bdr_err *bdr_tx_script(struct bdr_tx *tx, const char *sql)
{
    return tx->db->drv->script(tx->conn->handle, sql);
}

struct bdr_err *bdr_db_check_statements(struct bdr_db *db)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    BDR_TRY(bdr_tx_begin(db, BDR_TX_LOCK, &tx));
    for (size_t i = 0; i < bdr_stmt_count; i++)
        BDR_TRY(db->drv->check(tx->conn->handle, &bdr_stmts[i]));
    return NULL;
}

/* ---- words between consoles ---- */

struct bdr_ear {
    const struct bdr_db_driver *drv;
    void *handle; /* owned */
};

void bdr_ear_close(struct bdr_ear *ear)
{
    if (!ear)
        return;
    ear->drv->close(ear->handle);
    free(ear);
}

struct bdr_err *bdr_ear_open(struct bdr_db *db, struct bdr_ear **out)
{
    BDR_AUTO(ear) struct bdr_ear *ear = NULL;

    if (!db->drv->listen)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "a database that is a file has one console");
    ear = calloc(1, sizeof(*ear));
    BDR_NOMEM_IF_NULL(ear);
    ear->drv = db->drv;
    BDR_TRY(db->drv->open(&db->options, true, &ear->handle));
    BDR_TRY(db->drv->listen(ear->handle));
    *out = BDR_STEAL(ear);
    return NULL;
}

struct bdr_err *bdr_ear_tell(struct bdr_ear *ear, const char *text)
{
    return ear->drv->tell(ear->handle, text);
}

struct bdr_err *bdr_ear_hear(struct bdr_ear *ear, uint64_t wait_ms, void (*heard)(void *ctx, const char *text),
                             void *ctx)
{
    return ear->drv->hear(ear->handle, wait_ms, heard, ctx);
}
