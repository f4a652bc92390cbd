/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fstemp.h - objects that are not finished: temp files, locked while their writer lives.
 *
 * Named <boot>-<pid>-<random>, for whoever looks into the folder. Threads: any; a temp file belongs to one.
 */
#pragma once
#include "bdr/err.h"

struct bdr_fstemp {
    int fd;     /* -1: none */
    char *path; /* owned; NULL when it has its final name */
};
/* A new, empty, locked file in `folder`, which is made when absent. */
bdr_ret bdr_fstemp_begin(const char *folder, struct bdr_fstemp *out);
/* One attempt to give it its name: 0, or -1 and errno (EEXIST when `exclusive` and the name is taken). */
int bdr_fstemp_rename(struct bdr_fstemp *temp, const char *path, bool exclusive);
/* Closes it, and removes it unless it has been renamed (path freed and NULL). */
void bdr_fstemp_end(struct bdr_fstemp *temp);
/* Removes what nobody has locked and is `min_age_ms` old at `now_ms`; *out_removed grows by their number. */
bdr_ret bdr_fstemp_sweep(const char *folder, int64_t now_ms, uint64_t min_age_ms, uint64_t *out_removed);
