/* SPDX-License-Identifier: Apache-2.0 */
/* test_auth.c - passwords, one-time codes, tokens, limits, and logging in with all of them. */
#include "auth/login.h"
#include "auth/password.h"
#include "auth/totp.h"
#include "bdr/pool.h"
#include "bed.h"
#include <stdatomic.h>

#define NOW INT64_C(1800000000000)

static struct bdr_secret secret_of(const char *text)
{
    struct bdr_secret s = {0};

    check_ok(bdr_secret_set(&s, text, strlen(text)));
    return s;
}

static void test_password__hash__carries_its_parameters(void **state)
{
    BDR_AUTO(secret) struct bdr_secret right = secret_of("correct horse"), wrong = secret_of("correct horsf");
    /* made with other parameters: m=256 KiB, t=1 (argon2's own command line, salt "saltsalt") */
    char hash[BDR_PASSWORD_CHARS], other[BDR_PASSWORD_CHARS];
    bool ok = false, old = true;

    (void)state;
    check_ok(bdr_password_hash(&right, hash));
    assert_ptr_equal(strstr(hash, "$argon2id$v=19$m=32768,t=6,p=1$"), hash);
    check_ok(bdr_password_check(hash, &right, &ok, &old));
    assert_true(ok);
    assert_false(old);
    check_ok(bdr_password_check(hash, &wrong, &ok, &old));
    assert_false(ok);
    check_ok(bdr_password_check(NULL, &right, &ok, NULL));
    assert_false(ok);
    check_ok(bdr_password_hash(&right, other));
    assert_string_not_equal(hash, other);
    check_fails(bdr_password_check("plain", &right, &ok, NULL), BDR_CORRUPT, "");
}

static void test_password__what_people_try__is_judged(void **state)
{
    static const struct {
        const char *name, *password, *why; /* why NULL: fine */
    } rows[] = {
        {"alice", "correct horse", NULL},
        {"alice", "short", "too short"},
        {"alice", "aaaaaaaaaaaa", "one character"},
        {"alice", "Alice12345", "the name"},
        {"alice", "数据恢复平台", NULL},
        {"", "correct horse", NULL},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        BDR_AUTO(secret) struct bdr_secret s = secret_of(rows[i].password);

        if (rows[i].why)
            check_fails(bdr_password_fits(rows[i].name, &s), BDR_INVAL, rows[i].why);
        else
            check_ok(bdr_password_fits(rows[i].name, &s));
    }
}

static void test_totp__codes__are_those_of_rfc_6238(void **state)
{
    static const struct {
        int64_t seconds;
        const char *code;
    } rows[] = {
        {59, "94287082"},         {1111111109, "07081804"}, {1111111111, "14050471"},
        {1234567890, "89005924"}, {2000000000, "69279037"}, {INT64_C(20000000000), "65353130"},
    };
    BDR_AUTO(secret) struct bdr_secret s = secret_of("12345678901234567890");
    char code[9];

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        check_ok(bdr_totp_code(&s, rows[i].seconds / 30, 8, code));
        assert_string_equal(code, rows[i].code);
    }
}

static void test_totp__a_code__counts_once_and_not_for_long(void **state)
{
    BDR_AUTO(secret) struct bdr_secret s = secret_of("12345678901234567890"), uri = {0};
    int64_t step = NOW / BDR_TOTP_STEP_MS, got = 0;
    char code[9];

    (void)state;
    check_ok(bdr_totp_code(&s, step, 6, code));
    check_ok(bdr_totp_check(&s, code, NOW, 0, &got));
    assert_int_equal(got, step);
    check_ok(bdr_totp_check(&s, code, NOW, step, &got));
    assert_int_equal(got, 0);
    check_ok(bdr_totp_check(&s, code, NOW + BDR_TOTP_STEP_MS, 0, &got));
    assert_int_equal(got, step);
    check_ok(bdr_totp_check(&s, code, NOW + 2 * BDR_TOTP_STEP_MS, 0, &got));
    assert_int_equal(got, 0);
    check_ok(bdr_totp_check(&s, "12345", NOW, 0, &got));
    assert_int_equal(got, 0);
    check_ok(bdr_totp_uri(&s, "OpenBDR", "al ice", &uri));
    assert_string_equal((char *)uri.data, "otpauth://totp/OpenBDR:al%20ice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
                                          "&issuer=OpenBDR");
}

