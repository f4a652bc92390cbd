/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_member.h - the commands by which a gateway joins a console, says how that goes, and may leave. Threads: main. */
#pragma once
#include "frame/cmd.h"

extern const struct bdr_cmd gw_cmd_enrol, gw_cmd_status, gw_cmd_unenrol_check;
