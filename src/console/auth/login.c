/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/login.h"
#include "auth/password.h"
#include "auth/totp.h"
#include "db/statements.h"
#include <stdio.h>
#include <string.h>

/* An address may be an office behind one router; a name is one person, or somebody who guesses theirs. */
static const struct bdr_rate_rule login_addr_rule = {30, 2000}, login_name_rule = {10, 6000};

struct login {
    const char *name;
    const struct bdr_login_from *from;
    struct bdr_login_result *out;
    struct bdr_row_account *account; /* owned */
    const char *cookie, *code;
    const struct bdr_keyring *ring;
    const char *new_hash;       /* the same password under newer parameters */
    char device[BDR_DEVICE_ID]; /* its owner has logged in there before; "": nobody knows */
};

static void login_free(struct login *l)
{
    free(l->account);
}
#define AUTO_LOGIN __attribute__((cleanup(login_free)))

static void login_device(struct login *l)
{
    const struct bdr_login_from *from = l->from;

    if (!l->account || !from->ring || !from->device ||
        !bdr_device_ok(from->ring, l->account->id, l->account->password, from->device, from->now_ms, l->device))
        *l->device = 0;
}

static bool login_locked(const struct login *l)
{
    return l->account->locked_until_ms > l->from->now_ms && !*l->device;
}

/* Counts the try against the address and the name, or the device; out->what is WAIT when it was one too many. */
static struct bdr_err *login_rate(struct bdr_tx *tx, struct login *l, const char *name)
{
    int64_t by_addr = 0, by_name = 0;
    char key[256];

    if (*l->device) {
        snprintf(key, sizeof(key), "login device %s", l->device);
        BDR_TRY(bdr_rate_take(tx, key, &bdr_device_rule, l->from->now_ms, &l->out->wait_ms));
        l->out->what = l->out->wait_ms ? BDR_LOGIN_WAIT : l->out->what;
        return NULL;
    }
    snprintf(key, sizeof(key), "login addr %.200s", l->from->addr);
    BDR_TRY(bdr_rate_take(tx, key, &login_addr_rule, l->from->now_ms, &by_addr));
    snprintf(key, sizeof(key), "login name %.200s", name);
    BDR_TRY(bdr_rate_take(tx, key, &login_name_rule, l->from->now_ms, &by_name));
    l->out->wait_ms = BDR_MAX(by_addr, by_name);
    if (l->out->wait_ms)
        l->out->what = BDR_LOGIN_WAIT;
    return NULL;
}

static struct bdr_err *login_begin(struct bdr_tx *tx, void *ctx)
{
    struct login *l = ctx;

    *l->out = (struct bdr_login_result){.codes_left = -1};
    free(BDR_STEAL(l->account));
    BDR_TRY(bdr_q_account_by_name(tx, l->name, &l->account));
    login_device(l);
    return login_rate(tx, l, l->name);
}

static struct bdr_err *session_make(struct bdr_tx *tx, struct login *l, const char *stage, int64_t ms)
{
    uint8_t hash[32];

    BDR_TRY(bdr_token_new(BDR_TOKEN_SESSION, l->out->cookie));
    BDR_ASSERT(bdr_token_hash(BDR_TOKEN_SESSION, l->out->cookie, hash));
    l->out->account_id = l->account->id;
    l->out->must_change = l->account->must_change;
    return bdr_q_session_add(tx, &(struct bdr_in_session_add){.hash = {hash, sizeof(hash)},
                                                              .account_id = l->account->id,
                                                              .stage = stage,
                                                              .addr = l->from->addr,
                                                              .agent = l->from->agent,
                                                              .now_ms = l->from->now_ms,
                                                              .expires_ms = l->from->now_ms + ms});
}

static struct bdr_err *login_wrong(struct bdr_tx *tx, struct login *l)
{
    int64_t failures = 0, ms;

    l->out->what = BDR_LOGIN_WRONG;
    if (*l->device) /* has a bucket of its own, and is no stranger whose tries lock others out */
        return NULL;
    BDR_TRY(bdr_q_account_failed(tx, l->account->id, &failures));
    ms = bdr_lock_ms(failures);
    return ms ? bdr_q_account_lock(tx, l->account->id, l->from->now_ms + ms) : NULL;
}

static struct bdr_err *login_failed(struct bdr_tx *tx, void *ctx)
{
    return login_wrong(tx, ctx);
}

/* Writes as much as a wrong password does: a disk's sync, too, would tell which names there are. */
static struct bdr_err *login_nobody(struct bdr_tx *tx, void *ctx)
{
    const struct login *l = ctx;

    return bdr_q_rate_put(tx, "login nobody", 0, l->from->now_ms);
}

static struct bdr_err *login_passed(struct bdr_tx *tx, void *ctx)
{
    struct login *l = ctx;
    int64_t changed = 0;

    if (l->new_hash)
        BDR_TRY(bdr_q_account_rehash(tx, l->account->id, l->account->password, l->new_hash, &changed));
    if (l->account->totp) {
        l->out->what = BDR_LOGIN_TOTP;
        return session_make(tx, l, "totp", BDR_SESSION_TOTP_MS);
    }
    l->out->what = BDR_LOGIN_IN;
    BDR_TRY(bdr_q_account_came_in(tx, l->account->id, l->from->now_ms));
    return session_make(tx, l, "full", BDR_SESSION_MS);
}

