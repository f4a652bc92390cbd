/* SPDX-License-Identifier: Apache-2.0 */
/* throttle_priv.h - where the throttle finds its groups, for tests on recorded trees. Threads: as bdr/throttle.h. */
#pragma once
#include "bdr/throttle.h"
#include "volumes_priv.h"

/* lease_ms: BDR_THROTTLE_LEASE_MS, or less in a test. */
bdr_ret throttle_start_host(const struct volumes_host *host, uint64_t lease_ms, const char *const *disks, size_t n,
                            uint64_t bytes_per_s, struct bdr_throttle **out);
/* Tests: the guard. */
int throttle_guard_pid(const struct bdr_throttle *t);
