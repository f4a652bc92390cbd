/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "error.h"
#include "header.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_MS      10000L
#define DEADLINE_S      60 /* of one attempt, plus its bytes at the slowest rate */
#define SLOWEST_BYTES_S (64 * 1024)
#define SLOW_DEADLINE_S 900 /* AWS: completing a multipart upload "can take several minutes" */
#define LAST_WORDS_S    5
#define BACKOFF_MS      100
#define BACKOFF_MAX_MS  10000
#define SKEW_MS         300000 /* servers refuse from 15 minutes on; a 403 without a body and this far apart is it */
#define POOL            32     /* idle connections kept; more threads make more, closed after use */

struct bdr_s3_client {
    const struct bdr_s3_config *cfg; /* borrowed */
    const struct bdr_cancel *cancel;
    pthread_mutex_t lock; /* guards all below */
    CURL *idle[POOL];
    unsigned n_idle;
    int64_t ahead_ms; /* of the server's clock before ours, once it has complained */
};

/* One attempt: what the callbacks see. */
struct attempt {
    const struct bdr_s3_client *client;
    const struct bdr_s3_request *req;
    struct bdr_s3_reply *reply;
    CURL *curl;
    size_t sent;
    bool overflow;
};

void bdr_s3_reply_free(struct bdr_s3_reply *reply)
{
    bdr_buf_free(&reply->body);
}

static void client_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct bdr_err *bdr_s3_client_new(const struct bdr_s3_config *cfg, const struct bdr_cancel *cancel,
                                  struct bdr_s3_client **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct bdr_s3_client *client = calloc(1, sizeof(*client));

    BDR_NOMEM_IF_NULL(client);
    pthread_once(&once, client_init);
    pthread_mutex_init(&client->lock, NULL);
    client->cfg = cfg;
    client->cancel = cancel;
    *out = client;
    return NULL;
}

void bdr_s3_client_free(struct bdr_s3_client *client)
{
    if (!client)
        return;
    for (unsigned i = 0; i < client->n_idle; i++)
        curl_easy_cleanup(client->idle[i]);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

static CURL *client_take(struct bdr_s3_client *client)
{
    CURL *curl = NULL;

    pthread_mutex_lock(&client->lock);
    if (client->n_idle)
        curl = client->idle[--client->n_idle];
    pthread_mutex_unlock(&client->lock);
    if (!curl)
        return curl_easy_init();
    curl_easy_reset(curl); /* keeps its connection */
    return curl;
}

static void client_give(struct bdr_s3_client *client, CURL *curl)
{
    bool kept;

    pthread_mutex_lock(&client->lock);
    kept = client->n_idle < POOL;
    if (kept)
        client->idle[client->n_idle++] = curl;
    pthread_mutex_unlock(&client->lock);
    if (!kept)
        curl_easy_cleanup(curl);
}

static int64_t client_now(struct bdr_s3_client *client)
{
    int64_t ahead;

    pthread_mutex_lock(&client->lock);
    ahead = client->ahead_ms;
    pthread_mutex_unlock(&client->lock);
    return bdr_clock_wall_ms() + ahead;
}

int64_t bdr_s3_now_ms(struct bdr_s3_client *client, const struct bdr_s3_reply *reply)
{
    return reply->date_ms ? reply->date_ms : client_now(client);
}

/* ---- what curl calls ---- */

static size_t attempt_header(char *data, size_t size, size_t n, void *ctx)
{
    struct attempt *a = ctx;

    bdr_s3_header_line(data, size * n, a->reply);
    return size * n;
}

static size_t attempt_write(char *data, size_t size, size_t n, void *ctx)
{
    struct attempt *a = ctx;
    size_t len = size * n;
    long status = 0;

    curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
    if (a->req->into && status / 100 == 2) {
        if (len > a->req->into_len - a->reply->got) {
            a->overflow = true;
            return 0;
        }
        memcpy((uint8_t *)a->req->into + a->reply->got, data, len);
        a->reply->got += len;
        return len;
    }
    if (a->reply->body.len + len > BDR_S3_XML_MAX) {
        a->overflow = true;
        return 0;
    }
    bdr_buf_put(&a->reply->body, data, len);
    return a->reply->body.failed ? 0 : len;
}

static size_t attempt_read(char *to, size_t size, size_t n, void *ctx)
{
    struct attempt *a = ctx;
    size_t len = BDR_MIN(size * n, a->req->body_len - a->sent);

    if (len)
        memcpy(to, (const uint8_t *)a->req->body + a->sent, len);
    a->sent += len;
    return len;
}

static int attempt_seek(void *ctx, curl_off_t offset, int origin)
{
    struct attempt *a = ctx;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > a->req->body_len)
        return CURL_SEEKFUNC_FAIL;
    a->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int attempt_progress(void *ctx, curl_off_t dlt, curl_off_t dln, curl_off_t ult, curl_off_t uln)
{
    struct attempt *a = ctx;

    (void)dlt, (void)dln, (void)ult, (void)uln;
    return !a->req->last_words && bdr_cancelled(a->client->cancel);
}

/* ---- one attempt ---- */

static void slist_free(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}
#define AUTO_SLIST __attribute__((cleanup(slist_free)))

static struct bdr_err *slist_add(struct curl_slist **list, const char *name, const char *value)
{
    BDR_AUTO(buf) struct bdr_buf line = {0};
    struct curl_slist *more;

    bdr_buf_printf(&line, "%s:%s%s%c", name, *value ? " " : "", value, 0);
    BDR_TRY(bdr_buf_check(&line));
    more = curl_slist_append(*list, (const char *)line.data);
    bdr_wipe(line.data, line.len); /* it may be the session token */
    BDR_NOMEM_IF_NULL(more);
    *list = more;
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct bdr_sigv4_pair *)a)->name, ((const struct bdr_sigv4_pair *)b)->name);
}

