/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu.c - the disk inside an image file: qcow2, and what else QEMU can open.
 *
 * Speaks: NBD to a `qemu-nbd -r` of its own, on a private socket. "qcow2:/path", "qemu:FORMAT:/path".
 * The server inherits a listening socket (the LISTEN_FDS convention of systemd), so there is nothing to wait for, and
 * ends when its last client is gone: also when we were killed.
 * Can't: read an image that a running machine writes (QEMU's lock says so); make or clear bitmaps.
 */
#include "../source_priv.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define QEMU_PROGRAM    "qemu-nbd"
#define QEMU_CLIENTS    "8"   /* connections; the nbd driver opens at most 4 */
#define QEMU_LISTEN_FD  3     /* Source: sd_listen_fds(3) */
#define QEMU_END_MS     5000  /* for a server that hung up to write its complaint and go */
#define QEMU_STDERR_MAX 65536 /* of its complaints */

struct qemu_src {
    struct bdr_source base;
    struct bdr_source *nbd; /* owned */
    char *path;             /* of the image; owned */
    char dir[64], sock[80], log[80];
    pid_t pid; /* 0: none */
};

/* Formats whose driver reads a file by itself; others (ssh, nbd, blkdebug) are no formats to a user. */
static const char *const qemu_formats[] = {"qcow2", "vmdk", "vdi", "vhdx", "vpc", "qed", "qcow", "parallels", "raw"};

/* Waits at most `ms` for the server to end by itself, then ends it: it only reads, there is nothing to lose. */
static void qemu_reap(struct qemu_src *q, int ms)
{
    int status;

    if (!q->pid)
        return;
    if (ms) {
        BDR_AUTO(fd) int fd = (int)syscall(SYS_pidfd_open, q->pid, 0);
        struct pollfd ended = {.fd = fd, .events = POLLIN};

        if (fd >= 0 && poll(&ended, 1, ms) < 0)
            BDR_LOG(DEBUG, "source.qemu.reap", F_STR("image", q->path));
    }
    kill(q->pid, SIGKILL);
    while (waitpid(q->pid, &status, 0) < 0 && errno == EINTR)
        ;
    q->pid = 0;
}

static void qemu_close(struct bdr_source *src)
{
    struct qemu_src *q = (struct qemu_src *)src;

    bdr_source_close(q->nbd);
    qemu_reap(q, 0);
    if (q->dir[0]) {
        unlink(q->sock);
        unlink(q->log);
        rmdir(q->dir);
    }
    free(q->path);
    free(q);
}

static struct bdr_err *qemu_parse(const char *location, char format[16], const char **out_path)
{
    const char *rest = source_strip(location, "qemu:"), *colon;
    char known[160] = "";
    size_t at = 0;

    if (rest == location) {
        snprintf(format, 16, "qcow2");
        *out_path = source_strip(location, "qcow2:");
        return NULL;
    }
    colon = strchr(rest, ':');
    for (size_t i = 0; i < BDR_COUNT(qemu_formats); i++) {
        size_t n = strlen(qemu_formats[i]);

        if (colon && (size_t)(colon - rest) == n && !strncmp(rest, qemu_formats[i], n)) {
            memcpy(format, qemu_formats[i], n + 1);
            *out_path = colon + 1;
            return NULL;
        }
        at += (size_t)snprintf(known + at, sizeof(known) - at, " %s", qemu_formats[i]);
    }
    BDR_FAIL(BDR_INVAL, 0, "%s does not name a format; write qemu:FORMAT:/path with one of%s", location, known);
}

/* A listening socket in a folder that only we can enter. */
static struct bdr_err *qemu_listen(struct qemu_src *q, int *out_fd)
{
    BDR_AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/bdr-qemu-XXXXXX";

    if (fd < 0)
        BDR_FAIL_ERRNO("making a socket");
    if (!mkdtemp(dir))
        BDR_FAIL_ERRNO("making a folder %s", dir);
    memcpy(q->dir, dir, sizeof(dir));
    snprintf(q->sock, sizeof(q->sock), "%s/nbd", q->dir);
    snprintf(q->log, sizeof(q->log), "%s/log", q->dir);
    memcpy(addr.sun_path, q->sock, strlen(q->sock) + 1);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 16))
        BDR_FAIL_ERRNO("listening on %s", q->sock);
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}

/* Decimal digits of the child's own pid behind "LISTEN_PID="; between fork and exec nothing may allocate. */
static void qemu_put_pid(char *digits)
{
    char rev[16];
    int n = 0;

    for (pid_t v = getpid(); v; v /= 10)
        rev[n++] = (char)('0' + v % 10);
    while (n)
        *digits++ = rev[--n];
    *digits = 0;
}

