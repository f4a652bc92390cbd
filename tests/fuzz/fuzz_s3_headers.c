/* SPDX-License-Identifier: Apache-2.0 */
/* Header lines of an S3 server's answer, one a line of the input. */
#include "../../src/repo/store/s3/header.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct bdr_s3_reply reply = {.length = -1};

    while (len) {
        const uint8_t *end = memchr(bytes, '\n', len);
        size_t n = end ? (size_t)(end - bytes) + 1 : len;

        bdr_s3_header_line((const char *)bytes, n, &reply);
        BDR_ASSERT(reply.length >= -1 && reply.retry_after_ms <= 30000);
        BDR_ASSERT(!reply.has_range || reply.range_from < reply.range_total || !reply.range_from);
        BDR_ASSERT(strlen(reply.etag) < sizeof(reply.etag) && strlen(reply.region) < sizeof(reply.region));
        bytes += n;
        len -= n;
    }
    return 0;
}
