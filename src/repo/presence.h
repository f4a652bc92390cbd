/* SPDX-License-Identifier: Apache-2.0 */
/*
 * presence.h - who is writing: session objects and their liveness, host leases, condemned packs.
 *
 * Protocol and why it is safe: docs/formats/repository.md section 8. Threads: one at a time per object.
 */
#pragma once
#include "repo_i.h"

#define BDR_PRESENCE_REFRESH_MS 60000u
#define BDR_PRESENCE_GIVE_UP_MS (15u * 60000u)
#define BDR_PRESENCE_STALE_MS (30u * 60000u)

struct bdr_presence {
    char id[33];
    char key[64];
    void *hold;
    uint64_t refreshed_ms; /* monotonic */
    json_t *json;          /* owned */
};
/* `purpose`: "backup host X", for messages. */
bdr_ret bdr_presence_begin(struct bdr_repo *r, const char *purpose, struct bdr_presence *out);
/* Renews when due; FENCED when the session was lost. */
bdr_ret bdr_presence_renew(struct bdr_repo *r, struct bdr_presence *p);
/* Ours still, for certain: FENCED otherwise. */
bdr_ret bdr_presence_check(struct bdr_repo *r, struct bdr_presence *p);
void bdr_presence_end(struct bdr_repo *r, struct bdr_presence *p);
/* Whether the session of this id lives; a dead one's object is removed. */
bdr_ret bdr_presence_alive(struct bdr_repo *r, const char *id, bool *out);
/* Ids of living sessions other than `but` (NULL: all), removing dead ones. JSON array of strings. */
bdr_ret bdr_presence_others(struct bdr_repo *r, const char *but, json_t **out);

/* Takes the next lease of a host. BUSY when its last holder lives, unless take_over. */
bdr_ret bdr_lease_take(struct bdr_repo *r, const char *host, const char *session, bool take_over, uint64_t *out);
/* FENCED when a newer one exists. */
bdr_ret bdr_lease_check(struct bdr_repo *r, const char *host, uint64_t lease);
/* First 16 hex digits of SHA-256 of the host's name. */
bdr_ret bdr_host_key(const char *host, char out[17]);

/* Marks in the index exactly the packs that condemned/ names. */
bdr_ret bdr_condemned_load(struct bdr_repo *r);
/* Keys below a prefix as a JSON array of strings. */
bdr_ret bdr_repo_list(struct bdr_repo *r, const char *prefix, json_t **out);
