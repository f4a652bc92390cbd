/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script is data in three functions and one that walks the words typed so far. It needs nothing but
 * bash 4: no bash-completion package.
 */
#include "frame/complete.h"
#include "frame/value.h"
#include <stdio.h>
#include <string.h>

/* What completes a value: "file", "words a b", "command" or "text" (nothing). */
static void bash_kind(struct bdr_buf *out, enum bdr_opt_type type, const char *choices, bool path, bool command)
{
    const char *word;
    size_t len;

    if (command) {
        bdr_buf_printf(out, "command");
    } else if (choices) {
        bdr_buf_printf(out, "words");
        while (bdr_choice_next(&choices, &word, &len))
            bdr_buf_printf(out, " %.*s", (int)len, word);
    } else {
        bdr_buf_printf(out, type == BDR_OPT_PATH || path ? "file" : "text");
    }
}

static void bash_values(struct bdr_buf *out, const char *path, const struct bdr_opt *rows)
{
    for (const struct bdr_opt *opt = rows; opt && opt->name; opt++) {
        if (opt->type == BDR_OPT_FLAG || opt->type == BDR_OPT_COUNT)
            continue;
        bdr_buf_printf(out, "    %s:--%s", path, opt->name);
        if (opt->letter)
            bdr_buf_printf(out, " | %s:-%c", path, opt->letter);
        bdr_buf_printf(out, ") echo '");
        bash_kind(out, opt->type, opt->choices, opt->path, false);
        bdr_buf_printf(out, "' ;;\n");
    }
}

static void bash_names(struct bdr_buf *out, const struct bdr_opt *rows)
{
    for (const struct bdr_opt *opt = rows; opt && opt->name; opt++)
        if (!opt->hidden)
            bdr_buf_printf(out, " --%s", opt->name);
}

/* Calls `each` for the command and all below it; paths are quoted for a case pattern. */
static void bash_walk(struct bdr_buf *out, const struct bdr_cmd *cmd, const char *path,
                      void (*each)(struct bdr_buf *out, const struct bdr_cmd *cmd, const char *path))
{
    char deeper[128];

    each(out, cmd, path);
    for (const struct bdr_cmd *const *sub = cmd->subs; sub && *sub; sub++) {
        snprintf(deeper, sizeof(deeper), "%s%s%s", path, *path ? " " : "", (*sub)->name);
        bash_walk(out, *sub, deeper, each);
    }
}

static void bash_each_sub(struct bdr_buf *out, const struct bdr_cmd *cmd, const char *path)
{
    if (!cmd->subs)
        return;
    bdr_buf_printf(out, "    '%s') echo '", path);
    for (const struct bdr_cmd *const *sub = cmd->subs; *sub; sub++)
        if (!(*sub)->hidden)
            bdr_buf_printf(out, "%s ", (*sub)->name);
    bdr_buf_printf(out, "' ;;\n");
}

static void bash_each_name(struct bdr_buf *out, const struct bdr_cmd *cmd, const char *path)
{
    if (!cmd->opts)
        return;
    bdr_buf_printf(out, "    '%s') echo '", path);
    bash_names(out, cmd->opts);
    bdr_buf_printf(out, "' ;;\n");
}

static void bash_each_value(struct bdr_buf *out, const struct bdr_cmd *cmd, const char *path)
{
    char quoted[160];

    snprintf(quoted, sizeof(quoted), "'%s'", path);
    bash_values(out, quoted, cmd->opts);
}

static void bash_each_arg(struct bdr_buf *out, const struct bdr_cmd *cmd, const char *path)
{
    unsigned n = 0;

    for (const struct bdr_arg *arg = cmd->args; arg && arg->name; arg++, n++) {
        if (arg->need == BDR_ARG_MANY || arg->need == BDR_ARG_ANY)
            bdr_buf_printf(out, "    '%s':*) echo '", path);
        else
            bdr_buf_printf(out, "    '%s':%u) echo '", path, n);
        bash_kind(out, arg->type, arg->choices, arg->path, arg->command);
        bdr_buf_printf(out, "' ;;\n");
    }
}

static void bash_function(struct bdr_buf *out, const struct bdr_app *app, const char *suffix, const char *subject,
                          const char *comment)
{
    bdr_buf_printf(out, "\n# %s\n_%s_%s() {\n    case %s in\n", comment, app->name, suffix, subject);
}

