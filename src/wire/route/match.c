/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns: compile, match. Literals win over parameters because rows are sorted that way when they compare. */
#include "route_i.h"
#include <stdio.h>
#include <string.h>

static bool type_read(const char *s, size_t len, enum param_type *out)
{
    static const char *const names[] = {
        [PARAM_ID] = "id", [PARAM_U64] = "u64", [PARAM_PATH] = "path", [PARAM_SECRET] = "secret"};

    for (size_t i = 0; i < BDR_COUNT(names); i++)
        if (strlen(names[i]) == len && !strncmp(names[i], s, len)) {
            *out = (enum param_type)i;
            return true;
        }
    return false;
}

static bool segment_read(const char *s, size_t len, struct segment *out)
{
    const char *colon;
    size_t name;

    *out = (struct segment){.text = s, .len = len};
    if (!len)
        return false;
    if (s[0] != '{')
        return !memchr(s, '{', len) && !memchr(s, '}', len);
    if (len < 3 || s[len - 1] != '}')
        return false;
    out->param = true;
    out->text = s + 1;
    colon = memchr(s, ':', len);
    name = colon ? (size_t)(colon - s) - 1 : len - 2;
    out->len = name;
    return name && (!colon || type_read(colon + 1, len - 2 - name - 1, &out->type));
}

struct bdr_err *route_compile(const struct bdr_route *row, struct compiled *out)
{
    const char *at = row->path;
    size_t params = 0;

    out->row = row;
    out->n = 0;
    if (at && !strcmp(at, "/"))
        return NULL;
    if (!at || at[0] != '/')
        BDR_FAIL(BDR_INTERNAL, 0, "its path must begin with /");
    while (*at == '/') {
        size_t len = strcspn(++at, "/");
        struct segment *s = &out->segments[out->n];

        if (out->n == SEGMENTS_MAX || !segment_read(at, len, s) || (s->param && ++params > PARAMS_MAX))
            BDR_FAIL(BDR_INTERNAL, 0, "its path is not right at '%s'", at);
        if (s->param && s->type == PARAM_PATH && at[len])
            BDR_FAIL(BDR_INTERNAL, 0, "a parameter of type path comes last");
        out->n++;
        at += len;
    }
    return NULL;
}

static bool id_ok(const char *s, size_t len, size_t max)
{
    return len && len <= max && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") >= len &&
           !(len <= 2 && s[0] == '.' && s[len - 1] == '.'); /* "." and ".." */
}

static bool path_ok(const char *s)
{
    while (*s) {
        size_t len = strcspn(s, "/");

        if (!id_ok(s, len, 255))
            return false;
        s += len;
        if (*s && !*++s)
            return false;
    }
    return true;
}

static bool u64_read(const char *s, size_t len, uint64_t *out)
{
    uint64_t v = 0;

    if (!len || len > 16)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    *out = v;
    return v <= (uint64_t)BDR_SHAPE_INT_MAX;
}

/* Does the path fit? Parameters are noted without copying: value points into the path. */
static bool fits(const struct compiled *c, const char *path, struct found *out, size_t lens[PARAMS_MAX])
{
    const char *at = path;

    out->n_params = 0;
    if (!c->n)
        return !strcmp(path, "/");
    for (size_t i = 0; i < c->n; i++) {
        const struct segment *s = &c->segments[i];
        size_t len, p = out->n_params;

        if (*at++ != '/')
            return false;
        len = s->param && s->type == PARAM_PATH ? strlen(at) : strcspn(at, "/");
        if (!s->param) {
            if (len != s->len || strncmp(at, s->text, len))
                return false;
        } else {
            if (s->type == PARAM_U64    ? !u64_read(at, len, &out->params[p].number)
                : s->type == PARAM_PATH ? !path_ok(at) || !len
                                        : !id_ok(at, len, s->type == PARAM_SECRET ? 255 : 64))
                return false;
            out->params[p].name = s->text;
            out->params[p].value = at;
            lens[out->n_params++] = len;
        }
        at += len;
    }
    return !*at;
}

static bool more_literal(const struct compiled *a, const struct compiled *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (a->segments[i].param != b->segments[i].param)
            return !a->segments[i].param;
    return a->n > b->n;
}

enum match route_match(const struct bdr_router *r, struct bdr_arena *arena, const char *method, const char *path,
                       struct found *out, char allow[64])
{
    const struct compiled *best = NULL, *any = NULL;
    bool head = !strcmp(method, "HEAD");
    size_t lens[PARAMS_MAX] = {0};

    allow[0] = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct compiled *c = &r->rows[i];

        if (!fits(c, path, out, lens))
            continue;
        if ((!any || more_literal(c, any)) && !(c->row->flags & BDR_R_HIDDEN)) /* what takes every path tells nothing */
            any = c;
        if (!strcmp(bdr_method_name(c->row->method), head ? "GET" : method) && (!best || more_literal(c, best)))
            best = c;
    }
    if (!any && !best)
        return MATCH_NONE;
    if (!any)
        any = best;
    /* /v1/hosts/{id} has DELETE, /v1/hosts/new has not: for "new", only its own methods count */
    if (best && more_literal(any, best))
        best = NULL;
    if (!best) {
        for (size_t i = 0; i < r->n; i++) {
            const struct compiled *c = &r->rows[i];

            if (fits(c, path, out, lens) && !more_literal(any, c))
                snprintf(allow + strlen(allow), 64 - strlen(allow), "%s%s%s", allow[0] ? ", " : "",
                         bdr_method_name(c->row->method), c->row->method == BDR_GET ? ", HEAD" : "");
        }
        return MATCH_METHOD;
    }
    fits(best, path, out, lens);
    for (size_t i = 0; i < out->n_params; i++)
        out->params[i].value = bdr_arena_text(arena, out->params[i].value, lens[i]);
    out->row = best->row;
    out->compiled = best;
    out->head = head;
    return MATCH_YES;
}
