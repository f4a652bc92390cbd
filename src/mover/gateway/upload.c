/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload.c - blocks on their way: put collects a batch, a lane asks which of them are missing, compresses and sends those.
 *
 * The bytes of all batches together are bounded; put waits for room. A lane has one request at a time on one connection.
 */
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/sync.h"
#include "client.h"
#include <string.h>

/* ---- batches; all of it under the lock ---- */

void gwc_seal(struct gwc *g)
{
    struct gwc_batch *b = g->filling;

    if (!b)
        return;
    g->filling = NULL;
    if (g->tail)
        g->tail->next = b;
    else
        g->head = b;
    g->tail = b;
    pthread_cond_broadcast(&g->changed);
}

bool gwc_taken(const struct gwc *g, uint64_t seq)
{
    return !(g->filling && g->filling->seq <= seq) && !(g->head && g->head->seq <= seq);
}

static void batch_free(struct gwc *g, struct gwc_batch *b)
{
    if (b)
        g->batch_bytes -= b->cap;
    free(b);
}

/* Not to the allocator: it would keep a heap for each thread that ever freed one. */
static void batch_spare(struct gwc *g, struct gwc_batch *b)
{
    b->next = g->spare;
    g->spare = b;
}

void gwc_batches_free(struct gwc *g)
{
    pthread_mutex_lock(&g->lock);
    batch_free(g, BDR_STEAL(g->filling));
    while (g->head) {
        struct gwc_batch *b = g->head;

        g->head = b->next;
        batch_free(g, b);
    }
    while (g->spare) {
        struct gwc_batch *b = g->spare;

        g->spare = b->next;
        batch_free(g, b);
    }
    g->tail = NULL;
    pthread_mutex_unlock(&g->lock);
}

static void batch_remove(struct gwc *g, struct gwc_batch *b)
{
    struct gwc_batch **at = &g->head, *before = NULL;

    while (*at != b) {
        before = *at;
        at = &(*at)->next;
    }
    *at = b->next;
    if (g->tail == b)
        g->tail = before;
    batch_spare(g, b);
    pthread_cond_broadcast(&g->changed);
}

static bool batch_has(const struct gwc_batch *b, const struct bdr_id *id)
{
    for (unsigned i = 0; b && i < b->n; i++)
        if (!memcmp(&b->block[i].id, id, sizeof(*id)))
            return true;
    return false;
}

/* On its way already? Disks have the same block many times in a row. */
static bool put_under_way(const struct gwc *g, const struct bdr_id *id)
{
    if (batch_has(g->filling, id))
        return true;
    for (const struct gwc_batch *b = g->head; b; b = b->next)
        if (batch_has(b, id))
            return true;
    return false;
}

/* A batch with room for len bytes. *out NULL: none yet, wait. */
static struct bdr_err *put_room(struct gwc *g, size_t len, struct gwc_batch **out)
{
    size_t cap = BDR_MAX(GWC_BATCH_BYTES, (size_t)g->block_bytes);
    struct gwc_batch *b = g->filling;

    *out = NULL;
    if (b && (b->n == GWC_BATCH_BLOCKS || b->cap - b->raw_len < len)) {
        gwc_seal(g);
        b = NULL;
    }
    if (!b && g->spare) {
        b = g->spare;
        g->spare = b->next;
    } else if (!b && g->batch_bytes + cap <= g->batch_max) {
        b = malloc(sizeof(*b) + cap);
        BDR_NOMEM_IF_NULL(b);
        g->batch_bytes += cap;
    } else {
        *out = b;
        return NULL;
    }
    memset(b, 0, sizeof(*b));
    b->cap = cap;
    b->seq = ++g->seq;
    g->filling = b;
    *out = b;
    return NULL;
}

/* *out_done false: there is no room now. */
static struct bdr_err *put_try(struct gwc *g, const struct bdr_id *id, const void *data, size_t len, bool counted,
                               bool *out_done)
{
    struct gwc_batch *b = NULL;

    *out_done = put_under_way(g, id);
    if (*out_done) {
        atomic_fetch_add(&g->bytes_known, len);
        return NULL;
    }
    BDR_TRY(put_room(g, len, &b));
    *out_done = b != NULL;
    if (!b)
        return NULL;
    memcpy(b->raw + b->raw_len, data, len);
    b->block[b->n++] =
        (struct gwc_block){.id = *id, .off = (uint32_t)b->raw_len, .len = (uint32_t)len, .counted = counted};
    b->raw_len += len;
    if (b->n == GWC_BATCH_BLOCKS || b->cap - b->raw_len < g->block_bytes)
        gwc_seal(g);
    return NULL;
}

