/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.c - the file system: libfuse's low-level interface over the tree of names.
 *
 * Content never changes, so the kernel may keep what it has read for as long as it likes. Threads are ours: one at a
 * time waits for a request, hands the place to the next and answers; so a cancel is noticed without signals.
 */
#define FUSE_USE_VERSION 312
#include "bdr/mount.h"
#include "bdr/disk.h"
#include "bdr/log.h"
#include "bdr/pool.h"
#include "tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MOUNT_THREADS      8
#define MOUNT_CACHE_BYTES  (32u << 20)
#define MOUNT_READ_MAX     (1u << 20) /* FUSE_MAX_MAX_PAGES: the kernel asks for no more at once */
#define MOUNT_READAHEAD_KB "1024"     /* of the kernel; its default of 128 would ask in small pieces */
#define MOUNT_SLICE_MS     100        /* how late a cancel may be noticed */
#define MOUNT_KEEP_S       3600.0     /* names and sizes inside a point */
#define MOUNT_LIST_S       1.0        /* hosts and points: they come and go */

struct mount {
    const struct bdr_mount_spec *spec;
    const struct bdr_cancel *cancel;
    struct mount_tree *tree;
    struct fuse_session *se;
    struct bdr_cancel stop; /* unmounted by somebody, or a thread failed */
    uid_t uid;
    gid_t gid;
    pthread_mutex_t turn; /* whose turn it is to wait for a request: held while waiting, that is its purpose */
    pthread_mutex_t lock; /* guards the two below */
    const struct mount_node *told_disk; /* the last damage told: a reader that tries again is not news */
    uint64_t told_off;
};

static struct mount *mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static int mount_errno(const struct bdr_err *err)
{
    return err->code == BDR_NOMEM ? ENOMEM : err->code == BDR_NOTFOUND ? ENOENT : EIO;
}

/* Answers with the error's number after telling the log; consumes err. */
static void mount_fail(fuse_req_t req, const char *what, struct bdr_err *err)
{
    BDR_LOG(WARN, "mount.error", F_STR("call", what), F_ERR(err));
    fuse_reply_err(req, mount_errno(err));
    bdr_err_drop(err, "told the log and the caller");
}

static struct mount_node *mount_node_of(fuse_req_t req, fuse_ino_t ino)
{
    return mount_tree_by_ino(mount_of(req)->tree, ino);
}

static void mount_stat(const struct mount *m, const struct mount_node *node, struct stat *st)
{
    bool dir = node->kind == MOUNT_ROOT || node->kind == MOUNT_HOST || node->kind == MOUNT_POINT;
    int64_t time_ms = node->time_ms;

    *st = (struct stat){
        .st_ino = node->ino, .st_nlink = dir ? 2 : 1, .st_uid = m->uid, .st_gid = m->gid, .st_blksize = 1 << 20};
    if (dir)
        st->st_mode = S_IFDIR | (m->spec->allow_other ? 0555 : 0500);
    else if (node->kind == MOUNT_LATEST)
        st->st_mode = S_IFLNK | 0777;
    else
        st->st_mode = S_IFREG | (m->spec->allow_other ? 0444 : 0400);
    st->st_size = (off_t)node->size_bytes;
    /* One sector short: cp looks for holes only in files that seem to have some, and counting them costs the map. */
    st->st_blocks = (blkcnt_t)(node->size_bytes / 512) - (node->disk && node->size_bytes >= 512);
    st->st_mtim.tv_sec = time_ms / 1000;
    st->st_mtim.tv_nsec = time_ms % 1000 * 1000000;
    st->st_ctim = st->st_atim = st->st_mtim;
}

static double mount_keep_s(const struct mount_node *node)
{
    return node->parent && node->parent->kind == MOUNT_POINT ? MOUNT_KEEP_S : MOUNT_LIST_S;
}

static void mount_init(void *ctx, struct fuse_conn_info *conn)
{
    (void)ctx;
    conn->max_read = MOUNT_READ_MAX; /* the same as the mount option, libfuse says */
    conn->max_readahead = UINT32_MAX;
    /* Data comes from memory and is gone after the answer: pipes in between only cost. */
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static void mount_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);
    struct mount_node *dir = mount_node_of(req, parent), *node = NULL;
    struct fuse_entry_param e = {0};
    struct bdr_err *err = dir ? mount_tree_lookup(m->tree, dir, name, &node) : NULL;

    if (err) {
        mount_fail(req, "lookup", err);
        return;
    }
    if (!node) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    e.ino = node->ino;
    e.attr_timeout = e.entry_timeout = mount_keep_s(node);
    mount_stat(m, node, &e.attr);
    fuse_reply_entry(req, &e);
}

