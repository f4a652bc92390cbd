/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_recover.c - bdr recover. */
#include "bdr/clock.h"
#include "bdr/disk.h"
#include "bdr/recover.h"
#include "cmds.h"
#include "engine.h"

struct recover_args {
    const char *which, *host, *to, *tls_ca;
    uint32_t disk, workers;
    bool force, resume, verify, skip_damaged, cached;
};

static void recover_sample(void *ctx, struct bdr_progress_counts *out)
{
    const struct bdr_recover_progress *p = ctx;

    out->done_bytes = atomic_load(&((struct bdr_recover_progress *)(uintptr_t)p)->done_bytes);
    out->total_bytes = atomic_load(&((struct bdr_recover_progress *)(uintptr_t)p)->total_bytes);
}

static void result_free(struct bdr_recover_result *r)
{
    bdr_recover_result_free(r);
}

static struct bdr_err *recover_tell(struct bdr_cli *cli, const struct bdr_point_info *point,
                                    const struct recover_args *a, const struct bdr_recover_result *r, uint64_t ms)
{
    static const struct bdr_col cols[] = {
        {"Point", "point", BDR_COL_TEXT, 0, 0},       {"Host", "host", BDR_COL_TEXT, 0, 0},
        {"Taken", "time", BDR_COL_TIME, 0, 0},        {"Disk", "disk", BDR_COL_COUNT, 0, 0},
        {"To", "to", BDR_COL_TEXT, 0, 0},             {"Written", "data_bytes", BDR_COL_SIZE, 0, 0},
        {"Zeros", "zero_bytes", BDR_COL_SIZE, 0, 0},  {"Was there already", "resumed_bytes", BDR_COL_SIZE, 0, 0},
        {"Verified", "verified", BDR_COL_BOOL, 0, 0}, {"Rate a second", "bytes_per_s", BDR_COL_SIZE, 0, 0},
        {"Time", "duration_ms", BDR_COL_DURATION, 0, 0},
    };

    return bdr_out_record(cli->out, cols, BDR_COUNT(cols),
                          (const struct bdr_cell[]){
                              BDR_CELL_TEXT(point->id), BDR_CELL_TEXT(point->host), BDR_CELL_TIME(point->time_ms),
                              BDR_CELL_U64(a->disk), BDR_CELL_TEXT(a->to), BDR_CELL_U64(r->data_bytes),
                              BDR_CELL_U64(r->zero_bytes), r->resumed ? BDR_CELL_U64(r->resumed_bytes) : BDR_CELL_NONE,
                              BDR_CELL_U64(a->verify),
                              BDR_CELL_U64((r->data_bytes + r->zero_bytes) * 1000 / (ms ? ms : 1)), BDR_CELL_U64(ms)});
}

static struct bdr_err *recover_run(void *raw, struct bdr_cli *cli)
{
    const struct recover_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;
    BDR_AUTO(progress) struct bdr_progress *meter = NULL;
    __attribute__((cleanup(result_free))) struct bdr_recover_result r = {0};
    struct bdr_recover_progress counts = {0};
    struct bdr_point_info point;
    uint64_t start = bdr_clock_mono_ms(), lost = 0;
    struct bdr_recover_spec spec = {.point_id = point.id, .disk_index = a->disk, .location = a->to, .force = a->force,
                                    .resume = a->resume, .direct = !a->cached, .verify = a->verify,
                                    .skip_damaged = a->skip_damaged, .workers = a->workers, .tls_ca = a->tls_ca,
                                    .progress = &counts, .cancel = cli->cancel};

    BDR_TRY(bdr_cli_open(cli, true, &repo));
    BDR_TRY(bdr_repo_find(repo, a->which, a->host, &point));
    BDR_TRY(bdr_disk_open(repo, point.id, a->disk, NULL, &disk));
    spec.disk = disk;
    BDR_TRY(bdr_cli_progress(cli, &(struct bdr_progress_source){recover_sample, &counts}, &meter));
    bdr_progress_phase(meter, a->to);
    BDR_TRY(bdr_recover_run(&spec, &r));
    bdr_progress_stop(BDR_STEAL(meter));
    if (r.note[0])
        bdr_out_note(cli->out, "%s", r.note);
    BDR_TRY(recover_tell(cli, &point, a, &r, bdr_clock_mono_ms() - start));
    for (size_t i = 0; i < r.n_damaged; i++) {
        lost += r.damaged[i].len;
        bdr_out_note(cli->out, "damaged: %llu bytes at %llu are zeros", (unsigned long long)r.damaged[i].len,
                     (unsigned long long)r.damaged[i].off);
    }
    if (lost)
        BDR_FAIL(BDR_CORRUPT, 0, "%s is written, but %llu bytes of it are lost to damage in the repository", a->to,
                 (unsigned long long)lost);
    return NULL;
}

static const struct bdr_opt recover_opts[] = {
    {.name = "to", BDR_STRING(struct recover_args, to), .metavar = "TARGET", .required = true, .cli_only = true,
     .help = "Where to: a file, a block device, NAME.qcow2 or qcow2:PATH, nbd://HOST/EXPORT."},
    {.name = "host", BDR_STRING(struct recover_args, host), .metavar = "NAME", .help = "Whose latest point."},
    {.name = "disk", BDR_U32(struct recover_args, disk), .def = "0", .max = 255, .help = "Number of the disk, from 0."},
    {.name = "force", BDR_FLAG(struct recover_args, force), .cli_only = true, .help = "Overwrite what is there."},
    {.name = "resume", BDR_FLAG(struct recover_args, resume), .cli_only = true,
     .help = "Go on where an interrupted recover to this target stopped."},
    {.name = "verify", BDR_FLAG(struct recover_args, verify), .help = "Read the target back and compare all of it."},
    {.name = "skip-damaged", BDR_FLAG(struct recover_args, skip_damaged), .cli_only = true,
     .help = "Leave zeros where the repository is damaged and list the places, instead of stopping."},
    {.name = "cached", BDR_FLAG(struct recover_args, cached),
     .help = "Write a raw file through the page cache: slower, but what boots from it at once finds it in memory."},
    {.name = "workers", BDR_U32(struct recover_args, workers), .max = 64, .help = "Threads. Default: by the CPUs."},
    {.name = "tls-ca", BDR_PATH(struct recover_args, tls_ca), .help = "For nbds: targets, the CA to trust (PEM)."},
    {0},
};
static const struct bdr_arg recover_rows[] = {
    {.name = "POINT", .need = BDR_ARG_REQUIRED, BDR_STRING(struct recover_args, which),
     .help = "A point's id or its beginning, or 'latest'."},
    {0},
};
const struct bdr_cmd bdr_cmd_recover = {
    .name = "recover",
    .summary = "write a disk of a recovery point to a file, a device or a VM image",
    .help = "Every block is checked before it is written; zeros become holes where the target can have them. A device "
            "that is mounted or too small is refused.",
    .examples = "# the newest state of web1 to a raw image\nbdr recover --repo /backup/r1 latest --host web1 --to web1.img\n"
                "# an older point to a disk of this machine, checked afterwards\n"
                "bdr recover --repo /backup/r1 3f9a2c01 --to /dev/sdb --force --verify\n",
    .opts = recover_opts,
    .args = recover_rows,
    .args_size = sizeof(struct recover_args),
    .run = recover_run,
};
