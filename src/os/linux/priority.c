/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/priority.h"
#include "bdr/cpulimit.h"
#include <malloc.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Source: ioprio_set(2), include/uapi/linux/ioprio.h */
#define PRIORITY_WHO_PROCESS 1
#define PRIORITY_CLASS(c, v) ((c) << 13 | (v))
#define PRIORITY_BEST_EFFORT 2
#define PRIORITY_IDLE        3
#define PRIORITY_NICE_IDLE   19

static bool priority_idle; /* written before threads start */

static void priority_set(int nice_value, int ioprio)
{
    int rc = setpriority(PRIO_PROCESS, 0, nice_value); /* Linux: the calling thread */

    rc |= (int)syscall(SYS_ioprio_set, PRIORITY_WHO_PROCESS, 0, ioprio);
    (void)rc; /* then it stays as it is */
}

void bdr_os_idle(void)
{
    priority_idle = true;
    priority_set(PRIORITY_NICE_IDLE, PRIORITY_CLASS(PRIORITY_IDLE, 0));
}

void bdr_os_hurry(void)
{
    bdr_os_cpu_lift();
    if (priority_idle)
        priority_set(0, PRIORITY_CLASS(PRIORITY_BEST_EFFORT, 0));
}

void bdr_os_idle_again(void)
{
    bdr_os_cpu_again();
    if (priority_idle)
        bdr_os_idle();
}

void bdr_os_thrifty(void)
{
    /* glibc raises this limit to the largest buffer that was ever freed (mallopt(3)); measured: 88 MiB instead of 44 */
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_ARENA_MAX, 4);
}
