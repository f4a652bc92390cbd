/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's programs before and after a freeze. */
#include "bdr/osfile.h"
#include "bdr/script.h"
#include "lab.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

static char path[128];

/* A script of this text, at `path`. */
static void script_is(const char *text)
{
    snprintf(path, sizeof(path), "%s/bin/script", lab_dir);
    lab_put("bin/script", text);
    assert_int_equal(chmod(path, 0700), 0);
}

static void said(const char *name, const char *want)
{
    BDR_AUTO(mem) char *text = NULL;
    char file[128];
    size_t len = 0;

    snprintf(file, sizeof(file), "%s/%s", lab_dir, name);
    OK(bdr_os_read_file(file, 65536, &text, &len));
    assert_string_equal(text, want);
}

static void test_run__phases__told_in_the_environment(void **state)
{
    char text[512];

    (void)state;
    snprintf(text, sizeof(text),
             "#!/bin/sh\n[ $# = 0 ] && read x; echo \"$BDR_PHASE ${BDR_RESULT-none} $MINE $x\" >>%s/log\n", lab_dir);
    script_is(text);
    assert_int_equal(setenv("BDR_PHASE", "stale", 1) | setenv("BDR_RESULT", "stale", 1) | setenv("MINE", "kept", 1), 0);
    OK(bdr_script_check(path));
    OK(bdr_script_run(path, BDR_SCRIPT_PRE, false, 20000, NULL));
    OK(bdr_script_run(path, BDR_SCRIPT_POST, true, 20000, NULL));
    OK(bdr_script_run(path, BDR_SCRIPT_POST, false, 20000, NULL));
    said("log", "pre none kept \npost ok kept \npost failed kept \n");
}

static void test_run__fails__program_code_and_last_line(void **state)
{
    char want[256];

    (void)state;
    script_is("#!/bin/sh\necho the first line\necho; printf 'db is\\007 not there' >&2\nexit 3\n");
    snprintf(want, sizeof(want), "%s failed with code 3: db is? not there: it said: the first line|db is? not there",
             path);
    FAILS(INVAL, want, bdr_script_run(path, BDR_SCRIPT_PRE, true, 20000, NULL));
    script_is("#!/bin/sh\nkill -9 $$\n");
    FAILS(INVAL, "was ended by signal 9", bdr_script_run(path, BDR_SCRIPT_PRE, true, 20000, NULL));
    script_is("#!/no/such/shell\n");
    FAILS(INVAL, "first line", bdr_script_run(path, BDR_SCRIPT_PRE, true, 20000, NULL));
}

static void test_run__says_much__the_end_is_kept(void **state)
{
    struct bdr_err *err;
    char text[16384];

    (void)state;
    script_is("#!/bin/sh\ni=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 1\n");
    err = bdr_script_run(path, BDR_SCRIPT_POST, true, 50000, NULL);
    assert_non_null(err);
    bdr_err_text(err, text, sizeof(text));
    bdr_err_free(err);
    assert_non_null(strstr(text, "failed with code 1: line 2999"));
    assert_non_null(strstr(text, "|line 2998|line 2999"));
    assert_null(strstr(text, "line 1000|"));
    assert_true(strlen(text) < BDR_SCRIPT_SAID_BYTES + 512);
}

/* True when the process whose number is in file `name` is no more, or soon. */
static bool gone(const char *name)
{
    BDR_AUTO(mem) char *text = NULL;
    uint64_t end = lab_now_ms() + 10000;
    char file[128];
    size_t len = 0;
    pid_t pid;

    snprintf(file, sizeof(file), "%s/%s", lab_dir, name);
    OK(bdr_os_read_file(file, 64, &text, &len));
    pid = (pid_t)strtol(text, NULL, 10);
    assert_true(pid > 1);
    while (lab_now_ms() < end) {
        BDR_AUTO(mem) char *stat_text = NULL;
        const char *p = NULL;

        snprintf(file, sizeof(file), "/proc/%d/stat", (int)pid);
        bdr_err_drop(bdr_os_read_file(file, 4096, &stat_text, &len), "gone");
        p = stat_text ? strrchr(stat_text, ')') : NULL;
        if (!p || p[2] == 'Z')
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}

static void test_run__takes_too_long__its_group_ended(void **state)
{
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "#!/bin/sh\nsleep 600 & echo $! >%s/child\necho still at it\nwait\n", lab_dir);
    script_is(text);
    FAILS(TIMEOUT, "did not end within 300 ms and was ended; it said last: still at it",
          bdr_script_run(path, BDR_SCRIPT_PRE, true, 300, NULL));
    assert_true(gone("child"));
}

