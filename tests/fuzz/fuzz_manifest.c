/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest's JSON, and what we read out of it. */
#include "bdr/point.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_error_t why;
    json_t *point = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &why);

    if (!json_is_object(point)) {
        json_decref(point);
        return 0;
    }
    for (uint32_t i = 0; i <= bdr_point_disks(point) && i < 100; i++) {
        struct bdr_point_disk d;
        struct bdr_err *err = bdr_point_disk(point, i, &d);

        if (!err) {
            uint64_t blocks = bdr_blocks_of(d.size_bytes, 65536);

            BDR_ASSERT(d.name && d.identity && d.table && d.size_bytes && d.size_bytes <= INT64_MAX && blocks);
            BDR_ASSERT(bdr_map_levels(blocks) >= 1 && bdr_map_levels(blocks) <= 10);
        }
        bdr_err_drop(err, "most inputs are wrong");
    }
    json_decref(point);
    return 0;
}
