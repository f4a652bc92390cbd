/* SPDX-License-Identifier: Apache-2.0 */
#include "conns.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include <errno.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define NBD_SLICE_MS     50     /* how late a cancel may be noticed */
#define NBD_DEADLINE_MS  300000 /* a server silent for so long is gone: flushing a slow disk takes tens of seconds */
#define NBD_DEFAULT_MAX  (32u << 20) /* the protocol's advice when the server tells no limit: doc/proto.md */
#define NBD_ZERO_MAX     (1u << 30)
#define NBD_PROBE_BYTES  (1u << 20)
#define NBD_STATUS_CALLS 65536 /* enough for a terabyte in pieces; more fragments than that are not "blank" */

struct nbd_slot {
    pthread_mutex_t lock; /* guards h */
    struct nbd_handle *h; /* NULL once it failed */
};

struct nbd_conns {
    struct nbd_slot slots[NBD_CONNS_MAX];
    unsigned n;
    atomic_uint next; /* spreads callers over the slots */
    char *name;
    const struct bdr_cancel *cancel;
    struct nbd_conns_info info;
    uint32_t max_bytes;
    bool can_zero, can_flush;
};

struct bdr_err *nbd_conns_err(const char *name, const char *what)
{
    int e = nbd_get_errno();
    const char *text = nbd_get_error();
    enum bdr_code code = e ? bdr_code_of_errno(e) : BDR_NET;

    if (e == ENOENT)
        code = BDR_NOTFOUND;
    return bdr_err_new(code, e, BDR_AT, "%s %s: %s", what, name, text ? text : "no reason given");
}

struct bdr_err *nbd_conns_new(const char *name, const struct bdr_cancel *cancel, struct nbd_conns **out)
{
    struct nbd_conns *c = calloc(1, sizeof(*c));

    BDR_NOMEM_IF_NULL(c);
    c->cancel = cancel;
    c->name = strdup(name);
    if (!c->name) {
        free(c);
        BDR_NOMEM_IF_NULL(NULL);
    }
    for (unsigned i = 0; i < NBD_CONNS_MAX; i++)
        pthread_mutex_init(&c->slots[i].lock, NULL);
    *out = c;
    return NULL;
}

struct bdr_err *nbd_conns_handle(struct nbd_handle **out)
{
    struct nbd_handle *h = nbd_create();

    if (!h || nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION)) {
        nbd_close(h);
        return nbd_conns_err("NBD", "preparing");
    }
    *out = h;
    return NULL;
}

static struct bdr_err *nbd_learn(struct nbd_conns *c, struct nbd_handle *h)
{
    int64_t size = nbd_get_size(h), min = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM),
            max = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);

    if (size < 0)
        return nbd_conns_err(c->name, "asking for the size of");
    if (nbd_is_read_only(h) != 0)
        BDR_FAIL(BDR_READONLY, 0, "%s is read-only; start its server with a writable export", c->name);
    c->info = (struct nbd_conns_info){
        .size_bytes = (uint64_t)size,
        .min_bytes = min > 0 && min <= 65536 ? (uint32_t)min : 1,
        .multi = nbd_can_multi_conn(h) > 0,
        .knows_zeros = nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0,
    };
    c->max_bytes = max > 0 && max < NBD_DEFAULT_MAX ? (uint32_t)max : NBD_DEFAULT_MAX;
    c->can_zero = nbd_can_zero(h) > 0;
    c->can_flush = nbd_can_flush(h) > 0;
    return NULL;
}

struct bdr_err *nbd_conns_add(struct nbd_conns *c, struct nbd_handle *h)
{
    struct bdr_err *err = c->n ? NULL : nbd_learn(c, h);

    if (err || c->n == NBD_CONNS_MAX) {
        nbd_close(h);
        return err;
    }
    c->slots[c->n++].h = h;
    return NULL;
}

void nbd_conns_free(struct nbd_conns *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < NBD_CONNS_MAX; i++) {
        /* The answer to a good-bye changes nothing: what had to be durable was flushed. */
        if (c->slots[i].h && nbd_shutdown(c->slots[i].h, 0))
            nbd_get_errno();
        nbd_close(c->slots[i].h);
        pthread_mutex_destroy(&c->slots[i].lock);
    }
    free(c->name);
    free(c);
}

const struct nbd_conns_info *nbd_conns_info(const struct nbd_conns *c)
{
    return &c->info;
}

/* A locked slot: a free one if there is one. */
static struct nbd_slot *nbd_take(struct nbd_conns *c)
{
    unsigned first = atomic_fetch_add(&c->next, 1);

    for (unsigned i = 0; i < c->n; i++) {
        struct nbd_slot *s = &c->slots[(first + i) % c->n];

        if (!pthread_mutex_trylock(&s->lock))
            return s;
    }
    pthread_mutex_lock(&c->slots[first % c->n].lock);
    return &c->slots[first % c->n];
}

/* Drives the connection until the command is answered. A command given up leaves its buffer in use: so the
 * connection is closed with it. Held: the slot's lock, which is what hands one connection to one caller. */
static struct bdr_err *nbd_finish(struct nbd_conns *c, struct nbd_slot *s, int64_t cookie, const char *what)
{
    uint64_t end = bdr_clock_mono_ms() + NBD_DEADLINE_MS;
    struct bdr_err *err = NULL;

