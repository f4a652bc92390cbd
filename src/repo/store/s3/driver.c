/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store "s3": a bucket of Amazon S3 or of a server that speaks its protocol (Ceph RGW, MinIO).
 *
 * Speaks: PUT, GET with a range, HEAD, DELETE, ListObjectsV2, multipart upload, If-None-Match: *; Signature Version 4.
 * Can't: hold objects. What arrives is checked against the length that was asked for; a whole object also against the
 * SHA-256 its put left in the metadata. Part of an object is for the repository to check, block by block.
 * Source: docs.aws.amazon.com/AmazonS3/latest/API/
 */
#include "../drivers.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "error.h"
#include "s3.h"
#include "xml.h"
#include <stdio.h>
#include <string.h>

#define EXCL_ROUNDS 5 /* "it exists", and is gone when we look: somebody makes and removes it all the time */

static struct s3_store *s3_of(struct bdr_store *st)
{
    return (struct s3_store *)st;
}

struct bdr_err *s3_full_key(const struct s3_store *s3, const char *key, char **out)
{
    char *full;

    if (asprintf(&full, "%s%s", s3->cfg.prefix, key) < 0)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    *out = full;
    return NULL;
}

struct bdr_err *s3_nonce(char out[33])
{
    uint8_t r[16];

    BDR_TRY(bdr_os_random(r, sizeof(r)));
    bdr_hex(r, sizeof(r), out);
    return NULL;
}

static struct bdr_err *s3_perform_ok(struct s3_store *s3, const struct bdr_s3_request *req, struct bdr_s3_reply *reply)
{
    BDR_TRY(bdr_s3_perform(s3->client, req, reply));
    return bdr_s3_expect_ok(s3->client, req, reply);
}

/* ---- open ---- */

static void s3_close(struct bdr_store *st)
{
    struct s3_store *s3 = s3_of(st);

    bdr_s3_client_free(s3->client);
    bdr_s3_config_free(&s3->cfg);
    pthread_mutex_destroy(&s3->lock);
    free(s3);
}

static struct bdr_err *s3_make_bucket(struct s3_store *s3)
{
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    BDR_AUTO(buf) struct bdr_buf body = {0};
    struct bdr_s3_request req = {.method = "PUT"};
    struct bdr_err *err;

    if (s3->cfg.amazon && strcmp(s3->cfg.region, "us-east-1")) {
        bdr_buf_printf(&body,
                       "<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint>"
                       "</CreateBucketConfiguration>",
                       s3->cfg.region);
        BDR_TRY(bdr_buf_check(&body));
        req.body = body.data;
        req.body_len = body.len;
    }
    err = s3_perform_ok(s3, &req, &reply);
    if (err && err->code == BDR_EXISTS && reply.status == 409) {
        bdr_err_drop(err, "somebody made it at the same time; whether we may use it shows at once");
        return NULL;
    }
    return err;
}

/* Asks for one key: the bucket is there, the endpoint and region are right, and we may list. */
static struct bdr_err *s3_probe(struct s3_store *s3, bool *out_no_bucket)
{
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    const struct bdr_s3_request req = {.method = "GET",
                                       .query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", s3->cfg.prefix}}};
    struct bdr_s3_page page = {0};
    struct bdr_s3_problem problem;

    BDR_TRY(bdr_s3_perform(s3->client, &req, &reply));
    bdr_s3_error_read(&reply, &problem);
    *out_no_bucket = reply.status == 404 && !strcmp(problem.told.code, "NoSuchBucket");
    BDR_TRY(bdr_s3_expect_ok(s3->client, &req, &reply));
    if (reply.status != 200)
        BDR_FAIL(BDR_INVAL, reply.status, "%s does not speak S3", s3->cfg.origin);
    BDR_TRY_FOR(bdr_s3_xml_list(reply.body.data, reply.body.len, &page), "%s does not speak S3", s3->cfg.origin);
    bdr_s3_page_free(&page);
    return NULL;
}

static struct bdr_err *s3_fill(struct s3_store *s3, const char *url, const struct bdr_store_options *opt)
{
    bool no_bucket = false;
    struct bdr_err *err;

