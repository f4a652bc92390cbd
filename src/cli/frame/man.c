/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/man.h"
#include "bdr/osfile.h"
#include "frame/help.h"
#include "frame/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Text as roff sees it: a dash stays a dash, a leading dot is no request. */
static void man_put(struct bdr_buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool at_start = !out->len || out->data[out->len - 1] == '\n';

        if (s[i] == '\\')
            bdr_buf_printf(out, "\\e");
        else if (s[i] == '-')
            bdr_buf_printf(out, "\\-");
        else if (s[i] == '"')
            bdr_buf_printf(out, "\\(dq");
        else if ((s[i] == '.' || s[i] == '\'') && at_start)
            bdr_buf_printf(out, "\\&%c", s[i]);
        else if (s[i] == '\'')
            bdr_buf_printf(out, "\\(aq");
        else if (s[i] == '`')
            bdr_buf_printf(out, "\\(ga");
        else if (s[i] == '~')
            bdr_buf_printf(out, "\\(ti");
        else if (s[i] == '^')
            bdr_buf_printf(out, "\\(ha");
        else
            bdr_buf_u8(out, (uint8_t)s[i]);
    }
}

static void man_text(struct bdr_buf *out, const char *s)
{
    man_put(out, s, strlen(s));
}

static void man_line(struct bdr_buf *out, const char *s)
{
    man_text(out, s);
    bdr_buf_u8(out, '\n');
}

/* "bdr-key-export" */
static void man_name(const struct bdr_app *app, const char *path, char *buf, size_t n)
{
    snprintf(buf, n, "%s%s%s", app->name, *path ? "-" : "", path);
    for (char *p = buf; *p; p++)
        if (*p == ' ')
            *p = '-';
}

/* Paragraphs; lines that begin with a space keep their form. */
static void man_paragraphs(struct bdr_buf *out, const char *text)
{
    bool verbatim = false;

    while (*text) {
        size_t len = strcspn(text, "\n");
        bool keep = *text == ' ';

        if (keep != verbatim)
            bdr_buf_printf(out, keep ? ".PP\n.nf\n" : ".fi\n");
        verbatim = keep;
        if (!len)
            bdr_buf_printf(out, ".PP\n");
        man_put(out, text, len);
        if (len)
            bdr_buf_u8(out, '\n');
        text += len + (text[len] == '\n');
    }
    if (verbatim)
        bdr_buf_printf(out, ".fi\n");
}

static void man_options(struct bdr_buf *out, const char *title, const struct bdr_opt *rows)
{
    bool any = false;

    for (const struct bdr_opt *opt = rows; opt && opt->name; opt++) {
        BDR_AUTO(buf) struct bdr_buf facts = {0};
        const char *metavar = bdr_opt_metavar(opt);

        if (opt->hidden)
            continue;
        if (!any)
            bdr_buf_printf(out, ".SH %s\n", title);
        any = true;
        bdr_buf_printf(out, ".TP\n");
        if (opt->letter)
            bdr_buf_printf(out, "\\fB\\-%c\\fR, ", opt->letter);
        bdr_buf_printf(out, "\\fB\\-\\-");
        man_text(out, opt->name);
        bdr_buf_printf(out, "\\fR%s", *metavar ? " \\fI" : "");
        man_text(out, metavar);
        bdr_buf_printf(out, "%s\n", *metavar ? "\\fR" : "");
        bdr_buf_printf(&facts, "%s", opt->help);
        bdr_help_facts(opt, &facts);
        man_line(out, bdr_text_of(&facts));
        out->failed = out->failed || facts.failed;
    }
}

static void man_args(struct bdr_buf *out, const struct bdr_arg *rows)
{
    if (rows && rows->name)
        bdr_buf_printf(out, ".SH ARGUMENTS\n");
    for (const struct bdr_arg *arg = rows; arg && arg->name; arg++) {
        bdr_buf_printf(out, ".TP\n\\fI");
        man_text(out, arg->name);
        bdr_buf_printf(out, "\\fR\n");
        man_line(out, arg->help);
    }
}

static void man_subs(struct bdr_buf *out, const struct bdr_cmd *cmd)
{
    if (!cmd->subs)
        return;
    bdr_buf_printf(out, ".SH COMMANDS\n");
    for (const struct bdr_cmd *const *sub = cmd->subs; *sub; sub++) {
        if ((*sub)->hidden)
            continue;
        if ((*sub)->group) {
            bdr_buf_printf(out, ".SS ");
            man_line(out, (*sub)->group);
        }
        bdr_buf_printf(out, ".TP\n\\fB");
        man_text(out, (*sub)->name);
        bdr_buf_printf(out, "\\fR\n");
        man_text(out, (*sub)->summary);
        bdr_buf_printf(out, ".\n");
    }
}

static void man_exits(struct bdr_buf *out, const struct bdr_cmd *cmd)
{
    bool seen[256] = {false};

    bdr_buf_printf(out, ".SH EXIT STATUS\n.TP\n0\nSuccess.\n");
    for (int code = BDR_OK + 1; code < BDR_CODE_END; code++) {
        int e = bdr_code_exit((enum bdr_code)code);
        const char *gap = "";

        if (e < 0 || e > 255 || seen[e])
            continue;
        seen[e] = true;
        bdr_buf_printf(out, ".TP\n%d\n", e);
        for (int other = code; other < BDR_CODE_END; other++) {
            if (bdr_code_exit((enum bdr_code)other) != e)
                continue;
            bdr_buf_printf(out, "%s", gap);
            man_text(out, bdr_code_title((enum bdr_code)other));
            gap = "; ";
        }
        bdr_buf_printf(out, ".\n");
    }
    for (const struct bdr_exit_note *note = cmd->exits; note && note->code; note++) {
        bdr_buf_printf(out, ".TP\n%d (of this command)\n", note->code);
        man_line(out, note->text);
    }
}

