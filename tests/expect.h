/* SPDX-License-Identifier: Apache-2.0 */
/* expect.h - what a call must return. Included behind cmocka.h. */
#pragma once
#include "bdr/err.h"
#include <string.h>

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
