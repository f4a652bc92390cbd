/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_copy.c - bdr copy. */
#include "bdr/copy.h"
#include "cmds.h"
#include "engine.h"
#include <stdio.h>
#include <string.h>

struct copy_args {
    struct bdr_list points;
    const char *host, *to, *to_passphrase_file, *to_key_file, *compress;
    uint32_t workers;
    bool all, take_over;
};

struct copy_sum {
    uint64_t copied, there, failed, read_bytes, stored_bytes;
    enum bdr_code code; /* of the first failure */
};

static void copy_sample(void *ctx, struct bdr_progress_counts *out)
{
    const struct bdr_backup_meter *m = ctx;

    out->done_bytes = atomic_load(&m->done_bytes);
    out->total_bytes = atomic_load(&m->total_bytes);
    out->new_bytes = atomic_load(&m->new_bytes);
}

static int older_first(const void *a, const void *b)
{
    const struct bdr_point_info *x = a, *y = b;

    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return strcmp(x->id, y->id);
}

static struct bdr_err *copy_chosen(const struct copy_args *a, struct bdr_repo *from, struct bdr_point_info **out,
                                   size_t *out_n)
{
    BDR_AUTO(mem) struct bdr_point_info *all = NULL;
    size_t n = 0, m = 0;

    if (!a->points.count) {
        if (!a->host == !a->all)
            BDR_FAIL(BDR_INVAL, 0, "say what to copy: points, --host NAME for one host's, or --all");
        BDR_TRY(bdr_repo_points(from, &all, &n));
        for (size_t i = 0; i < n; i++)
            if (a->all || !strcmp(a->host, all[i].host))
                all[m++] = all[i];
        if (a->host && !m)
            BDR_FAIL(BDR_NOTFOUND, 0, "there are no points of host %s; 'bdr points' lists all", a->host);
    } else {
        if (a->all)
            BDR_FAIL(BDR_INVAL, 0, "--all and points exclude each other");
        all = calloc(a->points.count, sizeof(*all));
        BDR_NOMEM_IF_NULL(all);
        for (; m < a->points.count; m++)
            BDR_TRY(bdr_repo_find(from, a->points.items[m], a->host, &all[m]));
    }
    if (m)
        qsort(all, m, sizeof(*all), older_first);
    *out_n = m;
    *out = BDR_STEAL(all);
    return NULL;
}

/* Whether the other points may still be copied after this error. */
static bool copy_goes_on(const struct bdr_err *err)
{
    return err->code == BDR_CORRUPT || err->code == BDR_NOTFOUND || err->code == BDR_VERSION ||
           err->code == BDR_INVAL || err->code == BDR_BUSY || err->code == BDR_STALE || err->code == BDR_FENCED;
}

/* Tells of one point; takes `err`. */
static struct bdr_err *copy_row(struct bdr_cli *cli, struct bdr_table *t, struct copy_sum *sum,
                                const struct bdr_point_info *p, const struct bdr_copy_result *r, struct bdr_err *err)
{
    const char *what = err ? "failed" : r->there ? "there already" : r->full ? "copied, all" : "copied, changes";
    char text[1024] = "";
    bool done = !err && !r->there;

    if (err) {
        bdr_err_text(err, text, sizeof(text));
        bdr_out_note(cli->out, "point %.8s of host %s is not copied: %s", p->id, p->host, text);
        sum->code = sum->failed ? sum->code : err->code;
        bdr_err_drop(err, "told");
    }
    sum->failed += text[0] != 0;
    sum->there += !text[0] && r->there;
    sum->copied += done;
    sum->read_bytes += done ? r->read_bytes : 0;
    sum->stored_bytes += done ? r->stored_bytes : 0;
    return bdr_table_add(
        t, (const struct bdr_cell[]){BDR_CELL_TEXT(p->id), BDR_CELL_TEXT(p->host), BDR_CELL_TIME(p->time_ms),
                                     BDR_CELL_TEXT(what), text[0] ? BDR_CELL_NONE : BDR_CELL_TEXT(r->point_id),
                                     done ? BDR_CELL_U64(r->read_bytes) : BDR_CELL_NONE,
                                     done ? BDR_CELL_U64(r->new_bytes) : BDR_CELL_NONE,
                                     done ? BDR_CELL_U64(r->stored_bytes) : BDR_CELL_NONE,
                                     text[0] ? BDR_CELL_TEXT(text) : BDR_CELL_NONE});
}

static struct bdr_err *copy_tell(struct bdr_cli *cli, const struct bdr_table *t, const struct copy_sum *sum)
{
    static const struct bdr_col cols[] = {
        {"Copied", "copied", BDR_COL_COUNT, 0, 0},       {"There already", "there", BDR_COL_COUNT, 0, 0},
        {"Failed", "failed", BDR_COL_COUNT, 0, 0},       {"Read", "read_bytes", BDR_COL_SIZE, 0, 0},
        {"Stored", "stored_bytes", BDR_COL_SIZE, 0, 0},
    };
    const struct bdr_cell cells[] = {BDR_CELL_U64(sum->copied), BDR_CELL_U64(sum->there), BDR_CELL_U64(sum->failed),
                                     BDR_CELL_U64(sum->read_bytes), BDR_CELL_U64(sum->stored_bytes)};

    if (cli->common->json) {
        json_t *doc = bdr_record_json(cols, BDR_COUNT(cols), cells);

        if (doc)
            json_object_set_new(doc, "points", bdr_table_json(t));
        return bdr_out_json(cli->out, doc);
    }
    BDR_TRY(bdr_out_table(cli->out, t));
    BDR_TRY(bdr_out_line(cli->out, "%s", ""));
    return bdr_out_record(cli->out, cols, BDR_COUNT(cols), cells);
}

