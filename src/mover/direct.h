/* SPDX-License-Identifier: Apache-2.0 */
/* direct.h - a copy between repositories in which blocks have the same ids: what the target has is not read. Private.
 */
#pragma once
#include "bdr/copy.h"

struct direct_spec {
    struct bdr_repo *from, *to;
    const char *host;
    const json_t *manifest; /* borrowed; of the point in `from` */
    const json_t *base;     /* borrowed; in `from`, of a point that the target has a copy of; or NULL */
    const char *base_to;    /* that copy's id */
    const struct bdr_copy_options *opt;
};
/* Whether it can be done for these two. */
bool direct_can(const struct bdr_repo *from, const struct bdr_repo *to);
/* As bdr_copy_point; fills all of `out` but `there`. */
bdr_ret direct_copy(const struct direct_spec *spec, struct bdr_copy_result *out);
