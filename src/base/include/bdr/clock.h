/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the clocks: monotonic for durations, wall for points in time. Threads: any. */
#pragma once
#include "bdr/err.h"

uint64_t bdr_clock_mono_ms(void); /* CLOCK_BOOTTIME: goes on while the machine is suspended */
uint64_t bdr_clock_mono_ns(void);
int64_t bdr_clock_wall_ms(void); /* UTC since 1970 */
/* "2026-11-22T18:15:00Z" into buf[24]; returns buf. */
const char *bdr_clock_text(int64_t wall_ms, char buf[24]);
/* The reverse; also takes "2026-11-22" and "2026-11-22T18:15". INVAL when it is none of them. */
bdr_ret bdr_clock_parse(const char *text, int64_t *out_wall_ms);
