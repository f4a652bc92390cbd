/* SPDX-License-Identifier: Apache-2.0 */
/* A key object, and a key file, of an encrypted repository in memory. Argon2's cost is not paid: the type is keyfile. */
#include "../../src/repo/repo_i.h"
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    static const uint8_t id[16];
    BDR_AUTO(store) struct bdr_store *st = NULL;
    BDR_AUTO(buf) struct bdr_buf raw = {0};
    struct bdr_secret master;
    bool second = false;
    struct bdr_err *err;
    json_t *config = json_pack("{ss}", "key_check", "00112233445566778899aabbccddeeff");

    if (!*path) {
        snprintf(path, sizeof(path), "/tmp/bdr-fuzz-key-%d", (int)getpid());
        FILE *f = fopen(path, "w");
        if (f) {
            fputs("0123456789abcdef0123456789abcdef", f);
            fclose(f);
        }
    }
    err = bdr_store_open("mem:", &(struct bdr_store_options){.create = true}, &st);
    if (!err) /* with a right envelope, and as it came */
        err = bdr_envelope_make(BDR_ENV_KEY, id, NULL, data, size, &raw);
    if (!err)
        err = bdr_store_put(st, "keys/a", raw.data, raw.len, BDR_PUT_REPLACE);
    if (!err)
        err = bdr_store_put(st, "keys/b", data, size, BDR_PUT_REPLACE);
    if (!err)
        err = bdr_keys_open(st, id, config, NULL, path, &master, &second);
    BDR_ASSERT(err);
    bdr_err_drop(err, "no input opens it");
    json_decref(config);
    return 0;
}
