/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.h - Ctrl-C twice: first stop cleanly, then at once.
 *
 * The first SIGINT, SIGTERM or SIGHUP sets the token and says so; the second ends the process with 130.
 * SIGPIPE is ignored: a write tells EPIPE. A SIGHUP that was ignored (nohup) stays ignored.
 */
#pragma once
#include "bdr/cancel.h"

/* `cancel` must live as long as the process. Threads: once, from main. */
bdr_ret bdr_signals_setup(struct bdr_cancel *cancel);
