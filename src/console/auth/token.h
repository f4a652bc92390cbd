/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.h - the text of tokens: API tokens, session cookies, enrolment tokens.
 *
 * A word that says what it is, 190 random bits, a checksum that tells a typo from a stranger without a look into the
 * database. What is stored is the SHA-256.
 * Format:  docs/formats/token.md.      Threads: any.
 */
#pragma once
#include "bdr/err.h"

enum bdr_token_kind { BDR_TOKEN_API, BDR_TOKEN_SESSION, BDR_TOKEN_ENROL };
#define BDR_TOKEN_CHARS 44 /* "bdra_", 32 random, 6 of checksum, the terminator */
#define BDR_TOKEN_HINT  10 /* "bdra_" and the first four, to recognise it; the terminator */

bdr_ret bdr_token_new(enum bdr_token_kind kind, char out[BDR_TOKEN_CHARS]);
/* False when `text` is no token of that kind: wrong word, length, letter or checksum. */
bool bdr_token_fits(enum bdr_token_kind kind, const char *text, size_t len);
/* What is stored and looked up. False as bdr_token_fits. */
bool bdr_token_hash(enum bdr_token_kind kind, const char *text, uint8_t out[32]);
void bdr_token_hint(const char *text, char out[BDR_TOKEN_HINT]);

/*
 * Scopes: words with single blanks between: "hosts:read", "hosts:*", "*", "*:read".
 *
 * bdr_scopes_check: INVAL naming the word that is none. bdr_scopes_allow: whether `scopes` hold `area`:`verb`.
 */
bdr_ret bdr_scopes_check(const char *scopes);
bool bdr_scopes_allow(const char *scopes, const char *area, const char *verb);
