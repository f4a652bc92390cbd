/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze.h - hold file systems still for a moment, and let them go again whatever happens.
 *
 * The kernel never thaws by itself. A freezer is some small processes: a keeper for each file system, that freezes it and thaws it
 * when told, when the time is over, or when we die; and a watch, that thaws in place of a keeper that is dead or does not.
 *
 * Guarantee: whichever ONE process - ours, the watch, a keeper - is killed or stopped at any moment, no file system stays frozen
 * longer than the budget and a second. What can't be kept:
 *   - all of them killed at once, or all held (a frozen container, a suspended machine): `fsfreeze -u MOUNT` thaws;
 *   - FIFREEZE itself writes out what is dirty, and nothing interrupts that: writers wait until it is done, and it is thawed right
 *     then. The others are thawed in time. bdr_freezer_sync() first keeps it short;
 *   - a keeper killed in the very FIFREEZE that was to answer EBUSY: whose freeze it is can't be told then, and it is thawed.
 * While a freezer lives its file systems can't be unmounted. Linux: FIFREEZE, FITHAW (ioctl_fs(4)), syncfs(2); CAP_SYS_ADMIN.
 * Depends on: base, os.      Threads: one at a time.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"
#include <stdbool.h>
#include <stdint.h>

struct bdr_freezer;

/*
 * To be started before large buffers are made: it forks, a process for each mount and one more.
 *
 * Shape:   mounts[n], copied; in the order to freeze (top of a stack first); thawed the other way round. n may be 0.
 * Errors:  NOTFOUND, DENIED... a mount point that can't be opened; UNSUPPORTED more than 256. File systems that can't freeze are
 *          found out by freeze.
 */
bdr_ret bdr_freezer_start(const char *const *mounts, size_t n, struct bdr_freezer **out);
/* Thaws what is frozen, ends the processes, never fails. NULL is fine. */
void bdr_freezer_end(struct bdr_freezer *f);
/*
 * syncfs() on each, top first.
 *
 * Errors:  CANCELLED between two; IO.
 */
bdr_ret bdr_freezer_sync(struct bdr_freezer *f, const struct bdr_cancel *cancel);

enum bdr_freeze_state { BDR_FREEZE_NO, BDR_FREEZE_YES, BDR_FREEZE_UNSUPPORTED, BDR_FREEZE_BUSY };
/*
 * Freezes all; from the first ioctl on, the budget runs. Until bdr_freezer_thaw() allocate nothing that may be large, and neither
 * log nor write to what may be frozen.
 *
 * Shape:   out_states[n], written on BUSY, TIMEOUT and IO too: UNSUPPORTED (vfat, tmpfs: not frozen, the rest is) or BUSY.
 * Errors:  BUSY somebody else froze one, and theirs stays; TIMEOUT freezing itself took the budget; IO a process of the freezer is
 *          gone: start another; DENIED. Nothing of ours is frozen then, but for the one TIMEOUT that says so: the kernel was at
 *          it for a minute and thaws when it is done.
 */
bdr_ret bdr_freezer_freeze(struct bdr_freezer *f, uint32_t budget_ms, enum bdr_freeze_state *out_states);
/* Milliseconds of the budget that are left; 0 when the window is over, or one was thawed before its time. */
uint32_t bdr_freezer_left_ms(const struct bdr_freezer *f);
/*
 * Thaws. Without a freeze before: *out_held is false and nothing is done.
 *
 * Shape:   *out_held: nothing was thawed before this call, by whomever, so what was read in between belongs to one moment.
 * Units:   *out_window_ms: from the first freeze to the last thaw.
 * Errors:  IO one does not thaw.
 */
bdr_ret bdr_freezer_thaw(struct bdr_freezer *f, bool *out_held, uint32_t *out_window_ms);
/* Tests: the process id of the watch, and those of the n processes that each hold one file system, in the order of mounts. */
int bdr_freezer_pid(const struct bdr_freezer *f);
size_t bdr_freezer_keepers(const struct bdr_freezer *f, int *out, size_t n);

BDR_AUTO_DEFINE(freezer, struct bdr_freezer *, bdr_freezer_end)
