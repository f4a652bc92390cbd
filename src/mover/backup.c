/* SPDX-License-Identifier: Apache-2.0 */
/* backup.c - a point from the disks of a host: which base, which pass, what the manifest says. */
#include "bdr/backup.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/osfile.h"
#include "bdr/point.h"
#include "rounds.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define BACKUP_UNREADABLE_MAX 4096

struct backup {
    struct bdr_sink *sink; /* borrowed */
    const struct bdr_backup_options *opt;
    struct bdr_backup_meter *meter;
    json_t *base; /* owned; manifest of the host's last point, or NULL */
    json_t *disks;
    struct rounds_disk *disk; /* owned; n of them */
    size_t n;
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
    const json_t *id;

    BDR_TRY(bdr_sink_base(b->sink, &b->base));
    if (!b->base) {
        backup_reason(b, b->opt->base_point ? "the point to build on was removed meanwhile" : "first point of this host",
                      "");
        return NULL;
    }
    id = json_object_get(b->base, "host_id");
    if (!bdr_sink_knows_host(b->sink) && !b->opt->base_point && host_id[0] && json_is_string(id) && strcmp(json_string_value(id), host_id) != 0 &&
        !b->opt->take_over)
        BDR_FAIL(BDR_INVAL, 0,
                 "the name '%s' belongs to another machine's points in this repository; choose another with --host, or "
                 "give --take-over if this machine really replaces that one",
                 b->opt->host);
    return NULL;
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

static struct bdr_err *backup_unreadable(const struct pass_bad *bad, json_t *d)
{
    json_t *list = json_array();

    BDR_TRY(bdr_json_set(d, "unreadable", list));
    for (size_t i = 0; i < BDR_MIN(bad->n, (size_t)BACKUP_UNREADABLE_MAX); i++)
        BDR_TRY(bdr_json_append(list, json_pack("[I,I]", (json_int_t)bad->at[i].off, (json_int_t)bad->at[i].len)));
    return bdr_json_set(d, "unreadable_bytes", json_integer((json_int_t)bad->bytes));
}

static struct bdr_err *backup_describe(struct backup *b, const struct rounds_disk *disk, const char *name, size_t index)
{
    const struct bdr_source_info *info = &disk->spec.info;
    const struct pass_result *r = &disk->r;
    BDR_AUTO(mem) char *token = NULL;
    json_t *d = json_object();
    char hex[65];

    BDR_TRY(bdr_json_append(b->disks, d));
    BDR_TRY(bdr_source_token(disk->spec.src, &token));
    BDR_TRY(bdr_json_set_text(d, "name", name));
    BDR_TRY(bdr_json_set_text(d, "identity", info->identity));
    BDR_TRY(bdr_json_set(d, "size", json_integer((json_int_t)info->size_bytes)));
    BDR_TRY(bdr_json_set(d, "sector", json_integer(info->sector_bytes)));
    BDR_TRY(bdr_json_set(d, "table", json_string(backup_table(disk->spec.src, info))));
    BDR_TRY(bdr_json_set(d, "levels", json_integer(bdr_map_levels(
                                         bdr_blocks_of(info->size_bytes, bdr_sink_block_bytes(b->sink))))));
    if (!r->zero)
        BDR_TRY(bdr_json_set(d, "root", json_string(bdr_hex(r->root.b, sizeof(r->root.b), hex))));
    if (token) {
        BDR_TRY(bdr_json_set_text(d, "token", token));
        BDR_TRY(bdr_json_set(d, "token_kind", json_string(info->driver)));
    }
    if (r->bad.bytes)
        BDR_TRY(backup_unreadable(&r->bad, d));
    return b->opt->inherit ? backup_inherit_gaps(b->opt->inherit, index, d) : NULL;
}

/* All disks, pass by pass, until they stood still together. */
static struct bdr_err *backup_rounds(struct backup *b)
{
    enum bdr_moment_step step = BDR_MOMENT_FINAL;
    char *reason = b->out->reason;
    size_t room = sizeof(b->out->reason);

