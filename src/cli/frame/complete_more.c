/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for zsh (_arguments) and fish (complete). Source: zshcompsys(1), fish's complete(1). */
#include "frame/complete.h"
#include "frame/value.h"
#include <stdio.h>
#include <string.h>

static bool more_has_value(const struct bdr_opt *opt)
{
    return opt->type != BDR_OPT_FLAG && opt->type != BDR_OPT_COUNT;
}

/* Text inside of single quotes; `special` characters get a backslash for _arguments. */
static void zsh_text(struct bdr_buf *out, const char *s, const char *special)
{
    for (; *s; s++) {
        if (*s == '\'')
            bdr_buf_printf(out, "'\\''");
        else if (strchr(special, *s))
            bdr_buf_printf(out, "\\%c", *s);
        else
            bdr_buf_u8(out, (uint8_t)*s);
    }
}

/* ":METAVAR:action" */
static void zsh_action(struct bdr_buf *out, const char *name, enum bdr_opt_type type, const char *choices, bool path)
{
    const char *word;
    size_t len;

    bdr_buf_u8(out, ':');
    zsh_text(out, name, "[]:\\");
    bdr_buf_u8(out, ':');
    if (choices) {
        bdr_buf_u8(out, '(');
        for (const char *gap = ""; bdr_choice_next(&choices, &word, &len); gap = " ")
            bdr_buf_printf(out, "%s%.*s", gap, (int)len, word);
        bdr_buf_u8(out, ')');
    } else {
        bdr_buf_printf(out, type == BDR_OPT_PATH || path ? "_files" : " ");
    }
}

static void zsh_option(struct bdr_buf *out, const struct bdr_opt *opt, bool short_form)
{
    bool many = opt->type == BDR_OPT_LIST || opt->type == BDR_OPT_COUNT;

    bdr_buf_printf(out, "        '");
    if (many)
        bdr_buf_u8(out, '*');
    else if (opt->letter)
        bdr_buf_printf(out, "(-%c --%s)", opt->letter, opt->name);
    if (short_form)
        bdr_buf_printf(out, "-%c%s[", opt->letter, more_has_value(opt) ? "+" : "");
    else
        bdr_buf_printf(out, "--%s%s[", opt->name, more_has_value(opt) ? "=" : "");
    zsh_text(out, opt->help, "[]\\");
    bdr_buf_u8(out, ']');
    if (more_has_value(opt))
        zsh_action(out, opt->choices ? opt->name : bdr_opt_metavar(opt), opt->type, opt->choices, opt->path);
    bdr_buf_printf(out, "' \\\n");
}

static void zsh_options(struct bdr_buf *out, const struct bdr_opt *rows)
{
    for (const struct bdr_opt *opt = rows; opt && opt->name; opt++) {
        if (opt->hidden)
            continue;
        zsh_option(out, opt, false);
        if (opt->letter)
            zsh_option(out, opt, true);
    }
}

static void zsh_group(struct bdr_buf *out, const struct bdr_cmd *cmd, const char *fn)
{
    bdr_buf_printf(out, "        '1: :->command' '*:: :->rest' && return\n"
                        "    case $state in\n"
                        "    command)\n"
                        "        commands=(\n");
    for (const struct bdr_cmd *const *sub = cmd->subs; *sub; sub++) {
        if ((*sub)->hidden)
            continue;
        bdr_buf_printf(out, "            '%s:", (*sub)->name);
        zsh_text(out, (*sub)->summary, ":\\");
        bdr_buf_printf(out, "'\n");
    }
    bdr_buf_printf(out, "        )\n"
                        "        _describe command commands\n"
                        "        ;;\n"
                        "    rest)\n"
                        "        case $line[1] in\n");
    for (const struct bdr_cmd *const *sub = cmd->subs; *sub; sub++)
        if (!(*sub)->hidden)
            bdr_buf_printf(out, "        %s) %s_%s ;;\n", (*sub)->name, fn, (*sub)->name);
    bdr_buf_printf(out, "        esac\n"
                        "        ;;\n"
                        "    esac\n");
}

static void zsh_leaf(struct bdr_buf *out, const struct bdr_app *app, const struct bdr_cmd *cmd)
{
    unsigned n = 0;

    for (const struct bdr_arg *arg = cmd->args; arg && arg->name; arg++) {
        const char *need = arg->need == BDR_ARG_OPTIONAL ? ":" : "";

        n++;
        if (arg->need == BDR_ARG_MANY || arg->need == BDR_ARG_ANY)
            bdr_buf_printf(out, "        '*");
        else
            bdr_buf_printf(out, "        '%u%s", n, need);
        if (arg->command) {
            bdr_buf_printf(out, ":command:(");
            for (const struct bdr_cmd *const *sub = app->root->subs; *sub; sub++)
                if (!(*sub)->hidden)
                    bdr_buf_printf(out, "%s ", (*sub)->name);
            bdr_buf_u8(out, ')');
        } else {
            zsh_action(out, arg->name, arg->type, arg->choices, arg->path);
        }
        bdr_buf_printf(out, "' \\\n");
    }
    bdr_buf_printf(out, "        && return\n");
}

/* One function a command; below first. `fn` is "_bdr_key". */
static void zsh_command(struct bdr_buf *out, const struct bdr_app *app, const struct bdr_cmd *cmd, const char *fn)
{
    char deeper[128];

    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        snprintf(deeper, sizeof(deeper), "%s_%s", fn, (*sub)->name);
        if (!(*sub)->hidden)
            zsh_command(out, app, *sub, deeper);
    }
    bdr_buf_printf(out,
                   "\n%s() {\n"
                   "    local curcontext=\"$curcontext\" state line\n"
                   "    local -a commands\n"
                   "    typeset -A opt_args\n"
                   "    _arguments -C -s \\\n",
                   fn);
    zsh_options(out, cmd->opts);
    zsh_options(out, bdr_common_opts);
    if (cmd->subs)
        zsh_group(out, cmd, fn);
    else
        zsh_leaf(out, app, cmd);
    bdr_buf_printf(out, "}\n");
}