struct bdr_err *gwc_put(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                        const void *data, size_t len, bool *out_new)
{
    const struct gwc_run *r = (const struct gwc_run *)run;
    size_t at = (size_t)(block - r->first);
    struct gwc *g = gwc_of(s);
    bool same = !memcmp(&r->base[at], id, sizeof(*id)), done = false;

    *out_new = false;
    if (same && r->there[at]) {
        atomic_fetch_add(&g->bytes_known, len);
        return NULL;
    }
    while (!done) {
        struct bdr_err *err = NULL;

        BDR_TRY(gwc_check(g));
        pthread_mutex_lock(&g->lock);
        /* What the base has and the gateway has not was lost; it is told as new at once. */
        err = put_try(g, id, data, len, same && r->map->mode == BDR_MAP_FULL, &done);
        if (!err && !done && !g->failed)
            bdr_cond_wait_slice(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
        BDR_TRY(err);
    }
    *out_new = same && r->map->mode == BDR_MAP_FULL;
    return NULL;
}

struct bdr_err *gwc_keep(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                         size_t len, bool *out_kept)
{
    const struct gwc_run *r = (const struct gwc_run *)run;
    size_t at = (size_t)(block - r->first);

    *out_kept = r->there[at] && !memcmp(&r->base[at], id, sizeof(*id));
    if (*out_kept)
        atomic_fetch_add(&gwc_of(s)->bytes_known, len);
    return NULL;
}

/* ---- asking and sending ---- */

struct bdr_err *gwc_ask(struct gwc *g, const struct bdr_cancel *cancel, const struct bdr_id *ids, size_t n,
                        uint8_t *bits)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};

    BDR_TRY(gwc_call(g, "POST", "./ask",
                     &(struct bdr_http_call){.type = "application/octet-stream", .body = ids,
                                             .body_len = n * sizeof(*ids), .cancel = cancel},
                     &reply));
    if (reply.body.len != (n + 7) / 8)
        BDR_FAIL(BDR_INVAL, 0, "the gateway answered with %zu bytes about %zu blocks", reply.body.len, n);
    if (n)
        memcpy(bits, reply.body.data, reply.body.len);
    return NULL;
}

/* A body that goes out no faster than it may. */
struct lane_body {
    struct gwc *g;
    const struct bdr_buf *buf;
    size_t at;
};

static struct bdr_err *lane_read(void *ctx, void *to, size_t cap, size_t *out_len)
{
    struct lane_body *b = ctx;
    uint64_t bps = b->g->config.bandwidth_bps ? atomic_load(b->g->config.bandwidth_bps) : 0;
    size_t n = BDR_MIN(cap, b->buf->len - b->at);

    if (bps) /* a tenth of a second's worth, so that a new limit is felt at once */
        n = BDR_MIN(n, (size_t)BDR_MAX(bps / 10, (uint64_t)1024));
    BDR_TRY(bdr_pace_take(&b->g->pace, bps, n, &b->g->stop));
    memcpy(to, b->buf->data + b->at, n);
    b->at += n;
    atomic_fetch_add(&b->g->sent_bytes, n);
    *out_len = n;
    return NULL;
}

static struct bdr_err *lane_rewind(void *ctx)
{
    ((struct lane_body *)ctx)->at = 0;
    return NULL;
}

static struct bdr_err *lane_frame(struct bdr_encoder *e, const struct gwc_batch *b,
                                  const struct gwc_block *block, struct bdr_buf *body)
{
    struct bdr_frame f = {.raw_len = block->len};
    enum bdr_codec codec = BDR_CODEC_NONE;
    size_t n = 0, start = body->len;
    uint8_t *to;
    uint32_t crc;

    bdr_buf_reserve(body, BDR_FRAME_HEAD_BYTES + bdr_encoder_bound(block->len) + BDR_FRAME_TAIL_BYTES);
    BDR_TRY(bdr_buf_check(body));
    to = body->data + start + BDR_FRAME_HEAD_BYTES;
    BDR_TRY(bdr_encoder_pack(e, b->raw + block->off, block->len, to, &codec, &n));
    if (codec == BDR_CODEC_NONE)
        memcpy(to, b->raw + block->off, block->len);
    memcpy(f.id, block->id.b, sizeof(f.id));
    f.codec = (uint8_t)codec;
    f.payload_len = (uint32_t)n;
    bdr_frame_head(&f, body->data + start);
    body->len = start + BDR_FRAME_HEAD_BYTES + n;
    crc = bdr_crc32c(0, body->data + start, body->len - start);
    bdr_buf_u32(body, crc);
    return bdr_buf_check(body);
}

