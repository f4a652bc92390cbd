/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_points.c - bdr points, bdr show, bdr rm. */
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/point.h"
#include "cmds.h"
#include "engine.h"
#include <stdio.h>
#include <string.h>

struct points_args {
    const char *host;
};

static const char *json_text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static struct bdr_err *points_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"POINT", "point", BDR_COL_TEXT, 0, 9},
        {"HOST", "host", BDR_COL_TEXT, 0, 0},
        {"TIME", "time", BDR_COL_TIME, 0, 0},
        {"DISKS", "disks", BDR_COL_COUNT, 0, 0},
        {"SIZE", "size_bytes", BDR_COL_SIZE, 0, 0},
        {"CHANGED", "changed_bytes", BDR_COL_SIZE, 0, 0},
        {"STORED", "stored_bytes", BDR_COL_SIZE, 0, 0},
        {"CONSISTENCY", "consistency", BDR_COL_TEXT, 0, 0},
    };
    const struct points_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(table) struct bdr_table *t = NULL;
    BDR_AUTO(mem) struct bdr_point_info *all = NULL;
    size_t n = 0;

    BDR_TRY(bdr_cli_open(cli, true, &repo));
    BDR_TRY(bdr_repo_points(repo, &all, &n));
    BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &t));
    for (size_t i = 0; i < n; i++) {
        json_t *point = NULL, *stats;
        struct bdr_err *err;

        if (a->host && strcmp(a->host, all[i].host) != 0)
            continue;
        BDR_TRY(bdr_point_read(repo, &all[i], &point));
        stats = json_object_get(point, "stats");
        char shown[33];
        snprintf(shown, sizeof(shown), cli->common->json ? "%s" : "%.8s", all[i].id);
        err = bdr_table_add(
            t, (const struct bdr_cell[]){
                   BDR_CELL_TEXT(shown), BDR_CELL_TEXT(all[i].host), BDR_CELL_TIME(all[i].time_ms),
                   BDR_CELL_U64(all[i].disks), BDR_CELL_U64(all[i].size_bytes),
                   BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(stats, "changed_bytes"))),
                   BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(stats, "stored_bytes"))),
                   BDR_CELL_TEXT(json_text(point, "consistency"))});
        json_decref(point);
        BDR_TRY(err);
    }
    if (!bdr_table_rows(t))
        bdr_out_note(cli->out, a->host ? "no points of host %s yet" : "no points yet; 'bdr backup' makes the first",
                     a->host);
    return bdr_out_table(cli->out, t);
}

static const struct bdr_opt points_opts[] = {
    {.name = "host", BDR_STRING(struct points_args, host), .metavar = "NAME", .help = "Only this host's points."},
    {0},
};
const struct bdr_cmd bdr_cmd_points = {
    .name = "points",
    .summary = "list the recovery points",
    .help = "Lists every visible point, by host and time. CHANGED is what differed from the point before, STORED what "
            "that cost in the repository.",
    .examples = "# all points\nbdr points --repo /backup/r1\n",
    .opts = points_opts,
    .args_size = sizeof(struct points_args),
    .run = points_run,
};

struct show_args {
    const char *which, *host;
};

/* What the moment of live disks was. */
static struct bdr_err *show_moment(struct bdr_cli *cli, const json_t *m)
{
    static const struct bdr_col cols[] = {
        {"Window", "window_ms", BDR_COL_DURATION, 0, 0},     {"Passes", "passes", BDR_COL_COUNT, 0, 0},
        {"Freezes", "freezes", BDR_COL_COUNT, 0, 0},         {"File systems", "filesystems", BDR_COL_COUNT, 0, 0},
        {"Read in it", "captured_bytes", BDR_COL_SIZE, 0, 0}, {"Slowed down", "throttled", BDR_COL_TEXT, 0, 0},
        {"Note", "note", BDR_COL_TEXT, 0, 0},
    };

