/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2.c - recover a disk to a qcow2 image.
 *
 * The format stays qemu's business: `qemu-img create` makes the image, `qemu-nbd` writes it, and we talk NBD to that
 * over a socket nobody else can reach (its name is gone before qemu-nbd runs). qemu-nbd ends by itself when the last
 * of our connections closes, also when we are killed. Needs qemu-utils 5 or later.
 */
#include "../nbd/conns.h"
#include "../target_priv.h"
#include "bdr/child.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define QCOW2_END_MS 60000 /* qemu-nbd writes its last tables */
#define QCOW2_SECTOR 512u  /* qemu-img rounds a disk up to it */

struct qcow2_target {
    struct bdr_target base;
    struct bdr_child *server;
    struct nbd_conns *conns;
    char *path;
    uint64_t disk_bytes;
    bool fresh;
};

static void qcow2_close(struct bdr_target *base)
{
    struct qcow2_target *t = (struct qcow2_target *)base;

    nbd_conns_free(t->conns);
    bdr_child_stop(t->server, QCOW2_END_MS);
    free(t->path);
    free(t);
}

/* qemu takes "a:b" for a protocol and "-x" for an option unless there is a slash before. */
static char *qcow2_safe_path(const char *where)
{
    char *path = NULL;

    if (*where == '/')
        return strdup(where);
    return asprintf(&path, "./%s", where) < 0 ? NULL : path;
}

