/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - the configuration file: `key = value` lines in [sections].
 *
 *   # a comment: the first character of a line
 *   repo = /srv/bdr
 *   [backup]
 *   tag = "quotes keep  spaces, \" and \\"
 *
 * Only the form is read here; parse.c gives keys their meaning.
 * Depends on: base.      Threads: one at a time.      Source: docs/formats/config.md
 */
#pragma once
#include "bdr/err.h"

#define BDR_CONFIG_MAX_BYTES (256 * 1024)

struct bdr_config_entry {
    const char *section; /* "" at the top */
    const char *key;     /* NULL: this is the section's own line */
    const char *value;
    unsigned line; /* from 1 */
};
struct bdr_config {
    char *name, *text; /* owned */
    struct bdr_config_entry *entries;
    size_t count, cap;
};

/*
 * Reads `len` bytes of `text`; `name` is for messages.
 *
 * Errors:  INVAL with name and line; RANGE over BDR_CONFIG_MAX_BYTES; NOMEM. *out is freed by the caller always.
 */
bdr_ret bdr_config_parse(const char *name, const char *text, size_t len, struct bdr_config *out);
void bdr_config_free(struct bdr_config *c);
BDR_UNUSED static inline void bdr_auto_config(struct bdr_config *c)
{
    bdr_config_free(c);
}
