/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conform.h - the conformance suite of the source contract: one row a way to get a disk.
 *
 * A new driver adds one row to rows.c: make() sets up a disk and says what it must read as. Threads: one.
 */
#pragma once
#include "lab.h"

struct conform_disk {
    struct bdr_source_spec spec;
    const char *ref;  /* a raw file with the content that the disk must have */
    const char *base; /* a raw file with the content at the base of CHANGED, or NULL: no changes */
    bool holes;       /* the disk has zeros that it must know of */
};

struct conform_row {
    const char *name;
    /* False: CI allows to go without this row here. */
    bool (*make)(struct lab *lab, struct conform_disk *out);
    /* Puts wrappers around the opened source; NULL: none. */
    void (*wrap)(struct bdr_source **src);
    bool since; /* a token is given to since() of an open source, not to open */
    /* More that only this row promises; NULL: nothing. */
    void (*more)(struct lab *lab, const struct conform_disk *disk);
};

extern const struct conform_row source_rows[];
extern const size_t source_rows_n;
