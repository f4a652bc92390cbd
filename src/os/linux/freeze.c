/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze.c - the caller's side of the freezer: gives the orders, and thaws by itself what its processes don't.
 *
 * Between the first FIFREEZE and the last FITHAW nothing in here allocates, logs, or opens a file: memory pressure or a
 * log line on a file system that stands still would be waited for by the one who is to thaw it.
 */
#include "bdr/freeze.h"
#include "freeze_priv.h"
#include "volumes_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FREEZE_HELLO_MS 5000  /* a forked process begins to run */
#define FREEZE_ARM_MS   1000  /* the watch answers; nothing is frozen yet */
#define FREEZE_STUCK_MS 60000 /* for a FIFREEZE that can't be interrupted to come back */
#define FREEZE_END_MS   2000  /* children end after their sockets were closed */

struct freezer_keep {
    char *mount;
    int fd, sock;
    pid_t pid;
};
struct bdr_freezer {
    struct freezer_shared *shared;
    size_t n, made;
    struct freezer_keep *at;
    int watch_sock;
    pid_t watch;
    uint32_t serial;
    uint64_t begun_ns, deadline_ns;
    bool frozen; /* a freeze succeeded, and no thaw yet */
    enum bdr_freeze_state states[FREEZER_MAX];
};
/* What children need, laid out before the first fork. */
struct freezer_plan {
    struct freezer_self self;
    int mounts[FREEZER_MAX], reads[FREEZER_MAX], writes[FREEZER_MAX], pids[FREEZER_MAX];
    size_t n;
};
enum freezer_reply { FREEZER_ANSWERED, FREEZER_SILENT, FREEZER_GONE };

static uint64_t freezer_after_ms(uint64_t ms)
{
    return freezer_now_ns() + ms * 1000000;
}

static bool freezer_tell(int sock, const struct freezer_order *order)
{
    return send(sock, order, sizeof(*order), MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*order);
}

/* The answer to order `serial`; answers to earlier ones, that we had given up on, are passed over. */
static enum freezer_reply freezer_hear(int sock, uint32_t serial, uint64_t until_ns, int *out_sys)
{
    for (;;) {
        struct pollfd p = {.fd = sock, .events = POLLIN};
        struct freezer_answer a;
        int ready = poll(&p, 1, freezer_ms_to(until_ns));
        ssize_t n = recv(sock, &a, sizeof(a), MSG_DONTWAIT);

        if (n == (ssize_t)sizeof(a) && a.serial == serial) {
            *out_sys = a.sys;
            return FREEZER_ANSWERED;
        }
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return FREEZER_GONE;
        if (n < 0 && ready <= 0 && freezer_now_ns() >= until_ns)
            return FREEZER_SILENT;
    }
}

static enum freezer_reply freezer_ask(struct bdr_freezer *f, int sock, enum freezer_word word, uint64_t until_ns,
                                      int *out_sys)
{
    struct freezer_order order = {.word = word, .serial = ++f->serial, .deadline_ns = f->deadline_ns};

    if (!freezer_tell(sock, &order)) /* full: it has been stopped for long */
        return errno == EAGAIN ? FREEZER_SILENT : FREEZER_GONE;
    return freezer_hear(sock, order.serial, until_ns, out_sys);
}

/* --- start and end --- */

static void freezer_plan_close(struct freezer_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        close(p->reads[i]);
        close(p->writes[i]);
    }
    if (p->self.parent >= 0)
        close(p->self.parent);
}

/* Forks one process; its end of the socket is closed on our side. `i` is a keeper's file system, or -1: the watch. */
static struct bdr_err *freezer_fork(const struct bdr_freezer *f, struct freezer_plan *plan, int i, int *out_sock,
                                    pid_t *out_pid)
{
    int pair[2];
    pid_t pid;

    (void)f;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        BDR_FAIL_ERRNO("making sockets for the freezer");
    plan->self.sock = pair[1];
    plan->self.lives = i < 0 ? plan->reads : plan->writes;
    pid = fork();
    if (pid == 0) {
        if (i < 0)
            freezer_watch(&plan->self);
        freezer_keeper(&plan->self, i);
    }
    close(pair[1]);
    if (pid < 0) {
        int sys = errno;

        close(pair[0]);
        BDR_FAIL(bdr_code_of_errno(sys), sys, "starting the freezer");
    }
    *out_sock = pair[0];
    *out_pid = pid;
    return NULL;
}

