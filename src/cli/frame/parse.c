/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/parse.h"
#include "frame/settings.h"
#include "bdr/suggest.h"
#include "frame/value.h"
#include <stdio.h>
#include <string.h>

/* What is left of argv. */
struct parse_line {
    int argc, at;
    char *const *argv;
    bool no_more_options; /* "--" was met */
};

static const char *parse_real_env(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}
const struct bdr_world bdr_world_real = {.env = parse_real_env};

static const struct bdr_opt *parse_find(const struct bdr_parsed *p, const char *name, char letter)
{
    const struct bdr_opt *const tables[] = {p->cmd->opts, bdr_common_opts};

    for (size_t t = 0; t < BDR_COUNT(tables); t++)
        for (const struct bdr_opt *opt = tables[t]; opt && opt->name; opt++)
            if (name ? !strcmp(opt->name, name) : opt->letter == letter)
                return opt;
    return NULL;
}

static struct bdr_err *parse_unknown_option(const struct bdr_parsed *p, const char *name)
{
    struct bdr_nearest near = {.typed = name};
    const struct bdr_opt *const tables[] = {p->cmd->opts, bdr_common_opts};
    char hint[160];

    for (size_t t = 0; t < BDR_COUNT(tables); t++)
        for (const struct bdr_opt *opt = tables[t]; opt && opt->name; opt++)
            if (!opt->hidden)
                bdr_nearest_offer(&near, opt->name);
    if (!near.best && p->cmd->subs)
        BDR_FAIL(BDR_INVAL, 0, "unknown option '--%s'; a command's own options come after its name", name);
    BDR_FAIL(BDR_INVAL, 0, "unknown option '--%s'%s", name, bdr_nearest_text(&near, "--", hint, sizeof(hint)));
}

/* Remembers a flag; `text` NULL when it has no value. */
static struct bdr_err *parse_set(struct bdr_parsed *p, const struct bdr_opt *opt, const char *text)
{
    if (text)
        BDR_TRY_FOR(bdr_setting_check(opt, text), "option --%s", opt->name);
    BDR_TRY(
        bdr_settings_add(p, (struct bdr_setting){.opt = opt, .text = text, .from = BDR_FROM_FLAG, .rank = RANK_FLAG}));
    p->stopped = p->stopped || opt->stops;
    return NULL;
}

static struct bdr_err *parse_value_of(struct parse_line *line, const struct bdr_opt *opt, const char **out)
{
    if (line->at + 1 >= line->argc)
        BDR_FAIL(BDR_INVAL, 0, "option --%s needs a value: %s, like %s", opt->name, bdr_opt_metavar(opt),
                 opt->type == BDR_OPT_CHOICE ? opt->choices : bdr_value_type(opt->type)->like);
    *out = line->argv[++line->at];
    return NULL;
}

static bool parse_is_switch(const struct bdr_opt *opt)
{
    return opt->type == BDR_OPT_FLAG || opt->type == BDR_OPT_COUNT;
}

static struct bdr_err *parse_long(struct bdr_parsed *p, struct parse_line *line, const char *word)
{
    const char *eq = strchr(word, '='), *text = eq ? eq + 1 : NULL;
    size_t len = eq ? (size_t)(eq - word) : strlen(word);
    const struct bdr_opt *opt;
    char name[64];

    if (len >= sizeof(name))
        BDR_FAIL(BDR_INVAL, 0, "unknown option '--%.32s...'", word);
    memcpy(name, word, len);
    name[len] = 0;
    opt = parse_find(p, name, 0);
    if (!opt)
        return parse_unknown_option(p, name);
    if (!text && !parse_is_switch(opt))
        BDR_TRY(parse_value_of(line, opt, &text));
    return parse_set(p, opt, text);
}

