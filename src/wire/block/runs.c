/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/blockwire.h"

enum run_kind { RUN_IDS, RUN_ZERO };

void bdr_runs_put(struct bdr_buf *out, uint64_t first, uint32_t count, const void *ids)
{
    bdr_buf_u64(out, first);
    bdr_buf_u32(out, count);
    bdr_buf_u32(out, ids ? RUN_IDS : RUN_ZERO);
    if (ids)
        bdr_buf_put(out, ids, (size_t)count * BDR_WIRE_ID_BYTES);
}

struct bdr_err *bdr_runs_next(struct bdr_runs *r, struct bdr_set_run *out, bool *out_more)
{
    struct bdr_set_run run = {0};
    uint32_t kind;

    *out_more = bdr_cur_left(&r->cur) != 0;
    if (!*out_more)
        return NULL;
    run.first = bdr_cur_u64(&r->cur);
    run.count = bdr_cur_u32(&r->cur);
    kind = bdr_cur_u32(&r->cur);
    if (r->cur.failed)
        BDR_FAIL(BDR_INVAL, 0, "a run is cut short");
    if (kind > RUN_ZERO)
        BDR_FAIL(BDR_INVAL, 0, "there is no kind %u of runs", kind);
    if (!run.count)
        BDR_FAIL(BDR_INVAL, 0, "the run at block %llu is empty", (unsigned long long)run.first);
    if (run.first < r->next)
        BDR_FAIL(BDR_INVAL, 0, "the run at block %llu is behind block %llu, which was set already",
                 (unsigned long long)run.first, (unsigned long long)r->next);
    if (run.first >= r->blocks || run.count > r->blocks - run.first)
        BDR_FAIL(BDR_INVAL, 0, "the run of %u blocks at %llu goes past the disk's %llu blocks", run.count,
                 (unsigned long long)run.first, (unsigned long long)r->blocks);
    if (kind == RUN_IDS) {
        if ((uint64_t)run.count * BDR_WIRE_ID_BYTES > bdr_cur_left(&r->cur))
            BDR_FAIL(BDR_INVAL, 0, "the ids of the run at block %llu are cut short", (unsigned long long)run.first);
        run.ids = bdr_cur_take(&r->cur, (size_t)run.count * BDR_WIRE_ID_BYTES);
    }
    r->next = run.first + run.count;
    *out = run;
    return NULL;
}
