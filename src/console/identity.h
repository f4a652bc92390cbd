/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - a console's folder and its database belong together.
 *
 * Machines believe one certificate authority, and what is sealed opens under one key file. Several consoles on one
 * database have the same ones: ca.key, ca.crt and master.key, copied from folder to folder. One that comes with others
 * would let in nobody, and lock away what it seals from the rest; so it is refused before it has made any.
 * Depends on: db, secret.      Threads: one, at the start.
 */
#pragma once
#include "console.h"

/*
 * Before keys are made: the database must not already belong to keys that this folder has not.
 *
 * Errors:  CONFLICT with what to copy from where.
 */
bdr_ret bdr_identity_expect(struct bdr_console *c);
/*
 * With the keys: they are those of the database, which learns the authority's fingerprint the first time. With
 * config.keys_lost they become its own, and secrets that no key of ours opens are forgotten.
 *
 * Errors:  CONFLICT as above.
 */
bdr_ret bdr_identity_check(struct bdr_console *c);
