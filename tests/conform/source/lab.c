/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LAB_CHUNK           65536
#define LAB_SERVER_START_MS 20000
#define LAB_SERVER_END_MS   5000

extern char **environ;

void lab_open(struct lab *lab)
{
    *lab = (struct lab){.dir = "/tmp/bdr-conform-XXXXXX"};
    assert_non_null(mkdtemp(lab->dir));
}

static int lab_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* Ends a server that is not our child (it forked itself away): its pid names it until it is gone. */
static void lab_end(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (fd < 0)
        return;         /* gone already */
    kill(pid, SIGKILL); /* nbdkit waits for its clients when it is asked politely; nothing here is worth keeping */
    assert_int_equal(poll(&p, 1, LAB_SERVER_END_MS), 1);
    close(fd);
}

void lab_close(struct lab *lab)
{
    while (lab->n--) {
        if (lab->items[lab->n].pid)
            lab_end(lab->items[lab->n].pid);
        if (lab->items[lab->n].loop[0])
            RUN("losetup", "-d", lab->items[lab->n].loop);
    }
    nftw(lab->dir, lab_remove, 16, FTW_DEPTH | FTW_PHYS);
}

const char *lab_text(const char *fmt, ...)
{
    static char room[65536];
    static size_t at;
    char *out = room + at;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(out, sizeof(room) - at, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && (size_t)n < sizeof(room) - at);
    at += (size_t)n + 1;
    return out;
}

const char *lab_path(struct lab *lab, const char *name)
{
    return lab_text("%s/%s", lab->dir, name);
}

static int lab_wait(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void lab_run(const char *const argv[])
{
    posix_spawn_file_actions_t acts;
    pid_t pid;
    int rc;

    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_addopen(&acts, 1, "/dev/null", O_WRONLY, 0);
    rc = posix_spawnp(&pid, argv[0], &acts, NULL, (char **)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    if (rc)
        fail_msg("starting %s: %s", argv[0], strerror(rc));
    rc = lab_wait(pid);
    if (rc)
        fail_msg("%s %s ... returned %d", argv[0], argv[1] ? argv[1] : "", rc);
}

/* qemu-nbd writes the pid before it goes into the background, nbdkit just after: the file is the sign for both. */
void lab_serve(struct lab *lab, const char *pid_file, const char *const argv[])
{
    uint64_t end = bdr_clock_mono_ms() + LAB_SERVER_START_MS;

    lab_run(argv);
    assert_true(lab->n < LAB_MAX_ITEMS);
    for (;;) {
        BDR_AUTO(mem) char *text = NULL;
        size_t len = 0;
        struct bdr_err *err = bdr_os_read_file(pid_file, 64, &text, &len);

        bdr_err_drop(err, "not there yet");
        if (!err && len && text[len - 1] == '\n') {
            lab->items[lab->n++].pid = (pid_t)strtol(text, NULL, 10);
            return;
        }
        if (bdr_clock_mono_ms() > end)
            fail_msg("%s did not start", argv[0]);
        OK(bdr_cancel_sleep(NULL, 2));
    }
}

const char *lab_loop(struct lab *lab, const char *path, unsigned sector_bytes)
{
    char *name = lab->items[lab->n].loop, size[16];
    posix_spawn_file_actions_t acts;
    const char *argv[] = {"losetup", "-f", "--show", "-b", size, path, NULL};
    ssize_t n;
    pid_t pid;
    int fds[2], rc;

    if (getenv("BDR_NO_LOOP"))
        return NULL;
    snprintf(size, sizeof(size), "%u", sector_bytes);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_adddup2(&acts, fds[1], 1);
    rc = posix_spawnp(&pid, argv[0], &acts, NULL, (char **)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    close(fds[1]);
    assert_int_equal(rc, 0);
    n = read(fds[0], name, sizeof(lab->items[0].loop) - 1);
    close(fds[0]);
    if (lab_wait(pid) || n <= 1)
        fail_msg("no loop device of %u-byte sectors to be had; set BDR_NO_LOOP=1 to go without", sector_bytes);
    name[n] = 0;
    name[strcspn(name, "\n")] = 0;
    lab->n++;
    return lab_text("%s", name);
}

unsigned lab_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    close(fd);
    return ntohs(addr.sin_port);
}

void lab_fill(const char *path, const char *mem_location)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    BDR_AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct bdr_source_info info;
    static uint8_t buf[LAB_CHUNK];

    assert_true(fd >= 0);
    OK(bdr_source_open(&(struct bdr_source_spec){.location = mem_location}, &src));
    OK(bdr_source_info(src, &info));
    assert_int_equal(ftruncate(fd, (off_t)info.size_bytes), 0);
    for (uint64_t off = 0; off < info.size_bytes; off += sizeof(buf)) {
        size_t n = BDR_MIN(sizeof(buf), info.size_bytes - off);

        OK(bdr_source_read(src, off, buf, n));
        if (!bdr_all_zero(buf, n))
            OK(bdr_os_pwrite(fd, path, buf, n, off));
    }
}

void lab_poke(const char *path, uint64_t off, const void *data, size_t len)
{
    BDR_AUTO(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    OK(bdr_os_pwrite(fd, path, data, len, off));
}