static void test_token__text__tells_its_kind_and_typos(void **state)
{
    char text[BDR_TOKEN_CHARS], hint[BDR_TOKEN_HINT];
    uint8_t hash[32];

    (void)state;
    /* a golden one: tokens outlive versions */
    assert_true(bdr_token_fits(BDR_TOKEN_API, "bdra_0123456789ABCDEFGHIJKLMNOPQRSTUV1WKoyp", 43));
    for (int i = 0; i < 50; i++) {
        check_ok(bdr_token_new(BDR_TOKEN_API, text));
        assert_int_equal(strlen(text), BDR_TOKEN_CHARS - 1);
        assert_true(bdr_token_hash(BDR_TOKEN_API, text, hash));
        assert_false(bdr_token_hash(BDR_TOKEN_SESSION, text, hash));
        text[20] = text[20] == 'x' ? 'y' : 'x';
        assert_false(bdr_token_hash(BDR_TOKEN_API, text, hash));
    }
    bdr_token_hint("bdra_0123456789", hint);
    assert_string_equal(hint, "bdra_0123");
    assert_false(bdr_token_hash(BDR_TOKEN_API, "", hash));
}

static void test_scopes__words__allow_what_they_say(void **state)
{
    (void)state;
    check_ok(bdr_scopes_check("hosts:read jobs:* *:read"));
    check_ok(bdr_scopes_check("*"));
    check_fails(bdr_scopes_check(""), BDR_INVAL, "nothing");
    check_fails(bdr_scopes_check("hosts"), BDR_INVAL, "hosts");
    check_fails(bdr_scopes_check("hosts:read Jobs:read"), BDR_INVAL, "Jobs");
    check_fails(bdr_scopes_check("hosts:re*"), BDR_INVAL, "re*");
    assert_true(bdr_scopes_allow("hosts:read jobs:*", "hosts", "read"));
    assert_false(bdr_scopes_allow("hosts:read jobs:*", "hosts", "write"));
    assert_true(bdr_scopes_allow("hosts:read jobs:*", "jobs", "write"));
    assert_true(bdr_scopes_allow("*:read", "platforms", "read"));
    assert_false(bdr_scopes_allow("*:read", "platforms", "write"));
    assert_false(bdr_scopes_allow("host:read", "hosts", "read"));
    assert_false(bdr_scopes_allow("", "hosts", "read"));
    assert_true(bdr_scopes_allow("*", "hosts", "write"));
}

static void test_limit__bucket__gives_a_burst_then_one_each(void **state)
{
    const struct bdr_rate_rule rule = {3, 1000};
    struct bdr_bucket b = {3000, NOW};
    int64_t wait = -1;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(bdr_bucket_take(&b, &rule, NOW, &wait));
    assert_false(bdr_bucket_take(&b, &rule, NOW, &wait));
    assert_int_equal(wait, 1000);
    assert_false(bdr_bucket_take(&b, &rule, NOW + 400, &wait));
    assert_int_equal(wait, 600);
    assert_true(bdr_bucket_take(&b, &rule, NOW + 1000, &wait));
    assert_false(bdr_bucket_take(&b, &rule, NOW - 100000, &wait)); /* the clock went back */
    assert_true(bdr_bucket_take(&b, &rule, INT64_MAX / 2, &wait));
    assert_int_equal(b.milli, 2000);
}

static void test_limit__lock__doubles_up_to_an_hour(void **state)
{
    static const int64_t minutes[] = {0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(minutes); i++)
        assert_int_equal(bdr_lock_ms((int64_t)i), minutes[i] * 60000);
    assert_int_equal(bdr_lock_ms(INT64_MAX), 3600000);
}

static int64_t account_add(struct bed *b, const char *name, const char *role, const char *password)
{
    BDR_AUTO(secret) struct bdr_secret s = secret_of(password);
    char hash[BDR_PASSWORD_CHARS];
    struct bdr_tx *tx = NULL;
    int64_t id = 0;

    check_ok(bdr_password_hash(&s, hash));
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_account_add(tx,
                               &(struct bdr_in_account_add){.name = name,
                                                            .title = "",
                                                            .mail = "",
                                                            .lang = "",
                                                            .role = role,
                                                            .password = hash,
                                                            .must_change = false,
                                                            .now_ms = NOW},
                               &id));
    check_ok(bdr_tx_commit(tx));
    return id;
}

