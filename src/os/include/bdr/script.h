/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.h - run the operator's program before and after the file systems stand still: to flush a database, to say that it may go on.
 *
 * Depends on: base.      Threads: any.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

#define BDR_SCRIPT_SAID_BYTES 4096 /* of what a script says, the end is kept */

enum bdr_script_phase { BDR_SCRIPT_PRE, BDR_SCRIPT_POST };

/*
 * Refuses a program that somebody else could have put there: not owned by root or us, or writable by everybody, itself or any folder
 * above it. Symbolic links are followed. bdr_script_run() checks again.
 *
 * Shape:   path is absolute.
 * Errors:  DENIED and what to do; NOTFOUND; INVAL relative path, no regular file.
 */
bdr_ret bdr_script_check(const char *path);
/*
 * Runs it, without a shell and arguments, in a process group of its own, and waits for its end. Standard input is /dev/null. The
 * environment is ours and BDR_PHASE=pre or post, for post also BDR_RESULT=ok or failed. What it leaves running in the background
 * is left alone when it ends in time; when the time is over, its whole group gets SIGTERM, and SIGKILL soon after.
 *
 * Units:   timeout_ms milliseconds.
 * Errors:  as bdr_script_check; INVAL it ended with a code other than 0: names program, code and its last line, and what it said is
 *          the cause; TIMEOUT; CANCELLED (ended as for the timeout).
 */
bdr_ret bdr_script_run(const char *path, enum bdr_script_phase phase, bool ok, uint32_t timeout_ms, const struct bdr_cancel *cancel);
