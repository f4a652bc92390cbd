/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_diff.c - bdr diff. */
#include "bdr/diff.h"
#include "bdr/disk.h"
#include "cmds.h"
#include "engine.h"
#include <stdio.h>
#include <string.h>

struct diff_args {
    const char *a, *b, *host, *format;
    uint32_t disk, disk_b;
};

struct diff_sum {
    struct bdr_cli *cli;
    struct bdr_table *t; /* NULL: lines are printed at once */
    uint64_t extents, bytes, zero_bytes;
};

static struct bdr_err *diff_extent(void *ctx, uint64_t off, uint64_t len, bool data)
{
    struct diff_sum *s = ctx;

    s->extents++;
    s->bytes += len;
    s->zero_bytes += data ? 0 : len;
    if (!s->t)
        return bdr_out_line(s->cli->out, "%llu %llu", (unsigned long long)off, (unsigned long long)len);
    return bdr_table_add(s->t, (const struct bdr_cell[]){BDR_CELL_U64(off), BDR_CELL_U64(len),
                                                         BDR_CELL_TEXT(data ? "data" : "zero")});
}

static struct bdr_err *diff_size(struct bdr_repo *repo, const struct bdr_diff_side *side, uint64_t *out)
{
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;

    BDR_TRY(bdr_disk_open(repo, side->point, side->disk, NULL, &disk));
    *out = bdr_disk_size(disk);
    return NULL;
}

static struct bdr_err *diff_tell(struct diff_sum *s, uint64_t size_a, uint64_t size_b)
{
    static const struct bdr_col cols[] = {
        {"Extents", "extents_count", BDR_COL_COUNT, 0, 0}, {"Differ", "differ_bytes", BDR_COL_SIZE, 0, 0},
        {"Now zero", "zero_bytes", BDR_COL_SIZE, 0, 0},    {"Share", "differ_pct", BDR_COL_TEXT, 0, 0},
        {"Size of A", "size_a_bytes", BDR_COL_SIZE, 0, 0}, {"Size of B", "size_b_bytes", BDR_COL_SIZE, 0, 0},
    };
    char share[32];

    snprintf(share, sizeof(share), "%.2f %%", (double)s->bytes * 100 / (double)BDR_MAX(BDR_MAX(size_a, size_b), 1u));
    const struct bdr_cell cells[] = {BDR_CELL_U64(s->extents), BDR_CELL_U64(s->bytes), BDR_CELL_U64(s->zero_bytes),
                                     BDR_CELL_TEXT(share),     BDR_CELL_U64(size_a),   BDR_CELL_U64(size_b)};

    if (!s->t)
        return NULL;
    if (s->cli->common->json) {
        json_t *doc = bdr_record_json(cols, BDR_COUNT(cols), cells);

        if (doc)
            json_object_set_new(doc, "extents", bdr_table_json(s->t));
        return bdr_out_json(s->cli->out, doc);
    }
    if (s->extents) {
        BDR_TRY(bdr_out_table(s->cli->out, s->t));
        BDR_TRY(bdr_out_line(s->cli->out, "%s", ""));
    }
    return bdr_out_record(s->cli->out, cols, BDR_COUNT(cols), cells);
}

static struct bdr_err *diff_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"OFFSET", "offset", BDR_COL_COUNT, 0, 0},
        {"LENGTH", "length", BDR_COL_COUNT, 0, 0},
        {"B HOLDS", "kind", BDR_COL_TEXT, 0, 0},
    };
    const struct diff_args *a = raw;
    bool lines = !strcmp(a->format, "extents");
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(table) struct bdr_table *t = NULL;
    struct diff_sum sum = {.cli = cli};
    struct bdr_point_info pa, pb;
    uint64_t size_a = 0, size_b = 0;

    if (lines && cli->common->json)
        BDR_FAIL(BDR_INVAL, 0, "--format=extents and --json exclude each other");
    BDR_TRY(bdr_cli_open(cli, true, &repo));
    BDR_TRY(bdr_repo_find(repo, a->a, a->host, &pa));
    BDR_TRY(bdr_repo_find(repo, a->b, a->host, &pb));
    const struct bdr_diff_side sa = {pa.id, a->disk},
                               sb = {pb.id, bdr_cli_given(cli, "disk-b") ? a->disk_b : a->disk};
    if (!lines)
        BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &t));
    sum.t = t;
    BDR_TRY(diff_size(repo, &sa, &size_a));
    BDR_TRY(diff_size(repo, &sb, &size_b));
    BDR_TRY(bdr_diff(repo, &sa, &sb, cli->cancel, diff_extent, &sum));
    return diff_tell(&sum, size_a, size_b);
}

static const struct bdr_opt diff_opts[] = {
    {.name = "disk", BDR_U32(struct diff_args, disk), .metavar = "N", .help = "Which disk of both points, from 0."},
    {.name = "disk-b", BDR_U32(struct diff_args, disk_b), .metavar = "N",
     .help = "Which disk of point B. Default: the same as --disk."},
    {.name = "host", BDR_STRING(struct diff_args, host), .metavar = "NAME", .help = "Whose 'latest' is meant."},
    {.name = "format", BDR_CHOICE(struct diff_args, format, "table|extents"), .def = "table",
     .help = "'extents' prints only lines 'OFFSET LENGTH' in bytes, as 'bdr backup --changed-extents' takes them."},
    {0},
};
static const struct bdr_arg diff_rows[] = {
    {.name = "A", .need = BDR_ARG_REQUIRED, BDR_STRING(struct diff_args, a),
     .help = "The older point: its id or the beginning of it, or 'latest'."},
    {.name = "B", .need = BDR_ARG_REQUIRED, BDR_STRING(struct diff_args, b), .help = "The newer point."},
    {0},
};
const struct bdr_cmd bdr_cmd_diff = {
    .name = "diff",
    .summary = "tell where two recovery points differ",
    .help = "Compares the maps of two disks, of any hosts in one repository, and lists the extents that differ, in whole "
            "blocks. No data is read, so this takes a moment whatever the disks' size. A smaller disk counts as zeros "
            "behind its end.",
    .examples = "# what changed since yesterday's point\nbdr diff --repo /backup/r1 3f9a2c01 latest --host web1\n"
                "# as a list for another program\nbdr diff --repo /backup/r1 3f9a2c01 77e1aa02 --format=extents >changed\n",
    .opts = diff_opts,
    .args = diff_rows,
    .args_size = sizeof(struct diff_args),
    .run = diff_run,
};
