/* SPDX-License-Identifier: Apache-2.0 */
/*
 * password.h - people's passwords as Argon2id hashes, with their parameters in the text.
 *
 * Threads: any; at most BDR_PASSWORD_AT_ONCE hashes are made at a time, others wait, so that a flood of logins costs
 * waiting and not the console's memory.
 */
#pragma once
#include "secret.h"

#define BDR_PASSWORD_CHARS     128
#define BDR_PASSWORD_AT_ONCE   2
#define BDR_PASSWORD_MIN_BYTES 10
#define BDR_PASSWORD_MAX_BYTES 1024

/* INVAL, with a sentence for the person, when it is too short, too long, or as good as the name. */
bdr_ret bdr_password_fits(const char *name, const struct bdr_secret *password);
/* "$argon2id$v=19$m=..,t=..,p=..$salt$hash" */
bdr_ret bdr_password_hash(const struct bdr_secret *password, char out[BDR_PASSWORD_CHARS]);
/*
 * Shape:   hash NULL compares with nothing, as long as it would take for a hash: an unknown name answers as slowly.
 *          *out_old, may be NULL: right, but made with older parameters; make a new hash.
 * Errors:  CORRUPT `hash` is none.
 */
bdr_ret bdr_password_check(const char *hash, const struct bdr_secret *password, bool *out_ok, bool *out_old);
/* How many hashes were made since the start, right or wrong: what logins cost. */
uint64_t bdr_password_runs(void);
