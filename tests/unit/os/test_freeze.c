/* SPDX-License-Identifier: Apache-2.0 */
/* The freezer on real file systems: what it holds still, and that it lets go whatever happens. */
#include "bdr/freeze.h"
#include "bdr/osfile.h"
#include "writer.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const char *const kinds[] = {"ext4", "xfs", "btrfs"};
static unsigned kind_mib(const char *kind)
{
    return !strcmp(kind, "xfs") ? 320 : !strcmp(kind, "btrfs") ? 128 : 32;
}

static void holds_still(const char *kind)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state state = BDR_FREEZE_NO;
    struct lab_fs fs;
    struct writer w;
    uint32_t window = 0;
    bool held = false;
    const char *mounts[1] = {fs.mount};

    lab_make(&fs, kind, NULL, kind, kind_mib(kind));
    OK(bdr_freezer_start(mounts, 1, &f));
    for (int round = 0; round < 2; round++) {
        OK(bdr_freezer_sync(f, NULL));
        OK(bdr_freezer_freeze(f, 20000, &state));
        assert_int_equal(state, BDR_FREEZE_YES);
        writer_start(&w, fs.mount, true);
        assert_true(writer_blocked(&w));
        assert_true(bdr_freezer_left_ms(f) > 0);
        OK(bdr_freezer_thaw(f, &held, &window));
        writer_stop(&w);
        assert_true(held);
        assert_true(window > 0 && window < 20000);
        printf("# %s: a window of %u ms around one write\n", kind, window);
        assert_int_equal(bdr_freezer_left_ms(f), 0);
    }
    bdr_freezer_end(BDR_STEAL(f));
    lab_unmake(&fs);
}

static void test_freeze__writer__waits_until_thaw(void **state)
{
    (void)state;
    LAB_OR_SKIP("test_freeze__writer__waits_until_thaw", NULL);
    for (size_t i = 0; i < BDR_COUNT(kinds); i++)
        if (!lab_lacks(kinds[i]))
            holds_still(kinds[i]);
}

/* --- what it says of file systems that can't be frozen --- */

static void test_freeze__tmpfs__unsupported_and_the_rest_frozen(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state states[2] = {BDR_FREEZE_NO, BDR_FREEZE_NO};
    char tmpfs[128];
    struct lab_fs fs;
    struct writer w, free_writer;
    uint32_t window;
    bool held = false;
    const char *mounts[2] = {tmpfs, fs.mount};

    (void)state;
    LAB_OR_SKIP("test_freeze__tmpfs__unsupported_and_the_rest_frozen", "ext4");
    snprintf(tmpfs, sizeof(tmpfs), "%s/tmpfs", lab_dir);
    OK(bdr_os_mkdirs(tmpfs));
    assert_int_equal(mount("none", tmpfs, "tmpfs", 0, NULL), 0);
    lab_make(&fs, "fs", NULL, "ext4", 16);
    OK(bdr_freezer_start(mounts, 2, &f));
    OK(bdr_freezer_freeze(f, 20000, states));
    assert_int_equal(states[0], BDR_FREEZE_UNSUPPORTED);
    assert_int_equal(states[1], BDR_FREEZE_YES);
    writer_start(&free_writer, tmpfs, true);
    writer_stop(&free_writer);
    writer_start(&w, fs.mount, true);
    assert_true(writer_blocked(&w));
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_true(held);
    writer_stop(&w);
    bdr_freezer_end(BDR_STEAL(f));
    assert_int_equal(umount(tmpfs), 0);
    lab_unmake(&fs);
}

static void test_freeze__frozen_by_another__busy_and_stays_so(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state states[2] = {BDR_FREEZE_YES, BDR_FREEZE_YES};
    struct lab_fs ours, theirs;
    struct writer w;
    const char *mounts[2] = {ours.mount, theirs.mount};

    (void)state;
    LAB_OR_SKIP("test_freeze__frozen_by_another__busy_and_stays_so", "ext4");
    lab_make(&ours, "ours", NULL, "ext4", 16);
    lab_make(&theirs, "theirs", NULL, "ext4", 16);
    OK(bdr_freezer_start(mounts, 2, &f));
    assert_int_equal(lab_freeze(theirs.mount), 0);
    FAILS(BUSY, theirs.mount, bdr_freezer_freeze(f, 20000, states));
    assert_int_equal(states[0], BDR_FREEZE_NO);
    assert_int_equal(states[1], BDR_FREEZE_BUSY);
    writer_start(&w, ours.mount, true);
    writer_stop(&w);
    bdr_freezer_end(BDR_STEAL(f));
    assert_int_equal(lab_freeze(theirs.mount), EBUSY);
    assert_true(lab_thaw(theirs.mount));
    lab_unmake(&ours);
    lab_unmake(&theirs);
}

