/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/jsonset.h"
#include "bdr/point.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "presence.h"
#include "repo_i.h"
#include <stdio.h>
#include <string.h>

#define POINT_FORMAT 1

struct bdr_err *bdr_point_check(const json_t *point)
{
    uint64_t format = json_u64(point, "format", 0);

    if (format > POINT_FORMAT)
        BDR_FAIL(BDR_VERSION, 0, "the point has format %llu, this program knows %d; update OpenBDR",
                 (unsigned long long)format, POINT_FORMAT);
    if (format != POINT_FORMAT || strlen(json_str(point, "id", "")) != 32 || !*json_str(point, "host", "") ||
        !json_is_array(json_object_get(point, "disks")))
        BDR_FAIL(BDR_CORRUPT, 0, "the manifest lacks what it must have");
    return NULL;
}

/* Reads a manifest by its key, through the index's cache. The cached bytes are the sealed ones. */
static struct bdr_err *point_by_key(struct bdr_repo *r, const char *key, json_t **out)
{
    BDR_AUTO(mem) uint8_t *raw = NULL;
    BDR_AUTO(json) json_t *point = NULL;
    size_t n = 0;

    BDR_TRY(bdr_index_blob_get(r->index, key, &raw, &n));
    if (raw)
        bdr_err_drop(bdr_envelope_json(BDR_ENV_POINT, r->id, repo_master(r), raw, n, NULL, &point),
                     "the cache is damaged; the store is asked");
    if (!point) {
        free(BDR_STEAL(raw));
        BDR_TRY(bdr_store_get_all(r->store, key, BDR_ENV_MAX_BYTES + 256, &raw, &n));
        BDR_TRY_FOR(bdr_envelope_json(BDR_ENV_POINT, r->id, repo_master(r), raw, n, NULL, &point), "reading %s", key);
        bdr_err_drop(bdr_index_blob_put(r->index, key, raw, n), "only a cache");
    }
    BDR_TRY_FOR(bdr_point_check(point), "reading %s", key);
    *out = BDR_STEAL(point);
    return NULL;
}

static int info_cmp(const void *a, const void *b)
{
    const struct bdr_point_info *x = a, *y = b;
    int host = strcmp(x->host, y->host);

    if (host)
        return host;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return strcmp(x->id, y->id);
}

static void point_info(const json_t *point, const char *key, struct bdr_point_info *out)
{
    *out = (struct bdr_point_info){.time_ms = (int64_t)json_u64(point, "time_ms", 0),
                                   .disks = bdr_point_disks(point)};
    snprintf(out->key, sizeof(out->key), "%s", key);
    snprintf(out->id, sizeof(out->id), "%s", json_str(point, "id", ""));
    snprintf(out->host, sizeof(out->host), "%s", json_str(point, "host", ""));
    snprintf(out->origin, sizeof(out->origin), "%s", json_str(point, "origin", ""));
    for (uint32_t i = 0; i < out->disks; i++)
        out->size_bytes += json_u64(json_array_get(json_object_get(point, "disks"), i), "size", 0);
}

static int key_cmp(const void *a, const void *b)
{
    const struct bdr_point_info *x = a, *y = b;

    return strcmp(x->key, y->key);
}

/* What an earlier listing read: `bdr copy --all` lists once a point. */
static bool points_known(struct bdr_repo *repo, const char *key, struct bdr_point_info *out)
{
    const struct bdr_point_info *hit = NULL;
    struct bdr_point_info want = {0};

    snprintf(want.key, sizeof(want.key), "%s", key);
    pthread_mutex_lock(&repo->lock);
    if (repo->known_n)
        hit = bsearch(&want, repo->known, repo->known_n, sizeof(want), key_cmp);
    if (hit)
        *out = *hit;
    pthread_mutex_unlock(&repo->lock);
    return hit != NULL;
}

