/* SPDX-License-Identifier: Apache-2.0 */
/* One value: from JSON, from a query's text, from a default; one row a type. */
#include "bdr/suggest.h"
#include "shape_i.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *words;
    size_t size;
    bool text, number;
} types[BDR_T_END] = {
    [BDR_T_BOOL] = {"true or false", sizeof(bool), false, false},
    [BDR_T_U32] = {"an integer", sizeof(uint32_t), false, true},
    [BDR_T_U64] = {"an integer", sizeof(uint64_t), false, true},
    [BDR_T_I64] = {"an integer", sizeof(int64_t), false, true},
    [BDR_T_REAL] = {"a number", sizeof(double), false, false},
    [BDR_T_SIZE] = {"a number of bytes", sizeof(uint64_t), false, true},
    [BDR_T_DURATION] = {"a number of milliseconds", sizeof(uint64_t), false, true},
    [BDR_T_TIME] = {"a time like 2026-11-22T18:15:00Z", sizeof(int64_t), false, false},
    [BDR_T_ENUM] = {"one of a list of words", sizeof(int), false, false},
    [BDR_T_TEXT] = {"a text", sizeof(char *), true, false},
    [BDR_T_ID] = {"1 to 64 letters, digits, '.', '_' or '-'", sizeof(char *), true, false},
    [BDR_T_HOST] = {"a host name or an IP address", sizeof(char *), true, false},
    [BDR_T_IP] = {"an IP address", sizeof(char *), true, false},
    [BDR_T_URL] = {"an address that begins with http:// or https://", sizeof(char *), true, false},
    [BDR_T_SECRET] = {"a text", sizeof(char *), true, false},
    [BDR_T_OBJECT] = {"an object", 0, false, false},
    [BDR_T_ARRAY] = {"an array", 0, false, false},
    [BDR_T_JSON] = {"an object", sizeof(json_t *), false, false},
};

size_t scalar_size(enum bdr_shape_type type)
{
    return type < BDR_T_END ? types[type].size : 0;
}
bool type_is_text(enum bdr_shape_type type)
{
    return type < BDR_T_END && types[type].text;
}
bool type_is_number(enum bdr_shape_type type)
{
    return type < BDR_T_END && types[type].number;
}
const char *bdr_shape_type_text(enum bdr_shape_type type)
{
    return type < BDR_T_END && types[type].words ? types[type].words : "?";
}

/* "/disks/0/size": RFC 6901, with ~ and / escaped. */
static void pointer_put(struct bdr_buf *b, const struct reading_at *at)
{
    if (!at)
        return;
    pointer_put(b, at->up);
    if (!at->name) {
        bdr_buf_printf(b, "/%zu", at->index);
        return;
    }
    if (at->up || *at->name != '?')
        bdr_buf_u8(b, '/');
    for (const char *p = at->name; *p; p++) {
        if (*p == '~')
            bdr_buf_put(b, "~0", 2);
        else if (*p == '/')
            bdr_buf_put(b, "~1", 2);
        else
            bdr_buf_u8(b, (uint8_t)*p);
    }
}

