/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers slowed down by control groups: on recorded trees of version 2, and with a writer in a group of our own where
 * version 1 limits.
 */
#include "bdr/osfile.h"
#include "lab.h"
#include "throttle_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define MIB (UINT64_C(1) << 20)

/* The machine's own groups may be limited by somebody else at the same time, on other devices: when set, only lines that
 * begin with this count. */
static char only_device[24];

static void keep_ours(char *text)
{
    size_t n = strlen(only_device);
    char *to = text;

    for (char *line = text, *next; n && *line; line = next) {
        next = strchr(line, '\n');
        next = next ? next + 1 : line + strlen(line);
        if (!strncmp(line, only_device, n)) {
            memmove(to, line, (size_t)(next - line));
            to += next - line;
        }
    }
    if (n)
        *to = 0;
}

static void said(const char *file, const char *want)
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    OK(bdr_os_read_file(file, 65536, &text, &len));
    keep_ours(text);
    if (strcmp(text, want))
        fail_msg("%s says \"%s\", not \"%s\"", file, text, want);
}

/* Waits for it; false when it did not come to that. */
static bool comes_to_say(const char *file, const char *want)
{
    for (uint64_t end = lab_now_ms() + 15000; lab_now_ms() < end; poll(NULL, 0, 5)) {
        BDR_AUTO(mem) char *text = NULL;
        size_t len = 0;

        OK(bdr_os_read_file(file, 65536, &text, &len));
        keep_ours(text);
        if (!strcmp(text, want))
            return true;
    }
    return false;
}

/* --- version 2, as files --- */

static char proc[PATH_MAX], sys[PATH_MAX];
static const struct volumes_host tree = {.proc = proc, .sys = sys};

static const char *at(const char *name)
{
    static char path[4][PATH_MAX];
    static unsigned next;

    next = (next + 1) % 4;
    snprintf(path[next], sizeof(path[next]), "%s/%s", lab_dir, name);
    return path[next];
}

static int tree_setup(void **state)
{
    char text[512];

    (void)state;
    strcpy(lab_dir, "/tmp/bdr-tree-XXXXXX"); /* banned-ok: fits */
    if (!mkdtemp(lab_dir))
        return -1;
    snprintf(proc, sizeof(proc), "%s/proc", lab_dir);
    snprintf(sys, sizeof(sys), "%s/sys", lab_dir);
    lab_put("sys/class/block/sda/dev", "8:0\n");
    lab_put("sys/devices/sda/dev", "8:0\n");
    snprintf(text, sizeof(text), "30 20 0:26 / %s/cg rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", lab_dir);
    lab_put("proc/self/mountinfo", text);
    lab_put("proc/self/cgroup", "0::/system.slice/bdr.service\n");
    lab_put("cg/cgroup.controllers", "cpuset cpu io memory pids\n");
    lab_put("cg/cgroup.subtree_control", "cpu io memory\n");
    lab_put("cg/user.slice/io.max", "");
    lab_put("cg/user.slice/user-0.slice/io.max", "");
    lab_put("cg/system.slice/io.max", "");
    lab_put("cg/system.slice/bdr.service/io.max", "");
    lab_put("cg/system.slice/bdr.service/inner/io.max", "");
    lab_put("cg/system.slice/bdr.service2/io.max", "");
    lab_put("cg/system.slice/db.service/io.max", "8:16 rbps=max wbps=77 riops=max wiops=max\n");
    lab_put("cg/system.slice/web.service/io.max", "8:0 rbps=5 wbps=3000000 riops=max wiops=max\n");
    lab_put("cg/system.slice/reads.service/io.max", "8:0 rbps=5 wbps=max riops=max wiops=max\n");
    return 0;
}