/* Out of memory, the next listing reads them again. */
static void points_remember(struct bdr_repo *repo, const struct bdr_point_info *all, size_t n)
{
    struct bdr_point_info *copy = calloc(n + 1, sizeof(*copy)), *old;

    if (!copy)
        return;
    memcpy(copy, all, n * sizeof(*copy));
    qsort(copy, n, sizeof(*copy), key_cmp);
    pthread_mutex_lock(&repo->lock);
    old = repo->known;
    repo->known = copy;
    repo->known_n = n;
    pthread_mutex_unlock(&repo->lock);
    free(old);
}

struct bdr_err *bdr_repo_points_bad(struct bdr_repo *repo,
                                    void (*on_bad)(void *ctx, const char *key, struct bdr_err *err), void *ctx,
                                    struct bdr_point_info **out, size_t *out_n)
{
    BDR_AUTO(json) json_t *keys = NULL;
    BDR_AUTO(mem) struct bdr_point_info *all = NULL;
    size_t i, n = 0;
    json_t *key;

    BDR_TRY(bdr_repo_list(repo, "points/", &keys));
    all = calloc(json_array_size(keys) + 1, sizeof(*all));
    BDR_NOMEM_IF_NULL(all);
    json_array_foreach(keys, i, key)
    {
        BDR_AUTO(json) json_t *point = NULL;
        struct bdr_err *err;

        if (points_known(repo, json_string_value(key), &all[n])) {
            n++;
            continue;
        }
        err = point_by_key(repo, json_string_value(key), &point);
        if (!err) {
            point_info(point, json_string_value(key), &all[n++]);
        } else if (err->code == BDR_NOTFOUND) {
            bdr_err_drop(err, "removed since the listing");
        } else if (err->code == BDR_CORRUPT || err->code == BDR_INVAL || err->code == BDR_VERSION) {
            on_bad(ctx, json_string_value(key), err);
        } else {
            return err;
        }
    }
    points_remember(repo, all, n);
    qsort(all, n, sizeof(*all), info_cmp);
    *out_n = n;
    *out = BDR_STEAL(all);
    return NULL;
}

static void log_bad(void *ctx, const char *key, struct bdr_err *err)
{
    (void)ctx;
    BDR_LOG(ERROR, "point.damaged", F_STR("key", key), F_ERR(err));
    bdr_err_drop(err, "logged; the other points stay usable");
}

struct bdr_err *bdr_repo_points(struct bdr_repo *repo, struct bdr_point_info **out, size_t *out_n)
{
    return bdr_repo_points_bad(repo, log_bad, NULL, out, out_n);
}

/* Keys are points/<host>/<time>-<id>, so a point is found, and a host's newest told, without reading manifests: a repository
 * may hold a point for each five seconds. */
static const char *key_id(const char *key)
{
    const char *dash = strrchr(key, '-');

    return dash ? dash + 1 : "";
}

static size_t key_host_chars(const char *key)
{
    const char *slash = strrchr(key, '/');

    return slash ? (size_t)(slash - key) + 1 : 0;
}

static bool key_same_host(const char *a, const char *b)
{
    return key_host_chars(a) == key_host_chars(b) && !strncmp(a, b, key_host_chars(a));
}

/* The best key of `keys`, and takes it off the list; NULL when there is none left. */
static struct bdr_err *find_key(const json_t *keys, const char *which, bool latest, const char **out)
{
    const char *hit = NULL;
    size_t i;
    json_t *key;

    json_array_foreach(keys, i, key)
    {
        const char *k = json_string_value(key);

        if (!latest && strncmp(key_id(k), which, strlen(which)) != 0)
            continue;
        if (!latest && hit)
            BDR_FAIL(BDR_INVAL, 0, "point id '%s' is ambiguous; give more of it", which);
        if (latest && hit && !key_same_host(hit, k))
            BDR_FAIL(BDR_INVAL, 0, "the repository holds several hosts; say whose latest point with --host NAME");
        if (!hit || strcmp(k, hit) > 0) /* the time has a fixed width */
            hit = k;
    }
    *out = hit;
    return NULL;
}