void reading_fault(struct reading *r, const struct reading_at *at, enum bdr_code code, const char *fmt, ...)
{
    BDR_AUTO(buf) struct bdr_buf pointer = {0};
    char text[512];
    struct bdr_fault *f;
    va_list ap;

    if (r->faults->n == BDR_SHAPE_FAULTS_MAX) {
        r->faults->more = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pointer_put(&pointer, at);
    f = &r->faults->items[r->faults->n++];
    f->code = code;
    f->pointer = bdr_arena_text(r->arena, (const char *)pointer.data, pointer.failed ? 0 : pointer.len);
    f->text = bdr_arena_text(r->arena, text, strlen(text));
    if (!f->pointer || !f->text || pointer.failed) {
        r->nomem = true;
        f->pointer = f->text = "";
    }
}

struct bdr_err *reading_result(const struct reading *r)
{
    const struct bdr_faults *f = r->faults;

    if (r->nomem)
        BDR_FAIL(BDR_NOMEM, 0, "reading a body");
    if (f->n == 1)
        BDR_FAIL(f->items[0].code, 0, "%s %s", *f->items[0].pointer ? f->items[0].pointer : "it", f->items[0].text);
    if (f->n)
        BDR_FAIL(f->items[0].code, 0, "%s %s (and %zu%s more mistakes)",
                 *f->items[0].pointer ? f->items[0].pointer : "it", f->items[0].text, f->n - 1, f->more ? " or" : "");
    return NULL;
}

static bool expected(struct reading *r, const struct reading_at *at, enum bdr_shape_type type)
{
    reading_fault(r, at, BDR_INVAL, "must be %s", bdr_shape_type_text(type));
    return false;
}

static bool integer_of(struct scalar in, int64_t *out)
{
    BDR_AUTO(err) struct bdr_err *err = NULL;
    uint64_t v = 0;
    bool minus;

    if (in.json) {
        if (json_is_real(in.json)) { /* 5.0 is the integer 5: JSON Schema 6.1.1, and some clients write it so */
            double d = json_real_value(in.json);

            if (d != floor(d) || fabs(d) > (double)BDR_SHAPE_INT_MAX)
                return false;
            *out = (int64_t)d;
            return true;
        }
        *out = json_integer_value(in.json);
        return json_is_integer(in.json);
    }
    minus = in.text[0] == '-';
    err = bdr_u64_parse(in.text + minus, INT64_MAX, &v);
    *out = minus ? -(int64_t)v : (int64_t)v;
    return !err;
}

static bool number_read(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f,
                        enum bdr_shape_type type, struct scalar in, void *place)
{
    int64_t v, min = f->min, max = f->max ? f->max : type == BDR_T_U32 ? UINT32_MAX : BDR_SHAPE_INT_MAX;

    if (!integer_of(in, &v))
        return expected(r, at, type);
    if (type == BDR_T_I64 && !f->min)
        min = f->max ? 0 : -BDR_SHAPE_INT_MAX;
    if (v < min || v > max) {
        reading_fault(r, at, BDR_RANGE, v < min ? "is %lld; the least is %lld" : "is %lld; the most is %lld",
                      (long long)v, (long long)(v < min ? min : max));
        return false;
    }
    if (type == BDR_T_U32)
        memcpy(place, &(uint32_t){(uint32_t)v}, sizeof(uint32_t));
    else
        memcpy(place, &v, sizeof(v));
    return true;
}

static bool real_read(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f, struct scalar in,
                      void *place)
{
    char *end = NULL;
    double v = in.json ? json_number_value(in.json) : strtod(in.text, &end);

    if (in.json ? !json_is_number(in.json) : (end == in.text || *end || !isfinite(v)))
        return expected(r, at, BDR_T_REAL);
    if ((v < (double)f->min && (f->min || f->max)) || (f->max && v > (double)f->max)) {
        reading_fault(r, at, BDR_RANGE, "must be between %lld and %lld", (long long)f->min,
                      (long long)(f->max ? f->max : BDR_SHAPE_INT_MAX));
        return false;
    }
    memcpy(place, &v, sizeof(v));
    return true;
}

static bool enum_read(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f, const char *text,
                      void *place)
{
    BDR_AUTO(buf) struct bdr_buf all = {0};
    struct bdr_nearest near = {.typed = text};

    for (const struct bdr_choice *c = f->choices; c->name; c++) {
        if (!strcmp(c->name, text)) {
            memcpy(place, &c->value, sizeof(int));
            return true;
        }
        bdr_nearest_offer(&near, c->name);
        bdr_buf_printf(&all, "%s%s", all.len ? ", " : "", c->name);
    }
    if (near.best)
        reading_fault(r, at, BDR_INVAL, "must be one of %s; did you mean '%s'?", all.failed ? "?" : (char *)all.data,
                      near.best);
    else
        reading_fault(r, at, BDR_INVAL, "must be one of %s", all.failed ? "?" : (char *)all.data);
    return false;
}

static bool text_ok(enum bdr_shape_type type, const char *s, size_t chars)
{
    switch (type) {
    case BDR_T_ID:
        return chars && chars <= 64 &&
               strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == chars;
    case BDR_T_HOST:
        return text_is_host(s);
    case BDR_T_IP:
        return text_is_ip(s);
    case BDR_T_URL:
        return text_is_url(s);
    default:
        return true;
    }
}

static bool text_read(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f,
                      enum bdr_shape_type type, const char *s, size_t len, void *place)
{
    size_t chars = 0, max = f->len_max ? f->len_max : BDR_SHAPE_TEXT_MAX;
    char *copy;

    if (strlen(s) != len || !text_count(s, len, f->flags & BDR_F_LINES, &chars)) {
        reading_fault(r, at, BDR_INVAL, "must be text without control characters");
        return false;
    }
    if (chars < f->len_min || chars > max) {
        reading_fault(r, at, BDR_RANGE,
                      chars < f->len_min ? "has %zu characters; the least is %zu"
                                         : "has %zu characters; the most is %zu",
                      chars, chars < f->len_min ? (size_t)f->len_min : max);
        return false;
    }
    if (!text_ok(type, s, chars))
        return expected(r, at, type);
    if (f->pattern && text_matches(f->pattern, s) != 1) {
        reading_fault(r, at, BDR_INVAL, "must match %s", f->pattern);
        return false;
    }
    copy = bdr_arena_text(r->arena, s, len);
    r->nomem = r->nomem || !copy;
    memcpy(place, &copy, sizeof(copy));
    return copy != NULL;
}

static void json_release(void *json)
{
    json_decref(json);
}

static bool json_keep(struct reading *r, const struct reading_at *at, const json_t *json, void *place)
{
    json_t *own;

    if (!json || !json_is_object(json))
        return expected(r, at, BDR_T_JSON);
    own = json_deep_copy(json);
    if (!own) {
        r->nomem = true;
        return false;
    }
    struct bdr_err *err = bdr_arena_defer(r->arena, json_release, own);
    if (err) {
        bdr_err_drop(err, "out of memory is noted");
        r->nomem = true;
        return false;
    }
    memcpy(place, &own, sizeof(own));
    return true;
}

bool scalar_read(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f,
                 enum bdr_shape_type type, struct scalar in, void *place)
{
    int64_t ms;
    bool yes;

    if (in.json && json_is_null(in.json)) {
        reading_fault(r, at, BDR_INVAL, "is null; leave it out, or give %s", bdr_shape_type_text(type));
        return false;
    }
    if (in.json && json_is_string(in.json)) {
        in.text = json_string_value(in.json);
        in.len = json_string_length(in.json);
    }
    if (type_is_number(type))
        return number_read(r, at, f, type, in, place);
    switch (type) {
    case BDR_T_BOOL:
        yes = in.json ? json_is_true(in.json) : !strcmp(in.text, "true");
        if (in.json ? !json_is_boolean(in.json) : !yes && strcmp(in.text, "false"))
            return expected(r, at, type);
        memcpy(place, &yes, sizeof(yes));
        return true;
    case BDR_T_REAL:
        return real_read(r, at, f, in, place);
    case BDR_T_JSON:
        return json_keep(r, at, in.json, place);
    case BDR_T_TIME:
        if (!in.text || strlen(in.text) != in.len || !bdr_rfc3339_read(in.text, &ms))
            return expected(r, at, type);
        memcpy(place, &ms, sizeof(ms));
        return true;
    case BDR_T_ENUM:
        if (!in.text)
            return expected(r, at, type);
        return enum_read(r, at, f, in.text, place);
    default:
        if (!in.text)
            return expected(r, at, type);
        return text_read(r, at, f, type, in.text, in.len, place);
    }
}
