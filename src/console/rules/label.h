/* SPDX-License-Identifier: Apache-2.0 */
/*
 * label.h - a host's name in repositories: given once, the same for good, whatever the host is called later.
 *
 * Threads: any, as db.h says.
 */
#pragma once
#include "db/statements.h"

#define BDR_LABEL_CHARS 128 /* with the terminator */

/* `name` without what is awkward in paths and commands, at most `max` bytes of it and whole characters; "host" when
 * nothing is left. */
void bdr_label_of(const char *name, size_t max, char out[BDR_LABEL_CHARS]);
/*
 * The host's label, within LOCK; made now if it has none: its name, or name-id when another host has that.
 *
 * Errors:  NOTFOUND no such host; BUSY another host took the name meanwhile (bdr_db_run runs the transaction again).
 */
bdr_ret bdr_host_label(struct bdr_tx *tx, int64_t host_id, char out[BDR_LABEL_CHARS]);
