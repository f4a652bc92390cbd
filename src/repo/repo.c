/* SPDX-License-Identifier: Apache-2.0 */
/* repo.c - making and opening a repository, and keeping its index up to date. */
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "reader.h"
#include "repo_i.h"
#include "reserve.h"
#include "twice.h"
#include <stdio.h>
#include <string.h>

#define REPO_FORMAT 1
#define REPO_BLOCK_DEFAULT (256u << 10) /* docs/benchmarks.md has the measurements */
#define REPO_PACK_DEFAULT (32u << 20)

struct bdr_err *bdr_repo_load(struct bdr_repo *r, enum bdr_envelope_kind kind, const char *key, json_t **out)
{
    BDR_AUTO(mem) uint8_t *raw = NULL;
    size_t n = 0;

    BDR_TRY(bdr_store_get_all(r->store, key, BDR_ENV_MAX_BYTES + 256, &raw, &n));
    BDR_TRY_FOR(bdr_envelope_json(kind, r->id, repo_master(r), raw, n, NULL, out), "reading %s", key);
    return NULL;
}

struct bdr_err *bdr_repo_save(struct bdr_repo *r, enum bdr_envelope_kind kind, const char *key, const json_t *json,
                              int flags)
{
    BDR_AUTO(buf) struct bdr_buf raw = {0};

    BDR_TRY(bdr_envelope_make_json(kind, r->id, repo_master(r), json, &raw));
    BDR_TRY_FOR(bdr_store_put(r->store, key, raw.data, raw.len, flags), "storing %s", key);
    return NULL;
}

static struct bdr_err *repo_not_empty(void *ctx, const char *key, uint64_t size)
{
    (void)ctx;
    (void)size;
    BDR_FAIL(BDR_EXISTS, 0, "there is something already (%s); choose an empty place", key);
}

static struct bdr_err *repo_remove_key(void *ctx, const char *key, uint64_t size)
{
    (void)size;
    return bdr_store_remove(ctx, key);
}

struct bdr_err *bdr_repo_init(const char *url, const struct bdr_repo_init_options *opt)
{
    BDR_AUTO(store) struct bdr_store *store = NULL;
    BDR_AUTO(json) json_t *config = json_object();
    BDR_AUTO(secret) struct bdr_secret master = {{0}};
    BDR_AUTO(buf) struct bdr_buf raw = {0};
    struct bdr_store_stat st;
    struct bdr_err *err;
    uint8_t id[16];
    char hex[33], key_id[33];
    enum bdr_codec codec = BDR_CODEC_ZSTD;
    int level = 2;
    uint32_t block = opt->block_bytes ? opt->block_bytes : REPO_BLOCK_DEFAULT;
    uint32_t pack = opt->pack_bytes ? opt->pack_bytes : REPO_PACK_DEFAULT;

