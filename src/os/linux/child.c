/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/child.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CHILD_FIRST_FD 3     /* SD_LISTEN_FDS_START */
#define CHILD_SLICE_MS 50    /* how late a cancel may be noticed */
#define CHILD_TERM_MS  10000 /* after SIGTERM: qemu-nbd writes its metadata back */

extern char **environ;

struct bdr_child {
    pid_t pid;
    int pidfd, err_fd;
    int status; /* -1: runs */
    bool untrusted;
    char *name; /* for messages */
    size_t len; /* of the unfinished line in `line` */
    char line[512], said[512];
};

/* `name` as a path, searched in PATH; errno is ENOENT when there is none. */
static char *child_find(const char *name)
{
    const char *path = getenv("PATH");
    BDR_AUTO(mem) char *copy = NULL;
    char *save = NULL, *full = NULL;
    struct stat st;

    if (strchr(name, '/'))
        return strdup(name);
    /* Tools of the system live in sbin folders, which a plain user's PATH often lacks. */
    if (asprintf(&copy, "%s:/usr/local/sbin:/usr/sbin:/sbin", path ? path : "/usr/local/bin:/usr/bin:/bin") < 0)
        return NULL;
    for (char *dir = strtok_r(copy, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        if (asprintf(&full, "%s/%s", dir, name) < 0)
            return NULL;
        if (!stat(full, &st) && S_ISREG(st.st_mode) && !access(full, X_OK)) /* a folder of that name is "executable" */
            return full;
        free(full);
    }
    errno = ENOENT;
    return NULL;
}

/* The environment with LISTEN_* and the variable of `extra` replaced; `bare`: an empty one. Caller frees the array, not the strings. */
static char **child_env(bool bare, const char *extra, char *listen_fds, char *listen_pid)
{
    size_t n = 0, k = 0, name = extra ? (size_t)(strchr(extra, '=') - extra) + 1 : 0;
    char **env;

    while (environ[n])
        n++;
    env = calloc(n + 4, sizeof(*env));
    if (!env || bare)
        return env;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "LISTEN_", 7) && !(name && !strncmp(environ[i], extra, name)))
            env[k++] = environ[i];
    if (extra)
        env[k++] = (char *)(uintptr_t)extra;
    if (listen_fds) {
        env[k++] = listen_fds;
        env[k++] = listen_pid;
    }
    return env;
}

/* Between fork and exec only async-signal-safe calls: other threads may have held any lock. */
static void child_exec(const char *path, const struct bdr_child_spec *spec, pid_t parent, int err_fd, char **env,
                       char *pid_digits)
{
    int moved[BDR_CHILD_FDS];
    int null_fd = open("/dev/null", O_RDWR);
    unsigned long pid = (unsigned long)getpid();
    sigset_t none;
    size_t n = 0;
    char rev[24];

    if (spec->with_us && (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent))
        _exit(127);
    do
        rev[n++] = (char)('0' + pid % 10);
    while ((pid /= 10) != 0);
    while (n)
        *pid_digits++ = rev[--n];
    *pid_digits = 0;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Away from the low numbers first, so that no dup2 overwrites one still needed. */
    err_fd = fcntl(err_fd, F_DUPFD_CLOEXEC, 64);
    null_fd = fcntl(null_fd, F_DUPFD_CLOEXEC, 64);
    for (size_t i = 0; i < spec->n_fds; i++)
        moved[i] = fcntl(spec->fds[i], F_DUPFD_CLOEXEC, 64);
    if (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(err_fd, 2) < 0)
        _exit(127);
    for (size_t i = 0; i < spec->n_fds; i++)
        if (dup2(moved[i], CHILD_FIRST_FD + (int)i) < 0)
            _exit(127);
    if (spec->untrusted) /* whatever was left open without O_CLOEXEC is none of its business */
        (void)close_range((unsigned)(CHILD_FIRST_FD + spec->n_fds), ~0u, 0);
    execve(path, (char *const *)(uintptr_t)spec->argv, env);
    _exit(127);
}

static void child_free(struct bdr_child *c)
{
    if (!c)
        return;
    if (c->pidfd >= 0)
        close(c->pidfd);
    if (c->err_fd >= 0)
        close(c->err_fd);
    free(c->name);
    free(c);
}

struct bdr_err *bdr_child_start(const struct bdr_child_spec *spec, struct bdr_child **out)
{
    BDR_AUTO(mem) char *path = NULL;
    BDR_AUTO(mem) char **env = NULL;
    BDR_AUTO(fd) int err_out = -1;
    char listen_fds[32], listen_pid[48] = "LISTEN_PID=";
    struct bdr_child *c;
    int pipe_fd[2];
    pid_t pid, parent = getpid();

