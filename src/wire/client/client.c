/* SPDX-License-Identifier: Apache-2.0 */
/* A client and its calls: one attempt after the other, as far as repeating is safe. */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "client_i.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define POLL_MS        100 /* how late a cancel may be seen */
#define BACKOFF_MS     200u
#define BACKOFF_MAX_MS 30000u
#define REPLY_MAX      (16u << 20)
#define ERROR_BODY_MAX 65536u

struct attempt {
    struct bdr_http_client *client;
    const struct bdr_http_call *call;
    struct bdr_http_reply *reply;
    CURL *easy;
    uint64_t sent, taken, sink_bytes;
    struct bdr_err *fault; /* owned; of source or sink, or the reply is too large */
    unsigned retry_after_s;
    char text[CURL_ERROR_SIZE];
};

static void curl_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static struct bdr_err *text_own(const char **text)
{
    if (*text) {
        *text = strdup(*text);
        BDR_NOMEM_IF_NULL(*text);
    }
    return NULL;
}

static struct bdr_err *config_take(struct bdr_http_client *c, const struct bdr_http_client_config *given)
{
    struct bdr_http_client_config *cfg = &c->config;
    const char **texts[] = {&cfg->base,     &cfg->ca_file, &cfg->ca_fingerprint, &cfg->cert_file,
                            &cfg->key_file, &cfg->bearer,  &cfg->proxy,          &cfg->user_agent};
    const char *from[] = {given->base,     given->ca_file, given->ca_fingerprint, given->cert_file,
                          given->key_file, given->bearer,  given->proxy,          given->user_agent};

    cfg->system_ca = given->system_ca;
    cfg->connect_ms = given->connect_ms ? given->connect_ms : 10000;
    cfg->answer_ms = given->answer_ms ? given->answer_ms : 60000;
    cfg->stall_ms = given->stall_ms ? given->stall_ms : 30000;
    cfg->tries = given->tries ? given->tries : 4;
    for (size_t i = 0; i < BDR_COUNT(texts); i++) {
        *texts[i] = from[i];
        struct bdr_err *err = text_own(texts[i]);

        if (err)
            *texts[i] = NULL;
        BDR_TRY(err);
    }
    return NULL;
}

static struct bdr_err *config_check(struct bdr_http_client *c)
{
    const struct bdr_http_client_config *cfg = &c->config;
    const char *files[] = {cfg->ca_file, cfg->cert_file, cfg->key_file};
    int trusts = (cfg->ca_file != NULL) + (cfg->ca_fingerprint != NULL) + cfg->system_ca;

    if (!cfg->base || (strncmp(cfg->base, "https://", 8) && strncmp(cfg->base, "http://", 7)))
        BDR_FAIL(BDR_INVAL, 0, "the server's address must be like https://console.example:10443");
    if (!strncmp(cfg->base, "https://", 8) && trusts != 1)
        BDR_FAIL(BDR_INVAL, 0, "say whom to trust: a CA file, a CA's fingerprint or the system's CAs, one of them");
    if ((cfg->cert_file != NULL) != (cfg->key_file != NULL))
        BDR_FAIL(BDR_INVAL, 0, "a certificate goes with its key");
    if (cfg->ca_fingerprint)
        BDR_TRY(bdr_fingerprint_read(cfg->ca_fingerprint, c->fingerprint));
    for (size_t i = 0; i < BDR_COUNT(files); i++)
        if (files[i] && access(files[i], R_OK))
            BDR_FAIL_ERRNO("reading %s", files[i]);
    return NULL;
}

struct bdr_err *bdr_http_client_new(const struct bdr_http_client_config *config, struct bdr_http_client **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BDR_AUTO(http_client) struct bdr_http_client *c = calloc(1, sizeof(*c));

    BDR_NOMEM_IF_NULL(c);
    pthread_once(&once, curl_start);
    pthread_mutex_init(&c->lock, NULL);
    BDR_TRY(config_take(c, config));
    BDR_TRY(config_check(c));
    *out = BDR_STEAL(c);
    return NULL;
}

static void slot_free(struct http_slot s)
{
    if (s.easy)
        curl_easy_cleanup(s.easy);
    if (s.multi)
        curl_multi_cleanup(s.multi);
}

