/* SPDX-License-Identifier: Apache-2.0 */
/* people.h - what the pages about people share. Threads: as req.h says. */
#pragma once
#include "api/api.h"

/*
 * Only for a session, not for an API token: a token that was stolen must not become a password, a second step, or a
 * token of more rights. Errors: DENIED.
 */
bdr_ret people_session_only(struct bdr_req *req);
/* The right password of who asks; tries are counted. Errors: DENIED it is wrong; THROTTLED. */
bdr_ret people_confirm(struct bdr_req *req, const char *password);
/* SHA-256 of this session's cookie; false: it is no session. */
bool people_session_hash(struct bdr_req *req, uint8_t out[32]);
/* What a person typed into a search box as a pattern for LIKE ... ESCAPE '!', lower case. NULL: memory is short. */
const char *people_like(struct bdr_req *req, const char *typed);
/* Rows live as long as the request. */
bdr_ret people_keep(struct bdr_req *req, void *row);
/* Tells people that one of them changed. */
void people_tell(struct bdr_req *req, const char *kind, int64_t id, const char *what);
