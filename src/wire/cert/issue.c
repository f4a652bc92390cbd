/* SPDX-License-Identifier: Apache-2.0 */
/* The authority: makes itself, signs servers' and machines' certificates. */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "cert_i.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_MS           86400000ull
#define CA_LIFE          (3650 * DAY_MS)
#define SERVER_LIFE      (90 * DAY_MS)
#define MACHINE_LIFE     (30 * DAY_MS)
#define BACKDATE_MS      (5 * 60000ll) /* a machine whose clock is a little late takes it at once all the same */
#define SERVER_NAMES_MAX 64

struct bdr_ca {
    struct bdr_key *key; /* owned */
    X509 *cert;          /* owned */
    char *pem;           /* owned; the certificate */
    struct bdr_cert_info info;
};

void bdr_ca_free(struct bdr_ca *ca)
{
    if (!ca)
        return;
    bdr_key_free(ca->key);
    X509_free(ca->cert);
    free(ca->pem);
    free(ca);
}

const char *bdr_ca_pem(const struct bdr_ca *ca)
{
    return ca->pem;
}

const struct bdr_cert_info *bdr_ca_info(const struct bdr_ca *ca)
{
    return &ca->info;
}

static struct bdr_err *ca_finish(struct bdr_ca *ca)
{
    BDR_AUTO(bio) BIO *bio = BIO_new(BIO_s_mem());

    if (!bio || !PEM_write_bio_X509(bio, ca->cert))
        CERT_FAIL(BDR_NOMEM, "writing the CA's certificate");
    BDR_TRY(cert_bio_text(bio, &ca->pem));
    return cert_info_of(ca->cert, &ca->info);
}

static bool ext_add(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool ok;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext && X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

static struct bdr_err *serial_set(X509 *x)
{
    uint8_t raw[16];
    BIGNUM *n;
    bool ok;

    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    raw[0] = (uint8_t)((raw[0] & 0x7f) | 0x40); /* positive, always 16 bytes: the same text everywhere */
    n = BN_bin2bn(raw, sizeof(raw), NULL);
    ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    if (!ok)
        CERT_FAIL(BDR_NOMEM, "making a serial number");
    return NULL;
}

/* A certificate with all but its extensions and signature. */
static struct bdr_err *cert_begin(const char *name, EVP_PKEY *pkey, int64_t now_ms, uint64_t life_ms, X509 **out)
{
    BDR_AUTO(x509) X509 *x = X509_new();
    X509_NAME *subject = x ? X509_get_subject_name(x) : NULL;
    time_t now = (time_t)(now_ms / 1000);

    BDR_NOMEM_IF_NULL(x);
    BDR_TRY(serial_set(x));
    if (!X509_set_version(x, 2) || !X509_set_pubkey(x, pkey) ||
        !X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) ||
        !X509_time_adj_ex(X509_getm_notBefore(x), 0, -(long)(BACKDATE_MS / 1000), &now) ||
        !X509_time_adj_ex(X509_getm_notAfter(x), (int)(life_ms / DAY_MS), (long)(life_ms % DAY_MS / 1000), &now))
        CERT_FAIL(BDR_INVAL, "a certificate for '%s' can't be made (names have at most 64 characters)", name);
    *out = BDR_STEAL(x);
    return NULL;
}

static int64_t now_or(int64_t now_ms)
{
    return now_ms ? now_ms : bdr_clock_wall_ms();
}

struct bdr_err *bdr_ca_new(const char *name, uint64_t lifetime_ms, struct bdr_ca **out)
{
    BDR_AUTO(ca) struct bdr_ca *ca = calloc(1, sizeof(*ca));

