/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of blocks as a gateway reads them: whatever comes, what is taken is within what was said. */
#include "bdr/blockwire.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    size_t at = 0;

    while (len - at >= BDR_FRAME_HEAD_BYTES) {
        uint8_t again[BDR_FRAME_HEAD_BYTES];
        struct bdr_frame f;
        struct bdr_err *err = bdr_frame_parse(bytes + at, 65536, &f);

        if (err) {
            bdr_err_drop(err, "fuzzing");
            return 0;
        }
        BDR_ASSERT(f.raw_len >= 1 && f.raw_len <= 65536 && f.payload_len >= 1 && f.payload_len <= f.raw_len &&
                   f.codec < BDR_FRAME_CODECS);
        bdr_frame_head(&f, again);
        BDR_ASSERT(!memcmp(again, bytes + at, sizeof(again)));
        at += BDR_FRAME_HEAD_BYTES;
        if (len - at < f.payload_len + BDR_FRAME_TAIL_BYTES)
            return 0;
        bdr_crc32c(0, bytes + at - BDR_FRAME_HEAD_BYTES, BDR_FRAME_HEAD_BYTES + f.payload_len);
        at += f.payload_len + BDR_FRAME_TAIL_BYTES;
    }
    return 0;
}
