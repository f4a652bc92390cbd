/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"
#include "bdr/osfile.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

#define STUCK_S 30

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

void writer_start(struct writer *w, const char *mount, bool once)
{
    memset(w, 0, sizeof(*w));
    snprintf(w->path, sizeof(w->path), "%s/written", mount);
    atomic_store(&w->once, once);
    assert_int_equal(pthread_create(&w->thread, NULL, writer_run, w), 0);
}

uint64_t writer_stop(struct writer *w)
{
    struct timespec until;

    atomic_store(&w->stop, 1);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STUCK_S;
    if (pthread_timedjoin_np(w->thread, NULL, &until)) { /* a thread that waits for a thaw outlives even SIGKILL */
        *strrchr(w->path, '/') = 0;
        lab_thaw(w->path);
        pthread_join(w->thread, NULL);
        fail_msg("%s stood still for %d s", w->path, STUCK_S);
    }
    assert_true(atomic_load(&w->writes) > 0);
    return atomic_load(&w->worst_ms);
}

bool writer_blocked(struct writer *w)
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
