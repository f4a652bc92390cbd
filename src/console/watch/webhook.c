/* SPDX-License-Identifier: Apache-2.0 */
/* webhook.c - a message as a signed POST of JSON. */
#include "watch/curl.h"
#include "watch/notify.h"
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

struct bdr_err *bdr_webhook_signature(const struct bdr_secret *secret, const char *timestamp, const char *body,
                                      char out[72])
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    uint8_t md[32];
    char hex[65];
    unsigned len = sizeof(md);

    /* with the time in it, an old message cannot be sent again by somebody who saw it */
    bdr_buf_printf(&b, "%s.%s", timestamp, body);
    BDR_TRY(bdr_buf_check(&b));
    if (!HMAC(EVP_sha256(), secret->data, (int)secret->len, b.data, b.len, md, &len))
        BDR_FAIL(BDR_INTERNAL, 0, "HMAC-SHA-256");
    snprintf(out, 72, "sha256=%s", bdr_hex(md, sizeof(md), hex));
    return NULL;
}

struct bdr_err *bdr_webhook_host(const char *url, char out[256])
{
    CURLU *u = curl_url();
    char *host = NULL;
    CURLUcode rc;

    BDR_NOMEM_IF_NULL(u);
    rc = curl_url_set(u, CURLUPART_URL, url, 0);
    if (!rc)
        rc = curl_url_get(u, CURLUPART_HOST, &host, 0);
    snprintf(out, 256, "%s", rc ? "" : host);
    curl_free(host);
    curl_url_cleanup(u);
    if (rc)
        BDR_FAIL(BDR_INVAL, 0, "the address %s is none that can be used", url);
    return NULL;
}

struct bdr_err *bdr_webhook_send(const struct bdr_channel *ch, const struct bdr_message *m,
                                 const struct bdr_cancel *cancel)
{
    BDR_AUTO(watch_curl) struct watch_curl w = {0};
    char timestamp[24], signature[72], header[128], host[256];
    long status = 0;

    BDR_TRY(bdr_webhook_host(ch->params.url, host));
    BDR_TRY(watch_curl_open(&w, ch, host, cancel));
    curl_easy_setopt(w.easy, CURLOPT_URL, ch->params.url);
    curl_easy_setopt(w.easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(w.easy, CURLOPT_USERAGENT, "openbdr/" OPENBDR_VERSION);
    curl_easy_setopt(w.easy, CURLOPT_POSTFIELDS, m->json);
    curl_easy_setopt(w.easy, CURLOPT_POSTFIELDSIZE, (long)strlen(m->json));
    BDR_TRY(watch_curl_add(&w, "Content-Type: application/json"));
    BDR_TRY(watch_curl_add(&w, "Expect:"));
    snprintf(header, sizeof(header), "X-BDR-Delivery: %s", m->id);
    BDR_TRY(watch_curl_add(&w, header));
    snprintf(timestamp, sizeof(timestamp), "%lld", (long long)(m->at_ms / 1000));
    snprintf(header, sizeof(header), "X-BDR-Timestamp: %s", timestamp);
    BDR_TRY(watch_curl_add(&w, header));
    if (ch->secret.len) {
        BDR_TRY(bdr_webhook_signature(&ch->secret, timestamp, m->json, signature));
        snprintf(header, sizeof(header), "X-BDR-Signature: %s", signature);
        BDR_TRY(watch_curl_add(&w, header));
    }
    curl_easy_setopt(w.easy, CURLOPT_HTTPHEADER, w.list);
    BDR_TRY_FOR(watch_curl_run(&w), "the receiver");
    curl_easy_getinfo(w.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299)
        BDR_FAIL(BDR_NET, status, "the receiver answered with status %ld", status);
    return NULL;
}
