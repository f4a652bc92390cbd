/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/hours.h"
#include "bdr/bytes.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const hours_days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static bool hours_day(const char **at, int *out)
{
    for (int i = 0; i < 7; i++)
        if (!strncasecmp(*at, hours_days[i], 3)) {
            *at += 3;
            *out = i;
            return true;
        }
    return false;
}

/* "mon-fri,sun" or "*" -> bits; stops behind it. */
static bool hours_days_of(const char **at, uint8_t *out)
{
    int from, to;

    *out = 0;
    if (**at == '*') {
        ++*at;
        *out = 0x7f;
        return true;
    }
    for (;;) {
        if (!hours_day(at, &from))
            return false;
        to = from;
        if (**at == '-') {
            ++*at;
            if (!hours_day(at, &to))
                return false;
        }
        for (int d = from;; d = (d + 1) % 7) {
            *out |= (uint8_t)(1 << d);
            if (d == to)
                break;
        }
        if (**at != ',')
            return true;
        ++*at;
    }
}

static bool hours_clock(const char **at, uint16_t *out)
{
    const char *p = *at;
    int h, m;

    if (!isdigit((unsigned char)p[0]) || !isdigit((unsigned char)p[1]) || p[2] != ':' ||
        !isdigit((unsigned char)p[3]) || !isdigit((unsigned char)p[4]))
        return false;
    h = (p[0] - '0') * 10 + p[1] - '0';
    m = (p[3] - '0') * 10 + p[4] - '0';
    if (m > 59 || h > 24 || (h == 24 && m))
        return false;
    *at = p + 5;
    *out = (uint16_t)(h * 60 + m);
    return true;
}

static bool hours_row(const char *p, struct bdr_hours_row *row, const char **out_rest)
{
    if (!hours_days_of(&p, &row->days) || *p != ' ')
        return false;
    p += strspn(p, " ");
    if (!hours_clock(&p, &row->from) || *p != '-')
        return false;
    p++;
    if (!hours_clock(&p, &row->to) || row->from == 24 * 60 || row->from == row->to)
        return false;
    *out_rest = p + strspn(p, " ");
    return true;
}

static struct bdr_err *hours_parse(const char *text, bool bandwidth, struct bdr_hours *out)
{
    struct bdr_hours h = {0};
    char line[96];

    for (const char *p = text; *p;) {
        const char *rest = "";
        char *end;
        size_t len;

        p += strspn(p, " ");
        len = strcspn(p, ";\n");
        snprintf(line, sizeof(line), "%.*s", (int)BDR_MIN(len, sizeof(line) - 1), p);
        for (end = line + strlen(line); end > line && end[-1] == ' '; end--)
            end[-1] = 0;
        p += len + (p[len] != 0);
        if (!*line && !p[0])
            break;
        if (h.n == BDR_HOURS_MAX)
            BDR_FAIL(BDR_INVAL, 0, "more than %d lines of hours", BDR_HOURS_MAX);
        if (len >= sizeof(line) || !hours_row(line, &h.row[h.n], &rest) || !*rest != !bandwidth)
            BDR_FAIL(BDR_INVAL, 0, "'%s' is not like %s", line,
                     bandwidth ? "mon-fri 08:00-18:00 10M" : "mon-fri 20:00-06:00");
        if (bandwidth)
            BDR_TRY_FOR(bdr_size_parse(rest, &h.row[h.n].bps), "bytes a second of '%s'", line);
        h.n++;
    }
    *out = h;
    return NULL;
}

struct bdr_err *bdr_windows_parse(const char *text, struct bdr_hours *out)
{
    return hours_parse(text, false, out);
}

struct bdr_err *bdr_bandwidth_parse(const char *text, struct bdr_hours *out)
{
    return hours_parse(text, true, out);
}

static bool hours_in(const struct bdr_hours_row *r, int weekday, int minute)
{
    if (r->from < r->to)
        return r->days >> weekday & 1 && minute >= r->from && minute < r->to;
    /* past midnight: the evening of its day, or the morning after it */
    return (r->days >> weekday & 1 && minute >= r->from) || (r->days >> (weekday + 6) % 7 & 1 && minute < r->to);
}

bool bdr_windows_open(const struct bdr_hours *h, int weekday, int minute)
{
    for (size_t i = 0; i < h->n; i++)
        if (hours_in(&h->row[i], weekday, minute))
            return true;
    return h->n == 0;
}

uint64_t bdr_bandwidth_at(const struct bdr_hours *h, int weekday, int minute)
{
    for (size_t i = 0; i < h->n; i++)
        if (hours_in(&h->row[i], weekday, minute))
            return h->row[i].bps;
    return UINT64_MAX;
}
