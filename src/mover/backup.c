/* SPDX-License-Identifier: Apache-2.0 */
/* backup.c - a point from the disks of a host: which base, which pass, what the manifest says. */
#include "bdr/backup.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/point.h"
#include "bdr/pool.h"
#include "pass.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define BACKUP_AUDIT_PCT 0.1

struct backup {
    struct bdr_repo *repo;
    const struct bdr_backup_options *opt;
    struct bdr_backup_meter *meter;
    struct bdr_session *session;
    json_t *base; /* owned; manifest of the host's last point, or NULL */
    json_t *disks;
    struct bdr_backup_result *out;
};

static void backup_reason(struct backup *b, const char *fmt, const char *arg)
{
    if (!b->out->reason[0])
        snprintf(b->out->reason, sizeof(b->out->reason), fmt, arg);
}

/* The host's last point, checked to be this machine's. */
static struct bdr_err *backup_base(struct backup *b, const char *host_id)
{
    struct bdr_point_info info;
    struct bdr_err *err =
        bdr_repo_find(b->repo, b->opt->base_point ? b->opt->base_point : "latest", b->opt->host, &info);
    const json_t *id;

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "the host's first point");
        backup_reason(b, b->opt->base_point ? "the point to build on was removed meanwhile" : "first point of this host",
                      "");
        return NULL;
    }
    BDR_TRY(err);
    BDR_TRY(bdr_point_load(b->repo, info.id, &b->base));
    id = json_object_get(b->base, "host_id");
    if (!b->opt->base_point && host_id[0] && json_is_string(id) && strcmp(json_string_value(id), host_id) != 0 &&
        !b->opt->take_over)
        BDR_FAIL(BDR_INVAL, 0,
                 "the name '%s' belongs to another machine's points in this repository; choose another with --host, or "
                 "give --take-over if this machine really replaces that one",
                 b->opt->host);
    return NULL;
}

/* The base disk with the same identity, or NULL; by position when it is the only one with no identity. */
static bool backup_base_disk(const struct backup *b, const char *identity, struct bdr_point_disk *out)
{
    for (uint32_t i = 0; b->base && i < bdr_point_disks(b->base); i++) {
        struct bdr_err *err = bdr_point_disk(b->base, i, out);

        if (!err && !strcmp(out->identity, identity))
            return true;
        bdr_err_drop(err, "a base that makes no sense is no base");
    }
    return false;
}

/* "gpt", "mbr" or "none", by the first sectors. UEFI 2.10 section 5.2.3 (MBR signature), 5.3.2 ("EFI PART" at LBA 1). */
static const char *backup_table(struct bdr_source *src, const struct bdr_source_info *info)
{
    const char *kind = "none";
    uint8_t *buf = NULL;
    size_t len = (size_t)BDR_MIN(info->size_bytes, (uint64_t)65536);

    if (posix_memalign((void **)&buf, 4096, 65536))
        return kind;
    struct bdr_err *err = bdr_source_read(src, 0, buf, len);
    if (!err && len >= info->sector_bytes + 8u && !memcmp(buf + info->sector_bytes, "EFI PART", 8))
        kind = "gpt";
    else if (!err && len >= 512 && buf[510] == 0x55 && buf[511] == 0xaa)
        kind = "mbr";
    bdr_err_drop(err, "a hint only; the pass tells what can't be read");
    free(buf);
    return kind;
}

static unsigned backup_workers(const struct backup *b, const struct bdr_source_info *info)
{
    unsigned n = b->opt->workers ? b->opt->workers : BDR_MAX(2 * bdr_cpu_count(), 4u);

    return BDR_MAX(BDR_MIN(n, info->max_inflight), 1u);
}

static void result_free(struct pass_result *r)
{
    free(r->bad);
}

/* Chooses and runs the pass of one disk; a tracker that is doubted costs a second, full one. */
static struct bdr_err *backup_pass(struct backup *b, struct pass_spec *spec, const struct bdr_point_disk *base,
                                   struct pass_result *r)
{
    bool delta = b->opt->pass == BDR_PASS_AUTO && spec->info.has_changes && base &&
                 base->size_bytes == spec->info.size_bytes;
    struct bdr_source_stats stats;
    struct bdr_err *err;

