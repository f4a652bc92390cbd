/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg.c - the engine of a console that several machines run: PostgreSQL 13 and newer through libpq.
 *
 * Parameters and results travel in binary, each parameter with its type, so that the server never guesses.
 * Source: https://www.postgresql.org/docs/15/libpq.html, .../errcodes-appendix.html, .../transaction-iso.html
 */
#include "db/driver.h"
#include <endian.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* From PostgreSQL's pg_type.dat; fixed for ever. */
#define PG_OID_BOOL    16
#define PG_OID_BYTEA   17
#define PG_OID_INT8    20
#define PG_OID_INT2    21
#define PG_OID_INT4    23
#define PG_OID_TEXT    25
#define PG_OID_VARCHAR 1043

#define PG_PARAMS_MAX 64

struct pg_conn {
    PGconn *pq;
    bool lost;      /* libpq noticed, or the server said goodbye */
    bool *prepared; /* by place in bdr_stmts */
    char where[160];
};

static enum bdr_code pg_code(const char *state)
{
    static const struct {
        const char *state; /* or the beginning of one: a class */
        enum bdr_code code;
    } codes[] = {
        {"40001", BDR_BUSY},     {"40P01", BDR_BUSY},     {"55P03", BDR_BUSY},     {"53300", BDR_BUSY},
        {"23505", BDR_EXISTS},   {"23503", BDR_CONFLICT}, {"23001", BDR_CONFLICT}, {"P0001", BDR_CONFLICT},
        {"23", BDR_INVAL},       {"22", BDR_INVAL},       {"53100", BDR_NOSPACE},  {"53200", BDR_NOMEM},
        {"57014", BDR_TIMEOUT},  {"57P", BDR_NET},        {"08", BDR_NET},         {"28", BDR_AUTH},
        {"3D000", BDR_NOTFOUND}, {"25006", BDR_READONLY}, {"42501", BDR_DENIED},   {"58", BDR_IO},
        {"XX001", BDR_CORRUPT},  {"XX002", BDR_CORRUPT},
    };

    for (size_t i = 0; state && i < BDR_COUNT(codes); i++)
        if (!strncmp(state, codes[i].state, strlen(codes[i].state)))
            return codes[i].code;
    return BDR_INTERNAL;
}

/* The first line of what libpq says, without its newline. */
static void pg_line(const char *text, char *out, size_t n)
{
    snprintf(out, n, "%.*s", (int)strcspn(text ? text : "", "\n"), text ? text : "");
}

static struct bdr_err *pg_fail(struct pg_conn *c, const PGresult *res, const char *doing, const char *what)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    enum bdr_code code = state ? pg_code(state) : BDR_INTERNAL;
    char line[300];

    pg_line(primary ? primary : PQerrorMessage(c->pq), line, sizeof(line));
    if (PQstatus(c->pq) == CONNECTION_BAD || code == BDR_NET) {
        c->lost = true;
        BDR_FAIL(BDR_NET, 0, "%s%s: the PostgreSQL server %s is gone: %s", doing, what, c->where, line);
    }
    BDR_FAIL(code, 0, "%s%s on PostgreSQL %s: %s%s%s", doing, what, c->where, line, state ? ", SQLSTATE " : "",
             state ? state : "");
}

static struct bdr_err *pg_simple(struct pg_conn *c, const char *sql, const char *doing)
{
    PGresult *res = PQexec(c->pq, sql);
    struct bdr_err *err = NULL;
    ExecStatusType st = PQresultStatus(res);

    if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK && st != PGRES_EMPTY_QUERY)
        err = pg_fail(c, res, doing, "");
    PQclear(res);
    return err;
}

static void pg_close(void *conn)
{
    struct pg_conn *c = conn;

    if (!c)
        return;
    PQfinish(c->pq);
    free(c->prepared);
    free(c);
}
BDR_AUTO_DEFINE(pg, struct pg_conn *, pg_close)

static void pg_quiet(void *ctx, const PGresult *res)
{
    (void)ctx;
    (void)res; /* notices are for people at a prompt */
}

