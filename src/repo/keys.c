/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - the master key of an encrypted repository: wrapped by passphrases and key files, exported as a kit. */
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/osfile.h"
#include "repo_i.h"
#include "twice.h"
#include <stdio.h>
#include <string.h>

/* Argon2id's second recommended option of RFC 9106 section 4 is 64 MiB and 3 passes; an agent may use 64 MiB in all,
 * so half the memory and twice the passes. */
#define KEYS_T_COST 6
#define KEYS_M_KIB 32768
#define KEYS_LANES 1
/* What we accept from a repository we did not make. */
#define KEYS_MAX_T 64
#define KEYS_MAX_M_KIB (1u << 20)
#define KEYS_MAX_LANES 16

#define KIT_LINE "openbdr-master-key:"

static const uint8_t keys_nonce[BDR_NONCE_BYTES];

static void secret_text_free(char *s)
{
    bdr_wipe(s, strlen(s));
    free(s);
}
BDR_AUTO_DEFINE(secret_text, char *, secret_text_free)

static struct bdr_err *keys_passphrase(const char *path, char **out)
{
    size_t len = 0, line;

    BDR_TRY_FOR(bdr_os_read_file(path, 65536, out, &len), "reading the passphrase");
    line = strcspn(*out, "\r\n");
    (*out)[line] = 0;
    if (!line) {
        free(BDR_STEAL(*out));
        BDR_FAIL(BDR_INVAL, 0, "the first line of %s is empty; it must hold the passphrase", path);
    }
    return NULL;
}

static struct bdr_err *keys_kek(const char *type, const json_t *key, const char *secret, size_t secret_len,
                                struct bdr_secret *out)
{
    uint8_t salt[32];
    uint64_t t = json_u64(key, "t_cost", 0), m = json_u64(key, "m_kib", 0), lanes = json_u64(key, "lanes", 0);

    if (!bdr_unhex(json_str(key, "salt", ""), salt, sizeof(salt)))
        BDR_FAIL(BDR_CORRUPT, 0, "a key object has no salt");
    if (!strcmp(type, "keyfile"))
        return bdr_hkdf(secret, secret_len, salt, sizeof(salt), "bdr keyfile", out);
    if (!t || !m || !lanes || t > KEYS_MAX_T || m > KEYS_MAX_M_KIB || lanes > KEYS_MAX_LANES)
        BDR_FAIL(BDR_CORRUPT, 0, "a key object asks for more work than is sensible");
    return bdr_argon2id(secret, secret_len, salt, (uint32_t)t, (uint32_t)m, (uint32_t)lanes, out);
}

struct bdr_err *bdr_keys_check(const struct bdr_secret *master, char out_hex[33])
{
    BDR_AUTO(secret) struct bdr_secret check = {{0}};

    BDR_TRY(bdr_hkdf(master->b, sizeof(master->b), NULL, 0, "bdr check", &check));
    bdr_hex(check.b, 16, out_hex);
    return NULL;
}

struct bdr_err *bdr_keys_wrap(struct bdr_store *store, const uint8_t repo_id[16], const struct bdr_secret *master,
                              const char *passphrase_file, const char *key_file, const char *label, char out_id[33])
{
    BDR_AUTO(secret_text) char *secret = NULL;
    BDR_AUTO(secret) struct bdr_secret kek = {{0}};
    BDR_AUTO(aead) struct bdr_aead *aead = NULL;
    BDR_AUTO(json) json_t *key = json_object();
    BDR_AUTO(buf) struct bdr_buf raw = {0};
    uint8_t salt[32], id[16], wrapped[BDR_KEY_BYTES + BDR_TAG_BYTES];
    char hex[sizeof(wrapped) * 2 + 1], name[64];
    const char *type = passphrase_file ? "passphrase" : "keyfile";
    size_t len = 0;

    BDR_NOMEM_IF_NULL(key);
    if (passphrase_file) {
        BDR_TRY(keys_passphrase(passphrase_file, &secret));
        len = strlen(secret);
    } else {
        BDR_TRY_FOR(bdr_os_read_file(key_file, 1 << 20, &secret, &len), "reading the key file");
        if (len < 32)
            BDR_FAIL(BDR_INVAL, 0, "key file %s has %zu bytes; at least 32 random ones are needed", key_file, len);
    }
    BDR_TRY(bdr_os_random(salt, sizeof(salt)));
    BDR_TRY(bdr_os_random(id, sizeof(id)));
    BDR_TRY(bdr_json_set(key, "type", json_string(type)));
    BDR_TRY(bdr_json_set_text(key, "label", label ? label : ""));
    BDR_TRY(bdr_json_set(key, "created_ms", json_integer(bdr_clock_wall_ms())));
    BDR_TRY(bdr_json_set(key, "salt", json_string(bdr_hex(salt, sizeof(salt), hex))));
    if (passphrase_file) {
        BDR_TRY(bdr_json_set(key, "t_cost", json_integer(KEYS_T_COST)));
        BDR_TRY(bdr_json_set(key, "m_kib", json_integer(KEYS_M_KIB)));
        BDR_TRY(bdr_json_set(key, "lanes", json_integer(KEYS_LANES)));
    }
    BDR_TRY(keys_kek(type, key, secret, len, &kek));
    BDR_TRY(bdr_aead_new(&kek, &aead));
    BDR_TRY(bdr_aead_seal(aead, keys_nonce, repo_id, 16, master->b, sizeof(master->b), wrapped));
    BDR_TRY(bdr_json_set(key, "wrapped", json_string(bdr_hex(wrapped, sizeof(wrapped), hex))));
    BDR_TRY(bdr_envelope_make_json(BDR_ENV_KEY, repo_id, NULL, key, &raw));
    bdr_hex(id, sizeof(id), out_id);
    snprintf(name, sizeof(name), "keys/%s", out_id);
    return bdr_twice_put(store, name, raw.data, raw.len, BDR_PUT_EXCL);
}

