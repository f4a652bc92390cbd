/* SPDX-License-Identifier: Apache-2.0 */
/* The state file of a recover: whatever is accepted must come out the same when written again. */
#include "../../src/mover/recover_state.h"
#include "bdr/bytes.h"
#include <openssl/evp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text as it is, and again with the checksum that fits it, so that the lines behind are reached. */
static void one(const char *text, size_t len)
{
    struct recover_state st = {0}, again = {0};
    struct bdr_buf out = {0};
    struct bdr_err *err = recover_state_parse(text, len, &st);

    if (!err) {
        recover_state_format(&st, &out);
        BDR_ASSERT(!out.failed && !recover_state_parse((char *)out.data, out.len, &again));
        BDR_ASSERT(again.n_spans == st.n_spans && !memcmp(again.done, st.done, (size_t)(st.n_spans / 8 + 1)));
    }
    bdr_err_free(err);
    bdr_buf_free(&out);
    recover_state_free(&st);
    recover_state_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bdr_buf sealed = {0};
    uint8_t digest[32];
    char hex[65];

    one((const char *)data, size);
    EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL);
    bdr_buf_put(&sealed, data, size);
    bdr_buf_printf(&sealed, "sum %s\n", bdr_hex(digest, sizeof(digest), hex));
    one((const char *)sealed.data, sealed.len);
    bdr_buf_free(&sealed);
    return 0;
}
