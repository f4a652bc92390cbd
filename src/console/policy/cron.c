/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/cron.h"
#include "policy/zone.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define CRON_MAX   256
#define CRON_YEARS 30 /* 29 February on one weekday comes every 28 years, 40 around a year like 2100 */

struct cron_field {
    const char *title;
    unsigned min, max;
    const char *const *names; /* of min, min + 1, ...; NULL: numbers alone */
};
static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
static const struct cron_field cron_fields[] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of the month", 1, 31, NULL},
    {"month", 1, 12, month_names},
    {"day of the week", 0, 7, day_names}, /* 7 is Sunday too */
};
static const struct {
    const char *word, *means;
} cron_words[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
};

static struct bdr_err *cron_value(const struct cron_field *f, const char **at, const char *end, unsigned *out)
{
    unsigned v = 0;
    const char *p = *at;

    for (unsigned i = 0; f->names && f->names[i]; i++)
        if (end - p >= 3 && !strncasecmp(p, f->names[i], 3) && (end - p == 3 || !isalpha((unsigned char)p[3]))) {
            *at = p + 3;
            *out = f->min + i;
            return NULL;
        }
    if (p == end || !isdigit((unsigned char)*p))
        BDR_FAIL(BDR_INVAL, 0, "the %s '%.*s' is no number", f->title, (int)(end - p), p);
    for (; p < end && isdigit((unsigned char)*p); p++) {
        v = v * 10 + (unsigned)(*p - '0');
        if (v > 10000)
            break;
    }
    if (v < f->min || v > f->max)
        BDR_FAIL(BDR_INVAL, 0, "the %s is out of range; %u to %u", f->title, f->min, f->max);
    *at = p;
    *out = v;
    return NULL;
}

/* One item of a list: *, 5, 5-9, each with /step. */
static struct bdr_err *cron_item(const struct cron_field *f, const char *p, const char *end, uint64_t *bits)
{
    unsigned low = f->min, high = f->max, step = 1;
    bool one = false;

    if (p < end && *p == '*') {
        p++;
    } else {
        BDR_TRY(cron_value(f, &p, end, &low));
        high = low;
        one = true;
        if (p < end && *p == '-') {
            p++;
            one = false;
            BDR_TRY(cron_value(f, &p, end, &high));
            if (high == 0 && f->max == 7)
                high = 7; /* fri-sun */
        }
    }
    if (p < end && *p == '/') {
        const struct cron_field steps = {"step", 1, 1000, NULL};

        p++;
        BDR_TRY(cron_value(&steps, &p, end, &step));
        if (one)
            high = f->max; /* 5/15 is 5-59/15 */
    }
    if (p != end)
        BDR_FAIL(BDR_INVAL, 0, "the %s has '%.*s' too much", f->title, (int)(end - p), p);
    if (low > high)
        BDR_FAIL(BDR_INVAL, 0, "the %s goes from %u down to %u", f->title, low, high);
    for (unsigned v = low; v <= high; v += step)
        *bits |= UINT64_C(1) << v;
    return NULL;
}

static struct bdr_err *cron_list(const struct cron_field *f, const char *p, size_t len, uint64_t *bits)
{
    const char *end = p + len;

    *bits = 0;
    for (;;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));

        BDR_TRY(cron_item(f, p, comma ? comma : end, bits));
        if (!comma)
            return NULL;
        p = comma + 1;
    }
}

/* Whether any day of a month can be it: 30 and 31 of some months never come. */
static bool cron_comes(const struct bdr_cron *c)
{
    static const int days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (!c->any_weekday)
        return true; /* then the weekday alone is enough, or the day is * */
    for (int m = 1; m <= 12; m++)
        for (int d = 1; d <= days[m]; d++)
            if (c->months >> m & 1 && c->days >> d & 1)
                return true;
    return false;
}

struct bdr_err *bdr_cron_parse(const char *text, struct bdr_cron *out)
{
    uint64_t bits[BDR_COUNT(cron_fields)];
    struct bdr_cron c = {0};
    const char *p = text;
    size_t n = 0;