    BDR_NOMEM_IF_NULL(config);
    if (block < 65536 || block > BDR_BLOCK_MAX_BYTES || (block & (block - 1)))
        BDR_FAIL(BDR_INVAL, 0, "the block size must be a power of two from 64K to 4M, not %u", block);
    if (pack < 4u << 20 || pack > 256u << 20)
        BDR_FAIL(BDR_INVAL, 0, "the pack size must be from 4M to 256M");
    if (opt->compress)
        BDR_TRY(bdr_codec_parse(opt->compress, &codec, &level));
    if (opt->encrypt && !opt->passphrase_file == !opt->key_file)
        BDR_FAIL(BDR_INVAL, 0, "--encrypt needs one of --passphrase-file FILE and --key-file FILE");
    if (!opt->encrypt && (opt->passphrase_file || opt->key_file))
        BDR_FAIL(BDR_INVAL, 0, "a passphrase or key is given but not --encrypt; say which is meant");
    BDR_TRY(bdr_store_open(url, &(struct bdr_store_options){.create = true, .cancel = opt->cancel}, &store));
    err = bdr_store_stat(store, "config", &st);
    if (!err)
        BDR_FAIL(BDR_EXISTS, 0, "%s is a repository already", url);
    if (err->code != BDR_NOTFOUND)
        return err;
    bdr_err_drop(err, "not there is what we want");
    err = bdr_store_stat(store, "copies/config", &st);
    if (!err)
        BDR_FAIL(BDR_EXISTS, 0, "%s is a repository that has lost its file 'config'; 'bdr repair' makes it again", url);
    if (err->code != BDR_NOTFOUND)
        return err;
    bdr_err_drop(err, "not there is what we want");
    BDR_TRY_FOR(bdr_store_list(store, "p", repo_not_empty, NULL), "looking at %s", url);
    /* Without config, packs and points, keys are what an init that was cut off left behind: they open nothing. */
    BDR_TRY(bdr_store_list(store, "keys/", repo_remove_key, store));
    BDR_TRY(bdr_store_list(store, "copies/keys/", repo_remove_key, store));
    BDR_TRY(bdr_os_random(id, sizeof(id)));
    BDR_TRY(bdr_json_set(config, "format", json_integer(REPO_FORMAT)));
    BDR_TRY(bdr_json_set(config, "id", json_string(bdr_hex(id, sizeof(id), hex))));
    BDR_TRY(bdr_json_set(config, "block_bytes", json_integer(block)));
    BDR_TRY(bdr_json_set(config, "pack_bytes", json_integer(pack)));
    BDR_TRY(bdr_json_set(config, "codec", json_string(bdr_codec_name(codec))));
    BDR_TRY(bdr_json_set(config, "level", json_integer(level)));
    BDR_TRY(bdr_json_set(config, "encryption", json_string(opt->encrypt ? "aes-256-gcm" : "none")));
    BDR_TRY(bdr_json_set(config, "created_ms", json_integer(bdr_clock_wall_ms())));
    if (opt->encrypt) {
        BDR_TRY(bdr_os_random(master.b, sizeof(master.b)));
        BDR_TRY(bdr_keys_check(&master, hex));
        BDR_TRY(bdr_json_set(config, "key_check", json_string(hex)));
        BDR_TRY(bdr_keys_wrap(store, id, &master, opt->passphrase_file, opt->key_file, "first", key_id));
    }
    BDR_TRY(bdr_envelope_make_json(BDR_ENV_CONFIG, id, NULL, config, &raw));
    err = bdr_twice_put(store, "config", raw.data, raw.len, BDR_PUT_EXCL);
    if (err && err->code == BDR_EXISTS)
        return bdr_err_wrap(err, BDR_AT, "somebody else has just made a repository at %s", url);
    return err;
}

static struct bdr_err *repo_config(struct bdr_repo *r, const char *url)
{
    uint64_t format, block;
    struct bdr_err *err =
        bdr_twice_get(r->store, BDR_ENV_CONFIG, NULL, "config", r->id, &r->config, &r->second_used);

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "told in plainer words");
        BDR_FAIL(BDR_NOTFOUND, 0, "%s is not a repository; make one with 'bdr init --repo %s'", url, url);
    }
    if (err && err->code == BDR_INVAL) {
        bdr_err_drop(err, "told in plainer words");
        BDR_FAIL(BDR_INVAL, 0, "%s is not an OpenBDR repository (its file 'config' is something else)", url);
    }
    BDR_TRY_FOR(err, "reading the config of %s", url);
    format = json_u64(r->config, "format", 0);
    if (format > REPO_FORMAT)
        BDR_FAIL(BDR_VERSION, 0, "%s has format %llu, this program knows %d; update OpenBDR", url,
                 (unsigned long long)format, REPO_FORMAT);
    block = json_u64(r->config, "block_bytes", 0);
    r->pack_bytes = (uint32_t)json_u64(r->config, "pack_bytes", 0);
    if (format != REPO_FORMAT || block < 65536 || block > BDR_BLOCK_MAX_BYTES || (block & (block - 1)) ||
        r->pack_bytes < 4u << 20 || r->pack_bytes > 256u << 20)
        BDR_FAIL(BDR_CORRUPT, 0, "the config of %s makes no sense", url);
    r->block_bytes = (uint32_t)block;
    BDR_TRY(bdr_codec_parse(json_str(r->config, "codec", "?"), &r->codec, &r->level));
    if (json_is_integer(json_object_get(r->config, "level")))
        r->level = (int)json_integer_value(json_object_get(r->config, "level"));
    r->sealed = strcmp(json_str(r->config, "encryption", "?"), "none") != 0;
    if (r->sealed && strcmp(json_str(r->config, "encryption", "?"), "aes-256-gcm") != 0)
        BDR_FAIL(BDR_VERSION, 0, "%s uses encryption '%s', which this program does not know", url,
                 json_str(r->config, "encryption", "?"));
    return NULL;
}