static void mount_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const struct mount_node *node = mount_node_of(req, ino);
    struct stat st;

    (void)fi;
    if (!node) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    mount_stat(mount_of(req), node, &st);
    fuse_reply_attr(req, &st, mount_keep_s(node));
}

static void mount_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct mount_node *node = mount_node_of(req, ino);
    BDR_AUTO(mem) char *text = NULL;

    if (!node || node->kind != MOUNT_LATEST) {
        fuse_reply_err(req, node ? EINVAL : ENOENT);
        return;
    }
    text = mount_tree_latest(mount_of(req)->tree, node->parent);
    if (text)
        fuse_reply_readlink(req, text);
    else
        fuse_reply_err(req, ENOMEM);
}

static void mount_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount_node *dir = mount_node_of(req, ino);
    struct bdr_err *err = dir ? mount_tree_fill(mount_of(req)->tree, dir) : NULL;

    if (err) {
        mount_fail(req, "opendir", err);
        return;
    }
    if (!dir) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    fi->cache_readdir = fi->keep_cache = dir->kind == MOUNT_POINT;
    fuse_reply_open(req, fi);
}

static void mount_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_node *dir = mount_node_of(req, ino), *node;
    BDR_AUTO(mem) char *buf = malloc(size);
    size_t used = 0, index = off > 2 ? (size_t)off - 2 : 0;
    struct stat st;

    (void)fi;
    if (!dir || !buf) {
        fuse_reply_err(req, dir ? ENOMEM : ENOENT);
        return;
    }
    for (off_t i = off; i < 2; i++) {
        size_t n;

        mount_stat(m, i && dir->parent ? dir->parent : dir, &st);
        n = fuse_add_direntry(req, buf + used, size - used, i ? ".." : ".", &st, i + 1);
        if (n > size - used)
            break;
        used += n;
    }
    while ((node = mount_tree_child(m->tree, dir, &index))) {
        size_t n;

        mount_stat(m, node, &st);
        n = fuse_add_direntry(req, buf + used, size - used, node->name, &st, (off_t)index + 2);
        if (n > size - used)
            break;
        used += n;
    }
    fuse_reply_buf(req, buf, used);
}

static void mount_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount_node *node = mount_node_of(req, ino);
    struct bdr_disk *disk = NULL;
    struct bdr_err *err = NULL;

    if (!node || (fi->flags & O_ACCMODE) != O_RDONLY) {
        fuse_reply_err(req, node ? EROFS : ENOENT);
        return;
    }
    if (node->disk)
        err = mount_tree_get_disk(mount_of(req)->tree, node, &disk);
    if (err) {
        mount_fail(req, "open", err);
        return;
    }
    fi->fh = (uint64_t)(uintptr_t)disk;
    fi->keep_cache = 1;
    fi->noflush = 1;
    if (fuse_reply_open(req, fi) && node->disk) /* the caller was interrupted: no release will come */
        mount_tree_put_disk(mount_of(req)->tree, node);
}

static void mount_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount_node *node = mount_node_of(req, ino);

    (void)fi;
    if (node && node->disk)
        mount_tree_put_disk(mount_of(req)->tree, node);
    fuse_reply_err(req, 0);
}

/* The first damaged block of a read that failed, for the log. */
static uint64_t mount_find_damage(struct bdr_disk *disk, uint64_t off, uint8_t *buf, size_t len)
{
    uint32_t block = bdr_disk_block_bytes(disk);

    while (len) {
        size_t n = (size_t)BDR_MIN((uint64_t)len, block - off % block);
        struct bdr_err *err = bdr_disk_read(disk, off, buf, n);

        if (err) {
            bdr_err_drop(err, "the same damage as that of the whole read");
            return off - off % block;
        }
        off += n;
        len -= n;
    }
    return off;
}

static void mount_tell_damage(struct mount *m, const struct mount_node *node, struct bdr_disk *disk, uint64_t off,
                              uint8_t *buf, size_t len, struct bdr_err *err)
{
    uint64_t at = err->code == BDR_CORRUPT ? mount_find_damage(disk, off, buf, len) : off;
    const struct mount_node *point = node->parent;
    bool news;

    pthread_mutex_lock(&m->lock);
    news = m->told_disk != node->disk || m->told_off != at;
    m->told_disk = node->disk;
    m->told_off = at;
    pthread_mutex_unlock(&m->lock);
    if (news)
        BDR_LOG(ERROR, err->code == BDR_CORRUPT ? "mount.damaged" : "mount.read", F_STR("host", point->point.host),
                F_STR("point", point->point.id), F_U64("disk", node->disk->disk_index), F_U64("offset", at),
                F_ERR(err));
}

