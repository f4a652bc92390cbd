/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - the contract of a source driver: read one protected disk at one consistent moment.
 *
 * Lifecycle: open -> (info | extents | read)* -> token -> close; close never fails.
 * Drivers are rows of schema/drivers.def; wrappers (retry, rate, fault, trace) have the same shape and
 * are put around a driver by bdr_source_wrap_*(). Callers use the bdr_source_*() functions, never a
 * driver's members: bounds, defaults and counters live in those functions.
 * Depends on: base, os.      Threads: reads as info.max_inflight says (more wait their turn); all else one thread at a
 * time, which may be while other threads read.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"
#include <stdint.h>

struct bdr_source; /* opaque; a driver's struct starts with one */

/* How to open a disk. All strings are borrowed for the call; `cancel` must live as long as the source. */
struct bdr_source_spec {
    const char *location;        /* what the user wrote: a path, nbd://host:10809/export, qcow2:/a.qcow2, mem:... */
    const char *base_token;      /* mem: the tracker token of the last point, or NULL; others learn it by since() */
    const char *dirty_bitmap;    /* nbd, qcow2: name of a qemu dirty bitmap that tracks changes, or NULL */
    const char *changed_extents; /* a file with lines "offset length" (bytes) of what changed since the base, or NULL */
    const char *tls_ca, *tls_cert, *tls_key; /* nbd: PEM paths, or NULL */
    uint32_t depth;                          /* reads wanted in flight; 0: the driver's default */
    struct bdr_moment *moment;               /* live: what brings the host's disks to one moment (moment.h), or NULL */
    const struct bdr_cancel *cancel;
};

struct bdr_source_info {
    uint64_t size_bytes;   /* may be any number of bytes for a file */
    uint32_t sector_bytes; /* logical sector: 512 or 4096, power of two */
    uint32_t align_bytes;  /* reads must start and end on this, except that the end of the disk always may end one */
    uint32_t max_inflight; /* read calls at once on this handle, >= 1 */
    bool knows_allocation; /* extents(all) tells holes */
    bool has_changes;      /* extents(changed) works against spec.base_token / since() / bitmap / file */
    bool live;             /* the disk changes while it is read: it needs a moment to be consistent */
    bool rotational;       /* hint: prefer one sequential reader */
    char identity[128];   /* stable name of the disk: "file:/path", a serial, an export; for matching disks of points */
    char consistency[16]; /* "crash", "filesystem", "application"; "inconsistent": not of one moment */
    char driver[16];      /* whose tokens these are: the driver's name, also of a wrapped source; filled in by the core */
};

enum bdr_extent_kind {
    BDR_EXTENT_DATA, /* read it */
    BDR_EXTENT_ZERO, /* a hole or known zeros: need not be read */
};
struct bdr_extent {
    uint64_t off, len; /* bytes */
    enum bdr_extent_kind kind;
};
/* Called with extents in increasing order; they do not overlap. An error stops the walk and is returned. */
typedef struct bdr_err *(*bdr_extent_fn)(void *ctx, const struct bdr_extent *ext);

enum bdr_extents_of {
    BDR_EXTENTS_ALL,     /* the whole disk, without gaps: DATA and ZERO cover [0, size) */
    BDR_EXTENTS_CHANGED, /* what may differ from the base: gaps are unchanged; ZERO means "now zero" */
};

/* The optional members of bdr_source_spec that a driver understands; the core refuses the others by name. */
enum bdr_source_accepts {
    BDR_SOURCE_ACCEPTS_BITMAP = 1,
    BDR_SOURCE_ACCEPTS_TLS = 2,
};

struct bdr_source_driver {
    const char *name, *title;
    const char *help;      /* one line for the manual: what location looks like */
    const char *schemes;   /* the prefixes of a location that name this driver, separated by spaces: "nbd:// nbds://" */
    unsigned accepts;      /* bdr_source_accepts */
    uint32_t max_inflight; /* the core, not the driver, limits concurrency */
    struct bdr_err *(*open)(const struct bdr_source_spec *spec, struct bdr_source **out);
    struct bdr_err *(*info)(struct bdr_source *src, struct bdr_source_info *out);
    struct bdr_err *(*extents)(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                               bdr_extent_fn fn, void *ctx);
    struct bdr_err *(*read)(struct bdr_source *src, uint64_t off, void *buf, size_t len);
    /* The token that makes "changes since now" possible next time; *out = NULL when there is none. Owned by caller. */
    struct bdr_err *(*token)(struct bdr_source *src, char **out);
    /*
     * From now on extents(CHANGED) is against the point that has this token (as token() gave it). May be absent.
     * STALE with the reason in words ("the machine was started anew since the last point") when that is not known.
     */
    struct bdr_err *(*since)(struct bdr_source *src, const char *token);
    /* Live disks: may [off, off+len) have been written since the running pass began? Then its content proves nothing
     * about the tracker. Any thread. May be absent: never. */
    bool (*touched)(struct bdr_source *src, uint64_t off, uint64_t len);
    /* The disk as it is now: RANGE when its size is not info.size_bytes any more. May be absent. */
    struct bdr_err *(*check)(struct bdr_source *src);
    /* The point with this source's token is durable: the tracker may forget what came before. May be absent. */
    struct bdr_err *(*committed)(struct bdr_source *src);
    void (*close)(struct bdr_source *src);
};

