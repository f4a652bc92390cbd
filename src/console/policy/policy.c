/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"
#include "bdr/bytes.h"
#include "policy/zone.h"
#include <stdio.h>
#include <string.h>

#define INTERVAL_MAX_MS (INT64_C(366) * 86400000)
#define WINDOW_MINUTES  (8 * 24 * 60)

struct bdr_err *bdr_policy_parse(const struct bdr_policy_text *text, struct bdr_policy *out)
{
    struct bdr_policy p = {.interval_ms = text->interval_ms, .rpo_ms = text->rpo_ms, .has_cron = *text->cron != 0};
    struct bdr_retention retention;

    if (!text->interval_ms && !p.has_cron)
        BDR_FAIL(BDR_INVAL, 0, "a policy needs an interval or a crontab line");
    if (text->interval_ms && (text->interval_ms < BDR_POLICY_INTERVAL_MIN_MS || text->interval_ms > INTERVAL_MAX_MS))
        BDR_FAIL(BDR_INVAL, 0, "the interval is one minute at least, a year at most");
    if (text->rpo_ms < 0 || (text->rpo_ms && text->interval_ms && text->rpo_ms < text->interval_ms))
        BDR_FAIL(BDR_INVAL, 0, "an RPO shorter than the interval would always be missed");
    if (p.has_cron)
        BDR_TRY_FOR(bdr_cron_parse(text->cron, &p.cron), "the crontab line");
    BDR_TRY(bdr_zone_check(text->zone));
    snprintf(p.zone, sizeof(p.zone), "%s", text->zone);
    BDR_TRY_FOR(bdr_windows_parse(text->windows, &p.windows), "the windows");
    BDR_TRY_FOR(bdr_bandwidth_parse(text->bandwidth, &p.bandwidth), "the bandwidth");
    BDR_TRY_FOR(bdr_retention_parse(text->retention, &retention), "the retention");
    *out = p;
    return NULL;
}

struct bdr_err *bdr_policy_open(const struct bdr_policy *p, int64_t from_ms, int64_t *out_ms)
{
    int64_t t = from_ms;

    for (int i = 0; i < WINDOW_MINUTES; i++) {
        struct tm tm;

        BDR_TRY(bdr_zone_local(p->zone, t, &tm));
        if (bdr_windows_open(&p->windows, tm.tm_wday, tm.tm_hour * 60 + tm.tm_min)) {
            *out_ms = t;
            return NULL;
        }
        t = (t / 60000 + 1) * 60000;
    }
    *out_ms = -1;
    return NULL;
}

struct bdr_err *bdr_policy_bandwidth(const struct bdr_policy *p, int64_t now_ms, uint64_t *out_bps)
{
    struct tm tm;

    BDR_TRY(bdr_zone_local(p->zone, now_ms, &tm));
    *out_bps = bdr_bandwidth_at(&p->bandwidth, tm.tm_wday, tm.tm_hour * 60 + tm.tm_min);
    return NULL;
}

/* Of an interval: the newest time that has come, and how many came with it. */
static void next_interval(const struct bdr_policy *p, int64_t created_ms, int64_t last_ms, int64_t now_ms,
                          int64_t *out_ms, int64_t *out_missed)
{
    int64_t next = last_ms ? last_ms + p->interval_ms : created_ms, late = now_ms - next;

    *out_missed = late > 0 ? late / p->interval_ms : 0;
    *out_ms = next + *out_missed * p->interval_ms; /* stays on the grid of the first run */
}

static struct bdr_err *next_cron(const struct bdr_policy *p, int64_t last_ms, int64_t now_ms, int64_t *out_ms,
                                 int64_t *out_missed)
{
    int64_t next = 0, due = -1;

    *out_missed = 0;
    BDR_TRY(bdr_cron_next(&p->cron, p->zone, last_ms, &due));
    /* counted up to a thousand: "very many" is enough to know */
    for (next = due; next >= 0 && next <= now_ms && *out_missed < 1000; ++*out_missed) {
        due = next;
        BDR_TRY(bdr_cron_next(&p->cron, p->zone, next, &next));
    }
    if (*out_missed)
        --*out_missed;
    *out_ms = due;
    return NULL;
}

struct bdr_err *bdr_policy_next(const struct bdr_policy *p, int64_t created_ms, int64_t last_ms, int64_t now_ms,
                                int64_t *out_ms, int64_t *out_missed)
{
    int64_t by_interval = -1, by_cron = -1, missed = 0, missed_cron = 0, due;

    if (p->interval_ms)
        next_interval(p, created_ms, last_ms, now_ms, &by_interval, &missed);
    if (p->has_cron)
        BDR_TRY(next_cron(p, last_ms ? last_ms : created_ms, now_ms, &by_cron, &missed_cron));
    if (by_interval < 0 || (by_cron >= 0 && by_cron < by_interval)) {
        due = by_cron;
        missed = missed_cron;
    } else {
        due = by_interval;
    }
    *out_missed = missed;
    *out_ms = due;
    if (due < 0)
        return NULL;
    /* what is due already begins now, not in a window that has passed */
    return bdr_policy_open(p, BDR_MAX(due, due <= now_ms && p->windows.n ? now_ms : due), out_ms);
}

