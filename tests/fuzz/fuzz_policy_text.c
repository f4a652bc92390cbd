/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as windows, bandwidth and retention: no crash; a retention that was accepted is written as it is read. */
#include "policy/policy.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BDR_AUTO(mem) char *text = malloc(size + 1);
    struct bdr_retention r, again;
    struct bdr_hours h = {0};
    struct bdr_err *err;
    char written[256];

    BDR_ASSERT(text);
    memcpy(text, data, size);
    text[size] = 0;
    err = bdr_windows_parse(text, &h);
    for (int m = 0; !err && m < 7 * 1440; m += 7)
        (void)bdr_windows_open(&h, m / 1440, m % 1440);
    bdr_err_drop(err, "most inputs are wrong");
    err = bdr_bandwidth_parse(text, &h);
    for (int m = 0; !err && m < 7 * 1440; m += 7)
        (void)bdr_bandwidth_at(&h, m / 1440, m % 1440);
    bdr_err_drop(err, "most inputs are wrong");
    err = bdr_retention_parse(text, &r);
    if (!err) {
        bdr_retention_text(&r, written, sizeof(written));
        BDR_ASSERT(!bdr_retention_parse(written, &again));
        BDR_ASSERT(!memcmp(&r, &again, sizeof(r)));
    }
    bdr_err_drop(err, "most inputs are wrong");
    return 0;
}
