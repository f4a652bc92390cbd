/* SPDX-License-Identifier: Apache-2.0 */
/* backup_args.h - what the files of `bdr backup` share. Threads: main's only. */
#pragma once
#include "bdr/backup.h"
#include "bdr/gateway_sink.h"
#include "frame/cli.h"

#define BACKUP_DISKS_MAX 256
#define BACKUP_TAGS_MAX  64

struct backup_args {
    const char *host, *host_id, *changed, *bitmap, *compress, *consistency, *boot_mode;
    const char *tls_ca, *tls_cert, *tls_key, *pre_freeze, *post_freeze;
    const char *gateway_ca, *gateway_cert, *gateway_key, *proxy;
    struct bdr_list tags, sources;
    uint64_t limit_bytes, script_ms, every_ms, host_number, fence, bandwidth_bps;
    double audit_pct;
    uint32_t workers, freeze_ms, count, cpu_pct;
    bool full, take_over, no_freeze, throttle, keep_swap, no_track, idle, no_scan_cache;
};

/* Options that do not go together: INVAL, RANGE. */
bdr_ret backup_check(const struct backup_args *a);
/* Where the points go: the repository is opened, or the gateway named, by what --repo says. */
struct backup_place {
    struct bdr_repo *repo; /* owned; NULL: a gateway */
    struct bdr_sink *sink; /* owned */
    char scan_dir[512];    /* of scan caches; "": none is used */
    atomic_uint_fast64_t bandwidth_bps;
};
bdr_ret backup_place_open(const struct backup_args *a, struct bdr_cli *cli, struct backup_place *out);
void backup_place_close(struct backup_place *p);
/* Opens the sources, makes one point of them, closes them. */
bdr_ret backup_once(const struct backup_args *a, const struct backup_place *place, const char *host,
                    struct bdr_backup_meter *meter, const struct bdr_cancel *cancel, struct bdr_backup_result *out);
/* A point every a->every_ms until the first signal or a->count of them. PARTIAL: some could not be made. */
bdr_ret backup_every(const struct backup_args *a, struct bdr_cli *cli, const char *host);
/* A progress source over a struct bdr_backup_meter. */
void backup_sample(void *ctx, struct bdr_progress_counts *out);
