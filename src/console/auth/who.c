/* SPDX-License-Identifier: Apache-2.0 */
/* who.c - from a cookie or a token to an account, and what an account may; its password, second step and tokens. */
#include "auth/login.h"
#include "auth/password.h"
#include "auth/totp.h"
#include "db/statements.h"
#include <stdio.h>
#include <string.h>

/* A row is touched at most this often: lists show minutes, and reading must not become writing. */
#define SEEN_EVERY_MS 60000

static const char *const role_names[] = {
    [BDR_ROLE_NONE] = "", [BDR_ROLE_VIEWER] = "viewer", [BDR_ROLE_OPERATOR] = "operator", [BDR_ROLE_ADMIN] = "admin"};

enum bdr_role bdr_role_of(const char *name)
{
    for (size_t i = BDR_COUNT(role_names); i-- > 1;)
        if (!strcmp(role_names[i], name))
            return (enum bdr_role)i;
    return BDR_ROLE_NONE;
}

const char *bdr_role_name(enum bdr_role role)
{
    return role_names[role];
}

static struct bdr_err *who_account(struct bdr_tx *tx, int64_t id, struct bdr_who *out)
{
    BDR_AUTO(mem) struct bdr_row_account *a = NULL;

    BDR_TRY(bdr_q_account_get(tx, id, &a));
    if (!a || a->disabled)
        return NULL;
    out->account_id = a->id;
    out->must_change = a->must_change;
    snprintf(out->name, sizeof(out->name), "%s", a->name);
    out->role = bdr_role_of(a->role);
    return NULL;
}

struct who_touch {
    struct bdr_blob hash; /* of a session */
    int64_t token_id;
    const struct bdr_login_from *from;
};

static struct bdr_err *who_touch(struct bdr_tx *tx, void *ctx)
{
    const struct who_touch *t = ctx;

    return t->token_id ? bdr_q_api_token_used(tx, t->token_id, t->from->now_ms, t->from->addr)
                       : bdr_q_session_seen(tx, t->hash, t->from->now_ms);
}

static struct bdr_err *session_who(struct bdr_tx *tx, struct bdr_blob key, int64_t now_ms, struct bdr_who *out,
                                   int64_t *out_seen_ms)
{
    BDR_AUTO(mem) struct bdr_row_session *s = NULL;

    BDR_TRY(bdr_q_session_get(tx, key, &s));
    if (!s || strcmp(s->stage, "full") != 0 || s->expires_ms <= now_ms || now_ms - s->seen_ms > BDR_SESSION_IDLE_MS)
        return NULL;
    *out_seen_ms = s->seen_ms;
    snprintf(out->scopes, sizeof(out->scopes), "*");
    return who_account(tx, s->account_id, out);
}

static struct bdr_err *token_who(struct bdr_tx *tx, struct bdr_blob key, int64_t now_ms, struct bdr_who *out,
                                 int64_t *out_used_ms)
{
    BDR_AUTO(mem) struct bdr_row_api_token *t = NULL;

    BDR_TRY(bdr_q_api_token_by_hash(tx, key, &t));
    if (!t || t->revoked_ms || (t->expires_ms && t->expires_ms <= now_ms) || strlen(t->scopes) >= sizeof(out->scopes))
        return NULL;
    *out_used_ms = t->used_ms;
    out->token_id = t->id;
    snprintf(out->scopes, sizeof(out->scopes), "%s", t->scopes);
    return who_account(tx, t->account_id, out);
}

struct bdr_err *bdr_who_still(struct bdr_tx *tx, bool token, const uint8_t hash[32], int64_t now_ms,
                              struct bdr_who *out)
{
    const struct bdr_blob key = {hash, 32};
    struct bdr_who who = {0};
    int64_t ms;

    BDR_TRY(token ? token_who(tx, key, now_ms, &who, &ms) : session_who(tx, key, now_ms, &who, &ms));
    *out = who;
    return NULL;
}

struct bdr_err *bdr_who_session(struct bdr_db *db, const char *cookie, const struct bdr_login_from *from,
                                struct bdr_who *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_who who = {0};
    int64_t seen_ms = 0;
    uint8_t hash[32];
    const struct bdr_blob key = {hash, sizeof(hash)};

    *out = who;
    if (!bdr_token_hash(BDR_TOKEN_SESSION, cookie, hash))
        return NULL;
    BDR_TRY(bdr_tx_begin(db, BDR_TX_READ, &tx));
    BDR_TRY(session_who(tx, key, from->now_ms, &who, &seen_ms));
    bdr_tx_abandon(BDR_STEAL(tx));
    *out = who;
    if (who.role == BDR_ROLE_NONE || from->now_ms - seen_ms < SEEN_EVERY_MS)
        return NULL;
    return bdr_db_spare(db, who_touch, &(struct who_touch){.hash = key, .from = from});
}