static struct bdr_login_result login_at(struct bed *b, const char *name, const char *password, int64_t now)
{
    BDR_AUTO(secret) struct bdr_secret s = secret_of(password);
    const struct bdr_login_from from = {.addr = "192.0.2.7", .agent = "test", .now_ms = now};
    struct bdr_login_result r;

    check_ok(bdr_login_password(b->db, name, &s, &from, &r));
    return r;
}

static enum bdr_role who_at(struct bed *b, const char *cookie, int64_t now)
{
    const struct bdr_login_from from = {.addr = "192.0.2.7", .agent = "test", .now_ms = now};
    struct bdr_who who;

    check_ok(bdr_who_session(b->db, cookie, &from, &who));
    return who.role;
}

static void test_login__right_password__opens_a_session_that_ends(void **state)
{
    BED_OF(state, b);
    struct bdr_login_result r, again;

    account_add(b, "alice", "operator", "correct horse");
    assert_int_equal(login_at(b, "alice", "correct horsf", NOW).what, BDR_LOGIN_WRONG);
    assert_int_equal(login_at(b, "nobody", "correct horse", NOW).what, BDR_LOGIN_WRONG);
    r = login_at(b, "alice", "correct horse", NOW);
    assert_int_equal(r.what, BDR_LOGIN_IN);
    assert_int_equal(who_at(b, r.cookie, NOW + 1), BDR_ROLE_OPERATOR);
    assert_int_equal(who_at(b, "bdrs_nonsense", NOW + 1), BDR_ROLE_NONE);
    assert_int_equal(who_at(b, r.cookie, NOW + BDR_SESSION_IDLE_MS + 1), BDR_ROLE_NONE);
    /* in use all the time, it ends all the same */
    for (int64_t t = 0; t < BDR_SESSION_MS; t += BDR_SESSION_IDLE_MS / 2)
        assert_int_equal(who_at(b, r.cookie, NOW + t), BDR_ROLE_OPERATOR);
    assert_int_equal(who_at(b, r.cookie, NOW + BDR_SESSION_MS), BDR_ROLE_NONE);
    again = login_at(b, "alice", "correct horse", NOW + BDR_SESSION_MS);
    check_ok(bdr_logout(b->db, again.cookie));
    assert_int_equal(who_at(b, again.cookie, NOW + BDR_SESSION_MS), BDR_ROLE_NONE);
}

static void test_login__many_wrong__lock_the_account_then_the_tries(void **state)
{
    BED_OF(state, b);
    struct bdr_login_result r;

    account_add(b, "alice", "admin", "correct horse");
    for (int i = 0; i < 5; i++)
        assert_int_equal(login_at(b, "alice", "wrong wrong wrong", NOW + i).what, BDR_LOGIN_WRONG);
    assert_int_equal(login_at(b, "alice", "correct horse", NOW + 100).what, BDR_LOGIN_WRONG); /* locked, and not told */
    assert_int_equal(login_at(b, "alice", "correct horse", NOW + 61000).what, BDR_LOGIN_IN);
    for (int i = 0; i < 30; i++)
        r = login_at(b, "nobody", "x", NOW + 70000);
    assert_int_equal(r.what, BDR_LOGIN_WAIT);
    assert_true(r.wait_ms > 0 && r.wait_ms <= 6000);
}

