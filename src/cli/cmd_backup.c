/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_backup.c - bdr backup. */
#include "bdr/backup.h"
#include "bdr/clock.h"
#include "cmds.h"
#include "engine.h"
#include <stdio.h>
#include <string.h>

#define BACKUP_DISKS_MAX 256

struct backup_args {
    const char *host, *host_id, *changed, *bitmap, *compress, *consistency, *boot_mode;
    const char *tls_ca, *tls_cert, *tls_key;
    struct bdr_list tags, sources;
    uint64_t limit_bytes;
    double audit_pct;
    uint32_t workers;
    bool full, take_over;
};

struct backup_sources {
    struct bdr_source *src[BACKUP_DISKS_MAX];
    struct bdr_backup_disk disk[BACKUP_DISKS_MAX];
    size_t n;
};

static void sources_close(struct backup_sources *s)
{
    for (size_t i = 0; i < s->n; i++)
        bdr_source_close(s->src[i]);
}

static struct bdr_err *sources_open(const struct backup_args *a, const struct bdr_cancel *cancel,
                                    struct backup_sources *out)
{
    if (a->sources.count > BACKUP_DISKS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "at most %d disks fit one point", BACKUP_DISKS_MAX);
    if (a->changed && a->sources.count != 1)
        BDR_FAIL(BDR_INVAL, 0, "--changed-extents tells of one disk, so give one source");
    for (size_t i = 0; i < a->sources.count; i++) {
        struct bdr_source_spec spec = {.location = a->sources.items[i], .changed_extents = a->changed,
                                       .dirty_bitmap = a->bitmap, .tls_ca = a->tls_ca, .tls_cert = a->tls_cert,
                                       .tls_key = a->tls_key, .cancel = cancel};

        BDR_TRY(bdr_source_open(&spec, &out->src[i]));
        out->n = i + 1;
        BDR_TRY(bdr_source_wrap_retry(&out->src[i],
                                      &(struct bdr_retry_policy){.attempts = 3, .first_delay_ms = 200,
                                                                 .max_delay_ms = 5000},
                                      cancel));
        if (a->limit_bytes)
            BDR_TRY(bdr_source_wrap_rate(&out->src[i], a->limit_bytes, 0, cancel));
        out->disk[i].src = out->src[i];
    }
    return NULL;
}

static void backup_sample(void *ctx, struct bdr_progress_counts *out)
{
    const struct bdr_backup_meter *m = ctx;

    out->done_bytes = atomic_load(&m->done_bytes);
    out->total_bytes = atomic_load(&m->total_bytes);
    out->new_bytes = atomic_load(&m->new_bytes);
}

/* "3.1" out of 10 and 3.2; "-" when there is nothing to divide. */
static const char *ratio_text(uint64_t a, uint64_t b, char buf[16])
{
    if (!b)
        return "-";
    snprintf(buf, 16, "%.2f", (double)a / (double)b);
    return buf;
}

static json_t *ratio_json(uint64_t a, uint64_t b)
{
    return b ? json_real((double)a / (double)b) : json_null();
}

