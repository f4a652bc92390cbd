/* SPDX-License-Identifier: Apache-2.0 */
/* A key of one's own, and the request for a certificate. */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "cert_i.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

struct bdr_err *bdr_key_new(struct bdr_key **out)
{
    BDR_AUTO(key) struct bdr_key *key = calloc(1, sizeof(*key));

    BDR_NOMEM_IF_NULL(key);
    key->pkey = EVP_EC_gen("P-256");
    if (!key->pkey)
        CERT_FAIL(BDR_INTERNAL, "making a key");
    *out = BDR_STEAL(key);
    return NULL;
}

void bdr_key_free(struct bdr_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

struct bdr_err *bdr_key_save(const struct bdr_key *key, const char *path)
{
    BDR_AUTO(bio) BIO *bio = BIO_new(BIO_s_secmem());
    char *data = NULL;
    long len;

    BDR_NOMEM_IF_NULL(bio);
    if (!PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL))
        CERT_FAIL(BDR_INTERNAL, "writing a key");
    len = BIO_get_mem_data(bio, &data);
    BDR_TRY_FOR(bdr_os_replace_file(path, data, (size_t)len, 0600, false), "saving the key %s", path);
    return NULL;
}

static void text_wipe(char **text)
{
    if (*text)
        bdr_wipe(*text, strlen(*text));
    free(*text);
}

struct bdr_err *bdr_key_load(const char *path, struct bdr_key **out)
{
    __attribute__((cleanup(text_wipe))) char *text = NULL;
    BDR_AUTO(key) struct bdr_key *key = calloc(1, sizeof(*key));
    BDR_AUTO(bio) BIO *bio = NULL;
    struct stat st;
    size_t len = 0;

    BDR_NOMEM_IF_NULL(key);
    if (stat(path, &st))
        BDR_FAIL_ERRNO("opening the key %s", path);
    if (st.st_mode & 077)
        BDR_FAIL(BDR_DENIED, 0, "the key %s can be read by others; replace it, then chmod 600 the new one", path);
    BDR_TRY(bdr_os_read_file(path, BDR_CERT_BYTES_MAX, &text, &len));
    bio = BIO_new_mem_buf(text, (int)len);
    BDR_NOMEM_IF_NULL(bio);
    key->pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "");
    if (!key->pkey)
        CERT_FAIL(BDR_INVAL, "%s holds no key (or one behind a passphrase)", path);
    *out = BDR_STEAL(key);
    return NULL;
}

char *cert_text(const void *data, size_t len)
{
    char *text = calloc(1, len + 1);

    if (text && len)
        memcpy(text, data, len);
    return text;
}

struct bdr_err *cert_bio_text(BIO *bio, char **out)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);

    *out = cert_text(data, len > 0 ? (size_t)len : 0);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

struct bdr_err *bdr_key_csr(const struct bdr_key *key, const char *name, char **out_pem)
{
    BDR_AUTO(x509_req) X509_REQ *req = X509_REQ_new();
    BDR_AUTO(bio) BIO *bio = BIO_new(BIO_s_mem());
    X509_NAME *subject;

    BDR_NOMEM_IF_NULL(req);
    BDR_NOMEM_IF_NULL(bio);
    if (!*name || strlen(name) > 64)
        BDR_FAIL(BDR_INVAL, 0, "the name in a certificate request has 1 to 64 characters");
    subject = X509_REQ_get_subject_name(req);
    if (!X509_REQ_set_version(req, 0) ||
        !X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) ||
        !X509_REQ_set_pubkey(req, key->pkey) || !X509_REQ_sign(req, key->pkey, EVP_sha256()) ||
        !PEM_write_bio_X509_REQ(bio, req))
        CERT_FAIL(BDR_INTERNAL, "making a certificate request");
    return cert_bio_text(bio, out_pem);
}
