/* SPDX-License-Identifier: Apache-2.0 */
/*
 * throttle.c - limits of write bandwidth by control groups, and the guard that takes them back.
 *
 * What was done stands in memory that we share with the guard, before it is done: path of the file, what we wrote, and
 * what undoes it. Undoing looks first whether the file still says what we wrote.
 * Source: Documentation/admin-guide/cgroup-v2.rst (io.max), cgroup-v1/blkio-controller.rst
 */
#include "bdr/osfile.h"
#include "guard.h"
#include "throttle_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define THROTTLE_ENTRIES    4096
#define THROTTLE_PATH       1024
#define THROTTLE_DEPTH      16
#define THROTTLE_END_MS     2000
#define THROTTLE_FILE_BYTES 16384 /* io.max: a line a disk */

struct throttle_entry {
    char path[THROTTLE_PATH];
    char dev[24];  /* "8:16", or "": the whole file is ours to undo */
    char ours[48]; /* in the device's line: "wbps=1048576", or "1048576" */
    char was[48];  /* ours before: while it changes, the file says one or the other */
    char undo[48]; /* "8:16 wbps=max", "8:16 0", "-io" */
};
struct throttle_shared {
    atomic_uint_fast64_t end_ns; /* of the lease */
    atomic_uint over;            /* undone by the guard */
    atomic_size_t n;
    struct throttle_entry at[THROTTLE_ENTRIES];
};
struct bdr_throttle {
    const struct volumes_host *host;
    struct throttle_shared *shared;
    size_t limits; /* of the entries, those that are limits */
    uint64_t lease_ms, bytes_per_s;
    volumes_dev *disks; /* owned */
    size_t disks_n;
    bool v2;
    char base[THROTTLE_PATH]; /* where the groups are mounted */
    char own[THROTTLE_PATH];  /* our group's folder below base: "" or "/a/b" */
    int sock, last_sys;       /* why the last limit could not be set */
    pid_t guard;
};

static uint64_t throttle_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- undoing: in the guard as well, so only async-signal-safe calls --- */

static bool throttle_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int sys = errno;

    if (fd >= 0)
        close(fd);
    errno = sys;
    return good;
}

/* The line of `dev` in a limits file: what stands behind the device, in text[n]; false when there is none. */
static bool throttle_line(const char *path, const char *dev, char *text, size_t n)
{
    char all[THROTTLE_FILE_BYTES];
    size_t len = 0, dev_len = strlen(dev);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return false;
    while (len < sizeof(all) - 1 && (got = read(fd, all + len, sizeof(all) - 1 - len)) > 0)
        len += (size_t)got;
    close(fd);
    all[len] = 0;
    for (char *p = all; *p;) {
        size_t line = strcspn(p, "\n");

        if (!strncmp(p, dev, dev_len) && p[dev_len] == ' ' && line - dev_len - 1 < n) {
            memcpy(text, p + dev_len + 1, line - dev_len - 1);
            text[line - dev_len - 1] = 0;
            return true;
        }
        p += line + (p[line] == '\n');
    }
    return false;
}

/* True when `word` is one of the words of `line`. */
static bool throttle_says(const char *line, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = line; (p = strstr(p, word)); p += n)
        if ((p == line || p[-1] == ' ') && (!p[n] || p[n] == ' '))
            return true;
    return false;
}

static void throttle_undo(const struct throttle_entry *e)
{
    char line[256];

    if (!e->undo[0])
        return;
    if (!e->dev[0] || (throttle_line(e->path, e->dev, line, sizeof(line)) &&
                       (throttle_says(line, e->ours) || (e->was[0] && throttle_says(line, e->was)))))
        throttle_write(e->path, e->undo); /* the group may be gone, and its limit with it */
}

static void throttle_undo_all(struct throttle_shared *s)
{
    for (size_t i = atomic_load(&s->n); i--;) /* the controller last: it was switched on first */
        throttle_undo(&s->at[i]);
}

static _Noreturn void throttle_guard(struct throttle_shared *s, int sock, int parent, int ppid)
{
    const int keep[] = {sock, parent};
    struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = parent, .events = POLLIN}};
    char c;

    guard_close_others(keep, 2);
    guard_settle("bdr-throttle");
    if (send(sock, "", 1, MSG_NOSIGNAL) != 1)
        _exit(0);
    for (;;) {
        uint64_t end = atomic_load(&s->end_ns), now = throttle_now_ns();
        ssize_t got;

        poll(p, 2, end <= now ? 0 : (int)((end - now) / 1000000) + 1);
        got = recv(sock, &c, 1, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || p[1].revents || getppid() != ppid) {
            throttle_undo_all(s); /* after an orderly end nothing is left to undo */
            _exit(0);
        }
        if (throttle_now_ns() >= atomic_load(&s->end_ns)) {
            atomic_store(&s->over, 1);
            throttle_undo_all(s);
            _exit(0);
        }
    }
}

