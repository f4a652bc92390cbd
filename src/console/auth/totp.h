/* SPDX-License-Identifier: Apache-2.0 */
/*
 * totp.h - codes of an authenticator app, and the recovery codes for the day it is lost.
 *
 * Source:  RFC 4226, RFC 6238; SHA-1, 30 s and 6 digits because that is what every app does without being asked.
 * Threads: any.
 */
#pragma once
#include "secret.h"

#define BDR_TOTP_SECRET_BYTES   20
#define BDR_TOTP_STEP_MS        30000
#define BDR_RECOVERY_CODES      10
#define BDR_RECOVERY_CODE_CHARS 20 /* "abcd-efgh-jkmn-pqrs" and the terminator */

bdr_ret bdr_totp_new(struct bdr_secret *out);
/* The code of one time step (Unix time / 30 s) with 6 to 8 digits. */
bdr_ret bdr_totp_code(const struct bdr_secret *secret, int64_t step, unsigned digits, char out[9]);
/*
 * Compares with the steps around `now_ms`, one to each side for clocks that differ.
 *
 * Shape:   *out_step is the step that fits and is later than `used_step`, else 0: wrong, or used before.
 */
bdr_ret bdr_totp_check(const struct bdr_secret *secret, const char *code, int64_t now_ms, int64_t used_step,
                       int64_t *out_step);
/* "otpauth://totp/OpenBDR:alice?secret=...", for a QR code; itself a secret. */
bdr_ret bdr_totp_uri(const struct bdr_secret *secret, const char *issuer, const char *name, struct bdr_secret *out);

bdr_ret bdr_recovery_code_new(char out[BDR_RECOVERY_CODE_CHARS]);
/* What is stored of a code. As typed: upper case and missing dashes are fine. False when it is no code at all. */
bool bdr_recovery_code_hash(const char *code, uint8_t out[32]);
