/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/limit.h"
#include "db/statements.h"

#define LOCK_FROM     5
#define LOCK_FIRST_MS 60000
#define LOCK_MAX_MS   3600000

bool bdr_bucket_take(struct bdr_bucket *b, const struct bdr_rate_rule *rule, int64_t now_ms, int64_t *out_wait_ms)
{
    int64_t full = rule->burst * 1000, since = BDR_MAX(now_ms - b->at_ms, (int64_t)0);

    /* capped before it is multiplied: a bucket of 1970 must not overflow */
    since = BDR_MIN(since, rule->burst * rule->each_ms);
    b->milli = BDR_MIN(b->milli + since * 1000 / rule->each_ms, full);
    b->at_ms = now_ms;
    if (b->milli >= 1000) {
        b->milli -= 1000;
        *out_wait_ms = 0;
        return true;
    }
    *out_wait_ms = BDR_MAX((1000 - b->milli) * rule->each_ms / 1000, (int64_t)1);
    return false;
}

struct bdr_err *bdr_rate_take(struct bdr_tx *tx, const char *name, const struct bdr_rate_rule *rule, int64_t now_ms,
                              int64_t *out_wait_ms)
{
    BDR_AUTO(mem) struct bdr_row_rate_get *row = NULL;
    struct bdr_bucket b = {rule->burst * 1000, now_ms};

    BDR_TRY(bdr_q_rate_get(tx, name, &row));
    if (row)
        b = (struct bdr_bucket){row->milli, row->at_ms};
    if (!bdr_bucket_take(&b, rule, now_ms, out_wait_ms) && row && row->at_ms == now_ms)
        return NULL; /* nothing changed: a flood writes nothing */
    return bdr_q_rate_put(tx, name, b.milli, b.at_ms);
}

int64_t bdr_lock_ms(int64_t failures)
{
    int64_t ms = LOCK_FIRST_MS;

    if (failures < LOCK_FROM)
        return 0;
    for (int64_t i = LOCK_FROM; i < failures && ms < LOCK_MAX_MS; i++)
        ms *= 2;
    return BDR_MIN(ms, (int64_t)LOCK_MAX_MS);
}
