/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/text.h"
#include <locale.h>
#include <string.h>
#include <wchar.h>

void bdr_text_setup(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "");
}

/* One character; an invalid byte counts as U+FFFD and one byte. Source: RFC 3629, section 4 */
static size_t text_decode(const char *s, uint32_t *out)
{
    const unsigned char *p = (const unsigned char *)s;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *p < 0x80 ? 1 : *p >= 0xf0 && *p < 0xf5 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc2 ? 2 : 0;
    uint32_t c = *p;

    *out = 0xfffd;
    if (!n || *p >= 0xf5)
        return 1;
    if (n > 1)
        c &= 0x7fu >> n;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (n > 1 && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)))
        return 1;
    *out = c;
    return n;
}

/* Controls and marks that change the direction of writing. */
static bool text_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           c == 0x200e || c == 0x200f || c == 0x2028 || c == 0x2029;
}

static unsigned text_char_width(uint32_t c)
{
    int w = text_unsafe(c) ? 1 : wcwidth((wchar_t)c);

    return w < 0 ? 1 : (unsigned)w;
}

unsigned bdr_text_width(const char *s)
{
    unsigned width = 0;
    uint32_t c;

    while (*s) {
        s += text_decode(s, &c);
        width += text_char_width(c);
    }
    return width;
}

unsigned bdr_text_put(struct bdr_buf *out, const char *s, unsigned max)
{
    bool cut = max && bdr_text_width(s) > max;
    unsigned width = 0, limit = cut ? max - 1 : 0;
    uint32_t c;

    while (*s) {
        size_t n = text_decode(s, &c);
        unsigned w = text_char_width(c);

        if (cut && width + w > limit)
            break;
        if (text_unsafe(c))
            bdr_buf_u8(out, '?');
        else if (c == 0xfffd)
            bdr_buf_put(out, "\xef\xbf\xbd", 3);
        else
            bdr_buf_put(out, s, n);
        width += w;
        s += n;
    }
    if (cut) {
        bdr_buf_put(out, "\xe2\x80\xa6", 3);
        width++;
    }
    return width;
}

const char *bdr_text_of(struct bdr_buf *b)
{
    if (!bdr_buf_reserve(b, 1))
        return "";
    b->data[b->len] = 0;
    return (const char *)b->data;
}

void bdr_text_fill(struct bdr_buf *out, char c, unsigned n)
{
    while (n--)
        bdr_buf_u8(out, (uint8_t)c);
}

void bdr_text_wrap(struct bdr_buf *out, const char *text, unsigned at, unsigned indent, unsigned width)
{
    char word[512];
    bool first = true; /* on this line */

    while (*text) {
        size_t len = strcspn(text, " \n"), copy = BDR_MIN(len, sizeof(word) - 1);
        unsigned w;

        memcpy(word, text, copy);
        word[copy] = 0;
        w = bdr_text_width(word);
        if (len && !first && width && at + 1 + w > width) {
            bdr_buf_u8(out, '\n');
            bdr_text_fill(out, ' ', indent);
            at = indent;
            first = true;
        }
        if (len && !first) {
            bdr_buf_u8(out, ' ');
            at++;
        }
        if (len) {
            at += bdr_text_put(out, word, 0);
            first = false;
        }
        text += copy;
        if (*text == '\n') {
            bdr_buf_u8(out, '\n');
            if (text[1])
                bdr_text_fill(out, ' ', indent);
            at = indent;
            first = true;
        }
        if (*text == ' ' || *text == '\n')
            text++;
    }
    if (!out->len || out->data[out->len - 1] != '\n')
        bdr_buf_u8(out, '\n');
}

void bdr_text_paragraphs(struct bdr_buf *out, const char *text, unsigned indent, unsigned width)
{
    BDR_AUTO(buf) struct bdr_buf para = {0};

    while (*text) {
        size_t len = strcspn(text, "\n");
        bool verbatim = *text == ' ', blank = !len;

        if ((blank || verbatim) && para.len) {
            bdr_text_fill(out, ' ', indent);
            bdr_text_wrap(out, bdr_text_of(&para), indent, indent, width);
            para.len = 0;
        }
        if (verbatim) {
            bdr_text_fill(out, ' ', indent);
            bdr_buf_put(out, text, len);
        } else if (len) {
            if (para.len)
                bdr_buf_u8(&para, ' ');
            bdr_buf_put(&para, text, len);
        }
        if (blank || verbatim)
            bdr_buf_u8(out, '\n');
        text += len + (text[len] == '\n');
    }
    if (para.len) {
        bdr_text_fill(out, ' ', indent);
        bdr_text_wrap(out, bdr_text_of(&para), indent, indent, width);
    }
    out->failed = out->failed || para.failed;
}
