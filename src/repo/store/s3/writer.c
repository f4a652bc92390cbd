/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large objects to S3: parts of 8 MiB, one in memory at a time; what fits in one part is a single PUT.
 *
 * Source: docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html (10,000 parts, 5 MiB at least but the last).
 */
#include "s3.h"
#include "xml.h"
#include <stdio.h>
#include <string.h>

#define PART_BYTES ((size_t)8 << 20)
#define PARTS_MAX  10000

struct s3_writer {
    struct bdr_store_writer base;
    struct s3_writer *next; /* guarded by the store's lock */
    char *upload_id;        /* owned; NULL before the first part. Changed under the store's lock */
    char *full_key, *key;   /* owned */
    uint8_t *part;          /* owned; PART_BYTES */
    size_t fill;
    unsigned n_parts;
    struct bdr_buf done; /* the list of parts for the completion */
    char nonce[33];
};

static struct s3_store *writer_store(const struct s3_writer *w)
{
    return (struct s3_store *)w->base.st;
}

bool s3_writer_uses(struct s3_store *s3, const char *upload_id)
{
    bool found = false;

    pthread_mutex_lock(&s3->lock);
    for (const struct s3_writer *w = s3->writers; w && !found; w = w->next)
        found = !strcmp(w->upload_id, upload_id);
    pthread_mutex_unlock(&s3->lock);
    return found;
}

static void writer_unlist(struct s3_writer *w)
{
    struct s3_store *s3 = writer_store(w);
    struct s3_writer **at;

    if (!w->upload_id)
        return;
    pthread_mutex_lock(&s3->lock);
    for (at = &s3->writers; *at && *at != w; at = &(*at)->next)
        ;
    if (*at)
        *at = w->next;
    pthread_mutex_unlock(&s3->lock);
}

static void writer_free(struct s3_writer *w)
{
    if (w->base.st)
        writer_unlist(w);
    free(w->upload_id);
    free(w->full_key);
    free(w->key);
    free(w->part);
    bdr_buf_free(&w->done);
    free(w);
}

/* Best effort: what stays is swept later. */
static void upload_abort(struct s3_writer *w)
{
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    const struct bdr_s3_request req = {
        .method = "DELETE", .key = w->full_key, .query = {{"uploadId", w->upload_id}}, .last_words = true};

    bdr_err_drop(bdr_s3_perform(writer_store(w)->client, &req, &reply), "sweep removes what we could not");
}

void s3_writer_abandon(struct bdr_store_writer *base)
{
    struct s3_writer *w = (struct s3_writer *)base;

    if (w->upload_id)
        upload_abort(w);
    writer_free(w);
}

struct bdr_err *s3_writer_begin(struct bdr_store *st, const char *key, struct bdr_store_writer **out)
{
    struct s3_writer *w = calloc(1, sizeof(*w));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(w);
    err = s3_full_key((struct s3_store *)st, key, &w->full_key);
    w->key = strdup(key);
    w->part = malloc(PART_BYTES);
    if (!err && (!w->key || !w->part))
        err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
    if (!err)
        err = s3_nonce(w->nonce);
    if (err) {
        writer_free(w);
        return err;
    }
    *out = &w->base;
    return NULL;
}

static struct bdr_err *upload_begin(struct s3_writer *w)
{
    struct s3_store *s3 = writer_store(w);
    const struct bdr_s3_request req = {.method = "POST",
                                       .key = w->full_key,
                                       .query = {{"uploads", ""}},
                                       .headers = {{"x-amz-meta-bdr-nonce", w->nonce}}};
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    char *id = NULL;

    BDR_TRY(bdr_s3_perform(s3->client, &req, &reply));
    BDR_TRY(bdr_s3_expect_ok(s3->client, &req, &reply));
    BDR_TRY(bdr_s3_xml_text(reply.body.data, reply.body.len, "InitiateMultipartUploadResult", "UploadId", &id));
    pthread_mutex_lock(&s3->lock);
    w->upload_id = id;
    w->next = s3->writers;
    s3->writers = w;
    pthread_mutex_unlock(&s3->lock);
    return NULL;
}

/* An ETag that goes into XML unescaped. */
static bool etag_plain(const char *etag)
{
    return *etag &&
           strlen(etag) == strspn(etag, "\"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-+/=");
}

static struct bdr_err *part_verify(void *ctx, const struct bdr_s3_request *req, const struct bdr_s3_reply *reply)
{
    (void)ctx;
    (void)req;
    if (!etag_plain(reply->etag))
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server took a part without giving its ETag");
    return NULL;
}

