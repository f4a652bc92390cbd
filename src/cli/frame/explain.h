/* SPDX-License-Identifier: Apache-2.0 */
/* explain.h - where a setting's value comes from. Threads: main's only. */
#pragma once
#include "frame/out.h"
#include "frame/parse.h"

/*
 * Prints the row of `key` ("repo", "backup.compression"), its value and who set it.
 *
 * Errors:  INVAL for an unknown key, with the nearest; what reading the configuration gives.
 */
bdr_ret bdr_explain_key(const struct bdr_parsed *flags, const struct bdr_world *world, struct bdr_out *out,
                        const char *key);
/* A table of every setting that is not at its default; `all`: of every one. */
bdr_ret bdr_explain_list(const struct bdr_parsed *flags, const struct bdr_world *world, struct bdr_out *out, bool all);
