/* SPDX-License-Identifier: Apache-2.0 */
/* s3_more.h - what else it takes to reach a bucket: a sealed row of its repository's. Threads: as req.h says. */
#pragma once
#include "api/api.h"

struct s3_more {
    const char *region, *ca, *addressing; /* NULL or "": as is usual */
};
/* Texts live as long as the request. */
bdr_ret s3_more_get(struct bdr_req *req, struct bdr_tx *tx, int64_t repository, struct s3_more *out);
bdr_ret s3_more_put(struct bdr_tx *tx, struct bdr_req *req, int64_t repository, const struct s3_more *more);
