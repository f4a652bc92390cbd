/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/disk.h"
#include "bdr/gc.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/machine_api.h"
#include "bdr/osfile.h"
#include "bdr/point.h"
#include "bdr/recover.h"
#include "gw_i.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define JOBS_DAMAGE_MAX 1000u /* rows of a result */

static void job_step(struct gw_job *job, const char *what)
{
    if (job->step)
        job->step(job->ctx, what);
}

static void job_sample(struct gw_job *job, bool begin)
{
    if (job->sample)
        job->sample(job->ctx, job, begin);
}

void gw_job_look(struct gw_job *job)
{
    if (job->gc) {
        atomic_store(&job->done_bytes, atomic_load(&job->gc->done));
        atomic_store(&job->total_bytes, atomic_load(&job->gc->total));
    }
    if (job->recover) {
        atomic_store(&job->done_bytes, atomic_load(&job->recover->done_bytes));
        atomic_store(&job->total_bytes, atomic_load(&job->recover->total_bytes));
    }
}

static bool list_has(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)) && !strcmp(json_string_value(json_array_get(list, i)), text))
            return true;
    return false;
}

/* ---- retention ---- */

static struct bdr_err *retention_word(const char *name, size_t len, const char *value, struct bdr_keep *out)
{
    const struct {
        const char *name;
        uint32_t *to;
    } rows[] = {{"last", &out->last},     {"hourly", &out->hourly},   {"daily", &out->daily},
                {"weekly", &out->weekly}, {"monthly", &out->monthly}, {"yearly", &out->yearly}};
    uint64_t v = 0;

    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len)) {
            BDR_TRY(bdr_u64_parse(value, UINT32_MAX, &v));
            *rows[i].to = (uint32_t)v;
            return NULL;
        }
    BDR_FAIL(BDR_INVAL, 0, "there is no rule '%.*s'", (int)len, name);
}

/* "30d", "12h": a number and one of m, h, d, w. */
static struct bdr_err *retention_within(const char *value, struct bdr_keep *out)
{
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'m', 60000}, {'h', 3600000}, {'d', 86400000}, {'w', 604800000}};
    char number[24];
    size_t len = strlen(value);
    uint64_t v = 0;

    for (size_t i = 0; len > 1 && len < sizeof(number) && i < BDR_COUNT(units); i++)
        if (value[len - 1] == units[i].unit) {
            snprintf(number, sizeof(number), "%.*s", (int)len - 1, value);
            BDR_TRY(bdr_u64_parse(number, UINT32_MAX, &v));
            out->within_ms = v * units[i].ms;
            return NULL;
        }
    BDR_FAIL(BDR_INVAL, 0, "within is like 30d, not '%s'", value);
}

struct bdr_err *gw_retention_read(const char *text, struct bdr_keep *out)
{
    struct bdr_keep keep = {0};
    char word[64];

    for (const char *at = text; *at;) {
        size_t len;
        const char *eq;

        at += strspn(at, " ");
        len = strcspn(at, " ");
        if (!len)
            break;
        if (len >= sizeof(word))
            BDR_FAIL(BDR_INVAL, 0, "a rule is like daily=7");
        snprintf(word, sizeof(word), "%.*s", (int)len, at);
        at += len;
        eq = strchr(word, '=');
        if (!eq)
            BDR_FAIL(BDR_INVAL, 0, "a rule is like daily=7, not '%s'", word);
        if (!strncmp(word, "within=", 7))
            BDR_TRY(retention_within(eq + 1, &keep));
        else
            BDR_TRY_FOR(retention_word(word, (size_t)(eq - word), eq + 1, &keep), "retention '%s'", word);
    }
    *out = keep;
    return NULL;
}

/* ---- prune ---- */

struct pruning {
    struct gw *gw;
    struct gw_job *job;
    struct bdr_repo *repo;
    const json_t *params;
    json_t *removed; /* references */
    struct gw_possess *owners;
    uint64_t *hosts; /* owned; of owners */
    size_t n_hosts;
};

/* The params are of when the job was handed out. What people held since, and rules that changed since, count. */
static struct bdr_err *prune_may(struct pruning *p, const char *ref, const char *retention, bool *out)
{
    const struct gw_authority *a = p->gw->config.authority;

    *out = true;
    if (!a->removing)
        return NULL;
    return a->removing(a->ctx, p->job->work->store.repository, ref, retention, p->job->cancel, out);
}

/* `retention`: the rule that does not keep it; "": it was named. */
static struct bdr_err *prune_remove(struct pruning *p, const char *ref, const char *retention)
{
    struct bdr_point_info info;
    struct bdr_err *err;
    bool may = false;