    if (!m)
        return NULL;
    return bdr_out_record(
        cli->out, cols, BDR_COUNT(cols),
        (const struct bdr_cell[]){BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(m, "window_ms"))),
                                  BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(m, "passes"))),
                                  BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(m, "freezes"))),
                                  BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(m, "filesystems"))),
                                  BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(m, "captured_bytes"))),
                                  json_is_true(json_object_get(m, "throttled")) ? BDR_CELL_TEXT("yes") : BDR_CELL_NONE,
                                  json_text(m, "note") ? BDR_CELL_TEXT(json_text(m, "note")) : BDR_CELL_NONE});
}

static struct bdr_err *show_disks(struct bdr_cli *cli, const json_t *point)
{
    static const struct bdr_col cols[] = {
        {"DISK", "index", BDR_COL_COUNT, 0, 0},        {"NAME", "name", BDR_COL_TEXT, 0, 0},
        {"SIZE", "size_bytes", BDR_COL_SIZE, 0, 0},    {"SECTOR", "sector_bytes", BDR_COL_COUNT, 0, 0},
        {"TABLE", "table", BDR_COL_TEXT, 0, 0},        {"UNREADABLE", "unreadable_bytes", BDR_COL_SIZE, 0, 0},
        {"IDENTITY", "identity", BDR_COL_TEXT, 0, 60},
    };
    BDR_AUTO(table) struct bdr_table *t = NULL;
    size_t i;

    BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &t));
    for (i = 0; i < bdr_point_disks(point); i++) {
        struct bdr_point_disk d;

        BDR_TRY(bdr_point_disk(point, (uint32_t)i, &d));
        BDR_TRY(bdr_table_add(t, (const struct bdr_cell[]){BDR_CELL_U64(i), BDR_CELL_TEXT(d.name),
                                                           BDR_CELL_U64(d.size_bytes), BDR_CELL_U64(d.sector_bytes),
                                                           BDR_CELL_TEXT(d.table), BDR_CELL_U64(d.unreadable_bytes),
                                                           BDR_CELL_TEXT(d.identity)}));
    }
    BDR_TRY(bdr_out_line(cli->out, "%s", ""));
    BDR_TRY(bdr_out_table(cli->out, t));
    for (i = 0; i < bdr_point_disks(point); i++) {
        const json_t *ranges = json_object_get(json_array_get(json_object_get(point, "disks"), i), "unreadable"), *r;
        size_t j;

        json_array_foreach(ranges, j, r)
            BDR_TRY(bdr_out_line(cli->out, "disk %zu: could not read %lld bytes at %lld; zeros stand there", i,
                                 (long long)json_integer_value(json_array_get(r, 1)),
                                 (long long)json_integer_value(json_array_get(r, 0))));
    }
    return NULL;
}

static struct bdr_err *show_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"Point", "id", BDR_COL_TEXT, 0, 0},         {"Host", "host", BDR_COL_TEXT, 0, 0},
        {"Time", "time", BDR_COL_TIME, 0, 0},        {"Consistency", "consistency", BDR_COL_TEXT, 0, 0},
        {"Boot mode", "boot_mode", BDR_COL_TEXT, 0, 0}, {"Pass", "pass", BDR_COL_TEXT, 0, 0},
        {"Because", "reason", BDR_COL_TEXT, 0, 0},   {"Read", "read", BDR_COL_SIZE, 0, 0},
        {"Changed", "changed", BDR_COL_SIZE, 0, 0},  {"Stored", "stored", BDR_COL_SIZE, 0, 0},
        {"Time taken", "ms", BDR_COL_DURATION, 0, 0},
    };
    const struct show_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(json) json_t *point = NULL;
    struct bdr_point_info info;
    const json_t *stats;

    BDR_TRY(bdr_cli_open(cli, true, &repo));
    BDR_TRY(bdr_repo_find(repo, a->which, a->host, &info));
    BDR_TRY(bdr_point_read(repo, &info, &point));
    if (cli->common->json)
        return bdr_out_json(cli->out, json_incref(point));
    stats = json_object_get(point, "stats");
    BDR_TRY(bdr_out_record(
        cli->out, cols, BDR_COUNT(cols),
        (const struct bdr_cell[]){
            BDR_CELL_TEXT(info.id), BDR_CELL_TEXT(info.host), BDR_CELL_TIME(info.time_ms),
            BDR_CELL_TEXT(json_text(point, "consistency")),
            json_text(point, "boot_mode") ? BDR_CELL_TEXT(json_text(point, "boot_mode")) : BDR_CELL_NONE,
            BDR_CELL_TEXT(json_is_true(json_object_get(point, "full")) ? "full" : "incremental"),
            json_text(point, "reason") ? BDR_CELL_TEXT(json_text(point, "reason")) : BDR_CELL_NONE,
            BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(stats, "read_bytes"))),
            BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(stats, "changed_bytes"))),
            BDR_CELL_U64((uint64_t)json_integer_value(json_object_get(stats, "stored_bytes"))),
            BDR_CELL_U64((uint64_t)(json_real_value(json_object_get(point, "seconds")) * 1000))}));
    BDR_TRY(show_moment(cli, json_object_get(point, "moment")));
    return show_disks(cli, point);
}