static void test_start__missing_mount_point__named(void **state)
{
    struct bdr_freezer *f = NULL;
    const char *mounts[1] = {"/nonexistent/mount"};

    (void)state;
    FAILS(NOTFOUND, "/nonexistent/mount", bdr_freezer_start(mounts, 1, &f));
    assert_null(f);
}

static void test_start__no_filesystem__still_a_window(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    uint32_t window = 9;
    bool held = false;

    (void)state;
    OK(bdr_freezer_start(NULL, 0, &f));
    OK(bdr_freezer_sync(f, NULL));
    OK(bdr_freezer_freeze(f, 1000, NULL));
    assert_true(bdr_freezer_left_ms(f) > 0);
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_true(held);
}

/* --- stacks --- */

static void test_freeze__stack__top_first_works_bottom_first_times_out(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state states[2];
    struct lab_fs low, high;
    struct writer w;
    uint32_t window;
    bool held = false;
    const char *right[2] = {high.mount, low.mount}, *wrong[2] = {low.mount, high.mount};

    (void)state;
    LAB_OR_SKIP("test_freeze__stack__top_first_works_bottom_first_times_out", "ext4");
    lab_make(&low, "low", NULL, "ext4", 64);
    lab_make(&high, "high", low.mount, "ext4", 16);
    OK(bdr_freezer_start(right, 2, &f));
    for (int i = 0; i < 3; i++) {
        writer_start(&w, high.mount, true); /* something to write out, through both */
        writer_stop(&w);
        OK(bdr_freezer_freeze(f, 20000, states));
        assert_true(states[0] == BDR_FREEZE_YES && states[1] == BDR_FREEZE_YES);
        OK(bdr_freezer_thaw(f, &held, &window));
        assert_true(held);
    }
    bdr_freezer_end(BDR_STEAL(f));
    OK(bdr_freezer_start(wrong, 2, &f));
    writer_start(&w, high.mount, true);
    writer_stop(&w);
    FAILS(TIMEOUT, high.mount, bdr_freezer_freeze(f, 200, states));
    assert_true(states[0] == BDR_FREEZE_NO && states[1] == BDR_FREEZE_NO);
    bdr_freezer_end(BDR_STEAL(f));
    assert_false(lab_thaw(high.mount) || lab_thaw(low.mount));
    lab_unmake(&high);
    lab_unmake(&low);
}

/* --- time --- */

