/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - browsers in which somebody has logged in before.
 *
 * Whoever knows a name can try passwords until the account is locked, again and again, and so keep its owner out. A
 * browser that comes with this cookie is not counted with those strangers and not kept out by their lock; it has a
 * bucket of its own. It proves no more than that: the password and the second step are asked for as ever.
 * The cookie is sealed for the account under the master key, and ends with the password it was made under.
 * Threads: any.
 */
#pragma once
#include "auth/limit.h"
#include "secret.h"

#define BDR_DEVICE_DAYS  180
#define BDR_DEVICE_CHARS 129 /* of the cookie, with the terminator */
#define BDR_DEVICE_ID    17

/* Ten tries, then one a minute: with a stolen cookie somebody guesses no faster than against the lock. */
extern const struct bdr_rate_rule bdr_device_rule;

/* `password`: the account's hash. */
bdr_ret bdr_device_new(const struct bdr_keyring *ring, int64_t account_id, const char *password, int64_t now_ms,
                       char out[BDR_DEVICE_CHARS]);
/* Was it made for this account, with this password, not too long ago? *out_id names it in buckets. */
bool bdr_device_ok(const struct bdr_keyring *ring, int64_t account_id, const char *password, const char *cookie,
                   int64_t now_ms, char out_id[BDR_DEVICE_ID]);
