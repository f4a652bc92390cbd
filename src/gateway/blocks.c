/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocks.c - frames come in, ids are computed here, payloads go into packs as they came.
 *
 * A request holds room for one frame, encoded and decoded, for as long as it runs; without room it does not read. After
 * a cut line its old requests seem to run until the server gives them up: a new one of the session pushes them out.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/session.h"
#include "bdr/sync.h"
#include "gw_i.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BLOCKS_NOTED 64u   /* told to the table of possession at once */
#define PUSH_MS      1000u /* an upload that heard nothing for so long makes place for a new one of its session */

static struct gw_share **room_share(struct gw_room *r, const char *machine)
{
    struct gw_share **at = &r->shares;

    while (*at && strcmp((*at)->machine, machine) != 0)
        at = &(*at)->next;
    return at;
}

/* Is there room, for everybody and for this one? */
static bool room_fits(struct gw_room *r, const char *machine, uint64_t bytes)
{
    const struct gw_share *share = *room_share(r, machine);

    return r->used + bytes <= r->max && (!share || share->used + bytes <= r->max - r->max / 4);
}

bool gw_room_take(struct gw_room *r, const char *machine, uint64_t bytes, const struct bdr_cancel *cancel)
{
    uint64_t deadline = bdr_clock_mono_ms() + GW_ROOM_MS;
    struct gw_share *fresh = calloc(1, sizeof(*fresh)), **at;
    bool got = false;

    if (!fresh)
        return false;
    snprintf(fresh->machine, sizeof(fresh->machine), "%s", machine);
    pthread_mutex_lock(&r->lock);
    bytes = BDR_MIN(bytes, r->max);
    while (!(got = room_fits(r, machine, bytes)) && !bdr_cancelled(cancel) && bdr_clock_mono_ms() < deadline)
        bdr_cond_wait_slice(&r->changed, &r->lock);
    if (got) {
        at = room_share(r, machine);
        if (!*at) {
            *at = fresh;
            fresh = NULL;
        }
        (*at)->used += bytes;
        r->used += bytes;
    }
    pthread_mutex_unlock(&r->lock);
    free(fresh);
    return got;
}

void gw_room_give(struct gw_room *r, const char *machine, uint64_t bytes)
{
    struct gw_share **at, *empty = NULL;

    pthread_mutex_lock(&r->lock);
    bytes = BDR_MIN(bytes, r->max);
    at = room_share(r, machine);
    BDR_ASSERT(*at);
    (*at)->used -= bytes;
    if (!(*at)->used) {
        empty = *at;
        *at = empty->next;
    }
    r->used -= bytes;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    free(empty);
}

/* ---- one upload ---- */

struct upload {
    struct gw_upload seen; /* by its session */
    struct gw *gw;
    struct gw_session *s;
    struct bdr_req *req;
    struct gw_coder *coder;
    uint8_t *payload, *raw; /* payload: head, payload, checksum */
    uint64_t until_ms;
    struct gw_owned noted[BLOCKS_NOTED];
    size_t n_noted;
    uint64_t frames, fresh, stored;
    unsigned status; /* of the refusal; 0: none */
    char why[256];
};

/* Tells the table what of this request was stored. */
static struct bdr_err *upload_note(struct upload *u)
{
    size_t n = u->n_noted;

    u->n_noted = 0;
    return gw_possess_add(u->s->repo->owners, u->s->host, u->noted, n, false, bdr_clock_wall_ms());
}

static void upload_refuse(struct upload *u, unsigned status, const char *why)
{
    u->status = status;
    snprintf(u->why, sizeof(u->why), "Frame %" PRIu64 " of this body: %s.", u->frames, why);
}

/* Exactly len bytes; *out_end: the body ended before the first of them. */
static struct bdr_err *upload_read(struct upload *u, uint8_t *to, size_t len, bool *out_end)
{
    size_t at = 0, n = 1;

