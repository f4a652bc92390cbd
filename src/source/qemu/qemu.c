/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu.c - the disk inside an image file: qcow2, and what else QEMU can open.
 *
 * Speaks: NBD to a `qemu-nbd -r` of its own, on a private socket. "qcow2:/path", "qemu:FORMAT:/path".
 * The server inherits a listening socket (the LISTEN_FDS convention of systemd), so there is nothing to wait for, and
 * ends when its last client is gone: also when we were killed.
 * Can't: read an image that a running machine writes (QEMU's lock says so); make or clear bitmaps.
 */
#include "../source_priv.h"
#include "bdr/child.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define QEMU_PROGRAM "qemu-nbd"
#define QEMU_CLIENTS "8"  /* connections; the nbd driver opens at most 4 */
#define QEMU_END_MS  5000 /* for a server that hung up to write its complaint and go */

struct qemu_src {
    struct bdr_source base;
    struct bdr_source *nbd; /* owned */
    char *path;             /* of the image; owned */
    char dir[64], sock[80];
    struct bdr_child *server; /* owned */
};

/* Formats whose driver reads a file by itself; others (ssh, nbd, blkdebug) are no formats to a user. */
static const char *const qemu_formats[] = {"qcow2", "vmdk", "vdi", "vhdx", "vpc", "qed", "qcow", "parallels", "raw"};

static void qemu_close(struct bdr_source *src)
{
    struct qemu_src *q = (struct qemu_src *)src;

    bdr_source_close(q->nbd);
    bdr_child_stop(q->server, 0); /* it only reads: there is nothing to wait for */
    if (q->dir[0]) {
        unlink(q->sock);
        rmdir(q->dir);
    }
    free(q->path);
    free(q);
}

static struct bdr_err *qemu_parse(const char *location, char format[16], const char **out_path)
{
    const char *rest = source_strip(location, "qemu:"), *colon;
    char known[160] = "";
    size_t at = 0;

    if (rest == location) {
        snprintf(format, 16, "qcow2");
        *out_path = source_strip(location, "qcow2:");
        return NULL;
    }
    colon = strchr(rest, ':');
    for (size_t i = 0; i < BDR_COUNT(qemu_formats); i++) {
        size_t n = strlen(qemu_formats[i]);

        if (colon && (size_t)(colon - rest) == n && !strncmp(rest, qemu_formats[i], n)) {
            memcpy(format, qemu_formats[i], n + 1);
            *out_path = colon + 1;
            return NULL;
        }
        at += (size_t)snprintf(known + at, sizeof(known) - at, " %s", qemu_formats[i]);
    }
    BDR_FAIL(BDR_INVAL, 0, "%s does not name a format; write qemu:FORMAT:/path with one of%s", location, known);
}

/* A listening socket in a folder that only we can enter. */
static struct bdr_err *qemu_listen(struct qemu_src *q, int *out_fd)
{
    BDR_AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/bdr-qemu-XXXXXX";

    if (fd < 0)
        BDR_FAIL_ERRNO("making a socket");
    if (!mkdtemp(dir))
        BDR_FAIL_ERRNO("making a folder %s", dir);
    memcpy(q->dir, dir, sizeof(dir));
    snprintf(q->sock, sizeof(q->sock), "%s/nbd", q->dir);
    memcpy(addr.sun_path, q->sock, strlen(q->sock) + 1);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 16))
        BDR_FAIL_ERRNO("listening on %s", q->sock);
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}

/* The server hung up before it served: its last words say why. `err` (consumed) is what the client saw. */
static struct bdr_err *qemu_explain(struct qemu_src *q, const struct bdr_cancel *cancel, struct bdr_err *err)
{
    enum bdr_code code = BDR_INVAL;
    const char *said;
    bool ended = false;

    bdr_err_drop(bdr_child_poll(q->server, QEMU_END_MS, cancel, &ended), "then with the words there are");
    said = bdr_child_said(q->server);
    if (!*said)
        return err;
    if (!strncmp(said, QEMU_PROGRAM ": ", strlen(QEMU_PROGRAM) + 2))
        said += strlen(QEMU_PROGRAM) + 2;
    if (strstr(said, "lock"))
        code = BDR_BUSY;
    else if (strstr(said, "inconsistent") || strstr(said, "in use"))
        code = BDR_STALE;
    else if (strstr(said, "ermission"))
        code = BDR_DENIED;
    else if (strstr(said, "itmap") || strstr(said, "No such file"))
        code = BDR_NOTFOUND;
    bdr_err_drop(err, "the server's own words are better");
    BDR_FAIL(code, 0, QEMU_PROGRAM " can't open %s: %s%s", q->path, said,
             code == BDR_BUSY ? "; stop the machine that uses it" : "");
}