    for (size_t i = 0; i < b->n; i++)
        BDR_TRY_FOR(rounds_first(&b->disk[i], b->opt, reason, room), "backing up %s", b->disk[i].spec.info.identity);
    do {
        if (!b->opt->moment)
            return NULL;
        /* The next pass builds on the maps of this one, so they must be where they can be read. */
        BDR_TRY(bdr_sink_flush(b->sink));
        BDR_TRY(bdr_cancel_check(b->opt->cancel));
        BDR_TRY_FOR(bdr_moment_next(b->opt->moment, &step), "bringing the disks to one moment");
        atomic_fetch_add(&b->meter->pass, 1);
        atomic_store(&b->meter->done_bytes, 0);
        for (size_t i = 0; i < b->n; i++)
            BDR_TRY_FOR(rounds_again(&b->disk[i], step == BDR_MOMENT_FINAL, reason, room), "backing up %s", b->disk[i].spec.info.identity);
    } while (step == BDR_MOMENT_PASS);
    bdr_moment_report(b->opt->moment, &b->out->moment);
    return NULL;
}

static struct bdr_err *backup_disks(struct backup *b, const struct bdr_backup_disk *disks)
{
    char name[32];

    for (size_t i = 0; i < b->n; i++)
        BDR_TRY(rounds_open(b->opt, b->sink, b->meter, disks[i].src, b->base, &b->disk[i]));
    BDR_TRY(backup_rounds(b));
    for (size_t i = 0; i < b->n; i++) {
        const struct rounds_disk *d = &b->disk[i];

        BDR_TRY_FOR(bdr_source_check(disks[i].src), "%s changed while it was read", d->spec.info.identity);
        snprintf(name, sizeof(name), "disk%zu", i);
        BDR_TRY(backup_describe(b, d, disks[i].name ? disks[i].name : name, i));
        b->out->full |= d->full;
        b->out->unreadable_bytes += d->r.bad.bytes;
        b->out->unreadable_ranges += d->r.bad.n + d->r.bad.unlisted;
        b->out->audited_blocks += d->audited;
        b->out->audit_misses += d->misses;
    }
    return NULL;
}

/* Two disks with one identity could not be told apart the next time. */
static struct bdr_err *backup_check_disks(const struct bdr_backup_disk *disks, size_t n, uint64_t *out_total)
{
    for (size_t i = 0; i < n; i++) {
        struct bdr_source_info a, b;

        BDR_TRY(bdr_source_info(disks[i].src, &a));
        *out_total += a.size_bytes;
        for (size_t j = 0; j < i; j++) {
            BDR_TRY(bdr_source_info(disks[j].src, &b));
            if (!strcmp(a.identity, b.identity))
                BDR_FAIL(BDR_INVAL, 0, "%s is given twice", a.identity);
        }
    }
    return NULL;
}

/* The least of what the disks are worth: the moment speaks for those that are live. */
static void backup_consistency(struct backup *b)
{
    static const char *const order[] = {"inconsistent", "crash", "filesystem", "application"};
    size_t worst = BDR_COUNT(order) - 1;

    for (size_t i = 0; i < b->n; i++) {
        const struct bdr_source_info *info = &b->disk[i].spec.info;
        const char *is = info->consistency;

        if (info->live)
            is = b->opt->moment ? b->out->moment.consistency : "inconsistent";
        for (size_t c = 0; c < worst; c++)
            if (!strcmp(order[c], is))
                worst = c;
    }
    snprintf(b->out->consistency, sizeof(b->out->consistency), "%s",
             b->opt->consistency ? b->opt->consistency : order[worst]);
}

/* What a moment says of itself. Format: docs/formats/repository.md section 7. */
static struct bdr_err *backup_moment(const struct bdr_moment_report *r, json_t *point)
{
    json_t *m = json_object();

    BDR_TRY(bdr_json_set(point, "time_ms", json_integer(r->time_ms)));
    BDR_TRY(bdr_json_set(point, "moment", m));
    BDR_TRY(bdr_json_set(m, "window_ms", json_integer(r->window_ms)));
    BDR_TRY(bdr_json_set(m, "passes", json_integer(r->passes)));
    BDR_TRY(bdr_json_set(m, "freezes", json_integer(r->freezes)));
    BDR_TRY(bdr_json_set(m, "filesystems", json_integer(r->filesystems)));
    BDR_TRY(bdr_json_set(m, "captured_bytes", json_integer((json_int_t)r->captured_bytes)));
    BDR_TRY(bdr_json_set(m, "throttled", json_boolean(r->throttled)));
    return r->note[0] ? bdr_json_set_text(m, "note", r->note) : NULL;
}

static struct bdr_err *backup_stats(struct backup *b, json_t *point, double seconds)
{
    struct bdr_backup_result *r = b->out;
    json_t *stats = json_object();
    struct bdr_sink_stats s;

