/* SPDX-License-Identifier: Apache-2.0 */
#include "streams.h"
#include "auth/login.h"
#include "bdr/log.h"

struct bdr_err *bdr_streams_review(struct bdr_console *c, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_hub_key *key = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0, ended = 0;

    BDR_TRY(bdr_hub_keys(c->hub, &key, &n));
    if (!n)
        return NULL;
    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    for (size_t i = 0; i < n; i++) {
        struct bdr_who who;

        BDR_TRY(bdr_who_still(tx, key[i].token, key[i].hash, now_ms, &who));
        if (who.role != (enum bdr_role)key[i].role || !bdr_who_may(&who, BDR_ROLE_VIEWER, "events", "read"))
            ended += bdr_hub_end(c->hub, &key[i]);
    }
    if (ended)
        BDR_LOG(INFO, "console.streams-ended", F_U64("streams", ended));
    return NULL;
}
