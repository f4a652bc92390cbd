/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.h - who changed what, from where: one chain of rows that cannot be edited without it showing.
 *
 * A row's hash is an HMAC over the row and the hash before it, under a key that is sealed in the database: who can
 * write the tables but does not hold the master key cannot make a chain that fits. Rows cut off at the end show when
 * the newest (seq, hash) was also told elsewhere, which is why bdr_audit_head exists. Threads: any, as db.h says.
 */
#pragma once
#include "secret.h"

/* Borrowed. */
struct bdr_audit {
    int64_t at_ms;
    const char *actor;      /* account or machine */
    const char *actor_kind; /* account, token, machine, console */
    const char *addr;       /* "" for the console itself */
    const char *action;     /* "platform.update" */
    const char *object, *object_id;
    const char *before, *after; /* JSON without secrets; NULL: was not there, is not there */
};

/*
 * Adds a row within the transaction of the change it tells of: both are kept, or neither.
 *
 * Errors:  BUSY another appender was quicker; bdr_db_run runs the transaction again.
 */
bdr_ret bdr_audit_add(struct bdr_tx *tx, const struct bdr_keyring *ring, const struct bdr_audit *a);

struct bdr_audit_head {
    int64_t seq; /* 0: empty */
    uint8_t hash[32];
};
bdr_ret bdr_audit_head(struct bdr_tx *tx, struct bdr_audit_head *out);
/*
 * Checks every row. `known`, may be NULL, is a head that was told elsewhere: it has to be in the chain.
 *
 * Errors:  CORRUPT naming the first row that does not fit.
 */
bdr_ret bdr_audit_verify(struct bdr_tx *tx, const struct bdr_keyring *ring, const struct bdr_audit_head *known,
                         struct bdr_audit_head *out);
