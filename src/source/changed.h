/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changed.h - the text of a changed-extents file: what a tracker outside this program found changed.
 *
 * A line is "offset length" in bytes, decimal or 0x hexadecimal; '#' begins a comment; empty lines are fine. Any
 * order; what overlaps or touches is merged. Lines end in LF or CR LF.
 * Depends on: base.      Threads: one at a time.
 */
#pragma once
#include "bdr/err.h"
#include <stdint.h>

struct changed_extent {
    uint64_t off, len;
};
struct changed_list {
    struct changed_extent *at; /* owned; sorted, apart from each other, none empty */
    size_t n, cap;
};

/*
 * Parses `len` bytes of text for a disk of `size_bytes`; `name` is for messages.
 * Errors: INVAL names the line.
 */
bdr_ret changed_parse(const char *name, const char *text, size_t len, uint64_t size_bytes, struct changed_list *out);
void changed_free(struct changed_list *list);
/* The first extent that ends behind `off`; list->n when there is none. */
size_t changed_find(const struct changed_list *list, uint64_t off);

BDR_UNUSED static inline void bdr_auto_changed(struct changed_list *list)
{
    changed_free(list);
}
