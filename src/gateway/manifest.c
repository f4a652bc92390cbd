/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.c - a point's manifest out of what a client says: each member is taken by name, checked, bounded.
 *
 * Roots, sizes, the host and what was stored the gateway knows by itself. Members that are not in the tables are left out.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/point.h"
#include "gw_i.h"
#include <string.h>

#define MANIFEST_TAGS_MAX 64u
#define MANIFEST_GAPS_MAX 4096u

struct text_row {
    const char *name;
    size_t max;
    const char *choices; /* "a|b": one of these; NULL: any */
    bool required;
};
static const struct text_row point_texts[] = {
    {"consistency", 16, "inconsistent|crash|filesystem|application", true},
    {"boot_mode", 8, "bios|uefi", false},
    {"reason", 240, NULL, false},
};
static const struct text_row disk_texts[] = {
    {"name", 128, NULL, true},
    {"identity", 512, NULL, true},
    {"table", 8, "gpt|mbr|none", true},
    {"token", 65536, NULL, false},
    {"token_kind", 64, NULL, false},
};
static const char *const moment_numbers[] = {"window_ms", "passes", "freezes", "filesystems", "captured_bytes"};
static const char *const client_stats[] = {"read_bytes", "changed_bytes"};

static bool choice_is(const char *choices, const char *text)
{
    size_t len = strlen(text);

    for (const char *at = choices; len && at;) {
        const char *next = strchr(at, '|');

        if (!strncmp(at, text, len) && (!at[len] || at[len] == '|'))
            return true;
        at = next ? next + 1 : NULL;
    }
    return false;
}

static struct bdr_err *texts_take(const struct text_row *rows, size_t n, const json_t *from, json_t *to)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(from, rows[i].name);

        if (!v && !rows[i].required)
            continue;
        if (!json_is_string(v) || json_string_length(v) > rows[i].max ||
            strlen(json_string_value(v)) != json_string_length(v) ||
            (rows[i].choices && !choice_is(rows[i].choices, json_string_value(v))))
            BDR_FAIL(BDR_INVAL, 0, "%s is missing, too long or not one of those it may be", rows[i].name);
        BDR_TRY(bdr_json_set(to, rows[i].name, json_deep_copy(v)));
    }
    return NULL;
}

static struct bdr_err *number_take(const json_t *from, const char *name, uint64_t max, json_t *to)
{
    const json_t *v = json_object_get(from, name);

    if (!v)
        return NULL;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        BDR_FAIL(BDR_INVAL, 0, "%s is not a number it may be", name);
    return bdr_json_set(to, name, json_integer(json_integer_value(v)));
}

static struct bdr_err *tags_take(const json_t *given, json_t *point)
{
    const json_t *tags = json_object_get(given, "tags");
    json_t *ours = json_object();
    const char *key;
    json_t *v;

    BDR_TRY(bdr_json_set(point, "tags", ours));
    if (!tags)
        return NULL;
    if (!json_is_object(tags) || json_object_size(tags) > MANIFEST_TAGS_MAX)
        BDR_FAIL(BDR_INVAL, 0, "tags is an object of at most %u texts", MANIFEST_TAGS_MAX);
    json_object_foreach((json_t *)(uintptr_t)tags, key, v)
    {
        if (!*key || strlen(key) > 128 || !json_is_string(v) || json_string_length(v) > 1024)
            BDR_FAIL(BDR_INVAL, 0, "a tag has a name of 1 to 128 bytes and a text of at most 1024");
        BDR_TRY(bdr_json_set(ours, key, json_deep_copy(v)));
    }
    return NULL;
}

static struct bdr_err *moment_take(const json_t *given, json_t *point)
{
    static const struct text_row note[] = {{"note", 512, NULL, false}};
    const json_t *m = json_object_get(given, "moment");
    json_t *ours;

