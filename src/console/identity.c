/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "api/api.h"
#include "bdr/log.h"
#include "db/statements.h"
#include "settings.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SETTING_CA  "ca_fingerprint"
#define SETTING_KEY "master_key" /* the id of the one that seals */
#define ADVICE                                                                                                         \
    "Consoles on one database share them: stop, copy ca.key, ca.crt and master.key from the folder of a console that " \
    "works with it, or from their backup, into %s (owner root, mode 0600), and start again. Or give this console a "   \
    "database of its own with --db. If they are lost for good, --keys-lost goes on without them."

static bool identity_has(const struct bdr_console *c, const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", c->config.folder, name);
    return access(path, F_OK) == 0;
}

static struct bdr_err *identity_refuse(const struct bdr_console *c, const char *what, const char *value)
{
    BDR_FAIL(BDR_CONFLICT, 0, "the database belongs to consoles with another %s (%s) than the folder %s. " ADVICE, what,
             value, c->config.folder, c->config.folder);
}

struct bdr_err *bdr_identity_expect(struct bdr_console *c)
{
    BDR_AUTO(mem) struct bdr_row_sealed_keys *key = NULL;
    BDR_AUTO(mem) char *print = NULL, *id = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0;

    if (c->config.keys_lost)
        return NULL;
    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_setting_get(tx, SETTING_CA, &print));
    BDR_TRY(bdr_setting_get(tx, SETTING_KEY, &id));
    BDR_TRY(bdr_q_sealed_keys(tx, &key, &n));
    if (*print && !identity_has(c, "ca.crt"))
        return identity_refuse(c, "certificate authority", print);
    if ((*id || n) && !identity_has(c, "master.key"))
        return identity_refuse(c, "master key", *id ? id : key[0].key_id);
    return NULL;
}

struct identity {
    struct bdr_console *c;
    int64_t forgotten; /* secrets */
    bool adopted;      /* another authority than before */
};

static struct bdr_err *identity_keys(struct bdr_tx *tx, struct identity *t)
{
    const char *ours = bdr_keyring_current(t->c->ring);
    BDR_AUTO(mem) struct bdr_row_sealed_keys *key = NULL;
    BDR_AUTO(mem) char *id = NULL;
    size_t n = 0;

    BDR_TRY(bdr_setting_get(tx, SETTING_KEY, &id));
    if (*id && !bdr_keyring_has(t->c->ring, id) && !t->c->config.keys_lost)
        return identity_refuse(t->c, "master key", id);
    BDR_TRY(bdr_q_sealed_keys(tx, &key, &n));
    for (size_t i = 0; i < n; i++) {
        int64_t gone = 0;

        if (bdr_keyring_has(t->c->ring, key[i].key_id))
            continue;
        if (!t->c->config.keys_lost)
            return identity_refuse(t->c, "master key", key[i].key_id);
        BDR_TRY(bdr_q_sealed_forget(tx, key[i].key_id, &gone));
        t->forgotten += gone;
    }
    return strcmp(id, ours) != 0 ? bdr_setting_put(tx, SETTING_KEY, ours, api_now()) : NULL;
}

static struct bdr_err *identity_tx(struct bdr_tx *tx, void *ctx)
{
    struct identity *t = ctx;
    const char *ours = bdr_ca_info(t->c->ca)->fingerprint;
    BDR_AUTO(mem) char *print = NULL;

    t->forgotten = 0;
    BDR_TRY(bdr_setting_get(tx, SETTING_CA, &print));
    t->adopted = *print && strcmp(print, ours) != 0;
    if (t->adopted && !t->c->config.keys_lost)
        return identity_refuse(t->c, "certificate authority", print);
    BDR_TRY(identity_keys(tx, t));
    return strcmp(print, ours) != 0 ? bdr_setting_put(tx, SETTING_CA, ours, api_now()) : NULL;
}

struct bdr_err *bdr_identity_check(struct bdr_console *c)
{
    struct identity t = {.c = c};

    BDR_TRY(bdr_db_run(c->db, BDR_TX_WRITE, identity_tx, &t));
    if (t.adopted || t.forgotten)
        BDR_LOG(WARN, "console.keys-lost", F_STR("authority", t.adopted ? "new" : "as before"),
                F_U64("secrets-forgotten", (uint64_t)t.forgotten));
    return NULL;
}
