/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"
#include "bdr/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LISTEN_BACKLOG   64
#define LISTEN_SLICE_MS  50
#define LISTEN_POLITE_MS 500 /* how long to wait for a greeting that we only answer */

void serve_listen_close(struct serve_listen *l, bool gone)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->fds[i] >= 0)
            close(bdr_fd_steal(&l->fds[i]));
    if (gone && l->path) {
        unlink(l->path);
        free(BDR_STEAL(l->path));
    }
}

struct bdr_err *serve_listen_greet(int fd, uint64_t ms, const struct bdr_cancel *cancel, bool *out_answers)
{
    /* doc/proto.md, also before TLS: the server's magic, "IHAVEOPT", flags; our flags, then NBD_OPT_ABORT. */
    static const char bye[20] = "\0\0\0\1"
                                "IHAVEOPT"
                                "\0\0\0\2"
                                "\0\0\0";
    uint64_t end = bdr_clock_mono_ms() + ms, now;
    struct timeval limit = {.tv_sec = 1};
    char got[18] = {0}, answer[20];

    *out_answers = false;
    while ((now = bdr_clock_mono_ms()) < end) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        BDR_TRY(bdr_cancel_check(cancel));
        if (poll(&p, 1, (int)BDR_MIN(end - now, (uint64_t)LISTEN_SLICE_MS)) <= 0)
            continue;
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)))
            BDR_FAIL_ERRNO("preparing a socket");
        *out_answers = recv(fd, got, sizeof(got), MSG_WAITALL) == sizeof(got) && !memcmp(got, "NBDMAGIC", 8);
        if (*out_answers && send(fd, bye, sizeof(bye), MSG_NOSIGNAL) == sizeof(bye))
            (void)!recv(fd, answer, sizeof(answer), MSG_WAITALL); /* what becomes of it does not matter */
        return NULL;
    }
    return NULL;
}

/* A socket file left by a server that was killed refuses connections; one in use accepts or is full. */
static struct bdr_err *listen_clear_stale(const char *path, const struct sockaddr_un *addr)
{
    BDR_AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat st;
    int failed;

    if (fd < 0)
        BDR_FAIL_ERRNO("making a socket");
    if (lstat(path, &st))
        return NULL;
    if (!S_ISSOCK(st.st_mode))
        BDR_FAIL(BDR_EXISTS, 0, "%s exists and is not a socket; choose another path", path);
    failed = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? errno : 0;
    if (!failed) {
        bool answers;

        fcntl(fd, F_SETFL, 0); /* no longer non-blocking */
        bdr_err_drop(serve_listen_greet(fd, LISTEN_POLITE_MS, NULL, &answers), "somebody listens, whatever it says");
    }
    if (!failed || failed == EAGAIN)
        BDR_FAIL(BDR_BUSY, 0, "somebody already serves on %s; stop that or choose another path", path);
    if (failed != ECONNREFUSED)
        BDR_FAIL(bdr_code_of_errno(failed), failed, "looking who listens on %s", path);
    if (unlink(path) && errno != ENOENT)
        BDR_FAIL_ERRNO("removing the stale socket %s", path);
    return NULL;
}

/* RFC 3986: what may stand in a query; '/' and ':' may. */
static void listen_uri_path(const char *path, char *out, size_t n)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:";
    size_t k = (size_t)snprintf(out, n, "nbd+unix:///?socket=");

    for (; *path && k + 4 < n; path++) {
        if (strchr(plain, *path))
            out[k++] = *path;
        else
            k += (size_t)snprintf(out + k, n - k, "%%%02X", (unsigned char)*path);
    }
    out[k] = 0;
}

/* Clients have other working folders. Caller frees. */
static char *listen_absolute(const char *path)
{
    BDR_AUTO(mem) char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
    char *out = NULL;

    while (cwd && !strncmp(path, "./", 2))
        path += 2;
    if (*path == '/')
        return strdup(path);
    return cwd && asprintf(&out, "%s/%s", cwd, path) >= 0 ? out : NULL;
}

