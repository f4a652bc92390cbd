/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the client trusts: one CA by file, or by the print of its certificate. */
#include "client_i.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

static bool print_is(X509 *x, const char *fingerprint)
{
    unsigned char raw[32];
    unsigned n = sizeof(raw);
    char hex[BDR_FINGERPRINT_CHARS];

    return X509_digest(x, EVP_sha256(), raw, &n) && n == 32 && !strcmp(bdr_hex(raw, 32, hex), fingerprint);
}

static void ca_keep(struct bdr_http_client *c, X509 *ca)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    long len;

    if (bio && PEM_write_bio_X509(bio, ca)) {
        len = BIO_get_mem_data(bio, &data);
        pthread_mutex_lock(&c->lock);
        if (!c->ca_pem && (c->ca_pem = calloc(1, (size_t)len + 1)) != NULL)
            memcpy(c->ca_pem, data, (size_t)len);
        pthread_mutex_unlock(&c->lock);
    }
    BIO_free(bio);
}

/* What the person who compares prints has to see: the last of the chain is the CA, or as near to it as was sent. */
static void shown_keep(struct bdr_http_client *c, STACK_OF(X509) * chain)
{
    unsigned char raw[32];
    unsigned n = sizeof(raw);
    int last = sk_X509_num(chain) - 1;

    if (last < 0 || !X509_digest(sk_X509_value(chain, last), EVP_sha256(), raw, &n) || n != 32)
        return;
    pthread_mutex_lock(&c->lock);
    bdr_hex(raw, 32, c->shown);
    pthread_mutex_unlock(&c->lock);
}

struct bdr_err *client_wrong_print(struct bdr_http_client *c)
{
    char shown[BDR_FINGERPRINT_CHARS], a[104], b[104];

    pthread_mutex_lock(&c->lock);
    memcpy(shown, c->shown, sizeof(shown));
    pthread_mutex_unlock(&c->lock);
    if (shown[0])
        BDR_FAIL(BDR_AUTH, 0, "%s is not the server we trust: the print of its CA is %s, and it should be %s",
                 c->config.base, bdr_fingerprint_text(shown, a), bdr_fingerprint_text(c->fingerprint, b));
    return NULL;
}

/*
 * Instead of OpenSSL's own check: the chain that the server sent must hold the CA with our print, and the rest must
 * verify with this one as the only root. libcurl checks the host name afterwards as always.
 */
static int verify_print(X509_STORE_CTX *given, void *arg)
{
    struct bdr_http_client *c = arg;
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(given);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509 *ca = NULL;
    int error = X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, ok = 0;

    for (int i = 0; !ca && i < sk_X509_num(chain); i++)
        if (print_is(sk_X509_value(chain, i), c->fingerprint) && X509_check_ca(sk_X509_value(chain, i)) == 1)
            ca = sk_X509_value(chain, i);
    if (ca && store && ctx && X509_STORE_add_cert(store, ca) &&
        X509_STORE_CTX_init(ctx, store, X509_STORE_CTX_get0_cert(given), chain) &&
        X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER)) {
        ok = X509_verify_cert(ctx) == 1;
        error = X509_STORE_CTX_get_error(ctx);
    }
    if (ok)
        ca_keep(c, ca);
    else if (!ca)
        shown_keep(c, chain);
    X509_STORE_CTX_set_error(given, ok ? X509_V_OK : error);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

static CURLcode ssl_ctx_setup(CURL *easy, void *ssl_ctx, void *arg)
{
    (void)easy;
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_print, arg);
    return CURLE_OK;
}

struct bdr_err *client_tls_setup(struct bdr_http_client *c, CURL *easy)
{
    const struct bdr_http_client_config *cfg = &c->config;
    CURLcode rc = CURLE_OK;

    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (!cfg->system_ca) {
        /* Debian's libcurl also believes /etc/ssl/certs unless told not to: a pin with a hole in it */
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        rc = curl_easy_setopt(easy, CURLOPT_CAINFO, cfg->ca_file);
    }
    if (!rc && c->fingerprint[0]) {
        rc = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, ssl_ctx_setup);
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, c);
    }
    if (!rc && cfg->cert_file) {
        rc = curl_easy_setopt(easy, CURLOPT_SSLCERT, cfg->cert_file);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, cfg->key_file);
    }
    if (rc)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "this libcurl can't do TLS as we need it: %s", curl_easy_strerror(rc));
    return NULL;
}
