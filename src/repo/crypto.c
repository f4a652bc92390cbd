/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"
#include "bdr/bytes.h"
#include <argon2.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

struct bdr_hasher {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
    EVP_MD_CTX *inner, *outer; /* HMAC with its two key blocks absorbed; NULL when not keyed */
};

struct bdr_err *bdr_hasher_new(const struct bdr_secret *key, struct bdr_hasher **out)
{
    BDR_AUTO(hasher) struct bdr_hasher *h = calloc(1, sizeof(*h));
    uint8_t pad[64];

    BDR_NOMEM_IF_NULL(h);
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();
    if (!h->md || !h->ctx)
        BDR_FAIL(BDR_NOMEM, 0, "preparing SHA-256");
    if (key) {
        h->inner = EVP_MD_CTX_new();
        h->outer = EVP_MD_CTX_new();
        if (!h->inner || !h->outer)
            BDR_FAIL(BDR_NOMEM, 0, "preparing HMAC-SHA256");
        for (int o = 0; o < 2; o++) {
            memset(pad, o ? 0x5c : 0x36, sizeof(pad));
            for (size_t i = 0; i < BDR_KEY_BYTES; i++)
                pad[i] ^= key->b[i];
            if (!EVP_DigestInit_ex2(o ? h->outer : h->inner, h->md, NULL) ||
                !EVP_DigestUpdate(o ? h->outer : h->inner, pad, sizeof(pad)))
                BDR_FAIL(BDR_INTERNAL, 0, "preparing HMAC-SHA256");
        }
        bdr_wipe(pad, sizeof(pad));
    }
    *out = BDR_STEAL(h);
    return NULL;
}

void bdr_hasher_free(struct bdr_hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->outer);
    EVP_MD_CTX_free(h->inner);
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    free(h);
}

struct bdr_err *bdr_hasher_id(struct bdr_hasher *h, const void *data, size_t len, struct bdr_id *out)
{
    int ok;

    if (!h->inner) {
        ok = EVP_DigestInit_ex2(h->ctx, h->md, NULL) && EVP_DigestUpdate(h->ctx, data, len) &&
             EVP_DigestFinal_ex(h->ctx, out->b, NULL);
    } else {
        uint8_t mid[32];

        ok = EVP_MD_CTX_copy_ex(h->ctx, h->inner) && EVP_DigestUpdate(h->ctx, data, len) &&
             EVP_DigestFinal_ex(h->ctx, mid, NULL) && EVP_MD_CTX_copy_ex(h->ctx, h->outer) &&
             EVP_DigestUpdate(h->ctx, mid, sizeof(mid)) && EVP_DigestFinal_ex(h->ctx, out->b, NULL);
    }
    if (!ok)
        BDR_FAIL(BDR_INTERNAL, 0, "hashing %zu bytes", len);
    return NULL;
}

struct bdr_err *bdr_sha256(const void *a, size_t a_len, const void *b, size_t b_len, const void *c, size_t c_len,
                           uint8_t out[32])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, a, a_len) &&
             (!b_len || EVP_DigestUpdate(ctx, b, b_len)) && (!c_len || EVP_DigestUpdate(ctx, c, c_len)) &&
             EVP_DigestFinal_ex(ctx, out, NULL);

    EVP_MD_CTX_free(ctx);
    if (!ok)
        BDR_FAIL(BDR_NOMEM, 0, "hashing");
    return NULL;
}

struct bdr_err *bdr_hkdf(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len, const char *info,
                         struct bdr_secret *out)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[5];
    size_t n = 0;
    char md[] = "SHA256";
    int ok;

    params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, md, 0);
    params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)ikm, ikm_len);
    if (salt_len)
        params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_len);
    params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, strlen(info));
    params[n] = OSSL_PARAM_construct_end();
    ok = ctx && EVP_KDF_derive(ctx, out->b, sizeof(out->b), params) > 0;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    if (!ok)
        BDR_FAIL(BDR_INTERNAL, 0, "deriving a key");
    return NULL;
}

