/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"
#include "bdr/clock.h"
#include "bdr/sync.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define CONN_GOODBYE_MS 500u
#define CONN_SLICE_MS   50 /* how late a cancelled token may be seen */
/* Of one reader. 64 KiB to 1 MiB and 1 to 8 made no difference locally: docs/drivers/source.md#measured. */
#define CONN_SEG_BYTES ((uint32_t)256 << 10)
#define CONN_WINDOW    4u
/* Source: NBD proto.md, "Block size constraints": what a client may assume when the server says nothing. */
#define CONN_DEFAULT_MAX_BYTES ((uint32_t)32 << 20)

/* One request in flight; lives on the stack of the reader that waits for it. */
struct conn_req {
    bool used, done;
    int error;
    uint64_t off;
    size_t len;
};

void nbd_status_free(struct nbd_status *status)
{
    free(status->at);
    *status = (struct nbd_status){0};
}

struct bdr_err *nbd_conn_init(struct nbd_conn *conn, const struct nbd_target *target)
{
    *conn = (struct nbd_conn){.target = target};
    conn->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (conn->wake_fd < 0)
        BDR_FAIL_ERRNO("making an event descriptor");
    pthread_mutex_init(&conn->lock, NULL);
    pthread_cond_init(&conn->moved, NULL);
    return NULL;
}

/* libnbd's last error on this thread as one line. */
static const char *conn_text(char *buf, size_t n)
{
    const char *text = nbd_get_error();

    snprintf(buf, n, "%s", text ? text : "the server hung up");
    for (char *p = buf; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    return buf;
}

/* What a failed handshake means. Source: nbd_connect_uri(3), and what 1.14 was seen to return. */
static struct bdr_err *conn_refused(const struct nbd_target *t)
{
    int err = nbd_get_errno();
    enum bdr_code code = BDR_NET;
    const char *hint = "";
    char text[256];

    conn_text(text, sizeof(text));
    if (err == ENOENT)
        code = BDR_NOTFOUND;
    else if (err == EINVAL)
        code = BDR_INVAL;
    else if (err == EACCES || err == EPERM)
        code = BDR_DENIED;
    else if (err == ETIMEDOUT)
        code = BDR_TIMEOUT;
    else if (err == ENOMEM)
        code = BDR_NOMEM;
    if (strstr(text, "TLS") || strstr(text, "gnutls") || strstr(text, "ertificate")) {
        if (code == BDR_NET || code == BDR_DENIED || code == BDR_INVAL)
            code = BDR_AUTH;
        hint = t->tls_dir ? "; check the TLS files" : "; a server that wants TLS needs nbds:// and its CA certificate";
    }
    BDR_FAIL(code, 0, "connecting to %s: %s%s", t->uri, text, hint);
}

/* One look at the socket, at most CONN_SLICE_MS long. -1 when the connection is dead. */
static int conn_poll(struct nbd_handle *h, int wake_fd, pthread_mutex_t *lock)
{
    unsigned dir = nbd_aio_get_direction(h);
    struct pollfd fds[2] = {
        {.fd = nbd_aio_get_fd(h),
         .events = (short)((dir & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                           (dir & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0))},
        {.fd = wake_fd, .events = POLLIN},
    };
    uint64_t drain;
    int n, rc = 0;

    if (lock)
        pthread_mutex_unlock(lock);
    n = poll(fds, wake_fd >= 0 ? 2 : 1, CONN_SLICE_MS);
    if (lock)
        pthread_mutex_lock(lock);
    if (n <= 0)
        return 0;
    if (wake_fd >= 0 && fds[1].revents && read(wake_fd, &drain, sizeof(drain)) < 0 && errno != EAGAIN)
        return -1;
    dir = nbd_aio_get_direction(h); /* other threads may have sent meanwhile */
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR) && dir & LIBNBD_AIO_DIRECTION_READ)
        rc = nbd_aio_notify_read(h);
    else if (fds[0].revents & (POLLOUT | POLLHUP | POLLERR) && dir & LIBNBD_AIO_DIRECTION_WRITE)
        rc = nbd_aio_notify_write(h);
    return rc;
}

static bool conn_gone(struct nbd_handle *h)
{
    return nbd_aio_is_dead(h) == 1 || nbd_aio_is_closed(h) == 1;
}

/* With the lock held and nobody driving: no request of this handle is in flight afterwards. */
static void conn_drop(struct nbd_conn *conn)
{
    nbd_close(conn->h);
    conn->h = NULL;
    conn->doomed = false;
    pthread_cond_broadcast(&conn->moved);
}