    if (list_has(json_object_get(p->params, "keep"), ref))
        return NULL;
    if (gw_shared(p->gw, ref)) {
        if (list_has(json_object_get(p->params, "remove"), ref))
            BDR_FAIL(BDR_CONFLICT, 0, "point %s is served now; stop that first", ref);
        return NULL;
    }
    BDR_TRY(bdr_cancel_check(p->job->cancel));
    err = bdr_repo_find(p->repo, ref, NULL, &info);
    if (!err) {
        BDR_TRY_FOR(prune_may(p, ref, retention, &may), "asking the console about point %s", ref);
        if (!may) {
            BDR_LOG(INFO, "gateway.point-kept", F_STR("point", ref));
            return NULL;
        }
        err = bdr_point_remove(p->repo, ref);
    }
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "it is gone already");
        return NULL;
    }
    BDR_TRY(err);
    BDR_LOG(INFO, "gateway.point-removed", F_STR("point", ref));
    return bdr_json_append(p->removed, json_string(ref));
}

static struct bdr_err *prune_named(struct pruning *p, const json_t *refs)
{
    uint8_t raw[16];

    for (size_t i = 0; i < json_array_size(refs); i++) {
        const char *ref = json_string_value(json_array_get(refs, i));

        if (!ref || !bdr_unhex(ref, raw, sizeof(raw))) /* a beginning would do for a person, not for a job */
            BDR_FAIL(BDR_INVAL, 0, "points to remove are named by 32 hex digits");
        BDR_TRY(prune_remove(p, ref, ""));
    }
    return NULL;
}

/* Is this point one of the hosts that the rule is about? By the number the gateway wrote into it. */
static struct bdr_err *rule_is_about(struct pruning *p, const json_t *hosts, const struct bdr_point_info *info,
                                     bool *out)
{
    BDR_AUTO(json) json_t *m = NULL;
    struct bdr_err *err = bdr_point_read(p->repo, info, &m);
    const json_t *number;

    *out = false;
    if (err && (err->code == BDR_NOTFOUND || err->code == BDR_CORRUPT)) {
        bdr_err_drop(err, "what can't be read is not removed");
        return NULL;
    }
    BDR_TRY(err);
    number = json_object_get(m, "host_number");
    for (size_t i = 0; json_is_integer(number) && i < json_array_size(hosts) && !*out; i++)
        *out = json_integer_value(json_array_get(hosts, i)) == json_integer_value(number);
    return NULL;
}

/* hosts NULL: the points of `label` (NULL: of everybody). */
static struct bdr_err *prune_rule(struct pruning *p, const char *retention, const json_t *hosts, const char *label)
{
    BDR_AUTO(mem) struct bdr_point_info *all = NULL;
    BDR_AUTO(mem) struct bdr_keep_row *rows = NULL;
    struct bdr_keep keep;
    size_t n = 0, m = 0;

    BDR_TRY(gw_retention_read(retention, &keep));
    BDR_TRY(bdr_repo_points(p->repo, &all, &n));
    for (size_t i = 0; i < n; i++) {
        bool about = !label || !strcmp(all[i].host, label);

        if (hosts)
            BDR_TRY(rule_is_about(p, hosts, &all[i], &about));
        if (about)
            all[m++] = all[i];
    }
    rows = calloc(m + 1, sizeof(*rows));
    BDR_NOMEM_IF_NULL(rows);
    bdr_keep_decide(&keep, all, m, bdr_clock_wall_ms(), rows);
    for (size_t i = 0; i < m; i++)
        if (!rows[i].keep)
            BDR_TRY(prune_remove(p, rows[i].point.id, retention));
    return NULL;
}

static struct bdr_err *prune_points(struct pruning *p)
{
    const struct bdr_job_work *work = p->job->work;
    const json_t *rules = json_object_get(p->params, "rules");

    BDR_TRY(prune_named(p, json_object_get(p->params, "remove")));
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i), *hosts = json_object_get(rule, "hosts");
        const char *retention = json_string_value(json_object_get(rule, "retention"));

        if (!retention || !json_is_array(hosts))
            BDR_FAIL(BDR_INVAL, 0, "a rule has a retention and hosts");
        BDR_TRY(prune_rule(p, retention, hosts, NULL));
    }
    /* The work's own retention is its host's policy; a job that names points is about those alone. */
    if (!rules && !json_object_get(p->params, "remove") && work->retention && *work->retention && work->label && *work->label)
        BDR_TRY(prune_rule(p, work->retention, NULL, work->label));
    return NULL;
}

