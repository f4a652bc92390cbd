/* SPDX-License-Identifier: Apache-2.0 */
/* suggest.h - "did you mean ...?": the nearest of some names by edit distance. Threads: one a struct. */
#pragma once
#include "bdr/err.h"

struct bdr_nearest {
    const char *typed; /* borrowed */
    const char *best;  /* borrowed; NULL when nothing is near enough */
    unsigned distance;
};
/* Edits (insert, delete, replace, swap of neighbours) from a to b; names over 63 bytes count as far away. */
unsigned bdr_edit_distance(const char *a, const char *b);
/* Offers one name; kept when it is nearer than those before and near enough to be meant. */
void bdr_nearest_offer(struct bdr_nearest *n, const char *name);
/* "; did you mean 'x'?" into buf[n], or "". `front` goes before the name ("--"). Returns buf. */
const char *bdr_nearest_text(const struct bdr_nearest *nearest, const char *front, char *buf, size_t n);
