/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of events, cut into pieces where the first byte says: the pieces must not matter. */
#include "bdr/http_client.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool on_event(void *ctx, const char *event, const char *id, const char *data)
{
    struct bdr_buf *b = ctx;

    bdr_buf_printf(b, "%s|%s|%s\n", event, id, data);
    return true;
}

static void feed(const uint8_t *bytes, size_t len, size_t piece, struct bdr_buf *out)
{
    struct bdr_sse_reader r = {0};

    for (size_t at = 0; at < len; at += piece)
        bdr_err_drop(bdr_sse_read(&r, bytes + at, BDR_MIN(piece, len - at), on_event, out), "fuzzing");
    bdr_sse_reader_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    BDR_AUTO(buf) struct bdr_buf whole = {0};
    BDR_AUTO(buf) struct bdr_buf pieces = {0};

    if (!len)
        return 0;
    feed(bytes + 1, len - 1, SIZE_MAX / 2, &whole);
    feed(bytes + 1, len - 1, 1 + bytes[0] % 7, &pieces);
    BDR_ASSERT(whole.len == pieces.len && (!whole.len || !memcmp(whole.data, pieces.data, whole.len)));
    return 0;
}
