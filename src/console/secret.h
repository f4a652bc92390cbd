/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret.h - secrets in memory, and sealed in the database under the console's master key.
 *
 * A sealed blob opens only where it was put: table, row and field are part of what is authenticated.
 * Format:  docs/formats/sealed.md.      Threads: a keyring any; the rest one at a time.
 */
#pragma once
#include "bdr/bytes.h"
#include "db/db.h"

/* Bytes nobody else should see; wiped when freed, and nothing formats them. A zero byte follows. */
struct bdr_secret {
    uint8_t *data; /* owned; NULL: none */
    size_t len;
};
bdr_ret bdr_secret_set(struct bdr_secret *s, const void *data, size_t len);
void bdr_secret_free(struct bdr_secret *s);
BDR_UNUSED static inline void bdr_auto_secret(struct bdr_secret *s)
{
    bdr_secret_free(s);
}

/* The master keys of a console: one that seals, and older ones that still open. */
struct bdr_keyring;
#define BDR_KEY_ID_CHARS 17 /* 16 hex digits and the terminator */

/*
 * Reads the key file, and makes it (0600, synced) when it is not there yet.
 *
 * Errors:  DENIED others may read the file; CORRUPT it is no key file, or a line was mistyped.
 */
bdr_ret bdr_keyring_open(const char *path, struct bdr_keyring **out);
/* Puts a new key in front of the file at `path` and in the keyring; bdr_secret_reseal then moves what is sealed. */
bdr_ret bdr_keyring_rotate(const char *path, struct bdr_keyring *ring);
void bdr_keyring_free(struct bdr_keyring *ring);
const char *bdr_keyring_current(const struct bdr_keyring *ring);
/* Does one of its keys have this id? */
bool bdr_keyring_has(const struct bdr_keyring *ring, const char *id);
BDR_AUTO_DEFINE(keyring, struct bdr_keyring *, bdr_keyring_free)

/* What a blob belongs to. Borrowed. */
struct bdr_seal_place {
    const char *owner; /* table */
    int64_t owner_id;
    const char *field;
};
bdr_ret bdr_seal(const struct bdr_keyring *ring, const struct bdr_seal_place *place, const struct bdr_secret *plain,
                 struct bdr_buf *out);
/*
 * Errors:  CORRUPT it was changed, or belongs elsewhere; AUTH sealed under a key that the key file does not hold.
 */
bdr_ret bdr_unseal(const struct bdr_keyring *ring, const struct bdr_seal_place *place, const void *blob, size_t len,
                   struct bdr_secret *out);

bdr_ret bdr_secret_put(struct bdr_tx *tx, const struct bdr_keyring *ring, const struct bdr_seal_place *place,
                       const struct bdr_secret *plain, int64_t now_ms);
/* *out_found false: there is none, out is untouched. */
bdr_ret bdr_secret_get(struct bdr_tx *tx, const struct bdr_keyring *ring, const struct bdr_seal_place *place,
                       struct bdr_secret *out, bool *out_found);
/* Seals up to `limit` blobs of older keys again under the current one; *out_done 0: none is left. */
bdr_ret bdr_secret_reseal(struct bdr_tx *tx, const struct bdr_keyring *ring, int64_t limit, int64_t now_ms,
                          size_t *out_done);
