/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.c - the process with rights: it opens disks, stops file systems for a moment, and hands blocks to the speaker.
 *
 * It is asked by a process that may have been taken over: each disk must be one the inventory tells, each range is
 * checked by source.c, the calls that must not meet are kept apart by locks here, whatever order they come in. What it
 * can be made to do is to read this machine's disks and to freeze its file systems for the budget; nothing writes.
 */
#include "bdr/log.h"
#include "bdr/service.h"
#include "talk.h"
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define READER_CAPTURE_BYTES (24u << 20) /* of the agent's 64 MiB */
#define READER_REF_MAX       512

struct reader {
    const struct reader_config *cfg;
    uint8_t *slots;
    const int *lanes;
    struct bdr_cancel cancel;               /* of the session; lasts until the next one begins */
    pthread_rwlock_t session;               /* write: disks are opened, closed, or stopped; read: they are used */
    pthread_mutex_t serial;                 /* calls of a source other than reads come one at a time */
    struct bdr_moment *moment;              /* owned */
    struct bdr_source *src[TALK_DISKS_MAX]; /* owned */
    size_t n;
};

struct bdr_err *reader_new(const struct reader_config *cfg, uint8_t *slots, struct reader **out)
{
    struct reader *r = calloc(1, sizeof(*r));

    BDR_NOMEM_IF_NULL(r);
    r->cfg = cfg;
    r->slots = slots;
    pthread_rwlock_init(&r->session, NULL);
    pthread_mutex_init(&r->serial, NULL);
    *out = r;
    return NULL;
}

void reader_reset(struct reader *r)
{
    for (size_t i = 0; i < r->n; i++)
        bdr_source_close(r->src[i]);
    r->n = 0;
    bdr_moment_close(BDR_STEAL(r->moment));
}

void reader_free(struct reader *r)
{
    if (!r)
        return;
    reader_reset(r);
    pthread_rwlock_destroy(&r->session);
    pthread_mutex_destroy(&r->serial);
    free(r);
}

void reader_stop(struct reader *r)
{
    bdr_cancel_set(&r->cancel);
}

/* ---- opening ---- */

static const char *reader_script(const struct reader *r, const char *name, char buf[512])
{
    if (!r->cfg->scripts)
        return NULL;
    snprintf(buf, 512, "%s/%s", r->cfg->scripts, name);
    return access(buf, F_OK) ? NULL : buf;
}

static struct bdr_err *reader_open(struct reader *r, const char *ref)
{
    static const struct bdr_retry_policy policy = {.attempts = 3, .first_delay_ms = 200, .max_delay_ms = 5000};
    struct bdr_source_spec spec = {.location = ref, .moment = r->moment, .cancel = &r->cancel};
    struct bdr_source *src = NULL;

    BDR_TRY(agent_inventory_has(r->cfg->disks, ref));
    BDR_TRY(bdr_source_open(&spec, &src));
    r->src[r->n++] = src;
    return bdr_source_wrap_retry(&r->src[r->n - 1], &policy, &r->cancel);
}

static struct bdr_err *reader_moment(struct reader *r)
{
    char pre[512], post[512];

    return bdr_live_moment_open(&(struct bdr_live_options){.capture_bytes = READER_CAPTURE_BYTES,
                                                           .pre_freeze = reader_script(r, "pre-freeze", pre),
                                                           .post_freeze = reader_script(r, "post-freeze", post),
                                                           .cancel = &r->cancel},
                                &r->moment);
}

static struct bdr_err *reader_begin(struct reader *r, const struct talk_msg *m)
{
    json_error_t bad;
    json_t *ask = json_loadb((const char *)m->body, m->head.len, JSON_REJECT_DUPLICATES, &bad),
           *disks = json_object_get(ask, "disks"), *one;
    struct bdr_err *err = NULL;
    size_t i;

    reader_reset(r);
    atomic_store(&r->cancel.set, 0);
    if (!json_is_array(disks) || !json_array_size(disks) || json_array_size(disks) > TALK_DISKS_MAX)
        err = bdr_err_new(BDR_INVAL, 0, BDR_AT, "no disks are named");
    if (!err)
        err = reader_moment(r);
    json_array_foreach(disks, i, one)
    {
        const char *ref = json_string_value(one);

        if (err)
            break;
        err = ref && strlen(ref) < READER_REF_MAX ? reader_open(r, ref)
                                                  : bdr_err_new(BDR_INVAL, 0, BDR_AT, "a disk has no name");
    }
    json_decref(ask);
    if (err)
        reader_reset(r);
    return err;
}