void bdr_complete_zsh(const struct bdr_app *app, struct bdr_buf *out)
{
    char fn[64];

    bdr_buf_printf(out, "#compdef %s\n# zsh completion for %s; made by '%s completion zsh'\n", app->name, app->name,
                   app->name);
    snprintf(fn, sizeof(fn), "_%s", app->name);
    zsh_command(out, app, app->root, fn);
    /* Autoloaded from fpath the file is the function's body; sourced, it must register itself. */
    bdr_buf_printf(out, "\nif [[ $funcstack[1] == %s ]]; then\n    %s \"$@\"\nelse\n    compdef %s %s\nfi\n", fn, fn,
                   fn, app->name);
}

/* Inside of fish's single quotes only \ and ' are special. */
static void fish_text(struct bdr_buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            bdr_buf_u8(out, '\\');
        bdr_buf_u8(out, (uint8_t)*s);
    }
}

static void fish_option(struct bdr_buf *out, const struct bdr_app *app, const struct bdr_opt *opt, const char *path)
{
    const char *choices = opt->choices, *word;
    size_t len;

    bdr_buf_printf(out, "complete -c %s", app->name);
    if (path)
        bdr_buf_printf(out, " -n '__%s_at \"%s\"'", app->name, path);
    bdr_buf_printf(out, " -l %s", opt->name);
    if (opt->letter)
        bdr_buf_printf(out, " -s %c", opt->letter);
    if (choices) {
        bdr_buf_printf(out, " -x -a '");
        for (const char *gap = ""; bdr_choice_next(&choices, &word, &len); gap = " ")
            bdr_buf_printf(out, "%s%.*s", gap, (int)len, word);
        bdr_buf_u8(out, '\'');
    } else if (more_has_value(opt)) {
        bdr_buf_printf(out, opt->type == BDR_OPT_PATH || opt->path ? " -r -F" : " -x");
    }
    bdr_buf_printf(out, " -d '");
    fish_text(out, opt->help);
    bdr_buf_printf(out, "'\n");
}

static void fish_arg(struct bdr_buf *out, const struct bdr_app *app, const struct bdr_arg *arg, const char *path)
{
    const char *choices = arg->choices, *word;
    size_t len;

    if (arg->type == BDR_OPT_PATH || arg->path) {
        bdr_buf_printf(out, "complete -c %s -n '__%s_at \"%s\"' -F\n", app->name, app->name, path);
    } else if (choices || arg->command) {
        bdr_buf_printf(out, "complete -c %s -n '__%s_at \"%s\"' -f -a '", app->name, app->name, path);
        while (choices && bdr_choice_next(&choices, &word, &len))
            bdr_buf_printf(out, "%.*s ", (int)len, word);
        for (const struct bdr_cmd *const *sub = app->root->subs; arg->command && *sub; sub++)
            if (!(*sub)->hidden)
                bdr_buf_printf(out, "%s ", (*sub)->name);
        bdr_buf_printf(out, "'\n");
    }
}

static void fish_command(struct bdr_buf *out, const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path)
{
    char deeper[128];

    for (const struct bdr_opt *opt = cmd->opts; opt && opt->name; opt++)
        if (!opt->hidden)
            fish_option(out, app, opt, path);
    for (const struct bdr_arg *arg = cmd->args; arg && arg->name; arg++)
        fish_arg(out, app, arg, path);
    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        if ((*sub)->hidden)
            continue;
        bdr_buf_printf(out, "complete -c %s -n '__%s_at \"%s\"' -a %s -d '", app->name, app->name, path, (*sub)->name);
        fish_text(out, (*sub)->summary);
        bdr_buf_printf(out, "'\n");
        snprintf(deeper, sizeof(deeper), "%s%s%s", path, *path ? " " : "", (*sub)->name);
        fish_command(out, app, *sub, deeper);
    }
}

static void fish_paths(struct bdr_buf *out, const struct bdr_cmd *cmd, const char *path)
{
    char deeper[128];

    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        snprintf(deeper, sizeof(deeper), "%s%s%s", path, *path ? " " : "", (*sub)->name);
        bdr_buf_printf(out, " '%s'", deeper);
        fish_paths(out, *sub, deeper);
    }
}

void bdr_complete_fish(const struct bdr_app *app, struct bdr_buf *out)
{
    const char *a = app->name;

    bdr_buf_printf(out, "# fish completion for %s; made by '%s completion fish'\n", a, a);
    bdr_buf_printf(out, "set -g __%s_paths", a);
    fish_paths(out, app->root, "");
    bdr_buf_printf(out,
                   "\n\n# True when the command typed so far is $argv[1].\n"
                   "function __%s_at\n"
                   "    set -l path\n"
                   "    for word in (commandline -opc)[2..-1]\n"
                   "        set -l next (string join -- ' ' $path $word)\n"
                   "        contains -- \"$next\" $__%s_paths; and set path $next\n"
                   "    end\n"
                   "    test \"$path\" = \"$argv[1]\"\n"
                   "end\n\n"
                   "complete -c %s -f\n",
                   a, a, a);
    for (const struct bdr_opt *opt = bdr_common_opts; opt->name; opt++)
        if (!opt->hidden)
            fish_option(out, app, opt, NULL);
    fish_command(out, app, app->root, "");
}