/* "-qv", "-rREPO", "-r REPO". */
static struct bdr_err *parse_letters(struct bdr_parsed *p, struct parse_line *line, const char *letters)
{
    for (const char *c = letters; *c; c++) {
        const struct bdr_opt *opt = parse_find(p, NULL, *c);
        const char *text = c[1] ? c + 1 : NULL;

        if (!opt && c == letters && c[1])
            BDR_FAIL(BDR_INVAL, 0, "unknown option '-%s'; long options begin with two dashes", letters);
        if (!opt)
            BDR_FAIL(BDR_INVAL, 0, "unknown option '-%c' in '-%s'", *c, letters);
        if (parse_is_switch(opt)) {
            BDR_TRY(parse_set(p, opt, NULL));
            continue;
        }
        if (!text)
            BDR_TRY(parse_value_of(line, opt, &text));
        return parse_set(p, opt, text);
    }
    return NULL;
}

static struct bdr_err *parse_unknown_command(const struct bdr_parsed *p, const char *word)
{
    struct bdr_nearest near = {.typed = word};
    const char *gap = *p->path ? " " : "";
    char hint[160];

    for (const struct bdr_cmd *const *sub = p->cmd->subs; *sub; sub++)
        if (!(*sub)->hidden)
            bdr_nearest_offer(&near, (*sub)->name);
    BDR_FAIL(BDR_INVAL, 0, "unknown command '%s%s%.64s'%s", p->path, gap, word,
             bdr_nearest_text(&near, "", hint, sizeof(hint)));
}

/* A word that is no option: the next command's name, or a positional argument. */
static struct bdr_err *parse_word(struct bdr_parsed *p, const char *word)
{
    if (p->cmd->subs) {
        const struct bdr_cmd *sub = bdr_cmd_sub(p->cmd, word);
        size_t len = strlen(p->path);

        if (!sub)
            return parse_unknown_command(p, word);
        snprintf(p->path + len, sizeof(p->path) - len, "%s%s", len ? " " : "", sub->name);
        p->cmd = sub;
        return NULL;
    }
    if (p->words_count == p->words_cap) {
        size_t cap = p->words_cap ? p->words_cap * 2 : 8;
        const char **grown = reallocarray(p->words, cap, sizeof(*grown));

        BDR_NOMEM_IF_NULL(grown);
        p->words = grown;
        p->words_cap = cap;
    }
    p->words[p->words_count++] = word;
    return NULL;
}

static struct bdr_err *parse_argv(struct bdr_parsed *p, struct parse_line *line)
{
    for (line->at = 1; line->at < line->argc && !p->stopped; line->at++) {
        const char *word = line->argv[line->at];

        if (line->no_more_options || word[0] != '-' || !word[1])
            BDR_TRY(parse_word(p, word));
        else if (!strcmp(word, "--"))
            line->no_more_options = true;
        else if (word[1] == '-')
            BDR_TRY(parse_long(p, line, word + 2));
        else
            BDR_TRY(parse_letters(p, line, word + 1));
    }
    return NULL;
}

static struct bdr_err *parse_arg(const struct bdr_arg *arg, const char *text, void *field)
{
    const struct bdr_opt as = {.name = arg->name, .type = arg->type, .choices = arg->choices};

    BDR_TRY_FOR(bdr_value_parse(&as, text, field), "%s", arg->name);
    return NULL;
}

/* How many words the rows from `arg` on must at least have. */
static size_t parse_needed(const struct bdr_arg *arg)
{
    size_t n = 0;

    for (; arg->name; arg++)
        n += arg->need == BDR_ARG_REQUIRED || arg->need == BDR_ARG_MANY;
    return n;
}

/* Deals the words to the rows of the positional arguments. */
static struct bdr_err *parse_deal(struct bdr_parsed *p)
{
    size_t at = 0;

    for (const struct bdr_arg *arg = p->cmd->args; arg && arg->name; arg++) {
        size_t left = p->words_count - at, later = parse_needed(arg + 1), mine = left > later ? left - later : 0;
        void *field = (char *)p->args + arg->offset;
        bool list = arg->need == BDR_ARG_MANY || arg->need == BDR_ARG_ANY;
        bool must = arg->need == BDR_ARG_MANY || arg->need == BDR_ARG_REQUIRED;

        if (!mine && left && must)
            mine = 1; /* so that a later one is said to be missing */
        if (!list)
            mine = BDR_MIN(mine, 1);
        if (!mine && must)
            BDR_FAIL(BDR_INVAL, 0, "%s is missing: %s", arg->name, arg->help);
        for (size_t i = 0; list && i < mine; i++) {
            const char *checked = NULL;

            BDR_TRY(parse_arg(arg, p->words[at + i], &checked));
        }
        if (list)
            *(struct bdr_list *)field = (struct bdr_list){.items = p->words + at, .count = mine};
        else if (mine)
            BDR_TRY(parse_arg(arg, p->words[at], field));
        at += mine;
    }
    if (at < p->words_count)
        BDR_FAIL(BDR_INVAL, 0, "'%s' is one argument too many", p->words[at]);
    return NULL;
}

