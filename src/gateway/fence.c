/* SPDX-License-Identifier: Apache-2.0 */
/* fence.c - the largest fencing number of each host, a small durable file each. The caller holds the host's lock. */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "gw_i.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct bdr_err *gw_fence_take(const char *state_dir, uint64_t host, uint64_t fence, bool *out_ok, uint64_t *out_largest)
{
    BDR_AUTO(mem) char *was = NULL;
    char path[512], text[32];
    uint64_t largest = 0;
    struct bdr_err *err;
    size_t n = 0;

    if (snprintf(path, sizeof(path), "%s/fences", state_dir) >= (int)sizeof(path) - 32)
        BDR_FAIL(BDR_INVAL, 0, "%s is too long a path", state_dir);
    BDR_TRY(bdr_os_mkdirs(path));
    snprintf(path + strlen(path), 32, "/%" PRIu64, host);
    err = bdr_os_read_file(path, 31, &was, &n);
    if (err && err->code != BDR_NOTFOUND)
        return err;
    bdr_err_drop(err, "the host's first session");
    if (was) {
        was[strcspn(was, "\n")] = 0;
        BDR_TRY_FOR(bdr_u64_parse(was, UINT64_MAX, &largest), "reading %s", path);
    }
    *out_ok = fence >= largest;
    *out_largest = largest;
    if (fence <= largest)
        return NULL;
    snprintf(text, sizeof(text), "%" PRIu64 "\n", fence);
    return bdr_os_replace_file(path, text, strlen(text), 0600, false);
}