int64_t bdr_policy_rpo_ms(int64_t interval_ms, int64_t rpo_ms)
{
    return rpo_ms ? rpo_ms : interval_ms * 2;
}

struct bdr_rpo bdr_rpo_measure(int64_t rpo_ms, int64_t protected_ms, int64_t last_point_ms, int64_t now_ms)
{
    int64_t since = last_point_ms ? last_point_ms : protected_ms;
    struct bdr_rpo r = {.age_ms = BDR_MAX(now_ms - since, (int64_t)0)};

    r.missed = rpo_ms > 0 && r.age_ms > rpo_ms;
    r.over_ms = r.missed ? r.age_ms - rpo_ms : 0;
    return r;
}

static const struct {
    const char *name;
    size_t at;
} retention_words[] = {
    {"last", offsetof(struct bdr_retention, last)},       {"hourly", offsetof(struct bdr_retention, hourly)},
    {"daily", offsetof(struct bdr_retention, daily)},     {"weekly", offsetof(struct bdr_retention, weekly)},
    {"monthly", offsetof(struct bdr_retention, monthly)}, {"yearly", offsetof(struct bdr_retention, yearly)},
};

static struct bdr_err *retention_within(const char *text, int64_t *out)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'h', 3600000}, {'d', 86400000}, {'w', 604800000}};
    char digits[8];
    size_t n = strspn(text, "0123456789");
    uint64_t v = 0;

    for (size_t i = 0; n && n < sizeof(digits) && i < BDR_COUNT(units); i++)
        if (text[n] == units[i].unit && !text[n + 1]) {
            snprintf(digits, sizeof(digits), "%.*s", (int)n, text);
            BDR_TRY(bdr_u64_parse(digits, 9999999, &v));
            *out = (int64_t)v * units[i].ms;
            return NULL;
        }
    BDR_FAIL(BDR_INVAL, 0, "'%s' is no time like 12h, 30d or 8w", text);
}

static struct bdr_err *retention_word(char *word, struct bdr_retention *r)
{
    char *value = strchr(word, '=');
    uint32_t had;
    uint64_t v = 0;

    if (!value)
        BDR_FAIL(BDR_INVAL, 0, "'%s' is not like daily=7", word);
    *value++ = 0;
    if (!strcmp(word, "within")) {
        if (r->within_ms)
            BDR_FAIL(BDR_INVAL, 0, "within is there twice");
        return retention_within(value, &r->within_ms);
    }
    for (size_t i = 0; i < BDR_COUNT(retention_words); i++)
        if (!strcmp(word, retention_words[i].name)) {
            char *at = (char *)r + retention_words[i].at;

            memcpy(&had, at, sizeof(had));
            if (had)
                BDR_FAIL(BDR_INVAL, 0, "%s is there twice", word);
            BDR_TRY_FOR(bdr_u64_parse(value, 100000, &v), "%s", word);
            had = (uint32_t)v;
            memcpy(at, &had, sizeof(had));
            return NULL;
        }
    BDR_FAIL(BDR_INVAL, 0, "'%s' is none of last, hourly, daily, weekly, monthly, yearly, within", word);
}

struct bdr_err *bdr_retention_parse(const char *text, struct bdr_retention *out)
{
    struct bdr_retention r = {0};

    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " ");
        char word[32];

        if (len >= sizeof(word))
            BDR_FAIL(BDR_INVAL, 0, "'%.*s' is not like daily=7", (int)sizeof(word), p);
        snprintf(word, sizeof(word), "%.*s", (int)len, p);
        if (len)
            BDR_TRY(retention_word(word, &r));
        p += len;
        p += strspn(p, " ");
    }
    *out = r;
    return NULL;
}

void bdr_retention_text(const struct bdr_retention *r, char *out, size_t n)
{
    size_t used = 0;

    *out = 0;
    for (size_t i = 0; i < BDR_COUNT(retention_words); i++) {
        uint32_t v;

        memcpy(&v, (const char *)r + retention_words[i].at, sizeof(v));
        if (v && used < n)
            used += (size_t)snprintf(out + used, n - used, "%s%s=%u", used ? " " : "", retention_words[i].name, v);
    }
    if (r->within_ms && used < n)
        snprintf(out + used, n - used, "%swithin=%lldh", used ? " " : "", (long long)(r->within_ms / 3600000));
}
