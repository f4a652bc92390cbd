/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shares.c - points that are served on demand: a disk over NBD with TLS, or a point as files.
 *
 * A share is a job that lasts: it ends by a cancel or when its time is over, and is begun again by whoever gets the job next, so
 * that a gateway that was killed serves again. nbdkit ends with us; what FUSE leaves mounted is taken away at the start.
 */
#include "bdr/bytes.h"
#include "bdr/child.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/machine_api.h"
#include "bdr/mount.h"
#include "bdr/osfile.h"
#include "bdr/point.h"
#include "bdr/pool.h"
#include "bdr/serve.h"
#include "gw_i.h"
#include "jobs.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define SHARE_WATCH_MS    200u
#define SHARE_CACHE_BYTES (32u << 20)
#define SHARE_THREADS     4u
#define SHARE_S3_CHARS    3072u

struct share {
    struct gw *gw;
    struct gw_job *job;
    const json_t *params;
    struct bdr_point_info point;
    uint32_t disk;
    unsigned row;           /* of gw->shared */
    int64_t until_ms;
    struct bdr_cancel over; /* the job was cancelled, or its time is over */
    atomic_bool expired, quit;
};

static const char *text_of(const struct share *s, const char *name)
{
    const char *text = json_string_value(json_object_get(s->params, name));

    return text ? text : "";
}

bool gw_shared(struct gw *gw, const char *point)
{
    bool found = false;

    pthread_mutex_lock(&gw->lock);
    for (unsigned i = 0; i < GW_SHARES_MAX && !found; i++)
        found = !strcmp(gw->shared[i], point);
    pthread_mutex_unlock(&gw->lock);
    return found;
}

static struct bdr_err *row_take(struct share *s)
{
    unsigned i = 0;

    pthread_mutex_lock(&s->gw->lock);
    while (i < GW_SHARES_MAX && s->gw->shared[i][0])
        i++;
    if (i < GW_SHARES_MAX)
        memcpy(s->gw->shared[i], s->point.id, sizeof(s->point.id));
    pthread_mutex_unlock(&s->gw->lock);
    if (i == GW_SHARES_MAX)
        BDR_FAIL(BDR_CONFLICT, 0, "this gateway serves %u points already; stop one of them first", GW_SHARES_MAX);
    s->row = i;
    return NULL;
}

static void row_give(struct share *s)
{
    pthread_mutex_lock(&s->gw->lock);
    s->gw->shared[s->row][0] = 0;
    pthread_mutex_unlock(&s->gw->lock);
}

/* Ends what blocks in bdr_serve_run or bdr_mount_run. */
static struct bdr_err *share_watch(void *ctx, unsigned index)
{
    struct share *s = ctx;

    (void)index;
    while (!atomic_load(&s->quit)) {
        if (bdr_clock_wall_ms() >= s->until_ms)
            atomic_store(&s->expired, true);
        if (atomic_load(&s->expired) || bdr_cancelled(s->job->cancel))
            bdr_cancel_set(&s->over);
        bdr_err_drop(bdr_cancel_sleep(NULL, SHARE_WATCH_MS), "never cancelled");
    }
    return NULL;
}

static void share_told(struct share *s, json_t *what, const char *step)
{
    BDR_AUTO(mem) char *json = what ? json_dumps(what, JSON_COMPACT) : NULL;

    json_decref(what);
    if (s->job->step)
        s->job->step(s->job->ctx, step);
    if (json && s->job->told)
        s->job->told(s->job->ctx, json);
}

/* ---- NBD ---- */

static void nbd_ready(void *ctx, const char *uri)
{
    const char *colon = strrchr(uri, ':');
    struct share *s = ctx;
    char step[64];
    unsigned port = 0;

    if (colon)
        (void)sscanf(colon, ":%5u", &port); /* ours: nbds://0.0.0.0:10809/ */
    snprintf(step, sizeof(step), "serving at port %u", port);
    BDR_LOG(INFO, "gateway.share", F_STR("point", s->point.id), F_U64("port", port));
    share_told(s, json_pack("{s:i}", "port", (int)port), step);
}

/* The lines of serve.h's s3_access. */
static const char *nbd_s3(const struct gw *gw, const struct gw_repo_spec *r, char out[SHARE_S3_CHARS])
{
    char ca[512] = "";

    if (!r->s3_key)
        return NULL;
    if (r->s3_ca)
        snprintf(ca, sizeof(ca), "%s/s3-ca-%" PRIu64 ".pem", gw->state_dir, r->id); /* written when it was opened */
    snprintf(out, SHARE_S3_CHARS, "%s\n%s\n%s\n%s\n%s\n%s\n", r->s3_key, r->s3_secret, r->s3_endpoint ? r->s3_endpoint : "",
             r->s3_region ? r->s3_region : "", r->s3_addressing ? r->s3_addressing : "", ca);
    return out;
}

