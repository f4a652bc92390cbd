/* SPDX-License-Identifier: Apache-2.0 */
#include "twice.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "lock.h"
#include "presence.h"
#include <stdio.h>
#include <string.h>

#define TWICE_PREFIX    "copies/"
#define TWICE_KEYS      "keys/"
#define TWICE_KEY_CHARS 128

static const char *twice_name(const char *key, char buf[TWICE_KEY_CHARS])
{
    snprintf(buf, TWICE_KEY_CHARS, TWICE_PREFIX "%.100s", key);
    return buf;
}

/* ---- one copy ---- */

/* One copy as it lies in the store. */
struct twice_copy {
    uint8_t *raw; /* owned; NULL: not there or unreadable */
    size_t len;
    json_t *json;        /* owned; NULL unless it is whole */
    struct bdr_err *err; /* owned; why it is not whole */
    bool absent;
};

static void twice_copy_free(struct twice_copy *c)
{
    free(c->raw);
    json_decref(c->json);
    bdr_err_free(c->err);
}
#define AUTO_COPY __attribute__((cleanup(twice_copy_free))) struct twice_copy

/* What says something of the object, not of the way to it. */
static bool twice_is_damage(const struct bdr_err *err)
{
    return err->code == BDR_CORRUPT || err->code == BDR_INVAL || err->code == BDR_VERSION || err->code == BDR_RANGE ||
           err->code == BDR_IO;
}

static struct bdr_err *twice_read(struct bdr_store *store, enum bdr_envelope_kind kind, const uint8_t repo_id[16],
                                  const char *key, uint8_t out_repo_id[16], struct twice_copy *out)
{
    struct bdr_err *err = bdr_store_get_all(store, key, BDR_ENV_MAX_BYTES + 256, &out->raw, &out->len);

    if (!err)
        err = bdr_envelope_json(kind, repo_id, NULL, out->raw, out->len, out_repo_id, &out->json);
    if (!err)
        return NULL;
    out->absent = err->code == BDR_NOTFOUND;
    if (!out->absent && !twice_is_damage(err))
        return err;
    out->err = err;
    return NULL;
}

static bool twice_is_newer(const struct twice_copy *c)
{
    return c->err && c->err->code == BDR_VERSION && bdr_envelope_is_newer(c->raw, c->len);
}

struct bdr_err *bdr_twice_get(struct bdr_store *store, enum bdr_envelope_kind kind, const uint8_t repo_id[16],
                              const char *key, uint8_t out_repo_id[16], json_t **out, bool *out_second)
{
    AUTO_COPY first = {0};
    AUTO_COPY second = {0};
    char name[TWICE_KEY_CHARS];

    *out_second = false;
    BDR_TRY(twice_read(store, kind, repo_id, key, out_repo_id, &first));
    if (!first.json && !twice_is_newer(&first)) {
        struct bdr_err *err = twice_read(store, kind, repo_id, twice_name(key, name), out_repo_id, &second);

        bdr_err_drop(err, "the first copy's error is told");
        *out_second = second.json != NULL;
    }
    if (!first.json && !second.json)
        return first.absent && !second.absent ? BDR_STEAL(second.err) : BDR_STEAL(first.err);
    if (*out_second)
        BDR_LOG(WARN, "repo.second-copy-used", F_STR("key", key), F_ERR(first.err));
    *out = *out_second ? BDR_STEAL(second.json) : BDR_STEAL(first.json);
    return NULL;
}

struct bdr_err *bdr_twice_put(struct bdr_store *store, const char *key, const void *raw, size_t len, int flags)
{
    char name[TWICE_KEY_CHARS];
    struct bdr_err *err;

    BDR_TRY(bdr_store_put(store, key, raw, len, flags));
    err = bdr_store_put(store, twice_name(key, name), raw, len, BDR_PUT_REPLACE);
    if (err)
        BDR_LOG(WARN, "repo.second-copy-missing", F_STR("key", key), F_ERR(err));
    bdr_err_drop(err, "the first copy is what was asked for");
    return NULL;
}

/* ---- keys ---- */

struct twice_names {
    json_t *names; /* name -> size */
    size_t skip;   /* characters before "keys/" */
};

static struct bdr_err *twice_add(void *ctx, const char *key, uint64_t size)
{
    const struct twice_names *n = ctx;

    if (strlen(key) >= 96)
        return NULL;
    return bdr_json_set(n->names, key + n->skip, json_integer((json_int_t)BDR_MIN(size, (uint64_t)INT64_MAX)));
}

/* An object: names "keys/<id>" of the first or second copies there are, and their sizes. */
static struct bdr_err *twice_list(struct bdr_store *store, bool second, json_t **out)
{
    BDR_AUTO(json) json_t *names = json_object();
    struct twice_names n = {names, second ? strlen(TWICE_PREFIX) : 0};

