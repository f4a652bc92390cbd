/* SPDX-License-Identifier: Apache-2.0 */
/* test_db.c - statements, rows, transactions, retries and errors, the same on both engines. */
#include "bdr/child.h"
#include "bdr/pool.h"
#include "bed.h"
#include "db/stmt.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

static void test_db__every_statement__prepares(void **state)
{
    BED_OF(state, b);

    assert_true(bdr_stmt_count > 0);
    check_ok(bdr_db_check_statements(b->db));
}

static int64_t add_platform(struct bdr_tx *tx, const char *name)
{
    int64_t id = 0;

    check_ok(bdr_q_platform_add(tx,
                                &(struct bdr_in_platform_add){.kind = "vmware",
                                                              .name = name,
                                                              .endpoint = "https://vc.example:443",
                                                              .username = "root",
                                                              .user_domain = "",
                                                              .project = "",
                                                              .project_domain = "",
                                                              .region = "",
                                                              .tenancy = "",
                                                              .key_print = "",
                                                              .cert_print = "",
                                                              .now_ms = 7},
                                &id));
    return id;
}

static void test_db__rows__come_back_as_they_went(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    BDR_AUTO(mem) struct bdr_row_platform *one = NULL, *all = NULL, *none = NULL;
    BDR_AUTO(mem) struct bdr_row_name_record *names = NULL;
    size_t n = 0;
    int64_t id, changed = 0, record;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    id = add_platform(tx, "it's \"one\"; -- 数据");
    add_platform(tx, "two");
    check_ok(bdr_q_platform_get(tx, id, &one));
    assert_string_equal(one->name, "it's \"one\"; -- 数据");
    assert_string_equal(one->project, "");
    assert_int_equal(one->created_ms, 7);
    check_ok(bdr_q_platform_list(tx, "vmware", 0, 10, &all, &n));
    assert_int_equal(n, 2);
    assert_string_equal(all[1].name, "two");
    check_ok(bdr_q_platform_get(tx, 99999, &none));
    assert_null(none);
    check_ok(bdr_q_platform_status(tx, &(struct bdr_in_platform_status){id, "ok", "", INT64_MAX}, &changed));
    assert_int_equal(changed, 1);
    check_ok(bdr_q_name_record_add(tx, (struct bdr_opt_i64){0}, "vc.example", "192.0.2.1", &record));
    check_ok(bdr_q_name_record_add(tx, BDR_SOME(id), "esx.example", "192.0.2.2", &record));
    check_ok(bdr_q_name_record_list(tx, BDR_SOME(id), &names, &n));
    assert_int_equal(n, 2);
    assert_string_equal(names[0].name, "esx.example");
    assert_true(names[0].platform_id.set);
    assert_int_equal(names[0].platform_id.v, id);
    assert_false(names[1].platform_id.set);
    check_ok(bdr_tx_commit(BDR_STEAL(tx)));
    free(BDR_STEAL(one));
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_platform_get(tx, id, &one));
    assert_true(one->status_ms == INT64_MAX);
}

static void test_db__an_abandoned_transaction__leaves_nothing(void **state)
{
    BED_OF(state, b);
    struct bdr_tx *tx = NULL;
    BDR_AUTO(mem) struct bdr_row_platform *all = NULL;
    size_t n = 1;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    add_platform(tx, "one");
    bdr_tx_abandon(tx);
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_platform_list(tx, "", 0, 10, &all, &n));
    bdr_tx_abandon(tx);
    assert_int_equal(n, 0);
}

static void test_db__broken_rules__are_named(void **state)
{
    BED_OF(state, b);
    struct bdr_tx *tx = NULL;
    int64_t id;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_name_record_add(tx, (struct bdr_opt_i64){0}, "a", "192.0.2.1", &id));
    check_fails(bdr_q_name_record_add(tx, (struct bdr_opt_i64){0}, "a", "192.0.2.1", &id), BDR_EXISTS, "name_record");
    bdr_tx_abandon(tx);
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_fails(bdr_q_name_record_add(tx, BDR_SOME(12345), "a", "192.0.2.1", &id), BDR_CONFLICT, "");
    bdr_tx_abandon(tx);
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_fails(bdr_q_name_record_add(tx, (struct bdr_opt_i64){0}, NULL, "192.0.2.1", &id), BDR_INVAL, "name");
    bdr_tx_abandon(tx);
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_fails(bdr_q_name_record_add(tx, (struct bdr_opt_i64){0}, "a", "192.0.2.1", &id), BDR_READONLY, "");
    bdr_tx_abandon(tx);
}

