/* SPDX-License-Identifier: Apache-2.0 */
/* The freezer while one of its processes, or the one that uses it, is killed or stopped: writes go on in time. */
#include "bdr/freeze.h"
#include "writer.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define VICTIM_BUDGET_MS 300
#define VICTIM_FS        3

struct victim { /* shared with the process that freezes */
    pid_t pid;
    int watch, keepers[VICTIM_FS];
    atomic_uint ready, freezes, code;
};

static _Noreturn void victim_run(struct victim *v, const char *const *mounts)
{
    struct bdr_freezer *f = NULL;
    enum bdr_freeze_state states[VICTIM_FS];
    unsigned seed = (unsigned)getpid();
    struct bdr_err *err = bdr_freezer_start(mounts, VICTIM_FS, &f);
    uint32_t window;
    bool held;

    if (err)
        _exit(9);
    v->watch = bdr_freezer_pid(f);
    bdr_freezer_keepers(f, v->keepers, VICTIM_FS);
    atomic_store(&v->ready, 1);
    for (;;) {
        err = bdr_freezer_freeze(f, VICTIM_BUDGET_MS, states);
        if (!err) {
            atomic_fetch_add(&v->freezes, 1);
            poll(NULL, 0, (int)(rand_r(&seed) % (VICTIM_BUDGET_MS + 100))); /* at times longer than it may */
            err = bdr_freezer_thaw(f, &held, &window);
        }
        bdr_err_drop(err, "somebody is being killed here");
        poll(NULL, 0, (int)(rand_r(&seed) % 20));
    }
}

static bool gone_within(pid_t pid, uint64_t ms)
{
    uint64_t end = lab_now_ms() + ms;

    while (waitpid(pid, NULL, WNOHANG) != pid) { /* ours, by PR_SET_CHILD_SUBREAPER, once its parent is dead */
        if (kill(pid, 0) && errno == ESRCH)
            return true;
        if (lab_now_ms() > end)
            return false;
        poll(NULL, 0, 5);
    }
    return true;
}

/* One harm done to one process; the longest that a write took. */
static uint64_t harm(struct victim *v, const char *const *mounts, int whom, int sig, unsigned after_ms)
{
    struct writer w[VICTIM_FS];
    uint64_t worst = 0;
    pid_t target, pid;

    memset(v, 0, sizeof(*v));
    pid = fork();
    if (!pid)
        victim_run(v, mounts);
    assert_true(pid > 0);
    v->pid = pid;
    for (uint64_t end = lab_now_ms() + 20000; !atomic_load(&v->ready) && lab_now_ms() < end;)
        poll(NULL, 0, 2);
    assert_true(atomic_load(&v->ready));
    for (int i = 0; i < VICTIM_FS; i++)
        writer_start(&w[i], mounts[i], false);
    while (!atomic_load(&v->freezes))
        poll(NULL, 0, 1);
    poll(NULL, 0, (int)after_ms);
    target = whom == 0 ? v->pid : whom == 1 ? v->watch : v->keepers[whom - 2];
    assert_int_equal(kill(target, sig), 0);
    poll(NULL, 0, VICTIM_BUDGET_MS + 100);
    if (whom) /* the others have shown what they can do without it; the caller would freeze for ever */
        kill(v->pid, SIGKILL);
    for (int i = 0; i < VICTIM_FS; i++) {
        uint64_t took = writer_stop(&w[i]);

        worst = BDR_MAX(worst, took);
    }
    kill(target, SIGCONT);
    kill(v->pid, SIGKILL);
    assert_true(gone_within(v->pid, 10000));
    assert_true(gone_within(v->watch, 10000));
    for (int i = 0; i < VICTIM_FS; i++) {
        assert_true(gone_within(v->keepers[i], 10000));
        assert_false(lab_thaw(mounts[i]));
    }
    return worst;
}

static void test_any_process__killed_or_stopped__writes_go_on_in_time(void **state)
{
    static const int signals[] = {SIGKILL, SIGSTOP};
    struct lab_fs low, high, apart;
    struct victim *v;
    const char *more = getenv("BDR_FREEZE_ROUNDS");
    unsigned seed = (unsigned)getpid(), rounds = more ? (unsigned)strtoul(more, NULL, 10) : 1;
    uint64_t worst_of_all = 0;
    const char *mounts[VICTIM_FS] = {high.mount, low.mount, apart.mount};

    (void)state;
    LAB_OR_SKIP("test_any_process__killed_or_stopped__writes_go_on_in_time", "ext4");
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(v != MAP_FAILED);
    lab_make(&low, "low", NULL, "ext4", 64);
    lab_make(&high, "high", low.mount, "ext4", 16);
    lab_make(&apart, "apart", NULL, lab_lacks("btrfs") ? "ext4" : "btrfs", 128);
    for (unsigned round = 0; round < rounds; round++)
        for (int whom = 0; whom < 2 + VICTIM_FS; whom++)
            for (size_t s = 0; s < BDR_COUNT(signals); s++) {
                uint64_t worst = 0;

                for (int i = 0; i < TRIES; i++) {
                    worst = harm(v, mounts, whom, signals[s], rand_r(&seed) % (2 * VICTIM_BUDGET_MS));
                    if (worst <= VICTIM_BUDGET_MS + SLACK_MS)
                        break;
                }
                worst_of_all = BDR_MAX(worst_of_all, worst);
                if (worst > VICTIM_BUDGET_MS + SLACK_MS)
                    fail_msg("process %d, signal %d: a write took %llu ms", whom, signals[s],
                             (unsigned long long)worst);
            }
    printf("# longest write with one process killed or stopped, budget %d ms: %llu ms\n", VICTIM_BUDGET_MS,
           (unsigned long long)worst_of_all);
    munmap(v, sizeof(*v));
    lab_unmake(&high);
    lab_unmake(&low);
    lab_unmake(&apart);
}

