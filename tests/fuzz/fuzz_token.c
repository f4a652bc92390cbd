/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a token, a recovery code and scopes: no crash, and the three ways to look at a token agree. */
#include "auth/token.h"
#include "auth/totp.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BDR_AUTO(mem) char *text = malloc(size + 1);
    uint8_t hash[32];
    struct bdr_err *err;

    BDR_ASSERT(text);
    memcpy(text, data, size);
    text[size] = 0;
    for (int kind = BDR_TOKEN_API; kind <= BDR_TOKEN_ENROL; kind++) {
        bool fits = bdr_token_fits((enum bdr_token_kind)kind, (const char *)data, size);

        if (!memchr(data, 0, size))
            BDR_ASSERT(fits == bdr_token_hash((enum bdr_token_kind)kind, text, hash));
    }
    bdr_recovery_code_hash(text, hash);
    err = bdr_scopes_check(text);
    if (!err)
        BDR_ASSERT(bdr_scopes_allow(text, "hosts", "read") || strcmp(text, "*") != 0);
    bdr_err_drop(err, "most inputs are wrong");
    return 0;
}
