/* SPDX-License-Identifier: Apache-2.0 */
/* bed.h - a gateway with a real repository and real TLS, and machines with certificates. */
#pragma once
#include "../engine/engine.h"
#include "bdr/ca.h"
#include "bdr/gateway_sink.h"
#include "bdr/http_client.h"
#include "gateway.h"
#include "hosts_file.h"

struct bed {
    struct engine *e; /* its folder, its repository */
    struct bdr_ca *ca;
    struct gw_hosts_file *file;
    struct gw_authority authority;
    struct gw *gw; /* NULL: stopped */
    struct gw_limits limits;
    uint16_t port; /* of the first start; kept */
    uint64_t fence;
    void (*told)(void *ctx, uint64_t repository, const json_t *manifest);
    void *told_ctx;
};

/* *state: struct bed with hosts 1..9 ("host1".. of machine m1..) and 21..148, in repository 1; not started. */
int bed_setup(void **state);
int bed_teardown(void **state);
/* Makes the repository (64 KiB blocks unless given) and starts. */
void bed_start(struct bed *b, bool encrypt, const char *compress, uint32_t block_bytes);
void bed_up(struct bed *b); /* starts again, on the same port */
void bed_down(struct bed *b);
/* Rewrites the authority's file with one more line. */
void bed_also(struct bed *b, const char *line);
/* A sink of a machine for a host; fence 0: the next. `port` 0: the gateway's. Caller frees. */
struct bdr_sink *bed_sink(struct bed *b, const char *machine, uint64_t host, uint64_t fence, uint16_t port);
struct bdr_err *bed_backup_to(struct bdr_sink *sink, const char *image, const char *changed, struct bdr_backup_meter *meter,
                              const struct bdr_cancel *cancel, struct bdr_backup_result *out);
struct bdr_err *bed_try(struct bed *b, uint64_t host, const char *image, const char *changed,
                        struct bdr_backup_result *out);
struct bdr_backup_result bed_backup(struct bed *b, uint64_t host, const char *image, const char *changed);
/* The repository, for looking: opened beside the gateway. */
struct bdr_repo *bed_repo(struct bed *b);
/* The point of the repository equals the image. */
void bed_same(struct bed *b, const char *point, const char *image);
/* A plain HTTP client with the machine's certificate. */
struct bdr_http_client *bed_client(struct bed *b, const char *machine);
const char *bed_file(struct bed *b, const char *name);
