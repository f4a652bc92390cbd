/* SPDX-License-Identifier: Apache-2.0 */
/* index.c - the rows: where blocks lie, what packs there are. */
#include "index_i.h"
#include <stdio.h>
#include <string.h>

static void index_u32be(uint32_t v, uint8_t out[4])
{
    for (size_t i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* ---- rows ---- */

static void loc_encode(const struct bdr_loc *l, uint8_t out[BDR_LOC_BYTES])
{
    const uint32_t f[5] = {l->pack, l->row, l->at.off, l->at.stored, l->at.raw};

    for (size_t i = 0; i < 5; i++)
        index_u32be(f[i], out + 4 * i); /* big-endian: LMDB sorts places by pack number */
    out[20] = l->at.codec;
}

static bool loc_decode(const MDB_val *v, const struct bdr_id *id, struct bdr_loc *out)
{
    const uint8_t *p = v->mv_data;
    uint32_t f[5];

    if (v->mv_size != BDR_LOC_BYTES)
        return false;
    for (size_t i = 0; i < 5; i++)
        f[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    *out = (struct bdr_loc){.pack = f[0], .row = f[1],
                            .at = {.id = *id, .off = f[2], .stored = f[3], .raw = f[4], .codec = p[20]}};
    return out->at.raw && out->at.raw <= BDR_BLOCK_MAX_BYTES && out->at.stored <= out->at.raw + BDR_TAG_BYTES;
}

static void pack_encode(const struct bdr_index_pack *p, struct bdr_buf *b)
{
    bdr_buf_put(b, p->info.name, 16);
    bdr_buf_put(b, p->info.salt, 32);
    bdr_buf_u8(b, p->info.cls);
    bdr_buf_u8(b, p->condemned);
    bdr_buf_u32(b, p->info.rows);
    bdr_buf_u64(b, p->info.size_bytes);
    bdr_buf_u64(b, p->info.body_end);
    bdr_buf_u64(b, 0);
}

static bool pack_decode(const MDB_val *v, uint32_t no, struct bdr_index_pack *out)
{
    struct bdr_cur c = bdr_cur_of(v->mv_data, v->mv_size);

    if (v->mv_size != BDR_INDEX_PACK_BYTES)
        return false;
    *out = (struct bdr_index_pack){.no = no};
    memcpy(out->info.name, bdr_cur_take(&c, 16), 16);
    memcpy(out->info.salt, bdr_cur_take(&c, 32), 32);
    out->info.cls = bdr_cur_u8(&c);
    out->condemned = bdr_cur_u8(&c);
    out->info.rows = bdr_cur_u32(&c);
    out->info.size_bytes = bdr_cur_u64(&c);
    out->info.body_end = bdr_cur_u64(&c);
    return true;
}

static int index_pack_by_no(struct bdr_index *ix, MDB_txn *txn, uint32_t no, struct bdr_index_pack *out)
{
    uint8_t key[4];
    MDB_val k = {4, key}, v;
    int rc;

    index_u32be(no, key);
    rc = mdb_get(txn, ix->packs, &k, &v);
    if (rc)
        return rc;
    return pack_decode(&v, no, out) ? 0 : MDB_CORRUPTED;
}

/* *out_no: 0 when the pack is not there (numbers start at 1). */
static struct bdr_err *index_no_by_name(struct bdr_index *ix, MDB_txn *txn, const uint8_t name[16], uint32_t *out_no)
{
    MDB_val k = {16, (void *)(uintptr_t)name}, v;
    int rc = mdb_get(txn, ix->names, &k, &v);
    struct bdr_cur c;

    *out_no = 0;
    if (rc == MDB_NOTFOUND)
        return NULL;
    INDEX_TRY(rc, "finding a pack in the index");
    c = bdr_cur_of(v.mv_data, v.mv_size);
    *out_no = bdr_cur_u32(&c);
    return NULL;
}

struct bdr_err *bdr_index_find(struct bdr_index *ix, const struct bdr_id *id, struct bdr_loc *out, size_t max,
                               size_t *out_n, bool *out_condemned)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    MDB_cursor *cur = NULL;
    MDB_val k = {BDR_ID_BYTES, (void *)(uintptr_t)id->b}, v;
    size_t n = 0, good = 0;
    int rc;

    *out_n = 0;
    *out_condemned = false;
    BDR_TRY(bdr_index_begin(ix, MDB_RDONLY, &txn));
    INDEX_TRY(mdb_cursor_open(txn, ix->blocks, &cur), "searching the index");
    rc = mdb_cursor_get(cur, &k, &v, MDB_SET);
    for (; rc == 0 && good < max; rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT_DUP)) {
        struct bdr_index_pack p;
        struct bdr_loc loc;

        if (!loc_decode(&v, id, &loc)) {
            rc = MDB_CORRUPTED;
            break;
        }
        rc = index_pack_by_no(ix, txn, loc.pack, &p);
        if (rc == MDB_NOTFOUND)
            continue; /* a pack that is gone */
        if (rc)
            break;
        if (p.condemned && n == max)
            continue; /* a better place may still come: condemned packs are the older ones */
        if (p.condemned) {
            out[n++] = loc;
        } else {
            n -= n == max;
            memmove(&out[good + 1], &out[good], (n - good) * sizeof(*out));
            out[good++] = loc;
            n++;
        }
    }
    mdb_cursor_close(cur);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "searching the index");
    *out_n = n;
    *out_condemned = n && !good;
    return NULL;
}

