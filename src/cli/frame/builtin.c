/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that live from the tables alone: help, version, config, completion, internal. */
#include "frame/cli.h"
#include "frame/complete.h"
#include "frame/explain.h"
#include "frame/help.h"
#include "frame/man.h"
#include <string.h>

/* help */

struct help_args {
    struct bdr_list words;
};

static struct bdr_err *help_run(void *args, struct bdr_cli *cli)
{
    const struct help_args *a = args;
    BDR_AUTO(buf) struct bdr_buf text = {0};
    const struct bdr_cmd *cmd = NULL;
    char path[64];

    BDR_TRY(bdr_help_find(cli->app, &a->words, &cmd, path));
    bdr_help_text(cli->app, cmd, path, bdr_out_width(cli->out), &text);
    BDR_TRY(bdr_buf_check(&text));
    return bdr_out_raw(cli->out, text.data, text.len);
}

static const struct bdr_arg help_words[] = {
    {.name = "COMMAND",
     .need = BDR_ARG_ANY,
     BDR_LIST(struct help_args, words),
     .command = true,
     .help = "The command to explain: backup, key export."},
    {0},
};
const struct bdr_cmd bdr_cmd_help = {
    .name = "help",
    .summary = "Explain a command",
    .args = help_words,
    .args_size = sizeof(struct help_args),
    .run = help_run,
    .no_config = true,
    .examples = "# what can be done with keys\nbdr help key\n",
};

/* version */

static struct bdr_err *version_run(void *args, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {{.title = "Program", .key = "name"}, {.title = "Version", .key = "version"}};

    (void)args;
    if (!bdr_out_is_json(cli->out))
        return bdr_out_line(cli->out, "%s %s", cli->app->name, cli->app->version);
    return bdr_out_record(cli->out, cols, BDR_COUNT(cols),
                          (const struct bdr_cell[]){BDR_CELL_TEXT(cli->app->name), BDR_CELL_TEXT(cli->app->version)});
}

const struct bdr_cmd bdr_cmd_version = {
    .name = "version",
    .summary = "Print the version",
    .run = version_run,
    .no_config = true,
};

/* config */

struct config_args {
    const char *key;
    bool all;
};

static struct bdr_err *config_explain_run(void *args, struct bdr_cli *cli)
{
    const struct config_args *a = args;

    return bdr_explain_key(cli->parsed, &bdr_world_real, cli->out, a->key);
}

static struct bdr_err *config_list_run(void *args, struct bdr_cli *cli)
{
    const struct config_args *a = args;

    return bdr_explain_list(cli->parsed, &bdr_world_real, cli->out, a->all);
}

static const struct bdr_arg config_explain_words[] = {
    {.name = "KEY",
     .need = BDR_ARG_REQUIRED,
     BDR_STRING(struct config_args, key),
     .help = "A common key (repo) or a command's (backup.compression)."},
    {0},
};
static const struct bdr_opt config_list_opts[] = {
    {.name = "all", .letter = 'a', BDR_FLAG(struct config_args, all), .help = "Also those at their defaults."},
    {0},
};
static const struct bdr_cmd config_explain = {
    .name = "explain",
    .summary = "Show a setting, its value and where that came from",
    .args = config_explain_words,
    .args_size = sizeof(struct config_args),
    .run = config_explain_run,
    .no_config = true,
    .examples = "# which repository would be used, and why\nbdr config explain repo\n",
};
static const struct bdr_cmd config_list = {
    .name = "list",
    .summary = "List the settings that somebody made",
    .opts = config_list_opts,
    .args_size = sizeof(struct config_args),
    .run = config_list_run,
    .no_config = true,
};
static const struct bdr_cmd *const config_subs[] = {&config_explain, &config_list, NULL};
const struct bdr_cmd bdr_cmd_config = {
    .name = "config",
    .group = "This program",
    .summary = "Look into the configuration",
    .subs = config_subs,
    .help = "Settings come from, in rising order: defaults, the configuration files, the environment, flags. In a "
            "file, 'key = value' sets a common option and a [section] with a command's name sets that command's:\n"
            "\n"
            "  repo = /srv/bdr\n"
            "  [backup]\n"
            "  tag = nightly\n"
            "\n"
            "An unknown key is an error, not a surprise.",
};

/* completion */

static const struct {
    const char *shell;
    void (*make)(const struct bdr_app *app, struct bdr_buf *out);
} completion_rows[] = {{"bash", bdr_complete_bash}, {"zsh", bdr_complete_zsh}, {"fish", bdr_complete_fish}};

struct completion_args {
    const char *shell;
};

static struct bdr_err *completion_run(void *args, struct bdr_cli *cli)
{
    const struct completion_args *a = args;
    BDR_AUTO(buf) struct bdr_buf text = {0};

    for (size_t i = 0; i < BDR_COUNT(completion_rows); i++)
        if (!strcmp(completion_rows[i].shell, a->shell))
            completion_rows[i].make(cli->app, &text);
    BDR_TRY(bdr_buf_check(&text));
    return bdr_out_raw(cli->out, text.data, text.len);
}

static const struct bdr_arg completion_words[] = {
    {.name = "SHELL",
     .need = BDR_ARG_REQUIRED,
     BDR_CHOICE(struct completion_args, shell, "bash|zsh|fish"),
     .help = "bash, zsh or fish."},
    {0},
};
const struct bdr_cmd bdr_cmd_completion = {
    .name = "completion",
    .summary = "Print a shell's completion script",
    .args = completion_words,
    .args_size = sizeof(struct completion_args),
    .run = completion_run,
    .no_config = true,
    .examples = "# for this session\n"
                "source <(bdr completion bash)\n"
                "\n"
                "# for good\n"
                "bdr completion zsh > /usr/local/share/zsh/site-functions/_bdr\n"
                "bdr completion fish > ~/.config/fish/completions/bdr.fish\n",
};

/* internal: for packaging, not for people */

struct internal_args {
    const char *dir;
};

static struct bdr_err *internal_man_run(void *args, struct bdr_cli *cli)
{
    const struct internal_args *a = args;

    return bdr_man_write(cli->app, a->dir);
}

static struct bdr_err *internal_check_run(void *args, struct bdr_cli *cli)
{
    (void)args;
    return bdr_app_check(cli->app);
}

static const struct bdr_arg internal_man_words[] = {
    {.name = "DIR", .need = BDR_ARG_REQUIRED, BDR_PATH(struct internal_args, dir), .help = "An existing folder."},
    {0},
};
static const struct bdr_cmd internal_man = {
    .name = "man",
    .summary = "Write the manual pages",
    .args = internal_man_words,
    .args_size = sizeof(struct internal_args),
    .run = internal_man_run,
    .no_config = true,
};
static const struct bdr_cmd internal_check = {
    .name = "check",
    .summary = "Look for mistakes in the command tables",
    .run = internal_check_run,
    .no_config = true,
};
static const struct bdr_cmd *const internal_subs[] = {&internal_man, &internal_check, NULL};
const struct bdr_cmd bdr_cmd_internal = {
    .name = "internal",
    .summary = "Used when packages are built",
    .subs = internal_subs,
    .hidden = true,
};