extern char **environ;

/* Never returns. Only what is safe after a fork of a threaded program. */
BDR_NORETURN static void qemu_child(char *const argv[], char *const envp[], char *pid_digits, int listen_fd, int log_fd,
                                    int null_fd, int told_fd)
{
    static const struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    int err;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGPIPE, &plain, NULL);
    qemu_put_pid(pid_digits);
    setpgid(0, 0); /* a Ctrl-C at the terminal is for us to handle */
    /* None of them is 0..3: qemu_spawn saw to it. dup2 leaves close-on-exec behind. */
    if (dup2(null_fd, 0) >= 0 && dup2(null_fd, 1) >= 0 && dup2(log_fd, 2) >= 0 && dup2(listen_fd, QEMU_LISTEN_FD) >= 0)
        execvpe(argv[0], argv, envp);
    err = errno;
    if (write(told_fd, &err, sizeof(err)) < 0)
        _exit(126);
    _exit(127);
}

/* A copy of `fd` above the numbers that the child needs; closes the old one. */
static struct bdr_err *qemu_high_fd(int *fd)
{
    int high = fcntl(*fd, F_DUPFD_CLOEXEC, 10);

    if (high < 0)
        BDR_FAIL_ERRNO("copying a descriptor");
    close(*fd);
    *fd = high;
    return NULL;
}

/* Our environment with LISTEN_* in front; *out is owned by the caller, its strings are not. */
static struct bdr_err *qemu_environ(char *listen_pid, char *listen_fds, char ***out)
{
    size_t n = 0, at = 2;
    char **envp;

    while (environ[n])
        n++;
    envp = calloc(n + 3, sizeof(*envp));
    BDR_NOMEM_IF_NULL(envp);
    envp[0] = listen_pid;
    envp[1] = listen_fds;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "LISTEN_", 7))
            envp[at++] = environ[i];
    *out = envp;
    return NULL;
}

static struct bdr_err *qemu_spawn(struct qemu_src *q, char *const argv[], int listen_fd)
{
    char listen_pid[32] = "LISTEN_PID=", listen_fds[] = "LISTEN_FDS=1";
    BDR_AUTO(mem) char **envp = NULL;
    BDR_AUTO(fd) int log_fd = open(q->log, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND, 0600);
    BDR_AUTO(fd) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    BDR_AUTO(fd) int told = -1;
    BDR_AUTO(fd) int tell = -1;
    int pipe_fds[2], err = 0;
    ssize_t n;

    if (log_fd < 0 || null_fd < 0 || pipe2(pipe_fds, O_CLOEXEC))
        BDR_FAIL_ERRNO("preparing to start " QEMU_PROGRAM);
    told = pipe_fds[0];
    tell = pipe_fds[1];
    BDR_TRY(qemu_environ(listen_pid, listen_fds, &envp));
    BDR_TRY(qemu_high_fd(&log_fd));
    BDR_TRY(qemu_high_fd(&null_fd));
    BDR_TRY(qemu_high_fd(&tell));
    q->pid = fork();
    if (q->pid == 0)
        qemu_child(argv, envp, listen_pid + strlen(listen_pid), listen_fd, log_fd, null_fd, tell);
    if (q->pid < 0) {
        q->pid = 0;
        BDR_FAIL_ERRNO("starting " QEMU_PROGRAM);
    }
    close(bdr_fd_steal(&tell));
    while ((n = read(told, &err, sizeof(err))) < 0 && errno == EINTR)
        ;
    if (n != sizeof(err))
        return NULL; /* the pipe closed by exec: it runs */
    qemu_reap(q, 0); /* it has ended: it told its errno with its last breath */
    if (err == ENOENT)
        BDR_FAIL(BDR_UNSUPPORTED, 0,
                 "%s is an image that only QEMU's tools read; install qemu-utils (" QEMU_PROGRAM ")", q->path);
    BDR_FAIL(bdr_code_of_errno(err), err, "starting " QEMU_PROGRAM);
}

/* The server is gone before it served: its last words say why. `err` (consumed) is what the client saw. */
static struct bdr_err *qemu_explain(struct qemu_src *q, struct bdr_err *err)
{
    BDR_AUTO(mem) char *text = NULL;
    enum bdr_code code = BDR_INVAL;
    size_t len = 0;
    char *line;

