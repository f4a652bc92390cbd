/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/value.h"
#include <stdio.h>
#include <string.h>

const struct bdr_cmd *bdr_cmd_sub(const struct bdr_cmd *cmd, const char *name)
{
    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++)
        if (!strcmp((*sub)->name, name))
            return *sub;
    return NULL;
}

const struct bdr_opt *bdr_opt_find(const struct bdr_opt *rows, const char *name)
{
    for (; rows && rows->name; rows++)
        if (!strcmp(rows->name, name))
            return rows;
    return NULL;
}

const char *bdr_opt_metavar(const struct bdr_opt *opt)
{
    if (opt->metavar)
        return opt->metavar;
    return opt->type == BDR_OPT_CHOICE ? opt->choices : bdr_value_type(opt->type)->metavar;
}

/* The rules a table must keep. */

static bool check_name(const char *s)
{
    if (*s < 'a' || *s > 'z')
        return false;
    for (; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '-'))
            return false;
    return true;
}

static bool check_sentence(const char *s)
{
    return s && *s && s[strlen(s) - 1] == '.';
}

static struct bdr_err *check_opt(const char *path, const struct bdr_opt *opt, size_t size, const struct bdr_opt *rows)
{
    union {
        uint64_t u64;
        const char *text;
        bool flag;
    } scratch = {0};

    if (!check_name(opt->name) || opt->type >= BDR_OPT_TYPE_END || !check_sentence(opt->help))
        BDR_FAIL(BDR_INTERNAL, 0, "%s --%s: bad name or type, or help without a full stop", path, opt->name);
    if (opt->offset + (opt->type == BDR_OPT_LIST ? sizeof(struct bdr_list) : bdr_value_type(opt->type)->field_bytes) >
        size)
        BDR_FAIL(BDR_INTERNAL, 0, "%s --%s: outside of the args struct", path, opt->name);
    if ((opt->type == BDR_OPT_CHOICE) != (opt->choices != NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "%s --%s: choices and type don't fit", path, opt->name);
    if (opt->def)
        BDR_TRY_FOR(bdr_value_parse(opt, opt->def, &scratch), "%s --%s: its default", path, opt->name);
    for (; rows && rows->name && rows != opt; rows++)
        if (!strcmp(rows->name, opt->name) || (opt->letter && rows->letter == opt->letter))
            BDR_FAIL(BDR_INTERNAL, 0, "%s --%s: name or letter twice", path, opt->name);
    return NULL;
}

static struct bdr_err *check_args(const char *path, const struct bdr_cmd *cmd)
{
    bool greedy = false;

    for (const struct bdr_arg *a = cmd->args; a && a->name; a++) {
        bool list = a->need == BDR_ARG_MANY || a->need == BDR_ARG_ANY;
        size_t size = list ? sizeof(struct bdr_list) : bdr_value_type(a->type)->field_bytes;

        if (!check_sentence(a->help) || list != (a->type == BDR_OPT_LIST) || a->offset + size > cmd->args_size)
            BDR_FAIL(BDR_INTERNAL, 0, "%s %s: help, type or place is wrong", path, a->name);
        if (greedy && a->need != BDR_ARG_REQUIRED)
            BDR_FAIL(BDR_INTERNAL, 0, "%s %s: only required arguments may follow a list", path, a->name);
        greedy = greedy || list;
    }
    return NULL;
}

static struct bdr_err *check_cmd(const char *above, const struct bdr_cmd *cmd)
{
    char path[128];

    snprintf(path, sizeof(path), "%s%s%s", above, *above ? " " : "", cmd->name);
    if (!check_name(cmd->name) || !cmd->summary || check_sentence(cmd->summary))
        BDR_FAIL(BDR_INTERNAL, 0, "%s: bad name, or a summary that is missing or has a full stop", path);
    if ((cmd->run != NULL) == (cmd->subs != NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "%s: a command has either run or subs", path);
    for (const struct bdr_opt *opt = cmd->opts; opt && opt->name; opt++) {
        BDR_TRY(check_opt(path, opt, cmd->args_size, cmd->opts));
        BDR_TRY(check_opt(path, opt, cmd->args_size, bdr_common_opts));
    }
    BDR_TRY(check_args(path, cmd));
    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        if (bdr_cmd_sub(cmd, (*sub)->name) != *sub)
            BDR_FAIL(BDR_INTERNAL, 0, "%s %s: name twice", path, (*sub)->name);
        BDR_TRY(check_cmd(path, *sub));
    }
    return NULL;
}

struct bdr_err *bdr_app_check(const struct bdr_app *app)
{
    for (const struct bdr_opt *opt = bdr_common_opts; opt->name; opt++)
        BDR_TRY(check_opt("common", opt, sizeof(struct bdr_common), bdr_common_opts));
    return check_cmd("", app->root);
}