/* ---- answers ---- */

struct answer {
    int fd;
    struct talk_head head;
    uint8_t body[TALK_BODY_MAX];
};

static struct bdr_err *answer_flush(struct answer *a, bool more)
{
    struct bdr_err *err;

    a->head.more = more;
    err = talk_send(a->fd, &a->head, a->body);
    a->head.len = 0;
    return err;
}

static struct bdr_err *answer_put(struct answer *a, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len) {
        size_t n = BDR_MIN(len, TALK_BODY_MAX - a->head.len);

        memcpy(a->body + a->head.len, p, n);
        a->head.len += (uint32_t)n;
        p += n;
        len -= n;
        if (a->head.len == TALK_BODY_MAX)
            BDR_TRY(answer_flush(a, true));
    }
    return NULL;
}

static struct bdr_err *answer_extent(void *ctx, const struct bdr_extent *ext)
{
    struct answer *a = ctx;

    if (a->head.len + sizeof(*ext) > TALK_BODY_MAX) /* whole ones */
        BDR_TRY(answer_flush(a, true));
    return answer_put(a, ext, sizeof(*ext));
}

static struct bdr_err *do_disk(struct reader *r, const struct talk_msg *m, struct answer *a, uint8_t *slot)
{
    struct bdr_source *src;
    char *text = NULL;
    struct bdr_err *err;

    if (m->head.disk >= r->n)
        BDR_FAIL(BDR_RANGE, 0, "there is no disk %u", m->head.disk);
    src = r->src[m->head.disk];
    switch (m->head.op) {
    case TALK_READ:
        if (m->head.b > TALK_SLOT_BYTES)
            BDR_FAIL(BDR_RANGE, 0, "a read of more than %u bytes", TALK_SLOT_BYTES);
        return bdr_source_read(src, m->head.a, slot, (size_t)m->head.b);
    case TALK_TOUCHED:
        if (!m->head.b || m->head.a + m->head.b < m->head.a)
            BDR_FAIL(BDR_RANGE, 0, "no such range");
        a->head.flag = bdr_source_touched(src, m->head.a, m->head.b);
        return NULL;
    case TALK_EXTENTS:
        return bdr_source_extents(src, m->head.flag ? BDR_EXTENTS_CHANGED : BDR_EXTENTS_ALL, m->head.a, m->head.b,
                                  answer_extent, a);
    case TALK_TOKEN:
        BDR_TRY(bdr_source_token(src, &text));
        a->head.flag = text != NULL;
        err = text && strlen(text) < TALK_BODY_MAX ? answer_put(a, text, strlen(text)) : NULL;
        free(text);
        return err;
    case TALK_SINCE:
        text = strndup((const char *)m->body, m->head.len);
        BDR_NOMEM_IF_NULL(text);
        err = bdr_source_since(src, text);
        free(text);
        return err;
    case TALK_CHECK:
        return bdr_source_check(src);
    default:
        return bdr_source_committed(src);
    }
}

static struct bdr_err *do_begin(struct reader *r, const struct talk_msg *m, struct answer *a)
{
    BDR_TRY(reader_begin(r, m));
    for (size_t i = 0; i < r->n; i++) {
        struct bdr_source_info info;

        memset(&info, 0, sizeof(info)); /* holes, too: nothing of this process leaks */
        BDR_TRY(bdr_source_info(r->src[i], &info));
        BDR_TRY(answer_put(a, &info, sizeof(info)));
    }
    return NULL;
}

static struct bdr_err *do_inventory(struct reader *r, struct answer *a)
{
    BDR_AUTO(mem) char *text = NULL;

    BDR_TRY(agent_inventory(r->cfg->disks, &text));
    return answer_put(a, text, strlen(text));
}

static struct bdr_err *do_next(struct reader *r, struct answer *a)
{
    enum bdr_moment_step step;