static void test_db__commit_after_a_failed_statement__is_refused_or_clean(void **state)
{
    BED_OF(state, b);
    struct bdr_tx *tx = NULL;
    struct bdr_err *err;
    int64_t id;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_fails(bdr_q_name_record_add(tx, BDR_SOME(12345), "a", "192.0.2.1", &id), BDR_CONFLICT, "");
    err = bdr_tx_commit(tx);
    assert_true(b->engine == BDR_DB_SQLITE ? !err : err && err->code == BDR_INTERNAL);
    bdr_err_free(err);
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    add_platform(tx, "the connection is good again");
    check_ok(bdr_tx_commit(tx));
}

/* Adds one to a number that lives in a setting: read, then write. */
static struct bdr_err *count_up(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_setting_get *row = NULL;
    char text[24];

    (void)ctx;
    BDR_TRY(bdr_q_setting_get(tx, "count", &row));
    snprintf(text, sizeof(text), "%lld", row ? strtoll(row->value, NULL, 10) + 1 : 1LL);
    return bdr_q_setting_put(tx, "count", text, 0);
}

static struct bdr_err *count_often(void *ctx, unsigned index)
{
    struct bed *b = ctx;

    (void)index;
    for (int i = 0; i < 25; i++)
        BDR_TRY(bdr_db_run(b->db, BDR_TX_WRITE, count_up, NULL));
    return NULL;
}

static void test_db__write_transactions_of_many_threads__lose_no_update(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(mem) struct bdr_row_setting_get *row = NULL;
    struct bdr_tx *tx = NULL;
    struct bdr_pool *pool = NULL;

    check_ok(bdr_pool_start("count", 6, count_often, b, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_setting_get(tx, "count", &row));
    bdr_tx_abandon(tx);
    assert_string_equal(row->value, "150");
}

/* A commit that takes longer than the lock of another program may. */
static struct bdr_err *stall(struct bdr_tx *tx, void *ctx)
{
    atomic_bool *stalls = ctx;

    BDR_TRY(count_up(tx, NULL));
    atomic_store(stalls, true);
    return bdr_cancel_sleep(NULL, 1500);
}

struct stalled {
    struct bed *b;
    atomic_bool stalls;
};

static struct bdr_err *count_in_a_stall(void *ctx, unsigned index)
{
    struct stalled *s = ctx;

    if (!index)
        return bdr_db_run(s->b->db, BDR_TX_WRITE, stall, &s->stalls);
    while (!atomic_load(&s->stalls))
        BDR_TRY(bdr_cancel_sleep(NULL, 1));
    return bdr_db_run(s->b->db, BDR_TX_WRITE, count_up, NULL);
}

static void test_db__a_disk_that_stalls__keeps_changes_waiting_and_refuses_none(void **state)
{
    BED_OF(state, b);
    struct stalled s = {.b = b};
    struct bdr_pool *pool = NULL;
    BDR_AUTO(mem) struct bdr_row_setting_get *row = NULL;
    struct bdr_tx *tx = NULL;

    check_ok(bdr_pool_start("count", 9, count_in_a_stall, &s, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_setting_get(tx, "count", &row));
    bdr_tx_abandon(tx);
    assert_string_equal(row->value, "9");
}

static void test_db__a_second_handle__waits_for_the_first_writer(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(db) struct bdr_db *other = NULL;
    struct bdr_tx *tx = NULL;

    check_ok(bdr_db_open(&(struct bdr_db_options){.where = b->where, .wait_ms = 120}, &other));
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(count_up(tx, NULL));
    check_fails(bdr_db_run(other, BDR_TX_WRITE, count_up, NULL), BDR_BUSY, "");
    check_ok(bdr_tx_commit(tx));
    check_ok(bdr_db_run(other, BDR_TX_WRITE, count_up, NULL));
}

/* Somebody backs the file up while the console runs: its locks must keep the log from being taken away. */
static void test_db__another_program_that_comes_and_goes__takes_nothing_away(void **state)
{
    static const char *const look = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n"
                                    "c.execute('SELECT count(*) FROM setting').fetchall()\nc.close()";
    struct stat before, after;
    struct bdr_db *second;
    char wal[420];

    BED_OF(state, b);
    if (b->engine != BDR_DB_SQLITE)
        skip();
    check_ok(bed_sql(b, "INSERT INTO setting (name, value, changed_ms) VALUES ('a', 'b', 0)"));
    second = bed_open(b); /* one more connection of this process */
    check_ok(bdr_db_migrate(second, NULL));
    snprintf(wal, sizeof(wal), "%s-wal", b->where);
    assert_int_equal(stat(wal, &before), 0);
    check_ok(bdr_child_run((const char *const[]){"python3", "-c", look, b->where, NULL}, NULL));
    assert_int_equal(stat(wal, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    bdr_db_close(second);
}

static void test_db__a_cancelled_wait__ends_at_once(void **state)
{
    BED_OF(state, b);
    struct bdr_cancel cancel = {0};
    BDR_AUTO(db) struct bdr_db *db = NULL;
    struct bdr_tx *tx = NULL, *second = NULL;
    uint64_t start;

    check_ok(bdr_db_open(&(struct bdr_db_options){.where = b->where, .connections = 1, .cancel = &cancel}, &db));
    check_ok(bdr_tx_begin(db, BDR_TX_WRITE, &tx));
    bdr_cancel_set(&cancel);
    start = bdr_clock_mono_ms();
    check_fails(bdr_tx_begin(db, BDR_TX_WRITE, &second), BDR_CANCELLED, "");
    assert_true(bdr_clock_mono_ms() - start < 1000);
    bdr_tx_abandon(tx);
}

static void test_db__readers__see_one_moment(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(mem) struct bdr_row_platform *before = NULL, *after = NULL;
    struct bdr_tx *read = NULL, *write = NULL;
    size_t n = 9;

    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &read));
    check_ok(bdr_q_platform_list(read, "", 0, 10, &before, &n));
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &write));
    add_platform(write, "new");
    check_ok(bdr_tx_commit(write));
    check_ok(bdr_q_platform_list(read, "", 0, 10, &after, &n));
    bdr_tx_abandon(read);
    assert_int_equal(n, 0);
}

