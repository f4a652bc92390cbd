/* SPDX-License-Identifier: Apache-2.0 */
/* priority.h - standing back for others, and not, for a moment. Threads: acts on the calling one and those it starts
 * later. */
#pragma once

/* Processor and disks only when nobody else wants them. What can't be set stays as it is. */
void bdr_os_idle(void);
/* While file systems stand still everybody waits for us: as usual again, and without cpulimit.h's limit;
 * bdr_os_idle_again goes back to what was before. */
void bdr_os_hurry(void);
void bdr_os_idle_again(void);
/* Memory that was freed goes back to the system, not to a heap kept for each thread. For programs that promise to stay
 * small while many threads hand buffers to each other; call it first. */
void bdr_os_thrifty(void);
