/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - what an administrator sets on the settings page: rows of `setting`, by name; '' is "not set".
 *
 * Threads: any, as db.h says.
 */
#pragma once
#include "console.h"

#define BDR_SETTING_NAMES_MAX 16

/* The value, "" when it is not set; caller frees. */
bdr_ret bdr_setting_get(struct bdr_tx *tx, const char *name, char **out);
bdr_ret bdr_setting_put(struct bdr_tx *tx, const char *name, const char *value, int64_t now_ms);
/* Makes the server's certificate fit the names that are set: at the start, and when they change. */
bdr_ret bdr_settings_names(struct bdr_console *c);
/*
 * How machines reach this console: its HTTPS and its HTTP address, without a slash at the end, as the settings say,
 * else the configuration, else its first name; `asked_by`, may be NULL, is the Host header of a person who reaches it.
 *
 * Shape:   safe within single quotes of a shell: letters, digits and : / . _ - [ ] % alone. Caller frees both.
 */
bdr_ret bdr_settings_urls(struct bdr_console *c, const char *asked_by, char **out_https, char **out_http);
