/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attr.h - compiler attributes and the cleanup idiom.
 *
 * BDR_AUTO(kind) declares a variable that is cleaned up when its scope ends; each owner header
 * defines bdr_auto_<kind>(). BDR_STEAL hands the value on and disarms the cleanup.
 */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define BDR_MUST_USE __attribute__((warn_unused_result))
#define BDR_NORETURN __attribute__((noreturn))
#define BDR_UNUSED __attribute__((unused))
#ifdef _WIN32
#define BDR_PRINTF(f, a) __attribute__((format(__MINGW_PRINTF_FORMAT, f, a)))
#else
#define BDR_PRINTF(f, a) __attribute__((format(printf, f, a)))
#endif

#define BDR_AUTO(kind) __attribute__((cleanup(bdr_auto_##kind), unused))
#define BDR_STEAL(p)                                                                                                   \
    __extension__({                                                                                                    \
        __typeof__(p) bdr_stolen_ = (p);                                                                               \
        (p) = NULL;                                                                                                    \
        bdr_stolen_;                                                                                                   \
    })
#define BDR_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BDR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define BDR_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Declares bdr_auto_<kind>(type *), which frees through `fn`. */
#define BDR_AUTO_DEFINE(kind, type, fn)                                                                                \
    BDR_UNUSED static inline void bdr_auto_##kind(type *p)                                                             \
    {                                                                                                                  \
        if (*p)                                                                                                        \
            fn(*p);                                                                                                    \
    }

BDR_UNUSED static inline void bdr_auto_mem(void *p)
{
    free(*(void **)p);
}
BDR_UNUSED static inline void bdr_auto_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
BDR_UNUSED static inline int bdr_fd_steal(int *fd)
{
    int got = *fd;

    *fd = -1;
    return got;
}