    *out_end = false;
    while (at < len) {
        if (bdr_clock_mono_ms() > u->until_ms) {
            upload_refuse(u, 408, "it took too long to come; send less in one request");
            return NULL;
        }
        if (atomic_load(&u->s->ended))
            BDR_FAIL(BDR_CANCELLED, 0, "the session has ended");
        atomic_store(&u->seen.heard_ms, bdr_clock_mono_ms()); /* from now on we wait for the client */
        BDR_TRY(bdr_req_read(u->req, to + at, len - at, &n));
        atomic_store(&u->seen.heard_ms, UINT64_MAX);
        if (!n && !at) {
            *out_end = true;
            return NULL;
        }
        if (!n) {
            upload_refuse(u, 422, "it is cut short");
            return NULL;
        }
        at += n;
        BDR_TRY(bdr_pace_take(&u->s->pace, atomic_load(&u->s->bandwidth_bps), n, &u->s->cancel));
        BDR_TRY(bdr_pace_take(&u->gw->pace, u->gw->limits.bandwidth_bps, n, &u->s->cancel));
    }
    return NULL;
}

/* What the frame says, checked against what its bytes are. */
static struct bdr_err *upload_check(struct upload *u, const struct bdr_frame *f, const uint8_t *whole)
{
    const uint8_t *payload = whole + BDR_FRAME_HEAD_BYTES, *data = payload;
    size_t len = BDR_FRAME_HEAD_BYTES + f->payload_len;
    struct bdr_cur tail = bdr_cur_of(whole + len, BDR_FRAME_TAIL_BYTES);
    struct bdr_err *err;
    struct bdr_id id;

    if (bdr_cur_u32(&tail) != bdr_crc32c(0, whole, len)) {
        upload_refuse(u, 422, "its checksum is wrong");
        return NULL;
    }
    if (f->codec == BDR_CODEC_NONE && f->payload_len != f->raw_len) {
        upload_refuse(u, 422, "a plain payload has the block's length");
        return NULL;
    }
    if (f->codec != BDR_CODEC_NONE) {
        err = bdr_encoder_unpack(u->coder->e, f->codec, payload, f->payload_len, u->raw, f->raw_len);
        if (err && err->code != BDR_CORRUPT)
            return err;
        if (err) {
            bdr_err_drop(err, "told");
            upload_refuse(u, 422, "its payload does not decompress to what it says");
            return NULL;
        }
        data = u->raw;
    }
    BDR_TRY(bdr_encoder_id(u->coder->e, data, f->raw_len, &id));
    if (memcmp(id.b, f->id, sizeof(id.b)) != 0)
        upload_refuse(u, 422, "its id is not that of its bytes");
    return NULL;
}

static struct bdr_err *upload_store(struct upload *u, const struct bdr_frame *f, const uint8_t *payload)
{
    struct bdr_err *err = NULL;
    struct bdr_id id;
    bool fresh = false;

    memcpy(id.b, f->id, sizeof(id.b));
    pthread_rwlock_rdlock(&u->s->puts);
    if (atomic_load(&u->s->ended) || !u->s->s)
        err = bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
    else
        err = bdr_session_put_encoded(u->s->s, &id, (enum bdr_codec)f->codec, payload, f->payload_len, f->raw_len,
                                      &fresh);
    pthread_rwlock_unlock(&u->s->puts);
    BDR_TRY(err);
    u->noted[u->n_noted++] = (struct gw_owned){id, f->raw_len};
    u->frames++;
    u->fresh += fresh;
    u->stored += fresh ? f->payload_len : 0;
    atomic_store(&u->s->last_ms, bdr_clock_mono_ms());
    atomic_fetch_add(&u->gw->frames, 1);
    atomic_fetch_add(&u->gw->frame_bytes, f->payload_len);
    atomic_fetch_add(&u->gw->blocks_new, fresh);
    return u->n_noted == BLOCKS_NOTED ? upload_note(u) : NULL;
}

/* *out_end: the body is over, or refused. */
static struct bdr_err *upload_frame(struct upload *u, bool *out_end)
{
    struct bdr_frame f;
    struct bdr_err *err;
    bool cut = false;

    BDR_TRY(upload_read(u, u->payload, BDR_FRAME_HEAD_BYTES, out_end));
    if (*out_end || u->status)
        return NULL;
    err = bdr_frame_parse(u->payload, u->s->repo->block_bytes, &f);
    if (err) {
        upload_refuse(u, 422, err->msg);
        bdr_err_drop(err, "told");
        return NULL;
    }
    BDR_TRY(upload_read(u, u->payload + BDR_FRAME_HEAD_BYTES, f.payload_len + BDR_FRAME_TAIL_BYTES, &cut));
    if (cut)
        upload_refuse(u, 422, "it is cut short");
    if (!u->status)
        BDR_TRY(upload_check(u, &f, u->payload));
    return u->status ? NULL : upload_store(u, &f, u->payload + BDR_FRAME_HEAD_BYTES);
}

