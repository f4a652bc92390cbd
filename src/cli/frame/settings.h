/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h - inside of parse: collecting settings and writing the winners. Threads: one at a time. */
#pragma once
#include "frame/parse.h"

/* Ranks: the highest one wins. Files are numbered from 0; a file has two ranks, top and section. */
#define RANK_DEFAULT 0u
#define RANK_FILE    1u
#define RANK_ENV     1000u
#define RANK_FLAG    1001u

bdr_ret bdr_settings_add(struct bdr_parsed *p, struct bdr_setting s);
/* Hands `mem` (consumed, also on failure) to the parse, which frees it at its end. */
bdr_ret bdr_parsed_keep(struct bdr_parsed *p, void *mem);
/* Defaults and environment of p->cmd and the common options; checks each value. */
bdr_ret bdr_settings_defaults(struct bdr_parsed *p);
bdr_ret bdr_settings_env(struct bdr_parsed *p, const struct bdr_world *world);
/* The files of app->configs, or the one that --config or its variable names. */
bdr_ret bdr_settings_files(struct bdr_parsed *p, const struct bdr_world *world);
/* Writes each option's winner into p->args and p->common. `strict`: a required option must be there. */
bdr_ret bdr_settings_apply(struct bdr_parsed *p, bool strict);
/* Checks a value without storing it. */
bdr_ret bdr_setting_check(const struct bdr_opt *opt, const char *text);
