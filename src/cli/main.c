/* SPDX-License-Identifier: Apache-2.0 */
/* The list of commands: the program's table of contents. A new command is one file, one declaration, one row. */
#include "cmds.h"
#include "console/verbs.h"
#include "frame/cli.h"

static const struct bdr_cmd *const main_cmds[] = {
    &bdr_cmd_backup, &bdr_cmd_points, &bdr_cmd_show,   &bdr_cmd_recover, &bdr_cmd_serve,   &bdr_cmd_mount,
    &bdr_cmd_diff,   &bdr_cmd_copy,   &bdr_cmd_rm,
    &bdr_cmd_init,   &bdr_cmd_verify, &bdr_cmd_repair, &bdr_cmd_prune,   &bdr_cmd_rebuild, &bdr_cmd_key,
    &bdr_cmd_track,  &bdr_cmd_bench,
    &bdr_cmd_login,  &bdr_cmd_logout, BDR_VERBS
    &bdr_cmd_config, &bdr_cmd_completion, &bdr_cmd_version, &bdr_cmd_help, &bdr_cmd_internal, NULL,
};

static const struct bdr_cmd main_root = {
    .name = "bdr",
    .summary = "back up, check and recover the disks of machines",
    .help = "OpenBDR copies the disks of running machines to a repository, keeps many recovery points cheaply, and "
            "brings machines back from them.",
    .subs = main_cmds,
};

/* What to do next; a command's own hints go before these, the frame's after them. */
static const struct bdr_hint main_hints[] = {
    {BDR_CORRUPT, "run 'bdr verify' to see which points are damaged and 'bdr repair' to heal what can be healed"},
    {BDR_AUTH, "give the right secret with --passphrase-file or --key-file"},
    {BDR_STALE, "run 'bdr rebuild-index', then the same command again"},
    {0},
};
static const char *const main_configs[] = {"/etc/bdr/config", "~/.config/bdr/config", NULL};

static const struct bdr_app main_app = {
    .name = "bdr",
    .version = OPENBDR_VERSION,
    .title = "OpenBDR",
    .root = &main_root,
    .hints = main_hints,
    .configs = main_configs,
};

int main(int argc, char **argv)
{
    return bdr_cli_main(&main_app, argc, argv);
}
