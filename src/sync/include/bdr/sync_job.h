/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync_job.h - the second half of a `sync` job, alike for agents and proxies: open disks into the job's store.
 *
 * The first half, opening the disks at one moment, is what makes an agent an agent and a proxy a proxy.
 * Depends on: worker, mover, repo.      Threads: any number of jobs at once.
 */
#pragma once
#include "bdr/backup.h"
#include "bdr/worker.h"

struct bdr_sync {
    const char *state; /* the machine's folder: certificate, cache */
    struct bdr_worker_job *job;
    const struct bdr_backup_disk *disks; /* borrowed, open */
    size_t n;
    struct bdr_moment *moment; /* NULL: they stand still */
    const char *host_id;       /* NULL: this machine's */
    const char *boot_mode;     /* "bios", "uefi", NULL */
};
/*
 * Makes the point. *out_result: what the console gets (docs/agent.md); set when a point was made.
 *
 * Errors:  those of bdr_backup_run; INVAL the job has no store.
 */
bdr_ret bdr_sync_run(const struct bdr_sync *s, json_t **out_result);