static int name_cmp(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

struct bdr_err *bdr_index_known(struct bdr_index *ix, const struct bdr_id *id, const uint8_t (*avoid)[16],
                                size_t avoid_n, bool *out)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    MDB_cursor *cur = NULL;
    MDB_val k = {BDR_ID_BYTES, (void *)(uintptr_t)id->b}, v;
    bool known = false;
    int rc;

    BDR_TRY(bdr_index_begin(ix, MDB_RDONLY, &txn));
    INDEX_TRY(mdb_cursor_open(txn, ix->blocks, &cur), "searching the index");
    rc = mdb_cursor_get(cur, &k, &v, MDB_SET);
    for (; rc == 0 && !known; rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT_DUP)) {
        struct bdr_index_pack p;
        struct bdr_loc loc;

        if (!loc_decode(&v, id, &loc)) {
            rc = MDB_CORRUPTED;
            break;
        }
        rc = index_pack_by_no(ix, txn, loc.pack, &p);
        if (rc == MDB_NOTFOUND)
            continue;
        if (rc)
            break;
        known = !p.condemned && !(avoid_n && bsearch(p.info.name, avoid, avoid_n, 16, name_cmp));
    }
    mdb_cursor_close(cur);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "searching the index");
    *out = known;
    return NULL;
}

struct bdr_err *bdr_index_add(struct bdr_index *ix, const struct bdr_pack_info *info, const struct bdr_pack_row *rows)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    BDR_AUTO(buf) struct bdr_buf b = {0};
    struct bdr_index_pack p = {.info = *info};
    MDB_val k = {4, (void *)(uintptr_t)"next"}, v;
    struct bdr_cur c;
    uint8_t no_be[4], no_le[4];
    uint64_t sum = 0;
    uint32_t old;
    int rc;

    BDR_TRY(bdr_index_begin(ix, 0, &txn));
    BDR_TRY(index_no_by_name(ix, txn, info->name, &old));
    if (old)
        return NULL;
    rc = mdb_get(txn, ix->meta, &k, &v);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "adding to the index");
    c = bdr_cur_of(rc ? NULL : v.mv_data, rc ? 0 : v.mv_size);
    p.no = bdr_cur_u32(&c) + 1;
    for (size_t i = 0; i < 4; i++)
        no_le[i] = (uint8_t)(p.no >> (8 * i));
    v = (MDB_val){4, no_le};
    INDEX_TRY(mdb_put(txn, ix->meta, &k, &v, 0), "adding to the index");
    k = (MDB_val){16, p.info.name};
    INDEX_TRY(bdr_index_put(txn, ix->names, &k, &v, &sum), "adding to the index");
    index_u32be(p.no, no_be);
    pack_encode(&p, &b);
    BDR_TRY(bdr_buf_check(&b));
    k = (MDB_val){4, no_be};
    v = (MDB_val){b.len, b.data};
    INDEX_TRY(bdr_index_put(txn, ix->packs, &k, &v, &sum), "adding to the index");
    for (uint32_t i = 0; i < info->rows; i++) {
        struct bdr_loc loc = {.pack = p.no, .row = i, .at = rows[i]};
        uint8_t raw[BDR_LOC_BYTES];

        loc_encode(&loc, raw);
        k = (MDB_val){BDR_ID_BYTES, loc.at.id.b};
        v = (MDB_val){BDR_LOC_BYTES, raw};
        INDEX_TRY(bdr_index_put(txn, ix->blocks, &k, &v, &sum), "adding to the index");
    }
    return bdr_index_commit(ix, BDR_STEAL(txn), sum);
}

