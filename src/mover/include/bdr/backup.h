/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup.h - the copy engine: disks of a host into one new recovery point.
 *
 * Depends on: base, source, repo.      Threads: one call at a time per session; counters may be read from anywhere.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"
#include "bdr/moment.h"
#include "bdr/repo.h"
#include "bdr/sink.h"
#include "bdr/source.h"
#include <jansson.h>
#include <stdatomic.h>

struct bdr_backup_disk {
    struct bdr_source *src; /* borrowed, open */
    const char *name;       /* for people; NULL: "disk<N>" */
};

enum bdr_backup_pass {
    BDR_PASS_AUTO,  /* changed extents when the source knows them against this host's last point, else full */
    BDR_PASS_FULL,  /* read everything that is allocated */
};

/* Live figures of a running backup; the whole point's. */
struct bdr_backup_meter {
    atomic_uint_fast64_t total_bytes;      /* of all disks' sizes */
    atomic_uint_fast64_t done_bytes;       /* of total: read, known zero, or known unchanged */
    atomic_uint_fast64_t read_bytes;       /* read from the sources */
    atomic_uint_fast64_t zero_bytes;       /* read and found zero */
    atomic_uint_fast64_t changed_bytes;    /* blocks that differ from the base (or all data without one), in each pass */
    atomic_uint_fast64_t new_bytes;        /* blocks the repository did not have */
    atomic_uint_fast64_t stored_bytes;     /* those after compression */
    atomic_uint_fast64_t unreadable_bytes;
    atomic_uint_fast64_t audited_blocks, audit_misses;
    atomic_uint_fast64_t pass;             /* over what changed meanwhile: done_bytes begins anew with each */
    atomic_uint_fast64_t healed_bytes;     /* unchanged blocks that the repository had lost and stored again */
    atomic_uint_fast64_t scan_blocks;      /* found unchanged by the scan cache, not hashed */
};

struct bdr_backup_options {
    const char *host;          /* required */
    const char *host_id;       /* identity of the machine behind the name; NULL: this machine's */
    const char *consistency;   /* NULL: what the sources and the moment say */
    const char *boot_mode;     /* "bios", "uefi" or NULL */
    const char *compress;      /* NULL: the repository's */
    const char *const *tags;   /* "key=value", NULL-terminated; NULL: none */
    enum bdr_backup_pass pass;
    double audit_pct;          /* of the blocks the tracker or the scan cache calls unchanged; default when negative: 0.1, at least 16 blocks */
    const char *scan_dir;      /* folder of scan caches (docs/formats/scan-cache.md); NULL: none is used */
    const char *base_point;    /* id: the sources' changes are against this point; NULL: the host's last one */
    const json_t *inherit;     /* a manifest whose time, host_id, consistency, boot mode, tags, disks' names and unreadable
                                  lists the new point takes over (borrowed): a copy. It says "origin". NULL: none */
    struct bdr_moment *moment; /* what the live sources were opened with (borrowed); NULL: none is live */
    bool take_over;            /* fence off a living writer, take the name from another machine */
    unsigned workers;          /* 0: by CPUs and the sources */
    struct bdr_backup_meter *meter; /* NULL: none */
    const struct bdr_cancel *cancel;
};

struct bdr_backup_result {
    char point_id[33];
    bool full;              /* some disk was read as a whole */
    char reason[240];       /* why, in words; empty when nothing needs to be said */
    char consistency[16];   /* as the manifest has it; "inconsistent": not of one moment, moment.note says why */
    struct bdr_moment_report moment; /* zeros without options.moment */
    uint64_t size_bytes, read_bytes, changed_bytes, new_bytes, stored_bytes, node_bytes, known_bytes, zero_bytes;
    uint64_t unreadable_bytes, unreadable_ranges;
    uint64_t audited_blocks, audit_misses;
    uint64_t healed_bytes;
    uint64_t scan_blocks; /* not hashed, because the scan cache knew them */
    uint64_t sent_bytes; /* to a gateway, over the network */
    double seconds;
};

/*
 * Backs the disks up into one point, published only when all of it is durable.
 * Errors: the sources' and the store's, with what was being done; INVAL (the host's name belongs to another machine);
 * BUSY; FENCED; RANGE (a disk changed its size meanwhile); CANCELLED. Nothing is published then; what was stored
 * already is found again by the next run.
 */
bdr_ret bdr_backup_to(struct bdr_sink *sink, const struct bdr_backup_disk *disks, size_t n,
                      const struct bdr_backup_options *opt, struct bdr_backup_result *out);
/* The same into a repository that is open here. */
bdr_ret bdr_backup_run(struct bdr_repo *repo, const struct bdr_backup_disk *disks, size_t n,
                       const struct bdr_backup_options *opt, struct bdr_backup_result *out);