    BDR_NOMEM_IF_NULL(ca);
    BDR_TRY(bdr_key_new(&ca->key));
    BDR_TRY(cert_begin(name, ca->key->pkey, bdr_clock_wall_ms(), lifetime_ms ? lifetime_ms : CA_LIFE, &ca->cert));
    if (!X509_set_issuer_name(ca->cert, X509_get_subject_name(ca->cert)) ||
        !ext_add(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !ext_add(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !ext_add(ca->cert, ca->cert, NID_subject_key_identifier, "hash") ||
        !X509_sign(ca->cert, ca->key->pkey, EVP_sha256()))
        CERT_FAIL(BDR_INTERNAL, "making a CA");
    BDR_TRY(ca_finish(ca));
    *out = BDR_STEAL(ca);
    return NULL;
}

struct bdr_err *bdr_ca_save(const struct bdr_ca *ca, const char *key_path, const char *cert_path)
{
    if (access(key_path, F_OK) == 0 || access(cert_path, F_OK) == 0)
        BDR_FAIL(BDR_EXISTS, 0, "there is a CA at %s already; every machine trusts that one", key_path);
    BDR_TRY(bdr_key_save(ca->key, key_path));
    return bdr_os_replace_file(cert_path, ca->pem, strlen(ca->pem), 0644, true);
}

struct bdr_err *bdr_ca_load(const char *key_path, const char *cert_path, struct bdr_ca **out)
{
    BDR_AUTO(ca) struct bdr_ca *ca = calloc(1, sizeof(*ca));
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    BDR_NOMEM_IF_NULL(ca);
    BDR_TRY(bdr_key_load(key_path, &ca->key));
    BDR_TRY(bdr_os_read_file(cert_path, BDR_CERT_BYTES_MAX, &text, &len));
    ca->cert = cert_read(text, len);
    if (!ca->cert || X509_check_ca(ca->cert) != 1)
        BDR_FAIL(BDR_INVAL, 0, "%s is no CA's certificate", cert_path);
    if (!X509_check_private_key(ca->cert, ca->key->pkey))
        CERT_FAIL(BDR_INVAL, "%s and %s do not belong together", key_path, cert_path);
    BDR_TRY(ca_finish(ca));
    *out = BDR_STEAL(ca);
    return NULL;
}

/* Signs, and gives leaf (and CA) as PEM. */
static struct bdr_err *cert_finish(const struct bdr_ca *ca, X509 *x, const char *usage, bool chain, char **out_pem)
{
    BDR_AUTO(bio) BIO *bio = BIO_new(BIO_s_mem());

    BDR_NOMEM_IF_NULL(bio);
    if (!X509_set_issuer_name(x, X509_get_subject_name(ca->cert)) ||
        !ext_add(x, ca->cert, NID_basic_constraints, "critical,CA:FALSE") ||
        !ext_add(x, ca->cert, NID_key_usage, "critical,digitalSignature") ||
        !ext_add(x, ca->cert, NID_ext_key_usage, usage) ||
        !ext_add(x, ca->cert, NID_authority_key_identifier, "keyid:always") ||
        !X509_sign(x, ca->key->pkey, EVP_sha256()) || !PEM_write_bio_X509(bio, x) ||
        (chain && !PEM_write_bio_X509(bio, ca->cert)))
        CERT_FAIL(BDR_INTERNAL, "signing a certificate");
    return cert_bio_text(bio, out_pem);
}

static struct bdr_err *server_names(const struct bdr_server_spec *spec, X509 *x)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool ok = names != NULL;

    for (size_t i = 0; ok && i < spec->n; i++) {
        GENERAL_NAME *name;
        uint8_t ip[16];
        bool is_ip = inet_pton(AF_INET, spec->names[i], ip) == 1 || inet_pton(AF_INET6, spec->names[i], ip) == 1;

        name = a2i_GENERAL_NAME(NULL, NULL, NULL, is_ip ? GEN_IPADD : GEN_DNS, spec->names[i], 0);
        ok = name && sk_GENERAL_NAME_push(names, name) > 0;
        if (!ok)
            GENERAL_NAME_free(name);
    }
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    if (!ok)
        CERT_FAIL(BDR_INVAL, "the names of a server's certificate are not right");
    return NULL;
}

struct bdr_err *bdr_ca_issue_server(const struct bdr_ca *ca, const struct bdr_key *key,
                                    const struct bdr_server_spec *spec, char **out_pem)
{
    BDR_AUTO(x509) X509 *x = NULL;
    char cn[65];

    if (!spec->n || spec->n > SERVER_NAMES_MAX)
        BDR_FAIL(BDR_INVAL, 0, "a server's certificate has 1 to %d names", SERVER_NAMES_MAX);
    snprintf(cn, sizeof(cn), "%s", spec->names[0]);
    BDR_TRY(cert_begin(cn, key->pkey, now_or(spec->now_ms), spec->lifetime_ms ? spec->lifetime_ms : SERVER_LIFE, &x));
    BDR_TRY(server_names(spec, x));
    return cert_finish(ca, x, "serverAuth", true, out_pem);
}

static X509_REQ *csr_read(const void *data, size_t len)
{
    const unsigned char *at = data;
    X509_REQ *req = NULL;

    if (!len || len > BDR_CERT_BYTES_MAX)
        return NULL;
    if (*at == 0x30) {
        req = d2i_X509_REQ(NULL, &at, (long)len);
    } else {
        BDR_AUTO(bio) BIO *bio = BIO_new_mem_buf(data, (int)len);

        req = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    }
    return req;
}

static bool key_is_strong(EVP_PKEY *key)
{
    char group[32] = "";

    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 8192;
    if (EVP_PKEY_is_a(key, "EC"))
        return EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
               (!strcmp(group, "prime256v1") || !strcmp(group, "secp384r1") || !strcmp(group, "P-256") ||
                !strcmp(group, "P-384"));
    return EVP_PKEY_is_a(key, "ED25519");
}

/* It becomes part of a list with commas: nothing but what names and addresses are made of. */
static bool server_name_ok(const char *name)
{
    return *name && strlen(name) <= 253 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:")] == 0 &&
           (!strchr(name, ':') || inet_pton(AF_INET6, name, (uint8_t[16]){0}) == 1);
}

struct bdr_err *bdr_ca_issue_machine(const struct bdr_ca *ca, const void *csr, size_t len,
                                     const struct bdr_machine_spec *spec, char **out_pem,
                                     struct bdr_cert_info *out_info)
{
    BDR_AUTO(x509_req) X509_REQ *req = csr_read(csr, len);
    EVP_PKEY *pkey = req ? X509_REQ_get0_pubkey(req) : NULL;
    BDR_AUTO(x509) X509 *x = NULL;
    const char *usage = spec->server ? "serverAuth,clientAuth" : "clientAuth";
    char san[480];
    uint8_t ip[16];