static struct bdr_err *backup_tell(struct bdr_cli *cli, const char *host, const struct bdr_backup_result *r)
{
    static const struct bdr_col cols[] = {
        {"Point", "point", BDR_COL_TEXT, 0, 0},
        {"Host", "host", BDR_COL_TEXT, 0, 0},
        {"Pass", "pass", BDR_COL_TEXT, 0, 0},
        {"Because", "reason", BDR_COL_TEXT, 0, 0},
        {"Size", "size_bytes", BDR_COL_SIZE, 0, 0},
        {"Read", "read_bytes", BDR_COL_SIZE, 0, 0},
        {"Changed", "changed_bytes", BDR_COL_SIZE, 0, 0},
        {"New", "new_bytes", BDR_COL_SIZE, 0, 0},
        {"Stored", "stored_bytes", BDR_COL_SIZE, 0, 0},
        {"Maps", "map_bytes", BDR_COL_SIZE, 0, 0},
        {"Dedup ratio", "dedup_ratio", BDR_COL_TEXT, 0, 0},
        {"Compression", "compression_ratio", BDR_COL_TEXT, 0, 0},
        {"Unreadable", "unreadable_bytes", BDR_COL_SIZE, 0, 0},
        {"Healed", "healed_bytes", BDR_COL_SIZE, 0, 0},
        {"Audited", "audited_blocks", BDR_COL_COUNT, 0, 0},
        {"Missed by tracker", "audit_misses", BDR_COL_COUNT, 0, 0},
        {"Time", "duration_ms", BDR_COL_DURATION, 0, 0},
    };
    char dedup[16], comp[16];
    const struct bdr_cell cells[] = {
        BDR_CELL_TEXT(r->point_id),
        BDR_CELL_TEXT(host),
        BDR_CELL_TEXT(r->full ? "full" : "incremental"),
        r->reason[0] ? BDR_CELL_TEXT(r->reason) : BDR_CELL_NONE,
        BDR_CELL_U64(r->size_bytes),
        BDR_CELL_U64(r->read_bytes),
        BDR_CELL_U64(r->changed_bytes),
        BDR_CELL_U64(r->new_bytes),
        BDR_CELL_U64(r->stored_bytes),
        BDR_CELL_U64(r->node_bytes),
        BDR_CELL_TEXT(ratio_text(r->new_bytes + r->known_bytes, r->new_bytes, dedup)),
        BDR_CELL_TEXT(ratio_text(r->new_bytes, r->stored_bytes, comp)),
        r->unreadable_bytes ? BDR_CELL_U64(r->unreadable_bytes) : BDR_CELL_NONE,
        r->healed_bytes ? BDR_CELL_U64(r->healed_bytes) : BDR_CELL_NONE,
        r->audited_blocks ? BDR_CELL_U64(r->audited_blocks) : BDR_CELL_NONE,
        r->audit_misses ? BDR_CELL_U64(r->audit_misses) : BDR_CELL_NONE,
        BDR_CELL_U64((uint64_t)(r->seconds * 1000)),
    };

    if (cli->common->json) {
        json_t *doc = bdr_record_json(cols, BDR_COUNT(cols), cells);

        /* Programs get numbers; null when there is nothing to divide. */
        if (doc) {
            json_object_set_new(doc, "dedup_ratio", ratio_json(r->new_bytes + r->known_bytes, r->new_bytes));
            json_object_set_new(doc, "compression_ratio", ratio_json(r->new_bytes, r->stored_bytes));
        }
        return bdr_out_json(cli->out, doc);
    }
    return bdr_out_record(cli->out, cols, BDR_COUNT(cols), cells);
}

static struct bdr_err *backup_run(void *raw, struct bdr_cli *cli)
{
    const struct backup_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(progress) struct bdr_progress *meter = NULL;
    __attribute__((cleanup(sources_close))) struct backup_sources sources = {0};
    struct bdr_backup_meter counts = {0};
    struct bdr_backup_result r;
    char host[128];
    struct bdr_backup_options opt = {.host = host, .host_id = a->host_id, .consistency = a->consistency,
                                     .boot_mode = a->boot_mode, .compress = a->compress, .take_over = a->take_over,
                                     .workers = a->workers, .audit_pct = a->audit_pct, .meter = &counts, .cancel = cli->cancel,
                                     .pass = a->full ? BDR_PASS_FULL : BDR_PASS_AUTO};
    const char *tags[65] = {0};

    BDR_TRY(bdr_cli_host(a->host, host));
    if (a->tags.count > 64)
        BDR_FAIL(BDR_RANGE, 0, "at most 64 tags fit one point");
    for (size_t i = 0; i < a->tags.count; i++)
        tags[i] = a->tags.items[i];
    opt.tags = tags;
    BDR_TRY(bdr_cli_open_writer(cli, &repo));
    BDR_TRY(sources_open(a, cli->cancel, &sources));
    BDR_TRY(bdr_cli_progress(cli, &(struct bdr_progress_source){backup_sample, &counts}, &meter));
    bdr_progress_phase(meter, host);
    BDR_TRY(bdr_backup_run(repo, sources.disk, sources.n, &opt, &r));
    bdr_progress_stop(BDR_STEAL(meter));
    BDR_TRY(backup_tell(cli, host, &r));
    if (r.unreadable_bytes)
        BDR_FAIL(BDR_PARTIAL, 0,
                 "the point is saved, but %llu bytes in %llu places of its disks could not be read and are zeros in it; "
                 "'bdr show %.8s' lists them",
                 (unsigned long long)r.unreadable_bytes, (unsigned long long)r.unreadable_ranges, r.point_id);
    return NULL;
}

