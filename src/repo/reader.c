/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include <stdio.h>
#include <string.h>

#define READER_PLACES 4              /* places of one block that are tried */
#define READER_PASSES 5              /* how often packs may vanish under one read */
#define READER_PIECE (4u << 20)      /* largest single read */
#define READER_GAP (64u << 10)       /* read over a gap rather than ask twice */

struct bdr_reader {
    struct bdr_reader *next;
    struct bdr_unpacker *unpack;
    struct bdr_buf io;
    struct reader_place *place;
    size_t cap;
};

/* A want with where it lies. */
struct reader_place {
    struct bdr_want *want;
    struct bdr_loc loc[READER_PLACES];
    struct bdr_index_pack pack;
    size_t n, tried;
};

static struct bdr_err *reader_get(struct bdr_repo *repo, struct bdr_reader **out)
{
    struct bdr_reader *r;
    struct bdr_err *err;

    pthread_mutex_lock(&repo->lock);
    r = repo->readers;
    if (r)
        repo->readers = r->next;
    pthread_mutex_unlock(&repo->lock);
    if (!r) {
        r = calloc(1, sizeof(*r));
        BDR_NOMEM_IF_NULL(r);
        err = bdr_unpacker_new(&repo->env, repo_id_key(repo), &r->unpack);
        if (err) {
            free(r);
            return err;
        }
    }
    *out = r;
    return NULL;
}

static void reader_put(struct bdr_repo *repo, struct bdr_reader *r)
{
    pthread_mutex_lock(&repo->lock);
    r->next = repo->readers;
    repo->readers = r;
    pthread_mutex_unlock(&repo->lock);
}

void bdr_readers_free(struct bdr_repo *repo)
{
    while (repo->readers) {
        struct bdr_reader *r = repo->readers;

        repo->readers = r->next;
        bdr_unpacker_free(r->unpack);
        bdr_buf_free(&r->io);
        free(r->place);
        free(r);
    }
}

static void want_fail(struct bdr_want *w, struct bdr_err *err)
{
    w->err = bdr_err_first(w->err, err);
}

static int place_cmp(const void *a, const void *b)
{
    const struct reader_place *x = a, *y = b;
    const struct bdr_loc *p = &x->loc[x->tried], *q = &y->loc[y->tried];

    if (p->pack != q->pack)
        return p->pack < q->pack ? -1 : 1;
    return p->at.off < q->at.off ? -1 : p->at.off > q->at.off;
}

/* Finds the places of a want; sets its error when there are none. */
static struct bdr_err *place_find(struct bdr_repo *repo, struct reader_place *p)
{
    bool condemned;
    char hex[65];

    BDR_TRY(bdr_index_find(repo->index, &p->want->id, p->loc, READER_PLACES, &p->n, &condemned));
    p->tried = 0;
    if (!p->n)
        want_fail(p->want, bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "block %.16s is in no pack of this repository",
                                       bdr_hex(p->want->id.b, 32, hex)));
    return NULL;
}

static struct bdr_err *reader_pack(struct bdr_repo *repo, uint32_t no, struct bdr_index_pack *out);

/* Decodes one want from the piece that was read. */
static struct bdr_err *place_decode(struct bdr_reader *r, struct reader_place *p, const struct bdr_index_pack *pack,
                                    const uint8_t *piece, uint64_t piece_off)
{
    const struct bdr_pack_row *row = &p->loc[p->tried].at;
    char key[BDR_PACK_KEY_CHARS];

    bdr_pack_key(pack->info.name, key);
    if (row->raw != p->want->raw)
        BDR_FAIL(BDR_CORRUPT, 0, "%s at %u: the block has %u bytes instead of %u", key, row->off, row->raw, p->want->raw);
    BDR_TRY_FOR(bdr_unpack(r->unpack, pack->info.salt, row, piece + (row->off - piece_off), p->want->dst), "%s at %u",
                key, row->off);
    return NULL;
}

