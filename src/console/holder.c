/* SPDX-License-Identifier: Apache-2.0 */
#include "holder.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define HOLDER_TEXT 512

/* "process 4711 on db1, port 10443, since 2026-01-31 10:20:30 UTC"; printable, since anybody may have written there. */
static void holder_read(int fd, char out[HOLDER_TEXT])
{
    ssize_t n = pread(fd, out, HOLDER_TEXT - 1, 0);

    out[n > 0 ? n : 0] = 0;
    out[strcspn(out, "\n")] = 0;
    for (char *p = out; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
}

static struct bdr_err *holder_write(int fd, const struct bdr_holder_spec *spec)
{
    char host[256], since[40], text[HOLDER_TEXT];
    time_t now = (time_t)(bdr_clock_wall_ms() / 1000);
    struct tm tm;

    BDR_TRY(bdr_os_hostname(host, sizeof(host)));
    if (!gmtime_r(&now, &tm) || !strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S UTC", &tm))
        *since = 0;
    snprintf(text, sizeof(text), "process %ld on %s, port %u, since %s\n", (long)getpid(), host, spec->port, since);
    if (ftruncate(fd, 0) != 0)
        BDR_FAIL_ERRNO("emptying %s", spec->path);
    return bdr_os_pwrite(fd, spec->path, text, strlen(text), 0);
}

struct bdr_err *bdr_holder_take(const struct bdr_holder_spec *spec, struct bdr_holder *out)
{
    /* not inherited: a gateway of ours that outlives us for a moment must not hold it */
    BDR_AUTO(fd) int fd = open(spec->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct bdr_err *err;
    char text[HOLDER_TEXT];

    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", spec->path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            BDR_FAIL_ERRNO("locking %s", spec->path);
        holder_read(fd, text);
        BDR_FAIL(BDR_BUSY, 0, "another bdr-console uses %s: %s; %s", spec->what, *text ? text : "it has just started",
                 spec->advice);
    }
    err = holder_write(fd, spec);
    bdr_err_drop(err, "a full disk: the lock holds, its text is for people");
    out->fd = fd;
    fd = -1;
    return NULL;
}

void bdr_holder_drop(struct bdr_holder *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}