void bdr_http_client_free(struct bdr_http_client *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_idle; i++)
        slot_free(c->idle[i]);
    if (c->config.bearer)
        bdr_wipe((char *)(uintptr_t)c->config.bearer, strlen(c->config.bearer));
    const char *texts[] = {c->config.base,     c->config.ca_file, c->config.ca_fingerprint, c->config.cert_file,
                           c->config.key_file, c->config.bearer,  c->config.proxy,          c->config.user_agent};

    for (size_t i = 0; i < BDR_COUNT(texts); i++)
        free((void *)(uintptr_t)texts[i]);
    free(c->ca_pem);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const char *bdr_http_client_ca_pem(struct bdr_http_client *c)
{
    const char *pem;

    pthread_mutex_lock(&c->lock);
    pem = c->ca_pem; /* set once, never changed */
    pthread_mutex_unlock(&c->lock);
    return pem;
}

void bdr_http_reply_free(struct bdr_http_reply *r)
{
    bdr_buf_free(&r->body);
}

void bdr_http_client_fresh(struct bdr_http_client *c)
{
    struct http_slot old[IDLE_MAX];
    size_t n;

    pthread_mutex_lock(&c->lock);
    n = c->n_idle;
    memcpy(old, c->idle, n * sizeof(*old));
    c->n_idle = 0;
    c->age++;
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < n; i++)
        slot_free(old[i]);
}

static struct bdr_err *slot_take(struct bdr_http_client *c, struct http_slot *out)
{
    struct http_slot s = {0};

    pthread_mutex_lock(&c->lock);
    if (c->n_idle)
        s = c->idle[--c->n_idle];
    else
        s.age = c->age;
    pthread_mutex_unlock(&c->lock);
    if (!s.easy) {
        s = (struct http_slot){curl_easy_init(), curl_multi_init(), s.age};
        if (!s.easy || !s.multi) {
            slot_free(s);
            BDR_FAIL(BDR_NOMEM, 0, "preparing a request");
        }
    }
    curl_easy_reset(s.easy);
    *out = s;
    return NULL;
}

static void slot_give(struct bdr_http_client *c, struct http_slot s)
{
    bool kept;

    pthread_mutex_lock(&c->lock);
    kept = c->n_idle < IDLE_MAX && s.age == c->age;
    if (kept)
        c->idle[c->n_idle++] = s;
    pthread_mutex_unlock(&c->lock);
    if (!kept)
        slot_free(s);
}

/* ---- what curl calls ---- */

static size_t on_read(char *buf, size_t size, size_t n, void *ctx)
{
    struct attempt *a = ctx;
    const struct bdr_http_call *call = a->call;
    size_t cap = size * n, len = 0;

    if (call->source) {
        a->fault = call->source(call->source_ctx, buf, cap, &len);
        if (a->fault)
            return CURL_READFUNC_ABORT;
    } else {
        len = (size_t)BDR_MIN((uint64_t)cap, call->body_len - a->sent);
        memcpy(buf, (const char *)call->body + a->sent, len);
    }
    a->sent += len;
    return len;
}

/* Only for a connection that died while idle and is made anew, before the server took anything. */
static int on_seek(void *ctx, curl_off_t off, int origin)
{
    struct attempt *a = ctx;

    if (origin != SEEK_SET || off != 0)
        return CURL_SEEKFUNC_CANTSEEK;
    if (a->call->source && a->sent) {
        a->fault = a->call->rewind ? a->call->rewind(a->call->source_ctx) : NULL;
        if (a->fault || !a->call->rewind)
            return CURL_SEEKFUNC_CANTSEEK;
    }
    a->sent = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *data, size_t size, size_t n, void *ctx)
{
    struct attempt *a = ctx;
    size_t len = size * n;
    uint64_t max = a->call->reply_max ? a->call->reply_max : REPLY_MAX;
    long status = 0;

    curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
    if (a->call->sink && status >= 200 && status < 300) {
        a->sink_bytes += len;
        a->fault = a->call->sink(a->call->sink_ctx, data, len);
        return a->fault ? 0 : len;
    }
    if (status >= 400 || a->call->sink)
        max = ERROR_BODY_MAX;
    if (a->reply->body.len + len > max) {
        if (status >= 400)
            return len; /* the beginning of an error is enough */
        a->fault = bdr_err_new(BDR_RANGE, 0, BDR_AT, "the answer has more than %llu bytes", (unsigned long long)max);
        return 0;
    }
    bdr_buf_put(&a->reply->body, data, len);
    return a->reply->body.failed ? 0 : len;
}

