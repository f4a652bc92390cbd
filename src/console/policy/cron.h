/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cron.h - crontab times: "30 2 * * mon-fri" in a time zone.
 *
 * Five fields (minute, hour, day of month, month, day of week) of *, numbers, names, ranges, steps and lists; or
 * @hourly,
 * @daily, @weekly, @monthly, @yearly. When both days are restricted either is enough, as in every cron since 1979.
 * Daylight saving: a time that the clock skips runs once, when the skip is over; one that comes twice runs once, the
 * first. A line for every hour goes by minutes that pass: it neither pauses nor runs twice as often while clocks
 * change. Threads: any.      Source: crontab(5); POSIX crontab
 */
#pragma once
#include "bdr/err.h"

struct bdr_cron {
    uint64_t minutes;                       /* bit n: minute n */
    uint32_t hours, days, months, weekdays; /* days 1..31, months 1..12, weekdays 0..6 from Sunday */
    bool any_day, any_weekday;              /* the field began with * */
};
/* INVAL naming the field and what is wrong with it, also for a date that never comes (31 February). */
bdr_ret bdr_cron_parse(const char *text, struct bdr_cron *out);
/* The first time after `after_ms`; *out_ms -1 when none comes within 30 years. Errors: INVAL no such zone. */
bdr_ret bdr_cron_next(const struct bdr_cron *c, const char *zone, int64_t after_ms, int64_t *out_ms);