    if (spec->info.has_changes && b->base && !delta && b->opt->pass == BDR_PASS_AUTO)
        backup_reason(b, base ? "disk %s has another size than in the last point"
                              : "disk %s is not in the host's last point", spec->info.identity);
    if (delta && base->unreadable_bytes && !b->opt->inherit) { /* what a copy can't read is an error, never a gap */
        backup_reason(b, "parts of %s could not be read the last time, so all of it is compared", spec->info.identity);
        delta = false;
    }
    if (delta) {
        uint64_t done = atomic_load(&spec->meter->done_bytes), changed = atomic_load(&spec->meter->changed_bytes);

        /* A base that was all zero has no root; a delta over an empty map is the same thing. */
        spec->mode = BDR_MAP_DELTA;
        spec->base = base->has_root ? &base->root : NULL;
        err = pass_run(spec, r);
        if (!err && !r->misses)
            return NULL;
        if (err && err->code != BDR_STALE && err->code != BDR_CORRUPT)
            return err;
        bdr_source_stats(spec->src, &stats);
        if (err && stats.errors) /* it is the source that is damaged; a full pass would find the same */
            return err;
        if (err)
            BDR_LOG(WARN, "backup.full-compare", F_STR("disk", spec->info.identity), F_ERR(err));
        backup_reason(b, err ? (err->code == BDR_STALE ? "the tracker of %s can't tell what changed since the last point"
                                                        : "the last point's map of %s is damaged")
                             : "the tracker of %s missed a change: everything was compared", spec->info.identity);
        bdr_err_drop(err, "a full compare follows");
        b->out->audited_blocks += r->audited;
        b->out->audit_misses += r->misses;
        free(r->bad);
        *r = (struct pass_result){0};
        /* The full pass meets the same changes again; they count once. */
        atomic_store(&spec->meter->done_bytes, done);
        atomic_store(&spec->meter->changed_bytes, changed);
    }
    b->out->full = true;
    spec->mode = BDR_MAP_FULL;
    spec->base = base && base->has_root &&
                         bdr_map_levels(bdr_blocks_of(base->size_bytes, bdr_repo_block_bytes(b->repo))) ==
                             bdr_map_levels(bdr_blocks_of(spec->info.size_bytes, bdr_repo_block_bytes(b->repo)))
                     ? &base->root
                     : NULL;
    return pass_run(spec, r);
}

/* What the original could not read is zeros in the copy, too. */
static struct bdr_err *backup_inherit_gaps(const json_t *inherit, size_t index, json_t *d)
{
    static const char *const members[] = {"unreadable", "unreadable_bytes"};
    const json_t *from = json_array_get(json_object_get(inherit, "disks"), index);

    for (size_t i = 0; i < BDR_COUNT(members); i++)
        if (json_object_get(from, members[i]))
            BDR_TRY(bdr_json_set(d, members[i], json_deep_copy(json_object_get(from, members[i]))));
    return NULL;
}

