/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/settings.h"
#include "bdr/osfile.h"
#include "frame/config.h"
#include "bdr/suggest.h"
#include "frame/value.h"
#include <stdio.h>
#include <string.h>

struct bdr_err *bdr_settings_add(struct bdr_parsed *p, struct bdr_setting s)
{
    if (p->settings_count == p->settings_cap) {
        size_t cap = p->settings_cap ? p->settings_cap * 2 : 32;
        struct bdr_setting *grown = reallocarray(p->settings, cap, sizeof(*grown));

        BDR_NOMEM_IF_NULL(grown);
        p->settings = grown;
        p->settings_cap = cap;
    }
    p->settings[p->settings_count++] = s;
    return NULL;
}

struct bdr_err *bdr_parsed_keep(struct bdr_parsed *p, void *mem)
{
    BDR_AUTO(mem) void *held = mem;

    BDR_NOMEM_IF_NULL(held);
    if (p->kept_count == p->kept_cap) {
        size_t cap = p->kept_cap ? p->kept_cap * 2 : 8;
        void **grown = reallocarray(p->kept, cap, sizeof(*grown));

        BDR_NOMEM_IF_NULL(grown);
        p->kept = grown;
        p->kept_cap = cap;
    }
    p->kept[p->kept_count++] = BDR_STEAL(held);
    return NULL;
}

/* "~/x" with the home folder in its place; other text as it is. */
static struct bdr_err *settings_home(struct bdr_parsed *p, const char *home, const char **text)
{
    char *full;
    size_t n;

    if (strncmp(*text, "~/", 2) != 0 || !home || !*home)
        return NULL;
    n = strlen(home) + strlen(*text);
    full = malloc(n);
    BDR_TRY(bdr_parsed_keep(p, full));
    snprintf(full, n, "%s%s", home, *text + 1);
    *text = full;
    return NULL;
}

static const char *settings_getenv(const struct bdr_world *world, const char *name)
{
    return world->env ? world->env(world->ctx, name) : NULL;
}

struct bdr_err *bdr_setting_check(const struct bdr_opt *opt, const char *text)
{
    union {
        uint64_t u64;
        const char *text;
        bool flag;
    } scratch = {0};

    return bdr_value_parse(opt, text, &scratch);
}

static struct bdr_err *settings_defaults_of(struct bdr_parsed *p, const struct bdr_opt *opt)
{
    for (; opt && opt->name; opt++)
        if (opt->def)
            BDR_TRY(bdr_settings_add(
                p, (struct bdr_setting){.opt = opt, .text = opt->def, .from = BDR_FROM_DEFAULT, .rank = RANK_DEFAULT}));
    return NULL;
}

struct bdr_err *bdr_settings_defaults(struct bdr_parsed *p)
{
    BDR_TRY(settings_defaults_of(p, p->cmd->opts));
    return settings_defaults_of(p, bdr_common_opts);
}

/* One variable; a LIST is split at commas. An empty variable counts as not set. */
static struct bdr_err *settings_env_one(struct bdr_parsed *p, const struct bdr_world *world, const struct bdr_opt *opt)
{
    struct bdr_setting s = {.opt = opt, .from = BDR_FROM_ENV, .rank = RANK_ENV};
    const char *text = settings_getenv(world, opt->env);
    char *copy, *comma;

    if (!text || !*text)
        return NULL;
    if (opt->type == BDR_OPT_PATH)
        BDR_TRY(settings_home(p, settings_getenv(world, "HOME"), &text));
    BDR_TRY_FOR(bdr_setting_check(opt, text), "environment variable %s", opt->env);
    if (opt->type != BDR_OPT_LIST) {
        s.text = text;
        return bdr_settings_add(p, s);
    }
    copy = strdup(text);
    BDR_TRY(bdr_parsed_keep(p, copy));
    for (; copy; copy = comma) {
        comma = strchr(copy, ',');
        if (comma)
            *comma++ = 0;
        s.text = copy;
        if (*copy)
            BDR_TRY(bdr_settings_add(p, s));
    }
    return NULL;
}

struct bdr_err *bdr_settings_env(struct bdr_parsed *p, const struct bdr_world *world)
{
    const struct bdr_opt *const tables[] = {p->cmd->opts, bdr_common_opts};

    for (size_t t = 0; t < BDR_COUNT(tables); t++)
        for (const struct bdr_opt *opt = tables[t]; opt && opt->name; opt++)
            if (opt->env)
                BDR_TRY(settings_env_one(p, world, opt));
    return NULL;
}

/* Configuration files. */

/* The command whose section is `path` ("key export"); NULL when there is none. */
static const struct bdr_cmd *settings_section(const struct bdr_cmd *root, const char *path)
{
    char word[64];

    while (root && *path) {
        size_t len = strcspn(path, " ");

        if (len >= sizeof(word))
            return NULL;
        memcpy(word, path, len);
        word[len] = 0;
        root = bdr_cmd_sub(root, word);
        path += len + strspn(path + len, " ");
    }
    return root;
}