static struct bdr_err *repo_index_dir(struct bdr_repo *r, const char *cache_dir, bool outside, char **out)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME"), *path = bdr_store_path(r->store);
    char id[33];
    int n;

    bdr_hex(r->id, 16, id);
    if (path && !cache_dir && !outside)
        n = asprintf(out, "%s/index", path);
    else if (cache_dir)
        n = asprintf(out, "%s/%s", cache_dir, id);
    else if (xdg && *xdg)
        n = asprintf(out, "%s/bdr/%s", xdg, id);
    else if (home && *home)
        n = asprintf(out, "%s/.cache/bdr/%s", home, id);
    else
        BDR_FAIL(BDR_INVAL, 0, "there is no home folder for the index; give --cache-dir");
    if (n < 0) {
        *out = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "opening the repository");
    }
    return NULL;
}

static struct bdr_err *repo_index(struct bdr_repo *r, const char *cache_dir, bool fresh)
{
    struct bdr_err *err;

    BDR_TRY(repo_index_dir(r, cache_dir, false, &r->index_dir));
    err = bdr_index_open(r->index_dir, r->id, fresh, &r->index);
    if (err && !cache_dir &&
        (err->code == BDR_DENIED || err->code == BDR_READONLY || err->code == BDR_NOSPACE)) {
        /* A repository on a read-only medium, another user's, or a full disk: the index goes to our own cache. */
        bdr_err_drop(err, "second place is tried");
        free(BDR_STEAL(r->index_dir));
        BDR_TRY(repo_index_dir(r, NULL, true, &r->index_dir));
        err = bdr_index_open(r->index_dir, r->id, fresh, &r->index);
    }
    return err;
}

static struct bdr_err *repo_ready(struct bdr_repo *r, const struct bdr_repo_options *opt)
{
    BDR_TRY(repo_index(r, opt->cache_dir, opt->fresh_index));
    /* Who writes must look again once its session is visible: what was listed before may be pruned by then. */
    return opt->writes_next ? NULL : bdr_repo_sync(r, NULL, NULL);
}

struct bdr_err *bdr_repo_open(const char *url, const struct bdr_repo_options *opt, struct bdr_repo **out)
{
    BDR_AUTO(repo) struct bdr_repo *r = calloc(1, sizeof(*r));
    struct bdr_err *err;
    bool spent = false;

