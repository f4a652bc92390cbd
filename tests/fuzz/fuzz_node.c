/* SPDX-License-Identifier: Apache-2.0 */
/* A node of a disk's map: what decodes must encode to the same bytes. The first byte chooses the level. */
#include "../../src/repo/node.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bdr_node node;
    uint8_t again[BDR_NODE_MAX_BYTES];
    struct bdr_err *err;

    if (!size)
        return 0;
    err = bdr_node_decode(data + 1, size - 1, data[0] % 11, &node);
    if (!err) {
        BDR_ASSERT(size - 1 <= sizeof(again) && bdr_node_encode(&node, data[0] % 11, again) == size - 1);
        BDR_ASSERT(!memcmp(again, data + 1, size - 1));
    }
    bdr_err_drop(err, "most inputs are wrong");
    return 0;
}