static struct bdr_err *pg_open(const struct bdr_db_options *options, bool writer, void **out)
{
    BDR_AUTO(pg) struct pg_conn *c = calloc(1, sizeof(*c));
    const char *where = strncmp(options->where, "pg:", 3) ? options->where : options->where + 3;
    const char *keys[] = {"dbname", "application_name", "connect_timeout", "client_encoding", "tcp_user_timeout", NULL};
    const char *values[] = {where, "bdr-console", "10", "UTF8", "20000", NULL};
    char sql[256], line[300];

    (void)writer;
    BDR_NOMEM_IF_NULL(c);
    c->prepared = calloc(bdr_stmt_count, sizeof(*c->prepared));
    BDR_NOMEM_IF_NULL(c->prepared);
    c->pq = PQconnectdbParams(keys, values, 1);
    BDR_NOMEM_IF_NULL(c->pq);
    /* never the string we were given: it may hold a password */
    snprintf(c->where, sizeof(c->where), "%s/%s", PQhost(c->pq) ? PQhost(c->pq) : "?", PQdb(c->pq) ? PQdb(c->pq) : "?");
    if (PQstatus(c->pq) != CONNECTION_OK) {
        bool password = PQconnectionNeedsPassword(c->pq);

        pg_line(PQerrorMessage(c->pq), line, sizeof(line));
        if (password || strstr(line, "authentication failed"))
            BDR_FAIL(BDR_AUTH, 0, "connecting to PostgreSQL %s: %s", c->where, line);
        if (strstr(line, "does not exist"))
            BDR_FAIL(BDR_NOTFOUND, 0, "connecting to PostgreSQL %s: %s", c->where, line);
        if (strstr(line, "invalid connection option") || strstr(line, "missing \"=\""))
            BDR_FAIL(BDR_INVAL, 0, "the connection string of PostgreSQL: %s", line);
        BDR_FAIL(BDR_NET, 0, "connecting to PostgreSQL %s: %s", c->where, line);
    }
    PQsetNoticeReceiver(c->pq, pg_quiet, NULL);
    snprintf(sql, sizeof(sql),
             "SET statement_timeout=%llu; SET lock_timeout=%llu; SET idle_in_transaction_session_timeout=60000;"
             "SET standard_conforming_strings=on",
             (unsigned long long)options->wait_ms * 3, (unsigned long long)options->wait_ms);
    BDR_TRY(pg_simple(c, sql, "setting up a connection"));
    *out = BDR_STEAL(c);
    return NULL;
}

static bool pg_alive(void *conn)
{
    struct pg_conn *c = conn;

    return !c->lost && PQstatus(c->pq) == CONNECTION_OK;
}

static struct bdr_err *pg_begin(void *conn, enum bdr_tx_kind kind)
{
    static const char *const sql[] = {
        [BDR_TX_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        [BDR_TX_WRITE] = "BEGIN ISOLATION LEVEL SERIALIZABLE",
        [BDR_TX_LOCK] = "BEGIN ISOLATION LEVEL READ COMMITTED",
        [BDR_TX_BEAT] = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit=off",
    };

    return pg_simple(conn, sql[kind], "beginning a transaction");
}

static void pg_rollback(void *conn)
{
    struct pg_conn *c = conn;

    if (pg_alive(c) && PQtransactionStatus(c->pq) != PQTRANS_IDLE) {
        PQclear(PQexec(c->pq, "ROLLBACK"));
        if (PQtransactionStatus(c->pq) != PQTRANS_IDLE)
            c->lost = true; /* a connection that we do not understand is not used again */
    }
}

static struct bdr_err *pg_commit(void *conn)
{
    struct pg_conn *c = conn;
    struct bdr_err *err;

