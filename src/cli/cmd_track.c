/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_track.c - bdr track status|start|stop: the kernel's changed-block tracker of this machine's disks. */
#include "bdr/track.h"
#include "bdr/volumes.h"
#include "cmds.h"
#include "frame/cli.h"
#include <string.h>

struct disks_args {
    struct bdr_list disks;
};
struct status_args {
    char unused;
};

static const struct bdr_hint track_hints[] = {
    {BDR_DENIED, "run it as root"},
    {BDR_UNSUPPORTED, "a disk that can't be tracked can still be backed up: all of it is read and compared each time"},
    {0},
};

/* ---- status ---- */

static struct bdr_err *status_add(struct bdr_table *t, const struct bdr_track_status *s, bool json)
{
    struct bdr_cell disk = s->disk[0] ? BDR_CELL_TEXT(s->disk) : BDR_CELL_NONE;
    struct bdr_cell trouble = s->trouble[0] ? BDR_CELL_TEXT(s->trouble) : BDR_CELL_NONE;
    struct bdr_cell remark = trouble.none && s->queue_only ? BDR_CELL_TEXT("none; queue events only") : trouble;

    return bdr_table_add(t, (const struct bdr_cell[]){
                                disk, BDR_CELL_U64(s->major), BDR_CELL_U64(s->minor), BDR_CELL_U64(s->size_bytes),
                                BDR_CELL_U64(s->map_bytes), BDR_CELL_TIME((int64_t)s->started_ms), BDR_CELL_U64(s->seq),
                                BDR_CELL_U64(s->writes), BDR_CELL_U64(s->written_bytes),
                                BDR_CELL_U64(s->discarded_bytes), BDR_CELL_U64(s->passthrough),
                                BDR_CELL_U64(s->changed_bytes), BDR_CELL_U64(s->queue_only), json ? trouble : remark});
}

static struct bdr_err *status_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"DISK", "disk", BDR_COL_TEXT, 0, 0},
        {NULL, "major", BDR_COL_COUNT, 0, 0},
        {NULL, "minor", BDR_COL_COUNT, 0, 0},
        {"SIZE", "size_bytes", BDR_COL_SIZE, 0, 0},
        {"MAP", "map_bytes", BDR_COL_SIZE, 0, 0},
        {"SINCE", "started", BDR_COL_TIME, 0, 0},
        {NULL, "generation", BDR_COL_COUNT, 0, 0},
        {"WRITES", "writes", BDR_COL_COUNT, 0, 0},
        {"WRITTEN", "written_bytes", BDR_COL_SIZE, 0, 0},
        {"DISCARDED", "discarded_bytes", BDR_COL_SIZE, 0, 0},
        {NULL, "passthrough", BDR_COL_COUNT, 0, 0},
        {"CHANGED", "changed_bytes", BDR_COL_SIZE, 0, 0},
        {NULL, "queue_only", BDR_COL_BOOL, 0, 0},
        {"TROUBLE", "trouble", BDR_COL_TEXT, 0, 0},
    };
    BDR_AUTO(mem) struct bdr_track_status *rows = NULL;
    BDR_AUTO(table) struct bdr_table *t = NULL;
    size_t n = 0;

    (void)raw;
    BDR_TRY(bdr_track_list(&rows, &n));
    BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &t));
    for (size_t i = 0; i < n; i++)
        BDR_TRY(status_add(t, &rows[i], cli->common->json));
    if (!n)
        bdr_out_note(cli->out, "no disk of this machine is tracked");
    if (!n && !cli->common->json)
        return NULL;
    return bdr_out_table(cli->out, t);
}

/* ---- start and stop ---- */

static struct bdr_err *start_one(struct bdr_cli *cli, const char *disk)
{
    BDR_TRY(bdr_cancel_check(cli->cancel));
    BDR_TRY(bdr_track_start(disk));
    bdr_out_note(cli->out, "%s is tracked", disk);
    return NULL;
}

/* Every disk that can be tracked; the others are named. */
static struct bdr_err *start_all(struct bdr_cli *cli)
{
    char **disks = NULL;
    size_t n = 0, started = 0;
    struct bdr_err *err = bdr_volumes_disks(&disks, &n), *first = NULL;
    char text[300];

