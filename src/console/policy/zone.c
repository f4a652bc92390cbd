/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/zone.h"
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ZONE_CHARS 64

static pthread_mutex_t zone_lock = PTHREAD_MUTEX_INITIALIZER; /* guards zone_tz and what tzset() made of it */
static pthread_once_t zone_put = PTHREAD_ONCE_INIT;
static char zone_tz[3 + ZONE_CHARS] = "TZ=UTC";

struct bdr_err *bdr_zone_check(const char *zone)
{
    char path[ZONE_CHARS + 32];

    if (!strcmp(zone, "UTC"))
        return NULL;
    if (!*zone || strlen(zone) >= ZONE_CHARS || !isupper((unsigned char)*zone) || strstr(zone, ".."))
        BDR_FAIL(BDR_INVAL, 0, "'%.64s' is no time zone; write it like Asia/Shanghai or UTC", zone);
    for (const char *p = zone; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("/_+-", *p))
            BDR_FAIL(BDR_INVAL, 0, "'%s' is no time zone; write it like Asia/Shanghai or UTC", zone);
    /* the library takes any nonsense for UTC: look for the file it would read */
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", zone);
    if (access(path, R_OK))
        BDR_FAIL(BDR_INVAL, 0, "this machine knows no time zone '%s'; write it like Asia/Shanghai or UTC", zone);
    return NULL;
}

static void zone_once(void)
{
    putenv(zone_tz);
}

static void zone_enter(const char *zone)
{
    pthread_once(&zone_put, zone_once);
    pthread_mutex_lock(&zone_lock);
    snprintf(zone_tz, sizeof(zone_tz), "TZ=%s", zone);
    tzset(); /* reads the zone's file only when it is another one than the last */
}

static void zone_leave(void)
{
    pthread_mutex_unlock(&zone_lock);
}

struct bdr_err *bdr_zone_local(const char *zone, int64_t wall_ms, struct tm *out)
{
    time_t t = (time_t)(wall_ms / 1000);
    bool ok;

    BDR_TRY(bdr_zone_check(zone));
    zone_enter(zone);
    ok = localtime_r(&t, out) != NULL;
    zone_leave();
    if (!ok)
        BDR_FAIL(BDR_RANGE, 0, "%lld is too far away for a calendar", (long long)wall_ms);
    return NULL;
}

static bool same_minute(const struct tm *a, const struct tm *b)
{
    return a->tm_min == b->tm_min && a->tm_hour == b->tm_hour && a->tm_mday == b->tm_mday && a->tm_mon == b->tm_mon &&
           a->tm_year == b->tm_year;
}

struct bdr_err *bdr_zone_moment(const char *zone, const struct tm *local, int64_t *out_ms)
{
    time_t best = -1, low, high;
    struct tm tm;

    BDR_TRY(bdr_zone_check(zone));
    zone_enter(zone);
    for (int dst = 0; dst <= 1; dst++) {
        struct tm back;
        time_t t;

        tm = *local;
        tm.tm_sec = 0;
        tm.tm_isdst = dst;
        t = mktime(&tm);
        if (t != -1 && localtime_r(&t, &back) && same_minute(&back, local) && (best == -1 || t < best))
            best = t;
    }
    if (best == -1) {
        /* skipped: between its meaning before the change and after it lies the change itself; found by halving */
        tm = *local;
        tm.tm_sec = 0;
        tm.tm_isdst = -1;
        best = mktime(&tm);
        low = best - 86400;
        high = best + 86400;
        while (best != -1 && high - low > 1) {
            time_t mid = low + (high - low) / 2;
            struct tm at_mid, want = *local;

            localtime_r(&mid, &at_mid);
            /* compared as if both were UTC: the order of wall clocks */
            if (timegm(&at_mid) < timegm(&want))
                low = mid;
            else
                high = mid;
        }
        best = best == -1 ? -1 : high;
    }
    zone_leave();
    if (best == -1)
        BDR_FAIL(BDR_RANGE, 0, "that time is too far away for a calendar");
    *out_ms = (int64_t)best * 1000;
    return NULL;
}