/* Signs the request as of now; fills the list of headers to send. */
static struct bdr_err *request_sign(struct bdr_s3_client *client, const struct bdr_s3_request *req, const char *path,
                                    const char *query, const char *payload_hex, struct curl_slist **headers)
{
    const struct bdr_s3_config *cfg = client->cfg;
    struct bdr_sigv4_pair pairs[BDR_S3_PAIRS + 4];
    BDR_AUTO(buf) struct bdr_buf authorization = {0};
    char time[17];
    size_t n = 0;

    bdr_sigv4_time(client_now(client), time);
    pairs[n++] = (struct bdr_sigv4_pair){"host", cfg->host};
    pairs[n++] = (struct bdr_sigv4_pair){"x-amz-content-sha256", payload_hex};
    pairs[n++] = (struct bdr_sigv4_pair){"x-amz-date", time};
    if (cfg->token)
        pairs[n++] = (struct bdr_sigv4_pair){"x-amz-security-token", cfg->token};
    for (size_t i = 0; i < BDR_S3_PAIRS && req->headers[i].name; i++)
        pairs[n++] = req->headers[i];
    qsort(pairs, n, sizeof(pairs[0]), by_name);
    BDR_TRY(bdr_sigv4_authorize(&(struct bdr_sigv4){.method = req->method,
                                                    .path = path,
                                                    .query = query,
                                                    .headers = pairs,
                                                    .n_headers = n,
                                                    .payload_hex = payload_hex,
                                                    .time = time,
                                                    .region = cfg->region,
                                                    .service = "s3",
                                                    .key_id = cfg->key_id,
                                                    .secret = cfg->secret},
                                &authorization));
    bdr_buf_u8(&authorization, 0);
    BDR_TRY(bdr_buf_check(&authorization));
    for (size_t i = 0; i < n; i++)
        BDR_TRY(slist_add(headers, pairs[i].name, pairs[i].value));
    BDR_TRY(slist_add(headers, "authorization", (const char *)authorization.data));
    /* We would rather send again than wait for "100 Continue" each time. */
    BDR_TRY(slist_add(headers, "expect", ""));
    return slist_add(headers, "content-type", req->body ? "application/octet-stream" : "");
}

static long request_deadline_s(const struct bdr_s3_request *req)
{
    if (req->last_words)
        return LAST_WORDS_S;
    if (req->slow)
        return SLOW_DEADLINE_S;
    return DEADLINE_S + (long)((req->body_len + req->into_len) / SLOWEST_BYTES_S);
}