static void settings_offer_sections(struct bdr_nearest *near, const struct bdr_cmd *cmd)
{
    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        bdr_nearest_offer(near, (*sub)->name);
        settings_offer_sections(near, *sub);
    }
}

/* Says what is wrong with a key that no row of its section has. */
static struct bdr_err *settings_unknown(const struct bdr_parsed *p, const struct bdr_config *c,
                                        const struct bdr_config_entry *e, const struct bdr_cmd *cmd)
{
    struct bdr_nearest near = {.typed = e->key};
    const struct bdr_opt *const tables[] = {cmd->opts, bdr_common_opts};
    char hint[160];

    for (const struct bdr_cmd *const *sub = p->app->root->subs; !*e->section && sub && *sub; sub++)
        if (bdr_opt_find((*sub)->opts, e->key))
            BDR_FAIL(BDR_INVAL, 0, "%s:%u: '%s' belongs in a section: [%s]", c->name, e->line, e->key, (*sub)->name);
    for (size_t t = 0; t < BDR_COUNT(tables); t++)
        for (const struct bdr_opt *opt = tables[t]; opt && opt->name; opt++)
            if (!opt->cli_only)
                bdr_nearest_offer(&near, opt->name);
    bdr_nearest_text(&near, "", hint, sizeof(hint));
    if (*e->section)
        BDR_FAIL(BDR_INVAL, 0, "%s:%u: unknown key '%s' in [%s]%s", c->name, e->line, e->key, e->section, hint);
    BDR_FAIL(BDR_INVAL, 0, "%s:%u: unknown key '%s'%s", c->name, e->line, e->key, hint);
}

static struct bdr_err *settings_twice(const struct bdr_config *c, const struct bdr_config_entry *e)
{
    for (const struct bdr_config_entry *o = c->entries; o < e; o++)
        if (o->key && !strcmp(o->section, e->section) && !strcmp(o->key, e->key))
            BDR_FAIL(BDR_INVAL, 0, "%s:%u: '%s' is set already in line %u", c->name, e->line, e->key, o->line);
    return NULL;
}

/* One entry: always checked, kept when it is for our command. */
static struct bdr_err *settings_entry(struct bdr_parsed *p, const struct bdr_config *c,
                                      const struct bdr_config_entry *e, unsigned number, const char *home)
{
    const struct bdr_cmd *cmd = settings_section(p->app->root, e->section);
    const struct bdr_opt *opt;
    const char *text = e->value;

    if (!cmd) {
        struct bdr_nearest near = {.typed = e->section};
        char hint[160];

        settings_offer_sections(&near, p->app->root);
        BDR_FAIL(BDR_INVAL, 0, "%s:%u: no command is called '%s'%s", c->name, e->line, e->section,
                 bdr_nearest_text(&near, "", hint, sizeof(hint)));
    }
    if (*e->section && cmd->subs)
        BDR_FAIL(BDR_INVAL, 0, "%s:%u: '%s' is a group; write [%s %s]", c->name, e->line, e->section, e->section,
                 cmd->subs[0]->name);
    if (!e->key)
        return NULL;
    opt = bdr_opt_find(cmd->opts, e->key);
    if (!opt)
        opt = bdr_opt_find(bdr_common_opts, e->key);
    if (!opt)
        return settings_unknown(p, c, e, cmd);
    if (opt->cli_only)
        BDR_FAIL(BDR_INVAL, 0, "%s:%u: '%s' is for the command line only", c->name, e->line, e->key);
    if (opt->type != BDR_OPT_LIST)
        BDR_TRY(settings_twice(c, e));
    if (opt->type == BDR_OPT_PATH)
        BDR_TRY(settings_home(p, home, &text));
    BDR_TRY_FOR(bdr_setting_check(opt, text), "%s:%u: %s", c->name, e->line, e->key);
    if (*e->section && cmd != p->cmd)
        return NULL;
    return bdr_settings_add(p, (struct bdr_setting){.opt = opt,
                                                    .text = text,
                                                    .from = BDR_FROM_FILE,
                                                    .file = c->name,
                                                    .line = e->line,
                                                    .rank = RANK_FILE + 2 * number + (*e->section != 0)});
}

static struct bdr_err *settings_file(struct bdr_parsed *p, const char *path, unsigned number, const char *home)
{
    BDR_AUTO(mem) char *text = NULL;
    BDR_AUTO(config) struct bdr_config c = {0};
    struct bdr_config view;
    size_t len = 0;

