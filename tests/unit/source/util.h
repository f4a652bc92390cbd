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

/* Fails the test with the error's text unless the call succeeds. */
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct bdr_err *ok_ = (call);                                                                                  \
        char ok_text_[512];                                                                                            \
        if (ok_)                                                                                                       \
            fail_msg("%s: %s", bdr_code_name(ok_->code), bdr_err_text(ok_, ok_text_, sizeof(ok_text_)));               \
    } while (0)

/* The call must fail with BDR_<code> and say `part`. */
#define FAILS(want, part, call)                                                                                        \
    do {                                                                                                               \
        struct bdr_err *fails_ = (call);                                                                               \
        char fails_text_[512];                                                                                         \
        assert_non_null(fails_);                                                                                       \
        bdr_err_text(fails_, fails_text_, sizeof(fails_text_));                                                        \
        if (fails_->code != BDR_##want || !strstr(fails_text_, (part)) || strchr(fails_text_, '\n'))                   \
            fail_msg("got %s: %s", bdr_code_name(fails_->code), fails_text_);                                          \
        bdr_err_free(fails_);                                                                                          \
    } while (0)

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
