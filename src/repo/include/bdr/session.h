/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - writing: a session stores blocks and at its end publishes one recovery point.
 *
 * Lifecycle: begin -> put* -> (publish | abandon). Nothing refers to what an abandoned session stored; the next
 * session finds those blocks again, and prune removes them.
 * Threads: put from any thread; the rest from one.
 */
#pragma once
#include "bdr/repo.h"
#include <jansson.h>
#include <stdatomic.h>

struct bdr_session;

struct bdr_session_options {
    const char *host;     /* whose points these are; NULL: a session without points (prune, repair) */
    bool take_over;       /* go on though another living session writes this host: the other one is fenced off */
    const char *compress; /* overrides the repository's; NULL: as configured */
    unsigned slots;       /* packs written at once; 0: as many as fit the store and the CPUs */
};

struct bdr_session_stats {
    atomic_uint_fast64_t blocks_new, bytes_new, bytes_stored; /* data blocks this session added: raw and as stored */
    atomic_uint_fast64_t blocks_known, bytes_known;           /* data blocks that were in the repository already */
    atomic_uint_fast64_t nodes_new, node_bytes;               /* map nodes added, as stored */
    atomic_uint_fast64_t packs;
};

/* BUSY when another living session writes the same host (unless take_over); DENIED; READONLY. */
bdr_ret bdr_session_begin(struct bdr_repo *repo, const struct bdr_session_options *opt, struct bdr_session **out);
void bdr_session_abandon(struct bdr_session *s);

enum bdr_block_class { BDR_BLOCK_DATA, BDR_BLOCK_NODE };
/*
 * Makes sure the block id (which is the id of data[len]) is in the repository. *out_new may be NULL.
 * It is durable only after bdr_session_flush. Errors are final for the session.
 */
bdr_ret bdr_session_put(struct bdr_session *s, enum bdr_block_class cls, const struct bdr_id *id, const void *data,
                        size_t len, bool *out_new);
/* The same for a data block that came compressed as `codec` from raw_len bytes: body[len] is stored as it is. The caller
 * has undone it and computed the id itself; len is at most raw_len. */
bdr_ret bdr_session_put_encoded(struct bdr_session *s, const struct bdr_id *id, enum bdr_codec codec, const void *body,
                                size_t len, size_t raw_len, bool *out_new);
/* Reads a block that is durable, of at most `max` bytes. Any thread. NOTFOUND, CORRUPT, IO, NET. */
bdr_ret bdr_session_get(struct bdr_session *s, const struct bdr_id *id, void *dst, size_t max, size_t *out_len);
/* Whether the block is in the repository (or on its way there in this session) where the session's point may refer to it,
 * so that it need not be put. Any thread. */
bdr_ret bdr_session_has(struct bdr_session *s, const struct bdr_id *id, bool *out);
/* The id of a block; any thread. */
bdr_ret bdr_session_id(struct bdr_session *s, const void *data, size_t len, struct bdr_id *out);
/* Call now and then (at least every few minutes) from the thread that owns the session. FENCED when it was lost. */
bdr_ret bdr_session_renew(struct bdr_session *s);
/* Id of the session's presence. Borrowed. */
const char *bdr_session_presence(const struct bdr_session *s);
/* All that was put is durable and in the index. */
bdr_ret bdr_session_flush(struct bdr_session *s);
/*
 * Flushes, checks that the session and the host's lease are still ours, and makes the point visible. `point` is the
 * manifest without what the session knows (id, host, lease). Consumes s, also on error. *out_id may be NULL.
 * FENCED: a newer writer has taken over, or the session was lost.
 */
bdr_ret bdr_session_publish(struct bdr_session *s, json_t *point, char out_id[33]);
struct bdr_session_stats *bdr_session_stats(struct bdr_session *s);
struct bdr_repo *bdr_session_repo(struct bdr_session *s);

BDR_AUTO_DEFINE(session, struct bdr_session *, bdr_session_abandon)
