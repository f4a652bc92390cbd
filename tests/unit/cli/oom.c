/* SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"
#include <stdlib.h>

static unsigned oom_left;
static bool oom_hit;

void oom_arm(unsigned n)
{
    oom_left = n;
    oom_hit = false;
}

bool oom_disarm(void)
{
    oom_left = 0;
    return oom_hit;
}

static bool oom_now(void)
{
    if (!oom_left || --oom_left)
        return false;
    oom_hit = true;
    return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
    return oom_now() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return oom_now() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return oom_now() ? NULL : __real_realloc(p, n);
}
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return oom_now() ? NULL : __real_reallocarray(p, n, size);
}
char *__wrap_strdup(const char *s)
{
    return oom_now() ? NULL : __real_strdup(s);
}