/* --- finding the groups --- */

/* Our path in a hierarchy: of "0::/a/b" (version 2) or "7:cpu,blkio:/a/b". */
static bool throttle_own(char *text, bool v2, char out[THROTTLE_PATH])
{
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = 0;
        controllers++;
        if (v2 ? *controllers != 0 : !controllers[0])
            continue;
        for (char *more = NULL, *c = strtok_r(controllers, ",", &more); !v2 && c; c = strtok_r(NULL, ",", &more))
            if (!strcmp(c, "blkio"))
                return snprintf(out, THROTTLE_PATH, "%s", strcmp(path, "/") ? path : "") < THROTTLE_PATH;
        if (v2)
            return snprintf(out, THROTTLE_PATH, "%s", strcmp(path, "/") ? path : "") < THROTTLE_PATH;
    }
    return false;
}

static bool throttle_has_word(const char *path, const char *word)
{
    char text[4096];

    if (!volumes_read(path, text, sizeof(text)))
        return false;
    text[strcspn(text, "\n")] = 0;
    return throttle_says(text, word);
}

/* A mounted hierarchy that can limit: fills base, own and v2. */
static bool throttle_usable(struct bdr_throttle *t, const struct volumes_mount *m)
{
    char path[PATH_MAX], text[16384];
    size_t root;

    t->v2 = !strcmp(m->type, "cgroup2");
    if (!t->v2 && (strcmp(m->type, "cgroup") || !strstr(m->options, "blkio")))
        return false;
    snprintf(path, sizeof(path), "%s/cgroup.controllers", m->point);
    if (t->v2 && !throttle_has_word(path, "io"))
        return false;
    snprintf(path, sizeof(path), "%s/self/cgroup", t->host->proc);
    if (!volumes_read(path, text, sizeof(text)) || !throttle_own(text, t->v2, t->own) ||
        snprintf(t->base, sizeof(t->base), "%s", m->point) >= THROTTLE_PATH)
        return false;
    root = strcmp(m->root, "/") ? strlen(m->root) : 0; /* a container sees a part of the hierarchy only */
    if (root && strncmp(t->own, m->root, root))
        return false;
    memmove(t->own, t->own + root, strlen(t->own + root) + 1);
    return true;
}

static struct bdr_err *throttle_find(struct bdr_throttle *t)
{
    BDR_AUTO(mem) char *text = NULL;
    struct volumes_mounts mounts;
    char path[PATH_MAX];
    bool found = false;
    size_t len = 0;

    snprintf(path, sizeof(path), "%s/self/mountinfo", t->host->proc);
    BDR_TRY_FOR(bdr_os_read_file(path, VOLUMES_TEXT_MAX, &text, &len), "listing mounts");
    BDR_TRY(volumes_mounts_parse(text, len, &mounts));
    for (size_t i = 0; i < mounts.n && !found; i++)
        found = throttle_usable(t, &mounts.at[i]);
    volumes_mounts_free(&mounts);
    if (!found)
        BDR_FAIL(BDR_UNSUPPORTED, 0,
                 "writers can't be slowed down: no control groups with the io or blkio controller are mounted");
    return NULL;
}

/* --- limiting --- */

static struct throttle_entry *throttle_entry_of(struct bdr_throttle *t, const char *path, const char *dev)
{
    for (size_t i = 0; i < atomic_load(&t->shared->n); i++)
        if (!strcmp(t->shared->at[i].path, path) && !strcmp(t->shared->at[i].dev, dev))
            return &t->shared->at[i];
    return NULL;
}

/* Records what will be done, then does it; false when it can't be. */
static bool throttle_do(struct bdr_throttle *t, const struct throttle_entry *want, const char *text)
{
    struct throttle_entry *e = throttle_entry_of(t, want->path, want->dev);
    size_t n = atomic_load(&t->shared->n);
    bool made = !e;

    if (!e && n == THROTTLE_ENTRIES)
        return false;
    if (!e) {
        e = &t->shared->at[n];
        *e = *want;
        atomic_store(&t->shared->n, n + 1);
    } else {
        char line[256];

        if (!throttle_line(e->path, e->dev, line, sizeof(line)) || !throttle_says(line, e->ours))
            return false; /* somebody else's by now */
        memcpy(e->was, e->ours, sizeof(e->was));
        memcpy(e->ours, want->ours, sizeof(e->ours));
    }
    if (throttle_write(e->path, text))
        return true;
    t->last_sys = errno;
    if (made)
        atomic_store(&t->shared->n, n);
    return false;
}