static void conn_wake(struct nbd_conn *conn)
{
    uint64_t one = 1;

    if (write(conn->wake_fd, &one, sizeof(one)) < 0)
        return; /* EAGAIN: it is awake already */
}

/* Gives the connection up, now or as soon as whoever polls has come back. */
static void conn_doom(struct nbd_conn *conn, const char *why)
{
    if (!conn->doomed)
        snprintf(conn->why, sizeof(conn->why), "%s", why);
    conn->doomed = true;
    if (conn->driven)
        conn_wake(conn);
    else
        conn_drop(conn);
}

/* Says goodbye, but not for long: the server may be what is broken. */
void nbd_conn_close(struct nbd_conn *conn)
{
    uint64_t end = bdr_clock_mono_ms() + CONN_GOODBYE_MS;

    if (!conn->target)
        return;
    if (conn->h) {
        if (nbd_aio_is_ready(conn->h) == 1 && !nbd_aio_disconnect(conn->h, 0))
            while (!conn_gone(conn->h) && bdr_clock_mono_ms() < end)
                if (conn_poll(conn->h, -1, NULL))
                    break;
        nbd_close(conn->h);
    }
    pthread_cond_destroy(&conn->moved);
    pthread_mutex_destroy(&conn->lock);
    close(conn->wake_fd);
    *conn = (struct nbd_conn){0};
}

static struct bdr_err *conn_prepare(const struct nbd_target *t, struct nbd_handle *h)
{
    if (nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) || (t->bitmap && nbd_add_meta_context(h, t->bitmap)) ||
        nbd_set_pread_initialize(h, false) || (t->tls_dir && nbd_set_tls_certificates(h, t->tls_dir)))
        return conn_refused(t);
    return NULL;
}

static uint32_t conn_block_size(struct nbd_handle *h, int which, uint32_t otherwise)
{
    int64_t v = nbd_get_block_size(h, which);

    return v > 0 && v <= CONN_DEFAULT_MAX_BYTES ? (uint32_t)v : otherwise;
}

static struct bdr_err *conn_learn(const struct nbd_target *t, struct nbd_handle *h, struct nbd_facts *out)
{
    int64_t size = nbd_get_size(h);

    if (size < 0)
        return conn_refused(t);
    *out = (struct nbd_facts){
        .size_bytes = (uint64_t)size,
        .min_bytes = conn_block_size(h, LIBNBD_SIZE_MINIMUM, 1),
        .max_bytes = conn_block_size(h, LIBNBD_SIZE_MAXIMUM, CONN_DEFAULT_MAX_BYTES),
        .multi_conn = nbd_can_multi_conn(h) == 1,
        .rotational = nbd_is_rotational(h) == 1,
        .allocation = nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1,
        .bitmap = t->bitmap && nbd_can_meta_context(h, t->bitmap) == 1,
    };
    if (t->bitmap && !out->bitmap)
        BDR_FAIL(BDR_NOTFOUND, 0, "%s has no %s; name a bitmap that the server exports (qemu-nbd -B NAME)", t->uri,
                 t->bitmap);
    return NULL;
}

/* Connects without the lock: nobody else sees `h` yet. */
static struct bdr_err *conn_handshake(const struct nbd_target *t, struct nbd_handle *h, struct nbd_facts *out)
{
    uint64_t end = bdr_clock_mono_ms() + t->connect_ms;

    BDR_TRY(conn_prepare(t, h));
    if (nbd_aio_connect_uri(h, t->uri))
        return conn_refused(t);
    while (nbd_aio_is_connecting(h) == 1) {
        BDR_TRY(bdr_cancel_check(t->cancel));
        if (bdr_clock_mono_ms() > end)
            BDR_FAIL(BDR_TIMEOUT, 0, "connecting to %s: no answer for %u ms", t->uri, t->connect_ms);
        if (conn_poll(h, -1, NULL))
            return conn_refused(t);
    }
    if (nbd_aio_is_ready(h) != 1)
        return conn_refused(t);
    return conn_learn(t, h, out);
}

static struct bdr_err *conn_check_facts(struct nbd_conn *conn, const struct nbd_facts *now)
{
    if (!conn->known) {
        conn->facts = *now;
        conn->known = true;
    }
    if (now->size_bytes != conn->facts.size_bytes || now->min_bytes > conn->facts.min_bytes)
        BDR_FAIL(BDR_STALE, 0, "%s is another disk since it came back (%llu bytes, %llu before)", conn->target->uri,
                 (unsigned long long)now->size_bytes, (unsigned long long)conn->facts.size_bytes);
    return NULL;
}