static void find_forget(json_t *keys, const char *gone)
{
    for (size_t i = json_array_size(keys); i-- > 0;)
        if (json_string_value(json_array_get(keys, i)) == gone) {
            json_array_remove(keys, i);
            return;
        }
}

struct bdr_err *bdr_repo_find(struct bdr_repo *repo, const char *which, const char *host, struct bdr_point_info *out)
{
    BDR_AUTO(json) json_t *keys = NULL;
    bool latest = !strcmp(which, "latest");
    char host_key[17], prefix[32] = "points/";

    if (host) {
        BDR_TRY(bdr_host_key(host, host_key));
        snprintf(prefix, sizeof(prefix), "points/%s/", host_key);
    }
    BDR_TRY(bdr_repo_list(repo, prefix, &keys));
    for (;;) {
        BDR_AUTO(json) json_t *point = NULL;
        const char *hit = NULL;
        struct bdr_err *err;

        BDR_TRY(find_key(keys, which, latest, &hit));
        if (!hit)
            BDR_FAIL(BDR_NOTFOUND, 0, "there is no point '%s'%s%s in %s; 'bdr points' lists them", which,
                     host ? " of host " : "", host ? host : "", bdr_repo_url(repo));
        err = point_by_key(repo, hit, &point);
        if (!err) {
            point_info(point, hit, out);
            return NULL;
        }
        if (err->code == BDR_NOTFOUND)
            bdr_err_drop(err, "removed since the listing");
        else if (latest && (err->code == BDR_CORRUPT || err->code == BDR_INVAL || err->code == BDR_VERSION))
            log_bad(NULL, hit, err);
        else
            return err;
        find_forget(keys, hit);
    }
}

/* A point that a listing told before, if it is still there: one question instead of a list. */
static bool point_known_key(struct bdr_repo *r, const char *id, char out[BDR_POINT_KEY_CHARS])
{
    struct bdr_store_stat st;
    struct bdr_err *err;
    bool hit = false;

    if (strlen(id) != 32)
        return false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->known_n && !hit; i++) {
        hit = !strcmp(r->known[i].id, id);
        if (hit)
            memcpy(out, r->known[i].key, BDR_POINT_KEY_CHARS);
    }
    pthread_mutex_unlock(&r->lock);
    if (!hit)
        return false;
    err = bdr_store_stat(r->store, out, &st);
    hit = !err;
    bdr_err_drop(err, "the listing tells");
    return hit;
}

static struct bdr_err *point_key(struct bdr_repo *r, const char *id, char out[BDR_POINT_KEY_CHARS])
{
    BDR_AUTO(json) json_t *keys = NULL;
    size_t i, hits = 0;
    json_t *key;

    if (point_known_key(r, id, out))
        return NULL;
    BDR_TRY(bdr_repo_list(r, "points/", &keys));
    json_array_foreach(keys, i, key)
    {
        const char *k = json_string_value(key), *dash = strrchr(k, '-');

        if (!dash || strncmp(dash + 1, id, strlen(id)) != 0 || strlen(k) >= BDR_POINT_KEY_CHARS)
            continue;
        snprintf(out, BDR_POINT_KEY_CHARS, "%s", k);
        hits++;
    }
    if (hits != 1)
        BDR_FAIL(hits ? BDR_INVAL : BDR_NOTFOUND, 0, hits ? "point id '%s' is ambiguous; give more of it"
                                                          : "there is no point '%s'; 'bdr points' lists them", id);
    return NULL;
}

struct bdr_err *bdr_point_visible(struct bdr_repo *repo, const char *host, const char *id, bool *out)
{
    BDR_AUTO(json) json_t *keys = NULL;
    char host_key[17], prefix[32];
    size_t i;
    json_t *key;

    BDR_TRY(bdr_host_key(host, host_key));
    snprintf(prefix, sizeof(prefix), "points/%s/", host_key);
    BDR_TRY(bdr_repo_list(repo, prefix, &keys));
    *out = false;
    json_array_foreach(keys, i, key)
    {
        const char *dash = strrchr(json_string_value(key), '-');

        *out |= dash && !strcmp(dash + 1, id);
    }
    return NULL;
}

