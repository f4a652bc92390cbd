/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of ids as a gateway reads them: in order, apart, within the disk, and the same when written again. */
#include "bdr/blockwire.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    BDR_AUTO(buf) struct bdr_buf again = {0};
    struct bdr_runs r = {.cur = bdr_cur_of(bytes, len), .blocks = 1000, .next = 10};
    struct bdr_set_run run;
    uint64_t next = 10;
    bool more = true;

    for (;;) {
        struct bdr_err *err = bdr_runs_next(&r, &run, &more);

        if (err) {
            bdr_err_drop(err, "fuzzing");
            return 0;
        }
        if (!more)
            break;
        BDR_ASSERT(run.count && run.first >= next && run.first < 1000 && run.count <= 1000 - run.first);
        BDR_ASSERT(!run.ids || (run.ids >= bytes && run.ids + (size_t)run.count * 32 <= bytes + len));
        next = run.first + run.count;
        bdr_runs_put(&again, run.first, run.count, run.ids);
    }
    BDR_ASSERT(again.len == len && (!len || !memcmp(again.data, bytes, len)));
    return 0;
}
