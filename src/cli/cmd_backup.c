/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_backup.c - bdr backup. */
#include "backup_args.h"
#include "bdr/clock.h"
#include "bdr/cpulimit.h"
#include "bdr/log.h"
#include "bdr/priority.h"
#include "cmds.h"
#include "engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The summary, or one object: with --every there are many. */
static struct bdr_err *backup_tell(struct bdr_cli *cli, const char *host, const struct bdr_backup_result *r)
{
    static const struct bdr_col cols[] = {
        {"Point", "point", BDR_COL_TEXT, 0, 0},
        {"Host", "host", BDR_COL_TEXT, 0, 0},
        {"Pass", "pass", BDR_COL_TEXT, 0, 0},
        {"Because", "reason", BDR_COL_TEXT, 0, 0},
        {"Consistency", "consistency", BDR_COL_TEXT, 0, 0},
        {"Not better because", "note", BDR_COL_TEXT, 0, 0},
        {"Window", "window_ms", BDR_COL_DURATION, 0, 0},
        {"Passes", "passes", BDR_COL_COUNT, 0, 0},
        {"Size", "size_bytes", BDR_COL_SIZE, 0, 0},
        {"Read", "read_bytes", BDR_COL_SIZE, 0, 0},
        {"Changed", "changed_bytes", BDR_COL_SIZE, 0, 0},
        {"New", "new_bytes", BDR_COL_SIZE, 0, 0},
        {"Stored", "stored_bytes", BDR_COL_SIZE, 0, 0},
        {"Sent", "sent_bytes", BDR_COL_SIZE, 0, 0},
        {"Maps", "map_bytes", BDR_COL_SIZE, 0, 0},
        {"Dedup ratio", "dedup_ratio", BDR_COL_TEXT, 0, 0},
        {"Compression", "compression_ratio", BDR_COL_TEXT, 0, 0},
        {"Unreadable", "unreadable_bytes", BDR_COL_SIZE, 0, 0},
        {"Healed", "healed_bytes", BDR_COL_SIZE, 0, 0},
        {"Known by scan cache", "scan_cache_blocks", BDR_COL_COUNT, 0, 0},
        {"Audited", "audited_blocks", BDR_COL_COUNT, 0, 0},
        {"Missed by tracker or cache", "audit_misses", BDR_COL_COUNT, 0, 0},
        {"Time", "duration_ms", BDR_COL_DURATION, 0, 0},
    };
    char dedup[16], comp[16];
    const struct bdr_cell cells[] = {
        BDR_CELL_TEXT(r->point_id),
        BDR_CELL_TEXT(host),
        BDR_CELL_TEXT(r->full ? "full" : "incremental"),
        r->reason[0] ? BDR_CELL_TEXT(r->reason) : BDR_CELL_NONE,
        BDR_CELL_TEXT(r->consistency),
        r->moment.note[0] ? BDR_CELL_TEXT(r->moment.note) : BDR_CELL_NONE,
        r->moment.filesystems ? BDR_CELL_U64(r->moment.window_ms) : BDR_CELL_NONE,
        r->moment.passes ? BDR_CELL_U64(r->moment.passes) : BDR_CELL_NONE,
        BDR_CELL_U64(r->size_bytes),
        BDR_CELL_U64(r->read_bytes),
        BDR_CELL_U64(r->changed_bytes),
        BDR_CELL_U64(r->new_bytes),
        BDR_CELL_U64(r->stored_bytes),
        r->sent_bytes ? BDR_CELL_U64(r->sent_bytes) : BDR_CELL_NONE,
        BDR_CELL_U64(r->node_bytes),
        BDR_CELL_TEXT(ratio_text(r->new_bytes + r->known_bytes, r->new_bytes, dedup)),
        BDR_CELL_TEXT(ratio_text(r->new_bytes, r->stored_bytes, comp)),
        r->unreadable_bytes ? BDR_CELL_U64(r->unreadable_bytes) : BDR_CELL_NONE,
        r->healed_bytes ? BDR_CELL_U64(r->healed_bytes) : BDR_CELL_NONE,
        r->scan_blocks ? BDR_CELL_U64(r->scan_blocks) : BDR_CELL_NONE,
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

static struct bdr_err *backup_incomplete(const struct bdr_backup_result *r)
{
    if (!strcmp(r->consistency, "inconsistent"))
        BDR_FAIL(BDR_PARTIAL, 0,
                 "the point is saved, but its disks are not of one moment%s%s; run it again when less is written, raise "
                 "--freeze-budget or allow --throttle",
                 r->moment.note[0] ? ": " : "", r->moment.note);
    if (r->unreadable_bytes)
        BDR_FAIL(BDR_PARTIAL, 0,
                 "the point is saved, but %llu bytes in %llu places of its disks could not be read and are zeros in it; "
                 "'bdr show %.8s' lists them",
                 (unsigned long long)r->unreadable_bytes, (unsigned long long)r->unreadable_ranges, r->point_id);
    return NULL;
}

/* Until the program ends: main's exit takes the group's limit back. */
static void backup_share_end(void)
{
    bdr_os_cpu_limit(0);
}

static void backup_share(uint32_t pct)
{
    enum bdr_cpu_way way;

    if (!pct)
        return;
    way = bdr_os_cpu_limit(pct);
    atexit(backup_share_end);
    BDR_LOG(INFO, "backup.cpu-limit", F_U64("percent", pct), F_STR("by", way == BDR_CPU_GROUP ? "control group" : "pauses"));
}

static struct bdr_err *backup_run(void *raw, struct bdr_cli *cli)
{
    const struct backup_args *a = raw;
    __attribute__((cleanup(backup_place_close))) struct backup_place place = {0};
    BDR_AUTO(progress) struct bdr_progress *meter = NULL;
    struct bdr_backup_meter counts = {0};
    struct bdr_backup_result r;
    char host[128];

    BDR_TRY(backup_check(a));
    BDR_TRY(bdr_cli_host(a->host, host));
    if (a->idle)
        bdr_os_idle();
    backup_share(a->cpu_pct);
    if (a->every_ms)
        return backup_every(a, cli, host);
    BDR_TRY(backup_place_open(a, cli, &place));
    BDR_TRY(bdr_cli_progress(cli, &(struct bdr_progress_source){backup_sample, &counts}, &meter));
    bdr_progress_phase(meter, host);
    BDR_TRY(backup_once(a, &place, host, &counts, cli->cancel, &r));
    bdr_progress_stop(BDR_STEAL(meter));
    BDR_TRY(backup_tell(cli, place.repo ? host : bdr_sink_gateway_label(place.sink), &r));
    return backup_incomplete(&r);
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
     .help = "Read and hash everything, whatever a tracker or the scan cache says. What the repository has is not stored again."},
    {.name = "no-scan-cache", BDR_FLAG(struct backup_args, no_scan_cache),
     .help = "When a whole disk is read: hash every block. Otherwise fingerprints of the last time's blocks, kept in "
             "--cache-dir, tell most of those that did not change, which takes half of the time."},
    {.name = "audit", BDR_PERCENT(struct backup_args, audit_pct), .def = "0.1",
     .help = "Share of the blocks a tracker, or the scan cache, calls unchanged that is read and compared all the same; at "
             "least 16 blocks are, unless it is 0. A miss raises an alarm and makes the pass a full one."},
    {.name = "compress", BDR_STRING(struct backup_args, compress), .metavar = "zstd[:LEVEL]|lz4[:ACCELERATION]|none",
     .help = "Compression of new blocks. Default: as the repository was made."},
    {.name = "limit", BDR_SIZE(struct backup_args, limit_bytes), .metavar = "BYTES",
     .help = "Read at most so many bytes a second from each disk."},
    {.name = "tag", BDR_LIST(struct backup_args, tags), .metavar = "KEY=VALUE", .help = "Note something in the point."},
    {.name = "consistency", BDR_CHOICE(struct backup_args, consistency, "crash|filesystem|application"),
     .help = "What the disks' content is worth, when you know better than the source."},
    {.name = "freeze-budget", BDR_U32(struct backup_args, freeze_ms), .def = "500", .min = 10, .max = 60000, .metavar = "MS",
     .help = "For live: disks. How long their file systems may stand still; a watchdog lets them go after that "
             "whatever happens."},
    {.name = "pre-freeze", BDR_PATH(struct backup_args, pre_freeze), .metavar = "PROGRAM",
     .help = "For live: disks. Run before the file systems are frozen, to bring applications to rest, without a shell and "
             "arguments. When it ends with 0 the point is called 'application'. It must be root's own."},
    {.name = "post-freeze", BDR_PATH(struct backup_args, post_freeze), .metavar = "PROGRAM",
     .help = "For live: disks. Run when the file systems go on; BDR_RESULT is 'ok' or 'failed' in its environment."},
    {.name = "script-timeout", BDR_DURATION(struct backup_args, script_ms), .def = "60s", .min = 1, .max = 3600000,
     .help = "How long each of these programs may take; then it is ended."},
    {.name = "no-freeze", BDR_FLAG(struct backup_args, no_freeze),
     .help = "For live: disks. Never stop a file system. The point is then at best what a power cut leaves."},
    {.name = "throttle", BDR_FLAG(struct backup_args, throttle),
     .help = "For live: disks. Slow writers down, for a bounded time, when they write faster than the disks can be read."},
    {.name = "keep-swap", BDR_FLAG(struct backup_args, keep_swap),
     .help = "For live: disks. Copy swap areas too; otherwise zeros stand for them."},
    {.name = "no-track", BDR_FLAG(struct backup_args, no_track),
     .help = "For live: disks. Do not track changed blocks; everything is read, and no disk may be written meanwhile."},
    {.name = "every", BDR_DURATION(struct backup_args, every_ms), .min = 5000, .cli_only = true,
     .help = "Go on and make a point so often, one line each, until the first signal; at least 5s."},
    {.name = "count", BDR_U32(struct backup_args, count), .cli_only = true, .help = "With --every: end after so many points. 0: never.", .def = "0"},
    {.name = "idle", BDR_FLAG(struct backup_args, idle),
     .help = "Leave processor and disks to others whenever they want them (nice 19, idle I/O class)."},
    {.name = "cpu-percent", BDR_U32(struct backup_args, cpu_pct), .def = "0", .max = BDR_CPU_LIMIT_MAX_PCT, .metavar = "N",
     .help = "Take at most so much processor time, in percent of one processor; not while file systems stand still. By the "
             "kernel where we are alone in a control group, else by pauses; the log says which. 0: no limit."},
    {.name = "boot-mode", BDR_CHOICE(struct backup_args, boot_mode, "bios|uefi"),
     .help = "How the machine boots; recovery uses it."},
    {.name = "take-over", BDR_FLAG(struct backup_args, take_over), .cli_only = true,
     .help = "Fence off another writer of this host, or take the name over from another machine."},
    {.name = "workers", BDR_U32(struct backup_args, workers), .max = 64, .help = "Threads that read and hash. Default: by the CPUs."},
    {.name = "host-number", BDR_U64(struct backup_args, host_number), .metavar = "N",
     .help = "For a gateway: the number under which the console, or the gateway's file, knows this host."},
    {.name = "cert", BDR_PATH(struct backup_args, gateway_cert), .metavar = "FILE",
     .help = "For a gateway: this machine's certificate (PEM)."},
    {.name = "key", BDR_PATH(struct backup_args, gateway_key), .metavar = "FILE",
     .help = "For a gateway: the key of that certificate (PEM); nobody else may be able to read it."},
    {.name = "ca", BDR_PATH(struct backup_args, gateway_ca), .metavar = "FILE",
     .help = "For a gateway: the CA that the gateway's certificate must be of (PEM)."},
    {.name = "proxy", BDR_STRING(struct backup_args, proxy), .metavar = "URL",
     .help = "For a gateway: reach it by this HTTP proxy."},
    {.name = "bandwidth", BDR_SIZE(struct backup_args, bandwidth_bps), .metavar = "BYTES",
     .help = "For a gateway: send at most so many bytes a second."},
    {.name = "fence", BDR_U64(struct backup_args, fence), .metavar = "N", .cli_only = true,
     .help = "For a gateway: number of this run; smaller ones than the last are refused. Default: the time."},
    {.name = "tls-ca", BDR_PATH(struct backup_args, tls_ca), .help = "For nbds: sources, the CA to trust (PEM)."},
    {.name = "tls-cert", BDR_PATH(struct backup_args, tls_cert), .help = "For nbds: sources, our certificate (PEM)."},
    {.name = "tls-key", BDR_PATH(struct backup_args, tls_key), .help = "For nbds: sources, our certificate's key (PEM)."},
    {0},
};
static const struct bdr_arg backup_args_rows[] = {
    {.name = "SOURCE", .need = BDR_ARG_MANY, BDR_LIST(struct backup_args, sources), .path = true,
     .help = "A disk: an image file, a block device, nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH, "
             "qcow2:PATH, qemu:FORMAT:PATH, live:/dev/NAME for a disk of this machine that is in use, live:all for all of "
             "them. Several are one consistent set."},
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
                "# to a gateway that owns the repository\nbdr backup --repo https://gateway.example --host-number 7 --cert /etc/bdr/m.crt "
                "--key /etc/bdr/m.key --ca /etc/bdr/ca.crt /dev/sda\n"
                "# all disks of this running machine, every five minutes\nbdr backup --repo /backup/r1 --every 5m live:all\n"
                "# only what QEMU says has changed\nbdr backup --repo /backup/r1 --host db --dirty-bitmap bdr qcow2:db.qcow2\n",
    .opts = backup_opts,
    .args = backup_args_rows,
    .args_size = sizeof(struct backup_args),
    .run = backup_run,
    .exits = (const struct bdr_exit_note[]){{3, "the point is saved, but parts of a disk could not be read, or its disks are not of one moment; with "
                                         "--every: some points could not be made"},
                                      {0}},
};
