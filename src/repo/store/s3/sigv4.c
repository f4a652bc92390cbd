/* SPDX-License-Identifier: Apache-2.0 */
#include "sigv4.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

struct bdr_err *bdr_sigv4_sha256(const void *data, size_t len, char out[65])
{
    uint8_t digest[32];

    if (!EVP_Digest(len ? data : "", len, digest, NULL, EVP_sha256(), NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "OpenSSL can't compute SHA-256");
    bdr_hex(digest, sizeof(digest), out);
    return NULL;
}

static struct bdr_err *sigv4_hmac(const void *key, size_t key_len, const char *text, size_t len, uint8_t out[32])
{
    if (!HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, len, out, NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "OpenSSL can't compute HMAC-SHA-256");
    return NULL;
}

void bdr_sigv4_encode(struct bdr_buf *out, const char *text, bool path)
{
    for (; *text; text++) {
        uint8_t c = (uint8_t)*text;
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || (path && c == '/');

        if (plain)
            bdr_buf_u8(out, c);
        else
            bdr_buf_printf(out, "%%%02X", c);
    }
}

void bdr_sigv4_time(int64_t wall_ms, char out[17])
{
    time_t t = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm) != 16)
        memcpy(out, "19700101T000000Z", 17);
}

/* "host;x-amz-date" */
static void sigv4_signed_names(const struct bdr_sigv4 *req, struct bdr_buf *out)
{
    for (size_t i = 0; i < req->n_headers; i++)
        bdr_buf_printf(out, "%s%s", i ? ";" : "", req->headers[i].name);
}

/* The request in the one spelling that both sides hash. */
static struct bdr_err *sigv4_canonical(const struct bdr_sigv4 *req, char out_hex[65])
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    bdr_buf_printf(&b, "%s\n%s\n%s\n", req->method, req->path, req->query);
    for (size_t i = 0; i < req->n_headers; i++)
        bdr_buf_printf(&b, "%s:%s\n", req->headers[i].name, req->headers[i].value);
    bdr_buf_printf(&b, "\n");
    sigv4_signed_names(req, &b);
    bdr_buf_printf(&b, "\n%s", req->payload_hex);
    BDR_TRY(bdr_buf_check(&b));
    return bdr_sigv4_sha256(b.data, b.len, out_hex);
}

/* The key of one day, region and service. */
static struct bdr_err *sigv4_key(const struct bdr_sigv4 *req, uint8_t key[32])
{
    const char *const steps[] = {req->region, req->service, "aws4_request"};
    size_t len = strlen(req->secret) + 5;
    BDR_AUTO(mem) char *start = malloc(len);
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(start);
    snprintf(start, len, "AWS4%s", req->secret);
    err = sigv4_hmac(start, len - 1, req->time, 8, key);
    bdr_wipe(start, len);
    for (size_t i = 0; i < BDR_COUNT(steps) && !err; i++)
        err = sigv4_hmac(key, 32, steps[i], strlen(steps[i]), key);
    return err;
}

struct bdr_err *bdr_sigv4_authorize(const struct bdr_sigv4 *req, struct bdr_buf *out)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    uint8_t key[32], signature[32];
    char hex[65];
    struct bdr_err *err;

    BDR_TRY(sigv4_canonical(req, hex));
    bdr_buf_printf(&text, ALGORITHM "\n%s\n%.8s/%s/%s/aws4_request\n%s", req->time, req->time, req->region,
                   req->service, hex);
    BDR_TRY(bdr_buf_check(&text));
    err = sigv4_key(req, key);
    if (!err)
        err = sigv4_hmac(key, sizeof(key), (const char *)text.data, text.len, signature);
    bdr_wipe(key, sizeof(key));
    BDR_TRY(err);
    bdr_buf_printf(out, ALGORITHM " Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=", req->key_id, req->time,
                   req->region, req->service);
    sigv4_signed_names(req, out);
    bdr_buf_printf(out, ", Signature=%s", bdr_hex(signature, sizeof(signature), hex));
    return bdr_buf_check(out);
}
