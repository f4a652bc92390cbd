/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"
#include "bdr/osfile.h"
#include "db/statements.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_BYTES    32
#define KEY_ID_BYTES 8
#define KEYS_MAX     32
#define KEY_WORD     "bdr-master-key-1"
#define KEY_FILE_MAX 16384
#define SEAL_NONCE   12
#define SEAL_TAG     16
#define SEAL_HEAD    (4 + KEY_ID_BYTES + SEAL_NONCE) /* magic, key id, nonce */
#define SEAL_MAX     (1u << 20)
static const uint8_t seal_magic[4] = {'B', 'S', 'B', 1};

struct master_key {
    uint8_t id[KEY_ID_BYTES], key[KEY_BYTES];
};
struct bdr_keyring {
    size_t n; /* key[0] seals */
    struct master_key key[KEYS_MAX];
    char current[BDR_KEY_ID_CHARS];
};

struct bdr_err *bdr_secret_set(struct bdr_secret *s, const void *data, size_t len)
{
    uint8_t *copy = malloc(len + 1);

    BDR_NOMEM_IF_NULL(copy);
    if (len)
        memcpy(copy, data, len);
    copy[len] = 0;
    bdr_secret_free(s);
    s->data = copy;
    s->len = len;
    return NULL;
}

void bdr_secret_free(struct bdr_secret *s)
{
    if (s->data)
        bdr_wipe(s->data, s->len);
    free(s->data);
    *s = (struct bdr_secret){0};
}

void bdr_keyring_free(struct bdr_keyring *ring)
{
    if (!ring)
        return;
    bdr_wipe(ring, sizeof(*ring));
    free(ring);
}

const char *bdr_keyring_current(const struct bdr_keyring *ring)
{
    return ring->current;
}

/* A key's id follows from the key: a mistyped line does not pass for another key. */
static struct bdr_err *key_id(const uint8_t key[KEY_BYTES], uint8_t out[KEY_ID_BYTES])
{
    static const char label[] = "bdr master key id";
    uint8_t in[sizeof(label) + KEY_BYTES], hash[32];
    int ok;

    memcpy(in, label, sizeof(label));
    memcpy(in + sizeof(label), key, KEY_BYTES);
    ok = EVP_Digest(in, sizeof(in), hash, NULL, EVP_sha256(), NULL);
    bdr_wipe(in, sizeof(in));
    if (!ok)
        BDR_FAIL(BDR_INTERNAL, 0, "hashing a key");
    memcpy(out, hash, KEY_ID_BYTES);
    return NULL;
}

/* Adds one line, `bdr-master-key-1 ID KEY`. */
static struct bdr_err *key_line(struct bdr_keyring *ring, const char *path, const char *line, size_t len)
{
    struct master_key *k = &ring->key[ring->n];
    char id[BDR_KEY_ID_CHARS], key[KEY_BYTES * 2 + 1], want[BDR_KEY_ID_CHARS];
    const size_t word = sizeof(KEY_WORD) - 1, whole = word + 1 + 16 + 1 + KEY_BYTES * 2;
    uint8_t told[KEY_ID_BYTES];
    bool ok;

    if (ring->n == KEYS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "%s holds more than %d keys", path, KEYS_MAX);
    ok = len == whole && !memcmp(line, KEY_WORD " ", word + 1) && line[word + 17] == ' ';
    if (ok) {
        snprintf(id, sizeof(id), "%.16s", line + word + 1);
        snprintf(key, sizeof(key), "%.64s", line + word + 18);
        ok = bdr_unhex(id, told, sizeof(told)) && bdr_unhex(key, k->key, sizeof(k->key));
        bdr_wipe(key, sizeof(key));
    }
    if (!ok)
        BDR_FAIL(BDR_CORRUPT, 0, "line %zu of %s is not `" KEY_WORD " ID KEY`", ring->n + 1, path);
    BDR_TRY(key_id(k->key, k->id));
    if (memcmp(k->id, told, sizeof(told)) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "line %zu of %s: the key is not %s but %s; was it typed by hand?", ring->n + 1, path,
                 id, bdr_hex(k->id, KEY_ID_BYTES, want));
    ring->n++;
    return NULL;
}

