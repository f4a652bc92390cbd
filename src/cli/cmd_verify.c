/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_verify.c - bdr verify, bdr rebuild-index. */
#include "bdr/gc.h"
#include "cmds.h"
#include "engine.h"
#include <stdio.h>

struct verify_args {
    const char *which;
    double sample_pct;
    uint32_t workers;
    bool metadata;
};

static const struct bdr_col damage_cols[] = {
    {"POINT", "point", BDR_COL_TEXT, 0, 9},      {"HOST", "host", BDR_COL_TEXT, 0, 0},
    {"DISK", "disk", BDR_COL_COUNT, 0, 0},       {"OFFSET", "offset", BDR_COL_COUNT, 0, 0},
    {"LENGTH", "length", BDR_COL_COUNT, 0, 0},   {"WHAT", "what", BDR_COL_TEXT, 0, 0},
};

static struct bdr_err *damage_table(const struct bdr_verify_result *r, struct bdr_table **out)
{
    BDR_AUTO(table) struct bdr_table *t = NULL;

    BDR_TRY(bdr_table_new(damage_cols, BDR_COUNT(damage_cols), &t));
    for (size_t i = 0; i < r->n_damage; i++) {
        const struct bdr_damage *d = &r->damage[i];

        BDR_TRY(bdr_table_add(t, (const struct bdr_cell[]){BDR_CELL_TEXT(d->point), BDR_CELL_TEXT(d->host),
                                                           BDR_CELL_U64(d->disk), BDR_CELL_U64(d->off),
                                                           BDR_CELL_U64(d->len), BDR_CELL_TEXT(d->what)}));
    }
    *out = BDR_STEAL(t);
    return NULL;
}

static struct bdr_err *verify_tell(struct bdr_cli *cli, const struct bdr_verify_result *r)
{
    static const struct bdr_col cols[] = {
        {"Points", "points", BDR_COL_COUNT, 0, 0},       {"Packs", "packs", BDR_COL_COUNT, 0, 0},
        {"Blocks read", "blocks", BDR_COL_COUNT, 0, 0},  {"Bytes read", "bytes", BDR_COL_SIZE, 0, 0},
        {"Bad objects", "bad_objects_count", BDR_COL_COUNT, 0, 0},
        {"Damaged places", "damage_count", BDR_COL_COUNT, 0, 0},
    };
    const struct bdr_cell cells[] = {BDR_CELL_U64(r->points), BDR_CELL_U64(r->packs),  BDR_CELL_U64(r->blocks),
                                     BDR_CELL_U64(r->bytes),  BDR_CELL_U64(r->n_bad), BDR_CELL_U64(r->n_damage)};
    BDR_AUTO(table) struct bdr_table *t = NULL;

    BDR_TRY(damage_table(r, &t));
    return bdr_cli_tell_damage(cli, &(struct bdr_cli_damage){.cols = cols, .cells = cells, .n = BDR_COUNT(cols),
                                                             .bad = (const char(*)[256])r->bad_objects, .n_bad = r->n_bad,
                                                             .table = t, .rows = r->n_damage, .name = "damage"});
}

static void result_free(struct bdr_verify_result *r)
{
    bdr_verify_free(r);
}

static struct bdr_err *verify_run(void *raw, struct bdr_cli *cli)
{
    const struct verify_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(progress) struct bdr_progress *meter = NULL;
    __attribute__((cleanup(result_free))) struct bdr_verify_result r = {0};
    struct bdr_gc_meter counts = {0};
    struct bdr_verify_options opt = {.depth = BDR_VERIFY_ALL, .point = a->which, .workers = a->workers,
                                     .meter = &counts, .cancel = cli->cancel};

