/* SPDX-License-Identifier: Apache-2.0 */
/* session_i.h - what repair needs of a session and nobody else. Threads: as session.h says. */
#pragma once
#include "bdr/session.h"

/* Stores a block though the index names a place for it: that place is damaged. */
bdr_ret bdr_session_put_again(struct bdr_session *s, enum bdr_block_class cls, const struct bdr_id *id,
                              const void *data, size_t len);
/* Ours still, for certain: FENCED otherwise. Ask before anything is removed. */
bdr_ret bdr_session_check(struct bdr_session *s);
