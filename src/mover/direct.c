/* SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/point.h"
#include "bdr/pool.h"
#include "bdr/session.h"
#include "bdr/transfer.h"
#include <stdio.h>
#include <string.h>

#define DIRECT_WORKERS_MAX 32

struct direct {
    const struct direct_spec *spec;
    struct bdr_backup_meter *meter, own;
    struct bdr_session *session; /* owned */
    json_t *theirs;              /* owned; the base's manifest in the target */
    bool full;
};

static void direct_free(struct direct *d)
{
    bdr_session_abandon(d->session);
    json_decref(d->theirs);
}

bool direct_can(const struct bdr_repo *from, const struct bdr_repo *to)
{
    return bdr_transfer_can(from, to);
}

static struct bdr_err *direct_members(const json_t *from, const char *const *names, size_t n, json_t *to)
{
    for (size_t i = 0; i < n; i++)
        if (json_object_get(from, names[i]))
            BDR_TRY(bdr_json_set(to, names[i], json_deep_copy(json_object_get(from, names[i]))));
    return NULL;
}

/* A name that another machine's points have in the target is not taken over silently. */
static struct bdr_err *direct_check_host(const struct direct_spec *s)
{
    const char *ours = json_string_value(json_object_get(s->manifest, "host_id")), *theirs;
    BDR_AUTO(json) json_t *last = NULL;
    struct bdr_point_info info;
    struct bdr_err *err;

    if (s->base || s->opt->take_over || !ours)
        return NULL;
    err = bdr_repo_find(s->to, "latest", s->host, &info);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "the host's first point there");
        return NULL;
    }
    BDR_TRY(err);
    BDR_TRY(bdr_point_load(s->to, info.id, &last));
    theirs = json_string_value(json_object_get(last, "host_id"));
    if (theirs && strcmp(theirs, ours) != 0)
        BDR_FAIL(BDR_INVAL, 0,
                 "the name '%s' belongs to another machine's points in %s; give --take-over if this machine really "
                 "replaces that one",
                 s->host, bdr_repo_url(s->to));
    return NULL;
}

/* The disk of this identity in both manifests of the base, with one content in both; *out is its root. */
static bool direct_base(const struct direct *d, const struct bdr_point_disk *disk, uint32_t block, struct bdr_id *out)
{
    const json_t *base[2] = {d->spec->base, d->theirs};
    struct bdr_point_disk at[2];
    unsigned found = 0;

    for (unsigned side = 0; side < 2; side++)
        for (uint32_t i = 0; i < bdr_point_disks(base[side]); i++) {
            struct bdr_err *err = bdr_point_disk(base[side], i, &at[side]);

            if (!err && at[side].has_root && !strcmp(at[side].identity, disk->identity)) {
                found |= 1u << side;
                break;
            }
            bdr_err_drop(err, "a base that makes no sense is no base");
        }
    if (found != 3 || memcmp(&at[0].root, &at[1].root, sizeof(at[0].root)) != 0 ||
        bdr_map_levels(bdr_blocks_of(at[0].size_bytes, block)) !=
            bdr_map_levels(bdr_blocks_of(disk->size_bytes, block)))
        return false;
    *out = at[0].root;
    return true;
}

static struct bdr_err *direct_disk(struct direct *d, uint32_t index, json_t *disks)
{
    static const char *const members[] = {"name", "identity", "size",       "sector",          "levels",
                                          "root", "table",    "unreadable", "unreadable_bytes"};
    const struct direct_spec *s = d->spec;
    struct bdr_transfer t = {.from = s->from,
                             .to = d->session,
                             .cancel = s->opt->cancel,
                             .done_bytes = &d->meter->done_bytes,
                             .read_bytes = &d->meter->read_bytes};
    uint32_t block = bdr_repo_block_bytes(s->from);
    json_t *copy = json_object();
    struct bdr_point_disk disk;
    struct bdr_id base;

    BDR_TRY(bdr_json_append(disks, copy));
    BDR_TRY(direct_members(json_array_get(json_object_get(s->manifest, "disks"), index), members, BDR_COUNT(members),
                           copy));
    BDR_TRY(bdr_point_disk(s->manifest, index, &disk));
    t.workers = BDR_MIN(s->opt->workers ? s->opt->workers : BDR_MAX(2 * bdr_cpu_count(), 4u), DIRECT_WORKERS_MAX);
    t.size_bytes = disk.size_bytes;
    t.root = disk.root;
    if (direct_base(d, &disk, block, &base))
        t.base = &base;
    else
        d->full = true;
    if (disk.has_root)
        BDR_TRY_FOR(bdr_transfer_disk(&t), "disk %u", index);
    return NULL;
}

