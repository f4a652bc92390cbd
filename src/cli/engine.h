/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - what the commands that work on a repository share. Threads: main's only. */
#pragma once
#include "bdr/gc.h"
#include "bdr/repo.h"
#include "frame/cli.h"

/* Opens --repo with the common options' keys. */
bdr_ret bdr_cli_open(struct bdr_cli *cli, bool read_only, struct bdr_repo **out);
/* The same for a command that begins a session at once (see bdr_repo_options.writes_next). */
bdr_ret bdr_cli_open_writer(struct bdr_cli *cli, struct bdr_repo **out);
/* The same for a command that frees space: it works on a full disk. */
bdr_ret bdr_cli_open_to_free(struct bdr_cli *cli, struct bdr_repo **out);
/* Opens another repository; without secrets of its own it is tried with those of --repo. */
bdr_ret bdr_cli_open_other(struct bdr_cli *cli, const char *url, const char *passphrase_file, const char *key_file,
                           bool read_only, struct bdr_repo **out);
/* This machine's name, when --host is not given. `host` wins when not NULL. */
bdr_ret bdr_cli_host(const char *host, char out[128]);
/* A progress source over a struct bdr_gc_meter (prune, verify). */
void bdr_cli_gc_sample(void *ctx, struct bdr_progress_counts *out);

/* What verify and repair have found, in one shape: a record, the objects that are bad, and a table of places. */
struct bdr_cli_damage {
    const struct bdr_col *cols;
    const struct bdr_cell *cells;
    size_t n;
    const char (*bad)[256]; /* "KEY: why" */
    size_t n_bad;
    const struct bdr_table *table;
    size_t rows;      /* of the table; none: it is not printed */
    const char *name; /* the table's member in JSON */
};
bdr_ret bdr_cli_tell_damage(struct bdr_cli *cli, const struct bdr_cli_damage *d);
