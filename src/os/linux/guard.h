/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - a forked process that undoes something when its parent can't: nothing but its own end ends it.
 *
 * Only async-signal-safe calls: other threads of the parent may have held any lock.
 * Threads: called in the child, right after fork().
 */
#pragma once

/* Closes all but these: a descriptor of the parent's left open would keep files and sockets alive that the parent closes. */
void guard_close_others(const int *keep, int n);
/*
 * A session of its own, deaf to what ends programs from a terminal, never chosen when memory is short, memory locked as it
 * gets touched, preferred by the scheduler. What the kernel does not permit is left out. `name` is seen in ps.
 */
void guard_settle(const char *name);