static const struct bdr_opt show_opts[] = {
    {.name = "host", BDR_STRING(struct show_args, host), .metavar = "NAME", .help = "Whose latest point."},
    {0},
};
static const struct bdr_arg show_rows[] = {
    {.name = "POINT", .need = BDR_ARG_REQUIRED, BDR_STRING(struct show_args, which),
     .help = "A point's id or its beginning, or 'latest'."},
    {0},
};
const struct bdr_cmd bdr_cmd_show = {
    .name = "show",
    .summary = "tell all about one recovery point",
    .help = "Prints what the point's manifest says: its disks, how it was made, what could not be read. With --json the "
            "manifest itself.",
    .examples = "# the newest point of web1\nbdr show --repo /backup/r1 latest --host web1\n",
    .opts = show_opts,
    .args = show_rows,
    .args_size = sizeof(struct show_args),
    .run = show_run,
};

struct rm_args {
    struct bdr_list points;
};

static struct bdr_err *rm_run(void *raw, struct bdr_cli *cli)
{
    const struct rm_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;

    BDR_TRY(bdr_cli_open_to_free(cli, &repo));
    for (size_t i = 0; i < a->points.count; i++) {
        struct bdr_point_info info;
        struct bdr_err *err;

        if (strlen(a->points.items[i]) < 4 || !strcmp(a->points.items[i], "latest"))
            BDR_FAIL(BDR_INVAL, 0, "'%s' is too vague to delete by; give at least 4 digits of the point's id",
                     a->points.items[i]);
        err = bdr_repo_find(repo, a->points.items[i], NULL, &info);
        if (err && (err->code == BDR_NOTFOUND || err->code == BDR_CORRUPT)) { /* what can't be read must not stay for ever */
            bdr_err_drop(err, "looked for by its name in the store");
            BDR_TRY(bdr_point_remove(repo, a->points.items[i]));
            bdr_out_note(cli->out, "point %.8s, which could not be read, is removed", a->points.items[i]);
            continue;
        }
        BDR_TRY(err);
        BDR_TRY(bdr_point_remove(repo, info.id));
        bdr_out_note(cli->out, "point %.8s of host %s is removed; 'bdr prune' frees its space", info.id, info.host);
    }
    return NULL;
}

static const struct bdr_arg rm_rows[] = {
    {.name = "POINT", .need = BDR_ARG_MANY, BDR_LIST(struct rm_args, points), .help = "Points' ids or their beginnings."},
    {0},
};
const struct bdr_cmd bdr_cmd_rm = {
    .name = "rm",
    .summary = "remove recovery points",
    .help = "Removes points at once and for good. Any may go, in any order: the others stay whole. The space they alone "
            "used is freed by the next 'bdr prune'.",
    .examples = "# remove one point\nbdr rm --repo /backup/r1 3f9a2c01\n",
    .args = rm_rows,
    .args_size = sizeof(struct rm_args),
    .run = rm_run,
};