    BDR_ASSERT(spec->n_fds <= BDR_CHILD_FDS && spec->n_quiet <= spec->n_fds);
    path = child_find(spec->argv[0]);
    if (!path)
        BDR_FAIL(BDR_NOTFOUND, ENOENT, "the program '%s' is not in PATH; install it", spec->argv[0]);
    snprintf(listen_fds, sizeof(listen_fds), "LISTEN_FDS=%zu", spec->n_fds - spec->n_quiet);
    env = child_env(spec->untrusted, spec->env, spec->n_fds > spec->n_quiet ? listen_fds : NULL, listen_pid);
    BDR_NOMEM_IF_NULL(env);
    c = calloc(1, sizeof(*c));
    BDR_NOMEM_IF_NULL(c);
    *c = (struct bdr_child){.pidfd = -1, .err_fd = -1, .status = -1, .untrusted = spec->untrusted,
                            .name = strdup(spec->argv[0])};
    if (!c->name || pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK)) {
        child_free(c);
        BDR_FAIL_ERRNO("making a pipe for %s", spec->argv[0]);
    }
    c->err_fd = pipe_fd[0];
    err_out = pipe_fd[1]; /* non-blocking: a child nobody listens to loses words rather than stops */
    pid = fork();
    if (pid == 0)
        child_exec(path, spec, parent, err_out, env, listen_pid + strlen("LISTEN_PID="));
    if (pid < 0) {
        child_free(c);
        BDR_FAIL_ERRNO("starting %s", path);
    }
    c->pid = pid;
    c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* without it (before Linux 5.3) poll just takes its slice */
    *out = c;
    return NULL;
}

static void child_line(struct bdr_child *c)
{
    c->line[c->len] = 0;
    if (c->len) {
        memcpy(c->said, c->line, c->len + 1);
        if (!c->untrusted)
            BDR_LOG(WARN, "child.says", F_STR("program", c->name), F_STR("line", c->line));
    }
    c->len = 0;
}

static void child_drain(struct bdr_child *c)
{
    char buf[1024];
    ssize_t n;

    while ((n = read(c->err_fd, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] == '\n')
                child_line(c);
            else if (c->len + 1 < sizeof(c->line))
                c->line[c->len++] = buf[i];
        }
}

static bool child_reap(struct bdr_child *c)
{
    int st;

    if (c->status >= 0)
        return true;
    if (waitpid(c->pid, &st, WNOHANG) != c->pid)
        return false;
    c->status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
    child_drain(c);
    child_line(c);
    return true;
}

struct bdr_err *bdr_child_poll(struct bdr_child *c, uint64_t ms, const struct bdr_cancel *cancel, bool *out_ended)
{
    uint64_t end = bdr_clock_mono_ms() + ms;

    for (;;) {
        uint64_t now = bdr_clock_mono_ms();
        struct pollfd fds[2] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = c->err_fd, .events = POLLIN}};

        child_drain(c);
        if (child_reap(c)) {
            *out_ended = true;
            return NULL;
        }
        if (now >= end) {
            *out_ended = false;
            return NULL;
        }
        BDR_TRY(bdr_cancel_check(cancel));
        if (poll(fds, 2, (int)BDR_MIN(end - now, (uint64_t)CHILD_SLICE_MS)) > 0 && (fds[1].revents & POLLHUP)) {
            /* It closed its standard error but lives: that descriptor would wake us for nothing. */
            fds[1].fd = -1;
            if (poll(fds, 1, (int)BDR_MIN(end - now, (uint64_t)CHILD_SLICE_MS)) < 0)
                continue;
        }
    }
}

int bdr_child_status(const struct bdr_child *c)
{
    return c->status;
}

const char *bdr_child_said(struct bdr_child *c)
{
    child_drain(c);
    return c->said;
}

void bdr_child_stop(struct bdr_child *c, uint64_t grace_ms)
{
    bool ended = false;

    if (!c)
        return;
    bdr_err_drop(bdr_child_poll(c, grace_ms, NULL, &ended), "no token: cannot fail");
    if (!ended && !c->untrusted) {
        kill(c->pid, SIGTERM);
        bdr_err_drop(bdr_child_poll(c, CHILD_TERM_MS, NULL, &ended), "no token: cannot fail");
    }
    if (!ended) {
        kill(c->pid, SIGKILL);
        bdr_err_drop(bdr_child_poll(c, CHILD_TERM_MS, NULL, &ended), "no token: cannot fail");
    }
    child_free(c);
}

struct bdr_err *bdr_child_run(const char *const *argv, const struct bdr_cancel *cancel)
{
    BDR_AUTO(child) struct bdr_child *c = NULL;
    bool ended = false;

    BDR_TRY(bdr_child_start(&(struct bdr_child_spec){.argv = argv}, &c));
    while (!ended)
        BDR_TRY_FOR(bdr_child_poll(c, 60000, cancel, &ended), "waiting for %s", argv[0]);
    if (c->status)
        BDR_FAIL(BDR_INVAL, 0, "%s failed with status %d: %s", argv[0], c->status, bdr_child_said(c));
    return NULL;
}
