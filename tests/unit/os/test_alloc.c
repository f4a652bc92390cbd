/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, for every n: an error that says so or success, never a crash, and no process left behind.
 */
#include "../cli/oom.h"
#include "bdr/freeze.h"
#include "lab.h"
#include "throttle_priv.h"
#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char proc[PATH_MAX], sys[PATH_MAX];
static const struct volumes_host host = {.proc = proc, .sys = sys};

static void link_to(const char *to, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", lab_dir, name);
    assert_int_equal(symlink(to, path), 0);
}

static int tree_setup(void **state)
{
    char text[1024];

    if (lab_open(state))
        return -1;
    snprintf(proc, sizeof(proc), "%s/proc", lab_dir);
    snprintf(sys, sizeof(sys), "%s/sys", lab_dir);
    lab_put("sys/devices/sda/dev", "8:0\n");
    lab_put("sys/devices/sda/size", "99999\n");
    lab_put("sys/devices/sda/uevent", "DEVNAME=sda\n");
    lab_put("sys/class/block/sda/dev", "8:0\n");
    lab_put("sys/block/sda/dev", "8:0\n");
    lab_put("sys/dev/block/.keep", "");
    link_to("../../devices/sda", "sys/dev/block/8:0");
    snprintf(text, sizeof(text),
             "20 1 8:0 / /a rw - ext4 /dev/root rw\n"
             "21 1 8:0 / /b rw - ext4 /dev/root rw\n"
             "30 1 0:26 / %s/cg rw - cgroup2 cgroup2 rw\n",
             lab_dir);
    lab_put("proc/self/mountinfo", text);
    lab_put("proc/self/cgroup", "0::/ours\n");
    lab_put("proc/swaps", "Filename\n/dev/sda partition 8 0 0\n");
    lab_put("proc/7/fdinfo/3", "flags:\t02\n");
    lab_put("proc/7/comm", "db\n");
    lab_put("proc/7/fd/.keep", "");
    link_to("/dev/sda", "proc/7/fd/3");
    lab_put("cg/cgroup.controllers", "io\n");
    lab_put("cg/cgroup.subtree_control", "io\n");
    lab_put("cg/theirs/io.max", "");
    return 0;
}

static struct bdr_err *all(void)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = NULL;
    BDR_AUTO(throttle) struct bdr_throttle *t = NULL;
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    BDR_AUTO(mem) char *whole = NULL;
    const char *disks[1] = {"/dev/sda"}, *mounts[1] = {lab_dir};
    char **found = NULL;
    size_t n = 0;

    BDR_TRY(volumes_scan_host(&host, disks, 1, &v));
    if (v->fs_n != 1 || v->swap_n != 1 || v->raw_n != 1)
        fail_msg("%zu %zu %zu", v->fs_n, v->swap_n, v->raw_n);
    BDR_TRY(volumes_whole_host(&host, "/dev/sda", &whole));
    BDR_TRY(volumes_disks_host(&host, &found, &n));
    bdr_volumes_disks_free(found, n);
    BDR_TRY(throttle_start_host(&host, 60000, disks, 1, 1, &t));
    return bdr_freezer_start(mounts, 1, &f); /* starts and ends; nothing is frozen */
}

static void test_all__every_allocation_fails_once(void **state)
{
    unsigned n = 1, nomem = 0;
    bool hit = true;

    (void)state;
    OK(all());
    for (; hit; n++) {
        struct bdr_err *err;

        oom_arm(n);
        err = all();
        hit = oom_disarm();
        if (err && err->code != BDR_NOMEM)
            fail_msg("allocation %u: %s", n, err->msg);
        nomem += err != NULL;
        bdr_err_drop(err, "asked for");
        assert_true(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    }
    printf("# %u allocations, %u errors\n", n - 1, nomem);
    assert_true(nomem > 15);
}

static void test_scan__no_descriptors_left__an_error_never_less(void **state)
{
    const char *disks[1] = {"/dev/sda"};
    struct rlimit was, few;
    unsigned failed = 0;
    bool good = false;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    few = was;
    for (few.rlim_cur = 3; few.rlim_cur < 32 && !good; few.rlim_cur++) {
        struct bdr_volumes *v = NULL;
        struct bdr_err *err;

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        err = volumes_scan_host(&host, disks, 1, &v);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
        good = !err;
        if (err)
            failed++;
        else
            assert_true(v->fs_n == 1 && v->swap_n == 1 && v->raw_n == 1);
        bdr_err_drop(err, "asked for");
        bdr_volumes_free(v);
    }
    assert_true(good && failed > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all__every_allocation_fails_once),
        cmocka_unit_test(test_scan__no_descriptors_left__an_error_never_less),
    };

    return cmocka_run_group_tests_name("os alloc", tests, tree_setup, lab_close);
}