static struct bdr_err *listen_unix(const char *path, struct serve_listen *out)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct serve_listen l = {.loopback = true};
    BDR_AUTO(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BDR_AUTO(mem) char *copy = NULL;
    mode_t mask;
    int failed;

    if (fd < 0)
        BDR_FAIL_ERRNO("making a socket");
    if (strlen(path) >= sizeof(addr.sun_path))
        BDR_FAIL(BDR_INVAL, 0, "the socket path %s is longer than %zu characters", path, sizeof(addr.sun_path) - 1);
    memcpy(addr.sun_path, path, strlen(path));
    BDR_TRY(listen_clear_stale(path, &addr));
    copy = listen_absolute(path);
    BDR_NOMEM_IF_NULL(copy);
    mask = umask(0177); /* the owner's alone: whoever connects reads the disk */
    failed = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? errno : 0;
    umask(mask);
    if (failed == EADDRINUSE)
        BDR_FAIL(BDR_BUSY, failed, "somebody was faster to serve on %s", path);
    if (failed || listen(fd, LISTEN_BACKLOG)) {
        failed = failed ? failed : errno;
        BDR_FAIL(bdr_code_of_errno(failed), failed, "listening on %s", path);
    }
    listen_uri_path(copy, l.uri, sizeof(l.uri));
    l.path = BDR_STEAL(copy);
    l.fds[l.n++] = bdr_fd_steal(&fd);
    *out = l;
    return NULL;
}

static bool listen_is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24 == 127;
    return sa->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

static struct bdr_err *listen_one(const struct addrinfo *ai, const char *where, int *out)
{
    BDR_AUTO(fd) int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
    int one = 1;

    if (fd < 0)
        BDR_FAIL_ERRNO("making a socket for %s", where);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))))
        BDR_FAIL_ERRNO("preparing a socket for %s", where);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, LISTEN_BACKLOG)) {
        if (errno == EADDRINUSE)
            BDR_FAIL(BDR_BUSY, EADDRINUSE, "somebody already serves on %s; choose another port", where);
        BDR_FAIL_ERRNO("listening on %s", where);
    }
    *out = bdr_fd_steal(&fd);
    return NULL;
}

static void listen_name(struct serve_listen *l)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (getsockname(l->fds[0], (struct sockaddr *)&sa, &len) ||
        getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return;
    snprintf(l->uri, sizeof(l->uri), strchr(host, ':') ? "nbd://[%.80s]:%.8s/" : "nbd://%.80s:%.8s/", host, port);
}

static struct bdr_err *listen_tcp(const char *where, struct serve_listen *out)
{
    BDR_AUTO(mem) char *host = strdup(where);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list = NULL;
    struct serve_listen l = {.loopback = true};
    struct bdr_err *err = NULL;
    char *port, *name = host;
    int rc;

    BDR_NOMEM_IF_NULL(host);
    port = strrchr(host, ':');
    if (!port || !port[1])
        BDR_FAIL(BDR_INVAL, 0, "'%s' is neither a path nor HOST:PORT, such as 127.0.0.1:10809", where);
    *port++ = 0;
    if (*name == '[' && name[strlen(name) - 1] == ']') {
        name[strlen(name) - 1] = 0;
        name++;
    }
    rc = getaddrinfo(*name ? name : NULL, port, &hints, &list);
    if (rc)
        BDR_FAIL(BDR_NOTFOUND, rc, "%s: %s", where, gai_strerror(rc));
    for (struct addrinfo *ai = list; ai && !err && l.n < LISTEN_MAX; ai = ai->ai_next) {
        err = listen_one(ai, where, &l.fds[l.n]);
        if (!err) {
            l.n++;
            l.loopback = l.loopback && listen_is_loopback(ai->ai_addr);
        }
        if (!strcmp(port, "0"))
            break; /* a second address would get another port */
    }
    freeaddrinfo(list);
    if (err) {
        serve_listen_close(&l, true);
        return err;
    }
    listen_name(&l);
    *out = l;
    return NULL;
}

struct bdr_err *serve_listen_open(const char *where, struct serve_listen *out)
{
    return strchr(where, '/') ? listen_unix(where, out) : listen_tcp(where, out);
}

struct bdr_err *serve_listen_connect(const struct serve_listen *l, int *out_fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    BDR_AUTO(fd) int fd = -1;

    if (getsockname(l->fds[0], (struct sockaddr *)&sa, &len))
        BDR_FAIL_ERRNO("looking at our own socket");
    fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The kernel completes it: we listen ourselves, so there is no waiting. */
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, len))
        BDR_FAIL_ERRNO("connecting to our own socket");
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}