static struct bdr_err *backup_describe(struct backup *b, const struct pass_spec *spec, const char *name, size_t index,
                                       const struct pass_result *r, json_t **out)
{
    BDR_AUTO(json) json_t *d = json_object();
    BDR_AUTO(mem) char *token = NULL;
    char hex[65];

    BDR_NOMEM_IF_NULL(d);
    BDR_TRY(bdr_source_token(spec->src, &token));
    BDR_TRY(bdr_json_set_text(d, "name", name));
    BDR_TRY(bdr_json_set_text(d, "identity", spec->info.identity));
    BDR_TRY(bdr_json_set(d, "size", json_integer((json_int_t)spec->info.size_bytes)));
    BDR_TRY(bdr_json_set(d, "sector", json_integer(spec->info.sector_bytes)));
    BDR_TRY(bdr_json_set(d, "table", json_string(backup_table(spec->src, &spec->info))));
    BDR_TRY(bdr_json_set(d, "levels", json_integer(bdr_map_levels(
                                         bdr_blocks_of(spec->info.size_bytes, bdr_repo_block_bytes(b->repo))))));
    if (!r->zero)
        BDR_TRY(bdr_json_set(d, "root", json_string(bdr_hex(r->root.b, sizeof(r->root.b), hex))));
    if (token) {
        BDR_TRY(bdr_json_set_text(d, "token", token));
        BDR_TRY(bdr_json_set(d, "token_kind", json_string(spec->src->drv->name)));
    }
    if (r->bad_bytes) {
        json_t *list = json_array();

        BDR_TRY(bdr_json_set(d, "unreadable", list));
        for (size_t i = 0; i < r->bad_n; i++)
            BDR_TRY(bdr_json_append(list, json_pack("[I,I]", (json_int_t)r->bad[i].off, (json_int_t)r->bad[i].len)));
        BDR_TRY(bdr_json_set(d, "unreadable_bytes", json_integer((json_int_t)r->bad_bytes)));
    }
    if (b->opt->inherit)
        BDR_TRY(backup_inherit_gaps(b->opt->inherit, index, d));
    *out = BDR_STEAL(d);
    return NULL;
}

static struct bdr_err *backup_disk(struct backup *b, const struct bdr_backup_disk *disk, size_t index)
{
    struct pass_spec spec = {.session = b->session, .src = disk->src, .meter = b->meter, .cancel = b->opt->cancel,
                             .audit_pct = b->opt->audit_pct < 0 ? BACKUP_AUDIT_PCT : b->opt->audit_pct};
    __attribute__((cleanup(result_free))) struct pass_result r = {0};
    struct bdr_point_disk base;
    json_t *d = NULL;
    char name[32];
    bool has_base;

    BDR_TRY(bdr_source_info(disk->src, &spec.info));
    if (!spec.info.size_bytes)
        BDR_FAIL(BDR_INVAL, 0, "%s is empty; there is nothing to protect", spec.info.identity);
    spec.workers = backup_workers(b, &spec.info);
    has_base = backup_base_disk(b, spec.info.identity, &base);
    BDR_TRY_FOR(backup_pass(b, &spec, has_base ? &base : NULL, &r), "backing up %s", spec.info.identity);
    BDR_TRY_FOR(bdr_source_check(disk->src), "%s changed while it was read", spec.info.identity);
    snprintf(name, sizeof(name), "disk%zu", index);
    BDR_TRY(backup_describe(b, &spec, disk->name ? disk->name : name, index, &r, &d));
    BDR_TRY(bdr_json_append(b->disks, d));
    b->out->unreadable_bytes += r.bad_bytes;
    b->out->unreadable_ranges += r.bad_count;
    b->out->audited_blocks += r.audited;
    b->out->audit_misses += r.misses;
    return NULL;
}

/* Two disks with one identity could not be told apart the next time. */
static struct bdr_err *backup_check_disks(const struct bdr_backup_disk *disks, size_t n, uint64_t *out_total,
                                          const char **out_consistency)
{
    static const char *const order[] = {"crash", "filesystem", "application"};
    size_t worst = BDR_COUNT(order) - 1;

    for (size_t i = 0; i < n; i++) {
        struct bdr_source_info a, b;

        BDR_TRY(bdr_source_info(disks[i].src, &a));
        *out_total += a.size_bytes;
        for (size_t c = 0; c < worst; c++)
            if (!strcmp(order[c], a.consistency) || !a.consistency[0])
                worst = c;
        for (size_t j = 0; j < i; j++) {
            BDR_TRY(bdr_source_info(disks[j].src, &b));
            if (!strcmp(a.identity, b.identity))
                BDR_FAIL(BDR_INVAL, 0, "%s is given twice", a.identity);
        }
    }
    *out_consistency = order[worst];
    return NULL;
}