static struct bdr_err *freezer_open(struct bdr_freezer *f, const char *const *mounts, struct freezer_plan *plan)
{
    for (size_t i = 0; i < f->n; i++) {
        struct freezer_keep *k = &f->at[i];
        int ends[2];

        *k = (struct freezer_keep){.mount = strdup(mounts[i]), .fd = -1, .sock = -1};
        f->made = i + 1;
        BDR_NOMEM_IF_NULL(k->mount);
        k->fd = volumes_open(mounts[i], O_RDONLY | O_NONBLOCK);
        if (k->fd < 0)
            BDR_FAIL_ERRNO("opening the mount point %s", mounts[i]);
        plan->mounts[i] = k->fd;
        if (pipe2(ends, O_CLOEXEC))
            BDR_FAIL_ERRNO("making pipes for the freezer");
        plan->reads[i] = ends[0];
        plan->writes[i] = ends[1];
        plan->n = i + 1;
    }
    return NULL;
}

/* Forks all, and waits until each has locked its memory: the caller's large buffers come after that. */
static struct bdr_err *freezer_populate(struct bdr_freezer *f, struct freezer_plan *plan)
{
    int sys = 0;

    for (size_t i = 0; i < f->n; i++) {
        BDR_TRY(freezer_fork(f, plan, (int)i, &f->at[i].sock, &f->at[i].pid));
        plan->pids[i] = f->at[i].pid;
    }
    BDR_TRY(freezer_fork(f, plan, -1, &f->watch_sock, &f->watch));
    for (size_t i = 0; i <= f->n; i++)
        if (freezer_ask(f, i < f->n ? f->at[i].sock : f->watch_sock, i < f->n ? FREEZER_THAW : FREEZER_DISARM,
                        freezer_after_ms(FREEZE_HELLO_MS), &sys) != FREEZER_ANSWERED)
            BDR_FAIL(BDR_IO, 0, "the freezer did not start");
    return NULL;
}

struct bdr_err *bdr_freezer_start(const char *const *mounts, size_t n, struct bdr_freezer **out)
{
    __attribute__((cleanup(freezer_plan_close))) struct freezer_plan plan = {.self = {.parent = -1}};
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;

    if (n > FREEZER_MAX)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%zu file systems to freeze at once; at most %d", n, FREEZER_MAX);
    f = calloc(1, sizeof(*f));
    BDR_NOMEM_IF_NULL(f);
    f->watch_sock = -1;
    f->n = n;
    f->at = calloc(n + 1, sizeof(*f->at));
    BDR_NOMEM_IF_NULL(f->at);
    f->shared = mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f->shared == MAP_FAILED) {
        f->shared = NULL;
        BDR_NOMEM_IF_NULL(NULL);
    }
    BDR_TRY(freezer_open(f, mounts, &plan));
    plan.self = (struct freezer_self){.shared = f->shared,
                                      .parent = (int)syscall(SYS_pidfd_open, getpid(), 0), /* Linux 5.3; -1 is fine */
                                      .ppid = getpid(),
                                      .n = (int)n,
                                      .mounts = plan.mounts,
                                      .keepers = plan.pids};
    if (n) /* nothing to freeze needs nobody */
        BDR_TRY(freezer_populate(f, &plan));
    *out = BDR_STEAL(f);
    return NULL;
}

/* --- thawing --- */

/* One file system, by its keeper, or in its place. */
static void freezer_thaw_one(struct bdr_freezer *f, size_t i)
{
    uint64_t until = freezer_after_ms(FREEZER_GRACE_MS);
    int sys;

    if (!freezer_stands(f->shared, (int)i))
        return;
    if (atomic_load(&f->shared->fs[i].state) == FREEZER_FREEZING)
        until = 0; /* the order lies there for when the ioctl comes back */
    if (freezer_ask(f, f->at[i].sock, FREEZER_THAW, until, &sys) == FREEZER_ANSWERED)
        return;
    /* Ours first: continued, it would do the same at once, and the second to thaw can't tell since when it had not stood. */
    if (atomic_load(&f->shared->fs[i].state) == FREEZER_FROZEN)
        freezer_thaw_fs(f->shared, (int)i, f->at[i].fd, FREEZER_THAWED);
    kill(f->at[i].pid, SIGCONT);
}