static void test_db__places_that_do_not_work__are_told_apart(void **state)
{
    BED_OF(state, b);
    struct bdr_db *db = NULL;
    char path[128];

    if (b->engine == BDR_DB_PG) {
        const char *pg = getenv("BDR_TEST_PG");
        char where[400];

        snprintf(where, sizeof(where), "pg:%s dbname=nowhere", pg);
        check_fails(bdr_db_open(&(struct bdr_db_options){.where = where}, &db), BDR_NOTFOUND, "nowhere");
        snprintf(where, sizeof(where), "pg:host=%s user=bdr dbname=x password=hunter2", b->dir);
        {
            struct bdr_err *err = bdr_db_open(&(struct bdr_db_options){.where = where}, &db);
            char text[1024];

            assert_non_null(err);
            assert_int_equal(err->code, BDR_NET);
            assert_null(strstr(bdr_err_text(err, text, sizeof(text)), "hunter2"));
            bdr_err_free(err);
        }
        check_fails(bdr_db_open(&(struct bdr_db_options){.where = "pg:nonsense=1"}, &db), BDR_INVAL, "nonsense");
        return;
    }
    snprintf(path, sizeof(path), "%s/no/such/folder/db", b->dir);
    check_fails(bdr_db_open(&(struct bdr_db_options){.where = path}, &db), BDR_NOTFOUND, path);
    check_fails(bdr_db_open(&(struct bdr_db_options){.where = ":memory:"}, &db), BDR_INVAL, "memory");
    snprintf(path, sizeof(path), "%s/text", b->dir);
    {
        int fd = open(path, O_WRONLY | O_CREAT, 0600);

        assert_int_equal(write(fd, "this is no database, whatever its name says, is it?\n", 52), 52);
        close(fd);
    }
    check_fails(bdr_db_open(&(struct bdr_db_options){.where = path}, &db), BDR_CORRUPT, "text");
}

