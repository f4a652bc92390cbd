/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpulimit.h - this process takes no more than so much processor time.
 *
 * By the kernel, where our control group is ours alone and has no limit yet (version 2: cpu.max, version 1:
 * cpu.cfs_quota_us), as in a service of its own; else by pauses in bdr_os_cpu_pause, which workers call between two pieces of
 * work. We never move ourselves to another group: whoever put us into ours counts on finding us there.
 * Both bound the average from above: a burst of 100 ms, and what a worker does between two calls, come on top.
 * While file systems stand still (bdr_os_hurry in priority.h) there is no limit: everybody waits for us then.
 * Killed, a limit stays with the group, which nobody else is in; a service manager makes a new one at the next start.
 * Threads: bdr_os_cpu_limit before others start; bdr_os_cpu_pause any.
 * Depends on: base.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"
#include <stdint.h>

enum bdr_cpu_way {
    BDR_CPU_FREE,   /* no limit */
    BDR_CPU_GROUP,  /* the kernel holds us to it */
    BDR_CPU_PAUSES, /* bdr_os_cpu_pause does */
};
#define BDR_CPU_LIMIT_MAX_PCT 100000

/* Units: percent of one processor; 200 is two of them. 0: no limit any more, and the group's is taken back. */
enum bdr_cpu_way bdr_os_cpu_limit(uint32_t pct);
/* Waits while the process has had more than its share. Errors: CANCELLED. */
bdr_ret bdr_os_cpu_pause(const struct bdr_cancel *cancel);
/* How long all calls together waited. */
uint64_t bdr_os_cpu_paused_ms(void);

/* For priority.c. */
void bdr_os_cpu_lift(void);
void bdr_os_cpu_again(void);
