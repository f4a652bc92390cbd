/* SPDX-License-Identifier: Apache-2.0 */
/* man.h - the tables as manual pages in man(7) macros. Pure, but for the folder. Threads: any. */
#pragma once
#include "bdr/bytes.h"
#include "frame/cmd.h"

/* The page of the command at `path` ("" is the program itself). Source: groff_man(7) */
void bdr_man_page(const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path, struct bdr_buf *out);
/* Writes bdr.1 and bdr-<command>.1 for all that are not hidden into `dir`, which must exist. */
bdr_ret bdr_man_write(const struct bdr_app *app, const char *dir);