    /* after a failed statement the server answers COMMIT with ROLLBACK, and calls that a success */
    if (PQtransactionStatus(c->pq) == PQTRANS_INERROR) {
        pg_rollback(c);
        BDR_FAIL(BDR_INTERNAL, 0, "committing a transaction in which a statement failed");
    }
    err = pg_simple(c, "COMMIT", "committing");
    if (err)
        pg_rollback(c);
    return err;
}

static Oid pg_oid(enum bdr_type type)
{
    return type == BDR_T_TEXT ? PG_OID_TEXT : type == BDR_T_BLOB ? PG_OID_BYTEA : PG_OID_INT8;
}

static struct bdr_err *pg_prepared(struct pg_conn *c, const struct bdr_stmt *st)
{
    Oid types[PG_PARAMS_MAX];
    struct bdr_err *err = NULL;
    PGresult *res;

    if (c->prepared[st - bdr_stmts])
        return NULL;
    BDR_ASSERT(st->n_params <= PG_PARAMS_MAX);
    for (size_t i = 0; i < st->n_params; i++)
        types[i] = pg_oid(st->params[i]);
    res = PQprepare(c->pq, st->name, st->sql[BDR_DB_PG], (int)st->n_params, types);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        err = pg_fail(c, res, "preparing statement ", st->name);
    PQclear(res);
    c->prepared[st - bdr_stmts] = !err;
    return err;
}

static struct bdr_err *pg_field(const PGresult *res, int row, int i, struct bdr_rows *rows)
{
    const uint8_t *p = (const uint8_t *)PQgetvalue(res, row, i);
    size_t len = (size_t)PQgetlength(res, row, i);
    uint64_t v = 0;