static struct bdr_err *upload_all(struct upload *u)
{
    struct bdr_err *err = NULL, *noted;
    bool end = false;

    while (!err && !end && !u->status)
        err = upload_frame(u, &end);
    noted = upload_note(u); /* what came before the trouble counts */
    return bdr_err_first(err, noted);
}

static struct bdr_err *upload_go(struct upload *u)
{
    uint32_t block = u->s->repo->block_bytes;
    uint64_t room = 2ull * block;
    struct bdr_err *err;

    if (!gw_room_take(&u->gw->room, u->s->machine, room, &u->s->cancel))
        return gw_problem(u->req, 503, BDR_THROTTLED, "There is no room for more blocks at the moment.");
    u->payload = malloc(BDR_FRAME_HEAD_BYTES + block + BDR_FRAME_TAIL_BYTES);
    u->raw = malloc(block);
    err = u->payload && u->raw ? gw_coder_take(u->s->repo, &u->coder)
                               : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "taking blocks");
    if (!err) {
        err = upload_all(u);
        gw_coder_give(u->s->repo, u->coder);
    }
    free(u->payload);
    free(u->raw);
    gw_room_give(&u->gw->room, u->s->machine, room);
    BDR_TRY(gw_answer_err(u->req, err));
    if (bdr_req_answered(u->req))
        return NULL;
    if (u->status)
        return gw_problem(u->req, u->status, u->status == 408 ? BDR_TIMEOUT : BDR_INVAL, "%s", u->why);
    return gw_send_json(u->req, 200,
                        json_pack("{s:I,s:I,s:I}", "frames", (json_int_t)u->frames, "new", (json_int_t)u->fresh,
                                  "stored_bytes", (json_int_t)u->stored));
}

/* Of a session's uploads the one that has waited longest for its client makes place. Under s->lock; false: all hear. */
static bool upload_push(struct gw_session *s)
{
    struct gw_upload *silent = NULL;
    uint64_t since = bdr_clock_mono_ms() - PUSH_MS;

    for (struct gw_upload *u = s->running; u; u = u->next)
        if (!u->pushed && atomic_load(&u->heard_ms) <= since) {
            since = atomic_load(&u->heard_ms);
            silent = u;
        }
    if (!silent)
        return false;
    silent->pushed = true;
    s->uploads--;
    bdr_req_cut(silent->req);
    return true;
}