static struct bdr_err *part_send(struct s3_writer *w)
{
    struct s3_store *s3 = writer_store(w);
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    struct bdr_s3_request req = {.method = "PUT", .key = w->full_key, .verify = part_verify};
    char number[16];

    if (w->n_parts == PARTS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "an object in S3 can't have more than %d parts of %zu MiB", PARTS_MAX, PART_BYTES >> 20);
    if (!w->upload_id)
        BDR_TRY(upload_begin(w));
    snprintf(number, sizeof(number), "%u", w->n_parts + 1);
    req.query[0] = (struct bdr_sigv4_pair){"partNumber", number};
    req.query[1] = (struct bdr_sigv4_pair){"uploadId", w->upload_id};
    req.body = w->part;
    req.body_len = w->fill;
    BDR_TRY(bdr_s3_perform(s3->client, &req, &reply));
    BDR_TRY(bdr_s3_expect_ok(s3->client, &req, &reply));
    w->n_parts++;
    bdr_buf_printf(&w->done, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", w->n_parts, reply.etag);
    w->fill = 0;
    return bdr_buf_check(&w->done);
}

struct bdr_err *s3_writer_append(struct bdr_store_writer *base, const void *data, size_t len)
{
    struct s3_writer *w = (struct s3_writer *)base;
    const uint8_t *from = data;

    while (len) {
        size_t n;

        if (w->fill == PART_BYTES)
            BDR_TRY_FOR(part_send(w), "writing object %s", w->key);
        n = BDR_MIN(len, PART_BYTES - w->fill);
        memcpy(w->part + w->fill, from, n);
        w->fill += n;
        from += n;
        len -= n;
    }
    return NULL;
}

/* The status comes before the work is done: 200 may still carry an error. */
static struct bdr_err *complete_verify(void *ctx, const struct bdr_s3_request *req, const struct bdr_s3_reply *reply)
{
    BDR_AUTO(mem) char *etag = NULL;
    struct bdr_s3_error told;

    (void)ctx;
    (void)req;
    if (bdr_s3_xml_error(reply->body.data, reply->body.len, &told))
        BDR_FAIL(!strcmp(told.code, "NoSuchUpload") ? BDR_STALE : BDR_CORRUPT, 0, "%s: %s", told.code, told.message);
    return bdr_s3_xml_text(reply->body.data, reply->body.len, "CompleteMultipartUploadResult", "ETag", &etag);
}

static struct bdr_err *upload_complete(struct s3_writer *w)
{
    struct s3_store *s3 = writer_store(w);
    BDR_AUTO(s3_reply) struct bdr_s3_reply reply = {0};
    BDR_AUTO(buf) struct bdr_buf body = {0};
    struct bdr_s3_request req = {.method = "POST",
                                 .key = w->full_key,
                                 .query = {{"uploadId", w->upload_id}},
                                 .verify = complete_verify,
                                 .slow = true};
    bool there, mine = false;
    struct bdr_err *err;

    bdr_buf_printf(&body, "<CompleteMultipartUpload>%.*s</CompleteMultipartUpload>", (int)w->done.len,
                   (const char *)w->done.data);
    BDR_TRY(bdr_buf_check(&body));
    req.body = body.data;
    req.body_len = body.len;
    err = bdr_s3_perform(s3->client, &req, &reply);
    if (!err)
        err = bdr_s3_expect_ok(s3->client, &req, &reply);
    /* After a lost answer the upload may be gone because it has become the object. */
    if (err && (reply.maybe_done || err->code == BDR_STALE)) {
        bdr_err_drop(s3_is_mine(s3, w->full_key, w->nonce, &there, &mine), "then the first error is told");
        if (mine) {
            bdr_err_drop(err, "the object is there, and it is ours");
            err = NULL;
        }
    }
    return err;
}

struct bdr_err *s3_writer_commit(struct bdr_store_writer *base)
{
    struct s3_writer *w = (struct s3_writer *)base;
    struct bdr_err *err;

    if (w->upload_id) {
        err = w->fill ? part_send(w) : NULL;
        if (!err)
            err = upload_complete(w);
    } else {
        err = s3_put(base->st, w->key, w->part, w->fill, BDR_PUT_REPLACE);
    }
    if (err) {
        err = bdr_err_wrap(err, BDR_AT, "writing object %s", w->key);
        s3_writer_abandon(base);
        return err;
    }
    writer_free(w);
    return NULL;
}
