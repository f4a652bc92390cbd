/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/device.h"
#include "bdr/osfile.h"
#include <openssl/evp.h>
#include <string.h>

#define DEVICE_RAW  24 /* id, time, mark of the password: 8 each */
#define DEVICE_BLOB ((BDR_DEVICE_CHARS - 1) / 2)

const struct bdr_rate_rule bdr_device_rule = {10, 60000};

static struct bdr_seal_place device_place(int64_t account_id)
{
    return (struct bdr_seal_place){"account", account_id, "device"};
}

static struct bdr_err *device_mark(const char *password, uint8_t out[8])
{
    uint8_t hash[32];

    if (!EVP_Digest(password, strlen(password), hash, NULL, EVP_sha256(), NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "hashing");
    memcpy(out, hash, 8);
    return NULL;
}

struct bdr_err *bdr_device_new(const struct bdr_keyring *ring, int64_t account_id, const char *password, int64_t now_ms,
                               char out[BDR_DEVICE_CHARS])
{
    const struct bdr_seal_place place = device_place(account_id);
    BDR_AUTO(secret) struct bdr_secret plain = {0};
    BDR_AUTO(buf) struct bdr_buf raw = {0};
    BDR_AUTO(buf) struct bdr_buf blob = {0};
    uint8_t id[8], mark[8];

    BDR_TRY(bdr_os_random(id, sizeof(id)));
    BDR_TRY(device_mark(password, mark));
    bdr_buf_put(&raw, id, sizeof(id));
    bdr_buf_u64(&raw, (uint64_t)now_ms);
    bdr_buf_put(&raw, mark, sizeof(mark));
    BDR_TRY(bdr_buf_check(&raw));
    BDR_TRY(bdr_secret_set(&plain, raw.data, raw.len));
    BDR_TRY(bdr_seal(ring, &place, &plain, &blob));
    BDR_ASSERT(blob.len == DEVICE_BLOB);
    bdr_hex(blob.data, blob.len, out);
    return NULL;
}

bool bdr_device_ok(const struct bdr_keyring *ring, int64_t account_id, const char *password, const char *cookie,
                   int64_t now_ms, char out_id[BDR_DEVICE_ID])
{
    const struct bdr_seal_place place = device_place(account_id);
    BDR_AUTO(secret) struct bdr_secret plain = {0};
    uint8_t blob[DEVICE_BLOB], mark[8];
    struct bdr_cur cur;
    struct bdr_err *err;
    int64_t made_ms;

    if (strlen(cookie) != BDR_DEVICE_CHARS - 1 || !bdr_unhex(cookie, blob, sizeof(blob)))
        return false;
    err = bdr_unseal(ring, &place, blob, sizeof(blob), &plain);
    if (!err)
        err = device_mark(password, mark);
    if (err || plain.len != DEVICE_RAW) {
        bdr_err_drop(err, "a stranger, then");
        return false;
    }
    cur = bdr_cur_of(plain.data + 8, 8);
    made_ms = (int64_t)bdr_cur_u64(&cur);
    bdr_hex(plain.data, 8, out_id);
    return !memcmp(plain.data + 16, mark, sizeof(mark)) && made_ms <= now_ms + 300000 &&
           now_ms - made_ms < BDR_DEVICE_DAYS * INT64_C(86400000);
}
