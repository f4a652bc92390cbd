/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/signals.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

/* A parent that is killed ends thread by thread, and each end may say it: nobody's second wish comes so soon. */
#define SIGNALS_SAME_MS 100

static struct bdr_cancel *signals_cancel; /* written before the handlers are set */
static atomic_llong signals_first_ms;

static long long signals_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Only what signal-safety(7) allows. */
static void signals_on(int sig)
{
    static const char ctrl_c[] = "\nbdr: stopping cleanly; press Ctrl-C again to stop at once\n";
    static const char other[] = "\nbdr: stopping cleanly; send the signal again to stop at once\n";
    int saved = errno;
    ssize_t n;

    if (bdr_cancelled(signals_cancel)) {
        if (sig != SIGTERM || signals_now_ms() - atomic_load(&signals_first_ms) >= SIGNALS_SAME_MS)
            _exit(130);
        errno = saved;
        return;
    }
    atomic_store(&signals_first_ms, signals_now_ms());
    bdr_cancel_set(signals_cancel);
    n = sig == SIGINT ? write(STDERR_FILENO, ctrl_c, sizeof(ctrl_c) - 1)
                      : write(STDERR_FILENO, other, sizeof(other) - 1);
    (void)n; /* nobody listens; stopping matters more */
    errno = saved;
}

struct bdr_err *bdr_signals_setup(struct bdr_cancel *cancel)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = signals_on, .sa_flags = SA_RESTART}, old;

    signals_cancel = cancel;
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < BDR_COUNT(stops); i++) {
        if (sigaction(stops[i], NULL, &old))
            BDR_FAIL_ERRNO("asking about signal %d", stops[i]);
        if (stops[i] == SIGHUP && old.sa_handler == SIG_IGN)
            continue;
        if (sigaction(stops[i], &act, NULL))
            BDR_FAIL_ERRNO("handling signal %d", stops[i]);
    }
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        BDR_FAIL_ERRNO("ignoring SIGPIPE");
    return NULL;
}