static bool upload_begin(struct gw_session *s, struct gw_upload *u, unsigned most)
{
    bool room;

    pthread_mutex_lock(&s->lock);
    room = s->uploads < most || upload_push(s);
    if (room) {
        s->uploads++;
        u->next = s->running;
        s->running = u;
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

static void upload_end(struct gw_session *s, struct gw_upload *u)
{
    struct gw_upload **at = &s->running;

    pthread_mutex_lock(&s->lock);
    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    s->uploads -= !u->pushed;
    pthread_mutex_unlock(&s->lock);
}

struct bdr_err *gw_blocks_run(struct bdr_req *req, const void *in, void *out)
{
    struct gw *gw = gw_of_req(req);
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    BDR_AUTO(mem) struct upload *u = calloc(1, sizeof(*u));
    struct bdr_err *err;

    (void)in;
    (void)out;
    BDR_NOMEM_IF_NULL(u);
    BDR_TRY(gw_session_of(gw, req, &s));
    if (!s)
        return NULL;
    u->seen.req = req;
    atomic_store(&u->seen.heard_ms, UINT64_MAX);
    if (!upload_begin(s, &u->seen, gw->limits.connections))
        GW_REFUSE(req, 429, BDR_THROTTLED, "This session has %u uploads running already.", gw->limits.connections);
    u->gw = gw;
    u->s = s;
    u->req = req;
    u->until_ms = bdr_clock_mono_ms() + GW_UPLOAD_MS;
    err = upload_go(u);
    upload_end(s, &u->seen);
    return err;
}

/* ---- asking, reading back ---- */

/* A block need not be sent when this host possesses it and the repository has it where a new point may refer to it. */
static struct bdr_err *ask_bits(struct gw_session *s, const uint8_t *ids, size_t n, uint8_t *bits)
{
    BDR_AUTO(mem) struct gw_owned *blocks = calloc(n + 1, sizeof(*blocks));
    struct bdr_err *err = NULL;

    BDR_NOMEM_IF_NULL(blocks);
    for (size_t i = 0; i < n; i++)
        memcpy(blocks[i].id.b, ids + i * BDR_WIRE_ID_BYTES, BDR_WIRE_ID_BYTES);
    BDR_TRY(gw_possess_look(s->repo->owners, s->host, blocks, n));
    pthread_rwlock_rdlock(&s->puts);
    for (size_t i = 0; i < n && !err; i++) {
        bool has = false;

        if (!s->s)
            err = bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
        else if (blocks[i].raw_len)
            err = bdr_session_has(s->s, &blocks[i].id, &has);
        if (has)
            bits[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    pthread_rwlock_unlock(&s->puts);
    return err;
}

struct bdr_err *gw_ask_run(struct bdr_req *req, const void *in, void *out)
{
    uint8_t bits[BDR_WIRE_ASK_IDS / 8] = {0};
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    BDR_AUTO(buf) struct bdr_buf body = {0};
    size_t n;

    (void)in;
    (void)out;
    BDR_TRY(gw_session_of(gw_of_req(req), req, &s));
    if (!s)
        return NULL;
    BDR_TRY(gw_body(req, sizeof(bits) * 8 * BDR_WIRE_ID_BYTES, &body));
    n = body.len / BDR_WIRE_ID_BYTES;
    if (body.len % BDR_WIRE_ID_BYTES)
        GW_REFUSE(req, 422, BDR_INVAL, "An id has %u bytes; this body has %zu.", BDR_WIRE_ID_BYTES, body.len);
    BDR_TRY(gw_answer_err(req, ask_bits(s, body.data, n, bits)));
    if (bdr_req_answered(req))
        return NULL;
    return bdr_req_send(req, 200, "application/octet-stream", bits, (n + 7) / 8);
}

/* Only what is durable can be read. */
static struct bdr_err *block_read(struct gw_session *s, const struct bdr_id *id, uint8_t *buf, size_t *out_len)
{
    struct bdr_err *err;
    bool has = false;

    pthread_rwlock_wrlock(&s->puts);
    if (!s->s)
        err = bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
    else if (!(err = bdr_session_get(s->s, id, buf, s->repo->block_bytes, out_len)) || err->code != BDR_CORRUPT)
        ;
    else {
        struct bdr_err *again = bdr_session_has(s->s, id, &has);

        if (!again && has && !(again = bdr_session_flush(s->s))) {
            bdr_err_drop(err, "it was on its way into a pack");
            err = bdr_session_get(s->s, id, buf, s->repo->block_bytes, out_len);
        }
        err = bdr_err_first(err, again);
    }
    pthread_rwlock_unlock(&s->puts);
    return err;
}

struct bdr_err *gw_block_run(struct bdr_req *req, const void *in, void *out)
{
    struct gw *gw = gw_of_req(req);
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    BDR_AUTO(mem) uint8_t *buf = NULL;
    struct gw_owned owned = {0};
    struct bdr_err *err;
    size_t len = 0;

    (void)in;
    (void)out;
    BDR_TRY(gw_session_of(gw, req, &s));
    if (!s)
        return NULL;
    if (!bdr_unhex(bdr_req_param(req, "id"), owned.id.b, sizeof(owned.id.b)))
        GW_REFUSE(req, 400, BDR_INVAL, "A block's id has 64 hex digits.");
    BDR_TRY(gw_possess_look(s->repo->owners, s->host, &owned, 1));
    if (!owned.raw_len)
        GW_REFUSE(req, 422, BDR_INVAL, "This host does not possess that block.");
    if (!gw_room_take(&gw->room, s->machine, s->repo->block_bytes, &s->cancel))
        GW_REFUSE(req, 503, BDR_THROTTLED, "There is no room for more blocks at the moment.");
    buf = malloc(s->repo->block_bytes);
    err = buf ? block_read(s, &owned.id, buf, &len) : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "reading a block");
    if (!err)
        err = bdr_req_send(req, 200, "application/octet-stream", buf, len);
    gw_room_give(&gw->room, s->machine, s->repo->block_bytes);
    return gw_answer_err(req, err);
}
