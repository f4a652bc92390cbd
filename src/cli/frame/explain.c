/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/explain.h"
#include "bdr/bytes.h"
#include "bdr/suggest.h"
#include "frame/text.h"
#include "frame/value.h"
#include <stdio.h>
#include <string.h>

/* A value as the user would write it: a LIST's items with commas, a switch as yes. */
static struct bdr_err *explain_value(const struct bdr_parsed *p, const struct bdr_opt *opt, struct bdr_buf *out)
{
    const struct bdr_setting *win = bdr_parsed_winner(p, opt);
    const char *gap = "";

    if (opt->type == BDR_OPT_COUNT && win && !win->text) {
        bdr_buf_printf(out, "%u", *(const uint32_t *)(const void *)((const char *)&p->common + opt->offset));
        return bdr_buf_check(out);
    }
    for (size_t i = 0; win && i < p->settings_count; i++) {
        const struct bdr_setting *s = &p->settings[i];

        if (opt->type != BDR_OPT_LIST ? s != win : s->opt != opt || s->rank != win->rank)
            continue;
        bdr_buf_printf(out, "%s%s", gap, s->text ? s->text : "yes");
        gap = ",";
    }
    if (!win && opt->type == BDR_OPT_FLAG)
        bdr_buf_printf(out, "no");
    return bdr_buf_check(out);
}

static const char *explain_where(const struct bdr_parsed *p, const struct bdr_opt *opt, char *buf, size_t n)
{
    const struct bdr_setting *win = bdr_parsed_winner(p, opt);

    if (win)
        return bdr_setting_where(win, buf, n);
    snprintf(buf, n, "not set");
    return buf;
}

static const char *explain_range(const struct bdr_opt *opt, char *buf, size_t n)
{
    char low[32], high[32];

    if (!opt->max && !opt->min)
        return NULL;
    if (opt->type == BDR_OPT_SIZE) {
        bdr_size_text(opt->min, low);
        bdr_size_text(opt->max, high);
    } else if (opt->type == BDR_OPT_DURATION) {
        bdr_duration_text(opt->min, low);
        bdr_duration_text(opt->max, high);
    } else {
        snprintf(low, sizeof(low), "%llu", (unsigned long long)opt->min);
        snprintf(high, sizeof(high), "%llu", (unsigned long long)opt->max);
    }
    snprintf(buf, n, opt->max ? "%s to %s" : "%s or more", low, high);
    return buf;
}

static struct bdr_err *explain_row(const struct bdr_parsed *p, const char *key, const struct bdr_opt *opt,
                                   struct bdr_out *out)
{
    static const struct bdr_col cols[] = {
        {.title = "Key", .key = "key"},
        {.title = "Value", .key = "value"},
        {.title = "From", .key = "from"},
        {.title = "Type", .key = "type"},
        {.title = "Like", .key = "like"},
        {.title = "Range", .key = "range"},
        {.title = "Default", .key = "default"},
        {.title = "Environment", .key = "environment"},
        {.title = "In files", .key = "config_file"},
        {.title = "Meaning", .key = "help"},
    };
    const struct bdr_value_type *type = bdr_value_type(opt->type);
    BDR_AUTO(buf) struct bdr_buf value = {0};
    char where[192], range[80];

    BDR_TRY(explain_value(p, opt, &value));
    return bdr_out_record(
        out, cols, BDR_COUNT(cols),
        (const struct bdr_cell[]){
            BDR_CELL_TEXT(key), BDR_CELL_TEXT(value.len ? bdr_text_of(&value) : NULL),
            BDR_CELL_TEXT(explain_where(p, opt, where, sizeof(where))), BDR_CELL_TEXT(type->name),
            BDR_CELL_TEXT(opt->choices ? opt->choices : type->like),
            BDR_CELL_TEXT(explain_range(opt, range, sizeof(range))), BDR_CELL_TEXT(opt->def), BDR_CELL_TEXT(opt->env),
            BDR_CELL_TEXT(opt->cli_only ? "no: for the command line only" : "yes"), BDR_CELL_TEXT(opt->help)});
}

/* Calls `each` for every leaf command; its path has dots: "key.export". */
struct explain_walk {
    struct bdr_err *(*each)(void *ctx, const struct bdr_cmd *cmd, const char *path);
    void *ctx;
};
static struct bdr_err *explain_each(const struct explain_walk *walk, const struct bdr_cmd *cmd, const char *path)
{
    char deeper[128];

    if (!cmd->subs)
        return walk->each(walk->ctx, cmd, path);
    for (const struct bdr_cmd *const *sub = cmd->subs; *sub; sub++) {
        snprintf(deeper, sizeof(deeper), "%s%s%s", path, *path ? "." : "", (*sub)->name);
        BDR_TRY(explain_each(walk, *sub, deeper));
    }
    return NULL;
}

struct explain_find {
    const char *key;
    const struct bdr_cmd *cmd; /* the one found; the last if there are several */
    const struct bdr_opt *opt;
    char full[160], others[240];
    unsigned found;
    struct bdr_nearest near, near_bare;
    char near_room[160];
};

