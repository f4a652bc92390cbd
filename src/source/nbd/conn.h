/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - one connection to an NBD server, shared by several readers, reconnecting when it broke.
 *
 * Whoever waits for a reply drives the connection for all (one at a time); the others wait for it. A reader that
 * runs out of time breaks the connection: only then is it sure that nothing writes into its buffer any more.
 * Depends on: base, libnbd.      Threads: open and close from one; read and status from any.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"
#include <libnbd.h>
#include <pthread.h>
#include <stdint.h>

/* Borrowed by the connection for its life. */
struct nbd_target {
    const char *uri;
    const char *bitmap;  /* "qemu:dirty-bitmap:NAME", or NULL */
    const char *tls_dir; /* holds ca-cert.pem, client-cert.pem, client-key.pem; or NULL */
    const struct bdr_cancel *cancel;
    uint32_t connect_ms, reply_ms; /* deadlines: of a handshake; without any reply to a reader */
};

/* What the server told when we connected. */
struct nbd_facts {
    uint64_t size_bytes;
    uint32_t min_bytes, max_bytes; /* of a request; powers of two, max at least min */
    bool multi_conn, rotational, allocation, bitmap;
};

struct nbd_conn {
    const struct nbd_target *target;
    struct nbd_facts facts; /* constant after the first connect */
    bool known;             /* facts are there */
    pthread_mutex_t lock;   /* guards all below, and every call on h */
    pthread_cond_t moved;   /* something was received, the driver's seat is free, or the connection broke */
    struct nbd_handle *h;   /* NULL: not connected */
    uint64_t generation;    /* of h: a reader whose generation is over has lost its requests */
    bool driven;            /* somebody polls, outside the lock */
    bool doomed;            /* whoever drives has to close h */
    int wake_fd;            /* eventfd: makes whoever polls look again */
    char why[200];          /* why it broke last */
};

struct nbd_status_entry {
    uint64_t len;
    uint32_t flags;
};
/* The extents of one metadata context from the offset that was asked on. */
struct nbd_status {
    struct nbd_status_entry *at; /* owned */
    size_t n, cap;
    bool failed; /* out of memory */
};

bdr_ret nbd_conn_init(struct nbd_conn *conn, const struct nbd_target *target);
void nbd_conn_close(struct nbd_conn *conn);

/* Connects unless connected. Errors: NET, TIMEOUT, NOTFOUND (export, socket, bitmap), DENIED, AUTH (TLS), INVAL (URI),
 * STALE when the export has another size than before, CANCELLED. */
bdr_ret nbd_conn_connect(struct nbd_conn *conn);
/* Errors: IO from the server; NET, TIMEOUT; else as connect. */
bdr_ret nbd_conn_read(struct nbd_conn *conn, uint64_t off, uint8_t *buf, size_t len);
/* One block status request; both lists are replaced and begin at `off`. */
bdr_ret nbd_conn_status(struct nbd_conn *conn, uint64_t off, uint64_t len, struct nbd_status *alloc,
                        struct nbd_status *dirty);
void nbd_status_free(struct nbd_status *status);

BDR_UNUSED static inline void bdr_auto_nbd_status(struct nbd_status *status)
{
    nbd_status_free(status);
}