    BDR_TRY(bdr_s3_config_load(url, &s3->cfg));
    if (asprintf(&s3->base.url, "s3://%s/%s", s3->cfg.bucket, s3->cfg.prefix) < 0) {
        s3->base.url = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    BDR_TRY(bdr_s3_client_new(&s3->cfg, opt->cancel, &s3->client));
    err = s3_probe(s3, &no_bucket);
    if (err && no_bucket && opt->create && !opt->read_only) {
        bdr_err_drop(err, "we make the bucket");
        BDR_TRY(s3_make_bucket(s3));
        err = s3_probe(s3, &no_bucket);
    }
    return err;
}

static struct bdr_err *s3_open(const char *url, const struct bdr_store_options *opt, struct bdr_store **out)
{
    struct s3_store *s3 = calloc(1, sizeof(*s3));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(s3);
    pthread_mutex_init(&s3->lock, NULL);
    err = s3_fill(s3, url, opt);
    if (err) {
        free(s3->base.url);
        s3_close(&s3->base);
        return err;
    }
    *out = &s3->base;
    return NULL;
}

/* ---- objects ---- */

/* The right range, all of it, and when it is the whole object the right bytes. */
static struct bdr_err *get_verify(void *ctx, const struct bdr_s3_request *req, const struct bdr_s3_reply *reply)
{
    uint64_t off = *(const uint64_t *)ctx, total = reply->status == 206 ? reply->range_total : reply->got;
    char hex[65];

    if (reply->status == 206 ? !reply->has_range || reply->range_from != off : off != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent another range than the one asked for");
    if (total < off || reply->got != BDR_MIN((uint64_t)req->into_len, total - off))
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent %zu bytes instead of %zu", reply->got, req->into_len);
    if (off || reply->got != total || strlen(reply->sha256) != 64)
        return NULL;
    BDR_TRY(bdr_sigv4_sha256(req->into, reply->got, hex));
    if (strcmp(hex, reply->sha256))
        BDR_FAIL(BDR_CORRUPT, 0, "the bytes that arrived are not those that were written (SHA-256 differs)");
    return NULL;
}

static struct bdr_err *s3_stat(struct bdr_store *st, const char *key, struct bdr_store_stat *out);

/* The answer to a range that begins at or past the end. */
static struct bdr_err *s3_get_past(struct bdr_store *st, const char *key, uint64_t off,
                                   const struct bdr_s3_reply *reply, size_t *out_len)
{
    struct bdr_store_stat stat = {.size_bytes = reply->range_total};

    if (!reply->has_range)
        BDR_TRY(s3_stat(st, key, &stat));
    if (off > stat.size_bytes)
        BDR_FAIL(BDR_RANGE, reply->status, "it has %llu bytes, nothing at %llu", (unsigned long long)stat.size_bytes,
                 (unsigned long long)off);
    if (off < stat.size_bytes)
        BDR_FAIL(BDR_CORRUPT, reply->status, "the S3 server has %llu bytes but refuses to send those at %llu",
                 (unsigned long long)stat.size_bytes, (unsigned long long)off);
    *out_len = 0;
    return NULL;
}

static struct bdr_err *s3_get(struct bdr_store *st, const char *key, uint64_t off, void *buf, size_t len,
                              size_t *out_len)
{
    struct s3_store *s3 = s3_of(st);
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    BDR_AUTO(mem) char *full = NULL;
    struct bdr_s3_request req = {.method = "GET", .into = buf, .into_len = len, .verify = get_verify, .ctx = &off};
    char range[64];

    BDR_TRY(s3_full_key(s3, key, &full));
    snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)off, (unsigned long long)(off + len - 1));
    req.key = full;
    req.headers[0] = (struct bdr_sigv4_pair){"range", range};
    BDR_TRY(bdr_s3_perform(s3->client, &req, &reply));
    if (reply.status == 416)
        return s3_get_past(st, key, off, &reply, out_len);
    BDR_TRY(bdr_s3_expect_ok(s3->client, &req, &reply));
    *out_len = reply.got;
    return NULL;
}

static struct bdr_err *s3_head(struct s3_store *s3, const char *full_key, struct bdr_s3_reply *reply)
{
    const struct bdr_s3_request req = {.method = "HEAD", .key = full_key};

    return s3_perform_ok(s3, &req, reply);
}

static struct bdr_err *s3_stat(struct bdr_store *st, const char *key, struct bdr_store_stat *out)
{
    struct s3_store *s3 = s3_of(st);
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    BDR_AUTO(mem) char *full = NULL;

    BDR_TRY(s3_full_key(s3, key, &full));
    BDR_TRY(s3_head(s3, full, &reply));
    if (reply.length < 0 || !reply.modified_ms)
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server does not tell size and date of object %s", key);
    *out = (struct bdr_store_stat){
        .size_bytes = (uint64_t)reply.length,
        .modified_ms = reply.modified_ms,
        .now_ms = bdr_s3_now_ms(s3->client, &reply),
    };
    return NULL;
}

struct bdr_err *s3_is_mine(struct s3_store *s3, const char *full_key, const char *nonce, bool *out_there,
                           bool *out_mine)
{
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    struct bdr_err *err = s3_head(s3, full_key, &reply);
    bool none = err && err->code == BDR_NOTFOUND;

    if (none)
        bdr_err_drop(err, "an answer, not an error");
    else if (err)
        return err;
    *out_there = !none;
    *out_mine = !none && !strcmp(reply.nonce, nonce);
    return NULL;
}

/* One conditional or plain PUT. *out_again: refused because it exists, but it does not. */
static struct bdr_err *s3_put_once(struct s3_store *s3, struct bdr_s3_request *req, const char *nonce, bool *out_again)
{
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    bool there = true, mine = false;

