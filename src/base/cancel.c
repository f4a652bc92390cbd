/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/cancel.h"
#include "bdr/clock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct bdr_err *bdr_cancel_check(const struct bdr_cancel *c)
{
    if (bdr_cancelled(c))
        BDR_FAIL(BDR_CANCELLED, 0, "cancelled");
    return NULL;
}

struct bdr_err *bdr_cancel_sleep(const struct bdr_cancel *c, uint64_t ms)
{
    uint64_t end = bdr_clock_mono_ms() + ms;

    for (;;) {
        uint64_t now = bdr_clock_mono_ms(), left;

        BDR_TRY(bdr_cancel_check(c));
        if (now >= end)
            return NULL;
        left = BDR_MIN(end - now, 20);
        nanosleep(&(struct timespec){.tv_nsec = (long)left * 1000000}, NULL);
    }
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts = {0};

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t bdr_clock_mono_ns(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}
uint64_t bdr_clock_mono_ms(void)
{
    return bdr_clock_mono_ns() / 1000000;
}
int64_t bdr_clock_wall_ms(void)
{
    return (int64_t)(clock_ns(CLOCK_REALTIME) / 1000000);
}

const char *bdr_clock_text(int64_t wall_ms, char buf[24])
{
    time_t t = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(buf, 24, "%Y-%m-%dT%H:%M:%SZ", &tm))
        memcpy(buf, "?", 2);
    return buf;
}

struct bdr_err *bdr_clock_parse(const char *text, int64_t *out_wall_ms)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
                                        "%Y-%m-%dT%H:%M",     "%Y-%m-%d %H:%M",    "%Y-%m-%d"};

    for (size_t i = 0; i < BDR_COUNT(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);

        if (end && !*end) {
            *out_wall_ms = (int64_t)timegm(&tm) * 1000;
            return NULL;
        }
    }
    BDR_FAIL(BDR_INVAL, 0, "'%s' is not a time; write it like 2026-11-22T18:15:00Z (UTC)", text);
}
