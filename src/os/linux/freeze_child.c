/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze_child.c - the freezer's processes: a keeper for each file system, and the watch over them.
 *
 * Why forked, not executed: a program of its own would have to be found and read from a disk that may be the one that
 * stands still, and every program that links this would have to know it. Hence only async-signal-safe calls here.
 * Why a process for each file system: FIFREEZE writes out what is dirty before it returns, for as long as that takes,
 * and nothing interrupts it. Meanwhile the others must still be thawed in time; and of file systems that lie on each
 * other, thawing the upper one waits inside the kernel for the lower.
 */
#include "freeze_priv.h"
#include "guard.h"
#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t freezer_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int freezer_ms_to(uint64_t at_ns)
{
    uint64_t now = freezer_now_ns();

    if (at_ns <= now)
        return 0;
    return at_ns - now > UINT64_C(1000000000000) ? 1000000 : (int)((at_ns - now + 999999) / 1000000);
}

int freezer_thaw_fs(struct freezer_shared *shared, int i, int fd, enum freezer_state to)
{
    unsigned was = FREEZER_FROZEN;
    int rc = ioctl(fd, FITHAW, 0) ? errno : 0;

    if (rc && rc != EINVAL) /* it still stands; whoever calls tries again */
        return rc;
    atomic_store(&shared->fs[i].thawed_ns, freezer_now_ns());
    /* EINVAL: it was not frozen any more; somebody else got here first, and it is not told when. */
    atomic_compare_exchange_strong(&shared->fs[i].state, &was, rc ? FREEZER_LOST : to);
    return rc;
}

int freezer_stands(struct freezer_shared *shared, int i)
{
    unsigned s = atomic_load(&shared->fs[i].state);

    return s == FREEZER_FROZEN || s == FREEZER_FREEZING;
}