    BDR_NOMEM_IF_NULL(r);
    pthread_mutex_init(&r->lock, NULL);
    r->cancel = opt->cancel;
    r->read_only = opt->read_only;
    BDR_TRY(bdr_store_open(url, &(struct bdr_store_options){.read_only = opt->read_only, .cancel = opt->cancel},
                           &r->store));
    BDR_TRY(repo_config(r, url));
    if (r->sealed) {
        BDR_TRY_FOR(bdr_keys_open(r->store, r->id, r->config, opt->passphrase_file, opt->key_file, &r->master,
                                  &r->second_used),
                    "opening %s", url);
        BDR_TRY(bdr_hkdf(r->master.b, sizeof(r->master.b), NULL, 0, "bdr id", &r->id_key));
        BDR_TRY(bdr_hkdf(r->master.b, sizeof(r->master.b), NULL, 0, "bdr pack", &r->pack_key));
    }
    r->env = (struct bdr_pack_env){.store = r->store, .key = r->sealed ? &r->pack_key : NULL};
    memcpy(r->env.repo_id, r->id, 16);
    err = repo_ready(r, opt);
    if (err && err->code == BDR_NOSPACE && opt->to_free) /* what a full disk kept out of the index goes in now */
        err = bdr_err_first(err, bdr_reserve_spend(r, true, &spent));
    if (spent) {
        bdr_err_drop(err, "tried again with the reserve spent");
        bdr_index_close(BDR_STEAL(r->index));
        free(BDR_STEAL(r->index_dir));
        err = repo_ready(r, opt);
    }
    BDR_TRY(err);
    *out = BDR_STEAL(r);
    return NULL;
}

void bdr_repo_close(struct bdr_repo *repo)
{
    if (!repo)
        return;
    bdr_readers_free(repo);
    bdr_index_close(repo->index);
    bdr_store_close(repo->store);
    json_decref(repo->config);
    free(repo->index_dir);
    pthread_mutex_destroy(&repo->lock);
    free(repo->known);
    OPENSSL_cleanse(repo, sizeof(*repo));
    free(repo);
}

void bdr_repo_id(const struct bdr_repo *repo, char out[33])
{
    bdr_hex(repo->id, 16, out);
}
const char *bdr_repo_url(const struct bdr_repo *repo)
{
    return repo->store->url;
}
void bdr_repo_id_key(const struct bdr_repo *repo, uint8_t out[32], bool *out_keyed)
{
    *out_keyed = repo->sealed;
    if (repo->sealed)
        memcpy(out, repo->id_key.b, sizeof(repo->id_key.b));
}

uint32_t bdr_repo_block_bytes(const struct bdr_repo *repo)
{
    return repo->block_bytes;
}

/* ---- the index follows the packs ---- */

struct pack_names {
    uint8_t (*name)[16];
    size_t n, cap;
};

static int name_cmp(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static struct bdr_err *pack_names_add(void *ctx, const char *key, uint64_t size)
{
    struct pack_names *p = ctx;
    uint8_t name[16];

    (void)size;
    if (!bdr_pack_name(key, name))
        return NULL;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 1024;
        uint8_t(*more)[16] = reallocarray(p->name, cap, 16);

        BDR_NOMEM_IF_NULL(more);
        p->name = more;
        p->cap = cap;
    }
    memcpy(p->name[p->n++], name, 16);
    return NULL;
}

static void pack_names_free(struct pack_names *p)
{
    free(p->name);
}

/* Adds the packs of the store that the index does not name. A pack that can't be read is told, not fatal: other
 * points do not need it, and verify names what does. */
static struct bdr_err *repo_add_missing(struct bdr_repo *r, const struct pack_names *in_store,
                                        void (*on_bad)(void *, const char *, struct bdr_err *), void *ctx,
                                        uint64_t *out_added)
{
    for (size_t i = 0; i < in_store->n; i++) {
        BDR_AUTO(mem) struct bdr_pack_row *rows = NULL;
        struct bdr_index_pack have;
        struct bdr_pack_info info;
        struct bdr_err *err;
        char key[BDR_PACK_KEY_CHARS];
        bool found = false;

        BDR_TRY(bdr_index_pack(r->index, in_store->name[i], &found, &have));
        if (found)
            continue;
        BDR_TRY(bdr_cancel_check(r->cancel));
        err = bdr_pack_read_table(&r->env, in_store->name[i], &info, &rows);
        if (err && err->code == BDR_NOTFOUND) {
            bdr_err_drop(err, "pruned since the listing");
            continue;
        }
        if (err && (err->code == BDR_CORRUPT || err->code == BDR_VERSION || err->code == BDR_IO)) {
            bdr_pack_key(in_store->name[i], key);
            if (on_bad)
                on_bad(ctx, key, err);
            else
                BDR_LOG(WARN, "repo.bad-pack", F_STR("pack", key), F_ERR(err));
            if (!on_bad)
                bdr_err_drop(err, "logged");
            continue;
        }
        BDR_TRY(err);
        BDR_TRY(bdr_index_add(r->index, &info, rows));
        ++*out_added;
    }
    return NULL;
}

