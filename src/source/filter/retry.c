/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry.c - tries again what may succeed later (the retry column of errors.def): the only place that does.
 *
 * A walk over extents goes on where it stopped, so that the caller sees each extent once. What the caller's own
 * function returns is never retried.
 */
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "filter.h"

struct retry_src {
    struct filter_src filter;
    struct bdr_retry_policy policy;
    const struct bdr_cancel *cancel;
};

/* What to wait after attempt number `attempt`: doubled each time, then 50 to 100 % of it so that many disks which
 * failed together do not come back together. */
static uint64_t retry_delay_ms(const struct bdr_retry_policy *policy, uint32_t attempt)
{
    uint64_t ms = policy->first_delay_ms, part = 0;

    for (uint32_t i = 1; i < attempt && ms < policy->max_delay_ms; i++)
        ms *= 2;
    ms = BDR_MIN(ms, (uint64_t)policy->max_delay_ms);
    bdr_err_drop(bdr_os_random(&part, sizeof(part)), "without jitter then");
    return ms - part % (ms / 2 + 1);
}

/* Consumes `err` of attempt number `attempt`. NULL after a pause: try again. */
static struct bdr_err *retry_pause(struct bdr_source *src, const char *what, uint32_t attempt, struct bdr_err *err)
{
    struct retry_src *r = (struct retry_src *)src;
    uint64_t ms;

    if (!bdr_code_retryable(err->code))
        return err;
    if (attempt >= r->policy.attempts)
        return attempt > 1 ? bdr_err_wrap(err, BDR_AT, "%s failed %u times", what, attempt) : err;
    ms = retry_delay_ms(&r->policy, attempt);
    BDR_LOG(WARN, "source.retry", F_STR("disk", source_known(src)->identity), F_STR("call", what),
            F_U64("attempt", attempt), F_U64("delay_ms", ms), F_ERR(err));
    bdr_err_drop(err, "logged; the call is made again");
    return bdr_cancel_sleep(r->cancel, ms);
}

#define RETRY(src, what, call)                                                                                         \
    for (uint32_t attempt_ = 1;; attempt_++) {                                                                         \
        struct bdr_err *retry_err_ = (call);                                                                           \
        if (!retry_err_)                                                                                               \
            return NULL;                                                                                               \
        BDR_TRY(retry_pause((src), (what), attempt_, retry_err_));                                                     \
    }

struct retry_walk {
    uint64_t at; /* told up to here */
    bool fn_failed;
    bdr_extent_fn fn;
    void *ctx;
};

static struct bdr_err *retry_extent(void *ctx, const struct bdr_extent *ext)
{
    struct retry_walk *w = ctx;
    struct bdr_err *err = w->fn(w->ctx, ext);

    if (err)
        w->fn_failed = true;
    else
        w->at = ext->off + ext->len;
    return err;
}

static struct bdr_err *retry_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                     bdr_extent_fn fn, void *ctx)
{
    struct retry_walk w = {.at = off, .fn = fn, .ctx = ctx};
    uint32_t attempt = 1;

    for (;;) {
        uint64_t from = w.at;
        struct bdr_err *err = filter_extents(src, of, from, off + len - from, retry_extent, &w);

        if (!err || w.fn_failed)
            return err;
        if (w.at > from)
            attempt = 1; /* it moves on */
        BDR_TRY(retry_pause(src, "extents", attempt++, err));
    }
}

static struct bdr_err *retry_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    RETRY(src, "read", filter_read(src, off, buf, len))
}

static struct bdr_err *retry_token(struct bdr_source *src, char **out)
{
    RETRY(src, "token", filter_token(src, out))
}

static struct bdr_err *retry_since(struct bdr_source *src, const char *token)
{
    RETRY(src, "since", filter_since(src, token))
}

static struct bdr_err *retry_check(struct bdr_source *src)
{
    RETRY(src, "check", filter_check(src))
}

static struct bdr_err *retry_committed(struct bdr_source *src)
{
    RETRY(src, "committed", filter_committed(src))
}

static const struct bdr_source_driver retry_driver = {
    .name = "retry",
    .title = "Tries again",
    .info = filter_info,
    .extents = retry_extents,
    .read = retry_read,
    .token = retry_token,
    .since = retry_since,
    .touched = filter_touched,
    .check = retry_check,
    .committed = retry_committed,
    .close = filter_close,
};

struct bdr_err *bdr_source_wrap_retry(struct bdr_source **src, const struct bdr_retry_policy *policy,
                                      const struct bdr_cancel *cancel)
{
    struct retry_src *r;

    if (!policy->attempts)
        BDR_FAIL(BDR_INVAL, 0, "a retry policy needs at least 1 attempt");
    r = calloc(1, sizeof(*r));
    BDR_NOMEM_IF_NULL(r);
    r->policy = *policy;
    r->cancel = cancel;
    return filter_wrap(src, &r->filter, &retry_driver);
}
