/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allinone.h - a gateway of this machine's own beside the console: enrolled, kept running, with a repository in a
 * folder and a policy to begin with.
 *
 * Lifecycle: start -> look* -> stop.      Depends on: os, console.      Threads: one at a time.
 */
#pragma once
#include "console.h"

struct bdr_all;
struct bdr_all_config {
    const char *program;    /* bdr-gateway */
    const char *name;       /* the name or address by which agents reach this machine */
    uint16_t port;          /* of the gateway */
    const char *repository; /* folder; NULL: FOLDER/repository */
    const struct bdr_cancel *cancel;
};
/* Makes what is missing. Errors: what the program said. */
bdr_ret bdr_all_start(struct bdr_console *c, const struct bdr_all_config *config, struct bdr_all **out);
/* Starts the gateway again when it ended. Waits up to `ms` for that. */
bdr_ret bdr_all_look(struct bdr_all *all, uint64_t ms);
void bdr_all_stop(struct bdr_all *all);
BDR_AUTO_DEFINE(all, struct bdr_all *, bdr_all_stop)
