/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/cli.h"
#include "bdr/log.h"
#include "frame/help.h"
#include "frame/signals.h"
#include "frame/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool bdr_cli_given(const struct bdr_cli *cli, const char *name)
{
    const struct bdr_opt *opt = bdr_opt_find(cli->cmd->opts, name);
    const struct bdr_setting *win;

    if (!opt)
        opt = bdr_opt_find(bdr_common_opts, name);
    BDR_ASSERT(opt);
    win = bdr_parsed_winner(cli->parsed, opt);
    return win && win->from != BDR_FROM_DEFAULT;
}

void bdr_cli_hint(struct bdr_cli *cli, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    bdr_out_hint(cli->out, text);
}

struct bdr_err *bdr_cli_repo(const struct bdr_cli *cli, const char *positional, const char **out)
{
    const char *repo = positional ? positional : cli->common->repo;

    if (!repo || !*repo)
        BDR_FAIL(BDR_INVAL, 0, "which repository? name it with --repo, BDR_REPO or 'repo = ...' in %s",
                 cli->app->configs && *cli->app->configs ? cli->app->configs[0] : "a configuration file");
    *out = repo;
    return NULL;
}

static enum bdr_progress_mode cli_progress_mode(const struct bdr_common *c)
{
    static const struct {
        const char *name;
        enum bdr_progress_mode mode;
    } modes[] = {{"tty", BDR_PROGRESS_TTY},
                 {"lines", BDR_PROGRESS_LINES},
                 {"json", BDR_PROGRESS_JSON},
                 {"none", BDR_PROGRESS_NONE}};

    if (c->no_progress)
        return BDR_PROGRESS_NONE;
    for (size_t i = 0; i < BDR_COUNT(modes); i++)
        if (!strcmp(modes[i].name, c->progress))
            return modes[i].mode;
    if (c->quiet)
        return BDR_PROGRESS_NONE;
    if (isatty(STDERR_FILENO))
        return BDR_PROGRESS_TTY;
    return c->json || c->log_json ? BDR_PROGRESS_NONE : BDR_PROGRESS_LINES;
}

struct bdr_err *bdr_cli_progress(struct bdr_cli *cli, const struct bdr_progress_source *source,
                                 struct bdr_progress **out)
{
    struct bdr_progress_how how = {
        .mode = cli_progress_mode(cli->common), .fd = STDERR_FILENO, .every_ms = cli->common->progress_every_ms};

    if (source)
        how.source = *source;
    return bdr_progress_start(&how, out);
}

static void cli_log_setup(const struct bdr_common *c)
{
    static const enum bdr_log_level levels[] = {BDR_LOG_WARN, BDR_LOG_INFO, BDR_LOG_DEBUG};

    bdr_log_around(bdr_screen_begin, bdr_screen_end);
    bdr_log_setup(c->quiet ? BDR_LOG_ERROR : levels[BDR_MIN(c->verbose, BDR_COUNT(levels) - 1)], c->log_json);
}

static struct bdr_err *cli_say_help(const struct bdr_parsed *p, struct bdr_out *out)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};

    bdr_help_text(p->app, p->cmd, p->path, bdr_out_width(out), &text);
    BDR_TRY(bdr_buf_check(&text));
    return bdr_out_raw(out, text.data, text.len);
}

static struct bdr_err *cli_run(struct bdr_cli *cli)
{
    const struct bdr_parsed *p = cli->parsed;
    char line[96];

    if (p->stopped && p->common.version) {
        snprintf(line, sizeof(line), "%s %s\n", p->app->name, p->app->version);
        return bdr_out_raw(cli->out, line, strlen(line));
    }
    if (p->stopped || !p->cmd->run)
        return cli_say_help(p, cli->out);
    return p->cmd->run(p->args, cli);
}

/* Before there is a struct bdr_out: nothing but plain words is possible. */
static int cli_early(struct bdr_err *err)
{
    char text[512];
    int code = bdr_code_exit(err->code);

    fprintf(stderr, "bdr: %s\n", bdr_err_text(err, text, sizeof(text)));
    bdr_err_free(err);
    return code;
}

int bdr_cli_main(const struct bdr_app *app, int argc, char **argv)
{
    static struct bdr_cancel cancel; /* outlives main: a handler points to it */
    BDR_AUTO(parsed) struct bdr_parsed parsed = {0};
    BDR_AUTO(out) struct bdr_out *out = NULL;
    BDR_AUTO(err) struct bdr_err *err = NULL;
    struct bdr_out_how how;
    struct bdr_cli cli;

    bdr_text_setup();
    err = bdr_signals_setup(&cancel);
    if (!err)
        err = bdr_parse(app, argc, argv, &bdr_world_real, &parsed);
    how = bdr_out_how_real();
    how.json = parsed.common.json;
    how.quiet = parsed.common.quiet;
    if (!parsed.app || !parsed.cmd)
        return cli_early(BDR_STEAL(err));
    {
        struct bdr_err *bad = bdr_out_new(&how, &out);

        if (bad)
            return cli_early(bdr_err_first(BDR_STEAL(err), bad));
    }
    cli = (struct bdr_cli){
        .app = app, .cmd = parsed.cmd, .common = &parsed.common, .cancel = &cancel, .out = out, .parsed = &parsed};
    if (err && bdr_code_exit(err->code) == 2) {
        bdr_cli_hint(&cli, "'%s%s%s --help' explains it", app->name, *parsed.path ? " " : "", parsed.path);
    } else if (!err) {
        cli_log_setup(&parsed.common);
        err = cli_run(&cli);
    }
    return bdr_out_finish(out, err, parsed.cmd, app);
}
