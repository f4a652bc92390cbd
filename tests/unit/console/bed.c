/* SPDX-License-Identifier: Apache-2.0 */
#include "bed.h"
#include "bdr/osfile.h"
#include "db/stmt.h"
#include <stdatomic.h>

static atomic_uint bed_count;

static const char *bed_server(void)
{
    const char *pg = getenv("BDR_TEST_PG");

    return pg && *pg ? pg : NULL;
}

struct bdr_db *bed_open(const struct bed *b)
{
    struct bdr_db *db = NULL;

    check_ok(bdr_db_open(&(struct bdr_db_options){.where = b->where, .wait_ms = 20000}, &db));
    return db;
}

struct bdr_err *bed_sql(struct bed *b, const char *sql)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    BDR_TRY(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    BDR_TRY(bdr_tx_script(tx, sql));
    return bdr_tx_commit(BDR_STEAL(tx));
}

static int bed_up(void **state, enum bdr_db_engine engine, bool migrate)
{
    struct bed *b;
    unsigned n = atomic_fetch_add(&bed_count, 1);

    if (engine == BDR_DB_PG && !bed_server()) {
        *state = NULL;
        return 0;
    }
    b = calloc(1, sizeof(*b));
    if (!b)
        return -1;
    b->engine = engine;
    snprintf(b->dir, sizeof(b->dir), "/tmp/bdr-bed.XXXXXX");
    if (!mkdtemp(b->dir))
        return -1;
    if (engine == BDR_DB_PG) {
        char sql[64];
        struct bdr_db *root = NULL;
        struct bed *as = &(struct bed){0};

        /* a schema each is a database each, and a hundred times quicker to make */
        snprintf(as->where, sizeof(as->where), "pg:%s", bed_server());
        root = as->db = bed_open(as);
        snprintf(sql, sizeof(sql), "CREATE SCHEMA t%u_%u", (unsigned)getpid(), n);
        check_ok(bed_sql(as, sql));
        bdr_db_close(root);
        snprintf(b->where, sizeof(b->where), "pg:%s options=-csearch_path=t%u_%u", bed_server(), (unsigned)getpid(), n);
    } else {
        snprintf(b->where, sizeof(b->where), "%s/console.db", b->dir);
    }
    b->db = bed_open(b);
    if (migrate)
        check_ok(bdr_db_migrate(b->db, NULL));
    *state = b;
    return 0;
}

int bed_sqlite(void **state)
{
    return bed_up(state, BDR_DB_SQLITE, true);
}
int bed_pg(void **state)
{
    return bed_up(state, BDR_DB_PG, true);
}
int bed_sqlite_bare(void **state)
{
    return bed_up(state, BDR_DB_SQLITE, false);
}
int bed_pg_bare(void **state)
{
    return bed_up(state, BDR_DB_PG, false);
}

int bed_down(void **state)
{
    struct bed *b = *state;

    if (!b)
        return 0;
    bdr_db_close(b->db);
    bdr_err_drop(bdr_os_remove_tree(b->dir), "best effort: a folder in /tmp");
    free(b);
    return 0;
}
