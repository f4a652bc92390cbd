/* SPDX-License-Identifier: Apache-2.0 */
/* cmds.h - every command of `bdr`; each is one file cmd_<name>.c. */
#pragma once
#include "frame/cmd.h"

extern const struct bdr_cmd bdr_cmd_init, bdr_cmd_backup, bdr_cmd_points, bdr_cmd_show, bdr_cmd_rm, bdr_cmd_recover,
    bdr_cmd_verify, bdr_cmd_prune, bdr_cmd_rebuild, bdr_cmd_key, bdr_cmd_serve, bdr_cmd_mount, bdr_cmd_diff,
    bdr_cmd_bench, bdr_cmd_copy, bdr_cmd_repair, bdr_cmd_track;
