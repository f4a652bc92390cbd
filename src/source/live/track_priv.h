/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track_priv.h - what the files of the tracker share.
 *
 *   track.c        start, stop, list, open, close: the public lifetimes
 *   track_gen.c    cut, keep, changes: numbers, and the marks below them
 *   track_names.c  byte names of generations: giving, merging; pure
 *   track_map.c    one disk's map: making, opening, growing
 *   track_pins.c   the folder below bpffs: lock, table of disks, programs
 *   track_disk.c   a disk as /sys tells it
 *   track_token.c  tokens and counts
 * Memory that is shared with the kernel and other processes is read and written with the __atomic built-ins: C11
 * atomics can't be laid over it.
 * Depends on: track.h.      Threads: as track.h says.
 */
#pragma once
#include "bdr/track.h"
#include "bpf/cbt.h"

/* ---- a disk as /sys tells it ---- */
struct track_disk {
    char name[48]; /* "vda", "cciss!c0d0" */
    uint32_t major, minor;
    uint64_t size_bytes;
    uint64_t diskseq; /* counts every medium that came into any drive; 0: before Linux 5.15 */
    uint64_t node;    /* of its folder in sysfs: another device has another */
    bool queue_only;  /* dm, md, zram: no requests, so nothing tells completion */
    bool counted;     /* queue/iostats is on */
};
/* Errors: NOTFOUND; DENIED; INVAL no block device; UNSUPPORTED a partition, the text names the disk. */
bdr_ret track_disk_find(const char *path, struct track_disk *out);
/* NOTFOUND when there is no such device now. */
bdr_ret track_disk_at(uint32_t major, uint32_t minor, struct track_disk *out);
/* UNSUPPORTED: DAX, zoned. */
bdr_ret track_disk_fit(const struct track_disk *d);
/* Sectors written and discarded, as completed. */
bdr_ret track_disk_stat(const struct track_disk *d, uint64_t *out_sectors);
bdr_ret track_disk_inflight(const struct track_disk *d, uint64_t *out_writes);
/* "/dev/vda" */
void track_disk_path(const struct track_disk *d, char out[64]);
BDR_UNUSED static inline uint32_t track_disk_key(uint32_t major, uint32_t minor)
{
    return major << 20 | minor;
}

/* ---- the header: page 0 of a map ---- */
enum track_state {
    TRACK_GROWING = 1, /* marks may be missing until this is gone */
    TRACK_MOVED = 2,   /* a larger map is in use instead */
    TRACK_ENDED = 4,
};
struct track_head {
    struct cbt_head cbt;
    uint64_t instance; /* of this tracking: another one knows nothing of what was before */
    uint64_t size_bytes, diskseq, node;
    uint32_t major, minor;
    uint64_t check; /* over what is above except gen and state */
    uint64_t epoch; /* grows whenever a name gets another meaning */
    uint64_t started_ms;
    uint64_t names[CBT_NAMES]; /* name -> seq; 0: free, no mark has it. names[gen] is the greatest. */
    uint64_t kept[CBT_KEPT];   /* numbers of points, in order; 0 is empty */
    char trouble[160];
};
_Static_assert(sizeof(struct track_head) <= CBT_COUNT_ELEM * CBT_ELEM_BYTES, "the header has one page");
_Static_assert(sizeof(struct cbt_count) * CBT_SLOTS == (CBT_MARK_ELEM - CBT_COUNT_ELEM) * CBT_ELEM_BYTES,
               "the counters too");

#define TRACK_LOAD(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define TRACK_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)

/* ---- names; pure, on memory that others change meanwhile. Writers hold the lock. ---- */
/* The number of the running generation. */
uint64_t track_names_seq(const struct track_head *h);
/* Undoes what a writer that died left: names that were given and never used. */
void track_names_repair(struct track_head *h);
/* A name that no mark has; 0: none. */
uint32_t track_names_free(const struct track_head *h);
/*
 * Frees names by relabelling marks of generations that nobody needs told apart any more to the next greater one. Needed
 * are those around the newest and around what is kept. No program may be using a name other than the running one
 * (barrier).
 */
void track_names_merge(struct track_head *h, uint8_t *marks, uint64_t granules);
/* Remembers a boundary; when there is no room, the one that costs least to forget is forgotten. */
void track_names_keep(struct track_head *h, uint64_t seq);
/* What a mark means to somebody who knows everything up to `seq`. lut[mark]: 0 nothing, else TRACK_DATA or TRACK_ZERO.
 */