struct bdr_err *bdr_index_drop(struct bdr_index *ix, const uint8_t name[16], const struct bdr_pack_row *rows)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    struct bdr_index_pack p;
    MDB_val k, v;
    uint8_t no_be[4], no_le[4];
    uint64_t sum = 0;
    uint32_t no;
    int rc;

    BDR_TRY(bdr_index_begin(ix, 0, &txn));
    BDR_TRY(index_no_by_name(ix, txn, name, &no));
    if (!no)
        return NULL;
    rc = index_pack_by_no(ix, txn, no, &p);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "removing from the index");
    for (uint32_t i = 0; !rc && rows && i < p.info.rows; i++) {
        struct bdr_loc loc = {.pack = no, .row = i, .at = rows[i]};
        uint8_t raw[BDR_LOC_BYTES];
        int gone;

        loc_encode(&loc, raw);
        k = (MDB_val){BDR_ID_BYTES, loc.at.id.b};
        v = (MDB_val){BDR_LOC_BYTES, raw};
        gone = bdr_index_del(txn, ix->blocks, &k, &v, &sum);
        if (gone && gone != MDB_NOTFOUND)
            return bdr_index_err(gone, BDR_AT, "removing from the index");
    }
    index_u32be(no, no_be);
    k = (MDB_val){4, no_be};
    rc = mdb_get(txn, ix->packs, &k, &v);
    if (!rc)
        rc = bdr_index_del(txn, ix->packs, &k, &v, &sum);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "removing from the index");
    for (size_t i = 0; i < 4; i++)
        no_le[i] = (uint8_t)(no >> (8 * i));
    k = (MDB_val){16, (void *)(uintptr_t)name};
    v = (MDB_val){4, no_le};
    INDEX_TRY(bdr_index_del(txn, ix->names, &k, &v, &sum), "removing from the index");
    return bdr_index_commit(ix, BDR_STEAL(txn), sum);
}

struct bdr_err *bdr_index_condemn(struct bdr_index *ix, const uint8_t name[16], bool condemned)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    BDR_AUTO(buf) struct bdr_buf b = {0};
    struct bdr_index_pack p;
    uint8_t no_be[4];
    MDB_val k = {4, no_be}, v;
    uint64_t sum = 0;
    uint32_t no;

    BDR_TRY(bdr_index_begin(ix, 0, &txn));
    BDR_TRY(index_no_by_name(ix, txn, name, &no));
    if (!no)
        return NULL;
    INDEX_TRY(index_pack_by_no(ix, txn, no, &p), "marking a pack");
    if (p.condemned == condemned)
        return NULL;
    p.condemned = condemned;
    pack_encode(&p, &b);
    BDR_TRY(bdr_buf_check(&b));
    index_u32be(no, no_be);
    INDEX_TRY(mdb_get(txn, ix->packs, &k, &v), "marking a pack");
    sum -= bdr_index_row_hash((uint8_t)ix->packs, &k, &v);
    v = (MDB_val){b.len, b.data};
    INDEX_TRY(bdr_index_put(txn, ix->packs, &k, &v, &sum), "marking a pack");
    return bdr_index_commit(ix, BDR_STEAL(txn), sum);
}

struct bdr_err *bdr_index_pack(struct bdr_index *ix, const uint8_t name[16], bool *out_found,
                               struct bdr_index_pack *out)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    uint32_t no;

    *out_found = false;
    BDR_TRY(bdr_index_begin(ix, MDB_RDONLY, &txn));
    BDR_TRY(index_no_by_name(ix, txn, name, &no));
    if (!no)
        return NULL;
    INDEX_TRY(index_pack_by_no(ix, txn, no, out), "finding a pack");
    *out_found = true;
    return NULL;
}

struct bdr_err *bdr_index_pack_no(struct bdr_index *ix, uint32_t no, bool *out_found, struct bdr_index_pack *out)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    int rc;

    BDR_TRY(bdr_index_begin(ix, MDB_RDONLY, &txn));
    rc = index_pack_by_no(ix, txn, no, out);
    *out_found = !rc;
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "finding a pack");
    return NULL;
}

