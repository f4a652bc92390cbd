/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.h - copy one disk of a recovery point to a target.
 *
 * A recover can be stopped at any moment, also by a power cut, and continued: what is known to be durable at the target
 * is written down in a state file beside it (docs/drivers/target.md#state).
 * Depends on: base, os, repo's disk.h, target.      Threads: one call at a time a target; progress from any thread.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct bdr_disk;

/* Bytes; read it while the copy runs. done = data + zero + resumed, of total. */
struct bdr_recover_progress {
    _Atomic uint64_t total_bytes, done_bytes;
    _Atomic uint64_t data_bytes;     /* read from the repository and written */
    _Atomic uint64_t zero_bytes;     /* zeros: nothing was read */
    _Atomic uint64_t resumed_bytes;  /* were there from an earlier run */
    _Atomic uint64_t verified_bytes; /* read back and compared */
    _Atomic uint64_t damaged_bytes;  /* left zero, skip_damaged */
};

struct bdr_recover_spec {
    struct bdr_disk *disk; /* borrowed */
    const char *point_id;  /* 32 hex digits; with disk_index it names the disk in the state file */
    uint32_t disk_index;
    const char *location;   /* as bdr_target_spec.location */
    bool force;             /* overwrite what is there; an unfinished recover is started over unless `resume` */
    bool resume;            /* go on where an earlier run stopped; starts from the beginning when there is none */
    bool direct;            /* past the page cache */
    bool verify;            /* read the target back and compare */
    bool skip_damaged;      /* leave zeros where the repository is damaged and tell, instead of stopping */
    uint32_t workers;       /* 0: by the CPUs and what the target takes */
    uint32_t checkpoint_ms; /* how much work a crash may cost; 0: 5000 */
    const char *state_path; /* NULL: LOCATION.bdr-recover for files, none for devices and NBD */
    const char *tls_ca;     /* nbds:// */
    struct bdr_recover_progress *progress; /* or NULL */
    const struct bdr_cancel *cancel;       /* or NULL */
};

struct bdr_recover_range {
    uint64_t off, len;
};

struct bdr_recover_result {
    struct bdr_recover_range *damaged; /* owned; increasing, merged */
    size_t n_damaged;
    bool resumed;
    uint64_t data_bytes, zero_bytes, resumed_bytes;
    char note[160]; /* what the target wants the user to know, or "" */
};

/*
 * Copies the disk; success means that the target is complete and durable, and compared when verify is set.
 *
 * Errors:  CORRUPT damaged in the repository (the message names the offset), or the target does not hold what was
 *          written; EXISTS the target holds data or an unfinished recover; INVAL the state file belongs to another
 *          disk; CANCELLED, NOSPACE, IO, NET: call again with resume; all of bdr_target_open.
 * Memory:  workers * 4 MiB (8 MiB while verifying) and a bit for each 4 MiB of the disk, beside the disk's cache.
 * Source:  docs/drivers/target.md
 */
bdr_ret bdr_recover_run(const struct bdr_recover_spec *spec, struct bdr_recover_result *out);
void bdr_recover_result_free(struct bdr_recover_result *res);