static struct bdr_err *keyring_parse(const char *path, const char *text, struct bdr_keyring *ring)
{
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "\n");

        if (len && *p != '#')
            BDR_TRY(key_line(ring, path, p, len));
        p += len + (p[len] == '\n');
    }
    if (!ring->n)
        BDR_FAIL(BDR_CORRUPT, 0, "%s holds no key", path);
    bdr_hex(ring->key[0].id, KEY_ID_BYTES, ring->current);
    return NULL;
}

static void key_text_free(char *text)
{
    bdr_wipe(text, strlen(text));
    free(text);
}
BDR_AUTO_DEFINE(key_text, char *, key_text_free)

static struct bdr_err *key_new(struct master_key *out)
{
    BDR_TRY(bdr_os_random(out->key, sizeof(out->key)));
    return key_id(out->key, out->id);
}

/* Writes a key file beside `path` and moves it there; with `fresh` only if there is none yet. */
static struct bdr_err *keyring_write(const char *path, const struct master_key *key, size_t n, bool fresh)
{
    BDR_AUTO(mem) char *temp = NULL, *dir = strdup(path);
    BDR_AUTO(fd) int fd = -1;
    char line[128], id[BDR_KEY_ID_CHARS], hex[KEY_BYTES * 2 + 1], *slash;
    struct bdr_err *err = NULL;
    int rc;

    BDR_NOMEM_IF_NULL(dir);
    if (asprintf(&temp, "%s.XXXXXX", path) < 0) {
        temp = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    fd = mkostemp(temp, O_CLOEXEC); /* made 0600 */
    if (fd < 0)
        BDR_FAIL_ERRNO("making the key file %s", temp);
    for (size_t i = 0; !err && i < n; i++) {
        snprintf(line, sizeof(line), KEY_WORD " %s %s\n", bdr_hex(key[i].id, KEY_ID_BYTES, id),
                 bdr_hex(key[i].key, KEY_BYTES, hex));
        err = bdr_os_write(fd, temp, line, strlen(line));
    }
    bdr_wipe(line, sizeof(line));
    bdr_wipe(hex, sizeof(hex));
    if (!err && fsync(fd))
        err = bdr_err_new(bdr_code_of_errno(errno), errno, BDR_AT, "syncing %s", temp);
    if (err) {
        unlink(temp);
        return err;
    }
    /* link() fails when another console was quicker: then its keys are the ones */
    rc = fresh ? link(temp, path) : rename(temp, path);
    if (rc && !(fresh && errno == EEXIST))
        err = bdr_err_new(bdr_code_of_errno(errno), errno, BDR_AT, "making the key file %s", path);
    if (rc || fresh)
        unlink(temp);
    slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = 0;
    return err ? err : bdr_os_fsync_dir(slash ? dir : ".");
}

struct bdr_err *bdr_keyring_open(const char *path, struct bdr_keyring **out)
{
    BDR_AUTO(keyring) struct bdr_keyring *ring = calloc(1, sizeof(*ring));
    BDR_AUTO(key_text) char *text = NULL;
    struct stat st;
    size_t len = 0;

    BDR_NOMEM_IF_NULL(ring);
    if (stat(path, &st)) {
        struct master_key first;
        struct bdr_err *err;

        if (errno != ENOENT)
            BDR_FAIL_ERRNO("opening the key file %s", path);
        BDR_TRY(key_new(&first));
        err = keyring_write(path, &first, 1, true);
        bdr_wipe(&first, sizeof(first));
        BDR_TRY(err);
        if (stat(path, &st))
            BDR_FAIL_ERRNO("opening the key file %s", path);
    }
    if (st.st_mode & 077)
        BDR_FAIL(BDR_DENIED, 0, "others may read the key file %s (mode %04o); chmod 600 it, and think who did", path,
                 (unsigned)st.st_mode & 0777);
    BDR_TRY_FOR(bdr_os_read_file(path, KEY_FILE_MAX, &text, &len), "reading the master key");
    BDR_TRY(keyring_parse(path, text, ring));
    *out = BDR_STEAL(ring);
    return NULL;
}

struct bdr_err *bdr_keyring_rotate(const char *path, struct bdr_keyring *ring)
{
    BDR_AUTO(keyring) struct bdr_keyring *next = calloc(1, sizeof(*next));

