/* SPDX-License-Identifier: Apache-2.0 */
/* From a struct to JSON text. Secrets leave only in a request that we make ourselves. */
#include "shape_i.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the UTF-8 character at s, 0 when it is none. */
static size_t utf8_char(const unsigned char *s)
{
    size_t more = s[0] < 0x80                   ? 0
                  : s[0] >= 0xc2 && s[0] < 0xe0 ? 1
                  : s[0] >= 0xe0 && s[0] < 0xf0 ? 2
                  : s[0] >= 0xf0 && s[0] < 0xf5 ? 3
                                                : 9;

    if (more == 9)
        return 0;
    for (size_t k = 1; k <= more; k++)
        if ((s[k] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] >= 0x90))
        return 0; /* longer than needed, a surrogate, or past U+10FFFF: JSON readers refuse them */
    return more + 1;
}

void bdr_json_put_text(struct bdr_buf *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    if (!s) {
        bdr_buf_put(out, "null", 4);
        return;
    }
    bdr_buf_u8(out, '"');
    while (*s) {
        size_t plain = 0, n;

        while (s[plain] >= 0x20 && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\')
            plain++;
        bdr_buf_put(out, s, plain);
        s += plain;
        if (!*s)
            break;
        n = utf8_char(s);
        if (!n)
            bdr_buf_put(out, "\xef\xbf\xbd", 3);
        else if (*s == '"' || *s == '\\')
            bdr_buf_printf(out, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7f)
            bdr_buf_printf(out, "\\u%04x", *s);
        else
            bdr_buf_put(out, s, n);
        s += n ? n : 1;
    }
    bdr_buf_u8(out, '"');
}

static struct bdr_err *object_write(const struct bdr_shape *shape, enum bdr_shape_mode mode, const char *obj,
                                    struct bdr_buf *out);

static struct bdr_err *number_write(const struct bdr_shape_field *f, enum bdr_shape_type type, const char *place,
                                    struct bdr_buf *out)
{
    int64_t v = 0;
    uint32_t u;

    if (type == BDR_T_U32) {
        memcpy(&u, place, sizeof(u));
        v = u;
    } else {
        memcpy(&v, place, sizeof(v));
    }
    if (v > BDR_SHAPE_INT_MAX || v < (type == BDR_T_I64 ? -BDR_SHAPE_INT_MAX : 0))
        BDR_FAIL(BDR_INTERNAL, 0, "field %s is outside of what JSON numbers hold", f->name);
    bdr_buf_printf(out, "%lld", (long long)v);
    return NULL;
}

static struct bdr_err *scalar_write(const struct bdr_shape_field *f, enum bdr_shape_type type, const char *place,
                                    struct bdr_buf *out)
{
    const char *text;
    char time[32];
    int64_t ms;
    double d;
    int e;
    bool b;

    if (type_is_number(type))
        return number_write(f, type, place, out);
    switch (type) {
    case BDR_T_BOOL:
        memcpy(&b, place, sizeof(b));
        bdr_buf_printf(out, "%s", b ? "true" : "false");
        return NULL;
    case BDR_T_REAL:
        memcpy(&d, place, sizeof(d));
        if (!isfinite(d))
            BDR_FAIL(BDR_INTERNAL, 0, "field %s is no finite number", f->name);
        bdr_buf_printf(out, "%.17g", d);
        return NULL;
    case BDR_T_TIME:
        memcpy(&ms, place, sizeof(ms));
        bdr_buf_printf(out, "\"%s\"", bdr_rfc3339_text(ms, time));
        return NULL;
    case BDR_T_ENUM:
        memcpy(&e, place, sizeof(e));
        for (const struct bdr_choice *c = f->choices; c->name; c++)
            if (c->value == e) {
                bdr_json_put_text(out, c->name);
                return NULL;
            }
        BDR_FAIL(BDR_INTERNAL, 0, "field %s has no choice for the value %d", f->name, e);
    case BDR_T_JSON: {
        json_t *json;
        BDR_AUTO(mem) char *dump = NULL;

        memcpy(&json, place, sizeof(json));
        dump = json ? json_dumps(json, JSON_COMPACT) : strdup("{}");
        BDR_NOMEM_IF_NULL(dump);
        bdr_buf_put(out, dump, strlen(dump));
        return NULL;
    }
    default:
        memcpy(&text, place, sizeof(text));
        if (!text)
            BDR_FAIL(BDR_INTERNAL, 0, "field %s is not set", f->name);
        bdr_json_put_text(out, text);
        return NULL;
    }
}

static struct bdr_err *array_write(const struct bdr_shape_field *f, enum bdr_shape_mode mode, const char *place,
                                   struct bdr_buf *out)
{
    struct {
        char *items;
        size_t n;
    } array;

    memcpy(&array, place, sizeof(array));
    bdr_buf_u8(out, '[');
    for (size_t i = 0; i < array.n; i++) {
        const char *item = array.items + i * item_size(f);

        if (i)
            bdr_buf_u8(out, ',');
        if (f->of == BDR_T_OBJECT)
            BDR_TRY_FOR(object_write(f->shape, mode, item, out), "item %zu of %s", i, f->name);
        else
            BDR_TRY(scalar_write(f, f->of, item, out));
    }
    bdr_buf_u8(out, ']');
    return NULL;
}

static bool field_is_shown(const struct bdr_shape_field *f, enum bdr_shape_mode mode, const char *obj)
{
    const void *p;
    bool has;

    if (mode == BDR_SHAPE_RESPONSE ? f->type == BDR_T_SECRET : (f->flags & BDR_F_READONLY) != 0)
        return false;
    if (f->has) {
        memcpy(&has, obj + f->has - 1, sizeof(has));
        return has;
    }
    if (!type_is_text(f->type) && f->type != BDR_T_JSON)
        return true;
    memcpy(&p, obj + f->offset, sizeof(p));
    return p || f->flags & BDR_F_REQUIRED;
}

static struct bdr_err *object_write(const struct bdr_shape *shape, enum bdr_shape_mode mode, const char *obj,
                                    struct bdr_buf *out)
{
    bool first = true;

    bdr_buf_u8(out, '{');
    for (const struct bdr_shape_field *f = shape->fields; f->name; f++) {
        const char *place = obj + f->offset;

        if (!field_is_shown(f, mode, obj))
            continue;
        bdr_buf_printf(out, "%s\"%s\":", first ? "" : ",", f->name);
        first = false;
        if (f->type == BDR_T_OBJECT)
            BDR_TRY(object_write(f->shape, mode, place, out));
        else if (f->type == BDR_T_ARRAY)
            BDR_TRY(array_write(f, mode, place, out));
        else
            BDR_TRY(scalar_write(f, f->type, place, out));
    }
    bdr_buf_u8(out, '}');
    return NULL;
}

struct bdr_err *bdr_shape_write(const struct bdr_shape *shape, enum bdr_shape_mode mode, const void *in,
                                struct bdr_buf *out)
{
    BDR_TRY_FOR(object_write(shape, mode, in, out), "writing a %s", shape->name);
    bdr_buf_u8(out, 0);
    BDR_TRY(bdr_buf_check(out));
    out->len--;
    return NULL;
}
