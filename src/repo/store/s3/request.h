/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - one S3 request, signed, sent and repeated until there is an answer to rely on.
 *
 * Threads: a client from any thread; a request and its reply belong to one.
 */
#pragma once
#include "bdr/bytes.h"
#include "bdr/cancel.h"
#include "config.h"
#include "sigv4.h"

#define BDR_S3_PAIRS 6

struct bdr_s3_client;

struct bdr_s3_reply {
    int status;
    size_t got;          /* bytes in req->into */
    struct bdr_buf body; /* owned; what did not go there: XML */
    int64_t length;      /* Content-Length, -1 when not told */
    bool has_range;      /* of Content-Range: */
    uint64_t range_from, range_total;
    int64_t modified_ms, date_ms; /* 0 when not told */
    char etag[96], nonce[40], sha256[72], region[40];
    uint64_t retry_after_ms;
    bool maybe_done; /* an attempt before this answer failed, but may have had its effect */
};

struct bdr_s3_request {
    const char *method;
    const char *key; /* behind the bucket; NULL is the bucket itself */
    struct bdr_sigv4_pair query[BDR_S3_PAIRS],
        headers[BDR_S3_PAIRS]; /* query sorted by name; header names lower case */
    const void *body;
    size_t body_len;
    const char *body_sha256; /* in hex, when the caller knows it already */
    void *into;              /* where the body of a 2xx goes; NULL: to reply.body */
    size_t into_len;
    /* An answer that is damaged (CORRUPT) is asked for again; any other error ends the request. NULL: none. */
    struct bdr_err *(*verify)(void *ctx, const struct bdr_s3_request *req, const struct bdr_s3_reply *reply);
    void *ctx;
    bool slow;       /* the server may be silent for minutes: completing a large upload */
    bool last_words; /* cleaning up: one short attempt, also when cancelled */
};
void bdr_s3_reply_free(struct bdr_s3_reply *reply);
BDR_UNUSED static inline void bdr_auto_s3_reply(struct bdr_s3_reply *reply)
{
    bdr_s3_reply_free(reply);
}

/* `cfg` is borrowed and outlives the client. */
bdr_ret bdr_s3_client_new(const struct bdr_s3_config *cfg, const struct bdr_cancel *cancel, struct bdr_s3_client **out);
void bdr_s3_client_free(struct bdr_s3_client *client);
/* An answer with any status that will not get better by asking again; *out is to be freed also on failure.
 * NET, TIMEOUT, THROTTLED, IO after all attempts; CORRUPT the answer stays damaged; DENIED no trust; CANCELLED. */
bdr_ret bdr_s3_perform(struct bdr_s3_client *client, const struct bdr_s3_request *req, struct bdr_s3_reply *out);
/* NULL for 2xx, else the error that the answer tells. */
bdr_ret bdr_s3_expect_ok(const struct bdr_s3_client *client, const struct bdr_s3_request *req,
                         const struct bdr_s3_reply *reply);
/* The server's clock, as far as we know it. */
int64_t bdr_s3_now_ms(struct bdr_s3_client *client, const struct bdr_s3_reply *reply);