/* With the lock held; comes back with it held and h set, or an error. */
static struct bdr_err *conn_ready(struct nbd_conn *conn)
{
    struct nbd_facts facts = {0};
    struct nbd_handle *h;
    struct bdr_err *err;

    while (conn->driven && (!conn->h || conn->doomed)) { /* somebody connects, or has to let go */
        BDR_TRY(bdr_cancel_check(conn->target->cancel));
        bdr_cond_wait_slice(&conn->moved, &conn->lock);
    }
    if (conn->h)
        return NULL;
    h = nbd_create();
    if (!h)
        BDR_FAIL(BDR_NOMEM, 0, "making an NBD handle");
    conn->driven = true;
    pthread_mutex_unlock(&conn->lock);
    err = conn_handshake(conn->target, h, &facts);
    pthread_mutex_lock(&conn->lock);
    conn->driven = false;
    if (!err)
        err = conn_check_facts(conn, &facts);
    if (err) {
        nbd_close(h);
    } else {
        conn->h = h;
        conn->generation++;
    }
    pthread_cond_broadcast(&conn->moved);
    return err;
}

struct bdr_err *nbd_conn_connect(struct nbd_conn *conn)
{
    struct bdr_err *err;

    pthread_mutex_lock(&conn->lock);
    err = conn_ready(conn);
    pthread_mutex_unlock(&conn->lock);
    return err;
}

static struct bdr_err *conn_lost(const struct nbd_conn *conn)
{
    BDR_FAIL(BDR_NET, 0, "the connection to %s broke: %s", conn->target->uri, conn->why);
}

/* With the lock held: waits for something to move. An error means that the requests of `generation` are over. */
static struct bdr_err *conn_step(struct nbd_conn *conn, uint64_t generation, uint64_t deadline_ms)
{
    const char *late = "no reply";
    struct bdr_err *err = NULL;
    char text[200];

    err = bdr_cancel_check(conn->target->cancel);
    if (!err && bdr_clock_mono_ms() > deadline_ms)
        err = bdr_err_new(BDR_TIMEOUT, 0, BDR_AT, "%s did not answer for %u ms", conn->target->uri,
                          conn->target->reply_ms);
    if (err) {
        conn_doom(conn, err->code == BDR_CANCELLED ? "cancelled" : late);
        while (conn->h && conn->generation == generation)
            bdr_cond_wait_slice(&conn->moved, &conn->lock);
        return err;
    }
    if (conn->driven) {
        bdr_cond_wait_slice(&conn->moved, &conn->lock);
    } else {
        int rc;

        conn->driven = true;
        rc = conn_poll(conn->h, conn->wake_fd, &conn->lock);
        conn->driven = false;
        if (conn->doomed)
            conn_drop(conn);
        else if (rc || conn_gone(conn->h))
            conn_doom(conn, rc ? conn_text(text, sizeof(text)) : "the server hung up");
        else
            pthread_cond_broadcast(&conn->moved);
    }
    return conn->h && conn->generation == generation ? NULL : conn_lost(conn);
}

/* What the server's error of one request means. */
static struct bdr_err *conn_server_error(const struct nbd_conn *conn, int err, uint64_t off, size_t len)
{
    enum bdr_code code = bdr_code_of_errno(err);

    if (err == ESHUTDOWN || err == ENOTCONN)
        code = BDR_NET;
    else if (code != BDR_NET && code != BDR_DENIED && code != BDR_TIMEOUT)
        code = BDR_IO;
    BDR_FAIL(code, err, "the server failed %zu bytes at %llu of %s", len, (unsigned long long)off, conn->target->uri);
}

static int conn_completed(void *user_data, int *error)
{
    struct conn_req *req = user_data;

    req->done = true;
    req->error = *error;
    return 1; /* retire the command here: nobody will ask for it */
}

static struct bdr_err *conn_sent(struct nbd_conn *conn, int64_t rc)
{
    char text[200];

    if (rc < 0) {
        struct bdr_err *err =
            bdr_err_new(BDR_NET, 0, BDR_AT, "sending to %s: %s", conn->target->uri, conn_text(text, sizeof(text)));

        conn_doom(conn, text);
        return err;
    }
    if (conn->driven && nbd_aio_get_direction(conn->h) & LIBNBD_AIO_DIRECTION_WRITE)
        conn_wake(conn); /* the socket is full: whoever polls must wait for room, too */
    return NULL;
}

/* With the lock held and connected. Returns only when no request of this reader is in flight. */
static struct bdr_err *conn_read_locked(struct nbd_conn *conn, uint64_t off, uint8_t *buf, size_t len)
{
    uint64_t generation = conn->generation, deadline = bdr_clock_mono_ms() + conn->target->reply_ms;
    size_t seg = BDR_MIN(CONN_SEG_BYTES, conn->facts.max_bytes);
    struct conn_req reqs[CONN_WINDOW] = {0};
    struct bdr_err *err = NULL;
    unsigned flying = 0;

