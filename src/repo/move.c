/* SPDX-License-Identifier: Apache-2.0 */
#include "move.h"

struct bdr_err *bdr_move_begin(struct bdr_repo *r, struct bdr_move *out)
{
    out->r = r;
    return bdr_unpacker_new(&r->env, repo_id_key(r), &out->unpack);
}

void bdr_move_end(struct bdr_move *m)
{
    for (int c = 0; c < BDR_PACK_CLASSES; c++)
        bdr_pack_abandon(BDR_STEAL(m->pack[c]));
    bdr_unpacker_free(BDR_STEAL(m->unpack));
}

static struct bdr_err *move_commit(struct bdr_move *m, int cls)
{
    BDR_AUTO(mem) struct bdr_pack_row *rows = NULL;
    struct bdr_pack_info info;

    if (!m->pack[cls])
        return NULL;
    BDR_TRY(bdr_pack_commit(BDR_STEAL(m->pack[cls]), &info, &rows));
    m->written_bytes += info.size_bytes;
    return bdr_index_add(m->r->index, &info, rows);
}

struct bdr_err *bdr_move_commit(struct bdr_move *m)
{
    for (int c = 0; c < BDR_PACK_CLASSES; c++)
        BDR_TRY(move_commit(m, c));
    return NULL;
}

struct bdr_err *bdr_move_row(struct bdr_move *m, const struct bdr_pack_info *from, const struct bdr_pack_row *row,
                             const uint8_t *body)
{
    int cls = from->cls;
    BDR_AUTO(mem) uint8_t *plain = malloc((size_t)row->stored + row->raw);
    size_t len = 0;

    BDR_NOMEM_IF_NULL(plain);
    BDR_TRY(bdr_unpack(m->unpack, from->salt, row, body, plain + row->stored));
    BDR_TRY(bdr_unpack_seal(m->unpack, from->salt, row, body, plain, &len));
    if (!m->pack[cls])
        BDR_TRY(bdr_pack_begin(&m->r->env, (enum bdr_pack_class)cls, &m->pack[cls]));
    BDR_TRY(bdr_pack_add(m->pack[cls], &row->id, (enum bdr_codec)row->codec, plain, len, row->raw));
    if (bdr_pack_bytes(m->pack[cls]) >= m->r->pack_bytes)
        BDR_TRY(move_commit(m, cls));
    return NULL;
}