    if (!bdr_machine_id_ok(spec->machine) || !bdr_role_ok(spec->role))
        BDR_FAIL(BDR_INVAL, 0, "a machine's id has 1 to 64 letters, digits, '.', '_', '-'; its role is a short word");
    if (!pkey)
        CERT_FAIL(BDR_INVAL, "this is no certificate request");
    if (!key_is_strong(pkey))
        CERT_FAIL(BDR_INVAL, "the request's key must be EC P-256, P-384, Ed25519 or RSA of 2048 bits and more");
    if (X509_REQ_verify(req, pkey) != 1)
        CERT_FAIL(BDR_INVAL, "the request's signature is not right");
    BDR_TRY(cert_begin(spec->machine, pkey, now_or(spec->now_ms), spec->lifetime_ms ? spec->lifetime_ms : MACHINE_LIFE,
                       &x));
    if (spec->server && !server_name_ok(spec->server))
        BDR_FAIL(BDR_INVAL, 0, "'%.255s' is neither a host name nor an address", spec->server);
    snprintf(san, sizeof(san), "URI:bdr://machine/%s?role=%s%s%s", spec->machine, spec->role,
             !spec->server                                                                                ? ""
             : inet_pton(AF_INET, spec->server, ip) == 1 || inet_pton(AF_INET6, spec->server, ip) == 1 ? ",IP:"
                                                                                                          : ",DNS:",
             spec->server ? spec->server : "");
    if (!ext_add(x, ca->cert, NID_subject_alt_name, san))
        CERT_FAIL(BDR_INTERNAL, "naming machine %s", spec->machine);
    BDR_TRY(cert_finish(ca, x, usage, false, out_pem));
    return out_info ? cert_info_of(x, out_info) : NULL;
}

/* Does the certificate carry exactly these names? */
static bool names_same(X509 *x, const struct bdr_server_spec *spec)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool same = names && (size_t)sk_GENERAL_NAME_num(names) == spec->n;

    for (size_t i = 0; same && i < spec->n; i++)
        same = X509_check_host(x, spec->names[i], 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1 ||
               X509_check_ip_asc(x, spec->names[i], 0) == 1;
    GENERAL_NAMES_free(names);
    return same;
}

static bool server_still_good(const struct bdr_ca *ca, const struct bdr_server_spec *spec, const struct bdr_key *key,
                              const char *cert_path)
{
    BDR_AUTO(mem) char *text = NULL;
    BDR_AUTO(x509) X509 *x = NULL;
    struct bdr_cert_info info;
    size_t len = 0;
    struct bdr_err *err = bdr_os_read_file(cert_path, BDR_CERT_BYTES_MAX, &text, &len);

    if (!err) {
        x = cert_read(text, len);
        if (x)
            err = cert_info_of(x, &info);
    }
    if (err || !x) {
        bdr_err_drop(err, "a certificate that can't be read is replaced");
        return false;
    }
    bool good = !bdr_cert_renew_due(&info, now_or(spec->now_ms)) && X509_check_private_key(x, key->pkey) &&
                X509_verify(x, ca->key->pkey) == 1 && names_same(x, spec);

    ERR_clear_error();
    return good;
}

struct bdr_err *bdr_ca_ensure_server(const struct bdr_ca *ca, const struct bdr_server_spec *spec, const char *key_path,
                                     const char *cert_path, bool *out_renewed)
{
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *pem = NULL;

    if (access(key_path, F_OK) == 0)
        BDR_TRY(bdr_key_load(key_path, &key));
    if (key && server_still_good(ca, spec, key, cert_path)) {
        *out_renewed = false;
        return NULL;
    }
    if (!key) {
        BDR_TRY(bdr_key_new(&key));
        BDR_TRY(bdr_key_save(key, key_path));
    }
    BDR_TRY(bdr_ca_issue_server(ca, key, spec, &pem));
    BDR_TRY(bdr_os_replace_file(cert_path, pem, strlen(pem), 0644, false));
    *out_renewed = true;
    return NULL;
}