static void test_start__version_2__uppermost_groups_but_ours_and_the_limited(void **state)
{
    const char *disks[] = {"/dev/sda"};
    struct bdr_throttle *t = NULL;

    (void)state;
    OK(throttle_start_host(&tree, 60000, disks, 1, 5 * MIB, &t));
    assert_int_equal(bdr_throttle_count(t), 4);
    said(at("cg/user.slice/io.max"), "8:0 wbps=5242880");
    said(at("cg/user.slice/user-0.slice/io.max"), "");
    said(at("cg/system.slice/io.max"), "");
    said(at("cg/system.slice/bdr.service/io.max"), "");
    said(at("cg/system.slice/bdr.service/inner/io.max"), "");
    said(at("cg/system.slice/bdr.service2/io.max"), "8:0 wbps=5242880");
    said(at("cg/system.slice/db.service/io.max"),
         "8:0 wbps=5242880"); /* a file would be longer: the kernel adds a line */
    said(at("cg/system.slice/reads.service/io.max"), "8:0 wbps=5242880");
    said(at("cg/system.slice/web.service/io.max"), "8:0 rbps=5 wbps=3000000 riops=max wiops=max\n");
    said(at("cg/cgroup.subtree_control"), "cpu io memory\n");
    lab_put("cg/user.slice/io.max", "8:0 rbps=max wbps=5242880 riops=max wiops=max\n"); /* as the kernel shows it */
    lab_put("cg/late.slice/io.max", "");
    lab_put("cg/system.slice/reads.service/io.max",
            "8:0 rbps=5 wbps=9 riops=max wiops=max\n"); /* an operator's, meanwhile */
    OK(bdr_throttle_set(t, 1));
    said(at("cg/user.slice/io.max"), "8:0 wbps=1048576"); /* no less than the least */
    said(at("cg/late.slice/io.max"), "8:0 wbps=1048576");
    said(at("cg/system.slice/reads.service/io.max"), "8:0 rbps=5 wbps=9 riops=max wiops=max\n");
    assert_int_equal(bdr_throttle_count(t), 4);
    bdr_throttle_end(t);
    said(at("cg/user.slice/io.max"), "8:0 wbps=max");
    said(at("cg/late.slice/io.max"), "8:0 wbps=max");
    said(at("cg/system.slice/bdr.service2/io.max"), "8:0 wbps=max");
    said(at("cg/system.slice/reads.service/io.max"), "8:0 rbps=5 wbps=9 riops=max wiops=max\n");
    said(at("cg/system.slice/web.service/io.max"), "8:0 rbps=5 wbps=3000000 riops=max wiops=max\n");
}

static void test_start__controller_not_handed_down__for_the_time_it_is(void **state)
{
    const char *disks[] = {"/dev/sda"};
    struct bdr_throttle *t = NULL;

    (void)state;
    lab_put("cg/cgroup.subtree_control", "cpu memory\n");
    OK(throttle_start_host(&tree, 60000, disks, 1, MIB, &t));
    said(at("cg/cgroup.subtree_control"), "+io");
    bdr_throttle_end(t);
    said(at("cg/cgroup.subtree_control"), "-io");
}

static void test_start__lease_over__taken_back_and_stale(void **state)
{
    const char *disks[] = {"/dev/sda"};
    struct bdr_throttle *t = NULL;

    (void)state;
    OK(throttle_start_host(&tree, 300, disks, 1, MIB, &t));
    assert_true(comes_to_say(at("cg/user.slice/io.max"), "8:0 wbps=max"));
    assert_true(comes_to_say(at("cg/system.slice/bdr.service2/io.max"), "8:0 wbps=max"));
    FAILS(STALE, "any more", bdr_throttle_set(t, MIB));
    bdr_throttle_end(t);
}