static struct bdr_err *nbd_serve(struct share *s, const struct bdr_serve_spec *given)
{
    const struct gw_config *c = &s->gw->config;
    unsigned first = c->share_first, last = BDR_MAX(c->share_last, c->share_first);
    struct bdr_err *err = NULL;

    for (unsigned port = first; port <= last; port++) {
        struct bdr_serve_spec spec = *given;
        char listen[96];

        snprintf(listen, sizeof(listen), "%s:%u", c->share_address ? c->share_address : "0.0.0.0", port);
        spec.listen = listen;
        err = bdr_serve_run(&spec, &s->over);
        if (!err || err->code != BDR_BUSY)
            return err;
        if (port < last)
            bdr_err_drop(BDR_STEAL(err), "the next one");
    }
    return err;
}

/* GnuTLS reads it at each handshake, by a name: one that is nobody's but ours, for as long as the share lasts. */
static struct bdr_err *nbd_key(struct share *s, char path[512])
{
    char line[300];
    struct bdr_err *err;

    if (!*text_of(s, "psk") || strlen(text_of(s, "psk")) >= sizeof(line) - 1)
        BDR_FAIL(BDR_INVAL, 0, "the console gave no key for this share");
    snprintf(line, sizeof(line), "%s\n", text_of(s, "psk"));
    snprintf(path, 512, "%s/keys", s->gw->state_dir);
    BDR_TRY(bdr_os_mkdirs(path));
    snprintf(path, 512, "%s/keys/%" PRIu64 ".psk", s->gw->state_dir, s->job->work->id);
    err = bdr_os_replace_file(path, line, strlen(line), 0600, false);
    bdr_wipe(line, sizeof(line));
    return err;
}

static struct bdr_err *share_nbd(struct share *s)
{
    const struct gw_authority *a = s->gw->config.authority;
    struct gw_repo_spec repo = {0};
    char psk[512], s3[SHARE_S3_CHARS] = "", cache[512];
    struct bdr_err *err;

    BDR_TRY(nbd_key(s, psk));
    snprintf(cache, sizeof(cache), "%s/cache-shares", s->gw->state_dir);
    err = a->repository(a->ctx, s->job->work->store.repository, s->job->cancel, &repo);
    if (!err)
        err = nbd_serve(s, &(struct bdr_serve_spec){.repo_url = repo.url,
                                                    .passphrase = repo.passphrase,
                                                    .passphrase_file = repo.passphrase ? NULL : repo.passphrase_file,
                                                    .s3_access = nbd_s3(s->gw, &repo, s3),
                                                    .psk_file = psk,
                                                    .cache_dir = cache,
                                                    .point = s->point.id,
                                                    .disk = s->disk,
                                                    .cache_bytes = SHARE_CACHE_BYTES,
                                                    .ready = nbd_ready,
                                                    .ready_ctx = s});
    gw_repo_spec_free(&repo);
    unlink(psk);
    bdr_wipe(s3, sizeof(s3));
    return err;
}

/* ---- files ---- */

static void mount_path(const char *state_dir, uint64_t share, char out[512])
{
    snprintf(out, 512, "%s/mounts/%" PRIu64, state_dir, share);
}

struct mount_telling {
    struct share *s;
    const char *path;
};

static void mount_ready(void *ctx)
{
    const struct mount_telling *t = ctx;
    char step[600];

    snprintf(step, sizeof(step), "mounted at %s", t->path);
    BDR_LOG(INFO, "gateway.share", F_STR("point", t->s->point.id), F_STR("path", t->path));
    share_told(t->s, json_pack("{s:s}", "path", t->path), step);
}

static void mount_away(const char *path)
{
    const char *const argv[] = {"fusermount3", "-u", "-z", path, NULL};

    if (umount2(path, MNT_DETACH) != 0 && rmdir(path) != 0) /* without the right: as whoever mounted it */
        bdr_err_drop(bdr_child_run(argv, NULL), "then it was not mounted");
    (void)rmdir(path);
}

static struct bdr_err *share_mount(struct share *s, struct bdr_repo *repo)
{
    struct mount_telling t = {.s = s};
    char path[512];
    struct bdr_err *err;

