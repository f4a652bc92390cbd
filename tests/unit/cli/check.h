/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - assertions on errors. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include "bdr/err.h"
#include <cmocka.h>
#include <string.h>

/* No error; prints the one there is. */
BDR_UNUSED static void check_ok_at(struct bdr_err *err, const char *file, int line)
{
    char text[1024];

    if (err)
        print_error("%s\n", bdr_err_text(err, text, sizeof(text)));
    _assert_true(!err, "no error", file, line);
}
#define check_ok(call) check_ok_at((call), __FILE__, __LINE__)

/* An error of `code` whose text holds `part`. */
BDR_UNUSED static void check_fails_at(struct bdr_err *err, enum bdr_code code, const char *part, const char *file,
                                      int line)
{
    char text[1024] = "no error";
    bool right;

    bdr_err_text(err, text, sizeof(text));
    right = err && err->code == code && strstr(text, part);
    if (!right)
        print_error("wanted %s with '%s', got %s: %s\n", bdr_code_name(code), part,
                    err ? bdr_code_name(err->code) : "OK", text);
    bdr_err_free(err);
    _assert_true(right, "the right error", file, line);
}
#define check_fails(call, code, part) check_fails_at((call), (code), (part), __FILE__, __LINE__)
