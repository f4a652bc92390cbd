/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.c - the disks of this machine as the speaker sees them: sources and a moment whose work the reader does.
 *
 * A question takes a lane and gives it back. A cancel that comes while the reader works is passed on to it; its answer
 * is waited for all the same, so that lanes and questions never get out of step.
 */
#include "bdr/sync.h"
#include "talk.h"
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define REMOTE_SLICE_MS 50

struct remote_lane {
    int fd;
    uint8_t *slot;
    struct talk_msg msg; /* the answer */
    bool busy, broken;
};
struct remote {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t idle;
    bool in_session;
    struct remote_lane lane[TALK_LANES]; /* [0] is for CANCEL and ALIVE alone: it never waits long */
};
struct remote_disk {
    struct bdr_source base;
    struct remote *r;
    uint32_t index;
    struct bdr_source_info info;
    const struct bdr_cancel *cancel;
};
struct remote_moment {
    struct bdr_moment base;
    struct remote *r;
    const struct bdr_cancel *cancel;
};

struct bdr_err *remote_new(const int lanes[TALK_LANES], uint8_t *slots, struct remote **out)
{
    struct remote *r = calloc(1, sizeof(*r));

    BDR_NOMEM_IF_NULL(r);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->idle, NULL);
    for (size_t i = 0; i < TALK_LANES; i++) {
        r->lane[i].fd = lanes[i];
        r->lane[i].slot = slots + i * TALK_SLOT_BYTES;
    }
    *out = r;
    return NULL;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < TALK_LANES; i++)
        close(r->lane[i].fd);
    pthread_cond_destroy(&r->idle);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- lanes ---- */

static struct remote_lane *lane_take(struct remote *r)
{
    struct remote_lane *found = NULL;

    pthread_mutex_lock(&r->lock);
    while (!found) {
        for (size_t i = 1; i < TALK_LANES && !found; i++)
            if (!r->lane[i].busy)
                found = &r->lane[i];
        if (!found) /* ends when one of the questions before us is answered, or the reader is gone */
            bdr_cond_wait_slice(&r->idle, &r->lock);
    }
    found->busy = true;
    pthread_mutex_unlock(&r->lock);
    return found;
}

static void lane_give(struct remote *r, struct remote_lane *lane)
{
    pthread_mutex_lock(&r->lock);
    lane->busy = false;
    pthread_cond_signal(&r->idle);
    pthread_mutex_unlock(&r->lock);
}

/* The next piece of the answer. */
static struct bdr_err *lane_hear(struct remote_lane *lane)
{
    bool closed = false;
    struct bdr_err *err = talk_recv(lane->fd, &lane->msg, &closed);

    if (!err && closed)
        err = bdr_err_new(BDR_IO, 0, BDR_AT, "the agent's reader is gone");
    if (err)
        lane->broken = true;
    return err;
}

/* A question on lane 0, which is there for short ones. */
static void remote_short(struct remote *r, uint32_t op)
{
    struct remote_lane *lane = &r->lane[0];
    struct bdr_err *err;

    pthread_mutex_lock(&r->lock);
    while (lane->busy)
        bdr_cond_wait_slice(&r->idle, &r->lock);
    lane->busy = true;
    pthread_mutex_unlock(&r->lock);
    err = lane->broken ? NULL : talk_send(lane->fd, &(struct talk_head){.op = op}, NULL);
    if (!err && !lane->broken)
        err = lane_hear(lane);
    bdr_err_drop(err, "whoever asks for something notices");
    lane_give(r, lane);
}

void remote_alive(struct remote *r)
{
    remote_short(r, TALK_ALIVE);
}

static struct bdr_err *lane_wait(struct remote *r, struct remote_lane *lane, const struct bdr_cancel *cancel,
                                 bool *told)
{
    struct pollfd p = {.fd = lane->fd, .events = POLLIN};

    while (cancel && !*told) {
        int n = poll(&p, 1, REMOTE_SLICE_MS);

        if (n > 0)
            break;
        if (bdr_cancelled(cancel)) {
            *told = true;
            remote_short(r, TALK_CANCEL);
        }
    }
    return lane_hear(lane);
}