static void test_run__deaf_to_sigterm__killed(void **state)
{
    char text[512];
    uint64_t begun = lab_now_ms();

    (void)state;
    snprintf(text, sizeof(text), "#!/bin/sh\ntrap '' TERM\necho $$ >%s/deaf\nwhile :; do sleep 0.05; done\n", lab_dir);
    script_is(text);
    FAILS(TIMEOUT, "was ended", bdr_script_run(path, BDR_SCRIPT_PRE, true, 300, NULL));
    assert_true(lab_now_ms() - begun >= 300);
    assert_true(gone("deaf"));
}

static void test_run__background_child_holds_output__not_waited_for(void **state)
{
    char text[512], file[128];
    BDR_AUTO(mem) char *pid = NULL;
    size_t len = 0;

    (void)state;
    snprintf(text, sizeof(text), "#!/bin/sh\nsleep 600 & echo $! >%s/daemon\nexit 0\n", lab_dir);
    script_is(text);
    OK(bdr_script_run(path, BDR_SCRIPT_PRE, true, 60000, NULL));
    snprintf(file, sizeof(file), "%s/daemon", lab_dir);
    OK(bdr_os_read_file(file, 64, &pid, &len));
    assert_int_equal(kill((pid_t)strtol(pid, NULL, 10), SIGKILL), 0); /* it lived on */
}

static void *cancel_later(void *ctx)
{
    char file[128];

    snprintf(file, sizeof(file), "%s/running", lab_dir);
    for (uint64_t end = lab_now_ms() + 20000; access(file, F_OK) && lab_now_ms() < end;)
        poll(NULL, 0, 5);
    bdr_cancel_set(ctx);
    return NULL;
}

static void test_run__cancelled__ended(void **state)
{
    struct bdr_cancel cancel = {0};
    pthread_t other;
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "#!/bin/sh\necho $$ >%s/running\nsleep 600\n", lab_dir);
    script_is(text);
    assert_int_equal(pthread_create(&other, NULL, cancel_later, &cancel), 0);
    FAILS(CANCELLED, path, bdr_script_run(path, BDR_SCRIPT_PRE, true, 60000, &cancel));
    pthread_join(other, NULL);
    assert_true(gone("running"));
    FAILS(CANCELLED, "", bdr_script_run(path, BDR_SCRIPT_PRE, true, 60000, &cancel));
}

static void test_check__others_could_change_it__refused(void **state)
{
    char folder[128], link[128];

    (void)state;
    script_is("#!/bin/sh\n");
    OK(bdr_script_check(path));
    assert_int_equal(chmod(path, 0702), 0);
    FAILS(DENIED, "chmod o-w", bdr_script_check(path));
    FAILS(DENIED, "chmod o-w", bdr_script_run(path, BDR_SCRIPT_PRE, true, 1000, NULL));
    assert_int_equal(chmod(path, 0600), 0);
    FAILS(DENIED, "not executable", bdr_script_check(path));
    assert_int_equal(chmod(path, 0700), 0);
    snprintf(folder, sizeof(folder), "%s/bin", lab_dir);
    assert_int_equal(chmod(folder, 0777), 0);
    FAILS(DENIED, folder, bdr_script_check(path));
    snprintf(link, sizeof(link), "%s/link", lab_dir); /* the folder behind a link counts, not the link's */
    assert_int_equal(symlink(path, link), 0);
    FAILS(DENIED, folder, bdr_script_check(link));
    assert_int_equal(chmod(folder, 01777), 0);
    OK(bdr_script_check(link));
    assert_int_equal(chmod(folder, 0700), 0);
    if (!geteuid()) {
        assert_int_equal(chown(path, 12345, 0), 0);
        FAILS(DENIED, "belongs to user 12345", bdr_script_check(path));
        assert_int_equal(chown(path, 0, 0), 0);
        assert_int_equal(chown(folder, 12345, 0), 0);
        FAILS(DENIED, "belongs to user 12345", bdr_script_check(path));
        assert_int_equal(chown(folder, 0, 0), 0);
    }
    FAILS(INVAL, "absolute", bdr_script_check("bin/script"));
    FAILS(INVAL, "no file", bdr_script_check(folder));
    FAILS(NOTFOUND, "/no/such", bdr_script_check("/no/such/script"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run__phases__told_in_the_environment),
        cmocka_unit_test(test_run__fails__program_code_and_last_line),
        cmocka_unit_test(test_run__says_much__the_end_is_kept),
        cmocka_unit_test(test_run__takes_too_long__its_group_ended),
        cmocka_unit_test(test_run__deaf_to_sigterm__killed),
        cmocka_unit_test(test_run__background_child_holds_output__not_waited_for),
        cmocka_unit_test(test_run__cancelled__ended),
        cmocka_unit_test(test_check__others_could_change_it__refused),
    };

    return cmocka_run_group_tests_name("os script", tests, lab_open, lab_close);
}
