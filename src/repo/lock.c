/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"
#include "bdr/jsonset.h"
#include "bdr/osproc.h"
#include "presence.h"
#include <string.h>

static struct bdr_err *lock_busy(const char *key, const json_t *other)
{
    char who[128];

    BDR_FAIL(BDR_BUSY, 0, "%s is running (%s); wait for it",
             strcmp(key, BDR_LOCK_KEYS) ? "another prune or repair" : "somebody else's change of the keys",
             bdr_who(other, who));
}

struct bdr_err *bdr_lock_take(struct bdr_repo *r, const char *key, const char *session, struct bdr_lock *out)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        BDR_AUTO(json) json_t *mine = json_object();
        BDR_AUTO(json) json_t *other = NULL;
        bool held = false, known = false, alive = true;
        struct bdr_store_stat st;
        struct bdr_err *err;

        BDR_NOMEM_IF_NULL(mine);
        BDR_TRY(bdr_who_stamp(mine));
        BDR_TRY(bdr_json_set(mine, "session", json_string(session)));
        err = bdr_repo_save(r, BDR_ENV_LOCK, key, mine, BDR_PUT_EXCL);
        if (!err) {
            out->key = key;
            return bdr_store_hold(r->store, key, &out->hold);
        }
        if (err->code != BDR_EXISTS)
            return err;
        bdr_err_drop(err, "is its holder alive?");
        err = bdr_store_stat(r->store, key, &st);
        if (!err)
            err = bdr_repo_load(r, BDR_ENV_LOCK, key, &other);
        if (err && err->code == BDR_NOTFOUND) {
            bdr_err_drop(err, "it has just ended");
            continue;
        }
        if (err && err->code != BDR_CORRUPT && err->code != BDR_INVAL)
            return err;
        bdr_err_drop(err, "a torn lock is judged by its age");
        err = bdr_store_held(r->store, key, &held);
        if (!err && held)
            return lock_busy(key, other);
        bdr_err_drop(err, "this store can't tell");
        BDR_TRY(bdr_os_process_alive(json_str(other, "process", ""), &known, &alive));
        /* A lock's session is renewed while its prune lives, which other machines can see. */
        if (!known)
            BDR_TRY(bdr_presence_alive(r, json_str(other, "session", "-"), &alive));
        if (alive && st.now_ms - st.modified_ms < (int64_t)BDR_PRESENCE_STALE_MS)
            return lock_busy(key, other);
        BDR_TRY(bdr_store_remove(r->store, key));
    }
    BDR_FAIL(BDR_BUSY, 0, "somebody keeps taking the lock; try again later");
}

void bdr_lock_drop(struct bdr_repo *r, struct bdr_lock *lock)
{
    if (!lock->key)
        return;
    bdr_err_drop(bdr_store_remove(r->store, lock->key), "a dead holder's lock is noticed by the next");
    if (lock->hold)
        bdr_store_release(r->store, lock->hold);
    *lock = (struct bdr_lock){0};
}
