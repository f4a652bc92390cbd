/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate says; bytes from outside. */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "cert_i.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define URI_HEAD "bdr://machine/"
#define URI_ROLE "?role="

static const char id_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

bool bdr_machine_id_ok(const char *id)
{
    size_t len = strlen(id);

    return len && len < BDR_MACHINE_ID_CHARS && strspn(id, id_chars) == len;
}

bool bdr_role_ok(const char *role)
{
    size_t len = strlen(role);

    return len && len < BDR_ROLE_CHARS && role[0] >= 'a' && role[0] <= 'z' &&
           strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

bool bdr_machine_uri_read(const char *uri, char machine[BDR_MACHINE_ID_CHARS], char role[BDR_ROLE_CHARS])
{
    char id[BDR_MACHINE_ID_CHARS] = "";
    size_t len;

    if (strncmp(uri, URI_HEAD, strlen(URI_HEAD)))
        return false;
    uri += strlen(URI_HEAD);
    len = strspn(uri, id_chars);
    if (!len || len >= sizeof(id) || strncmp(uri + len, URI_ROLE, strlen(URI_ROLE)) ||
        !bdr_role_ok(uri + len + strlen(URI_ROLE)))
        return false;
    memcpy(id, uri, len);
    snprintf(role, BDR_ROLE_CHARS, "%s", uri + len + strlen(URI_ROLE));
    memcpy(machine, id, sizeof(id));
    return true;
}

const char *bdr_fingerprint_text(const char fingerprint[BDR_FINGERPRINT_CHARS], char buf[104])
{
    char *p = buf + 7;

    memcpy(buf, "SHA256:", 7);
    for (size_t i = 0; fingerprint[i] && i < 64; i++) {
        if (i && i % 2 == 0)
            *p++ = ':';
        *p++ = fingerprint[i];
    }
    *p = 0;
    return buf;
}

struct bdr_err *bdr_fingerprint_read(const char *text, char out[BDR_FINGERPRINT_CHARS])
{
    char hex[BDR_FINGERPRINT_CHARS];
    uint8_t raw[32];
    size_t n = 0;

    if (!strncasecmp(text, "sha256:", 7) || !strncasecmp(text, "sha256=", 7))
        text += 7;
    for (; *text; text++) {
        if (*text == ':' || *text == ' ')
            continue;
        if (n == 64)
            BDR_FAIL(BDR_INVAL, 0, "the fingerprint is too long; it has 64 hex digits");
        hex[n++] = *text;
    }
    hex[n] = 0;
    if (!bdr_unhex(hex, raw, sizeof(raw)))
        BDR_FAIL(BDR_INVAL, 0, "the fingerprint is not right; it has 64 hex digits, copy all of it");
    bdr_hex(raw, sizeof(raw), out);
    return NULL;
}

static bool time_ms(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm = {0};

    if (!ASN1_TIME_to_tm(t, &tm))
        return false;
    *out = (int64_t)timegm(&tm) * 1000;
    return true;
}

static void names_read(X509 *x, struct bdr_cert_info *info)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    unsigned found = 0;

    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        const ASN1_IA5STRING *uri;
        BDR_AUTO(mem) char *text = NULL;

        if (n->type != GEN_URI)
            continue;
        uri = n->d.uniformResourceIdentifier;
        text = cert_text(ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri));
        /* a NUL inside would make two readers see two names */
        if (text && strlen(text) == (size_t)ASN1_STRING_length(uri) &&
            bdr_machine_uri_read(text, info->machine, info->role))
            found++;
    }
    GENERAL_NAMES_free(names);
    if (found != 1) { /* two identities in one certificate are none */
        info->machine[0] = 0;
        info->role[0] = 0;
    }
}

struct bdr_err *cert_info_of(X509 *x, struct bdr_cert_info *out)
{
    struct bdr_cert_info info = {.ca = X509_check_ca(x) == 1};
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
    uint8_t raw[32];
    unsigned n = sizeof(raw);

    if (!serial || ASN1_STRING_length(serial) < 1 || ASN1_STRING_length(serial) > 20 ||
        (ASN1_STRING_type(serial) & V_ASN1_NEG))
        CERT_FAIL(BDR_INVAL, "the certificate's serial number is not right");
    bdr_hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), info.serial);
    if (!X509_digest(x, EVP_sha256(), raw, &n) || n != 32)
        CERT_FAIL(BDR_INVAL, "the certificate can't be hashed");
    bdr_hex(raw, 32, info.fingerprint);
    if (!time_ms(X509_get0_notBefore(x), &info.not_before_ms) || !time_ms(X509_get0_notAfter(x), &info.not_after_ms))
        CERT_FAIL(BDR_INVAL, "the certificate's dates are not right");
    names_read(x, &info);
    ERR_clear_error();
    *out = info;
    return NULL;
}

X509 *cert_read(const void *data, size_t len)
{
    const unsigned char *at = data;
    X509 *x = NULL;

    if (!len || len > BDR_CERT_BYTES_MAX)
        return NULL;
    if (*at == 0x30) { /* DER: a SEQUENCE; PEM begins with text */
        x = d2i_X509(NULL, &at, (long)len);
        if (x && at != (const unsigned char *)data + len) {
            X509_free(x);
            x = NULL;
        }
    } else {
        BDR_AUTO(bio) BIO *bio = BIO_new_mem_buf(data, (int)len);

        x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    }
    ERR_clear_error();
    return x;
}

struct bdr_err *bdr_cert_parse(const void *data, size_t len, struct bdr_cert_info *out)
{
    BDR_AUTO(x509) X509 *x = cert_read(data, len);

    if (!x)
        BDR_FAIL(BDR_INVAL, 0, "this is no certificate");
    return cert_info_of(x, out);
}

struct bdr_err *bdr_cert_parse_file(const char *path, struct bdr_cert_info *out)
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    BDR_TRY(bdr_os_read_file(path, BDR_CERT_BYTES_MAX, &text, &len));
    BDR_TRY_FOR(bdr_cert_parse(text, len, out), "reading the certificate %s", path);
    return NULL;
}

bool bdr_cert_renew_due(const struct bdr_cert_info *info, int64_t now_ms)
{
    return now_ms >= info->not_after_ms - (info->not_after_ms - info->not_before_ms) / 3;
}