static struct bdr_err *direct_stats(struct direct *d, json_t *point, struct bdr_copy_result *r)
{
    struct bdr_session_stats *s = bdr_session_stats(d->session);
    json_t *stats = json_object();

    r->size_bytes = atomic_load(&d->meter->total_bytes);
    r->read_bytes = atomic_load(&d->meter->read_bytes);
    r->new_bytes = atomic_load(&s->bytes_new);
    r->stored_bytes = atomic_load(&s->bytes_stored);
    r->full = d->full;
    atomic_store(&d->meter->new_bytes, r->new_bytes);
    atomic_store(&d->meter->stored_bytes, r->stored_bytes);
    atomic_store(&d->meter->done_bytes, r->size_bytes);
    BDR_TRY(bdr_json_set(point, "stats", stats));
    BDR_TRY(bdr_json_set(stats, "read_bytes", json_integer((json_int_t)r->read_bytes)));
    BDR_TRY(bdr_json_set(stats, "changed_bytes", json_integer((json_int_t)r->read_bytes)));
    BDR_TRY(bdr_json_set(stats, "new_bytes", json_integer((json_int_t)r->new_bytes)));
    BDR_TRY(bdr_json_set(stats, "stored_bytes", json_integer((json_int_t)r->stored_bytes)));
    BDR_TRY(bdr_json_set(stats, "map_bytes", json_integer((json_int_t)atomic_load(&s->node_bytes))));
    BDR_TRY(bdr_json_set(point, "seconds", json_real(r->seconds)));
    return bdr_json_set(point, "full", json_boolean(r->full));
}

static struct bdr_err *direct_go(struct direct *d, struct bdr_copy_result *out)
{
    static const char *const members[] = {"time_ms", "host_id", "consistency", "boot_mode", "tags"};
    const struct direct_spec *s = d->spec;
    const json_t *origin = json_object_get(s->manifest, "origin");
    BDR_AUTO(json) json_t *point = json_object();
    uint64_t start = bdr_clock_mono_ms(), total = 0;
    json_t *disks = json_array();

    BDR_NOMEM_IF_NULL(point);
    BDR_TRY(bdr_json_set(point, "disks", disks));
    for (uint32_t i = 0; i < bdr_point_disks(s->manifest); i++) {
        struct bdr_point_disk disk;

        BDR_TRY(bdr_point_disk(s->manifest, i, &disk));
        total += disk.size_bytes;
    }
    atomic_store(&d->meter->total_bytes, total);
    BDR_TRY(direct_members(s->manifest, members, BDR_COUNT(members), point));
    BDR_TRY(bdr_json_set(point, "origin", json_deep_copy(origin ? origin : json_object_get(s->manifest, "id"))));
    BDR_TRY(bdr_session_begin(
        s->to,
        &(struct bdr_session_options){.host = s->host, .take_over = s->opt->take_over, .compress = s->opt->compress},
        &d->session));
    BDR_TRY(direct_check_host(s));
    if (s->base) { /* by now: a base that is named is one that publishing looks after */
        BDR_TRY(bdr_point_load(s->to, s->base_to, &d->theirs));
        BDR_TRY(bdr_json_set(point, "base", json_string(s->base_to)));
    }
    for (uint32_t i = 0; i < bdr_point_disks(s->manifest); i++)
        BDR_TRY(direct_disk(d, i, disks));
    BDR_TRY(bdr_session_flush(d->session));
    out->seconds = (double)(bdr_clock_mono_ms() - start) / 1000;
    BDR_TRY(direct_stats(d, point, out));
    BDR_TRY(bdr_cancel_check(s->opt->cancel));
    return bdr_session_publish(BDR_STEAL(d->session), point, out->point_id);
}

struct bdr_err *direct_copy(const struct direct_spec *spec, struct bdr_copy_result *out)
{
    __attribute__((cleanup(direct_free))) struct direct d = {.spec = spec, .meter = spec->opt->meter};

    if (!d.meter)
        d.meter = &d.own;
    BDR_TRY_FOR(direct_go(&d, out), "host %s", spec->host);
    return NULL;
}
