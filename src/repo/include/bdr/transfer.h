/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.h - a disk's content from one repository into another in which blocks have the same ids.
 *
 * The target is asked first, so what it has is not read; the map's nodes are. Depends on: base, repo.
 * Threads: one call at a time per session.
 */
#pragma once
#include "bdr/session.h"

/* Whether ids in both mean the same: neither is encrypted, and the block size is one. */
bool bdr_transfer_can(const struct bdr_repo *from, const struct bdr_repo *to);

struct bdr_transfer {
    struct bdr_repo *from;
    struct bdr_session *to;
    struct bdr_id root;        /* of the disk, in `from` */
    const struct bdr_id *base; /* root of a disk of as many levels of which a visible point of the target has all, and
                                  that the session's point names as its base; or NULL */
    uint64_t size_bytes;
    unsigned workers;
    atomic_uint_fast64_t *done_bytes, *read_bytes; /* or NULL: counted up; of size_bytes, of blocks read */
    const struct bdr_cancel *cancel;
};
/* Errors: CORRUPT the source repository is damaged (names the disk offset); as bdr_session_put. */
bdr_ret bdr_transfer_disk(const struct bdr_transfer *t);
