/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heal_points.c - manifests that can't be read come back: from this machine's cache, or as a copy from another repository
 * that then takes their place.
 */
#include "bdr/heal.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/point.h"
#include "presence.h"
#include <stdio.h>
#include <string.h>

/* "points/<16>/<16>-<32>" */
#define KEY_CHARS (7u + 16 + 1 + 16 + 1 + 32)

static bool key_is_point(const char *key)
{
    return strlen(key) == KEY_CHARS && key[23] == '/' && key[40] == '-';
}

struct bdr_err *bdr_heal_manifest_fits(const char *key, const struct bdr_point_info *p, bool *out)
{
    char host[17], time[17];

    *out = false;
    if (!key_is_point(key))
        return NULL;
    if (!strcmp(key + 41, bdr_point_key(p))) {
        *out = true;
        return NULL;
    }
    BDR_TRY(bdr_host_key(p->host, host));
    snprintf(time, sizeof(time), "%016llx", (unsigned long long)p->time_ms);
    *out = !strncmp(key + 7, host, 16) && !strncmp(key + 24, time, 16);
    return NULL;
}

/* *out_bad: what the store has there is damaged, and no newer program's. */
static struct bdr_err *manifest_is_bad(struct bdr_repo *r, const char *key, bool *out_bad)
{
    BDR_AUTO(mem) uint8_t *raw = NULL;
    BDR_AUTO(json) json_t *point = NULL;
    struct bdr_err *err;
    size_t n = 0;

    *out_bad = false;
    err = bdr_store_get_all(r->store, key, BDR_ENV_MAX_BYTES + 256, &raw, &n);
    if (!err) {
        err = bdr_envelope_json(BDR_ENV_POINT, r->id, repo_master(r), raw, n, NULL, &point);
        if (!err)
            err = bdr_point_check(point);
        *out_bad = err && (err->code == BDR_CORRUPT || err->code == BDR_INVAL ||
                           (err->code == BDR_VERSION && !point && !bdr_envelope_is_newer(raw, n)));
    } else {
        *out_bad = err->code == BDR_RANGE || err->code == BDR_IO;
    }
    if (err && !*out_bad && err->code != BDR_NOTFOUND && err->code != BDR_VERSION)
        return err;
    bdr_err_drop(err, "removed meanwhile, or told by who verifies");
    return NULL;
}

/* The cache has the very bytes that were stored: sealed and summed like these. */
static struct bdr_err *manifest_from_cache(struct bdr_repo *r, const char *key, bool dry_run, bool *out_healed)
{
    BDR_AUTO(mem) uint8_t *raw = NULL;
    BDR_AUTO(json) json_t *point = NULL;
    struct bdr_err *err;
    size_t n = 0;

    BDR_TRY(bdr_index_blob_get(r->index, key, &raw, &n));
    if (!raw)
        return NULL;
    err = bdr_envelope_json(BDR_ENV_POINT, r->id, repo_master(r), raw, n, NULL, &point);
    if (!err)
        err = bdr_point_check(point);
    if (!err && strcmp(json_str(point, "id", ""), key + 41) != 0)
        err = bdr_err_new(BDR_CORRUPT, 0, BDR_AT, "another point's manifest");
    *out_healed = !err;
    bdr_err_drop(err, "the cache is damaged, too");
    return *out_healed && !dry_run ? bdr_store_put(r->store, key, raw, n, BDR_PUT_REPLACE) : NULL;
}

/* The copy takes the place, the id and so the name of what was damaged. First it is there twice, then once. */
static struct bdr_err *manifest_from_copy(struct bdr_repo *r, const char *key, const char *copy_id)
{
    BDR_AUTO(json) json_t *point = NULL;
    BDR_AUTO(json) json_t *mine = NULL;
    const char *origin;

    BDR_TRY(bdr_point_load(r, copy_id, &point));
    mine = json_deep_copy(point);
    BDR_NOMEM_IF_NULL(mine);
    BDR_TRY(bdr_json_set(mine, "id", json_string(key + 41)));
    origin = json_str(mine, "origin", "");
    if (!strcmp(origin, key + 41)) /* it was the original */
        (void)json_object_del(mine, "origin");
    BDR_TRY(bdr_repo_save(r, BDR_ENV_POINT, key, mine, BDR_PUT_REPLACE));
    return strcmp(copy_id, key + 41) != 0 ? bdr_point_remove(r, copy_id) : NULL;
}

struct bdr_err *bdr_heal_manifests(struct bdr_repo *repo, const struct bdr_heal_manifest_ops *ops, bool dry_run,
                                   json_t *out_healed)
{
    BDR_AUTO(json) json_t *keys = NULL;
    size_t i;
    json_t *item;

    if (repo->read_only && !dry_run)
        BDR_FAIL(BDR_READONLY, 0, "%s is opened for reading only", bdr_repo_url(repo));
    BDR_TRY(bdr_repo_list(repo, "points/", &keys));
    json_array_foreach(keys, i, item)
    {
        const char *key = json_string_value(item);
        bool bad = false, healed = false;
        char copy[33] = "";

        if (!key_is_point(key))
            continue;
        BDR_TRY(manifest_is_bad(repo, key, &bad));
        if (!bad)
            continue;
        BDR_TRY(manifest_from_cache(repo, key, dry_run, &healed));
        if (!healed && ops) {
            BDR_TRY_FOR(ops->copy(ops->ctx, key, &healed, copy), "bringing %s back", key);
            if (healed && !dry_run)
                BDR_TRY_FOR(manifest_from_copy(repo, key, copy), "bringing %s back", key);
        }
        if (!healed)
            continue;
        BDR_TRY(bdr_json_append(out_healed, json_string(key)));
        if (!dry_run)
            BDR_LOG(WARN, "repair.manifest", F_STR("key", key));
    }
    return NULL;
}