    BDR_NOMEM_IF_NULL(names);
    BDR_TRY(bdr_store_list(store, second ? TWICE_PREFIX TWICE_KEYS : TWICE_KEYS, twice_add, &n));
    *out = BDR_STEAL(names);
    return NULL;
}

struct bdr_err *bdr_twice_keys(struct bdr_store *store, json_t **out, bool *out_second)
{
    BDR_AUTO(json) json_t *names = NULL;
    BDR_AUTO(json) json_t *keys = json_array();
    const char *name;
    json_t *size;

    BDR_NOMEM_IF_NULL(keys);
    BDR_TRY(twice_list(store, false, &names));
    *out_second = false;
    if (!json_object_size(names)) { /* nobody removes the last key: all that can have happened is damage */
        json_decref(BDR_STEAL(names));
        BDR_TRY(twice_list(store, true, &names));
        *out_second = json_object_size(names) > 0;
    }
    json_object_foreach(names, name, size) BDR_TRY(bdr_json_append(keys, json_string(name)));
    *out = BDR_STEAL(keys);
    return NULL;
}

struct bdr_err *bdr_twice_remove_key(struct bdr_repo *r, const char *key)
{
    struct bdr_presence me = {0};
    struct bdr_lock lock = {0};
    char name[TWICE_KEY_CHARS];
    struct bdr_err *err;

    BDR_TRY(bdr_presence_begin(r, "removing a key", &me));
    err = bdr_lock_take(r, BDR_LOCK_KEYS, me.id, &lock);
    if (!err)
        err = bdr_store_remove(r->store, key);
    if (!err)
        err = bdr_store_remove(r->store, twice_name(key, name));
    bdr_lock_drop(r, &lock);
    bdr_presence_end(r, &me);
    return err;
}

/* ---- both copies, looked at ---- */

enum twice_state {
    TWICE_FINE,
    TWICE_NO_SECOND,
    TWICE_BAD_SECOND, /* damaged, or not what the first one says */
    TWICE_BAD_FIRST,  /* the second is whole */
    TWICE_REMOVED,    /* a key's second copy that outlived the key */
    TWICE_LOST,       /* neither is whole */
    TWICE_NEWER,      /* a newer program's; not ours to judge */
};

struct twice_pair {
    struct twice_copy first, second;
    enum twice_state state;
};

static void twice_pair_free(struct twice_pair *p)
{
    twice_copy_free(&p->first);
    twice_copy_free(&p->second);
}
#define AUTO_PAIR __attribute__((cleanup(twice_pair_free))) struct twice_pair

/* `removed`: no first copy means that the key was removed. */
static struct bdr_err *twice_look(struct bdr_repo *r, const char *key, bool removed, struct twice_pair *out)
{
    enum bdr_envelope_kind kind = !strcmp(key, "config") ? BDR_ENV_CONFIG : BDR_ENV_KEY;
    const struct twice_copy *a = &out->first, *b = &out->second;
    char name[TWICE_KEY_CHARS];

    BDR_TRY(twice_read(r->store, kind, r->id, key, NULL, &out->first));
    BDR_TRY(twice_read(r->store, kind, r->id, twice_name(key, name), NULL, &out->second));
    if (a->absent && removed)
        out->state = b->absent ? TWICE_FINE : TWICE_REMOVED;
    else if (twice_is_newer(a) || (!a->json && twice_is_newer(b)))
        out->state = TWICE_NEWER;
    else if (!a->json)
        out->state = b->json ? TWICE_BAD_FIRST : TWICE_LOST;
    else if (b->absent)
        out->state = TWICE_NO_SECOND;
    else
        out->state = b->len == a->len && b->raw && !memcmp(a->raw, b->raw, a->len) ? TWICE_FINE : TWICE_BAD_SECOND;
    return NULL;
}

/* Calls fn for config and each key. A lost first copy of a key is damage only when all are gone. */
typedef struct bdr_err *(*twice_fn)(struct bdr_repo *r, const char *key, struct twice_pair *pair, void *ctx);

static struct bdr_err *twice_each(struct bdr_repo *r, twice_fn fn, void *ctx)
{
    BDR_AUTO(json) json_t *first = NULL;
    BDR_AUTO(json) json_t *all = NULL;
    const char *name;
    json_t *size;
    bool removed;

    {
        AUTO_PAIR config = {0};

        BDR_TRY(twice_look(r, "config", false, &config));
        BDR_TRY(fn(r, "config", &config, ctx));
    }
    if (!r->sealed)
        return NULL;
    BDR_TRY(twice_list(r->store, false, &first));
    BDR_TRY(twice_list(r->store, true, &all));
    removed = json_object_size(first) > 0;
    if (json_object_update(all, first))
        BDR_FAIL(BDR_NOMEM, 0, "listing keys");
    json_object_foreach(all, name, size)
    {
        AUTO_PAIR pair = {0};

        BDR_TRY(twice_look(r, name, removed, &pair));
        BDR_TRY(fn(r, name, &pair, ctx));
    }
    return NULL;
}

