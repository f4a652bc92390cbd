/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto.h - hashing, sealing and key derivation, all by OpenSSL and libargon2.
 *
 * Formats: docs/formats/repository.md sections 2-6. Threads: a hasher belongs to one thread; the rest any.
 */
#pragma once
#include "bdr/repo.h"
#include <openssl/evp.h>

#define BDR_KEY_BYTES 32
#define BDR_TAG_BYTES 16
#define BDR_NONCE_BYTES 12

/* Key material; wiped on free. */
struct bdr_secret {
    uint8_t b[BDR_KEY_BYTES];
};
BDR_UNUSED static inline void bdr_auto_secret(struct bdr_secret *s)
{
    OPENSSL_cleanse(s, sizeof(*s));
}

/* Block ids: SHA-256, or HMAC-SHA256 when `key` is given to new. */
struct bdr_hasher;
bdr_ret bdr_hasher_new(const struct bdr_secret *key, struct bdr_hasher **out);
void bdr_hasher_free(struct bdr_hasher *h);
bdr_ret bdr_hasher_id(struct bdr_hasher *h, const void *data, size_t len, struct bdr_id *out);
BDR_AUTO_DEFINE(hasher, struct bdr_hasher *, bdr_hasher_free)

bdr_ret bdr_sha256(const void *a, size_t a_len, const void *b, size_t b_len, const void *c, size_t c_len,
                   uint8_t out[32]);
/* salt may be NULL (salt_len 0). */
bdr_ret bdr_hkdf(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len, const char *info,
                 struct bdr_secret *out);
/* Limits are checked by the caller (bytes we do not trust ask for memory here). */
bdr_ret bdr_argon2id(const void *pass, size_t len, const uint8_t salt[32], uint32_t t_cost, uint32_t m_kib,
                     uint32_t lanes, struct bdr_secret *out);

/* AES-256-GCM with one key and many nonces; one thread at a time. */
struct bdr_aead;
bdr_ret bdr_aead_new(const struct bdr_secret *key, struct bdr_aead **out);
void bdr_aead_free(struct bdr_aead *a);
/* out gets len + 16 bytes; may not overlap in. */
bdr_ret bdr_aead_seal(struct bdr_aead *a, const uint8_t nonce[12], const void *aad, size_t aad_len, const void *in,
                      size_t len, uint8_t *out);
/* in holds len bytes with the tag; out gets len - 16. CORRUPT when the tag does not fit. */
bdr_ret bdr_aead_open(struct bdr_aead *a, const uint8_t nonce[12], const void *aad, size_t aad_len, const void *in,
                      size_t len, uint8_t *out);
BDR_AUTO_DEFINE(aead, struct bdr_aead *, bdr_aead_free)