static struct bdr_err *repo_sync(struct bdr_repo *r, void (*on_bad)(void *, const char *, struct bdr_err *), void *ctx,
                                 uint64_t *out_added, uint64_t *out_gone)
{
    __attribute__((cleanup(pack_names_free))) struct pack_names in_store = {0};
    BDR_AUTO(mem) struct bdr_index_pack *have = NULL;
    size_t n = 0;

    /* The index first, then the store: a pack stored in between is added a second time, which is fine; a pack
     * removed in between is noticed the next time. The other order would forget a new pack. */
    BDR_TRY(bdr_index_packs(r->index, &have, &n));
    BDR_TRY_FOR(bdr_store_list(r->store, "packs/", pack_names_add, &in_store), "listing the packs");
    if (in_store.n)
        qsort(in_store.name, in_store.n, 16, name_cmp);
    for (size_t i = 0; i < n; i++) {
        if (in_store.n && bsearch(have[i].info.name, in_store.name, in_store.n, 16, name_cmp))
            continue;
        BDR_TRY(bdr_index_drop(r->index, have[i].info.name, NULL));
        ++*out_gone;
    }
    return repo_add_missing(r, &in_store, on_bad, ctx, out_added);
}

struct bdr_err *bdr_repo_sync(struct bdr_repo *repo, uint64_t *out_added, uint64_t *out_gone)
{
    uint64_t added = 0, gone = 0;

    BDR_TRY_FOR(repo_sync(repo, NULL, NULL, &added, &gone), "bringing the index up to date");
    if (out_added)
        *out_added = added;
    if (out_gone)
        *out_gone = gone;
    return NULL;
}

struct bdr_err *bdr_repo_sync_bad(struct bdr_repo *repo, void (*on_bad)(void *, const char *, struct bdr_err *),
                                  void *ctx)
{
    uint64_t added = 0, gone = 0;

    BDR_TRY_FOR(repo_sync(repo, on_bad, ctx, &added, &gone), "bringing the index up to date");
    return NULL;
}

struct bdr_err *bdr_repo_rebuild(struct bdr_repo *repo,
                                 void (*on_bad)(void *ctx, const char *pack, struct bdr_err *err), void *ctx,
                                 uint64_t *out_packs)
{
    uint64_t gone = 0;

    BDR_TRY(bdr_index_clear(repo->index));
    *out_packs = 0;
    return repo_sync(repo, on_bad, ctx, out_packs, &gone);
}

struct bdr_err *bdr_repo_facts(struct bdr_repo *repo, struct bdr_repo_facts *out)
{
    BDR_AUTO(mem) struct bdr_index_pack *packs = NULL;
    struct bdr_repo_facts f = {.block_bytes = repo->block_bytes, .pack_bytes = repo->pack_bytes,
                               .encrypted = repo->sealed};
    size_t n = 0;

    BDR_TRY(bdr_index_packs(repo->index, &packs, &n));
    bdr_hex(repo->id, 16, f.id);
    bdr_codec_text(repo->codec, repo->level, f.compress, sizeof(f.compress));
    f.packs = n;
    for (size_t i = 0; i < n; i++) {
        f.blocks += packs[i].info.rows;
        f.stored_bytes += packs[i].info.size_bytes;
    }
    *out = f;
    return NULL;
}