static struct bdr_err *answer_error(const struct talk_msg *m)
{
    enum bdr_code code = m->head.code < BDR_CODE_END ? (enum bdr_code)m->head.code : BDR_INTERNAL;

    BDR_FAIL(code, 0, "%.*s", (int)BDR_MIN(m->head.len, 1000u), (const char *)m->body);
}

typedef struct bdr_err *remote_piece(void *ctx, const struct talk_msg *m);
/*
 * Asks, and hands each piece of the answer on. All pieces are taken even when `piece` fails: the lane stays in step.
 */
static struct bdr_err *remote_ask(struct remote *r, const struct talk_head *head, const void *body,
                                  const struct bdr_cancel *cancel, struct remote_lane **out_lane, remote_piece *piece,
                                  void *ctx)
{
    struct remote_lane *lane = lane_take(r);
    struct bdr_err *err =
        lane->broken ? bdr_err_new(BDR_IO, 0, BDR_AT, "the agent's reader is gone") : talk_send(lane->fd, head, body);
    bool told = false, more = !err;

    while (more) {
        struct bdr_err *heard = lane_wait(r, lane, cancel, &told);

        more = !heard && lane->msg.head.more;
        if (!heard && lane->msg.head.code)
            heard = answer_error(&lane->msg);
        if (!heard && !err && piece)
            heard = piece(ctx, &lane->msg);
        err = bdr_err_first(err, heard);
    }
    if (!err && out_lane)
        *out_lane = lane;
    else
        lane_give(r, lane);
    return err;
}

/* ---- inventory ---- */

static struct bdr_err *piece_put(void *ctx, const struct talk_msg *m)
{
    struct bdr_buf *b = ctx;

    if (b->len + m->head.len > TALK_INVENTORY_MAX)
        BDR_FAIL(BDR_RANGE, 0, "an answer of more than %u bytes", TALK_INVENTORY_MAX);
    bdr_buf_put(b, m->body, m->head.len);
    return bdr_buf_check(b);
}

struct bdr_err *remote_inventory(struct remote *r, char **out)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    BDR_TRY(remote_ask(r, &(struct talk_head){.op = TALK_INVENTORY}, NULL, NULL, NULL, piece_put, &b));
    bdr_buf_u8(&b, 0);
    BDR_TRY(bdr_buf_check(&b));
    *out = (char *)BDR_STEAL(b.data);
    return NULL;
}

/* ---- a disk ---- */

static struct bdr_err *disk_ask(struct remote_disk *d, uint32_t op, uint64_t a, uint64_t b, struct remote_lane **out)
{
    return remote_ask(d->r, &(struct talk_head){.op = op, .disk = d->index, .a = a, .b = b}, NULL, d->cancel, out, NULL,
                      NULL);
}

static struct bdr_err *disk_info(struct bdr_source *src, struct bdr_source_info *out)
{
    *out = ((struct remote_disk *)src)->info;
    return NULL;
}

struct walk {
    bdr_extent_fn fn;
    void *ctx;
};
static struct bdr_err *walk_piece(void *ctx, const struct talk_msg *m)
{
    struct walk *w = ctx;
    struct bdr_extent ext;

    for (uint32_t at = 0; at + sizeof(ext) <= m->head.len; at += sizeof(ext)) {
        memcpy(&ext, m->body + at, sizeof(ext));
        BDR_TRY(w->fn(w->ctx, &ext));
    }
    return NULL;
}

static struct bdr_err *disk_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                    bdr_extent_fn fn, void *ctx)
{
    struct remote_disk *d = (struct remote_disk *)src;
    struct talk_head head = {.op = TALK_EXTENTS, .disk = d->index, .flag = of, .a = off, .b = len};

    return remote_ask(d->r, &head, NULL, d->cancel, NULL, walk_piece, &(struct walk){fn, ctx});
}

