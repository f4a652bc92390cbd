/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_changed_extents.c - the changed-extents parser on bytes of anybody's: what it accepts is sorted, apart, inside
 * the disk, and found again.
 */
#include "../../src/source/changed.h"
#include <string.h>

#define DISK_BYTES ((uint64_t)1 << 40)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BDR_AUTO(changed) struct changed_list list = {0};
    struct bdr_err *err = changed_parse("fuzz", (const char *)data, size, DISK_BYTES, &list);
    uint64_t end = 0;

    if (err) {
        BDR_ASSERT(err->code == BDR_INVAL && strstr(err->msg, "fuzz line ") && !strchr(err->msg, '\n'));
        bdr_err_drop(err, "bad input is what we are here for");
        return 0;
    }
    for (size_t i = 0; i < list.n; i++) {
        const struct changed_extent *e = &list.at[i];

        BDR_ASSERT(e->len && e->off <= DISK_BYTES && e->len <= DISK_BYTES - e->off);
        BDR_ASSERT(!i || e->off > end);
        BDR_ASSERT(changed_find(&list, e->off) == i && changed_find(&list, e->off + e->len - 1) == i);
        end = e->off + e->len;
        BDR_ASSERT(changed_find(&list, end) == i + 1);
    }
    return 0;
}
