/* SPDX-License-Identifier: Apache-2.0 */
/* repos.c - repositories, opened on demand and kept open, each with the table of who possesses which of its blocks. */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/mapread.h"
#include "bdr/osfile.h"
#include "bdr/point.h"
#include "gw_i.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LEARN_BLOCKS 4096u /* told to the table at once */

void gw_repo_spec_free(struct gw_repo_spec *spec)
{
    if (spec->passphrase)
        bdr_wipe(spec->passphrase, strlen(spec->passphrase));
    if (spec->s3_secret)
        bdr_wipe(spec->s3_secret, strlen(spec->s3_secret));
    free(spec->s3_key);
    free(spec->s3_secret);
    free(spec->s3_endpoint);
    free(spec->s3_region);
    free(spec->s3_addressing);
    free(spec->s3_ca);
    free(spec->url);
    free(spec->passphrase);
    free(spec->passphrase_file);
    free(spec->compress);
    *spec = (struct gw_repo_spec){0};
}

static void repo_free(struct gw_repo *r)
{
    if (!r)
        return;
    while (r->coders) {
        struct gw_coder *c = r->coders;

        r->coders = c->next;
        bdr_encoder_free(c->e);
        free(c);
    }
    gw_possess_close(r->owners);
    bdr_repo_close(r->repo);
    bdr_wipe(r->id_key, sizeof(r->id_key));
    pthread_mutex_destroy(&r->lock);
    free(r);
}
BDR_AUTO_DEFINE(gw_repo, struct gw_repo *, repo_free)

void gw_repos_close(struct gw *gw)
{
    while (gw->repos) {
        struct gw_repo *r = gw->repos;

        gw->repos = r->next;
        repo_free(r);
    }
}

/* A passphrase that came as text, as a file that only this process sees. */
static struct bdr_err *secret_file(const char *text, int *out_fd, char path[64])
{
    BDR_AUTO(fd) int fd = memfd_create("bdr-secret", MFD_CLOEXEC);

    if (fd < 0)
        BDR_FAIL_ERRNO("keeping a passphrase in memory");
    BDR_TRY(bdr_os_pwrite(fd, "a passphrase", text, strlen(text), 0));
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}

/*
 * Opens it; makes it first when nobody has ever seen it and nothing is there. With a table of `owners` it was there once:
 * then its disk is not mounted, and an empty one in its place would look right.
 */
static struct bdr_err *repo_open_or_make(const struct gw_repo_spec *spec, const struct bdr_repo_options *opt,
                                         const char *owners, struct bdr_repo **out)
{
    struct bdr_repo_init_options make = {.block_bytes = spec->block_bytes,
                                         .compress = spec->compress,
                                         .encrypt = opt->passphrase_file != NULL,
                                         .passphrase_file = opt->passphrase_file};
    struct bdr_err *err = bdr_repo_open(spec->url, opt, out);

    if (!err || err->code != BDR_NOTFOUND || !spec->create || !access(owners, F_OK))
        return err;
    bdr_err_drop(err, "it is made now");
    BDR_TRY(bdr_repo_init(spec->url, &make));
    return bdr_repo_open(spec->url, opt, out);
}

/* With the bucket's keys that came with it, which no other thread and no program that we start gets to see. */
static struct bdr_err *repo_open_access(struct gw *gw, const struct gw_repo_spec *spec, const struct bdr_repo_options *opt,
                                        const char *owners, struct bdr_repo **out)
{
    struct bdr_store_access access = {.key = spec->s3_key, .secret = spec->s3_secret, .endpoint = spec->s3_endpoint,
                                      .region = spec->s3_region, .addressing = spec->s3_addressing};
    struct bdr_err *err;
    char ca[512];

    if (!spec->s3_key)
        return repo_open_or_make(spec, opt, owners, out);
    if (spec->s3_ca) {
        snprintf(ca, sizeof(ca), "%s/s3-ca-%" PRIu64 ".pem", gw->state_dir, spec->id);
        BDR_TRY(bdr_os_replace_file(ca, spec->s3_ca, strlen(spec->s3_ca), 0644, false));
        access.ca_file = ca;
    }
    bdr_store_access_set(&access);
    err = repo_open_or_make(spec, opt, owners, out);
    bdr_store_access_set(NULL);
    return err;
}