static bool header_is(const char *line, size_t len, const char *name, char *out, size_t cap)
{
    size_t head = strlen(name);

    if (len <= head || strncasecmp(line, name, head) || line[head] != ':')
        return false;
    line += head + 1;
    len -= head + 1;
    while (len && (*line == ' ' || *line == '\t')) {
        line++;
        len--;
    }
    while (len && (unsigned char)line[len - 1] <= ' ')
        len--;
    snprintf(out, cap, "%.*s", (int)BDR_MIN(len, cap - 1), line);
    return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct attempt *a = ctx;
    struct bdr_http_reply *r = a->reply;
    size_t len = size * n;
    char text[32];

    if (len > 5 && !strncmp(line, "HTTP/", 5)) { /* a 100 was before; only the last answer counts */
        r->type[0] = r->etag[0] = r->request_id[0] = r->content_range[0] = 0;
        a->retry_after_s = 0;
    } else if (header_is(line, len, "Retry-After", text, sizeof(text))) {
        uint64_t s = 0;
        struct bdr_err *err = bdr_u64_parse(text, 3600, &s);

        bdr_err_drop(err, "a date or nonsense: our own back-off");
        a->retry_after_s = (unsigned)s;
    } else if (!header_is(line, len, "Content-Type", r->type, sizeof(r->type)) &&
               !header_is(line, len, "ETag", r->etag, sizeof(r->etag)) &&
               !header_is(line, len, "X-Request-Id", r->request_id, sizeof(r->request_id))) {
        header_is(line, len, "Content-Range", r->content_range, sizeof(r->content_range));
    }
    return len;
}

/* ---- one attempt ---- */

static struct bdr_err *header_add(struct curl_slist **list, const char *name, const char *value)
{
    BDR_AUTO(buf) struct bdr_buf line = {0};
    struct curl_slist *more;

    if (strpbrk(value, "\r\n"))
        BDR_FAIL(BDR_INVAL, 0, "a header's value has a line break in it");
    bdr_buf_printf(&line, *value ? "%s: %s" : "%s;", name, value);
    BDR_TRY(bdr_buf_check(&line));
    more = curl_slist_append(*list, (const char *)line.data);
    BDR_NOMEM_IF_NULL(more);
    *list = more;
    return NULL;
}

static struct bdr_err *headers_make(struct attempt *a, struct curl_slist **list)
{
    const struct bdr_http_call *call = a->call;

    for (size_t i = 0; i < call->n_headers; i++)
        BDR_TRY(header_add(list, call->headers[i].name, call->headers[i].value));
    if (call->type)
        BDR_TRY(header_add(list, "Content-Type", call->type));
    if (call->idempotency_key)
        BDR_TRY(header_add(list, "Idempotency-Key", call->idempotency_key));
    if (call->source && call->body_len == UINT64_MAX)
        BDR_TRY(header_add(list, "Transfer-Encoding", "chunked"));
    if (a->client->config.bearer) {
        BDR_AUTO(buf) struct bdr_buf value = {0};
        struct bdr_err *err;

        bdr_buf_printf(&value, "Bearer %s", a->client->config.bearer);
        err = bdr_buf_check(&value);
        if (!err)
            err = header_add(list, "Authorization", (const char *)value.data);
        bdr_wipe(value.data, value.cap);
        BDR_TRY(err);
    }
    return NULL;
}

