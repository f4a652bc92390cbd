/* SPDX-License-Identifier: Apache-2.0 */
/* complete.h - the tables as completion scripts. Pure. Threads: any. */
#pragma once
#include "bdr/bytes.h"
#include "frame/cmd.h"

/* A whole script for "bash", "zsh" or "fish". */
void bdr_complete_bash(const struct bdr_app *app, struct bdr_buf *out);
void bdr_complete_zsh(const struct bdr_app *app, struct bdr_buf *out);
void bdr_complete_fish(const struct bdr_app *app, struct bdr_buf *out);
