/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_link.h - one kept TLS connection with a client certificate, and one descriptor: ten thousand fit one process.
 *
 * Lifecycle: open -> call* -> close. A call opens the connection again when the server has closed it.
 * Threads: a link belongs to one at a time; the site to all.
 */
#pragma once
#include "bdr/err.h"

/* What all links have in common. */
struct link_site {
    const char *address; /* of the server: an IP address, which its certificate names */
    uint16_t port;
    const char *ca_file;
    const char *key;  /* PEM, of all client certificates */
    void *ctx, *pkey; /* link_site_open's */
};
bdr_ret link_site_open(struct link_site *s);
void link_site_close(struct link_site *s);

struct link;
/* from: our own address; cert: PEM, borrowed until close. Nothing is connected yet. */
bdr_ret link_open(const struct link_site *s, const char *from, const char *cert, struct link **out);
void link_close(struct link *l);
/* POST of JSON; the answer is read whole and dropped. NET. */
bdr_ret link_post(struct link *l, const char *path, const char *json, int *out_status);
