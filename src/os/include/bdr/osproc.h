/* SPDX-License-Identifier: Apache-2.0 */
/* osproc.h - naming processes so that their death can be told; what lies beside our program. Threads: any. */
#pragma once
#include "bdr/err.h"

#define BDR_PROC_CHARS 96
/* This process on this boot of this machine: "machine/boot/pid/start". */
bdr_ret bdr_os_process_name(char out[BDR_PROC_CHARS]);
/* The first of names[n] that is there, as a path; each is relative to the folder of the running program. Caller frees.
 * NOTFOUND. */
bdr_ret bdr_os_beside(const char *const *names, size_t n, char **out);
/* *out_known false: another machine's, can't tell. Else *out_alive tells. */
bdr_ret bdr_os_process_alive(const char *name, bool *out_known, bool *out_alive);