struct bdr_err *bdr_argon2id(const void *pass, size_t len, const uint8_t salt[32], uint32_t t_cost, uint32_t m_kib,
                             uint32_t lanes, struct bdr_secret *out)
{
    int rc = argon2id_hash_raw(t_cost, m_kib, lanes, pass, len, salt, 32, out->b, sizeof(out->b));

    if (rc == ARGON2_MEMORY_ALLOCATION_ERROR)
        BDR_FAIL(BDR_NOMEM, 0, "deriving the key takes %u KiB of memory, which is not free", m_kib);
    if (rc != ARGON2_OK)
        BDR_FAIL(BDR_INVAL, 0, "deriving the key: %s", argon2_error_message(rc));
    return NULL;
}

struct bdr_aead {
    EVP_CIPHER_CTX *enc, *dec;
    struct bdr_secret key;
};

struct bdr_err *bdr_aead_new(const struct bdr_secret *key, struct bdr_aead **out)
{
    struct bdr_aead *a = calloc(1, sizeof(*a));

    BDR_NOMEM_IF_NULL(a);
    a->key = *key;
    *out = a;
    return NULL;
}

void bdr_aead_free(struct bdr_aead *a)
{
    if (!a)
        return;
    EVP_CIPHER_CTX_free(a->enc);
    EVP_CIPHER_CTX_free(a->dec);
    OPENSSL_cleanse(a, sizeof(*a));
    free(a);
}

struct bdr_err *bdr_aead_seal(struct bdr_aead *a, const uint8_t nonce[12], const void *aad, size_t aad_len,
                              const void *in, size_t len, uint8_t *out)
{
    int n = 0, ok = 1;

    if (!a->enc) {
        a->enc = EVP_CIPHER_CTX_new();
        ok = a->enc && EVP_EncryptInit_ex(a->enc, EVP_aes_256_gcm(), NULL, a->key.b, NULL);
    }
    ok = ok && len < INT32_MAX && EVP_EncryptInit_ex(a->enc, NULL, NULL, NULL, nonce) &&
         EVP_EncryptUpdate(a->enc, NULL, &n, aad, (int)aad_len) && EVP_EncryptUpdate(a->enc, out, &n, in, (int)len) &&
         EVP_EncryptFinal_ex(a->enc, out + len, &n) &&
         EVP_CIPHER_CTX_ctrl(a->enc, EVP_CTRL_GCM_GET_TAG, BDR_TAG_BYTES, out + len);
    if (!ok)
        BDR_FAIL(BDR_INTERNAL, 0, "sealing %zu bytes", len);
    return NULL;
}

struct bdr_err *bdr_aead_open(struct bdr_aead *a, const uint8_t nonce[12], const void *aad, size_t aad_len,
                              const void *in, size_t len, uint8_t *out)
{
    const uint8_t *p = in;
    uint8_t tag[BDR_TAG_BYTES];
    int n = 0, ok = 1;

    if (len < BDR_TAG_BYTES || len > INT32_MAX)
        BDR_FAIL(BDR_CORRUPT, 0, "sealed data is too short");
    if (!a->dec) {
        a->dec = EVP_CIPHER_CTX_new();
        ok = a->dec && EVP_DecryptInit_ex(a->dec, EVP_aes_256_gcm(), NULL, a->key.b, NULL);
    }
    len -= BDR_TAG_BYTES;
    memcpy(tag, p + len, sizeof(tag));
    ok = ok && EVP_DecryptInit_ex(a->dec, NULL, NULL, NULL, nonce) &&
         EVP_DecryptUpdate(a->dec, NULL, &n, aad, (int)aad_len) &&
         (!len || EVP_DecryptUpdate(a->dec, out, &n, in, (int)len)) &&
         EVP_CIPHER_CTX_ctrl(a->dec, EVP_CTRL_GCM_SET_TAG, sizeof(tag), tag);
    if (!ok)
        BDR_FAIL(BDR_INTERNAL, 0, "opening %zu sealed bytes", len);
    if (EVP_DecryptFinal_ex(a->dec, out + len, &n) <= 0)
        BDR_FAIL(BDR_CORRUPT, 0, "sealed data was changed, or another key sealed it");
    return NULL;
}
