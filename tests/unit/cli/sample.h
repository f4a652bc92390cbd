/* SPDX-License-Identifier: Apache-2.0 */
/* sample.h - a program with every kind of row, for the tests of the frame. */
#pragma once
#include "frame/cli.h"

struct sample_args {
    bool flag;
    uint32_t count, u32;
    uint64_t u64, size_bytes, wait_ms;
    int64_t at_ms;
    const char *text, *path, *choice, *host, *address;
    struct bdr_list tags;
    const char *disk, *target;
    struct bdr_list more;
};
extern const struct bdr_app sample_app;
extern const struct bdr_cmd sample_copy; /* bdr copy: every option; DISK [MORE...] TARGET */
extern const struct bdr_cmd sample_key_export;

/* An environment of "NAME=value" strings, NULL-ended. */
struct bdr_world sample_world(const char *const *env);
