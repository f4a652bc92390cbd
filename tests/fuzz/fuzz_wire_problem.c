/* SPDX-License-Identifier: Apache-2.0 */
/* The body of an error answer, from a server that may be any. */
#include "bdr/http_client.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct bdr_err *err = bdr_problem_read(len ? 400 + bytes[0] : 400, len ? bytes + 1 : bytes, len ? len - 1 : 0);

    BDR_ASSERT(err && err->code > BDR_OK && err->code < BDR_CODE_END && err->msg[0] && !strpbrk(err->msg, "\r\n\033"));
    bdr_err_free(err);
    return 0;
}