    mount_path(s->gw->state_dir, s->job->work->id, path);
    t.path = path;
    if (!access(path, F_OK) || errno != ENOENT) /* of a dead gateway: ENOTCONN */
        mount_away(path);
    BDR_TRY(bdr_os_mkdirs(path));
    err = bdr_mount_run(&(struct bdr_mount_spec){.repo = repo,
                                                 .mountpoint = path,
                                                 .point = s->point.id,
                                                 .threads = SHARE_THREADS,
                                                 .cache_bytes = SHARE_CACHE_BYTES,
                                                 .ready = mount_ready,
                                                 .ready_ctx = &t},
                        &s->over);
    mount_away(path);
    return err;
}

static void key_away(const char *path)
{
    unlink(path);
}

static void clean(const char *state_dir, const char *what, void (*away)(const char *path))
{
    char folder[512], path[800];
    struct dirent *e;
    DIR *dir;

    snprintf(folder, sizeof(folder), "%s/%s", state_dir, what);
    dir = opendir(folder);
    while (dir && (e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
            BDR_LOG(INFO, "gateway.share-left", F_STR("path", path));
            away(path);
        }
    if (dir)
        closedir(dir);
}

void gw_shares_clean(const char *state_dir)
{
    clean(state_dir, "mounts", mount_away);
    clean(state_dir, "keys", key_away);
}

/* ---- both ---- */

static struct bdr_err *share_disk(struct share *s, const json_t *point)
{
    const char *name = text_of(s, "disk_name");
    uint32_t disks = bdr_point_disks(point);

    if (!*name && disks == 1)
        return NULL;
    if (!*name)
        BDR_FAIL(BDR_INVAL, 0, "the point has %u disks; say which one", disks);
    for (s->disk = 0; s->disk < disks; s->disk++) {
        struct bdr_point_disk d;

        BDR_TRY(bdr_point_disk(point, s->disk, &d));
        if (!strcmp(d.name, name) || !strcmp(d.identity, name))
            return NULL;
    }
    BDR_FAIL(BDR_NOTFOUND, 0, "the point has no disk %s", name);
}

static struct bdr_err *share_run(struct share *s, struct bdr_repo *repo)
{
    bool nbd = !strcmp(text_of(s, "target"), "nbd");
    struct bdr_pool *watch = NULL;
    struct bdr_err *err;

    BDR_TRY(bdr_pool_start("share", 1, share_watch, s, NULL, &watch));
    err = nbd ? share_nbd(s) : share_mount(s, repo);
    atomic_store(&s->quit, true);
    bdr_err_drop(bdr_pool_join(watch), "it returns no error");
    BDR_LOG(INFO, "gateway.share-over", F_STR("point", s->point.id), F_STR("why", atomic_load(&s->expired) ? "time" : "stopped"));
    BDR_TRY(err);
    if (!atomic_load(&s->expired) && bdr_cancelled(s->job->cancel))
        BDR_FAIL(BDR_CANCELLED, 0, "the share was stopped");
    return NULL;
}

struct bdr_err *gw_job_share(struct gw *gw, struct gw_job *job, json_t **out_result)
{
    struct share s = {.gw = gw, .job = job, .params = job->work->params};
    BDR_AUTO(json) json_t *point = NULL;
    struct bdr_repo *repo = NULL;
    struct bdr_err *err;

    s.until_ms = (int64_t)json_integer_value(json_object_get(s.params, "until"));
    if (strcmp(text_of(&s, "target"), "nbd") != 0 && strcmp(text_of(&s, "target"), "mount") != 0)
        BDR_FAIL(BDR_INVAL, 0, "a point is served as nbd or mount");
    BDR_TRY(gw_repo_open(gw, job->work->store.repository, &repo));
    BDR_TRY(bdr_repo_find(repo, text_of(&s, "point"), NULL, &s.point));
    BDR_TRY(bdr_point_read(repo, &s.point, &point));
    if (!strcmp(text_of(&s, "target"), "nbd"))
        BDR_TRY(share_disk(&s, point));
    BDR_TRY(row_take(&s));
    if (job->told)
        job->told(job->ctx, "{}"); /* what a worker before us told is over */
    err = bdr_clock_wall_ms() < s.until_ms ? share_run(&s, repo) : NULL;
    row_give(&s);
    BDR_TRY(err);
    *out_result = json_pack("{s:s,s:s}", "point", s.point.id, "text", "its time was over");
    BDR_NOMEM_IF_NULL(*out_result);
    return NULL;
}