/* Runs each call that is made while something is frozen, so that none has to be read or linked then. */
static void child_rehearse(const struct freezer_self *self)
{
    struct pollfd p = {.fd = self->sock};
    char c;

    ioctl(-1, FITHAW, 0);
    poll(&p, 1, 0);
    if (recv(-1, &c, 1, MSG_DONTWAIT) < 0 && send(-1, &c, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        errno = 0;
    kill(getpid(), 0);
    getppid();
    freezer_ms_to(freezer_now_ns());
    for (int i = 0; i < self->n; i++)
        atomic_fetch_add(&self->shared->fs[i].state, 0);
}

static void child_answer(const struct freezer_self *self, uint32_t serial, int sys)
{
    struct freezer_answer a = {.serial = serial, .sys = sys};

    if (send(self->sock, &a, sizeof(a), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) /* the caller is gone: poll says so next */
        errno = 0;
}

/* 1: an order; 0: none now; -1: nobody will give one any more. */
static int child_order(const struct freezer_self *self, struct freezer_order *out)
{
    ssize_t n = recv(self->sock, out, sizeof(*out), MSG_DONTWAIT);

    if (n == (ssize_t)sizeof(*out))
        return 1;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* Another process may hold a copy of the socket's other end (forked by the caller, not yet executed): ask for both. */
static int child_orphan(const struct freezer_self *self)
{
    return getppid() != self->ppid;
}

/* --- keeper --- */

static int keeper_freeze(const struct freezer_self *self, int i, uint64_t deadline)
{
    struct freezer_fs *fs = &self->shared->fs[i];
    unsigned was = FREEZER_FREEZING;

    if (freezer_now_ns() >= deadline || atomic_load(&self->shared->deadline_ns) != deadline)
        return ETIME; /* an order that came late, because we had been stopped */
    atomic_store(&fs->state, FREEZER_FREEZING);
    if (ioctl(self->mounts[i], FIFREEZE, 0)) {
        int sys = errno;

        atomic_store(&fs->state, FREEZER_IDLE);
        return sys;
    }
    if (freezer_now_ns() < deadline && !child_orphan(self) &&
        atomic_compare_exchange_strong(&fs->state, &was, FREEZER_FROZEN))
        return 0;
    /* The kernel took longer than we had, or the watch took over while we were stopped. */
    was = FREEZER_FREEZING;
    if (atomic_compare_exchange_strong(&fs->state, &was, FREEZER_FROZEN))
        freezer_thaw_fs(self->shared, i, self->mounts[i], FREEZER_LOST);
    return ETIME;
}

static int keeper_thaw(const struct freezer_self *self, int i, enum freezer_state to)
{
    if (atomic_load(&self->shared->fs[i].state) != FREEZER_FROZEN)
        return EINVAL;
    return freezer_thaw_fs(self->shared, i, self->mounts[i], to);
}

_Noreturn void freezer_keeper(const struct freezer_self *self, int i)
{
    const int keep[] = {self->sock, self->parent, self->mounts[i], self->lives[i]};
    struct pollfd p[2] = {{.fd = self->sock, .events = POLLIN}, {.fd = self->parent, .events = POLLIN}};
    atomic_uint *state = &self->shared->fs[i].state;
    uint64_t deadline = 0;

    guard_close_others(keep, 4);
    guard_settle("bdr-freeze");
    child_rehearse(self);
    for (;;) {
        int held = atomic_load(state) == FREEZER_FROZEN, got;
        struct freezer_order order;

        if (held && freezer_now_ns() >= deadline && keeper_thaw(self, i, FREEZER_LOST) &&
            atomic_load(state) == FREEZER_FROZEN)
            poll(NULL, 0, FREEZER_RETRY_MS);
        poll(p, 2, atomic_load(state) == FREEZER_FROZEN ? freezer_ms_to(deadline) : -1);
        got = child_order(self, &order);
        if (got < 0 || (!got && (p[1].revents || child_orphan(self)))) {
            while (keeper_thaw(self, i, FREEZER_LOST) && atomic_load(state) == FREEZER_FROZEN)
                poll(NULL, 0, FREEZER_RETRY_MS);
            _exit(0);
        }
        if (!got)
            continue;
        if (order.word == FREEZER_FREEZE) {
            deadline = order.deadline_ns;
            child_answer(self, order.serial, keeper_freeze(self, i, deadline));
        } else if (order.word == FREEZER_THAW) {
            child_answer(self, order.serial, keeper_thaw(self, i, FREEZER_THAWED));
        }
    }
}

/* --- watch --- */

/* Only called when the file system is known to be frozen by us, or its keeper is dead and so its ioctl is over. */
static void watch_thaw_one(const struct freezer_self *self, int i)
{
    unsigned was = FREEZER_FREEZING;

    atomic_compare_exchange_strong(&self->shared->fs[i].state, &was, FREEZER_FROZEN);
    freezer_thaw_fs(self->shared, i, self->mounts[i], FREEZER_LOST);
}

static int watch_gone(const struct freezer_self *self, int i)
{
    struct pollfd p = {.fd = self->lives[i], .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/*
 * One round of thawing in place of keepers that did not. Returns how many file systems still may be, or become, frozen.
 * A FIFREEZE that is still at work is left to its keeper, which thaws right after: it may yet turn out that somebody
 * else had frozen that file system, and theirs is not ours to thaw. A keeper that was stopped in there is continued.
 */
static int watch_thaw(const struct freezer_self *self)
{
    int left = 0;

    for (int i = self->n - 1; i >= 0; i--)
        if (freezer_stands(self->shared, i)) {
            if (atomic_load(&self->shared->fs[i].state) == FREEZER_FROZEN || watch_gone(self, i))
                watch_thaw_one(self, i);
            kill(self->keepers[i], SIGCONT);
            left += freezer_stands(self->shared, i);
        }
    return left;
}

/* A keeper that died while it held or froze: nobody else would thaw that before the deadline. */
static void watch_dead(const struct freezer_self *self, struct pollfd *p)
{
    for (int i = self->n - 1; i >= 0; i--) {
        if (!p[2 + i].revents)
            continue;
        p[2 + i].fd = -1; /* once seen: end of file would wake us for ever */
        p[2 + i].revents = 0;
        if (freezer_stands(self->shared, i))
            watch_thaw_one(self, i);
    }
}

static _Noreturn void watch_last(const struct freezer_self *self)
{
    uint64_t end = freezer_now_ns() + FREEZER_GRACE_MS * UINT64_C(1000000);

    /* The keepers saw the caller go as we did, and thaw by themselves: they know best in which order. */
    while (freezer_now_ns() < end) {
        int busy = 0;

        for (int i = 0; i < self->n; i++)
            busy |= freezer_stands(self->shared, i);
        if (!busy)
            break;
        poll(NULL, 0, FREEZER_RETRY_MS);
    }
    while (watch_thaw(self))
        poll(NULL, 0, FREEZER_RETRY_MS);
    _exit(0);
}

_Noreturn void freezer_watch(const struct freezer_self *self)
{
    static struct pollfd p[2 + FREEZER_MAX];
    static int keep[2 + 2 * FREEZER_MAX];
    uint64_t deadline = 0, until;
    int k = 0, left = 0;

    keep[k++] = self->sock;
    keep[k++] = self->parent;
    p[0] = (struct pollfd){.fd = self->sock, .events = POLLIN};
    p[1] = (struct pollfd){.fd = self->parent, .events = POLLIN};
    for (int i = 0; i < self->n; i++) {
        keep[k++] = self->mounts[i];
        keep[k++] = self->lives[i];
        p[2 + i] = (struct pollfd){.fd = self->lives[i], .events = POLLIN};
    }
    guard_close_others(keep, k);
    guard_settle("bdr-freeze-watch");
    child_rehearse(self);
    for (;;) {
        struct freezer_order order;
        int got;

        until = deadline ? deadline + FREEZER_GRACE_MS * UINT64_C(1000000) : 0;
        poll(p, 2 + (nfds_t)self->n, left ? FREEZER_RETRY_MS : until ? freezer_ms_to(until) : -1);
        watch_dead(self, p);
        if (left || (until && freezer_now_ns() >= until)) {
            left = watch_thaw(self);
            deadline = 0;
        }
        got = child_order(self, &order);
        if (got < 0 || (!got && (p[1].revents || child_orphan(self))))
            watch_last(self);
        if (!got)
            continue;
        deadline = order.word == FREEZER_ARM ? order.deadline_ns : 0;
        child_answer(self, order.serial, 0);
    }
}
