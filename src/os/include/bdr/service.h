/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - being a program that runs all the time: saying so to the service manager, and giving rights up.
 *
 * Depends on: base.      Threads: any, but the rights: before others start.
 */
#pragma once
#include "bdr/err.h"
#include <stdint.h>
#include <sys/types.h>

/* "READY=1", "WATCHDOG=1", "STATUS=...": to the manager that NOTIFY_SOCKET names; nothing without one. sd_notify(3) */
void bdr_os_notify(const char *text);
/* How often the manager wants to hear WATCHDOG=1 at the latest; 0: never. */
uint64_t bdr_os_watchdog_ms(void);

/* The numbers of a user of this machine. NOTFOUND. */
bdr_ret bdr_os_user(const char *name, uid_t *out_uid, gid_t *out_gid);
/* Becomes that user for good, without any right of ours. Does nothing when we are not root. DENIED. */
bdr_ret bdr_os_become(uid_t uid, gid_t gid);
/* The same, but ports below 1024 may still be bound, by us alone: programs that we start may not. DENIED. */
bdr_ret bdr_os_become_server(uid_t uid, gid_t gid);

/*
 * What this thread, and those and the children it starts from now on, can never do again, by a filter of system calls
 * (seccomp(2)). On a kernel or processor that has none: *out_on false, and nothing is lost.
 */
enum bdr_os_never {
    BDR_NEVER_EXEC = 1, /* start another program */
    BDR_NEVER_SYSTEM =
        2,             /* mount, load modules or BPF programs, trace, look into other processes, reboot, set clocks */
    BDR_NEVER_NET = 4, /* make a socket other than to this machine (AF_UNIX, AF_NETLINK) */
    BDR_NEVER_DEVICE = 8, /* make device nodes, io_uring, open by handle */
};
bdr_ret bdr_os_never(unsigned what, bool *out_on);
/* The signal this process gets when its parent dies; ESRCH when it did already. */
bdr_ret bdr_os_die_with_parent(pid_t parent);
