/* SPDX-License-Identifier: Apache-2.0 */
#include "header.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_BYTES    512 /* no header that we read is longer; a longer one is none of ours */
#define RETRY_AFTER_MAX_S 30
#define YEAR_10000_S      253402300800

static void header_copy(char *to, size_t n, const char *value)
{
    if (strlen(value) < n)
        memcpy(to, value, strlen(value) + 1);
}

static int64_t header_time(const char *value)
{
    time_t t = curl_getdate(value, NULL);

    return t > 0 && t < YEAR_10000_S ? (int64_t)t * 1000 : 0;
}

/* Digits only. False otherwise. */
static bool header_u64(const char *value, uint64_t *out)
{
    struct bdr_err *err = bdr_u64_parse(value, INT64_MAX, out);
    bool ok = !err;

    bdr_err_drop(err, "a header we can't read is a header that is not there");
    return ok;
}

/* bytes 5-9/100, or bytes * /100 (without the space) with status 416 */
static void header_range(char *value, struct bdr_s3_reply *reply)
{
    uint64_t from = 0, to, total;
    char *slash = strchr(value, '/'), *dash;

    if (strncasecmp(value, "bytes ", 6) || !slash || !header_u64(slash + 1, &total))
        return;
    *slash = 0;
    value += 6;
    dash = strchr(value, '-');
    if (dash) {
        *dash = 0;
        if (!header_u64(value, &from) || !header_u64(dash + 1, &to) || to < from || to >= total)
            return;
    } else if (strcmp(value, "*")) {
        return;
    }
    reply->has_range = true;
    reply->range_from = from;
    reply->range_total = total;
}

static void header_take(const char *name, char *value, struct bdr_s3_reply *reply)
{
    uint64_t n;

    if (!strcasecmp(name, "content-length") && header_u64(value, &n))
        reply->length = (int64_t)n;
    else if (!strcasecmp(name, "content-range"))
        header_range(value, reply);
    else if (!strcasecmp(name, "date"))
        reply->date_ms = header_time(value);
    else if (!strcasecmp(name, "last-modified"))
        reply->modified_ms = header_time(value);
    else if (!strcasecmp(name, "etag"))
        header_copy(reply->etag, sizeof(reply->etag), value);
    else if (!strcasecmp(name, "x-amz-meta-bdr-nonce"))
        header_copy(reply->nonce, sizeof(reply->nonce), value);
    else if (!strcasecmp(name, "x-amz-meta-bdr-sha256"))
        header_copy(reply->sha256, sizeof(reply->sha256), value);
    else if (!strcasecmp(name, "x-amz-bucket-region") && strlen(value) == strspn(value, "abcdefghijklmnopqrstuvwxyz"
                                                                                        "0123456789-"))
        header_copy(reply->region, sizeof(reply->region), value);
    else if (!strcasecmp(name, "retry-after") && header_u64(value, &n))
        reply->retry_after_ms = BDR_MIN(n, RETRY_AFTER_MAX_S) * 1000;
}

void bdr_s3_header_line(const char *line, size_t len, struct bdr_s3_reply *reply)
{
    char text[LINE_MAX_BYTES], *value;

    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (len >= sizeof(text) || memchr(line, 0, len))
        return;
    memcpy(text, line, len);
    text[len] = 0;
    if (!strncmp(text, "HTTP/", 5)) {
        reply->length = -1;
        reply->has_range = false;
        reply->etag[0] = reply->nonce[0] = reply->sha256[0] = 0;
        return;
    }
    value = strchr(text, ':');
    if (!value)
        return;
    *value++ = 0;
    header_take(text, value + strspn(value, " \t"), reply);
}
