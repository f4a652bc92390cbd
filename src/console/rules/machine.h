/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - what may be done with proxies, agents and hosts, and when: the rules of the operator's manual.
 *
 * All within a transaction of kind LOCK, which holds the machine's row first: a claim of a job holds the same row, so
 * that no job begins between the look and the change. Threads: any, as db.h says.
 */
#pragma once
#include "auth/token.h"
#include "db/statements.h"

#define BDR_PROXY_HTTP_TIMEOUT_S 600
#define BDR_PROXY_DISKS          50
#define BDR_PROXY_DISKS_ADVISED  150

/* *out_unwise: as asked, but more disks at once than is advised. Errors: INVAL out of range; NOTFOUND. */
bdr_ret bdr_proxy_settings(struct bdr_tx *tx, int64_t proxy_id, int64_t http_timeout_s, int64_t max_disks,
                           bool *out_unwise);
/* Errors: NOTFOUND; EXISTS bound already; CONFLICT its access was revoked. */
bdr_ret bdr_proxy_bind(struct bdr_tx *tx, int64_t proxy_id, int64_t platform_id, int64_t now_ms);
/* Errors: CONFLICT while it works for the platform, or is the last one of a platform with unfinished jobs; NOTFOUND. */
bdr_ret bdr_proxy_unbind(struct bdr_tx *tx, int64_t proxy_id, int64_t platform_id);
/* Its access ends; history keeps its name. Errors: CONFLICT while it is bound to any platform; NOTFOUND. */
bdr_ret bdr_proxy_remove(struct bdr_tx *tx, int64_t proxy_id, int64_t now_ms);

/*
 * Ends what binds a host to us. Its recovery points stay.
 *
 * Shape:   forced: protection ends and unfinished jobs are cancelled; else they are a reason to refuse. An agent's
 * access ends, and it may be uninstalled; a host of a platform is again one that was only seen. Errors:  CONFLICT
 * protected, or unfinished jobs or recoveries; NOTFOUND.
 */
bdr_ret bdr_host_deregister(struct bdr_tx *tx, int64_t host_id, bool forced, const char *account, int64_t now_ms);

/* A machine that asks to join with a token; borrowed. */
struct bdr_enrol {
    const char *token, *kind; /* proxy, agent, gateway */
    const char *uuid, *name, *addr, *os, *version;
    const char *serial; /* of the certificate that was made for it */
    struct bdr_blob sha256;
    int64_t now_ms, expires_ms;
    const char *identity; /* of the hardware or disk image; NULL: not told */
    const char *https;    /* gateways: host:port where sources reach it; NULL: not told */
};
/* One-time token for machines of a kind; `out` is told once. */
bdr_ret bdr_enrol_token(struct bdr_tx *tx, const char *kind, const char *note, struct bdr_opt_i64 account_id,
                        int64_t now_ms, int64_t expires_ms, char out[BDR_TOKEN_CHARS]);
/*
 * Uses the token up and makes the machine; an agent speaks for a host from then on.
 *
 * Shape:   an agent of an identity whose host was deregistered takes that host over, with its points and its label;
 *          any other gets a new one. *out_host_id, may be NULL, is 0 for other kinds.
 * Errors:  DENIED the token is unknown, used, expired or for another kind; EXISTS the uuid is taken.
 */
bdr_ret bdr_enrol(struct bdr_tx *tx, const struct bdr_enrol *e, int64_t *out_machine_id, int64_t *out_host_id);
/* Its certificates are worth nothing from now on. */
bdr_ret bdr_machine_shut_out(struct bdr_tx *tx, int64_t machine_id, int64_t now_ms);
