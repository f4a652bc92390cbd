/* SPDX-License-Identifier: Apache-2.0 */
#include "envelope.h"
#include "bdr/osfile.h"
#include <pthread.h>
#include <string.h>

static const char env_magic[8] = {'O', 'p', 'e', 'n', 'B', 'D', 'R', '1'};
static const uint8_t env_nonce[BDR_NONCE_BYTES]; /* each salt makes a key of its own, used once */
#define ENV_VERSION 1
#define ENV_SEALED 1u

struct bdr_err *bdr_envelope_make(enum bdr_envelope_kind kind, const uint8_t repo_id[16], const struct bdr_secret *key,
                                  const void *payload, size_t len, struct bdr_buf *out)
{
    uint8_t salt[32] = {0}, sum[32];
    size_t body = len + (key ? BDR_TAG_BYTES : 0);

    if (key)
        BDR_TRY(bdr_os_random(salt, sizeof(salt)));
    bdr_buf_put(out, env_magic, sizeof(env_magic));
    bdr_buf_u16(out, (uint16_t)kind);
    bdr_buf_u16(out, ENV_VERSION);
    bdr_buf_u32(out, key ? ENV_SEALED : 0);
    bdr_buf_put(out, repo_id, 16);
    bdr_buf_u64(out, len);
    bdr_buf_put(out, salt, sizeof(salt));
    bdr_buf_reserve(out, 32 + body);
    BDR_TRY(bdr_buf_check(out));
    if (key) {
        BDR_AUTO(secret) struct bdr_secret sub = {{0}};
        BDR_AUTO(aead) struct bdr_aead *aead = NULL;

        BDR_TRY(bdr_hkdf(key->b, sizeof(key->b), salt, sizeof(salt), "bdr object", &sub));
        BDR_TRY(bdr_aead_new(&sub, &aead));
        BDR_TRY(bdr_aead_seal(aead, env_nonce, out->data, 72, payload, len, out->data + BDR_ENV_HEADER_BYTES));
    } else if (len) {
        memcpy(out->data + BDR_ENV_HEADER_BYTES, payload, len);
    }
    BDR_TRY(bdr_sha256(out->data, 72, out->data + BDR_ENV_HEADER_BYTES, body, NULL, 0, sum));
    memcpy(out->data + 72, sum, sizeof(sum));
    out->len = BDR_ENV_HEADER_BYTES + body;
    return NULL;
}

struct bdr_err *bdr_envelope_open(enum bdr_envelope_kind kind, const uint8_t repo_id[16], const struct bdr_secret *key,
                                  const void *raw, size_t len, uint8_t out_repo_id[16], uint8_t **out, size_t *out_len)
{
    struct bdr_cur c = bdr_cur_of(raw, len);
    const uint8_t *magic = bdr_cur_take(&c, 8);
    uint16_t got_kind = bdr_cur_u16(&c), version = bdr_cur_u16(&c);
    uint32_t flags = bdr_cur_u32(&c);
    const uint8_t *id = bdr_cur_take(&c, 16);
    uint64_t payload = bdr_cur_u64(&c);
    const uint8_t *salt = bdr_cur_take(&c, 32), *sum = bdr_cur_take(&c, 32);
    size_t body = bdr_cur_left(&c);
    BDR_AUTO(mem) uint8_t *plain = NULL;
    uint8_t want[32];

    if (!magic || memcmp(magic, env_magic, sizeof(env_magic)) != 0)
        BDR_FAIL(BDR_INVAL, 0, "not an OpenBDR object");
    if (c.failed)
        BDR_FAIL(BDR_CORRUPT, 0, "the object is cut short at %zu bytes", len);
    if (version > ENV_VERSION)
        BDR_FAIL(BDR_VERSION, 0, "the object has version %u, this program knows %u; update OpenBDR", version, ENV_VERSION);
    BDR_TRY(bdr_sha256(raw, 72, c.at, body, NULL, 0, want));
    if (memcmp(want, sum, sizeof(want)) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "the object's checksum does not fit its bytes");
    if (version != ENV_VERSION || got_kind != (uint16_t)kind || payload > BDR_ENV_MAX_BYTES ||
        payload + (flags & ENV_SEALED ? BDR_TAG_BYTES : 0) != body || flags > ENV_SEALED)
        BDR_FAIL(BDR_CORRUPT, 0, "the object's header does not make sense (kind %u, %zu bytes)", got_kind, len);
    if (repo_id && memcmp(id, repo_id, 16) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "the object belongs to another repository");
    if (!!(flags & ENV_SEALED) != !!key)
        BDR_FAIL(BDR_CORRUPT, 0, "the object is %ssealed, which does not fit this repository", key ? "not " : "");
    plain = malloc((size_t)payload + 1);
    BDR_NOMEM_IF_NULL(plain);
    if (key) {
        BDR_AUTO(secret) struct bdr_secret sub = {{0}};
        BDR_AUTO(aead) struct bdr_aead *aead = NULL;

        BDR_TRY(bdr_hkdf(key->b, sizeof(key->b), salt, 32, "bdr object", &sub));
        BDR_TRY(bdr_aead_new(&sub, &aead));
        BDR_TRY(bdr_aead_open(aead, env_nonce, raw, 72, c.at, body, plain));
    } else if (body) {
        memcpy(plain, c.at, body);
    }
    plain[payload] = 0;
    if (out_repo_id)
        memcpy(out_repo_id, id, 16);
    *out_len = (size_t)payload;
    *out = BDR_STEAL(plain);
    return NULL;
}

