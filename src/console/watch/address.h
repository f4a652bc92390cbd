/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.h - where the console may send what it has to tell: not everywhere that it can reach.
 *
 * Whoever may make a channel chooses where the console connects to. An address of its own link is no receiver but, in
 * a cloud, where machines get their credentials. Its own loopback has to be named as such: a name of somebody else's
 * that leads there was made for that.
 * Depends on: base.      Threads: any.
 * Source:  docs/console/notifications.md#where
 */
#pragma once
#include "bdr/attr.h"
#include <stdbool.h>
#include <sys/socket.h>

/* NULL: it may. Else what kind of address it is, for people. `host`: as somebody wrote it, with or without brackets. */
const char *bdr_address_refused(const struct sockaddr *to, const char *host);
/* The same of a host that is an address in figures; NULL for names: those are looked at when they are used. */
const char *bdr_host_refused(const char *host);
