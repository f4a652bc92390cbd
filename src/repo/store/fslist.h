/* SPDX-License-Identifier: Apache-2.0 */
/* fslist.h - walks a folder's objects in key order. Threads: any. */
#pragma once
#include "bdr/store.h"

/* Calls `fn` for each object below `root` whose key begins with `prefix`, in byte order of the whole keys. Leaves out
 * the folder of temp files and names that begin with '.'; what vanishes meanwhile is left out silently. */
bdr_ret bdr_fslist(const char *root, const char *prefix, bdr_list_fn fn, void *ctx);
