/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/bytes.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void bdr_buf_free(struct bdr_buf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct bdr_buf){0};
}

bool bdr_buf_reserve(struct bdr_buf *b, size_t more)
{
    size_t want;
    uint8_t *data;

    if (b->failed || more > SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return false;
    }
    if (b->cap - b->len >= more)
        return true;
    want = BDR_MAX(b->len + more, b->cap * 2);
    want = BDR_MAX(want, 64);
    data = realloc(b->data, want);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = want;
    return true;
}

void bdr_buf_put(struct bdr_buf *b, const void *data, size_t len)
{
    if (!len || !bdr_buf_reserve(b, len))
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void buf_le(struct bdr_buf *b, uint64_t v, size_t n)
{
    uint8_t raw[8];

    for (size_t i = 0; i < n; i++)
        raw[i] = (uint8_t)(v >> (8 * i));
    bdr_buf_put(b, raw, n);
}

void bdr_buf_u8(struct bdr_buf *b, uint8_t v)
{
    buf_le(b, v, 1);
}
void bdr_buf_u16(struct bdr_buf *b, uint16_t v)
{
    buf_le(b, v, 2);
}
void bdr_buf_u32(struct bdr_buf *b, uint32_t v)
{
    buf_le(b, v, 4);
}
void bdr_buf_u64(struct bdr_buf *b, uint64_t v)
{
    buf_le(b, v, 8);
}

void bdr_buf_printf(struct bdr_buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !bdr_buf_reserve(b, (size_t)n + 1)) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

struct bdr_err *bdr_buf_check(const struct bdr_buf *b)
{
    if (b->failed)
        BDR_FAIL(BDR_NOMEM, 0, "growing a buffer");
    return NULL;
}

size_t bdr_cur_left(const struct bdr_cur *c)
{
    return (size_t)(c->end - c->at);
}

const uint8_t *bdr_cur_take(struct bdr_cur *c, size_t len)
{
    const uint8_t *at = c->at;

    if (c->failed || len > bdr_cur_left(c)) {
        c->failed = true;
        return NULL;
    }
    c->at += len;
    return at;
}

static uint64_t cur_le(struct bdr_cur *c, size_t n)
{
    const uint8_t *raw = bdr_cur_take(c, n);
    uint64_t v = 0;

    for (size_t i = 0; raw && i < n; i++)
        v |= (uint64_t)raw[i] << (8 * i);
    return v;
}

uint8_t bdr_cur_u8(struct bdr_cur *c)
{
    return (uint8_t)cur_le(c, 1);
}
uint16_t bdr_cur_u16(struct bdr_cur *c)
{
    return (uint16_t)cur_le(c, 2);
}
uint32_t bdr_cur_u32(struct bdr_cur *c)
{
    return (uint32_t)cur_le(c, 4);
}
uint64_t bdr_cur_u64(struct bdr_cur *c)
{
    return cur_le(c, 8);
}

char *bdr_hex(const void *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *raw = data;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[2 * n] = 0;
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool bdr_unhex(const char *hex, void *out, size_t n)
{
    uint8_t *raw = out;

    if (strlen(hex) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return false;
        raw[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

bool bdr_all_zero(const void *data, size_t n)
{
    const uint8_t *p = data;

    /* A zero first byte and every byte equal to the one before: memcmp runs at memory speed. */
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

void bdr_wipe(void *data, size_t n)
{
    if (data && n)
        explicit_bzero(data, n);
}

const char *bdr_size_text(uint64_t bytes, char buf[16])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t u = 0;

    while (v >= 1024 && u + 1 < BDR_COUNT(units)) {
        v /= 1024;
        u++;
    }
    snprintf(buf, 16, u && v < 100 ? "%.1f %s" : "%.0f %s", v, units[u]);
    return buf;
}

struct bdr_err *bdr_size_parse(const char *text, uint64_t *out)
{
    static const char units[] = "KMGTPE";
    char *end = NULL;
    double v;
    double mult = 1;

    errno = 0;
    v = strtod(text, &end);
    if (end == text || errno || !(v >= 0))
        BDR_FAIL(BDR_INVAL, 0, "'%s' is not a size; write it like 4096, 64K, 1.5G", text);
    if (*end) {
        const char *u = strchr(units, *end >= 'a' ? *end - 32 : *end);

        if (!u)
            BDR_FAIL(BDR_INVAL, 0, "'%s' is not a size; the units are K, M, G, T, P", text);
        for (const char *p = units; p <= u; p++)
            mult *= 1024;
        end++;
        if (*end == 'i')
            end++;
        if (*end == 'B')
            end++;
        if (*end)
            BDR_FAIL(BDR_INVAL, 0, "'%s' is not a size; write it like 4096, 64K, 1.5G", text);
    }
    if (v * mult >= 18446744073709551615.0)
        BDR_FAIL(BDR_RANGE, 0, "'%s' is too large", text);
    *out = (uint64_t)(v * mult);
    return NULL;
}

struct bdr_err *bdr_u64_parse(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (!*text)
        BDR_FAIL(BDR_INVAL, 0, "a number is missing");
    for (const char *p = text; *p; p++) {
        uint64_t d = (uint64_t)(*p - '0');

        if (*p < '0' || *p > '9')
            BDR_FAIL(BDR_INVAL, 0, "'%s' is not a number", text);
        if (v > (UINT64_MAX - d) / 10 || v * 10 + d > max)
            BDR_FAIL(BDR_RANGE, 0, "%s is more than %llu", text, (unsigned long long)max);
        v = v * 10 + d;
    }
    *out = v;
    return NULL;
}
