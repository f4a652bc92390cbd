/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON body against a shape with every type in it; what is taken must be written and taken again. */
#include "../unit/wire/demo.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_faults faults;
    struct demo_host host, again;
    struct bdr_err *err;

    if (len < 1 || bdr_arena_new(&arena))
        return 0;
    err = bdr_shape_read(&demo_host_shape, (enum bdr_shape_mode)(bytes[0] % 3), (const char *)bytes + 1, len - 1, arena,
                         &host, &faults);
    if (!err && bytes[0] % 3 == BDR_SHAPE_REQUEST) {
        BDR_AUTO(buf) struct bdr_buf b = {0};

        host.has_note = host.note != NULL;
        host.has_enabled = host.has_weight = host.has_kind = true;
        BDR_ASSERT(!bdr_shape_write(&demo_host_shape, BDR_SHAPE_REQUEST, &host, &b));
        BDR_ASSERT(!bdr_shape_read(&demo_host_shape, BDR_SHAPE_REQUEST, (char *)b.data, b.len, arena, &again, &faults));
        BDR_ASSERT(again.weight == host.weight && again.disks.n == host.disks.n);
    }
    BDR_ASSERT(err || !faults.n);
    bdr_err_free(err);
    return 0;
}
