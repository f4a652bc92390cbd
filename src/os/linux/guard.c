/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4 /* Linux 4.4 */
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#define GUARD_LOCK_BYTES  (64ul << 20) /* more than the program, its libraries and its stack are in one piece */
#define GUARD_STACK_BYTES 65536        /* touched in advance; we use a few KiB */

static void guard_close_range(unsigned from, unsigned to)
{
    struct rlimit lim;

    if (from > to)
        return;
#ifdef SYS_close_range
    if (!syscall(SYS_close_range, from, to, 0))
        return;
#endif
    if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur > 1u << 20)
        lim.rlim_cur = 1u << 20;
    for (unsigned fd = from; fd <= to && fd < lim.rlim_cur; fd++)
        close((int)fd);
}

void guard_close_others(const int *keep, int n)
{
    int last = -1;

    for (;;) {
        int next = -1;

        for (int i = 0; i < n; i++)
            if (keep[i] > last && (next < 0 || keep[i] < next))
                next = keep[i];
        guard_close_range((unsigned)(last + 1), next < 0 ? ~0u : (unsigned)next - 1);
        if (next < 0)
            return;
        last = next;
    }
}

static void guard_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0) /* without the right to it we are no worse off than others */
        errno = 0;
    close(fd);
}

static bool guard_lock_range(char *line)
{
    char *p = NULL;
    unsigned long from = strtoul(line, &p, 16), to = *p == '-' ? strtoul(p + 1, NULL, 16) : 0;

    if (to <= from || to - from > GUARD_LOCK_BYTES)
        return true;
    return !syscall(SYS_mlock2, from, to - from, MLOCK_ONFAULT) || errno != ENOSYS; /* [vvar] and the like say no */
}

/*
 * Lock what gets touched rather than all that is mapped: the caller's heap and its threads' stacks are in here too.
 * Not by MCL_CURRENT: before Linux 5.18 that looks at each page of a mapping that was never touched, which for the
 * repository's index (64 GiB of addresses) takes seconds, and longer than anybody waits for us. No malloc and stdio:
 * another thread of the caller may have held their locks.
 */
static void guard_lock(void)
{
    char buf[4096], *end;
    size_t have = 0;
    ssize_t n;
    bool modern = true;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && (n = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
        char *line = buf;

        buf[have + (size_t)n] = '\0';
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            modern = guard_lock_range(line) && modern;
        }
        have = strlen(line);
        if (have == sizeof(buf) - 1) /* a path longer than any; what is left of it is no range */
            have = 0;
        memmove(buf, line, have);
    }
    if (fd >= 0)
        close(fd);
    if (mlockall(modern && fd >= 0 ? MCL_FUTURE | MCL_ONFAULT : MCL_CURRENT | MCL_FUTURE))
        errno = 0; /* without the right to it we are no worse off than others */
}

static void guard_touch_stack(void)
{
    volatile char stack[GUARD_STACK_BYTES];

    for (size_t i = 0; i < sizeof(stack); i += 1024)
        stack[i] = 0;
}

void guard_settle(const char *name)
{
    static const int ignored[] = {SIGPIPE, SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
                                  SIGUSR2, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU};
    sigset_t none;

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCONT, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* Ctrl-C of the caller's terminal is not for us */
    if (chdir("/"))
        errno = 0;
    prctl(PR_SET_NAME, name);
    guard_write("/proc/self/oom_score_adj", "-1000");
    setpriority(PRIO_PROCESS, 0, -20);
    guard_lock();
    guard_touch_stack();
}
