/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.c - the operator's programs around a freeze. bdr/child.h runs our own helpers; these differ: they are checked
 * before we run them with our rights, have a time, and a group that ends with them.
 */
#include "bdr/script.h"
#include "bdr/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SCRIPT_SLICE_MS 20   /* how late its end may be noticed without pidfd (before Linux 5.3), and a cancel */
#define SCRIPT_TERM_MS  3000 /* between SIGTERM and SIGKILL */
#define SCRIPT_KILL_MS  2000 /* for the kernel to take it away */
#define SCRIPT_LINE_MAX 200  /* of its last line, in an error's text */

extern char **environ;

struct script {
    const char *path;
    pid_t pid;
    int pidfd, out_fd;
    bool ended;    /* and not yet waited for, so that its number, and its group's, are still its own */
    int code;      /* of its exit; or -1 */
    int signal;    /* that ended it; or 0 */
    size_t said_n; /* bytes in `said`: the last ones */
    char said[BDR_SCRIPT_SAID_BYTES];
};

/* --- may it run? --- */

static struct bdr_err *script_owner(const char *script, const char *path, const struct stat *st)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        BDR_FAIL(BDR_DENIED, 0, "%s is not run: %s belongs to user %lu, who could change what we run; 'chown root %s'",
                 script, path, (unsigned long)st->st_uid, path);
    /* In a folder like /tmp others add names, but can't replace ours. */
    if ((st->st_mode & S_IWOTH) && !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX)))
        BDR_FAIL(BDR_DENIED, 0, "%s is not run: everybody can write to %s; 'chmod o-w %s'", script, path, path);
    return NULL;
}

/* The program's real name in real[PATH_MAX], after looking at it and at each folder above. */
static struct bdr_err *script_real(const char *path, char real[PATH_MAX])
{
    char part[PATH_MAX];
    struct stat st;

    if (path[0] != '/')
        BDR_FAIL(BDR_INVAL, 0, "the script '%s' needs its absolute path", path);
    if (!realpath(path, real))
        BDR_FAIL_ERRNO("looking for the script %s", path);
    if (stat(real, &st))
        BDR_FAIL_ERRNO("looking at the script %s", path);
    if (!S_ISREG(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "the script %s is no file", path);
    if (!(st.st_mode & 0111))
        BDR_FAIL(BDR_DENIED, 0, "%s is not executable; 'chmod u+x %s'", path, real);
    BDR_TRY(script_owner(path, real, &st));
    memcpy(part, real, strlen(real) + 1);
    for (char *slash; (slash = strrchr(part, '/'));) {
        slash[slash == part] = 0; /* "/" itself keeps its slash */
        if (stat(part, &st))
            BDR_FAIL_ERRNO("looking at the folder %s", part);
        BDR_TRY(script_owner(path, part, &st));
        if (slash == part)
            break;
    }
    return NULL;
}

struct bdr_err *bdr_script_check(const char *path)
{
    char real[PATH_MAX];

    return script_real(path, real);
}

/* --- running --- */

/* The environment with ours in front, so that what is there already of that name does not count; array only is owned.
 */
static char **script_env(char *phase, char *result)
{
    size_t n = 0, k = 0;
    char **env;

    while (environ[n])
        n++;
    env = calloc(n + 3, sizeof(*env));
    if (!env)
        return NULL;
    env[k++] = phase;
    if (*result)
        env[k++] = result;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "BDR_PHASE=", 10) && strncmp(environ[i], "BDR_RESULT=", 11))
            env[k++] = environ[i];
    return env;
}