static void request_options(struct attempt *a, const char *url, struct curl_slist *headers, char *errbuf)
{
    const struct bdr_s3_config *cfg = a->client->cfg;
    const struct bdr_s3_request *req = a->req;
    CURL *c = a->curl;
    bool sends = req->body || !strcmp(req->method, "PUT") || !strcmp(req->method, "POST");

    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (cfg->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, cfg->ca_file);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, request_deadline_s(req));
    if (!req->slow) {
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1024L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)cfg->stall_s);
    }
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, errbuf);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, attempt_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, attempt_write);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, attempt_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, a);
    if (sends) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body_len);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, attempt_read);
        curl_easy_setopt(c, CURLOPT_READDATA, a);
        curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, attempt_seek);
        curl_easy_setopt(c, CURLOPT_SEEKDATA, a);
    }
    if (!strcmp(req->method, "HEAD"))
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, req->method);
}

/* The error of a transfer that gave no answer. */
static struct bdr_err *attempt_error(const struct attempt *a, CURLcode rc, const char *errbuf)
{
    const char *origin = a->client->cfg->origin, *text = *errbuf ? errbuf : curl_easy_strerror(rc);

    if (a->reply->body.failed)
        return bdr_buf_check(&a->reply->body);
    if (a->overflow)
        BDR_FAIL(BDR_CORRUPT, 0, "%s sent more than was asked for", origin);
    switch (rc) {
    case CURLE_OUT_OF_MEMORY:
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    case CURLE_ABORTED_BY_CALLBACK:
        BDR_FAIL(BDR_CANCELLED, 0, "cancelled");
    case CURLE_OPERATION_TIMEDOUT:
        BDR_FAIL(BDR_TIMEOUT, 0, "%s does not answer in time: %s", origin, text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        BDR_FAIL(BDR_DENIED, 0, "the certificate of %s is not trusted: %s; set BDR_S3_CA to the PEM file of its CA",
                 origin, text);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        BDR_FAIL(BDR_INVAL, 0, "%s is not an address: %s", origin, text);
    default:
        BDR_FAIL(BDR_NET, 0, "talking to %s: %s", origin, text);
    }
}

static void reply_reset(struct bdr_s3_reply *reply)
{
    struct bdr_buf body = reply->body;
    bool maybe_done = reply->maybe_done;

    body.len = 0;
    body.failed = false;
    *reply = (struct bdr_s3_reply){.body = body, .length = -1, .maybe_done = maybe_done};
}

static struct bdr_err *request_once(struct bdr_s3_client *client, const struct bdr_s3_request *req, const char *path,
                                    const char *query, const char *payload_hex, struct bdr_s3_reply *reply)
{
    struct attempt a = {.client = client, .req = req, .reply = reply};
    AUTO_SLIST struct curl_slist *headers = NULL;
    BDR_AUTO(buf) struct bdr_buf url = {0};
    char errbuf[CURL_ERROR_SIZE] = "";
    struct bdr_err *err = NULL;
    long status = 0;
    CURLcode rc;

    reply_reset(reply);
    BDR_TRY(request_sign(client, req, path, query, payload_hex, &headers));
    bdr_buf_printf(&url, "%s%s%s%s%c", client->cfg->origin, path, *query ? "?" : "", query, 0);
    BDR_TRY(bdr_buf_check(&url));
    a.curl = client_take(client);
    BDR_NOMEM_IF_NULL(a.curl);
    request_options(&a, (const char *)url.data, headers, errbuf);
    rc = curl_easy_perform(a.curl);
    curl_easy_getinfo(a.curl, CURLINFO_RESPONSE_CODE, &status);
    reply->status = (int)status;
    if (rc) {
        err = attempt_error(&a, rc, errbuf);
        reply->maybe_done |= rc != CURLE_COULDNT_CONNECT && rc != CURLE_COULDNT_RESOLVE_HOST;
        curl_easy_cleanup(a.curl); /* its connection is in an unknown state */
        return err;
    }
    client_give(client, a.curl);
    return bdr_buf_check(&reply->body);
}

/* ---- until there is an answer ---- */

/* The server refused because of the time: go on with its clock. False when that was not it. */
static bool learn_clock(struct bdr_s3_client *client, const struct bdr_s3_reply *reply)
{
    int64_t now = client_now(client), apart;
    struct bdr_s3_error told;

    if (reply->status != 403 || !reply->date_ms)
        return false;
    apart = reply->date_ms > now ? reply->date_ms - now : now - reply->date_ms;
    if (bdr_s3_xml_error(reply->body.data, reply->body.len, &told) ? strcmp(told.code, "RequestTimeTooSkewed") != 0
                                                                   : apart < SKEW_MS)
        return false;
    pthread_mutex_lock(&client->lock);
    client->ahead_ms = reply->date_ms - bdr_clock_wall_ms();
    pthread_mutex_unlock(&client->lock);
    return true;
}

/* Full jitter: any time up to the bound, so that many clients do not come back in step.
 * Source: aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter */
static struct bdr_err *back_off(struct bdr_s3_client *client, unsigned attempt, uint64_t at_least_ms)
{
    uint64_t bound = BDR_MIN((uint64_t)BACKOFF_MS << BDR_MIN(attempt, 16u), (uint64_t)BACKOFF_MAX_MS), r;

