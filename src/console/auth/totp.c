/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/totp.h"
#include "bdr/osfile.h"
#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define TOTP_WINDOW 1
static const char totp_base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";  /* RFC 4648 */
static const char code_letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32 that nobody mistakes: no l, o, 0, 1 */

struct bdr_err *bdr_totp_new(struct bdr_secret *out)
{
    uint8_t raw[BDR_TOTP_SECRET_BYTES];
    struct bdr_err *err;

    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    err = bdr_secret_set(out, raw, sizeof(raw));
    bdr_wipe(raw, sizeof(raw));
    return err;
}

struct bdr_err *bdr_totp_code(const struct bdr_secret *secret, int64_t step, unsigned digits, char out[9])
{
    uint8_t counter[8], mac[20];
    uint32_t v, modulus = 1;
    unsigned len = sizeof(mac);
    size_t at;

    BDR_ASSERT(digits >= 6 && digits <= 8);
    for (int i = 0; i < 8; i++)
        counter[i] = (uint8_t)((uint64_t)step >> (56 - 8 * i));
    if (!HMAC(EVP_sha1(), secret->data, (int)secret->len, counter, sizeof(counter), mac, &len))
        BDR_FAIL(BDR_INTERNAL, 0, "making a one-time code");
    at = mac[19] & 0x0f;
    v = (uint32_t)(mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 | (uint32_t)mac[at + 2] << 8 | mac[at + 3];
    for (unsigned i = 0; i < digits; i++)
        modulus *= 10;
    snprintf(out, 9, "%0*u", (int)digits, v % modulus);
    return NULL;
}

struct bdr_err *bdr_totp_check(const struct bdr_secret *secret, const char *code, int64_t now_ms, int64_t used_step,
                               int64_t *out_step)
{
    int64_t now = now_ms / BDR_TOTP_STEP_MS, hit = 0;
    char want[9];

    if (strlen(code) == 6)
        for (int64_t step = now - TOTP_WINDOW; step <= now + TOTP_WINDOW; step++) {
            BDR_TRY(bdr_totp_code(secret, step, 6, want));
            if (!CRYPTO_memcmp(want, code, 6) && step > used_step && !hit)
                hit = step;
        }
    *out_step = hit;
    return NULL;
}

/* Unreserved characters of RFC 3986 stay, others become %XX. */
static void uri_text(struct bdr_buf *b, const char *text)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-._~", *text))
            bdr_buf_u8(b, (uint8_t)*text);
        else
            bdr_buf_printf(b, "%%%02X", (unsigned char)*text);
}

struct bdr_err *bdr_totp_uri(const struct bdr_secret *secret, const char *issuer, const char *name,
                             struct bdr_secret *out)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    uint32_t bits = 0;
    unsigned n = 0;
    struct bdr_err *err;

    bdr_buf_printf(&b, "otpauth://totp/");
    uri_text(&b, issuer);
    bdr_buf_u8(&b, ':');
    uri_text(&b, name);
    bdr_buf_printf(&b, "?secret=");
    for (size_t i = 0; i < secret->len; i++) {
        bits = bits << 8 | secret->data[i];
        for (n += 8; n >= 5; n -= 5)
            bdr_buf_u8(&b, (uint8_t)totp_base32[bits >> (n - 5) & 31]);
    }
    if (n)
        bdr_buf_u8(&b, (uint8_t)totp_base32[bits << (5 - n) & 31]);
    bdr_buf_printf(&b, "&issuer=");
    uri_text(&b, issuer);
    BDR_TRY(bdr_buf_check(&b));
    err = bdr_secret_set(out, b.data, b.len);
    bdr_wipe(b.data, b.len);
    return err;
}

struct bdr_err *bdr_recovery_code_new(char out[BDR_RECOVERY_CODE_CHARS])
{
    uint8_t raw[16];
    size_t at = 0;

    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    for (size_t i = 0; i < sizeof(raw); i++) {
        if (i && i % 4 == 0)
            out[at++] = '-';
        out[at++] = code_letters[raw[i] & 31];
    }
    out[at] = 0;
    return NULL;
}

bool bdr_recovery_code_hash(const char *code, uint8_t out[32])
{
    char plain[17];
    size_t n = 0;

    for (; *code; code++) {
        char c = (char)tolower((unsigned char)*code);

        if (c == '-' || c == ' ')
            continue;
        if (n == 16 || !strchr(code_letters, c))
            return false;
        plain[n++] = c;
    }
    /* 80 random bits: a plain hash is as good as a slow one */
    return n == 16 && EVP_Digest(plain, 16, out, NULL, EVP_sha256(), NULL);
}
