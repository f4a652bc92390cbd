/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_link.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LINK_WAIT_S 60

struct link {
    const struct link_site *site;
    char from[24];
    const char *cert;
    SSL *ssl; /* NULL: not connected */
    int fd;
};

bdr_ret link_site_open(struct link_site *s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *bio = BIO_new_mem_buf(s->key, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    if (!ctx || !key || !SSL_CTX_load_verify_locations(ctx, s->ca_file, NULL)) {
        SSL_CTX_free(ctx);
        EVP_PKEY_free(key);
        BDR_FAIL(BDR_INVAL, 0, "reading %s and the key", s->ca_file);
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    s->ctx = ctx;
    s->pkey = key;
    return NULL;
}

void link_site_close(struct link_site *s)
{
    SSL_CTX_free(s->ctx);
    EVP_PKEY_free(s->pkey);
    s->ctx = s->pkey = NULL;
}

bdr_ret link_open(const struct link_site *s, const char *from, const char *cert, struct link **out)
{
    struct link *l = calloc(1, sizeof(*l));

    BDR_NOMEM_IF_NULL(l);
    l->site = s;
    snprintf(l->from, sizeof(l->from), "%s", from);
    l->cert = cert;
    l->fd = -1;
    *out = l;
    return NULL;
}

static void link_drop(struct link *l)
{
    SSL_free(l->ssl);
    l->ssl = NULL;
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

void link_close(struct link *l)
{
    if (!l)
        return;
    link_drop(l);
    free(l);
}

static struct bdr_err *link_socket(struct link *l)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(l->site->port)}, from = {.sin_family = AF_INET};
    struct timeval wait = {.tv_sec = LINK_WAIT_S};
    int one = 1;

    if (inet_pton(AF_INET, l->site->address, &to.sin_addr) != 1 || inet_pton(AF_INET, l->from, &from.sin_addr) != 1)
        BDR_FAIL(BDR_INVAL, 0, "%s, %s: no addresses", l->site->address, l->from);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        BDR_FAIL_ERRNO("making a socket");
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (bind(l->fd, (struct sockaddr *)&from, sizeof(from)) || connect(l->fd, (struct sockaddr *)&to, sizeof(to)))
        BDR_FAIL_ERRNO("connecting from %s", l->from);
    return NULL;
}

static struct bdr_err *link_connect(struct link *l)
{
    BIO *bio = BIO_new_mem_buf(l->cert, -1);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    int ok;

    BIO_free(bio);
    l->ssl = SSL_new(l->site->ctx);
    ok = cert && l->ssl && SSL_use_certificate(l->ssl, cert) && SSL_use_PrivateKey(l->ssl, l->site->pkey) &&
         X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(l->ssl), l->site->address);
    X509_free(cert);
    if (!ok)
        BDR_FAIL(BDR_NOMEM, 0, "preparing a connection");
    BDR_TRY(link_socket(l));
    if (!SSL_set_fd(l->ssl, l->fd) || SSL_connect(l->ssl) != 1)
        BDR_FAIL(BDR_NET, 0, "TLS: %s", ERR_error_string(ERR_get_error(), NULL));
    return NULL;
}

/* Headers into head[n], and the body's length; what came of the body already is in *out_more. */
static struct bdr_err *read_head(struct link *l, char *head, size_t n, long long *out_length, size_t *out_more)
{
    size_t have = 0;
    char *end = NULL, *at;

    while (!end) {
        int got = have < n - 1 ? SSL_read(l->ssl, head + have, (int)(n - 1 - have)) : 0;

        if (got <= 0)
            BDR_FAIL(BDR_NET, 0, "the connection ended within an answer");
        have += (size_t)got;
        head[have] = 0;
        end = strstr(head, "\r\n\r\n");
    }
    at = strcasestr(head, "\r\nContent-Length:");
    if (!at || at > end)
        BDR_FAIL(BDR_NET, 0, "an answer without a length");
    *out_length = strtoll(at + 17, NULL, 10);
    *out_more = have - (size_t)(end + 4 - head);
    return NULL;
}

static struct bdr_err *link_once(struct link *l, const char *request, int *out_status)
{
    char head[8192];
    long long length = 0, left;
    size_t more = 0;

    if (!l->ssl)
        BDR_TRY(link_connect(l));
    if (SSL_write(l->ssl, request, (int)strlen(request)) <= 0)
        BDR_FAIL(BDR_NET, 0, "the connection ended within a request");
    BDR_TRY(read_head(l, head, sizeof(head), &length, &more));
    if (sscanf(head, "HTTP/1.1 %d", out_status) != 1)
        BDR_FAIL(BDR_NET, 0, "an answer that is not HTTP");
    for (left = length - (long long)more; left > 0;) {
        char rest[4096];
        int got = SSL_read(l->ssl, rest, (int)BDR_MIN(left, (long long)sizeof(rest)));

        if (got <= 0)
            BDR_FAIL(BDR_NET, 0, "the connection ended within a body");
        left -= got;
    }
    return NULL;
}

bdr_ret link_post(struct link *l, const char *path, const char *json, int *out_status)
{
    bool kept = l->ssl != NULL;
    char request[1024];
    struct bdr_err *err;

    snprintf(request, sizeof(request),
             "POST %s HTTP/1.1\r\nHost: %s:%u\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
             l->site->address, l->site->port, strlen(json), json);
    ERR_clear_error();
    err = link_once(l, request, out_status);
    if (err)
        link_drop(l);
    if (!err || !kept)
        return err;
    bdr_err_drop(err, "a kept connection may have been closed meanwhile");
    err = link_once(l, request, out_status);
    if (err)
        link_drop(l);
    return err;
}
