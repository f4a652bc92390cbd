/* SPDX-License-Identifier: Apache-2.0 */
/* verify.h - what verify found, for repair. Threads: as gc.h says. */
#pragma once
#include "bdr/gc.h"
#include "idset.h"

/* What says that bytes are lost. IO: a bad sector under the repository. */
BDR_UNUSED static inline bool bdr_verify_is_damage(const struct bdr_err *err)
{
    return err->code == BDR_CORRUPT || err->code == BDR_VERSION || err->code == BDR_IO || err->code == BDR_RANGE;
}
/* bdr_verify; *out_bad (caller frees): the blocks of which some copy is damaged. */
bdr_ret bdr_verify_find(struct bdr_repo *repo, const struct bdr_verify_options *opt, struct bdr_verify_result *out,
                        struct bdr_idset **out_bad);