static struct bdr_err *explain_match(void *ctx, const struct bdr_cmd *cmd, const char *path)
{
    struct explain_find *f = ctx;
    char full[160];

    for (const struct bdr_opt *opt = cmd->opts; opt && opt->name; opt++) {
        const char *before = f->near.best;

        snprintf(full, sizeof(full), "%s.%s", path, opt->name);
        bdr_nearest_offer(&f->near, full);
        if (f->near.best != before || f->near.best == full) {
            memcpy(f->near_room, full, sizeof(full)); /* `full` ends with the loop */
            f->near.best = f->near_room;
        }
        bdr_nearest_offer(&f->near_bare, opt->name);
        if (strcmp(f->key, opt->name) && strcmp(f->key, full))
            continue;
        f->cmd = cmd;
        f->opt = opt;
        memcpy(f->full, full, sizeof(full));
        f->found++;
        snprintf(f->others + strlen(f->others), sizeof(f->others) - strlen(f->others), "%s%s", f->found > 1 ? ", " : "",
                 full);
    }
    return NULL;
}

struct bdr_err *bdr_explain_key(const struct bdr_parsed *flags, const struct bdr_world *world, struct bdr_out *out,
                                const char *key)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};
    struct explain_find f = {.key = key, .near = {.typed = key}, .near_bare = {.typed = key}};
    const struct explain_walk walk = {.each = explain_match, .ctx = &f};
    const struct bdr_opt *opt = bdr_opt_find(bdr_common_opts, key);
    char hint[200];

    if (opt) {
        BDR_TRY(bdr_parse_as(flags, flags->app->root, world, &p));
        return explain_row(&p, key, opt, out);
    }
    BDR_TRY(explain_each(&walk, flags->app->root, ""));
    if (f.found > 1)
        BDR_FAIL(BDR_INVAL, 0, "several commands have '%s': write one of %s", key, f.others);
    if (!f.found) {
        for (opt = bdr_common_opts; opt->name; opt++)
            bdr_nearest_offer(&f.near_bare, opt->name);
        BDR_FAIL(BDR_INVAL, 0, "no setting is called '%s'%s", key,
                 bdr_nearest_text(strchr(key, '.') ? &f.near : &f.near_bare, "", hint, sizeof(hint)));
    }
    BDR_TRY(bdr_parse_as(flags, f.cmd, world, &p));
    return explain_row(&p, f.full, f.opt, out);
}

struct explain_list {
    const struct bdr_parsed *flags;
    const struct bdr_world *world;
    struct bdr_table *table;
    bool all;
};

static struct bdr_err *explain_add(const struct explain_list *l, const struct bdr_parsed *p, const char *section,
                                   const struct bdr_opt *rows)
{
    char key[160], where[192];

    for (const struct bdr_opt *opt = rows; opt && opt->name; opt++) {
        const struct bdr_setting *win = bdr_parsed_winner(p, opt);
        BDR_AUTO(buf) struct bdr_buf value = {0};

        if (opt->cli_only || (!l->all && (!win || win->from == BDR_FROM_DEFAULT)))
            continue;
        snprintf(key, sizeof(key), "%s%s%s", section, *section ? "." : "", opt->name);
        BDR_TRY(explain_value(p, opt, &value));
        BDR_TRY(bdr_table_add(l->table, (const struct bdr_cell[]){
                                            BDR_CELL_TEXT(key), BDR_CELL_TEXT(value.len ? bdr_text_of(&value) : NULL),
                                            BDR_CELL_TEXT(explain_where(p, opt, where, sizeof(where)))}));
    }
    return NULL;
}

static struct bdr_err *explain_list_cmd(void *ctx, const struct bdr_cmd *cmd, const char *path)
{
    const struct explain_list *l = ctx;
    BDR_AUTO(parsed) struct bdr_parsed p = {0};

    if (!cmd->opts)
        return NULL;
    BDR_TRY(bdr_parse_as(l->flags, cmd, l->world, &p));
    return explain_add(l, &p, path, cmd->opts);
}

struct bdr_err *bdr_explain_list(const struct bdr_parsed *flags, const struct bdr_world *world, struct bdr_out *out,
                                 bool all)
{
    static const struct bdr_col cols[] = {
        {.title = "Key", .key = "key"}, {.title = "Value", .key = "value"}, {.title = "From", .key = "from"}};
    BDR_AUTO(table) struct bdr_table *table = NULL;
    BDR_AUTO(parsed) struct bdr_parsed p = {0};
    struct explain_list l = {.flags = flags, .world = world, .all = all};
    const struct explain_walk walk = {.each = explain_list_cmd, .ctx = &l};

    BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &table));
    l.table = table;
    BDR_TRY(bdr_parse_as(flags, flags->app->root, world, &p));
    BDR_TRY(explain_add(&l, &p, "", bdr_common_opts));
    BDR_TRY(explain_each(&walk, flags->app->root, ""));
    return bdr_out_table(out, table);
}