static void test_db__the_file__is_its_owners_alone(void **state)
{
    BED_OF(state, b);
    static const char *const names[] = {"console.db", "console.db-wal"};

    if (b->engine == BDR_DB_PG)
        return; /* the server's business */
    for (size_t i = 0; i < BDR_COUNT(names); i++) {
        struct stat st;
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", b->dir, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void test_db__too_many_rows__are_refused_not_swallowed(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(mem) struct bdr_row_name_record *rows = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0;

    check_ok(bed_sql(b, "INSERT INTO name_record (name, addr) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                        " FROM c WHERE i < 100001) SELECT 'n' || i, '192.0.2.1' FROM c"));
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_fails(bdr_q_name_record_list(tx, (struct bdr_opt_i64){0}, &rows, &n), BDR_INTERNAL, "rows");
}

static void test_db__a_full_disk__is_called_that_and_passes(void **state)
{
    BED_OF(state, b);
    struct bdr_err *err;

    if (b->engine == BDR_DB_PG)
        return; /* SQLSTATE 53100; filling a server's disk is not for a unit test */
    check_ok(bed_sql(b, "PRAGMA max_page_count = 100"));
    err = bed_sql(b, "INSERT INTO name_record (name, addr) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                     " FROM c WHERE i < 50000) SELECT 'n' || i, '192.0.2.1' FROM c");
    check_fails(err, BDR_NOSPACE, "full");
    check_ok(bed_sql(b, "PRAGMA max_page_count = 100000"));
    check_ok(bdr_db_run(b->db, BDR_TX_WRITE, count_up, NULL));
}

static off_t size_of(const struct bed *b, const char *end)
{
    char path[512];
    struct stat st;

    snprintf(path, sizeof(path), "%s%s", b->where, end);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void test_db__the_reserve__is_room_that_changes_use_up_and_that_comes_back(void **state)
{
    BED_OF(state, b);
    off_t size, more;

    check_ok(bdr_db_reserve(b->db));
    if (b->engine == BDR_DB_PG)
        return;
    size = size_of(b, "");
    assert_true(size > 16 << 20 && size < 20 << 20);
    assert_true(size_of(b, "-wal") > 8 << 20);
    check_ok(bdr_db_reserve(b->db)); /* has nothing to do */
    assert_int_equal(size_of(b, ""), size);
    /* 10 MiB of rows and their index: the file is no longer than before */
    check_ok(bed_sql(b, "INSERT INTO name_record (name, addr) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                        " FROM c WHERE i < 8000) SELECT 'n' || i || hex(zeroblob(300)), '192.0.2.1' FROM c"));
    assert_int_equal(size_of(b, ""), size);
    check_ok(bdr_db_reserve(b->db));
    check_ok(bdr_db_run(b->db, BDR_TX_WRITE, count_up, NULL));
    more = size_of(b, "");
    assert_true(more > size + (4 << 20));
    /* a clean end leaves the log's file as long as it is: the next start needs no room */
    bdr_db_close(b->db);
    assert_true(size_of(b, "-wal") > 8 << 20);
    b->db = bed_open(b);
    check_ok(bdr_db_run(b->db, BDR_TX_WRITE, count_up, NULL));
    assert_true(size_of(b, "") <= more);
}

/* Cuts every other connection to the server, as its restart would. */
static void cut_connections(struct bed *b)
{
    struct bed other = *b;

    other.db = bed_open(b);
    check_ok(bed_sql(&other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                             " WHERE pid <> pg_backend_pid() AND application_name = 'bdr-console'"));
    bdr_db_close(other.db);
}

static struct bdr_err *count_up_after_a_cut(struct bdr_tx *tx, void *ctx)
{
    struct bed **cut = ctx;

    BDR_TRY(count_up(tx, NULL));
    if (*cut)
        cut_connections(*cut);
    *cut = NULL;
    return count_up(tx, NULL);
}

static void test_db__a_lost_connection__is_replaced(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(mem) struct bdr_row_setting_get *row = NULL;
    struct bed *cut = b;
    struct bdr_tx *tx = NULL;

    if (b->engine == BDR_DB_SQLITE)
        return;
    check_ok(bdr_db_run(b->db, BDR_TX_WRITE, count_up, NULL));
    cut_connections(b); /* while idle */
    check_ok(bdr_db_run(b->db, BDR_TX_WRITE, count_up, NULL));
    check_ok(bdr_db_run(b->db, BDR_TX_WRITE, count_up_after_a_cut, &cut)); /* in the middle */
    assert_null(cut);
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(count_up(tx, NULL));
    cut_connections(b);
    check_fails(bdr_tx_commit(tx), BDR_NET, "gone"); /* whether it was done only the server could tell: not retried */
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_setting_get(tx, "count", &row));
    bdr_tx_abandon(tx);
    assert_string_equal(row->value, "4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BED(test_db__every_statement__prepares),
        BED(test_db__rows__come_back_as_they_went),
        BED(test_db__an_abandoned_transaction__leaves_nothing),
        BED(test_db__broken_rules__are_named),
        BED(test_db__commit_after_a_failed_statement__is_refused_or_clean),
        BED(test_db__write_transactions_of_many_threads__lose_no_update),
        BED(test_db__a_disk_that_stalls__keeps_changes_waiting_and_refuses_none),
        BED(test_db__a_second_handle__waits_for_the_first_writer),
        BED(test_db__another_program_that_comes_and_goes__takes_nothing_away),
        BED(test_db__a_cancelled_wait__ends_at_once),
        BED(test_db__readers__see_one_moment),
        BED(test_db__places_that_do_not_work__are_told_apart),
        BED(test_db__the_file__is_its_owners_alone),
        BED(test_db__too_many_rows__are_refused_not_swallowed),
        BED(test_db__a_full_disk__is_called_that_and_passes),
        BED(test_db__the_reserve__is_room_that_changes_use_up_and_that_comes_back),
        BED(test_db__a_lost_connection__is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
