/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.h - option values: one row a type gives parser, size and words for help. Threads: any.
 */
#pragma once
#include "frame/cmd.h"

struct bdr_value_type {
    const char *name;    /* "size" */
    const char *metavar; /* "SIZE"; "" when there is no value */
    const char *like;    /* what a right one looks like */
    size_t field_bytes;
    struct bdr_err *(*parse)(const struct bdr_opt *opt, const char *text, void *field);
};
const struct bdr_value_type *bdr_value_type(enum bdr_opt_type type);

/*
 * Parses `text` into `field`, which has the type's C type; untouched on failure. LIST takes one item.
 *
 * Units:   SIZE bytes, DURATION ms, TIME wall ms.
 * Errors:  INVAL, RANGE; the message says what would be right.
 */
bdr_ret bdr_value_parse(const struct bdr_opt *opt, const char *text, void *field);
/* "1h30m", "0s" into buf[32]; the reverse of DURATION's parser. Returns buf. */
const char *bdr_duration_text(uint64_t ms, char buf[32]);
/* "10s", "5m", "2h", "7d", "4w", "250ms", "1h30m", "0". INVAL, RANGE. */
bdr_ret bdr_duration_parse(const char *text, uint64_t *out_ms);
/* Walks "a|b|c": *at begins as the text; false at the end. */
bool bdr_choice_next(const char **at, const char **out, size_t *out_len);