static struct bdr_err *repo_open(struct gw *gw, const struct gw_repo_spec *spec, struct gw_repo *r)
{
    struct bdr_repo_options opt = {.passphrase_file = spec->passphrase_file, .writes_next = true};
    struct bdr_repo_facts facts;
    BDR_AUTO(fd) int fd = -1;
    char path[512], cache[512], secret[64];

    snprintf(cache, sizeof(cache), "%s/cache", gw->state_dir);
    snprintf(path, sizeof(path), "%s/owners-%" PRIu64, gw->state_dir, spec->id);
    opt.cache_dir = cache;
    if (spec->passphrase) {
        BDR_TRY(secret_file(spec->passphrase, &fd, secret));
        opt.passphrase_file = secret;
    }
    BDR_TRY_FOR(repo_open_access(gw, spec, &opt, path, &r->repo), "opening repository %" PRIu64, spec->id);
    BDR_TRY(bdr_repo_facts(r->repo, &facts));
    r->block_bytes = bdr_repo_block_bytes(r->repo);
    bdr_repo_id_key(r->repo, r->id_key, &r->keyed);
    snprintf(r->compress, sizeof(r->compress), "%s", spec->compress ? spec->compress : facts.compress);
    return gw_possess_open(path, gw->limits.keep_ms, &r->owners);
}

static struct bdr_err *repo_get(struct gw *gw, uint64_t id, struct gw_repo **out)
{
    BDR_AUTO(gw_repo) struct gw_repo *r = NULL;
    struct gw_repo_spec spec = {0};
    struct bdr_err *err;

    for (struct gw_repo *old = gw->repos; old; old = old->next)
        if (old->id == id) {
            *out = old;
            return NULL;
        }
    r = calloc(1, sizeof(*r));
    BDR_NOMEM_IF_NULL(r);
    pthread_mutex_init(&r->lock, NULL);
    r->id = id;
    BDR_TRY(gw->config.authority->repository(gw->config.authority->ctx, id, &gw->stop, &spec));
    spec.id = id;
    err = repo_open(gw, &spec, r);
    gw_repo_spec_free(&spec);
    BDR_TRY(err);
    BDR_LOG(INFO, "gateway.repository", F_U64("id", id), F_STR("url", bdr_repo_url(r->repo)));
    r->next = gw->repos;
    gw->repos = r;
    *out = BDR_STEAL(r);
    return NULL;
}

struct bdr_err *gw_repo_get(struct gw *gw, uint64_t id, struct gw_repo **out)
{
    struct bdr_err *err;

    pthread_mutex_lock(&gw->repo_lock);
    err = repo_get(gw, id, out);
    pthread_mutex_unlock(&gw->repo_lock);
    return err;
}

struct bdr_err *gw_repo_open(struct gw *gw, uint64_t repository, struct bdr_repo **out)
{
    struct gw_repo *r = NULL;

    BDR_TRY(gw_repo_get(gw, repository, &r));
    *out = r->repo;
    return NULL;
}

struct bdr_err *gw_coder_take(struct gw_repo *r, struct gw_coder **out)
{
    struct gw_coder *c;
    struct bdr_err *err;

    pthread_mutex_lock(&r->lock);
    c = r->coders;
    if (c)
        r->coders = c->next;
    pthread_mutex_unlock(&r->lock);
    if (!c) {
        c = calloc(1, sizeof(*c));
        BDR_NOMEM_IF_NULL(c);
        err = bdr_encoder_new("none", r->keyed ? r->id_key : NULL, &c->e);
        if (err) {
            free(c);
            return err;
        }
    }
    *out = c;
    return NULL;
}

void gw_coder_give(struct gw_repo *r, struct gw_coder *c)
{
    pthread_mutex_lock(&r->lock);
    c->next = r->coders;
    r->coders = c;
    pthread_mutex_unlock(&r->lock);
}

/* ---- what points say of possession ---- */

struct learn {
    struct gw_repo *r;
    uint64_t host, size;
    struct gw_owned *some; /* owned */
    size_t n;
};

static struct bdr_err *learn_flush(struct learn *l)
{
    size_t n = l->n;