/* *out_ok: the key object opened with this secret. */
static struct bdr_err *keys_try(struct bdr_store *store, const uint8_t repo_id[16], const char *name, const char *type,
                                const char *secret, size_t len, struct bdr_secret *out, bool *out_ok,
                                bool *out_second)
{
    BDR_AUTO(json) json_t *key = NULL;
    BDR_AUTO(secret) struct bdr_secret kek = {{0}};
    BDR_AUTO(aead) struct bdr_aead *aead = NULL;
    uint8_t wrapped[BDR_KEY_BYTES + BDR_TAG_BYTES];
    struct bdr_err *err;
    bool second = false;

    BDR_TRY_FOR(bdr_twice_get(store, BDR_ENV_KEY, repo_id, name, NULL, &key, &second), "reading %s", name);
    *out_second |= second;
    if (strcmp(json_str(key, "type", ""), type) != 0)
        return NULL;
    if (!bdr_unhex(json_str(key, "wrapped", ""), wrapped, sizeof(wrapped)))
        BDR_FAIL(BDR_CORRUPT, 0, "%s holds no wrapped key", name);
    BDR_TRY(keys_kek(type, key, secret, len, &kek));
    BDR_TRY(bdr_aead_new(&kek, &aead));
    err = bdr_aead_open(aead, keys_nonce, repo_id, 16, wrapped, sizeof(wrapped), out->b);
    *out_ok = !err;
    bdr_err_drop(err, "another key object may fit");
    return NULL;
}

struct bdr_err *bdr_keys_open(struct bdr_store *store, const uint8_t repo_id[16], const json_t *config,
                              const char *passphrase_file, const char *key_file, struct bdr_secret *out,
                              bool *out_second)
{
    BDR_AUTO(secret_text) char *secret = NULL;
    BDR_AUTO(json) json_t *names = NULL;
    struct bdr_err *bad = NULL;
    const char *kit;
    char check[33];
    bool ok = false, second = false;
    size_t len = 0, i;
    json_t *name;

    if (!passphrase_file && !key_file)
        BDR_FAIL(BDR_AUTH, 0, "the repository is encrypted; give --passphrase-file or --key-file");
    if (passphrase_file) {
        BDR_TRY(keys_passphrase(passphrase_file, &secret));
        len = strlen(secret);
    } else {
        BDR_TRY_FOR(bdr_os_read_file(key_file, 1 << 20, &secret, &len), "reading the key file");
        kit = strstr(secret, KIT_LINE);
        if (kit) {
            char hex[65];
            const char *p = kit + strlen(KIT_LINE);
            size_t n = 0;

            for (; *p && n < 64; p++)
                if (*p != ' ' && *p != '\n' && *p != '\r' && *p != '-')
                    hex[n++] = *p;
            hex[n] = 0;
            ok = bdr_unhex(hex, out->b, sizeof(out->b));
            bdr_wipe(hex, sizeof(hex));
        }
    }
    BDR_TRY(bdr_twice_keys(store, &names, &second));
    *out_second |= second;
    json_array_foreach(names, i, name)
    {
        struct bdr_err *err = NULL;

        if (!ok)
            err = keys_try(store, repo_id, json_string_value(name), passphrase_file ? "passphrase" : "keyfile", secret,
                           len, out, &ok, out_second);
        bad = bdr_err_first(bad, err); /* a damaged key object must not hide another that opens */
    }
    if (ok) {
        bdr_err_drop(bad, "another key opened");
        BDR_TRY(bdr_keys_check(out, check));
        if (strcmp(check, json_str(config, "key_check", "")) != 0)
            BDR_FAIL(BDR_AUTH, 0, "the key is not this repository's");
        return NULL;
    }
    if (bad)
        return bad;
    BDR_FAIL(BDR_AUTH, 0, "%s opens none of the %zu keys of this repository",
             passphrase_file ? "the passphrase" : "the key file", json_array_size(names));
}

