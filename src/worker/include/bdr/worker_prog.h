/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_prog.h - the commands that all programs of machines have alike: enrol, run, status, unenrol-check.
 *
 * Depends on: worker.h.      Threads: main.
 */
#pragma once
#include "bdr/worker.h"

struct bdr_prog_options {
    const char *state;                                  /* --state */
    const char *console, *ca, *token_file, *name, *url; /* enrol */
    const char *user;                                   /* --user: run as, NULL: as who we are */
    const char *scripts;                                /* --scripts: folder of pre-freeze and post-freeze */
    const char *disks;         /* --disks: agents: these devices alone, with commas; NULL: all */
    const char *beat;          /* --beat-ms: tests */
    const char *cpu;           /* --cpu-percent: agents */
    uint32_t beat_ms, cpu_pct; /* of what was given as text; 0: as it comes, no limit */
    bool force, json, verbose, log_json;
};
struct bdr_prog {
    const char *name, *title; /* "bdr-agent", "OpenBDR agent" */
    const char *state;        /* the usual folder */
    int kind;                 /* enum bdr_machine_kind */
    /* Runs until `cancel` is set. */
    struct bdr_err *(*run)(const struct bdr_prog_options *opt, struct bdr_cancel *cancel);
    /* Another command, or NULL; false: there is no such one. */
    bool (*more)(const char *command, const struct bdr_prog_options *opt, struct bdr_cancel *cancel,
                 struct bdr_err **out_err);
    const char *more_help; /* its lines of the help; NULL */
};
/* A whole main(): reads argv, does the command, prints, returns the exit code (docs/exit-codes.md). */
int bdr_prog_main(const struct bdr_prog *prog, int argc, char **argv);
/* "Debian GNU/Linux 12 (bookworm)"; "Linux" when it can't be told. */
const char *bdr_prog_os(char buf[256]);

/* ---- the same, for a program with a command line of its own ---- */
#define BDR_PROG_TOKEN_CHARS 4096
/* The one-time token: of `file` ("-": standard input), or, without one, of BDR_TOKEN, which is taken away. INVAL. */
bdr_ret bdr_prog_token(const char *file, char out[BDR_PROG_TOKEN_CHARS]);
/* Root becomes `user`, whose the state folder is then; nothing for others or without a user. */
bdr_ret bdr_prog_become(const char *state, const char *user);
/* Prints them. */
bdr_ret bdr_prog_status(const char *state, bool json);
bdr_ret bdr_prog_unenrol_check(const char *state); /* CONFLICT: registered still; NET: can't be told */
