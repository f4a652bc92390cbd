/* SPDX-License-Identifier: Apache-2.0 */
/*
 * migrate.c - brings the tables up to this program: numbered migrations, forward only, each in its own transaction.
 *
 * What was applied is remembered with the SHA-256 of its source, so that a database made from another text is refused
 * rather than half understood.
 */
#include "bdr/clock.h"
#include "db/statements.h"
#include "db/stmt.h"
#include <string.h>

/* The number is ours alone: "OpenBDR" in ASCII. Several consoles that start at once queue here. */
static const char migrate_pg_lock[] = "SELECT pg_advisory_xact_lock(22360104103986258)";

static const char *const migrate_table[] = {
    [BDR_DB_SQLITE] = "CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                      " sha256 TEXT NOT NULL, applied_ms INTEGER NOT NULL) STRICT",
    [BDR_DB_PG] = "CREATE TABLE IF NOT EXISTS schema_migration (number BIGINT PRIMARY KEY, name TEXT NOT NULL,"
                  " sha256 TEXT NOT NULL, applied_ms BIGINT NOT NULL)",
};

/* The known part has to be ours, text for text, and nothing beyond it may be there. */
static struct bdr_err *migrate_compare(const struct bdr_row_migration *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i >= bdr_migration_count)
            BDR_FAIL(BDR_VERSION, 0, "the database was brought to version %lld by a newer program; this one knows %zu",
                     (long long)row[n - 1].number, bdr_migration_count);
        if (row[i].number != (int64_t)bdr_migrations[i].number || strcmp(row[i].sha256, bdr_migrations[i].sha256) != 0)
            BDR_FAIL(BDR_CORRUPT, 0, "migration %lld (%s) of the database is not the one this program knows",
                     (long long)row[i].number, row[i].name);
    }
    return NULL;
}

/* Applies the next missing one; *(bool *)ctx tells whether there was one. */
static struct bdr_err *migrate_next(struct bdr_tx *tx, void *ctx)
{
    enum bdr_db_engine engine = bdr_tx_engine(tx);
    BDR_AUTO(mem) struct bdr_row_migration *row = NULL;
    const struct bdr_migration *m;
    size_t n = 0;

    *(bool *)ctx = false;
    if (engine == BDR_DB_PG)
        BDR_TRY(bdr_tx_script(tx, migrate_pg_lock));
    BDR_TRY(bdr_tx_script(tx, migrate_table[engine]));
    BDR_TRY(bdr_q_migration_list(tx, &row, &n));
    BDR_TRY(migrate_compare(row, n));
    if (n == bdr_migration_count)
        return NULL;
    m = &bdr_migrations[n];
    BDR_TRY_FOR(bdr_tx_script(tx, m->sql[engine]), "migration %u (%s)", m->number, m->name);
    BDR_TRY(bdr_q_migration_add(
        tx, &(struct bdr_in_migration_add){
                .number = m->number, .name = m->name, .sha256 = m->sha256, .applied_ms = bdr_clock_wall_ms()}));
    *(bool *)ctx = true;
    return NULL;
}

struct bdr_err *bdr_db_migrate(struct bdr_db *db, unsigned *out_applied)
{
    unsigned applied = 0;
    bool more = true;

    while (more) {
        /* LOCK, not WRITE: what another console committed while we queued has to be seen */
        BDR_TRY_FOR(bdr_db_run(db, BDR_TX_LOCK, migrate_next, &more), "bringing the database up to date");
        applied += more;
    }
    if (out_applied)
        *out_applied = applied;
    return NULL;
}