    l->n = 0;
    return gw_possess_add(l->r->owners, l->host, l->some, n, true, bdr_clock_wall_ms());
}

static struct bdr_err *learn_block(void *ctx, uint64_t block, const struct bdr_id *id)
{
    struct learn *l = ctx;
    uint64_t at = block * l->r->block_bytes;

    if (at >= l->size)
        return NULL;
    l->some[l->n++] = (struct gw_owned){*id, (uint32_t)BDR_MIN((uint64_t)l->r->block_bytes, l->size - at)};
    return l->n == LEARN_BLOCKS ? learn_flush(l) : NULL;
}

/* The disk of `base` whose blocks the table has already: as large and of the same name. */
static bool learn_base(const json_t *base, const struct bdr_point_disk *d, struct bdr_id *out)
{
    for (uint32_t i = 0; base && i < bdr_point_disks(base); i++) {
        struct bdr_point_disk b;
        struct bdr_err *err = bdr_point_disk(base, i, &b);

        if (!err && b.has_root && b.size_bytes == d->size_bytes && !strcmp(b.identity, d->identity)) {
            *out = b.root;
            return true;
        }
        bdr_err_drop(err, "a base that makes no sense is none");
    }
    return false;
}

static struct bdr_err *learn_point(struct learn *l, const json_t *point, const json_t *base,
                                   const struct bdr_cancel *cancel)
{
    for (uint32_t i = 0; i < bdr_point_disks(point); i++) {
        struct bdr_point_disk d;
        struct bdr_id root;
        bool has_base;

        BDR_TRY(bdr_point_disk(point, i, &d));
        if (!d.has_root)
            continue;
        has_base = learn_base(base, &d, &root);
        l->size = d.size_bytes;
        BDR_TRY(bdr_map_walk(l->r->repo, &d.root, bdr_map_levels(bdr_blocks_of(d.size_bytes, l->r->block_bytes)),
                             has_base ? &root : NULL, cancel, learn_block, l));
    }
    return learn_flush(l);
}

/* All of a host's points, oldest first, each against the one before it. */
static struct bdr_err *learn_all(struct learn *l, const char *label, const struct bdr_cancel *cancel)
{
    BDR_AUTO(mem) struct bdr_point_info *all = NULL;
    BDR_AUTO(json) json_t *before = NULL;
    const char *last = "";
    size_t n = 0;

    BDR_TRY(bdr_repo_points(l->r->repo, &all, &n));
    for (size_t i = 0; i < n; i++) {
        json_t *point = NULL;
        struct bdr_err *err;

        if (strcmp(all[i].host, label) != 0)
            continue;
        err = bdr_point_read(l->r->repo, &all[i], &point);
        if (!err)
            err = learn_point(l, point, before, cancel);
        if (err && (err->code == BDR_CORRUPT || err->code == BDR_NOTFOUND)) {
            BDR_LOG(WARN, "gateway.point-unread", F_STR("point", all[i].id), F_ERR(err));
            bdr_err_drop(err, "its blocks are sent again");
            err = NULL;
            json_decref(BDR_STEAL(point)); /* what of it the table has is not known */
        }
        json_decref(before);
        before = point;
        last = all[i].id;
        BDR_TRY(err);
    }
    return gw_possess_set_last(l->r->owners, l->host, last);
}

static struct bdr_err *learn_new(struct gw_repo *r, uint64_t host, struct learn *out)
{
    *out = (struct learn){.r = r, .host = host, .some = calloc(LEARN_BLOCKS, sizeof(*out->some))};
    BDR_NOMEM_IF_NULL(out->some);
    return NULL;
}

struct bdr_err *gw_repo_learn(struct gw *gw, struct gw_repo *r, uint64_t host, const char *label)
{
    struct bdr_point_info info = {0};
    struct bdr_err *err = bdr_repo_find(r->repo, "latest", label, &info);
    struct learn l;
    char last[33];

    if (err && err->code != BDR_NOTFOUND)
        return err;
    bdr_err_drop(err, "no points, nothing to learn");
    BDR_TRY(gw_possess_last(r->owners, host, last));
    if (!strcmp(last, info.id))
        return info.id[0] ? NULL : gw_possess_set_last(r->owners, host, "");
    BDR_TRY(learn_new(r, host, &l));
    err = learn_all(&l, label, &gw->stop);
    free(l.some);
    return err;
}

