/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_prune.c - bdr prune: retention, then freeing what nothing refers to. */
#include "bdr/clock.h"
#include "bdr/gc.h"
#include "bdr/point.h"
#include "cmds.h"
#include "engine.h"
#include <string.h>

struct prune_args {
    const char *host;
    uint32_t last, hourly, daily, weekly, monthly, yearly, max_unused;
    uint64_t within_ms;
    bool dry_run;
};

/* Decides on the host's (or everybody's) points and removes those no rule keeps. */
static struct bdr_err *prune_keep(const struct prune_args *a, struct bdr_cli *cli, struct bdr_repo *repo,
                                  struct bdr_table *t, uint64_t *out_removed)
{
    BDR_AUTO(mem) struct bdr_point_info *all = NULL;
    BDR_AUTO(mem) struct bdr_keep_row *rows = NULL;
    struct bdr_keep keep = {a->last, a->hourly, a->daily, a->weekly, a->monthly, a->yearly, a->within_ms};
    size_t n = 0, m = 0;

    BDR_TRY(bdr_repo_points(repo, &all, &n));
    for (size_t i = 0; i < n; i++)
        if (!a->host || !strcmp(a->host, all[i].host))
            all[m++] = all[i];
    rows = calloc(m + 1, sizeof(*rows));
    BDR_NOMEM_IF_NULL(rows);
    bdr_keep_decide(&keep, all, m, bdr_clock_wall_ms(), rows);
    for (size_t i = 0; i < m; i++) {
        BDR_TRY(bdr_cancel_check(cli->cancel));
        if (!rows[i].keep && !a->dry_run)
            BDR_TRY(bdr_point_remove(repo, rows[i].point.id));
        *out_removed += !rows[i].keep;
        BDR_TRY(bdr_table_add(t, (const struct bdr_cell[]){
                                     BDR_CELL_TEXT(rows[i].keep ? "keep" : a->dry_run ? "would remove" : "removed"),
                                     BDR_CELL_TEXT(rows[i].point.id), BDR_CELL_TEXT(rows[i].point.host),
                                     BDR_CELL_TIME(rows[i].point.time_ms), BDR_CELL_TEXT(rows[i].why)}));
    }
    return NULL;
}

