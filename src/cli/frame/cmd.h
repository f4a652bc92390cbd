/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd.h - the tables a command is made of: options, positional arguments, sub-commands.
 *
 * One row feeds everything: the parser, range checks, --help, the manual page, shell completion, the
 * configuration file and `bdr config explain`. All tables are constant and outlive the program's run.
 * Depends on: base.      Threads: any (read only).
 */
#pragma once
#include "bdr/cancel.h"

struct bdr_cli;

/* What an option's text must be, and the C type of its field in the command's args struct. */
enum bdr_opt_type {
    BDR_OPT_FLAG,     /* bool; --name, --name=no */
    BDR_OPT_COUNT,    /* uint32_t; -v -v, --name=2 */
    BDR_OPT_STRING,   /* const char *, NULL when not set */
    BDR_OPT_PATH,     /* const char *; a leading ~/ is expanded in files and the environment */
    BDR_OPT_U32,      /* uint32_t */
    BDR_OPT_U64,      /* uint64_t */
    BDR_OPT_PERCENT,  /* double, 0 to 100; 0.1, 5% */
    BDR_OPT_SIZE,     /* uint64_t bytes; 4096, 64K, 1.5G */
    BDR_OPT_DURATION, /* uint64_t ms; 10s, 5m, 2h, 7d, 4w, 1h30m */
    BDR_OPT_TIME,     /* int64_t wall ms; 2026-11-22T18:15 (UTC) */
    BDR_OPT_CHOICE,   /* const char *, one of .choices */
    BDR_OPT_LIST,     /* struct bdr_list; the option may be given many times */
    BDR_OPT_HOSTNAME, /* const char *; a host name or an IP address */
    BDR_OPT_ADDRESS,  /* const char *; host:port, [ip6]:port or :port */
    BDR_OPT_TYPE_END
};

/* Borrowed from the parser; valid until run() returns. */
struct bdr_list {
    const char *const *items;
    size_t count;
};

struct bdr_opt {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* 0: no short form */
    enum bdr_opt_type type;
    size_t offset;       /* of the field; filled by BDR_FLAG() and its sisters */
    const char *def;     /* default as the user would write it; NULL: zero */
    const char *env;     /* environment variable; NULL: none */
    const char *metavar; /* NULL: the type's */
    const char *choices; /* CHOICE: "none|lz4|zstd" */
    const char *help;    /* a sentence or two, with a full stop */
    uint64_t min, max;   /* numbers, bytes or ms; max 0: no limit but the type's */
    bool required;
    bool cli_only; /* refused in configuration files (--force, --help) */
    bool hidden;   /* parsed, but not shown */
    bool stops;    /* ends parsing and drops all checks (--help, --version) */
    bool path;     /* complete file names although it is a STRING or LIST */
};

enum bdr_arg_need {
    BDR_ARG_REQUIRED, /* exactly one */
    BDR_ARG_OPTIONAL, /* none or one */
    BDR_ARG_MANY,     /* one or more; a struct bdr_list */
    BDR_ARG_ANY       /* none or more; a struct bdr_list */
};

struct bdr_arg {
    const char *name; /* upper case, as in the usage line; NULL ends a table */
    enum bdr_arg_need need;
    enum bdr_opt_type type; /* LIST for MANY and ANY */
    size_t offset;
    const char *choices; /* CHOICE; also completes a LIST */
    const char *help;
    bool path;    /* complete file names although it is a STRING or LIST */
    bool command; /* complete the program's commands */
};

struct bdr_exit_note {
    int code; /* 0 ends a table */
    const char *text;
};

/* What to do next about an error: by code, of a command or of the whole program. */
struct bdr_hint {
    enum bdr_code code; /* BDR_OK ends a table */
    const char *text;
};

struct bdr_cmd {
    const char *name;
    const char *group;    /* heading in the list of commands; NULL: that of the row before */
    const char *summary;  /* one line, no full stop */
    const char *help;     /* paragraphs parted by blank lines; a line that begins with a space stays as it is */
    const char *examples; /* lines: "# what for" and the command */
    const struct bdr_opt *opts;
    const struct bdr_arg *args;
    size_t args_size;
    struct bdr_err *(*run)(void *args, struct bdr_cli *cli); /* NULL: a group of `subs` */
    const struct bdr_cmd *const *subs;                       /* NULL-ended */
    const struct bdr_exit_note *exits;                       /* codes that mean something special here */
    const struct bdr_hint *hints;                            /* before the program's own */
    bool no_config;                                          /* runs although the configuration is broken */
    bool hidden;
};

