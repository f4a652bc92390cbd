/* SPDX-License-Identifier: Apache-2.0 */
/* help.h - the tables as text for a terminal. Pure. Threads: any. */
#pragma once
#include "bdr/bytes.h"
#include "frame/cmd.h"

/* Help for the command at `path` ("" is the program itself), wrapped at `width` columns (0: 80). */
void bdr_help_text(const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path, unsigned width,
                   struct bdr_buf *out);
/* "bdr backup [OPTIONS] DISK [REPO]" */
void bdr_help_usage(const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path, struct bdr_buf *out);
/* " (default: 30s; environment: BDR_X; may be repeated)", or nothing. */
void bdr_help_facts(const struct bdr_opt *opt, struct bdr_buf *out);
/*
 * Follows words ("key", "export") from the root; *out_path[64] becomes "key export".
 *
 * Errors:  INVAL with the nearest name.
 */
bdr_ret bdr_help_find(const struct bdr_app *app, const struct bdr_list *words, const struct bdr_cmd **out,
                      char out_path[64]);