static void mount_read_disk(fuse_req_t req, const struct mount_node *node, struct bdr_disk *disk, uint64_t off,
                            size_t len)
{
    static _Thread_local uint8_t *buf; /* kept for the thread's life: a megabyte each read would be page faults */
    static _Thread_local size_t room;
    struct bdr_err *err;

    if (room < len) {
        free(buf);
        room = BDR_MAX(len, (size_t)MOUNT_READ_MAX);
        buf = aligned_alloc(4096, (room + 4095) / 4096 * 4096);
        if (!buf)
            room = 0;
    }
    if (!len) { /* also how a thread gives its buffer back */
        free(BDR_STEAL(buf));
        room = 0;
        if (req)
            fuse_reply_buf(req, NULL, 0);
        return;
    }
    if (!buf) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    err = bdr_disk_read(disk, off, buf, len);
    if (err) {
        mount_tell_damage(mount_of(req), node, disk, off, buf, len, err);
        fuse_reply_err(req, mount_errno(err) == ENOMEM ? ENOMEM : EIO);
        bdr_err_drop(err, "told the log and the caller");
        return;
    }
    fuse_reply_buf(req, (const char *)buf, len);
}

static void mount_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    const struct mount_node *node = mount_node_of(req, ino);
    uint64_t at = (uint64_t)off;

    if (!node || at >= node->size_bytes) {
        fuse_reply_buf(req, NULL, 0);
        return;
    }
    size = (size_t)BDR_MIN((uint64_t)size, node->size_bytes - at);
    if (node->disk)
        mount_read_disk(req, node, (struct bdr_disk *)(uintptr_t)fi->fh, node->part_off + at, size);
    else
        fuse_reply_buf(req, node->text + at, size);
}

/* SEEK_DATA and SEEK_HOLE, so that cp and qemu-img skip what was never written. */
static void mount_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
    const struct mount_node *node = mount_node_of(req, ino);
    uint64_t at = (uint64_t)off, size = node ? node->size_bytes : 0;

    if (off < 0 || at >= size || (whence != SEEK_DATA && whence != SEEK_HOLE)) {
        fuse_reply_err(req, at >= size ? ENXIO : EINVAL);
        return;
    }
    if (!node->disk) {
        fuse_reply_lseek(req, whence == SEEK_DATA ? off : (off_t)size);
        return;
    }
    while (at < size) {
        bool data = true;
        uint64_t len = 0;
        struct bdr_err *err =
            bdr_disk_extent((struct bdr_disk *)(uintptr_t)fi->fh, node->part_off + at, size - at, &data, &len);

        if (err) {
            mount_fail(req, "lseek", err);
            return;
        }
        if (data == (whence == SEEK_DATA))
            break;
        at += len;
    }
    if (at >= size && whence == SEEK_DATA)
        fuse_reply_err(req, ENXIO);
    else
        fuse_reply_lseek(req, (off_t)BDR_MIN(at, size)); /* the end counts as a hole */
}

static void mount_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255, .f_flag = ST_RDONLY};

    (void)ino;
    fuse_reply_statfs(req, &st);
}

static const struct fuse_lowlevel_ops mount_ops = {
    .init = mount_init,
    .lookup = mount_lookup,
    .getattr = mount_getattr,
    .readlink = mount_readlink,
    .opendir = mount_opendir,
    .readdir = mount_readdir,
    .open = mount_open,
    .release = mount_release,
    .read = mount_read,
    .lseek = mount_lseek,
    .statfs = mount_statfs,
};

static struct bdr_err *mount_check_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    bool empty = true;

    if (!dir && errno == ENOTCONN)
        BDR_FAIL(BDR_BUSY, errno, "%s is a mount whose program died; run 'umount -l %s' first", path, path);
    if (!dir && errno == ENOENT)
        BDR_FAIL(BDR_NOTFOUND, errno, "there is no folder %s; make it first: mkdir -p %s", path, path);
    if (!dir && errno == ENOTDIR)
        BDR_FAIL(BDR_INVAL, errno, "%s is not a folder", path);
    if (!dir)
        BDR_FAIL_ERRNO("looking into %s", path);
    while (empty && (e = readdir(dir)))
        empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
    closedir(dir);
    if (!empty)
        BDR_FAIL(BDR_EXISTS, 0, "%s is not empty; choose an empty folder to mount on", path);
    return NULL;
}