static struct bdr_err *qemu_serve(struct qemu_src *q, const char *format, const struct bdr_source_spec *spec)
{
    BDR_AUTO(fd) int fd = -1;
    const char *argv[12];
    struct bdr_err *err;
    size_t n = 0;
    char fmt[32];

    BDR_TRY(qemu_listen(q, &fd));
    snprintf(fmt, sizeof(fmt), "--format=%s", format);
    argv[n++] = QEMU_PROGRAM;
    argv[n++] = "--read-only";
    argv[n++] = "--shared=" QEMU_CLIENTS;
    argv[n++] = fmt;
    if (spec->dirty_bitmap) {
        argv[n++] = "--bitmap";
        argv[n++] = spec->dirty_bitmap;
    }
    argv[n++] = "--";
    argv[n++] = q->path;
    argv[n] = NULL;
    err = bdr_child_start(&(struct bdr_child_spec){.argv = argv, .fds = &fd, .n_fds = 1}, &q->server);
    if (err && err->code == BDR_NOTFOUND)
        err = bdr_err_recode(err, BDR_UNSUPPORTED, BDR_AT, "only QEMU's tools read %s; install qemu-utils", q->path);
    return err;
    /* Our copy of the socket closes here: when the server dies, clients see it at once. */
}

static struct bdr_err *qemu_setup(struct qemu_src *q, const struct bdr_source_spec *spec)
{
    struct bdr_source_spec inner = {.dirty_bitmap = spec->dirty_bitmap, .depth = spec->depth, .cancel = spec->cancel};
    char format[16], uri[128];
    const char *path = NULL;
    struct bdr_err *err;
    struct stat st;

    BDR_TRY(qemu_parse(spec->location, format, &path));
    q->path = realpath(path, NULL); /* absolute: QEMU reads "a:b" as protocol a */
    if (!q->path)
        BDR_FAIL_ERRNO("finding %s", path);
    if (stat(q->path, &st))
        BDR_FAIL_ERRNO("looking at %s", q->path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is neither a file nor a block device", q->path);
    BDR_TRY(qemu_serve(q, format, spec));
    snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", q->sock);
    inner.location = uri;
    err = bdr_source_open(&inner, &q->nbd);
    if (err && err->code == BDR_NET)
        err = qemu_explain(q, spec->cancel, err);
    return err;
}

static struct bdr_err *qemu_open(const struct bdr_source_spec *spec, struct bdr_source **out)
{
    struct qemu_src *q = calloc(1, sizeof(*q));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(q);
    err = qemu_setup(q, spec);
    if (err)
        qemu_close(&q->base);
    else
        *out = &q->base;
    return err;
}

static struct bdr_err *qemu_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct qemu_src *q = (struct qemu_src *)src;

    BDR_TRY(bdr_source_info(q->nbd, out));
    memset(out->identity, 0, sizeof(out->identity));
    source_identity(out, "file:", q->path);
    return NULL;
}

static struct bdr_err *qemu_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                    bdr_extent_fn fn, void *ctx)
{
    return bdr_source_extents(((struct qemu_src *)src)->nbd, of, off, len, fn, ctx);
}

static struct bdr_err *qemu_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    return bdr_source_read(((struct qemu_src *)src)->nbd, off, buf, len);
}

const struct bdr_source_driver bdr_source_qemu = {
    .name = "qemu",
    .title = "Disk image in a format of QEMU's",
    .help = "/path/disk.qcow2, qcow2:/path, or qemu:FORMAT:/path (vmdk, vdi, vhdx, vpc, qed, parallels)",
    .schemes = "qcow2: qemu:",
    .accepts = BDR_SOURCE_ACCEPTS_BITMAP,
    .open = qemu_open,
    .info = qemu_info,
    .extents = qemu_extents,
    .read = qemu_read,
    .close = qemu_close,
};
