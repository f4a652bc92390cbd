/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone.h - local time in a named zone, by the C library and its time zone files.
 *
 * The C library knows one zone a process, the variable TZ. Calls here take a lock, set it, and ask; nothing else in the
 * console may use local time. The variable is put into the environment once, as a buffer that later calls write into:
 * setenv() could move the environment while another thread (libpq, curl) reads it.
 * Threads: any.
 */
#pragma once
#include "bdr/err.h"
#include <time.h>

/* INVAL when the machine knows no zone of that name. */
bdr_ret bdr_zone_check(const char *zone);
bdr_ret bdr_zone_local(const char *zone, int64_t wall_ms, struct tm *out);
/*
 * The moment of a local time, seconds 0.
 *
 * Shape:   a time that comes twice is the first of the two; one that is skipped is the moment of the skip.
 */
bdr_ret bdr_zone_moment(const char *zone, const struct tm *local, int64_t *out_ms);