    if (!m)
        return NULL;
    if (!json_is_object(m))
        BDR_FAIL(BDR_INVAL, 0, "moment is an object");
    ours = json_object();
    BDR_TRY(bdr_json_set(point, "moment", ours));
    for (size_t i = 0; i < BDR_COUNT(moment_numbers); i++)
        BDR_TRY(number_take(m, moment_numbers[i], BDR_SHAPE_INT_MAX, ours));
    BDR_TRY(bdr_json_set(ours, "throttled", json_boolean(json_is_true(json_object_get(m, "throttled")))));
    return texts_take(note, BDR_COUNT(note), m, ours);
}

/* What could not be read: ranges in order, within the disk. */
static struct bdr_err *gaps_take(const json_t *given, uint64_t size, json_t *disk)
{
    const json_t *list = json_object_get(given, "unreadable");
    uint64_t next = 0;
    json_t *ours;

    if (!list)
        return NULL;
    if (!json_is_array(list) || json_array_size(list) > MANIFEST_GAPS_MAX)
        BDR_FAIL(BDR_INVAL, 0, "unreadable is a list of at most %u ranges", MANIFEST_GAPS_MAX);
    ours = json_array();
    BDR_TRY(bdr_json_set(disk, "unreadable", ours));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *r = json_array_get(list, i);
        json_int_t off = json_integer_value(json_array_get(r, 0)), len = json_integer_value(json_array_get(r, 1));

        if (json_array_size(r) != 2 || off < 0 || len < 1 || (uint64_t)off < next || (uint64_t)off > size ||
            (uint64_t)len > size - (uint64_t)off)
            BDR_FAIL(BDR_INVAL, 0, "unreadable: range %zu is not behind the one before, or not within the disk", i);
        next = (uint64_t)off + (uint64_t)len;
        BDR_TRY(bdr_json_append(ours, json_pack("[I,I]", off, len)));
    }
    return number_take(given, "unreadable_bytes", size, disk);
}

static const struct gw_disk *disk_find(const struct gw_session *s, const char *identity)
{
    for (size_t i = 0; i < s->n_disks; i++)
        if (!strcmp(s->disks[i].identity, identity))
            return &s->disks[i];
    return NULL;
}

static struct bdr_err *disk_take(const struct gw_session *s, const json_t *given, json_t *disks)
{
    const char *identity = json_string_value(json_object_get(given, "identity"));
    json_int_t sector = json_integer_value(json_object_get(given, "sector"));
    const struct gw_disk *d = identity ? disk_find(s, identity) : NULL;
    json_t *disk = json_object();
    char hex[65];

    BDR_TRY(bdr_json_append(disks, disk));
    if (!d)
        BDR_FAIL(BDR_INVAL, 0, "disk %zu has no finished map in this session", json_array_size(disks) - 1);
    for (size_t i = 0; i + 1 < json_array_size(disks); i++)
        if (!strcmp(identity, json_string_value(json_object_get(json_array_get(disks, i), "identity"))))
            BDR_FAIL(BDR_INVAL, 0, "disk %zu is there twice", i);
    BDR_TRY(texts_take(disk_texts, BDR_COUNT(disk_texts), given, disk));
    if (sector < 512 || sector > 65536 || (sector & (sector - 1)))
        BDR_FAIL(BDR_INVAL, 0, "sector is a power of two from 512 to 65536");
    BDR_TRY(bdr_json_set(disk, "sector", json_integer(sector)));
    BDR_TRY(bdr_json_set(disk, "size", json_integer((json_int_t)d->size)));
    BDR_TRY(bdr_json_set(disk, "levels",
                         json_integer(bdr_map_levels(bdr_blocks_of(d->size, s->repo->block_bytes)))));
    if (!d->zero)
        BDR_TRY(bdr_json_set(disk, "root", json_string(bdr_hex(d->root.b, sizeof(d->root.b), hex))));
    return gaps_take(given, d->size, disk);
}

