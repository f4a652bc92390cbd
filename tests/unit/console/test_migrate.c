/* SPDX-License-Identifier: Apache-2.0 */
/* test_migrate.c - tables are made once, by one of many, whole or not at all; what we do not know is refused. */
#include "bdr/pool.h"
#include "bed.h"
#include "db/stmt.h"

static void test_migrate__a_new_database__gets_all_of_them_once(void **state)
{
    BED_OF(state, b);
    unsigned applied = 0;

    check_ok(bdr_db_migrate(b->db, &applied));
    assert_int_equal(applied, bdr_migration_count);
    check_ok(bdr_db_migrate(b->db, &applied));
    assert_int_equal(applied, 0);
}

static struct bdr_err *migrate_one(void *ctx, unsigned index)
{
    BDR_AUTO(db) struct bdr_db *db = bed_open(ctx);

    (void)index;
    return bdr_db_migrate(db, NULL);
}

static void test_migrate__consoles_that_start_together__do_not_meet(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(mem) struct bdr_row_migration *rows = NULL;
    struct bdr_pool *pool = NULL;
    struct bdr_tx *tx = NULL;
    size_t n = 0;

    check_ok(bdr_pool_start("migrate", 5, migrate_one, b, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_migration_list(tx, &rows, &n));
    bdr_tx_abandon(tx);
    assert_int_equal(n, bdr_migration_count);
}

static void test_migrate__a_newer_database__is_refused(void **state)
{
    BED_OF(state, b);

    check_ok(bed_sql(b, "INSERT INTO schema_migration VALUES (9999, 'flying cars', 'x', 0)"));
    check_fails(bdr_db_migrate(b->db, NULL), BDR_VERSION, "9999");
}

static void test_migrate__a_changed_migration__is_refused(void **state)
{
    BED_OF(state, b);

    check_ok(bed_sql(b, "UPDATE schema_migration SET sha256 = 'another' WHERE number = 2"));
    check_fails(bdr_db_migrate(b->db, NULL), BDR_CORRUPT, "migration 2");
}

static void test_migrate__a_migration_that_fails__leaves_nothing_of_itself(void **state)
{
    BED_OF(state, b);
    unsigned applied = 0;

    /* 0002 makes platform, ceph and others before it comes to this one */
    check_ok(bed_sql(b, "CREATE TABLE gateway (x TEXT)"));
    check_fails(bdr_db_migrate(b->db, NULL), BDR_INTERNAL, "migration 2");
    check_ok(bed_sql(b, "DROP TABLE gateway"));
    check_ok(bdr_db_migrate(b->db, &applied));
    assert_int_equal(applied, bdr_migration_count - 1);
}

static void test_migrate__logs__are_append_only(void **state)
{
    BED_OF(state, b);

    check_ok(bed_sql(b, "INSERT INTO event (at_ms, kind, object, object_id, text) VALUES (1, 'a', 'b', 1, '')"));
    check_fails(bed_sql(b, "UPDATE event SET text = 'x'"), BDR_CONFLICT, "append only");
    check_ok(bed_sql(b, "DELETE FROM event")); /* old ones have to go some day */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BED_BARE(test_migrate__a_new_database__gets_all_of_them_once),
        BED_BARE(test_migrate__consoles_that_start_together__do_not_meet),
        BED(test_migrate__a_newer_database__is_refused),
        BED(test_migrate__a_changed_migration__is_refused),
        BED_BARE(test_migrate__a_migration_that_fails__leaves_nothing_of_itself),
        BED(test_migrate__logs__are_append_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
