/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conns.h - a few connections to one writable NBD export, used by many threads.
 *
 * Lifecycle: new -> add (the first tells size and limits) -> (write | zero | read | flush)* -> free.
 * Depends on: libnbd 1.14.      Threads: all calls but new, add and free from any thread.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct nbd_handle;
struct nbd_conns;

#define NBD_CONNS_MAX 4

struct nbd_conns_info {
    uint64_t size_bytes;
    uint32_t min_bytes; /* smallest aligned write */
    bool multi;         /* several connections see each other's flushes */
    bool knows_zeros;   /* nbd_conns_blank is certain */
};

/* `name` is for messages; `cancel` is borrowed for the life of the object. */
bdr_ret nbd_conns_new(const char *name, const struct bdr_cancel *cancel, struct nbd_conns **out);
/* A handle with what all need (block status, no strictness about sizes); to be connected, then added. */
bdr_ret nbd_conns_handle(struct nbd_handle **out);
/* Takes over the connected handle, also on error. READONLY when the export can't be written. */
bdr_ret nbd_conns_add(struct nbd_conns *c, struct nbd_handle *h);
/* Polite good-bye, then closes. NULL is fine. */
void nbd_conns_free(struct nbd_conns *c);
const struct nbd_conns_info *nbd_conns_info(const struct nbd_conns *c);

bdr_ret nbd_conns_write(struct nbd_conns *c, uint64_t off, const void *buf, size_t len);
/* UNSUPPORTED when the server has no such command. */
bdr_ret nbd_conns_zero(struct nbd_conns *c, uint64_t off, uint64_t len);
bdr_ret nbd_conns_read(struct nbd_conns *c, uint64_t off, void *buf, size_t len);
bdr_ret nbd_conns_flush(struct nbd_conns *c);
/*
 * Whether the export holds nothing but zeros. Without block status only its first and last MiB are looked at;
 * info.knows_zeros tells which it was.
 */
bdr_ret nbd_conns_blank(struct nbd_conns *c, bool *out);

/* The error that libnbd remembers for this thread. */
bdr_ret nbd_conns_err(const char *name, const char *what);

BDR_AUTO_DEFINE(nbd_conns, struct nbd_conns *, nbd_conns_free)
