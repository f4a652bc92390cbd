/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"
#include "bdr/child.h"
#include "bdr/clock.h"
#include "bdr/disk.h"
#include "bdr/osproc.h"
#include "parts_wire.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PARTS_WAIT_MS  5000
#define PARTS_ASKS_MAX 1024u                     /* an honest reader asks 33 times, and once a logical partition */
#define PARTS_ALL_MAX  (PARTS_EDGE_BYTES * 4ull) /* bytes it may ask for; an honest one has half */

/* Where the reader lies relative to our program: in a build tree, and as installed. */
static const char *const parts_beside[] = {"../mount/bdr-parts", "src/mount/bdr-parts", "../libexec/bdr/bdr-parts",
                                           "bdr-parts"};

struct parts {
    struct bdr_disk *disk;
    struct bdr_child *child; /* owned */
    int fd;                  /* owned; our end of the socket */
    uint64_t size, waited_ms, read_bytes;
    unsigned asks;
    uint8_t *buf;            /* owned; PARTS_READ_BYTES */
    struct mount_part *part; /* owned; PARTS_MAX */
    size_t n;
};

static void parts_free(struct parts *p)
{
    bdr_child_stop(p->child, 0);
    if (p->fd >= 0)
        close(p->fd);
    free(p->buf);
    free(p->part);
}

static void parts_text(char *out, const uint8_t *in, size_t n)
{
    memcpy(out, in, n);
    out[n - 1] = 0;
    for (; *out; out++)
        if ((unsigned char)*out < 0x20 || *out == 0x7f)
            *out = '?';
}

bool mount_part_decode(const uint8_t *msg, size_t len, uint64_t disk_bytes, struct mount_part *out)
{
    struct mount_part part = {0};

    if (len != PARTS_ROW_BYTES || msg[0] != 'P')
        return false;
    part.number = (uint32_t)parts_get(msg + 1, 4);
    part.off = parts_get(msg + 5, 8);
    part.len = parts_get(msg + 13, 8);
    if (!part.number || part.number > 65535 || !part.len || part.off > disk_bytes || part.len > disk_bytes - part.off)
        return false;
    msg += 21;
    parts_text(part.type, msg, PARTS_TYPE);
    parts_text(part.uuid, msg + PARTS_TYPE, PARTS_UUID);
    parts_text(part.name, msg + PARTS_TYPE + PARTS_UUID, PARTS_NAME);
    *out = part;
    return true;
}

static struct bdr_err *parts_start(struct parts *p, const char *reader)
{
    BDR_AUTO(mem) char *path = NULL;
    BDR_AUTO(fd) int theirs = -1;
    int pair[2];

    if (!reader)
        BDR_TRY(bdr_os_beside(parts_beside, BDR_COUNT(parts_beside), &path));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        BDR_FAIL_ERRNO("making a socket");
    p->fd = pair[0];
    theirs = pair[1];
    return bdr_child_start(
        &(struct bdr_child_spec){
            .argv = (const char *const[]){reader ? reader : path, NULL}, .fds = &theirs, .n_fds = 1, .untrusted = true},
        &p->child);
}

/* Why the reader stopped talking. */
static struct bdr_err *parts_ended(struct parts *p)
{
    bool ended = false;

    BDR_TRY(bdr_child_poll(p->child, 1000, NULL, &ended));
    BDR_FAIL(BDR_CORRUPT, 0, "the reader of partition tables ended with status %d (above 128: signal) over this disk's",
             bdr_child_status(p->child));
}

/* The next packet; its time is counted. */
static struct bdr_err *parts_listen(struct parts *p, uint8_t *msg, size_t room, size_t *out_len)
{
    struct pollfd fd = {.fd = p->fd, .events = POLLIN};
    uint64_t from = bdr_clock_mono_ms();
    ssize_t n = -1;

    while (p->waited_ms < PARTS_WAIT_MS) {
        uint64_t now;
        int rc = poll(&fd, 1, (int)(PARTS_WAIT_MS - p->waited_ms));

        now = bdr_clock_mono_ms();
        p->waited_ms += now - from;
        from = now;
        if (rc <= 0)
            continue;
        n = recv(p->fd, msg, room, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return parts_ended(p);
        *out_len = (size_t)n;
        return NULL;
    }
    BDR_FAIL(BDR_CORRUPT, 0, "the reader of partition tables did not come to an end with this disk's in %u seconds",
             PARTS_WAIT_MS / 1000);
}

static struct bdr_err *parts_nonsense(void)
{
    BDR_FAIL(BDR_CORRUPT, 0, "the reader of partition tables talked nonsense after it had seen this disk's");
}

static struct bdr_err *parts_say(struct parts *p, const void *data, size_t len)
{
    /* A reader that does not read fills the socket: that is nonsense, too. */
    if (send(p->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        return errno == EPIPE || errno == ECONNRESET ? parts_ended(p) : parts_nonsense();
    return NULL;
}

static struct bdr_err *parts_answer(struct parts *p, const uint8_t *ask)
{
    uint64_t off = parts_get(ask + 1, 8), len = parts_get(ask + 9, 4);

    p->read_bytes += len;
    if (++p->asks > PARTS_ASKS_MAX || !len || len > PARTS_READ_BYTES || p->read_bytes > PARTS_ALL_MAX ||
        off > p->size || len > p->size - off)
        return parts_nonsense();
    BDR_TRY(bdr_disk_read(p->disk, off, p->buf, len));
    return parts_say(p, p->buf, len);
}

static struct bdr_err *parts_talk(struct parts *p)
{
    uint8_t msg[PARTS_ROW_BYTES + 1];

    parts_put(msg, p->size, 8);
    parts_put(msg + 8, bdr_disk_sector_bytes(p->disk), 4);
    BDR_TRY(parts_say(p, msg, PARTS_HELLO_BYTES));
    for (;;) {
        size_t len = 0;

        BDR_TRY(parts_listen(p, msg, sizeof(msg), &len));
        if (len == PARTS_ASK_BYTES && msg[0] == 'R')
            BDR_TRY(parts_answer(p, msg));
        else if (len == 1 && msg[0] == 'E')
            return NULL;
        else if (len != PARTS_ROW_BYTES || msg[0] != 'P' || p->n == PARTS_MAX)
            return parts_nonsense();
        else
            p->n += mount_part_decode(msg, len, p->size, &p->part[p->n]); /* beyond the disk's end: not one */
    }
}

struct bdr_err *mount_parts_read(struct bdr_disk *disk, const char *reader, struct mount_part **out, size_t *out_n)
{
    __attribute__((cleanup(parts_free))) struct parts p = {.disk = disk, .fd = -1, .size = bdr_disk_size(disk)};

    p.buf = malloc(PARTS_READ_BYTES);
    p.part = calloc(PARTS_MAX, sizeof(*p.part));
    if (!p.buf || !p.part)
        BDR_FAIL(BDR_NOMEM, 0, "reading a partition table");
    if (p.size) {
        BDR_TRY(parts_start(&p, reader));
        BDR_TRY(parts_talk(&p));
    }
    *out = BDR_STEAL(p.part);
    *out_n = p.n;
    return NULL;
}
