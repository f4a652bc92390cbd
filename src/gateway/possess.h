/* SPDX-License-Identifier: Apache-2.0 */
/*
 * possess.h - which host possesses which blocks of a repository: those it has uploaded, those its points refer to.
 *
 * A cache in LMDB that may be lost: points say it again, uploads that no point refers to are sent again. Losing an entry
 * costs a transfer; an entry too many is never made. Depends on: base, os, repo's ids.      Threads: any.
 * Source:  docs/formats/gateway-protocol.md#who-may-what
 */
#pragma once
#include "bdr/repo.h"

struct gw_possess;
/* The table in this folder; made anew when the machine went down while it was open, or it is damaged. keep_ms: how long
 * an upload counts that no point refers to. */
bdr_ret gw_possess_open(const char *dir, uint64_t keep_ms, struct gw_possess **out);
void gw_possess_close(struct gw_possess *p);

struct gw_owned {
    struct bdr_id id;
    uint32_t raw_len; /* of the block; 0: the host does not possess it */
};
/* Fills in raw_len. */
bdr_ret gw_possess_look(struct gw_possess *p, uint64_t host, struct gw_owned *blocks, size_t n);
/* Did one of these hosts upload that block a while ago (less than keep_ms), for a point that is not there yet? */
bdr_ret gw_possess_uploaded(struct gw_possess *p, const uint64_t *hosts, size_t n, const struct bdr_id *id, bool *out);
/* The host has uploaded these, or (`pointed`) a visible point of it refers to them. */
bdr_ret gw_possess_add(struct gw_possess *p, uint64_t host, const struct gw_owned *blocks, size_t n, bool pointed,
                       int64_t now_ms);
/* Forgets what was uploaded before `uploaded_ms` and what was last found in a point before `pointed_ms`. */
bdr_ret gw_possess_sweep(struct gw_possess *p, uint64_t host, int64_t uploaded_ms, int64_t pointed_ms);
/* The point up to which a host's points are in the table; "" when that is not known. */
bdr_ret gw_possess_last(struct gw_possess *p, uint64_t host, char out[33]);
bdr_ret gw_possess_set_last(struct gw_possess *p, uint64_t host, const char *point);
/* Hosts that the table knows. Caller frees. */
bdr_ret gw_possess_hosts(struct gw_possess *p, uint64_t **out, size_t *out_n);
/* To disk; now and then. */
bdr_ret gw_possess_sync(struct gw_possess *p);
BDR_AUTO_DEFINE(gw_possess, struct gw_possess *, gw_possess_close)
