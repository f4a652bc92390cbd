/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/signals.h"
#include <errno.h>
#include <signal.h>

static struct bdr_cancel *signals_cancel; /* written before the handlers are set */

/* Only what signal-safety(7) allows. */
static void signals_on(int sig)
{
    static const char ctrl_c[] = "\nbdr: stopping cleanly; press Ctrl-C again to stop at once\n";
    static const char other[] = "\nbdr: stopping cleanly; send the signal again to stop at once\n";
    int saved = errno;
    ssize_t n;

    if (bdr_cancelled(signals_cancel))
        _exit(130);
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
