/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/password.h"
#include "bdr/osfile.h"
#include "bdr/sync.h"
#include <argon2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/*
 * RFC 9106 section 4 recommends 64 MiB and 3 passes where memory is short. The console has 300 MiB for everything, so
 * half of it and twice the passes, as the repository's keys; two at once are 64 MiB.
 */
#define PASSWORD_T     6
#define PASSWORD_M_KIB 32768
#define PASSWORD_P     1
#define PASSWORD_SALT  16
#define PASSWORD_HASH  32

static pthread_mutex_t password_lock = PTHREAD_MUTEX_INITIALIZER; /* guards password_busy, password_runs */
static pthread_cond_t password_free = PTHREAD_COND_INITIALIZER;
static unsigned password_busy;
static uint64_t password_runs;

static void password_enter(void)
{
    pthread_mutex_lock(&password_lock);
    while (password_busy >= BDR_PASSWORD_AT_ONCE)
        bdr_cond_wait_slice(&password_free, &password_lock);
    password_busy++;
    password_runs++;
    pthread_mutex_unlock(&password_lock);
}

static void password_leave(void)
{
    pthread_mutex_lock(&password_lock);
    password_busy--;
    pthread_cond_signal(&password_free);
    pthread_mutex_unlock(&password_lock);
}

uint64_t bdr_password_runs(void)
{
    uint64_t n;

    pthread_mutex_lock(&password_lock);
    n = password_runs;
    pthread_mutex_unlock(&password_lock);
    return n;
}

struct bdr_err *bdr_password_fits(const char *name, const struct bdr_secret *password)
{
    if (password->len < BDR_PASSWORD_MIN_BYTES)
        BDR_FAIL(BDR_INVAL, 0, "the password is too short; %d characters at least", BDR_PASSWORD_MIN_BYTES);
    if (password->len > BDR_PASSWORD_MAX_BYTES)
        BDR_FAIL(BDR_INVAL, 0, "the password is too long; %d bytes at most", BDR_PASSWORD_MAX_BYTES);
    if (memchr(password->data, 0, password->len))
        BDR_FAIL(BDR_INVAL, 0, "the password has a zero byte in it");
    for (size_t i = 1; password->data[i] == password->data[0]; i++)
        if (i + 1 == password->len)
            BDR_FAIL(BDR_INVAL, 0, "the password is one character, again and again");
    if (*name && strcasestr((const char *)password->data, name) && password->len < strlen(name) + 6)
        BDR_FAIL(BDR_INVAL, 0, "the password is little more than the name");
    return NULL;
}

static struct bdr_err *password_argon2(int rc, const char *doing)
{
    if (rc == ARGON2_OK)
        return NULL;
    BDR_FAIL(rc == ARGON2_MEMORY_ALLOCATION_ERROR ? BDR_NOMEM : BDR_CORRUPT, rc, "%s a password: %s", doing,
             argon2_error_message(rc));
}

struct bdr_err *bdr_password_hash(const struct bdr_secret *password, char out[BDR_PASSWORD_CHARS])
{
    uint8_t salt[PASSWORD_SALT];
    int rc;

    BDR_TRY(bdr_os_random(salt, sizeof(salt)));
    password_enter();
    rc = argon2id_hash_encoded(PASSWORD_T, PASSWORD_M_KIB, PASSWORD_P, password->data, password->len, salt,
                               sizeof(salt), PASSWORD_HASH, out, BDR_PASSWORD_CHARS);
    password_leave();
    return password_argon2(rc, "hashing");
}

struct bdr_err *bdr_password_check(const char *hash, const struct bdr_secret *password, bool *out_ok, bool *out_old)
{
    char now[64], ignored[BDR_PASSWORD_CHARS];
    int rc;

    if (!hash) {
        *out_ok = false;
        return bdr_password_hash(password, ignored);
    }
    if (password->len > BDR_PASSWORD_MAX_BYTES) {
        *out_ok = false; /* none that long was ever accepted; and it takes as long as for a name that is not there */
        return bdr_password_hash(password, ignored);
    }
    password_enter();
    rc = argon2id_verify(hash, password->data, password->len);
    password_leave();
    *out_ok = rc == ARGON2_OK;
    if (out_old) {
        snprintf(now, sizeof(now), "$argon2id$v=%d$m=%d,t=%d,p=%d$", ARGON2_VERSION_NUMBER, PASSWORD_M_KIB, PASSWORD_T,
                 PASSWORD_P);
        *out_old = *out_ok && strncmp(hash, now, strlen(now)) != 0;
    }
    return rc == ARGON2_VERIFY_MISMATCH ? NULL : password_argon2(rc, "checking");
}