    BDR_TRY(bdr_os_read_file(path, BDR_CONFIG_MAX_BYTES, &text, &len));
    BDR_TRY(bdr_config_parse(path, text, len, &c));
    /* Settings point into the text, so it must outlive an error half-way too. */
    view = c;
    BDR_TRY(bdr_parsed_keep(p, BDR_STEAL(c.name)));
    BDR_TRY(bdr_parsed_keep(p, BDR_STEAL(c.text)));
    for (size_t i = 0; i < view.count; i++)
        BDR_TRY(settings_entry(p, &view, &view.entries[i], number, home));
    return NULL;
}

struct bdr_err *bdr_settings_files(struct bdr_parsed *p, const struct bdr_world *world)
{
    const struct bdr_setting *only = bdr_parsed_winner(p, bdr_opt_find(bdr_common_opts, "config"));
    const char *home = settings_getenv(world, "HOME");
    unsigned number = 0;

    if (only)
        return settings_file(p, only->text, 0, home);
    for (const char *const *path = p->app->configs; path && *path; path++, number++) {
        const char *full = *path;
        struct bdr_err *err;

        BDR_TRY(settings_home(p, home, &full));
        if (*full == '~')
            continue; /* nobody's home */
        err = settings_file(p, full, number, home);
        if (err && err->code == BDR_NOTFOUND)
            bdr_err_drop(err, "a configuration file need not exist");
        else if (err)
            return bdr_err_wrap(err, BDR_AT, "configuration");
    }
    return NULL;
}

/* Writing. */

const struct bdr_setting *bdr_parsed_winner(const struct bdr_parsed *p, const struct bdr_opt *opt)
{
    const struct bdr_setting *best = NULL;

    for (const struct bdr_setting *s = p->settings; s < p->settings + p->settings_count; s++)
        if (s->opt == opt && (!best || s->rank >= best->rank))
            best = s;
    return best;
}

static struct bdr_err *settings_write_list(struct bdr_parsed *p, const struct bdr_setting *win, struct bdr_list *out)
{
    const char **items;
    size_t n = 0;

    for (size_t i = 0; i < p->settings_count; i++)
        n += p->settings[i].opt == win->opt && p->settings[i].rank == win->rank;
    items = calloc(n, sizeof(*items));
    BDR_TRY(bdr_parsed_keep(p, items));
    n = 0;
    for (size_t i = 0; i < p->settings_count; i++)
        if (p->settings[i].opt == win->opt && p->settings[i].rank == win->rank)
            items[n++] = p->settings[i].text;
    *out = (struct bdr_list){.items = items, .count = n};
    return NULL;
}

/* -v -v counts; --verbose=2 begins anew. */
static struct bdr_err *settings_write_count(const struct bdr_parsed *p, const struct bdr_setting *win, uint32_t *out)
{
    uint32_t v = 0;

    for (size_t i = 0; i < p->settings_count; i++) {
        const struct bdr_setting *s = &p->settings[i];

        if (s->opt != win->opt || s->rank != win->rank)
            continue;
        if (s->text)
            BDR_TRY(bdr_value_parse(s->opt, s->text, &v));
        else if (!s->opt->max || v < s->opt->max)
            v++;
    }
    *out = v;
    return NULL;
}

static struct bdr_err *settings_write(struct bdr_parsed *p, const struct bdr_opt *opt, void *base, bool strict)
{
    const struct bdr_setting *win = bdr_parsed_winner(p, opt);
    void *field = (char *)base + opt->offset;
    char where[160];

    if (!win && opt->required && strict)
        BDR_FAIL(BDR_INVAL, 0, "option --%s %s is missing", opt->name, bdr_opt_metavar(opt));
    if (!win)
        return NULL;
    if (opt->type == BDR_OPT_LIST)
        return settings_write_list(p, win, field);
    if (opt->type == BDR_OPT_COUNT)
        return settings_write_count(p, win, field);
    if (!win->text) {
        *(bool *)field = true;
        return NULL;
    }
    BDR_TRY_FOR(bdr_value_parse(opt, win->text, field), "%s", bdr_setting_where(win, where, sizeof(where)));
    return NULL;
}

struct bdr_err *bdr_settings_apply(struct bdr_parsed *p, bool strict)
{
    for (const struct bdr_opt *opt = bdr_common_opts; opt->name; opt++)
        BDR_TRY(settings_write(p, opt, &p->common, strict));
    for (const struct bdr_opt *opt = p->cmd->opts; opt && opt->name; opt++)
        BDR_TRY(settings_write(p, opt, p->args, strict));
    return NULL;
}

const char *bdr_setting_where(const struct bdr_setting *s, char *buf, size_t n)
{
    if (s->from == BDR_FROM_FLAG)
        snprintf(buf, n, "option --%s", s->opt->name);
    else if (s->from == BDR_FROM_ENV)
        snprintf(buf, n, "environment variable %s", s->opt->env);
    else if (s->from == BDR_FROM_FILE)
        snprintf(buf, n, "%s:%u", s->file, s->line);
    else
        snprintf(buf, n, "default");
    return buf;
}