static void test_thaw__deadline_passed__not_held(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state got;
    struct lab_fs fs;
    struct writer w;
    uint32_t window = 0;
    uint64_t worst = 0;
    bool held = true;
    const char *mounts[1] = {fs.mount};

    (void)state;
    LAB_OR_SKIP("test_thaw__deadline_passed__not_held", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    OK(bdr_freezer_start(mounts, 1, &f));
    for (int i = 0; i < TRIES; i++) {
        OK(bdr_freezer_freeze(f, 300, &got));
        writer_start(&w, fs.mount, true);
        worst = writer_stop(&w); /* returns at all: it thaws by itself */
        assert_int_equal(bdr_freezer_left_ms(f), 0);
        OK(bdr_freezer_thaw(f, &held, &window));
        assert_false(held);
        assert_true(window >= 300);
        if (worst <= 300 + SLACK_MS)
            break;
    }
    assert_true(worst <= 300 + SLACK_MS + LOADED_MS);
    bdr_freezer_end(BDR_STEAL(f));
    lab_unmake(&fs);
}

static void test_thaw__thawed_by_another__not_held(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state got;
    struct lab_fs fs;
    uint32_t window = 0;
    bool held = true;
    const char *mounts[1] = {fs.mount};

    (void)state;
    LAB_OR_SKIP("test_thaw__thawed_by_another__not_held", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    OK(bdr_freezer_start(mounts, 1, &f));
    OK(bdr_freezer_freeze(f, 20000, &got));
    assert_true(lab_thaw(fs.mount));
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_false(held);
    OK(bdr_freezer_freeze(f, 20000, &got));
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_true(held);
    bdr_freezer_end(BDR_STEAL(f));
    lab_unmake(&fs);
}

struct stuck {
    struct lab_fs free, low, high;
    struct writer w;
    bool went_on; /* the free one was written to while the other was still in FIFREEZE */
};

static void *stuck_run(void *ctx)
{
    struct stuck *s = ctx;
    uint64_t end = lab_now_ms() + 15000;

    /* It is frozen within moments; wait for a write to be caught in that, then for the writer to go on. */
    while (lab_now_ms() < end && lab_now_ms() - atomic_load(&s->w.begun_ms) < 60)
        poll(NULL, 0, 5);
    while (lab_now_ms() < end && atomic_load(&s->w.worst_ms) < 60)
        poll(NULL, 0, 5);
    s->went_on = atomic_load(&s->w.worst_ms) >= 60;
    if (!lab_thaw(s->low.mount))
        s->went_on = false;
    return NULL;
}

static void test_freeze__one_stuck_in_the_kernel__others_thawed_in_time(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state states[2];
    struct stuck s = {0};
    struct writer dirty;
    pthread_t other;
    uint64_t worst = 0;
    const char *mounts[2] = {s.free.mount, s.high.mount};

    (void)state;
    LAB_OR_SKIP("test_freeze__one_stuck_in_the_kernel__others_thawed_in_time", "ext4");
    lab_make(&s.free, "free", NULL, "ext4", 16);
    lab_make(&s.low, "low", NULL, "ext4", 64);
    lab_make(&s.high, "high", s.low.mount, "ext4", 16);
    for (int i = 0; i < TRIES; i++) {
        OK(bdr_freezer_start(mounts, 2, &f));
        OK(bdr_freezer_sync(f, NULL));
        writer_start(&dirty, s.high.mount, true);
        writer_stop(&dirty);
        /* What lies under `high` stands still, by somebody else: FIFREEZE of it must write, and can't. */
        assert_int_equal(lab_freeze(s.low.mount), 0);
        writer_start(&s.w, s.free.mount, false);
        assert_int_equal(pthread_create(&other, NULL, stuck_run, &s), 0);
        FAILS(TIMEOUT, s.high.mount, bdr_freezer_freeze(f, 400, states));
        pthread_join(other, NULL);
        assert_true(s.went_on);
        worst = writer_stop(&s.w);
        writer_start(&dirty, s.high.mount, true);
        writer_stop(&dirty);
        bdr_freezer_end(BDR_STEAL(f));
        if (worst <= 400 + SLACK_MS)
            break;
    }
    assert_true(worst <= 400 + SLACK_MS + LOADED_MS);
    lab_unmake(&s.free);
    lab_unmake(&s.high);
    lab_unmake(&s.low);
}

static void test_freeze__much_to_write_out__times_out_thawed(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    BDR_AUTO(mem) char *mib = calloc(1, 1 << 20);
    BDR_AUTO(fd) int fd = -1;
    enum bdr_freeze_state states[2];
    struct lab_fs quiet, busy;
    struct writer w;
    char path[160];
    const char *mounts[2] = {quiet.mount, busy.mount};

    (void)state;
    LAB_OR_SKIP("test_freeze__much_to_write_out__times_out_thawed", "ext4");
    lab_make(&quiet, "quiet", NULL, "ext4", 16);
    lab_make(&busy, "busy", NULL, "ext4", 512);
    snprintf(path, sizeof(path), "%s/much", busy.mount);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    memset(mib, 'x', 1 << 20);
    for (uint64_t i = 0; i < 256; i++)
        OK(bdr_os_pwrite(fd, path, mib, 1 << 20, i << 20));
    OK(bdr_freezer_start(mounts, 2, &f));
    FAILS(TIMEOUT, "not over within 20 ms", bdr_freezer_freeze(f, 20, states)); /* it would need 12 GB/s */
    for (int i = 0; i < 2; i++) {
        writer_start(&w, mounts[i], true);
        writer_stop(&w);
        assert_false(lab_thaw(mounts[i]));
    }
    OK(bdr_freezer_sync(f, NULL));
    OK(bdr_freezer_freeze(f, 20000, states));
    bdr_freezer_end(BDR_STEAL(f)); /* frozen still: end thaws */
    for (int i = 0; i < 2; i++)
        assert_false(lab_thaw(mounts[i]));
    close(bdr_fd_steal(&fd));
    lab_unmake(&quiet);
    lab_unmake(&busy);
}

/* --- its processes --- */

static bool may_adjust_oom(void) /* CAP_SYS_RESOURCE, which root of a container lacks */
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;
    const char *caps;

    OK(bdr_os_read_file("/proc/self/status", 65536, &text, &len));
    caps = strstr(text, "CapEff:");
    return caps && strtoull(caps + strlen("CapEff:"), NULL, 16) >> 24 & 1;
}

static void test_processes__what_they_are__nothing_in_common(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    static const int harmless[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1};
    enum bdr_freeze_state got;
    char path[64];
    struct lab_fs fs;
    struct writer w;
    uint32_t window;
    bool held;
    int pids[2];
    const char *mounts[1] = {fs.mount};

    (void)state;
    LAB_OR_SKIP("test_processes__what_they_are__nothing_in_common", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    OK(bdr_freezer_start(mounts, 1, &f));
    assert_int_equal(bdr_freezer_keepers(f, pids, 2), 1);
    pids[1] = bdr_freezer_pid(f);
    OK(bdr_freezer_freeze(f, 20000, &got));
    for (int i = 0; i < 2; i++) {
        BDR_AUTO(mem) char *text = NULL;
        size_t len = 0;
        int open_fds = 0;

        assert_int_equal(getsid(pids[i]), pids[i]);
        for (size_t k = 0; k < BDR_COUNT(harmless); k++)
            assert_int_equal(kill(pids[i], harmless[k]), 0);
        for (int fd = 0; fd < 256; fd++) {
            snprintf(path, sizeof(path), "/proc/%d/fd/%d", pids[i], fd);
            open_fds += !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
        }
        assert_true(open_fds <= 4);
        snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pids[i]);
        OK(bdr_os_read_file(path, 64, &text, &len));
        if (may_adjust_oom())
            assert_string_equal(text, "-1000\n");
        free(BDR_STEAL(text));
        snprintf(path, sizeof(path), "/proc/%d/status", pids[i]);
        OK(bdr_os_read_file(path, 65536, &text, &len));
        if (!getenv("BDR_SANITIZER")) { /* sanitizers turn mlockall into nothing: it would lock their shadow */
            const char *locked = strstr(text, "VmLck:");

            assert_true(locked && strtoul(locked + 6, NULL, 10) > 0);
        }
    }
    writer_start(&w, fs.mount, true);
    assert_true(writer_blocked(&w));
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_true(held);
    writer_stop(&w);
    bdr_freezer_end(BDR_STEAL(f));
    for (int i = 0; i < 2; i++)
        assert_true(kill(pids[i], 0) && errno == ESRCH);
    lab_unmake(&fs);
}

static void test_keeper__killed_while_it_holds__thawed_at_once_not_held(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state got;
    struct lab_fs fs;
    struct writer w;
    uint32_t window;
    bool held = true;
    int pid;
    const char *mounts[1] = {fs.mount};

    (void)state;
    LAB_OR_SKIP("test_keeper__killed_while_it_holds__thawed_at_once_not_held", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    OK(bdr_freezer_start(mounts, 1, &f));
    OK(bdr_freezer_freeze(f, 50000, &got));
    bdr_freezer_keepers(f, &pid, 1);
    writer_start(&w, fs.mount, true);
    assert_true(writer_blocked(&w));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_true(writer_stop(&w) < 40000); /* by the watch, long before the budget ends */
    while (bdr_freezer_left_ms(f) > 10000) /* it notes what it did a moment after the writer goes on */
        usleep(1000);
    assert_int_equal(bdr_freezer_left_ms(f), 0);
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_false(held);
    FAILS(IO, fs.mount, bdr_freezer_freeze(f, 1000, &got));
    bdr_freezer_end(BDR_STEAL(f));
    lab_unmake(&fs);
}

static void test_keeper__stopped__thaw_works_without_it(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state got;
    struct lab_fs fs;
    struct writer w;
    uint32_t window;
    bool held = false;
    int pid;
    const char *mounts[1] = {fs.mount};

    (void)state;
    LAB_OR_SKIP("test_keeper__stopped__thaw_works_without_it", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    OK(bdr_freezer_start(mounts, 1, &f));
    bdr_freezer_keepers(f, &pid, 1);
    OK(bdr_freezer_freeze(f, 50000, &got));
    assert_int_equal(kill(pid, SIGSTOP), 0);
    OK(bdr_freezer_thaw(f, &held, &window)); /* what it held stood still until now, whoever thawed */
    assert_true(held);
    writer_start(&w, fs.mount, true);
    writer_stop(&w);
    OK(bdr_freezer_freeze(f, 50000, &got)); /* it was continued */
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_true(held);
    bdr_freezer_end(BDR_STEAL(f));
    lab_unmake(&fs);
}

/* Nobody calls thaw: the deadline is kept by the keeper alone, then by the watch alone. */
static void deadline_kept_without(bool keeper)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state got;
    struct lab_fs fs;
    uint64_t worst = 0;
    uint32_t window;
    bool held = true;
    const char *mounts[1] = {fs.mount};

    lab_make(&fs, "fs", NULL, "ext4", 16);
    for (int i = 0; i < TRIES; i++) {
        struct writer w;
        int pid;

        OK(bdr_freezer_start(mounts, 1, &f));
        bdr_freezer_keepers(f, &pid, 1);
        OK(bdr_freezer_freeze(f, 500, &got));
        assert_int_equal(kill(keeper ? pid : bdr_freezer_pid(f), SIGSTOP), 0);
        writer_start(&w, fs.mount, true);
        worst = writer_stop(&w);
        OK(bdr_freezer_thaw(f, &held, &window));
        assert_false(held);
        bdr_freezer_end(BDR_STEAL(f));
        if (worst <= 500 + SLACK_MS)
            break;
    }
    assert_true(worst <= 500 + SLACK_MS);
    lab_unmake(&fs);
}

static void test_deadline__keeper_or_watch_stopped__kept_by_the_other(void **state)
{
    (void)state;
    LAB_OR_SKIP("test_deadline__keeper_or_watch_stopped__kept_by_the_other", "ext4");
    deadline_kept_without(true);
    deadline_kept_without(false);
}

static void test_watch__gone_or_stopped__window_holds_and_no_next_one(void **state)
{
    BDR_AUTO(freezer) struct bdr_freezer *f = NULL;
    enum bdr_freeze_state got;
    struct lab_fs fs;
    struct writer w;
    uint32_t window;
    bool held = false;
    const char *mounts[1] = {fs.mount};

    (void)state;
    LAB_OR_SKIP("test_watch__gone_or_stopped__window_holds_and_no_next_one", "ext4");
    lab_make(&fs, "fs", NULL, "ext4", 16);
    OK(bdr_freezer_start(mounts, 1, &f));
    OK(bdr_freezer_freeze(f, 50000, &got));
    assert_int_equal(kill(bdr_freezer_pid(f), SIGSTOP), 0);
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_true(held);
    FAILS(IO, "nothing was frozen", bdr_freezer_freeze(f, 50000, &got));
    assert_int_equal(kill(bdr_freezer_pid(f), SIGCONT), 0);
    OK(bdr_freezer_freeze(f, 50000, &got));
    assert_int_equal(kill(bdr_freezer_pid(f), SIGKILL), 0);
    OK(bdr_freezer_thaw(f, &held, &window));
    assert_true(held);
    FAILS(IO, "nothing was frozen", bdr_freezer_freeze(f, 50000, &got));
    writer_start(&w, fs.mount, true);
    writer_stop(&w);
    bdr_freezer_end(BDR_STEAL(f));
    lab_unmake(&fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freeze__writer__waits_until_thaw),
        cmocka_unit_test(test_freeze__tmpfs__unsupported_and_the_rest_frozen),
        cmocka_unit_test(test_freeze__frozen_by_another__busy_and_stays_so),
        cmocka_unit_test(test_start__missing_mount_point__named),
        cmocka_unit_test(test_start__no_filesystem__still_a_window),
        cmocka_unit_test(test_freeze__stack__top_first_works_bottom_first_times_out),
        cmocka_unit_test(test_thaw__deadline_passed__not_held),
        cmocka_unit_test(test_thaw__thawed_by_another__not_held),
        cmocka_unit_test(test_freeze__one_stuck_in_the_kernel__others_thawed_in_time),
        cmocka_unit_test(test_freeze__much_to_write_out__times_out_thawed),
        cmocka_unit_test(test_processes__what_they_are__nothing_in_common),
        cmocka_unit_test(test_keeper__killed_while_it_holds__thawed_at_once_not_held),
        cmocka_unit_test(test_keeper__stopped__thaw_works_without_it),
        cmocka_unit_test(test_deadline__keeper_or_watch_stopped__kept_by_the_other),
        cmocka_unit_test(test_watch__gone_or_stopped__window_holds_and_no_next_one),
    };

    return cmocka_run_group_tests_name("os freeze", tests, lab_open, lab_close);
}
