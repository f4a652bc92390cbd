/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - the one error type: owned, chained, with a code callers branch on.
 *
 * A function that can fail returns bdr_ret; NULL is success. Whoever holds an error either returns it,
 * wraps it (BDR_TRY_FOR), or drops it with a reason. Codes are rows of schema/errors.def.
 * Threads: an error belongs to one thread at a time.
 */
#pragma once
#include "bdr/attr.h"
#include <stdbool.h>
#include <stddef.h>

enum bdr_code {
    BDR_OK,
#define E(name, retry, exit, title) BDR_##name,
#include "errors.def"
#undef E
    BDR_CODE_END
};

struct bdr_err {
    enum bdr_code code;
    int64_t sys;           /* errno or HTTP status; 0 when there is none */
    const char *at;        /* "file.c:123" */
    struct bdr_err *cause; /* owned; NULL at the root */
    char msg[];            /* what we were doing, to what; one line */
};
#define bdr_ret BDR_MUST_USE struct bdr_err *

#define BDR_STR2(x) #x
#define BDR_STR(x) BDR_STR2(x)
#define BDR_AT __FILE__ ":" BDR_STR(__LINE__)

/* A new error; never NULL (out of memory gives a static one). */
bdr_ret bdr_err_new(enum bdr_code code, int64_t sys, const char *at, const char *fmt, ...) BDR_PRINTF(4, 5);
/* Wraps `cause` (consumed): same code and sys, with what we were doing in front. */
bdr_ret bdr_err_wrap(struct bdr_err *cause, const char *at, const char *fmt, ...) BDR_PRINTF(3, 4);
/* The same, with another code. */
bdr_ret bdr_err_recode(struct bdr_err *cause, enum bdr_code code, const char *at, const char *fmt, ...)
    BDR_PRINTF(4, 5);
/* The same chain once more, for whoever needs an error of its own; NULL of NULL. */
bdr_ret bdr_err_copy(const struct bdr_err *err);
void bdr_err_free(struct bdr_err *err);
/* Swallow an error; `why` documents the reason at the call. NULL is fine. */
void bdr_err_drop(struct bdr_err *err, const char *why);
/* Keeps the first error of several: returns `first` if set (dropping `next`), else `next`. */
bdr_ret bdr_err_first(struct bdr_err *first, struct bdr_err *next);
/* "doing a: doing b: no space left (ENOSPC)" into buf[n]; always terminated. Returns buf. */
const char *bdr_err_text(const struct bdr_err *err, char *buf, size_t n);
const char *bdr_code_name(enum bdr_code code);  /* "NOSPACE" */
const char *bdr_code_title(enum bdr_code code); /* "no space left" */
bool bdr_code_retryable(enum bdr_code code);
int bdr_code_exit(enum bdr_code code);
/* The code for an errno: ENOSPC -> NOSPACE, ENOENT -> NOTFOUND, ... ; IO when nothing fits. */
enum bdr_code bdr_code_of_errno(int err);

#define BDR_FAIL(code, sys, ...) return bdr_err_new((code), (sys), BDR_AT, __VA_ARGS__)
/* Fails with the code that fits errno. */
#define BDR_FAIL_ERRNO(...)                                                                                            \
    do {                                                                                                               \
        int bdr_e_ = errno;                                                                                            \
        return bdr_err_new(bdr_code_of_errno(bdr_e_), bdr_e_, BDR_AT, __VA_ARGS__);                                    \
    } while (0)
#define BDR_TRY(call)                                                                                                  \
    do {                                                                                                               \
        struct bdr_err *bdr_err_ = (call);                                                                             \
        if (bdr_err_)                                                                                                  \
            return bdr_err_;                                                                                           \
    } while (0)
#define BDR_TRY_FOR(call, ...)                                                                                         \
    do {                                                                                                               \
        struct bdr_err *bdr_err_ = (call);                                                                             \
        if (bdr_err_)                                                                                                  \
            return bdr_err_wrap(bdr_err_, BDR_AT, __VA_ARGS__);                                                        \
    } while (0)
#define BDR_NOMEM_IF_NULL(p)                                                                                           \
    do {                                                                                                               \
        if (!(p))                                                                                                      \
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");                                                               \
    } while (0)

/* A broken invariant is a bug, not an error: say where and abort. */
BDR_NORETURN void bdr_assert_failed(const char *what, const char *at);
#define BDR_ASSERT(x) ((x) ? (void)0 : bdr_assert_failed(#x, BDR_AT))

BDR_AUTO_DEFINE(err, struct bdr_err *, bdr_err_free)
