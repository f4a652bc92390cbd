/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - sockets that listen, made before the program that serves them. Threads: any. */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

#define LISTEN_MAX 4

struct serve_listen {
    int fds[LISTEN_MAX];
    size_t n;
    char *path;    /* owned; a unix socket to remove at the end, or NULL */
    char uri[512]; /* without TLS: "nbd+unix:///?socket=...", "nbd://127.0.0.1:10809/" */
    bool loopback; /* nobody outside this machine can reach it */
};

/*
 * Listens on a path or HOST:PORT. A socket file nobody listens on any more is removed first.
 *
 * Errors:  BUSY somebody listens there; EXISTS the path is something else than a socket; INVAL; NOTFOUND.
 */
bdr_ret serve_listen_open(const char *where, struct serve_listen *out);
/* Closes our copies; with `gone`, also removes the socket file. */
void serve_listen_close(struct serve_listen *l, bool gone);
/* A connection to our own socket: it waits in the queue until the server takes it. */
bdr_ret serve_listen_connect(const struct serve_listen *l, int *out_fd);
/* *out_answers when an NBD server greets on the connection within `ms`; it is then done with politely. */
bdr_ret serve_listen_greet(int fd, uint64_t ms, const struct bdr_cancel *cancel, bool *out_answers);