/* Whoever is in takes along that this browser is known. */
static struct bdr_err *login_remember(struct login *l, const char *password)
{
    if (l->out->what != BDR_LOGIN_IN || !l->from->ring)
        return NULL;
    return bdr_device_new(l->from->ring, l->account->id, password, l->from->now_ms, l->out->device);
}

struct bdr_err *bdr_login_password(struct bdr_db *db, const char *name, const struct bdr_secret *password,
                                   const struct bdr_login_from *from, struct bdr_login_result *out)
{
    AUTO_LOGIN struct login l = {.name = name, .from = from, .out = out};
    char hash[BDR_PASSWORD_CHARS];
    bool ok = false, old = false, shut;

    BDR_TRY(bdr_db_run(db, BDR_TX_LOCK, login_begin, &l));
    if (out->what == BDR_LOGIN_WAIT)
        return NULL;
    shut = !l.account || l.account->disabled || login_locked(&l);
    /* outside of any transaction: this takes a tenth of a second, and no writer waits for it */
    BDR_TRY(bdr_password_check(l.account ? l.account->password : NULL, password, &ok, &old));
    if (shut) /* WRONG, whatever was typed; a locked account's tries do not lock it longer */
        return bdr_db_run(db, BDR_TX_LOCK, login_nobody, &l);
    if (!ok)
        return bdr_db_run(db, BDR_TX_LOCK, login_failed, &l);
    if (old) {
        BDR_TRY(bdr_password_hash(password, hash));
        l.new_hash = hash;
    }
    BDR_TRY(bdr_db_run(db, BDR_TX_LOCK, login_passed, &l));
    return login_remember(&l, l.new_hash ? l.new_hash : l.account->password);
}

/* The session of the first step, if it is one and still good. */
static struct bdr_err *totp_session(struct bdr_tx *tx, struct login *l, uint8_t hash[32], bool *out_ok)
{
    BDR_AUTO(mem) struct bdr_row_session *s = NULL;

    *out_ok = false;
    if (!bdr_token_hash(BDR_TOKEN_SESSION, l->cookie, hash))
        return NULL;
    BDR_TRY(bdr_q_session_get(tx, (struct bdr_blob){hash, 32}, &s));
    if (!s || strcmp(s->stage, "totp") != 0 || s->expires_ms <= l->from->now_ms)
        return NULL;
    BDR_TRY(bdr_q_account_get(tx, s->account_id, &l->account));
    login_device(l);
    *out_ok = l->account && !l->account->disabled && !login_locked(l);
    return NULL;
}

/* Whether the code is right; it counts as used when it is. */
static struct bdr_err *totp_right(struct bdr_tx *tx, struct login *l, bool *out_ok)
{
    const struct bdr_seal_place place = {"account", l->account->id, "totp"};
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    uint8_t hash[32];
    int64_t step = 0, changed = 0;
    bool found = false;

    *out_ok = false;
    if (bdr_recovery_code_hash(l->code, hash)) {
        BDR_TRY(bdr_q_recovery_code_use(tx, l->account->id, (struct bdr_blob){hash, 32}, l->from->now_ms, &changed));
        *out_ok = changed == 1;
        return *out_ok ? bdr_q_recovery_code_left(tx, l->account->id, &l->out->codes_left) : NULL;
    }
    BDR_TRY(bdr_secret_get(tx, l->ring, &place, &secret, &found));
    if (!found)
        BDR_FAIL(BDR_CORRUPT, 0, "the account %s has a second step without its secret", l->account->name);
    BDR_TRY(bdr_totp_check(&secret, l->code, l->from->now_ms, l->account->totp_step, &step));
    if (!step)
        return NULL;
    /* the statement asks again: of two logins with one code only one changes the row */
    BDR_TRY(bdr_q_account_totp_step(tx, l->account->id, step, &changed));
    *out_ok = changed == 1;
    return NULL;
}

static struct bdr_err *login_second(struct bdr_tx *tx, void *ctx)
{
    struct login *l = ctx;
    uint8_t hash[32];
    int64_t changed;
    bool ok = false;
    char name[128];

    *l->out = (struct bdr_login_result){.codes_left = -1};
    free(BDR_STEAL(l->account));
    BDR_TRY(totp_session(tx, l, hash, &ok));
    if (!ok)
        return NULL;
    snprintf(name, sizeof(name), "%s", l->account->name);
    BDR_TRY(login_rate(tx, l, name));
    if (l->out->what == BDR_LOGIN_WAIT)
        return NULL;
    BDR_TRY(totp_right(tx, l, &ok));
    if (!ok)
        return login_wrong(tx, l);
    l->out->what = BDR_LOGIN_IN;
    BDR_TRY(bdr_q_session_delete(tx, (struct bdr_blob){hash, 32}, &changed));
    BDR_TRY(bdr_q_account_came_in(tx, l->account->id, l->from->now_ms));
    return session_make(tx, l, "full", BDR_SESSION_MS);
}

struct bdr_err *bdr_login_totp(struct bdr_db *db, const struct bdr_keyring *ring, const char *cookie, const char *code,
                               const struct bdr_login_from *from, struct bdr_login_result *out)
{
    AUTO_LOGIN struct login l = {.from = from, .out = out, .cookie = cookie, .code = code, .ring = ring};

    BDR_TRY(bdr_db_run(db, BDR_TX_LOCK, login_second, &l));
    return login_remember(&l, l.account ? l.account->password : "");
}