static void test_start__guard_killed__set_takes_back(void **state)
{
    const char *disks[] = {"/dev/sda"};
    struct bdr_throttle *t = NULL;

    (void)state;
    OK(throttle_start_host(&tree, 60000, disks, 1, MIB, &t));
    assert_int_equal(kill(throttle_guard_pid(t), SIGKILL), 0);
    for (int i = 0; i < 1000; i++) { /* until its socket is closed */
        struct bdr_err *err = bdr_throttle_set(t, MIB);

        if (err) {
            assert_int_equal(err->code, BDR_STALE);
            bdr_err_free(err);
            break;
        }
        poll(NULL, 0, 5);
    }
    said(at("cg/user.slice/io.max"), "8:0 wbps=max");
    bdr_throttle_end(t);
}

static void test_start__nothing_usable__unsupported_and_why(void **state)
{
    const char *disks[] = {"/dev/sda"}, *partition[] = {"/dev/sdq"};
    struct bdr_throttle *t = NULL;

    (void)state;
    FAILS(NOTFOUND, "/dev/sdq", throttle_start_host(&tree, 60000, partition, 1, MIB, &t));
    lab_put("cg/cgroup.controllers", "cpuset cpu memory pids\n");
    FAILS(UNSUPPORTED, "no control groups with the io", throttle_start_host(&tree, 60000, disks, 1, MIB, &t));
    lab_put("cg/cgroup.controllers", "io\n");
    lab_put("proc/self/cgroup", "0::/user.slice\n");
    OK(bdr_os_remove_tree(at("cg/system.slice")));
    FAILS(UNSUPPORTED, "besides ours", throttle_start_host(&tree, 60000, disks, 1, MIB, &t));
    lab_put("cg/other/cgroup.procs", "");
    FAILS(UNSUPPORTED, "know no limit", throttle_start_host(&tree, 60000, disks, 1, MIB, &t));
    assert_null(t);
}

/* --- version 1, on this machine --- */

#define BLKIO "/sys/fs/cgroup/blkio"
static char group[2][128], limit[2][192];

/* NULL, or why this machine can't show it. */
static const char *groups_make(void)
{
    if (lab_lacks("ext4"))
        return lab_lacks("ext4");
    if (access(BLKIO "/blkio.throttle.write_bps_device", F_OK))
        return "no control groups of version 1 with limits of writes here";
    for (int i = 0; i < 2; i++) {
        snprintf(group[i], sizeof(group[i]), BLKIO "/bdr-test-%d-%d", (int)getpid(), i);
        snprintf(limit[i], sizeof(limit[i]), "%s/blkio.throttle.write_bps_device", group[i]);
        if (mkdir(group[i], 0755))
            return "no right to make control groups here";
    }
    return NULL;
}

static void groups_unmake(void)
{
    for (int i = 0; i < 2; i++)
        for (int tries = 0; rmdir(group[i]) && errno == EBUSY && tries < 2000;
             tries++) /* its last process is leaving */
            poll(NULL, 0, 5);
}

static int groups_teardown(void **state)
{
    if (group[0][0])
        groups_unmake();
    return lab_close(state);
}

