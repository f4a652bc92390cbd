/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_fault.h - for tests only: a store that fails, or ends the process, at a chosen call that changes something.
 *
 * A test walks fail_at = 1, 2, ... until a run ends with calls < fail_at: then it has met every such moment.
 * What counts as a call: put, remove, writer_begin, writer_append, writer_commit, sweep.
 */
#pragma once
#include "bdr/store.h"

enum bdr_fault_kind {
    BDR_FAULT_ERROR_BEFORE, /* fails without effect */
    BDR_FAULT_ERROR_AFTER,  /* takes effect, then says that it failed: as when an answer is lost */
    BDR_FAULT_DIE_BEFORE,   /* _exit(BDR_FAULT_EXIT) */
    BDR_FAULT_DIE_AFTER,
    BDR_FAULT_TEAR,     /* an append writes half of its bytes and fails; any other call: as ERROR_BEFORE */
    BDR_FAULT_TEAR_DIE, /* the same, and the process ends */
};
#define BDR_FAULT_EXIT 9

struct bdr_store_fault {
    uint64_t fail_at; /* counted from 1; 0 never */
    enum bdr_fault_kind kind;
    enum bdr_code code; /* of the error; NOSPACE, NET, ... */
    bool sticky;        /* every later call fails too (without effect): a disk that stays full */
    void (*before_put)(void *ctx, const char *key); /* or NULL: what happens elsewhere at this very moment */
    void *ctx;
    uint64_t *calls;    /* or NULL: counts the calls; borrowed, outlives the store, read it when no call is running */
};

/* Replaces *st by a store that passes calls on to it; closing the new one closes both. *st is unchanged on failure. */
bdr_ret bdr_store_wrap_fault(struct bdr_store **st, const struct bdr_store_fault *plan);
