/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"
#include "bdr/osfile.h"
#include "db/statements.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define AUDIT_HASH 32
#define AUDIT_STEP 1000
static const struct bdr_seal_place audit_key_place = {"audit", 0, "key"};
static const uint8_t audit_zero[AUDIT_HASH];

/* The chain's key; made with the first row. */
static struct bdr_err *audit_key(struct bdr_tx *tx, const struct bdr_keyring *ring, bool make, int64_t now_ms,
                                 struct bdr_secret *out)
{
    uint8_t key[32];
    bool found = false;
    struct bdr_err *err;

    BDR_TRY_FOR(bdr_secret_get(tx, ring, &audit_key_place, out, &found), "opening the key of the audit log");
    if (found)
        return NULL;
    if (!make)
        BDR_FAIL(BDR_CORRUPT, 0, "the audit log has rows but no key");
    BDR_TRY(bdr_os_random(key, sizeof(key)));
    err = bdr_secret_set(out, key, sizeof(key));
    bdr_wipe(key, sizeof(key));
    return err ? err : bdr_secret_put(tx, ring, &audit_key_place, out, now_ms);
}

/* Length first, so that no field can lend letters to the next; NULL and "" differ. */
static void audit_text(struct bdr_buf *b, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    bdr_buf_u32(b, text ? (uint32_t)len : UINT32_MAX);
    bdr_buf_put(b, text, len);
}

static struct bdr_err *audit_hash(const struct bdr_secret *key, int64_t seq, const struct bdr_audit *a,
                                  const uint8_t prev[AUDIT_HASH], uint8_t out[AUDIT_HASH])
{
    const char *const texts[] = {a->actor,  a->actor_kind, a->addr,   a->action,
                                 a->object, a->object_id,  a->before, a->after};
    BDR_AUTO(buf) struct bdr_buf b = {0};
    unsigned len = AUDIT_HASH;

    bdr_buf_put(&b, prev, AUDIT_HASH);
    bdr_buf_u64(&b, (uint64_t)seq);
    bdr_buf_u64(&b, (uint64_t)a->at_ms);
    for (size_t i = 0; i < BDR_COUNT(texts); i++)
        audit_text(&b, texts[i]);
    BDR_TRY(bdr_buf_check(&b));
    if (!HMAC(EVP_sha256(), key->data, (int)key->len, b.data, b.len, out, &len))
        BDR_FAIL(BDR_INTERNAL, 0, "hashing a row of the audit log");
    return NULL;
}

struct bdr_err *bdr_audit_head(struct bdr_tx *tx, struct bdr_audit_head *out)
{
    BDR_AUTO(mem) struct bdr_row_audit_last *last = NULL;

    BDR_TRY(bdr_q_audit_last(tx, &last));
    if (last && last->hash.len != AUDIT_HASH)
        BDR_FAIL(BDR_CORRUPT, 0, "row %lld of the audit log has no hash", (long long)last->seq);
    out->seq = last ? last->seq : 0;
    memcpy(out->hash, last ? last->hash.data : audit_zero, AUDIT_HASH);
    return NULL;
}

struct bdr_err *bdr_audit_add(struct bdr_tx *tx, const struct bdr_keyring *ring, const struct bdr_audit *a)
{
    BDR_AUTO(secret) struct bdr_secret key = {0};
    struct bdr_audit_head last;
    uint8_t hash[AUDIT_HASH];
    struct bdr_err *err;
    int64_t zero;

    BDR_TRY(bdr_q_audit_lock(tx, &zero));
    BDR_TRY(bdr_audit_head(tx, &last));
    BDR_TRY(audit_key(tx, ring, last.seq == 0, a->at_ms, &key));
    BDR_TRY(audit_hash(&key, last.seq + 1, a, last.hash, hash));
    err = bdr_q_audit_add(tx, &(struct bdr_in_audit_add){.seq = last.seq + 1,
                                                         .at_ms = a->at_ms,
                                                         .actor = a->actor,
                                                         .actor_kind = a->actor_kind,
                                                         .addr = a->addr,
                                                         .action = a->action,
                                                         .object = a->object,
                                                         .object_id = a->object_id,
                                                         .before = a->before,
                                                         .after = a->after,
                                                         .prev_hash = {last.hash, AUDIT_HASH},
                                                         .hash = {hash, AUDIT_HASH}});
    /* our snapshot is older than the row that took this number: not our caller's mistake */
    if (err && err->code == BDR_EXISTS)
        return bdr_err_recode(err, BDR_BUSY, BDR_AT, "adding to the audit log");
    return err;
}

static struct bdr_err *audit_row(const struct bdr_secret *key, const struct bdr_row_audit *row,
                                 struct bdr_audit_head *head)
{
    const struct bdr_audit a = {row->at_ms,  row->actor,     row->actor_kind, row->addr, row->action,
                                row->object, row->object_id, row->before,     row->after};
    uint8_t hash[AUDIT_HASH];

    if (row->seq != head->seq + 1)
        BDR_FAIL(BDR_CORRUPT, 0, "the audit log lacks row %lld", (long long)head->seq + 1);
    BDR_TRY(audit_hash(key, row->seq, &a, head->hash, hash));
    if (row->prev_hash.len != AUDIT_HASH || row->hash.len != AUDIT_HASH ||
        memcmp(row->prev_hash.data, head->hash, AUDIT_HASH) != 0 || memcmp(row->hash.data, hash, AUDIT_HASH) != 0)
        BDR_FAIL(BDR_CORRUPT, 0, "row %lld of the audit log was changed, or one before it was", (long long)row->seq);
    head->seq = row->seq;
    memcpy(head->hash, hash, AUDIT_HASH);
    return NULL;
}

struct bdr_err *bdr_audit_verify(struct bdr_tx *tx, const struct bdr_keyring *ring, const struct bdr_audit_head *known,
                                 struct bdr_audit_head *out)
{
    BDR_AUTO(secret) struct bdr_secret key = {0};
    struct bdr_audit_head head = {0};
    size_t n = 1;

    while (n) {
        BDR_AUTO(mem) struct bdr_row_audit *row = NULL;

        BDR_TRY(bdr_q_audit_from(tx, head.seq + 1, AUDIT_STEP, &row, &n));
        if (n && !key.data)
            BDR_TRY(audit_key(tx, ring, false, 0, &key));
        for (size_t i = 0; i < n; i++) {
            BDR_TRY(audit_row(&key, &row[i], &head));
            if (known && known->seq == head.seq && memcmp(known->hash, head.hash, AUDIT_HASH) != 0)
                BDR_FAIL(BDR_CORRUPT, 0, "row %lld of the audit log is not the one that was told", (long long)head.seq);
        }
    }
    if (known && known->seq > head.seq)
        BDR_FAIL(BDR_CORRUPT, 0, "the audit log ends at row %lld; row %lld was told", (long long)head.seq,
                 (long long)known->seq);
    if (out)
        *out = head;
    return NULL;
}
