/* SPDX-License-Identifier: Apache-2.0 */
#include "presence.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/osproc.h"
#include <stdio.h>
#include <string.h>

static struct bdr_err *list_add(void *ctx, const char *key, uint64_t size)
{
    (void)size;
    if (json_array_append_new(ctx, json_string(key)))
        BDR_FAIL(BDR_NOMEM, 0, "listing objects");
    return NULL;
}

struct bdr_err *bdr_repo_list(struct bdr_repo *r, const char *prefix, json_t **out)
{
    BDR_AUTO(json) json_t *keys = json_array();

    BDR_NOMEM_IF_NULL(keys);
    BDR_TRY_FOR(bdr_store_list(r->store, prefix, list_add, keys), "listing %s", prefix);
    *out = BDR_STEAL(keys);
    return NULL;
}

/* ---- sessions ---- */

static struct bdr_err *presence_put(struct bdr_repo *r, struct bdr_presence *p, int flags)
{
    uint64_t now = bdr_clock_mono_ms(); /* before the request: the object is at least this fresh */

    BDR_TRY(bdr_repo_save(r, BDR_ENV_SESSION, p->key, p->json, flags));
    p->refreshed_ms = now;
    return NULL;
}

struct bdr_err *bdr_who_stamp(json_t *json)
{
    char proc[BDR_PROC_CHARS], host[65] = "?";

    BDR_TRY(bdr_os_process_name(proc));
    bdr_err_drop(bdr_os_hostname(host, sizeof(host)), "only for people");
    BDR_TRY(bdr_json_set(json, "process", json_string(proc)));
    BDR_TRY(bdr_json_set_text(json, "machine", host));
    return bdr_json_set(json, "pid", json_integer(getpid()));
}

const char *bdr_who(const json_t *json, char buf[128])
{
    snprintf(buf, 128, "process %llu on %.64s", (unsigned long long)json_u64(json, "pid", 0),
             json_str(json, "machine", "an unknown machine"));
    return buf;
}

struct bdr_err *bdr_presence_begin(struct bdr_repo *r, const char *purpose, struct bdr_presence *out)
{
    struct bdr_presence p = {0};
    BDR_AUTO(json) json_t *json = json_object();
    uint8_t id[16];
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(json);
    BDR_TRY(bdr_os_random(id, sizeof(id)));
    bdr_hex(id, sizeof(id), p.id);
    snprintf(p.key, sizeof(p.key), "sessions/%s", p.id);
    BDR_TRY(bdr_json_set(json, "id", json_string(p.id)));
    BDR_TRY(bdr_json_set_text(json, "purpose", purpose));
    BDR_TRY(bdr_who_stamp(json));
    BDR_TRY(bdr_json_set(json, "started_ms", json_integer(bdr_clock_wall_ms())));
    p.json = json;
    BDR_TRY(presence_put(r, &p, BDR_PUT_EXCL));
    err = bdr_store_hold(r->store, p.key, &p.hold);
    if (err) {
        bdr_err_drop(bdr_store_remove(r->store, p.key), "the first error is told");
        return err;
    }
    p.json = BDR_STEAL(json);
    *out = p;
    return NULL;
}

struct bdr_err *bdr_presence_renew(struct bdr_repo *r, struct bdr_presence *p)
{
    uint64_t age = bdr_clock_mono_ms() - p->refreshed_ms;

    if (p->hold || age < BDR_PRESENCE_REFRESH_MS)
        return NULL;
    if (age > BDR_PRESENCE_GIVE_UP_MS)
        return bdr_presence_check(r, p);
    return presence_put(r, p, BDR_PUT_REPLACE);
}

struct bdr_err *bdr_presence_check(struct bdr_repo *r, struct bdr_presence *p)
{
    struct bdr_store_stat st;
    struct bdr_err *err;

    if (!p->hold && bdr_clock_mono_ms() - p->refreshed_ms > BDR_PRESENCE_GIVE_UP_MS)
        BDR_FAIL(BDR_FENCED, 0,
                 "this session was silent for %u minutes (suspended, or the store was out of reach) and can't be sure "
                 "that its blocks are still there; run it again, what is stored already is not sent twice",
                 BDR_PRESENCE_GIVE_UP_MS / 60000);
    err = bdr_store_stat(r->store, p->key, &st);
    if (err && err->code == BDR_NOTFOUND)
        return bdr_err_recode(err, BDR_FENCED, BDR_AT, "this session was declared dead by a prune; run it again");
    BDR_TRY(err);
    return p->hold ? NULL : presence_put(r, p, BDR_PUT_REPLACE);
}

void bdr_presence_end(struct bdr_repo *r, struct bdr_presence *p)
{
    if (!p->id[0])
        return;
    bdr_err_drop(bdr_store_remove(r->store, p->key), "best effort: a dead session is noticed and removed by prune");
    if (p->hold)
        bdr_store_release(r->store, p->hold);
    json_decref(p->json);
    *p = (struct bdr_presence){0};
}

