/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token.h"
#include "bdr/osfile.h"
#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define TOKEN_WORD   5
#define TOKEN_RANDOM 32
#define TOKEN_SUM    6
static const char *const token_words[] = {
    [BDR_TOKEN_API] = "bdra_", [BDR_TOKEN_SESSION] = "bdrs_", [BDR_TOKEN_ENROL] = "bdre_"};
static const char token_letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* CRC-32 of zlib and PNG (ISO 3309), bit by bit: 37 bytes are not worth a table. */
static uint32_t token_crc(const char *text, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= (uint8_t)text[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* The checksum in base 62, most significant digit first; 62^6 is more than 2^32. */
static void token_sum(const char *text, char out[TOKEN_SUM])
{
    uint32_t crc = token_crc(text, TOKEN_WORD + TOKEN_RANDOM);

    for (int i = TOKEN_SUM; i-- > 0; crc /= 62)
        out[i] = token_letters[crc % 62];
}

struct bdr_err *bdr_token_new(enum bdr_token_kind kind, char out[BDR_TOKEN_CHARS])
{
    size_t at = TOKEN_WORD;

    memcpy(out, token_words[kind], TOKEN_WORD);
    while (at < TOKEN_WORD + TOKEN_RANDOM) {
        uint8_t raw[64];

        BDR_TRY(bdr_os_random(raw, sizeof(raw)));
        for (size_t i = 0; i < sizeof(raw) && at < TOKEN_WORD + TOKEN_RANDOM; i++)
            if (raw[i] < 248) /* 4 * 62: every letter as likely as any other */
                out[at++] = token_letters[raw[i] % 62];
    }
    token_sum(out, out + at);
    out[at + TOKEN_SUM] = 0;
    return NULL;
}

bool bdr_token_fits(enum bdr_token_kind kind, const char *text, size_t len)
{
    char sum[TOKEN_SUM];

    if (len != BDR_TOKEN_CHARS - 1 || memcmp(text, token_words[kind], TOKEN_WORD) != 0)
        return false;
    for (size_t i = TOKEN_WORD; i < len; i++)
        if (!text[i] || !strchr(token_letters, text[i]))
            return false;
    token_sum(text, sum);
    return !memcmp(sum, text + TOKEN_WORD + TOKEN_RANDOM, TOKEN_SUM);
}

bool bdr_token_hash(enum bdr_token_kind kind, const char *text, uint8_t out[32])
{
    size_t len = strnlen(text, BDR_TOKEN_CHARS);

    return bdr_token_fits(kind, text, len) && EVP_Digest(text, len, out, NULL, EVP_sha256(), NULL);
}

void bdr_token_hint(const char *text, char out[BDR_TOKEN_HINT])
{
    snprintf(out, BDR_TOKEN_HINT, "%.*s", BDR_TOKEN_HINT - 1, text);
}

/* The next word of `scopes`; its length, 0 at the end. */
static size_t scope_next(const char **at)
{
    *at += strspn(*at, " ");
    return strcspn(*at, " ");
}

static bool scope_part(const char *p, size_t len)
{
    if (len == 1 && *p == '*')
        return true;
    for (size_t i = 0; i < len; i++)
        if (!islower((unsigned char)p[i]) && p[i] != '-')
            return false;
    return len > 0;
}

struct bdr_err *bdr_scopes_check(const char *scopes)
{
    size_t n = 0;

    for (size_t len; (len = scope_next(&scopes)); scopes += len, n++) {
        const char *colon = memchr(scopes, ':', len);
        size_t area = colon ? (size_t)(colon - scopes) : len;

        if (!scope_part(scopes, area) || (colon && !scope_part(colon + 1, len - area - 1)) ||
            (!colon && !(len == 1 && *scopes == '*')))
            BDR_FAIL(BDR_INVAL, 0, "'%.*s' is no scope; write them like hosts:read, hosts:* or *", (int)len, scopes);
    }
    if (!n)
        BDR_FAIL(BDR_INVAL, 0, "a token without scopes may do nothing; * is all that its account may");
    return NULL;
}

static bool scope_is(const char *p, size_t len, const char *word)
{
    return (len == 1 && *p == '*') || (len == strlen(word) && !memcmp(p, word, len));
}

bool bdr_scopes_allow(const char *scopes, const char *area, const char *verb)
{
    for (size_t len; (len = scope_next(&scopes)); scopes += len) {
        const char *colon = memchr(scopes, ':', len);

        if (!colon && len == 1 && *scopes == '*')
            return true;
        if (colon && scope_is(scopes, (size_t)(colon - scopes), area) &&
            scope_is(colon + 1, len - (size_t)(colon - scopes) - 1, verb))
            return true;
    }
    return false;
}
