/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loopdisk.h - a disk of our own for tests of the tracker: a loop device on a sparse file, and pins of our own.
 *
 * Nothing here touches another tracker or another test: the pins are below /sys/fs/bpf/bdr-test-PID, the device is the
 * one the kernel gave us. Detached when the program ends.
 * Threads: one.
 */
#pragma once
#include "../source/util.h"
#include "bdr/track.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB     ((uint64_t)1 << 20)
#define GRANULE ((uint64_t)BDR_TRACK_GRANULE_BYTES)

struct loopdisk {
    char file[128], dev[32];
    int backing, fd; /* fd: the device, O_DIRECT */
    uint64_t size;
};
struct scratch {
    char folder[96], pins[96];
};

/* Why these tests can't run here; NULL: they can. */
const char *scratch_why_not(void);
/* A folder for files and pins of this process's own, in the environment; scratch_end ends tracking and removes both. */
void scratch_begin(struct scratch *s);
void scratch_end(struct scratch *s);
void loopdisk_make(struct loopdisk *d, const struct scratch *s, const char *name, uint64_t size);
void loopdisk_grow(struct loopdisk *d, uint64_t size);
/* Detaches the file; the device stays open. */
void loopdisk_end(struct loopdisk *d);
/* Direct writes of aligned pieces, other bytes each time. */
void loopdisk_write(const struct loopdisk *d, uint64_t off, uint64_t len);
void loopdisk_discard(const struct loopdisk *d, uint64_t off, uint64_t len);
/* Runs a program and waits; the test fails when that fails. */
void run_ok(const char *const *argv);