/* Between fork and exec only async-signal-safe calls: other threads may have held any lock. */
static _Noreturn void script_exec(const char *real, int out_fd, int err_fd, char **env)
{
    char *const argv[] = {(char *)(uintptr_t)real, NULL};
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    setpgid(0, 0);
    for (int sig = 1; sig < NSIG; sig++) /* what we ignore, it should not inherit */
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    null_fd = fcntl(null_fd, F_DUPFD_CLOEXEC, 3);
    out_fd = fcntl(out_fd, F_DUPFD_CLOEXEC, 3);
    err_fd = fcntl(err_fd, F_DUPFD_CLOEXEC, 3);
    if (dup2(null_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(out_fd, 2) < 0)
        _exit(127);
    execve(real, argv, env);
    null_fd = errno;
    if (write(err_fd, &null_fd, sizeof(null_fd)) < 0)
        _exit(126);
    _exit(127);
}

static struct bdr_err *script_start(struct script *s, const char *real, enum bdr_script_phase phase, bool ok)
{
    char phase_env[] = "BDR_PHASE=post", result_env[] = "BDR_RESULT=failed";
    BDR_AUTO(mem) char **env = NULL;
    int out[2], failed[2], sys = 0;

    if (phase == BDR_SCRIPT_PRE) {
        snprintf(phase_env, sizeof(phase_env), "BDR_PHASE=pre");
        result_env[0] = 0;
    } else if (ok) {
        snprintf(result_env, sizeof(result_env), "BDR_RESULT=ok");
    }
    env = script_env(phase_env, result_env);
    BDR_NOMEM_IF_NULL(env);
    if (pipe2(out, O_CLOEXEC))
        BDR_FAIL_ERRNO("making a pipe for %s", s->path);
    s->out_fd = out[0];
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    if (pipe2(failed, O_CLOEXEC)) {
        close(out[1]);
        BDR_FAIL_ERRNO("making a pipe for %s", s->path);
    }
    s->pid = fork();
    if (s->pid == 0)
        script_exec(real, out[1], failed[1], env);
    close(out[1]);
    close(failed[1]);
    if (s->pid > 0) {
        setpgid(s->pid, s->pid); /* in both processes: whoever is first, it is done before we may signal the group */
        s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    }
    if (s->pid > 0 && read(failed[0], &sys, sizeof(sys)) != (ssize_t)sizeof(sys)) /* closed by a successful exec */
        sys = 0;
    close(failed[0]);
    if (s->pid < 0)
        BDR_FAIL_ERRNO("starting %s", s->path);
    if (sys == ENOENT || sys == ENOEXEC)
        BDR_FAIL(BDR_INVAL, sys, "%s can't be run; does its first line (#!) name a program that is there?", s->path);
    if (sys)
        BDR_FAIL(bdr_code_of_errno(sys), sys, "running %s", s->path);
    return NULL;
}

/* Takes what it said so far; of more than there is room for, the end. */
static void script_drain(struct script *s)
{
    char buf[1024];
    ssize_t n;

    while (s->out_fd >= 0 && (n = read(s->out_fd, buf, sizeof(buf))) != 0) {
        size_t keep;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        keep = BDR_MIN(s->said_n, sizeof(s->said) - (size_t)n);
        memmove(s->said, s->said + s->said_n - keep, keep);
        memcpy(s->said + keep, buf, (size_t)n);
        s->said_n = keep + (size_t)n;
    }
    if (s->out_fd >= 0) { /* end of file; it may well go on without its output */
        close(s->out_fd);
        s->out_fd = -1;
    }
}

static void script_look(struct script *s)
{
    siginfo_t info = {0};

    if (waitid(P_PID, (id_t)s->pid, &info,
               WEXITED | WNOHANG | WNOWAIT)) { /* a program that ignores SIGCHLD is not told */
        s->ended = true;
        s->code = -1;
    } else if (info.si_pid == s->pid) {
        s->ended = true;
        s->code = info.si_code == CLD_EXITED ? info.si_status : -1;
        s->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    }
}

/* True when it has ended by then. */
static bool script_wait(struct script *s, uint64_t end_ms, const struct bdr_cancel *cancel)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = s->pidfd, .events = POLLIN}, {.fd = s->out_fd, .events = POLLIN}};
        uint64_t now = bdr_clock_mono_ms();

        script_look(s);
        script_drain(s); /* after: what it wrote before it ended is all there */
        if (s->ended)
            return true;
        if (now >= end_ms || bdr_cancelled(cancel))
            return false;
        poll(p, 2, (int)BDR_MIN(end_ms - now, (uint64_t)SCRIPT_SLICE_MS));
    }
}