static void man_environment(struct bdr_buf *out, const struct bdr_opt *const tables[2])
{
    bdr_buf_printf(out, ".SH ENVIRONMENT\n");
    for (int t = 0; t < 2; t++) {
        for (const struct bdr_opt *opt = tables[t]; opt && opt->name; opt++) {
            if (!opt->env || opt->hidden)
                continue;
            bdr_buf_printf(out, ".TP\n\\fB");
            man_text(out, opt->env);
            bdr_buf_printf(out, "\\fR\nThe same as \\fB\\-\\-");
            man_text(out, opt->name);
            bdr_buf_printf(out, "\\fR, which goes before it.\n");
        }
    }
    bdr_buf_printf(out, ".TP\n\\fBNO_COLOR\\fR\nWhen set, no colors are used.\n");
}

static void man_files(struct bdr_buf *out, const struct bdr_app *app)
{
    if (!app->configs || !*app->configs)
        return;
    bdr_buf_printf(out, ".SH FILES\n");
    for (const char *const *path = app->configs; *path; path++) {
        bdr_buf_printf(out, ".TP\n\\fI");
        man_text(out, *path);
        bdr_buf_printf(out,
                       "\\fR\nLines of the form key = value; a command's own keys stand in a [section] with its "
                       "name.\n%s",
                       path == app->configs ? "" : "Goes before the file above.\n");
    }
}

static void man_examples(struct bdr_buf *out, const struct bdr_cmd *cmd)
{
    if (!cmd->examples)
        return;
    bdr_buf_printf(out, ".SH EXAMPLES\n.nf\n");
    man_text(out, cmd->examples);
    if (out->len && out->data[out->len - 1] != '\n')
        bdr_buf_u8(out, '\n');
    bdr_buf_printf(out, ".fi\n");
}

/* The pages next to this one: the one above and the ones below. */
static void man_see_also(struct bdr_buf *out, const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path)
{
    char above[80], name[128], here[128];
    bool any = false;

    man_name(app, path, here, sizeof(here));
    if (*path) {
        snprintf(above, sizeof(above), "%s", path);
        if (strrchr(above, ' '))
            *strrchr(above, ' ') = 0;
        else
            above[0] = 0;
        man_name(app, above, name, sizeof(name));
        bdr_buf_printf(out, ".SH SEE ALSO\n.BR ");
        man_text(out, name);
        bdr_buf_printf(out, " (1)");
        any = true;
    }
    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        if ((*sub)->hidden)
            continue;
        bdr_buf_printf(out, "%s.BR ", any ? " ,\n" : ".SH SEE ALSO\n");
        any = true;
        man_text(out, here);
        bdr_buf_printf(out, "\\-");
        man_text(out, (*sub)->name);
        bdr_buf_printf(out, " (1)");
    }
    if (any)
        bdr_buf_u8(out, '\n');
}

void bdr_man_page(const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path, struct bdr_buf *out)
{
    const struct bdr_opt *const tables[2] = {cmd->opts, bdr_common_opts};
    BDR_AUTO(buf) struct bdr_buf usage = {0};
    char name[128];

    man_name(app, path, name, sizeof(name));
    bdr_buf_printf(out, ".\\\" Made from the command's table; don't edit.\n.TH \"");
    for (const char *p = name; *p; p++) {
        char up = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;

        man_put(out, &up, 1);
    }
    /* No date: the same source gives the same page. */
    bdr_buf_printf(out, "\" 1 \"\" \"%s %s\" \"%s\"\n.SH NAME\n", app->title, app->version, app->title);
    man_text(out, name);
    bdr_buf_printf(out, " \\- ");
    man_line(out, cmd->summary);
    bdr_help_usage(app, cmd, path, &usage);
    bdr_buf_printf(out, ".SH SYNOPSIS\n.B ");
    man_line(out, bdr_text_of(&usage));
    bdr_buf_printf(out, ".SH DESCRIPTION\n");
    if (cmd->help) {
        man_paragraphs(out, cmd->help);
    } else {
        man_text(out, cmd->summary);
        bdr_buf_printf(out, ".\n");
    }
    man_args(out, cmd->args);
    man_subs(out, cmd);
    man_options(out, "OPTIONS", cmd->opts);
    man_options(out, "COMMON OPTIONS", bdr_common_opts);
    man_environment(out, tables);
    man_files(out, app);
    man_exits(out, cmd);
    man_examples(out, cmd);
    man_see_also(out, app, cmd, path);
    out->failed = out->failed || usage.failed;
}

static struct bdr_err *man_write_one(const struct bdr_app *app, const struct bdr_cmd *cmd, const char *path,
                                     const char *dir)
{
    BDR_AUTO(buf) struct bdr_buf page = {0};
    BDR_AUTO(mem) char *file = NULL;
    BDR_AUTO(fd) int fd = -1;
    char name[128], deeper[80];

    bdr_man_page(app, cmd, path, &page);
    BDR_TRY(bdr_buf_check(&page));
    man_name(app, path, name, sizeof(name));
    if (asprintf(&file, "%s/%s.1", dir, name) < 0) {
        file = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        BDR_FAIL_ERRNO("making %s", file);
    BDR_TRY(bdr_os_write(fd, file, page.data, page.len));
    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        if ((*sub)->hidden)
            continue;
        snprintf(deeper, sizeof(deeper), "%s%s%s", path, *path ? " " : "", (*sub)->name);
        BDR_TRY(man_write_one(app, *sub, deeper, dir));
    }
    return NULL;
}

struct bdr_err *bdr_man_write(const struct bdr_app *app, const char *dir)
{
    return man_write_one(app, app->root, "", dir);
}