static struct bdr_err *prune_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col keep_cols[] = {
        {"DECISION", "decision", BDR_COL_TEXT, 0, 0}, {"POINT", "point", BDR_COL_TEXT, 0, 9},
        {"HOST", "host", BDR_COL_TEXT, 0, 0},         {"TIME", "time", BDR_COL_TIME, 0, 0},
        {"BECAUSE", "why", BDR_COL_TEXT, 0, 0},
    };
    static const struct bdr_col cols[] = {
        {"Points", "points", BDR_COL_COUNT, 0, 0},
        {"Points removed", "points_removed", BDR_COL_COUNT, 0, 0},
        {"Packs before", "packs", BDR_COL_COUNT, 0, 0},
        {"Size before", "bytes_before", BDR_COL_SIZE, 0, 0},
        {"Packs removed", "packs_removed", BDR_COL_COUNT, 0, 0},
        {"Packs rewritten", "packs_rewritten", BDR_COL_COUNT, 0, 0},
        {"Freed", "bytes_freed", BDR_COL_SIZE, 0, 0},
        {"Packs waiting", "packs_waiting", BDR_COL_COUNT, 0, 0},
        {"Waiting", "bytes_waiting", BDR_COL_SIZE, 0, 0},
        {"No room to rewrite", "packs_no_room", BDR_COL_COUNT, 0, 0},
        {"Open sessions", "sessions_open", BDR_COL_COUNT, 0, 0},
        {"Leftovers removed", "leftovers", BDR_COL_COUNT, 0, 0},
    };
    const struct prune_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(table) struct bdr_table *t = NULL;
    BDR_AUTO(progress) struct bdr_progress *meter = NULL;
    struct bdr_gc_meter counts = {0};
    struct bdr_prune_result r;
    uint64_t removed = 0;

    BDR_TRY(bdr_cli_open_to_free(cli, &repo));
    BDR_TRY(bdr_table_new(keep_cols, BDR_COUNT(keep_cols), &t));
    BDR_TRY(prune_keep(a, cli, repo, t, &removed));
    BDR_TRY(bdr_cli_progress(cli, &(struct bdr_progress_source){bdr_cli_gc_sample, &counts}, &meter));
    BDR_TRY(bdr_prune(repo,
                      &(struct bdr_prune_options){.dry_run = a->dry_run, .max_unused_pct = a->max_unused,
                                                  .meter = &counts, .cancel = cli->cancel},
                      &r));
    bdr_progress_stop(BDR_STEAL(meter));
    const struct bdr_cell cells[] = {
        BDR_CELL_U64(r.points),          BDR_CELL_U64(removed),           BDR_CELL_U64(r.packs),
        BDR_CELL_U64(r.bytes_before),    BDR_CELL_U64(r.packs_removed),   BDR_CELL_U64(r.packs_rewritten),
        BDR_CELL_U64(r.bytes_freed),     BDR_CELL_U64(r.packs_waiting),   BDR_CELL_U64(r.bytes_waiting),
        BDR_CELL_U64(r.packs_no_room),   BDR_CELL_U64(r.sessions_open),   BDR_CELL_U64(r.leftovers),
    };
    if (cli->common->json) {
        json_t *doc = bdr_record_json(cols, BDR_COUNT(cols), cells);

        if (doc)
            json_object_set_new(doc, "decisions", bdr_table_json(t));
        return bdr_out_json(cli->out, doc);
    }
    BDR_TRY(bdr_out_table(cli->out, t));
    BDR_TRY(bdr_out_line(cli->out, "%s", ""));
    BDR_TRY(bdr_out_record(cli->out, cols, BDR_COUNT(cols), cells));
    if (a->dry_run)
        bdr_out_note(cli->out, "nothing was changed (--dry-run)%s",
                     removed ? "; the space of points that would be removed is not counted as freed" : "");
    else if (r.packs_no_room)
        bdr_out_note(cli->out, "half-empty packs that stay because there is no room for what is still needed of them: %llu; "
                     "free more (remove points, or make room on the disk) and run it again",
                     (unsigned long long)r.packs_no_room);
    else if (r.packs_waiting)
        bdr_out_note(cli->out, "backups are running that may refer to %llu packs; the next prune after they end frees them",
                     (unsigned long long)r.packs_waiting);
    return NULL;
}

static const struct bdr_opt prune_opts[] = {
    {.name = "keep-last", BDR_U32(struct prune_args, last), .help = "Keep the newest N points of each host."},
    {.name = "keep-hourly", BDR_U32(struct prune_args, hourly), .help = "Keep the newest point of each of the last N hours that have one."},
    {.name = "keep-daily", BDR_U32(struct prune_args, daily), .help = "The same for days (UTC)."},
    {.name = "keep-weekly", BDR_U32(struct prune_args, weekly), .help = "The same for ISO weeks."},
    {.name = "keep-monthly", BDR_U32(struct prune_args, monthly), .help = "The same for months."},
    {.name = "keep-yearly", BDR_U32(struct prune_args, yearly), .help = "The same for years."},
    {.name = "keep-within", BDR_DURATION(struct prune_args, within_ms), .help = "Keep every point younger than this."},
    {.name = "host", BDR_STRING(struct prune_args, host), .metavar = "NAME", .help = "Judge only this host's points."},
    {.name = "max-unused", BDR_U32(struct prune_args, max_unused), .def = "20", .max = 100, .metavar = "PERCENT",
     .help = "Rewrite packs of which more than this is unused."},
    {.name = "dry-run", BDR_FLAG(struct prune_args, dry_run), .cli_only = true, .help = "Explain each decision, change nothing."},
    {0},
};

const struct bdr_cmd bdr_cmd_prune = {
    .name = "prune",
    .summary = "apply a retention policy and free space",
    .help = "Removes the points that no --keep rule keeps (without any rule all stay; the newest point of a host always "
            "stays), then frees what no point refers to. Backups may run meanwhile: what they may refer to is left to "
            "the next prune.",
    .examples = "# explain a policy without changing anything\nbdr prune --repo /backup/r1 --keep-last 3 --keep-daily 14 --dry-run\n"
                "# only free space\nbdr prune --repo /backup/r1\n",
    .opts = prune_opts,
    .args_size = sizeof(struct prune_args),
    .run = prune_run,
};