    BDR_NOMEM_IF_NULL(next);
    if (ring->n == KEYS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "%s holds %d keys; remove those that nothing is sealed under", path, KEYS_MAX);
    BDR_TRY(key_new(&next->key[0]));
    memcpy(&next->key[1], ring->key, ring->n * sizeof(ring->key[0]));
    next->n = ring->n + 1;
    bdr_hex(next->key[0].id, KEY_ID_BYTES, next->current);
    /* the file first: what is sealed under a key that only memory knows is lost */
    BDR_TRY(keyring_write(path, next->key, next->n, false));
    memcpy(ring, next, sizeof(*ring));
    return NULL;
}

static const struct master_key *key_find(const struct bdr_keyring *ring, const uint8_t id[KEY_ID_BYTES])
{
    for (size_t i = 0; i < ring->n; i++)
        if (!memcmp(ring->key[i].id, id, KEY_ID_BYTES))
            return &ring->key[i];
    return NULL;
}

bool bdr_keyring_has(const struct bdr_keyring *ring, const char *id)
{
    uint8_t raw[KEY_ID_BYTES];

    return bdr_unhex(id, raw, sizeof(raw)) && key_find(ring, raw);
}

/* The header and the place: each text ends with a zero byte, so that none can lend letters to the next. */
static void seal_context(struct bdr_buf *b, const uint8_t head[SEAL_HEAD], const struct bdr_seal_place *place)
{
    bdr_buf_put(b, head, SEAL_HEAD);
    bdr_buf_put(b, place->owner, strlen(place->owner) + 1);
    bdr_buf_u64(b, (uint64_t)place->owner_id);
    bdr_buf_put(b, place->field, strlen(place->field) + 1);
}

static bool seal_gcm(bool seal, const struct master_key *k, const uint8_t *nonce, const struct bdr_buf *context,
                     const uint8_t *in, size_t len, uint8_t *out, uint8_t tag[SEAL_TAG])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;
    bool ok = c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, k->key, nonce, seal) &&
              (seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, SEAL_TAG, tag)) &&
              EVP_CipherUpdate(c, NULL, &n, context->data, (int)context->len) &&
              EVP_CipherUpdate(c, out, &n, in, (int)len) && EVP_CipherFinal_ex(c, out + n, &n) &&
              (!seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, SEAL_TAG, tag));

    EVP_CIPHER_CTX_free(c);
    return ok;
}

struct bdr_err *bdr_seal(const struct bdr_keyring *ring, const struct bdr_seal_place *place,
                         const struct bdr_secret *plain, struct bdr_buf *out)
{
    BDR_AUTO(buf) struct bdr_buf context = {0}, b = {0};
    uint8_t head[SEAL_HEAD], tag[SEAL_TAG];

    if (plain->len > SEAL_MAX)
        BDR_FAIL(BDR_RANGE, 0, "a secret of %zu bytes is larger than %u", plain->len, SEAL_MAX);
    memcpy(head, seal_magic, sizeof(seal_magic));
    memcpy(head + 4, ring->key[0].id, KEY_ID_BYTES);
    BDR_TRY(bdr_os_random(head + 4 + KEY_ID_BYTES, SEAL_NONCE));
    seal_context(&context, head, place);
    bdr_buf_put(&b, head, sizeof(head));
    bdr_buf_reserve(&b, plain->len + SEAL_TAG + 16);
    BDR_TRY(bdr_buf_check(&context));
    BDR_TRY(bdr_buf_check(&b));
    if (!seal_gcm(true, &ring->key[0], head + 4 + KEY_ID_BYTES, &context, plain->data, plain->len, b.data + b.len, tag))
        BDR_FAIL(BDR_INTERNAL, 0, "sealing %s.%s", place->owner, place->field);
    b.len += plain->len;
    bdr_buf_put(&b, tag, sizeof(tag));
    BDR_TRY(bdr_buf_check(&b));
    bdr_buf_free(out);
    *out = b;
    b = (struct bdr_buf){0};
    return NULL;
}