static struct bdr_err *qcow2_create(struct qcow2_target *t, const struct bdr_target_spec *spec)
{
    uint64_t size = (spec->size_bytes + QCOW2_SECTOR - 1) / QCOW2_SECTOR * QCOW2_SECTOR;
    BDR_AUTO(fd) int fd = open(t->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    char text[32];
    const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", t->path, text, NULL};
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        BDR_FAIL_ERRNO("opening %s for writing", t->path);
    if (!S_ISREG(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is not a plain file", t->path);
    if (st.st_size && !spec->force)
        BDR_FAIL(BDR_EXISTS, 0, "%s already holds data; add --force to overwrite it", t->path);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
    BDR_TRY_FOR(bdr_child_run(argv, spec->cancel), "making the qcow2 image %s", t->path);
    t->fresh = true;
    return NULL;
}

/* A listening socket and `n` connections to it that wait for somebody to accept them; no name is left behind. */
static struct bdr_err *qcow2_sockets(int *out_listen, int *fds, unsigned n)
{
    const char *tmp = getenv("TMPDIR");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char dir[64];
    BDR_AUTO(fd) int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed;

    /* The folder is 0700: between bind and unlink nobody else gets at the name. */
    snprintf(dir, sizeof(dir), "%s/bdr-qcow2-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    if (listen_fd < 0 || !mkdtemp(dir))
        BDR_FAIL_ERRNO("making a folder for a socket in %s", dir);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
    failed = bind(listen_fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(listen_fd, NBD_CONNS_MAX * 2);
    for (unsigned i = 0; !failed && i < n; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        failed = fds[i] < 0 || connect(fds[i], (struct sockaddr *)&addr, sizeof(addr));
    }
    failed = failed ? errno : 0;
    unlink(addr.sun_path);
    rmdir(dir);
    if (failed)
        BDR_FAIL(bdr_code_of_errno(failed), failed, "making a socket for qemu-nbd");
    *out_listen = bdr_fd_steal(&listen_fd);
    return NULL;
}

/* What qemu-nbd said explains more than "connection reset". */
static struct bdr_err *qcow2_explain(struct qcow2_target *t, struct bdr_err *err)
{
    bool ended = false;
    const char *said;

    bdr_err_drop(bdr_child_poll(t->server, 1000, NULL, &ended), "no token: cannot fail");
    said = bdr_child_said(t->server);
    if (!*said)
        return err;
    bdr_err_drop(err, "the program's own words are better");
    if (strstr(said, "\"write\" lock") || strstr(said, "another process"))
        BDR_FAIL(BDR_BUSY, 0, "%s is in use by another program (a running machine?); stop that first", t->path);
    BDR_FAIL(BDR_INVAL, 0, "opening %s: %s", t->path, said);
}

/* Consumes *fd. */
static struct bdr_err *qcow2_connect(struct qcow2_target *t, int *fd)
{
    struct nbd_handle *h = NULL;

    BDR_TRY(nbd_conns_handle(&h));
    if (nbd_connect_socket(h, bdr_fd_steal(fd))) {
        struct bdr_err *err = nbd_conns_err(t->path, "asking qemu-nbd for");

        nbd_close(h);
        return qcow2_explain(t, err);
    }
    return nbd_conns_add(t->conns, h);
}

static struct bdr_err *qcow2_serve(struct qcow2_target *t, const struct bdr_target_spec *spec)
{
    char shared[32];
    const char *const argv[] = {
        "qemu-nbd", "-f", "qcow2", shared, "--discard=unmap", spec->direct ? "--cache=none" : "--cache=writeback",
        t->path,    NULL};
    int fds[NBD_CONNS_MAX] = {-1, -1, -1, -1};
    BDR_AUTO(fd) int listen_fd = -1;
    struct bdr_err *err;

    snprintf(shared, sizeof(shared), "--shared=%d", NBD_CONNS_MAX);
    err = qcow2_sockets(&listen_fd, fds, NBD_CONNS_MAX);
    if (!err)
        err = bdr_child_start(&(struct bdr_child_spec){.argv = argv, .fds = &listen_fd, .n_fds = 1}, &t->server);
    /* Ours must go: while a listener lives, a connection to a program that ended would wait for ever. */
    if (listen_fd >= 0)
        close(bdr_fd_steal(&listen_fd));
    for (unsigned i = 0; !err && i < NBD_CONNS_MAX; i++)
        err = qcow2_connect(t, &fds[i]);
    for (unsigned i = 0; i < NBD_CONNS_MAX; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return err;
}

static struct bdr_err *qcow2_open(const struct bdr_target_spec *spec, const char *where, struct bdr_target **out)
{
    struct qcow2_target *t = calloc(1, sizeof(*t));
    BDR_AUTO(target) struct bdr_target *guard = NULL;
    const struct nbd_conns_info *info;

    BDR_NOMEM_IF_NULL(t);
    guard = &t->base;
    *t = (struct qcow2_target){.base.drv = &bdr_target_qcow2, .disk_bytes = spec->size_bytes};
    t->path = qcow2_safe_path(where);
    BDR_NOMEM_IF_NULL(t->path);
    if (!spec->resume)
        BDR_TRY(qcow2_create(t, spec));
    else if (access(t->path, R_OK | W_OK))
        BDR_FAIL_ERRNO("opening %s for writing", t->path);
    BDR_TRY(nbd_conns_new(t->path, spec->cancel, &t->conns));
    BDR_TRY(qcow2_serve(t, spec));
    info = nbd_conns_info(t->conns);
    if (info->size_bytes < spec->size_bytes || info->size_bytes - spec->size_bytes >= QCOW2_SECTOR)
        BDR_FAIL(BDR_INVAL, 0, "%s has %llu bytes, the disk %llu: not its unfinished copy; recover without resume",
                 t->path, (unsigned long long)info->size_bytes, (unsigned long long)spec->size_bytes);
    *out = BDR_STEAL(guard);
    return NULL;
}

static struct bdr_err *qcow2_info(struct bdr_target *base, struct bdr_target_info *out)
{
    struct qcow2_target *t = (struct qcow2_target *)base;
    const struct nbd_conns_info *info = nbd_conns_info(t->conns);

    out->size_bytes = info->size_bytes;
    out->align_bytes = 1; /* qemu-nbd takes any */
    out->starts_zero = t->fresh;
    out->max_inflight = info->multi ? NBD_CONNS_MAX : 1;
    return NULL;
}

static struct bdr_err *qcow2_write(struct bdr_target *base, uint64_t off, const void *buf, size_t len)
{
    return nbd_conns_write(((struct qcow2_target *)base)->conns, off, buf, len);
}

static struct bdr_err *qcow2_zero(struct bdr_target *base, uint64_t off, uint64_t len)
{
    return nbd_conns_zero(((struct qcow2_target *)base)->conns, off, len);
}

static struct bdr_err *qcow2_read(struct bdr_target *base, uint64_t off, void *buf, size_t len)
{
    return nbd_conns_read(((struct qcow2_target *)base)->conns, off, buf, len);
}

static struct bdr_err *qcow2_flush(struct bdr_target *base)
{
    return nbd_conns_flush(((struct qcow2_target *)base)->conns);
}

const struct bdr_target_driver bdr_target_qcow2 = {
    .name = "qcow2",
    .title = "qcow2 image",
    .help = "NAME.qcow2 or qcow2:PATH: an image for QEMU; grows with its data",
    .scheme = "qcow2:",
    .max_inflight = NBD_CONNS_MAX,
    .is_file = true,
    .open = qcow2_open,
    .info = qcow2_info,
    .write = qcow2_write,
    .zero = qcow2_zero,
    .read = qcow2_read,
    .flush = qcow2_flush,
    .close = qcow2_close,
};
