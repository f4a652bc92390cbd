/* SPDX-License-Identifier: Apache-2.0 */
/* util.h - what the unit tests of src/source share. Threads: one. */
#pragma once
#include "bdr/source.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../expect.h"

/* Collects extents as text, "D0+512 Z512+512 ", so that one assert compares a whole walk. */
struct told {
    char text[2048];
    size_t at;
};
BDR_UNUSED static struct bdr_err *told_put(void *ctx, const struct bdr_extent *ext)
{
    struct told *t = ctx;

    t->at += (size_t)snprintf(t->text + t->at, sizeof(t->text) - t->at, "%s%c%llu+%llu", t->at ? " " : "",
                              ext->kind == BDR_EXTENT_ZERO ? 'Z' : 'D', (unsigned long long)ext->off,
                              (unsigned long long)ext->len);
    return NULL;
}

BDR_UNUSED static struct bdr_source *open_ok(const char *location)
{
    struct bdr_source *src = NULL;

    OK(bdr_source_open(&(struct bdr_source_spec){.location = location}, &src));
    return src;
}