/* Keeper i is dead, so that no ioctl of its is under way. */
static bool freezer_dead(struct bdr_freezer *f, size_t i)
{
    siginfo_t info = {0};

    /* Left to be waited for by end(), so that its number stays ours. */
    return !waitid(P_PID, (id_t)f->at[i].pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == f->at[i].pid;
}

/* All of them, bottom first; waits for a FIFREEZE that is still at work. True when nothing stands any more. */
static bool freezer_thaw_all(struct bdr_freezer *f)
{
    uint64_t until = freezer_after_ms(FREEZE_STUCK_MS);
    bool stands = true;
    int sys;

    atomic_store(&f->shared->deadline_ns, 0); /* orders not yet read are void */
    for (size_t i = f->n; i--;)
        freezer_thaw_one(f, i);
    while (stands) {
        stands = false;
        for (size_t i = f->n; i--;) {
            unsigned was = FREEZER_FREEZING;

            if (!freezer_stands(f->shared, (int)i))
                continue;
            if (freezer_dead(f, i))
                atomic_compare_exchange_strong(&f->shared->fs[i].state, &was, FREEZER_FROZEN);
            if (atomic_load(&f->shared->fs[i].state) == FREEZER_FROZEN)
                freezer_thaw_fs(f->shared, (int)i, f->at[i].fd, FREEZER_THAWED);
            kill(f->at[i].pid, SIGCONT);
            stands |= freezer_stands(f->shared, (int)i);
        }
        if (stands && freezer_now_ns() >= until)
            return false;
        if (stands)
            poll(NULL, 0, FREEZER_RETRY_MS);
    }
    if (f->n) /* it needs no answer: the deadline it knows finds nothing to do */
        freezer_ask(f, f->watch_sock, FREEZER_DISARM, 0, &sys);
    return true;
}

struct bdr_err *bdr_freezer_thaw(struct bdr_freezer *f, bool *out_held, uint32_t *out_window_ms)
{
    uint64_t last = f->begun_ns;
    bool held = f->frozen, all;

    if (!f->frozen) {
        *out_held = false;
        *out_window_ms = 0;
        return NULL;
    }
    all = freezer_thaw_all(f);
    f->frozen = false;
    for (size_t i = 0; i < f->n; i++) {
        if (f->states[i] != BDR_FREEZE_YES)
            continue;
        held &= atomic_load(&f->shared->fs[i].state) == FREEZER_THAWED;
        last = BDR_MAX(last, atomic_load(&f->shared->fs[i].thawed_ns));
    }
    if (!all)
        BDR_FAIL(BDR_IO, 0, "a file system did not thaw; 'fsfreeze -u' on its mount point may help");
    *out_held = held;
    *out_window_ms = (uint32_t)((last - f->begun_ns + 999999) / 1000000);
    return NULL;
}

/* Waits for child `pid` until then; true when it is no more. */
static bool freezer_reap(pid_t pid, uint64_t until_ns)
{
    for (;;) {
        pid_t got = waitpid(pid, NULL, WNOHANG);

        if (got == pid || (got < 0 && errno == ECHILD))
            return true;
        if (freezer_now_ns() >= until_ns)
            return false;
        poll(NULL, 0, 2);
    }
}

static void freezer_reap_all(struct bdr_freezer *f)
{
    uint64_t until = freezer_after_ms(FREEZE_END_MS);

    for (size_t i = 0; i <= f->made; i++) {
        pid_t pid = i < f->made ? f->at[i].pid : f->watch;

        if (pid <= 0)
            continue;
        kill(pid, SIGCONT);
        /* One that is stuck in the kernel goes when that lets it; until then it and the watch are still needed. */
        if (!freezer_reap(pid, until) && (i == f->made || !freezer_stands(f->shared, (int)i))) {
            kill(pid, SIGKILL);
            freezer_reap(pid, freezer_after_ms(FREEZE_END_MS));
        }
    }
}

void bdr_freezer_end(struct bdr_freezer *f)
{
    if (!f)
        return;
    if (f->shared && f->watch > 0)
        freezer_thaw_all(f);
    for (size_t i = 0; i < f->made; i++)
        if (f->at[i].sock >= 0)
            close(f->at[i].sock);
    if (f->watch_sock >= 0)
        close(f->watch_sock);
    freezer_reap_all(f);
    for (size_t i = 0; i < f->made; i++) {
        if (f->at[i].fd >= 0)
            close(f->at[i].fd);
        free(f->at[i].mount);
    }
    if (f->shared)
        munmap(f->shared, sizeof(*f->shared));
    free(f->at);
    free(f);
}

/* --- freezing --- */

struct bdr_err *bdr_freezer_sync(struct bdr_freezer *f, const struct bdr_cancel *cancel)
{
    for (size_t i = 0; i < f->n; i++) {
        BDR_TRY(bdr_cancel_check(cancel));
        if (syncfs(f->at[i].fd))
            BDR_FAIL_ERRNO("syncing %s", f->at[i].mount);
    }
    return NULL;
}

/* What freezing file system i came to; 0 when the rest may go on. */
static int freezer_freeze_one(struct bdr_freezer *f, size_t i)
{
    int sys = 0;

    switch (freezer_ask(f, f->at[i].sock, FREEZER_FREEZE, f->deadline_ns, &sys)) {
    case FREEZER_GONE:
        return ESRCH;
    case FREEZER_SILENT:
        return ETIME;
    case FREEZER_ANSWERED:
        break;
    }
    switch (sys) {
    case 0:
        f->states[i] = BDR_FREEZE_YES;
        return 0;
    case EOPNOTSUPP:
    case ENOTTY:
    case ENOSYS:
        f->states[i] = BDR_FREEZE_UNSUPPORTED;
        return 0;
    case EBUSY:
        f->states[i] = BDR_FREEZE_BUSY;
        return EBUSY;
    default:
        return sys;
    }
}

static struct bdr_err *freezer_failed(const struct bdr_freezer *f, size_t i, int sys, uint32_t budget_ms, bool all)
{
    const char *mount = f->at[i].mount;

    if (!all)
        BDR_FAIL(BDR_TIMEOUT, 0, "freezing %s takes longer than %d s; it is thawed when the kernel is done", mount,
                 FREEZE_STUCK_MS / 1000);
    switch (sys) {
    case EBUSY:
        BDR_FAIL(BDR_BUSY, sys, "%s is frozen already, by somebody else; 'fsfreeze -u %s' thaws it", mount, mount);
    case ETIME:
        BDR_FAIL(BDR_TIMEOUT, 0, "freezing %s was not over within %u ms; all is thawed", mount, budget_ms);
    case ESRCH:
        BDR_FAIL(BDR_IO, 0, "the process that was to freeze %s is gone; all is thawed", mount);
    default:
        BDR_FAIL(bdr_code_of_errno(sys), sys, "freezing %s", mount);
    }
}

static struct bdr_err *freezer_arm(struct bdr_freezer *f, uint32_t budget_ms)
{
    int sys;

    for (size_t i = 0; i < f->n; i++)
        if (freezer_stands(f->shared, (int)i))
            BDR_FAIL(BDR_TIMEOUT, 0, "%s is still being frozen by an earlier try", f->at[i].mount);
    for (size_t i = 0; i < f->n; i++)
        atomic_store(&f->shared->fs[i].state, FREEZER_IDLE);
    f->begun_ns = freezer_now_ns();
    f->deadline_ns = f->begun_ns + budget_ms * UINT64_C(1000000);
    atomic_store(&f->shared->deadline_ns, f->deadline_ns);
    /* Without its watch we don't freeze. */
    if (f->n && freezer_ask(f, f->watch_sock, FREEZER_ARM, freezer_after_ms(FREEZE_ARM_MS), &sys) != FREEZER_ANSWERED) {
        atomic_store(&f->shared->deadline_ns, 0);
        BDR_FAIL(BDR_IO, 0, "the freezer (process %d) does not answer; nothing was frozen", (int)f->watch);
    }
    return NULL;
}

struct bdr_err *bdr_freezer_freeze(struct bdr_freezer *f, uint32_t budget_ms, enum bdr_freeze_state *out_states)
{
    int sys = 0;
    size_t i;

    BDR_ASSERT(!f->frozen);
    BDR_TRY(freezer_arm(f, budget_ms));
    for (i = 0; i < f->n; i++)
        f->states[i] = BDR_FREEZE_NO;
    for (i = 0; i < f->n && !sys; i++)
        sys = freezer_freeze_one(f, i);
    if (sys) {
        bool all = freezer_thaw_all(f);

        for (size_t k = 0; k < f->n; k++)
            out_states[k] = f->states[k] == BDR_FREEZE_YES ? BDR_FREEZE_NO : f->states[k];
        return freezer_failed(f, i - 1, sys, budget_ms, all);
    }
    f->frozen = true;
    for (i = 0; i < f->n; i++)
        out_states[i] = f->states[i];
    return NULL;
}

uint32_t bdr_freezer_left_ms(const struct bdr_freezer *f)
{
    if (!f->frozen)
        return 0;
    for (size_t i = 0; i < f->n; i++)
        if (f->states[i] == BDR_FREEZE_YES && atomic_load(&f->shared->fs[i].state) != FREEZER_FROZEN)
            return 0;
    return (uint32_t)freezer_ms_to(f->deadline_ns);
}

int bdr_freezer_pid(const struct bdr_freezer *f)
{
    return (int)f->watch;
}

size_t bdr_freezer_keepers(const struct bdr_freezer *f, int *out, size_t n)
{
    for (size_t i = 0; i < f->n && i < n; i++)
        out[i] = (int)f->at[i].pid;
    return f->n;
}