struct bdr_app {
    const char *name, *version;
    const char *title;          /* "OpenBDR": manual pages' header */
    const struct bdr_cmd *root; /* a group */
    const struct bdr_hint *hints;
    const char *const *configs; /* configuration files, later ones win; "~/" is expanded; NULL-ended */
};

/* The options every command has; the rows are in common.c. */
struct bdr_common {
    const char *repo, *passphrase_file, *key_file, *cache_dir;
    const char *progress; /* auto, tty, lines, json, none */
    const char *config;
    uint64_t progress_every_ms;
    uint32_t verbose;
    bool json, quiet, log_json, no_progress, help, version;
};
extern const struct bdr_opt bdr_common_opts[];

/* The offset of field `f` of `struct s`, which does not compile unless the field has type T. */
#define BDR_OPT_FIELD(T, s, f) (offsetof(s, f) + 0 * sizeof(char[_Generic(((s *)0)->f, T : 1, default : -1)]))
/* One of these in each row says both type and place: BDR_SIZE(struct backup_args, limit_bytes). */
#define BDR_FLAG(s, f)      .type = BDR_OPT_FLAG, .offset = BDR_OPT_FIELD(bool, s, f)
#define BDR_COUNTED(s, f)   .type = BDR_OPT_COUNT, .offset = BDR_OPT_FIELD(uint32_t, s, f)
#define BDR_STRING(s, f)    .type = BDR_OPT_STRING, .offset = BDR_OPT_FIELD(const char *, s, f)
#define BDR_PATH(s, f)      .type = BDR_OPT_PATH, .offset = BDR_OPT_FIELD(const char *, s, f)
#define BDR_U32(s, f)       .type = BDR_OPT_U32, .offset = BDR_OPT_FIELD(uint32_t, s, f)
#define BDR_U64(s, f)       .type = BDR_OPT_U64, .offset = BDR_OPT_FIELD(uint64_t, s, f)
#define BDR_PERCENT(s, f)   .type = BDR_OPT_PERCENT, .offset = BDR_OPT_FIELD(double, s, f)
#define BDR_SIZE(s, f)      .type = BDR_OPT_SIZE, .offset = BDR_OPT_FIELD(uint64_t, s, f)
#define BDR_DURATION(s, f)  .type = BDR_OPT_DURATION, .offset = BDR_OPT_FIELD(uint64_t, s, f)
#define BDR_TIME(s, f)      .type = BDR_OPT_TIME, .offset = BDR_OPT_FIELD(int64_t, s, f)
#define BDR_CHOICE(s, f, c) .type = BDR_OPT_CHOICE, .offset = BDR_OPT_FIELD(const char *, s, f), .choices = (c)
#define BDR_LIST(s, f)      .type = BDR_OPT_LIST, .offset = BDR_OPT_FIELD(struct bdr_list, s, f)
#define BDR_HOSTNAME(s, f)  .type = BDR_OPT_HOSTNAME, .offset = BDR_OPT_FIELD(const char *, s, f)
#define BDR_ADDRESS(s, f)   .type = BDR_OPT_ADDRESS, .offset = BDR_OPT_FIELD(const char *, s, f)

/* The sub-command called `name`; NULL when there is none. */
const struct bdr_cmd *bdr_cmd_sub(const struct bdr_cmd *cmd, const char *name);
/* Option `name` of `rows`; NULL when there is none. */
const struct bdr_opt *bdr_opt_find(const struct bdr_opt *rows, const char *name);
/* What stands for the value in help: the row's metavar, its choices, or the type's. "" for a FLAG. */
const char *bdr_opt_metavar(const struct bdr_opt *opt);
/*
 * Looks for mistakes in the tables: names or letters twice, defaults that don't parse, missing help.
 *
 * Errors:  INTERNAL with the row's name. The unit tests call it for the real program.
 */
bdr_ret bdr_app_check(const struct bdr_app *app);
