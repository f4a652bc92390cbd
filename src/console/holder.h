/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holder.h - one console at a time in a folder, and on a database that is a file.
 *
 * A lock of the kernel's on a file beside what it protects: it ends with the process, however that ends, so a lock
 * that is left over shuts nobody out. What the file says is for people only.
 * Depends on: base, os.      Threads: one.
 */
#pragma once
#include "bdr/err.h"
#include <stdint.h>

struct bdr_holder {
    int fd; /* -1: holds nothing; {0} is not a holder */
};
#define BDR_HOLDER_NONE ((struct bdr_holder){.fd = -1})

/* What a second one is told. Borrowed. */
struct bdr_holder_spec {
    const char *path;   /* of the lock file; made 0600 when it is not there */
    const char *what;   /* "the folder /var/lib/bdr-console" */
    const char *advice; /* what to do about it, after a semicolon */
    uint16_t port;      /* ours, for the next one to be told */
};

/*
 * Errors:  BUSY another console has it: its process, machine, port and since when, and the advice; DENIED, READONLY,
 *          NOSPACE as of any file.
 */
bdr_ret bdr_holder_take(const struct bdr_holder_spec *spec, struct bdr_holder *out);
void bdr_holder_drop(struct bdr_holder *h);
