/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked entry points of store.h: a driver below sees only valid keys, and no write when the store is read-only.
 */
#include "bdr/store.h"
#include "drivers.h"
#include <string.h>

#define KEY_MAX       200
#define GET_ALL_FIRST ((size_t)1 << 20) /* one request for nearly every object that is read as a whole */

static const struct bdr_store_driver *const drivers[] = {&bdr_store_s3, &bdr_store_mem, &bdr_store_fs};

static bool key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/* What a person may see of a URL that somebody has put a password in. */
static const char *shown(const char *url)
{
    const char *at = strchr(url, '@');

    return at && strstr(url, "://") ? at + 1 : url;
}

/* Whether `s` is a key, or (prefix) could be the beginning of one. */
static bool key_ok(const char *s, bool prefix)
{
    size_t n = 0;

    if (!strcmp(s, BDR_STORE_TMP) || !strncmp(s, BDR_STORE_TMP "/", sizeof(BDR_STORE_TMP)))
        return false;
    for (char before = '/'; s[n]; before = s[n++]) {
        if (n >= KEY_MAX || (s[n] != '/' && !key_char(s[n])))
            return false;
        if (before == '/' && (s[n] == '/' || s[n] == '.'))
            return false;
    }
    return prefix || (n && s[n - 1] != '/');
}

static struct bdr_err *check_key(const char *key)
{
    if (!key_ok(key, false))
        BDR_FAIL(BDR_INVAL, 0,
                 "'%.200s' is not an object key: 1 to %d of [a-z0-9._/-], no part empty or starting with '.'", key,
                 KEY_MAX);
    return NULL;
}

static struct bdr_err *check_write(const struct bdr_store *st, const char *key)
{
    if (st->read_only)
        BDR_FAIL(BDR_READONLY, 0, "%s is opened read-only; %s is not written", st->url, key);
    return check_key(key);
}

static const struct bdr_store_driver *driver_of(const char *url)
{
    for (size_t i = 0; i < BDR_COUNT(drivers); i++)
        if (drivers[i]->scheme && !strncmp(url, drivers[i]->scheme, strlen(drivers[i]->scheme)))
            return drivers[i];
    return strstr(url, "://") ? NULL : &bdr_store_fs;
}

struct bdr_err *bdr_store_open(const char *url, const struct bdr_store_options *opt, struct bdr_store **out)
{
    static const struct bdr_store_options none;
    const struct bdr_store_driver *drv = driver_of(url);
    struct bdr_store *st = NULL;

    if (!drv)
        BDR_FAIL(BDR_INVAL, 0, "'%s' is not a place we can store to; use a folder or s3://bucket/prefix", shown(url));
    if (!opt)
        opt = &none;
    BDR_TRY_FOR(drv->open(url, opt, &st), "opening store %s", shown(url));
    st->drv = drv;
    st->read_only = opt->read_only;
    *out = st;
    return NULL;
}

void bdr_store_close(struct bdr_store *st)
{
    char *url;

    if (!st)
        return;
    url = st->url;
    st->drv->close(st);
    free(url);
}

struct bdr_err *bdr_store_get(struct bdr_store *st, const char *key, uint64_t off, void *buf, size_t len,
                              size_t *out_len)
{
    BDR_TRY(check_key(key));
    if (!len) {
        struct bdr_store_stat stat;

        BDR_TRY(bdr_store_stat(st, key, &stat));
        if (off > stat.size_bytes)
            BDR_FAIL(BDR_RANGE, 0, "object %s has %llu bytes, nothing at %llu", key,
                     (unsigned long long)stat.size_bytes, (unsigned long long)off);
        *out_len = 0;
        return NULL;
    }
    atomic_fetch_add(&st->counts.gets, 1);
    BDR_TRY_FOR(st->drv->get(st, key, off, buf, len, out_len), "reading object %s", key);
    BDR_ASSERT(*out_len <= len);
    atomic_fetch_add(&st->counts.get_bytes, *out_len);
    return NULL;
}

struct bdr_err *bdr_store_get_all(struct bdr_store *st, const char *key, size_t max, uint8_t **out, size_t *out_len)
{
    size_t cap = BDR_MIN(max, GET_ALL_FIRST - 1) + 1;

    /* One get gives all bytes, so that they are of one moment: a full buffer means to ask again for more. */
    for (;;) {
        BDR_AUTO(mem) uint8_t *buf = malloc(cap + 1);
        struct bdr_store_stat stat;
        size_t n = 0;

        BDR_NOMEM_IF_NULL(buf);
        BDR_TRY(bdr_store_get(st, key, 0, buf, cap, &n));
        if (n < cap) {
            uint8_t *fit = realloc(buf, n + 1);

            if (fit)
                buf = fit;
            buf[n] = 0;
            *out_len = n;
            *out = BDR_STEAL(buf);
            return NULL;
        }
        if (n > max)
            BDR_FAIL(BDR_RANGE, 0, "object %s is larger than the %zu bytes it may have", key, max);
        BDR_TRY(bdr_store_stat(st, key, &stat));
        if (stat.size_bytes > max)
            BDR_FAIL(BDR_RANGE, 0, "object %s has %llu bytes, more than the %zu it may have", key,
                     (unsigned long long)stat.size_bytes, max);
        cap = BDR_MAX((size_t)stat.size_bytes, n) + 1;
    }
}

