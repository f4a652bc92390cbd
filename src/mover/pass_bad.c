/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/bytes.h"
#include "pass.h"
#include <stdlib.h>
#include <string.h>

void pass_bad_free(struct pass_bad *bad)
{
    free(bad->at);
    *bad = (struct pass_bad){0};
}

void pass_bad_add(struct pass_bad *bad, uint64_t off, uint64_t len)
{
    bad->bytes += len;
    if (bad->n && bad->at[bad->n - 1].off + bad->at[bad->n - 1].len == off) {
        bad->at[bad->n - 1].len += len;
        return;
    }
    if (bad->n == bad->cap && bad->cap < PASS_RANGES_MAX) {
        size_t cap = BDR_MAX(2 * bad->cap, (size_t)64);
        struct pass_range *more = reallocarray(bad->at, cap, sizeof(*more));

        if (more) {
            bad->at = more;
            bad->cap = cap;
        }
    }
    if (bad->n < bad->cap) {
        bad->at[bad->n++] = (struct pass_range){off, len};
    } else {
        bad->unlisted++;
        bad->unlisted_bytes += len;
    }
}

static int range_cmp(const void *a, const void *b)
{
    const struct pass_range *x = a, *y = b;

    return x->off < y->off ? -1 : x->off > y->off;
}

void pass_bad_tidy(struct pass_bad *bad)
{
    size_t n = 0;

    if (!bad->n)
        return;
    qsort(bad->at, bad->n, sizeof(*bad->at), range_cmp);
    for (size_t i = 1; i < bad->n; i++) {
        if (bad->at[n].off + bad->at[n].len == bad->at[i].off)
            bad->at[n].len += bad->at[i].len;
        else
            bad->at[++n] = bad->at[i];
    }
    bad->n = n + 1;
}
