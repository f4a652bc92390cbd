/* SPDX-License-Identifier: Apache-2.0 */
#include "first_login.h"
#include "auth/password.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "db/statements.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME    "admin"
#define LETTERS 20 /* of 31: 4.9 bits each, 99 in all */

struct first {
    char hash[BDR_PASSWORD_CHARS];
    bool made;
};

static struct bdr_err *anybody(struct bdr_tx *tx, bool *out)
{
    BDR_AUTO(mem) struct bdr_row_account *a = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_account_list(tx, 0, 1, &a, &n));
    *out = n > 0;
    return NULL;
}

static struct bdr_err *make(struct bdr_tx *tx, void *ctx)
{
    struct first *f = ctx;
    bool there = false;
    int64_t id;

    f->made = false;
    BDR_TRY(anybody(tx, &there)); /* another console on this database may have been first */
    if (there)
        return NULL;
    BDR_TRY(bdr_q_account_add(
        tx, &(struct bdr_in_account_add){NAME, "Administrator", "", "", "admin", f->hash, true, bdr_clock_wall_ms()},
        &id));
    f->made = true;
    return NULL;
}

static struct bdr_err *password_of_letters(struct bdr_secret *out, char text[LETTERS + 2])
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
    uint8_t raw[LETTERS];

    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    for (size_t i = 0; i < LETTERS; i++)
        text[i] = letters[raw[i] % (sizeof(letters) - 1)];
    memcpy(text + LETTERS, "\n", 2);
    explicit_bzero(raw, sizeof(raw));
    return bdr_secret_set(out, text, LETTERS);
}

static void file_of(const struct bdr_console *c, char out[512])
{
    snprintf(out, 512, "%s/%s", c->config.folder, BDR_FIRST_LOGIN_FILE);
}

static void file_gone(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        BDR_LOG(WARN, "console.first-login-stays", F_STR("file", path), F_U64("errno", (uint64_t)errno));
}

struct bdr_err *bdr_first_login(struct bdr_console *c)
{
    BDR_AUTO(secret) struct bdr_secret password = {0};
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    char path[512], text[LETTERS + 2];
    struct bdr_err *err;
    struct first f = {0};
    bool there = false;

    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(anybody(tx, &there));
    bdr_tx_abandon(BDR_STEAL(tx));
    if (there)
        return NULL;
    BDR_TRY(password_of_letters(&password, text));
    BDR_TRY(bdr_password_hash(&password, f.hash));
    file_of(c, path);
    err = bdr_os_replace_file(path, text, LETTERS + 1, 0600, false);
    explicit_bzero(text, sizeof(text));
    BDR_TRY(err);
    BDR_TRY(bdr_db_run(c->db, BDR_TX_WRITE, make, &f));
    if (f.made)
        BDR_LOG(INFO, "console.first-login", F_STR("account", NAME), F_STR("password-in", path));
    else
        file_gone(path);
    return NULL;
}

void bdr_first_login_over(const struct bdr_console *c, const char *name)
{
    char path[512];

    if (strcmp(name, NAME) != 0)
        return;
    file_of(c, path);
    file_gone(path);
}