/* Waits for one request while it is our turn. False when serving ends. */
static bool mount_next(struct mount *m, struct fuse_buf *buf)
{
    struct pollfd p = {.fd = fuse_session_fd(m->se), .events = POLLIN};
    int n = 0;

    pthread_mutex_lock(&m->turn);
    while (n <= 0 && !bdr_cancelled(m->cancel) && !bdr_cancelled(&m->stop) && !fuse_session_exited(m->se)) {
        if (poll(&p, 1, MOUNT_SLICE_MS) <= 0)
            continue;
        n = fuse_session_receive_buf(m->se, buf);
        if (n == 0 || (n < 0 && n != -EINTR && n != -EAGAIN))
            bdr_cancel_set(&m->stop); /* unmounted */
    }
    pthread_mutex_unlock(&m->turn);
    return n > 0;
}

static struct bdr_err *mount_thread(void *ctx, unsigned index)
{
    struct mount *m = ctx;
    struct fuse_buf buf = {0};

    (void)index;
    while (mount_next(m, &buf))
        fuse_session_process_buf(m->se, &buf);
    free(buf.mem);
    mount_read_disk(NULL, NULL, NULL, 0, 0);
    return NULL;
}

/* The kernel reads 128 KiB ahead unless told otherwise, and only root may. Best effort. */
static void mount_raise_readahead(const char *mountpoint)
{
    char path[64];
    struct stat st;
    BDR_AUTO(fd) int fd = -1;

    if (stat(mountpoint, &st)) /* answered by our own threads */
        return;
    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev), minor(st.st_dev));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, MOUNT_READAHEAD_KB, strlen(MOUNT_READAHEAD_KB)) < 0)
        return; /* slower, not wrong */
}

static struct bdr_err *mount_serve(struct mount *m)
{
    unsigned n = m->spec->threads ? m->spec->threads : MOUNT_THREADS;
    struct bdr_pool *pool = NULL;
    int fd = fuse_session_fd(m->se), flags = fcntl(fd, F_GETFL);

    /* A request may be taken back between poll and read. */
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
        BDR_FAIL_ERRNO("preparing the FUSE device");
    BDR_TRY(bdr_pool_start("mount", n, mount_thread, m, &m->stop, &pool));
    mount_raise_readahead(m->spec->mountpoint);
    if (m->spec->ready)
        m->spec->ready(m->spec->ready_ctx);
    return bdr_pool_join(pool);
}

static struct bdr_err *mount_session(struct mount *m)
{
    char options[160];
    char *argv[] = {(char *)(uintptr_t) "bdr", (char *)(uintptr_t) "-o", options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct bdr_err *err;

    snprintf(options, sizeof(options), "ro,nosuid,nodev,default_permissions,fsname=bdr,subtype=bdr,max_read=%u%s",
             MOUNT_READ_MAX, m->spec->allow_other ? ",allow_other" : "");
    m->se = fuse_session_new(&args, &mount_ops, sizeof(mount_ops), m);
    fuse_opt_free_args(&args);
    if (!m->se)
        BDR_FAIL(BDR_INTERNAL, 0, "libfuse refuses our options");
    if (access("/dev/fuse", F_OK))
        err = bdr_err_new(BDR_UNSUPPORTED, 0, BDR_AT,
                          "this kernel has no FUSE; run 'modprobe fuse' or use an NBD export");
    else if (fuse_session_mount(m->se, m->spec->mountpoint))
        err = bdr_err_new(BDR_DENIED, 0, BDR_AT, "mounting on %s failed; are you root or in the group of fusermount3?",
                          m->spec->mountpoint);
    else
        err = mount_serve(m);
    /* Also when files are still open: the names go at once, later reads of them fail. */
    fuse_session_unmount(m->se);
    fuse_session_destroy(m->se);
    return err;
}

struct bdr_err *bdr_mount_run(const struct bdr_mount_spec *spec, const struct bdr_cancel *cancel)
{
    struct mount m = {.spec = spec, .cancel = cancel, .uid = getuid(), .gid = getgid()};
    BDR_AUTO(mount_tree) struct mount_tree *tree = NULL;
    struct bdr_err *err;

    BDR_TRY(mount_check_folder(spec->mountpoint));
    BDR_TRY(mount_tree_new(spec->repo, spec->cache_bytes ? spec->cache_bytes : MOUNT_CACHE_BYTES,
                           spec->parts_reader, spec->point, &tree));
    BDR_TRY(mount_tree_fill(tree,
                            mount_tree_by_ino(tree, FUSE_ROOT_ID))); /* a repository that can't be listed: say so now */
    m.tree = tree;
    pthread_mutex_init(&m.turn, NULL);
    pthread_mutex_init(&m.lock, NULL);
    err = mount_session(&m);
    pthread_mutex_destroy(&m.lock);
    pthread_mutex_destroy(&m.turn);
    return err;
}
