/* SPDX-License-Identifier: Apache-2.0 */
/* keep.c - which points a retention policy keeps, and why. Pure. Periods are UTC; weeks are ISO 8601. */
#include "bdr/gc.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

struct keep_rule {
    const char *name, *form;
    size_t at; /* offset of its count in struct bdr_keep */
};
static const struct keep_rule keep_rules[] = {
    {"hourly", "%Y-%m-%dT%H", offsetof(struct bdr_keep, hourly)},
    {"daily", "%Y-%m-%d", offsetof(struct bdr_keep, daily)},
    {"weekly", "%G-W%V", offsetof(struct bdr_keep, weekly)},
    {"monthly", "%Y-%m", offsetof(struct bdr_keep, monthly)},
    {"yearly", "%Y", offsetof(struct bdr_keep, yearly)},
};

static void keep_add(struct bdr_keep_row *row, const char *rule, const char *detail)
{
    size_t used = row->keep ? strlen(row->why) : 0;

    row->keep = true;
    snprintf(row->why + used, sizeof(row->why) - used, "%s%s%s%s", used ? ", " : "", rule, *detail ? " " : "", detail);
}

/* One host's points [from, to), oldest first. */
static void keep_host(const struct bdr_keep *keep, int64_t now_ms, struct bdr_keep_row *row, size_t n)
{
    char text[32];

    for (size_t i = 0; i < n; i++) {
        if (n - i <= keep->last) {
            snprintf(text, sizeof(text), "%zu", n - i);
            keep_add(&row[i], "last", text);
        }
        if (keep->within_ms && now_ms - row[i].point.time_ms <= (int64_t)keep->within_ms)
            keep_add(&row[i], "within", "");
    }
    for (size_t k = 0; k < BDR_COUNT(keep_rules); k++) {
        uint32_t left;
        char period[32], last[32] = "";

        memcpy(&left, (const char *)keep + keep_rules[k].at, sizeof(left));
        /* The newest point of each period, from the newest period backwards. */
        for (size_t i = n; i-- > 0 && left;) {
            time_t t = (time_t)(row[i].point.time_ms / 1000);
            struct tm tm;

            if (!gmtime_r(&t, &tm) || !strftime(period, sizeof(period), keep_rules[k].form, &tm))
                continue;
            if (!strcmp(period, last))
                continue;
            snprintf(last, sizeof(last), "%s", period);
            keep_add(&row[i], keep_rules[k].name, period);
            left--;
        }
    }
    if (n && !row[n - 1].keep)
        keep_add(&row[n - 1], "the newest point of its host", "");
}

void bdr_keep_decide(const struct bdr_keep *keep, const struct bdr_point_info *points, size_t n, int64_t now_ms,
                     struct bdr_keep_row *out)
{
    bool none = !keep->last && !keep->hourly && !keep->daily && !keep->weekly && !keep->monthly && !keep->yearly &&
                !keep->within_ms;
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        out[i] = (struct bdr_keep_row){.point = points[i]};
        snprintf(out[i].why, sizeof(out[i].why), "no rule keeps it");
    }
    for (size_t i = 0; none && i < n; i++)
        keep_add(&out[i], "no policy given", "");
    for (size_t i = 1; !none && i <= n; i++)
        if (i == n || strcmp(points[i].host, points[from].host) != 0) {
            keep_host(keep, now_ms, out + from, i - from);
            from = i;
        }
}
