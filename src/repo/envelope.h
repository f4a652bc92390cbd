/* SPDX-License-Identifier: Apache-2.0 */
/* envelope.h - the frame of every small object. Format: docs/formats/repository.md section 2. Threads: any. */
#pragma once
#include "bdr/bytes.h"
#include "bdr/jsonset.h"
#include "crypto.h"
#include <jansson.h>

enum bdr_envelope_kind {
    BDR_ENV_CONFIG = 1,
    BDR_ENV_KEY,
    BDR_ENV_POINT,
    BDR_ENV_SESSION,
    BDR_ENV_CONDEMNED,
    BDR_ENV_LEASE,
    BDR_ENV_LOCK,
};
#define BDR_ENV_HEADER_BYTES 104
#define BDR_ENV_MAX_BYTES (16u << 20)

/* `key` NULL: not sealed. */
bdr_ret bdr_envelope_make(enum bdr_envelope_kind kind, const uint8_t repo_id[16], const struct bdr_secret *key,
                          const void *payload, size_t len, struct bdr_buf *out);
/*
 * Checks and opens raw[len]; *out (caller frees, NUL behind) is the payload. repo_id NULL: any (reading config), and
 * out_repo_id, when not NULL, gets it. With `key` the envelope must be sealed, without it must not be.
 * Errors: CORRUPT, VERSION, INVAL (not ours at all: the magic is another).
 */
bdr_ret bdr_envelope_open(enum bdr_envelope_kind kind, const uint8_t repo_id[16], const struct bdr_secret *key,
                          const void *raw, size_t len, uint8_t out_repo_id[16], uint8_t **out, size_t *out_len);
/* Of an envelope that was refused with VERSION: all of it fits but the version, so a newer program made it indeed. */
bool bdr_envelope_is_newer(const uint8_t *raw, size_t len);
/* The same for a JSON object; *out is a new reference. */
bdr_ret bdr_envelope_json(enum bdr_envelope_kind kind, const uint8_t repo_id[16], const struct bdr_secret *key,
                          const void *raw, size_t len, uint8_t out_repo_id[16], json_t **out);
bdr_ret bdr_envelope_make_json(enum bdr_envelope_kind kind, const uint8_t repo_id[16], const struct bdr_secret *key,
                               const json_t *json, struct bdr_buf *out);
