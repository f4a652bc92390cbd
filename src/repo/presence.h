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

/* Writes into an object who made it: process (for telling its death), machine and pid (for people). */
bdr_ret bdr_who_stamp(json_t *json);
/* "process 1234 on web1" by what was stamped, into buf[128]; returns buf. */
const char *bdr_who(const json_t *json, char buf[128]);

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

/* What condemned/ names. Who writes asks this after its session is visible and BEFORE it looks which packs the store
 * holds: a pack whose set is gone by then has been deleted or kept for good. The index's own flags are only a hint,
 * they may be changed by a process that read condemned/ earlier. */
struct bdr_condemned {
    uint8_t (*name)[16]; /* owned; sorted */
    size_t n;
    json_t *damaged; /* owned; keys of sets that can't be read */
};
bdr_ret bdr_condemned_load(struct bdr_repo *r, struct bdr_condemned *out);
void bdr_condemned_free(struct bdr_condemned *c);
bool bdr_condemned_has(const struct bdr_condemned *c, const uint8_t name[16]);
/* Condemns every pack the index knows: all that is safe to assume when a set can't be read. */
bdr_ret bdr_condemned_all(struct bdr_repo *r, struct bdr_condemned *c);
/* Marks in the index exactly these packs. For prune, under its lock. */
bdr_ret bdr_condemned_apply(struct bdr_repo *r, const struct bdr_condemned *c);
/* Keys below a prefix as a JSON array of strings. */
bdr_ret bdr_repo_list(struct bdr_repo *r, const char *prefix, json_t **out);