    *out_again = false;
    BDR_TRY(bdr_s3_perform(s3->client, req, &reply));
    if (reply.status != 412)
        return bdr_s3_expect_ok(s3->client, req, &reply);
    /* It exists; or an earlier attempt of ours made it and its answer was lost. */
    BDR_TRY(s3_is_mine(s3, req->key, nonce, &there, &mine));
    if (mine)
        return NULL;
    *out_again = !there;
    BDR_FAIL(BDR_EXISTS, reply.status, "s3://%s/%s exists already", s3->cfg.bucket, req->key);
}

struct bdr_err *s3_put(struct bdr_store *st, const char *key, const void *data, size_t len, int flags)
{
    struct s3_store *s3 = s3_of(st);
    BDR_AUTO(mem) char *full = NULL;
    char nonce[33], hex[65];
    struct bdr_s3_request req = {.method = "PUT", .body = data, .body_len = len, .body_sha256 = hex};
    size_t n = 0;

    BDR_TRY(s3_full_key(s3, key, &full));
    BDR_TRY(s3_nonce(nonce));
    BDR_TRY(bdr_sigv4_sha256(data, len, hex));
    req.key = full;
    req.headers[n++] = (struct bdr_sigv4_pair){"x-amz-meta-bdr-nonce", nonce};
    req.headers[n++] = (struct bdr_sigv4_pair){"x-amz-meta-bdr-sha256", hex};
    if (flags & BDR_PUT_EXCL)
        req.headers[n++] = (struct bdr_sigv4_pair){"if-none-match", "*"};
    for (unsigned round = 1;; round++) {
        bool again = false;
        struct bdr_err *err = s3_put_once(s3, &req, nonce, &again);

        if (!again || round == EXCL_ROUNDS)
            return err;
        bdr_err_drop(err, "it has gone meanwhile: try once more");
    }
}

/* ---- lists ---- */

static struct bdr_err *list_verify(void *ctx, const struct bdr_s3_request *req, const struct bdr_s3_reply *reply)
{
    (void)req;
    bdr_s3_page_free(ctx);
    return bdr_s3_xml_list(reply->body.data, reply->body.len, ctx);
}

static struct bdr_err *s3_list_page(struct s3_store *s3, const char *full_prefix, const char *from,
                                    struct bdr_s3_page *out)
{
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    struct bdr_s3_request req = {.method = "GET", .verify = list_verify, .ctx = out};
    size_t n = 0;

    if (from)
        req.query[n++] = (struct bdr_sigv4_pair){"continuation-token", from};
    req.query[n++] = (struct bdr_sigv4_pair){"encoding-type", "url"};
    req.query[n++] = (struct bdr_sigv4_pair){"list-type", "2"};
    req.query[n++] = (struct bdr_sigv4_pair){"max-keys", "1000"};
    req.query[n++] = (struct bdr_sigv4_pair){"prefix", full_prefix};
    return s3_perform_ok(s3, &req, &reply);
}

static struct bdr_err *s3_list(struct bdr_store *st, const char *prefix, bdr_list_fn fn, void *ctx)
{
    struct s3_store *s3 = s3_of(st);
    BDR_AUTO(mem) char *full = NULL, *from = NULL, *last = strdup("");
    size_t skip = strlen(s3->cfg.prefix);

    BDR_NOMEM_IF_NULL(last);
    BDR_TRY(s3_full_key(s3, prefix, &full));
    for (;;) {
        BDR_AUTO(s3_page) struct bdr_s3_page page = {0};

        BDR_TRY(s3_list_page(s3, full, from, &page));
        for (size_t i = 0; i < page.n; i++) {
            const char *key = page.entries[i].key;

            if (strncmp(key, full, strlen(full)) || strcmp(key, last) <= 0)
                BDR_FAIL(BDR_CORRUPT, 0, "the S3 server lists out of order or beyond what was asked for");
            free(last);
            last = strdup(key);
            BDR_NOMEM_IF_NULL(last);
            BDR_TRY(fn(ctx, key + skip, page.entries[i].size_bytes));
        }
        if (!page.more)
            return NULL;
        free(from);
        from = BDR_STEAL(page.next);
    }
}

static struct bdr_err *s3_remove(struct bdr_store *st, const char *key)
{
    struct s3_store *s3 = s3_of(st);
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    BDR_AUTO(mem) char *full = NULL;
    struct bdr_s3_request req = {.method = "DELETE"};
    struct bdr_s3_problem problem;