struct bdr_err *bdr_index_packs(struct bdr_index *ix, struct bdr_index_pack **out, size_t *out_n)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    BDR_AUTO(mem) struct bdr_index_pack *all = NULL;
    MDB_cursor *cur = NULL;
    MDB_stat st;
    MDB_val k, v;
    size_t n = 0;
    int rc;

    BDR_TRY(bdr_index_begin(ix, MDB_RDONLY, &txn));
    INDEX_TRY(mdb_stat(txn, ix->packs, &st), "listing packs");
    all = calloc(st.ms_entries + 1, sizeof(*all));
    BDR_NOMEM_IF_NULL(all);
    INDEX_TRY(mdb_cursor_open(txn, ix->packs, &cur), "listing packs");
    while (!(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) && n < st.ms_entries) {
        const uint8_t *b = k.mv_data;

        if (k.mv_size != 4 ||
            !pack_decode(&v, (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3], &all[n])) {
            rc = MDB_CORRUPTED;
            break;
        }
        n++;
    }
    mdb_cursor_close(cur);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "listing packs");
    *out = BDR_STEAL(all);
    *out_n = n;
    return NULL;
}

static int row_cmp(const void *a, const void *b)
{
    const struct bdr_pack_row *x = a, *y = b;

    return x->off < y->off ? -1 : x->off > y->off;
}

struct bdr_err *bdr_index_rows(struct bdr_index *ix, uint32_t no, struct bdr_pack_row **out, uint32_t *out_n)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    BDR_AUTO(mem) struct bdr_pack_row *rows = NULL;
    struct bdr_index_pack p;
    MDB_cursor *cur = NULL;
    MDB_val k, v;
    uint32_t n = 0;
    int rc;

    BDR_TRY(bdr_index_begin(ix, MDB_RDONLY, &txn));
    INDEX_TRY(index_pack_by_no(ix, txn, no, &p), "finding a pack");
    rows = calloc(p.info.rows + 1u, sizeof(*rows));
    BDR_NOMEM_IF_NULL(rows);
    INDEX_TRY(mdb_cursor_open(txn, ix->blocks, &cur), "searching the index");
    while (!(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) && n < p.info.rows) {
        struct bdr_loc loc;
        struct bdr_id id;

        if (k.mv_size != sizeof(id)) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(&id, k.mv_data, sizeof(id));
        if (loc_decode(&v, &id, &loc) && loc.pack == no)
            rows[n++] = loc.at;
    }
    mdb_cursor_close(cur);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "searching the index");
    qsort(rows, n, sizeof(*rows), row_cmp);
    *out_n = n;
    *out = BDR_STEAL(rows);
    return NULL;
}

struct bdr_err *bdr_index_clear(struct bdr_index *ix)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    MDB_val k = {3, (void *)(uintptr_t)"sum"};
    int rc;

    BDR_TRY(bdr_index_begin(ix, 0, &txn));
    INDEX_TRY(mdb_drop(txn, ix->blocks, 0), "emptying the index");
    INDEX_TRY(mdb_drop(txn, ix->packs, 0), "emptying the index");
    INDEX_TRY(mdb_drop(txn, ix->names, 0), "emptying the index");
    INDEX_TRY(mdb_drop(txn, ix->blobs, 0), "emptying the index");
    rc = mdb_del(txn, ix->meta, &k, NULL);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "emptying the index");
    INDEX_TRY(mdb_txn_commit(BDR_STEAL(txn)), "emptying the index");
    return NULL;
}

struct bdr_err *bdr_index_blob_get(struct bdr_index *ix, const char *key, uint8_t **out, size_t *out_len)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    MDB_val k = {strlen(key), (void *)(uintptr_t)key}, v;
    uint8_t *copy;
    int rc;

    BDR_TRY(bdr_index_begin(ix, MDB_RDONLY, &txn));
    rc = mdb_get(txn, ix->blobs, &k, &v);
    *out = NULL;
    *out_len = 0;
    if (rc == MDB_NOTFOUND)
        return NULL;
    INDEX_TRY(rc, "reading the index");
    copy = malloc(v.mv_size + 1);
    BDR_NOMEM_IF_NULL(copy);
    memcpy(copy, v.mv_data, v.mv_size);
    *out_len = v.mv_size;
    *out = copy;
    return NULL;
}

struct bdr_err *bdr_index_blob_put(struct bdr_index *ix, const char *key, const void *data, size_t len)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    MDB_val k = {strlen(key), (void *)(uintptr_t)key}, v = {len, (void *)(uintptr_t)data};

    BDR_TRY(bdr_index_begin(ix, 0, &txn));
    INDEX_TRY(mdb_put(txn, ix->blobs, &k, &v, 0), "writing the index");
    INDEX_TRY(mdb_txn_commit(BDR_STEAL(txn)), "writing the index");
    return NULL;
}