struct bdr_err *bdr_unseal(const struct bdr_keyring *ring, const struct bdr_seal_place *place, const void *blob,
                           size_t len, struct bdr_secret *out)
{
    BDR_AUTO(buf) struct bdr_buf context = {0};
    BDR_AUTO(secret) struct bdr_secret plain = {0};
    const uint8_t *head = blob;
    const struct master_key *k;
    char id[BDR_KEY_ID_CHARS];
    uint8_t tag[SEAL_TAG];
    size_t n;

    if (len < SEAL_HEAD + SEAL_TAG || len > SEAL_HEAD + SEAL_TAG + SEAL_MAX || memcmp(head, seal_magic, 3) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "%s.%s of %lld is no sealed blob", place->owner, place->field,
                 (long long)place->owner_id);
    if (head[3] != seal_magic[3])
        BDR_FAIL(BDR_VERSION, 0, "%s.%s was sealed by a newer program (format %u)", place->owner, place->field,
                 head[3]);
    k = key_find(ring, head + 4);
    if (!k)
        BDR_FAIL(BDR_AUTH, 0, "%s.%s of %lld is sealed under the master key %s, which the key file does not hold",
                 place->owner, place->field, (long long)place->owner_id, bdr_hex(head + 4, KEY_ID_BYTES, id));
    n = len - SEAL_HEAD - SEAL_TAG;
    memcpy(tag, head + SEAL_HEAD + n, SEAL_TAG);
    seal_context(&context, head, place);
    BDR_TRY(bdr_buf_check(&context));
    plain.data = calloc(1, n + 1 + 16);
    BDR_NOMEM_IF_NULL(plain.data);
    plain.len = n;
    if (!seal_gcm(false, k, head + 4 + KEY_ID_BYTES, &context, head + SEAL_HEAD, n, plain.data, tag))
        BDR_FAIL(BDR_CORRUPT, 0, "%s.%s of %lld does not open: it was changed, or belongs elsewhere", place->owner,
                 place->field, (long long)place->owner_id);
    bdr_secret_free(out);
    *out = plain;
    plain = (struct bdr_secret){0};
    return NULL;
}

struct bdr_err *bdr_secret_put(struct bdr_tx *tx, const struct bdr_keyring *ring, const struct bdr_seal_place *place,
                               const struct bdr_secret *plain, int64_t now_ms)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    BDR_TRY(bdr_seal(ring, place, plain, &b));
    return bdr_q_sealed_put(tx, &(struct bdr_in_sealed_put){.owner = place->owner,
                                                            .owner_id = place->owner_id,
                                                            .field = place->field,
                                                            .key_id = ring->current,
                                                            .blob = {b.data, b.len},
                                                            .now_ms = now_ms});
}

struct bdr_err *bdr_secret_get(struct bdr_tx *tx, const struct bdr_keyring *ring, const struct bdr_seal_place *place,
                               struct bdr_secret *out, bool *out_found)
{
    BDR_AUTO(mem) struct bdr_row_sealed_get *row = NULL;

    BDR_TRY(bdr_q_sealed_get(tx, place->owner, place->owner_id, place->field, &row));
    if (row)
        BDR_TRY(bdr_unseal(ring, place, row->blob.data, row->blob.len, out));
    *out_found = row != NULL;
    return NULL;
}

struct bdr_err *bdr_secret_reseal(struct bdr_tx *tx, const struct bdr_keyring *ring, int64_t limit, int64_t now_ms,
                                  size_t *out_done)
{
    BDR_AUTO(mem) struct bdr_row_sealed_by_other_keys *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_sealed_by_other_keys(tx, ring->current, limit, &row, &n));
    for (size_t i = 0; i < n; i++) {
        struct bdr_seal_place place = {row[i].owner, row[i].owner_id, row[i].field};
        BDR_AUTO(secret) struct bdr_secret plain = {0};

        BDR_TRY(bdr_unseal(ring, &place, row[i].blob.data, row[i].blob.len, &plain));
        BDR_TRY(bdr_secret_put(tx, ring, &place, &plain, now_ms));
    }
    *out_done = n;
    return NULL;
}