/* Reads and decodes places[0..n), which lie in one pack within one piece. Failures stay in `failed`. */
static struct bdr_err *piece_read(struct bdr_repo *repo, struct bdr_reader *r, struct reader_place *place, size_t n)
{
    const struct bdr_loc *first = &place[0].loc[place[0].tried], *last = &place[n - 1].loc[place[n - 1].tried];
    uint64_t off = first->at.off, end = 0;
    struct bdr_index_pack pack;
    char key[BDR_PACK_KEY_CHARS];
    struct bdr_err *err;
    size_t got = 0;

    (void)last;
    for (size_t i = 0; i < n; i++)
        end = BDR_MAX(end, (uint64_t)place[i].loc[place[i].tried].at.off + place[i].loc[place[i].tried].at.stored);
    r->io.len = 0;
    bdr_buf_reserve(&r->io, (size_t)(end - off));
    BDR_TRY(bdr_buf_check(&r->io));
    err = reader_pack(repo, first->pack, &pack);
    if (!err) {
        bdr_pack_key(pack.info.name, key);
        err = bdr_store_get(repo->store, key, off, r->io.data, (size_t)(end - off), &got);
    }
    if (!err && got < end - off && got == 0)
        err = bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "%s is cut short", key);
    for (size_t i = 0; i < n; i++) {
        const struct bdr_pack_row *row = &place[i].loc[place[i].tried].at;
        struct bdr_err *e;

        if (err)
            e = bdr_err_new(err->code == BDR_RANGE ? BDR_CORRUPT : err->code, err->sys, BDR_AT, "%s", err->msg);
        else if (row->off - off + row->stored > got)
            e = bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "%s is cut short before %u", key, row->off + row->stored);
        else
            e = place_decode(r, &place[i], &pack, r->io.data, off);
        place[i].tried++;
        if (!e) {
            bdr_err_free(place[i].want->err);
            place[i].want->err = NULL;
            place[i].n = 0;
        } else {
            want_fail(place[i].want, e);
        }
    }
    bdr_err_drop(err, "given to each block");
    return NULL;
}

static struct bdr_err *reader_pack(struct bdr_repo *repo, uint32_t no, struct bdr_index_pack *out)
{
    bool found = false;

    BDR_TRY(bdr_index_pack_no(repo->index, no, &found, out));
    if (!found)
        BDR_FAIL(BDR_NOTFOUND, 0, "the pack was pruned meanwhile");
    return NULL;
}

/* One round over the places not yet served: sorts them by pack and offset and reads neighbours together. */
static struct bdr_err *reader_round(struct bdr_repo *repo, struct bdr_reader *r, size_t n, size_t *out_left)
{
    size_t todo = 0;

    for (size_t i = 0; i < n; i++)
        if (r->place[i].tried < r->place[i].n) {
            struct reader_place t = r->place[i];

            r->place[i] = r->place[todo];
            r->place[todo++] = t;
        }
    qsort(r->place, todo, sizeof(r->place[0]), place_cmp);
    for (size_t i = 0, j; i < todo; i = j) {
        uint64_t from = r->place[i].loc[r->place[i].tried].at.off;
        uint64_t end = from + r->place[i].loc[r->place[i].tried].at.stored;

        for (j = i + 1; j < todo; j++) {
            const struct bdr_loc *a = &r->place[i].loc[r->place[i].tried], *b = &r->place[j].loc[r->place[j].tried];

            if (a->pack != b->pack || b->at.off > end + READER_GAP || b->at.off + b->at.stored - from > READER_PIECE)
                break;
            end = BDR_MAX(end, (uint64_t)b->at.off + b->at.stored);
        }
        BDR_TRY(bdr_cancel_check(repo->cancel));
        BDR_TRY(piece_read(repo, r, r->place + i, j - i));
    }
    *out_left = 0;
    for (size_t i = 0; i < n; i++)
        *out_left += r->place[i].tried < r->place[i].n;
    return NULL;
}

