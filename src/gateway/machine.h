/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - the gateway as a machine of the console's: enrolled, beating, with jobs of its own.
 *
 * Lifecycle: open -> run -> quiet -> close.      Depends on: worker, console.h, jobs.h.      Threads: main.
 */
#pragma once
#include "gateway.h"

struct gw_machine;
struct gw_enrol {
    const char *state, *console, *ca_print, *token, *url, *name;
    bool force;
    const struct bdr_cancel *cancel;
};
bdr_ret gw_machine_enrol(const struct gw_enrol *in);
/* NOTFOUND: this folder is of no enrolled gateway. */
bdr_ret gw_machine_open(const char *state, const char *recover_below, struct gw_machine **out);
struct gw_authority gw_machine_authority(struct gw_machine *m);
/* For gw_config.told. */
void gw_machine_told(void *ctx, uint64_t repository, const json_t *manifest);
/* Tells the console of points, beats, does jobs, until `cancel` is set. */
bdr_ret gw_machine_run(struct gw_machine *m, struct gw *gw, const struct bdr_cancel *cancel);
/* Nobody tells or is told any more; NULL is fine. */
void gw_machine_quiet(struct gw_machine *m);
void gw_machine_close(struct gw_machine *m);