static struct bdr_err *options_set(struct attempt *a, const char *url, struct curl_slist *headers, uint64_t left_ms)
{
    const struct bdr_http_call *call = a->call;
    const struct bdr_http_client_config *cfg = &a->client->config;
    bool has_body = call->source || call->body_len, streams = call->source || call->sink;
    CURL *e = a->easy;

    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PROXY, cfg->proxy ? cfg->proxy : "");
    curl_easy_setopt(e, CURLOPT_USERAGENT, cfg->user_agent ? cfg->user_agent : "openbdr/" OPENBDR_VERSION);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)cfg->connect_ms);
    if (left_ms != UINT64_MAX)
        curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)BDR_MAX(left_ms, (uint64_t)1));
    if (streams) {
        curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)(cfg->stall_ms / 1000 + 1));
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 128L * 1024);
        curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 128L * 1024);
    }
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, a->text);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, a);
    if (has_body) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        if (call->body_len != UINT64_MAX)
            curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_len);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(e, CURLOPT_READDATA, a);
        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(e, CURLOPT_SEEKDATA, a);
    }
    if (!strcmp(call->method, "HEAD"))
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
    return client_tls_setup(a->client, e);
}

/* What a TLS alert of the other side means for whoever has to mend it. */
static const char *alert_text(const char *said)
{
    static const struct {
        const char *part, *words;
    } rows[] = {
        {"certificate expired", "the server says that our certificate has expired; enrol this machine again"},
        {"unknown ca", "the server does not know the CA of our certificate; it belongs to another console"},
        {"bad certificate", "the server does not take our certificate"},
        {"certificate required", "the server wants a machine's certificate; enrol this machine first"},
    };

    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (strstr(said, "alert") && strstr(said, rows[i].part))
            return rows[i].words;
    return NULL;
}

static struct bdr_err *failure_of(struct attempt *a, CURLcode rc)
{
    const char *base = a->client->config.base, *said = a->text[0] ? a->text : curl_easy_strerror(rc);
    const char *alert = alert_text(said);

    if (a->fault)
        return BDR_STEAL(a->fault);
    if (alert) /* the same as a 401, said earlier: it is we who are not believed, not the server */
        BDR_FAIL(BDR_AUTH, 401, "%s: %s", base, alert);
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        BDR_FAIL(BDR_TIMEOUT, 0, "%s does not answer in time: %s", base, said);
    case CURLE_PEER_FAILED_VERIFICATION:
        BDR_TRY(client_wrong_print(a->client));
        BDR_FAIL(BDR_AUTH, 0, "%s is not the server we trust: %s", base, said);
    case CURLE_SSL_CACERT_BADFILE:
        BDR_FAIL(BDR_AUTH, 0, "%s is not the server we trust: %s", base, said);
    case CURLE_SSL_CERTPROBLEM:
        BDR_FAIL(BDR_AUTH, 0, "our certificate or key can't be used: %s", said);
    case CURLE_OUT_OF_MEMORY:
        BDR_FAIL(BDR_NOMEM, 0, "talking to %s", base);
    default:
        BDR_FAIL(BDR_NET, 0, "talking to %s: %s", base, said);
    }
}

static struct bdr_err *transfer(struct attempt *a, struct http_slot *s, CURLcode *out_rc)
{
    int running = 1, left;
    CURLMsg *msg;

    *out_rc = CURLE_FAILED_INIT;
    if (curl_multi_add_handle(s->multi, s->easy))
        BDR_FAIL(BDR_NOMEM, 0, "starting a request");
    while (running && !bdr_cancelled(a->call->cancel)) {
        if (curl_multi_perform(s->multi, &running))
            break;
        if (running)
            curl_multi_poll(s->multi, NULL, 0, POLL_MS, NULL);
    }
    while ((msg = curl_multi_info_read(s->multi, &left)) != NULL)
        if (msg->msg == CURLMSG_DONE)
            *out_rc = msg->data.result;
    curl_multi_remove_handle(s->multi, s->easy);
    return running ? bdr_cancel_check(a->call->cancel) : NULL;
}