static struct bdr_err *copy_all(const struct copy_args *a, struct bdr_cli *cli, struct bdr_repo *from,
                                struct bdr_repo *to, struct bdr_table *t, struct copy_sum *sum)
{
    BDR_AUTO(mem) struct bdr_point_info *points = NULL;
    BDR_AUTO(progress) struct bdr_progress *meter = NULL;
    struct bdr_backup_meter counts = {0};
    struct bdr_copy_options opt = {.compress = a->compress, .take_over = a->take_over, .workers = a->workers,
                                   .meter = &counts, .cancel = cli->cancel};
    size_t n = 0;

    BDR_TRY(copy_chosen(a, from, &points, &n));
    BDR_TRY(bdr_cli_progress(cli, &(struct bdr_progress_source){copy_sample, &counts}, &meter));
    for (size_t i = 0; i < n; i++) {
        struct bdr_copy_result r = {0};
        struct bdr_err *err;

        bdr_progress_phase(meter, points[i].host);
        err = bdr_copy_point(from, points[i].id, to, &opt, &r);
        if (err && !copy_goes_on(err)) {
            bdr_out_note(cli->out, "%zu of %zu points were done before this; run it again to go on", i, n);
            return err;
        }
        BDR_TRY(copy_row(cli, t, sum, &points[i], &r, err));
    }
    bdr_progress_stop(BDR_STEAL(meter));
    return NULL;
}

static struct bdr_err *copy_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"POINT", "point", BDR_COL_TEXT, 0, 9},        {"HOST", "host", BDR_COL_TEXT, 0, 0},
        {"TIME", "time", BDR_COL_TIME, 0, 0},          {"RESULT", "result", BDR_COL_TEXT, 0, 0},
        {"COPY", "copy", BDR_COL_TEXT, 0, 9},          {"READ", "read_bytes", BDR_COL_SIZE, 0, 0},
        {"NEW", "new_bytes", BDR_COL_SIZE, 0, 0},      {"STORED", "stored_bytes", BDR_COL_SIZE, 0, 0},
        {NULL, "error", BDR_COL_TEXT, 0, 0},
    };
    const struct copy_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *from = NULL;
    BDR_AUTO(repo) struct bdr_repo *to = NULL;
    BDR_AUTO(table) struct bdr_table *t = NULL;
    struct copy_sum sum = {0};

    BDR_TRY(bdr_cli_open(cli, true, &from));
    BDR_TRY_FOR(bdr_cli_open_other(cli, a->to, a->to_passphrase_file, a->to_key_file, false, &to),
                "opening the target (--to)");
    BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &t));
    BDR_TRY(copy_all(a, cli, from, to, t, &sum));
    BDR_TRY(copy_tell(cli, t, &sum));
    if (sum.failed)
        return bdr_err_new(sum.code, 0, BDR_AT, "%llu of %llu points are not copied", (unsigned long long)sum.failed,
                           (unsigned long long)(sum.failed + sum.copied + sum.there));
    return NULL;
}

static const struct bdr_opt copy_opts[] = {
    {.name = "to", BDR_STRING(struct copy_args, to), .metavar = "REPO", .required = true, .path = true,
     .help = "The repository to copy to; 'bdr init' makes it."},
    {.name = "to-passphrase-file", BDR_PATH(struct copy_args, to_passphrase_file),
     .help = "Passphrase of the target. Default: the one of --repo."},
    {.name = "to-key-file", BDR_PATH(struct copy_args, to_key_file), .help = "Key file of the target."},
    {.name = "host", BDR_STRING(struct copy_args, host), .metavar = "NAME",
     .help = "All points of this host; with points, whose 'latest' is meant."},
    {.name = "all", BDR_FLAG(struct copy_args, all), .cli_only = true, .help = "All points of all hosts."},
    {.name = "compress", BDR_STRING(struct copy_args, compress), .metavar = "zstd[:LEVEL]|lz4[:ACCELERATION]|none",
     .help = "Compression of what is stored. Default: as the target was made."},
    {.name = "take-over", BDR_FLAG(struct copy_args, take_over), .cli_only = true,
     .help = "Fence off another writer of the host in the target, or take the name over from another machine there."},
    {.name = "workers", BDR_U32(struct copy_args, workers), .max = 64,
     .help = "Threads that read and hash. Default: by the CPUs."},
    {0},
};
static const struct bdr_arg copy_rows[] = {
    {.name = "POINT", .need = BDR_ARG_ANY, BDR_LIST(struct copy_args, points),
     .help = "Points' ids or their beginnings, or 'latest'."},
    {0},
};
const struct bdr_cmd bdr_cmd_copy = {
    .name = "copy",
    .summary = "copy recovery points to another repository",
    .help = "Copies points, oldest first, into a repository that may have another block size, another encryption and be "
            "in another place. A copy keeps its time, host and tags. Only blocks that the target lacks are stored, only "
            "what differs from a point that both have is read, and a point that was copied before is passed over.\n\n"
            "Interrupt it at any time: the next run goes on. Damage in the repository that is read from stops only the "
            "points it hurts.",
    .examples = "# everything that is new, every night\nbdr copy --repo /backup/r1 --all --to s3://dr/site2\n"
                "# the newest point of one host, to a disk that leaves the house\n"
                "bdr copy --repo /backup/r1 latest --host db --to /media/usb/r2 --to-passphrase-file usb.pass\n",
    .opts = copy_opts,
    .args = copy_rows,
    .args_size = sizeof(struct copy_args),
    .run = copy_run,
    .exits = (const struct bdr_exit_note[]){{4, "some points are damaged and not copied; the others are"}, {0}},
};
