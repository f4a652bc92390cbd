/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_repair.c - bdr repair. */
#include "bdr/copy.h"
#include "cmds.h"
#include "engine.h"
#include <stdio.h>

#define REPAIR_DISKS_MAX 256

struct repair_args {
    struct bdr_list sources;
    const char *from_repo, *from_passphrase_file, *from_key_file;
    uint32_t workers;
    bool dry_run, delete_damaged;
};

struct repair_sources {
    struct bdr_source *src[REPAIR_DISKS_MAX];
    size_t n;
};

static void sources_close(struct repair_sources *s)
{
    for (size_t i = 0; i < s->n; i++)
        bdr_source_close(s->src[i]);
}

static void result_free(struct bdr_heal_result *r)
{
    bdr_heal_free(r);
}

static void repair_sample(void *ctx, struct bdr_progress_counts *out)
{
    const struct bdr_gc_meter *m = ctx;

    out->done_bytes = atomic_load(&m->done);
    out->total_bytes = atomic_load(&m->total);
}

static struct bdr_err *repair_places(const struct bdr_heal_result *r, bool dry_run, struct bdr_table **out)
{
    static const struct bdr_col cols[] = {
        {"POINT", "point", BDR_COL_TEXT, 0, 9},      {"HOST", "host", BDR_COL_TEXT, 0, 0},
        {"DISK", "disk", BDR_COL_COUNT, 0, 0},       {"OFFSET", "offset", BDR_COL_COUNT, 0, 0},
        {"LENGTH", "length", BDR_COL_COUNT, 0, 0},   {"LOST", "what", BDR_COL_TEXT, 0, 0},
        {"NOW", "state", BDR_COL_TEXT, 0, 0},
    };
    BDR_AUTO(table) struct bdr_table *t = NULL;

    BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &t));
    for (size_t i = 0; i < r->n_place; i++) {
        const struct bdr_damage *d = &r->place[i].at;
        const char *state = !r->place[i].healed ? "damaged" : dry_run ? "can be healed" : "healed";

        BDR_TRY(bdr_table_add(t, (const struct bdr_cell[]){BDR_CELL_TEXT(d->point), BDR_CELL_TEXT(d->host),
                                                           BDR_CELL_U64(d->disk), BDR_CELL_U64(d->off),
                                                           BDR_CELL_U64(d->len), BDR_CELL_TEXT(d->what),
                                                           BDR_CELL_TEXT(state)}));
    }
    *out = BDR_STEAL(t);
    return NULL;
}

static struct bdr_err *repair_tell(struct bdr_cli *cli, const struct bdr_heal_result *r, bool dry_run)
{
    static const struct bdr_col cols[] = {
        {"Points", "points", BDR_COL_COUNT, 0, 0},
        {"Packs", "packs", BDR_COL_COUNT, 0, 0},
        {"Blocks lost", "lost_blocks", BDR_COL_COUNT, 0, 0},
        {"Blocks healed", "healed_blocks", BDR_COL_COUNT, 0, 0},
        {"Bytes healed", "healed_bytes", BDR_COL_SIZE, 0, 0},
        {"Bad packs", "bad_packs", BDR_COL_COUNT, 0, 0},
        {"Packs replaced", "packs_replaced", BDR_COL_COUNT, 0, 0},
        {"Blocks saved from them", "moved_blocks", BDR_COL_COUNT, 0, 0},
        {"Packs set aside", "packs_set_aside", BDR_COL_COUNT, 0, 0},
        {"Packs waiting", "packs_waiting", BDR_COL_COUNT, 0, 0},
        {"Objects healed", "objects_healed", BDR_COL_COUNT, 0, 0},
        {"Places left damaged", "left_count", BDR_COL_COUNT, 0, 0},
        {"Objects left damaged", "bad_objects_count", BDR_COL_COUNT, 0, 0},
    };
    const struct bdr_cell cells[] = {
        BDR_CELL_U64(r->points),          BDR_CELL_U64(r->packs),        BDR_CELL_U64(r->lost_blocks),
        BDR_CELL_U64(r->healed_blocks),   BDR_CELL_U64(r->healed_bytes), BDR_CELL_U64(r->bad_packs),
        BDR_CELL_U64(r->packs_replaced),  BDR_CELL_U64(r->moved_blocks), BDR_CELL_U64(r->packs_set_aside),
        BDR_CELL_U64(r->packs_waiting),   BDR_CELL_U64(r->objects_healed), BDR_CELL_U64(r->n_left),
        BDR_CELL_U64(r->n_bad),
    };
    BDR_AUTO(table) struct bdr_table *t = NULL;

    BDR_TRY(repair_places(r, dry_run, &t));
    return bdr_cli_tell_damage(cli, &(struct bdr_cli_damage){.cols = cols, .cells = cells, .n = BDR_COUNT(cols),
                                                             .bad = (const char(*)[256])r->bad_objects, .n_bad = r->n_bad,
                                                             .table = t, .rows = r->n_place, .name = "places"});
}

