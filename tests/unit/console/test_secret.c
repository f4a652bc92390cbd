/* SPDX-License-Identifier: Apache-2.0 */
/* test_secret.c - the key file, sealing, rotation; and the audit log's chain. */
#include "audit.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "bed.h"
#include <sys/stat.h>

static const struct bdr_seal_place place = {"platform", 7, "password"};

static void text_of(const struct bdr_secret *s, const char *want)
{
    assert_non_null(s->data);
    assert_string_equal((const char *)s->data, want);
}

static void key_path(const struct bed *b, char out[128])
{
    snprintf(out, 128, "%s/master.key", b->dir);
}

static void test_secret__a_new_key_file__is_private_and_stays(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *one = NULL, *two = NULL;
    char path[128];
    struct stat st;

    key_path(b, path);
    check_ok(bdr_keyring_open(path, &one));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    check_ok(bdr_keyring_open(path, &two));
    assert_string_equal(bdr_keyring_current(one), bdr_keyring_current(two));
    assert_int_equal(chmod(path, 0640), 0);
    check_fails(bdr_keyring_open(path, &two), BDR_DENIED, "0640");
}

static void test_secret__a_mistyped_key__is_named(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL;
    BDR_AUTO(mem) char *text = NULL;
    char path[128];
    size_t len;
    FILE *f;

    key_path(b, path);
    check_ok(bdr_keyring_open(path, &ring));
    bdr_keyring_free(BDR_STEAL(ring));
    check_ok(bdr_os_read_file(path, 4096, &text, &len));
    text[60] = text[60] == 'a' ? 'b' : 'a';
    f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    check_fails(bdr_keyring_open(path, &ring), BDR_CORRUPT, "line 1");
    f = fopen(path, "w");
    fputs("# nothing\n", f);
    fclose(f);
    check_fails(bdr_keyring_open(path, &ring), BDR_CORRUPT, "no key");
}

static void test_secret__a_blob__opens_only_where_it_was_put(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL;
    BDR_AUTO(secret) struct bdr_secret plain = {0}, got = {0};
    BDR_AUTO(buf) struct bdr_buf blob = {0}, again = {0};
    const struct bdr_seal_place elsewhere[] = {
        {"platform", 8, "password"}, {"platforms", 7, "password"}, {"platform", 7, "passwor"}, {"ceph", 7, "keyring"}};
    char path[128];

    key_path(b, path);
    check_ok(bdr_keyring_open(path, &ring));
    check_ok(bdr_secret_set(&plain, "Acb@132.Inst", 12));
    check_ok(bdr_seal(ring, &place, &plain, &blob));
    check_ok(bdr_seal(ring, &place, &plain, &again));
    assert_memory_not_equal(blob.data, again.data, blob.len); /* a nonce each */
    check_ok(bdr_unseal(ring, &place, blob.data, blob.len, &got));
    text_of(&got, "Acb@132.Inst");
    for (size_t i = 0; i < BDR_COUNT(elsewhere); i++)
        check_fails(bdr_unseal(ring, &elsewhere[i], blob.data, blob.len, &got), BDR_CORRUPT, "");
    for (size_t i = 0; i < blob.len; i++) {
        struct bdr_err *err;

        blob.data[i] ^= 0x20;
        err = bdr_unseal(ring, &place, blob.data, blob.len, &got);
        assert_true(err && (err->code == BDR_CORRUPT || err->code == BDR_AUTH || err->code == BDR_VERSION));
        bdr_err_free(err);
        blob.data[i] ^= 0x20;
    }
    for (size_t n = 0; n < blob.len; n++)
        check_fails(bdr_unseal(ring, &place, blob.data, n, &got), BDR_CORRUPT, "");
}

static void test_secret__after_rotation__old_ones_open_and_move(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL, *fresh = NULL;
    BDR_AUTO(secret) struct bdr_secret plain = {0}, got = {0};
    BDR_AUTO(mem) struct bdr_row_sealed_keys *keys = NULL;
    struct bdr_tx *tx = NULL;
    char path[128];
    bool found = false;
    size_t n = 0;

    key_path(b, path);
    check_ok(bdr_keyring_open(path, &ring));
    check_ok(bdr_secret_set(&plain, "secret", 6));
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_secret_get(tx, ring, &place, &got, &found));
    assert_false(found);
    check_ok(bdr_secret_put(tx, ring, &place, &plain, 1));
    check_ok(bdr_keyring_rotate(path, ring));
    check_ok(bdr_secret_get(tx, ring, &place, &got, &found));
    assert_true(found);
    check_ok(bdr_secret_reseal(tx, ring, 10, 2, &n));
    assert_int_equal(n, 1);
    check_ok(bdr_secret_reseal(tx, ring, 10, 2, &n));
    assert_int_equal(n, 0);
    check_ok(bdr_q_sealed_keys(tx, &keys, &n));
    assert_int_equal(n, 1);
    assert_string_equal(keys[0].key_id, bdr_keyring_current(ring));
    check_ok(bdr_tx_commit(tx));
    check_ok(bdr_keyring_open(path, &fresh)); /* what a restart finds */
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_secret_get(tx, fresh, &place, &got, &found));
    bdr_tx_abandon(tx);
    text_of(&got, "secret");
}

