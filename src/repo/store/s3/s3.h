/* SPDX-License-Identifier: Apache-2.0 */
/* s3.h - the S3 store's own struct, shared by its driver and its writer. */
#pragma once
#include "bdr/store.h"
#include "request.h"
#include <pthread.h>

struct s3_writer;
struct s3_store {
    struct bdr_store base;
    struct bdr_s3_config cfg;
    struct bdr_s3_client *client;
    pthread_mutex_t lock;      /* guards writers, and next and upload_id of each */
    struct s3_writer *writers; /* with an upload begun: sweep leaves them alone */
};

/* Behind the bucket: prefix and key; owned by the caller. */
bdr_ret s3_full_key(const struct s3_store *s3, const char *key, char **out);
/* One random name for what one call makes, so that after a lost answer we know our own work. */
bdr_ret s3_nonce(char out[33]);
/* Writes a whole object. */
bdr_ret s3_put(struct bdr_store *st, const char *key, const void *data, size_t len, int flags);
/* Whether the object there was made under that nonce. */
bdr_ret s3_is_mine(struct s3_store *s3, const char *full_key, const char *nonce, bool *out_there, bool *out_mine);

bdr_ret s3_writer_begin(struct bdr_store *st, const char *key, struct bdr_store_writer **out);
bdr_ret s3_writer_append(struct bdr_store_writer *base, const void *data, size_t len);
bdr_ret s3_writer_commit(struct bdr_store_writer *base);
void s3_writer_abandon(struct bdr_store_writer *base);
/* Whether a writer of this store object uses the upload. */
bool s3_writer_uses(struct s3_store *s3, const char *upload_id);