static struct bdr_err *backup_stats(struct backup *b, json_t *point, double seconds)
{
    struct bdr_session_stats *s = bdr_session_stats(b->session);
    struct bdr_backup_result *r = b->out;
    json_t *stats = json_object();

    r->seconds = seconds;
    r->size_bytes = atomic_load(&b->meter->total_bytes);
    r->read_bytes = atomic_load(&b->meter->read_bytes);
    r->zero_bytes = atomic_load(&b->meter->zero_bytes);
    r->changed_bytes = atomic_load(&b->meter->changed_bytes);
    r->new_bytes = atomic_load(&s->bytes_new);
    r->stored_bytes = atomic_load(&s->bytes_stored);
    r->known_bytes = atomic_load(&s->bytes_known);
    r->node_bytes = atomic_load(&s->node_bytes);
    r->healed_bytes = atomic_load(&b->meter->healed_bytes);
    BDR_TRY(bdr_json_set(point, "stats", stats));
    BDR_TRY(bdr_json_set(stats, "read_bytes", json_integer((json_int_t)r->read_bytes)));
    BDR_TRY(bdr_json_set(stats, "changed_bytes", json_integer((json_int_t)r->changed_bytes)));
    BDR_TRY(bdr_json_set(stats, "new_bytes", json_integer((json_int_t)r->new_bytes)));
    BDR_TRY(bdr_json_set(stats, "stored_bytes", json_integer((json_int_t)r->stored_bytes)));
    BDR_TRY(bdr_json_set(stats, "map_bytes", json_integer((json_int_t)r->node_bytes)));
    if (r->healed_bytes)
        BDR_TRY(bdr_json_set(stats, "healed_bytes", json_integer((json_int_t)r->healed_bytes)));
    BDR_TRY(bdr_json_set(stats, "audited_blocks", json_integer((json_int_t)r->audited_blocks)));
    BDR_TRY(bdr_json_set(stats, "audit_misses", json_integer((json_int_t)r->audit_misses)));
    BDR_TRY(bdr_json_set(point, "seconds", json_real(seconds)));
    BDR_TRY(bdr_json_set(point, "full", json_boolean(r->full)));
    if (r->reason[0])
        BDR_TRY(bdr_json_set_text(point, "reason", r->reason));
    return NULL;
}

static struct bdr_err *backup_tags(const struct bdr_backup_options *opt, json_t *point)
{
    json_t *tags = json_object();

    BDR_TRY(bdr_json_set(point, "tags", tags));
    for (size_t i = 0; opt->tags && opt->tags[i]; i++) {
        const char *eq = strchr(opt->tags[i], '=');

        if (!eq || eq == opt->tags[i])
            BDR_FAIL(BDR_INVAL, 0, "tag '%s' must look like key=value", opt->tags[i]);
        BDR_AUTO(mem) char *key = strndup(opt->tags[i], (size_t)(eq - opt->tags[i]));
        BDR_NOMEM_IF_NULL(key);
        if (json_object_set_new(tags, key, json_string(eq + 1)))
            BDR_FAIL(BDR_INVAL, 0, "tag '%s' is not UTF-8", key);
    }
    return NULL;
}

/* A copy is of the time and machine of its original. A copy of a copy names the first one, so that all know each other. */
static struct bdr_err *backup_inherit(const json_t *from, json_t *point)
{
    static const char *const members[] = {"time_ms", "host_id", "consistency", "boot_mode", "tags"};
    const json_t *origin = json_object_get(from, "origin");

    for (size_t i = 0; i < BDR_COUNT(members); i++)
        if (json_object_get(from, members[i]))
            BDR_TRY(bdr_json_set(point, members[i], json_deep_copy(json_object_get(from, members[i]))));
    BDR_TRY(bdr_json_set(point, "origin", json_deep_copy(origin ? origin : json_object_get(from, "id"))));
    return NULL;
}

/* Empty on a machine without an id of its own (a container, a chroot): then a name can't be told to be taken. */
static struct bdr_err *backup_host_id(const struct bdr_backup_options *opt, char out[33])
{
    const char *id = opt->host_id;
    struct bdr_err *err;

