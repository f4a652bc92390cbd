/* SPDX-License-Identifier: Apache-2.0 */
#include "changed.h"
#include <string.h>

#define CHANGED_LINE_SHOWN 40

void changed_free(struct changed_list *list)
{
    free(list->at);
    *list = (struct changed_list){0};
}

static bool changed_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int changed_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

/* A number that ends at a blank or at `end`; false when it is none or does not fit. */
static bool changed_number(const char **p, const char *end, uint64_t *out)
{
    const char *s = *p;
    unsigned base = 10;
    uint64_t v = 0;

    if (end - s > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    if (s == end || changed_blank(*s))
        return false;
    for (; s < end && !changed_blank(*s); s++) {
        unsigned d = (unsigned)changed_digit(*s);

        if (d >= base || v > (UINT64_MAX - d) / base)
            return false;
        v = v * base + d;
    }
    *p = s;
    *out = v;
    return true;
}

static const char *changed_skip(const char *p, const char *end)
{
    while (p < end && changed_blank(*p))
        p++;
    return p;
}

static struct bdr_err *changed_add(struct changed_list *list, struct changed_extent ext)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct changed_extent *at = realloc(list->at, cap * sizeof(*at));

        BDR_NOMEM_IF_NULL(at);
        list->at = at;
        list->cap = cap;
    }
    list->at[list->n++] = ext;
    return NULL;
}

static struct bdr_err *changed_line(const char *name, size_t number, const char *line, const char *end,
                                    uint64_t size_bytes, struct changed_list *out)
{
    const char *hash = memchr(line, '#', (size_t)(end - line)), *stop = hash ? hash : end, *p;
    int shown = (int)BDR_MIN(end - line, CHANGED_LINE_SHOWN);
    struct changed_extent ext = {0};

    p = changed_skip(line, stop);
    if (p == stop)
        return NULL;
    if (!changed_number(&p, stop, &ext.off) || (p = changed_skip(p, stop)) == stop ||
        !changed_number(&p, stop, &ext.len) || changed_skip(p, stop) != stop)
        BDR_FAIL(BDR_INVAL, 0, "%s line %zu: '%.*s' is not \"offset length\" in bytes", name, number, shown, line);
    if (ext.off > size_bytes || ext.len > size_bytes - ext.off)
        BDR_FAIL(BDR_INVAL, 0, "%s line %zu: %llu bytes at %llu are past the end of the disk (%llu bytes)", name,
                 number, (unsigned long long)ext.len, (unsigned long long)ext.off, (unsigned long long)size_bytes);
    return ext.len ? changed_add(out, ext) : NULL;
}

static int changed_cmp(const void *a, const void *b)
{
    const struct changed_extent *x = a, *y = b;

    return x->off < y->off ? -1 : x->off > y->off;
}

static void changed_merge(struct changed_list *list)
{
    size_t n = 0;

    if (!list->n)
        return;
    qsort(list->at, list->n, sizeof(list->at[0]), changed_cmp);
    for (size_t i = 1; i < list->n; i++) {
        struct changed_extent *last = &list->at[n];
        uint64_t end = last->off + last->len, hi = list->at[i].off + list->at[i].len;

        if (list->at[i].off > end)
            list->at[++n] = list->at[i];
        else if (hi > end)
            last->len = hi - last->off;
    }
    list->n = n + 1;
}

struct bdr_err *changed_parse(const char *name, const char *text, size_t len, uint64_t size_bytes,
                              struct changed_list *out)
{
    BDR_AUTO(changed) struct changed_list list = {0};
    const char *p = text, *end = text + len;

    for (size_t number = 1; p < end; number++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));

        BDR_TRY(changed_line(name, number, p, nl ? nl : end, size_bytes, &list));
        p = nl ? nl + 1 : end;
    }
    changed_merge(&list);
    *out = list;
    list = (struct changed_list){0};
    return NULL;
}

size_t changed_find(const struct changed_list *list, uint64_t off)
{
    size_t lo = 0, hi = list->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (list->at[mid].off + list->at[mid].len <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}
