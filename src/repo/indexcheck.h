/* SPDX-License-Identifier: Apache-2.0 */
/* indexcheck.h - whether an index file can be given to LMDB. Threads: any; nobody may write the file meanwhile. */
#pragma once
#include "bdr/err.h"

/* CORRUPT says what is wrong. What rows say is not looked at, only that LMDB can walk them without falling. */
bdr_ret bdr_index_check(const char *file);