static void script_end_group(struct script *s)
{
    kill(-s->pid, SIGTERM);
    script_wait(s, bdr_clock_mono_ms() + SCRIPT_TERM_MS, NULL);
    kill(-s->pid, SIGKILL); /* also when it has ended: its children may not have heeded SIGTERM */
    script_wait(s, bdr_clock_mono_ms() + SCRIPT_KILL_MS, NULL);
}

/* The last line that has anything in it; bytes that are no text become '?'. */
static const char *script_last_line(const struct script *s, char out[SCRIPT_LINE_MAX + 1])
{
    size_t end = s->said_n, begin, n;

    while (end && (unsigned char)s->said[end - 1] <= ' ')
        end--;
    for (begin = end; begin && s->said[begin - 1] != '\n';)
        begin--;
    n = BDR_MIN(end - begin, (size_t)SCRIPT_LINE_MAX);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s->said[begin + i];

        out[i] = c < ' ' || c == 127 ? '?' : (char)c;
    }
    out[n] = 0;
    return out;
}

/* The cause of a failure: all that it said, lines joined, since an error is one line. NULL when it said one line or
 * none. */
static struct bdr_err *script_said(const struct script *s)
{
    char text[sizeof(s->said) + 1];
    size_t n = 0;

    for (size_t i = 0; i < s->said_n; i++) {
        unsigned char c = (unsigned char)s->said[i];

        if (c == '\n' && n && text[n - 1] != '|')
            text[n++] = '|';
        else if (c != '\n')
            text[n++] = c < ' ' || c == 127 ? '?' : (char)c;
    }
    while (n && text[n - 1] == '|')
        n--;
    text[n] = 0;
    return strchr(text, '|') ? bdr_err_new(BDR_INVAL, 0, BDR_AT, "it said: %s", text) : NULL;
}

static struct bdr_err *script_failed(const struct script *s)
{
    char line[SCRIPT_LINE_MAX + 1], how[48];
    struct bdr_err *cause = script_said(s);
    const char *said = script_last_line(s, line);

    if (s->signal)
        snprintf(how, sizeof(how), "was ended by signal %d", s->signal);
    else
        snprintf(how, sizeof(how), "failed with code %d", s->code);
    if (cause)
        return bdr_err_wrap(cause, BDR_AT, "%s %s: %s", s->path, how, said);
    BDR_FAIL(BDR_INVAL, 0, "%s %s%s%s", s->path, how, *said ? ": " : "", said);
}

static void script_close(struct script *s)
{
    if (s->pidfd >= 0)
        close(s->pidfd);
    if (s->out_fd >= 0)
        close(s->out_fd);
    if (s->pid > 0)
        waitpid(s->pid, NULL, s->ended ? 0 : WNOHANG);
}

struct bdr_err *bdr_script_run(const char *path, enum bdr_script_phase phase, bool ok, uint32_t timeout_ms,
                               const struct bdr_cancel *cancel)
{
    __attribute__((cleanup(script_close))) struct script s = {.path = path, .pidfd = -1, .out_fd = -1};
    char real[PATH_MAX], line[SCRIPT_LINE_MAX + 1];

    BDR_TRY(bdr_cancel_check(cancel));
    BDR_TRY(script_real(path, real));
    BDR_TRY(script_start(&s, real, phase, ok));
    if (!script_wait(&s, bdr_clock_mono_ms() + timeout_ms, cancel)) {
        bool cancelled = bdr_cancelled(cancel);

        script_end_group(&s);
        if (cancelled)
            BDR_FAIL(BDR_CANCELLED, 0, "%s was ended, as asked for", path);
        script_last_line(&s, line);
        BDR_FAIL(BDR_TIMEOUT, 0, "%s did not end within %u ms and was ended%s%s", path, timeout_ms,
                 *line ? "; it said last: " : "", line);
    }
    if (!s.code && !s.signal)
        return NULL;
    return script_failed(&s);
}
