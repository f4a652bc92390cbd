/* SPDX-License-Identifier: Apache-2.0 */
/*
 * null.c - a target that forgets: for measuring how fast a recovery point can be read.
 *
 * It takes every write and keeps nothing, so it cannot be verified.
 */
#include "../target_priv.h"

struct null_target {
    struct bdr_target base;
};

static struct bdr_err *null_open(const struct bdr_target_spec *spec, const char *where, struct bdr_target **out)
{
    struct null_target *t = calloc(1, sizeof(*t));

    (void)spec;
    (void)where;
    BDR_NOMEM_IF_NULL(t);
    t->base.drv = &bdr_target_null;
    *out = &t->base;
    return NULL;
}

static struct bdr_err *null_info(struct bdr_target *t, struct bdr_target_info *out)
{
    (void)t;
    out->starts_zero = true;
    return NULL;
}

static struct bdr_err *null_write(struct bdr_target *t, uint64_t off, const void *buf, size_t len)
{
    (void)t;
    (void)off;
    (void)buf;
    (void)len;
    return NULL;
}

static struct bdr_err *null_zero(struct bdr_target *t, uint64_t off, uint64_t len)
{
    (void)t;
    (void)off;
    (void)len;
    return NULL;
}

static void null_close(struct bdr_target *t)
{
    free(t);
}

const struct bdr_target_driver bdr_target_null = {
    .name = "null",
    .title = "Nothing (measuring)",
    .help = "null: reads the whole disk and keeps nothing",
    .scheme = "null:",
    .max_inflight = 16,
    .open = null_open,
    .info = null_info,
    .write = null_write,
    .zero = null_zero,
    .close = null_close,
};
