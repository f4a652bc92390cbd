/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streams.h - event streams of people last no longer than the right to have them.
 *
 * A stream is asked for once and then stays; each is looked at again after every change of accounts, sessions and
 * tokens at this console, and every two seconds for what time and other consoles change.
 * Depends on: hub, auth.      Threads: any.
 */
#pragma once
#include "console.h"

/* Ends the streams whose session or token is not good any more, or whose account has another role now. */
bdr_ret bdr_streams_review(struct bdr_console *c, int64_t now_ms);