/* The content's moment is never in the future, or retention would keep it for ever. */
static struct bdr_err *time_take(const json_t *given, json_t *point)
{
    json_int_t t = json_integer_value(json_object_get(given, "time_ms")), now = (json_int_t)bdr_clock_wall_ms();

    return bdr_json_set(point, "time_ms", json_integer(t < 1 || t > now ? now : t));
}

static struct bdr_err *stats_make(const struct gw_session *s, const json_t *given, json_t *point)
{
    struct bdr_session_stats *st = bdr_session_stats(s->s);
    const json_t *theirs = json_object_get(given, "stats"), *seconds = json_object_get(given, "seconds");
    json_t *ours = json_object();

    BDR_TRY(bdr_json_set(point, "stats", ours));
    for (size_t i = 0; i < BDR_COUNT(client_stats); i++)
        BDR_TRY(number_take(theirs, client_stats[i], BDR_SHAPE_INT_MAX, ours));
    BDR_TRY(bdr_json_set(ours, "new_bytes", json_integer((json_int_t)atomic_load(&st->bytes_new))));
    BDR_TRY(bdr_json_set(ours, "stored_bytes", json_integer((json_int_t)atomic_load(&st->bytes_stored))));
    BDR_TRY(bdr_json_set(ours, "map_bytes", json_integer((json_int_t)atomic_load(&st->node_bytes))));
    if (json_is_number(seconds) && json_number_value(seconds) >= 0 && json_number_value(seconds) < 1e9)
        BDR_TRY(bdr_json_set(point, "seconds", json_real(json_number_value(seconds))));
    return bdr_json_set(point, "full", json_boolean(json_is_true(json_object_get(given, "full"))));
}

static struct bdr_err *host_make(const struct gw_session *s, const json_t *given, json_t *point)
{
    const char *theirs = json_string_value(json_object_get(given, "host_id"));

    if (s->identity[0])
        theirs = s->identity;
    if (theirs && bdr_machine_id_ok(theirs))
        BDR_TRY(bdr_json_set(point, "host_id", json_string(theirs)));
    BDR_TRY(bdr_json_set(point, "host_number", json_integer((json_int_t)s->host)));
    BDR_TRY(bdr_json_set(point, "fence", json_integer((json_int_t)s->fence)));
    BDR_TRY(bdr_json_set(point, "machine", json_string(s->machine)));
    if (s->base)
        BDR_TRY(bdr_json_set(point, "base", json_deep_copy(json_object_get(s->base, "id"))));
    return NULL;
}

static struct bdr_err *manifest_make(const struct gw_session *s, const json_t *given, json_t *point)
{
    const json_t *disks = json_object_get(given, "disks");
    json_t *ours = json_array();

    BDR_TRY(bdr_json_set(point, "disks", ours));
    if (!json_is_array(disks) || !json_array_size(disks) || json_array_size(disks) > GW_DISKS_MAX)
        BDR_FAIL(BDR_INVAL, 0, "a point has 1 to %u disks", GW_DISKS_MAX);
    BDR_TRY(time_take(given, point));
    BDR_TRY(host_make(s, given, point));
    BDR_TRY(texts_take(point_texts, BDR_COUNT(point_texts), given, point));
    BDR_TRY(tags_take(given, point));
    BDR_TRY(moment_take(given, point));
    for (size_t i = 0; i < json_array_size(disks); i++)
        BDR_TRY(disk_take(s, json_array_get(disks, i), ours));
    return stats_make(s, given, point);
}

struct bdr_err *gw_manifest(struct gw_session *s, const json_t *given, json_t **out)
{
    BDR_AUTO(json) json_t *point = json_object();
    const char *host = json_string_value(json_object_get(given, "host"));

    BDR_NOMEM_IF_NULL(point);
    if (host && strcmp(host, s->label) != 0)
        BDR_FAIL(BDR_INVAL, 0, "this session writes another host's points");
    BDR_TRY(manifest_make(s, given, point));
    *out = BDR_STEAL(point);
    return NULL;
}