void bdr_complete_bash(const struct bdr_app *app, struct bdr_buf *out)
{
    const char *a = app->name;

    bdr_buf_printf(out, "# bash completion for %s; made by '%s completion bash'\n", a, a);
    bash_function(out, app, "subs", "\"$1\"", "Sub-commands of the command $1.");
    bash_walk(out, app->root, "", bash_each_sub);
    bdr_buf_printf(out, "    esac\n}\n");

    bash_function(out, app, "options", "\"$1\"", "Options of the command $1, besides those of all.");
    bash_walk(out, app->root, "", bash_each_name);
    bdr_buf_printf(out, "    esac\n    echo '");
    bash_names(out, bdr_common_opts);
    bdr_buf_printf(out, "'\n}\n");

    bash_function(out, app, "value", "\"$1:$2\"",
                  "What the value of option $2 of command $1 is; nothing: it has none.");
    bash_walk(out, app->root, "", bash_each_value);
    bash_values(out, "*", bdr_common_opts);
    bdr_buf_printf(out, "    esac\n}\n");

    bash_function(out, app, "argument", "\"$1:$2\"", "What argument number $2 of command $1 is.");
    bash_walk(out, app->root, "", bash_each_arg);
    bdr_buf_printf(out, "    esac\n}\n");

    bdr_buf_printf(out,
                   "\n# Fills COMPREPLY with what completes $2 by the kind $1.\n"
                   "_%s_reply() {\n"
                   "    case \"$1\" in\n"
                   "    file)\n"
                   "        mapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n"
                   "        compopt -o filenames 2>/dev/null\n"
                   "        ;;\n"
                   "    words*) mapfile -t COMPREPLY < <(compgen -W \"${1#words}\" -- \"$2\") ;;\n"
                   "    command) mapfile -t COMPREPLY < <(compgen -W \"$(_%s_subs \"$3\")\" -- \"$2\") ;;\n"
                   "    esac\n"
                   "}\n",
                   a, a);
    bdr_buf_printf(out,
                   "\n_%s() {\n"
                   "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" path='' opt='' named='' word only='' i n=0\n"
                   "    COMPREPLY=()\n"
                   "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                   "        word=\"${COMP_WORDS[i]}\"\n"
                   "        if [[ -n $opt ]]; then\n"
                   "            [[ $word == '=' ]] || opt=''\n"
                   "        elif [[ -z $only && $word == -- ]]; then\n"
                   "            only=yes\n"
                   "        elif [[ -z $only && $word == -?* ]]; then\n"
                   "            [[ $word != *=* && -n $(_%s_value \"$path\" \"$word\") ]] && opt=$word\n"
                   "        elif [[ \" $(_%s_subs \"$path\")\" == *\" $word \"* ]]; then\n"
                   "            path=\"${path:+$path }$word\"\n"
                   "        else\n"
                   "            n=$((n + 1))\n"
                   "            named=\"${named:+$named }$word\"\n"
                   "        fi\n"
                   "    done\n",
                   a, a, a);
    bdr_buf_printf(out,
                   "    if [[ -n $opt ]]; then\n"
                   "        [[ $cur == '=' ]] && cur=''\n"
                   "        _%s_reply \"$(_%s_value \"$path\" \"$opt\")\" \"$cur\"\n"
                   "    elif [[ -z $only && $cur == --*=* ]]; then\n"
                   "        _%s_reply \"$(_%s_value \"$path\" \"${cur%%%%=*}\")\" \"${cur#*=}\"\n"
                   "        COMPREPLY=(\"${COMPREPLY[@]/#/${cur%%%%=*}=}\")\n"
                   "    elif [[ -z $only && $cur == -* ]]; then\n"
                   "        mapfile -t COMPREPLY < <(compgen -W \"$(_%s_options \"$path\")\" -- \"$cur\")\n"
                   "    elif [[ -n $(_%s_subs \"$path\") ]]; then\n"
                   "        mapfile -t COMPREPLY < <(compgen -W \"$(_%s_subs \"$path\")\" -- \"$cur\")\n"
                   "    else\n"
                   "        _%s_reply \"$(_%s_argument \"$path\" $n)\" \"$cur\" \"$named\"\n"
                   "    fi\n"
                   "}\n"
                   "complete -F _%s %s\n",
                   a, a, a, a, a, a, a, a, a, a, a);
}
