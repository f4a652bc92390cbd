/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what a running command gets, and the program's main.
 *
 * A command returns an error or NULL; it neither prints errors nor exits. bdr_cli_main does both, once.
 * Depends on: base, os.      Threads: main's only, except `cancel`.
 */
#pragma once
#include "frame/cmd.h"
#include "frame/out.h"
#include "frame/parse.h"
#include "frame/progress.h"

struct bdr_cli {
    const struct bdr_app *app;
    const struct bdr_cmd *cmd;
    const struct bdr_common *common;
    struct bdr_cancel *cancel; /* set by the first SIGINT, SIGTERM or SIGHUP */
    struct bdr_out *out;       /* owned by bdr_cli_main */
    struct bdr_parsed *parsed; /* owned by bdr_cli_main */
};

/*
 * Runs the command that argv names and returns the exit code.
 *
 * Sets up signals, logging and output; prints an error with its hint. Source: docs/exit-codes.md
 */
int bdr_cli_main(const struct bdr_app *app, int argc, char **argv);

/*
 * The repository to work on: `positional` when the command line has one, else --repo.
 *
 * Errors:  INVAL when neither is there, with what to do.
 */
bdr_ret bdr_cli_repo(const struct bdr_cli *cli, const char *positional, const char **out);

/* True when option `name` was set by a file, the environment or a flag. */
bool bdr_cli_given(const struct bdr_cli *cli, const char *name);

/* A hint for the error the command is about to return: goes before the tables'. One line, no full stop. */
void bdr_cli_hint(struct bdr_cli *cli, const char *fmt, ...) BDR_PRINTF(2, 3);

/*
 * Starts the progress meter the options ask for; *out is NULL when they ask for none (every call takes NULL).
 *
 * Shape:   `counts` may be NULL: then the meter is fed by bdr_progress_set and bdr_progress_add only.
 */
bdr_ret bdr_cli_progress(struct bdr_cli *cli, const struct bdr_progress_source *source, struct bdr_progress **out);

/* Commands that come with the frame. */
extern const struct bdr_cmd bdr_cmd_help, bdr_cmd_version, bdr_cmd_config, bdr_cmd_completion, bdr_cmd_internal;
