/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.h - from argv, environment and configuration files to a filled args struct.
 *
 * Precedence: default < file < environment < flag; in a file, [section] before the top; a later file first.
 * Every value remembers where it came from.
 * Depends on: base, os.      Threads: one at a time.
 */
#pragma once
#include "frame/cmd.h"

enum bdr_origin { BDR_FROM_DEFAULT, BDR_FROM_FILE, BDR_FROM_ENV, BDR_FROM_FLAG };

/* One value that somebody set. Strings are borrowed from argv, the environment, the tables or the parse. */
struct bdr_setting {
    const struct bdr_opt *opt;
    const char *text; /* NULL: a FLAG or COUNT without a value */
    enum bdr_origin from;
    const char *file; /* FILE: its name */
    unsigned line;    /* FILE */
    unsigned rank;    /* the highest one wins */
};

/* The world outside of argv; a test brings its own. */
struct bdr_world {
    const char *(*env)(void *ctx, const char *name); /* NULL: an empty environment */
    void *ctx;
};

struct bdr_parsed {
    const struct bdr_app *app;
    const struct bdr_cmd *cmd; /* the deepest one named; app->root when none is */
    char path[64];             /* "key export" */
    void *args;                /* owned; cmd->args_size bytes */
    struct bdr_common common;
    struct bdr_setting *settings; /* owned; for `cmd` and the common options */
    size_t settings_count, settings_cap;
    const char **words; /* owned; positional arguments in order */
    size_t words_count, words_cap;
    void **kept; /* owned memory that values point into */
    size_t kept_count, kept_cap;
    bool stopped; /* --help or --version was met: args are not filled */
};

/*
 * Parses a command line. *out is filled even on failure (path and common.json as far as known), so that
 * the caller can report it properly; free it always.
 *
 * Errors:  INVAL with what would be right; NOMEM; what reading a configuration file gives.
 */
bdr_ret bdr_parse(const struct bdr_app *app, int argc, char *const *argv, const struct bdr_world *world,
                  struct bdr_parsed *out);
/*
 * The same for command `cmd` as if it had been called with the common flags of `flags` only; required values may
 * be missing: for `config explain`.
 */
bdr_ret bdr_parse_as(const struct bdr_parsed *flags, const struct bdr_cmd *cmd, const struct bdr_world *world,
                     struct bdr_parsed *out);
void bdr_parsed_free(struct bdr_parsed *p);
BDR_UNUSED static inline void bdr_auto_parsed(struct bdr_parsed *p)
{
    bdr_parsed_free(p);
}

/* The setting that decides the value of `opt`; NULL when nobody set it and it has no default. */
const struct bdr_setting *bdr_parsed_winner(const struct bdr_parsed *p, const struct bdr_opt *opt);
/* "environment BDR_REPO", "/etc/bdr/config:3", "flag --repo", "default" into buf[n]; returns buf. */
const char *bdr_setting_where(const struct bdr_setting *s, char *buf, size_t n);
/* The real environment. */
extern const struct bdr_world bdr_world_real;
