/* SPDX-License-Identifier: Apache-2.0 */
/* A whole pack: header, entries, table, trailer. Checksums are made right in a second go. */
#include "../../src/repo/pack.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_parse(const uint8_t *data, size_t size, const struct bdr_secret *key)
{
    struct bdr_pack_env env = {.key = key};
    struct bdr_pack_info info;
    struct bdr_pack_row *rows = NULL;
    size_t need = 0;
    struct bdr_err *err;

    memcpy(env.repo_id, data + 16, 16); /* ours whatever it says */
    err = bdr_pack_parse(&env, data, data, size, size, &need, &info, &rows);
    if (!err && !need)
        for (uint32_t i = 0; i < info.rows; i++)
            BDR_ASSERT(rows[i].off + (uint64_t)rows[i].stored <= size && rows[i].raw && rows[i].raw <= BDR_BLOCK_MAX_BYTES);
    free(BDR_STEAL(rows));
    bdr_err_drop(err, "most inputs are wrong");
    /* A reader begins with the last bytes only. */
    if (size > 200) {
        err = bdr_pack_parse(&env, data, data + size - 100, 100, size, &need, &info, &rows);
        if (!err && need)
            BDR_ASSERT(need > 100);
        free(BDR_STEAL(rows));
        bdr_err_drop(err, "most inputs are wrong");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bdr_secret key = {{7}};
    BDR_AUTO(mem) uint8_t *fixed = NULL;
    uint32_t table;

    if (size < BDR_PACK_HEADER_BYTES + BDR_PACK_TRAILER_BYTES)
        return 0;
    fuzz_parse(data, size, NULL);
    fuzz_parse(data, size, &key);
    fixed = malloc(size);
    if (!fixed)
        return 0;
    memcpy(fixed, data, size);
    memcpy(fixed, "BDRPACK1\1\0", 10);
    memcpy(fixed + size - 8, "BDRPEND1", 8);
    memset(fixed + size - 16, 0, 8);
    memcpy(&table, fixed + size - 64, 4);
    table %= (uint32_t)(size - 127);
    struct bdr_err *err = bdr_sha256(fixed, 64, fixed + size - 64 - table, table + 16, NULL, 0, fixed + size - 48);
    BDR_ASSERT(!err);
    fuzz_parse(fixed, size, NULL);
    return 0;
}