struct bdr_err *gw_repo_learn_point(struct gw *gw, struct gw_repo *r, uint64_t host, const json_t *point,
                                    const json_t *base)
{
    struct bdr_err *err;
    struct learn l;

    BDR_TRY(learn_new(r, host, &l));
    err = learn_point(&l, point, base, &gw->stop);
    free(l.some);
    BDR_TRY(err);
    return gw_possess_set_last(r->owners, host, json_string_value(json_object_get(point, "id")));
}

/* Labels stand in the points themselves, with the number of the host that the gateway has put there. */
struct labels {
    struct label_row {
        uint64_t host;
        char label[128];
    } *rows; /* owned */
    size_t n;
};

static const char *label_of(const struct labels *l, uint64_t host)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->rows[i].host == host)
            return l->rows[i].label;
    return NULL;
}

static struct bdr_err *label_note(void *ctx, const json_t *m)
{
    const char *label = json_string_value(json_object_get(m, "host"));
    uint64_t host = (uint64_t)json_integer_value(json_object_get(m, "host_number"));
    struct labels *l = ctx;
    struct label_row *more;

    if (!label || !host || (l->n && l->rows[l->n - 1].host == host) || label_of(l, host)) /* points come host by host */
        return NULL;
    more = reallocarray(l->rows, l->n + 1, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    l->rows = more;
    l->rows[l->n].host = host;
    snprintf(l->rows[l->n++].label, sizeof(l->rows[0].label), "%s", label);
    return NULL;
}

static struct bdr_err *swept_host(struct gw *gw, struct gw_repo *r, uint64_t host, const char *label,
                                  const struct bdr_cancel *cancel)
{
    pthread_mutex_t *lock = &gw->host_lock[host % GW_HOST_LOCKS];
    int64_t begun = bdr_clock_wall_ms();
    struct bdr_err *err;
    struct learn l;

    BDR_TRY(learn_new(r, host, &l));
    pthread_mutex_lock(lock); /* a session that begins now learns for itself */
    err = label ? learn_all(&l, label, cancel) : NULL;
    pthread_mutex_unlock(lock);
    free(l.some);
    BDR_TRY(err);
    return gw_possess_sweep(r->owners, host, begun - (int64_t)gw->limits.keep_ms, begun);
}

struct bdr_err *gw_repo_swept(struct gw *gw, uint64_t repository, const struct bdr_cancel *cancel)
{
    BDR_AUTO(mem) uint64_t *hosts = NULL;
    struct labels labels = {0};
    struct gw_repo *r = NULL;
    struct bdr_err *err;
    size_t n = 0;

    BDR_TRY(gw_repo_get(gw, repository, &r));
    BDR_TRY(gw_possess_hosts(r->owners, &hosts, &n));
    err = gw_repo_each_point(gw, repository, cancel, label_note, &labels);
    for (size_t i = 0; i < n && !err; i++)
        err = swept_host(gw, r, hosts[i], label_of(&labels, hosts[i]), cancel);
    free(labels.rows);
    BDR_TRY(err);
    return gw_possess_sync(r->owners);
}

struct bdr_err *gw_repo_each_point(struct gw *gw, uint64_t repository, const struct bdr_cancel *cancel,
                                   struct bdr_err *(*fn)(void *ctx, const json_t *manifest), void *ctx)
{
    BDR_AUTO(mem) struct bdr_point_info *all = NULL;
    struct gw_repo *r = NULL;
    size_t n = 0;

    BDR_TRY(gw_repo_get(gw, repository, &r));
    BDR_TRY(bdr_repo_points(r->repo, &all, &n));
    for (size_t i = 0; i < n; i++) {
        BDR_AUTO(json) json_t *point = NULL;
        struct bdr_err *err = bdr_point_read(r->repo, &all[i], &point);

        if (err && err->code == BDR_NOTFOUND) {
            bdr_err_drop(err, "removed since the listing");
            continue;
        }
        BDR_TRY(err);
        BDR_TRY(bdr_cancel_check(cancel));
        BDR_TRY(fn(ctx, point));
    }
    return NULL;
}
