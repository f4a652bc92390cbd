/* SPDX-License-Identifier: Apache-2.0 */
/* cert_i.h - inside of cert: OpenSSL's objects under our names. Threads: one at a time. */
#pragma once
#include "bdr/ca.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

struct bdr_key {
    EVP_PKEY *pkey; /* owned */
};

/* Recent errors of OpenSSL's, as the message's end. */
#define CERT_FAIL(code, ...)                                                                                           \
    do {                                                                                                               \
        ERR_clear_error();                                                                                             \
        BDR_FAIL((code), 0, __VA_ARGS__);                                                                              \
    } while (0)

bdr_ret cert_info_of(X509 *x, struct bdr_cert_info *out);
/* The first certificate of PEM or DER; owned by the caller. NULL when there is none. */
X509 *cert_read(const void *data, size_t len);
/* Bytes (that need not end with NUL) as text of our own. */
char *cert_text(const void *data, size_t len);
/* The BIO's content as text; caller frees. Takes the BIO. */
bdr_ret cert_bio_text(BIO *bio, char **out);

BDR_AUTO_DEFINE(x509, X509 *, X509_free)
BDR_AUTO_DEFINE(x509_req, X509_REQ *, X509_REQ_free)
BDR_AUTO_DEFINE(bio, BIO *, BIO_free_all)
