/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_track_token.c - the tracker's token on bytes of anybody's: what it accepts is what it would write. */
#include "../../src/source/live/track_priv.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BDR_AUTO(mem) char *text = malloc(size + 1);
    BDR_AUTO(mem) char *again = NULL;
    struct track_token k;
    struct bdr_err *err;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    err = track_token_parse(text, &k);
    if (err) {
        BDR_ASSERT(err->code == BDR_INVAL && !strchr(err->msg, '\n'));
        bdr_err_drop(err, "bad input is what we are here for");
        return 0;
    }
    BDR_ASSERT(k.major <= 0xfff && k.minor <= 0xfffff && strlen(k.boot) == 36);
    err = track_token_text(&k, &again);
    BDR_ASSERT(!err && !strcmp(text, again));
    return 0;
}