    if (cookie < 0)
        return nbd_conns_err(c->name, what);
    for (;;) {
        int done = nbd_aio_command_completed(s->h, (uint64_t)cookie);

        if (done > 0)
            return NULL;
        if (done < 0) {
            err = nbd_conns_err(c->name, what);
            if (!nbd_aio_is_dead(s->h) && !nbd_aio_is_closed(s->h))
                return err; /* the server refused this one command */
            break;
        }
        err = bdr_cancel_check(c->cancel);
        if (!err && bdr_clock_mono_ms() >= end)
            err =
                bdr_err_new(BDR_TIMEOUT, 0, BDR_AT, "%s %s: no answer for %d s", what, c->name, NBD_DEADLINE_MS / 1000);
        if (!err && nbd_poll(s->h, NBD_SLICE_MS) < 0)
            err = nbd_conns_err(c->name, what);
        if (err)
            break;
    }
    nbd_close(s->h);
    s->h = NULL;
    return err;
}

enum nbd_op { NBD_OP_WRITE, NBD_OP_READ, NBD_OP_ZERO, NBD_OP_FLUSH };

static struct bdr_err *nbd_do(struct nbd_conns *c, enum nbd_op op, uint64_t off, void *buf, uint64_t len)
{
    static const char *const names[] = {"writing", "reading", "zeroing", "flushing"};
    struct nbd_slot *s = nbd_take(c);
    int64_t cookie = -1;
    struct bdr_err *err;

    if (!s->h) {
        err = bdr_err_new(BDR_NET, 0, BDR_AT, "%s %s: the connection is closed", names[op], c->name);
    } else {
        switch (op) {
        case NBD_OP_WRITE:
            cookie = nbd_aio_pwrite(s->h, buf, (size_t)len, off, NBD_NULL_COMPLETION, 0);
            break;
        case NBD_OP_READ:
            cookie = nbd_aio_pread(s->h, buf, (size_t)len, off, NBD_NULL_COMPLETION, 0);
            break;
        case NBD_OP_ZERO:
            cookie = nbd_aio_zero(s->h, len, off, NBD_NULL_COMPLETION, 0);
            break;
        case NBD_OP_FLUSH:
            cookie = nbd_aio_flush(s->h, NBD_NULL_COMPLETION, 0);
            break;
        }
        err = nbd_finish(c, s, cookie, names[op]);
    }
    pthread_mutex_unlock(&s->lock);
    return err;
}

struct bdr_err *nbd_conns_write(struct nbd_conns *c, uint64_t off, const void *buf, size_t len)
{
    const uint8_t *p = buf;

    while (len) {
        size_t n = BDR_MIN(len, (size_t)c->max_bytes);

        BDR_TRY(nbd_do(c, NBD_OP_WRITE, off, (void *)(uintptr_t)p, n));
        p += n;
        off += n;
        len -= n;
    }
    return NULL;
}

struct bdr_err *nbd_conns_zero(struct nbd_conns *c, uint64_t off, uint64_t len)
{
    if (!c->can_zero)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s has no command for zeros", c->name);
    while (len) {
        uint64_t n = BDR_MIN(len, (uint64_t)NBD_ZERO_MAX);

        BDR_TRY(nbd_do(c, NBD_OP_ZERO, off, NULL, n));
        off += n;
        len -= n;
    }
    return NULL;
}

struct bdr_err *nbd_conns_read(struct nbd_conns *c, uint64_t off, void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len) {
        size_t n = BDR_MIN(len, (size_t)c->max_bytes);

        BDR_TRY(nbd_do(c, NBD_OP_READ, off, p, n));
        p += n;
        off += n;
        len -= n;
    }
    return NULL;
}

struct bdr_err *nbd_conns_flush(struct nbd_conns *c)
{
    /* With multi-conn one flush covers all connections; without it there is only one. */
    return c->can_flush ? nbd_do(c, NBD_OP_FLUSH, 0, NULL, 0) : NULL;
}

struct nbd_blank {
    uint64_t at;
    bool data;
};

static int nbd_blank_extent(void *user, const char *context, uint64_t off, uint32_t *entries, size_t n, int *error)
{
    struct nbd_blank *b = user;

    (void)error;
    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION))
        return 0;
    for (size_t i = 0; i + 1 < n; i += 2) {
        off += entries[i];
        if (!(entries[i + 1] & LIBNBD_STATE_ZERO))
            b->data = true;
    }
    b->at = BDR_MAX(b->at, off);
    return 0;
}

/* At open, before any worker: the first connection is ours alone. */
static struct bdr_err *nbd_blank_by_status(struct nbd_conns *c, bool *out)
{
    struct nbd_blank b = {0};

    for (unsigned calls = 0; b.at < c->info.size_bytes && !b.data; calls++) {
        uint64_t before = b.at, n = BDR_MIN(c->info.size_bytes - b.at, (uint64_t)NBD_ZERO_MAX);
        int64_t cookie;

        cookie = nbd_aio_block_status(c->slots[0].h, n, b.at,
                                      (nbd_extent_callback){.callback = nbd_blank_extent, .user_data = &b},
                                      NBD_NULL_COMPLETION, 0);
        BDR_TRY(nbd_finish(c, &c->slots[0], cookie, "looking through"));
        if (b.at <= before || calls == NBD_STATUS_CALLS)
            b.data = true;
    }
    *out = !b.data;
    return NULL;
}

struct bdr_err *nbd_conns_blank(struct nbd_conns *c, bool *out)
{
    size_t n = (size_t)BDR_MIN(c->info.size_bytes, (uint64_t)NBD_PROBE_BYTES);
    BDR_AUTO(mem) uint8_t *buf = NULL;
    bool blank;

    if (c->info.knows_zeros)
        return nbd_blank_by_status(c, out);
    buf = malloc(n + 1);
    BDR_NOMEM_IF_NULL(buf);
    BDR_TRY(nbd_conns_read(c, 0, buf, n));
    blank = bdr_all_zero(buf, n);
    if (blank) {
        BDR_TRY(nbd_conns_read(c, c->info.size_bytes - n, buf, n));
        blank = bdr_all_zero(buf, n);
    }
    *out = blank;
    return NULL;
}