    bdr_err_drop(bdr_os_read_file(q->log, QEMU_STDERR_MAX, &text, &len), "then without its words");
    while (len && text[len - 1] == '\n')
        text[--len] = 0;
    if (!len)
        return err;
    line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (!strncmp(line, QEMU_PROGRAM ": ", strlen(QEMU_PROGRAM) + 2))
        line += strlen(QEMU_PROGRAM) + 2;
    if (strstr(line, "lock"))
        code = BDR_BUSY;
    else if (strstr(line, "inconsistent") || strstr(line, "in use"))
        code = BDR_STALE;
    else if (strstr(line, "ermission"))
        code = BDR_DENIED;
    else if (strstr(line, "itmap") || strstr(line, "No such file"))
        code = BDR_NOTFOUND;
    bdr_err_drop(err, "the server's own words are better");
    BDR_FAIL(code, 0, QEMU_PROGRAM " can't open %s: %s%s", q->path, line,
             code == BDR_BUSY ? "; stop the machine that uses it" : "");
}

static struct bdr_err *qemu_serve(struct qemu_src *q, const char *format, const struct bdr_source_spec *spec)
{
    BDR_AUTO(fd) int fd = -1;
    const char *argv[12];
    size_t n = 0;
    char fmt[32];

    BDR_TRY(qemu_listen(q, &fd));
    BDR_TRY(qemu_high_fd(&fd));
    snprintf(fmt, sizeof(fmt), "--format=%s", format);
    argv[n++] = QEMU_PROGRAM;
    argv[n++] = "--read-only";
    argv[n++] = "--shared=" QEMU_CLIENTS;
    argv[n++] = fmt;
    if (spec->dirty_bitmap) {
        argv[n++] = "--bitmap";
        argv[n++] = spec->dirty_bitmap;
    }
    argv[n++] = "--";
    argv[n++] = q->path;
    argv[n] = NULL;
    return qemu_spawn(q, (char *const *)(uintptr_t)argv, fd); /* exec does not write to them */
    /* Our copy of the socket closes here: when the server dies, clients see it at once. */
}

static struct bdr_err *qemu_setup(struct qemu_src *q, const struct bdr_source_spec *spec)
{
    struct bdr_source_spec inner = {.dirty_bitmap = spec->dirty_bitmap, .depth = spec->depth, .cancel = spec->cancel};
    char format[16], uri[128];
    const char *path = NULL;
    struct bdr_err *err;
    struct stat st;

    BDR_TRY(qemu_parse(spec->location, format, &path));
    q->path = realpath(path, NULL); /* absolute: QEMU reads "a:b" as protocol a */
    if (!q->path)
        BDR_FAIL_ERRNO("finding %s", path);
    if (stat(q->path, &st))
        BDR_FAIL_ERRNO("looking at %s", q->path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is neither a file nor a block device", q->path);
    BDR_TRY(qemu_serve(q, format, spec));
    snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", q->sock);
    inner.location = uri;
    err = bdr_source_open(&inner, &q->nbd);
    if (err && err->code != BDR_CANCELLED && err->code != BDR_NOMEM && err->code != BDR_TIMEOUT) {
        qemu_reap(q, err->code == BDR_NET ? QEMU_END_MS : 0); /* NET: it hung up and is about to end */
        err = qemu_explain(q, err);
    }
    return err;
}

static struct bdr_err *qemu_open(const struct bdr_source_spec *spec, struct bdr_source **out)
{
    struct qemu_src *q = calloc(1, sizeof(*q));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(q);
    err = qemu_setup(q, spec);
    if (err)
        qemu_close(&q->base);
    else
        *out = &q->base;
    return err;
}

static struct bdr_err *qemu_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct qemu_src *q = (struct qemu_src *)src;

    BDR_TRY(bdr_source_info(q->nbd, out));
    memset(out->identity, 0, sizeof(out->identity));
    source_identity(out, "file:", q->path);
    return NULL;
}

static struct bdr_err *qemu_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                    bdr_extent_fn fn, void *ctx)
{
    return bdr_source_extents(((struct qemu_src *)src)->nbd, of, off, len, fn, ctx);
}

static struct bdr_err *qemu_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    return bdr_source_read(((struct qemu_src *)src)->nbd, off, buf, len);
}

const struct bdr_source_driver bdr_source_qemu = {
    .name = "qemu",
    .title = "Disk image in a format of QEMU's",
    .help = "/path/disk.qcow2, qcow2:/path, or qemu:FORMAT:/path (vmdk, vdi, vhdx, vpc, qed, parallels)",
    .schemes = "qcow2: qemu:",
    .accepts = BDR_SOURCE_ACCEPTS_BITMAP,
    .open = qemu_open,
    .info = qemu_info,
    .extents = qemu_extents,
    .read = qemu_read,
    .close = qemu_close,
};
