/* SPDX-License-Identifier: Apache-2.0 */
/* places.h - for each target driver, a place to recover to and a second way to look at it. Tests only. */
#pragma once
#include "bdr/target.h"

struct place {
    const char *driver;
    char dir[64]; /* scratch folder of this place */
    char location[256];
    char backing[256];        /* the file that holds the bytes in the end */
    char loop[32];            /* blockdev: the loop device */
    struct bdr_child *server; /* nbd */
    bool direct;
};

/* False when this machine can't (no loop device, not root, no nbdkit): *why tells. `room` is the size for fixed ones.
 */
bool place_make(struct place *p, const char *driver, bool direct, uint64_t room, const char **why);
void place_remove(struct place *p);
/* The first `len` bytes as another program sees them after close; caller frees. */
uint8_t *place_bytes(struct place *p, size_t len);
/* Whether leftovers of an earlier write are kept between opens (not so for null). */
bool place_keeps(const struct place *p);
