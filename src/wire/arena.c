/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/arena.h"
#include "bdr/bytes.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES 4096u /* a usual request's headers, parameters and small body fit one */

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(max_align_t) uint8_t data[];
};
struct arena_defer {
    struct arena_defer *next;
    void (*fn)(void *p);
    void *p;
};
struct bdr_arena {
    struct arena_block *blocks; /* owned; the newest first */
    struct arena_defer *defers; /* in the arena itself */
};

struct bdr_err *bdr_arena_new(struct bdr_arena **out)
{
    struct bdr_arena *a = calloc(1, sizeof(*a));

    BDR_NOMEM_IF_NULL(a);
    *out = a;
    return NULL;
}

void bdr_arena_free(struct bdr_arena *a)
{
    if (!a)
        return;
    for (struct arena_defer *d = a->defers; d; d = d->next)
        d->fn(d->p);
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        bdr_wipe(b->data, b->used);
        free(b);
    }
    free(a);
}

void *bdr_arena_alloc(struct bdr_arena *a, size_t n)
{
    struct arena_block *b = a->blocks;
    size_t want, at;

    if (n > SIZE_MAX / 2)
        return NULL;
    want = (BDR_MAX(n, (size_t)1) + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
    if (!b || b->cap - b->used < want) {
        size_t cap = BDR_MAX(want, (size_t)BLOCK_BYTES - sizeof(*b));

        b = malloc(sizeof(*b) + cap);
        if (!b)
            return NULL;
        *b = (struct arena_block){.cap = cap};
        if (a->blocks && want > BLOCK_BYTES / 2) { /* a large one does not end the use of the current block */
            b->next = a->blocks->next;
            a->blocks->next = b;
        } else {
            b->next = a->blocks;
            a->blocks = b;
        }
    }
    at = b->used;
    b->used += want;
    memset(b->data + at, 0, want);
    return b->data + at;
}

char *bdr_arena_text(struct bdr_arena *a, const char *text, size_t len)
{
    char *p = len < SIZE_MAX ? bdr_arena_alloc(a, len + 1) : NULL;

    if (p && len)
        memcpy(p, text, len);
    return p;
}

char *bdr_arena_printf(struct bdr_arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    p = n < 0 ? NULL : bdr_arena_alloc(a, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

struct bdr_err *bdr_arena_defer(struct bdr_arena *a, void (*fn)(void *p), void *p)
{
    struct arena_defer *d = bdr_arena_alloc(a, sizeof(*d));

    if (!d)
        fn(p);
    BDR_NOMEM_IF_NULL(d);
    *d = (struct arena_defer){.next = a->defers, .fn = fn, .p = p};
    a->defers = d;
    return NULL;
}
