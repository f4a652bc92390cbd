/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze.h - hold file systems still for a moment, and let them go again whatever happens.
 *
 * A freezer is a small process of its own that holds the mount points open, freezes, and thaws by itself when the time is over or
 * when we die. We hold them open too, and thaw when the freezer dies. The kernel never thaws by itself.
 * Linux: FIFREEZE, FITHAW (ioctl_fs(4)), syncfs(2).
 * Depends on: base, os.      Threads: one at a time.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"
#include <stdbool.h>
#include <stdint.h>

struct bdr_freezer;

/*
 * To be started before large buffers are made (it forks). mounts: in the order to freeze (top of a stack first); thawed the other way
 * round. Mount points that can't be opened are errors; file systems that can't freeze are found out by freeze.
 */
bdr_ret bdr_freezer_start(const char *const *mounts, size_t n, struct bdr_freezer **out);
/* Thaws what is frozen, ends the process, never fails. */
void bdr_freezer_end(struct bdr_freezer *f);
/* syncfs() on each, top first. */
bdr_ret bdr_freezer_sync(struct bdr_freezer *f, const struct bdr_cancel *cancel);

enum bdr_freeze_state { BDR_FREEZE_NO, BDR_FREEZE_YES, BDR_FREEZE_UNSUPPORTED, BDR_FREEZE_BUSY };
/*
 * Freezes all; from the first ioctl on, the budget runs. out_states[n]: UNSUPPORTED (vfat, tmpfs: not frozen, the rest is) or BUSY
 * (somebody else froze it: nothing stays frozen and the call fails with BUSY).
 * Errors: BUSY; TIMEOUT (freezing itself took the budget: all thawed); IO; CANCELLED.
 */
bdr_ret bdr_freezer_freeze(struct bdr_freezer *f, uint32_t budget_ms, enum bdr_freeze_state *out_states);
/* Milliseconds of the budget that are left; 0 when the window is over. */
uint32_t bdr_freezer_left_ms(const struct bdr_freezer *f);
/*
 * Thaws. *out_held: nothing was thawed before this call, so what was read in between belongs to one moment. *out_window_ms: from the
 * first freeze to the last thaw.
 */
bdr_ret bdr_freezer_thaw(struct bdr_freezer *f, bool *out_held, uint32_t *out_window_ms);
/* Tests: the process id of the watch, and those of the n processes that each hold one file system, in the order of mounts. */
int bdr_freezer_pid(const struct bdr_freezer *f);
size_t bdr_freezer_keepers(const struct bdr_freezer *f, int *out, size_t n);

BDR_AUTO_DEFINE(freezer, struct bdr_freezer *, bdr_freezer_end)