static struct bdr_err *keys_row(struct bdr_repo *repo, const char *name, struct bdr_key_row *out)
{
    BDR_AUTO(json) json_t *key = NULL;
    bool second;
    struct bdr_err *err = bdr_twice_get(repo->store, BDR_ENV_KEY, repo->id, name, NULL, &key, &second);

    if (err && err->code != BDR_CORRUPT && err->code != BDR_INVAL)
        return bdr_err_wrap(err, BDR_AT, "reading %s", name);
    bdr_err_drop(err, "its row says so; the damaged one may be what is to be removed");
    snprintf(out->id, sizeof(out->id), "%s", name + strlen("keys/"));
    snprintf(out->type, sizeof(out->type), "%s", key ? json_str(key, "type", "?") : BDR_KEY_DAMAGED);
    snprintf(out->label, sizeof(out->label), "%s", json_str(key, "label", ""));
    out->created_ms = (int64_t)json_u64(key, "created_ms", 0);
    return NULL;
}

struct bdr_err *bdr_repo_keys(struct bdr_repo *repo, struct bdr_key_row **out, size_t *out_n)
{
    BDR_AUTO(json) json_t *names = NULL;
    BDR_AUTO(mem) struct bdr_key_row *rows = NULL;
    size_t i;
    json_t *name;
    bool second;

    if (!repo->sealed)
        BDR_FAIL(BDR_INVAL, 0, "the repository is not encrypted, it has no keys");
    BDR_TRY(bdr_twice_keys(repo->store, &names, &second));
    rows = calloc(json_array_size(names) + 1, sizeof(*rows));
    BDR_NOMEM_IF_NULL(rows);
    json_array_foreach(names, i, name) BDR_TRY(keys_row(repo, json_string_value(name), &rows[i]));
    *out_n = json_array_size(names);
    *out = BDR_STEAL(rows);
    return NULL;
}

struct bdr_err *bdr_repo_key_add(struct bdr_repo *repo, const char *passphrase_file, const char *key_file,
                                 const char *label, char out_id[33])
{
    if (!repo->sealed)
        BDR_FAIL(BDR_INVAL, 0, "the repository is not encrypted; a key can't be added to it");
    if (!passphrase_file == !key_file)
        BDR_FAIL(BDR_INVAL, 0, "give the new key as one of a passphrase file and a key file");
    return bdr_keys_wrap(repo->store, repo->id, &repo->master, passphrase_file, key_file, label, out_id);
}

struct bdr_err *bdr_repo_key_remove(struct bdr_repo *repo, const char *id)
{
    BDR_AUTO(mem) struct bdr_key_row *rows = NULL;
    size_t n = 0, hit = 0, hits = 0, others = 0;
    char name[64];

    BDR_TRY(bdr_repo_keys(repo, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (!strncmp(rows[i].id, id, strlen(id))) {
            hit = i;
            hits++;
        }
    if (hits != 1)
        BDR_FAIL(hits ? BDR_INVAL : BDR_NOTFOUND, 0, hits ? "key id '%s' is ambiguous" : "there is no key '%s'", id);
    for (size_t i = 0; i < n; i++)
        others += i != hit && strcmp(rows[i].type, BDR_KEY_DAMAGED) != 0;
    if (!others)
        BDR_FAIL(BDR_INVAL, 0, "this is the last key%s; without it nobody could read the repository. Add another first",
                 n > 1 ? " that is whole" : "");
    snprintf(name, sizeof(name), "keys/%s", rows[hit].id);
    return bdr_twice_remove_key(repo, name);
}

struct bdr_err *bdr_repo_key_export(struct bdr_repo *repo, char **out)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    char id[33], hex[65], when[24];

    if (!repo->sealed)
        BDR_FAIL(BDR_INVAL, 0, "the repository is not encrypted, it needs no recovery kit");
    bdr_hex(repo->master.b, sizeof(repo->master.b), hex);
    bdr_buf_printf(&b,
                   "# OpenBDR recovery kit\n"
                   "# Whoever holds this text can read the whole repository. Print it, lock it away, delete the file.\n"
                   "# To use it: save it as a file and give that to any command: bdr --key-file KIT ...\n"
                   "repository: %s\nlocation: %s\nmade: %s\n" KIT_LINE " ",
                   bdr_hex(repo->id, 16, id), repo->store->url, bdr_clock_text(bdr_clock_wall_ms(), when));
    for (size_t i = 0; i < 64; i += 8)
        bdr_buf_printf(&b, "%.8s%s", hex + i, i == 56 ? "\n" : "-");
    bdr_wipe(hex, sizeof(hex));
    bdr_buf_u8(&b, 0);
    BDR_TRY(bdr_buf_check(&b));
    *out = (char *)BDR_STEAL(b.data);
    return NULL;
}