    if (strnlen(text, CRON_MAX) == CRON_MAX)
        BDR_FAIL(BDR_INVAL, 0, "a crontab line is not that long");
    p += strspn(p, " \t");
    for (size_t i = 0; *p == '@' && i <= BDR_COUNT(cron_words); i++) {
        if (i == BDR_COUNT(cron_words))
            BDR_FAIL(BDR_INVAL, 0, "'%s' is none of @hourly, @daily, @weekly, @monthly, @yearly", p);
        if (!strcmp(cron_words[i].word, p))
            p = cron_words[i].means;
    }
    for (; *p; n++) {
        size_t len = strcspn(p, " \t");

        if (n == BDR_COUNT(cron_fields))
            BDR_FAIL(BDR_INVAL, 0, "'%s' has more than five fields", text);
        if (n == 2)
            c.any_day = *p == '*';
        if (n == 4)
            c.any_weekday = *p == '*';
        BDR_TRY(cron_list(&cron_fields[n], p, len, &bits[n]));
        p += len;
        p += strspn(p, " \t");
    }
    if (n != BDR_COUNT(cron_fields))
        BDR_FAIL(BDR_INVAL, 0, "'%s' has %zu fields; minute, hour, day of month, month, day of week", text, n);
    c.minutes = bits[0];
    c.hours = (uint32_t)bits[1];
    c.days = (uint32_t)bits[2];
    c.months = (uint32_t)bits[3];
    c.weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f);
    if (!cron_comes(&c))
        BDR_FAIL(BDR_INVAL, 0, "'%s' is a day that never comes", text);
    *out = c;
    return NULL;
}

static bool cron_day(const struct bdr_cron *c, const struct tm *tm)
{
    bool day = c->days >> tm->tm_mday & 1, weekday = c->weekdays >> tm->tm_wday & 1;

    if (!(c->months >> (tm->tm_mon + 1) & 1))
        return false;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

/* The first minute of `day` (a local date) that is after `after_ms`; -1: none. */
static struct bdr_err *cron_in_day(const struct bdr_cron *c, const char *zone, const struct tm *day, int from,
                                   int64_t after_ms, int64_t *out_ms)
{
    for (int m = from; m < 24 * 60; m++) {
        struct tm at = *day;

        if (!(c->hours >> (m / 60) & 1) || !(c->minutes >> (m % 60) & 1))
            continue;
        at.tm_hour = m / 60;
        at.tm_min = m % 60;
        BDR_TRY(bdr_zone_moment(zone, &at, out_ms));
        if (*out_ms > after_ms)
            return NULL;
    }
    *out_ms = -1;
    return NULL;
}

/* For every hour: minute by minute of the real time, up to a day and an hour. -1: not within that. */
static struct bdr_err *cron_hourly(const struct bdr_cron *c, const char *zone, int64_t after_ms, int64_t *out_ms)
{
    int64_t t = (after_ms / 60000 + 1) * 60000;

    for (int i = 0; i < 25 * 60; i++, t += 60000) {
        struct tm at;

        BDR_TRY(bdr_zone_local(zone, t, &at));
        if (cron_day(c, &at) && c->minutes >> at.tm_min & 1) {
            *out_ms = t;
            return NULL;
        }
    }
    *out_ms = -1;
    return NULL;
}

struct bdr_err *bdr_cron_next(const struct bdr_cron *c, const char *zone, int64_t after_ms, int64_t *out_ms)
{
    struct tm day;
    int64_t found = -1;
    int from;

    if (c->hours == (1u << 24) - 1)
        BDR_TRY(cron_hourly(c, zone, after_ms, &found));
    if (found >= 0) {
        *out_ms = found;
        return NULL;
    }
    BDR_TRY(bdr_zone_local(zone, after_ms, &day));
    /* two hours earlier than now: after the clock went back, local times come again and only the moment tells */
    from = BDR_MAX(day.tm_hour * 60 + day.tm_min - 120, 0);
    day.tm_hour = day.tm_min = day.tm_sec = 0;
    for (int i = 0; i < CRON_YEARS * 366; i++) {
        time_t t;

        if (cron_day(c, &day))
            BDR_TRY(cron_in_day(c, zone, &day, i ? 0 : from, after_ms, &found));
        if (found >= 0)
            break;
        /* the next date; as UTC, where every day has 24 hours */
        day.tm_mday++;
        day.tm_isdst = 0;
        t = timegm(&day);
        gmtime_r(&t, &day);
    }
    *out_ms = found;
    return NULL;
}
