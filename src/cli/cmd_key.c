/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_key.c - bdr key list|add|remove|export. */
#include "bdr/bytes.h"
#include "cmds.h"
#include "engine.h"
#include <string.h>

static struct bdr_err *list_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"KEY", "key", BDR_COL_TEXT, 0, 9},
        {"TYPE", "type", BDR_COL_TEXT, 0, 0},
        {"LABEL", "label", BDR_COL_TEXT, 0, 0},
        {"MADE", "created", BDR_COL_TIME, 0, 0},
    };
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(mem) struct bdr_key_row *rows = NULL;
    BDR_AUTO(table) struct bdr_table *t = NULL;
    size_t n = 0;

    (void)raw;
    BDR_TRY(bdr_cli_open(cli, true, &repo));
    BDR_TRY(bdr_repo_keys(repo, &rows, &n));
    BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &t));
    for (size_t i = 0; i < n; i++)
        BDR_TRY(bdr_table_add(t, (const struct bdr_cell[]){BDR_CELL_TEXT(rows[i].id), BDR_CELL_TEXT(rows[i].type),
                                                           BDR_CELL_TEXT(rows[i].label),
                                                           BDR_CELL_TIME(rows[i].created_ms)}));
    return bdr_out_table(cli->out, t);
}

struct add_args {
    const char *passphrase_file, *key_file, *label;
};

static struct bdr_err *add_run(void *raw, struct bdr_cli *cli)
{
    const struct add_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    char id[33];

    BDR_TRY(bdr_cli_open(cli, false, &repo));
    BDR_TRY(bdr_repo_key_add(repo, a->passphrase_file, a->key_file, a->label, id));
    return bdr_out_record(cli->out, &(struct bdr_col){"Key", "key", BDR_COL_TEXT, 0, 0}, 1, &BDR_CELL_TEXT(id));
}

struct remove_args {
    const char *id;
};

static struct bdr_err *remove_run(void *raw, struct bdr_cli *cli)
{
    const struct remove_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;

    if (strlen(a->id) < 4)
        BDR_FAIL(BDR_INVAL, 0, "give at least 4 digits of the key's id");
    BDR_TRY(bdr_cli_open(cli, false, &repo));
    BDR_TRY(bdr_repo_key_remove(repo, a->id));
    bdr_out_note(cli->out, "the key is removed; whoever has an old copy of the repository can still use it on that copy");
    return NULL;
}

static struct bdr_err *export_run(void *raw, struct bdr_cli *cli)
{
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    char *kit = NULL;
    struct bdr_err *err;

    (void)raw;
    BDR_TRY(bdr_cli_open(cli, true, &repo));
    BDR_TRY(bdr_repo_key_export(repo, &kit));
    err = bdr_out_raw(cli->out, kit, strlen(kit));
    bdr_wipe(kit, strlen(kit));
    free(kit);
    return err;
}

struct no_args {
    char unused;
};
static const struct bdr_cmd key_list = {
    .name = "list", .summary = "list the keys that open the repository",
    .help = "Lists every passphrase and key file that opens the repository; not the secrets themselves.",
    .examples = "bdr key list --repo /backup/r1 --passphrase-file /root/pass\n",
    .args_size = sizeof(struct no_args), .run = list_run};

static const struct bdr_opt add_opts[] = {
    {.name = "new-passphrase-file", BDR_PATH(struct add_args, passphrase_file), .cli_only = true,
     .help = "File whose first line is the new passphrase."},
    {.name = "new-key-file", BDR_PATH(struct add_args, key_file), .cli_only = true,
     .help = "File whose bytes are the new key: at least 32 random ones."},
    {.name = "label", BDR_STRING(struct add_args, label), .cli_only = true, .help = "Whose key it is, for the list."},
    {0},
};
static const struct bdr_cmd key_add = {
    .name = "add", .summary = "add another passphrase or key file",
    .help = "Every key opens all of the repository. Use it to change a passphrase: add the new one, remove the old.",
    .examples = "bdr key add --repo /backup/r1 --passphrase-file old --new-passphrase-file new --label alice\n",
    .opts = add_opts, .args_size = sizeof(struct add_args), .run = add_run};

static const struct bdr_arg remove_rows[] = {
    {.name = "KEY", .need = BDR_ARG_REQUIRED, BDR_STRING(struct remove_args, id), .help = "The key's id or its beginning."},
    {0},
};
static const struct bdr_cmd key_remove = {
    .name = "remove", .summary = "remove a key", .help = "Removes a key; the last one can't be removed.",
    .examples = "bdr key remove --repo /backup/r1 --passphrase-file new 3f9a2c01\n",
    .args = remove_rows, .args_size = sizeof(struct remove_args), .run = remove_run};
static const struct bdr_cmd key_export = {
    .name = "export", .summary = "print the recovery kit",
    .help = "Prints the master key as text, to be locked away on paper. A file with that text opens the repository: "
            "--key-file KIT.",
    .examples = "bdr key export --repo /backup/r1 --passphrase-file pass | lpr\n",
    .args_size = sizeof(struct no_args), .run = export_run};
static const struct bdr_cmd *const key_subs[] = {&key_list, &key_add, &key_remove, &key_export, NULL};

const struct bdr_cmd bdr_cmd_key = {
    .name = "key",
    .summary = "manage the keys of an encrypted repository",
    .help = "The blocks are encrypted with one master key; each passphrase or key file unlocks it.",
    .subs = key_subs,
};