static struct bdr_err *presence_alive(struct bdr_repo *r, const char *key, bool *out)
{
    BDR_AUTO(json) json_t *json = NULL;
    struct bdr_store_stat st;
    bool held = false, known = false, alive = false;
    struct bdr_err *err;

    *out = true;
    BDR_TRY(bdr_store_stat(r->store, key, &st));
    err = bdr_store_held(r->store, key, &held);
    if (err && err->code != BDR_UNSUPPORTED)
        return err;
    if (!err && held)
        return NULL;
    if (!err && st.now_ms - st.modified_ms > 60000) { /* can be held, was not, had time enough to */
        *out = false;
        return NULL;
    }
    bdr_err_drop(err, "this store can't tell; the object's age and its process can");
    err = bdr_repo_load(r, BDR_ENV_SESSION, key, &json);
    if (err && (err->code == BDR_CORRUPT || err->code == BDR_INVAL)) {
        bdr_err_drop(err, "a torn session object has no living writer once it is old");
    } else if (err) {
        return err;
    } else {
        BDR_TRY(bdr_os_process_alive(json_str(json, "process", ""), &known, &alive));
        if (known && !alive) {
            *out = false;
            return NULL;
        }
    }
    *out = st.now_ms - st.modified_ms < (int64_t)BDR_PRESENCE_STALE_MS;
    return NULL;
}

struct bdr_err *bdr_presence_alive(struct bdr_repo *r, const char *id, bool *out)
{
    char key[64];
    struct bdr_err *err;

    snprintf(key, sizeof(key), "sessions/%.32s", id);
    err = presence_alive(r, key, out);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "ended");
        *out = false;
        return NULL;
    }
    BDR_TRY(err);
    if (!*out && !r->read_only)
        BDR_TRY(bdr_store_remove(r->store, key));
    return NULL;
}

struct bdr_err *bdr_presence_others(struct bdr_repo *r, const char *but, json_t **out)
{
    BDR_AUTO(json) json_t *keys = NULL;
    BDR_AUTO(json) json_t *ids = json_array();
    size_t i;
    json_t *key;

    BDR_NOMEM_IF_NULL(ids);
    BDR_TRY(bdr_repo_list(r, "sessions/", &keys));
    json_array_foreach(keys, i, key)
    {
        const char *id = json_string_value(key) + strlen("sessions/");
        bool alive = false;

        if (but && !strcmp(id, but))
            continue;
        BDR_TRY(bdr_presence_alive(r, id, &alive));
        if (alive && json_array_append_new(ids, json_string(id)))
            BDR_FAIL(BDR_NOMEM, 0, "listing sessions");
    }
    *out = BDR_STEAL(ids);
    return NULL;
}

/* ---- leases ---- */

struct bdr_err *bdr_host_key(const char *host, char out[17])
{
    uint8_t sum[32];

    BDR_TRY(bdr_sha256(host, strlen(host), NULL, 0, NULL, 0, sum));
    bdr_hex(sum, 8, out);
    return NULL;
}

/* Newest lease of the host; 0 when there is none. */
static struct bdr_err *lease_last(struct bdr_repo *r, const char *host_key, uint64_t *out, json_t **out_keys)
{
    char prefix[32];
    const char *last;
    size_t n;

    snprintf(prefix, sizeof(prefix), "leases/%s/", host_key);
    BDR_TRY(bdr_repo_list(r, prefix, out_keys));
    n = json_array_size(*out_keys);
    *out = 0;
    if (!n)
        return NULL;
    last = json_string_value(json_array_get(*out_keys, n - 1));
    *out = strtoull(last + strlen(prefix), NULL, 16);
    return NULL;
}

struct bdr_err *bdr_lease_take(struct bdr_repo *r, const char *host, const char *session, bool take_over, uint64_t *out)
{
    char host_key[17], key[64], who[128];

    BDR_TRY(bdr_host_key(host, host_key));
    for (int attempt = 0; attempt < 100; attempt++) {
        BDR_AUTO(json) json_t *keys = NULL;
        BDR_AUTO(json) json_t *old = NULL;
        BDR_AUTO(json) json_t *mine = json_object();
        struct bdr_err *err;
        uint64_t last = 0;
        bool alive = false;
        size_t i;
        json_t *k;

        BDR_NOMEM_IF_NULL(mine);
        BDR_TRY(lease_last(r, host_key, &last, &keys));
        snprintf(key, sizeof(key), "leases/%s/%016llx", host_key, (unsigned long long)last);
        err = last && !take_over ? bdr_repo_load(r, BDR_ENV_LEASE, key, &old) : NULL;
        if (err && err->code != BDR_NOTFOUND && err->code != BDR_CORRUPT && err->code != BDR_INVAL)
            return err;
        bdr_err_drop(err, "a lease that can't be read binds nobody");
        if (old && strcmp(json_str(old, "session", ""), session) != 0)
            BDR_TRY(bdr_presence_alive(r, json_str(old, "session", ""), &alive));
        if (alive)
            BDR_FAIL(BDR_BUSY, 0,
                     "host %s is being written right now by another session (%s); wait for it, or give "
                     "--take-over to fence it off",
                     host, bdr_who(old, who));
        BDR_TRY(bdr_json_set(mine, "session", json_string(session)));
        BDR_TRY(bdr_who_stamp(mine));
        BDR_TRY(bdr_json_set_text(mine, "host", host));
        snprintf(key, sizeof(key), "leases/%s/%016llx", host_key, (unsigned long long)last + 1);
        err = bdr_repo_save(r, BDR_ENV_LEASE, key, mine, BDR_PUT_EXCL);
        if (err && err->code == BDR_EXISTS) {
            bdr_err_drop(err, "somebody else was faster; look again");
            continue;
        }
        BDR_TRY(err);
        json_array_foreach(keys, i, k) bdr_err_drop(bdr_store_remove(r->store, json_string_value(k)), "only tidying");
        *out = last + 1;
        return NULL;
    }
    BDR_FAIL(BDR_BUSY, 0, "many writers compete for host %s; try again later", host);
}

