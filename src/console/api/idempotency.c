/* SPDX-License-Identifier: Apache-2.0 */
/* idempotency.c - answers of requests that may come twice, in the database: any console can give them. */
#include "api/api.h"
#include <string.h>

#define STALE_MS 600000 /* a request that has not ended by then never will: its console died */

struct once {
    const char *who, *key;
    struct bdr_blob digest;
    int64_t now_ms, mine;
    struct bdr_row_idempotency_get *row; /* owned */
    const struct bdr_kept_answer *answer;
};

static struct bdr_err *once_begin(struct bdr_tx *tx, void *ctx)
{
    struct once *o = ctx;

    free(o->row);
    o->row = NULL;
    BDR_TRY(bdr_q_idempotency_begin(
        tx, &(struct bdr_in_idempotency_begin){o->who, o->key, o->digest, o->now_ms, o->now_ms - STALE_MS}, &o->mine));
    return o->mine ? NULL : bdr_q_idempotency_get(tx, o->who, o->key, &o->row);
}

static struct bdr_err *idempotency_begin(void *ctx, struct bdr_req *req, const char *key, const uint8_t digest[32],
                                         bool *out_kept, struct bdr_kept_answer *out)
{
    struct bdr_console *c = ctx;
    struct once o = {.who = bdr_req_who_name(req), .key = key, .digest = {digest, 32}, .now_ms = api_now()};
    struct bdr_err *err = bdr_db_run(c->db, BDR_TX_LOCK, once_begin, &o);
    BDR_AUTO(mem) struct bdr_row_idempotency_get *row = o.row;

    BDR_TRY(err);
    *out_kept = false;
    if (o.mine)
        return NULL;
    if (!row)
        BDR_REFUSE(req, BDR_CONFLICT, "The request of this Idempotency-Key has just ended; send it again.");
    if (row->digest.len != 32 || memcmp(row->digest.data, digest, 32) != 0)
        BDR_REFUSE(req, BDR_EXISTS, "This Idempotency-Key was used for another request.");
    if (!row->status)
        BDR_REFUSE(req, BDR_CONFLICT, "The request of this Idempotency-Key still runs.");
    *out = (struct bdr_kept_answer){.status = (unsigned)row->status, .len = strlen(row->body)};
    out->body = bdr_arena_text(bdr_req_arena(req), row->body, out->len);
    BDR_NOMEM_IF_NULL(out->body);
    *out_kept = true;
    return NULL;
}

static struct bdr_err *once_end(struct bdr_tx *tx, void *ctx)
{
    struct once *o = ctx;
    int64_t n;

    return o->answer ? bdr_q_idempotency_keep(
                           tx, &(struct bdr_in_idempotency_keep){o->who, o->key, o->answer->status, o->answer->body}, &n)
                     : bdr_q_idempotency_drop(tx, o->who, o->key, &n);
}

static void idempotency_end(void *ctx, struct bdr_req *req, const char *key, const struct bdr_kept_answer *answer)
{
    struct bdr_console *c = ctx;
    struct bdr_kept_answer whole = {0};
    struct once o = {.who = bdr_req_who_name(req), .key = key};

    if (answer) { /* a text for the database needs its end */
        whole = *answer;
        whole.body = bdr_arena_text(bdr_req_arena(req), answer->body ? answer->body : "", answer->len);
        o.answer = whole.body ? &whole : NULL;
    }
    bdr_err_drop(bdr_db_run(c->db, BDR_TX_LOCK, once_end, &o),
                 "the row is found unfinished, and given up after a while");
}

const struct bdr_idempotency api_idempotency = {.begin = idempotency_begin, .end = idempotency_end};
