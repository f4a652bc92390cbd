/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store "mem": the reference driver, and the template of a new one. For tests: nothing outlives the process.
 *
 * "mem:NAME" is one store for the whole process, whoever opens it, and stays after close; "mem:" is the opener's own.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/store.h"
#include "drivers.h"
#include <pthread.h>
#include <string.h>

struct mem_object {
    char *key;     /* owned */
    uint8_t *data; /* owned */
    size_t len;
    int64_t modified_ms;
    struct mem_hold *hold; /* borrowed; who holds it */
};

/* The objects of one name; sorted by key. */
struct mem_space {
    pthread_mutex_t lock; /* guards all below but next and name */
    struct mem_object *objects;
    size_t n, cap;
    struct mem_space *next;
    char name[];
};

struct mem_store {
    struct bdr_store base;
    struct mem_space *space;
    bool own; /* a nameless one: freed with the store */
};

struct mem_hold {
    char *key;
};

struct mem_writer {
    struct bdr_store_writer base;
    struct bdr_buf buf;
    char *key;
};

static pthread_mutex_t spaces_lock = PTHREAD_MUTEX_INITIALIZER; /* guards spaces */
static struct mem_space *spaces;

static struct mem_space *mem_space_of(struct bdr_store *st)
{
    return ((struct mem_store *)st)->space;
}