static void put(const char *file, const char *text)
{
    BDR_AUTO(fd) int fd = open(file, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    OK(bdr_os_write(fd, file, text, strlen(text)));
}

/* Milliseconds that a process in a group takes to write `mib` directly. */
static uint64_t written_in(const char *where, const char *file, unsigned mib)
{
    uint64_t begun = lab_now_ms();
    int st = -1;
    pid_t pid = fork();

    if (!pid) {
        char procs[192], *buf = NULL;
        int fd;

        snprintf(procs, sizeof(procs), "%s/cgroup.procs", where);
        put(procs, "0");
        fd = open(file, O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
        if (fd < 0 || posix_memalign((void **)&buf, 4096, 256 << 10))
            _exit(1);
        memset(buf, 'x', 256 << 10);
        for (unsigned i = 0; i < mib * 4; i++)
            if (pwrite(fd, buf, 256 << 10, (off_t)i * (256 << 10)) != 256 << 10)
                _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &st, 0), pid);
    assert_int_equal(st, 0);
    return lab_now_ms() - begun;
}

static void test_start__version_1__a_writer_is_slowed_and_let_go(void **state)
{
    const char *why = lab_open(state) ? "no temporary folder" : groups_make();
    struct bdr_throttle *t = NULL;
    char file[160], text[96];
    struct lab_fs fs;
    struct stat st;
    uint64_t slow, fast;
    const char *disks[] = {fs.dev};

    if (why) {
        printf("skip test_start__version_1__a_writer_is_slowed_and_let_go: %s\n", why);
        skip();
    }
    lab_make(&fs, "fs", NULL, "ext4", 64);
    assert_int_equal(stat(fs.dev, &st), 0);
    snprintf(only_device, sizeof(only_device), "%u:%u ", major(st.st_rdev), minor(st.st_rdev));
    snprintf(file, sizeof(file), "%s/slow", fs.mount);
    snprintf(text, sizeof(text), "%u:%u 123456789\n", major(st.st_rdev), minor(st.st_rdev));
    put(limit[1], text); /* somebody's own */
    OK(bdr_throttle_start(disks, 1, 2 * MIB, &t));
    said(limit[1], text);
    slow = written_in(group[0], file, 4);
    OK(bdr_throttle_set(t, 4096 * MIB));
    fast = written_in(group[0], file, 4);
    snprintf(text, sizeof(text), "%u:%u 4294967296\n", major(st.st_rdev), minor(st.st_rdev));
    said(limit[0], text);
    bdr_throttle_end(t);
    said(limit[0], "");
    snprintf(text, sizeof(text), "%u:%u 123456789\n", major(st.st_rdev), minor(st.st_rdev));
    said(limit[1], text);
    printf("# 4 MiB at 2 MiB/s: %llu ms, at 4 GiB/s: %llu ms\n", (unsigned long long)slow, (unsigned long long)fast);
    assert_true(slow >= 1200); /* 2000 but for what a slice lets through at first */
    lab_unmake(&fs);
}

static void test_start__version_1__we_are_killed__guard_takes_back(void **state)
{
    const char *why = lab_open(state) ? "no temporary folder" : groups_make();
    struct lab_fs fs;
    char text[96];
    struct stat st;
    pid_t pid;
    const char *disks[] = {fs.dev};

    if (why) {
        printf("skip test_start__version_1__we_are_killed__guard_takes_back: %s\n", why);
        skip();
    }
    lab_loop(&fs, "disk", NULL, 16);
    assert_int_equal(stat(fs.dev, &st), 0);
    snprintf(only_device, sizeof(only_device), "%u:%u ", major(st.st_rdev), minor(st.st_rdev));
    snprintf(text, sizeof(text), "%u:%u 1048576\n", major(st.st_rdev), minor(st.st_rdev));
    pid = fork();
    if (!pid) {
        struct bdr_throttle *t = NULL;
        struct bdr_err *err = bdr_throttle_start(disks, 1, MIB, &t);

        bdr_err_drop(err, "the test sees that no limit comes");
        for (;;)
            pause();
    }
    assert_true(comes_to_say(limit[0], text));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(comes_to_say(limit[0], ""));
    lab_unmake(&fs);
}

#define TREE(test) cmocka_unit_test_setup_teardown(test, tree_setup, lab_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE(test_start__version_2__uppermost_groups_but_ours_and_the_limited),
        TREE(test_start__controller_not_handed_down__for_the_time_it_is),
        TREE(test_start__lease_over__taken_back_and_stale),
        TREE(test_start__guard_killed__set_takes_back),
        TREE(test_start__nothing_usable__unsupported_and_why),
        cmocka_unit_test_teardown(test_start__version_1__a_writer_is_slowed_and_let_go, groups_teardown),
        cmocka_unit_test_teardown(test_start__version_1__we_are_killed__guard_takes_back, groups_teardown),
    };

    return cmocka_run_group_tests_name("os throttle", tests, NULL, NULL);
}
