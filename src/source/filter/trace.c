/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - logs every call at DEBUG with what it took. Costs two looks at the clock a call. */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "filter.h"

static struct bdr_err *trace_done(struct bdr_source *src, const char *call, uint64_t off, uint64_t len,
                                  uint64_t start_ns, struct bdr_err *err)
{
    const char *disk = source_known(src)->identity;
    uint64_t us = (bdr_clock_mono_ns() - start_ns) / 1000;

    if (err)
        BDR_LOG(DEBUG, "source.call", F_STR("disk", disk), F_STR("call", call), F_U64("off", off), F_U64("len", len),
                F_U64("us", us), F_ERR(err));
    else
        BDR_LOG(DEBUG, "source.call", F_STR("disk", disk), F_STR("call", call), F_U64("off", off), F_U64("len", len),
                F_U64("us", us));
    return err;
}

static struct bdr_err *trace_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                     bdr_extent_fn fn, void *ctx)
{
    uint64_t start = bdr_clock_mono_ns();

    return trace_done(src, of == BDR_EXTENTS_ALL ? "extents" : "changed", off, len, start,
                      filter_extents(src, of, off, len, fn, ctx));
}

static struct bdr_err *trace_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    uint64_t start = bdr_clock_mono_ns();

    return trace_done(src, "read", off, len, start, filter_read(src, off, buf, len));
}

static struct bdr_err *trace_token(struct bdr_source *src, char **out)
{
    uint64_t start = bdr_clock_mono_ns();

    return trace_done(src, "token", 0, 0, start, filter_token(src, out));
}

static struct bdr_err *trace_since(struct bdr_source *src, const char *token)
{
    uint64_t start = bdr_clock_mono_ns();

    return trace_done(src, "since", 0, 0, start, filter_since(src, token));
}

static struct bdr_err *trace_check(struct bdr_source *src)
{
    uint64_t start = bdr_clock_mono_ns();

    return trace_done(src, "check", 0, 0, start, filter_check(src));
}

static struct bdr_err *trace_committed(struct bdr_source *src)
{
    uint64_t start = bdr_clock_mono_ns();

    return trace_done(src, "committed", 0, 0, start, filter_committed(src));
}

static void trace_close(struct bdr_source *src)
{
    BDR_LOG(DEBUG, "source.call", F_STR("call", "close"));
    filter_close(src);
}

static const struct bdr_source_driver trace_driver = {
    .name = "trace",
    .title = "Logs calls",
    .info = filter_info,
    .extents = trace_extents,
    .read = trace_read,
    .token = trace_token,
    .since = trace_since,
    .touched = filter_touched,
    .check = trace_check,
    .committed = trace_committed,
    .close = trace_close,
};

struct bdr_err *bdr_source_wrap_trace(struct bdr_source **src)
{
    struct filter_src *t = calloc(1, sizeof(*t));

    BDR_NOMEM_IF_NULL(t);
    return filter_wrap(src, t, &trace_driver);
}
