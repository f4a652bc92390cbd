/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revoked.h - serials of certificates that are no longer believed, in memory: handshakes must not wait for a database.
 *
 * The database is what counts (each request asks it); this makes that a revoked machine does not even get through the
 * handshake, and that its open connections are cut. Threads: any.
 */
#pragma once
#include "bdr/ca.h"

struct bdr_revoked;
bdr_ret bdr_revoked_new(struct bdr_revoked **out);
void bdr_revoked_free(struct bdr_revoked *r);
bdr_ret bdr_revoked_add(struct bdr_revoked *r, const char *serial);
/* For struct bdr_http_config.revoked; ctx is the struct bdr_revoked. Never blocks for long. */
bool bdr_revoked_is(void *ctx, const struct bdr_cert_info *peer);

struct bdr_console;
/*
 * Learns from the database what was revoked since the last time, by whichever console: breaks those connections, and
 * tells the gateways that are connected here. A tick; and called at once by whoever revokes, after the commit.
 */
bdr_ret bdr_revoked_learn(struct bdr_console *c, int64_t now_ms);