    BDR_TRY(bdr_os_random(&r, sizeof(r)));
    return bdr_cancel_sleep(client->cancel, at_least_ms + r % (bound + 1));
}

static struct bdr_err *request_judge(struct bdr_s3_client *client, const struct bdr_s3_request *req,
                                     struct bdr_s3_reply *reply, bool *out_retry)
{
    struct bdr_s3_problem problem;
    struct bdr_err *err;

    if (reply->status / 100 != 2) {
        bdr_s3_error_read(reply, &problem);
        *out_retry = problem.retry;
        if (!problem.retry)
            return NULL;
        /* A server that had trouble may have done it all the same; one that was busy or saw bad bytes has not. */
        reply->maybe_done |= reply->status >= 500;
        return bdr_s3_error_make(client->cfg, req->method, req->key, reply);
    }
    err = req->verify ? req->verify(req->ctx, req, reply) : NULL;
    *out_retry = err && err->code == BDR_CORRUPT;
    return err;
}

static bool retryable(const struct bdr_err *err)
{
    return err->code == BDR_NET || err->code == BDR_TIMEOUT || err->code == BDR_CORRUPT;
}

/* Path and query as they are sent and signed. */
static struct bdr_err *request_target(const struct bdr_s3_config *cfg, const struct bdr_s3_request *req,
                                      struct bdr_buf *path, struct bdr_buf *query)
{
    bdr_buf_printf(path, "%s/", cfg->base);
    if (req->key)
        bdr_sigv4_encode(path, req->key, true);
    bdr_buf_u8(path, 0);
    for (size_t i = 0; i < BDR_S3_PAIRS && req->query[i].name; i++) {
        bdr_buf_printf(query, "%s%s=", i ? "&" : "", req->query[i].name);
        bdr_sigv4_encode(query, req->query[i].value, false);
    }
    bdr_buf_u8(query, 0);
    BDR_TRY(bdr_buf_check(path));
    return bdr_buf_check(query);
}

struct bdr_err *bdr_s3_perform(struct bdr_s3_client *client, const struct bdr_s3_request *req, struct bdr_s3_reply *out)
{
    unsigned attempts = req->last_words ? 1 : client->cfg->attempts;
    BDR_AUTO(buf) struct bdr_buf path = {0}, query = {0};
    bool clock_learnt = false;
    char payload_hex[65];

    BDR_TRY(request_target(client->cfg, req, &path, &query));
    if (req->body_sha256)
        memcpy(payload_hex, req->body_sha256, sizeof(payload_hex));
    else
        BDR_TRY(bdr_sigv4_sha256(req->body, req->body_len, payload_hex));
    for (unsigned n = 1;; n++) {
        struct bdr_err *err;
        bool retry;

        if (!req->last_words)
            BDR_TRY(bdr_cancel_check(client->cancel));
        err = request_once(client, req, (const char *)path.data, (const char *)query.data, payload_hex, out);
        if (!err && !clock_learnt && learn_clock(client, out)) {
            clock_learnt = true;
            n--;
            continue;
        }
        retry = err && retryable(err);
        if (!err)
            err = request_judge(client, req, out, &retry);
        if (!err || !retry)
            return err;
        if (n >= attempts)
            return bdr_err_wrap(err, BDR_AT, "giving up after %u attempt%s", n, n == 1 ? "" : "s");
        bdr_err_drop(err, "tried again; the last one is told");
        BDR_TRY(back_off(client, n - 1, out->retry_after_ms));
    }
}

struct bdr_err *bdr_s3_expect_ok(const struct bdr_s3_client *client, const struct bdr_s3_request *req,
                                 const struct bdr_s3_reply *reply)
{
    return reply->status / 100 == 2 ? NULL : bdr_s3_error_make(client->cfg, req->method, req->key, reply);
}