/* Where `key` is or would be. The lock is held. */
static size_t mem_lower(const struct mem_space *sp, const char *key)
{
    size_t lo = 0, hi = sp->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(sp->objects[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* NULL when it is not there. The lock is held. */
static struct mem_object *mem_find(struct mem_space *sp, const char *key)
{
    size_t i = mem_lower(sp, key);

    return i < sp->n && !strcmp(sp->objects[i].key, key) ? &sp->objects[i] : NULL;
}

static struct bdr_err *mem_none(const char *key)
{
    BDR_FAIL(BDR_NOTFOUND, 0, "no object %s", key);
}

static struct bdr_err *mem_space_new(const char *name, struct mem_space **out)
{
    size_t len = strlen(name) + 1;
    struct mem_space *sp = calloc(1, sizeof(*sp) + len);

    BDR_NOMEM_IF_NULL(sp);
    pthread_mutex_init(&sp->lock, NULL);
    memcpy(sp->name, name, len);
    *out = sp;
    return NULL;
}

static void mem_space_free(struct mem_space *sp)
{
    for (size_t i = 0; i < sp->n; i++) {
        free(sp->objects[i].key);
        free(sp->objects[i].data);
    }
    free(sp->objects);
    pthread_mutex_destroy(&sp->lock);
    free(sp);
}

static struct bdr_err *mem_space_named(const char *name, bool create, struct mem_space **out)
{
    struct mem_space *sp;
    struct bdr_err *err = NULL;

    pthread_mutex_lock(&spaces_lock);
    for (sp = spaces; sp && strcmp(sp->name, name); sp = sp->next)
        ;
    if (!sp && !create)
        err = bdr_err_new(BDR_NOTFOUND, 0, BDR_AT, "nothing was stored in mem:%s yet", name);
    if (!sp && create) {
        err = mem_space_new(name, &sp);
        if (!err) {
            sp->next = spaces;
            spaces = sp;
        }
    }
    pthread_mutex_unlock(&spaces_lock);
    if (!err)
        *out = sp;
    return err;
}

static struct bdr_err *mem_open(const char *url, const struct bdr_store_options *opt, struct bdr_store **out)
{
    const char *name = url + strlen(bdr_store_mem.scheme);
    BDR_AUTO(mem) struct mem_store *ms = calloc(1, sizeof(*ms));
    BDR_AUTO(mem) char *shown = strdup(url);

    if (!ms || !shown)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    ms->own = !*name;
    BDR_TRY(ms->own ? mem_space_new(name, &ms->space) : mem_space_named(name, opt->create, &ms->space));
    ms->base.url = BDR_STEAL(shown);
    *out = &BDR_STEAL(ms)->base;
    return NULL;
}

static struct bdr_err *mem_get(struct bdr_store *st, const char *key, uint64_t off, void *buf, size_t len,
                               size_t *out_len)
{
    struct mem_space *sp = mem_space_of(st);
    struct bdr_err *err = NULL;
    const struct mem_object *o;

    pthread_mutex_lock(&sp->lock);
    o = mem_find(sp, key);
    if (!o) {
        err = mem_none(key);
    } else if (off > o->len) {
        err = bdr_err_new(BDR_RANGE, 0, BDR_AT, "%s has %zu bytes, nothing at %llu", key, o->len,
                          (unsigned long long)off);
    } else {
        *out_len = BDR_MIN(len, o->len - (size_t)off);
        if (*out_len)
            memcpy(buf, o->data + off, *out_len);
    }
    pthread_mutex_unlock(&sp->lock);
    return err;
}

static struct bdr_err *mem_stat(struct bdr_store *st, const char *key, struct bdr_store_stat *out)
{
    struct mem_space *sp = mem_space_of(st);
    const struct mem_object *o;

    pthread_mutex_lock(&sp->lock);
    o = mem_find(sp, key);
    if (o)
        *out =
            (struct bdr_store_stat){.size_bytes = o->len, .modified_ms = o->modified_ms, .now_ms = bdr_clock_wall_ms()};
    pthread_mutex_unlock(&sp->lock);
    return o ? NULL : mem_none(key);
}

/* Takes over *key and *data (NULL when taken). The lock is held. */
static struct bdr_err *mem_place(struct mem_space *sp, char **key, uint8_t **data, size_t len, int flags)
{
    size_t i = mem_lower(sp, *key);
    bool there = i < sp->n && !strcmp(sp->objects[i].key, *key);

    if (there && (flags & BDR_PUT_EXCL))
        BDR_FAIL(BDR_EXISTS, 0, "object %s exists already", *key);
    if (there) {
        free(sp->objects[i].key);
        free(sp->objects[i].data);
    } else if (sp->n == sp->cap) {
        size_t cap = sp->cap ? 2 * sp->cap : 16;
        struct mem_object *objects = reallocarray(sp->objects, cap, sizeof(*objects));

        BDR_NOMEM_IF_NULL(objects);
        sp->objects = objects;
        sp->cap = cap;
    }
    if (!there) {
        memmove(&sp->objects[i + 1], &sp->objects[i], (sp->n - i) * sizeof(*sp->objects));
        sp->n++;
    }
    sp->objects[i] = (struct mem_object){
        .key = BDR_STEAL(*key), .data = BDR_STEAL(*data), .len = len, .modified_ms = bdr_clock_wall_ms()};
    return NULL;
}

static struct bdr_err *mem_put(struct bdr_store *st, const char *key, const void *data, size_t len, int flags)
{
    struct mem_space *sp = mem_space_of(st);
    BDR_AUTO(mem) char *name = strdup(key);
    BDR_AUTO(mem) uint8_t *copy = malloc(len ? len : 1);
    struct bdr_err *err;

    if (!name || !copy)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    if (len)
        memcpy(copy, data, len);
    pthread_mutex_lock(&sp->lock);
    err = mem_place(sp, &name, &copy, len, flags);
    pthread_mutex_unlock(&sp->lock);
    return err;
}

/* The matching keys and sizes at one moment: `fn` may call us again, so it is not called under the lock. */
static struct bdr_err *mem_snapshot(struct mem_space *sp, const char *prefix, struct mem_object **out, size_t *out_n)
{
    size_t first = mem_lower(sp, prefix), n = 0;
    struct mem_object *rows;

    while (first + n < sp->n && !strncmp(sp->objects[first + n].key, prefix, strlen(prefix)))
        n++;
    rows = calloc(n + 1, sizeof(*rows));
    BDR_NOMEM_IF_NULL(rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct mem_object){.key = strdup(sp->objects[first + i].key), .len = sp->objects[first + i].len};
        if (!rows[i].key) {
            while (i)
                free(rows[--i].key);
            free(rows);
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
        }
    }
    *out = rows;
    *out_n = n;
    return NULL;
}

static struct bdr_err *mem_list(struct bdr_store *st, const char *prefix, bdr_list_fn fn, void *ctx)
{
    struct mem_space *sp = mem_space_of(st);
    struct mem_object *rows = NULL;
    struct bdr_err *err;
    size_t n = 0;

    pthread_mutex_lock(&sp->lock);
    err = mem_snapshot(sp, prefix, &rows, &n);
    pthread_mutex_unlock(&sp->lock);
    for (size_t i = 0; i < n; i++) {
        if (!err)
            err = fn(ctx, rows[i].key, rows[i].len);
        free(rows[i].key);
    }
    free(rows);
    return err;
}

static struct bdr_err *mem_remove(struct bdr_store *st, const char *key)
{
    struct mem_space *sp = mem_space_of(st);
    struct mem_object *o;

    pthread_mutex_lock(&sp->lock);
    o = mem_find(sp, key);
    if (o) {
        size_t i = (size_t)(o - sp->objects);

        free(o->key);
        free(o->data);
        memmove(o, o + 1, (--sp->n - i) * sizeof(*o));
    }
    pthread_mutex_unlock(&sp->lock);
    return NULL;
}

static void mem_writer_abandon(struct bdr_store_writer *base)
{
    struct mem_writer *w = (struct mem_writer *)base;

    bdr_buf_free(&w->buf);
    free(w->key);
    free(w);
}

static struct bdr_err *mem_writer_begin(struct bdr_store *st, const char *key, struct bdr_store_writer **out)
{
    BDR_AUTO(mem) struct mem_writer *w = calloc(1, sizeof(*w));

    (void)st;
    BDR_NOMEM_IF_NULL(w);
    w->key = strdup(key);
    BDR_NOMEM_IF_NULL(w->key);
    *out = &BDR_STEAL(w)->base;
    return NULL;
}

static struct bdr_err *mem_writer_append(struct bdr_store_writer *base, const void *data, size_t len)
{
    struct mem_writer *w = (struct mem_writer *)base;

    bdr_buf_put(&w->buf, data, len);
    return bdr_buf_check(&w->buf);
}

static struct bdr_err *mem_writer_commit(struct bdr_store_writer *base)
{
    struct mem_writer *w = (struct mem_writer *)base;
    struct mem_space *sp = mem_space_of(base->st);
    size_t len = w->buf.len;
    struct bdr_err *err;

    pthread_mutex_lock(&sp->lock);
    err = mem_place(sp, &w->key, &w->buf.data, len, BDR_PUT_REPLACE);
    pthread_mutex_unlock(&sp->lock);
    mem_writer_abandon(base);
    return err;
}

static struct bdr_err *mem_hold(struct bdr_store *st, const char *key, void **out_hold)
{
    struct mem_space *sp = mem_space_of(st);
    BDR_AUTO(mem) struct mem_hold *hold = calloc(1, sizeof(*hold));
    BDR_AUTO(mem) char *name = strdup(key);
    struct bdr_err *err = NULL;
    struct mem_object *o;

    if (!hold || !name)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    pthread_mutex_lock(&sp->lock);
    o = mem_find(sp, key);
    if (!o)
        err = mem_none(key);
    else if (o->hold)
        err = bdr_err_new(BDR_BUSY, 0, BDR_AT, "object %s is held already", key);
    else
        o->hold = hold;
    pthread_mutex_unlock(&sp->lock);
    if (err)
        return err;
    hold->key = BDR_STEAL(name);
    *out_hold = BDR_STEAL(hold);
    return NULL;
}

static void mem_release(struct bdr_store *st, void *held)
{
    struct mem_space *sp = mem_space_of(st);
    struct mem_hold *hold = held;
    struct mem_object *o;

    pthread_mutex_lock(&sp->lock);
    o = mem_find(sp, hold->key);
    if (o && o->hold == hold)
        o->hold = NULL;
    pthread_mutex_unlock(&sp->lock);
    free(hold->key);
    free(hold);
}

static struct bdr_err *mem_held(struct bdr_store *st, const char *key, bool *out)
{
    struct mem_space *sp = mem_space_of(st);
    const struct mem_object *o;

    pthread_mutex_lock(&sp->lock);
    o = mem_find(sp, key);
    if (o)
        *out = o->hold != NULL;
    pthread_mutex_unlock(&sp->lock);
    return o ? NULL : mem_none(key);
}

static void mem_close(struct bdr_store *st)
{
    struct mem_store *ms = (struct mem_store *)st;

    if (ms->own)
        mem_space_free(ms->space);
    free(ms);
}

const struct bdr_store_driver bdr_store_mem = {
    .name = "mem",
    .title = "Memory (tests)",
    .help = "Objects in this process's memory; gone when it ends.",
    .scheme = "mem:",
    .open = mem_open,
    .get = mem_get,
    .stat = mem_stat,
    .put = mem_put,
    .list = mem_list,
    .remove = mem_remove,
    .writer_begin = mem_writer_begin,
    .writer_append = mem_writer_append,
    .writer_commit = mem_writer_commit,
    .writer_abandon = mem_writer_abandon,
    .hold = mem_hold,
    .release = mem_release,
    .held = mem_held,
    .close = mem_close,
};
