/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_repo.h - a repository that is a text file, for tests of what reads points back.
 *
 * The URL is the path of a file of lines:
 *   point ID HOST TIME_MS DISK...    where DISK is gen:BYTES:SEED or file:PATH (holes are zeros)
 *   corrupt DISK OFF LEN             of the point above: reads that meet this range fail
 *   slow MS                          each read takes this long: a store far away
 *   kill_after N                     the N-th read of this process kills it with SIGKILL
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define FAKE_BLOCK_BYTES 65536u

/* What a gen: disk holds at `off`; the same rule as the fake's. */
void fake_gen(uint64_t seed, uint64_t off, void *buf, size_t len);
