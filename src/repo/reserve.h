/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reserve.h - room that a prune gives itself on a full disk. Folder stores only; elsewhere nothing happens.
 *
 * docs/formats/repository.md section 8, Prune. Threads: any.
 */
#pragma once
#include "repo_i.h"

/* Puts the reserve there unless it is. Best effort. */
void bdr_reserve_make(struct bdr_repo *r);
/* Gives it up when there is hardly any room; `now`: in any case. *out: there was one, and it is gone. */
bdr_ret bdr_reserve_spend(struct bdr_repo *r, bool now, bool *out);
/* Bytes that can still be stored; UINT64_MAX when nobody can tell. */
uint64_t bdr_reserve_room(struct bdr_repo *r);