static void test_login__second_step__takes_each_code_once(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL;
    BDR_AUTO(secret) struct bdr_secret totp = {0};
    int64_t id = account_add(b, "alice", "admin", "correct horse"), step = NOW / BDR_TOTP_STEP_MS;
    struct bdr_login_from from = {.addr = "192.0.2.7", .agent = "test", .now_ms = NOW};
    char codes[BDR_RECOVERY_CODES][20], code[9], path[128];
    struct bdr_login_result first, second;
    struct bdr_tx *tx = NULL;

    snprintf(path, sizeof(path), "%s/key", b->dir);
    check_ok(bdr_keyring_open(path, &ring));
    check_ok(bdr_totp_new(&totp));
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_fails(bdr_totp_enable(tx, ring, id, &totp, "000000x", NOW, codes), BDR_INVAL, "clock");
    check_ok(bdr_totp_code(&totp, step, 6, code));
    check_ok(bdr_totp_enable(tx, ring, id, &totp, code, NOW, codes));
    check_ok(bdr_tx_commit(tx));

    first = login_at(b, "alice", "correct horse", NOW);
    assert_int_equal(first.what, BDR_LOGIN_TOTP);
    assert_int_equal(who_at(b, first.cookie, NOW), BDR_ROLE_NONE); /* good for the second step alone */
    check_ok(bdr_login_totp(b->db, ring, first.cookie, code, &from, &second));
    assert_int_equal(second.what, BDR_LOGIN_WRONG); /* used when it was enabled */
    from.now_ms = NOW + BDR_TOTP_STEP_MS;
    check_ok(bdr_totp_code(&totp, step + 1, 6, code));
    check_ok(bdr_login_totp(b->db, ring, first.cookie, code, &from, &second));
    assert_int_equal(second.what, BDR_LOGIN_IN);
    assert_int_equal(who_at(b, second.cookie, from.now_ms), BDR_ROLE_ADMIN);
    check_ok(bdr_totp_code(&totp, step + 2, 6, code));
    check_ok(bdr_login_totp(b->db, ring, first.cookie, code, &from, &second));
    assert_int_equal(second.what, BDR_LOGIN_WRONG); /* the first step's cookie is gone */

    first = login_at(b, "alice", "correct horse", from.now_ms);
    check_ok(bdr_login_totp(b->db, ring, first.cookie, codes[3], &from, &second));
    assert_int_equal(second.what, BDR_LOGIN_IN);
    assert_int_equal(second.codes_left, BDR_RECOVERY_CODES - 1);
    first = login_at(b, "alice", "correct horse", from.now_ms);
    check_ok(bdr_login_totp(b->db, ring, first.cookie, codes[3], &from, &second));
    assert_int_equal(second.what, BDR_LOGIN_WRONG);
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_totp_disable(tx, id));
    check_ok(bdr_tx_commit(tx));
    assert_int_equal(login_at(b, "alice", "correct horse", from.now_ms).what, BDR_LOGIN_IN);
}

struct race {
    struct bed *b;
    struct bdr_keyring *ring;
    const char *code;
    char cookie[6][BDR_TOKEN_CHARS];
    atomic_int in;
};

static struct bdr_err *race_code(void *ctx, unsigned index)
{
    struct race *r = ctx;
    const struct bdr_login_from from = {.addr = "192.0.2.7", .agent = "test", .now_ms = NOW};
    struct bdr_login_result result;

    BDR_TRY(bdr_login_totp(r->b->db, r->ring, r->cookie[index], r->code, &from, &result));
    atomic_fetch_add(&r->in, result.what == BDR_LOGIN_IN);
    return NULL;
}

