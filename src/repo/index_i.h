/* SPDX-License-Identifier: Apache-2.0 */
/* index_i.h - the inside of the index, shared by index.c (rows) and index_open.c (the file). */
#pragma once
#include "index.h"
#include <lmdb.h>
#include <sys/types.h>

#define BDR_LOC_BYTES 21
#define BDR_INDEX_PACK_BYTES 78

struct bdr_index {
    MDB_env *env;
    MDB_dbi blocks; /* id -> LOC_BYTES, several */
    MDB_dbi packs;  /* number u32 big-endian -> PACK_BYTES */
    MDB_dbi names;  /* pack name -> number */
    MDB_dbi blobs;  /* key -> bytes */
    MDB_dbi meta;   /* "format", "next", "sum" */
    char *dir;      /* owned */
    int state_fd;   /* "state", held shared while the index is open; -1: none */
    dev_t dev;
    ino_t ino;
    pid_t pid;      /* LMDB must not be carried over a fork */
    unsigned refs;  /* guarded by index_lock */
    struct bdr_index *next;
};

/* The error for what LMDB returned. */
bdr_ret bdr_index_err(int rc, const char *at, const char *doing);
#define INDEX_TRY(call, doing)                                                                                         \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_)                                                                                                       \
            return bdr_index_err(rc_, BDR_AT, doing);                                                                      \
    } while (0)

BDR_UNUSED static inline void bdr_index_abort(MDB_txn *txn)
{
    mdb_txn_abort(txn);
}
BDR_AUTO_DEFINE(txn, MDB_txn *, bdr_index_abort)
bdr_ret bdr_index_begin(struct bdr_index *ix, unsigned flags, MDB_txn **out);

/* The sum of all rows changes with each of them: it goes into *sum here and to disk by commit. LMDB's codes. */
uint64_t bdr_index_row_hash(uint8_t table, const MDB_val *k, const MDB_val *v);
int bdr_index_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *k, MDB_val *v, uint64_t *sum);
int bdr_index_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *k, MDB_val *v, uint64_t *sum); /* v: the very value */
/* Consumes txn, also on error. */
bdr_ret bdr_index_commit(struct bdr_index *ix, MDB_txn *txn, uint64_t sum);
