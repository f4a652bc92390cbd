/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - the console in numbers, as Prometheus reads them (text format 0.0.4).
 *
 * Threads: any.      Source: schema/metrics.def, docs/console/metrics.md
 */
#pragma once
#include "bdr/bytes.h"
#include "console.h"

#define BDR_METRICS_HOSTS     100 /* hosts with a row of their own, unless the setting metrics.hosts says otherwise */
#define BDR_METRICS_HOSTS_MAX 1000

/* Appends the whole page. */
bdr_ret bdr_metrics_text(struct bdr_console *c, int64_t now_ms, struct bdr_buf *out);
