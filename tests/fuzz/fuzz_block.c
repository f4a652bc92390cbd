/* SPDX-License-Identifier: Apache-2.0 */
/* One stored block with a row that lies about it: codec and lengths from the input's head, its body behind. */
#include "../../src/repo/pack.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bdr_secret key = {{9}};
    static uint8_t out[BDR_BLOCK_MAX_BYTES], salt[32];

    if (size < 5)
        return 0;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct bdr_pack_env env = {.key = sealed ? &key : NULL};
        BDR_AUTO(unpacker) struct bdr_unpacker *u = NULL;
        BDR_AUTO(codec) struct bdr_codec_ctx *c = NULL;
        struct bdr_pack_row row = {.off = 64, .codec = data[0] % 4, .stored = (uint32_t)size - 5};
        BDR_AUTO(mem) uint8_t *body = malloc(size - 4);
        struct bdr_err *err;

        memcpy(&row.raw, data + 1, 4);
        row.raw = row.raw % BDR_BLOCK_MAX_BYTES + 1;
        if (!body)
            return 0;
        memcpy(body, data + 5, size - 5); /* exactly as long as it says, so that reading past it is seen */
        err = bdr_unpacker_new(&env, NULL, &u);
        if (!err)
            err = bdr_unpack(u, salt, &row, body, out);
        BDR_ASSERT(err || bdr_all_zero(row.id.b, 0));
        bdr_err_drop(err, "its id never fits");
        err = bdr_codec_new(&c);
        if (!err)
            err = bdr_codec_unpack(c, row.codec, body, size - 5, out, row.raw);
        bdr_err_drop(err, "most inputs are wrong");
    }
    return 0;
}
