/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hours.h - what a policy says by time of day: windows in which runs begin, and bandwidth.
 *
 *   windows    mon-fri 20:00-06:00; sat,sun 00:00-24:00         a window may pass midnight and belongs to its first day
 *   bandwidth  mon-fri 08:00-18:00 10M; * 00:00-24:00 100M      bytes a second; the first line that fits; none:
 * unlimited
 *
 * Minutes of the local week; daylight saving is the zone's business. Pure. Threads: any.
 */
#pragma once
#include "bdr/err.h"

#define BDR_HOURS_MAX 32
struct bdr_hours_row {
    uint8_t days;      /* bit 0: Sunday */
    uint16_t from, to; /* minutes of the day; to <= from: past midnight */
    uint64_t bps;      /* bandwidth only; 0: nothing may pass */
};
struct bdr_hours {
    size_t n;
    struct bdr_hours_row row[BDR_HOURS_MAX];
};
bdr_ret bdr_windows_parse(const char *text, struct bdr_hours *out);
bdr_ret bdr_bandwidth_parse(const char *text, struct bdr_hours *out);
/* `weekday` 0 is Sunday, `minute` of the day. No rows: always open. */
bool bdr_windows_open(const struct bdr_hours *h, int weekday, int minute);
/* Bytes a second; UINT64_MAX: unlimited. */
uint64_t bdr_bandwidth_at(const struct bdr_hours *h, int weekday, int minute);