struct bdr_err *bdr_lease_check(struct bdr_repo *r, const char *host, uint64_t lease)
{
    BDR_AUTO(json) json_t *keys = NULL;
    char host_key[17];
    uint64_t last = 0;

    BDR_TRY(bdr_host_key(host, host_key));
    BDR_TRY(lease_last(r, host_key, &last, &keys));
    if (last != lease)
        BDR_FAIL(BDR_FENCED, 0, "a newer writer (lease %llu, ours is %llu) has taken over host %s; nothing was published",
                 (unsigned long long)last, (unsigned long long)lease, host);
    return NULL;
}

/* ---- condemned packs ---- */

void bdr_condemned_free(struct bdr_condemned *c)
{
    free(c->name);
    json_decref(c->damaged);
    *c = (struct bdr_condemned){0};
}

static int condemned_cmp(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static struct bdr_err *condemned_add(struct bdr_condemned *c, size_t *cap, const char *hex)
{
    if (c->n == *cap) {
        size_t more = *cap ? *cap * 2 : 64;
        uint8_t(*name)[16] = reallocarray(c->name, more, 16);

        BDR_NOMEM_IF_NULL(name);
        c->name = name;
        *cap = more;
    }
    c->n += bdr_unhex(hex, c->name[c->n], 16);
    return NULL;
}

struct bdr_err *bdr_condemned_load(struct bdr_repo *r, struct bdr_condemned *out)
{
    BDR_AUTO(json) json_t *keys = NULL;
    size_t i, j, cap = 0;
    json_t *key, *name;

    out->damaged = json_array();
    BDR_NOMEM_IF_NULL(out->damaged);
    BDR_TRY(bdr_repo_list(r, "condemned/", &keys));
    json_array_foreach(keys, i, key)
    {
        BDR_AUTO(json) json_t *set = NULL;
        struct bdr_err *err = bdr_repo_load(r, BDR_ENV_CONDEMNED, json_string_value(key), &set);

        if (err && (err->code == BDR_CORRUPT || err->code == BDR_INVAL)) {
            BDR_LOG(WARN, "repo.condemned-damaged", F_STR("key", json_string_value(key)), F_ERR(err));
            bdr_err_drop(err, "the caller knows what to do without it");
            if (json_array_append(out->damaged, key))
                BDR_FAIL(BDR_NOMEM, 0, "reading what is condemned");
            continue;
        }
        if (err && err->code == BDR_NOTFOUND) {
            bdr_err_drop(err, "finished since the listing");
            continue;
        }
        BDR_TRY(err);
        json_array_foreach(json_object_get(set, "packs"), j, name) if (json_is_string(name))
            BDR_TRY(condemned_add(out, &cap, json_string_value(name)));
    }
    if (out->n)
        qsort(out->name, out->n, 16, condemned_cmp);
    return NULL;
}

bool bdr_condemned_has(const struct bdr_condemned *c, const uint8_t name[16])
{
    return c->n && bsearch(name, c->name, c->n, 16, condemned_cmp);
}

struct bdr_err *bdr_condemned_all(struct bdr_repo *r, struct bdr_condemned *c)
{
    BDR_AUTO(mem) struct bdr_index_pack *packs = NULL;
    uint8_t(*name)[16];
    size_t n = 0;

    BDR_TRY(bdr_index_packs(r->index, &packs, &n));
    name = calloc(n + 1, 16);
    BDR_NOMEM_IF_NULL(name);
    for (size_t i = 0; i < n; i++)
        memcpy(name[i], packs[i].info.name, 16);
    qsort(name, n, 16, condemned_cmp);
    free(c->name);
    c->name = name;
    c->n = n;
    return NULL;
}

struct bdr_err *bdr_condemned_apply(struct bdr_repo *r, const struct bdr_condemned *c)
{
    BDR_AUTO(mem) struct bdr_index_pack *packs = NULL;
    size_t n = 0;

    BDR_TRY(bdr_index_packs(r->index, &packs, &n));
    for (size_t i = 0; i < n; i++)
        if (bdr_condemned_has(c, packs[i].info.name) != packs[i].condemned)
            BDR_TRY(bdr_index_condemn(r->index, packs[i].info.name, !packs[i].condemned));
    return NULL;
}
