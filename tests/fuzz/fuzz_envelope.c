/* SPDX-License-Identifier: Apache-2.0 */
/* An object of the store, plain and sealed, as every kind; the input is what follows the checksum's fixing. */
#include "../../src/repo/envelope.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_open(const uint8_t *data, size_t size, const struct bdr_secret *key)
{
    uint8_t id[16], *out = NULL;
    json_t *json = NULL;
    size_t n = 0;

    for (int kind = BDR_ENV_CONFIG; kind <= BDR_ENV_LOCK; kind++) {
        struct bdr_err *err = bdr_envelope_open((enum bdr_envelope_kind)kind, NULL, key, data, size, id, &out, &n);

        if (!err)
            BDR_ASSERT(n <= size && out[n] == 0);
        free(BDR_STEAL(out));
        bdr_err_drop(err, "most inputs are wrong");
        err = bdr_envelope_json((enum bdr_envelope_kind)kind, NULL, key, data, size, NULL, &json);
        if (!err)
            json_decref(BDR_STEAL(json));
        bdr_err_drop(err, "most inputs are wrong");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bdr_secret key = {{1, 2, 3}};
    BDR_AUTO(mem) uint8_t *fixed = malloc(size + 1);

    fuzz_open(data, size, NULL);
    fuzz_open(data, size, &key);
    /* With a right checksum what lies behind it is reached, too. */
    if (!fixed || size < BDR_ENV_HEADER_BYTES)
        return 0;
    memcpy(fixed, data, size);
    struct bdr_err *err = bdr_sha256(fixed, 72, fixed + BDR_ENV_HEADER_BYTES, size - BDR_ENV_HEADER_BYTES, NULL, 0,
                                     fixed + 72);
    BDR_ASSERT(!err);
    fuzz_open(fixed, size, NULL);
    fuzz_open(fixed, size, &key);
    return 0;
}