struct bdr_err *bdr_who_token(struct bdr_db *db, const char *token, const struct bdr_login_from *from,
                              struct bdr_who *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_who who = {0};
    int64_t used_ms = 0;
    uint8_t hash[32];

    *out = who;
    if (!bdr_token_hash(BDR_TOKEN_API, token, hash))
        return NULL;
    BDR_TRY(bdr_tx_begin(db, BDR_TX_READ, &tx));
    BDR_TRY(token_who(tx, (struct bdr_blob){hash, sizeof(hash)}, from->now_ms, &who, &used_ms));
    bdr_tx_abandon(BDR_STEAL(tx));
    *out = who;
    if (who.role == BDR_ROLE_NONE || from->now_ms - used_ms < SEEN_EVERY_MS)
        return NULL;
    return bdr_db_spare(db, who_touch, &(struct who_touch){.token_id = who.token_id, .from = from});
}

bool bdr_who_may(const struct bdr_who *who, enum bdr_role role, const char *area, const char *verb)
{
    return who->role != BDR_ROLE_NONE && who->role >= role && !who->must_change &&
           bdr_scopes_allow(who->scopes, area, verb);
}

static struct bdr_err *logout(struct bdr_tx *tx, void *ctx)
{
    int64_t changed;

    return bdr_q_session_delete(tx, *(struct bdr_blob *)ctx, &changed);
}

struct bdr_err *bdr_logout(struct bdr_db *db, const char *cookie)
{
    uint8_t hash[32];

    if (!bdr_token_hash(BDR_TOKEN_SESSION, cookie, hash))
        return NULL;
    return bdr_db_run(db, BDR_TX_LOCK, logout, &(struct bdr_blob){hash, sizeof(hash)});
}

struct bdr_err *bdr_totp_enable(struct bdr_tx *tx, const struct bdr_keyring *ring, int64_t account_id,
                                const struct bdr_secret *secret, const char *code, int64_t now_ms, char codes[][20])
{
    const struct bdr_seal_place place = {"account", account_id, "totp"};
    int64_t step = 0, changed = 0;

    BDR_TRY(bdr_totp_check(secret, code, now_ms, 0, &step));
    if (!step)
        BDR_FAIL(BDR_INVAL, 0, "the code is not the one of now; is the phone's clock right?");
    BDR_TRY(bdr_q_account_totp(tx, account_id, true, step, &changed));
    if (!changed)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no account %lld", (long long)account_id);
    BDR_TRY(bdr_secret_put(tx, ring, &place, secret, now_ms));
    BDR_TRY(bdr_q_recovery_code_clear(tx, account_id));
    for (size_t i = 0; i < BDR_RECOVERY_CODES; i++) {
        uint8_t hash[32];

        BDR_TRY(bdr_recovery_code_new(codes[i]));
        BDR_ASSERT(bdr_recovery_code_hash(codes[i], hash));
        BDR_TRY(bdr_q_recovery_code_add(tx, account_id, (struct bdr_blob){hash, sizeof(hash)}));
    }
    return NULL;
}

struct bdr_err *bdr_totp_disable(struct bdr_tx *tx, int64_t account_id)
{
    int64_t changed;

    BDR_TRY(bdr_q_account_totp(tx, account_id, false, 0, &changed));
    BDR_TRY(bdr_q_recovery_code_clear(tx, account_id));
    return bdr_q_sealed_delete(tx, "account", account_id, &changed);
}

struct bdr_err *bdr_password_change(struct bdr_tx *tx, int64_t account_id, const char *hash, bool must_change,
                                    int64_t now_ms)
{
    int64_t changed = 0, ended;

    BDR_TRY(
        bdr_q_account_password(tx, &(struct bdr_in_account_password){account_id, hash, must_change, now_ms}, &changed));
    if (!changed)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no account %lld", (long long)account_id);
    return bdr_q_session_delete_all(tx, account_id, &ended);
}

struct bdr_err *bdr_api_token_new(struct bdr_tx *tx, int64_t account_id, const char *name, const char *scopes,
                                  int64_t now_ms, int64_t expires_ms, char out[BDR_TOKEN_CHARS], int64_t *out_id)
{
    char hint[BDR_TOKEN_HINT];
    uint8_t hash[32];

    BDR_TRY(bdr_scopes_check(scopes));
    if (strlen(scopes) >= sizeof(((struct bdr_who *)0)->scopes))
        BDR_FAIL(BDR_RANGE, 0, "that is too many scopes for one token");
    BDR_TRY(bdr_token_new(BDR_TOKEN_API, out));
    BDR_ASSERT(bdr_token_hash(BDR_TOKEN_API, out, hash));
    bdr_token_hint(out, hint);
    return bdr_q_api_token_add(tx,
                               &(struct bdr_in_api_token_add){.account_id = account_id,
                                                              .name = name,
                                                              .hint = hint,
                                                              .hash = {hash, sizeof(hash)},
                                                              .scopes = scopes,
                                                              .now_ms = now_ms,
                                                              .expires_ms = expires_ms},
                               out_id);
}