/* First member of every driver's struct. The core fills it in when the driver's open has returned; drivers leave it
 * zero. */
struct bdr_source {
    const struct bdr_source_driver *drv;
    struct bdr_source_core *core; /* owned by source.c: the checked info, the gate of max_inflight, counters */
};

/*
 * Opens the disk named by spec->location with the driver that fits: an explicit scheme
 * ("nbd://", "nbd+unix://", "nbds://", "qcow2:", "mem:", "file:", "blockdev:"), else by what the path is
 * (block device, qcow2 magic, regular file).
 * Errors: NOTFOUND, DENIED, INVAL (directory, FIFO...), UNSUPPORTED, NET.
 */
bdr_ret bdr_source_open(const struct bdr_source_spec *spec, struct bdr_source **out);
void bdr_source_close(struct bdr_source *src);
bdr_ret bdr_source_info(struct bdr_source *src, struct bdr_source_info *out);

/*
 * For drivers that live outside this module (a disk of a recovery point): makes a freshly allocated source callable.
 * Sets src->drv, asks the driver for its info once and checks it.
 * Errors: what info says; UNSUPPORTED sectors or sizes. `src` stays the caller's then, to be given to bdr_source_close.
 */
bdr_ret bdr_source_ready(struct bdr_source *src, const struct bdr_source_driver *drv);

/*
 * Walks the extents that meet [off, off+len), cut to that range; neighbours of one kind come as one extent. Where a
 * driver's extent ends inside a unit of info.align_bytes, that unit is told as DATA: what is DATA can be read as told.
 * Errors: RANGE past the end; UNSUPPORTED for CHANGED without a tracker; STALE when the base token is no longer valid
 * (start a full pass). ALL never fails for lack of knowledge: without it, everything is one DATA extent.
 */
bdr_ret bdr_source_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len, bdr_extent_fn fn,
                           void *ctx);
/*
 * Reads `len` bytes at `off` into `buf`.
 * Shape:   off, len multiples of info.align_bytes, except that off+len may be the size of the disk.
 * Errors:  RANGE past the end, nothing read; IO: some byte of it can't be read (worth a retry, then smaller reads);
 *          STALE the snapshot is gone; NET.
 * Threads: up to info.max_inflight calls at once. buf should be 4096-aligned (direct I/O copies otherwise).
 */
bdr_ret bdr_source_read(struct bdr_source *src, uint64_t off, void *buf, size_t len);
bdr_ret bdr_source_token(struct bdr_source *src, char **out);
/* Changes are wanted against the point with this token. UNSUPPORTED: the driver has no tokens; STALE: see the driver. */
bdr_ret bdr_source_since(struct bdr_source *src, const char *token);
bool bdr_source_touched(struct bdr_source *src, uint64_t off, uint64_t len);
bdr_ret bdr_source_check(struct bdr_source *src);
bdr_ret bdr_source_committed(struct bdr_source *src);

/* What was asked of this handle since it was opened. */
struct bdr_source_stats {
    uint64_t reads, bytes; /* that succeeded */
    uint64_t errors;       /* reads that the driver failed; those refused by the checks are not counted */
};
void bdr_source_stats(struct bdr_source *src, struct bdr_source_stats *out); /* any thread */

/* Wrappers. Each takes ownership of *src and replaces it; on failure *src is unchanged. */
struct bdr_retry_policy {
    uint32_t attempts;                     /* in all; 1 is no retry */
    uint32_t first_delay_ms, max_delay_ms; /* doubles between, with jitter */
};
bdr_ret bdr_source_wrap_retry(struct bdr_source **src, const struct bdr_retry_policy *policy,
                              const struct bdr_cancel *cancel);
/* Before each read: bdr_os_cpu_pause. */
bdr_ret bdr_source_wrap_share(struct bdr_source **src, const struct bdr_cancel *cancel);
/* Token bucket; 0 is no limit. */
bdr_ret bdr_source_wrap_rate(struct bdr_source **src, uint64_t bytes_per_s, uint64_t reads_per_s,
                             const struct bdr_cancel *cancel);
/* Tests: reads that touch [bad_off, bad_off+bad_len) fail with IO; every n-th read fails once when every_nth > 0. */
struct bdr_fault_plan {
    uint64_t bad_off, bad_len;
    uint32_t every_nth;
    enum bdr_code code; /* IO when 0 */
};
bdr_ret bdr_source_wrap_fault(struct bdr_source **src, const struct bdr_fault_plan *plan);
/* Logs every call at DEBUG with its duration. */
bdr_ret bdr_source_wrap_trace(struct bdr_source **src);

/* All drivers, NULL-terminated; for help and the conformance suite. */
extern const struct bdr_source_driver *const bdr_source_drivers[];

BDR_AUTO_DEFINE(source, struct bdr_source *, bdr_source_close)