bool bdr_envelope_is_newer(const uint8_t *raw, size_t len)
{
    uint8_t sum[32];
    struct bdr_err *err;

    if (len < BDR_ENV_HEADER_BYTES)
        return false;
    err = bdr_sha256(raw, 72, raw + BDR_ENV_HEADER_BYTES, len - BDR_ENV_HEADER_BYTES, NULL, 0, sum);
    if (err) {
        bdr_err_drop(err, "then its word is taken for it");
        return true;
    }
    return !memcmp(sum, raw + 72, sizeof(sum));
}

/*
 * Out of memory, jansson 2.14 drops characters of the text it parses (lex_save ignores strbuffer_append_byte) and goes
 * on: a manifest could lose a member or the end of a number. So its allocations go through here, and a parse during
 * which one failed counts for nothing.
 */
static _Thread_local unsigned env_json_failed;
static pthread_once_t env_json_once = PTHREAD_ONCE_INIT;

static void *env_json_malloc(size_t n)
{
    void *p = malloc(n);

    env_json_failed += !p;
    return p;
}

static void env_json_watch(void)
{
    json_set_alloc_funcs(env_json_malloc, free);
}

struct bdr_err *bdr_envelope_json(enum bdr_envelope_kind kind, const uint8_t repo_id[16], const struct bdr_secret *key,
                                  const void *raw, size_t len, uint8_t out_repo_id[16], json_t **out)
{
    BDR_AUTO(mem) uint8_t *payload = NULL;
    size_t n = 0;
    json_error_t why;
    unsigned failed;
    json_t *json;

    BDR_TRY(bdr_envelope_open(kind, repo_id, key, raw, len, out_repo_id, &payload, &n));
    pthread_once(&env_json_once, env_json_watch);
    failed = env_json_failed;
    json = json_loadb((const char *)payload, n, JSON_REJECT_DUPLICATES, &why);
    if (env_json_failed != failed) {
        json_decref(json);
        BDR_FAIL(BDR_NOMEM, 0, "reading an object's JSON");
    }
    if (!json_is_object(json)) {
        json_decref(json);
        BDR_FAIL(BDR_CORRUPT, 0, "the object's JSON is bad at line %d: %s", why.line, why.text);
    }
    *out = json;
    return NULL;
}

struct bdr_err *bdr_envelope_make_json(enum bdr_envelope_kind kind, const uint8_t repo_id[16],
                                       const struct bdr_secret *key, const json_t *json, struct bdr_buf *out)
{
    BDR_AUTO(mem) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    BDR_NOMEM_IF_NULL(text);
    if (strlen(text) > BDR_ENV_MAX_BYTES)
        BDR_FAIL(BDR_RANGE, 0, "an object of %zu bytes is larger than the format allows", strlen(text));
    return bdr_envelope_make(kind, repo_id, key, text, strlen(text), out);
}