static struct bdr_err *disk_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct remote_disk *d = (struct remote_disk *)src;
    uint8_t *to = buf;

    while (len) {
        size_t n = BDR_MIN(len, (size_t)TALK_SLOT_BYTES);
        struct remote_lane *lane;

        BDR_TRY(disk_ask(d, TALK_READ, off, n, &lane));
        memcpy(to, lane->slot, n);
        lane_give(d->r, lane);
        to += n;
        off += n;
        len -= n;
    }
    return NULL;
}

static struct bdr_err *disk_token(struct bdr_source *src, char **out)
{
    struct remote_disk *d = (struct remote_disk *)src;
    struct remote_lane *lane;
    char *copy = NULL;
    bool there;

    BDR_TRY(disk_ask(d, TALK_TOKEN, 0, 0, &lane));
    there = lane->msg.head.flag;
    if (there)
        copy = strndup((const char *)lane->msg.body, lane->msg.head.len);
    lane_give(d->r, lane);
    if (there)
        BDR_NOMEM_IF_NULL(copy);
    *out = copy;
    return NULL;
}

static struct bdr_err *disk_since(struct bdr_source *src, const char *token)
{
    struct remote_disk *d = (struct remote_disk *)src;
    size_t len = strlen(token);

    if (len >= TALK_BODY_MAX)
        BDR_FAIL(BDR_STALE, 0, "the last point's token is too long to be one of ours");
    return remote_ask(d->r, &(struct talk_head){.op = TALK_SINCE, .disk = d->index, .len = (uint32_t)len}, token,
                      d->cancel, NULL, NULL, NULL);
}

static bool disk_touched(struct bdr_source *src, uint64_t off, uint64_t len)
{
    struct remote_disk *d = (struct remote_disk *)src;
    struct remote_lane *lane;
    struct bdr_err *err = disk_ask(d, TALK_TOUCHED, off, len, &lane);
    bool touched = true;

    if (err) {
        bdr_err_drop(err, "not knowing is the careful answer");
        return true;
    }
    touched = lane->msg.head.flag;
    lane_give(d->r, lane);
    return touched;
}

static struct bdr_err *disk_check(struct bdr_source *src)
{
    return disk_ask((struct remote_disk *)src, TALK_CHECK, 0, 0, NULL);
}

static struct bdr_err *disk_committed(struct bdr_source *src)
{
    return disk_ask((struct remote_disk *)src, TALK_COMMITTED, 0, 0, NULL);
}

static void disk_close(struct bdr_source *src)
{
    free(src); /* the reader's end is closed with the session */
}

static const struct bdr_source_driver remote_driver = {
    .name = "reader",
    .title = "Disk of this machine, read by another process",
    .max_inflight = TALK_LANES - 2, /* one lane is left for the walk over extents, one for short words */
    .info = disk_info,
    .extents = disk_extents,
    .read = disk_read,
    .token = disk_token,
    .since = disk_since,
    .touched = disk_touched,
    .check = disk_check,
    .committed = disk_committed,
    .close = disk_close,
};

/* ---- the moment ---- */

static struct bdr_err *moment_next(struct bdr_moment *base, enum bdr_moment_step *out)
{
    struct remote_moment *m = (struct remote_moment *)base;
    struct remote_lane *lane;

    BDR_TRY(remote_ask(m->r, &(struct talk_head){.op = TALK_NEXT}, NULL, m->cancel, &lane, NULL, NULL));
    *out = lane->msg.head.flag ? BDR_MOMENT_FINAL : BDR_MOMENT_PASS;
    lane_give(m->r, lane);
    return NULL;
}

static void moment_report(struct bdr_moment *base, struct bdr_moment_report *out)
{
    struct remote_moment *m = (struct remote_moment *)base;
    struct remote_lane *lane;
    struct bdr_err *err = remote_ask(m->r, &(struct talk_head){.op = TALK_REPORT}, NULL, NULL, &lane, NULL, NULL);

    *out = (struct bdr_moment_report){.consistency = "inconsistent"};
    if (err) {
        bdr_err_drop(err, "no report: the least is claimed");
        return;
    }
    if (lane->msg.head.len == sizeof(*out)) {
        memcpy(out, lane->msg.body, sizeof(*out));
        out->consistency[sizeof(out->consistency) - 1] = 0;
        out->note[sizeof(out->note) - 1] = 0;
    }
    lane_give(m->r, lane);
}