static void slist_free(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static struct bdr_err *attempt_once(struct attempt *a, uint64_t left_ms)
{
    __attribute__((cleanup(slist_free))) struct curl_slist *headers = NULL;
    BDR_AUTO(buf) struct bdr_buf url = {0};
    struct http_slot slot = {0};
    struct bdr_err *err;
    CURLcode rc = CURLE_OK;
    long status = 0;

    bdr_buf_printf(&url, "%s%s", a->client->config.base, a->call->path);
    BDR_TRY(bdr_buf_check(&url));
    BDR_TRY(headers_make(a, &headers));
    BDR_TRY(slot_take(a->client, &slot));
    a->easy = slot.easy;
    err = options_set(a, (const char *)url.data, headers, left_ms);
    if (!err)
        err = transfer(a, &slot, &rc);
    if (!err && rc)
        err = failure_of(a, rc);
    curl_easy_getinfo(slot.easy, CURLINFO_RESPONSE_CODE, &status);
    a->reply->status = (unsigned)status;
    if (err) {
        bdr_err_drop(BDR_STEAL(a->fault), "an earlier error is told");
        slot_free(slot); /* its connection is in an unknown state */
        return err;
    }
    slot_give(a->client, slot);
    if (a->reply->body.failed)
        BDR_FAIL(BDR_NOMEM, 0, "taking an answer");
    return status >= 300 ? bdr_problem_read(a->reply->status, a->reply->body.data, a->reply->body.len) : NULL;
}

static bool safe_method(const struct bdr_http_call *call)
{
    return !strcmp(call->method, "GET") || !strcmp(call->method, "HEAD") || !strcmp(call->method, "PUT") ||
           !strcmp(call->method, "DELETE") || call->idempotency_key;
}

/* May the same request be sent again, and would that help? */
static bool worth_repeating(const struct attempt *a, const struct bdr_err *err)
{
    unsigned status = a->reply->status;
    bool again = status == 429 || status == 502 || status == 503 || status == 504 ||
                 (!status && (err->code == BDR_NET || err->code == BDR_TIMEOUT)) ||
                 (status >= 200 && status < 300 && err->code == BDR_NET); /* it broke on the way */
    curl_off_t connected = 0;

    if (!again || a->sink_bytes || (a->call->source && a->sent && !a->call->rewind))
        return false;
    if (safe_method(a->call) || status == 429 || status == 503)
        return true;
    (void)connected;
    return !status && !a->sent && !a->taken && err->code == BDR_NET && strstr(a->text, "connect");
}

static uint64_t pause_ms(const struct attempt *a, unsigned n)
{
    uint64_t ms = BDR_MIN((uint64_t)BACKOFF_MS << BDR_MIN(n, 10u), (uint64_t)BACKOFF_MAX_MS);
    uint16_t random = 0;
    struct bdr_err *err = bdr_os_random(&random, sizeof(random));

    bdr_err_drop(err, "no jitter then");
    ms = ms / 2 + ms * random / 131072; /* half to all of it: many clients do not come back at once */
    return a->retry_after_s ? a->retry_after_s * 1000ull + ms / 4 : ms;
}

struct bdr_err *bdr_http_call(struct bdr_http_client *c, const struct bdr_http_call *call, struct bdr_http_reply *out)
{
    bool streams = call->source || call->sink;
    uint64_t allowed = call->deadline_ms ? call->deadline_ms : streams ? UINT64_MAX : c->config.answer_ms;
    uint64_t begun = bdr_clock_mono_ms();

    for (unsigned n = 0;; n++) {
        struct attempt a = {.client = c, .call = call, .reply = out};
        uint64_t gone = bdr_clock_mono_ms() - begun, pause;
        struct bdr_err *err;

        bdr_buf_free(&out->body);
        *out = (struct bdr_http_reply){0};
        if (n && call->source && call->rewind)
            BDR_TRY(call->rewind(call->source_ctx));
        err = attempt_once(&a, allowed == UINT64_MAX ? UINT64_MAX : allowed > gone ? allowed - gone : 1);
        if (!err)
            return NULL;
        pause = pause_ms(&a, n);
        gone = bdr_clock_mono_ms() - begun;
        if (n + 1 >= c->config.tries || !worth_repeating(&a, err) || (allowed != UINT64_MAX && gone + pause >= allowed))
            return bdr_err_wrap(err, BDR_AT, "%s %.*s", call->method, (int)strcspn(call->path, "?"), call->path);
        bdr_err_drop(err, "tried again");
        BDR_TRY(bdr_cancel_sleep(call->cancel, pause));
    }
}