static struct bdr_err *repair_advise(struct bdr_cli *cli, const struct bdr_heal_result *r, bool dry_run)
{
    if (dry_run)
        bdr_out_note(cli->out, "nothing was changed (--dry-run)");
    if (r->packs_set_aside)
        bdr_out_note(cli->out, "packs of which the remains are kept in the repository's folder 'damaged', which nobody reads: %llu",
                     (unsigned long long)r->packs_set_aside);
    if (r->packs_waiting)
        bdr_out_note(cli->out, "packs that stay until the sessions that are open now have ended: %llu; run it again then",
                     (unsigned long long)r->packs_waiting);
    if (r->points_elsewhere)
        bdr_out_note(cli->out, "points of these hosts that only the other repository has: %llu; they were removed here, or "
                     "lost: 'bdr copy POINT --repo THAT --to THIS' brings one back",
                     (unsigned long long)r->points_elsewhere);
    if (r->n_left)
        BDR_FAIL(BDR_CORRUPT, 0, "damaged places of recovery points that %s: %zu", dry_run ? "would be left" : "are left", r->n_left);
    if (r->n_bad)
        BDR_FAIL(BDR_CORRUPT, 0, "objects besides packs that are damaged and not healed: %zu; of a point ('points/...-ID') "
                 "give --from-repo a repository with a copy, or give it up with 'bdr rm ID'", r->n_bad);
    if (r->packs_waiting)
        BDR_FAIL(BDR_CORRUPT, 0, "damaged packs that are left: %llu", (unsigned long long)r->packs_waiting);
    return NULL;
}

static struct bdr_err *repair_run(void *raw, struct bdr_cli *cli)
{
    const struct repair_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(repo) struct bdr_repo *other = NULL;
    BDR_AUTO(progress) struct bdr_progress *meter = NULL;
    __attribute__((cleanup(sources_close))) struct repair_sources s = {0};
    __attribute__((cleanup(result_free))) struct bdr_heal_result r = {0};
    struct bdr_gc_meter counts = {0};
    struct bdr_repair_options opt = {.sources = s.src, .dry_run = a->dry_run, .delete_damaged = a->delete_damaged,
                                     .workers = a->workers, .meter = &counts, .cancel = cli->cancel};

    if (a->sources.count > REPAIR_DISKS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "at most %d disks can be asked at once", REPAIR_DISKS_MAX);
    BDR_TRY(a->dry_run ? bdr_cli_open(cli, true, &repo) : bdr_cli_open_writer(cli, &repo));
    if (a->from_repo)
        BDR_TRY_FOR(bdr_cli_open_other(cli, a->from_repo, a->from_passphrase_file, a->from_key_file, true, &other),
                    "opening the repository to heal from");
    opt.other = other;
    for (; s.n < a->sources.count; s.n++)
        BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = a->sources.items[s.n], .cancel = cli->cancel},
                                &s.src[s.n]));
    opt.n_sources = s.n;
    BDR_TRY(bdr_cli_progress(cli, &(struct bdr_progress_source){repair_sample, &counts}, &meter));
    BDR_TRY(bdr_repair(repo, &opt, &r));
    bdr_progress_stop(BDR_STEAL(meter));
    BDR_TRY(repair_tell(cli, &r, a->dry_run));
    return repair_advise(cli, &r, a->dry_run);
}

static const struct bdr_opt repair_opts[] = {
    {.name = "from-source", BDR_LIST(struct repair_args, sources), .metavar = "DISK", .path = true,
     .help = "A disk that was backed up here: what it still holds where a block was is used. As SOURCE of 'bdr backup'."},
    {.name = "from-repo", BDR_STRING(struct repair_args, from_repo), .metavar = "REPO", .path = true,
     .help = "A repository with copies of the points ('bdr copy'), or with points of the same hosts and times."},
    {.name = "from-passphrase-file", BDR_PATH(struct repair_args, from_passphrase_file),
     .help = "Passphrase of that repository. Default: the one of --repo."},
    {.name = "from-key-file", BDR_PATH(struct repair_args, from_key_file), .help = "Key file of that repository."},
    {.name = "dry-run", BDR_FLAG(struct repair_args, dry_run), .cli_only = true,
     .help = "Only tell what is damaged and what could be healed."},
    {.name = "delete-damaged", BDR_FLAG(struct repair_args, delete_damaged), .cli_only = true,
     .help = "Delete damaged packs even where they may hold the last copy of something. Default: they are kept aside."},
    {.name = "workers", BDR_U32(struct repair_args, workers), .max = 64,
     .help = "Threads that look for damage. Default: one a CPU."},
    {0},
};
const struct bdr_cmd bdr_cmd_repair = {
    .name = "repair",
    .summary = "heal damage from disks or from another repository",
    .help = "Looks for damage as 'bdr verify' does. What points have lost is looked for on the disks and in the "
            "repository given, at the place where it was; only bytes that are proven right by their id are taken. Good "
            "blocks are saved out of damaged packs, also when nothing is given.\n\n"
            "What nobody has is told and stays damaged. The next 'bdr backup --full' of the host stores again whatever of "
            "it the disk still holds.\n\n"
            "Backups may run meanwhile. Interrupt it at any time: it leaves nothing worse than it was.",
    .examples = "# what would it do?\nbdr repair --repo /backup/r1 --from-source /dev/sda --dry-run\n"
                "# from the copy at the other site, and from the disk itself\n"
                "bdr repair --repo /backup/r1 --from-repo s3://dr/site2 --from-source /dev/sda\n",
    .opts = repair_opts,
    .args_size = sizeof(struct repair_args),
    .run = repair_run,
    .exits = (const struct bdr_exit_note[]){{4, "something is left damaged"}, {0}},
    .hints = (const struct bdr_hint[]){{BDR_CORRUPT, "give more disks with --from-source or a copy with --from-repo; "
                                                     "'bdr recover' and 'bdr rm' work on the points as they are"}, {0}},
};
