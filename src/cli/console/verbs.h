/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs.h - the console's commands: rows that tools/gen/verbs makes of the console's OpenAPI document, and what runs them.
 *
 * A row says how options become a request and an answer a table. One function runs all of them.
 * Depends on: wire, frame.      Threads: main's only.
 */
#pragma once
#include "frame/cli.h"
#include "verbs_table.h"

/* One option's value; which member counts is the option's type. */
struct verb_slot {
    const char *text;
    uint64_t number;
    int64_t time;
    bool flag;
    struct bdr_list list;
};
#define VERB_PATHS 4
struct verb_args {
    const char *path[VERB_PATHS]; /* the words of the command line, in the path's order */
    struct verb_slot slot[VERB_SLOTS];
};
#define VERB_SLOT(i, member)                                                                                           \
    (offsetof(struct verb_args, slot) + (i) * sizeof(struct verb_slot) + offsetof(struct verb_slot, member))

/* How a value is typed, sent and shown. */
enum verb_kind {
    VERB_BOOL = 1,
    VERB_NUMBER,
    VERB_SIZE,
    VERB_DURATION,
    VERB_TIME,
    VERB_TEXT,
    VERB_CHOICE,
    VERB_TEXTS,
    VERB_NUMBERS,
    VERB_TIMES,
    VERB_SECRET, /* --x-file: a file's text */
    VERB_JSON,   /* --x-file: a file's JSON */
    VERB_TABLE   /* of an answer: an array of objects */
};
enum verb_place { VERB_IN_QUERY = 1, VERB_IN_BODY };
struct verb_opt {
    const char *name, *member; /* name NULL ends */
    enum verb_kind kind;
    enum verb_place place;
    size_t slot;
};
struct verb_col {
    const char *member, *title;
    enum verb_kind kind;
    const struct verb_col *cols; /* TABLE: of its items */
    size_t n;
};
struct verb {
    const struct bdr_cmd *cmd; /* NULL ends the table */
    const char *method, *path;
    const struct verb_opt *opts;
    const struct verb_col *cols;
    size_t n_cols;
    bool page, body, key, raw; /* a list; takes JSON; may be repeated under a key; answers with other bytes */
};
extern const struct verb verbs[];

/* Runs whichever row belongs to cli->cmd. */
bdr_ret verb_run(void *args, struct bdr_cli *cli);
/* Prints `v` as a table (array) or a record (object). */
bdr_ret verb_show(struct bdr_cli *cli, const struct verb_col *cols, size_t n, const json_t *v);

extern const struct bdr_cmd bdr_cmd_login, bdr_cmd_logout;