    if (a->metadata && a->sample_pct > 0)
        BDR_FAIL(BDR_INVAL, 0, "--metadata and --sample exclude each other");
    if (a->metadata)
        opt.depth = BDR_VERIFY_MAPS;
    if (a->sample_pct > 0) {
        opt.depth = BDR_VERIFY_SAMPLE;
        opt.sample_pct = a->sample_pct;
    }
    BDR_TRY(bdr_cli_open(cli, true, &repo));
    BDR_TRY(bdr_cli_progress(cli, &(struct bdr_progress_source){bdr_cli_gc_sample, &counts}, &meter));
    BDR_TRY(bdr_verify(repo, &opt, &r));
    bdr_progress_stop(BDR_STEAL(meter));
    BDR_TRY(verify_tell(cli, &r));
    if (r.n_damage)
        BDR_FAIL(BDR_CORRUPT, 0, "%zu places of recovery points are damaged", r.n_damage);
    if (r.n_bad)
        BDR_FAIL(BDR_CORRUPT, 0, "%zu objects are damaged, though %s", r.n_bad,
                 opt.depth == BDR_VERIFY_ALL ? "no recovery point needs what they lost" : "not all blocks were looked at");
    return NULL;
}

static const struct bdr_opt verify_opts[] = {
    {.name = "metadata", BDR_FLAG(struct verify_args, metadata),
     .help = "Only manifests, maps and packs' tables, and that every block is there; no data is read."},
    {.name = "sample", BDR_PERCENT(struct verify_args, sample_pct),
     .help = "Read this share of the data blocks, chosen at random, and all maps."},
    {.name = "workers", BDR_U32(struct verify_args, workers), .max = 64, .help = "Threads. Default: one a CPU."},
    {0},
};
static const struct bdr_arg verify_rows[] = {
    {.name = "POINT", .need = BDR_ARG_OPTIONAL, BDR_STRING(struct verify_args, which),
     .help = "Tell only of this point. Default: all points."},
    {0},
};
const struct bdr_cmd bdr_cmd_verify = {
    .name = "verify",
    .summary = "check that everything is there and unharmed",
    .help = "Reads every pack, checks every block against its id, and walks the maps of all points. Damage is told as "
            "points, disks and offsets. Backups and prune may run meanwhile.",
    .examples = "# everything\nbdr verify --repo /backup/r1\n# a quick look every night\nbdr verify --repo /backup/r1 --sample 2\n",
    .opts = verify_opts,
    .args = verify_rows,
    .args_size = sizeof(struct verify_args),
    .run = verify_run,
    .exits = (const struct bdr_exit_note[]){{4, "damage was found"}, {0}},
    .hints = (const struct bdr_hint[]){{BDR_CORRUPT, "'bdr repair' heals from the source disks or another repository"}, {0}},
};

static void rebuild_bad(void *ctx, const char *pack, struct bdr_err *err)
{
    struct bdr_cli *cli = ctx;
    char text[512];

    bdr_out_note(cli->out, "left out: %s: %s", pack, bdr_err_text(err, text, sizeof(text)));
    bdr_err_drop(err, "told");
}

struct rebuild_args {
    char unused;
};

static struct bdr_err *rebuild_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"Packs", "packs", BDR_COL_COUNT, 0, 0},
        {"Blocks", "blocks", BDR_COL_COUNT, 0, 0},
    };
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    struct bdr_repo_facts facts;
    const char *url = NULL;
    uint64_t packs = 0;

    (void)raw;
    BDR_TRY(bdr_cli_repo(cli, NULL, &url));
    BDR_TRY(bdr_repo_open(url,
                          &(struct bdr_repo_options){.passphrase_file = cli->common->passphrase_file,
                                                     .key_file = cli->common->key_file,
                                                     .cache_dir = cli->common->cache_dir,
                                                     .fresh_index = true,
                                                     .cancel = cli->cancel},
                          &repo));
    BDR_TRY(bdr_repo_rebuild(repo, rebuild_bad, cli, &packs));
    BDR_TRY(bdr_repo_facts(repo, &facts));
    return bdr_out_record(cli->out, cols, BDR_COUNT(cols),
                          (const struct bdr_cell[]){BDR_CELL_U64(facts.packs), BDR_CELL_U64(facts.blocks)});
}

const struct bdr_cmd bdr_cmd_rebuild = {
    .name = "rebuild-index",
    .summary = "make the block index again from the packs",
    .help = "The index is only a cache of what the packs say of themselves. Use this when it is damaged; no other "
            "process may use the repository meanwhile.",
    .examples = "bdr rebuild-index --repo /backup/r1\n",
    .args_size = sizeof(struct rebuild_args),
    .run = rebuild_run,
};
