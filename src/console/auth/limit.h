/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit.h - how often somebody may try: token buckets by address and name, and the lock of an account.
 *
 * The rules are pure; bdr_rate_take keeps buckets in the database, so that several consoles count together.
 * Threads: any.
 */
#pragma once
#include "db/db.h"

/* `burst` at once, then one more each `each_ms`. */
struct bdr_rate_rule {
    int64_t burst, each_ms;
};
struct bdr_bucket {
    int64_t milli; /* thousandths of a try that are left at at_ms */
    int64_t at_ms;
};
/* Takes one; false when none is left, and *out_wait_ms until there is. A clock that went back fills nothing. */
bool bdr_bucket_take(struct bdr_bucket *b, const struct bdr_rate_rule *rule, int64_t now_ms, int64_t *out_wait_ms);
/* The same, in the database. *out_wait_ms 0: go ahead. */
bdr_ret bdr_rate_take(struct bdr_tx *tx, const char *name, const struct bdr_rate_rule *rule, int64_t now_ms,
                      int64_t *out_wait_ms);

/* How long an account is locked after so many wrong passwords in a row: 0 up to the 4th, then 1, 2, 4 ... 60 minutes.
 */
int64_t bdr_lock_ms(int64_t failures);
