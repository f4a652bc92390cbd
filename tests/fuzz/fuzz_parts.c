/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_parts.c - what the reader of partition tables, which a guest's bytes may have taken over, says to the mount. */
#include "../../src/mount/parts.h"
#include "../../src/mount/parts_wire.h"
#include "bdr/err.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t disk = size >= 8 ? parts_get(data, 8) : 1u << 20;
    struct mount_part p;

    if (mount_part_decode(data, size, disk, &p) || (size > 8 && mount_part_decode(data + 8, size - 8, disk, &p))) {
        BDR_ASSERT(p.number && p.len && p.off <= disk && p.len <= disk - p.off);
        BDR_ASSERT(strlen(p.type) < sizeof(p.type) && strlen(p.uuid) < sizeof(p.uuid) &&
                   strlen(p.name) < sizeof(p.name));
        for (const char *c = p.name; *c; c++)
            BDR_ASSERT((unsigned char)*c >= 0x20);
    }
    return 0;
}