static void moment_close(struct bdr_moment *base)
{
    free(base);
}

static const struct bdr_moment_driver remote_moment_driver = {
    .name = "reader", .next = moment_next, .report = moment_report, .close = moment_close};

/* ---- a session ---- */

static struct bdr_err *session_disk(struct remote_session *s, const struct bdr_source_info *info,
                                    const struct bdr_cancel *cancel)
{
    struct remote_disk *d = calloc(1, sizeof(*d));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(d);
    d->r = s->r;
    d->index = (uint32_t)s->n;
    d->info = *info;
    d->info.max_inflight = BDR_MIN(info->max_inflight, TALK_LANES - 2);
    d->cancel = cancel;
    err = bdr_source_ready(&d->base, &remote_driver);
    if (err) {
        free(d);
        return err;
    }
    s->src[s->n++] = &d->base;
    return NULL;
}

static struct bdr_err *session_open(struct remote *r, const char *const *refs, size_t n,
                                    const struct bdr_cancel *cancel, struct remote_session *s)
{
    BDR_AUTO(buf) struct bdr_buf infos = {0};
    json_t *list = json_array(), *ask = json_pack("{s:o}", "disks", list);
    struct remote_moment *m;
    struct bdr_err *err;
    char *text;

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(refs[i]));
    text = ask ? json_dumps(ask, JSON_COMPACT) : NULL;
    json_decref(ask);
    BDR_NOMEM_IF_NULL(text);
    if (strlen(text) > TALK_BODY_MAX) {
        free(text);
        BDR_FAIL(BDR_RANGE, 0, "too many disks for one session");
    }
    err = remote_ask(r, &(struct talk_head){.op = TALK_BEGIN, .len = (uint32_t)strlen(text)}, text, cancel, NULL,
                     piece_put, &infos);
    free(text);
    BDR_TRY(err);
    if (infos.len != n * sizeof(struct bdr_source_info))
        BDR_FAIL(BDR_INTERNAL, 0, "the reader opened other disks than it was asked for");
    for (size_t i = 0; i < n; i++) {
        struct bdr_source_info info;

        memcpy(&info, infos.data + i * sizeof(info), sizeof(info));
        BDR_TRY(session_disk(s, &info, cancel));
    }
    m = calloc(1, sizeof(*m));
    BDR_NOMEM_IF_NULL(m);
    *m = (struct remote_moment){.base.drv = &remote_moment_driver, .r = r, .cancel = cancel};
    s->moment = &m->base;
    return NULL;
}

struct bdr_err *remote_begin(struct remote *r, const char *const *refs, size_t n, const struct bdr_cancel *cancel,
                             struct remote_session *out)
{
    struct bdr_err *err;
    bool busy;

    if (n > TALK_DISKS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "at most %u disks at once", TALK_DISKS_MAX);
    pthread_mutex_lock(&r->lock);
    busy = r->in_session;
    r->in_session = true;
    pthread_mutex_unlock(&r->lock);
    if (busy)
        BDR_FAIL(BDR_BUSY, 0, "the disks are being read already");
    *out = (struct remote_session){.r = r};
    err = session_open(r, refs, n, cancel, out);
    if (err)
        remote_end(out);
    return err;
}

void remote_end(struct remote_session *s)
{
    struct bdr_err *err;

    if (!s->r)
        return;
    for (size_t i = 0; i < s->n; i++)
        bdr_source_close(s->src[i]);
    bdr_moment_close(s->moment);
    err = remote_ask(s->r, &(struct talk_head){.op = TALK_END}, NULL, NULL, NULL, NULL, NULL);
    bdr_err_drop(err, "the reader closes all when we are gone");
    pthread_mutex_lock(&s->r->lock);
    s->r->in_session = false;
    pthread_mutex_unlock(&s->r->lock);
    *s = (struct remote_session){0};
}