/* --- killed or stopped while the kernel is at work on a FIFREEZE --- */

#define STUCK_BUDGET_MS 400
#define STUCK_FS        2

static _Noreturn void stuck_victim(struct victim *v, const char *const *mounts)
{
    struct bdr_freezer *f = NULL;
    enum bdr_freeze_state states[STUCK_FS];
    struct bdr_err *err = bdr_freezer_start(mounts, STUCK_FS, &f);

    if (err)
        _exit(9);
    v->watch = bdr_freezer_pid(f);
    bdr_freezer_keepers(f, v->keepers, STUCK_FS);
    atomic_store(&v->ready, 1);
    while (!atomic_load(&v->freezes)) /* until the test has everything in place */
        poll(NULL, 0, 1);
    err = bdr_freezer_freeze(f, STUCK_BUDGET_MS, states);
    atomic_store(&v->code, err ? (unsigned)err->code : 0);
    bdr_err_drop(err, "told by its code");
    for (;;)
        pause();
}

struct stuck {
    struct lab_fs free, low, high;
};

/* Harms one while `high` is in FIFREEZE for as long as `low`, under it, stands still. Longest writes of free and high.
 */
static void stuck_harm(struct stuck *s, struct victim *v, int whom, int sig, uint64_t *out_free, uint64_t *out_high)
{
    const char *mounts[STUCK_FS] = {s->free.mount, s->high.mount};
    uint64_t end = lab_now_ms() + 30000;
    struct writer w, dirty;
    pid_t pid, target;

    memset(v, 0, sizeof(*v));
    pid = fork();
    if (!pid)
        stuck_victim(v, mounts);
    assert_true(pid > 0);
    while (!atomic_load(&v->ready) && lab_now_ms() < end)
        poll(NULL, 0, 2);
    assert_true(atomic_load(&v->ready));
    writer_start(&dirty, s->high.mount, true);
    writer_stop(&dirty);
    assert_int_equal(lab_freeze(s->low.mount), 0);
    writer_start(&w, s->free.mount, false);
    while (!atomic_load(&w.writes))
        poll(NULL, 0, 1);
    atomic_store(&v->freezes, 1);
    while (lab_now_ms() - atomic_load(&w.begun_ms) < 60 && lab_now_ms() < end) /* its writes don't come through */
        poll(NULL, 0, 2);
    target = whom == 0 ? pid : whom == 1 ? v->watch : v->keepers[1];
    assert_int_equal(kill(target, sig), 0);
    while (atomic_load(&w.worst_ms) < 60 && lab_now_ms() < end)
        poll(NULL, 0, 2);
    assert_true(atomic_load(&w.worst_ms) >= 60); /* `free` was let go while the other is still stuck */
    assert_true(lab_thaw(s->low.mount));
    writer_start(&dirty, s->high.mount, true);
    *out_high = writer_stop(&dirty);
    *out_free = writer_stop(&w);
    kill(target, SIGCONT);
    if (whom) { /* the caller learns it, and that all is thawed */
        while (!atomic_load(&v->code) && lab_now_ms() < end)
            poll(NULL, 0, 2);
        if (atomic_load(&v->code) != BDR_TIMEOUT && atomic_load(&v->code) != BDR_IO)
            fail_msg("freeze gave %u", atomic_load(&v->code));
    }
    kill(pid, SIGKILL);
    assert_true(gone_within(pid, 10000) && gone_within(v->watch, 10000));
    for (int i = 0; i < STUCK_FS; i++)
        assert_true(gone_within(v->keepers[i], 10000));
    assert_false(lab_thaw(s->free.mount) || lab_thaw(s->high.mount));
}

static void test_any_process__harmed_while_a_freeze_is_stuck__all_thawed(void **state)
{
    static const int signals[] = {SIGKILL, SIGSTOP};
    struct victim *v;
    struct stuck s;

    (void)state;
    LAB_OR_SKIP("test_any_process__harmed_while_a_freeze_is_stuck__all_thawed", "ext4");
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(v != MAP_FAILED);
    lab_make(&s.free, "free", NULL, "ext4", 16);
    lab_make(&s.low, "low", NULL, "ext4", 64);
    lab_make(&s.high, "high", s.low.mount, "ext4", 16);
    for (int whom = 0; whom < 3; whom++)
        for (size_t i = 0; i < BDR_COUNT(signals); i++) {
            uint64_t free_ms = 0, high_ms = 0;

            for (int tries = 0; tries < TRIES; tries++) {
                stuck_harm(&s, v, whom, signals[i], &free_ms, &high_ms);
                if (free_ms <= STUCK_BUDGET_MS + SLACK_MS && high_ms <= SLACK_MS)
                    break;
            }
            if (free_ms > STUCK_BUDGET_MS + SLACK_MS || high_ms > SLACK_MS)
                fail_msg("process %d, signal %d: %llu ms beside it, %llu ms after it", whom, signals[i],
                         (unsigned long long)free_ms, (unsigned long long)high_ms);
        }
    munmap(v, sizeof(*v));
    lab_unmake(&s.free);
    lab_unmake(&s.high);
    lab_unmake(&s.low);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_process__killed_or_stopped__writes_go_on_in_time),
        cmocka_unit_test(test_any_process__harmed_while_a_freeze_is_stuck__all_thawed),
    };

    return cmocka_run_group_tests_name("os freeze harm", tests, lab_open, lab_close);
}
