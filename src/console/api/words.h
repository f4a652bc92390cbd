/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h - words of alarms in the language of whoever asks. Results are in the request's arena.
 *
 * Threads: the handler's.
 */
#pragma once
#include "bdr/req.h"
#include "watch/alarm.h"

/* `asked` (?lang=) or what the browser accepts. */
enum bdr_lang api_lang(struct bdr_req *req, const char *asked);
/* NULL when memory is short. */
const char *api_words(struct bdr_req *req, const char *pattern, const char *values, enum bdr_lang lang);
/* The values of an alarm or event; NULL when there are none. */
bdr_ret api_values(struct bdr_req *req, const char *text, json_t **out);
