/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h - run another program and hand it sockets that already listen.
 *
 * Lifecycle: start -> poll* -> stop. What the program writes to its standard error is kept from view: the last line
 * belongs into the error that its caller returns, and every line is an event "child.says".
 * Threads: one at a time.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct bdr_child;

struct bdr_child_spec {
    const char *const *argv; /* NULL-terminated; argv[0] without a '/' is looked up in PATH. Never a secret. */
    const int *fds;          /* passed as descriptors 3, 4, ... by the socket activation protocol */
    size_t n_fds;            /* at most BDR_CHILD_FDS */
    size_t n_quiet;          /* of those the last ones: files that it opens as /proc/self/fd/N, no sockets */
    const char *env;         /* one "NAME=value" for the program, or NULL */
    bool untrusted;          /* it gets no environment at all, what it says is not logged, and stop kills it at once */
    bool with_us;            /* it gets SIGTERM when the thread that starts it ends, however we die: no orphan keeps our port */
};
#define BDR_CHILD_FDS 8

/*
 * Starts the program; its standard input and output are /dev/null.
 *
 * Errors:  NOTFOUND no such program in PATH; NOMEM; whatever fork reports.
 * Source:  LISTEN_FDS, LISTEN_PID as in sd_listen_fds(3)
 */
bdr_ret bdr_child_start(const struct bdr_child_spec *spec, struct bdr_child **out);
/*
 * Waits until the program ends or `ms` milliseconds have passed; *out_ended tells which.
 *
 * Errors:  CANCELLED within 50 ms of the token being set.
 */
bdr_ret bdr_child_poll(struct bdr_child *c, uint64_t ms, const struct bdr_cancel *cancel, bool *out_ended);
/* Exit status 0..255, 128 + signal, or -1 while it runs. */
int bdr_child_status(const struct bdr_child *c);
/* The last line it wrote to standard error; "" when none. Borrowed until the next call on `c`. */
const char *bdr_child_said(struct bdr_child *c);
/* Waits `grace_ms` for it to end by itself, then SIGTERM, then SIGKILL; frees. NULL is fine. */
void bdr_child_stop(struct bdr_child *c, uint64_t grace_ms);
/* start, wait for the end; INVAL with what the program said when it does not exit 0. */
bdr_ret bdr_child_run(const char *const *argv, const struct bdr_cancel *cancel);

BDR_UNUSED static inline void bdr_auto_child(struct bdr_child **c)
{
    bdr_child_stop(*c, 0);
}