/* A block that is in no pack we know: another process may have stored it. Looking again is cheap once, so not more
 * often than every 5 s; but at once when a pack has vanished (prune moved its blocks), which ends by itself. */
static bool reader_resync(struct bdr_repo *repo, bool at_once)
{
    uint64_t now = bdr_clock_mono_ms();
    bool due;

    pthread_mutex_lock(&repo->lock);
    due = at_once || !repo->synced_ms || now - repo->synced_ms > 5000;
    if (due)
        repo->synced_ms = now;
    pthread_mutex_unlock(&repo->lock);
    if (due)
        bdr_err_drop(bdr_repo_sync(repo, NULL, NULL), "the first error tells more");
    return due;
}

static struct bdr_err *reader_run(struct bdr_repo *repo, struct bdr_reader *r, struct bdr_want *want, size_t n)
{
    size_t left = n;

    if (r->cap < n) {
        struct reader_place *more = reallocarray(r->place, n, sizeof(*more));

        BDR_NOMEM_IF_NULL(more);
        r->place = more;
        r->cap = n;
    }
    for (int pass = 0; pass < READER_PASSES; pass++) {
        size_t m = 0;
        bool again = false, gone = false;

        for (size_t i = 0; i < n; i++) {
            if (pass && !want[i].err)
                continue;
            bdr_err_drop(BDR_STEAL(want[i].err), "looked for once more");
            r->place[m] = (struct reader_place){.want = &want[i]};
            BDR_TRY(place_find(repo, &r->place[m++]));
        }
        for (size_t i = 0; i < READER_PLACES && left; i++)
            BDR_TRY(reader_round(repo, r, m, &left));
        for (size_t i = 0; i < n; i++) {
            gone |= want[i].err && want[i].err->code == BDR_NOTFOUND;
            again |= want[i].err && want[i].err->code == BDR_CORRUPT;
        }
        if ((!again && !gone) || !reader_resync(repo, gone))
            break;
        left = n;
    }
    for (size_t i = 0; i < n; i++)
        if (want[i].err && want[i].err->code == BDR_NOTFOUND)
            want[i].err = bdr_err_recode(want[i].err, BDR_CORRUPT, BDR_AT, "a pack is missing");
    return NULL;
}

struct bdr_err *bdr_blocks_read(struct bdr_repo *repo, struct bdr_want *want, size_t n)
{
    struct bdr_reader *r = NULL;
    struct bdr_err *err;

    for (size_t i = 0; i < n; i++)
        want[i].err = NULL;
    BDR_TRY(reader_get(repo, &r));
    err = reader_run(repo, r, want, n);
    reader_put(repo, r);
    for (size_t i = 0; err && i < n; i++) {
        bdr_err_drop(want[i].err, "the whole call failed");
        want[i].err = NULL;
    }
    return err;
}

struct bdr_err *bdr_block_read(struct bdr_repo *repo, const struct bdr_id *id, void *dst, size_t max, size_t *out_len)
{
    struct bdr_loc loc[READER_PLACES];
    struct bdr_want want = {.id = *id, .dst = dst};
    bool condemned;
    size_t n = 0;

    BDR_TRY(bdr_index_find(repo->index, id, loc, READER_PLACES, &n, &condemned));
    if (!n && reader_resync(repo, false))
        BDR_TRY(bdr_index_find(repo->index, id, loc, READER_PLACES, &n, &condemned));
    if (!n) {
        char hex[65];

        BDR_FAIL(BDR_CORRUPT, 0, "block %.16s is in no pack of this repository", bdr_hex(id->b, 32, hex));
    }
    if (loc[0].at.raw > max)
        BDR_FAIL(BDR_CORRUPT, 0, "a block has %u bytes, more than the %zu it may have", loc[0].at.raw, max);
    want.raw = loc[0].at.raw;
    BDR_TRY(bdr_blocks_read(repo, &want, 1));
    if (!want.err)
        *out_len = want.raw;
    return want.err;
}