enum { TRACK_DATA = 1, TRACK_ZERO = 2 };
void track_names_lut(const struct track_head *h, uint64_t seq, uint8_t lut[256]);

/* ---- one disk's map ---- */
struct track_map {
    uint8_t *base; /* mapped */
    size_t bytes;
    uint32_t id; /* the kernel's */
    int fd;
    struct track_head *head;
    struct cbt_count *counts; /* CBT_SLOTS */
    uint8_t *marks;
    uint64_t granules;
    struct track_map *before; /* the smaller ones that this handle used; still mapped, for bdr_track_touched */
};
/* A fresh map for the disk, not in the table yet. */
bdr_ret track_map_new(const struct track_disk *d, struct track_map **out);
/* The map with this id. CORRUPT when it is not what we make. */
bdr_ret track_map_open(uint32_t id, struct track_map **out);
void track_map_free(struct track_map *m);
BDR_AUTO_DEFINE(track_map, struct track_map *, track_map_free)
/* A larger map with the same marks takes the old one's place. */
bdr_ret track_map_grow(int disks_fd, const struct track_map *old, const struct track_disk *d, struct track_map **out);
extern void (*track_map_growing)(void); /* tests: called between copy and swap */
/* A new instance in place: tokens become stale, marks stay. `trouble` is for status. */
bdr_ret track_map_renew(struct track_map *m, const char *trouble);
uint64_t track_head_check(const struct track_head *h);
/* "" when the map belongs to the disk that is there now, else what is wrong in words. Growing is not wrong. */
void track_map_foreign(const struct track_map *m, const struct track_disk *d, char out[160]);

/* ---- the folder below bpffs ---- */
/* Where; BDR_TRACK_PINS overrides it, for tests. */
const char *track_pins_folder(void);
/* Locks it for changes; `make`: it is made (and bpffs mounted) when it is not there, else NOTFOUND. Close *out_fd to
 * unlock. */
bdr_ret track_pins_lock(bool make, int *out_fd);
/* The table of disks: a map of maps. NOTFOUND. */
bdr_ret track_pins_disks(int *out_fd);
/* The id of the disk's map; NOTFOUND. */
bdr_ret track_pins_find(int disks_fd, uint32_t key, uint32_t *out_id);
bdr_ret track_pins_put(int disks_fd, uint32_t key, int map_fd);
/*
 * Programs that are pinned as they should be have a number; a new set has a new one. *out_programs 0: something is
 * missing, `why` tells what. 1: two sets are counting at once. Others: counts are comparable while the number is the
 * same.
 */
bdr_ret track_pins_programs(uint64_t *out_programs, char why[160]);
/*
 * Under the lock: makes the table and programs if they are not there, replaces older ones. When writes may have been
 * missed because not all programs were there, `renew` is called before that is forgotten.
 */
bdr_ret track_pins_ensure(int *out_disks_fd, struct bdr_err *(*renew)(int disks_fd, const char *why));
/* Under the lock: removes programs, table and folder. */
bdr_ret track_pins_remove(void);
/* Returns when every program run that was under way has ended. */
bdr_ret track_pins_barrier(void);
extern uint32_t track_program_version; /* of the embedded programs; tests pretend others */
extern bool track_program_loses;       /* tests: load programs that miss all completions of writes */

/* ---- a handle ---- */
struct bdr_track {
    struct track_disk disk;
    struct track_map *map; /* read by any thread through TRACK_LOAD, for touched */
    uint64_t instance;
};
/*
 * Is everything as it was when the handle was opened? Follows a map that grew, and grows it when the disk did.
 * STALE with the reason.
 */
bdr_ret track_fresh(struct bdr_track *t, bool locked);
void track_counts_sum(const struct track_map *m, struct cbt_count *out);
/* Bytes that changed after `seq`; also tells whether there are marks whose name means nothing. */
uint64_t track_changed(const struct track_map *m, uint64_t seq, bool *out_damaged);

/* ---- tokens ---- */
struct track_token {
    char boot[37];
    uint64_t instance, programs;
    uint32_t major, minor;
    uint64_t diskseq, node, size_bytes;
    struct bdr_track_base base;
};
/* INVAL: not exactly what track_token_text makes. */
bdr_ret track_token_parse(const char *text, struct track_token *out);
bdr_ret track_token_text(const struct track_token *k, char **out);