static void test_login__one_code_in_six_logins_at_once__lets_one_in(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL;
    BDR_AUTO(secret) struct bdr_secret totp = {0};
    struct race r = {.b = b};
    int64_t id = account_add(b, "alice", "admin", "correct horse"), step = NOW / BDR_TOTP_STEP_MS;
    char codes[BDR_RECOVERY_CODES][20], old[9], code[9], path[128];
    struct bdr_pool *pool = NULL;
    struct bdr_tx *tx = NULL;

    snprintf(path, sizeof(path), "%s/key", b->dir);
    check_ok(bdr_keyring_open(path, &ring));
    check_ok(bdr_totp_new(&totp));
    check_ok(bdr_totp_code(&totp, step - 1, 6, old));
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_totp_enable(tx, ring, id, &totp, old, NOW, codes));
    check_ok(bdr_tx_commit(tx));
    for (size_t i = 0; i < BDR_COUNT(r.cookie); i++)
        snprintf(r.cookie[i], sizeof(r.cookie[i]), "%s", login_at(b, "alice", "correct horse", NOW - 60000).cookie);
    check_ok(bdr_totp_code(&totp, step, 6, code));
    r.ring = ring;
    r.code = code;
    check_ok(bdr_pool_start("race", BDR_COUNT(r.cookie), race_code, &r, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    assert_int_equal(atomic_load(&r.in), 1);
}

static void test_who__a_token__has_its_accounts_role_and_its_own_scopes(void **state)
{
    BED_OF(state, b);
    int64_t id = account_add(b, "robot", "operator", "correct horse"), token_id = 0, changed;
    const struct bdr_login_from from = {.addr = "192.0.2.7", .agent = "", .now_ms = NOW}, late = {.addr = "192.0.2.7", .agent = "", .now_ms = NOW + 5000};
    char text[BDR_TOKEN_CHARS], forever[BDR_TOKEN_CHARS];
    struct bdr_who who;
    struct bdr_tx *tx = NULL;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_fails(bdr_api_token_new(tx, id, "ci", "everything", NOW, 0, text, &token_id), BDR_INVAL, "everything");
    check_ok(bdr_api_token_new(tx, id, "ci", "hosts:read", NOW, NOW + 5000, text, &token_id));
    check_ok(bdr_api_token_new(tx, id, "ci 2", "*", NOW, 0, forever, &token_id));
    check_ok(bdr_tx_commit(tx));
    check_ok(bdr_who_token(b->db, text, &from, &who));
    assert_int_equal(who.role, BDR_ROLE_OPERATOR);
    assert_string_equal(who.name, "robot");
    assert_true(bdr_who_may(&who, BDR_ROLE_VIEWER, "hosts", "read"));
    assert_false(bdr_who_may(&who, BDR_ROLE_VIEWER, "jobs", "read"));
    assert_false(bdr_who_may(&who, BDR_ROLE_ADMIN, "hosts", "read"));
    check_ok(bdr_who_token(b->db, text, &late, &who));
    assert_int_equal(who.role, BDR_ROLE_NONE);
    check_ok(bdr_who_token(b->db, forever, &late, &who));
    assert_true(bdr_who_may(&who, BDR_ROLE_OPERATOR, "jobs", "write"));
    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_api_token_revoke(tx, id, token_id, NOW, &changed));
    check_ok(bdr_tx_commit(tx));
    check_ok(bdr_who_token(b->db, forever, &late, &who));
    assert_int_equal(who.role, BDR_ROLE_NONE);
}

static void test_login__a_new_password__ends_other_sessions(void **state)
{
    BED_OF(state, b);
    int64_t id = account_add(b, "alice", "viewer", "correct horse");
    BDR_AUTO(secret) struct bdr_secret next = secret_of("battery staple");
    struct bdr_login_result r = login_at(b, "alice", "correct horse", NOW);
    char hash[BDR_PASSWORD_CHARS];
    struct bdr_tx *tx = NULL;

    check_ok(bdr_password_hash(&next, hash));
    check_ok(bdr_tx_begin(b->db, BDR_TX_LOCK, &tx));
    check_fails(bdr_password_change(tx, id + 1, hash, true, NOW), BDR_NOTFOUND, "account");
    check_ok(bdr_password_change(tx, id, hash, true, NOW));
    check_ok(bdr_tx_commit(tx));
    assert_int_equal(who_at(b, r.cookie, NOW), BDR_ROLE_NONE);
    assert_int_equal(login_at(b, "alice", "correct horse", NOW).what, BDR_LOGIN_WRONG);
    r = login_at(b, "alice", "battery staple", NOW);
    assert_int_equal(r.what, BDR_LOGIN_IN);
    assert_true(r.must_change);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password__hash__carries_its_parameters),
        cmocka_unit_test(test_password__what_people_try__is_judged),
        cmocka_unit_test(test_totp__codes__are_those_of_rfc_6238),
        cmocka_unit_test(test_totp__a_code__counts_once_and_not_for_long),
        cmocka_unit_test(test_token__text__tells_its_kind_and_typos),
        cmocka_unit_test(test_scopes__words__allow_what_they_say),
        cmocka_unit_test(test_limit__bucket__gives_a_burst_then_one_each),
        cmocka_unit_test(test_limit__lock__doubles_up_to_an_hour),
        BED(test_login__right_password__opens_a_session_that_ends),
        BED(test_login__many_wrong__lock_the_account_then_the_tries),
        BED(test_login__second_step__takes_each_code_once),
        BED(test_login__one_code_in_six_logins_at_once__lets_one_in),
        BED(test_who__a_token__has_its_accounts_role_and_its_own_scopes),
        BED(test_login__a_new_password__ends_other_sessions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
