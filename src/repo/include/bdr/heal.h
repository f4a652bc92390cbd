/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heal.h - putting a damaged repository right with bytes that somebody else still has.
 *
 * Who has them is the caller's business (struct bdr_heal_ops); that they are the right ones is checked here, by id.
 * Protocol: docs/formats/repository.md section 8. Threads: one call at a time per repository handle; any number of
 * writers and readers in other threads and processes meanwhile.
 */
#pragma once
#include "bdr/gc.h"
#include <jansson.h>

/* Candidates: disks that may hold at some offset what a point's disk held there. Called from one thread. */
struct bdr_heal_ops {
    /* The next questions are about this disk of this point (both borrowed until the next begin): how many candidates? */
    struct bdr_err *(*begin)(void *ctx, const json_t *point, uint32_t disk, uint32_t *out_n);
    /* *out_there: buf[len] has what candidate `c` holds at `off`. What it can't read is not there, and no error. */
    struct bdr_err *(*read)(void *ctx, uint32_t c, uint64_t off, void *buf, size_t len, bool *out_there);
    /* *out_zero: candidate `c` knows without reading that it holds zeros there. */
    struct bdr_err *(*zero)(void *ctx, uint32_t c, uint64_t off, uint64_t len, bool *out_zero);
};
struct bdr_heal_options {
    const struct bdr_heal_ops *ops; /* NULL: nobody has anything; good blocks are still saved out of bad packs */
    void *ctx;
    bool dry_run;        /* only tell; the repository may be opened for reading */
    bool delete_damaged; /* do not keep what may hold the last copy of lost bytes as damaged/<name> */
    unsigned workers;    /* of the verify that finds the damage; 0: one a CPU */
    struct bdr_gc_meter *meter; /* or NULL */
    const struct bdr_cancel *cancel;
};
/* One place of one point that was damaged. */
struct bdr_heal_place {
    struct bdr_damage at;
    bool healed;
};
struct bdr_heal_result {
    uint64_t points, packs;                   /* looked at */
    uint64_t lost_blocks;                     /* blocks that points need and no pack had in good order */
    uint64_t healed_blocks, healed_bytes;     /* of them */
    uint64_t bad_packs;                       /* packs in which anything is wrong */
    uint64_t packs_replaced, packs_set_aside; /* of them: gone; kept as damaged/<name>, which nobody reads */
    uint64_t packs_waiting;                   /* of them: can't go before the open sessions have ended */
    uint64_t moved_blocks;                    /* good blocks saved out of bad packs */
    uint64_t objects_healed;                  /* besides packs: config, keys, manifests; told by verify, fine now */
    struct bdr_heal_place *place;             /* owned; by point, disk, offset */
    size_t n_place, n_left;                   /* n_left of them are not healed */
    char (*bad_objects)[256];                 /* owned; what is wrong besides packs and is not healed */
    size_t n_bad;
    uint64_t points_elsewhere;                /* points of these hosts that only the other repository has */
};
/*
 * Looks at everything as bdr_verify ALL does, heals what candidates have, and replaces each bad pack by its good blocks.
 * What is left damaged is in the result, not an error. Interrupted at any moment it leaves no worse state.
 * Errors: BUSY a prune or another repair runs; READONLY; NOSPACE; the candidates' own.
 */
bdr_ret bdr_heal(struct bdr_repo *repo, const struct bdr_heal_options *opt, struct bdr_heal_result *out);
void bdr_heal_free(struct bdr_heal_result *r);

/* ---- manifests ---- */

struct bdr_heal_manifest_ops {
    /* The point of the damaged manifest `key` is wanted: *out_there when somebody has it. Unless only asked (a dry run),
     * it is a visible point of this repository then, and out_id is its id. */
    struct bdr_err *(*copy)(void *ctx, const char *key, bool *out_there, char out_id[33]);
    void *ctx;
};
/*
 * Brings back manifests that can't be read, at their keys and with their ids: from this machine's cache, else by ops
 * (may be NULL). Their keys are appended to out_healed (a JSON array). Do it before bdr_heal, which then finds what
 * these points need. A manifest that is not there at all can't be told from one that was removed.
 */
bdr_ret bdr_heal_manifests(struct bdr_repo *repo, const struct bdr_heal_manifest_ops *ops, bool dry_run,
                           json_t *out_healed);
/* *out: `p` (of any repository) is the point of the manifest `key`: it has its id as origin, or is of its host and time. */
bdr_ret bdr_heal_manifest_fits(const char *key, const struct bdr_point_info *p, bool *out);
