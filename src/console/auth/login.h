/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login.h - from a name and a password to a session, and from a cookie or token to who it is.
 *
 * A login has one or two steps; each step ends the session of the step before, so that a cookie never gains rights.
 * Nobody learns from an answer, or from its time, whether a name exists, or whether a locked account's password was
 * right. Strangers' tries lock an account against strangers only: device.h. Threads: any.
 */
#pragma once
#include "auth/device.h"
#include "auth/limit.h"
#include "auth/token.h"
#include "secret.h"

#define BDR_SESSION_MS      43200000 /* 12 hours, whatever is done in it */
#define BDR_SESSION_IDLE_MS 1800000  /* 30 minutes without a request */
#define BDR_SESSION_TOTP_MS 300000   /* to type the code of the second step */

enum bdr_role {
    BDR_ROLE_NONE,
    BDR_ROLE_VIEWER,
    BDR_ROLE_OPERATOR,
    BDR_ROLE_ADMIN
}; /* each may what the one before may */
enum bdr_role bdr_role_of(const char *name);
const char *bdr_role_name(enum bdr_role role);

enum bdr_login {
    BDR_LOGIN_WRONG, /* name, password or code */
    BDR_LOGIN_WAIT,  /* too many tries: wait_ms; what was typed was not looked at */
    BDR_LOGIN_TOTP,  /* right; the cookie is good for the second step alone */
    BDR_LOGIN_IN,    /* the cookie is a session */
};
struct bdr_login_result {
    enum bdr_login what;
    int64_t wait_ms;
    int64_t account_id;
    bool must_change;
    int64_t codes_left; /* recovery codes, after one was used; else -1 */
    char cookie[BDR_TOKEN_CHARS];
    char device[BDR_DEVICE_CHARS]; /* IN, with a ring: the browser keeps it; else "" */
};

struct bdr_login_from {
    const char *addr, *agent; /* for rate limits and the list of sessions */
    int64_t now_ms;
    const struct bdr_keyring *ring; /* with a device: NULL, and every browser is a stranger */
    const char *device;             /* the browser's cookie of device.h, or NULL */
};
bdr_ret bdr_login_password(struct bdr_db *db, const char *name, const struct bdr_secret *password,
                           const struct bdr_login_from *from, struct bdr_login_result *out);
/* `code` of the app, or a recovery code. */
bdr_ret bdr_login_totp(struct bdr_db *db, const struct bdr_keyring *ring, const char *cookie, const char *code,
                       const struct bdr_login_from *from, struct bdr_login_result *out);
bdr_ret bdr_logout(struct bdr_db *db, const char *cookie);

/* Who asks. */
struct bdr_who {
    int64_t account_id, token_id; /* token_id 0: a session */
    enum bdr_role role;           /* NONE: nobody */
    bool must_change;             /* may do nothing but change the password */
    char name[128];
    char scopes[512]; /* "*" for a session */
};
/* role NONE when the cookie or token is unknown, expired, revoked, or its account disabled. */
bdr_ret bdr_who_session(struct bdr_db *db, const char *cookie, const struct bdr_login_from *from, struct bdr_who *out);
bdr_ret bdr_who_token(struct bdr_db *db, const char *token, const struct bdr_login_from *from, struct bdr_who *out);
/* Who it is that came with it a while ago, as things stand now; not counted as use. `hash` as bdr_token_hash makes it.
 */
bdr_ret bdr_who_still(struct bdr_tx *tx, bool token, const uint8_t hash[32], int64_t now_ms, struct bdr_who *out);
/* Whether they may: the role is at least `role` and the scopes allow it. */
bool bdr_who_may(const struct bdr_who *who, enum bdr_role role, const char *area, const char *verb);

/* Turns the second step on once `code` shows that the app has the secret; codes[] are shown once. INVAL: a wrong code.
 */
bdr_ret bdr_totp_enable(struct bdr_tx *tx, const struct bdr_keyring *ring, int64_t account_id,
                        const struct bdr_secret *secret, const char *code, int64_t now_ms, char codes[][20]);
bdr_ret bdr_totp_disable(struct bdr_tx *tx, int64_t account_id);
/* `hash` (bdr_password_hash) is an account's password from now on; its sessions end. NOTFOUND: no such account. */
bdr_ret bdr_password_change(struct bdr_tx *tx, int64_t account_id, const char *hash, bool must_change, int64_t now_ms);
/* An API token of `account_id`; `out` is told once and kept nowhere. expires_ms 0: never. */
bdr_ret bdr_api_token_new(struct bdr_tx *tx, int64_t account_id, const char *name, const char *scopes, int64_t now_ms,
                          int64_t expires_ms, char out[BDR_TOKEN_CHARS], int64_t *out_id);
