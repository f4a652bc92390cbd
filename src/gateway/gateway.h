/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway.h - the server of the block protocol: it owns repositories and takes blocks for hosts.
 *
 * Lifecycle: start -> stop.      Depends on: base, os, wire, repo.      Threads: all calls from any; stop once.
 * Source:  docs/formats/gateway-protocol.md, docs/gateway.md
 */
#pragma once
#include "authority.h"
#include <jansson.h>

struct gw;
struct bdr_repo;

/* 0 takes the default in brackets. */
struct gw_limits {
    unsigned sessions;       /* [64] at once */
    unsigned connections;    /* [4] uploads of one session at once */
    unsigned streams;        /* [48] uploads at once in all */
    uint64_t buffer_bytes;   /* [48 MiB] of blocks that are being taken */
    uint64_t bandwidth_bps;  /* [unlimited] in all */
    uint64_t idle_ms;        /* [120000] a session may be silent */
    uint64_t keep_ms;        /* [24 h] blocks count as a host's before a point refers to them */
    unsigned stall_ms;       /* [60000] for each 64 KiB of a body */
};
struct gw_config {
    const char *state_dir; /* fences and tables of possession; made when it is not there */
    const struct gw_authority *authority; /* borrowed */
    const char *address;                  /* NULL: 127.0.0.1 */
    uint16_t port;                        /* 0: any */
    const char *cert_file, *key_file, *ca_file;
    struct gw_limits limits;
    const char *share_address; /* where points are served over NBD [0.0.0.0] */
    uint16_t share_first, share_last; /* ports for that [any free one] */
    /* A point became visible. Must not block for long. NULL: nobody wants to know. */
    void (*told)(void *ctx, uint64_t repository, const json_t *manifest);
    void *told_ctx;
};
bdr_ret gw_start(const struct gw_config *config, struct gw **out);
uint16_t gw_port(const struct gw *gw);
/* Reads certificates again. */
bdr_ret gw_reload(struct gw *gw);
/* Breaks the connections of a machine and ends its sessions; NULL: of all that the authority calls revoked. */
void gw_cut(struct gw *gw, const char *machine);
/* The job that wrote this host under this fence (or an older one) has ended: its session is none any more. */
void gw_sessions_over(struct gw *gw, uint64_t host, uint64_t fence);
/* What was uploaded is made durable; then all is closed. NULL is fine. */
void gw_stop(struct gw *gw);

struct gw_stats {
    uint64_t sessions, buffer_bytes, requests; /* now */
    uint64_t frames, frame_bytes, blocks_new, points, refused;
};
void gw_stats(struct gw *gw, struct gw_stats *out);

/*
 * An open repository, for jobs; opened when it is not. Borrowed, valid until gw_stop. `who_owns` of possession is kept right
 * by gw_repo_swept, after points were removed.
 */
bdr_ret gw_repo_open(struct gw *gw, uint64_t repository, struct bdr_repo **out);
/* Points of this label (NULL: all) were removed: hosts no longer possess what only those referred to. */
bdr_ret gw_repo_swept(struct gw *gw, uint64_t repository, const struct bdr_cancel *cancel);
/* All manifests of a repository, one after the other. */
bdr_ret gw_repo_each_point(struct gw *gw, uint64_t repository, const struct bdr_cancel *cancel,
                           struct bdr_err *(*fn)(void *ctx, const json_t *manifest), void *ctx);
