/* SPDX-License-Identifier: Apache-2.0 */
/* inuse.h - is anybody using this block device? Answers from /proc and /sys. Threads: any. */
#pragma once
#include "bdr/err.h"
#include <sys/types.h>

/* BUSY naming who uses the device `dev`, one of its partitions, or what is built on them. `path` is for messages. */
bdr_ret inuse_check(dev_t dev, const char *path);

/* Pure helpers. */
/* Whether a line of mountinfo text mounts device `dev`; *where gets the mount point (at most n bytes). */
bool inuse_mounted(const char *mountinfo, dev_t dev, char *where, size_t n);
/* "8:1\n" as a device number; false when it is none. */
bool inuse_parse_dev(const char *text, dev_t *out);