/* Limits one group's writes to one disk, unless it has a limit. */
static bool throttle_limit(struct bdr_throttle *t, const char *folder, volumes_dev disk)
{
    struct throttle_entry want = {0};
    char line[256], text[96];

    snprintf(want.dev, sizeof(want.dev), "%" PRIu32 ":%" PRIu32, volumes_major(disk), volumes_minor(disk));
    if (snprintf(want.path, sizeof(want.path), "%s/%s", folder, t->v2 ? "io.max" : "blkio.throttle.write_bps_device") >=
        THROTTLE_PATH)
        return false;
    if (access(want.path, F_OK)) {
        t->last_sys = ENOENT;
        return false;
    }
    if (!throttle_entry_of(t, want.path, want.dev) && throttle_line(want.path, want.dev, line, sizeof(line)) &&
        !(t->v2 && throttle_says(line, "wbps=max")))
        return false;
    snprintf(want.ours, sizeof(want.ours), "%s%" PRIu64, t->v2 ? "wbps=" : "", t->bytes_per_s);
    snprintf(want.undo, sizeof(want.undo), "%s %s", want.dev, t->v2 ? "wbps=max" : "0");
    snprintf(text, sizeof(text), "%s %s", want.dev, want.ours);
    return throttle_do(t, &want, text);
}

static void throttle_group(struct bdr_throttle *t, const char *folder)
{
    for (size_t i = 0; i < t->disks_n; i++)
        t->limits += throttle_limit(t, folder, t->disks[i]);
}

/*
 * Limits what is below base + rel. Version 2: a limit holds for all below it, so only the uppermost groups beside our
 * way up get one. Version 1: a limit is the group's alone, so each one gets it.
 */
static void throttle_below(struct bdr_throttle *t, const char *rel, unsigned depth)
{
    char folder[PATH_MAX], sub[THROTTLE_PATH];
    struct dirent *e;
    DIR *dir;

    snprintf(folder, sizeof(folder), "%s%s", t->base, rel);
    dir = depth < THROTTLE_DEPTH ? opendir(folder) : NULL;
    while (dir && (e = readdir(dir))) {
        size_t n;
        bool above;

        if (e->d_name[0] == '.' || e->d_type != DT_DIR ||
            snprintf(sub, sizeof(sub), "%s/%s", rel, e->d_name) >= (int)sizeof(sub))
            continue;
        n = strlen(sub);
        if (!strcmp(sub, t->own))
            continue; /* us, and what is below us */
        above = !strncmp(t->own, sub, n) && t->own[n] == '/';
        if (!above || !t->v2) {
            snprintf(folder, sizeof(folder), "%s%s", t->base, sub);
            throttle_group(t, folder);
        }
        if (above || !t->v2)
            throttle_below(t, sub, depth + 1);
    }
    if (dir)
        closedir(dir);
}

/* Version 2: groups below the root have limits only when the root hands the controller down. */
static void throttle_hand_down(struct bdr_throttle *t)
{
    struct throttle_entry want = {.undo = "-io"};

    if (!t->v2 || snprintf(want.path, sizeof(want.path), "%s/cgroup.subtree_control", t->base) >= THROTTLE_PATH ||
        throttle_has_word(want.path, "io"))
        return;
    throttle_do(t, &want, "+io");
}

static struct bdr_err *throttle_apply(struct bdr_throttle *t, uint64_t bytes_per_s)
{
    t->bytes_per_s = BDR_MAX(bytes_per_s, BDR_THROTTLE_MIN_BYTES);
    t->limits = 0;
    t->last_sys = 0;
    throttle_hand_down(t);
    throttle_below(t, "", 0);
    if (t->limits)
        return NULL;
    if (t->last_sys == ENOENT)
        BDR_FAIL(BDR_UNSUPPORTED, ENOENT,
                 "writers can't be slowed down: this kernel's control groups (%s) know no limit of writes", t->base);
    if (t->last_sys)
        BDR_FAIL(BDR_UNSUPPORTED, t->last_sys, "writers can't be slowed down: control groups (%s) refuse the limit",
                 t->base);
    BDR_FAIL(BDR_UNSUPPORTED, 0,
             "writers can't be slowed down: there is no control group besides ours that has no limit yet (%s)",
             t->base);
}