struct twice_checker {
    bdr_twice_bad on_bad;
    void *ctx;
};

static struct bdr_err *twice_check_one(struct bdr_repo *r, const char *key, struct twice_pair *p, void *ctx)
{
    const struct twice_checker *c = ctx;
    char name[TWICE_KEY_CHARS];

    (void)r;
    twice_name(key, name);
    switch (p->state) {
    case TWICE_FINE:
        return NULL;
    case TWICE_NO_SECOND:
        BDR_LOG(WARN, "repo.second-copy-missing", F_STR("key", key));
        return NULL;
    case TWICE_BAD_SECOND:
        if (p->second.err)
            return c->on_bad(c->ctx, name, true, BDR_STEAL(p->second.err));
        return c->on_bad(c->ctx, name, true,
                         bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "this second copy is not as the first"));
    case TWICE_BAD_FIRST:
        return c->on_bad(c->ctx, key, true, bdr_err_wrap(BDR_STEAL(p->first.err), BDR_AT, "the second copy is whole"));
    case TWICE_REMOVED:
        return c->on_bad(c->ctx, name, true,
                         bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "the key was removed, this copy of it stayed behind"));
    case TWICE_LOST:
        return c->on_bad(c->ctx, key, false, bdr_err_wrap(BDR_STEAL(p->first.err), BDR_AT, "no copy of it is whole"));
    case TWICE_NEWER:
        return c->on_bad(c->ctx, key, false,
                         bdr_err_new(BDR_VERSION, 0, BDR_AT, "made by a newer OpenBDR; update this one"));
    }
    return NULL;
}

struct bdr_err *bdr_twice_check(struct bdr_repo *r, bdr_twice_bad on_bad, void *ctx)
{
    return twice_each(r, twice_check_one, &(struct twice_checker){on_bad, ctx});
}

bool bdr_twice_is(const char *line)
{
    return !strncmp(line, "config:", 7) || !strncmp(line, TWICE_KEYS, strlen(TWICE_KEYS)) ||
           !strncmp(line, TWICE_PREFIX, strlen(TWICE_PREFIX));
}

/* ---- healing ---- */

static struct bdr_err *twice_heal_one(struct bdr_repo *r, const char *key, struct twice_pair *p, void *ctx)
{
    uint64_t *healed = ctx;
    char name[TWICE_KEY_CHARS];

    twice_name(key, name);
    switch (p->state) {
    case TWICE_NO_SECOND:
    case TWICE_BAD_SECOND:
        BDR_TRY(bdr_store_put(r->store, name, p->first.raw, p->first.len, BDR_PUT_REPLACE));
        break;
    case TWICE_BAD_FIRST:
        BDR_TRY(bdr_store_put(r->store, key, p->second.raw, p->second.len, BDR_PUT_REPLACE));
        break;
    case TWICE_REMOVED:
        BDR_TRY(bdr_store_remove(r->store, name));
        break;
    case TWICE_FINE:
    case TWICE_LOST:
    case TWICE_NEWER:
        return NULL;
    }
    BDR_LOG(INFO, "repo.copies-healed", F_STR("key", key));
    *healed += p->state != TWICE_NO_SECOND;
    return NULL;
}

struct bdr_err *bdr_twice_heal(struct bdr_repo *r, const char *session, uint64_t *out_healed)
{
    struct bdr_lock lock = {0};
    struct bdr_err *err;

    *out_healed = 0;
    BDR_TRY(bdr_lock_take(r, BDR_LOCK_KEYS, session, &lock));
    err = twice_each(r, twice_heal_one, out_healed);
    bdr_lock_drop(r, &lock);
    if (!err)
        r->second_used = false;
    return err;
}

struct bdr_err *bdr_twice_fine(struct bdr_repo *r, bool *out)
{
    BDR_AUTO(json) json_t *first = NULL;
    BDR_AUTO(json) json_t *second = NULL;
    AUTO_COPY config = {0};
    char name[TWICE_KEY_CHARS];

    *out = false;
    if (r->second_used)
        return NULL;
    BDR_TRY(twice_read(r->store, BDR_ENV_CONFIG, r->id, twice_name("config", name), NULL, &config));
    if (!config.json || !json_equal(config.json, r->config))
        return NULL;
    *out = true;
    if (!r->sealed)
        return NULL;
    BDR_TRY(twice_list(r->store, false, &first));
    BDR_TRY(twice_list(r->store, true, &second));
    *out = json_equal(first, second);
    return NULL;
}

void bdr_twice_tend(struct bdr_repo *r, const char *session)
{
    uint64_t healed = 0;
    bool fine = true;
    struct bdr_err *err = bdr_twice_fine(r, &fine);

    if (!err && !fine)
        err = bdr_twice_heal(r, session, &healed);
    if (err)
        BDR_LOG(WARN, "repo.copies-not-healed", F_ERR(err));
    bdr_err_drop(err, "the next writer tries again; what this one is here for does not need it");
}