static struct bdr_err *parse_group(const struct bdr_parsed *p)
{
    char names[200] = "";
    size_t at = 0;

    for (const struct bdr_cmd *const *sub = p->cmd->subs; *sub && at < sizeof(names); sub++)
        if (!(*sub)->hidden)
            at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "", (*sub)->name);
    BDR_FAIL(BDR_INVAL, 0, "say what to do after '%s': %s", p->path, names);
}

/* The stopping flags and --json, for a caller that must report before anything else is known. */
static void parse_early(struct bdr_parsed *p, const struct parse_line *line)
{
    for (int i = line->at; i < line->argc && !line->no_more_options; i++)
        if (!strcmp(line->argv[i], "--json")) /* behind the mistake that ended parsing */
            p->common.json = true;
    for (size_t i = 0; i < p->settings_count; i++) {
        const struct bdr_setting *s = &p->settings[i];
        bool v = true;

        if (s->opt->type != BDR_OPT_FLAG || bdr_opt_find(bdr_common_opts, s->opt->name) != s->opt)
            continue;
        if (s->text)
            bdr_err_drop(bdr_value_parse(s->opt, s->text, &v), "checked when it was read");
        *(bool *)((char *)&p->common + s->opt->offset) = v;
    }
}

static struct bdr_err *parse_fill(struct bdr_parsed *p, const struct bdr_world *world, bool strict)
{
    struct bdr_err *err;

    p->args = calloc(1, BDR_MAX(p->cmd->args_size, 1));
    BDR_NOMEM_IF_NULL(p->args);
    BDR_TRY(bdr_settings_defaults(p));
    BDR_TRY(bdr_settings_env(p, world));
    err = bdr_settings_files(p, world);
    if (err && p->cmd->no_config && err->code != BDR_NOMEM)
        bdr_err_drop(err, "this command helps to mend the configuration");
    else if (err)
        return err;
    return bdr_settings_apply(p, strict);
}

struct bdr_err *bdr_parse(const struct bdr_app *app, int argc, char *const *argv, const struct bdr_world *world,
                          struct bdr_parsed *out)
{
    struct parse_line line = {.argc = argc, .argv = argv};
    struct bdr_err *err;

    *out = (struct bdr_parsed){.app = app, .cmd = app->root};
    err = parse_argv(out, &line);
    parse_early(out, &line);
    if (err || out->stopped)
        return err;
    if (out->cmd->subs && out->cmd != app->root)
        return parse_group(out);
    BDR_TRY(parse_fill(out, world, true));
    return parse_deal(out);
}

struct bdr_err *bdr_parse_as(const struct bdr_parsed *flags, const struct bdr_cmd *cmd, const struct bdr_world *world,
                             struct bdr_parsed *out)
{
    *out = (struct bdr_parsed){.app = flags->app, .cmd = cmd};
    for (size_t i = 0; i < flags->settings_count; i++) {
        const struct bdr_setting *s = &flags->settings[i];

        if (s->from == BDR_FROM_FLAG && bdr_opt_find(bdr_common_opts, s->opt->name) == s->opt)
            BDR_TRY(bdr_settings_add(out, *s));
    }
    return parse_fill(out, world, false);
}

void bdr_parsed_free(struct bdr_parsed *p)
{
    for (size_t i = 0; i < p->kept_count; i++)
        free(p->kept[i]);
    free(p->kept);
    free(p->settings);
    free(p->words);
    free(p->args);
    *p = (struct bdr_parsed){0};
}
