/* SPDX-License-Identifier: Apache-2.0 */
/* share.c - before each read, waits while the process has had more processor time than it may (cpulimit.h). */
#include "bdr/cpulimit.h"
#include "filter.h"

struct share_src {
    struct filter_src filter;
    const struct bdr_cancel *cancel;
};

static struct bdr_err *share_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    BDR_TRY(bdr_os_cpu_pause(((struct share_src *)src)->cancel));
    return filter_read(src, off, buf, len);
}

static const struct bdr_source_driver share_driver = {
    .name = "share",
    .title = "Limits processor time",
    .info = filter_info,
    .extents = filter_extents,
    .read = share_read,
    .token = filter_token,
    .since = filter_since,
    .touched = filter_touched,
    .check = filter_check,
    .committed = filter_committed,
    .close = filter_close,
};

struct bdr_err *bdr_source_wrap_share(struct bdr_source **src, const struct bdr_cancel *cancel)
{
    struct share_src *s = calloc(1, sizeof(*s));

    BDR_NOMEM_IF_NULL(s);
    s->cancel = cancel;
    return filter_wrap(src, &s->filter, &share_driver);
}
