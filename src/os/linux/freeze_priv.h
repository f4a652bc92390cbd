/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze_priv.h - what the freezer's processes and its caller share.
 *
 * Processes, all forked by bdr_freezer_start():
 *   a keeper for each file system   freezes it on command, thaws it on command, at the deadline, or when its caller is
 * gone the watch, one                  freezes nothing; shortly after the deadline, or when a keeper dies, it thaws
 * what is left One page of shared memory holds what is frozen, so that each can do another's work without asking it.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#define FREEZER_MAX      256 /* file systems; a process each */
#define FREEZER_GRACE_MS 250 /* after the deadline, or a keeper's silence, until another thaws in its place */
#define FREEZER_RETRY_MS 20  /* between tries to thaw what is still being frozen */

enum freezer_state {
    FREEZER_IDLE,
    FREEZER_FREEZING, /* in FIFREEZE: the kernel may take long, and can't be interrupted */
    FREEZER_FROZEN,
    FREEZER_THAWED, /* on command, and it had stood still until then */
    FREEZER_LOST,   /* thawed by a deadline, a death, or by somebody else */
};
struct freezer_fs {
    atomic_uint state;
    atomic_uint_fast64_t thawed_ns;
};
struct freezer_shared {
    atomic_uint_fast64_t deadline_ns; /* CLOCK_MONOTONIC; 0: nothing is to be frozen */
    struct freezer_fs fs[FREEZER_MAX];
};

enum freezer_word { FREEZER_FREEZE = 1, FREEZER_THAW, FREEZER_ARM, FREEZER_DISARM };
struct freezer_order {
    uint32_t word, serial; /* an answer carries its order's serial: late ones are known as such */
    uint64_t deadline_ns;
};
struct freezer_answer {
    uint32_t serial;
    int32_t sys; /* 0, or the errno of the ioctl; ETIME: too late */
};

struct freezer_self { /* of one child process */
    struct freezer_shared *shared;
    int sock;   /* to the caller */
    int parent; /* pidfd of the caller, or -1 */
    int ppid;
    int n;              /* file systems */
    const int *mounts;  /* descriptors; a keeper uses its own only */
    const int *lives;   /* watch: each reads end of file when its keeper is gone; a keeper's own write end */
    const int *keepers; /* watch: process ids */
};

uint64_t freezer_now_ns(void);
/* Milliseconds from now to `at_ns`, rounded up, 0 when past. */
int freezer_ms_to(uint64_t at_ns);
/* Frozen, or being frozen. */
int freezer_stands(struct freezer_shared *shared, int i);
/*
 * FITHAW; its errno. The state goes from FROZEN to `to`, or to LOST when it was not frozen any more; on other errors it
 * stays. Two who thaw at once for the same reason are fine: the second is told EINVAL.
 */
int freezer_thaw_fs(struct freezer_shared *shared, int i, int fd, enum freezer_state to);

/* What the children run; they never return. No allocation, no locks, no output: other threads may have held any lock.
 */
_Noreturn void freezer_keeper(const struct freezer_self *self, int i);
_Noreturn void freezer_watch(const struct freezer_self *self);
