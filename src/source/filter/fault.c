/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - fails reads on purpose, for tests of whoever reads. A read that fails leaves the buffer alone. */
#include "filter.h"
#include <pthread.h>

struct fault_src {
    struct filter_src filter;
    struct bdr_fault_plan plan;
    pthread_mutex_t lock; /* guards count */
    uint64_t count;
};

static struct bdr_err *fault_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct fault_src *f = (struct fault_src *)src;
    const struct bdr_fault_plan *plan = &f->plan;
    uint64_t count;

    pthread_mutex_lock(&f->lock);
    count = ++f->count;
    pthread_mutex_unlock(&f->lock);
    if (plan->every_nth && count % plan->every_nth == 0)
        BDR_FAIL(plan->code, 0, "injected fault of read number %llu", (unsigned long long)count);
    if (plan->bad_len && off < plan->bad_off + plan->bad_len && off + len > plan->bad_off)
        BDR_FAIL(plan->code, 0, "injected fault at %llu", (unsigned long long)BDR_MAX(off, plan->bad_off));
    return filter_read(src, off, buf, len);
}

static void fault_close(struct bdr_source *src)
{
    pthread_mutex_destroy(&((struct fault_src *)src)->lock);
    filter_close(src);
}

static const struct bdr_source_driver fault_driver = {
    .name = "fault",
    .title = "Fails on purpose (tests)",
    .info = filter_info,
    .extents = filter_extents,
    .read = fault_read,
    .token = filter_token,
    .since = filter_since,
    .touched = filter_touched,
    .check = filter_check,
    .committed = filter_committed,
    .close = fault_close,
};

struct bdr_err *bdr_source_wrap_fault(struct bdr_source **src, const struct bdr_fault_plan *plan)
{
    struct fault_src *f;

    if (plan->bad_off + plan->bad_len < plan->bad_off)
        BDR_FAIL(BDR_INVAL, 0, "the bad range of a fault plan wraps around");
    f = calloc(1, sizeof(*f));
    BDR_NOMEM_IF_NULL(f);
    f->plan = *plan;
    if (!f->plan.code)
        f->plan.code = BDR_IO;
    pthread_mutex_init(&f->lock, NULL);
    return filter_wrap(src, &f->filter, &fault_driver);
}
