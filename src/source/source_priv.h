/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_priv.h - what the drivers and wrappers of src/source share and nobody else sees.
 *
 * Depends on: base.      Threads: as each function's caller.
 */
#pragma once
#include "bdr/source.h"

/* The info of a ready source; constant for its life. */
const struct bdr_source_info *source_known(const struct bdr_source *src);

/* `location` behind `scheme` if it starts with it, else the whole `location`: "file:/a" and "/a" are the same file. */
const char *source_strip(const char *location, const char *scheme);

/* Sets info->identity to prefix + text; a text that is too long keeps its end, behind a hash of all of it. */
void source_identity(struct bdr_source_info *info, const char *prefix, const char *text);

/* What to do with a regular file, by its first bytes (at least 104 when the file has them). */
enum source_magic {
    SOURCE_MAGIC_RAW,
    SOURCE_MAGIC_QCOW2,
    SOURCE_MAGIC_QCOW2_LINKED, /* names another file: backing or external data */
    SOURCE_MAGIC_OTHER,        /* a virtual disk format that only the explicit scheme opens */
};
enum source_magic source_sniff(const uint8_t *head, size_t len, const char **out_format);

/*
 * A walk over extents that tidies what a driver tells: clipped, in order, merged, cut on `align`, and gaps filled
 * with DATA when `fill` says so. Usage: init, put for each extent of the driver, end.
 */
struct source_walk {
    uint64_t at, end; /* fed up to here; where the range ends */
    uint64_t told;    /* where the driver's last extent ended */
    uint32_t align;
    bool fill;    /* a gap is DATA (the ALL walk); else it is unchanged */
    bool partial; /* a unit of `align` is begun: from cell_lo to at */
    uint64_t cell_lo;
    int cell_kind;
    int kind; /* of the extent held back for merging */
    uint64_t lo, hi;
    bdr_extent_fn fn;
    void *ctx;
    bool fn_failed; /* the error that is being returned came from fn */
};
void source_walk_init(struct source_walk *w, uint64_t off, uint64_t len, uint32_t align, bool fill, bdr_extent_fn fn,
                      void *ctx);
/* A bdr_extent_fn; ctx is the walk. INTERNAL when the driver goes backwards. */
bdr_ret source_walk_put(void *walk, const struct bdr_extent *ext);
bdr_ret source_walk_end(struct source_walk *w);

/* Puts the extents of the file `path` (spec.changed_extents) in place of the source's own changes. */
bdr_ret source_wrap_changed(struct bdr_source **src, const char *path);