static const struct bdr_opt backup_opts[] = {
    {.name = "host", BDR_STRING(struct backup_args, host), .metavar = "NAME",
     .help = "Name under which the points are kept. Default: this machine's host name."},
    {.name = "host-id", BDR_STRING(struct backup_args, host_id), .metavar = "ID", .cli_only = true,
     .help = "Identity of the machine behind the name; guards against two machines with one name. Default: made from "
             "/etc/machine-id."},
    {.name = "changed-extents", BDR_PATH(struct backup_args, changed), .metavar = "FILE", .cli_only = true,
     .help = "A file that lists what changed since the host's last point, a line 'OFFSET LENGTH' in bytes each. Only "
             "that is read, and a sample of the rest to check the list."},
    {.name = "dirty-bitmap", BDR_STRING(struct backup_args, bitmap), .metavar = "NAME",
     .help = "For nbd: and qcow2 sources: the QEMU dirty bitmap that recorded the changes since the last point."},
    {.name = "full", BDR_FLAG(struct backup_args, full), .cli_only = true,
     .help = "Read everything, whatever a tracker says. What the repository has is not stored again."},
    {.name = "audit", BDR_PERCENT(struct backup_args, audit_pct), .def = "0.1",
     .help = "Share of the blocks a tracker calls unchanged that is read and compared all the same; at "
             "least 16 blocks are, unless it is 0. A miss raises an alarm and makes the pass a full one."},
    {.name = "compress", BDR_STRING(struct backup_args, compress), .metavar = "zstd[:LEVEL]|lz4|none",
     .help = "Compression of new blocks. Default: as the repository was made."},
    {.name = "limit", BDR_SIZE(struct backup_args, limit_bytes), .metavar = "BYTES",
     .help = "Read at most so many bytes a second from each disk."},
    {.name = "tag", BDR_LIST(struct backup_args, tags), .metavar = "KEY=VALUE", .help = "Note something in the point."},
    {.name = "consistency", BDR_CHOICE(struct backup_args, consistency, "crash|filesystem|application"),
     .help = "What the disks' content is worth, when you know better than the source."},
    {.name = "boot-mode", BDR_CHOICE(struct backup_args, boot_mode, "bios|uefi"),
     .help = "How the machine boots; recovery uses it."},
    {.name = "take-over", BDR_FLAG(struct backup_args, take_over), .cli_only = true,
     .help = "Fence off another writer of this host, or take the name over from another machine."},
    {.name = "workers", BDR_U32(struct backup_args, workers), .max = 64, .help = "Threads that read and hash. Default: by the CPUs."},
    {.name = "tls-ca", BDR_PATH(struct backup_args, tls_ca), .help = "For nbds: sources, the CA to trust (PEM)."},
    {.name = "tls-cert", BDR_PATH(struct backup_args, tls_cert), .help = "For nbds: sources, our certificate (PEM)."},
    {.name = "tls-key", BDR_PATH(struct backup_args, tls_key), .help = "For nbds: sources, our certificate's key (PEM)."},
    {0},
};
static const struct bdr_arg backup_args_rows[] = {
    {.name = "SOURCE", .need = BDR_ARG_MANY, BDR_LIST(struct backup_args, sources), .path = true,
     .help = "A disk: an image file, a block device, nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH, "
             "qcow2:PATH, qemu:FORMAT:PATH. Several are one consistent set."},
    {0},
};

const struct bdr_cmd bdr_cmd_backup = {
    .name = "backup",
    .group = "Recovery points",
    .summary = "back disks up into a new recovery point",
    .help = "Reads the disks of one host and publishes one recovery point with all of them. Only blocks the repository "
            "does not have are stored; every point is a full one, however it was made.\n\n"
            "Interrupt it at any time: nothing half done becomes visible, and the next run stores nothing twice.",
    .examples = "# a disk image\nbdr backup --repo /backup/r1 --host web1 /var/lib/vm/web1.img\n"
                "# two block devices of this machine\nbdr backup --repo s3://dr/site1 /dev/sda /dev/sdb\n"
                "# only what QEMU says has changed\nbdr backup --repo /backup/r1 --host db --dirty-bitmap bdr qcow2:db.qcow2\n",
    .opts = backup_opts,
    .args = backup_args_rows,
    .args_size = sizeof(struct backup_args),
    .run = backup_run,
    .exits = (const struct bdr_exit_note[]){{3, "the point is saved, but parts of a disk could not be read"}, {0}},
};
