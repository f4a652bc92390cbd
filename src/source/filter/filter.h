/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.h - what all wrappers share: a source around a source.
 *
 * A wrapper's struct starts with a struct filter_src; the calls it does not change are filter_*(), which pass on.
 * Depends on: base.      Threads: as the wrapped source.
 */
#pragma once
#include "../source_priv.h"

struct filter_src {
    struct bdr_source base;
    struct bdr_source *inner; /* owned */
};

/* Puts `outer` (its base already zero, made by calloc) around *src. On failure *src is unchanged and `outer` is freed.
 */
bdr_ret filter_wrap(struct bdr_source **src, struct filter_src *outer, const struct bdr_source_driver *drv);
BDR_UNUSED static inline struct bdr_source *filter_inner(struct bdr_source *src)
{
    return ((struct filter_src *)src)->inner;
}

bdr_ret filter_info(struct bdr_source *src, struct bdr_source_info *out);
bdr_ret filter_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len, bdr_extent_fn fn,
                       void *ctx);
bdr_ret filter_read(struct bdr_source *src, uint64_t off, void *buf, size_t len);
bdr_ret filter_token(struct bdr_source *src, char **out);
bdr_ret filter_since(struct bdr_source *src, const char *token);
bool filter_touched(struct bdr_source *src, uint64_t off, uint64_t len);
bdr_ret filter_check(struct bdr_source *src);
bdr_ret filter_committed(struct bdr_source *src);
/* Closes what is inside and frees the wrapper's struct. */
void filter_close(struct bdr_source *src);
