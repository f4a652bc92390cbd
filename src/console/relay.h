/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - what one console tells those who listen to it, told by the others on the same database, too.
 *
 * A thread of its own with a connection of its own: it sends what the hub has told, a few times a second, and tells
 * the hub what others sent. Without the connection everybody goes on alone; when it is back, people are told to load
 * anew. A database that is a file has one console and no relay.
 * Depends on: db, hub.      Threads: start and stop from one.
 */
#pragma once
#include "console.h"

struct bdr_relay;
/* *out NULL: there is nobody to relay to. */
bdr_ret bdr_relay_start(struct bdr_console *c, struct bdr_relay **out);
/* NULL is fine. */
void bdr_relay_stop(struct bdr_relay *r);