struct bdr_err *bdr_store_stat(struct bdr_store *st, const char *key, struct bdr_store_stat *out)
{
    BDR_TRY(check_key(key));
    atomic_fetch_add(&st->counts.stats, 1);
    BDR_TRY_FOR(st->drv->stat(st, key, out), "looking at object %s", key);
    return NULL;
}

struct bdr_err *bdr_store_put(struct bdr_store *st, const char *key, const void *data, size_t len, int flags)
{
    BDR_TRY(check_write(st, key));
    BDR_ASSERT(flags == BDR_PUT_REPLACE || flags == BDR_PUT_EXCL);
    atomic_fetch_add(&st->counts.puts, 1);
    BDR_TRY_FOR(st->drv->put(st, key, data, len, flags), "writing object %s", key);
    return NULL;
}

struct list_filter {
    bdr_list_fn fn;
    void *ctx;
};

/* What others have put there under names that are no keys is not ours to see. */
static struct bdr_err *list_keys_only(void *ctx, const char *key, uint64_t size_bytes)
{
    const struct list_filter *filter = ctx;

    return key_ok(key, false) ? filter->fn(filter->ctx, key, size_bytes) : NULL;
}

struct bdr_err *bdr_store_list(struct bdr_store *st, const char *prefix, bdr_list_fn fn, void *ctx)
{
    struct list_filter filter = {.fn = fn, .ctx = ctx};

    if (!key_ok(prefix, true))
        BDR_FAIL(BDR_INVAL, 0, "'%.200s' can't be the beginning of an object key", prefix);
    atomic_fetch_add(&st->counts.lists, 1);
    BDR_TRY_FOR(st->drv->list(st, prefix, list_keys_only, &filter), "listing objects '%s*'", prefix);
    return NULL;
}

struct bdr_err *bdr_store_remove(struct bdr_store *st, const char *key)
{
    BDR_TRY(check_write(st, key));
    atomic_fetch_add(&st->counts.removes, 1);
    BDR_TRY_FOR(st->drv->remove(st, key), "removing object %s", key);
    return NULL;
}

struct bdr_err *bdr_store_writer_begin(struct bdr_store *st, const char *key, struct bdr_store_writer **out)
{
    struct bdr_store_writer *w = NULL;

    BDR_TRY(check_write(st, key));
    BDR_TRY_FOR(st->drv->writer_begin(st, key, &w), "beginning object %s", key);
    w->st = st;
    *out = w;
    return NULL;
}

struct bdr_err *bdr_store_writer_append(struct bdr_store_writer *w, const void *data, size_t len)
{
    return len ? w->st->drv->writer_append(w, data, len) : NULL;
}

struct bdr_err *bdr_store_writer_commit(struct bdr_store_writer *w)
{
    return w->st->drv->writer_commit(w);
}

void bdr_store_writer_abandon(struct bdr_store_writer *w)
{
    if (w)
        w->st->drv->writer_abandon(w);
}

struct bdr_err *bdr_store_hold(struct bdr_store *st, const char *key, void **out_hold)
{
    BDR_TRY(check_key(key));
    if (!st->drv->hold) {
        *out_hold = NULL;
        return NULL;
    }
    BDR_TRY_FOR(st->drv->hold(st, key, out_hold), "holding object %s", key);
    return NULL;
}

void bdr_store_release(struct bdr_store *st, void *hold)
{
    if (hold)
        st->drv->release(st, hold);
}

struct bdr_err *bdr_store_held(struct bdr_store *st, const char *key, bool *out)
{
    BDR_TRY(check_key(key));
    if (!st->drv->held)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s can't tell whether an object is held; look at its age", st->url);
    BDR_TRY_FOR(st->drv->held(st, key, out), "asking who holds object %s", key);
    return NULL;
}

const char *bdr_store_path(const struct bdr_store *st)
{
    return st->local ? st->url : NULL;
}

struct bdr_err *bdr_store_sweep(struct bdr_store *st, uint64_t min_age_ms, uint64_t *out_removed)
{
    uint64_t removed = 0;

    if (st->read_only)
        BDR_FAIL(BDR_READONLY, 0, "%s is opened read-only; nothing is swept", st->url);
    if (st->drv->sweep)
        BDR_TRY_FOR(st->drv->sweep(st, min_age_ms, &removed), "sweeping %s", st->url);
    if (out_removed)
        *out_removed = removed;
    return NULL;
}
