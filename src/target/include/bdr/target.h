/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - the contract of a target driver: the place a disk is recovered to.
 *
 * Lifecycle: open -> (write | zero | read | flush)* -> commit -> close; close never fails and, without commit, leaves
 * what was written so that a later open with `resume` goes on. Callers use the bdr_target_*() functions, never a
 * driver's members: bounds, fallbacks and alignment checks live in those functions.
 * Depends on: base, os.      Threads: write, zero, read from info.max_inflight threads; flush beside them.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct bdr_target; /* opaque; a driver's struct starts with one */

/* What is to be written, and where. All strings are borrowed for the call. */
struct bdr_target_spec {
    const char *location;  /* what the user wrote: a path, a device, disk.qcow2, qcow2:PATH, nbd://host/export, null: */
    uint64_t size_bytes;   /* of the disk that will be written */
    uint32_t sector_bytes; /* logical sector of that disk: 512 or 4096; 0: 512 */
    bool force;            /* overwrite what is there */
    bool resume;           /* it holds our own unfinished work: keep it */
    bool direct;           /* past the page cache where the driver can */
    const char *tls_ca, *tls_cert, *tls_key; /* nbds://: PEM paths, or NULL */
    const struct bdr_cancel *cancel;         /* outlives the target */
};

struct bdr_target_info {
    uint64_t size_bytes;   /* room there is; at least spec.size_bytes */
    uint32_t align_bytes;  /* writes start and end on this, except that the end of the disk always may end one */
    uint32_t max_inflight; /* calls at once that are of use, >= 1 */
    bool starts_zero;      /* what was never written reads as zeros: zeros need not be written */
    bool can_read;         /* bdr_target_read works */
    char note[160];        /* one sentence worth telling the user, or "" */
};

struct bdr_target_driver {
    const char *name, *title;
    const char *help;   /* one line for the manual: what location looks like */
    const char *scheme; /* "qcow2:" */
    uint32_t max_inflight;
    bool is_file; /* location is the path of a plain file */
    struct bdr_err *(*open)(const struct bdr_target_spec *spec, const char *where, struct bdr_target **out);
    struct bdr_err *(*info)(struct bdr_target *t, struct bdr_target_info *out);
    struct bdr_err *(*write)(struct bdr_target *t, uint64_t off, const void *buf, size_t len);
    struct bdr_err *(*zero)(struct bdr_target *t, uint64_t off, uint64_t len); /* UNSUPPORTED: zeros are written */
    struct bdr_err *(*read)(struct bdr_target *t, uint64_t off, void *buf, size_t len); /* absent: cannot be verified */
    struct bdr_err *(*flush)(struct bdr_target *t);
    struct bdr_err *(*commit)(struct bdr_target *t); /* absent: flush is enough */
    void (*close)(struct bdr_target *t);
};

/* First member of every driver's struct; `drv` is filled in by the driver, the rest by bdr_target_open. */
struct bdr_target {
    const struct bdr_target_driver *drv;
    uint64_t size_bytes; /* of the disk */
    uint32_t align_bytes;
};

/*
 * Opens the place named by spec->location with the driver that fits: an explicit scheme ("raw:", "file:",
 * "blockdev:", "qcow2:", "nbd://", "nbds://", "nbd+unix://", "null:"), else a block device, a name that ends in
 * ".qcow2", or a plain file.
 *
 * Errors:  EXISTS it holds data and neither force nor resume is set; BUSY mounted or opened by somebody; RANGE too
 *          small for the disk; NOTFOUND (also resume without a file); DENIED; INVAL; NOSPACE; NET.
 * Source:  docs/drivers/target.md#open
 */
bdr_ret bdr_target_open(const struct bdr_target_spec *spec, struct bdr_target **out);
void bdr_target_close(struct bdr_target *t);
bdr_ret bdr_target_info(struct bdr_target *t, struct bdr_target_info *out);
/*
 * Writes `len` bytes at `off`. Durable after the next flush.
 *
 * Shape:   off, len multiples of info.align_bytes, except that off+len may be the end of the disk. buf should be
 *          4096-aligned (direct I/O copies otherwise).
 * Errors:  RANGE past the end of the disk, nothing written; NOSPACE; IO; NET; CANCELLED.
 * Threads: any number at once; ranges in flight must not overlap.
 */
bdr_ret bdr_target_write(struct bdr_target *t, uint64_t off, const void *buf, size_t len);
/* Makes [off, off+len) read as zeros, cheaply when the driver can (hole, discard). Shape and errors as write. */
bdr_ret bdr_target_zero(struct bdr_target *t, uint64_t off, uint64_t len);
/* What is stored there, past caches where possible: for verification. UNSUPPORTED; RANGE; IO. */
bdr_ret bdr_target_read(struct bdr_target *t, uint64_t off, void *buf, size_t len);
/* Every write that returned before this call survives a crash when it returns. */
bdr_ret bdr_target_flush(struct bdr_target *t);
/* The disk is complete: durable, and usable by others once closed. Only read and close may follow. */
bdr_ret bdr_target_commit(struct bdr_target *t);

/* The path of the plain file that `location` means; *out is NULL when it is none (device, NBD). Caller frees. */
bdr_ret bdr_target_path(const char *location, char **out);

/* All drivers, NULL-terminated; for help and the conformance suite. */
extern const struct bdr_target_driver *const bdr_target_drivers[];

BDR_AUTO_DEFINE(target, struct bdr_target *, bdr_target_close)
