/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processor time is bounded from above, by pauses and by the kernel. What else the machine does can only make the process get
 * less, so nothing here depends on it: processor time is compared with the wall clock's.
 */
#include "bdr/clock.h"
#include "bdr/cpulimit.h"
#include "bdr/priority.h"
#include "lab.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WORKERS   3
#define PIECE_NS  4000000u /* that a worker does between two pauses */
#define LONG_NS   1500000000u
#define BURST_NS  100000000u
#define SLACK_NS  60000000u /* starting threads, the kernel's slices of 5 ms a CPU, one period's begin */

static uint64_t cpu_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *burn(void *arg)
{
    atomic_bool *stop = arg;

    while (!atomic_load(stop)) {
        uint64_t end = cpu_ns(CLOCK_THREAD_CPUTIME_ID) + PIECE_NS;

        while (cpu_ns(CLOCK_THREAD_CPUTIME_ID) < end)
            ;
        assert_null(bdr_os_cpu_pause(NULL));
    }
    return NULL;
}

/* Processor time that the workers got and the time they took, with the limit of before. */
static void work(uint64_t *out_cpu, uint64_t *out_wall)
{
    pthread_t worker[WORKERS];
    atomic_bool stop = false;
    uint64_t cpu = cpu_ns(CLOCK_PROCESS_CPUTIME_ID), wall = bdr_clock_mono_ns();

    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&worker[i], NULL, burn, &stop), 0);
    while (bdr_clock_mono_ns() - wall < LONG_NS)
        usleep(10000);
    atomic_store(&stop, true);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(worker[i], NULL);
    *out_cpu = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    *out_wall = bdr_clock_mono_ns() - wall;
}

static void test_cpulimit__pauses__never_more_than_the_share(void **state)
{
    static const uint32_t shares[] = {10, 50};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(shares); i++) {
        uint64_t cpu, wall, paused = bdr_os_cpu_paused_ms();

        if (bdr_os_cpu_limit(shares[i]) == BDR_CPU_GROUP)
            skip(); /* the test has a control group of its own; the others look at that */
        work(&cpu, &wall);
        print_message("    %u %%: %llu ms of %llu\n", shares[i], (unsigned long long)(cpu / 1000000), (unsigned long long)(wall / 1000000));
        assert_true(cpu <= wall * shares[i] / 100 + BURST_NS + SLACK_NS + (uint64_t)WORKERS * PIECE_NS);
        assert_true(bdr_os_cpu_paused_ms() > paused || cpu < wall * shares[i] / 100); /* others may have left it less */
    }
    assert_int_equal(bdr_os_cpu_limit(0), BDR_CPU_FREE);
}

static void test_cpulimit__an_idle_time__saves_up_one_burst(void **state)
{
    uint64_t cpu, wall;

    (void)state;
    if (bdr_os_cpu_limit(10) == BDR_CPU_GROUP)
        skip();
    usleep(1500000);
    assert_null(bdr_os_cpu_pause(NULL));
    work(&cpu, &wall);
    assert_true(cpu <= wall / 10 + BURST_NS + SLACK_NS + (uint64_t)WORKERS * PIECE_NS);
    bdr_os_cpu_limit(0);
}

static void test_cpulimit__cancelled__does_not_wait(void **state)
{
    struct bdr_cancel cancel = {0};
    uint64_t end = cpu_ns(CLOCK_THREAD_CPUTIME_ID) + BURST_NS;
    struct bdr_err *err;

    (void)state;
    if (bdr_os_cpu_limit(1) == BDR_CPU_GROUP)
        skip();
    while (cpu_ns(CLOCK_THREAD_CPUTIME_ID) < end)
        ;
    bdr_cancel_set(&cancel);
    err = bdr_os_cpu_pause(&cancel); /* 10 s are owed */
    assert_non_null(err);
    assert_int_equal(err->code, BDR_CANCELLED);
    bdr_err_free(err);
    bdr_os_cpu_limit(0);
    assert_null(bdr_os_cpu_pause(&cancel)); /* nothing to wait for */
}

/* ---- control groups: in a child that is put into one ---- */

static char group[256], quota[320];

static const char *group_make(void)
{
    static const char *const roots[][2] = {{"/sys/fs/cgroup", "cpu.max"}, {"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us"}};

    for (size_t i = 0; i < BDR_COUNT(roots); i++) {
        snprintf(group, sizeof(group), "%s/bdr-test-%ld", roots[i][0], (long)getpid());
        snprintf(quota, sizeof(quota), "%s/%s", group, roots[i][1]);
        if (!mkdir(group, 0755) && !access(quota, W_OK))
            return NULL;
        rmdir(group);
    }
    return "no control groups with a processor controller can be made here";
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[512];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(70);
    close(fd);
}

static const char *limit_now(void)
{
    static char text[64];
    int fd = open(quota, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

    close(fd);
    text[BDR_MAX(n, 0)] = 0;
    return !strncmp(text, "max", 3) || !strncmp(text, "-1", 2) ? "" : text;
}

/* Runs f in a process that is in the group; true when f was. */
static bool in_group(bool (*f)(void))
{
    int status;
    pid_t pid = fork();

    if (!pid) {
        put(group, "cgroup.procs", "0");
        bool good = f();

        fflush(stdout);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool held(void)
{
    uint64_t cpu, wall, paused = bdr_os_cpu_paused_ms(); /* by the tests before */

    if (bdr_os_cpu_limit(30) != BDR_CPU_GROUP || !*limit_now())
        return false;
    work(&cpu, &wall);
    printf("    in a group, 30 %%: %llu ms of %llu\n", (unsigned long long)(cpu / 1000000), (unsigned long long)(wall / 1000000));
    if (cpu > wall * 30 / 100 + BURST_NS + SLACK_NS || bdr_os_cpu_paused_ms() != paused)
        return false;
    bdr_os_hurry(); /* file systems stand still */
    if (*limit_now())
        return false;
    bdr_os_idle_again();
    if (!*limit_now())
        return false;
    bdr_os_cpu_limit(0);
    return !*limit_now();
}

static bool with_somebody(void)
{
    pid_t other = fork();
    bool good;

    if (!other) {
        pause();
        _exit(0);
    }
    good = bdr_os_cpu_limit(30) == BDR_CPU_PAUSES && !*limit_now();
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    return good;
}

static bool with_a_limit(void)
{
    put(group, strrchr(quota, '/') + 1, "50000");
    return bdr_os_cpu_limit(30) == BDR_CPU_PAUSES && !strncmp(limit_now(), "50000", 5);
}

static void test_cpulimit__a_group_of_its_own__the_kernel_limits(void **state)
{
    const char *why = group_make();

    (void)state;
    if (why) {
        print_message("skip groups: %s\n", why);
        skip();
    }
    assert_true(in_group(held));
    assert_true(in_group(with_somebody)); /* others are not slowed down with us */
    assert_true(in_group(with_a_limit));  /* what an administrator set is left */
    assert_int_equal(rmdir(group), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpulimit__pauses__never_more_than_the_share),
        cmocka_unit_test(test_cpulimit__an_idle_time__saves_up_one_burst),
        cmocka_unit_test(test_cpulimit__cancelled__does_not_wait),
        cmocka_unit_test(test_cpulimit__a_group_of_its_own__the_kernel_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