/* --- the contract --- */

static struct bdr_err *throttle_disks(struct bdr_throttle *t, const char *const *disks, size_t n)
{
    t->disks = calloc(n + 1, sizeof(*t->disks));
    BDR_NOMEM_IF_NULL(t->disks);
    for (size_t i = 0; i < n; i++)
        BDR_TRY(volumes_disk(t->host, disks[i], &t->disks[i]));
    t->disks_n = n;
    return NULL;
}

static struct bdr_err *throttle_fork(struct bdr_throttle *t)
{
    struct pollfd p = {.events = POLLIN};
    int pair[2], parent, ppid = getpid();
    char c;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        BDR_FAIL_ERRNO("making sockets for the throttle's guard");
    parent = (int)syscall(SYS_pidfd_open, ppid, 0);
    t->guard = fork();
    if (t->guard == 0)
        throttle_guard(t->shared, pair[1], parent, ppid);
    close(pair[1]);
    if (parent >= 0)
        close(parent);
    t->sock = pair[0];
    if (t->guard < 0)
        BDR_FAIL_ERRNO("starting the throttle's guard");
    p.fd = t->sock;
    if (poll(&p, 1, THROTTLE_END_MS) != 1 || recv(t->sock, &c, 1, MSG_DONTWAIT) != 1)
        BDR_FAIL(BDR_IO, 0, "the throttle's guard did not start");
    return NULL;
}

struct bdr_err *throttle_start_host(const struct volumes_host *host, uint64_t lease_ms, const char *const *disks,
                                    size_t n, uint64_t bytes_per_s, struct bdr_throttle **out)
{
    BDR_AUTO(throttle) struct bdr_throttle *t = calloc(1, sizeof(*t));

    BDR_NOMEM_IF_NULL(t);
    t->host = host;
    t->lease_ms = lease_ms;
    t->sock = -1;
    BDR_TRY(throttle_disks(t, disks, n));
    BDR_TRY(throttle_find(t));
    t->shared =
        mmap(NULL, sizeof(*t->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (t->shared == MAP_FAILED) {
        t->shared = NULL;
        BDR_NOMEM_IF_NULL(NULL);
    }
    atomic_store(&t->shared->end_ns, throttle_now_ns() + lease_ms * 1000000);
    BDR_TRY(throttle_fork(t));
    BDR_TRY(throttle_apply(t, bytes_per_s));
    *out = BDR_STEAL(t);
    return NULL;
}

struct bdr_err *bdr_throttle_start(const char *const *disks, size_t n, uint64_t bytes_per_s, struct bdr_throttle **out)
{
    return throttle_start_host(&volumes_this_host, BDR_THROTTLE_LEASE_MS, disks, n, bytes_per_s, out);
}

struct bdr_err *bdr_throttle_set(struct bdr_throttle *t, uint64_t bytes_per_s)
{
    struct pollfd p = {.fd = t->sock, .events = POLLIN};

    atomic_store(&t->shared->end_ns, throttle_now_ns() + t->lease_ms * 1000000);
    if (atomic_load(&t->shared->over) || poll(&p, 1, 0) > 0) { /* end of file: nobody would take our limits back */
        throttle_undo_all(t->shared);
        atomic_store(&t->shared->n, 0);
        t->limits = 0;
        BDR_FAIL(BDR_STALE, 0, "writers are not slowed down any more: the time for it was over, or its guard is gone");
    }
    return throttle_apply(t, bytes_per_s);
}

size_t bdr_throttle_count(const struct bdr_throttle *t)
{
    return t->limits;
}

int throttle_guard_pid(const struct bdr_throttle *t)
{
    return (int)t->guard;
}

void bdr_throttle_end(struct bdr_throttle *t)
{
    uint64_t end = throttle_now_ns() + THROTTLE_END_MS * UINT64_C(1000000);

    if (!t)
        return;
    if (t->shared) {
        throttle_undo_all(t->shared);
        atomic_store(&t->shared->n, 0);
    }
    if (t->sock >= 0)
        close(t->sock);
    if (t->guard > 0) {
        kill(t->guard, SIGCONT);
        while (!waitpid(t->guard, NULL, WNOHANG)) {
            if (throttle_now_ns() >= end) {
                kill(t->guard, SIGKILL);
                waitpid(t->guard, NULL, 0);
                break;
            }
            poll(NULL, 0, 2);
        }
    }
    if (t->shared)
        munmap(t->shared, sizeof(*t->shared));
    free(t->disks);
    free(t);
}
