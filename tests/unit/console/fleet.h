/* SPDX-License-Identifier: Apache-2.0 */
/* fleet.h - machines of a test: enrolled over the wire, with keys and certificates of their own. */
#pragma once
#include "bdr/ca.h"
#include "bdr/machine_api.h"
#include "rig.h"

struct fleet_machine {
    char uuid[40], key[160], cert[160];
    int64_t id, expires;
    uint64_t host;
    struct bdr_http_client *client;
};
/* A one-time token of an hour. */
void fleet_token(struct rig *r, const char *kind, char out[64]);
/* Enrols with a token of its own; name may be anything. identity, url may be NULL. */
void fleet_join(struct rig *r, const char *kind, const char *name, const char *identity, const char *url,
                struct fleet_machine *out);
/* A client with that key and certificate. */
struct bdr_http_client *fleet_client(struct rig *r, const char *key, const char *cert);
void fleet_leave(struct fleet_machine *m);
BDR_UNUSED static inline void fleet_auto(struct fleet_machine *m)
{
    fleet_leave(m);
}
#define FLEET __attribute__((cleanup(fleet_auto))) struct fleet_machine

/* One request of a machine (NULL: with no certificate): JSON there and back, and the status must be `want`. */
json_t *fleet_want(struct rig *r, const struct fleet_machine *m, unsigned want, const char *method, const char *path,
                   const char *body);
/* The same for the shapes of machine_api.h; `out` may be NULL. Returns the error there is. */
bdr_ret fleet_json(struct rig *r, const struct fleet_machine *m, const char *method, const char *path,
                   const struct bdr_shape *in_shape, const void *in, const struct bdr_shape *out_shape, void *out);
/* To look into the database; the caller abandons it. */
struct bdr_tx *fleet_read(struct rig *r);
