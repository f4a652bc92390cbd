/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"
#include "bdr/child.h"
#include "bdr/osfile.h"
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void must(struct bdr_err *err)
{
    char text[1024];

    if (!err)
        return;
    fprintf(stderr, "%s\n", bdr_err_text(err, text, sizeof(text)));
    abort();
}

static void place_file(const char *path, uint64_t size)
{
    BDR_AUTO(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    BDR_ASSERT(fd >= 0 && !ftruncate(fd, (off_t)size));
}

static bool place_loop(struct place *p, const char **why)
{
    BDR_AUTO(fd) int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    BDR_AUTO(fd) int file = open(p->backing, O_RDWR | O_CLOEXEC);

    *why = "no loop devices for this user";
    for (int tries = 0; ctl >= 0 && tries < 16; tries++) {
        int n = ioctl(ctl, LOOP_CTL_GET_FREE);
        BDR_AUTO(fd) int loop = -1;

        if (n < 0)
            return false;
        snprintf(p->loop, sizeof(p->loop), "/dev/loop%d", n);
        loop = open(p->loop, O_RDWR | O_CLOEXEC);
        if (loop < 0)
            return false;
        if (!ioctl(loop, LOOP_SET_FD, file))
            return true; /* else somebody was faster */
    }
    return false;
}

static void place_serve(struct place *p)
{
    char sock[100];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    BDR_AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *const argv[] = {"nbdkit", "-f", "--exit-with-parent", "file", p->backing, NULL};

    snprintf(sock, sizeof(sock), "%s/sock", p->dir);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", sock);
    BDR_ASSERT(fd >= 0 && !bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && !listen(fd, 16));
    must(bdr_child_start(&(struct bdr_child_spec){.argv = argv, .fds = &fd, .n_fds = 1}, &p->server));
    snprintf(p->location, sizeof(p->location), "nbd+unix:///?socket=%s", sock);
}

bool place_make(struct place *p, const char *driver, bool direct, uint64_t room, const char **why)
{
    *p = (struct place){.driver = driver, .direct = direct};
    snprintf(p->dir, sizeof(p->dir), "%s/bdr-place-XXXXXX", "/var/tmp");
    BDR_ASSERT(mkdtemp(p->dir));
    snprintf(p->backing, sizeof(p->backing), "%s/disk.raw", p->dir);
    if (!strcmp(driver, "raw")) {
        snprintf(p->location, sizeof(p->location), "%s", p->backing);
    } else if (!strcmp(driver, "blockdev")) {
        place_file(p->backing, room);
        if (!place_loop(p, why)) {
            p->loop[0] = 0;
            place_remove(p);
            return false;
        }
        snprintf(p->location, sizeof(p->location), "%s", p->loop);
    } else if (!strcmp(driver, "qcow2")) {
        snprintf(p->location, sizeof(p->location), "qcow2:%s/disk.img", p->dir);
    } else if (!strcmp(driver, "nbd")) {
        place_file(p->backing, room);
        place_serve(p);
    } else {
        snprintf(p->location, sizeof(p->location), "null:");
    }
    return true;
}

void place_remove(struct place *p)
{
    const char *const rm[] = {"rm", "-rf", p->dir, NULL};

    bdr_child_stop(p->server, 0);
    if (p->loop[0]) {
        BDR_AUTO(fd) int loop = open(p->loop, O_RDWR | O_CLOEXEC);

        BDR_ASSERT(loop >= 0 && !ioctl(loop, LOOP_CLR_FD));
    }
    must(bdr_child_run(rm, NULL));
}

bool place_keeps(const struct place *p)
{
    return strcmp(p->driver, "null") != 0;
}

uint8_t *place_bytes(struct place *p, size_t len)
{
    uint8_t *buf = malloc(len);
    BDR_AUTO(fd) int fd = -1;

    BDR_ASSERT(buf);
    if (!strcmp(p->driver, "qcow2")) {
        const char *const argv[] = {"qemu-img", "convert", "-f", "qcow2", "-O", "raw", p->location + strlen("qcow2:"),
                                    p->backing, NULL};

        must(bdr_child_run(argv, NULL));
    }
    fd = open(p->backing, O_RDONLY | O_CLOEXEC);
    BDR_ASSERT(fd >= 0);
    must(bdr_os_pread(fd, p->backing, buf, len, 0));
    return buf;
}