static struct bdr_err *prune_wanted(void *ctx, const struct bdr_id *id, bool *out)
{
    const struct pruning *p = ctx;

    return gw_possess_uploaded(p->owners, p->hosts, p->n_hosts, id, out);
}

static struct bdr_err *prune_free(struct pruning *p, struct bdr_prune_result *r)
{
    struct bdr_gc_meter meter = {0};
    struct gw_repo *repo = NULL;
    struct bdr_err *err;

    BDR_TRY(gw_repo_get(p->gw, p->job->work->store.repository, &repo));
    p->owners = repo->owners;
    BDR_TRY(gw_possess_hosts(p->owners, &p->hosts, &p->n_hosts));
    job_step(p->job, "freeing space");
    p->job->gc = &meter;
    job_sample(p->job, true);
    err = bdr_prune(p->repo,
                    &(struct bdr_prune_options){.max_unused_pct = -1,
                                                .meter = &meter,
                                                .cancel = p->job->cancel,
                                                .wanted = prune_wanted,
                                                .wanted_ctx = p,
                                                .wanted_ms = p->gw->limits.keep_ms},
                    r);
    job_sample(p->job, false);
    gw_job_look(p->job);
    p->job->gc = NULL;
    return err;
}

static struct bdr_err *prune_go(struct pruning *p, json_t **out_result)
{
    struct bdr_prune_result r = {0};

    BDR_TRY(gw_repo_open(p->gw, p->job->work->store.repository, &p->repo));
    job_step(p->job, "removing points");
    BDR_TRY(prune_points(p));
    BDR_TRY(prune_free(p, &r));
    job_step(p->job, "who possesses what");
    BDR_TRY(gw_repo_swept(p->gw, p->job->work->store.repository, p->job->cancel));
    *out_result = json_pack("{s:O,s:I,s:I,s:I,s:I,s:I,s:I}", "removed", p->removed, "points", (json_int_t)r.points,
                            "freed_bytes", (json_int_t)r.bytes_freed, "waiting_bytes", (json_int_t)r.bytes_waiting,
                            "packs_removed", (json_int_t)r.packs_removed, "packs_rewritten",
                            (json_int_t)r.packs_rewritten, "bytes_before", (json_int_t)r.bytes_before);
    BDR_NOMEM_IF_NULL(*out_result);
    return NULL;
}

struct bdr_err *gw_job_prune(struct gw *gw, struct gw_job *job, json_t **out_result)
{
    BDR_AUTO(json) json_t *removed = json_array();
    struct pruning p = {.gw = gw, .job = job, .params = job->work->params, .removed = removed};
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(removed);
    err = prune_go(&p, out_result);
    free(p.hosts);
    if (err && json_array_size(removed)) /* those are gone, whatever came after */
        *out_result = json_pack("{s:O}", "removed", removed);
    return err;
}

/* ---- verify ---- */

struct verifying {
    struct bdr_verify_result sum; /* counts of all calls */
    json_t *damage, *bad, *points;
};

static struct bdr_err *verify_note(struct verifying *v, const struct bdr_verify_result *r)
{
    v->sum.points += r->points;
    v->sum.packs += r->packs;
    v->sum.blocks += r->blocks;
    v->sum.bytes += r->bytes;
    v->sum.n_damage += r->n_damage;
    v->sum.n_bad += r->n_bad;
    for (size_t i = 0; i < r->n_damage; i++) {
        const struct bdr_damage *d = &r->damage[i];

        if (!list_has(v->points, d->point))
            BDR_TRY(bdr_json_append(v->points, json_string(d->point)));
        if (json_array_size(v->damage) < JOBS_DAMAGE_MAX)
            BDR_TRY(bdr_json_append(v->damage, json_pack("{s:s,s:s,s:I,s:I,s:I,s:s}", "point", d->point, "host", d->host,
                                                         "disk", (json_int_t)d->disk, "off", (json_int_t)d->off, "len",
                                                         (json_int_t)d->len, "what", d->what)));
    }
    for (size_t i = 0; i < r->n_bad && json_array_size(v->bad) < JOBS_DAMAGE_MAX; i++)
        BDR_TRY(bdr_json_append(v->bad, json_string(r->bad_objects[i])));
    return NULL;
}

static struct bdr_err *verify_one(struct gw_job *job, struct bdr_repo *repo, const char *point, struct verifying *v)
{
    const json_t *pct = json_object_get(job->work->params, "sample_pct");
    struct bdr_gc_meter meter = {0};
    struct bdr_verify_options opt = {.depth = BDR_VERIFY_ALL, .point = point, .meter = &meter, .cancel = job->cancel};
    struct bdr_verify_result r = {0};
    struct bdr_err *err;

