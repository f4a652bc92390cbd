/* SPDX-License-Identifier: Apache-2.0 */
/* space.h - telling the console how a repository is: room, use, trouble. Threads: any. */
#pragma once
#include "gateway.h"

struct bdr_http_client;
/* `trouble` (borrowed; NULL: none) is why it can't be opened or listed. `data_bytes`: of all points' disks. */
bdr_ret gw_space_tell(struct bdr_http_client *http, struct gw *gw, uint64_t repository, uint64_t data_bytes,
                      const struct bdr_err *trouble, const struct bdr_cancel *cancel);
