/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - the console as a whole: what every handler and every tick stands on.
 *
 * Lifecycle: start -> (port | reload)* -> stop. One process may hold several (tests do).
 * Depends on: base, os, wire, db.      Threads: after start all members are constant pointers; what they point to says
 * its own rule.
 */
#pragma once
#include "bdr/http_server.h"
#include "db/db.h"
#include "holder.h"
#include "hub.h"
#include "secret.h"

#define BDR_CONSOLE_PORT      10443
#define BDR_CONSOLE_HTTP_PORT 30080

/* Borrowed until stop. NULL and 0 take the default in brackets. */
struct bdr_console_config {
    const char *folder;  /* [/var/lib/bdr-console] database, keys, certificates; made 0700 */
    const char *db;      /* [FOLDER/console.db] or postgresql://... */
    const char *address; /* [0.0.0.0] */
    uint16_t port;       /* HTTPS: API, UI, machines; BDR_ANY_PORT: any free one */
    uint16_t http_port;  /* HTTP: install scripts and packages only */
    const char *const
        *names; /* [this machine's, and localhost] host names and addresses by which it is reached: its certificate */
    size_t n_names;
    bool loopback; /* programs of this machine reach it as 127.0.0.1, whatever names were given */
    const char *packages;   /* [/usr/share/openbdr/packages] what 30080 serves */
    const char *web;        /* [/usr/share/openbdr/web] the web UI */
    const char *public_url; /* [https://NAME:PORT] as install commands say it */
    bool keys_lost;         /* the database's CA and master key are gone: go on with the folder's, see identity.h */
    bool no_ticks;          /* tests: nothing happens by itself */
};
#define BDR_ANY_PORT UINT16_MAX

struct bdr_packages; /* what 30080 serves (packages.h) */
struct bdr_revoked;  /* certificates that are no longer believed: looked at in each handshake (revoked.h) */

struct bdr_console {
    struct bdr_console_config config; /* defaults filled in */
    struct bdr_db *db;
    struct bdr_keyring *ring;
    struct bdr_ca *ca;
    struct bdr_hub *hub;
    struct bdr_revoked *revoked;
    struct bdr_packages *packages;
    struct bdr_cancel stop;       /* set by stop: every wait looks at it */
    struct bdr_cancel ticks_stop; /* set first: what happens by itself ends before requests do */
    /* private to console.c */
    struct bdr_holder folder_held, file_held;
    struct bdr_router *router, *http_router;
    struct bdr_http_server *server, *http_server;
    struct bdr_ticker *ticker;
    struct bdr_relay *relay;
    const char **own_names; /* config.names, when nobody gave any */
    bool names_given;
    char *owned[40];
};

/*
 * Makes what is missing (folder, master key, CA, certificate, tables, first account) and listens.
 *
 * Errors:  what any of these gives, with what was being done; nothing is left running.
 */
bdr_ret bdr_console_start(const struct bdr_console_config *config, struct bdr_console **out);
/* Makes the server's certificate for the names of the configuration and of the settings, if it is another one, and uses
 * it for new connections. */
bdr_ret bdr_console_names(struct bdr_console *c, const char *const *more, size_t n);
/* The ports it really has. */
uint16_t bdr_console_port(const struct bdr_console *c);
uint16_t bdr_console_http_port(const struct bdr_console *c);
/* Ends listening, lets requests finish for a moment, frees. NULL is fine. */
void bdr_console_stop(struct bdr_console *c);
/* The rows of the API, for documents and clients: works without a running console. Free with bdr_router_free. */
bdr_ret bdr_console_api(struct bdr_router **out);
BDR_AUTO_DEFINE(console, struct bdr_console *, bdr_console_stop)
