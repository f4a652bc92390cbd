/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS side of a listener. libmicrohttpd speaks TLS through GnuTLS; each new session gets the listener's present
 * credentials from us, so that a reload needs no restart, and its client's certificate is checked by cert/trust.c.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "http_i.h"
#include <string.h>
#include <sys/stat.h>

void http_tls_unref(struct http_tls *tls)
{
    if (!tls || atomic_fetch_sub(&tls->refs, 1) != 1)
        return;
    if (tls->cred)
        gnutls_certificate_free_credentials(tls->cred);
    bdr_trust_free(tls->trust);
    free(tls);
}
BDR_AUTO_DEFINE(http_tls, struct http_tls *, http_tls_unref)

struct bdr_err *http_tls_load(const struct bdr_http_listener *l, struct http_tls **out)
{
    BDR_AUTO(http_tls) struct http_tls *tls = calloc(1, sizeof(*tls));
    BDR_AUTO(key) struct bdr_key *key = NULL;
    int rc;

    BDR_NOMEM_IF_NULL(tls);
    atomic_init(&tls->refs, 1);
    if (!l->cert_file || !l->key_file)
        BDR_FAIL(BDR_INVAL, 0, "a TLS listener needs a certificate file and a key file");
    BDR_TRY(bdr_key_load(l->key_file, &key)); /* says what is wrong with it better than GnuTLS does */
    if (gnutls_certificate_allocate_credentials(&tls->cred))
        BDR_FAIL(BDR_NOMEM, 0, "preparing TLS");
    rc = gnutls_certificate_set_x509_key_file(tls->cred, l->cert_file, l->key_file, GNUTLS_X509_FMT_PEM);
    if (rc < 0)
        BDR_FAIL(BDR_INVAL, 0, "%s and %s are no pair of certificate and key: %s", l->cert_file, l->key_file,
                 gnutls_strerror(rc));
    if (l->tls >= BDR_TLS_OPTIONAL) {
        if (!l->ca_file)
            BDR_FAIL(BDR_INVAL, 0, "a listener that checks clients needs their CA's file");
        BDR_TRY(bdr_trust_load(l->ca_file, &tls->trust));
        /* only for the names in the request, so that a browser does not offer others; the checking is trust's */
        rc = gnutls_certificate_set_x509_trust_file(tls->cred, l->ca_file, GNUTLS_X509_FMT_PEM);
        if (rc < 0)
            BDR_FAIL(BDR_INVAL, 0, "reading the CA file %s: %s", l->ca_file, gnutls_strerror(rc));
    }
    *out = BDR_STEAL(tls);
    return NULL;
}

void http_peer_refused(struct http_conn *c, const char *why, const char *serial)
{
    atomic_fetch_add(&c->listener->server->refused_peers, 1);
    BDR_LOG(WARN, "http.peer.refused", F_STR("remote", c->remote), F_STR("why", why), F_STR("serial", serial));
}

static int tls_refuse(struct http_conn *c, gnutls_session_t session, enum bdr_peer_fault fault)
{
    static const struct {
        const char *word;
        gnutls_alert_description_t alert;
    } rows[] = {
        [BDR_PEER_UNKNOWN_CA] = {"unknown-ca", GNUTLS_A_UNKNOWN_CA},
        [BDR_PEER_EXPIRED] = {"expired", GNUTLS_A_CERTIFICATE_EXPIRED},
        [BDR_PEER_BAD] = {"bad", GNUTLS_A_BAD_CERTIFICATE},
        [BDR_PEER_MISSING] = {"missing", GNUTLS_A_CERTIFICATE_REQUIRED},
    };

    http_peer_refused(c, rows[fault].word, "");
    gnutls_alert_send(session, GNUTLS_AL_FATAL, rows[fault].alert);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

/* On the event loop, inside of the handshake. */
static int tls_verify(gnutls_session_t session)
{
    struct http_conn *c = gnutls_session_get_ptr(session);
    const struct bdr_http_server *s = c->listener->server;
    const gnutls_datum_t *chain;
    unsigned n = 0;
    enum bdr_peer_fault fault;

    chain = gnutls_certificate_get_peers(session, &n);
    if (!chain || !n)
        return c->listener->config.tls == BDR_TLS_REQUIRED ? tls_refuse(c, session, BDR_PEER_MISSING) : 0;
    fault = bdr_trust_check_client(c->tls->trust, chain[0].data, chain[0].size, bdr_clock_wall_ms(), &c->peer);
    if (fault != BDR_PEER_OK)
        return tls_refuse(c, session, fault);
    /* A revoked one comes in to hear of it from each request (loop.c): in TLS 1.3 a client talks before we have looked
     * at its certificate, and would find a connection reset where an alert should be. */
    c->has_peer = true;
    c->known = !s->revoked || !s->revoked(s->revoked_ctx, &c->peer); /* it makes room for others as a stranger does */
    return 0;
}

bool http_tls_session(struct http_conn *c, gnutls_session_t session)
{
    enum bdr_tls_mode mode = c->listener->config.tls;

    gnutls_session_set_ptr(session, c);
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->tls->cred))
        return false;
    gnutls_session_set_verify_function(session, tls_verify);
    /* REQUEST also where one is required: GnuTLS would refuse without an alert, and nobody would know why */
    gnutls_certificate_server_set_request(session, mode >= BDR_TLS_OPTIONAL ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_IGNORE);
    return true;
}