    if (json_is_number(pct)) {
        opt.depth = BDR_VERIFY_SAMPLE;
        opt.sample_pct = json_number_value(pct);
        if (opt.sample_pct <= 0 || opt.sample_pct > 100)
            BDR_FAIL(BDR_INVAL, 0, "sample_pct is over 0 and at most 100");
    }
    job->gc = &meter;
    job_sample(job, true);
    err = bdr_verify(repo, &opt, &r);
    job_sample(job, false);
    gw_job_look(job);
    job->gc = NULL;
    if (!err)
        err = verify_note(v, &r);
    bdr_verify_free(&r);
    return err;
}

static struct bdr_err *verify_all(struct gw *gw, struct gw_job *job, struct verifying *v)
{
    const json_t *points = json_object_get(job->work->params, "points");
    struct bdr_repo *repo = NULL;

    BDR_TRY(gw_repo_open(gw, job->work->store.repository, &repo));
    job_step(job, "checking blocks");
    if (!json_array_size(points))
        return verify_one(job, repo, NULL, v);
    for (size_t i = 0; i < json_array_size(points); i++) {
        if (!json_is_string(json_array_get(points, i)))
            BDR_FAIL(BDR_INVAL, 0, "points to check are named by their references");
        BDR_TRY(verify_one(job, repo, json_string_value(json_array_get(points, i)), v));
    }
    return NULL;
}

struct bdr_err *gw_job_verify(struct gw *gw, struct gw_job *job, json_t **out_result)
{
    BDR_AUTO(json) json_t *damage = json_array();
    BDR_AUTO(json) json_t *bad = json_array();
    BDR_AUTO(json) json_t *points = json_array();
    struct verifying v = {.damage = damage, .bad = bad, .points = points};

    if (!damage || !bad || !points)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    BDR_TRY(verify_all(gw, job, &v));
    *out_result = json_pack("{s:I,s:I,s:I,s:I,s:I,s:O,s:O,s:O}", "points", (json_int_t)v.sum.points, "packs",
                            (json_int_t)v.sum.packs, "blocks", (json_int_t)v.sum.blocks, "bytes",
                            (json_int_t)v.sum.bytes, "damaged", (json_int_t)v.sum.n_damage, "damage", damage,
                            "damaged_points", points, "bad_objects", bad);
    BDR_NOMEM_IF_NULL(*out_result);
    if (v.sum.n_damage || v.sum.n_bad)
        BDR_FAIL(BDR_CORRUPT, 0, "%zu places of %zu points are damaged, %zu objects are bad", v.sum.n_damage,
                 json_array_size(points), v.sum.n_bad);
    return NULL;
}

/* ---- recover ---- */

static const char *param_text(const struct gw_job *job, const char *name)
{
    const char *text = json_string_value(json_object_get(job->work->params, name));

    return text ? text : "";
}

/* Which disks: the one that is named; else, into a folder, all of them, and the only one into a file or device. */
static struct bdr_err *recover_disks(const struct gw_job *job, const json_t *point, bool folder, uint32_t *out_first,
                                     uint32_t *out_n)
{
    const char *name = param_text(job, "disk_name");
    uint32_t disks = bdr_point_disks(point);

    for (uint32_t i = 0; *name && i < disks; i++) {
        struct bdr_point_disk d;

        BDR_TRY(bdr_point_disk(point, i, &d));
        if (!strcmp(d.name, name) || !strcmp(d.identity, name)) {
            *out_first = i;
            *out_n = 1;
            return NULL;
        }
    }
    if (*name)
        BDR_FAIL(BDR_NOTFOUND, 0, "the point has no disk %s", name);
    if (disks != 1 && !folder)
        BDR_FAIL(BDR_INVAL, 0, "the point has %u disks; name a folder for all of them, or say which one", disks);
    *out_first = 0;
    *out_n = disks;
    return NULL;
}

/* The path, and whether it is a folder: it ends with a slash, or is one. The folder, or that of the file, is made. */
static struct bdr_err *recover_place(const struct gw_job *job, bool *out_folder)
{
    const char *path = param_text(job, "path"), *target = param_text(job, "target"), *below = job->recover_below;
    size_t len = strlen(path);
    char parent[1024];
    struct stat st;

