/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home.h - which console this person is logged in to: ~/.config/bdr/console, 0600.
 *
 * A JSON object with the console's address, the print of its CA, an API token, and the account's name.
 * Threads: any.
 */
#pragma once
#include "bdr/http_client.h"
#include "frame/cli.h"

struct console_home {
    char *url, *print, *token, *name; /* owned; print NULL: the system's CAs are trusted */
};
void console_home_free(struct console_home *h);
BDR_UNUSED static inline void bdr_auto_console_home(struct console_home *h)
{
    console_home_free(h);
}
/* Errors: NOTFOUND not logged in; DENIED others may read the file; CORRUPT. */
bdr_ret console_home_read(struct bdr_cli *cli, struct console_home *out);
bdr_ret console_home_write(const struct console_home *h);
/* Gone already is fine. */
bdr_ret console_home_remove(void);
/* A client that trusts that console alone and shows the token (NULL: nobody). */
bdr_ret console_client(const struct console_home *h, struct bdr_http_client **out);
