/* SPDX-License-Identifier: Apache-2.0 */
/* idset.h - a set of block ids in memory, shared by threads. */
#pragma once
#include "bdr/repo.h"

struct bdr_idset;
bdr_ret bdr_idset_new(struct bdr_idset **out);
void bdr_idset_free(struct bdr_idset *s);
/* *out_new: it was not there. */
bdr_ret bdr_idset_add(struct bdr_idset *s, const struct bdr_id *id, bool *out_new);
bool bdr_idset_has(struct bdr_idset *s, const struct bdr_id *id);
void bdr_idset_remove(struct bdr_idset *s, const struct bdr_id *id);
size_t bdr_idset_count(struct bdr_idset *s);
BDR_AUTO_DEFINE(idset, struct bdr_idset *, bdr_idset_free)
