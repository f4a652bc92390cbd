/* SPDX-License-Identifier: Apache-2.0 */
/* The freezer on real file systems: what it holds still, and that it lets go whatever happens. */
#include "bdr/freeze.h"
#include "bdr/osfile.h"
#include "lab.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SLACK_MS  1000 /* of the guarantee itself: budget + 1 s */
#define LOADED_MS 2000 /* more, for a machine that is busy with other things */
#define TRIES     3

/* Writes into a file system until told to stop; the longest that one write took. */
struct writer {
    char path[160];
    pthread_t thread;
    atomic_int tid, stop, once;
    atomic_uint_fast64_t writes, begun_ms, worst_ms;
};

static void *writer_run(void *ctx)
{
    struct writer *w = ctx;
    int fd = -1;

    atomic_store(&w->tid, (int)syscall(SYS_gettid));
    do {
        uint64_t begun = lab_now_ms(), took;

        atomic_store(&w->begun_ms, begun);
        if (fd < 0)
            fd = open(w->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (pwrite(fd, "x", 1, 0) != 1)
            break;
        took = lab_now_ms() - begun;
        if (took > atomic_load(&w->worst_ms))
            atomic_store(&w->worst_ms, took);
        atomic_fetch_add(&w->writes, 1);
        if (!atomic_load(&w->once))
            poll(NULL, 0, 1);
    } while (!atomic_load(&w->stop) && !atomic_load(&w->once));
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void writer_start(struct writer *w, const char *mount, bool once)
{
    memset(w, 0, sizeof(*w));
    snprintf(w->path, sizeof(w->path), "%s/written", mount);
    atomic_store(&w->once, once);
    assert_int_equal(pthread_create(&w->thread, NULL, writer_run, w), 0);
}

/* The longest a write took, one that is still under way included; waits for that to end. */
static uint64_t writer_stop(struct writer *w)
{
    atomic_store(&w->stop, 1);
    pthread_join(w->thread, NULL);
    assert_true(atomic_load(&w->writes) > 0);
    return atomic_load(&w->worst_ms);
}

/* True once the writer's thread waits in the kernel, uninterruptibly. */
static bool writer_blocked(struct writer *w)
{
    uint64_t end = lab_now_ms() + 10000;

    while (lab_now_ms() < end && !atomic_load(&w->writes)) {
        BDR_AUTO(mem) char *text = NULL;
        char path[64];
        size_t len = 0;
        const char *p;

        snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&w->tid));
        if (atomic_load(&w->tid))
            bdr_err_drop(bdr_os_read_file(path, 4096, &text, &len), "not running yet");
        p = text ? strrchr(text, ')') : NULL;
        if (p && p[2] == 'D')
            return true;
        poll(NULL, 0, 2);
    }
    return false;
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freeze__writer__waits_until_thaw),
    };

    return cmocka_run_group_tests_name("os freeze", tests, lab_open, lab_close);
}
