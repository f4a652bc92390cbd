/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

struct bdr_err *filter_wrap(struct bdr_source **src, struct filter_src *outer, const struct bdr_source_driver *drv)
{
    struct bdr_err *err;

    outer->inner = *src;
    err = bdr_source_ready(&outer->base, drv);
    if (err) {
        outer->inner = NULL; /* stays the caller's */
        bdr_source_close(&outer->base);
        return err;
    }
    *src = &outer->base;
    return NULL;
}

struct bdr_err *filter_info(struct bdr_source *src, struct bdr_source_info *out)
{
    return bdr_source_info(filter_inner(src), out);
}

struct bdr_err *filter_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                               bdr_extent_fn fn, void *ctx)
{
    return bdr_source_extents(filter_inner(src), of, off, len, fn, ctx);
}

struct bdr_err *filter_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    return bdr_source_read(filter_inner(src), off, buf, len);
}

struct bdr_err *filter_token(struct bdr_source *src, char **out)
{
    return bdr_source_token(filter_inner(src), out);
}

struct bdr_err *filter_since(struct bdr_source *src, const char *token)
{
    return bdr_source_since(filter_inner(src), token);
}

bool filter_touched(struct bdr_source *src, uint64_t off, uint64_t len)
{
    return bdr_source_touched(filter_inner(src), off, len);
}

struct bdr_err *filter_check(struct bdr_source *src)
{
    return bdr_source_check(filter_inner(src));
}

struct bdr_err *filter_committed(struct bdr_source *src)
{
    return bdr_source_committed(filter_inner(src));
}

void filter_close(struct bdr_source *src)
{
    bdr_source_close(filter_inner(src));
    free(src);
}