    if (path[0] != '/' || len < 2 || len > 1000 || strstr(path, "/../") || (len > 2 && !strcmp(path + len - 3, "/..")))
        BDR_FAIL(BDR_INVAL, 0, "the place is a path from the root, without ..");
    if (!strcmp(target, "device") != !strncmp(path, "/dev/", 5))
        BDR_FAIL(BDR_INVAL, 0, "a device is below /dev, and nothing else is");
    *out_folder = false;
    if (!strcmp(target, "device"))
        return NULL;
    if (below && (strncmp(path, below, strlen(below)) != 0 ||
                  (path[strlen(below)] != '/' && below[strlen(below) - 1] != '/')))
        BDR_FAIL(BDR_DENIED, 0, "this gateway recovers to files below %s only", below);
    *out_folder = path[len - 1] == '/' || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    snprintf(parent, sizeof(parent), "%.*s", (int)(*out_folder ? len : (size_t)(strrchr(path, '/') - path)), path);
    return *parent ? bdr_os_mkdirs(parent) : NULL;
}

/* "raw:/srv/out/web1-vda.img" */
static void recover_location(const struct gw_job *job, const json_t *point, const struct bdr_point_disk *d, bool folder,
                             char out[1400])
{
    bool device = !strcmp(param_text(job, "target"), "device"), qcow2 = !strcmp(param_text(job, "format"), "qcow2");
    const char *host = json_string_value(json_object_get(point, "host"));
    size_t at = (size_t)snprintf(out, 1400, "%s%s", device ? "blockdev:" : qcow2 ? "qcow2:" : "raw:", param_text(job, "path"));

    if (!folder)
        return;
    at += (size_t)snprintf(out + at, 1400 - at, "%s", out[at - 1] == '/' ? "" : "/");
    snprintf(out + at, 1400 - at, "%.120s-%.120s.%s", host ? host : "host", d->name, qcow2 ? "qcow2" : "img");
    for (char *c = out + at; *c; c++) /* names come from the host: they are no paths */
        if (*c == '/' || (unsigned char)*c < 0x20)
            *c = '_';
}

static struct bdr_err *recover_run(struct gw_job *job, struct bdr_recover_spec *spec, struct bdr_recover_result *r)
{
    struct bdr_recover_progress progress = {0};
    struct bdr_err *err;

    spec->progress = &progress;
    job->recover = &progress;
    job_sample(job, true);
    err = bdr_recover_run(spec, r);
    job_sample(job, false);
    gw_job_look(job);
    job->recover = NULL;
    return err;
}

static struct bdr_err *recover_one(struct gw_job *job, struct bdr_repo *repo, const struct bdr_point_info *info,
                                   const json_t *point, uint32_t index, bool folder, json_t *files)
{
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;
    struct bdr_recover_result r = {0};
    struct bdr_point_disk d;
    char location[1400];
    struct bdr_recover_spec spec = {.location = location, .resume = true, .direct = true, .point_id = info->id,
                                    .disk_index = index, .cancel = job->cancel};
    struct bdr_err *err;

    BDR_TRY(bdr_point_disk(point, index, &d));
    BDR_TRY(bdr_disk_open(repo, info->id, index, NULL, &disk));
    recover_location(job, point, &d, folder, location);
    spec.disk = disk;
    spec.force = json_is_true(json_object_get(job->work->params, "overwrite"));
    job_step(job, "writing the disk");
    err = recover_run(job, &spec, &r);
    if (!err)
        err = bdr_json_append(files, json_pack("{s:s,s:s,s:I,s:I,s:I,s:s}", "disk", d.name, "path",
                                               strchr(location, ':') + 1, "data_bytes", (json_int_t)r.data_bytes,
                                               "zero_bytes", (json_int_t)r.zero_bytes, "resumed_bytes",
                                               (json_int_t)r.resumed_bytes, "note", r.note));
    bdr_recover_result_free(&r);
    return err;
}

struct bdr_err *gw_job_recover(struct gw *gw, struct gw_job *job, json_t **out_result)
{
    BDR_AUTO(json) json_t *point = NULL;
    struct bdr_repo *repo = NULL;
    struct bdr_point_info info;
    uint32_t first = 0, n = 0;
    json_t *files;
    bool folder = false;

    BDR_TRY(recover_place(job, &folder));
    BDR_TRY(gw_repo_open(gw, job->work->store.repository, &repo));
    BDR_TRY(bdr_repo_find(repo, param_text(job, "point"), NULL, &info));
    BDR_TRY(bdr_point_read(repo, &info, &point));
    BDR_TRY(recover_disks(job, point, folder, &first, &n));
    *out_result = json_pack("{s:s,s:[]}", "point", info.id, "files");
    files = json_object_get(*out_result, "files");
    BDR_NOMEM_IF_NULL(files);
    for (uint32_t i = first; i < first + n; i++)
        BDR_TRY_FOR(recover_one(job, repo, &info, point, i, folder, files), "disk %u of the point", i);
    return NULL;
}
