/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/curl.h"
#include "watch/address.h"
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_MS 8000L
#define REPLY_MAX  65536

static void curl_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int curl_cancelled(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct watch_curl *w = ctx;

    (void)a, (void)b, (void)c, (void)d;
    return bdr_cancelled(w->cancel);
}

/* What the far side says is of no use to us. */
static size_t curl_sink(char *data, size_t size, size_t n, void *ctx)
{
    (void)data, (void)ctx;
    return size * n;
}

/* SMTP's answers; a line of a stranger: printable, and not long. */
static size_t curl_line(char *data, size_t size, size_t n, void *ctx)
{
    struct watch_curl *w = ctx;
    size_t len = BDR_MIN(size * n, sizeof(w->said) - 1);

    memcpy(w->said, data, len);
    while (len && (w->said[len - 1] == '\r' || w->said[len - 1] == '\n'))
        len--;
    w->said[len] = 0;
    for (size_t i = 0; i < len; i++)
        if (w->said[i] < 0x20 || w->said[i] > 0x7e)
            w->said[i] = '?';
    return size * n;
}

/* The name was looked up by now: nobody can make it another address between a look and this. */
static curl_socket_t curl_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct watch_curl *w = ctx;
    const char *why = bdr_address_refused(&to->addr, w->host);
    char text[64] = "";

    if (!why || purpose != CURLSOCKTYPE_IPCXN)
        return why ? CURL_SOCKET_BAD : socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    if (getnameinfo(&to->addr, (socklen_t)to->addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
        *text = 0;
    snprintf(w->refused, sizeof(w->refused), "%s is %s", text, why);
    return CURL_SOCKET_BAD;
}

struct bdr_err *watch_curl_open(struct watch_curl *w, const struct bdr_channel *ch, const char *host,
                                const struct bdr_cancel *cancel)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *ca = ch->params.ca;
    struct curl_blob blob = {(void *)(uintptr_t)ca, ca ? strlen(ca) : 0, CURL_BLOB_COPY};
    CURLcode rc;

    pthread_once(&once, curl_start);
    *w = (struct watch_curl){.easy = curl_easy_init(), .cancel = cancel};
    BDR_NOMEM_IF_NULL(w->easy);
    snprintf(w->host, sizeof(w->host), "%s", host);
    curl_easy_setopt(w->easy, CURLOPT_OPENSOCKETFUNCTION, curl_socket);
    curl_easy_setopt(w->easy, CURLOPT_OPENSOCKETDATA, w);
    curl_easy_setopt(w->easy, CURLOPT_ERRORBUFFER, w->text);
    curl_easy_setopt(w->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(w->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(w->easy, CURLOPT_TIMEOUT_MS, (long)ch->deadline_ms);
    curl_easy_setopt(w->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(w->easy, CURLOPT_XFERINFOFUNCTION, curl_cancelled);
    curl_easy_setopt(w->easy, CURLOPT_XFERINFODATA, w);
    curl_easy_setopt(w->easy, CURLOPT_WRITEFUNCTION, curl_sink);
    curl_easy_setopt(w->easy, CURLOPT_HEADERFUNCTION, curl_line);
    curl_easy_setopt(w->easy, CURLOPT_HEADERDATA, w);
    curl_easy_setopt(w->easy, CURLOPT_MAXFILESIZE, (long)REPLY_MAX);
    curl_easy_setopt(w->easy, CURLOPT_FOLLOWLOCATION, 0L); /* what is signed goes to who was named */
    curl_easy_setopt(w->easy, CURLOPT_PROXY, "");          /* nor where the environment says */
    curl_easy_setopt(w->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    rc = ca ? curl_easy_setopt(w->easy, CURLOPT_CAINFO_BLOB, &blob) : CURLE_OK;
    if (!rc && ca)
        rc = curl_easy_setopt(w->easy, CURLOPT_CAPATH, NULL);
    if (rc)
        BDR_FAIL(BDR_INTERNAL, 0, "setting up libcurl: %s", curl_easy_strerror(rc));
    return NULL;
}

struct bdr_err *watch_curl_add(struct watch_curl *w, const char *text)
{
    struct curl_slist *more = curl_slist_append(w->list, text);

    BDR_NOMEM_IF_NULL(more);
    w->list = more;
    return NULL;
}

struct bdr_err *watch_curl_run(struct watch_curl *w)
{
    CURLcode rc = curl_easy_perform(w->easy);
    const char *text = *w->text ? w->text : curl_easy_strerror(rc);
    enum bdr_code code = rc == CURLE_OPERATION_TIMEDOUT                                     ? BDR_TIMEOUT
                         : rc == CURLE_ABORTED_BY_CALLBACK                                  ? BDR_CANCELLED
                         : rc == CURLE_LOGIN_DENIED || rc == CURLE_PEER_FAILED_VERIFICATION ? BDR_AUTH
                                                                                            : BDR_NET;

    if (rc && *w->refused)
        BDR_FAIL(BDR_DENIED, 0, "%s: %s; the console does not send anything there", w->host, w->refused);
    if (rc && (*w->said == '4' || *w->said == '5')) /* SMTP: why it does not want to */
        BDR_FAIL(code, 0, "%s: '%s'", text, w->said);
    if (rc)
        BDR_FAIL(code, 0, "%s", text);
    return NULL;
}

void watch_curl_close(struct watch_curl *w)
{
    curl_slist_free_all(w->list);
    if (w->easy)
        curl_easy_cleanup(w->easy);
    *w = (struct watch_curl){0};
}