static struct bdr_err *lane_send(struct gwc *g, const struct bdr_buf *body, unsigned frames)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    BDR_AUTO(json) json_t *o = NULL;
    struct lane_body source = {.g = g, .buf = body};

    BDR_TRY(gwc_call(g, "POST", "./blocks",
                     &(struct bdr_http_call){.type = "application/octet-stream", .body_len = body->len,
                                             .source = lane_read, .rewind = lane_rewind, .source_ctx = &source,
                                             .cancel = &g->stop},
                     &reply));
    BDR_TRY(bdr_json_read((const char *)reply.body.data, reply.body.len, &o));
    if (json_integer_value(json_object_get(o, "frames")) != (json_int_t)frames)
        BDR_FAIL(BDR_NET, 0, "the gateway took %lld of %u blocks",
                 (long long)json_integer_value(json_object_get(o, "frames")), frames);
    atomic_fetch_add(&g->bytes_stored, (uint64_t)json_integer_value(json_object_get(o, "stored_bytes")));
    if (g->opt.stored_bytes)
        atomic_fetch_add(g->opt.stored_bytes, (uint64_t)json_integer_value(json_object_get(o, "stored_bytes")));
    return NULL;
}

static struct bdr_err *lane_batch(struct gwc *g, struct bdr_encoder *e, const struct gwc_batch *b, struct bdr_buf *body)
{
    struct bdr_id ids[GWC_BATCH_BLOCKS];
    uint8_t bits[GWC_BATCH_BLOCKS / 8] = {0};
    uint64_t fresh = 0, told = 0;
    struct bdr_err *err = NULL;
    unsigned frames = 0;

    for (unsigned i = 0; i < b->n; i++)
        ids[i] = b->block[i].id;
    BDR_TRY(gwc_ask(g, &g->stop, ids, b->n, bits));
    body->len = 0;
    for (unsigned i = 0; i < b->n && !err; i++) {
        if (bits[i / 8] >> (i % 8) & 1) {
            atomic_fetch_add(&g->bytes_known, b->block[i].len);
            continue;
        }
        err = lane_frame(e, b, &b->block[i], body);
        frames++;
        fresh += b->block[i].len;
        told += b->block[i].counted ? b->block[i].len : 0;
    }
    BDR_TRY(err);
    if (!frames)
        return NULL;
    BDR_TRY(lane_send(g, body, frames));
    atomic_fetch_add(&g->bytes_new, fresh);
    if (g->opt.new_bytes)
        atomic_fetch_add(g->opt.new_bytes, fresh - told);
    return NULL;
}

static struct gwc_batch *lane_take(struct gwc *g)
{
    struct gwc_batch *b = NULL;

    pthread_mutex_lock(&g->lock);
    while (!bdr_cancelled(&g->stop)) {
        for (b = g->head; b && b->taken; b = b->next)
            ;
        if (b)
            break;
        bdr_cond_wait_slice(&g->changed, &g->lock);
    }
    if (b)
        b->taken = true;
    pthread_mutex_unlock(&g->lock);
    return b;
}

void gwc_lane(struct gwc *g)
{
    BDR_AUTO(encoder) struct bdr_encoder *e = NULL;
    BDR_AUTO(buf) struct bdr_buf body = {0};
    struct gwc_batch *b;

    gwc_fail(g, bdr_encoder_new(g->compress, NULL, &e)); /* it gives no ids */
    /* At once and once: growing by doubling would leave holes of all sizes. What does not compress is as long as it was. */
    bdr_buf_reserve(&body, BDR_MAX(GWC_BATCH_BYTES, (size_t)g->block_bytes) +
                               GWC_BATCH_BLOCKS * (BDR_FRAME_HEAD_BYTES + BDR_FRAME_TAIL_BYTES) +
                               bdr_encoder_bound(g->block_bytes));
    while ((b = lane_take(g)) != NULL) {
        struct bdr_err *err = lane_batch(g, e, b, &body);

        gwc_fail(g, err);
        pthread_mutex_lock(&g->lock);
        batch_remove(g, b);
        pthread_mutex_unlock(&g->lock);
    }
}
