/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/help.h"
#include "bdr/suggest.h"
#include "frame/text.h"
#include "frame/value.h"
#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 28  /* where explanations begin */
#define HELP_NARROW 64  /* below this, they stand on their own lines */
#define HELP_WIDE   100 /* longer lines read badly */

void bdr_help_usage(const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path, struct bdr_buf *out)
{
    bdr_buf_printf(out, "%s%s%s", app->name, *path ? " " : "", path);
    if (cmd->subs)
        bdr_buf_printf(out, " COMMAND");
    bdr_buf_printf(out, " [OPTIONS]");
    for (const struct bdr_opt *opt = cmd->opts; opt && opt->name; opt++)
        if (opt->required)
            bdr_buf_printf(out, " --%s %s", opt->name, bdr_opt_metavar(opt));
    for (const struct bdr_arg *arg = cmd->args; arg && arg->name; arg++) {
        bool maybe = arg->need == BDR_ARG_OPTIONAL || arg->need == BDR_ARG_ANY;
        bool many = arg->need == BDR_ARG_MANY || arg->need == BDR_ARG_ANY;

        bdr_buf_printf(out, maybe ? " [%s%s]" : " %s%s", arg->name, many ? "..." : "");
    }
}

void bdr_help_facts(const struct bdr_opt *opt, struct bdr_buf *out)
{
    const char *gap = " (";

    if (opt->required) {
        bdr_buf_printf(out, "%srequired", gap);
        gap = "; ";
    }
    if (opt->def && *opt->def) {
        bdr_buf_printf(out, "%sdefault: %s", gap, opt->def);
        gap = "; ";
    }
    if (opt->env) {
        bdr_buf_printf(out, "%senvironment: %s", gap, opt->env);
        gap = "; ";
    }
    if (opt->type == BDR_OPT_LIST || opt->type == BDR_OPT_COUNT) {
        bdr_buf_printf(out, "%smay be repeated", gap);
        gap = "; ";
    }
    if (*gap == ';')
        bdr_buf_u8(out, ')');
}

/* A term on the left and its explanation on the right. */
static void help_pair(struct bdr_buf *out, const char *term, const char *text, unsigned width)
{
    unsigned at = 2 + bdr_text_width(term), column = width < HELP_NARROW ? 6 : HELP_COLUMN;

    bdr_buf_printf(out, "  %s", term);
    if (width < HELP_NARROW || at + 2 > column) {
        bdr_buf_u8(out, '\n');
        at = 0;
    }
    bdr_text_fill(out, ' ', column - at);
    bdr_text_wrap(out, text, column, column, width);
}

static void help_title(struct bdr_buf *out, const char *title)
{
    bdr_buf_printf(out, "\n%s:\n", title);
}

static void help_options(struct bdr_buf *out, const char *title, const struct bdr_opt *rows, unsigned width)
{
    bool any = false;

    for (const struct bdr_opt *opt = rows; opt && opt->name; opt++) {
        BDR_AUTO(buf) struct bdr_buf text = {0};
        const char *metavar = bdr_opt_metavar(opt);
        char letter[8] = "    ", term[160];

        if (opt->hidden)
            continue;
        if (!any)
            help_title(out, title);
        any = true;
        if (opt->letter)
            snprintf(letter, sizeof(letter), "-%c, ", opt->letter);
        snprintf(term, sizeof(term), "%s--%s%s%s", letter, opt->name, *metavar ? " " : "", metavar);
        bdr_buf_printf(&text, "%s", opt->help);
        bdr_help_facts(opt, &text);
        help_pair(out, term, bdr_text_of(&text), width);
        out->failed = out->failed || text.failed;
    }
}

static void help_args(struct bdr_buf *out, const struct bdr_arg *rows, unsigned width)
{
    if (!rows || !rows->name)
        return;
    help_title(out, "Arguments");
    for (const struct bdr_arg *arg = rows; arg->name; arg++)
        help_pair(out, arg->name, arg->help, width);
}

static void help_subs(struct bdr_buf *out, const struct bdr_cmd *cmd, unsigned width)
{
    bool any = false;

    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        if ((*sub)->hidden)
            continue;
        if ((*sub)->group || !any)
            help_title(out, (*sub)->group ? (*sub)->group : "Commands");
        any = true;
        help_pair(out, (*sub)->name, (*sub)->summary, width);
    }
}

static void help_exits(struct bdr_buf *out, const struct bdr_cmd *cmd, unsigned width)
{
    char term[16];

    if (!cmd->exits)
        return;
    help_title(out, "Exit codes of its own");
    for (const struct bdr_exit_note *e = cmd->exits; e->code; e++) {
        snprintf(term, sizeof(term), "%d", e->code);
        help_pair(out, term, e->text, width);
    }
}

static void help_examples(struct bdr_buf *out, const struct bdr_cmd *cmd)
{
    if (!cmd->examples)
        return;
    help_title(out, "Examples");
    for (const char *line = cmd->examples; *line;) {
        size_t len = strcspn(line, "\n");

        if (len) {
            bdr_buf_printf(out, "  ");
            bdr_buf_put(out, line, len);
        }
        bdr_buf_u8(out, '\n');
        line += len + (line[len] == '\n');
    }
}

void bdr_help_text(const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path, unsigned width,
                   struct bdr_buf *out)
{
    BDR_AUTO(buf) struct bdr_buf usage = {0};

    width = width ? BDR_MIN(width, HELP_WIDE) : 80;
    bdr_help_usage(app, cmd, path, &usage);
    bdr_buf_printf(out, "Usage: ");
    bdr_text_wrap(out, bdr_text_of(&usage), 7, 7, width);
    bdr_buf_u8(out, '\n');
    if (cmd->help) {
        bdr_text_paragraphs(out, cmd->help, 0, width);
    } else {
        bdr_text_put(out, cmd->summary, 0);
        bdr_buf_printf(out, ".\n");
    }
    help_args(out, cmd->args, width);
    help_subs(out, cmd, width);
    help_options(out, "Options", cmd->opts, width);
    help_options(out, cmd->subs ? "Options of every command" : "Common options", bdr_common_opts, width);
    help_exits(out, cmd, width);
    help_examples(out, cmd);
    if (cmd->subs) {
        bdr_buf_printf(out, "\nRun '%s help%s%s COMMAND' for more about one of them.\n", app->name, *path ? " " : "",
                       path);
    }
    out->failed = out->failed || usage.failed;
}

struct bdr_err *bdr_help_find(const struct bdr_app *app, const struct bdr_list *words, const struct bdr_cmd **out,
                              char out_path[64])
{
    const struct bdr_cmd *cmd = app->root;
    char path[64] = "", hint[160];

    for (size_t i = 0; i < words->count; i++) {
        const struct bdr_cmd *sub = bdr_cmd_sub(cmd, words->items[i]);
        struct bdr_nearest near = {.typed = words->items[i]};
        size_t len = strlen(path);

        for (const struct bdr_cmd *const *s = cmd->subs; s && *s && !sub; s++)
            bdr_nearest_offer(&near, (*s)->name);
        if (!sub)
            BDR_FAIL(BDR_INVAL, 0, "no command is called '%s%s%.64s'%s", path, len ? " " : "", words->items[i],
                     bdr_nearest_text(&near, "", hint, sizeof(hint)));
        snprintf(path + len, sizeof(path) - len, "%s%s", len ? " " : "", sub->name);
        cmd = sub;
    }
    *out = cmd;
    memcpy(out_path, path, sizeof(path));
    return NULL;
}