    BDR_TRY(s3_full_key(s3, key, &full));
    req.key = full;
    BDR_TRY(bdr_s3_perform(s3->client, &req, &reply));
    bdr_s3_error_read(&reply, &problem);
    if (reply.status == 404 && strcmp(problem.told.code, "NoSuchBucket"))
        return NULL;
    return bdr_s3_expect_ok(s3->client, &req, &reply);
}

/* ---- sweep ---- */

static struct bdr_err *uploads_verify(void *ctx, const struct bdr_s3_request *req, const struct bdr_s3_reply *reply)
{
    (void)req;
    bdr_s3_page_free(ctx);
    return bdr_s3_xml_uploads(reply->body.data, reply->body.len, ctx);
}

static struct bdr_err *s3_uploads_page(struct s3_store *s3, const char *key, const char *upload,
                                       struct bdr_s3_page *out, int64_t *out_now_ms)
{
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    struct bdr_s3_request req = {.method = "GET", .verify = uploads_verify, .ctx = out};
    size_t n = 0;

    req.query[n++] = (struct bdr_sigv4_pair){"encoding-type", "url"};
    if (key)
        req.query[n++] = (struct bdr_sigv4_pair){"key-marker", key};
    req.query[n++] = (struct bdr_sigv4_pair){"prefix", s3->cfg.prefix};
    if (key)
        req.query[n++] = (struct bdr_sigv4_pair){"upload-id-marker", upload};
    req.query[n++] = (struct bdr_sigv4_pair){"uploads", ""};
    BDR_TRY(s3_perform_ok(s3, &req, &reply));
    *out_now_ms = bdr_s3_now_ms(s3->client, &reply);
    return NULL;
}

static struct bdr_err *s3_abort(struct s3_store *s3, const struct bdr_s3_entry *upload, uint64_t *out_removed)
{
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    const struct bdr_s3_request req = {
        .method = "DELETE", .key = upload->key, .query = {{"uploadId", upload->upload_id}}};

    BDR_TRY(bdr_s3_perform(s3->client, &req, &reply));
    if (reply.status == 404)
        return NULL; /* completed or aborted meanwhile */
    BDR_TRY(bdr_s3_expect_ok(s3->client, &req, &reply));
    ++*out_removed;
    return NULL;
}

/* Whoever still uploads after `min_age_ms` in another process loses: S3 can't tell a slow writer from a dead one. */
static struct bdr_err *s3_sweep(struct bdr_store *st, uint64_t min_age_ms, uint64_t *out_removed)
{
    struct s3_store *s3 = s3_of(st);
    BDR_AUTO(mem) char *key = NULL, *upload = NULL;

    for (;;) {
        BDR_AUTO(s3_page) struct bdr_s3_page page = {0};
        int64_t now_ms = 0;

        BDR_TRY(s3_uploads_page(s3, key, upload, &page, &now_ms));
        for (size_t i = 0; i < page.n; i++) {
            const struct bdr_s3_entry *e = &page.entries[i];
            /* Both in whole seconds, by one clock or by two of one cluster. */
            uint64_t age_ms = now_ms > e->started_ms ? (uint64_t)(now_ms - e->started_ms) : 0;

            if (age_ms >= min_age_ms && !strncmp(e->key, s3->cfg.prefix, strlen(s3->cfg.prefix)) &&
                !s3_writer_uses(s3, e->upload_id))
                BDR_TRY(s3_abort(s3, e, out_removed));
        }
        if (!page.more)
            return NULL;
        free(key);
        free(upload);
        key = BDR_STEAL(page.next);
        upload = BDR_STEAL(page.next_upload);
    }
}

const struct bdr_store_driver bdr_store_s3 = {
    .name = "s3",
    .title = "S3",
    .help = "A bucket of Amazon S3, Ceph RGW or another server of that protocol.",
    .scheme = "s3://",
    .open = s3_open,
    .get = s3_get,
    .stat = s3_stat,
    .put = s3_put,
    .list = s3_list,
    .remove = s3_remove,
    .writer_begin = s3_writer_begin,
    .writer_append = s3_writer_append,
    .writer_commit = s3_writer_commit,
    .writer_abandon = s3_writer_abandon,
    .sweep = s3_sweep,
    .close = s3_close,
};
