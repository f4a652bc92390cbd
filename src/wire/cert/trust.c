/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a peer's certificate against the CAs we believe. */
#include "bdr/osfile.h"
#include "cert_i.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

struct bdr_trust {
    X509_STORE *store; /* owned */
};

struct bdr_err *bdr_trust_new(const char *pem, size_t len, struct bdr_trust **out)
{
    BDR_AUTO(trust) struct bdr_trust *trust = calloc(1, sizeof(*trust));
    BDR_AUTO(bio) BIO *bio = len && len <= BDR_CERT_BYTES_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    unsigned n = 0;

    BDR_NOMEM_IF_NULL(trust);
    trust->store = X509_STORE_new();
    BDR_NOMEM_IF_NULL(trust->store);
    for (;; n++) {
        BDR_AUTO(x509) X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

        if (!x)
            break;
        /* Also makes OpenSSL work out now what it would note in the certificate at its first use, by several threads. */
        if (X509_check_ca(x) != 1)
            CERT_FAIL(BDR_INVAL, "there is a certificate in it that is no CA's");
        if (!X509_STORE_add_cert(trust->store, x))
            CERT_FAIL(BDR_NOMEM, "taking a CA's certificate");
    }
    if (!n)
        CERT_FAIL(BDR_INVAL, "there is no CA's certificate in it");
    ERR_clear_error();
    *out = BDR_STEAL(trust);
    return NULL;
}

struct bdr_err *bdr_trust_load(const char *path, struct bdr_trust **out)
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    BDR_TRY(bdr_os_read_file(path, BDR_CERT_BYTES_MAX, &text, &len));
    BDR_TRY_FOR(bdr_trust_new(text, len, out), "reading the CA file %s", path);
    return NULL;
}

void bdr_trust_free(struct bdr_trust *trust)
{
    if (!trust)
        return;
    X509_STORE_free(trust->store);
    free(trust);
}

enum bdr_peer_fault bdr_trust_check_client(const struct bdr_trust *trust, const void *der, size_t len, int64_t now_ms,
                                           struct bdr_cert_info *out)
{
    BDR_AUTO(x509) X509 *x = cert_read(der, len);
    X509_STORE_CTX *ctx = x ? X509_STORE_CTX_new() : NULL;
    enum bdr_peer_fault fault = BDR_PEER_BAD;
    struct bdr_err *err;

    if (ctx && X509_STORE_CTX_init(ctx, trust->store, x, NULL) &&
        X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT)) {
        X509_STORE_CTX_set_time(ctx, 0, (time_t)(now_ms / 1000));
        if (X509_verify_cert(ctx) == 1)
            fault = BDR_PEER_OK;
        else
            switch (X509_STORE_CTX_get_error(ctx)) {
            case X509_V_ERR_CERT_HAS_EXPIRED:
                fault = BDR_PEER_EXPIRED;
                break;
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
            case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
            case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            case X509_V_ERR_CERT_SIGNATURE_FAILURE:
                fault = BDR_PEER_UNKNOWN_CA;
                break;
            default:
                break;
            }
    }
    X509_STORE_CTX_free(ctx);
    if (fault == BDR_PEER_OK) {
        err = cert_info_of(x, out);
        if (err)
            fault = BDR_PEER_BAD;
        bdr_err_drop(err, "an odd certificate is a bad one");
    }
    ERR_clear_error();
    return fault;
}
