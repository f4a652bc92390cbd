/* SPDX-License-Identifier: Apache-2.0 */
/* place.h - the store of a job, open. */
#pragma once
#include "bdr/sink.h"
#include "bdr/sync_job.h"

struct place {
    char ca[512], identity[512];
    struct bdr_repo *repo; /* owned; NULL: a gateway */
    struct bdr_sink *sink; /* owned */
};
bdr_ret place_open(const struct bdr_sync *s, struct place *out);
void place_close(struct place *p);
