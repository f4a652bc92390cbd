/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counts.h - what the kernel counts of a disk's writes, without any tracker.
 *
 * Depends on: base, os.      Threads: any.      Source: Documentation/block/stat.rst
 */
#pragma once
#include "bdr/err.h"
#include <stdint.h>

struct live_counts {
    uint64_t written; /* sectors, also discarded ones; any change means a write */
    uint64_t flying;  /* writes under way */
};
/* `sys_root` is "/sys"; a test gives a folder of its own. */
bdr_ret live_counts_read(const char *sys_root, unsigned major, unsigned minor, struct live_counts *out);
