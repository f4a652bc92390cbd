/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/err.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *title;
    int retry, exit;
} code_rows[BDR_CODE_END] = {
    [BDR_OK] = {"OK", "success", 0, 0},
#define E(n, r, x, t) [BDR_##n] = {#n, t, r, x},
#include "errors.def"
#undef E
};

/* Given out when memory for an error can't be had; never freed. */
static _Alignas(struct bdr_err) unsigned char nomem_room[sizeof(struct bdr_err) + 32];

static void nomem_fill(void)
{
    struct bdr_err *err = (struct bdr_err *)(void *)nomem_room;

    *err = (struct bdr_err){.code = BDR_NOMEM, .at = "err.c"};
    memcpy(err->msg, "out of memory", sizeof("out of memory"));
}

static struct bdr_err *nomem_err(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, nomem_fill);
    return (struct bdr_err *)(void *)nomem_room;
}

static struct bdr_err *err_make(enum bdr_code code, int64_t sys, const char *at, struct bdr_err *cause, const char *fmt,
                                va_list ap)
{
    struct bdr_err *err;
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        n = 0;
    err = malloc(sizeof(*err) + (size_t)n + 1);
    if (!err) {
        bdr_err_free(cause);
        return nomem_err();
    }
    *err = (struct bdr_err){.code = code, .sys = sys, .at = at, .cause = cause};
    vsnprintf(err->msg, (size_t)n + 1, fmt, ap);
    return err;
}

struct bdr_err *bdr_err_new(enum bdr_code code, int64_t sys, const char *at, const char *fmt, ...)
{
    va_list ap;
    struct bdr_err *err;

    va_start(ap, fmt);
    err = err_make(code, sys, at, NULL, fmt, ap);
    va_end(ap);
    return err;
}

struct bdr_err *bdr_err_wrap(struct bdr_err *cause, const char *at, const char *fmt, ...)
{
    va_list ap;
    struct bdr_err *err;

    va_start(ap, fmt);
    err = err_make(cause->code, cause->sys, at, cause, fmt, ap);
    va_end(ap);
    return err;
}

struct bdr_err *bdr_err_recode(struct bdr_err *cause, enum bdr_code code, const char *at, const char *fmt, ...)
{
    va_list ap;
    struct bdr_err *err;

    va_start(ap, fmt);
    err = err_make(code, cause->sys, at, cause, fmt, ap);
    va_end(ap);
    return err;
}

struct bdr_err *bdr_err_copy(const struct bdr_err *err)
{
    struct bdr_err *copy = NULL, **at = &copy;

    for (; err; err = err->cause) {
        size_t n = sizeof(*err) + strlen(err->msg) + 1;

        *at = malloc(n);
        if (!*at) {
            bdr_err_free(copy);
            return nomem_err();
        }
        memcpy(*at, err, n);
        (*at)->cause = NULL;
        at = &(*at)->cause;
    }
    return copy;
}

void bdr_err_free(struct bdr_err *err)
{
    while (err && err != nomem_err()) {
        struct bdr_err *cause = err->cause;

        free(err);
        err = cause;
    }
}

void bdr_err_drop(struct bdr_err *err, const char *why)
{
    (void)why;
    bdr_err_free(err);
}

struct bdr_err *bdr_err_first(struct bdr_err *first, struct bdr_err *next)
{
    if (!first)
        return next;
    bdr_err_free(next);
    return first;
}

const char *bdr_err_text(const struct bdr_err *err, char *buf, size_t n)
{
    const struct bdr_err *root = err;
    size_t at = 0;

    if (n)
        buf[0] = 0;
    for (const struct bdr_err *e = err; e; root = e, e = e->cause) {
        int w = snprintf(buf + at, n - at, "%s%s", at ? ": " : "", e->msg);

        if (w < 0 || (size_t)w >= n - at)
            return buf;
        at += (size_t)w;
    }
    if (root && root->sys > 0 && root->sys < 200)
        snprintf(buf + at, n - at, ": %s", strerror((int)root->sys));
    else if (root && root->sys >= 200 && root->sys < 600)
        snprintf(buf + at, n - at, " (HTTP %d)", (int)root->sys);
    return buf;
}

const char *bdr_code_name(enum bdr_code code)
{
    return code < BDR_CODE_END ? code_rows[code].name : "?";
}
const char *bdr_code_title(enum bdr_code code)
{
    return code < BDR_CODE_END ? code_rows[code].title : "?";
}
bool bdr_code_retryable(enum bdr_code code)
{
    return code < BDR_CODE_END && code_rows[code].retry;
}
int bdr_code_exit(enum bdr_code code)
{
    return code < BDR_CODE_END ? code_rows[code].exit : 1;
}

enum bdr_code bdr_code_of_errno(int err)
{
    static const struct {
        int err;
        enum bdr_code code;
    } rows[] = {
        {ENOENT, BDR_NOTFOUND},     {ENOTDIR, BDR_NOTFOUND},     {EEXIST, BDR_EXISTS},     {ENOTEMPTY, BDR_EXISTS},
        {EACCES, BDR_DENIED},       {EPERM, BDR_DENIED},         {ENOSPC, BDR_NOSPACE},    {EDQUOT, BDR_NOSPACE},
        {EFBIG, BDR_NOSPACE},       {EROFS, BDR_READONLY},       {EBUSY, BDR_BUSY},        {EAGAIN, BDR_BUSY},
        {ETXTBSY, BDR_BUSY},        {ENOMEM, BDR_NOMEM},         {EINVAL, BDR_INVAL},      {ENAMETOOLONG, BDR_INVAL},
        {EISDIR, BDR_INVAL},        {ETIMEDOUT, BDR_TIMEOUT},    {ECONNREFUSED, BDR_NET},  {ECONNRESET, BDR_NET},
        {EPIPE, BDR_NET},           {ENETUNREACH, BDR_NET},      {EHOSTUNREACH, BDR_NET},  {ENOTCONN, BDR_NET},
        {ENOTSUP, BDR_UNSUPPORTED}, {EOVERFLOW, BDR_RANGE},      {ERANGE, BDR_RANGE},      {ECANCELED, BDR_CANCELLED},
        {ENOSYS, BDR_UNSUPPORTED},  {ENODEV, BDR_NOTFOUND},      {ENXIO, BDR_NOTFOUND},    {ESTALE, BDR_STALE},
    };

    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (rows[i].err == err)
            return rows[i].code;
    return BDR_IO;
}

void bdr_assert_failed(const char *what, const char *at)
{
    fprintf(stderr, "bdr: internal invariant broken at %s: %s\n", at, what);
    abort();
}