static void test_secret__a_lost_key_file__is_told_from_damage(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL, *other = NULL;
    BDR_AUTO(secret) struct bdr_secret plain = {0}, got = {0};
    BDR_AUTO(buf) struct bdr_buf blob = {0};
    char path[128];

    key_path(b, path);
    check_ok(bdr_keyring_open(path, &ring));
    check_ok(bdr_secret_set(&plain, "", 0));
    check_ok(bdr_seal(ring, &place, &plain, &blob));
    check_ok(bdr_unseal(ring, &place, blob.data, blob.len, &got));
    assert_int_equal(got.len, 0);
    unlink(path);
    check_ok(bdr_keyring_open(path, &other));
    check_fails(bdr_unseal(other, &place, blob.data, blob.len, &got), BDR_AUTH, bdr_keyring_current(ring));
}

struct audit_bed {
    struct bed *b;
    struct bdr_keyring *ring;
};

static struct bdr_err *audit_some(struct bdr_tx *tx, void *ctx)
{
    const struct bdr_audit a = {5,          "alice", "account", "192.0.2.9",       "platform.update",
                                "platform", "7",     NULL,      "{\"name\":\"x\"}"};

    return bdr_audit_add(tx, ctx, &a);
}

static struct bdr_err *audit_often(void *ctx, unsigned index)
{
    struct audit_bed *a = ctx;

    for (int i = 0; i < 10; i++)
        BDR_TRY(bdr_db_run(a->b->db, index % 2 ? BDR_TX_WRITE : BDR_TX_LOCK, audit_some, a->ring));
    return NULL;
}

static struct bdr_err *audit_check(struct bed *b, struct bdr_keyring *ring, const struct bdr_audit_head *known,
                                   struct bdr_audit_head *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    BDR_TRY(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    return bdr_audit_verify(tx, ring, known, out);
}

static void test_audit__a_chain_of_many_writers__has_no_gap(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL;
    struct bdr_audit_head head = {0};
    struct bdr_pool *pool = NULL;
    struct audit_bed a = {.b = b};
    char path[128];

    key_path(b, path);
    check_ok(bdr_keyring_open(path, &ring));
    a.ring = ring;
    check_ok(audit_check(b, ring, NULL, &head));
    assert_int_equal(head.seq, 0);
    check_ok(bdr_pool_start("audit", 4, audit_often, &a, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    check_ok(audit_check(b, ring, NULL, &head));
    assert_int_equal(head.seq, 40);
    check_ok(audit_check(b, ring, &head, NULL));
}

static void test_audit__each_way_to_tamper__shows(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL;
    struct bdr_audit_head head;
    /* as somebody would who may do anything in the database */
    const char *off = b->engine == BDR_DB_PG ? "ALTER TABLE audit DISABLE TRIGGER ALL"
                                             : "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete";
    char path[128];

    key_path(b, path);
    check_ok(bdr_keyring_open(path, &ring));
    for (int i = 0; i < 5; i++)
        check_ok(bdr_db_run(b->db, BDR_TX_WRITE, audit_some, ring));
    check_ok(audit_check(b, ring, NULL, &head));
    check_fails(bed_sql(b, "UPDATE audit SET actor = 'bob' WHERE seq = 3"), BDR_CONFLICT, "append only");
    check_fails(bed_sql(b, "DELETE FROM audit WHERE seq = 5"), BDR_CONFLICT, "append only");
    check_ok(bed_sql(b, off));
    check_ok(bed_sql(b, "UPDATE audit SET actor = 'bob' WHERE seq = 3"));
    check_fails(audit_check(b, ring, NULL, NULL), BDR_CORRUPT, "row 3");
    check_ok(bed_sql(b, "UPDATE audit SET actor = 'alice' WHERE seq = 3"));
    check_ok(bed_sql(b, "UPDATE audit SET before = '' WHERE seq = 2"));
    check_fails(audit_check(b, ring, NULL, NULL), BDR_CORRUPT, "row 2");
    check_ok(bed_sql(b, "UPDATE audit SET before = NULL WHERE seq = 2"));
    check_ok(audit_check(b, ring, &head, NULL));
    check_ok(bed_sql(b, "DELETE FROM audit WHERE seq = 5"));
    check_ok(audit_check(b, ring, NULL, NULL));                                   /* the end alone cannot show it ... */
    check_fails(audit_check(b, ring, &head, NULL), BDR_CORRUPT, "ends at row 4"); /* ... a head told elsewhere does */
    check_ok(bed_sql(b, "DELETE FROM audit WHERE seq = 1"));
    check_fails(audit_check(b, ring, NULL, NULL), BDR_CORRUPT, "lacks row 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BED(test_secret__a_new_key_file__is_private_and_stays),
        BED(test_secret__a_mistyped_key__is_named),
        BED(test_secret__a_blob__opens_only_where_it_was_put),
        BED(test_secret__after_rotation__old_ones_open_and_move),
        BED(test_secret__a_lost_key_file__is_told_from_damage),
        BED(test_audit__a_chain_of_many_writers__has_no_gap),
        BED(test_audit__each_way_to_tamper__shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