    for (size_t i = 0; !err && i < n; i++) {
        err = start_one(cli, disks[i]);
        started += !err;
        if (err && err->code == BDR_UNSUPPORTED) {
            bdr_out_note(cli->out, "%s", bdr_err_text(err, text, sizeof(text)));
            first = bdr_err_first(first, err);
            err = NULL;
        }
    }
    bdr_volumes_disks_free(disks, n);
    if (!err && !started && !first)
        err = bdr_err_new(BDR_NOTFOUND, 0, BDR_AT, "this machine has no disk to track");
    if (err || !started)
        return bdr_err_first(err, first);
    bdr_err_drop(first, "said in a note: some disks can't be tracked, the others are");
    return NULL;
}

static struct bdr_err *start_run(void *raw, struct bdr_cli *cli)
{
    const struct disks_args *a = raw;

    if (a->disks.count == 1 && !strcmp(a->disks.items[0], "all")) {
        BDR_TRY(start_all(cli));
    } else {
        for (size_t i = 0; i < a->disks.count; i++)
            BDR_TRY(start_one(cli, a->disks.items[i]));
    }
    return status_run(NULL, cli);
}

static struct bdr_err *stop_run(void *raw, struct bdr_cli *cli)
{
    const struct disks_args *a = raw;
    bool all = !a->disks.count || (a->disks.count == 1 && !strcmp(a->disks.items[0], "all"));

    if (all)
        BDR_TRY(bdr_track_stop(NULL));
    for (size_t i = 0; !all && i < a->disks.count; i++)
        BDR_TRY(bdr_track_stop(a->disks.items[i]));
    bdr_out_note(cli->out, "stopped; the next backup reads and compares all of what was tracked");
    return status_run(NULL, cli);
}

/* ---- tables ---- */

static const struct bdr_arg start_rows[] = {
    {.name = "DISK",
     .need = BDR_ARG_MANY,
     BDR_LIST(struct disks_args, disks),
     .path = true,
     .help = "A whole disk (/dev/vda), or `all` for every fixed disk of this machine."},
    {0},
};
static const struct bdr_arg stop_rows[] = {
    {.name = "DISK",
     .need = BDR_ARG_ANY,
     BDR_LIST(struct disks_args, disks),
     .path = true,
     .help = "A tracked disk; none: all of them."},
    {0},
};
static const struct bdr_cmd track_status = {.name = "status",
                                            .summary = "show what is tracked and what changed",
                                            .help = "CHANGED counts from the last recovery point, or from SINCE when "
                                                    "there is none. TROUBLE says why the next backup "
                                                    "will compare the whole disk.",
                                            .examples =
                                                "bdr track status\nbdr track status --json | jq '.[].changed_bytes'\n",
                                            .args_size = sizeof(struct status_args),
                                            .run = status_run,
                                            .hints = track_hints};
static const struct bdr_cmd track_start = {
    .name = "start",
    .summary = "start tracking disks",
    .help = "From now until the machine is started anew the kernel remembers which 64 KiB of a disk are written; "
            "backups then "
            "read only those. A live backup starts this by itself: use the command to know of changes before the first "
            "one. "
            "Takes 16 MiB of memory for each TiB, no process, and needs Linux 5.11 with type information (BTF).",
    .examples = "bdr track start /dev/vda\nbdr track start all\n",
    .args = start_rows,
    .args_size = sizeof(struct disks_args),
    .run = start_run,
    .hints = track_hints};
static const struct bdr_cmd track_stop = {
    .name = "stop",
    .summary = "stop tracking disks",
    .help = "Frees the memory. Recovery points are not touched; the next backup compares the whole disk.",
    .examples = "bdr track stop\n",
    .args = stop_rows,
    .args_size = sizeof(struct disks_args),
    .run = stop_run,
    .hints = track_hints};
static const struct bdr_cmd *const track_subs[] = {&track_status, &track_start, &track_stop, NULL};

const struct bdr_cmd bdr_cmd_track = {
    .name = "track",
    .summary = "let the kernel remember which blocks of this machine's disks change",
    .help = "Tracking lives in the kernel: no process of ours runs, and it goes on when a backup is killed.",
    .subs = track_subs,
};