    bdr_sink_stats(b->sink, &s);
    r->seconds = seconds;
    r->size_bytes = atomic_load(&b->meter->total_bytes);
    r->read_bytes = atomic_load(&b->meter->read_bytes);
    r->zero_bytes = atomic_load(&b->meter->zero_bytes);
    r->changed_bytes = atomic_load(&b->meter->changed_bytes);
    r->new_bytes = s.bytes_new;
    r->stored_bytes = s.bytes_stored;
    r->known_bytes = s.bytes_known;
    r->node_bytes = s.node_bytes;
    r->sent_bytes = s.sent_bytes;
    r->scan_blocks = atomic_load(&b->meter->scan_blocks);
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
    static const char *const members[] = {"time_ms", "host_id", "consistency", "moment", "boot_mode", "tags"};
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
    char host_id[33];

    BDR_NOMEM_IF_NULL(point);
    b->disks = json_array();
    BDR_NOMEM_IF_NULL(b->disks);
    BDR_TRY(bdr_json_set(point, "disks", b->disks));
    BDR_TRY(backup_host_id(b->opt, host_id));
    BDR_TRY(backup_tags(b->opt, point));
    BDR_TRY(backup_check_disks(disks, n, &total));
    atomic_store(&b->meter->total_bytes, total);
    BDR_TRY(bdr_sink_begin(b->sink, &(struct bdr_sink_begin){.host = b->opt->host,
                                                             .compress = b->opt->compress,
                                                             .base_point = b->opt->base_point,
                                                             .take_over = b->opt->take_over,
                                                             .new_bytes = &b->meter->new_bytes,
                                                             .stored_bytes = &b->meter->stored_bytes,
                                                             .cancel = b->opt->cancel}));
    BDR_TRY(backup_base(b, host_id));
    /* The moment the content belongs to: no later than the first read. */
    BDR_TRY(bdr_json_set(point, "time_ms", json_integer(bdr_clock_wall_ms())));
    if (host_id[0])
        BDR_TRY(bdr_json_set(point, "host_id", json_string(host_id)));
    if (b->opt->boot_mode)
        BDR_TRY(bdr_json_set_text(point, "boot_mode", b->opt->boot_mode));
    if (b->base)
        BDR_TRY(bdr_json_set(point, "base", json_incref(json_object_get(b->base, "id"))));
    BDR_TRY(backup_disks(b, disks));
    backup_consistency(b);
    BDR_TRY(bdr_json_set_text(point, "consistency", b->out->consistency));
    if (b->opt->moment)
        BDR_TRY(backup_moment(&b->out->moment, point));
    if (b->opt->inherit)
        BDR_TRY(backup_inherit(b->opt->inherit, point));
    BDR_TRY(bdr_sink_flush(b->sink));
    BDR_TRY(backup_stats(b, point, (double)(bdr_clock_mono_ms() - start) / 1000));
    BDR_TRY(bdr_cancel_check(b->opt->cancel));
    BDR_TRY(bdr_sink_publish(b->sink, point, b->out->point_id));
    for (size_t i = 0; i < n; i++) {
        bdr_err_drop(bdr_source_committed(disks[i].src), "the tracker keeps more than it must; the point is safe");
        scan_commit(b->disk[i].scan);
    }
    return NULL;
}

struct bdr_err *bdr_backup_run(struct bdr_repo *repo, const struct bdr_backup_disk *disks, size_t n,
                               const struct bdr_backup_options *opt, struct bdr_backup_result *out)
{
    BDR_AUTO(sink) struct bdr_sink *sink = NULL;

    BDR_TRY(bdr_sink_local(repo, &sink));
    return bdr_backup_to(sink, disks, n, opt, out);
}

struct bdr_err *bdr_backup_to(struct bdr_sink *sink, const struct bdr_backup_disk *disks, size_t n,
                              const struct bdr_backup_options *opt, struct bdr_backup_result *out)
{
    struct bdr_backup_meter own = {0};
    struct bdr_backup_result r = {0};
    struct backup b = {.sink = sink, .opt = opt, .meter = opt->meter ? opt->meter : &own, .n = n, .out = &r};
    struct bdr_err *err;

    if (!opt->host || !*opt->host || strlen(opt->host) > 127)
        BDR_FAIL(BDR_INVAL, 0, "a host's name has 1 to 127 bytes");
    if (!n)
        BDR_FAIL(BDR_INVAL, 0, "no disk is given");
    b.disk = calloc(n, sizeof(*b.disk));
    BDR_NOMEM_IF_NULL(b.disk);
    err = backup_go(&b, disks, n);
    bdr_sink_abandon(sink);
    for (size_t i = 0; i < n; i++)
        rounds_close(&b.disk[i]);
    free(b.disk);
    json_decref(b.base);
    BDR_TRY_FOR(err, "host %s", opt->host);
    *out = r;
    return NULL;
}