    if (PQgetisnull(res, row, i))
        return bdr_rows_null(rows);
    switch (PQftype(res, i)) {
    case PG_OID_BOOL:
    case PG_OID_INT2:
    case PG_OID_INT4:
    case PG_OID_INT8:
        for (size_t k = 0; k < len; k++)
            v = v << 8 | p[k];
        if (len < 8 && p[0] & 0x80) /* sign */
            v |= UINT64_MAX << (8 * len);
        return bdr_rows_i64(rows, (int64_t)v);
    default:
        return bdr_rows_bytes(rows, p, len);
    }
}

static struct bdr_err *pg_results(struct pg_conn *c, const struct bdr_stmt *st, const PGresult *res,
                                  struct bdr_rows *rows, int64_t *out_changed)
{
    ExecStatusType status = PQresultStatus(res);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        return pg_fail(c, res, "statement ", st->name);
    for (int r = 0; rows && r < PQntuples(res); r++) {
        BDR_TRY(bdr_rows_row(rows));
        for (int i = 0; i < PQnfields(res); i++)
            BDR_TRY(pg_field(res, r, i, rows));
    }
    if (out_changed) {
        const char *n = PQcmdTuples((PGresult *)(uintptr_t)res); /* not const in libpq's header, but it is */

        *out_changed = strtoll(n, NULL, 10);
    }
    return NULL;
}

static struct bdr_err *pg_run(void *conn, const struct bdr_stmt *st, const struct bdr_val *v, struct bdr_rows *rows,
                              int64_t *out_changed)
{
    struct pg_conn *c = conn;
    const char *values[PG_PARAMS_MAX];
    uint64_t numbers[PG_PARAMS_MAX];
    int lens[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
    struct bdr_err *err;
    PGresult *res;

    BDR_TRY(pg_prepared(c, st));
    for (size_t i = 0; i < st->n_params; i++) {
        formats[i] = v[i].type != BDR_T_TEXT;
        lens[i] = (int)v[i].len;
        values[i] = v[i].null ? NULL : v[i].data;
        if (!v[i].null && (v[i].type == BDR_T_I64 || v[i].type == BDR_T_BOOL)) {
            numbers[i] = htobe64((uint64_t)v[i].i64);
            values[i] = (const char *)&numbers[i];
            lens[i] = 8;
        }
    }
    res = PQexecPrepared(c->pq, st->name, (int)st->n_params, values, lens, formats, 1);
    err = pg_results(c, st, res, rows, out_changed);
    PQclear(res);
    return err;
}

static struct bdr_err *pg_script(void *conn, const char *sql)
{
    return pg_simple(conn, sql, "running a script");
}

static bool pg_fits(Oid oid, enum bdr_type type)
{
    switch (type) {
    case BDR_T_TEXT:
        return oid == PG_OID_TEXT || oid == PG_OID_VARCHAR;
    case BDR_T_BLOB:
        return oid == PG_OID_BYTEA;
    case BDR_T_BOOL:
        return oid == PG_OID_INT8 || oid == PG_OID_INT4 || oid == PG_OID_BOOL;
    default: /* not numeric, which sum() of bigints is: CAST(sum(x) AS BIGINT) */
        return oid == PG_OID_INT8 || oid == PG_OID_INT4 || oid == PG_OID_INT2;
    }
}

static struct bdr_err *pg_check(void *conn, const struct bdr_stmt *st)
{
    struct pg_conn *c = conn;
    struct bdr_err *err = NULL;
    PGresult *res;

    BDR_TRY(pg_prepared(c, st));
    res = PQdescribePrepared(c->pq, st->name);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        err = pg_fail(c, res, "describing statement ", st->name);
    else if ((size_t)PQnfields(res) != st->n_columns)
        err = bdr_err_new(BDR_INTERNAL, 0, BDR_AT, "statement %s returns %d columns, not %zu", st->name, PQnfields(res),
                          st->n_columns);
    for (size_t i = 0; !err && i < st->n_columns; i++)
        if (!pg_fits(PQftype(res, (int)i), st->columns[i].type))
            err = bdr_err_new(BDR_INTERNAL, 0, BDR_AT, "statement %s: column %s is of type %u", st->name,
                              st->columns[i].name, (unsigned)PQftype(res, (int)i));
    PQclear(res);
    return err;
}

/* ---- words between consoles ---- */

/* A schema each is a database each: tests have many in one. */
static struct bdr_err *pg_listen(void *conn)
{
    struct pg_conn *c = conn;
    PGresult *res = PQexec(c->pq, "SELECT format('LISTEN %I', 'bdr ' || current_schema())");
    struct bdr_err *err = PQresultStatus(res) == PGRES_TUPLES_OK ? NULL : pg_fail(c, res, "asking for the schema", "");

    if (!err)
        err = pg_simple(c, PQgetvalue(res, 0, 0), "listening");
    PQclear(res);
    return err;
}

static struct bdr_err *pg_tell(void *conn, const char *text)
{
    struct pg_conn *c = conn;
    const char *values[] = {text};
    PGresult *res =
        PQexecParams(c->pq, "SELECT pg_notify('bdr ' || current_schema(), $1::text)", 1, NULL, values, NULL, NULL, 0);
    struct bdr_err *err = PQresultStatus(res) == PGRES_TUPLES_OK ? NULL : pg_fail(c, res, "telling other consoles", "");

    PQclear(res);
    return err;
}

static struct bdr_err *pg_hear(void *conn, uint64_t wait_ms, void (*heard)(void *ctx, const char *text), void *ctx)
{
    struct pg_conn *c = conn;
    struct pollfd p = {.fd = PQsocket(c->pq), .events = POLLIN};
    PGnotify *n = PQnotifies(c->pq);

    if (!n && poll(&p, 1, (int)BDR_MIN(wait_ms, (uint64_t)60000)) < 0 && errno != EINTR)
        BDR_FAIL_ERRNO("waiting for other consoles");
    if (!PQconsumeInput(c->pq) || !pg_alive(c)) {
        PQfreemem(n);
        return pg_fail(c, NULL, "hearing other consoles", "");
    }
    for (n = n ? n : PQnotifies(c->pq); n; n = PQnotifies(c->pq)) {
        if (n->be_pid != PQbackendPID(c->pq))
            heard(ctx, n->extra);
        PQfreemem(n);
    }
    return NULL;
}

const struct bdr_db_driver bdr_db_pg = {
    .engine = BDR_DB_PG,
    .one_writer = false,
    .open = pg_open,
    .close = pg_close,
    .alive = pg_alive,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .run = pg_run,
    .script = pg_script,
    .check = pg_check,
    .listen = pg_listen,
    .tell = pg_tell,
    .hear = pg_hear,
};
