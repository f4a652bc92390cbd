/* SPDX-License-Identifier: Apache-2.0 */
#include "reserve.h"
#include "bdr/log.h"
#include "bdr/osfile.h"

#define RESERVE_KEY "reserve"
/* A session, a lock and their folders take some KiB, the largest set of condemned packs 300 KiB; the index writes the
 * pages of one transaction anew before it reuses old ones. */
#define RESERVE_BYTES ((size_t)1 << 20)

uint64_t bdr_reserve_room(struct bdr_repo *r)
{
    const char *path = bdr_store_path(r->store);
    uint64_t room = UINT64_MAX;

    if (path)
        bdr_err_drop(bdr_os_room(path, &room), "then it is found out by writing");
    return room;
}

static struct bdr_err *reserve_make(struct bdr_repo *r)
{
    BDR_AUTO(mem) uint8_t *noise = NULL;
    struct bdr_store_stat st;
    struct bdr_err *err = bdr_store_stat(r->store, RESERVE_KEY, &st);

    if (!err || err->code != BDR_NOTFOUND)
        return err;
    bdr_err_drop(err, "so it is made");
    noise = malloc(RESERVE_BYTES);
    BDR_NOMEM_IF_NULL(noise);
    BDR_TRY(bdr_os_random(noise, RESERVE_BYTES));
    return bdr_store_put(r->store, RESERVE_KEY, noise, RESERVE_BYTES, BDR_PUT_REPLACE);
}

void bdr_reserve_make(struct bdr_repo *r)
{
    struct bdr_err *err = bdr_store_path(r->store) && !r->read_only ? reserve_make(r) : NULL;

    if (err)
        BDR_LOG(WARN, "repo.no-reserve", F_ERR(err));
    bdr_err_drop(err, "needed on a full disk only; the next writer tries again");
}

struct bdr_err *bdr_reserve_spend(struct bdr_repo *r, bool now, bool *out)
{
    struct bdr_store_stat st;
    struct bdr_err *err;

    *out = false;
    if (!bdr_store_path(r->store) || r->read_only || (!now && bdr_reserve_room(r) >= RESERVE_BYTES))
        return NULL;
    err = bdr_store_stat(r->store, RESERVE_KEY, &st);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "spent already, or an older program's repository");
        return NULL;
    }
    BDR_TRY(err);
    BDR_LOG(WARN, "repo.reserve-spent", F_U64("bytes", st.size_bytes));
    BDR_TRY(bdr_store_remove(r->store, RESERVE_KEY));
    *out = true;
    return NULL;
}