struct bdr_err *bdr_point_load(struct bdr_repo *repo, const char *id, json_t **out)
{
    char key[BDR_POINT_KEY_CHARS];

    BDR_TRY(point_key(repo, id, key));
    return point_by_key(repo, key, out);
}

struct bdr_err *bdr_point_read(struct bdr_repo *repo, const struct bdr_point_info *info, json_t **out)
{
    return point_by_key(repo, info->key, out);
}

struct bdr_err *bdr_point_remove(struct bdr_repo *repo, const char *id)
{
    char key[BDR_POINT_KEY_CHARS];

    if (repo->read_only)
        BDR_FAIL(BDR_READONLY, 0, "%s is opened for reading only", bdr_repo_url(repo));
    BDR_TRY(point_key(repo, id, key));
    return bdr_store_remove(repo->store, key);
}

uint32_t bdr_point_disks(const json_t *point)
{
    return (uint32_t)json_array_size(json_object_get(point, "disks"));
}

struct bdr_err *bdr_point_disk(const json_t *point, uint32_t index, struct bdr_point_disk *out)
{
    const json_t *disk = json_array_get(json_object_get(point, "disks"), index);
    struct bdr_point_disk d;
    const char *root;

    if (!disk)
        BDR_FAIL(BDR_NOTFOUND, 0, "the point has %u disks (numbered from 0); there is no disk %u",
                 bdr_point_disks(point), index);
    d = (struct bdr_point_disk){
        .name = json_str(disk, "name", ""),   .identity = json_str(disk, "identity", ""),
        .token = json_str(disk, "token", NULL), .token_kind = json_str(disk, "token_kind", NULL),
        .table = json_str(disk, "table", ""), .size_bytes = json_u64(disk, "size", 0),
        .sector_bytes = (uint32_t)json_u64(disk, "sector", 512),
        .unreadable_bytes = json_u64(disk, "unreadable_bytes", 0),
    };
    root = json_str(disk, "root", NULL);
    d.has_root = root != NULL;
    if ((root && !bdr_unhex(root, d.root.b, sizeof(d.root.b))) || d.size_bytes == 0 || d.size_bytes > INT64_MAX ||
        d.sector_bytes < 512 || d.sector_bytes > 65536 || (d.sector_bytes & (d.sector_bytes - 1)))
        BDR_FAIL(BDR_CORRUPT, 0, "what the manifest says of disk %u makes no sense", index);
    *out = d;
    return NULL;
}

uint32_t bdr_map_levels(uint64_t blocks)
{
    uint32_t levels = 1;
    uint64_t covers = 64;

    while (covers < blocks && levels < 10) {
        covers *= 64;
        levels++;
    }
    return levels;
}

struct bdr_err *bdr_point_store(struct bdr_repo *repo, json_t *point, char out_id[33])
{
    char host_key[17], hex[33], key[BDR_POINT_KEY_CHARS];
    uint8_t id[16];
    int64_t time_ms;

    BDR_TRY(bdr_os_random(id, sizeof(id)));
    BDR_TRY(bdr_host_key(json_str(point, "host", ""), host_key));
    time_ms = (int64_t)json_u64(point, "time_ms", (uint64_t)bdr_clock_wall_ms());
    BDR_TRY(bdr_json_set(point, "format", json_integer(POINT_FORMAT)));
    BDR_TRY(bdr_json_set(point, "id", json_string(bdr_hex(id, sizeof(id), hex))));
    BDR_TRY(bdr_json_set(point, "time_ms", json_integer(time_ms)));
    BDR_TRY(bdr_point_check(point));
    snprintf(key, sizeof(key), "points/%s/%016llx-%s", host_key, (unsigned long long)time_ms, hex);
    BDR_TRY_FOR(bdr_repo_save(repo, BDR_ENV_POINT, key, point, BDR_PUT_EXCL), "publishing the point");
    if (out_id)
        memcpy(out_id, hex, sizeof(hex));
    return NULL;
}
