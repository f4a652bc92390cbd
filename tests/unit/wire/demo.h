/* SPDX-License-Identifier: Apache-2.0 */
/* demo.h - a small API with a bit of everything, its CA and its machines; for tests, the lab and the bench. */
#pragma once
#include "bdr/http_client.h"
#include "bdr/http_server.h"
#include "bdr/route.h"
#include <pthread.h>
#include <stdatomic.h>

enum demo_kind { DEMO_FULL = 1, DEMO_INCREMENTAL = 2 };
struct demo_disk {
    const char *name;
    uint64_t size;
};
struct demo_host {
    const char *id, *name, *address, *note, *secret, *callback;
    int kind;
    bool enabled;
    bool has_enabled, has_note, has_weight, has_kind;
    uint32_t weight;
    uint64_t limit_bytes, every_ms;
    int64_t created;
    BDR_ARRAY(struct demo_disk) disks;
    BDR_ARRAY(const char *) tags;
};
extern const struct bdr_shape demo_host_shape, demo_disk_shape;

#define DEMO_HOSTS_MAX 1000
struct demo {
    char folder[64]; /* ca.key ca.crt server.key server.crt <machine>.key <machine>.crt */
    struct bdr_ca *ca;
    struct bdr_router *router;
    struct bdr_http_server *server;
    pthread_mutex_t lock;    /* guards what follows */
    struct bdr_arena *arena; /* of the hosts */
    struct demo_host hosts[DEMO_HOSTS_MAX];
    size_t n_hosts;
    uint64_t next_id;
    char revoked[BDR_SERIAL_CHARS];
    struct bdr_events **streams;
    size_t n_streams, cap_streams;
    char kept_key[160], kept_body[4096];
    uint8_t kept_digest[32];
    size_t kept_len;
    unsigned kept_status;
    atomic_uint runs, audits, slow_running;
    atomic_uint_fast64_t taken_bytes, read_bytes_per_s;
};

/* Listeners of a demo, in this order. */
enum { DEMO_PLAIN, DEMO_TLS, DEMO_OPTIONAL, DEMO_REQUIRED, DEMO_LISTENERS };

/* Makes folder, CA, server certificate and router; starts. `limits` may be NULL. `base_port` 0: any. Fails by
 * assertion. */
struct demo *demo_start(const struct bdr_http_limits *limits, uint16_t base_port);
/* Only the files and the router. */
struct demo *demo_new(void);
void demo_serve(struct demo *d, const struct bdr_http_limits *limits, uint16_t base_port);
void demo_stop(struct demo *d, uint64_t grace_ms);
void demo_free(struct demo *d);
/* Key and certificate of a machine, signed by the demo's CA (or by `other`), valid `life_ms` from `begin_ms` ago. */
void demo_machine(struct demo *d, const struct bdr_ca *other, const char *id, const char *role, uint64_t ago_ms,
                  uint64_t life_ms);
/* A client of listener `i`; `machine` NULL: without a certificate. */
struct bdr_http_client *demo_client(struct demo *d, int listener, const char *machine);
void demo_path(const struct demo *d, const char *name, char out[160]);
/* A plain connection to listener `i` with `text` sent. */
int demo_raw(struct demo *d, int listener, const char *text);
/* The same from 127.0.FROM; -1 when the server does not take it. `receive` bytes of room for answers; 0: as usual. */
int demo_raw_from(struct demo *d, int listener, unsigned from, int receive, const char *text);
/* Sends an event to all streams that are open; returns to how many. */
size_t demo_broadcast(struct demo *d, const char *event, const char *id, const char *data);

/* Between demo_api.c and demo.c. */
extern struct demo *demo_of_app;
struct bdr_err *demo_router(struct bdr_router **out);
bool demo_is_revoked(void *ctx, const struct bdr_cert_info *peer);
