/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twice.h - the objects without which nothing else can be read are kept twice: config and keys.
 *
 * Which copy counts when: docs/formats/repository.md section 3. Threads: any; heal one at a time per repository handle.
 */
#pragma once
#include "repo_i.h"

/*
 * Reads config ("config") or a key ("keys/<id>"): the first copy if it is whole, else the second. *out_second: the
 * second. repo_id, out_repo_id: as of bdr_envelope_json. Errors: the first copy's, when the second does not help.
 */
bdr_ret bdr_twice_get(struct bdr_store *store, enum bdr_envelope_kind kind, const uint8_t repo_id[16], const char *key,
                      uint8_t out_repo_id[16], json_t **out, bool *out_second);
/* The first copy decides what is returned; a second that can't be written is logged, and the next writer's business. */
bdr_ret bdr_twice_put(struct bdr_store *store, const char *key, const void *raw, size_t len, int flags);
/* Names "keys/<id>" of the keys that count, as a JSON array of strings. *out_second: all first copies are gone. */
bdr_ret bdr_twice_keys(struct bdr_store *store, json_t **out, bool *out_second);
/* Removes both copies of a key, under the lock. BUSY: somebody else changes keys. */
bdr_ret bdr_twice_remove_key(struct bdr_repo *r, const char *key);

/* Tells everything that is not as it should be; `on_bad` takes the error. `can_heal`: one copy is whole. */
typedef struct bdr_err *(*bdr_twice_bad)(void *ctx, const char *key, bool can_heal, struct bdr_err *err);
bdr_ret bdr_twice_check(struct bdr_repo *r, bdr_twice_bad on_bad, void *ctx);
/* Whether the line "KEY: why" is of an object that bdr_twice_check tells of. */
bool bdr_twice_is(const char *line);
/* Makes two good copies of each. BUSY: somebody else changes keys. */
bdr_ret bdr_twice_heal(struct bdr_repo *r, const char *session, uint64_t *out_healed);
/* *out: all that can be noticed without reading the keys is as it should be, and nothing is missing. */
bdr_ret bdr_twice_fine(struct bdr_repo *r, bool *out);
/* What a writer does at its beginning: makes what is missing, heals what can be noticed cheaply. Failing that is
 * logged. */
void bdr_twice_tend(struct bdr_repo *r, const char *session);