    while ((len && !err) || flying) {
        struct bdr_err *broke;

        for (unsigned i = 0; i < CONN_WINDOW && len && !err; i++) {
            struct conn_req *req = &reqs[i];
            nbd_completion_callback done = {.callback = conn_completed, .user_data = req};

            if (req->used)
                continue;
            *req = (struct conn_req){.used = true, .off = off, .len = BDR_MIN(len, seg)};
            err = conn_sent(conn, nbd_aio_pread(conn->h, buf, req->len, off, done, 0));
            if (err) {
                req->used = false;
                break;
            }
            flying++;
            buf += req->len;
            off += req->len;
            len -= req->len;
        }
        if (!flying)
            break;
        if (!conn->h || conn->generation != generation)
            return bdr_err_first(err, conn_lost(conn));
        broke = conn_step(conn, generation, deadline);
        for (unsigned i = 0; i < CONN_WINDOW; i++) {
            struct conn_req *req = &reqs[i];

            if (!req->used || !req->done)
                continue;
            if (req->error) /* also ENOTCONN, which libnbd gives to all when the connection dies */
                err = bdr_err_first(err, conn_server_error(conn, req->error, req->off, req->len));
            req->used = false;
            flying--;
            deadline = bdr_clock_mono_ms() + conn->target->reply_ms;
        }
        if (broke && (flying || len || err))
            return bdr_err_first(broke, err);
        bdr_err_drop(broke, "it broke after all that we asked for had come");
    }
    return err;
}

struct bdr_err *nbd_conn_read(struct nbd_conn *conn, uint64_t off, uint8_t *buf, size_t len)
{
    struct bdr_err *err;

    pthread_mutex_lock(&conn->lock);
    err = conn_ready(conn);
    if (!err)
        err = conn_read_locked(conn, off, buf, len);
    pthread_mutex_unlock(&conn->lock);
    return err;
}

struct conn_status {
    struct nbd_status *alloc, *dirty;
    uint64_t off;
};

/* Source: nbd_block_status(3): entries come in pairs of length and flags, from `offset` on. */
static int conn_status_entries(void *user_data, const char *context, uint64_t offset, uint32_t *entries, size_t n,
                               int *error)
{
    struct conn_status *s = user_data;
    struct nbd_status *to = strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) ? s->dirty : s->alloc;

    (void)error;
    if (offset != s->off)
        return 0;
    to->n = 0; /* the last reply counts */
    if (to->cap < n / 2) {
        struct nbd_status_entry *at = realloc(to->at, n / 2 * sizeof(*at));

        if (!at) {
            to->failed = true;
            return 0;
        }
        to->at = at;
        to->cap = n / 2;
    }
    for (size_t i = 0; i + 1 < n; i += 2)
        to->at[to->n++] = (struct nbd_status_entry){.len = entries[i], .flags = entries[i + 1]};
    return 0;
}

static struct bdr_err *conn_status_locked(struct nbd_conn *conn, uint64_t off, uint64_t len, struct nbd_status *alloc,
                                          struct nbd_status *dirty)
{
    uint64_t generation = conn->generation, deadline = bdr_clock_mono_ms() + conn->target->reply_ms;
    struct conn_status status = {.alloc = alloc, .dirty = dirty, .off = off};
    struct conn_req req = {0};

    alloc->n = dirty->n = 0;
    BDR_TRY(conn_sent(
        conn, nbd_aio_block_status(conn->h, len, off,
                                   (nbd_extent_callback){.callback = conn_status_entries, .user_data = &status},
                                   (nbd_completion_callback){.callback = conn_completed, .user_data = &req}, 0)));
    while (!req.done) {
        struct bdr_err *broke = conn_step(conn, generation, deadline);

        if (broke && !req.done)
            return broke;
        bdr_err_drop(broke, "it broke after the reply had come");
    }
    if (req.error)
        return conn_server_error(conn, req.error, off, len);
    if (alloc->failed || dirty->failed)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    return NULL;
}

struct bdr_err *nbd_conn_status(struct nbd_conn *conn, uint64_t off, uint64_t len, struct nbd_status *alloc,
                                struct nbd_status *dirty)
{
    struct bdr_err *err;

    pthread_mutex_lock(&conn->lock);
    err = conn_ready(conn);
    if (!err)
        err = conn_status_locked(conn, off, len, alloc, dirty);
    pthread_mutex_unlock(&conn->lock);
    return err;
}