    if (!r->moment)
        BDR_FAIL(BDR_INVAL, 0, "no disks are open");
    BDR_TRY(bdr_moment_next(r->moment, &step));
    a->head.flag = step == BDR_MOMENT_FINAL;
    return NULL;
}

static struct bdr_err *do_report(struct reader *r, struct answer *a)
{
    struct bdr_moment_report report;

    if (!r->moment)
        BDR_FAIL(BDR_INVAL, 0, "no disks are open");
    memset(&report, 0, sizeof(report));
    bdr_moment_report(r->moment, &report);
    return answer_put(a, &report, sizeof(report));
}

static struct bdr_err *reader_do(struct reader *r, const struct talk_msg *m, struct answer *a, uint8_t *slot)
{
    struct bdr_err *err;

    switch (m->head.op) {
    case TALK_ALIVE:
        bdr_os_notify("WATCHDOG=1");
        return NULL;
    case TALK_CANCEL:
        bdr_cancel_set(&r->cancel);
        return NULL;
    case TALK_INVENTORY:
        return do_inventory(r, a);
    case TALK_BEGIN:
    case TALK_NEXT:
    case TALK_END:
        pthread_rwlock_wrlock(&r->session);
        err = m->head.op == TALK_BEGIN ? do_begin(r, m, a) : m->head.op == TALK_NEXT ? do_next(r, a) : NULL;
        if (m->head.op == TALK_END)
            reader_reset(r);
        pthread_rwlock_unlock(&r->session);
        return err;
    case TALK_READ:
    case TALK_TOUCHED:
        pthread_rwlock_rdlock(&r->session);
        err = do_disk(r, m, a, slot);
        pthread_rwlock_unlock(&r->session);
        return err;
    case TALK_EXTENTS:
    case TALK_TOKEN:
    case TALK_SINCE:
    case TALK_CHECK:
    case TALK_COMMITTED:
    case TALK_REPORT:
        pthread_rwlock_rdlock(&r->session);
        pthread_mutex_lock(&r->serial);
        err = m->head.op == TALK_REPORT ? do_report(r, a) : do_disk(r, m, a, slot);
        pthread_mutex_unlock(&r->serial);
        pthread_rwlock_unlock(&r->session);
        return err;
    default:
        BDR_FAIL(BDR_INVAL, 0, "there is no question %u", m->head.op);
    }
}

/*
 * No network for whoever answers the speaker. Filters are a thread's own: the main thread, which starts the speaker
 * again, must not have it. Programs of the operator's inherit it, and may need the network and other users: then not.
 */
static struct bdr_err *reader_rights(struct reader *r)
{
    char pre[512], post[512];
    bool on = false;

    if (reader_script(r, "pre-freeze", pre) || reader_script(r, "post-freeze", post))
        return NULL;
    return bdr_os_never(BDR_NEVER_NET, &on);
}

static struct bdr_err *reader_lane(void *ctx, unsigned index)
{
    struct reader *r = ctx;
    BDR_AUTO(mem) struct talk_msg *m = malloc(sizeof(*m));
    BDR_AUTO(mem) struct answer *a = malloc(sizeof(*a));
    bool closed = false;

    BDR_NOMEM_IF_NULL(m);
    BDR_NOMEM_IF_NULL(a);
    BDR_TRY(reader_rights(r));
    for (;;) {
        struct bdr_err *err;

        BDR_TRY(talk_recv(r->lanes[index], m, &closed));
        if (closed)
            return NULL;
        a->fd = r->lanes[index];
        a->head = (struct talk_head){0};
        err = reader_do(r, m, a, r->slots + index * TALK_SLOT_BYTES);
        if (err) {
            a->head.code = (uint32_t)err->code;
            bdr_err_text(err, (char *)a->body, 1000);
            a->head.len = (uint32_t)strlen((char *)a->body);
            bdr_err_drop(err, "told to the speaker");
        }
        BDR_TRY(answer_flush(a, false));
    }
}

struct bdr_err *reader_serve(struct reader *r, const int lanes[TALK_LANES], struct bdr_pool **out)
{
    r->lanes = lanes;
    return bdr_pool_start("reader", TALK_LANES, reader_lane, r, NULL, out);
}
