/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover_verify.c - does the target hold what was written?
 *
 * Disks and network shares that lost a write are found here and not on the day the machine is needed. The content is
 * compared with the recovery point itself, which checks every block against its id once more.
 */
#include "bdr/bytes.h"
#include "recover_priv.h"
#include <string.h>

static uint64_t verify_first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t i = 0;

    while (i < len && a[i] == b[i])
        i++;
    return i;
}

static void verify_differs(struct recover *r, uint64_t span, uint64_t at)
{
    pthread_mutex_lock(&r->lock);
    recover_state_set(&r->state, span, false);
    r->first_differing = BDR_MIN(r->first_differing, at);
    pthread_mutex_unlock(&r->lock);
}

static struct bdr_err *verify_span(struct recover *r, uint64_t span, uint8_t *want, uint8_t *got)
{
    uint64_t off, end;

    recover_span_bounds(r, span, &off, &end);
    BDR_TRY_FOR(bdr_target_read(r->target, off, got, (size_t)(end - off)), "reading back");
    for (uint64_t at = off; at < end;) {
        uint64_t len = 0;
        bool data = false;
        size_t n;

        BDR_TRY(recover_check(r));
        BDR_TRY(bdr_disk_extent(r->disk, at, end - at, &data, &len));
        n = (size_t)BDR_MIN(len, end - at);
        if (data)
            BDR_TRY(bdr_disk_read(r->disk, at, want, n));
        else
            memset(want, 0, n);
        if (memcmp(want, got + (at - off), n)) {
            verify_differs(r, span, at + verify_first_difference(want, got + (at - off), n));
            return NULL;
        }
        at += n;
    }
    atomic_fetch_add(&r->progress->verified_bytes, end - off);
    return NULL;
}

static struct bdr_err *verify_thread(void *ctx, unsigned index)
{
    struct recover *r = ctx;
    BDR_AUTO(mem) uint8_t *want = NULL, *got = NULL;
    uint64_t span;

    (void)index;
    BDR_TRY(recover_span_buffer(r, &want));
    BDR_TRY(recover_span_buffer(r, &got));
    while (recover_next(r, true, &span)) /* damaged spans are not done: there is nothing to compare with */
        BDR_TRY(verify_span(r, span, want, got));
    return NULL;
}

struct bdr_err *recover_verify(struct recover *r)
{
    BDR_TRY(recover_all(r, "verify", verify_thread, r->workers));
    if (r->first_differing != UINT64_MAX)
        BDR_FAIL(BDR_CORRUPT, 0,
                 "%s does not hold what was written at %llu: check its medium, then --resume writes it again",
                 r->spec->location, (unsigned long long)r->first_differing);
    return NULL;
}
