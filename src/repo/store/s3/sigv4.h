/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4.h - AWS Signature Version 4: says who sends a request, and that nobody changed it on the way.
 *
 * Pure functions. Threads: any.
 * Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
#pragma once
#include "bdr/bytes.h"

struct bdr_sigv4_pair {
    const char *name, *value;
};
struct bdr_sigv4 {
    const char *method;
    const char *path;                     /* encoded as sent, begins with '/' */
    const char *query;                    /* encoded as sent and sorted; "" when none */
    const struct bdr_sigv4_pair *headers; /* names in lower case, sorted; all of them are signed */
    size_t n_headers;
    const char *payload_hex; /* SHA-256 of the body */
    const char *time;        /* "20130524T000000Z", as in x-amz-date */
    const char *region, *service, *key_id, *secret;
};
/* The value of the Authorization header. */
bdr_ret bdr_sigv4_authorize(const struct bdr_sigv4 *req, struct bdr_buf *out);

/* Appends `text` percent-encoded for a URL; '/' stays when `path`. */
void bdr_sigv4_encode(struct bdr_buf *out, const char *text, bool path);
/* "20130524T000000Z" into out[17]. */
void bdr_sigv4_time(int64_t wall_ms, char out[17]);
/* SHA-256 in hex into out[65]. */
bdr_ret bdr_sigv4_sha256(const void *data, size_t len, char out[65]);
