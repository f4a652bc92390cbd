/* SPDX-License-Identifier: Apache-2.0 */
/* lock.h - one at a time: of those who remove packs (prune, repair), of those who change keys. Threads: one. */
#pragma once
#include "repo_i.h"

#define BDR_LOCK_PRUNE "locks/prune"
#define BDR_LOCK_KEYS  "locks/keys"

struct bdr_lock {
    const char *key; /* NULL: not locked */
    void *hold;
};
/* `session`: id of the presence that is renewed while the lock is needed. BUSY when another one lives. */
bdr_ret bdr_lock_take(struct bdr_repo *r, const char *key, const char *session, struct bdr_lock *out);
void bdr_lock_drop(struct bdr_repo *r, struct bdr_lock *lock);
