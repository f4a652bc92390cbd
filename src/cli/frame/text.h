/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - text in columns: UTF-8 width, cutting, wrapping.
 *
 * Names of disks and files come from outside: characters that steer a terminal or turn the direction of
 * writing are shown as '?'. Needs an LC_CTYPE of UTF-8 (bdr_text_setup) for wcwidth.
 * Threads: any.
 */
#pragma once
#include "bdr/bytes.h"

/* Once at the start of the program. */
void bdr_text_setup(void);
/* Columns `s` takes on a terminal. */
unsigned bdr_text_width(const char *s);
/* Appends `s`, cut to `max` columns with an ellipsis (0: not cut); returns the columns it took. */
unsigned bdr_text_put(struct bdr_buf *out, const char *s, unsigned max);
/* The buffer as a string, valid until the next put; "" when memory ran out (the buffer remembers that). */
const char *bdr_text_of(struct bdr_buf *b);
/* Appends n times `c`. */
void bdr_text_fill(struct bdr_buf *out, char c, unsigned n);
/*
 * Appends `text` wrapped at `width` columns (0: unlimited), each line but the first indented by `indent`;
 * the first begins at column `at`. Newlines in the text stay; ends with a newline.
 */
void bdr_text_wrap(struct bdr_buf *out, const char *text, unsigned at, unsigned indent, unsigned width);
/* Paragraphs parted by blank lines, each wrapped; lines that begin with a space stay as they are. */
void bdr_text_paragraphs(struct bdr_buf *out, const char *text, unsigned indent, unsigned width);