    out[0] = 0;
    if (opt->inherit)
        id = json_string_value(json_object_get(opt->inherit, "host_id"));
    if (id)
        snprintf(out, 33, "%s", id);
    if (id || opt->inherit)
        return NULL;
    err = bdr_os_machine_id("host", out);
    if (err && err->code != BDR_NOTFOUND)
        return bdr_err_wrap(err, BDR_AT, "finding out which machine this is; --host-id says it, too");
    bdr_err_drop(err, "a machine without an id");
    return NULL;
}

static struct bdr_err *backup_go(struct backup *b, const struct bdr_backup_disk *disks, size_t n)
{
    BDR_AUTO(json) json_t *point = json_object();
    uint64_t start = bdr_clock_mono_ms(), total = 0;
    const char *consistency = NULL;
    char host_id[33];

    BDR_NOMEM_IF_NULL(point);
    b->disks = json_array();
    BDR_NOMEM_IF_NULL(b->disks);
    BDR_TRY(bdr_json_set(point, "disks", b->disks));
    BDR_TRY(backup_host_id(b->opt, host_id));
    BDR_TRY(backup_tags(b->opt, point));
    BDR_TRY(backup_check_disks(disks, n, &total, &consistency));
    atomic_store(&b->meter->total_bytes, total);
    BDR_TRY(bdr_session_begin(b->repo,
                              &(struct bdr_session_options){.host = b->opt->host, .take_over = b->opt->take_over,
                                                            .compress = b->opt->compress},
                              &b->session));
    BDR_TRY(backup_base(b, host_id));
    /* The moment the content belongs to: no later than the first read. */
    BDR_TRY(bdr_json_set(point, "time_ms", json_integer(bdr_clock_wall_ms())));
    if (host_id[0])
        BDR_TRY(bdr_json_set(point, "host_id", json_string(host_id)));
    BDR_TRY(bdr_json_set_text(point, "consistency", b->opt->consistency ? b->opt->consistency : consistency));
    if (b->opt->boot_mode)
        BDR_TRY(bdr_json_set_text(point, "boot_mode", b->opt->boot_mode));
    if (b->opt->inherit)
        BDR_TRY(backup_inherit(b->opt->inherit, point));
    if (b->base)
        BDR_TRY(bdr_json_set(point, "base", json_incref(json_object_get(b->base, "id"))));
    for (size_t i = 0; i < n; i++)
        BDR_TRY(backup_disk(b, &disks[i], i));
    BDR_TRY(bdr_session_flush(b->session));
    BDR_TRY(backup_stats(b, point, (double)(bdr_clock_mono_ms() - start) / 1000));
    BDR_TRY(bdr_cancel_check(b->opt->cancel));
    BDR_TRY(bdr_session_publish(BDR_STEAL(b->session), point, b->out->point_id));
    for (size_t i = 0; i < n; i++)
        bdr_err_drop(bdr_source_committed(disks[i].src), "the tracker keeps more than it must; the point is safe");
    return NULL;
}

struct bdr_err *bdr_backup_run(struct bdr_repo *repo, const struct bdr_backup_disk *disks, size_t n,
                               const struct bdr_backup_options *opt, struct bdr_backup_result *out)
{
    struct bdr_backup_meter own = {0};
    struct bdr_backup_result r = {0};
    struct backup b = {.repo = repo, .opt = opt, .meter = opt->meter ? opt->meter : &own, .out = &r};
    struct bdr_err *err;

    if (!opt->host || !*opt->host || strlen(opt->host) > 127)
        BDR_FAIL(BDR_INVAL, 0, "a host's name has 1 to 127 bytes");
    if (!n)
        BDR_FAIL(BDR_INVAL, 0, "no disk is given");
    err = backup_go(&b, disks, n);
    bdr_session_abandon(b.session);
    json_decref(b.base);
    BDR_TRY_FOR(err, "host %s", opt->host);
    *out = r;
    return NULL;
}
