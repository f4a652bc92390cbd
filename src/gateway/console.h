/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - the console as the gateway's authority, and who is told of new points.
 *
 * Leaves are kept for as long as they are good for, so that the console may be away for a while. Points are told as they
 * come; when that failed, and at the start, all points of the repository are told, so that none is forgotten.
 * Lifecycle: open -> attach -> quiet -> close.     Depends on: base, wire.      Threads: any.
 * Source:  docs/wire/machines.md
 */
#pragma once
#include "gateway.h"

struct gw_console;
struct gw_console_config {
    const char *url, *ca_file, *cert_file, *key_file;
    uint32_t retry_ms; /* between attempts to tell; 0: 10000 */
    bool no_events;    /* somebody else listens, and calls gw_console_revoked */
};
bdr_ret gw_console_open(const struct gw_console_config *config, struct gw_console **out);
struct gw_authority gw_console_authority(struct gw_console *c);
/* For gw_config.told. */
void gw_console_told(void *ctx, uint64_t repository, const json_t *manifest);
/* Begins to tell and to listen. The gateway is borrowed until quiet. */
bdr_ret gw_console_attach(struct gw_console *c, struct gw *gw);
/* An event of the console's, for those who listen themselves. */
void gw_console_heard(struct gw_console *c, const char *event, const char *data);
/* A machine is not to be believed any more. */
void gw_console_revoked(struct gw_console *c, const char *machine);
/* Everything that was to be told has been. */
bool gw_console_all_told(struct gw_console *c);
/* Ends both; call it before the gateway stops. NULL is fine. */
void gw_console_quiet(struct gw_console *c);
void gw_console_close(struct gw_console *c);
